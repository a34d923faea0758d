//! The same facts in different orders, some of them several times, come to the same balances: over gRPC and Postgres.
//!
//! What is left out is what the contract lets arrival decide: an event or a correction without a time happens when it comes;
//! of two events under one key the first counts; the day of a stitch is that on which it is told, whether it is signed is
//! what the first identify of the click says, and whether it is one of too many, or of a person under another address, is by
//! what was told before; of two decisions about the same thing the later one counts. A person who is refused asks again, and
//! releases what waits before it is approved.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use jiff::Timestamp;
use proto::attribution::{
    Cap, Commission, CorrectEventRequest, DecideClickRequest, IdentifyRequest, ListEventsRequest, NewEvent,
    Payout, RecordClickRequest, Rule, Terms, Tier, correct_event_request::Correction, rule::Reward,
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};

use crate::world::{Brought, World, by_all, event, world};

/// So many sets of facts, each in so many orders.
const SETS: u64 = 2;
const ORDERS: u64 = 3;
const USERS: usize = 3;
const CLICKS_EACH: usize = 4;
const EVENTS_EACH: usize = 6;

/// Something that is told. A click, an event or a correction is told of with the time at which it happened.
#[derive(Clone, Debug)]
enum Told {
    Click {
        id: String,
        link: &'static str,
        at: Timestamp,
        is_fraud: bool,
    },
    Identify {
        click: String,
        user: String,
    },
    Event(NewEvent),
    Correction {
        event: String,
        key: String,
        at: Timestamp,
        change: Correction,
    },
    /// A click is fraud.
    Flag {
        click: String,
    },
    /// All that an event pays is approved, or is reversed.
    Decide {
        event: String,
        is_approved: bool,
    },
}

/// What everything came to.
#[derive(Debug, PartialEq, Eq)]
struct CameTo {
    /// By partner.
    balances: BTreeMap<&'static str, Vec<String>>,
    /// What is worth something: partner, event, rule, status, amount, and whether it waits.
    commissions: Vec<String>,
    /// What was paid out at the end.
    payouts: Vec<String>,
}

fn some_time(rng: &mut StdRng, days_ago: Range<i64>) -> Timestamp {
    // Few, so that much happens at the same time; a click that is some minutes later than an event may have brought it.
    let (days, minutes) = (rng.random_range(days_ago), [0, 0, 4, 6][rng.random_range(0..4)]);
    crate::world::noon() - jiff::SignedDuration::from_mins(days * 24 * 60 - minutes + 600)
}

fn facts(rng: &mut StdRng) -> Vec<Told> {
    let mut facts = Vec::new();
    for user in (0..USERS).map(|number| format!("user{number}@shop.example")) {
        for number in 0..CLICKS_EACH {
            let link = ["ada-shared", "ada-last", "bob-shared", "bob-last"][rng.random_range(0..4)];
            let click = format!("click-{number}-of-{user}");
            let (at, is_fraud) = (some_time(rng, 2..5), rng.random_bool(0.1));
            facts.push(Told::Click { id: click.clone(), link, at, is_fraud });
            facts.push(Told::Identify { click: click.clone(), user: user.clone() });
            if rng.random_bool(0.15) {
                facts.push(Told::Flag { click });
            }
        }
        for number in 0..EVENTS_EACH {
            let name = format!("event {number} of {user}");
            let kind = ["signup", "opportunity_won"][rng.random_range(0..2)];
            facts.push(Told::Event(NewEvent {
                external_event_id: name.clone(),
                r#type: kind.to_owned(),
                ts: Some(proto::to_wire_time(some_time(rng, 0..5))),
                currency: ["USD", "USD", "JPY"][rng.random_range(0..3)].to_owned(),
                ..event(&user, &rng.random_range(1..200).to_string())
            }));
            for correction in 0..rng.random_range(0..3) {
                let amount = rng.random_range(1..50).to_string();
                let change = match rng.random_range(0..5) {
                    0 => Correction::Value(amount),
                    1 => Correction::Void(true),
                    2 => Correction::Restore(true),
                    _ => Correction::Refund(amount),
                };
                let (event, key, at) = (name.clone(), correction.to_string(), some_time(rng, 0..2));
                facts.push(Told::Correction { event, key, at, change });
            }
            if rng.random_bool(0.5) {
                facts.push(Told::Decide { event: name, is_approved: rng.random_bool(0.7) });
            }
        }
    }
    facts
}

/// Two programs, of which the same partners have links: one shares among all clicks and has tiers and caps, the other pays the
/// last click and a bonus for the first event.
async fn begin(world: &World) -> BTreeMap<&'static str, Brought> {
    let reward = |percent: &str| Some(Reward::Percent(percent.to_owned()));
    let tier = Tier { volume: "150".to_owned(), currency: "USD".to_owned(), reward: "15".to_owned() };
    let cap = |amount: &str, count| Cap { amount: amount.to_owned(), currency: "USD".to_owned(), count };
    let sharing = Rule {
        reward: reward("33.333333"),
        tiers: vec![tier],
        customer_cap: Some(cap("200", 6)),
        partner_cap: Some(cap("400", 0)),
        ..Rule::default()
    };
    let (usd, amount) = ("USD".to_owned(), "25".to_owned());
    let first = Rule {
        trigger: "first".to_owned(),
        reward: Some(Reward::Fixed(amount)),
        currency: usd,
        ..Rule::default()
    };
    let last = Rule { reward: reward("10"), ..Rule::default() };
    let terms = |model: &str, rules| Terms { model: model.to_owned(), rules, ..Terms::default() };
    let shared = world.program("Shared", terms("linear", vec![sharing])).await;
    let lasting = world.program("Last", terms("last_click", vec![first, last])).await;
    let mut partners = BTreeMap::new();
    for name in ["ada", "bob"] {
        let links = [(format!("{name}-shared"), &*shared), (format!("{name}-last"), &*lasting)];
        partners.insert(name, world.partner_with_links(name, &links).await);
    }
    partners
}

/// Tells it; whether it was taken.
async fn tell(world: &World, told: &Told, is_last: bool) -> bool {
    let mut client = world.client();
    match told.clone() {
        Told::Click { id, link, at, is_fraud } => {
            let (link_key, ts) = (link.to_owned(), Some(proto::to_wire_time(at)));
            let click = RecordClickRequest { id, link_key, ts, fraud: is_fraud, ..Default::default() };
            client.record_click(by_all(click)).await.is_ok()
        }
        Told::Identify { click, user } => {
            let identify = IdentifyRequest { click_id: click, user_id: user, ..IdentifyRequest::default() };
            client.identify(identify).await.is_ok()
        }
        Told::Event(event) => {
            world.record(event).await;
            true
        }
        Told::Correction { event, key, at, change } => {
            let correction = CorrectEventRequest {
                external_event_id: event,
                idempotency_key: key,
                at: Some(proto::to_wire_time(at)),
                correction: Some(change),
                ..CorrectEventRequest::default()
            };
            client.correct_event(by_all(correction)).await.is_ok()
        }
        Told::Flag { click } => {
            let flag =
                DecideClickRequest { click_id: click, decision: "flag".to_owned(), ..Default::default() };
            client.decide_click(by_all(flag)).await.is_ok()
        }
        // Whoever decides decides about what stands then, and looks again when everything is known.
        Told::Decide { event, is_approved } => {
            let events = names_of_events(world).await;
            for one in world.commissions().await {
                if events.get(&one.event_id) == Some(&event) {
                    decide(world, &one, is_approved).await;
                }
            }
            is_last
        }
    }
}

async fn decide(world: &World, one: &Commission, is_approved: bool) {
    if !is_approved {
        // There may be nothing left to reverse.
        let _ = world.reverse(&one.id).await;
        return;
    }
    if one.held {
        let ids = [one.id.clone()];
        world.decide_reviews(&ids, "clear", false).await;
    }
    // It may be reversed meanwhile.
    let _ = world.approve(&one.id).await;
}

async fn names_of_events(world: &World) -> BTreeMap<String, String> {
    let request = ListEventsRequest { limit: 500, ..Default::default() };
    let events = world.client().list_events(by_all(request)).await.unwrap().into_inner().events;
    events.into_iter().map(|event| (event.id, event.external_event_id)).collect()
}

/// Tells everything in this order, what is refused again later, and pays out at the end.
async fn come_to(order: Vec<Told>) -> CameTo {
    let world = world().await;
    let partners = begin(&world).await;
    let (mut left, mut is_last) = (order, false);
    while !left.is_empty() {
        let mut refused = Vec::new();
        for told in left {
            world.clock.advance(Duration::from_millis(1));
            if !tell(&world, &told, is_last).await {
                refused.push(told);
            }
        }
        // Everything but decisions is taken once what it is about is there.
        is_last = refused.iter().all(|told| matches!(told, Told::Decide { .. }));
        left = refused;
    }
    world.assert_whole().await;
    let names = names_of_events(&world).await;
    let mut commissions: Vec<String> = Vec::new();
    for one in world.commissions().await {
        let Commission { status, amount, currency, rule, held, .. } = &one;
        if amount.parse::<f64>().unwrap() > 0.0 {
            let whose = partners.iter().find(|(_, brought)| brought.partner == one.partner_id).unwrap().0;
            let event = &names[&one.event_id];
            commissions.push(format!("{whose} {event} {rule} {status} {amount} {currency} {held}"));
        }
    }
    commissions.sort();
    let mut balances = BTreeMap::new();
    for (name, brought) in &partners {
        let mut own = world.balances(brought).await;
        own.retain(|text| !text.contains(" 0 "));
        own.sort();
        balances.insert(*name, own);
    }
    let payouts = world.payouts("all").await.payouts.into_iter();
    let payout = |payout: Payout| {
        let (amount, is_adas) = (payout.amount.unwrap(), payout.partner_id == partners["ada"].partner);
        format!("{} {} {}", if is_adas { "ada" } else { "bob" }, amount.amount, amount.currency)
    };
    let mut payouts: Vec<String> = payouts.map(payout).collect();
    payouts.sort();
    world.assert_whole().await;
    CameTo { balances, commissions, payouts }
}

/// The same facts in another order, some of them twice.
fn shuffled(facts: &[Told], rng: &mut StdRng) -> Vec<Told> {
    let twice = facts.iter().filter(|_| rng.random_bool(0.3)).cloned().collect::<Vec<_>>();
    let mut order = [facts, &twice].concat();
    order.shuffle(rng);
    order
}

#[tokio::test(flavor = "multi_thread")]
async fn any_order_of_arrival_with_any_repetition_comes_to_the_same_balances() {
    let seed: u64 =
        std::env::var("ACCORD_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    for seed in (0..SETS).map(|number| seed.wrapping_add(number)) {
        eprintln!("seed {seed}: set ACCORD_SEED to tell the same facts in the same orders again");
        let mut rng = StdRng::seed_from_u64(seed);
        let facts = facts(&mut rng);
        let first = come_to(facts.clone()).await;
        assert!(first.commissions.len() > 2, "too little earns to say anything: {first:#?}");
        for _ in 1..ORDERS {
            let order = shuffled(&facts, &mut rng);
            let again = come_to(order.clone()).await;
            assert_eq!(again, first, "{order:#?}");
        }
    }
}
