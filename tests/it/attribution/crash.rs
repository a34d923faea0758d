//! Accord and its PostgreSQL are killed while events come, commissions are approved and payouts are made.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use nix::sys::signal::{Signal, kill};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tests::{House, Start};

use super::shop::Shop;

const KILLS: usize = 6;
const CUSTOMERS: usize = 8;
const SENDERS: u64 = 4;

/// What all who call share.
struct Story {
    shop: Mutex<Shop>,
    is_over: AtomicBool,
    /// What was answered with 2xx: the id of the event by its sender's.
    recorded: Mutex<BTreeMap<String, String>>,
}

impl Story {
    fn shop(&self) -> Shop {
        self.shop.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Calls until somebody answers that it is done, or refuses it.
    async fn call(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        loop {
            match self.shop().try_call(method, path, Some(body.clone()).filter(|body| !body.is_null())).await
            {
                Some((status, answer)) if status < 500 && status != 401 => return (status, answer),
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_between_any_two_steps_loses_nothing_that_was_answered_and_pays_nothing_twice() {
    let seed =
        std::env::var("ACCORD_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    eprintln!("seed {seed}: set ACCORD_SEED to run the same kills again");
    let mut house = House::start(Start { companies: 5, deals: 5, ..Start::default() }).await;
    let shop = Shop::open(&house).await;
    for customer in 0..CUSTOMERS {
        shop.click(&user(customer)).await;
    }
    let story = Arc::new(Story {
        shop: Mutex::new(shop),
        is_over: AtomicBool::new(false),
        recorded: Mutex::default(),
    });
    let mut workers: Vec<_> =
        (0..SENDERS).map(|number| tokio::spawn(send(Arc::clone(&story), seed ^ number, number))).collect();
    workers.push(tokio::spawn(decide(Arc::clone(&story))));
    let mut rng = StdRng::seed_from_u64(seed);
    for number in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(rng.random_range(300..2_500))).await;
        if number % 2 == 0 {
            eprintln!("kill -9 accord");
            house.kill();
            house.start_again().await;
            let moved = story.shop().moved_to(&house);
            *story.shop.lock().unwrap_or_else(PoisonError::into_inner) = moved;
        } else {
            eprintln!("kill -9 postgres");
            for pid in house.servers("postgres") {
                // It may have ended by itself a moment ago, because what it depends on was killed.
                let _ = kill(pid, Signal::SIGKILL);
            }
        }
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    story.is_over.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.expect("a caller goes on until the end");
    }
    everything_answered_is_there_and_earned_once(&story).await;
    let shop = story.shop();
    let ledger = shop.ok("GET", "/ledger/verify", None).await;
    assert_eq!((&ledger["whole"], &ledger["differences"]), (&json!(true), &json!([])), "{ledger}");
    let told = house.operator(&["ledger", "verify"]);
    assert!(told.contains(": whole, ") && !told.contains("DIFFERENT"), "{told}");
    assert!(!house.log().contains("panicked"), "something panicked: {}", house.log());
}

fn user(customer: usize) -> String {
    format!("customer{customer}@shop.example")
}

/// Sends events, some of them twice, until the end.
async fn send(story: Arc<Story>, seed: u64, sender: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    for number in 0.. {
        if story.is_over() {
            return;
        }
        let name = format!("{sender}-{number}");
        let event = json!({
            "userId": user(rng.random_range(0..CUSTOMERS)), "type": "opportunity_won", "externalEventId": name,
            "value": rng.random_range(1..500) * 5,
        });
        let (status, answer) = story.call("POST", "/attribution/events", &event).await;
        assert_eq!(status, 200, "{answer}");
        let id = answer["eventId"].as_str().expect("an id").to_owned();
        story.recorded.lock().unwrap_or_else(PoisonError::into_inner).insert(name, id);
        if rng.random_bool(0.2) {
            let again = story.call("POST", "/attribution/events", &event).await;
            assert_eq!(again, (200, answer), "a repeat gets the first answer");
        }
    }
}

/// Approves what is accrued and pays it out, until the end; each run and each settlement under its own name.
async fn decide(story: Arc<Story>) {
    while !story.is_over() {
        let (_, listed) = story.call("GET", "/commissions?status=accrued&limit=50", &Value::Null).await;
        let ids: Vec<&Value> =
            listed["commissions"].as_array().into_iter().flatten().map(|row| &row["id"]).collect();
        if !ids.is_empty() {
            story.call("POST", "/commissions/approve", &json!({ "ids": ids })).await;
        }
        story.call("POST", "/payouts/run", &json!({})).await;
        let (_, listed) = story.call("GET", "/payouts?status=pending", &Value::Null).await;
        for payout in listed["payouts"].as_array().into_iter().flatten() {
            let path = format!("/payouts/{}/settle", payout["id"].as_str().expect("an id"));
            story.call("POST", &path, &json!({ "outcome": "paid", "reference": "by hand" })).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn all(shop: &Shop, path: &str, name: &str) -> Vec<Value> {
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = shop.ok("GET", &format!("{path}&cursor={cursor}"), None).await;
        rows.extend(page[name].as_array().cloned().expect("a list"));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return rows,
        }
    }
}

async fn everything_answered_is_there_and_earned_once(story: &Story) {
    let shop = story.shop();
    let recorded = story.recorded.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let events = all(&shop, "/attribution/events?limit=200", "events").await;
    let names: BTreeSet<&str> = events.iter().filter_map(|event| event["externalEventId"].as_str()).collect();
    assert_eq!(names.len(), events.len(), "no event was recorded twice");
    let by_id: BTreeMap<&str, &Value> =
        events.iter().filter_map(|event| Some((event["id"].as_str()?, event))).collect();
    for (name, id) in &recorded {
        let event = by_id.get(id.as_str()).unwrap_or_else(|| panic!("{name} was answered and is lost"));
        assert_eq!(event["externalEventId"], json!(name));
    }
    assert!(recorded.len() > 20, "too few events to say anything: {}", recorded.len());
    let commissions = all(&shop, "/commissions?limit=500", "commissions").await;
    let earned: BTreeSet<&str> = commissions.iter().filter_map(|row| row["eventId"].as_str()).collect();
    assert_eq!((earned.len(), commissions.len()), (events.len(), events.len()), "each event earns once");
    for row in &commissions {
        let event = by_id[row["eventId"].as_str().expect("an id")];
        let fifth = event["value"].as_f64().expect("a value") / 5.0;
        assert_eq!(row["amount"].as_str(), Some(format!("{fifth:.2}").as_str()));
    }
    let payouts = all(&shop, "/payouts?limit=200", "payouts").await;
    let taken: Vec<&Value> =
        payouts.iter().flat_map(|payout| payout["commissionIds"].as_array().into_iter().flatten()).collect();
    let once: BTreeSet<&str> = taken.iter().filter_map(|id| id.as_str()).collect();
    assert_eq!(once.len(), taken.len(), "no commission was paid twice");
}
