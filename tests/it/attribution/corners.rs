//! What callers do rarely, over the public API: webhooks of CRMs with their proofs, an event of a time to come, a model that is
//! changed for what comes, a webhook that is forgotten, and a ledger that somebody damaged.

use hmac::{Hmac, KeyInit as _, Mac as _};
use model::{Clock as _, SystemClock};
use serde_json::{Value, json};
use sha2::Sha256;
use sqlx::{Connection as _, PgConnection};
use tests::{House, Start};

use super::{guards::Receiver, shop::Shop};

/// How Close's keys look.
const CLOSE_KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

// R126, R127, R173-R179, D11
#[tokio::test]
async fn crms_prove_themselves_and_what_is_rare_is_answered_as_it_is_described() {
    let settings = vec![("ACCORD_PRIVATE_WEBHOOKS", "true".to_owned())];
    let house = House::start(Start { companies: 5, deals: 5, settings, ..Start::default() }).await;
    let shop = Shop::open(&house).await;
    a_body_of_close_is_an_event_if_its_signature_fits(&shop).await;
    a_body_of_copper_is_an_event_if_its_secret_fits(&shop).await;
    an_event_of_a_time_to_come_is_recorded_and_waits(&shop).await;
    a_program_that_is_patched_pays_for_the_past_as_before(&shop).await;
    no_program_is_kept_from_a_partner(&shop).await;
    a_webhook_is_switched_off_or_forgotten(&shop).await;
    a_damaged_ledger_is_told_with_the_exit_code(&house).await;
    assert!(!house.log().contains("panicked"), "something panicked: {}", house.log());
}

/// An ingest URL of this CRM, whose user is here; what was answered, and the path to it.
async fn ingest_url(shop: &Shop, vendor: &str, user: &str, key: Option<&str>) -> (Value, String) {
    let made = json!({ "name": vendor, "vendor": vendor, "signatureKey": key });
    let made = shop.ok("POST", "/attribution/ingest-urls", Some(made)).await;
    let id = made["id"].as_str().expect("an id");
    let mut mapping = made["mapping"].clone();
    mapping["userId"] = json!([user]);
    let body = json!({ "name": vendor, "mapping": mapping });
    shop.ok("PUT", &format!("/attribution/ingest-urls/{id}"), Some(body)).await;
    let path = format!("/ingest/{id}");
    (made, path)
}

/// The last bodies that came, newest first.
async fn bodies(shop: &Shop, made: &Value, body: Value) -> Vec<Value> {
    let path = format!("/attribution/ingest-urls/{}/preview", made["id"].as_str().expect("an id"));
    let shown = shop.ok("POST", &path, Some(body)).await;
    shown["bodies"].as_array().expect("a list").clone()
}

/// How Close signs a body.
fn signature(key: &str, at: &str, body: &str) -> String {
    let byte = |at: usize| u8::from_str_radix(&key[at..at + 2], 16).expect("hexadecimal digits");
    let key: Vec<u8> = (0..key.len()).step_by(2).map(byte).collect();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("any length is a key");
    mac.update(format!("{at}{body}").as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn a_body_of_close_is_an_event_if_its_signature_fits(shop: &Shop) {
    shop.click("close@shop.example").await;
    let now = SystemClock.now();
    let (made, path) = ingest_url(shop, "close", "event.data.custom.cf_1", Some(CLOSE_KEY)).await;
    let body = json!({
        "subscription_id": "whsub_1",
        "event": {
            "id": "ev_1", "action": "updated", "object_type": "opportunity", "object_id": "oppo_1",
            "date_created": now.strftime("%Y-%m-%dT%H:%M:%S.000000").to_string(), "changed_fields": ["status_type"],
            "previous_data": { "status_type": "active" },
            "data": { "id": "oppo_1", "value": 450_000, "value_currency": "USD", "status_type": "won",
                      "contact_id": "cont_1", "custom.cf_1": "close@shop.example" },
        },
    })
    .to_string();
    let at = now.as_second().to_string();
    let right = signature(CLOSE_KEY, &at, &body);
    let other = signature(&CLOSE_KEY.replace("00", "01"), &at, &body);
    let changed = body.replace("450000", "990000");
    for (headers, body) in [
        (vec![], &body),
        (vec![("close-sig-hash", right.as_str())], &body),
        (vec![("close-sig-hash", other.as_str()), ("close-sig-timestamp", &at)], &body),
        (vec![("close-sig-hash", right.as_str()), ("close-sig-timestamp", "1")], &body),
        (vec![("close-sig-hash", right.as_str()), ("close-sig-timestamp", &at)], &changed),
    ] {
        let refused = shop.send(&path, &headers, body).await;
        assert_eq!(refused, (401, json!({ "error": "signature_invalid" })), "{headers:?}");
    }
    assert!(bodies(shop, &made, json!({})).await.is_empty(), "what proves nothing is not kept");
    let headers = [("close-sig-hash", right.as_str()), ("close-sig-timestamp", &at)];
    let (status, answer) = shop.send(&path, &headers, &body).await;
    assert_eq!(
        (status, &answer["ok"], &answer["outcome"]),
        (200, &json!(true), &json!("recorded")),
        "{answer}"
    );
    assert_eq!(shop.send(&path, &headers, &body).await, (200, answer.clone()), "a retry is the same event");
    let shown = bodies(shop, &made, json!({})).await;
    assert_eq!(shown.len(), 2, "{shown:?}");
    let read = (&shown[0]["userId"], &shown[0]["value"], &shown[0]["currency"], &shown[0]["eventId"]);
    let wanted = (&json!("close@shop.example"), &json!("4500"), &json!("USD"), &answer["eventId"]);
    assert_eq!(read, wanted, "{}", shown[0]);
    assert_eq!(shown[0]["body"]["event"]["data"]["value"], 450_000);
    let mut mapping = made["mapping"].clone();
    mapping["userId"] = json!(["event.data.contact_id"]);
    let other = bodies(shop, &made, json!({ "mapping": mapping })).await;
    assert_eq!(other[0]["userId"], "cont_1", "another mapping is tried on what came");
    earned(shop, &answer["eventId"], "900.00").await;
}

async fn a_body_of_copper_is_an_event_if_its_secret_fits(shop: &Shop) {
    let (made, path) = ingest_url(shop, "copper", "ids.0", None).await;
    let secret = made["secret"].as_str().expect("it is shown once");
    let body = |secret: &str| {
        json!({
            "subscription_id": 1, "type": "opportunity", "event": "update", "ids": [11],
            "updated_attributes": { "status": ["Open", "Won"] }, "timestamp": SystemClock.now().to_string(),
            "accord_secret": secret,
        })
        .to_string()
    };
    shop.click("11").await;
    for wrong in ["", "wrong", &secret[1..]] {
        let refused = shop.send(&path, &[], &body(wrong)).await;
        assert_eq!(refused, (401, json!({ "error": "signature_invalid" })), "{wrong}");
    }
    let (status, answer) = shop.send(&path, &[], &body(secret)).await;
    assert_eq!((status, &answer["outcome"]), (200, &json!("recorded")), "{answer}");
    let shown = bodies(shop, &made, json!({})).await;
    assert_eq!((shown.len(), &shown[0]["userId"]), (1, &json!("11")), "{shown:?}");
    assert!(!shown[0].to_string().contains(secret), "its secret is kept by nobody");
    let unknown = shop.send("/ingest/ing_nothing", &[], &body(secret)).await;
    assert_eq!(unknown.0, 404, "{unknown:?}");
    let id = made["id"].as_str().expect("an id");
    shop.ok("DELETE", &format!("/attribution/ingest-urls/{id}"), None).await;
    assert_eq!(shop.send(&path, &[], &body(secret)).await.0, 404, "it was revoked");
}

/// The event has one commission of this amount.
async fn earned(shop: &Shop, event: &Value, amount: &str) -> Value {
    let listed = shop.ok("GET", "/commissions?limit=500", None).await;
    let rows = listed["commissions"].as_array().expect("a list").iter();
    let own: Vec<&Value> = rows.filter(|row| row["eventId"] == *event).collect();
    assert_eq!((own.len(), &own[0]["amount"]), (1, &json!(amount)), "{own:?}");
    own[0].clone()
}

async fn an_event_of_a_time_to_come_is_recorded_and_waits(shop: &Shop) {
    shop.click("early@shop.example").await;
    for (minutes, flags) in [(4, json!([])), (10, json!(["early_event"]))] {
        let ts = SystemClock.now() + jiff::SignedDuration::from_mins(minutes);
        let event =
            json!({ "userId": "early@shop.example", "type": "signup", "value": 10, "ts": ts.to_string() });
        let recorded = shop.ok("POST", "/attribution/events", Some(event)).await;
        assert_eq!(recorded["attribution"]["status"], "attributed", "{recorded}");
        let listed = shop.ok("GET", "/attribution/events?limit=200", None).await;
        let rows = listed["events"].as_array().expect("a list");
        let own = rows.iter().find(|row| row["id"] == recorded["eventId"]).expect("it is listed");
        assert_eq!(own["flags"], flags, "{minutes} minutes ahead");
        let id = earned(shop, &recorded["eventId"], "2.00").await["id"].clone();
        let waiting = shop.ok("GET", "/reviews", None).await;
        let waits =
            waiting["reviews"].as_array().expect("a list").iter().find(|row| row["commissionId"] == id);
        let path = format!("/commissions/{}/approve", id.as_str().expect("an id"));
        let (status, answer) = shop.call("POST", &path, None).await;
        if minutes == 4 {
            assert_eq!(waits, None, "a clock may be so much ahead");
            assert_eq!(
                (status, &answer["error"]),
                (409, &json!("holdback_active")),
                "it is not due before its time"
            );
        } else {
            assert_eq!(waits.expect("it waits")["reason"], "early_event");
            assert_eq!((status, &answer["error"]), (409, &json!("commission_held")));
            let decision = json!({ "ids": [id], "decision": "clear", "note": "a clock" });
            shop.ok("POST", "/reviews/decide", Some(decision)).await;
            let (status, answer) = shop.call("POST", &path, None).await;
            assert_eq!((status, &answer["error"]), (409, &json!("holdback_active")));
        }
    }
}

// B4
async fn a_program_that_is_patched_pays_for_the_past_as_before(shop: &Shop) {
    let user = "models@shop.example";
    let clicks = [shop.click(user).await, shop.click(user).await];
    let event =
        |name: &str| json!({ "userId": user, "type": "signup", "value": 10, "externalEventId": name });
    let before = shop.ok("POST", "/attribution/events", Some(event("model-1"))).await;
    assert_eq!(before["attribution"]["touches"].as_array().map(Vec::len), Some(1), "{before}");
    let path = format!("/programs/{}", shop.program);
    let patched = shop.ok("PATCH", &path, Some(json!({ "attributionModel": "linear" }))).await;
    assert_eq!((&patched["attributionModel"], &patched["termsVersion"]), (&json!("linear"), &json!(2)));
    let listed = format!("/attributions?userId={user}&limit=100");
    let find = || shop.ok("GET", &listed, None);
    let found = find().await;
    assert_eq!(found["attributions"].as_array().map(Vec::len), Some(1), "what stands stays: {found}");
    earned(shop, &before["eventId"], "2.00").await;
    let after = shop.ok("POST", "/attribution/events", Some(event("model-2"))).await;
    assert_eq!(after["attribution"]["model"], "linear", "{after}");
    let shared = after["attribution"]["touches"].as_array().expect("a list").len();
    assert!(shared <= clicks.len(), "{after}");
    let preview =
        shop.ok("POST", &format!("{path}/model/preview"), Some(json!({ "model": "first_click" }))).await;
    assert!(preview["events"].as_u64() >= Some(2) && preview["partners"].is_array(), "{preview}");
    assert_eq!(
        find().await["attributions"].as_array().map(Vec::len),
        Some(1 + shared),
        "a preview changes nothing"
    );
    let changed = shop.ok("POST", &format!("{path}/model"), Some(json!({ "model": "first_click" }))).await;
    assert_eq!(changed["changedEvents"], preview["changedEvents"], "what was shown is done");
    assert_eq!(shop.ok("GET", &path, None).await["attributionModel"], "first_click");
}

async fn no_program_is_kept_from_a_partner(shop: &Shop) {
    let rule = json!({ "type": "percent", "value": 5 });
    for (place, granted) in [json!(true), json!(false), Value::Null].into_iter().enumerate() {
        let program = json!({ "name": "Open", "commissionRule": rule, "destinationUrl": "https://shop.example/",
                              "grantToAllPartners": granted });
        let made = shop.ok("POST", "/programs", Some(program)).await;
        let link = json!({ "linkKey": format!("granted-{place}"), "programId": made["id"] });
        shop.ok("POST", &format!("/partners/{}/links", shop.partner), Some(link)).await;
    }
    let program = json!({ "name": "Open", "commissionRule": rule, "destinationUrl": "https://shop.example/",
                          "grantToAllPartners": "all" });
    let (status, refused) = shop.call("POST", "/programs", Some(program)).await;
    assert_eq!(status, 400, "{refused}");
    let message = json!(["Expected boolean, received string"]);
    assert_eq!(refused["detail"]["fieldErrors"]["grantToAllPartners"], message);
}

async fn a_webhook_is_switched_off_or_forgotten(shop: &Shop) {
    let receiver = Receiver::start().await;
    for (query, stays) in [("", true), ("?hard=0", true), ("?hard=1", false)] {
        let made = json!({ "url": receiver.url, "events": ["payout.created"] });
        let made = shop.ok("POST", "/webhooks", Some(made)).await;
        let path = format!("/webhooks/{}", made["endpoint"]["id"].as_str().expect("an id"));
        shop.ok("POST", &format!("{path}/test"), None).await;
        let logged = shop.ok("GET", &format!("{path}/deliveries"), None).await;
        assert_eq!(logged["deliveries"].as_array().map(Vec::len), Some(1), "{logged}");
        assert_eq!(shop.ok("DELETE", &format!("{path}{query}"), None).await, json!({ "ok": true }));
        let (status, found) = shop.call("GET", &path, None).await;
        let (logged, _) = shop.call("GET", &format!("{path}/deliveries"), None).await;
        let (again, _) = shop.call("DELETE", &format!("{path}{query}"), None).await;
        if stays {
            assert_eq!((status, &found["endpoint"]["active"]), (200, &json!(false)), "{query}");
            assert_eq!((logged, again), (200, 200), "{query}");
        } else {
            assert_eq!((status, found), (404, json!({ "error": "not_found" })));
            assert_eq!((logged, again), (404, 404));
        }
    }
    let (status, refused) = shop.call("DELETE", "/webhooks/hook_1?hard=perhaps", None).await;
    assert!(matches!(status, 400 | 404) && refused["error"].is_string(), "{status} {refused}");
}

async fn a_damaged_ledger_is_told_with_the_exit_code(house: &House) {
    let verify = || {
        let output = tests::accord()
            .args(["ledger", "verify", "--database-url", house.ready("database_url")])
            .output()
            .expect("the accord binary is built");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, told) = verify();
    assert!(code == Some(0) && told.contains(": whole, ") && !told.contains("DIFFERENT"), "{code:?} {told}");
    let mut database = PgConnection::connect(house.ready("database_url")).await.expect("the database");
    let falsified =
        "UPDATE attribution.entries SET accrued = accrued + 5, commission_expense = commission_expense - 5
                     WHERE id = (SELECT min(id::text)::uuid FROM attribution.entries WHERE kind = 'accrual')";
    let refused = sqlx::raw_sql(falsified).execute(&mut database).await;
    assert!(refused.is_err(), "nobody changes an entry by mistake");
    for sql in ["SET session_replication_role = replica", falsified] {
        sqlx::raw_sql(sql).execute(&mut database).await.expect("a superuser can");
    }
    let (code, told) = verify();
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains(": DIFFERENT, ") && told.contains("\n    ledger of commission "), "{told}");
}
