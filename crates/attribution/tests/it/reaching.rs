use std::time::Duration;

use proto::attribution::{Cap, Tier, correct_event_request::Correction};

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
