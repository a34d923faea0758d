use model::{CaptureRequested, RecordChanged, WriteKind, kind};
use proto::sync as wire;

use crate::world::{World, by, hubspot, text, texts};

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_mapped_planned_activated_and_syncs_both_ways() {
    let world = World::bare().await;
    world.connect(world.connection, &hubspot()).await;
    let mut api = world.api.clone();

    let ask = wire::ListPairsRequest { connection_id: world.connection.to_string() };
    let pairs = api.list_pairs(by("viewer", ask)).await.unwrap().into_inner().pairs;
    let names: Vec<(&str, &str)> =
        pairs.iter().map(|p| (p.object.as_str(), p.vendor_object.as_str())).collect();
    assert_eq!(names, [("company", "companies"), ("partner", "companies"), ("deal", "deals")]);

    let mapping = world.draft().await;
    for (ours, theirs) in
        [("name", "name"), ("domain", "domain"), ("phone", "phone"), ("employee_count", "numberofemployees")]
    {
        let field = mapping.fields.iter().find(|field| field.field == ours).unwrap();
        assert_eq!((field.vendor_field.as_str(), field.state.as_str()), (theirs, "confirmed"), "{ours}");
    }

    assert_eq!(world.request_plan(&mapping.id).await.state, "reading");
    let wish: CaptureRequested = world.wait_for("a wish", kind::CAPTURE_REQUESTED, |_| true).await;
    assert!(wish.backfill && !wish.external_id);
    assert_eq!(wish.vendor_object, "companies");
    assert!(wish.fields.contains(&"numberofemployees".to_owned()), "{:?}", wish.fields);
    assert!(!wish.fields.contains(&"hs_lastmodifieddate".to_owned()), "{:?}", wish.fields);

    let ours = world.create(&[("name", "Known Ltd"), ("domain", "known.test")]).await;
    let known = [("name", "Known Limited"), ("domain", "www.known.test"), ("phone", "1")];
    let first = world.edited("1", &known);
    let second = world.edited("2", &[("name", "New Ltd"), ("domain", "new.test"), ("phone", "2")]);
    world.deliver(&[first, second]).await;
    world.backfill_finished("companies", 2).await;
    let plan = world.plan_in(&mapping.id, "ready").await;
    let count = |name: &str| plan.categories.iter().find(|c| c.name == name).map_or(0, |c| c.count);
    assert_eq!((count("conflict"), count("create_here")), (1, 1), "{:?}", plan.categories);
    assert_eq!(world.find("company", "2").await, None, "nothing moves before it is confirmed");

    let ask = wire::ActivateRequest { mapping_id: mapping.id.clone(), plan_hash: plan.hash };
    let active = api.activate(by("admin", ask)).await.unwrap().into_inner();
    assert_eq!(active.state, "active");
    world.plan_in(&mapping.id, "applied").await;

    let new = world.company_with("2", "name", "New Ltd").await;
    assert_eq!(new.links.len(), 1);
    assert_eq!((new.links[0].vendor_id.as_str(), new.links[0].state.as_str()), ("2", "in_sync"));
    let created: RecordChanged = world
        .wait_for("record.created", kind::RECORD_CREATED, |c: &RecordChanged| c.record.to_string() == new.id)
        .await;
    assert_eq!(created.version, 1);
    assert_eq!(created.fields["name"].to_string(), "New Ltd");
    let matched = world.company_with("1", "phone", "1").await;
    assert_eq!(matched.id, ours.id, "matched by domain");
    assert_eq!(text(&matched, "name"), "Known Limited", "the newest wins");

    world
        .deliver(&[world.edited("2", &[("name", "New Ltd"), ("domain", "new.test"), ("phone", "22")])])
        .await;
    let changed = world.company_with("2", "phone", "22").await;
    let event: RecordChanged = world
        .wait_for("record.changed", kind::RECORD_CHANGED, |c: &RecordChanged| {
            c.record.to_string() == new.id && c.version == changed.version
        })
        .await;
    assert_eq!(event.fields, texts(&[("phone", "22")]));
    assert_eq!(event.before, texts(&[("phone", "2")]));
    assert_eq!(event.connection, Some(world.connection));

    world.settled().await;
    assert_eq!(world.writes(), [], "what came from the vendor is not written back");
    world.edit(&new.id, &[("phone", "222"), ("name", "New Ltd")]).await;
    let write = world.write(0).await;
    assert_eq!(write.fields, texts(&[("phone", "222")]), "only the changed field");
    assert_eq!(write.write, WriteKind::Update { id: "2".to_owned(), expected: texts(&[("phone", "22")]) });
    assert_eq!(world.get(&new.id).await.links[0].state, "writing");

    world.applied(&write, "2").await;
    let echo = world.edited("2", &[("name", "New Ltd"), ("domain", "new.test"), ("phone", "222")]);
    world.deliver(&[echo]).await;
    world.settled().await;
    let settled = world.get(&new.id).await;
    assert_eq!((text(&settled, "phone").as_str(), settled.links[0].state.as_str()), ("222", "in_sync"));
    assert_eq!(world.writes().len(), 1, "the echo is not written again");
    assert_eq!(settled.version, changed.version + 1, "the echo changes nothing");
}
