use std::time::Duration;

use proto::attribution::{Cap, NewEvent, Tier, correct_event_request::Correction};

use crate::world::{World, event, percent, world};

/// Of the commissions, in the order in which they were made.
async fn amounts(world: &World) -> Vec<String> {
    world.commissions().await.into_iter().rev().map(|one| one.amount).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_of_a_partner_is_used_up_by_all_customers_and_what_one_gives_back_another_gets() {
    let world = world().await;
    let mut terms = percent("10");
    terms.rules[0].partner_cap = Some(Cap { amount: "150".to_owned(), currency: "USD".to_owned(), count: 0 });
    let program = world.program("Capped", terms).await;
    let ada = world.partner("ada", &program).await;
    for user in ["one@a.example", "two@b.example", "three@c.example"] {
        let click = world.click(&ada).await;
        world.identify(&click, user).await;
    }
    let first = world.record(event("one@a.example", "1000.00")).await;
    world.clock.advance(Duration::from_secs(60));
    world.record(event("two@b.example", "1000.00")).await;
    world.clock.advance(Duration::from_secs(60));
    world.record(event("three@c.example", "1000.00")).await;
    assert_eq!(world.balances(&ada).await, ["accrued 150.00 USD"]);
    world.assert_whole().await;
    assert!(world.correct(&first.event_id, "lost", Correction::Void(true)).await);
    assert_eq!(world.balances(&ada).await, ["accrued 150.00 USD"]);
    assert_eq!(amounts(&world).await, ["0.00", "100.00", "50.00"]);
    world.assert_whole().await;
    assert!(world.correct(&first.event_id, "won again", Correction::Restore(true)).await);
    assert_eq!(amounts(&world).await, ["100.00", "50.00", "0.00"]);
    world.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tier_is_reached_by_the_volume_of_all_customers_whoever_posts_at_the_same_time() {
    let world = world().await;
    let mut terms = percent("10");
    let tier = |volume: &str, reward: &str| Tier {
        volume: volume.to_owned(),
        currency: "USD".to_owned(),
        reward: reward.to_owned(),
    };
    terms.rules[0].tiers = vec![tier("1000", "20"), tier("2000", "30")];
    let program = world.program("Tiers", terms).await;
    let ada = world.partner("ada", &program).await;
    let users: Vec<String> = (0..12).map(|number| format!("user{number}@shop{number}.example")).collect();
    for user in &users {
        let click = world.click(&ada).await;
        world.identify(&click, user).await;
    }
    let posts = users.iter().map(|user| world.record(event(user, "500.00")));
    futures::future::join_all(posts).await;
    // two at 10 %, two at 20 %, eight at 30 %
    assert_eq!(world.balances(&ada).await, ["accrued 1500.00 USD"]);
    world.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_in_any_order_at_the_same_time_come_to_what_they_come_to_in_their_own_order() {
    let world = world().await;
    let mut terms = percent("10");
    let usd = |amount: &str, count| Cap { amount: amount.to_owned(), currency: "USD".to_owned(), count };
    terms.rules[0].tiers =
        vec![Tier { volume: "3000".to_owned(), currency: "USD".to_owned(), reward: "20".to_owned() }];
    terms.rules[0].partner_cap = Some(usd("1500", 0));
    terms.rules[0].customer_cap = Some(usd("250", 2));
    let program = world.program("Limits", terms).await;
    let ada = world.partner("ada", &program).await;
    let users: Vec<String> = (0..8).map(|number| format!("user{number}@shop{number}.example")).collect();
    for user in &users {
        let click = world.click(&ada).await;
        world.identify(&click, user).await;
    }
    world.clock.advance(Duration::from_secs(3_600));
    // 48 events of 250, the later in time the earlier they come, but for some.
    let at = |number: usize| world.later(0) + Duration::from_secs((number * 37 % 48) as u64);
    let sale = |number: usize| NewEvent {
        ts: Some(proto::to_wire_time(at(number))),
        ..event(&users[number % users.len()], "250.00")
    };
    let recorded = futures::future::join_all((0..48).map(|number| world.record(sale(number)))).await;
    world.assert_whole().await;
    let corrected = [(3, Correction::Void(true)), (11, Correction::Value("10.00".to_owned()))];
    let again = [(3, Correction::Restore(true)), (40, Correction::Refund("100.00".to_owned()))];
    let corrections = corrected.into_iter().chain(again).map(|(number, correction)| {
        let key = format!("{number} {correction:?}");
        let event = &recorded[number].event_id;
        let world = &world;
        async move { assert!(world.correct(event, &key, correction).await) }
    });
    futures::future::join_all(corrections).await;
    world.assert_whole().await;
}
