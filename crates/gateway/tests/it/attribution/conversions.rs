//! Conversion rules, ingest URLs and terms of a partner in front of rooms that are made up.

use http::{Method, StatusCode};
use proto::attribution::{conversion_rule_spec::User, *};
use serde_json::{Value, json};
use tonic::Code;

use super::house;

const RULES: &str = "accord.attribution.v1.ConversionRules";
const URLS: &str = "accord.attribution.v1.IngestUrls";
const ATTRIBUTION: &str = "accord.attribution.v1.Attribution";

fn rule(spec: ConversionRuleSpec) -> ConversionRule {
    ConversionRule { id: "rule_1".into(), spec: Some(spec), enabled: true, waiting: 2, ..Default::default() }
}

fn won() -> Value {
    json!({
        "name": "Won deals", "connectionId": "conn_1", "object": "deals", "eventType": "opportunity_won",
        "conditions": [{ "field": "dealstage", "operator": "one_of", "values": ["closedwon"] }],
        "valueField": "amount", "currencyField": "deal_currency_code", "whenLeft": "void",
    })
}

#[tokio::test]
async fn a_conversion_rule_is_made_changed_switched_off_and_its_records_are_listed() {
    let door = house().await;
    door.rooms.on(&format!("{RULES}/CreateConversionRule"), |asked: CreateConversionRuleRequest| {
        Ok(rule(asked.spec.unwrap()))
    });
    let made = door.post("/attribution/rules", &won()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let row = made.json();
    for (name, value) in won().as_object().unwrap() {
        assert_eq!(&row[name], value, "{name}");
    }
    assert_eq!((&row["id"], &row["userField"], &row["waiting"]), (&json!("rule_1"), &Value::Null, &json!(2)));

    door.rooms.on(&format!("{RULES}/UpdateConversionRule"), |asked: UpdateConversionRuleRequest| {
        let spec = asked.spec.unwrap();
        assert_eq!(
            (asked.rule_id.as_str(), &spec.user),
            ("rule_1", &Some(User::UserField("account".into())))
        );
        Ok(rule(spec))
    });
    let mut other = won();
    other["userField"] = json!("account");
    let changed = door.call(Method::PUT, "/attribution/rules/rule_1", Some(other)).await;
    assert_eq!((changed.status, &changed.json()["userField"]), (StatusCode::OK, &json!("account")));

    door.rooms.on(&format!("{RULES}/SetConversionRuleEnabled"), |asked: SetConversionRuleEnabledRequest| {
        Ok(ConversionRule { enabled: asked.enabled, ..rule(ConversionRuleSpec::default()) })
    });
    for (path, enabled) in [("enable", true), ("disable", false)] {
        let set = door.post(&format!("/attribution/rules/rule_1/{path}"), &json!({})).await;
        assert_eq!((set.status, &set.json()["enabled"]), (StatusCode::OK, &json!(enabled)));
    }
    door.rooms.on(&format!("{RULES}/ListConversionRules"), |_: ListConversionRulesRequest| {
        Ok(ListConversionRulesResponse { rules: vec![rule(ConversionRuleSpec::default())] })
    });
    assert_eq!(door.get("/attribution/rules").await.json()["rules"][0]["id"], "rule_1");
    door.rooms.on(&format!("{RULES}/ListConversionRecords"), |asked: ListConversionRecordsRequest| {
        assert_eq!((asked.status.as_str(), asked.limit), ("waiting", 5));
        let record =
            ConversionRecord { record_id: "7".into(), reason: "no_user".into(), ..Default::default() };
        Ok(ListConversionRecordsResponse { records: vec![record], next_cursor: "more".into() })
    });
    let listed = door.get("/attribution/rules/rule_1/records?status=waiting&limit=5").await.json();
    assert_eq!((&listed["records"][0]["reason"], &listed["nextCursor"]), (&json!("no_user"), &json!("more")));
    let wrong = door.get("/attribution/rules/rule_1/records?status=lost").await;
    assert_eq!((wrong.status.as_u16(), &wrong.json()["error"]), (400, &json!("invalid_query")));
}

#[tokio::test]
async fn won_deals_that_never_became_an_event_are_listed_with_what_repairs_them() {
    let door = house().await;
    door.rooms.on(&format!("{RULES}/ListWaitingRecords"), |asked: ListWaitingRecordsRequest| {
        assert_eq!((asked.event_type.as_str(), asked.record_id.as_str()), ("opportunity_won", "7"));
        assert_eq!((asked.limit, asked.cursor.as_str()), (5, "1 rule_1 6"));
        let record = WaitingRecord {
            record_id: "7".into(),
            vendor_object: "deals".into(),
            value: "4500.00".into(),
            reason: "no_user".into(),
            message: "Nobody.".into(),
            repair: "Name somebody.".into(),
            ..WaitingRecord::default()
        };
        Ok(ListWaitingRecordsResponse { records: vec![record], next_cursor: "more".into() })
    });
    let path =
        "/attribution/waiting-records?eventType=opportunity_won&recordId=7&limit=5&cursor=1%20rule_1%206";
    let listed = door.get(path).await.json();
    let record = &listed["records"][0];
    assert_eq!((&record["object"], &record["value"]), (&json!("deals"), &json!("4500.00")));
    assert_eq!((&record["currency"], &record["repair"]), (&Value::Null, &json!("Name somebody.")));
    assert_eq!((&record["message"], &listed["nextCursor"]), (&json!("Nobody."), &json!("more")));
    let wrong = door.get("/attribution/waiting-records?limit=501").await;
    assert_eq!((wrong.status.as_u16(), &wrong.json()["error"]), (400, &json!("invalid_query")));
}

#[tokio::test]
async fn what_is_wrong_with_a_rule_is_said_by_field_and_before_a_room_is_asked() {
    let door = house().await;
    let body = json!({ "conditions": [{ "operator": "like", "values": [1] }], "whenLeft": "forget" });
    let answer = door.post("/attribution/rules", &body).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let faults = answer.json()["detail"]["fieldErrors"].clone();
    for field in ["name", "connectionId", "object", "conditions", "eventType", "whenLeft"] {
        assert!(faults[field][0].is_string(), "{field}: {faults}");
    }
    door.rooms.on(&format!("{RULES}/UpdateConversionRule"), |_: UpdateConversionRuleRequest| {
        Err::<ConversionRule, _>(chassis::guard::status(Code::NotFound, "conversion_rule_not_found", "None."))
    });
    let missing = door.call(Method::PUT, "/attribution/rules/rule_2", Some(won())).await;
    assert_eq!((missing.status.as_u16(), missing.text.as_str()), (404, r#"{"error":"not_found"}"#));
    let answer = door.post_as("ak_events", "/attribution/rules", "{}").await;
    assert_eq!(answer.json(), json!({ "error": "forbidden_scope", "required": "programs:write" }));
}

#[tokio::test]
async fn an_ingest_url_is_made_changed_previewed_and_revoked_and_its_secret_is_shown_once() {
    let door = house().await;
    let url = |mapping: Option<IngestMapping>| IngestUrl {
        id: "ing_1".into(),
        vendor: "pipedrive".into(),
        mapping,
        path: "/ingest/ing_1".into(),
        ..IngestUrl::default()
    };
    let mapping = json!({
        "userId": ["data.mail", "current.mail"], "eventType": "opportunity_won", "value": ["data.value"],
        "valueInMinorUnits": true, "currency": [], "defaultCurrency": "EUR", "externalEventId": ["data.id"],
        "ts": [], "metadata": { "deal_id": "data.id" },
        "conditions": [{ "field": "data.status", "operator": "exists", "values": [] }],
        "followRecords": true,
    });
    door.rooms.on(&format!("{URLS}/CreateIngestUrl"), move |asked: CreateIngestUrlRequest| {
        let (url, secret_path) = (Some(url(asked.mapping)), "/ingest/ing_1".to_owned());
        Ok(CreateIngestUrlResponse { url, secret_path, user: "accord".into(), secret: "shown once".into() })
    });
    let body = json!({ "name": "Deals", "vendor": "pipedrive", "mapping": mapping });
    let made = door.post("/attribution/ingest-urls", &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let row = made.json();
    assert_eq!((&row["mapping"], &row["secret"]), (&mapping, &json!("shown once")));
    assert_eq!(row["secretUrl"], "https://api.accord.example/ingest/ing_1");

    door.rooms.on(&format!("{URLS}/ListIngestUrls"), move |_: ListIngestUrlsRequest| {
        Ok(ListIngestUrlsResponse { urls: vec![url(None)] })
    });
    let listed = door.get("/attribution/ingest-urls").await;
    assert_eq!(listed.json()["ingestUrls"][0]["url"], "https://api.accord.example/ingest/ing_1");
    assert!(!listed.text.contains("secret"), "{}", listed.text);
    door.rooms.on(&format!("{URLS}/UpdateIngestUrl"), move |asked: UpdateIngestUrlRequest| {
        assert_eq!((asked.ingest_url_id.as_str(), asked.name.as_str()), ("ing_1", "Won"));
        Ok(url(asked.mapping))
    });
    let body = json!({ "name": "Won", "mapping": mapping });
    let changed = door.call(Method::PUT, "/attribution/ingest-urls/ing_1", Some(body)).await;
    assert_eq!((changed.status, &changed.json()["mapping"]), (StatusCode::OK, &mapping));
    door.rooms.on(&format!("{URLS}/PreviewIngest"), |asked: PreviewIngestRequest| {
        assert!(asked.mapping.is_none());
        let body = IngestedBody { body_json: r#"{"data":{"id":7}}"#.into(), ..IngestedBody::default() };
        Ok(PreviewIngestResponse { bodies: vec![body] })
    });
    let seen = door.post("/attribution/ingest-urls/ing_1/preview", &json!({})).await;
    assert_eq!(seen.json()["bodies"][0]["body"], json!({ "data": { "id": 7 } }));
    door.rooms.on(&format!("{URLS}/RevokeIngestUrl"), move |_: RevokeIngestUrlRequest| Ok(url(None)));
    let revoked = door.call(Method::DELETE, "/attribution/ingest-urls/ing_1", None).await;
    assert_eq!(revoked.status, StatusCode::OK);

    let wrong = json!({ "name": "", "vendor": "acme", "mapping": { "userId": 7, "metadata": { "a": 1 } } });
    let answer = door.post("/attribution/ingest-urls", &wrong).await;
    let faults = answer.json()["detail"]["fieldErrors"].clone();
    for field in ["name", "vendor", "mapping"] {
        assert!(faults[field][0].is_string(), "{field}: {faults}");
    }
}

#[tokio::test]
async fn a_partners_terms_take_what_they_do_not_say_from_the_program() {
    let door = house().await;
    door.rooms.on(&format!("{ATTRIBUTION}/GetProgram"), |_: GetProgramRequest| {
        let terms = Terms { window_days: 45, hold_days: 14, model: "linear".into(), ..Terms::default() };
        Ok(Program { id: "prog_1".into(), terms: Some(terms), ..Program::default() })
    });
    door.rooms.on(&format!("{ATTRIBUTION}/SetPartnerTerms"), |asked: SetPartnerTermsRequest| {
        Ok(PartnerTerms {
            partner_id: asked.partner_id,
            program_id: asked.program_id,
            version: 2,
            effective_from: asked.effective_from,
            terms: asked.terms,
            ..PartnerTerms::default()
        })
    });
    let path = "/partners/ptnr_1/programs/prog_1/terms";
    let rules = json!([{ "trigger": "every", "type": "percent", "value": 25 }]);
    let body =
        json!({ "commissionRule": rules, "holdbackDays": 0, "effectiveFrom": "2027-01-01T00:00:00+01:00" });
    let agreed = door.call(Method::PUT, path, Some(body)).await;
    assert_eq!(agreed.status, StatusCode::OK, "{agreed:?}");
    let row = agreed.json();
    assert_eq!((&row["partnerId"], &row["programId"]), (&json!("ptnr_1"), &json!("prog_1")));
    assert_eq!((&row["commissionRule"], &row["holdbackDays"]), (&rules, &json!(0)));
    assert_eq!((&row["attributionWindowDays"], &row["attributionModel"]), (&json!(45), &json!("linear")));
    assert_eq!(row["effectiveFrom"], "2026-12-31T23:00:00.000Z");
    let ended = door.call(Method::DELETE, path, None).await.json();
    assert_eq!((&ended["commissionRule"], &ended["attributionModel"]), (&Value::Null, &Value::Null));
    let wrong = door.call(Method::PUT, path, Some(json!({ "effectiveFrom": "soon" }))).await;
    let faults = wrong.json()["detail"]["fieldErrors"].clone();
    assert_eq!(
        (&faults["commissionRule"][0], &faults["effectiveFrom"][0]),
        (&json!("Required"), &json!("Invalid datetime"))
    );
    door.rooms.on(&format!("{ATTRIBUTION}/ListPartnerTerms"), |_: ListPartnerTermsRequest| {
        Ok(ListPartnerTermsResponse { terms: vec![PartnerTerms::default()] })
    });
    assert_eq!(door.get(path).await.json()["terms"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_start_and_an_end_that_are_null_are_taken_away() {
    let door = house().await;
    door.rooms.on(&format!("{ATTRIBUTION}/GetProgram"), |_: GetProgramRequest| Ok(Program::default()));
    door.rooms.on(&format!("{ATTRIBUTION}/UpdateProgram"), |_: UpdateProgramRequest| Ok(Program::default()));
    let asked = || {
        let asked = door.rooms.last_of(&format!("{ATTRIBUTION}/UpdateProgram"));
        let asked = asked.message::<UpdateProgramRequest>();
        (asked.clear_starts_at, asked.clear_ends_at)
    };
    for (body, cleared) in [
        (json!({ "startsAt": null, "endsAt": null }), (true, true)),
        (json!({ "endsAt": null }), (false, true)),
        (json!({ "startsAt": "2027-01-01T00:00:00Z" }), (false, false)),
        (json!({ "name": "P" }), (false, false)),
    ] {
        let answer = door.call(Method::PATCH, "/programs/prog_1", Some(body)).await;
        assert_eq!((answer.status, asked()), (StatusCode::OK, cleared), "{answer:?}");
    }
}
