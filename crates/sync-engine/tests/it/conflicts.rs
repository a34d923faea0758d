use model::{ConflictRecorded, Role, WriteKind, kind};
use proto::sync as wire;

use testkit::eventually;
use tonic::{Code, Status};

use crate::world::{SOON, World, by, text, texts};

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
    assert_eq!(history[0].actor, world.actor(Role::Member));
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

/// The one conflict that waits for a person.
async fn waiting(world: &World) -> wire::Issue {
    eventually(SOON, "a conflict waits for a person", || async {
        world.issues().await.pop().filter(|issue| issue.category == "conflict")
    })
    .await
}

async fn decide(world: &World, who: &str, issue: &str, winner: &str) -> Result<wire::Issue, Status> {
    let ask = wire::SettleConflictRequest { issue_id: issue.to_owned(), winner: winner.to_owned() };
    world.api.clone().settle_conflict(by(who, ask)).await.map(tonic::Response::into_inner)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_manual_waits_for_a_person_with_what_our_write_covered() {
    let world = World::new().await;
    let record = both_sides_edit(&world, "manual").await;
    let issue = waiting(&world).await;
    assert_eq!((issue.field.as_str(), issue.category_label.as_str()), ("phone", "Conflict held"));
    let value = |text: &str| Some((&model::Value::text(text)).into());
    assert_eq!((issue.here.clone(), issue.there.clone()), (value("here"), value("there")));
    assert_eq!(text(&world.get(&record.id).await, "phone"), "here");
    let conflict = world.conflicts().await.pop().unwrap();
    assert_eq!((conflict.winner.as_str(), conflict.lost), ("platform", value("there")), "ours stands there");

    let refused = decide(&world, "viewer", &issue.id, "crm").await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let refused = decide(&world, "member", &issue.id, "vendor").await.unwrap_err();
    assert_eq!(chassis::guard::stable_code(&refused), Some("winner_unknown"));

    world.later();
    let decided = decide(&world, "member", &issue.id, "crm").await.unwrap();
    assert_eq!(decided.state, "resolved");
    assert_eq!(text(&world.get(&record.id).await, "phone"), "there");
    let write = world.write(1).await;
    assert_eq!(write.fields, texts(&[("phone", "there")]), "our write had covered it");
    world.applied(&write, "1").await;
    let conflict = world.conflicts().await.remove(0);
    assert_eq!((conflict.winner.as_str(), conflict.policy.as_str()), ("crm", "manual"));
    assert_eq!(conflict.lost, value("here"), "what was lost can be restored");
    let again = decide(&world, "member", &issue.id, "platform").await.unwrap_err();
    assert_eq!(again.code(), Code::NotFound);
    world.settled().await;
    assert_eq!((world.writes().len(), world.issues().await), (2, vec![]));
}

/// A company whose phone was changed on both sides while its mapping was paused.
async fn edited_apart(world: &World, mapping: &wire::Mapping) -> wire::Record {
    world.deliver(&[world.edited("1", &[("name", "One"), ("phone", "0"), ("city", "Ulm")])]).await;
    let record = world.company_with("1", "phone", "0").await;
    let ask = wire::MappingRequest { mapping_id: mapping.id.clone() };
    world.api.clone().pause_mapping(by("admin", ask.clone())).await.unwrap();
    world.edit(&record.id, &[("phone", "here")]).await;
    world.deliver(&[world.edited("1", &[("name", "One"), ("phone", "there"), ("city", "Ulm")])]).await;
    world.settled().await;
    world.api.clone().resume_mapping(by("admin", ask)).await.unwrap();
    world.plan_in(&mapping.id, "applied").await;
    record
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_conflict_waits_neither_side_is_written_and_the_rest_of_the_record_syncs() {
    let world = World::new().await;
    let mapping = world.active("bidirectional", "manual").await;
    let record = edited_apart(&world, &mapping).await;
    let issue = waiting(&world).await;
    // Whoever edits a side meanwhile does not know the other one.
    world.edit(&record.id, &[("phone", "here again"), ("address_city", "Bonn")]).await;
    let write = world.write(0).await;
    assert_eq!(write.fields, texts(&[("city", "Bonn")]));
    world.applied(&write, "1").await;
    let there = [("name", "One"), ("phone", "there again"), ("city", "Bonn"), ("industry", "Steel")];
    world.deliver(&[world.edited("1", &there)]).await;
    world.company_with("1", "industry", "Steel").await;
    assert_eq!(text(&world.get(&record.id).await, "phone"), "here again");
    assert_eq!(waiting(&world).await.id, issue.id, "it is one question still");

    world.later();
    decide(&world, "member", &issue.id, "platform").await.unwrap();
    let write = world.write(1).await;
    assert_eq!(write.fields, texts(&[("phone", "here again")]));
    let expected = texts(&[("phone", "there again")]);
    assert_eq!(write.write, WriteKind::Update { id: "1".to_owned(), expected });
    world.applied(&write, "1").await;
    world.settled().await;
    let conflict = world.conflicts().await.pop().unwrap();
    assert_eq!(conflict.lost, Some((&model::Value::text("there again")).into()));
    assert_eq!((world.writes().len(), world.issues().await), (2, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_that_waits_ends_when_both_sides_agree_or_another_policy_decides() {
    let world = World::new().await;
    let mapping = world.active("bidirectional", "manual").await;
    let record = edited_apart(&world, &mapping).await;
    waiting(&world).await;
    world.edit(&record.id, &[("phone", "there")]).await;
    world.settled().await;
    assert_eq!((world.writes(), world.issues().await), (vec![], vec![]), "somebody typed the vendor's value");

    let ask = wire::MappingRequest { mapping_id: mapping.id.clone() };
    world.api.clone().pause_mapping(by("admin", ask.clone())).await.unwrap();
    world.edit(&record.id, &[("phone", "ours")]).await;
    world.deliver(&[world.edited("1", &[("name", "One"), ("phone", "theirs"), ("city", "Ulm")])]).await;
    world.settled().await;
    world.api.clone().resume_mapping(by("admin", ask)).await.unwrap();
    let issue = waiting(&world).await;
    world.plan_in(&mapping.id, "applied").await;
    let policy = wire::SetFieldRequest {
        mapping_id: mapping.id.clone(),
        field: "phone".to_owned(),
        action: "settings".to_owned(),
        policy: Some("crm_wins".to_owned()),
        ..Default::default()
    };
    world.api.clone().set_field(by("admin", policy)).await.unwrap();
    world.activate(&mapping.id, 0).await;
    let retry = wire::IssueRequest { issue_id: issue.id };
    world.api.clone().retry_issue(by("admin", retry)).await.unwrap();
    assert_eq!(text(&world.get(&record.id).await, "phone"), "theirs");
    assert_eq!(world.issues().await, []);
    assert_eq!(world.conflicts().await[0].policy, "crm_wins");
}
