//! The newest of two edits of a field stands, by the time of the field where the vendor tells it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::{CaptureRequested, ChangeEvent, kind};
use proto::sync as wire;

use crate::world::{World, by, text, texts};

/// What is read of a company whose phone was set at this moment, and its name just now.
fn edited_since(world: &World, phone_at: Timestamp) -> ChangeEvent {
    let fields = [("name", "Uno"), ("domain", "one.test"), ("phone", "there")];
    let field_times = BTreeMap::from([("phone".to_owned(), phone_at)]);
    ChangeEvent { field_times, ..world.edited("1", &fields) }
}

/// A company whose phone was set here after the moment that is given with it; what comes from the vendor stays here.
async fn set_here_since(world: &World) -> (wire::Record, Timestamp) {
    world.active("from_vendor", "newest_wins").await;
    world.deliver(&[world.edited("1", &[("name", "One"), ("phone", "0")])]).await;
    let record = world.company_with("1", "phone", "0").await;
    let before = world.later();
    (world.edit(&record.id, &[("phone", "here")]).await, before)
}

/// Who won the conflict of the phone, and whether that was close.
async fn winner(world: &World) -> (String, bool) {
    let conflicts = world.conflicts().await;
    let of_phone: Vec<_> = conflicts.into_iter().filter(|conflict| conflict.field == "phone").collect();
    assert_eq!(of_phone.len(), 1, "{of_phone:?}");
    assert_eq!(of_phone[0].policy, "newest_wins");
    (of_phone[0].winner.clone(), of_phone[0].within_clock_skew)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_value_there_does_not_win_because_another_field_of_its_record_was_edited() {
    let world = World::new().await;
    let (record, phone_at) = set_here_since(&world).await;
    let change = edited_since(&world, phone_at);
    world.deliver(std::slice::from_ref(&change)).await;
    let shown = world.company_with("1", "name", "Uno").await;
    assert_eq!(text(&shown, "phone"), "here");
    assert_eq!(winner(&world).await, ("platform".to_owned(), false));
    // The same once more, as an older connector told it, changes nothing.
    world.deliver(&[ChangeEvent { field_times: BTreeMap::new(), ..change }]).await;
    world.settled().await;
    assert_eq!(text(&world.get(&record.id).await, "phone"), "here");
    assert_eq!(world.conflicts().await.len(), 1);

    // Set there after ours, it is the newest.
    let phone_at = world.later();
    let mut change = edited_since(&world, phone_at);
    change.fields.extend(texts(&[("phone", "there again")]));
    world.deliver(&[change]).await;
    world.company_with("1", "phone", "there again").await;
    assert_eq!(world.conflicts().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_that_tells_no_times_of_fields_is_dated_by_its_records() {
    let world = World::new().await;
    let (_, phone_at) = set_here_since(&world).await;
    let change = edited_since(&world, phone_at);
    world.deliver(&[ChangeEvent { field_times: BTreeMap::new(), ..change }]).await;
    world.company_with("1", "phone", "there").await;
    assert_eq!(winner(&world).await.0, "crm");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_and_what_it_applies_date_fields_as_well() {
    let world = World::new().await;
    let draft = world.draft().await;
    let phone_at = world.later();
    let ours = world.create(&[("name", "One"), ("domain", "one.test"), ("phone", "here")]).await;
    let change = edited_since(&world, phone_at);
    world.request_plan(&draft.id).await;
    world.deliver(&[change]).await;
    world.backfill_finished("companies", 1).await;
    let plan = world.plan_in(&draft.id, "ready").await;
    let ask = wire::ActivateRequest { mapping_id: draft.id.clone(), plan_hash: plan.hash };
    world.api.clone().activate(by("admin", ask)).await.unwrap();
    world.plan_in(&draft.id, "applied").await;
    let met = world.company_with("1", "name", "Uno").await;
    assert_eq!((met.id.as_str(), text(&met, "phone").as_str()), (ours.id.as_str(), "here"));
    assert_eq!(winner(&world).await, ("platform".to_owned(), false));
    assert_eq!(world.write(0).await.fields, texts(&[("phone", "here")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_during_a_pause_keeps_the_times_of_its_fields() {
    let world = World::new().await;
    let active = world.active("bidirectional", "newest_wins").await;
    world.deliver(&[world.edited("1", &[("name", "One"), ("phone", "0")])]).await;
    let record = world.company_with("1", "phone", "0").await;
    let mapping = wire::MappingRequest { mapping_id: active.id.clone() };
    world.api.clone().pause_mapping(by("admin", mapping.clone())).await.unwrap();
    let phone_at = world.later();
    world.edit(&record.id, &[("phone", "here")]).await;
    let change = edited_since(&world, phone_at);
    // Newer, and without the phone: what was read of it before stays as it was.
    let newer = world.edited("1", &[("name", "Eins")]);
    world.deliver(&[newer]).await;
    world.deliver(&[change]).await;
    world.settled().await;
    world.api.clone().resume_mapping(by("admin", mapping)).await.unwrap();
    world.company_with("1", "name", "Eins").await;
    assert_eq!(text(&world.get(&record.id).await, "phone"), "here");
    assert_eq!(winner(&world).await, ("platform".to_owned(), false));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_times_of_fields_are_asked_for_where_they_decide() {
    let world = World::new().await;
    let active = world.active("bidirectional", "platform_wins").await;
    world.settled().await;
    let wishes = || world.all::<CaptureRequested>(kind::CAPTURE_REQUESTED);
    let before = wishes().len();
    assert_eq!(wishes().last().unwrap().dated, [""; 0]);
    let set = async |field: &str, policy: &str, direction: Option<&str>| {
        let ask = wire::SetFieldRequest {
            mapping_id: active.id.clone(),
            field: field.to_owned(),
            action: "settings".to_owned(),
            policy: Some(policy.to_owned()),
            direction: direction.map(str::to_owned),
            ..wire::SetFieldRequest::default()
        };
        world.api.clone().set_field(by("admin", ask)).await.unwrap();
        world.activate(&active.id, 0).await;
        world.settled().await;
        wishes().pop().unwrap()
    };
    let wish = set("phone", "newest_wins", None).await;
    assert_eq!((wish.dated.as_slice(), wish.backfill), (&["phone".to_owned()][..], false));
    let for_plan = &wishes()[before];
    assert!(for_plan.backfill && for_plan.dated == ["phone"], "what a plan rests upon has its times");
    // What comes in decides, what only goes out does not.
    let wish = set("name", "newest_wins", Some("to_vendor")).await;
    assert_eq!(wish.dated, ["phone"]);
    assert!(!wish.dated_history, "there is nothing here that could be older than history");
    world.create(&[("name", "One")]).await;
    assert!(set("domain", "newest_wins", None).await.dated_history);
    assert_eq!(set("phone", "crm_wins", None).await.dated, ["domain"]);
}
