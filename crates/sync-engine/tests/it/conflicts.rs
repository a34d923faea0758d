use model::{ConflictRecorded, WriteKind, kind};
use proto::sync as wire;

use crate::world::{World, by, text, texts};

/// A company whose phone was changed here and, before that was written, at the vendor.
async fn both_sides_edit(world: &World, policy: &str) -> wire::Record {
    world.active("bidirectional", policy).await;
    world.deliver(&[world.edited("1", &[("name", "One"), ("phone", "0")])]).await;
    let record = world.company_with("1", "phone", "0").await;
    let there = world.edited("1", &[("name", "One"), ("phone", "there")]);
    world.edit(&record.id, &[("phone", "here")]).await;
    let write = world.write(0).await;
    // The vendor shows the other edit while our write is in flight, and reports that our write covered it.
    world.deliver(std::slice::from_ref(&there)).await;
    world.settled().await;
    let version = world.later().as_millisecond();
    let covered = model::CoveredValue { value: model::Value::text("there"), at: there.changed_at };
    let outcome = model::WriteOutcome::Applied {
        vendor_id: "1".to_owned(),
        version,
        fields: write.fields.clone(),
        covered: [("phone".to_owned(), covered)].into(),
    };
    world.answer(&write, outcome).await;
    world.settled().await;
    record
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_crm_wins_takes_the_vendors_value_and_records_ours() {
    let world = World::new().await;
    let record = both_sides_edit(&world, "crm_wins").await;
    assert_eq!(text(&world.get(&record.id).await, "phone"), "there");
    let conflict = world.conflicts().await.pop().unwrap();
    assert_eq!((conflict.winner.as_str(), conflict.policy.as_str()), ("crm", "crm_wins"));
    assert_eq!(conflict.lost, Some((&model::Value::text("here")).into()));
    // Our write had covered it there: the next write brings it back.
    assert_eq!(world.write(1).await.fields, texts(&[("phone", "there")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_platform_wins_keeps_ours_and_the_loser_can_be_restored_once() {
    let world = World::new().await;
    let record = both_sides_edit(&world, "platform_wins").await;
    assert_eq!(text(&world.get(&record.id).await, "phone"), "here");
    let said: ConflictRecorded = world.wait_for("conflict", kind::CONFLICT_RECORDED, |_| true).await;
    assert_eq!((said.winner.as_str(), said.lost.to_string().as_str()), ("platform", "there"));
    let conflict = world.conflicts().await.pop().unwrap();

    let ask = wire::RestoreConflictRequest { conflict_id: conflict.id.clone() };
    world.later();
    let restored = world.api.clone().restore_conflict(by("member", ask.clone())).await.unwrap().into_inner();
    assert_eq!(text(&restored, "phone"), "there");
    let write = world.write(1).await;
    assert_eq!(write.fields, texts(&[("phone", "there")]));
    world.applied(&write, "1").await;
    world.settled().await;
    assert_eq!(text(&world.get(&record.id).await, "phone"), "there", "a restored value stands");
    assert!(world.conflicts().await[0].restored_at.is_some());

    let again = world.api.clone().restore_conflict(by("member", ask)).await.unwrap_err();
    assert_eq!(chassis::guard::stable_code(&again), Some("already_restored"));
    let ask = wire::GetHistoryRequest { id: record.id, limit: 10, before_version: 0 };
    let history = world.api.clone().get_history(by("viewer", ask)).await.unwrap().into_inner().revisions;
    let reasons: Vec<&str> = history.iter().map(|r| r.changes[0].reason.as_str()).collect();
    assert_eq!(reasons[..2], ["restored", "edited"]);
    assert_eq!(history[0].actor, world.identity.actor("member"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_newest_wins_compares_the_times_of_the_edits() {
    let world = World::new().await;
    let record = both_sides_edit(&world, "newest_wins").await;
    assert_eq!(text(&world.get(&record.id).await, "phone"), "here", "ours was made after theirs");
    let conflict = world.conflicts().await.pop().unwrap();
    assert_eq!(conflict.winner, "platform");
    assert!(!conflict.within_clock_skew);
    assert_eq!(world.writes().len(), 1, "the vendor has our value already");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_flows_from_the_vendor_only_is_never_written_there() {
    let world = World::new().await;
    world.active("from_vendor", "crm_wins").await;
    world.deliver(&[world.edited("1", &[("name", "One"), ("phone", "0")])]).await;
    let record = world.company_with("1", "phone", "0").await;
    world.edit(&record.id, &[("phone", "here")]).await;
    world.create(&[("name", "Only here")]).await;
    world.settled().await;
    assert_eq!(world.writes(), []);
    world.deliver(&[world.edited("1", &[("name", "One"), ("phone", "there")])]).await;
    world.company_with("1", "phone", "there").await;
    assert_eq!(world.conflicts().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_flows_to_the_vendor_only_is_never_taken_from_there() {
    let world = World::new().await;
    world.active("to_vendor", "crm_wins").await;
    let record = world.create(&[("name", "Ours"), ("domain", "ours.test")]).await;
    let create = world.write(0).await;
    assert_eq!(create.write, WriteKind::Create { external_id: record.id.clone() });
    world.applied(&create, "1").await;
    world
        .deliver(&[
            world.edited("1", &[("name", "Theirs"), ("domain", "ours.test")]),
            world.edited("2", &[("name", "Only there")]),
        ])
        .await;
    world.settled().await;
    assert_eq!(text(&world.get(&record.id).await, "name"), "Ours");
    assert_eq!(world.find("company", "2").await, None);
    assert_eq!(world.writes().len(), 1, "it is written when it changes here, not when it changes there");
    world.edit(&record.id, &[("name", "Ours again")]).await;
    let write = world.write(1).await;
    assert_eq!(write.fields, texts(&[("name", "Ours again")]));
    assert_eq!(write.write, WriteKind::Update { id: "1".to_owned(), expected: texts(&[("name", "Theirs")]) });
}
