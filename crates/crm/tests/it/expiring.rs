//! What is over expires.

use std::time::Duration;

use proto::crm::{GetSettingsRequest, Settings};
use testkit::eventually;

use crate::world::{SOON, by, code, deal, world};

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn registrations_expire_when_their_time_is_over_and_then_the_company_is_free_again() {
    let world = world().await;
    let usual = world.client().get_settings(by("viewer", GetSettingsRequest {})).await.unwrap().into_inner();
    assert_eq!((usual.protected_days, usual.review_days), (90, 90));
    let settings = Settings { protected_days: 30, review_days: 10, free_domains: Vec::new() };
    world.client().set_settings(by("ann", settings)).await.unwrap();
    let mut ear = world.ear().await;
    let approved = world.submit("first", deal(1, "Ten presses")).await.unwrap();
    let approved = world.approve("ann", &approved.id).await.unwrap();
    let open = world.submit("second", deal(2, "Ten presses")).await.unwrap();
    assert_eq!(world.get("ann", &open.id).await.unwrap().conflicts[0].status, "approved");
    let becomes = async |id: &str, status: &str| {
        eventually(SOON, "the job to look", || async {
            let seen = world.get("ann", id).await.unwrap();
            (seen.status == status).then_some(seen)
        })
        .await
    };
    world.clock.advance(10 * DAY);
    becomes(&open.id, "expired").await;
    assert_eq!(world.get("ann", &approved.id).await.unwrap().status, "approved");
    assert_eq!(code(world.approve("ann", &open.id).await), "registration_expired");
    world.clock.advance(20 * DAY);
    let expired = becomes(&approved.id, "expired").await;
    // Who approved it is not forgotten.
    assert_eq!(expired.decided_by, approved.decided_by);
    let heard = ear.hear(5).await;
    let over: Vec<_> = heard.iter().filter(|(kind, _, _)| kind == "deal_registration.expired").collect();
    assert_eq!(over.len(), 2);
    assert!(over.iter().all(|(_, actor, _)| actor == "service:crm"));
    assert_eq!(over[1].2.deal.map(|deal| deal.to_string()), Some(approved.deal_id));
    let anew = world.submit("first", deal(1, "Ten presses")).await.unwrap();
    assert!(anew.conflicts.is_empty());
}
