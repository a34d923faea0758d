//! Accord is killed between each two steps of taking an event in. Each step is held at its own statement, so that it is known
//! what was done already and what was not.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use testkit::eventually;
use tests::{House, Start};

use super::{guards::Receiver, shop::Shop};

const SOON: Duration = Duration::from_secs(60);
/// The lock that holds a step.
const HELD: i64 = 4_711;

/// A step: its name, the table that it writes, by what, and whether it is answered by then.
type Step = (&'static str, &'static str, &'static str, bool);

/// An event, what it is attributed to, its commission, the entry of the ledger, what others are told and the call of the webhook are
/// one transaction. The relay and the sender go on after it.
const STEPS: [Step; 9] = [
    ("accepted, before its event is stored", "attribution.events", "BEFORE INSERT", false),
    ("stored, before it is attributed", "attribution.attributions", "BEFORE INSERT", false),
    ("attributed, before it accrues", "attribution.commissions", "BEFORE INSERT", false),
    ("accrued, before the ledger has its entry", "attribution.entries", "BEFORE INSERT", false),
    ("entered, before it is to be told", "attribution.outbox", "BEFORE INSERT", false),
    ("to be told, before its webhook is", "attribution.webhook_deliveries", "BEFORE INSERT", false),
    ("all written, before the commit", "attribution.events", "AFTER INSERT", false),
    ("committed and published, before the outbox knows", "attribution.outbox", "BEFORE DELETE", true),
    (
        "committed and sent, before the log of the webhook knows",
        "attribution.webhook_deliveries",
        "BEFORE UPDATE",
        true,
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_whole_or_not_there_whichever_step_a_crash_comes_between() {
    let settings = vec![("ACCORD_PRIVATE_WEBHOOKS", "true".to_owned())];
    let mut house = House::start(Start { companies: 1, deals: 1, settings, ..Start::default() }).await;
    let mut shop = Shop::open(&house).await;
    let receiver = Receiver::start().await;
    shop.click("steps@shop.example").await;
    let told = json!({ "url": receiver.url, "events": ["commission.accrued"] });
    shop.ok("POST", "/webhooks", Some(told)).await;
    for (place, step) in STEPS.into_iter().enumerate() {
        let event = json!({
            "userId": "steps@shop.example", "type": "opportunity_won", "value": 10, "externalEventId": format!("step-{place}"),
        });
        let answered = killed_at(&mut house, &shop, &step, &event).await;
        assert_eq!(answered.is_some(), step.3, "{}: {answered:?}", step.0);
        shop = shop.moved_to(&house);
        is_once(&shop, &step, &event, answered).await;
    }
    let ids = eventually(SOON, "the webhook to be told of all", || async {
        let heard: Vec<Value> = receiver.heard().into_iter().map(|(_, body)| body).collect();
        let about = |body: &Value| body["data"]["commissionId"].as_str().map(str::to_owned);
        let commissions: std::collections::BTreeSet<_> = heard.iter().filter_map(about).collect();
        let ids: std::collections::BTreeSet<_> = heard.iter().map(|body| body["id"].to_string()).collect();
        (commissions.len() == STEPS.len()).then_some(ids)
    })
    .await;
    assert_eq!(ids.len(), STEPS.len(), "each is told as one event, maybe several times");
    let told = house.operator(&["ledger", "verify"]);
    assert!(told.contains(": whole, ") && !told.contains("DIFFERENT"), "{told}");
    assert!(!house.log().contains("panicked"), "something panicked: {}", house.log());
}

/// Sends the event, and kills Accord once the step is reached; the answer, where there was one before.
async fn killed_at(house: &mut House, shop: &Shop, step: &Step, event: &Value) -> Option<Value> {
    let (name, table, moment, is_answered) = step;
    let url = house.ready("database_url").to_owned();
    let mut holder = PgConnection::connect(&url).await.expect("the database");
    let deferred =
        if *moment == "AFTER INSERT" { ("CONSTRAINT", "DEFERRABLE INITIALLY DEFERRED") } else { ("", "") };
    let hold = format!(
        "SELECT pg_advisory_lock({HELD});
         CREATE FUNCTION attribution.hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             PERFORM pg_advisory_xact_lock_shared({HELD}); RETURN coalesce(NEW, OLD);
         END $$;
         CREATE {} TRIGGER a_hold {moment} ON {table} {} FOR EACH ROW EXECUTE FUNCTION attribution.hold();",
        deferred.0, deferred.1
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(hold)).execute(&mut holder).await.expect("the step is held");
    let sender = tokio::spawn({
        let (shop, event) = (shop.clone(), event.clone());
        async move { shop.try_call("POST", "/attribution/events", Some(event)).await }
    });
    let mut looker = PgConnection::connect(&url).await.expect("the database");
    let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = $1::bigint::oid AND NOT granted";
    let looker = tokio::sync::Mutex::new(&mut looker);
    eventually(SOON, &format!("the step: {name}"), || async {
        let mut looker = looker.lock().await;
        let found: i64 =
            sqlx::query_scalar(waiting).bind(HELD).fetch_one(&mut **looker).await.expect("the locks");
        (found > 0).then_some(())
    })
    .await;
    if *is_answered {
        let answer = sender.await.expect("it was sent").expect("it was answered");
        assert_eq!(answer.0, 200, "{name}: {}", answer.1);
        house.kill();
        freed(house, holder, table).await;
        return Some(answer.1);
    }
    house.kill();
    freed(house, holder, table).await;
    sender.await.expect("it was sent").map(|(_, answer)| answer)
}

/// Starts Accord again, without anything that holds it. Its own Postgres ended with it, and gave up what was held.
async fn freed(house: &mut House, holder: PgConnection, table: &str) {
    house.start_again().await;
    drop(holder);
    let mut database = PgConnection::connect(house.ready("database_url")).await.expect("the database");
    let unhold = format!("DROP TRIGGER a_hold ON {table}; DROP FUNCTION attribution.hold();");
    sqlx::raw_sql(sqlx::AssertSqlSafe(unhold))
        .execute(&mut database)
        .await
        .expect("nothing is held any more");
}

/// The event is sent again by whoever does not know what came of it. It is there once, and earned once.
async fn is_once(shop: &Shop, step: &Step, event: &Value, answered: Option<Value>) {
    let name = event["externalEventId"].as_str().expect("text");
    let events = || async {
        let listed = shop.ok("GET", "/attribution/events?limit=200", None).await;
        let rows = listed["events"].as_array().expect("a list").clone();
        rows.into_iter().filter(|row| row["externalEventId"] == name).collect::<Vec<_>>()
    };
    let before = events().await;
    // Postgres was asked to commit: it may do so on its way down, with nobody left to hear of it.
    let may_be_there = step.3 || step.2 == "AFTER INSERT";
    let sound = (usize::from(step.3)..=usize::from(may_be_there)).contains(&before.len());
    assert!(sound, "{}: it is whole or not there: {before:?}", step.0);
    let again = shop.ok("POST", "/attribution/events", Some(event.clone())).await;
    assert!(answered.is_none_or(|first| first == again), "{}: it has its first answer", step.0);
    let after = events().await;
    assert_eq!((after.len(), &after[0]["id"]), (1, &again["eventId"]), "{}", step.0);
    let listed = shop.ok("GET", "/commissions?limit=500", None).await;
    let rows = listed["commissions"].as_array().expect("a list").iter();
    let amounts: Vec<&Value> =
        rows.filter(|row| row["eventId"] == again["eventId"]).map(|row| &row["amount"]).collect();
    assert_eq!(amounts, [&json!("2.00")], "{}: it earns once", step.0);
    let ledger = shop.ok("GET", "/ledger/verify", None).await;
    assert_eq!(
        (&ledger["whole"], &ledger["differences"]),
        (&json!(true), &json!([])),
        "{}: {ledger}",
        step.0
    );
}
