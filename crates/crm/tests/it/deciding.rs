//! What is decided about a registration.

use jiff::SignedDuration;
use model::Clock;
use proto::crm::DealRegistrationRequest;

use crate::world::{by, code, deal, world};

#[tokio::test]
async fn approving_gives_the_deal_its_id_and_says_so() {
    let world = world().await;
    let mut ear = world.ear().await;
    let made = world.submit("first", deal(1, "Ten presses")).await.unwrap();
    let look = DealRegistrationRequest { id: made.id.clone() };
    let seen = world.client().review_deal_registration(by("ann", look)).await.unwrap().into_inner();
    assert_eq!((seen.status.as_str(), seen.reviewer.is_empty()), ("under_review", false));
    let approved = world.approve("ann", &made.id).await.unwrap();
    assert_eq!(approved.status, "approved");
    assert!(approved.deal_id.starts_with("rec_"));
    let expires_at = world.clock.now() + SignedDuration::from_hours(24 * 90);
    assert_eq!(approved.expires_at, Some(proto::to_wire_time(expires_at)));
    // The answer got lost, and it is asked again.
    assert_eq!(world.approve("ann", &made.id).await.unwrap(), approved);
    let heard = ear.hear(2).await;
    let (kind, actor, said) = &heard[1];
    assert_eq!((kind.as_str(), *actor == approved.decided_by), ("deal_registration.approved", true));
    assert_eq!(said.deal.map(|deal| deal.to_string()), Some(approved.deal_id));
    assert_eq!(said.expires_at, Some(expires_at));
}

#[tokio::test]
async fn of_two_decisions_at_the_same_instant_one_wins_and_the_other_is_told_who_decided() {
    let world = world().await;
    for round in 0..6 {
        let made = world.submit("first", deal(1, &format!("Deal {round}"))).await.unwrap();
        let (approved, rejected) =
            tokio::join!(world.approve("ann", &made.id), world.reject("bob", &made.id, "not ours"));
        let now = world.get("ann", &made.id).await.unwrap();
        let (won, lost) = match (approved, rejected) {
            (Ok(won), Err(lost)) | (Err(lost), Ok(won)) => (won, lost),
            both => panic!("{both:?}"),
        };
        assert_eq!(now, won);
        assert!(lost.message().contains(&won.decided_by), "{}", lost.message());
        assert_eq!(code::<()>(Err(lost)), "already_decided");
    }
    let mut ear = world.ear().await;
    // Six are submitted, and six decided.
    let heard = ear.hear(12).await;
    let decided = heard.iter().filter(|(kind, _, _)| !kind.ends_with("submitted")).count();
    assert_eq!(decided, 6);
}

#[tokio::test]
async fn a_rejection_needs_a_reason_which_the_partner_is_told() {
    let world = world().await;
    let mut ear = world.ear().await;
    let made = world.submit("first", deal(1, "Ten presses")).await.unwrap();
    assert_eq!(code(world.reject("ann", &made.id, "  ").await), "required");
    world.reject("ann", &made.id, "we are there already").await.unwrap();
    let seen = world.get("first", &made.id).await.unwrap();
    assert_eq!((seen.status.as_str(), seen.reason.as_str()), ("rejected", "we are there already"));
    assert_eq!(code(world.approve("bob", &made.id).await), "already_decided");
    let heard = ear.hear(2).await;
    assert_eq!((heard[1].0.as_str(), heard[1].2.deal), ("deal_registration.rejected", None));
    assert_eq!(heard[1].2.reason, "we are there already");
}
