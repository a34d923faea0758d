use model::{CanonicalObject, PicklistOption};
use proptest::prelude::*;

use super::*;
use crate::domain::mapping::{Direction, Policy};

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
    let found = suggest(&object.schema(), vendor);
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
            ("description", "description"),
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
    fill(&mut settings, &canonical, &vendor, true);
    confirm(&mut settings, &canonical, &vendor);
    assert_eq!(settings.fields["deal_type"].state, FieldState::Suggested);
    assert_eq!(settings.fields["owner_id"].state, FieldState::Suggested);
    assert_eq!(settings.fields["stage"].state, FieldState::Confirmed);
}

#[test]
fn what_the_vendor_keeps_itself_is_never_mapped_by_itself() {
    for (object, vendor) in [(CanonicalObject::Company, companies()), (CanonicalObject::Deal, deals())] {
        for suggestion in suggest(&object.schema(), &vendor) {
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
    fill(&mut settings, &canonical, &vendor, false);
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
    Settings {
        direction: Direction::Bidirectional,
        default_policy: Policy::Newest,
        match_keys: Vec::new(),
        fields: BTreeMap::new(),
    }
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
        let found = suggest(&ours, &theirs);
        let ends: BTreeSet<&str> = found.iter().map(|s| s.field.as_str()).collect();
        let others: BTreeSet<&str> = found.iter().map(|s| s.vendor_field.as_str()).collect();
        prop_assert_eq!(ends.len(), found.len());
        prop_assert_eq!(others.len(), found.len());
        prop_assert!(found.iter().all(|s| (FLOOR..1.0).contains(&s.confidence)));
        theirs.fields.reverse();
        prop_assert_eq!(suggest(&ours, &theirs), found);
    }
}
