//! Who may do what: HubSpot's authorization of Accord, and Accord's of people and programs.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::eventually;
use tests::{Browser, House, Start};

// R6, R9, R38, R72, R73, R76-R79, R112, R115, R116, R118, R119
#[tokio::test]
async fn hubspots_authorization_is_renewed_lost_refused_and_given_again() {
    let house = House::start(Start::default()).await;
    let companies = house.hubspot().ids("companies", 3).await;
    expired_access_tokens_are_refreshed_with_rotation(&house, &companies[0]).await;
    a_revoked_grant_requires_a_reconnect_that_misses_nothing(&house, &companies[1]).await;
    a_consent_without_a_needed_scope_is_refused_in_words(&house).await;
    a_consent_that_is_cancelled_connects_nothing(&house).await;
    another_account_cannot_take_a_connections_place(&house).await;
    a_consent_is_of_no_use_to_anybody_but_who_began(&house).await;
    a_callback_with_a_wrong_state_or_browser_is_refused_and_audited(&house).await;
    a_disconnected_connection_neither_reads_nor_writes(&house, &companies[2]).await;
    house.assert_events_are_as_described().await;
}

// R49-R51, R130, R142, R143, R263-R268 where the API and its keys are concerned
#[tokio::test]
async fn a_credential_opens_what_it_may_open_and_nothing_of_another_organization() {
    let house = House::start(Start::default()).await;
    roles_bound_what_people_may_do(&house).await;
    missing_wrong_expired_and_revoked_keys_are_unauthenticated(&house).await;
    a_key_without_the_scope_is_forbidden(&house).await;
    an_integration_key_works_until_it_is_revoked(&house).await;
    ids_of_another_organization_do_not_exist(&house).await;
    house.assert_events_are_as_described().await;
}

async fn expired_access_tokens_are_refreshed_with_rotation(house: &House, company: &str) {
    // Each refresh is refused unless it uses the refresh token that the one before gave.
    for value in ["+1 555 0401", "+1 555 0402"] {
        let expired = house.hubspot().control("POST", "expire_tokens", json!({})).await;
        assert!(expired["expired_tokens"].as_u64() > Some(0), "{expired}");
        house.hubspot().edit("companies", company, "phone", value).await;
        house.wait_for_field("company", company, "phone", value).await;
    }
    let refreshed = eventually(Duration::from_secs(30), "two refreshes in the audit log", || async {
        let found = house.audit("action=token.refreshed").await;
        (found.len() >= 2).then_some(found)
    })
    .await;
    assert_eq!(refreshed[0]["outcome"], "ok");
    assert_eq!(house.wait_for_state("active").await["reason"], Value::Null);
}

async fn a_revoked_grant_requires_a_reconnect_that_misses_nothing(house: &House, company: &str) {
    house.hubspot().control("POST", "revoke", json!({})).await;
    let connection = house.wait_for_state("reauth_required").await;
    let id = connection["id"].as_str().expect("an id");
    for words in ["message", "next_step"] {
        assert!(connection[words].as_str().is_some_and(|text| !text.is_empty()), "{connection}");
    }
    let failed = house.wait_for_audit(&format!("action=token.refresh_failed&connection_id={id}")).await;
    assert_eq!(failed["outcome"], "failed");

    // Both sides go on working meanwhile.
    house.hubspot().edit("companies", company, "phone", "+1 555 0403").await;
    let record = house.linked("company", company).await.expect("it was backfilled");
    house.edit("company", record["id"].as_str().expect("an id"), json!({ "address_city": "Visby" })).await;

    let connection = reconnect(house, id).await;
    assert_eq!(connection["next_step"], Value::Null);
    house.wait_for_field("company", company, "phone", "+1 555 0403").await;
    house.hubspot().wait_for_property("companies", company, "city", "Visby").await;
}

/// Gives the consent once more; gives the connection.
async fn reconnect(house: &House, id: &str) -> Value {
    let landed = Browser::open().connect(&begin(house, Some(id)).await, portal(house)).await;
    assert_eq!(landed.url.path(), "/settings/integrations/return");
    let confirmed = house.confirm(&landed).await;
    assert_eq!((confirmed.status, &confirmed.body["id"]), (200, &json!(id)), "{}", confirmed.body);
    let connection = house.wait_for_state("active").await;
    assert_eq!(connection["id"], id, "it is the same connection, with its mappings");
    connection
}

async fn a_consent_without_a_needed_scope_is_refused_in_words(house: &House) {
    let connection = house.connection().await;
    let all = house.ok("GET", &format!("/api/v1/connections/{connection}"), None).await;
    for (lacking, words) in [("crm.objects.deals.write", "write"), ("crm.objects.companies.read", "read")] {
        let scopes = all["scopes"].as_array().expect("a list").iter().filter(|scope| **scope != lacking);
        let granted = json!({ "scopes_granted": scopes.collect::<Vec<_>>() });
        house.hubspot().control("POST", "settings", granted).await;
        let landed = Browser::open().connect(&begin(house, Some(&connection)).await, portal(house)).await;
        let refused = house.confirm(&landed).await;
        assert_eq!((refused.status, refused.code()), (409, "missing_scopes"), "{}", refused.body);
        let summary = eventually(Duration::from_secs(30), "the refusal in the audit log", || async {
            let entries = house.audit("action=oauth.refused").await;
            let mut summaries = entries.iter().filter_map(|entry| entry["summary"].as_str());
            summaries.find(|summary| summary.contains(lacking)).map(str::to_owned)
        })
        .await;
        assert!(summary.contains(words), "{summary}");
    }
    house.hubspot().control("POST", "settings", json!({ "scopes_granted": "all" })).await;
    assert_eq!(house.wait_for_state("active").await["id"], connection, "the old grant goes on working");
}

async fn a_consent_that_is_cancelled_connects_nothing(house: &House) {
    let browser = Browser::open();
    let consent = browser.go_to_consent(&begin(house, None).await).await;
    let callback = browser.decide(&consent, portal(house), "cancel").await;
    let landed = browser.come_back(callback).await;
    assert_eq!(landed.query("error").as_deref(), Some("oauth_denied"), "{}", landed.url);
}

async fn another_account_cannot_take_a_connections_place(house: &House) {
    let connection = house.connection().await;
    let landed = Browser::open().connect(&begin(house, Some(&connection)).await, portal(house) + 1).await;
    let refused = house.confirm(&landed).await;
    assert_eq!((refused.status, refused.code()), (409, "account_changed"), "{}", refused.body);
    assert_eq!(house.wait_for_state("active").await["account_id"], portal(house).to_string());
}

async fn a_consent_is_of_no_use_to_anybody_but_who_began(house: &House) {
    // Somebody was sent the address, and gave their consent: their own session cannot finish it, nor can it be
    // finished afterwards by the one who sent it.
    let landed = Browser::open().connect(&begin(house, None).await, portal(house) + 1).await;
    let wish = json!({ "token": landed.query("confirm").expect("a consent to confirm") });
    let session = house.sign_in("admin").await;
    let headers = [("authorization", session.as_str())];
    let refused = house.call_as(&headers, "POST", "/api/v1/connections/confirm", Some(wish)).await;
    assert_eq!((refused.status, refused.code()), (403, "oauth_confirm_not_yours"), "{}", refused.body);
    let late = house.confirm(&landed).await;
    assert_eq!((late.status, late.code()), (403, "oauth_confirm_unknown"), "{}", late.body);
    assert_eq!(house.ok("GET", "/api/v1/connections", None).await["data"].as_array().map(Vec::len), Some(1));
    eventually(Duration::from_secs(30), "the refusal in the audit log", || async {
        let entries = house.audit("action=oauth.refused").await;
        entries
            .into_iter()
            .find(|entry| entry["details_json"].to_string().contains("oauth_confirm_not_yours"))
    })
    .await;
}

async fn a_callback_with_a_wrong_state_or_browser_is_refused_and_audited(house: &House) {
    let browser = Browser::open();
    let consent = browser.go_to_consent(&begin(house, None).await).await;
    let callback = browser.decide(&consent, portal(house), "connect").await;
    let before = house.audit("action=oauth.refused").await.len();

    let mut forged = callback.clone();
    let code = callback.query_pairs().find(|(key, _)| key == "code").expect("a code").1.into_owned();
    forged.query_pairs_mut().clear().append_pair("code", &code).append_pair("state", "not-ours");
    let landed = browser.come_back(forged).await;
    assert_eq!(landed.query("error").as_deref(), Some("oauth_state_unknown"), "{}", landed.url);

    // The right state in a browser that did not begin.
    let landed = Browser::open().come_back(callback.clone()).await;
    assert_eq!(landed.query("error").as_deref(), Some("oauth_nonce_mismatch"), "{}", landed.url);
    // And a state works once, even in the right browser.
    let landed = browser.come_back(callback).await;
    assert_eq!(landed.query("error").as_deref(), Some("oauth_state_unknown"), "{}", landed.url);

    let refusals = eventually(Duration::from_secs(30), "the refusals in the audit log", || async {
        let found = house.audit("action=oauth.refused").await;
        (found.len() >= before + 2).then_some(found)
    })
    .await;
    assert!(refusals.iter().all(|entry| entry["outcome"] == "refused"));
    assert_eq!(house.ok("GET", "/api/v1/connections", None).await["data"].as_array().map(Vec::len), Some(1));
}

async fn a_disconnected_connection_neither_reads_nor_writes(house: &House, company: &str) {
    let connection = house.connection().await;
    let gone = house.ok("POST", &format!("/api/v1/connections/{connection}/disconnect"), None).await;
    assert_eq!(gone["state"], "disconnected");
    let wrong = house.call("POST", &format!("/api/v1/connections/{connection}/sync"), None).await;
    assert_eq!(wrong.status, 409, "{}", wrong.body);
    house.wait_for_audit(&format!("action=connection.disconnected&connection_id={connection}")).await;
    let record = house.linked("company", company).await.expect("records stay");
    let id = record["id"].as_str().expect("an id");
    // What was under way when it was disconnected has ended with the first of these edits.
    house.edit("company", id, json!({ "address_city": "Kiruna" })).await;
    house.wait_for_audit(&format!("action=record.changed&target={id}")).await;
    let before = calls_of_accord(house).await;
    house.edit("company", id, json!({ "address_city": "Gällivare" })).await;
    house.hubspot().edit("companies", company, "phone", "+1 555 0404").await;
    // Five times the pause between two polls, in which everything else goes on.
    for name in ["one", "two", "three", "four", "five"] {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let made = json!({ "fields": { "name": format!("Made while disconnected {name}") } });
        let made = house.ok("POST", "/api/v1/records/company", Some(made)).await;
        let made = made["id"].as_str().expect("an id");
        house.wait_for_audit(&format!("action=record.created&target={made}")).await;
    }
    assert_eq!(calls_of_accord(house).await, before, "nothing was read or written");
    let city = house.hubspot().property("companies", company, "city").await;
    assert!(!matches!(city.as_deref(), Some("Kiruna" | "Gällivare")), "{city:?}");
    let seen = house.linked("company", company).await.expect("records stay");
    assert_ne!(seen["fields"]["phone"], "+1 555 0404");

    // Both were only held: connected again, each arrives.
    reconnect(house, &connection).await;
    house.hubspot().wait_for_property("companies", company, "city", "Gällivare").await;
    house.wait_for_field("company", company, "phone", "+1 555 0404").await;
}

/// How often HubSpot was asked for changes, and how often for something to be written.
async fn calls_of_accord(house: &House) -> Vec<u64> {
    let mut calls = Vec::new();
    for route in ["search", "batch/read", "batch/create", "batch/update", "batch/upsert"] {
        calls.push(house.hubspot().calls(&format!("POST /crm/v3/objects/{{type}}/{route}")).await);
    }
    calls
}

async fn roles_bound_what_people_may_do(house: &House) {
    let connection = house.connection().await;
    let acts = ["disconnect", "sync", "pause", "refresh-schema"];
    for (role, edits) in [("member", true), ("viewer", false)] {
        let session = house.sign_in(role).await;
        let headers = [("authorization", session.as_str())];
        for act in acts {
            let path = format!("/api/v1/connections/{connection}/{act}");
            let refused = house.call_as(&headers, "POST", &path, None).await;
            assert_eq!((refused.status, refused.code()), (403, "scope_missing"), "{role} {act}");
        }
        let wish = json!({ "vendor": "hubspot" });
        let refused = house.call_as(&headers, "POST", "/api/v1/connections/authorize", Some(wish)).await;
        assert_eq!((refused.status, refused.code()), (403, "scope_missing"), "{role} connects");
        let seen = house.call_as(&headers, "GET", "/api/v1/connections", None).await;
        assert_eq!(seen.status, 200, "{role} sees the connection");
        let record = json!({ "fields": { "name": format!("By a {role}") } });
        let created = house.call_as(&headers, "POST", "/api/v1/records/company", Some(record)).await;
        assert_eq!(created.status, if edits { 201 } else { 403 }, "{role}: {}", created.body);
    }
    for role in ["admin", "owner"] {
        let session = house.sign_in(role).await;
        let headers = [("authorization", session.as_str())];
        let path = format!("/api/v1/connections/{connection}/sync");
        let done = house.call_as(&headers, "POST", &path, None).await;
        assert_eq!(done.status, 202, "{role}: {}", done.body);
        let wish = json!({ "vendor": "hubspot" });
        let begun = house.call_as(&headers, "POST", "/api/v1/connections/authorize", Some(wish)).await;
        assert_eq!(begun.status, 200, "{role}: {}", begun.body);
    }
}

async fn missing_wrong_expired_and_revoked_keys_are_unauthenticated(house: &House) {
    let path = "/api/v1/records/company";
    let status = async |headers: &[(&str, &str)]| {
        let answer = house.call_as(headers, "GET", path, None).await;
        assert!(answer.status == 200 || !answer.code().is_empty(), "{}", answer.body);
        answer.status
    };
    assert_eq!(status(&[]).await, 401, "no key");
    for wrong in ["Bearer ak_wrong", "Bearer ", "Basic YTpi", "Bearer as_wrong", "ak_no_scheme"] {
        assert_eq!(status(&[("authorization", wrong)]).await, 401, "{wrong}");
    }
    assert_eq!(status(&[("x-integration-key", "ik_wrong")]).await, 401);

    let soon = jiff::Timestamp::from_microsecond(now_us() + 1_500_000).expect("a time in range");
    let short =
        mint(house, json!({ "label": "short", "scopes": ["records:read"], "expires_at": soon })).await;
    assert_eq!(status(&[("authorization", &short.1)]).await, 200);
    eventually(Duration::from_secs(20), "the key to expire", || async {
        (status(&[("authorization", &short.1)]).await == 401).then_some(())
    })
    .await;

    let revoked = mint(house, json!({ "label": "to be revoked", "scopes": ["records:read"] })).await;
    assert_eq!(status(&[("authorization", &revoked.1)]).await, 200);
    house.ok("POST", &format!("/api/v1/api-keys/{}/revoke", revoked.0), None).await;
    eventually(Duration::from_secs(2), "the revocation to count at once", || async {
        (status(&[("authorization", &revoked.1)]).await == 401).then_some(())
    })
    .await;
    let next = mint(house, json!({ "label": "the next one", "scopes": ["records:read"] })).await;
    assert_eq!(
        status(&[("authorization", &next.1)]).await,
        200,
        "a new key can be minted after a revocation"
    );
}

async fn a_key_without_the_scope_is_forbidden(house: &House) {
    let (_, key) = mint(house, json!({ "label": "reader", "scopes": ["records:read"] })).await;
    let headers = [("authorization", key.as_str())];
    let mapping = house.mapping("company").await;
    let runs = house.ok("GET", "/api/v1/runs?limit=1", None).await;
    let run = runs["data"][0]["id"].as_str().expect("a run").to_owned();
    let (comparisons, comparison) = compared(house).await;
    for (method, path, body) in [
        ("POST", "/api/v1/records/company".to_owned(), Some(json!({ "fields": { "name": "x" } }))),
        ("GET", "/api/v1/connections".to_owned(), None),
        ("GET", "/api/v1/audit".to_owned(), None),
        ("GET", "/api/v1/users".to_owned(), None),
        ("POST", "/api/v1/api-keys".to_owned(), Some(json!({ "label": "x", "scopes": ["records:read"] }))),
        ("POST", format!("/api/v1/mappings/{mapping}/pause"), None),
        ("GET", format!("/api/v1/runs/{run}"), None),
        ("GET", format!("/api/v1/runs/{run}/undo"), None),
        ("POST", format!("/api/v1/runs/{run}/undo"), None),
        ("GET", comparisons.clone(), None),
        ("POST", comparisons, None),
        ("GET", comparison, None),
    ] {
        let refused = house.call_as(&headers, method, &path, body).await;
        assert_eq!((refused.status, refused.code()), (403, "scope_missing"), "{method} {path}");
    }
}

async fn an_integration_key_works_until_it_is_revoked(house: &House) {
    let outside = house.ready("integration_key").to_owned();
    let seen = house.call_as(&[("x-integration-key", &outside)], "GET", "/api/v1/records/deal", None).await;
    assert_eq!(seen.status, 200, "{}", seen.body);
    let wish = json!({ "product": "psa", "label": "PSA", "scopes": ["records:read"] });
    let minted = house.ok("POST", "/api/v1/integration-keys", Some(wish)).await;
    let (id, secret) =
        (minted["key"]["id"].as_str().expect("an id"), minted["secret"].as_str().expect("a secret"));
    let headers = [("x-integration-key", secret)];
    assert_eq!(house.call_as(&headers, "GET", "/api/v1/records/deal", None).await.status, 200);
    assert_eq!(house.call_as(&headers, "GET", "/api/v1/mappings", None).await.status, 403);
    house.ok("POST", &format!("/api/v1/integration-keys/{id}/revoke"), None).await;
    eventually(Duration::from_secs(2), "the revocation to count at once", || async {
        (house.call_as(&headers, "GET", "/api/v1/records/deal", None).await.status == 401).then_some(())
    })
    .await;
}

/// Where a connection's comparisons are, and one of them.
async fn compared(house: &House) -> (String, String) {
    let path = format!("/api/v1/connections/{}/reconciles", house.connection().await);
    let begun = house.ok("POST", &path, None).await;
    let id = begun["data"][0]["id"].as_str().expect("a comparison");
    (path, format!("/api/v1/reconciles/{id}"))
}

async fn ids_of_another_organization_do_not_exist(house: &House) {
    let made = house.operator(&["organization", "create", "Other Ltd", "--owner", "olaf@other.example"]);
    let link = made.lines().nth(1).expect("the second line is the link");
    let session = house.sign_in_by(link).await;
    let me = house.call_as(&[("authorization", &session)], "GET", "/api/v1/me", None).await;
    assert_ne!(me.body["organization"]["id"], house.ready("organization_id"));
    let wish = json!({ "label": "theirs", "scopes": me.body["scopes"] });
    let minted = house.call_as(&[("authorization", &session)], "POST", "/api/v1/api-keys", Some(wish)).await;
    let key = format!("Bearer {}", minted.body["secret"].as_str().expect("a secret"));

    let companies = house.ok("GET", "/api/v1/records/company?limit=1", None).await;
    let record = companies["data"][0]["id"].as_str().expect("an id").to_owned();
    let (connection, mapping) = (house.connection().await, house.mapping("company").await);
    let runs = house.ok("GET", "/api/v1/runs?limit=1", None).await;
    let run = runs["data"][0]["id"].as_str().expect("a run").to_owned();
    let (comparisons, comparison) = compared(house).await;
    let edit = || Some(json!({ "fields": { "name": "Stolen" } }));
    let settings = || Some(json!({ "action": "ignore" }));
    for (method, path, body) in [
        ("GET", format!("/api/v1/records/company/{record}"), None),
        ("PATCH", format!("/api/v1/records/company/{record}"), edit()),
        ("DELETE", format!("/api/v1/records/company/{record}"), None),
        ("GET", format!("/api/v1/records/company/{record}/history"), None),
        ("GET", format!("/api/v1/connections/{connection}"), None),
        ("POST", format!("/api/v1/connections/{connection}/disconnect"), None),
        ("POST", format!("/api/v1/connections/{connection}/sync"), None),
        ("GET", format!("/api/v1/connections/{connection}/schema"), None),
        ("GET", format!("/api/v1/mappings/{mapping}"), None),
        ("PATCH", format!("/api/v1/mappings/{mapping}/fields/phone"), settings()),
        ("POST", format!("/api/v1/mappings/{mapping}/pause"), None),
        ("GET", format!("/api/v1/runs/{run}"), None),
        ("GET", format!("/api/v1/runs/{run}/undo"), None),
        ("POST", format!("/api/v1/runs/{run}/undo"), None),
        ("GET", comparisons.clone(), None),
        ("POST", comparisons, None),
        ("GET", comparison, None),
    ] {
        let answer = house.call_as(&[("authorization", &key)], method, &path, body).await;
        assert_eq!(answer.status, 404, "{method} {path}: {}", answer.body);
    }
    for (path, list) in [
        ("/api/v1/records/company", "data"),
        ("/api/v1/connections", "data"),
        ("/api/v1/mappings", "data"),
        ("/api/v1/conflicts", "data"),
        ("/api/v1/runs", "data"),
    ] {
        let answer = house.call_as(&[("authorization", &key)], "GET", path, None).await;
        assert_eq!(answer.body[list], json!([]), "{path}");
    }
    let audit = house.call_as(&[("authorization", &key)], "GET", "/api/v1/audit?limit=200", None).await;
    let text = audit.body.to_string();
    assert!(
        !text.contains(&record) && !text.contains(&connection),
        "another organization's entries are shown"
    );
    let vendor_id = companies["data"][0]["links"][0]["vendor_id"].as_str().unwrap_or("1");
    let path = format!("/api/v1/records/company?vendor=hubspot&vendor_id={vendor_id}");
    let answer = house.call_as(&[("authorization", &key)], "GET", &path, None).await;
    assert_eq!(answer.body["data"], json!([]));
}

/// Begins to connect HubSpot; gives the address to open in a browser.
async fn begin(house: &House, connection: Option<&str>) -> String {
    let wish = json!({ "vendor": "hubspot", "connection_id": connection });
    let begun = house.ok("POST", "/api/v1/connections/authorize", Some(wish)).await;
    begun["start_url"].as_str().expect("an address").to_owned()
}

fn portal(house: &House) -> u64 {
    house.ready_file_content()["sandboxes"]["hubspot"]["portal_id"].as_u64().expect("a number")
}

/// A new API key: its id and its header.
async fn mint(house: &House, wish: Value) -> (String, String) {
    let minted = house.ok("POST", "/api/v1/api-keys", Some(wish)).await;
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    (text(&minted["key"]["id"]), format!("Bearer {}", text(&minted["secret"])))
}

fn now_us() -> i64 {
    let since = std::time::UNIX_EPOCH.elapsed().expect("the clock is past 1970");
    i64::try_from(since.as_micros()).expect("the clock is in range")
}
