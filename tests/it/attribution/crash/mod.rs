//! Accord and its servers are killed while every kind of work is done; what was answered with 2xx is remembered, and
//! looked for afterwards.

mod kept;
mod work;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use nix::sys::signal::{Signal, kill};
use proto::attribution::{FollowLinkRequest, IdentifyRequest, attribution_client::AttributionClient};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use testkit::eventually;
use tests::{House, HubSpotPortal, Start};

use self::kept::Answered;
use super::{guards::Receiver, native::Rules, shop::Shop};

/// What is killed, one after the other.
const KILLS: [&str; 7] = ["accord", "postgres", "accord", "nats-server", "accord", "postgres", "accord"];
/// Customers of the program that pays whoever works.
const CUSTOMERS: usize = 8;
/// Customers of the program whose model changes: so many that a change takes a while.
const CROWD: usize = 200;
/// What an end left behind is made up for within this.
const WHOLE_WITHIN: Duration = Duration::from_secs(100);

/// What all who call share.
struct Story {
    doors: Mutex<(Shop, HubSpotPortal)>,
    is_over: AtomicBool,
    /// Nobody may begin to change the model.
    is_still: AtomicBool,
    /// Somebody changes the model.
    is_changing: AtomicBool,
    answered: Mutex<Answered>,
    /// The program whose model changes.
    crowded: String,
    /// Where Pipedrive delivers to, with its user and password.
    ingest: [String; 3],
}

impl Story {
    fn shop(&self) -> Shop {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    fn hubspot(&self) -> HubSpotPortal {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn note<T>(&self, note: impl FnOnce(&mut Answered) -> T) -> T {
        note(&mut self.answered.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Calls until somebody answers that it is done, or refuses it.
    async fn call(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        loop {
            let body = Some(body.clone()).filter(|body| !body.is_null());
            match self.shop().try_call(method, path, body).await {
                Some(answer) if is_said(answer.0) => return answer,
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

/// Whether a status is an answer: a killed house fails, does not know its key for a moment, or counts calls anew.
fn is_said(status: u16) -> bool {
    status < 500 && status != 401 && status != 429
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_between_any_two_steps_loses_nothing_that_was_answered_and_pays_nothing_twice() {
    let seed =
        std::env::var("ACCORD_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    let settings = vec![("ACCORD_PRIVATE_WEBHOOKS", "true".to_owned())];
    let mut house =
        House::start(Start { companies: 5, deals: 5, association_seconds: 2, settings, ..Start::default() })
            .await;
    let receiver = Receiver::start().await;
    let rules = Rules::of(&house).await;
    let rule = rules.make(rules.won_deals("hubspot", &house).await).await;
    let story = Arc::new(begin(&house, &receiver).await);
    let workers = work::all(&story, seed);
    let mut rng = StdRng::seed_from_u64(seed);
    for victim in KILLS {
        tokio::time::sleep(Duration::from_millis(rng.random_range(500..2_500))).await;
        kill_one(&mut house, &story, victim, &mut rng).await;
        wait_until_whole(&story).await;
        story.is_still.store(false, Ordering::Relaxed);
    }
    is_enough_to_say_anything(&story).await;
    story.is_over.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.expect("a caller goes on until the end");
    }
    let (shop, answered) = (story.shop(), story.note(|answered| answered.clone()));
    answered.is_kept(&shop).await;
    answered.is_told(&shop, &receiver).await;
    kept::every_event_earns_once(&shop).await;
    kept::no_cent_is_paid_twice(&shop).await;
    wait_until_whole(&story).await;
    let told = house.operator(&["ledger", "verify"]);
    assert!(told.contains(": whole, ") && !told.contains("DIFFERENT"), "{told}");
    answered.deals_are_events(&shop, &rule.id).await;
    wait_until_whole(&story).await;
    assert!(!house.log().contains("panicked"), "something panicked: {}", house.log());
}

/// Kills accord while a model changes, or one of its servers.
async fn kill_one(house: &mut House, story: &Story, victim: &str, rng: &mut StdRng) {
    let is_changing = || async { story.is_changing.load(Ordering::Relaxed).then_some(()) };
    if victim == "accord" {
        eventually(Duration::from_secs(60), "a change of the model to be under way", is_changing).await;
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..400))).await;
        story.is_still.store(true, Ordering::Relaxed);
        house.kill();
        house.start_again().await;
        let moved = (story.shop().moved_to(house), house.hubspot());
        *story.doors.lock().unwrap_or_else(PoisonError::into_inner) = moved;
        return;
    }
    // What a server's end interrupts is made up for a minute later; that is not waited for here.
    story.is_still.store(true, Ordering::Relaxed);
    let is_done = || async { (!story.is_changing.load(Ordering::Relaxed)).then_some(()) };
    eventually(Duration::from_secs(60), "the change of the model to be done", is_done).await;
    for pid in house.servers(victim) {
        // It may have ended by itself a moment ago, because what it depends on was killed.
        let _ = kill(pid, Signal::SIGKILL);
    }
}

/// Waits until enough was answered of each kind of work.
async fn is_enough_to_say_anything(story: &Story) {
    let lacks = || story.note(|answered| answered.lacks());
    let wait = async {
        while lacks().is_some() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let wait = tokio::time::timeout(WHOLE_WITHIN, wait).await;
    assert!(wait.is_ok(), "too little to say anything: {:?}", lacks());
}

/// Waits until the ledger is what the facts come to, while everybody but who changes models goes on.
async fn wait_until_whole(story: &Story) {
    let last = Mutex::new(Value::Null);
    let wait = tokio::time::timeout(WHOLE_WITHIN, async {
        loop {
            let (_, ledger) = story.call("GET", "/ledger/verify", &Value::Null).await;
            if (&ledger["whole"], &ledger["differences"]) == (&json!(true), &json!([])) {
                return;
            }
            *last.lock().unwrap_or_else(PoisonError::into_inner) = ledger;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    assert!(wait.await.is_ok(), "the ledger stays different: {last:?}");
    let (_, program) = story.call("GET", &format!("/programs/{}", story.crowded), &Value::Null).await;
    story.note(|answered| answered.models_are_kept(&program["attributionModel"]));
}

/// A program with two partners who brought a crowd, an address for Pipedrive, and somebody who is told.
async fn begin(house: &House, receiver: &Receiver) -> Story {
    let shop = Shop::open(house).await;
    let limit = json!({ "identifiesPerAddressHour": 0 });
    shop.ok("PATCH", "/attribution/guards", Some(limit)).await;
    for customer in 0..CUSTOMERS {
        shop.click(&user(customer)).await;
    }
    let id = |row: Value| row["id"].as_str().expect("an id").to_owned();
    let rules = json!([{ "trigger": "every", "type": "percent", "value": 20 }]);
    let program =
        json!({ "name": "Crowded", "commissionRule": rules, "destinationUrl": "https://shop.example/" });
    let crowded = id(shop.ok("POST", "/programs", Some(program)).await);
    for name in ["bob", "cyd"] {
        let partner = json!({ "email": format!("{name}@forum.example"), "name": name });
        let partner = id(shop.ok("POST", "/partners", Some(partner)).await);
        let link = json!({ "linkKey": format!("{name}-2026"), "programId": crowded });
        shop.ok("POST", &format!("/partners/{partner}/links"), Some(link)).await;
    }
    bring_a_crowd(house).await;
    let events: Vec<Value> =
        (0..CROWD).map(|number| work::event(&one_of_the_crowd(number), &format!("crowd {number}"))).collect();
    let crowd = shop.ok("POST", "/attribution/events/batch", Some(json!({ "events": events }))).await;
    assert_eq!(crowd["ok"], true, "{crowd}");
    let told = json!({ "url": receiver.url, "events": ["commission.approved", "payout.created"] });
    shop.ok("POST", "/webhooks", Some(told)).await;
    let mapping = json!({
        "userId": ["data.user"], "eventType": "opportunity_won", "value": ["data.value"], "currency": ["data.currency"],
        "externalEventId": ["data.id"], "followRecords": true,
        "conditions": [{ "field": "data.status", "operator": "one_of", "values": ["won"] }],
    });
    let made = json!({ "name": "Pipedrive", "vendor": "pipedrive", "mapping": mapping });
    let made = shop.ok("POST", "/attribution/ingest-urls", Some(made)).await;
    let text = |name: &str| made[name].as_str().unwrap_or_else(|| panic!("no {name} in {made}")).to_owned();
    let ingest = [format!("/ingest/{}", text("id")), text("user"), text("secret")];
    Story {
        doors: Mutex::new((shop, house.hubspot())),
        is_over: AtomicBool::new(false),
        is_still: AtomicBool::new(false),
        is_changing: AtomicBool::new(false),
        answered: Mutex::default(),
        crowded,
        ingest,
    }
}

/// Each of the crowd comes by both partners. The rooms are asked themselves: the API lets an address identify 120 users a minute.
async fn bring_a_crowd(house: &House) {
    let room =
        AttributionClient::connect(house.ready("grpc_url").to_owned()).await.expect("the rooms answer");
    let bring = |number: usize, link: &'static str| {
        let mut room = room.clone();
        async move {
            let follow = FollowLinkRequest { link_key: link.to_owned(), ..FollowLinkRequest::default() };
            let click_id = room.follow_link(follow).await.expect("a click").into_inner().click_id;
            let user_id = one_of_the_crowd(number);
            let identify = IdentifyRequest { click_id, user_id, ..IdentifyRequest::default() };
            room.identify(identify).await.expect("an identify");
        }
    };
    for link in ["bob-2026", "cyd-2026"] {
        for some in (0..CROWD).collect::<Vec<_>>().chunks(20) {
            futures::future::join_all(some.iter().map(|number| bring(*number, link))).await;
        }
    }
}

fn user(customer: usize) -> String {
    format!("customer{customer}@shop.example")
}

fn one_of_the_crowd(number: usize) -> String {
    format!("crowd{number}@crowd.example")
}
