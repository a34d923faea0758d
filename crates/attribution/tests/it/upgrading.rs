//! A database that an earlier version filled.

use std::{sync::Arc, time::Duration};

use attribution::rail::Manual;
use chassis::Migration;
use proto::attribution::{correct_event_request::Correction, *};

use crate::world::{Brought, World, by_all, event, world_over};

/// The history of the schema up to version 34.
const BEFORE: [Migration; 9] = [
    Migration { version: 1, name: "facts", sql: include_str!("../../migrations/0001_facts.sql") },
    Migration { version: 2, name: "derived", sql: include_str!("../../migrations/0002_derived.sql") },
    Migration { version: 3, name: "outbox and inbox", sql: bus::outbox::MIGRATION },
    Migration { version: 4, name: "claims", sql: include_str!("../../migrations/0004_claims.sql") },
    Migration { version: 5, name: "lookups", sql: include_str!("../../migrations/0005_lookups.sql") },
    Migration { version: 10, name: "rules", sql: include_str!("../../migrations/0010_rules.sql") },
    Migration { version: 11, name: "ingest", sql: include_str!("../../migrations/0011_ingest.sql") },
    Migration { version: 20, name: "guards", sql: include_str!("../../migrations/0020_guards.sql") },
    Migration { version: 21, name: "webhooks", sql: include_str!("../../migrations/0021_webhooks.sql") },
];

/// Rows as that version stores them: two partners who share a deal, of which a click was flagged and cleared again, a deal
/// that was approved and paid, and one that was refunded in part.
const FILLED: &str = include_str!("filled_by_version_34.sql");

async fn filled() -> testkit::TestDatabase {
    let database = testkit::database().await;
    let pool = chassis::pool(database.url(), attribution::SCHEMA, 2).await.unwrap();
    chassis::migrate(&pool, attribution::SCHEMA, &BEFORE).await.unwrap();
    sqlx::raw_sql(FILLED).execute(&pool).await.unwrap();
    pool.close().await;
    database
}

async fn partners(world: &World) -> Vec<Partner> {
    world.client().list_partners(by_all(ListPartnersRequest::default())).await.unwrap().into_inner().partners
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_version_34_filled_reads_as_before_is_whole_and_goes_on() {
    let (nats, database) = tokio::join!(testkit::nats(), filled());
    let world = world_over((nats, database), Arc::new(Manual), 3_600).await;
    world.clock.advance(Duration::from_secs(3_600));
    world.assert_whole().await;

    let partners = partners(&world).await;
    assert!(partners.iter().all(|partner| partner.status == "active" && partner.activated_at.is_some()));
    let brought = |name: &str| {
        let partner = partners.iter().find(|partner| partner.name == name).unwrap().id.clone();
        Brought { partner, link: format!("{name}-link") }
    };
    let (ada, bob) = (brought("ada"), brought("bob"));
    assert_eq!(world.earned(&ada).await, ["accrued 5.00 USD", "paid 10.00 USD"]);
    assert_eq!(world.earned(&bob).await, ["accrued 5.00 USD", "accrued 6.00 USD"]);
    assert_eq!(world.balances(&bob).await, ["accrued 11.00 USD"]);
    let list = ListPayoutsRequest::default();
    let payouts = world.client().list_payouts(by_all(list)).await.unwrap().into_inner().payouts;
    assert_eq!(payouts.iter().map(|payout| payout.status.as_str()).collect::<Vec<_>>(), ["paid"]);
    let request = ListEventsRequest::default();
    let events = world.client().list_events(by_all(request)).await.unwrap().into_inner().events;
    let touches: Vec<_> = events.iter().map(|event| (event.status.as_str(), event.touches.len())).collect();
    assert_eq!(touches, [("attributed", 1), ("attributed", 1), ("attributed", 2)], "newest first");

    // What is there already is corrected, attributed otherwise and paid by what came since.
    let shared = events.last().unwrap();
    world.correct(&shared.id, "lost", Correction::Void(true)).await;
    assert_eq!(world.earned(&ada).await, ["paid 10.00 USD", "reversed 0.00 USD"]);
    world.correct(&shared.id, "won", Correction::Restore(true)).await;
    assert_eq!(world.decide_click(&shared.touches[0].click_id, "flag").await, 1);
    world.record(event("both", "200")).await;
    for commission in world.commissions().await {
        if commission.status == "accrued" {
            world.approve(&commission.id).await.unwrap();
        }
    }
    let paid = world.payouts("december").await;
    assert!(!paid.payouts.is_empty());
    world.assert_whole().await;
}
