use model::{IssueCategory, Value, WriteOutcome};
use proto::sync as wire;

use crate::world::{World, by, text, texts};

async fn lineage(world: &World, record: &str, field: &str, version: i64) -> wire::Lineage {
    let ask = wire::GetLineageRequest { record_id: record.to_owned(), field: field.to_owned(), version };
    world.api.clone().get_lineage(by("viewer", ask)).await.unwrap().into_inner()
}

fn kinds(story: &wire::Lineage) -> Vec<&str> {
    story.steps.iter().map(|step| step.kind.as_str()).collect()
}

fn value(step: &wire::LineageStep) -> String {
    Value::try_from(step.value.clone().unwrap()).unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_knows_its_way_from_the_edit_to_the_vendor_and_back() {
    let world = World::new().await;
    let mapping = world.active("bidirectional", "newest_wins").await;
    world.deliver(&[world.edited("1", &[("name", "One"), ("phone", "1")])]).await;
    let record = world.company_with("1", "phone", "1").await;
    let story = lineage(&world, &record.id, "phone", 0).await;
    assert_eq!(kinds(&story), ["change", "mapping"]);
    assert_eq!(
        (story.steps[1].mapping_id.as_str(), story.steps[1].mapping_revision),
        (&*mapping.id, mapping.revision)
    );
    assert_eq!(story.steps[0].note, "first_sync");
    assert_eq!(story.previous_version, 0);

    world.edit(&record.id, &[("phone", "22")]).await;
    let write = world.write(0).await;
    world.settled().await;
    assert_eq!(kinds(&lineage(&world, &record.id, "phone", 0).await), ["edit", "write"]);
    let version = world.later().as_millisecond();
    let spelled = WriteOutcome::Applied {
        vendor_id: "1".to_owned(),
        version,
        fields: texts(&[("phone", "22")]),
        covered: [].into(),
    };
    world.answer(&write, spelled).await;
    world.settled().await;
    assert_eq!(kinds(&lineage(&world, &record.id, "phone", 0).await), ["edit", "write", "answer"]);
    let shown = world.edited("1", &[("name", "One"), ("phone", "22")]);
    world.deliver(&[shown]).await;
    world.settled().await;

    let story = lineage(&world, &record.id, "phone", 0).await;
    assert_eq!(kinds(&story), ["edit", "write", "answer", "echo"]);
    assert!(story.steps[0].actor.starts_with("user:"), "{}", story.steps[0].actor);
    assert_eq!(story.steps.iter().map(value).collect::<Vec<_>>(), ["22", "22", "22", "22"]);
    assert_eq!(
        (story.steps[1].id.as_str(), story.steps[1].vendor_field.as_str()),
        (&*write.id.to_string(), "phone")
    );
    assert_eq!(story.steps[3].vendor, "hubspot");
    let ids: std::collections::BTreeSet<&str> = story.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(ids.len(), 4, "the edit, the write, the answer and the listing are four messages");
    let before = lineage(&world, &record.id, "phone", story.previous_version).await;
    assert_eq!((value(&before.steps[0]), kinds(&before)), ("1".to_owned(), vec!["change", "mapping"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_and_a_refusal_are_part_of_the_story() {
    let world = World::new().await;
    world.active("bidirectional", "platform_wins").await;
    world.deliver(&[world.edited("1", &[("name", "One"), ("phone", "1")])]).await;
    let record = world.company_with("1", "phone", "1").await;
    world.edit(&record.id, &[("phone", "ours")]).await;
    let write = world.write(0).await;
    world.deliver(&[world.edited("1", &[("name", "One"), ("phone", "theirs")])]).await;
    world.settled().await;
    let refusal = WriteOutcome::Rejected {
        category: IssueCategory::Validation,
        message: "no".to_owned(),
        field: Some("phone".to_owned()),
    };
    world.answer(&write, refusal).await;
    world.settled().await;
    let story = lineage(&world, &record.id, "phone", 0).await;
    assert_eq!(kinds(&story)[..2], ["edit", "write"]);
    let conflict = story.steps.iter().find(|step| step.kind == "conflict").expect("both sides had moved");
    assert_eq!((conflict.note.as_str(), conflict.detail.as_str()), ("platform_wins", "platform"));
    assert_eq!(Value::try_from(conflict.other.clone().unwrap()).unwrap().to_string(), "theirs");
    let refusal = story.steps.iter().find(|step| step.kind == "refusal").expect("the vendor refused");
    assert_eq!((refusal.note.as_str(), refusal.detail.as_str()), ("validation", "no"));
    assert_eq!(text(&world.get(&record.id).await, "phone"), "ours");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_set_has_no_story_and_what_is_not_there_is_not_found() {
    let world = World::new().await;
    world.active("bidirectional", "platform_wins").await;
    let record = world.create(&[("name", "Ours")]).await;
    let blank = lineage(&world, &record.id, "phone", 0).await;
    assert_eq!((blank.version, blank.steps), (0, Vec::new()));
    for (who, id, field, version) in [
        ("viewer", record.id.as_str(), "nothing", 0),
        ("viewer", record.id.as_str(), "name", 7),
        ("viewer", "rec_x", "name", 0),
        ("stranger", record.id.as_str(), "name", 0),
    ] {
        let ask = wire::GetLineageRequest { record_id: id.to_owned(), field: field.to_owned(), version };
        let refused = world.api.clone().get_lineage(by(who, ask)).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::NotFound, "{who} {id} {field} {version}");
    }
}
