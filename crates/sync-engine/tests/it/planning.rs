use std::time::Duration;

use model::{
    CaptureRequested, CaptureStopped, ChangeEvent, ChangeKind, ConnectionId, ConnectionState, MappingChanged,
    kind,
};
use proto::sync::{self as wire, sync_client::SyncClient};
use sync_engine::Config;
use tonic::transport::Channel;

use crate::world::{World, by, field, hubspot, text, texts};

fn mapping(id: &str) -> wire::MappingRequest {
    wire::MappingRequest { mapping_id: id.to_owned() }
}

const SOON: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_is_no_longer_true_is_refused() {
    let world = World::new().await;
    let mut api = world.api.clone();
    let draft = world.draft().await;
    let activate = |hash: &str| {
        by("admin", wire::ActivateRequest { mapping_id: draft.id.clone(), plan_hash: hash.to_owned() })
    };
    let early = api.activate(activate("x")).await.unwrap_err();
    assert_eq!(chassis::guard::stable_code(&early), Some("plan_missing"));

    world.request_plan(&draft.id).await;
    world.deliver(&[world.edited("1", &[("name", "One"), ("domain", "one.test")])]).await;
    world.backfill_finished("companies", 1).await;
    let plan = world.plan_in(&draft.id, "ready").await;
    let stale = |refused: tonic::Status| {
        assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
        assert_eq!(chassis::guard::stable_code(&refused), Some("plan_stale"));
    };
    stale(api.activate(activate("not the hash")).await.unwrap_err());
    world.create(&[("name", "New here"), ("domain", "one.test")]).await;
    stale(api.activate(activate(&plan.hash)).await.unwrap_err());

    world.request_plan(&draft.id).await;
    world.backfill_finished("companies", 1).await;
    let plan = world.plan_in(&draft.id, "ready").await;
    let ask = wire::SetFieldRequest {
        mapping_id: draft.id.clone(),
        field: "phone".to_owned(),
        action: "ignore".to_owned(),
        ..wire::SetFieldRequest::default()
    };
    api.set_field(by("admin", ask)).await.unwrap();
    assert_eq!(api.get_plan(by("viewer", mapping(&draft.id))).await.unwrap().into_inner().state, "stale");
    stale(api.activate(activate(&plan.hash)).await.unwrap_err());
    assert_eq!(world.mapping(&draft.id).await.state, "draft");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_whose_records_moved_is_worked_out_anew_in_the_background() {
    let world = World::new().await;
    let draft = world.draft().await;
    let activate = async |api: &SyncClient<Channel>, plan: &wire::Plan| {
        let ask = wire::ActivateRequest { mapping_id: draft.id.clone(), plan_hash: plan.hash.clone() };
        api.clone().activate(by("admin", ask)).await
    };
    let is_stale = |answer: Result<tonic::Response<wire::Mapping>, tonic::Status>| {
        assert_eq!(chassis::guard::stable_code(&answer.unwrap_err()), Some("plan_stale"));
    };
    world.request_plan(&draft.id).await;
    world.deliver(&[world.edited("1", &[("name", "One"), ("domain", "one.test")])]).await;
    world.backfill_finished("companies", 1).await;
    let first = world.plan_in(&draft.id, "ready").await;
    world.create(&[("name", "New here"), ("domain", "one.test")]).await;
    is_stale(activate(&world.api, &first).await);
    let second = world.plan_in(&draft.id, "ready").await;
    assert_ne!(second.hash, first.hash, "nobody had to ask for it");

    // Here nobody waits for the answer whether it is still true, though it is.
    let hurried =
        world.start_replica_as(|config| Config { check_plan_within: Duration::ZERO, ..config }).await;
    world.deliver(&[world.edited("1", &[("name", "One"), ("domain", "one.test")])]).await;
    world.settled().await;
    is_stale(activate(&hurried, &second).await);
    let third = world.plan_in(&draft.id, "ready").await;
    assert_eq!(third.hash, second.hash);
    assert_eq!(activate(&hurried, &third).await.unwrap().into_inner().state, "active");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_that_nobody_asked_for_a_plan_ends_the_waiting_of_none() {
    let world = World::new().await;
    let draft = world.draft().await;
    let before = world.later();
    world.later();
    world.request_plan(&draft.id).await;
    world.backfill_finished_of(Some(before), "companies", 1).await;
    world.settled().await;
    world.plan_in(&draft.id, "reading").await;
    let asked = world.later();
    world.backfill_finished_of(Some(asked), "companies", 1).await;
    world.plan_in(&draft.id, "ready").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_did_not_change_leaves_a_plan_true() {
    let world = World::new().await;
    let draft = world.draft().await;
    world.request_plan(&draft.id).await;
    world.backfill_finished("companies", 0).await;
    world.plan_in(&draft.id, "ready").await;
    world.describe(world.connection, &hubspot()).await;
    world.settled().await;
    world.plan_in(&draft.id, "ready").await;
    let mut other = hubspot();
    other[0].fields.push(field("extra", "Extra", model::FieldType::Text));
    world.describe(world.connection, &other).await;
    world.plan_in(&draft.id, "stale").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_the_vendor_would_not_create_are_planned_as_blocked_and_say_what_to_do() {
    let world = World::bare().await;
    let mut schema = hubspot();
    schema[0].fields.iter_mut().find(|field| field.name == "city").unwrap().required = true;
    world.connect(world.connection, &schema).await;
    let draft = world.draft().await;
    let record = world.create(&[("name", "Ours"), ("domain", "ours.test")]).await;
    let map = |action: &str| wire::SetFieldRequest {
        mapping_id: draft.id.clone(),
        field: "address_city".to_owned(),
        action: action.to_owned(),
        vendor_field: "city".to_owned(),
        ..wire::SetFieldRequest::default()
    };
    let planned = async || {
        world.request_plan(&draft.id).await;
        world.backfill_finished("companies", 0).await;
        let plan = world.plan_in(&draft.id, "ready").await;
        let [only] = &plan.categories[..] else { panic!("{:?}", plan.categories) };
        (only.name.clone(), only.count, only.samples[0].note.clone())
    };
    world.api.clone().set_field(by("admin", map("ignore"))).await.unwrap();
    let unmapped = "HubSpot requires City (city), and nothing is sent to it: map a field to it";
    assert_eq!(planned().await, ("blocked".to_owned(), 1, unmapped.to_owned()));
    world.api.clone().set_field(by("admin", map("choose"))).await.unwrap();
    let blank = "HubSpot requires City (city), and City is blank here: fill it in";
    assert_eq!(planned().await, ("blocked".to_owned(), 1, blank.to_owned()));
    world.edit(&record.id, &[("address_city", "Bonn")]).await;
    assert_eq!(planned().await, ("create_there".to_owned(), 1, String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_during_a_pause_is_merged_and_written_afterwards() {
    let world = World::new().await;
    let mut api = world.api.clone();
    let active = world.active("bidirectional", "newest_wins").await;
    let old = world.edited("1", &[("name", "Older"), ("phone", "1")]);
    world.deliver(&[world.edited("1", &[("name", "One"), ("phone", "1")])]).await;
    let record = world.company_with("1", "name", "One").await;
    assert_eq!(
        api.pause_mapping(by("admin", mapping(&active.id))).await.unwrap().into_inner().state,
        "paused"
    );
    let _: CaptureStopped = world.wait_for("a stop", kind::CAPTURE_STOPPED, |_| true).await;
    let again = api.pause_mapping(by("admin", mapping(&active.id))).await.unwrap_err();
    assert_eq!(chassis::guard::stable_code(&again), Some("mapping_state"));

    let newer = world.edited("1", &[("name", "Uno"), ("phone", "1")]);
    world.deliver(&[newer, old, world.edited("2", &[("name", "Two")])]).await;
    world.edit(&record.id, &[("phone", "2")]).await;
    let ours = world.create(&[("name", "Ours")]).await;
    world.settled().await;
    assert_eq!(text(&world.get(&record.id).await, "name"), "One");
    assert_eq!(world.find("company", "2").await, None);
    assert_eq!(world.writes(), []);

    assert_eq!(
        api.resume_mapping(by("admin", mapping(&active.id))).await.unwrap().into_inner().state,
        "active"
    );
    world.company_with("1", "name", "Uno").await;
    world.company_with("2", "name", "Two").await;
    world.plan_in(&active.id, "applied").await;
    world.settled().await;
    let writes = world.writes();
    assert_eq!(writes.len(), 2, "{writes:?}");
    let update = writes.iter().find(|write| write.record.to_string() == record.id).unwrap();
    assert_eq!(update.fields, texts(&[("phone", "2")]));
    assert!(writes.iter().any(|write| write.record.to_string() == ours.id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_during_a_pause_is_planned_and_settled_by_policy_afterwards() {
    let world = World::new().await;
    let mut api = world.api.clone();
    let active = world.active("bidirectional", "newest_wins").await;
    let policy = wire::SetMappingRequest {
        mapping_id: active.id.clone(),
        delete_policy: Some("archive".to_owned()),
        ..wire::SetMappingRequest::default()
    };
    api.set_mapping(by("admin", policy)).await.unwrap();
    world.activate(&active.id, 0).await;
    let read = ["1", "2", "3"].map(|id| world.edited(id, &[("name", id)]));
    world.deliver(&read).await;
    world.settled().await;
    let gone = |id: &str| ChangeEvent { kind: ChangeKind::Deleted, ..world.edited(id, &[]) };
    api.pause_mapping(by("admin", mapping(&active.id))).await.unwrap();
    world.deliver(&[gone("1"), gone("2")]).await;
    let back = world.edited("2", &[("name", "Back")]);
    world.deliver(&[back, gone("3"), world.edited("3", &[("name", "Back")]), gone("3")]).await;
    world.settled().await;
    let mut ids = Vec::new();
    for id in ["1", "2", "3"] {
        let record = world.find("company", id).await.unwrap();
        assert_eq!((record.archived_at.as_ref(), text(&record, "name").as_str()), (None, id));
        ids.push(record.id);
    }

    world.request_plan(&active.id).await;
    world.backfill_finished("companies", 0).await;
    let plan = world.plan_in(&active.id, "ready").await;
    let here = plan.categories.iter().find(|category| category.name == "update_here").unwrap();
    assert_eq!(here.count, 3, "two are archived and one is renamed: {here:?}");
    let ask = wire::ActivateRequest { mapping_id: active.id.clone(), plan_hash: plan.hash };
    api.activate(by("admin", ask)).await.unwrap();
    world.plan_in(&active.id, "applied").await;
    world.settled().await;
    for (id, is_archived, state) in
        [("1", true, "detached"), ("2", false, "in_sync"), ("3", true, "detached")]
    {
        let record = world.get(&ids[id.parse::<usize>().unwrap() - 1]).await;
        assert_eq!(
            (record.archived_at.is_some(), record.links[0].state.as_str()),
            (is_archived, state),
            "{id}"
        );
    }
    assert_eq!(text(&world.get(&ids[1]).await, "name"), "Back");
    assert_eq!(text(&world.get(&ids[2]).await, "name"), "Back", "what was set there before it went counts");
    assert_eq!(world.writes(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_is_mapped_later_is_read_with_its_history_and_settings_alone_are_not() {
    let world = World::new().await;
    let mut api = world.api.clone();
    let active = world.active("bidirectional", "newest_wins").await;
    world.deliver(&[world.edited("1", &[("name", "One")])]).await;
    world.company_with("1", "name", "One").await;
    world.settled().await;
    let before = world.all::<CaptureRequested>(kind::CAPTURE_REQUESTED).len();
    let set = |action: &str, vendor_field: &str, pii| wire::SetFieldRequest {
        mapping_id: active.id.clone(),
        field: "description".to_owned(),
        action: action.to_owned(),
        vendor_field: vendor_field.to_owned(),
        pii,
        ..wire::SetFieldRequest::default()
    };
    let mut schema = hubspot();
    schema[0].fields.push(field("notes", "Notes", model::FieldType::Text));
    world.describe(world.connection, &schema).await;
    world.settled().await;
    api.set_field(by("admin", set("choose", "notes", None))).await.unwrap();
    world.settled().await;
    assert_eq!(world.all::<CaptureRequested>(kind::CAPTURE_REQUESTED).len(), before, "it is not planned yet");
    world.request_plan(&active.id).await;
    world.settled().await;
    let wishes = world.all::<CaptureRequested>(kind::CAPTURE_REQUESTED);
    assert_eq!(wishes.len(), before + 1);
    let wish = wishes.last().unwrap();
    assert!(wish.backfill && wish.external_id && wish.fields.contains(&"notes".to_owned()), "{wish:?}");
    api.set_field(by("admin", set("settings", "", Some(true)))).await.unwrap();
    world.settled().await;
    assert_eq!(world.all::<CaptureRequested>(kind::CAPTURE_REQUESTED).len(), before + 1);
    let said = world.all::<MappingChanged>(kind::MAPPING_CHANGED).pop().unwrap();
    assert_eq!((said.action.as_str(), said.field.as_deref()), ("field_settings", Some("description")));
    assert_eq!(said.settings["pii"], ("false".to_owned(), "true".to_owned()));

    // The same version of the record, read again with the new field.
    let mut again = world.edited("1", &[("name", "One"), ("notes", "Hello")]);
    again.lane = model::Lane::Backfill;
    world.deliver(&[again]).await;
    world.backfill_finished("companies", 1).await;
    let plan = world.plan_in(&active.id, "ready").await;
    let ask = wire::ActivateRequest { mapping_id: active.id.clone(), plan_hash: plan.hash };
    api.activate(by("admin", ask)).await.unwrap();
    world.company_with("1", "description", "Hello").await;
    let taken = api
        .set_field(by(
            "admin",
            wire::SetFieldRequest { field: "source".to_owned(), ..set("choose", "notes", None) },
        ))
        .await
        .unwrap_err();
    assert_eq!(chassis::guard::stable_code(&taken), Some("vendor_field_taken"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_object_that_vanished_can_still_be_looked_at() {
    let world = World::new().await;
    let draft = world.draft().await;
    world.describe(world.connection, &hubspot()[1..]).await;
    world.settled().await;
    let shown = world.mapping(&draft.id).await;
    assert_eq!((shown.vendor_object.as_str(), shown.vendor_fields.len()), ("companies", 0));
    let ask = wire::ListMappingsRequest { connection_id: String::new() };
    assert_eq!(
        world.api.clone().list_mappings(by("viewer", ask)).await.unwrap().into_inner().mappings.len(),
        1
    );
    let refused = world.api.clone().suggest_mappings(by("admin", mapping(&draft.id))).await.unwrap_err();
    assert_eq!(chassis::guard::stable_code(&refused), Some("vendor_object_gone"));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_disconnection_what_was_in_flight_is_asked_for_anew() {
    let world = World::new().await;
    world.active("bidirectional", "newest_wins").await;
    world.deliver(&[world.edited("1", &[("name", "One"), ("phone", "1")])]).await;
    let record = world.company_with("1", "name", "One").await;
    world.edit(&record.id, &[("phone", "2")]).await;
    let lost = world.write(0).await;
    world
        .connection_state(world.connection, kind::CONNECTION_DISCONNECTED, ConnectionState::Disconnected)
        .await;
    world.settled().await;
    let asked = world.all::<CaptureRequested>(kind::CAPTURE_REQUESTED).len();
    world.authorize(world.connection).await;
    let again = world.write(1).await;
    assert_eq!(again.fields, lost.fields);
    let wish = testkit::eventually(SOON, "the records to be wanted again", || async {
        world.all::<CaptureRequested>(kind::CAPTURE_REQUESTED).into_iter().nth(asked)
    })
    .await;
    assert!(wish.backfill, "nobody looked in between");
    world.applied(&lost, "1").await;
    world.applied(&again, "1").await;
    world.settled().await;
    assert_eq!(world.get(&record.id).await.links[0].state, "in_sync");
    assert_eq!(world.writes().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_five_thousand_fields_is_taken_and_suggested_from() {
    let world = World::bare().await;
    let mut schema = hubspot();
    for number in 0..5_000 {
        schema[0].fields.push(field(
            &format!("custom_{number}"),
            &format!("Custom {number}"),
            model::FieldType::Text,
        ));
    }
    let connection = ConnectionId::from_uuid(world.connection.uuid());
    world.connect(connection, &schema).await;
    let began = std::time::Instant::now();
    let draft = world.draft().await;
    let took = began.elapsed();
    assert!(draft.fields.iter().any(|field| field.field == "name" && field.state == "confirmed"));
    assert_eq!(draft.vendor_fields.len(), schema[0].fields.len());
    assert!(took < std::time::Duration::from_secs(20), "{took:?}");
}

/// Twenty thousand records; ten seconds for a hundred thousand are what a plan may take where it is not debugged.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_plan_is_made_soon_and_activated_without_being_made_again() {
    let world = World::new().await;
    let draft = world.draft().await;
    world.create(&[("name", "Here"), ("domain", "0.test")]).await;
    world.request_plan(&draft.id).await;
    world.deliver(&[world.edited("0", &[("name", "There"), ("domain", "0.test")])]).await;
    world.settled().await;
    let records: i64 = world
        .query(
            "WITH made AS (INSERT INTO records (id, organization_id, object, version, title, cells, created_at, updated_at) \
                 SELECT gen_random_uuid(), organization_id, object, 1, title || n, \
                     replace(cells::text, '0.test', n || '.test')::json, created_at, updated_at \
                 FROM records, generate_series(1, 20000) n RETURNING organization_id, object, id, title), \
             keys AS (INSERT INTO match_keys (organization_id, object, key, record_id) \
                 SELECT m.organization_id, m.object, replace(k.key, '0.test', substr(m.title, 5) || '.test'), m.id \
                 FROM made m, match_keys k RETURNING 1) \
             SELECT count(*) FROM keys",
        )
        .await;
    let links: i64 = world
        .query(
            "WITH made AS (INSERT INTO links (id, organization_id, mapping_id, vendor_id, state, seen_version, fields, staged) \
                 SELECT gen_random_uuid(), organization_id, mapping_id, n::text, state, seen_version, fields, \
                     replace(staged::text, '0.test', n || '.test')::json \
                 FROM links, generate_series(1, 20000) n RETURNING 1) \
             SELECT count(*) FROM made",
        )
        .await;
    assert_eq!((records, links), (20_000, 20_000));
    let begun = std::time::Instant::now();
    world.backfill_finished("companies", 20_001).await;
    let plan = world.plan_in(&draft.id, "ready").await;
    let planned = begun.elapsed();
    let conflicts = plan.categories.iter().find(|category| category.name == "conflict").unwrap();
    assert_eq!(conflicts.count, 20_001, "{:?}", plan.categories);
    let begun = std::time::Instant::now();
    let ask = wire::ActivateRequest { mapping_id: draft.id.clone(), plan_hash: plan.hash };
    world.api.clone().activate(by("admin", ask)).await.unwrap();
    let activated = begun.elapsed();
    println!("planned {planned:?}, activated {activated:?}");
    assert!(planned < SOON, "{planned:?}");
    assert!(activated < planned / 2, "activated in {activated:?}, planned in {planned:?}");
}
