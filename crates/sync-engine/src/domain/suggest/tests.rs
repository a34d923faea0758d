use std::collections::{BTreeMap, BTreeSet};

use model::{CanonicalObject, PicklistOption};
use proptest::prelude::*;

use super::{
    assignment::{Edge, assign},
    *,
};
use crate::domain::mapping::{FieldMapping, FieldState, Settings};

fn field(name: &str, label: &str, field_type: FieldType) -> FieldSchema {
    FieldSchema {
        name: name.to_owned(),
        label: label.to_owned(),
        field_type,
        description: String::new(),
        options: Vec::new(),
        read_only: false,
        required: false,
        unique: false,
        custom: false,
        references: None,
    }
}

fn with_options(field: FieldSchema, options: &[&str]) -> FieldSchema {
    let option = |text: &&str| PicklistOption { value: (*text).to_owned(), label: (*text).to_owned() };
    FieldSchema { options: options.iter().map(option).collect(), ..field }
}

fn object(name: &str, fields: Vec<FieldSchema>) -> ObjectSchema {
    ObjectSchema { name: name.to_owned(), label: name.to_owned(), fields }
}

fn companies() -> ObjectSchema {
    use FieldType::{DateTime, Number, Phone, Picklist, Text, User};
    let kept = |field: FieldSchema| FieldSchema { read_only: true, ..field };
    object(
        "companies",
        vec![
            field("name", "Company name", Text),
            field("domain", "Company Domain Name", Text),
            field("website", "Website URL", Text),
            field("phone", "Phone Number", Phone),
            field("address", "Street Address", Text),
            field("address2", "Street Address 2", Text),
            field("city", "City", Text),
            field("state", "State/Region", Text),
            field("zip", "Postal Code", Text),
            field("country", "Country/Region", Text),
            field("industry", "Industry", Picklist),
            field("numberofemployees", "Number of Employees", Number),
            field("annualrevenue", "Annual Revenue", Number),
            field("description", "Description", Text),
            field("about_us", "About Us", Text),
            field("founded_year", "Year Founded", Text),
            field("timezone", "Time Zone", Text),
            field("twitterhandle", "Twitter Handle", Text),
            field("linkedin_company_page", "LinkedIn Company Page", Text),
            field("lifecyclestage", "Lifecycle Stage", Picklist),
            with_options(
                field("type", "Type", Picklist),
                &["PROSPECT", "PARTNER", "RESELLER", "VENDOR", "OTHER"],
            ),
            field("hubspot_owner_id", "Company owner", User),
            kept(field("hs_object_id", "Record ID", Number)),
            kept(field("createdate", "Create Date", DateTime)),
            kept(field("hs_lastmodifieddate", "Last Modified Date", DateTime)),
            kept(field("notes_last_updated", "Last Activity Date", DateTime)),
            kept(field("hs_analytics_source", "Original Source Type", Picklist)),
            kept(field("hs_num_open_deals", "Number of open deals", Number)),
        ],
    )
}

fn deals() -> ObjectSchema {
    use FieldType::{Boolean, Currency, DateTime, Picklist, Text, User};
    let kept = |field: FieldSchema| FieldSchema { read_only: true, ..field };
    object(
        "deals",
        vec![
            field("dealname", "Deal Name", Text),
            field("amount", "Amount", Currency),
            field("closedate", "Close Date", DateTime),
            field("dealstage", "Deal Stage", Picklist),
            field("pipeline", "Pipeline", Picklist),
            with_options(field("dealtype", "Deal Type", Picklist), &["newbusiness", "existingbusiness"]),
            field("description", "Deal Description", Text),
            field("hubspot_owner_id", "Deal owner", User),
            kept(field("hs_is_closed", "Is Deal Closed?", Boolean)),
            kept(field("hs_closed_amount", "Closed Deal Amount", Currency)),
            kept(field("hs_forecast_amount", "Forecast Amount", Currency)),
            kept(field("createdate", "Create Date", DateTime)),
        ],
    )
}

fn suggested(object: CanonicalObject, vendor: &ObjectSchema) -> BTreeMap<String, Suggestion> {
    let found = suggest(&object.schema(), vendor).suggestions;
    found.into_iter().map(|suggestion| (suggestion.field.clone(), suggestion)).collect()
}

fn assert_pairs(found: &BTreeMap<String, Suggestion>, sure: bool, pairs: &[(&str, &str)]) {
    for (ours, theirs) in pairs {
        let Some(suggestion) = found.get(*ours) else { panic!("nothing is suggested for {ours}") };
        assert_eq!(suggestion.vendor_field, *theirs, "{ours}");
        assert_eq!(suggestion.confidence >= AUTO, sure, "{ours}: {suggestion:?}");
    }
}

#[test]
fn what_says_the_same_at_hubspot_is_mapped_by_itself() {
    let companies = suggested(CanonicalObject::Company, &companies());
    assert_pairs(
        &companies,
        true,
        &[
            ("name", "name"),
            ("domain", "domain"),
            ("website", "website"),
            ("phone", "phone"),
            ("industry", "industry"),
            ("employee_count", "numberofemployees"),
            ("annual_revenue", "annualrevenue"),
            ("address_city", "city"),
            ("address_postcode", "zip"),
            ("address_region", "state"),
            ("address_country", "country"),
            ("lifecycle_stage", "lifecyclestage"),
            ("twitter_handle", "twitterhandle"),
            ("time_zone", "timezone"),
            ("year_founded", "founded_year"),
        ],
    );
    let deals = suggested(CanonicalObject::Deal, &deals());
    assert_pairs(
        &deals,
        true,
        &[("name", "dealname"), ("amount", "amount"), ("stage", "dealstage"), ("pipeline", "pipeline")],
    );
}

#[test]
fn what_resembles_at_hubspot_is_found() {
    let companies = suggested(CanonicalObject::Company, &companies());

    for (ours, theirs) in [
        ("description", "description"),
        ("address_line1", "address"),
        ("address_line2", "address2"),
        ("linkedin_url", "linkedin_company_page"),
        ("company_type", "type"),
    ] {
        assert_eq!(companies[ours].vendor_field, theirs);
    }
    let deals = suggested(CanonicalObject::Deal, &deals());
    assert_eq!(deals["expected_close_date"].vendor_field, "closedate");
}

#[test]
fn what_a_person_should_look_at_is_never_mapped_by_itself_nor_confirmed_with_the_rest() {
    let (canonical, vendor) = (CanonicalObject::Deal.schema(), deals());
    let found = suggested(CanonicalObject::Deal, &vendor);
    assert_pairs(&found, false, &[("deal_type", "dealtype"), ("owner_id", "hubspot_owner_id")]);
    assert!(found["deal_type"].evidence.iter().any(|why| why.contains("existingbusiness")), "{found:?}");
    let mut settings = settings();
    fill(&mut settings, &canonical, &vendor, true, &Advice::NotAsked);
    confirm(&mut settings, &canonical, &vendor);
    assert_eq!(settings.fields["deal_type"].state, FieldState::Suggested);
    assert_eq!(settings.fields["owner_id"].state, FieldState::Suggested);
    assert_eq!(settings.fields["stage"].state, FieldState::Confirmed);
}

#[test]
fn what_the_vendor_keeps_itself_is_never_mapped_by_itself() {
    for (object, vendor) in [(CanonicalObject::Company, companies()), (CanonicalObject::Deal, deals())] {
        for suggestion in suggest(&object.schema(), &vendor).suggestions {
            let theirs = vendor.field(&suggestion.vendor_field).unwrap();
            let kept = theirs.read_only || theirs.name.starts_with("hs_");
            assert!(!kept || suggestion.confidence < AUTO, "{suggestion:?}");
        }
    }
}

#[test]
fn in_an_active_mapping_nothing_flows_before_somebody_confirmed_it() {
    let (canonical, vendor) = (CanonicalObject::Company.schema(), companies());
    let mut settings = settings();
    settings.fields.insert("name".to_owned(), confirmed("name"));
    fill(&mut settings, &canonical, &vendor, false, &Advice::NotAsked);
    let flowing: Vec<&String> = settings
        .fields
        .iter()
        .filter(|(_, field)| field.effective().is_some())
        .map(|(name, _)| name)
        .collect();
    assert_eq!(flowing, ["name"]);
    assert_eq!(settings.fields["domain"].state, FieldState::Suggested);
}

fn confirmed(theirs: &str) -> FieldMapping {
    FieldMapping {
        vendor_field: Some(theirs.to_owned()),
        state: FieldState::Confirmed,
        ..FieldMapping::unmapped()
    }
}

fn settings() -> Settings {
    Settings::default()
}

fn any_field() -> impl Strategy<Value = FieldSchema> {
    let types = prop_oneof![
        Just(FieldType::Text),
        Just(FieldType::Number),
        Just(FieldType::Picklist),
        Just(FieldType::DateTime),
        Just(FieldType::User),
    ];
    let name = prop_oneof!["[a-z_]{0,14}", ".{0,10}", "(deal|company|close|stage|name|date|of|number){1,4}"];
    (name.clone(), name, types, any::<bool>()).prop_map(|(name, label, field_type, read_only)| FieldSchema {
        read_only,
        ..field(&name, &label, field_type)
    })
}

proptest! {
    #[test]
    fn suggestions_are_one_to_one_the_same_every_time_and_in_bounds(
        ours in proptest::collection::vec(any_field(), 0..8),
        theirs in proptest::collection::vec(any_field(), 0..8),
    ) {
        let unique = |fields: Vec<FieldSchema>| -> Vec<FieldSchema> {
            fields.into_iter().map(|field| (field.name.clone(), field)).collect::<BTreeMap<_, _>>().into_values().collect()
        };
        let (ours, mut theirs) = (object("company", unique(ours)), object("companies", unique(theirs)));
        let found = suggest(&ours, &theirs).suggestions;
        let ends: BTreeSet<&str> = found.iter().map(|s| s.field.as_str()).collect();
        let others: BTreeSet<&str> = found.iter().map(|s| s.vendor_field.as_str()).collect();
        prop_assert_eq!(ends.len(), found.len());
        prop_assert_eq!(others.len(), found.len());
        prop_assert!(found.iter().all(|s| (0.3..1.0).contains(&s.confidence)));
        theirs.fields.reverse();
        prop_assert_eq!(suggest(&ours, &theirs).suggestions, found);
    }
}

fn schema(object: &str, json: &serde_json::Value) -> Schema {
    Schema::read(object, json.to_string().as_bytes()).unwrap()
}

fn selected(source: &Schema, target: &Schema) -> BTreeMap<String, Prediction> {
    let chosen = predict("pair", source, target).into_iter().filter(|one| one.selected);
    chosen.map(|one| (one.source.clone(), one)).collect()
}

#[test]
fn names_of_any_script_and_language_are_matched() {
    let ours = schema(
        "kontakte",
        &serde_json::json!([
            {"name": "Vorname", "type": "singleLineText"}, {"name": "Nachname", "type": "singleLineText"},
            {"name": "PLZ", "type": "singleLineText"}, {"name": "会社名", "type": "text"},
        ]),
    );
    let theirs = schema(
        "contacts",
        &serde_json::json!([
            {"name": "cf_first_name__c", "label": "First Name", "type": "string"},
            {"name": "new_familyname", "label": "Family name", "type": "String"},
            {"name": "mailingPostalCode", "label": "Mailing ZIP", "type": "varchar"},
            {"name": "custom.company_jp", "label": "会社名", "type": "text"},
        ]),
    );
    let found = selected(&ours, &theirs);
    for (source, target) in [
        ("Vorname", "cf_first_name__c"),
        ("Nachname", "new_familyname"),
        ("PLZ", "mailingPostalCode"),
        ("会社名", "custom.company_jp"),
    ] {
        assert_eq!(found[source].target, target, "{found:?}");
    }
}

/// Which field of the other side each field is, by its label.
fn labelled(source: (&str, &[&str]), target: (&str, &[&str])) -> BTreeMap<String, String> {
    let read = |(object, labels): (&str, &[&str])| {
        let field = |label: &&str| serde_json::json!({"name": label, "label": label, "type": "string"});
        schema(object, &labels.iter().map(field).collect())
    };
    let found = selected(&read(source), &read(target));
    found.into_iter().map(|(ours, theirs)| (ours, theirs.target)).collect()
}

fn assert_labelled(source: (&str, &[&str]), target: (&str, &[&str]), right: &[(&str, &str)]) {
    let found = labelled(source, target);
    for (ours, theirs) in right {
        assert_eq!(found.get(*ours).map(String::as_str), Some(*theirs), "{ours}: {found:?}");
    }
}

#[test]
fn the_fields_beside_it_say_what_a_bare_title_or_close_date_is() {
    assert_labelled(
        ("a.person", &["Last Name", "Title", "Job Title"]),
        ("b.contact", &["Surname", "Salutation", "Position"]),
        &[("Title", "Salutation"), ("Job Title", "Position")],
    );
    assert_labelled(
        ("a.person", &["Last Name", "Title"]),
        ("b.contact", &["Surname", "Salutation", "Position"]),
        &[("Title", "Position")],
    );
    assert_labelled(
        ("a.deal", &["Amount", "Close Date", "Due Date"]),
        ("b.opportunity", &["Amount", "Actual Close Date", "Expected Close Date"]),
        &[("Close Date", "Actual Close Date"), ("Due Date", "Expected Close Date")],
    );
    assert_labelled(
        ("a.deal", &["Amount", "Close Date"]),
        ("b.opportunity", &["Amount", "Actual Close Date", "Expected Close Date"]),
        &[("Close Date", "Expected Close Date")],
    );
}

#[test]
fn headers_that_people_abbreviate_are_read() {
    assert_labelled(
        (
            "a.firms",
            &["Firm Nm", "Ph.", "Addr 1", "Town/City", "Ctry", "# Emps", "Ann. Rev (USD)", "Last Upd."],
        ),
        (
            "b.company",
            &["Name", "Phone", "Street", "City", "Country", "Employees", "Annual Revenue", "Modified"],
        ),
        &[
            ("Firm Nm", "Name"),
            ("Ph.", "Phone"),
            ("Addr 1", "Street"),
            ("Town/City", "City"),
            ("Ctry", "Country"),
            ("# Emps", "Employees"),
            ("Ann. Rev (USD)", "Annual Revenue"),
            ("Last Upd.", "Modified"),
        ],
    );
    assert_labelled(
        ("a.customer", &["Debtor No.", "Bill-to City", "Ship-to City", "Sector/Trade"]),
        ("b.account", &["Account Number", "Shipping City", "Billing City", "Industry"]),
        &[
            ("Debtor No.", "Account Number"),
            ("Bill-to City", "Billing City"),
            ("Ship-to City", "Shipping City"),
            ("Sector/Trade", "Industry"),
        ],
    );
}

#[test]
fn an_object_whose_name_does_not_tell_is_taken_for_what_the_other_is() {
    let customers: &[&str] = &["First Name", "Last Name", "Company Name", "City"];
    assert_labelled(
        ("a.customers", customers),
        ("b.company", &["Name", "City"]),
        &[("Company Name", "Name")],
    );
    assert_labelled(
        ("a.customers", customers),
        ("b.contact", &["Name", "Company", "Given Name", "City"]),
        &[("Company Name", "Company"), ("First Name", "Given Name")],
    );
}

#[test]
fn what_a_round_trip_would_lose_is_not_mapped_by_itself() {
    let numbers = |samples: &[&str]| {
        schema(
            "accounts",
            &serde_json::json!([{"name": "NumberOfEmployees", "type": "string", "samples": samples}]),
        )
    };
    let theirs = schema(
        "companies",
        &serde_json::json!([{"name": "numberofemployees", "label": "Number of Employees", "type": "number"}]),
    );
    let kept = &selected(&numbers(&["12", "80"]), &theirs)["NumberOfEmployees"];
    let lost = &selected(&numbers(&["12", "50-100"]), &theirs)["NumberOfEmployees"];
    assert!(kept.confidence >= AUTO && kept.auto, "{kept:?}");
    assert!(lost.confidence >= AUTO && !lost.auto, "{lost:?}");
}

#[test]
fn a_schema_that_cannot_be_read_says_why() {
    let code = |json: &str| Schema::read("x", json.as_bytes()).unwrap_err().code();
    assert_eq!(code("{"), "schema_malformed");
    assert_eq!(code("{\"fields\": []}"), "schema_malformed");
    assert_eq!(code("[{\"label\": \"A\"}]"), "field_unnamed");
    assert_eq!(code("[{\"name\": \"a\"}, {\"name\": \"a\"}]"), "field_repeated");
}

#[test]
fn every_line_of_the_lexicon_is_read() {
    for text in [include_str!("lexicon/words.txt"), include_str!("lexicon/concepts.txt")] {
        let unread: Vec<&str> = text
            .lines()
            .filter(|line| !line.trim().is_empty() && !line.starts_with('#') && !line.contains(": "))
            .collect();
        assert!(unread.is_empty(), "{unread:?}");
    }
    let scopes = ["company", "deal", "person", "lead"];
    let heads = include_str!("lexicon/concepts.txt").lines().filter(|line| !line.starts_with('#'));
    let heads = heads.filter_map(|line| line.split_once(':')?.0.split_once('@'));
    for (name, scope) in heads {
        assert!(scopes.contains(&scope), "{name}@{scope}");
    }
}

fn best(rows: &[Vec<Edge>], taken: &mut Vec<usize>) -> f64 {
    let Some((row, rest)) = rows.split_first() else { return 0.0 };
    let mut most = best(rest, taken);
    for edge in row {
        if !taken.contains(&edge.column) {
            taken.push(edge.column);
            most = most.max(edge.gain + best(rest, taken));
            taken.pop();
        }
    }
    most
}

proptest! {
    #[test]
    fn no_assignment_gains_more(
        gains in proptest::collection::vec(proptest::collection::vec(0_u32..6, 5), 0..6)
    ) {
        let row = |row: &Vec<u32>| -> Vec<Edge> {
            let edges = row.iter().enumerate().filter(|(_, gain)| **gain > 0);
            edges.map(|(column, gain)| Edge { column, gain: f64::from(*gain) / 7.0 }).collect()
        };
        let rows: Vec<Vec<Edge>> = gains.iter().map(row).collect();
        let chosen = assign(&rows, 5);
        let given: Vec<usize> = chosen.iter().flatten().copied().collect();
        prop_assert_eq!(given.iter().collect::<BTreeSet<_>>().len(), given.len());
        let gain: f64 = rows.iter().zip(&chosen).filter_map(|(row, column)| {
            row.iter().find(|edge| Some(edge.column) == *column).map(|edge| edge.gain)
        }).sum();
        prop_assert!((gain - best(&rows, &mut Vec::new())).abs() < 1e-9);
    }

    #[test]
    fn no_name_however_odd_is_too_much(
        names in proptest::collection::btree_set("\\PC{1,30}|[\\x00-\\x7f]{1,12}|(e.?mail|[A-Z]{1,4}s?|ß|é|İ|ﬁ|_|__c){1,8}", 1..12),
        label in ".{0,30}",
        kind in ".{0,12}",
    ) {
        let fields: Vec<serde_json::Value> = names
            .iter()
            .filter(|name| !name.trim().is_empty())
            .map(|name| serde_json::json!({"name": name, "label": format!("{name} {label}"), "type": kind}))
            .collect();
        let schema = schema(&label, &serde_json::Value::Array(fields));
        let predictions = predict(&label, &schema, &schema);
        prop_assert!(predictions.iter().all(|one| (0.0..=1.0).contains(&one.confidence)));
        prop_assert_eq!(predict(&label, &schema, &schema), predictions);
    }
}

#[test]
fn fields_of_the_same_words_find_each_other_among_five_thousand_in_any_script() {
    let words = ["Umsatz", "城市", "телефон", "مدينة", "Region", "🦀", "Straße"];
    let label = |at: usize| format!("{} {}", words[at % 7], at / 7);
    let fields = |name: &dyn Fn(usize) -> String| -> Schema {
        let field = |at| serde_json::json!({"name": name(at), "label": label(at), "type": "string"});
        schema("records", &(0..5_000).map(field).collect())
    };
    let (ours, theirs) = (fields(&|at| format!("f{at}")), fields(&|at| format!("custom_{}", at + 1)));
    let found = selected(&ours, &theirs);
    let right = |at: &usize| {
        found.get(&format!("f{at}")).is_some_and(|one| one.target == format!("custom_{}", at + 1))
    };
    let count = (0..5_000).filter(right).count();
    assert!(count > 4_500, "{count} of 5,000");
}
