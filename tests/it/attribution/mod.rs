//! From a click to a payout over the public API, as its callers use it.

mod browser;
mod corners;
mod crash;
mod guards;
mod native;
mod node;
mod outbound;
mod shop;
mod steps;
mod twins;

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use testkit::eventually;
use tests::{House, Start};

use shop::{Shop, sample};

// R120-R123, R128-R160, R180-R189
#[tokio::test]
async fn a_won_deal_pays_the_partner_whose_link_brought_the_customer_once_and_to_the_cent() {
    let house = House::start(Start { companies: 5, deals: 5, ..Start::default() }).await;
    let shop = Shop::open(&house).await;
    the_documented_sample_accrues_a_commission_that_is_approved_and_paid(&shop).await;
    the_same_event_many_times_at_once_is_one_event(&shop).await;
    each_field_means_what_the_documents_say(&shop).await;
    an_event_of_nobody_known_is_kept_with_its_reason_and_repaired_by_a_late_identify(&shop).await;
    a_correction_changes_what_is_paid(&shop).await;
    a_batch_is_recorded_event_by_event(&shop).await;
    a_link_leads_on_with_the_click(&shop).await;
    let ledger = shop.ok("GET", "/ledger/verify", None).await;
    assert_eq!((&ledger["whole"], &ledger["differences"]), (&json!(true), &json!([])), "{ledger}");
    assert!(!house.log().contains("panicked"), "something panicked: {}", house.log());
}

// R130-R143
#[tokio::test]
async fn a_key_for_events_does_that_and_nothing_else_and_bad_input_is_never_our_fault() {
    let house = House::start(Start { companies: 5, deals: 5, ..Start::default() }).await;
    let shop = Shop::open(&house).await;
    a_key_for_events_cannot_touch_partners_payouts_or_programs(&shop).await;
    a_revoked_key_is_refused_and_another_can_be_minted(&shop).await;
    the_address_may_name_the_organization_of_the_key_and_no_other(&shop, &house).await;
    what_is_wrong_with_an_event_is_said_and_nothing_is_a_500(&shop).await;
    assert!(!house.log().contains("panicked"), "something panicked: {}", house.log());
}

async fn the_documented_sample_accrues_a_commission_that_is_approved_and_paid(shop: &Shop) {
    let program = shop.ok("GET", &format!("/programs/{}", shop.program), None).await;
    let terms = (&program["attributionWindowDays"], &program["attributionModel"], &program["termsVersion"]);
    assert_eq!(terms, (&json!(60), &json!("last_click"), &json!(1)));
    let click = shop.click("user_or_email_from_your_system").await;
    let recorded = shop.ok("POST", "/attribution/events", Some(sample())).await;
    let touch = &recorded["attribution"]["touches"][0];
    assert_eq!(recorded["ok"], true);
    assert_eq!(
        (&recorded["attribution"]["status"], &recorded["attribution"]["model"]),
        (&json!("attributed"), &json!("last_click"))
    );
    assert_eq!(
        (&touch["clickId"], &touch["partnerId"], &touch["weight"]),
        (&json!(click), &json!(shop.partner), &json!(1))
    );
    let id = touch["commissionId"].as_str().expect("a commission");
    let listed =
        shop.ok("GET", &format!("/partners/{}/commissions?status=accrued", shop.partner), None).await;
    let commission = &listed["commissions"][0];
    assert_eq!(
        (&commission["id"], &commission["amount"], &commission["currency"]),
        (&json!(id), &json!("900.00"), &json!("USD"))
    );
    let approved = shop.ok("POST", &format!("/commissions/{id}/approve"), None).await;
    assert_eq!(approved["commission"]["status"], "approved");
    let (status, again) = shop.call("POST", &format!("/commissions/{id}/approve"), None).await;
    assert_eq!((status, &again["error"]), (409, &json!("not_approvable")));
    let run = shop.ok("POST", "/payouts/run", None).await;
    assert_eq!(
        (&run["payouts"][0]["amount"], &run["payouts"][0]["currency"]),
        (&json!("900.00"), &json!("USD")),
        "{run}"
    );
    let payout = run["payouts"][0]["id"].as_str().expect("a payout");
    let settled =
        shop.ok("POST", &format!("/payouts/{payout}/settle"), Some(json!({ "outcome": "paid" }))).await;
    assert_eq!(settled["status"], "paid");
    assert_eq!(shop.ok("POST", "/payouts/run", None).await["payouts"], json!([]));
    // What was paid stays paid, and is taken back from the next payout.
    let reversed = shop.ok("POST", &format!("/commissions/{id}/reverse"), None).await;
    assert_eq!(reversed["commission"]["status"], "paid");
    let balances = shop.ok("GET", &format!("/ledger/balances?partnerId={}", shop.partner), None).await;
    let payable =
        json!({ "account": "payable", "partnerId": shop.partner, "amount": "-900.00", "currency": "USD" });
    assert!(balances["balances"].as_array().is_some_and(|all| all.contains(&payable)), "{balances}");
    let (status, refused) = shop.call("POST", &format!("/commissions/{id}/reverse"), None).await;
    assert_eq!((status, &refused["error"]), (409, &json!("not_reversible")));
    let (status, refused) = shop.call("POST", "/commissions/comm_nothing/approve", None).await;
    assert_eq!((status, refused), (404, json!({ "error": "not_found" })));
}

// Mistake 1
async fn the_same_event_many_times_at_once_is_one_event(shop: &Shop) {
    shop.click("many@example.com").await;
    let event = json!({
        "userId": "many@example.com", "type": "opportunity_won", "value": "100.00", "metadata": { "deal_id": "deal-64" },
    });
    let posts = (0..64).map(|_| shop.call("POST", "/attribution/events", Some(event.clone())));
    let answers = join_all(posts).await;
    let first = &answers[0];
    assert_eq!(first.1["attribution"]["status"], "attributed", "{first:?}");
    assert!(answers.iter().all(|answer| answer == first), "{answers:?}");
    let found = shop.ok("GET", "/attribution/events?metadataValue=deal-64", None).await;
    assert_eq!(found["events"].as_array().map(Vec::len), Some(1), "{found}");
    let event = first.1["eventId"].as_str().expect("an id");
    let listed = shop.ok("GET", "/commissions?limit=500", None).await;
    let paid = listed["commissions"].as_array().expect("a list").iter().filter(|row| row["eventId"] == event);
    assert_eq!(paid.count(), 1);
}

async fn each_field_means_what_the_documents_say(shop: &Shop) {
    shop.click("fields@example.com").await;
    let user = "fields@example.com";
    for (body, value, currency) in [
        (json!({ "userId": user, "type": "trial_converted" }), Value::Null, "USD"),
        (json!({ "userId": user, "type": "lead_qualified", "value": 0 }), json!(0.0), "USD"),
        (
            json!({ "userId": user, "type": "opportunity_won", "value": "12.5", "currency": "EUR" }),
            json!(12.5),
            "EUR",
        ),
        (
            json!({ "userId": user, "type": "opportunity_won", "value": 1000, "currency": "JPY" }),
            json!(1000.0),
            "JPY",
        ),
        (
            json!({ "userId": user, "type": "expansion signed \u{2013} \u{e9}", "value": 1 }),
            json!(1.0),
            "USD",
        ),
        (json!({ "userId": "FIELDS@Example.com", "type": "opportunity_won", "value": 1 }), json!(1.0), "USD"),
        (
            json!({ "userId": user, "type": "opportunity_won", "value": null, "currency": null, "ts": null }),
            Value::Null,
            "USD",
        ),
    ] {
        let recorded = shop.ok("POST", "/attribution/events", Some(body.clone())).await;
        assert_eq!(recorded["attribution"]["status"], "attributed", "{body}");
        let listed = shop.ok("GET", "/attribution/events?limit=1", None).await;
        let event = &listed["events"][0];
        assert_eq!((&event["id"], &event["type"]), (&recorded["eventId"], &body["type"]));
        assert_eq!(event["value"].as_f64(), value.as_f64(), "{body} {event}");
        assert_eq!(event["currency"], currency, "{body}");
    }
    // The window counts from when it happened, not from when it came.
    let old =
        json!({ "userId": user, "type": "opportunity_won", "value": 1, "ts": "2020-01-01T00:00:00+02:00" });
    let recorded = shop.ok("POST", "/attribution/events", Some(old)).await;
    assert_ne!(recorded["attribution"]["status"], "attributed", "{recorded}");
    assert_eq!(recorded["attribution"].as_object().map(serde_json::Map::len), Some(1), "{recorded}");
}

async fn an_event_of_nobody_known_is_kept_with_its_reason_and_repaired_by_a_late_identify(shop: &Shop) {
    let event = json!({
        "userId": "late@example.com", "type": "opportunity_won", "value": 50, "metadata": { "record_id": "late-1" },
    });
    let click = shop.visit().await;
    let recorded = shop.ok("POST", "/attribution/events", Some(event)).await;
    assert_eq!(recorded["attribution"], json!({ "status": "no_identity" }));
    let find = || shop.ok("GET", "/attribution/events?metadataValue=late-1", None);
    let found = find().await;
    assert_eq!(found["events"][0]["attribution"]["status"], "no_identity", "{found}");
    assert_eq!(found["events"][0]["reason"], "no_identity");
    let identified = shop.identify(&click, "late@example.com").await;
    assert_eq!(
        (&identified["firstStitch"], &identified["backfilledAttributions"]),
        (&json!(true), &json!(1)),
        "{identified}"
    );
    let again = shop.identify(&click, "late@example.com").await;
    assert_eq!(
        again,
        json!({ "ok": true, "identityId": null, "firstStitch": false, "backfilledAttributions": 0 })
    );
    assert_eq!(find().await["events"][0]["attribution"]["status"], "attributed");
    let found = shop.ok("GET", "/attributions?userId=late@example.com", None).await;
    assert_eq!(
        (&found["attributions"][0]["partnerId"], &found["attributions"][0]["click"]["id"]),
        (&json!(shop.partner), &json!(click)),
        "{found}"
    );
}

// Mistakes 7 and 12
async fn a_correction_changes_what_is_paid(shop: &Shop) {
    shop.click("corrected@example.com").await;
    let event = json!({
        "userId": "corrected@example.com", "type": "opportunity_won", "value": 100, "externalEventId": "deal-corrected",
    });
    let recorded = shop.ok("POST", "/attribution/events", Some(event)).await;
    let id = recorded["attribution"]["touches"][0]["commissionId"].clone();
    for (correction, amount) in [
        (json!({ "refund": "25.00" }), "15.00"),
        (json!({ "value": 200 }), "40.00"),
        (json!({ "void": true }), "0.00"),
        (json!({ "restore": true }), "40.00"),
    ] {
        let mut body = correction.clone();
        body["externalEventId"] = json!("deal-corrected");
        body["idempotencyKey"] = json!(correction.to_string().replace(' ', ""));
        for replayed in [false, true] {
            let corrected = shop.ok("POST", "/attribution/corrections", Some(body.clone())).await;
            assert_eq!(corrected["replayed"], replayed, "{corrected}");
        }
        let listed = shop.ok("GET", "/commissions?limit=500", None).await;
        let row =
            listed["commissions"].as_array().expect("a list").iter().find(|row| row["id"] == id).cloned();
        assert_eq!(row.expect("it stays")["amount"], amount, "{correction}");
    }
}

async fn a_batch_is_recorded_event_by_event(shop: &Shop) {
    shop.click("batch@example.com").await;
    let event = |place: usize| json!({ "userId": "batch@example.com", "type": "t", "value": place, "externalEventId": format!("b{place}") });
    let mut events: Vec<Value> = (0..200).map(event).collect();
    events[7] = json!({ "userId": "batch@example.com" });
    events[9] = event(8);
    events[11]["currency"] = json!("zzz");
    let answer = shop.ok("POST", "/attribution/events/batch", Some(json!({ "events": events }))).await;
    let results = answer["results"].as_array().expect("a list");
    assert_eq!((results.len(), &answer["ok"]), (200, &json!(false)));
    assert_eq!(results[7]["detail"]["fieldErrors"], json!({ "type": ["Required"] }));
    assert_eq!(results[9], results[8]);
    assert!(results[11]["detail"]["fieldErrors"]["currency"].is_array(), "{}", results[11]);
    assert_eq!(results.iter().filter(|result| result["attribution"]["status"] == "attributed").count(), 198);
}

async fn a_link_leads_on_with_the_click(shop: &Shop) {
    let (location, cookie) = shop.follow("/r/ada-2026").await;
    let click = cookie.strip_prefix("_cref=").and_then(|rest| rest.split(';').next()).expect("a click");
    assert_eq!(location, format!("https://shop.example/?plan=pro&cref={click}"));
    assert_eq!(cookie, format!("_cref={click}; Path=/; Max-Age=7776000; SameSite=Lax"));
    let (status, refused) = shop.call("GET", "/r/nobody", None).await;
    assert_eq!((status, refused), (404, json!({ "error": "link_not_found" })));
    let what = "the clicks to be counted";
    eventually(Duration::from_secs(10), what, || async {
        let path = format!("/partners/{}/dashboard?includeLinks=true", shop.partner);
        let shown = shop.ok("GET", &path, None).await;
        (shown["clicks"].as_u64() > Some(5) && shown["links"][0]["linkKey"] == "ada-2026").then_some(())
    })
    .await;
}

async fn a_key_for_events_cannot_touch_partners_payouts_or_programs(shop: &Shop) {
    let key = shop.mint(&["events:write"]).await;
    let events = shop.with_key(&key);
    let introspected = events.ok("GET", "/auth/introspect", None).await;
    assert_eq!(introspected, json!({ "role": "scoped", "scopes": ["events:write"] }));
    events.ok("POST", "/attribution/events", Some(sample())).await;
    let (partner, program) = (&shop.partner, &shop.program);
    for (method, path, required) in [
        ("POST", "/partners".to_owned(), "partners:write"),
        ("GET", "/partners".to_owned(), "partners:read"),
        ("POST", format!("/partners/{partner}/revoke"), "partners:write"),
        ("POST", format!("/partners/{partner}/links"), "partners:write"),
        ("POST", "/programs".to_owned(), "programs:write"),
        ("PATCH", format!("/programs/{program}"), "programs:write"),
        ("POST", format!("/programs/{program}/model"), "programs:write"),
        ("POST", "/payouts/run".to_owned(), "payouts:write"),
        ("GET", "/commissions".to_owned(), "commissions:read"),
        ("POST", "/commissions/comm_1/approve".to_owned(), "commissions:write"),
        ("GET", "/attributions".to_owned(), "commissions:read"),
        ("POST", "/clicks".to_owned(), "clicks:write"),
        ("POST", "/api-keys/scoped".to_owned(), "keys:manage"),
        ("GET", "/api-keys".to_owned(), "keys:manage"),
    ] {
        let (status, answer) = events.call(method, &path, None).await;
        assert_eq!(
            (status, answer),
            (403, json!({ "error": "forbidden_scope", "required": required })),
            "{method} {path}"
        );
    }
    assert_eq!(shop.ok("GET", &format!("/partners/{partner}"), None).await["status"], "active");
}

async fn a_revoked_key_is_refused_and_another_can_be_minted(shop: &Shop) {
    let key = shop.mint(&["events:write"]).await;
    let listed = shop.ok("GET", "/api-keys?scope=events:write", None).await;
    let found = listed["apiKeys"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|row| key.starts_with(row["prefix"].as_str().unwrap_or("-")));
    let id = found.expect("it is listed")["id"].as_str().expect("an id").to_owned();
    shop.with_key(&key).ok("POST", "/attribution/events", Some(sample())).await;
    assert_eq!(shop.ok("DELETE", &format!("/api-keys/{id}"), None).await, json!({ "ok": true }));
    let (status, refused) = shop.with_key(&key).call("POST", "/attribution/events", Some(sample())).await;
    assert_eq!((status, refused), (401, json!({ "error": "unauthorized" })));
    let another = shop.mint(&["events:write"]).await;
    shop.with_key(&another).ok("POST", "/attribution/events", Some(sample())).await;
}

async fn the_address_may_name_the_organization_of_the_key_and_no_other(shop: &Shop, house: &House) {
    house.operator(&["organization", "create", "Contoso", "--owner", "owner@contoso.example"]);
    for (base, status) in [
        ("", 200),
        ("/api", 200),
        ("/t/northwind-partners", 200),
        ("/api/t/northwind-partners", 200),
        ("/t/contoso", 401),
        ("/api/t/contoso", 401),
        ("/t/nobody", 401),
    ] {
        let (found, answer) = shop.at(base).call("POST", "/attribution/events", Some(sample())).await;
        assert_eq!(found, status, "{base}: {answer}");
    }
    let click = shop.visit().await;
    let body = json!({ "cref": click, "userId": "somebody" });
    let (status, answer) =
        shop.at("/t/contoso").call("POST", "/attribution/identify", Some(body.clone())).await;
    assert_eq!((status, answer), (404, json!({ "error": "click_not_found" })));
    shop.at("/t/northwind-partners").ok("POST", "/attribution/identify", Some(body)).await;
}

// Mistake 6
async fn what_is_wrong_with_an_event_is_said_and_nothing_is_a_500(shop: &Shop) {
    let long = "x".repeat(10_000);
    for (body, field) in [
        (json!({ "type": "t" }), "userId"),
        (json!({ "userId": "u" }), "type"),
        (json!({ "userId": "u", "type": "t", "currency": "zzz" }), "currency"),
        (json!({ "userId": "u", "type": "t", "currency": "US" }), "currency"),
        (json!({ "userId": "u", "type": "t", "currency": "ÄÖÜ" }), "currency"),
        (json!({ "userId": "u", "type": "t", "value": 99_999_999_999_999_999_999_999_999.0_f64 }), "value"),
        (json!({ "userId": "u", "type": "t", "value": -1 }), "value"),
        (json!({ "userId": "u", "type": "t", "value": "many" }), "value"),
        (json!({ "userId": "u", "type": "t", "ts": "9999-99-99T00:00:00Z" }), "ts"),
        (json!({ "userId": long, "type": "t" }), "userId"),
        (json!({ "userId": "u", "type": long }), "type"),
        (json!({ "userId": "u", "type": "t", "externalEventId": long }), "externalEventId"),
        (json!({ "userId": "u", "type": "t", "metadata": { "a": "y".repeat(100_000) } }), "metadata"),
    ] {
        let (status, answer) = shop.call("POST", "/attribution/events", Some(body.clone())).await;
        let shown: String = body.to_string().chars().take(80).collect();
        assert_eq!((status, &answer["error"]), (400, &json!("invalid_body")), "{shown}: {answer}");
        assert!(answer["detail"]["fieldErrors"][field].is_array(), "{shown}: {answer}");
    }
    for (method, path, body) in [
        ("POST", "/partners", json!({ "email": "a\u{7f}b@example.com", "name": "x" })),
        ("POST", "/partners", json!({ "email": "e@example.com", "name": long })),
        (
            "POST",
            "/programs",
            json!({ "name": "P", "commissionRule": { "type": "percent", "value": 101 }, "destinationUrl": "https://a.example" }),
        ),
        (
            "POST",
            "/programs",
            json!({ "name": "P", "commissionRule": { "type": "fixed", "value": 1, "currency": "zzz" }, "destinationUrl": "https://a.example" }),
        ),
        ("POST", "/partners/nobody/links", json!({ "linkKey": "abc", "programId": "nothing" })),
        (
            "POST",
            "/clicks",
            json!({ "id": "x".repeat(30), "linkKey": "nobody", "landingUrl": "https://a.example", "ts": "2026-01-01T00:00:00Z" }),
        ),
        (
            "POST",
            "/attribution/corrections",
            json!({ "eventId": "nothing", "void": true, "idempotencyKey": "k" }),
        ),
        ("POST", "/commissions/approve", json!({ "ids": ["x", "\u{e9}"] })),
        ("POST", "/payouts/nothing/settle", json!({ "outcome": "paid" })),
        ("POST", "/payouts/run", json!({ "partnerIds": ["nobody"] })),
        ("GET", "/commissions?cursor=nonsense", Value::Null),
        ("GET", "/attributions?cursor=%F0%9F%92%A9", Value::Null),
        ("GET", "/attribution/events?cursor=x&since=0001-01-01T00:00:00Z", Value::Null),
        ("GET", "/partners/nobody/dashboard", Value::Null),
        ("GET", "/partners/nobody/timeseries", Value::Null),
        ("GET", "/ledger/entries?commissionId=x", Value::Null),
        ("DELETE", "/api-keys/nothing", Value::Null),
    ] {
        let body = Some(body).filter(|body| !body.is_null());
        let (status, answer) = shop.call(method, path, body).await;
        assert!(status < 500, "{method} {path}: {status} {answer}");
        assert!(status == 200 || answer["error"].is_string(), "{method} {path}: {status} {answer}");
    }
}
