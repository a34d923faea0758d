//! The kinds of work. Each goes on until the end, whatever is killed, and notes what it was answered.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{CROWD, CUSTOMERS, Story, is_said, one_of_the_crowd, user};

const SENDERS: u64 = 2;
const BATCH: usize = 20;
const MODELS: [&str; 4] = ["linear", "first_click", "position", "last_click"];

/// All who work.
pub(super) fn all(story: &Arc<Story>, seed: u64) -> Vec<JoinHandle<()>> {
    let rng = |number: u64| StdRng::seed_from_u64(seed ^ number);
    let story = || Arc::clone(story);
    let mut workers: Vec<_> =
        (0..SENDERS).map(|sender| tokio::spawn(send(story(), rng(sender + 1), sender))).collect();
    workers.push(tokio::spawn(send_batches(story(), rng(11))));
    workers.push(tokio::spawn(come(story())));
    workers.push(tokio::spawn(correct(story(), rng(12))));
    workers.push(tokio::spawn(decide(story())));
    workers.push(tokio::spawn(change_models(story())));
    workers.push(tokio::spawn(deliver(story(), rng(13))));
    workers.push(tokio::spawn(win_deals(story())));
    workers
}

/// An event over 100 USD, so that everything it comes to has whole cents.
pub(super) fn event(user: &str, name: &str) -> Value {
    json!({ "userId": user, "type": "opportunity_won", "externalEventId": name, "value": 100 })
}

async fn pause(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

/// Sends events, some of them twice.
async fn send(story: Arc<Story>, mut rng: StdRng, sender: u64) {
    for number in 0.. {
        if story.is_over() {
            return;
        }
        let name = format!("{sender}-{number}");
        let mut event = event(&user(rng.random_range(0..CUSTOMERS)), &name);
        event["value"] = json!(rng.random_range(1..500) * 5);
        let (status, answer) = story.call("POST", "/attribution/events", &event).await;
        assert_eq!(status, 200, "{answer}");
        let id = answer["eventId"].as_str().expect("an id").to_owned();
        story.note(|answered| answered.recorded.insert(name, id));
        if rng.random_bool(0.2) {
            let again = story.call("POST", "/attribution/events", &event).await;
            assert_eq!(again, (200, answer), "a repeat gets the first answer");
        }
    }
}

/// Sends batches, some of them twice.
async fn send_batches(story: Arc<Story>, mut rng: StdRng) {
    for number in 0.. {
        if story.is_over() {
            return;
        }
        let name = |place: usize| format!("batch {number} {place}");
        let one = |place: usize| event(&user(rng.random_range(0..CUSTOMERS)), &name(place));
        let batch = json!({ "events": (0..BATCH).map(one).collect::<Vec<_>>() });
        let (status, answer) = story.call("POST", "/attribution/events/batch", &batch).await;
        assert_eq!((status, &answer["ok"]), (200, &json!(true)), "{answer}");
        for (place, result) in answer["results"].as_array().expect("a list").iter().enumerate() {
            let id = result["eventId"].as_str().expect("an id").to_owned();
            story.note(|answered| answered.recorded.insert(name(place), id));
        }
        if rng.random_bool(0.2) {
            let again = story.call("POST", "/attribution/events/batch", &batch).await;
            assert_eq!(again, (200, answer), "a repeat gets the first answers");
        }
        pause(200).await;
    }
}

/// Somebody new follows the link, and half of them say who they are at once.
async fn come(story: Arc<Story>) {
    for number in 0.. {
        if story.is_over() {
            return;
        }
        // An address may identify 120 users a minute, and others do it too.
        pause(700).await;
        let Some(click) = story.shop().try_visit().await else { continue };
        let user = format!("visitor{number}@shop.example");
        if number % 2 == 1 {
            story.note(|answered| answered.clicks.push((user, click)));
            continue;
        }
        let body = json!({ "cref": click, "userId": user });
        let (status, answer) = story.call("POST", "/attribution/identify", &body).await;
        assert_eq!(status, 200, "the click was answered: {answer}");
        story.note(|answered| answered.identified.push((user, click)));
    }
}

/// Events are given back in parts; those of the crowd are lost and won again.
async fn correct(story: Arc<Story>, mut rng: StdRng) {
    for number in 0.. {
        if story.is_over() {
            return;
        }
        let (name, is_crowd) = (format!("corrected {number}"), rng.random_bool(0.5));
        let who = if is_crowd {
            one_of_the_crowd(rng.random_range(0..CROWD))
        } else {
            user(rng.random_range(0..CUSTOMERS))
        };
        let (status, answer) = story.call("POST", "/attribution/events", &event(&who, &name)).await;
        assert_eq!(status, 200, "{answer}");
        story.note(|answered| {
            answered.recorded.insert(name.clone(), answer["eventId"].as_str().expect("an id").to_owned())
        });
        let corrections = match is_crowd {
            true => vec![json!({ "void": true }), json!({ "restore": true }), json!({ "void": true })],
            false => vec![json!({ "refund": 20 }), json!({ "refund": 30 })],
        };
        for (place, mut body) in corrections.into_iter().take(rng.random_range(1..=3)).enumerate() {
            body["externalEventId"] = json!(name);
            body["idempotencyKey"] = json!(format!("{name} {place}"));
            let (status, answer) = story.call("POST", "/attribution/corrections", &body).await;
            assert_eq!(status, 200, "{answer}");
            story.note(|answered| answered.corrected.push(body));
        }
        pause(50).await;
    }
}

/// Approves what is accrued and pays it out; each run and each settlement under its own name.
async fn decide(story: Arc<Story>) {
    let accrued = format!("/commissions?status=accrued&limit=50&programId={}", story.shop().program);
    for number in 0.. {
        if story.is_over() {
            return;
        }
        let (_, listed) = story.call("GET", &accrued, &Value::Null).await;
        let ids: Vec<&Value> =
            listed["commissions"].as_array().into_iter().flatten().map(|row| &row["id"]).collect();
        if !ids.is_empty() {
            let (_, answer) =
                story.call("POST", "/commissions/approve", &json!({ "ids": ids, "note": "seen" })).await;
            story.note(|answered| answered.note_approved(&answer));
        }
        run(&story, &format!("run-{number}")).await;
        let (_, listed) = story.call("GET", "/payouts?status=pending", &Value::Null).await;
        for payout in listed["payouts"].as_array().into_iter().flatten() {
            let id = payout["id"].as_str().expect("an id").to_owned();
            let body = json!({ "outcome": "paid", "reference": "by hand" });
            let (status, answer) = story.call("POST", &format!("/payouts/{id}/settle"), &body).await;
            if status == 200 {
                assert_eq!(answer["status"], "paid", "{answer}");
                story.note(|answered| answered.settled.insert(id));
            } else {
                // Whoever moves it is asked again whether that is a person.
                assert_eq!((status, &answer["error"]), (409, &json!("payout_in_transfer")), "{answer}");
            }
        }
        pause(100).await;
    }
}

/// A run of payouts until it is answered.
async fn run(story: &Story, key: &str) {
    loop {
        match story.shop().try_keyed("/payouts/run", key, &json!({})).await {
            Some((status, answer)) if is_said(status) => {
                assert_eq!(status, 200, "{answer}");
                let ids = answer["payouts"].as_array().expect("a list").iter();
                let ids = ids.map(|payout| payout["id"].as_str().expect("an id").to_owned()).collect();
                story.note(|answered| answered.runs.insert(key.to_owned(), ids));
                return;
            }
            _ => pause(50).await,
        }
    }
}

/// Changes the model of the crowded program. Who is not answered does not ask again: what is left over is the house's.
async fn change_models(story: Arc<Story>) {
    let path = format!("/programs/{}/model", story.crowded);
    for model in MODELS.iter().cycle() {
        while story.is_still.load(Ordering::Relaxed) && !story.is_over() {
            pause(20).await;
        }
        if story.is_over() {
            return;
        }
        story.is_changing.store(true, Ordering::Relaxed);
        story.note(|answered| answered.models.begin(model));
        let answer = story.shop().try_call("POST", &path, Some(json!({ "model": model }))).await;
        let is_done = answer.is_some_and(|(status, _)| status == 200);
        story.note(|answered| answered.models.end(is_done));
        story.is_changing.store(false, Ordering::Relaxed);
        pause(300).await;
    }
}

/// Pipedrive tells of deals that are won, and of what they are worth later.
async fn deliver(story: Arc<Story>, mut rng: StdRng) {
    let [path, user_name, password] = &story.ingest;
    for number in 1_u32.. {
        if story.is_over() {
            return;
        }
        let deal = number.div_ceil(2);
        let value = rng.random_range(1..100) * 5;
        let body = json!({
            "meta": { "action": "change", "entity": "deal", "entity_id": deal.to_string(), "version": "2.0",
                      "timestamp": format!("2026-11-20T12:{:02}:{:02}.000Z", number / 60 % 60, number % 60) },
            "data": { "id": deal, "value": value, "currency": "USD", "status": "won",
                      "user": user(rng.random_range(0..CUSTOMERS)) },
        });
        let answer = loop {
            match story.shop().try_deliver(path, user_name, password, &body).await {
                // Whoever proves itself by a secret is refused with 401 only when it is wrong.
                Some((status, answer)) if is_said(status) => break (status, answer),
                _ => pause(50).await,
            }
        };
        let event = answer.1["eventId"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned();
        story.note(|answered| answered.note_delivered(deal, event, value));
        pause(150).await;
    }
}

/// Deals are won in HubSpot, which the story has a rule for: the demo makes its own only where it has contacts.
async fn win_deals(story: Arc<Story>) {
    for number in 0.. {
        if story.is_over() {
            return;
        }
        pause(1_500).await;
        let email = format!("buyer{number}@crm.example");
        let Some(click) = story.shop().try_visit().await else { continue };
        story.call("POST", "/attribution/identify", &json!({ "cref": click, "userId": email })).await;
        let named = |name: String| json!({ "dealname": name, "dealstage": "contractsent", "amount": "100" });
        let objects = "/crm/v3/objects";
        let contact = properties(json!({ "email": email }));
        let contact = there(&story, "POST", &format!("{objects}/contacts"), &contact).await;
        let deal = properties(named(format!("Deal {number}")));
        let deal = there(&story, "POST", &format!("{objects}/deals"), &deal).await;
        // A contact whose making was not answered may be there already: the next customer is another.
        if let (Some(contact), Some(deal)) = (contact["id"].as_str(), deal["id"].as_str()) {
            let path = format!("/crm/v4/objects/deals/{deal}/associations/default/contacts/{contact}");
            there(&story, "PUT", &path, &Value::Null).await;
            let won = properties(json!({ "dealstage": "closedwon" }));
            let answer = there(&story, "PATCH", &format!("{objects}/deals/{deal}"), &won).await;
            assert_eq!(answer["id"], json!(deal), "{answer}");
            story.note(|answered| answered.won.push(deal.to_owned()));
        }
    }
}

fn properties(properties: Value) -> Value {
    json!({ "properties": properties })
}

/// A call of HubSpot until it is answered.
async fn there(story: &Story, method: &str, path: &str, body: &Value) -> Value {
    loop {
        let body = Some(body.clone()).filter(|body| !body.is_null());
        match story.hubspot().try_call(method, path, body).await {
            Ok((status, answer)) if is_said(status) => return answer,
            _ => pause(200).await,
        }
    }
}
