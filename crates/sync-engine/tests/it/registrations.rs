//! An approved deal registration becomes a deal.

use jiff::{Timestamp, civil::date};
use model::{DealRegistrationChanged, DealRegistrationId, PartnerId, RecordChanged, RecordId, Value, kind};
use testkit::eventually;
use uuid::Uuid;

use crate::world::{SOON, World, text};

fn approved(world: &World) -> DealRegistrationChanged {
    let at: Timestamp = world.later();
    DealRegistrationChanged {
        registration: DealRegistrationId::from_uuid(Uuid::now_v7()),
        partner: PartnerId::from_uuid(Uuid::now_v7()),
        partner_record: None,
        company: "Acme".to_owned(),
        domain: "acme.example".to_owned(),
        company_record: None,
        deal_name: "Ten presses".to_owned(),
        amount: Some("45000.10".to_owned()),
        currency: "EUR".to_owned(),
        expected_close: Some(date(2027, 1, 31)),
        status: "approved".to_owned(),
        reason: String::new(),
        conflicts: Vec::new(),
        deal: Some(RecordId::from_uuid(Uuid::now_v7())),
        expires_at: Some(at),
        submitted_at: at,
        at,
    }
}

async fn say(world: &World, kind: &str, changed: &DealRegistrationChanged) {
    let rest = kind.strip_prefix("deal_registration.").unwrap();
    let subject = bus::subject::event("deal_registration", &world.organization(), rest);
    world.publish(subject, kind, changed).await;
}

#[tokio::test]
async fn an_approved_registration_creates_its_deal_once_and_its_expiry_is_told_to_the_deal() {
    let world = World::new().await;
    let changed = approved(&world);
    let deal = changed.deal.unwrap().to_string();
    // Twice: the second time finds the deal there.
    say(&world, kind::DEAL_REGISTRATION_APPROVED, &changed).await;
    say(&world, kind::DEAL_REGISTRATION_APPROVED, &changed).await;
    let _: RecordChanged = world
        .wait_for("the deal", kind::RECORD_CREATED, |it: &RecordChanged| it.record.to_string() == deal)
        .await;
    let made = world.get(&deal).await;
    assert_eq!(made.object, "deal");
    assert_eq!(text(&made, "name"), "Ten presses");
    assert_eq!(text(&made, "account_name"), "Acme");
    assert_eq!(text(&made, "registration_status"), "approved");
    let expired = DealRegistrationChanged { status: "expired".to_owned(), ..changed.clone() };
    say(&world, kind::DEAL_REGISTRATION_EXPIRED, &expired).await;
    eventually(SOON, "the deal to be told", || async {
        let deal = world.get(&deal).await;
        (text(&deal, "registration_status") == "expired").then_some(())
    })
    .await;
    let created = world.all::<RecordChanged>(kind::RECORD_CREATED);
    assert_eq!(created.iter().filter(|it| it.record.to_string() == deal).count(), 1);
    let first = created.iter().find(|it| it.record.to_string() == deal).unwrap();
    assert_eq!(first.fields["amount"], Value::Number("45000.10".parse().unwrap()));
    assert_eq!(first.fields["expected_close_date"], Value::Date(date(2027, 1, 31)));
}
