use axum::http::StatusCode;
use model::Role;
use web_console::sample;

use crate::console::Browser;

#[tokio::test]
async fn a_conversion_rule_is_made_of_its_form_and_a_malformed_one_comes_back() {
    let mut browser = Browser::of(Role::Owner).await;
    let connection = sample::id("conn", 1);
    let form = [
        ("name", "Won deals"),
        ("connection", &*connection),
        ("object", "deals"),
        ("event_type", "opportunity_won"),
        ("user", "contact"),
        ("value_field", "amount"),
        ("currency", "eur"),
        ("when_left", "void"),
    ];
    let page = browser
        .post(
            "/settings/crm/rules",
            &[&form[..], &[("conditions", "dealstage = closedwon, 4711\r\namount exists")]].concat(),
        )
        .await;
    assert_eq!(page.location(), format!("/settings/crm/rules/{}", sample::id("rule", 1)));
    let asked = browser.rooms.asked().remove(0);
    for part in [
        "RecordCondition { field: \"dealstage\", operator: \"one_of\", values: [\"closedwon\", \"4711\"] }",
        "RecordCondition { field: \"amount\", operator: \"exists\", values: [] }",
        "user: Some(ContactEmail(true))",
        "currency: \"EUR\"",
    ] {
        assert!(asked.contains(part), "no {part} in {asked}");
    }
    let page =
        browser.post("/settings/crm/rules", &[&form[..], &[("conditions", "closedwon")]].concat()).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.body.contains("condition_malformed") && page.body.contains("value=\"Won deals\""));
    let rule = format!("/settings/crm/rules/{}", sample::id("rule", 1));
    let page = browser.get(&format!("{rule}?status=waiting")).await;
    assert!(page.body.contains("None of its contacts has an e-mail address"), "{}", page.body);
    browser.post(&format!("{rule}/enabled"), &[("action", "disable")]).await;
    assert_eq!(browser.rooms.asked(), ["records \"waiting\"", "enabled false"]);
}

#[tokio::test]
async fn an_ingest_url_is_shown_once_and_a_mapping_is_tried_on_the_last_bodies_before_it_is_saved() {
    let mut browser = Browser::of(Role::Owner).await;
    let page = browser.post("/settings/crm/ingest", &[("name", "Pipedrive"), ("vendor", "pipedrive")]).await;
    for part in ["https://api.accord.test/ingest/ing_1/fresh", "value=\"pw_fresh\"", "value=\"accord\""] {
        assert!(page.body.contains(part), "no {part}");
    }
    assert!(!browser.get("/settings/crm/ingest").await.body.contains("fresh"));
    let path = format!("/settings/crm/ingest/{}", sample::id("ing", 1));
    let form =
        [("name", "Pipedrive"), ("event_type", "opportunity_won"), ("user_id", "data.email, data.user")];
    let page = browser.post(&path, &[&form[..], &[("action", "preview")]].concat()).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(
        page.body.contains("which is not saved") && page.body.contains("value=\"data.email, data.user\"")
    );
    browser.post(&path, &[&form[..], &[("action", "save")]].concat()).await;
    assert!(browser.get(&path).await.body.contains(&format!("href=\"{path}/revoke\"")));
    let page = browser.get(&format!("{path}/revoke")).await;
    assert!(page.body.contains("Revoke Pipedrive deals?") && page.body.contains("never works again"));
    browser.post(&format!("{path}/revoke"), &[]).await;
    assert_eq!(
        browser.rooms.asked(),
        [
            "ingest Pipedrive pipedrive \"\"",
            "preview ingest, draft true",
            "update ingest [\"data.email\", \"data.user\"]",
            "preview ingest, draft false",
            "revoke ingest",
        ]
    );
    for role in [Role::Member, Role::Viewer] {
        assert_eq!(Browser::of(role).await.get("/settings/crm/ingest").await.status, StatusCode::FORBIDDEN);
    }
}
