//! The same call many times at the same time, from several clients, does what one call does.

use futures::future::join_all;
use serde_json::{Value, json};
use tests::{House, Start};

use super::shop::Shop;

const TWINS: usize = 64;
const CLIENTS: usize = 4;

// R148, D7, mistake 1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_identical_calls_at_once_of_several_clients_do_what_one_does() {
    let house = House::start(Start { companies: 5, deals: 5, ..Start::default() }).await;
    let shop = Shop::open(&house).await;
    let scopes = ["events:write", "commissions:write", "payouts:write"];
    let mut clients = Clients { of_several_keys: Vec::new(), of_one_key: Vec::new() };
    let key = shop.mint(&scopes).await;
    for _ in 0..CLIENTS {
        clients.of_several_keys.push(shop.with_key(&shop.mint(&scopes).await).with_own_connections());
        clients.of_one_key.push(shop.with_key(&key).with_own_connections());
    }
    let user = "twins@shop.example";
    a_click_is_stitched_once(&shop, &clients, user).await;
    an_event_by_its_idempotency_key_is_recorded_once(&shop, &clients, user).await;
    a_batch_is_recorded_once(&shop, &clients, user).await;
    a_refund_counts_once(&shop, &clients, user).await;
    an_approval_is_entered_once(&shop, &clients).await;
    a_payout_is_made_and_settled_once(&shop, &clients).await;
    let ledger = shop.ok("GET", "/ledger/verify", None).await;
    assert_eq!((&ledger["whole"], &ledger["differences"]), (&json!(true), &json!([])), "{ledger}");
    assert!(!house.log().contains("panicked"), "something panicked: {}", house.log());
}

/// Who calls. An Idempotency-Key counts for the API key that it comes with: who sends one shares its API key.
struct Clients {
    of_several_keys: Vec<Shop>,
    of_one_key: Vec<Shop>,
}

/// The call by all clients at once; their answers.
async fn all_at_once(clients: &Clients, path: &str, key: &str, body: &Value) -> Vec<(u16, Value)> {
    let clients = if key.is_empty() { &clients.of_several_keys } else { &clients.of_one_key };
    let call = |number: usize| clients[number % CLIENTS].keyed(path, key, body);
    join_all((0..TWINS).map(call)).await
}

/// All got this status and the same answer, which it gives.
fn same(answers: Vec<(u16, Value)>) -> Value {
    assert_eq!(answers[0].0, 200, "{}", answers[0].1);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    answers.into_iter().next().expect("there are many").1
}

async fn entries(shop: &Shop, kind: &str) -> usize {
    let entries = shop.ok("GET", "/ledger/entries?limit=200", None).await;
    let entries = entries["entries"].as_array().expect("a list");
    entries.iter().filter(|entry| entry["kind"] == kind).count()
}

async fn a_click_is_stitched_once(shop: &Shop, clients: &Clients, user: &str) {
    let click = shop.visit().await;
    let body = json!({ "cref": click, "userId": user });
    let answers = all_at_once(clients, "/attribution/identify", "", &body).await;
    assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:#?}");
    let first = answers.iter().filter(|(_, answer)| answer["firstStitch"] == true);
    assert_eq!(first.count(), 1, "{answers:#?}");
    let told = answers.iter().filter(|(_, answer)| answer["identityId"].is_string());
    assert_eq!(told.count(), 1, "{answers:#?}");
}

async fn an_event_by_its_idempotency_key_is_recorded_once(shop: &Shop, clients: &Clients, user: &str) {
    let event = json!({ "userId": user, "type": "keyed", "value": 100 });
    let answer = same(all_at_once(clients, "/attribution/events", "the-deal-is-won", &event).await);
    assert_eq!(answer["attribution"]["status"], "attributed");
    let found = shop.ok("GET", "/attribution/events?type=keyed", None).await;
    assert_eq!(found["events"].as_array().map(Vec::len), Some(1), "{found}");
    assert_eq!(entries(shop, "accrual").await, 1);
}

async fn a_batch_is_recorded_once(shop: &Shop, clients: &Clients, user: &str) {
    let one = |place: usize| json!({ "userId": user, "type": "batched", "value": 10, "externalEventId": format!("b{place}") });
    let batch = json!({ "events": (0..10).map(one).collect::<Vec<_>>() });
    let answer = same(all_at_once(clients, "/attribution/events/batch", "", &batch).await);
    assert_eq!(answer["results"].as_array().map(Vec::len), Some(10), "{answer}");
    // Without ids of their own, by the key of the call and their places.
    let one = |place: usize| json!({ "userId": user, "type": "batched", "value": place });
    let batch = json!({ "events": (1..=10).map(one).collect::<Vec<_>>() });
    same(all_at_once(clients, "/attribution/events/batch", "a-batch", &batch).await);
    let found = shop.ok("GET", "/attribution/events?type=batched&limit=200", None).await;
    assert_eq!(found["events"].as_array().map(Vec::len), Some(20), "{found}");
    assert_eq!(entries(shop, "accrual").await, 21);
}

async fn a_refund_counts_once(shop: &Shop, clients: &Clients, user: &str) {
    let event = json!({ "userId": user, "type": "refunded", "value": 100, "externalEventId": "refunded" });
    shop.ok("POST", "/attribution/events", Some(event)).await;
    let refund = json!({ "externalEventId": "refunded", "refund": 25 });
    let answers = all_at_once(clients, "/attribution/corrections", "a-refund", &refund).await;
    assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:#?}");
    let taken = answers.iter().filter(|(_, answer)| answer["replayed"] == false);
    assert_eq!(taken.count(), 1, "{answers:#?}");
    let found = shop.ok("GET", "/attribution/events?type=refunded", None).await;
    assert_eq!(found["events"][0]["currentValue"].as_f64(), Some(75.0), "{found}");
    assert_eq!(entries(shop, "adjustment").await, 1);
}

async fn an_approval_is_entered_once(shop: &Shop, clients: &Clients) {
    let accrued = shop.ok("GET", "/commissions?status=accrued&limit=500", None).await;
    let ids: Vec<String> = accrued["commissions"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| row["id"].as_str().expect("an id").to_owned())
        .collect();
    let (first, others) = ids.split_first().expect("something is accrued");
    let answers = all_at_once(clients, &format!("/commissions/{first}/approve"), "", &json!({})).await;
    let (approved, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(status, _)| *status == 200);
    assert_eq!((approved.len(), refused.len()), (1, TWINS - 1), "{refused:?}");
    assert!(
        refused.iter().all(|(status, answer)| *status == 409 && answer["error"] == "not_approvable"),
        "{refused:?}"
    );
    let answers = all_at_once(clients, "/commissions/approve", "", &json!({ "ids": others })).await;
    let results = answers.iter().flat_map(|(_, answer)| answer["results"].as_array().expect("a list"));
    let approved = results.filter(|result| result["commission"]["status"] == "approved");
    assert_eq!(approved.count(), others.len(), "each is approved by one of them");
    assert_eq!(entries(shop, "approval").await, ids.len());
}

async fn a_payout_is_made_and_settled_once(shop: &Shop, clients: &Clients) {
    // Without a key each call is a run of its own, of which one finds something; with one all of them are the same run.
    let (path, all) = ("/payouts/run", json!({}));
    let runs = all_at_once(clients, path, "", &all).await;
    assert!(runs.iter().all(|(status, _)| *status == 200), "{runs:#?}");
    let made = runs.iter().filter(|(_, run)| run["payouts"] != json!([]));
    assert_eq!(made.count(), 1, "{runs:#?}");
    let again = same(all_at_once(clients, path, "a-run", &all).await);
    assert_eq!(again["payouts"], json!([]), "{again}");
    let listed = shop.ok("GET", "/payouts", None).await;
    assert_eq!(listed["payouts"].as_array().map(Vec::len), Some(1), "{listed}");
    // A fifth of 100, of ten times 10, of 1 to 10 together, and of what is left after the refund.
    assert_eq!(listed["payouts"][0]["amount"], "66.00", "{listed}");
    let path = format!("/payouts/{}/settle", listed["payouts"][0]["id"].as_str().expect("an id"));
    let paid = json!({ "outcome": "paid", "reference": "by hand" });
    assert_eq!(same(all_at_once(clients, &path, "", &paid).await)["status"], "paid");
    assert_eq!(entries(shop, "payout").await, 1);
    let balances = shop.ok("GET", &format!("/ledger/balances?partnerId={}", shop.partner), None).await;
    let mut payable = balances["balances"].as_array().expect("a list").iter();
    assert!(payable.all(|one| one["account"] != "payable" || one["amount"] == "0.00"), "{balances}");
}
