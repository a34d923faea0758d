use model::{ChangeEvent, WriteKind, WriteOutcome};

use crate::world::{World, text, texts};

#[tokio::test(flavor = "multi_thread")]
async fn a_record_made_here_is_created_there_once_and_linked_by_the_answer() {
    let world = World::new().await;
    world.active("bidirectional", "newest_wins").await;
    let record = world.create(&[("name", "Ours"), ("domain", "ours.test")]).await;
    let create = world.write(0).await;
    assert_eq!(create.write, WriteKind::Create { external_id: record.id.clone() });
    assert_eq!(create.fields, texts(&[("name", "Ours"), ("domain", "ours.test")]));
    world.applied(&create, "9").await;
    let echo = ChangeEvent {
        external_id: Some(record.id.clone()),
        ..world.edited("9", &[("name", "Ours"), ("domain", "ours.test")])
    };
    world.deliver(&[echo]).await;
    world.settled().await;
    let found = world.find("company", "9").await.unwrap();
    assert_eq!((found.id.as_str(), found.version), (record.id.as_str(), 1));
    assert_eq!(found.links[0].state, "in_sync");
    assert_eq!(world.writes().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_change_that_arrives_before_the_answer_finds_its_record_by_our_id() {
    let world = World::new().await;
    world.active("bidirectional", "newest_wins").await;
    let record = world.create(&[("name", "Ours"), ("phone", "1")]).await;
    let create = world.write(0).await;
    let early = ChangeEvent {
        external_id: Some(record.id.clone()),
        ..world.edited("9", &[("name", "Ours"), ("phone", "1"), ("city", "Rome")])
    };
    world.deliver(&[early]).await;
    world.company_with("9", "address_city", "Rome").await;
    world.applied(&create, "9").await;
    world.settled().await;
    assert_eq!(world.find("company", "9").await.unwrap().id, record.id);
    assert_eq!(world.query::<i64>("SELECT count(*) FROM records").await, 1);
    assert_eq!(world.writes().len(), 1);
    assert_eq!(world.conflicts().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_change_that_arrives_before_the_answer_without_our_id_is_known_by_its_domain() {
    let world = World::new().await;
    world.active("bidirectional", "newest_wins").await;
    let record = world.create(&[("name", "Ours"), ("domain", "ours.test")]).await;
    let create = world.write(0).await;
    world.deliver(&[world.edited("9", &[("name", "Ours"), ("domain", "ours.test")])]).await;
    world.settled().await;
    world.applied(&create, "9").await;
    world.settled().await;
    assert_eq!(world.find("company", "9").await.unwrap().id, record.id);
    assert_eq!(world.query::<i64>("SELECT count(*) FROM records").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_with_a_record_that_is_linked_elsewhere_is_an_issue_and_stops_nobody() {
    let world = World::new().await;
    world.active("bidirectional", "newest_wins").await;
    world.deliver(&[world.edited("9", &[("name", "Theirs")])]).await;
    world.company_with("9", "name", "Theirs").await;
    let record = world.create(&[("name", "Ours")]).await;
    world.applied(&world.write(0).await, "9").await;
    world.deliver(&[world.edited("10", &[("name", "Next")])]).await;
    world.company_with("10", "name", "Next").await;
    let issue = world.issues().await.pop().unwrap();
    assert_eq!((issue.category.as_str(), issue.record_id.as_str()), ("duplicate", record.id.as_str()));
    assert_eq!(text(&world.find("company", "9").await.unwrap(), "name"), "Theirs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendors_record_is_linked_by_its_domain_instead_of_made_again() {
    let world = World::new().await;
    let record = world.create(&[("name", "Ours"), ("domain", "https://www.Ours.test/about")]).await;
    world.active("from_vendor", "crm_wins").await;
    world.deliver(&[world.edited("1", &[("name", "Theirs"), ("domain", "ours.test")])]).await;
    let found = world.company_with("1", "name", "Theirs").await;
    assert_eq!(found.id, record.id);
    assert_eq!(world.query::<i64>("SELECT count(*) FROM records").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_made_while_a_write_is_in_flight_become_one_more_write() {
    let world = World::new().await;
    world.active("bidirectional", "newest_wins").await;
    world.deliver(&[world.edited("1", &[("name", "One"), ("phone", "0")])]).await;
    let record = world.company_with("1", "phone", "0").await;
    world.edit(&record.id, &[("phone", "1")]).await;
    let first = world.write(0).await;
    world.edit(&record.id, &[("phone", "2")]).await;
    world.edit(&record.id, &[("phone", "3"), ("name", "Uno")]).await;
    world.settled().await;
    assert_eq!(world.writes().len(), 1, "one write in flight");
    world.applied(&first, "1").await;
    let second = world.write(1).await;
    assert_eq!(second.fields, texts(&[("phone", "3"), ("name", "Uno")]));
    world.applied(&second, "1").await;
    world.settled().await;
    assert_eq!(world.writes().len(), 2);
    assert_eq!(text(&world.get(&record.id).await, "phone"), "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_that_reformats_ends_in_agreement_without_a_loop() {
    let world = World::new().await;
    world.active("bidirectional", "newest_wins").await;
    world.deliver(&[world.edited("1", &[("name", "One"), ("phone", "0")])]).await;
    let record = world.company_with("1", "phone", "0").await;
    world.edit(&record.id, &[("phone", "  +49 1 ")]).await;
    let write = world.write(0).await;
    let version = world.later().as_millisecond();
    let fields = texts(&[("phone", "+491")]);
    let outcome =
        WriteOutcome::Applied { vendor_id: "1".to_owned(), version, fields, covered: Default::default() };
    world.answer(&write, outcome).await;
    world.company_with("1", "phone", "+491").await;
    world.deliver(&[world.edited("1", &[("name", "One"), ("phone", "+491")])]).await;
    world.settled().await;
    assert_eq!(world.writes().len(), 1);
    assert_eq!(world.conflicts().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_in_one_system_reaches_the_other_by_the_record_that_both_are_linked_to() {
    let mut world = World::new().await;
    let first = world.connection;
    world.active("bidirectional", "newest_wins").await;
    let second = model::ConnectionId::generate(world.later());
    world.connect(second, &crate::world::hubspot()).await;
    world.connection = second;
    world.active("bidirectional", "newest_wins").await;

    world.connection = first;
    world.deliver(&[world.edited("1", &[("name", "One"), ("phone", "1")])]).await;
    let created = world.write(0).await;
    assert_eq!(created.connection, second);
    assert!(matches!(created.write, model::WriteKind::Create { .. }), "{created:?}");
    world.applied(&created, "77").await;
    world.settled().await;

    world.connection = second;
    world.deliver(&[world.edited("77", &[("name", "One"), ("phone", "2")])]).await;
    let told = world.write(1).await;
    assert_eq!((told.connection, &told.fields), (first, &crate::world::texts(&[("phone", "2")])));
    assert!(matches!(&told.write, model::WriteKind::Update { id, .. } if id == "1"), "{told:?}");
    assert_eq!(told.record, created.record, "one record, two systems");
    world.applied(&told, "1").await;
    world.connection = first;
    world.deliver(&[world.edited("1", &[("name", "One"), ("phone", "2")])]).await;
    world.settled().await;
    assert_eq!(world.writes().len(), 2, "the echo goes nowhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_name_each_other_in_a_circle_are_all_linked() {
    let world = World::new().await;
    let mut schema = crate::world::hubspot();
    let parent = crate::world::field("parent", "Parent", model::FieldType::Reference);
    schema[0].fields.push(model::FieldSchema { references: Some("companies".to_owned()), ..parent });
    world.describe(world.connection, &schema).await;
    world.settled().await;
    let draft = world.draft().await;
    let ask = proto::sync::SetFieldRequest {
        mapping_id: draft.id.clone(),
        field: "parent_company_id".to_owned(),
        action: "choose".to_owned(),
        vendor_field: "parent".to_owned(),
        ..Default::default()
    };
    world.api.clone().set_field(crate::world::by("admin", ask)).await.unwrap();
    world.activate(&draft.id, 0).await;
    for (id, parent) in [("1", "2"), ("2", "3"), ("3", "1"), ("4", "4")] {
        world.deliver(&[world.edited(id, &[("name", id), ("parent", parent)])]).await;
    }
    for (id, parent) in [("1", "2"), ("2", "3"), ("3", "1"), ("4", "4")] {
        let parent = world.company_with(parent, "name", parent).await;
        world.company_with(id, "parent_company_id", &parent.id).await;
    }
    world.settled().await;
    assert_eq!((world.writes(), world.issues().await), (Vec::new(), Vec::new()));
}
