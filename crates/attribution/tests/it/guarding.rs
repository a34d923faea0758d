//! What is not believed without asking.

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use proto::attribution::{Guards, NewEvent, RotateIdentifySecretRequest, SignUserRequest};
use sha2::Sha256;
use testkit::eventually;

use crate::world::{World, by_all, event, percent, world, world_that_looks_every};

fn signature(secret: &str, user: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(user.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn secret(world: &World) -> String {
    let request = by_all(RotateIdentifySecretRequest {});
    world.client().rotate_identify_secret(request).await.unwrap().into_inner().secret
}

#[tokio::test]
async fn a_signed_identify_of_a_known_customer_is_believed_and_a_wrong_signature_is_not() {
    let world = world().await;
    let program = world.program("referrals", percent("20")).await;
    let ada = world.partner("ada", &program).await;
    let required = Guards { signed_identify: "required".to_owned(), ..world.guards().await };
    let refused = world.client().set_guards(by_all(required)).await.unwrap_err();
    assert_eq!(chassis::guard::stable_code(&refused), Some("secret_missing"));
    let first = secret(&world).await;
    world.set_guards(Guards { signed_identify: "on".to_owned(), ..world.guards().await }).await;
    world.record(event("known@customer.example", "10")).await;
    world.clock.advance(Duration::from_secs(3_600));
    let click = world.click(&ada).await;
    let wrong = signature("another", "known@customer.example");
    for wrong in [wrong.as_str(), "zz", "00"] {
        let refused = world.identify_signed(&click, "known@customer.example", wrong).await;
        assert_eq!(refused.unwrap_err(), "signature_invalid");
    }
    let right = signature(&first, "known@customer.example");
    assert!(world.identify_signed(&click, "known@customer.example", &right).await.unwrap().first_stitch);
    world.record(event("known@customer.example", "100")).await;
    assert_eq!(world.waiting().await, Vec::<String>::new());
    assert_eq!(world.earned(&ada).await, ["accrued 20.00 USD"]);
    // Without one it is still taken, until one is required.
    let click = world.click(&ada).await;
    world.identify(&click, "new@customer.example").await;
    world.set_guards(Guards { signed_identify: "required".to_owned(), ..world.guards().await }).await;
    let refused = world.identify_signed(&click, "newer@customer.example", "").await;
    assert_eq!(refused.unwrap_err(), "signature_required");
    // Whoever sets it may have one signed, to try it out.
    let asked = by_all(SignUserRequest { user_id: "try@customer.example".to_owned() });
    let signed = world.client().sign_user(asked).await.unwrap().into_inner().signature;
    assert_eq!(signed, signature(&first, "try@customer.example"));
    assert!(world.identify_signed(&click, "try@customer.example", &signed).await.is_ok());
    // A new secret; the one before is good for a day.
    let second = secret(&world).await;
    for (secret, user) in [(&first, "a@customer.example"), (&second, "b@customer.example")] {
        assert!(world.identify_signed(&click, user, &signature(secret, user)).await.is_ok());
    }
    world.clock.advance(Duration::from_secs(25 * 3_600));
    let stale = signature(&first, "c@customer.example");
    let refused = world.identify_signed(&click, "c@customer.example", &stale).await;
    assert_eq!(refused.unwrap_err(), "signature_invalid");
    world.assert_whole().await;
}

#[tokio::test]
async fn one_person_under_two_addresses_and_one_click_of_many_users_wait_for_a_person() {
    let world = world().await;
    let program = world.program("referrals", percent("10")).await;
    let ada = world.partner("ada", &program).await;
    world.set_guards(Guards { users_per_click: 2, ..world.guards().await }).await;
    let click = world.click(&ada).await;
    for user in ["jo@gmail.com", "j.o+again@googlemail.com", "ann@corp.example", "bob@corp.example"] {
        world.identify(&click, user).await;
        world.record(event(user, "100")).await;
    }
    let mut waiting = world.waiting().await;
    waiting.sort();
    assert_eq!(
        waiting,
        [
            "duplicate_customer j.o+again@googlemail.com 10.00",
            "users_per_click ann@corp.example 10.00",
            "users_per_click bob@corp.example 10.00",
        ]
    );
    let totals = world.reviews().await.totals;
    let totals: Vec<_> =
        totals.iter().map(|one| (one.reason.as_str(), one.count, one.amount.as_str())).collect();
    assert_eq!(totals, [("duplicate_customer", 1, "10.00"), ("users_per_click", 2, "20.00")]);
    // Cleared one by one, or with the click, by which nothing waits any more.
    let items = world.reviews().await.items;
    let ids: Vec<String> = items.iter().map(|item| item.commission_id.clone()).collect();
    assert!(world.decide_reviews(&ids[..1], "clear", false).await[0].is_ok());
    assert_eq!(world.waiting().await.len(), 2);
    let decided = world.decide_reviews(&ids, "clear", true).await;
    assert_eq!(decided[0].as_ref().unwrap_err().code, "not_held");
    assert!(decided[1..].iter().all(Result::is_ok), "{decided:?}");
    world.record(event("ann@corp.example", "100")).await;
    assert_eq!(world.waiting().await, Vec::<String>::new());
    assert_eq!(world.earned(&ada).await, ["accrued 10.00 USD"; 5]);
    world.assert_whole().await;
}

#[tokio::test]
async fn a_partner_is_tied_to_a_user_once_a_day() {
    let world = world().await;
    let program = world.program("referrals", percent("10")).await;
    let (ada, ben) = (world.partner("ada", &program).await, world.partner("ben", &program).await);
    let first = world.click(&ada).await;
    world.clock.advance(Duration::from_secs(1));
    let second = world.click(&ada).await;
    assert!(world.identify(&first, "jo@corp.example").await.first_stitch);
    assert!(!world.identify(&second, "jo@corp.example").await.first_stitch);
    assert!(world.identify(&world.click(&ben).await, "jo@corp.example").await.first_stitch);
    world.clock.advance(Duration::from_secs(24 * 3_600));
    assert!(world.identify(&second, "jo@corp.example").await.first_stitch);
    world.set_guards(Guards { one_stitch_per_day: false, ..world.guards().await }).await;
    assert!(world.identify(&world.click(&ada).await, "jo@corp.example").await.first_stitch);
    world.assert_whole().await;
}

#[tokio::test]
async fn of_the_clicks_of_a_day_the_earliest_counts_whichever_is_identified_first() {
    let world = world().await;
    let program = world.program("referrals", percent("10")).await;
    let ada = world.partner("ada", &program).await;
    let first = world.click(&ada).await;
    world.record(NewEvent { external_event_id: "deal".to_owned(), ..event("jo@corp.example", "100") }).await;
    // So much later that it cannot have brought the deal, and that the deal shows a known customer.
    world.clock.advance(Duration::from_secs(3_600));
    let second = world.click(&ada).await;
    assert!(world.identify(&second, "jo@corp.example").await.first_stitch);
    let by_second = world.record(event("jo@corp.example", "200")).await;
    assert_eq!(by_second.touches[0].click_id, second);
    assert_eq!(world.waiting().await, ["known_customer jo@corp.example 20.00"]);
    assert!(world.identify(&first, "jo@corp.example").await.first_stitch);
    assert!(!world.identify(&second, "jo@corp.example").await.first_stitch);
    assert_eq!(world.earned(&ada).await, ["accrued 10.00 USD", "accrued 20.00 USD", "reversed 0.00 USD"]);
    assert_eq!(world.waiting().await, Vec::<String>::new());
    world.assert_whole().await;
}

#[tokio::test]
async fn who_turns_out_to_have_been_a_customer_waits_though_the_identify_came_first() {
    let world = world().await;
    let program = world.program("referrals", percent("10")).await;
    let ada = world.partner("ada", &program).await;
    let click = world.click(&ada).await;
    world.identify(&click, "jo@corp.example").await;
    world.record(event("jo@corp.example", "100")).await;
    assert_eq!(world.waiting().await, Vec::<String>::new());
    for (minutes, waits) in [(4, false), (6, true)] {
        let ts = proto::to_wire_time(crate::world::noon() - jiff::SignedDuration::from_mins(minutes));
        world.record(NewEvent { ts: Some(ts), ..event("jo@corp.example", "1000") }).await;
        let waiting = world.waiting().await;
        assert_eq!(
            waiting.contains(&"known_customer jo@corp.example 10.00".to_owned()),
            waits,
            "{waiting:?}"
        );
    }
    world.assert_whole().await;
}

/// An approval was given without knowing what makes the commission odd: it stands, and no money moves until somebody looks.
#[tokio::test]
async fn what_was_approved_before_its_customer_turned_out_to_be_known_is_paid_once_somebody_releases_it() {
    let world = world().await;
    let program = world.program("referrals", percent("10")).await;
    let ada = world.partner("ada", &program).await;
    let click = world.click(&ada).await;
    world.identify(&click, "jo@corp.example").await;
    world.record(event("jo@corp.example", "100")).await;
    let id = world.commissions().await[0].id.clone();
    world.approve(&id).await.unwrap();
    let ts = proto::to_wire_time(crate::world::noon() - jiff::SignedDuration::from_hours(1));
    world.record(NewEvent { ts: Some(ts), ..event("jo@corp.example", "1000") }).await;
    assert_eq!(world.waiting().await, ["known_customer jo@corp.example 10.00"]);
    assert_eq!(world.earned(&ada).await, ["approved 10.00 USD"]);
    assert_eq!(world.balances(&ada).await, ["payable 10.00 USD"], "it is owed");
    assert!(world.payouts("too early").await.payouts.is_empty());
    world.assert_whole().await;
    assert!(world.decide_reviews(&[id], "clear", false).await[0].is_ok());
    assert_eq!(world.waiting().await, Vec::<String>::new());
    assert_eq!(world.payouts("november").await.payouts.len(), 1);
    assert!(world.balances(&ada).await.is_empty());
    world.assert_whole().await;
}

#[tokio::test]
async fn a_partner_who_earns_by_too_many_events_in_an_hour_waits_and_stays_cleared() {
    let world = world_that_looks_every(1).await;
    let program = world.program("referrals", percent("10")).await;
    let (ada, ben) = (world.partner("ada", &program).await, world.partner("ben", &program).await);
    world.set_guards(Guards { events_per_partner_hour: 3, ..world.guards().await }).await;
    let click = world.click(&ada).await;
    world.identify(&click, "jo@corp.example").await;
    let calm = world.click(&ben).await;
    world.identify(&calm, "ann@else.example").await;
    world.record(event("ann@else.example", "100")).await;
    let events = (0..5).map(|number| event("jo@corp.example", &format!("{}", 100 + number))).collect();
    world.try_record(events).await.unwrap();
    eventually(crate::world::SOON, "the rush to wait", || async {
        (world.waiting().await.len() == 5).then_some(())
    })
    .await;
    let items = world.reviews().await.items;
    assert!(items.iter().all(|item| item.reason == "events_per_partner"), "{items:?}");
    let held = &items[0].decisions[0];
    assert_eq!((held.actor.as_str(), held.decision.as_str()), ("service:attribution", "hold"));
    assert_eq!(held.note, "5 events in an hour, 3 are allowed");
    let ids: Vec<String> = items.into_iter().map(|item| item.commission_id).collect();
    world.decide_reviews(&ids, "clear", false).await;
    world.record(event("ann@else.example", "100")).await;
    // The job looks again and again, and holds nothing that somebody cleared.
    eventually(crate::world::SOON, "what was cleared to be approved", || async {
        let approved = world.earned(&ada).await.iter().all(|one| one.starts_with("approved"));
        approved.then_some(())
    })
    .await;
    assert_eq!(world.waiting().await, Vec::<String>::new());
    world.assert_whole().await;
}
