//! Changes of a mapping that works wait until their plan is applied, and the sync goes on without them.

use model::{CaptureRequested, ChangeEvent, ChangeKind, FieldType, MappingChanged, kind};
use proto::sync as wire;

use crate::world::{World, by, field, hubspot, text, texts};

fn named(mapping: &wire::Mapping) -> wire::MappingRequest {
    wire::MappingRequest { mapping_id: mapping.id.clone() }
}

/// An active company mapping at a vendor that has notes, too, which nobody mapped.
async fn active(direction: &str) -> (World, wire::Mapping) {
    let world = World::new().await;
    let mapping = world.active(direction, "newest_wins").await;
    let mut schema = hubspot();
    schema[0].fields.push(field("notes", "Notes", FieldType::Text));
    world.describe(world.connection, &schema).await;
    world.settled().await;
    (world, mapping)
}

async fn set(
    world: &World,
    mapping: &wire::Mapping,
    change: impl FnOnce(&mut wire::SetMappingRequest),
) -> wire::Mapping {
    let mut ask = wire::SetMappingRequest { mapping_id: mapping.id.clone(), ..Default::default() };
    change(&mut ask);
    world.api.clone().set_mapping(by("admin", ask)).await.unwrap().into_inner()
}

async fn set_field(world: &World, mapping: &wire::Mapping, ask: wire::SetFieldRequest) -> wire::Mapping {
    let ask = wire::SetFieldRequest { mapping_id: mapping.id.clone(), ..ask };
    world.api.clone().set_field(by("admin", ask)).await.unwrap().into_inner()
}

fn choose(field: &str, vendor_field: &str) -> wire::SetFieldRequest {
    wire::SetFieldRequest {
        field: field.to_owned(),
        action: "choose".to_owned(),
        vendor_field: vendor_field.to_owned(),
        ..wire::SetFieldRequest::default()
    }
}

fn settings(field: &str) -> wire::SetFieldRequest {
    wire::SetFieldRequest {
        field: field.to_owned(),
        action: "settings".to_owned(),
        ..wire::SetFieldRequest::default()
    }
}

fn pending(mapping: &wire::Mapping) -> Vec<[&str; 4]> {
    let changes = mapping.pending_changes.iter();
    changes.map(|it| [&*it.field, &*it.setting, &*it.before, &*it.after]).collect()
}

fn code<T>(answer: Result<tonic::Response<T>, tonic::Status>) -> String {
    let refused = answer.err().expect("it is refused");
    chassis::guard::stable_code(&refused).unwrap_or_default().to_owned()
}

/// The counts of a plan, by category.
fn counts(plan: &wire::Plan) -> Vec<(&str, u64)> {
    let mut counts: Vec<(&str, u64)> = plan.categories.iter().map(|it| (&*it.name, it.count)).collect();
    counts.sort_unstable();
    counts
}

fn note<'a>(plan: &'a wire::Plan, category: &str, vendor_id: &str) -> Option<&'a str> {
    let found = plan.categories.iter().find(|it| it.name == category)?;
    found.samples.iter().find(|sample| sample.vendor_id == vendor_id).map(|sample| &*sample.note)
}

async fn activate(
    world: &World,
    mapping: &wire::Mapping,
    hash: &str,
) -> Result<wire::Mapping, tonic::Status> {
    let ask = wire::ActivateRequest { mapping_id: mapping.id.clone(), plan_hash: hash.to_owned() };
    world.api.clone().activate(by("admin", ask)).await.map(tonic::Response::into_inner)
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_an_active_mapping_wait_for_their_plan_while_it_syncs_on() {
    let (world, mapping) = active("bidirectional").await;
    let read = |id: &str, notes: &str| {
        let city = match id {
            "2" => "Nowhere",
            "4" => "Ulm",
            _ => "Bonn",
        };
        world.edited(id, &[("name", id), ("phone", "1"), ("city", city), ("notes", notes)])
    };
    let unread =
        ["1", "2", "3", "4"].map(|id| world.edited(id, &[("name", id), ("phone", "1"), ("city", "Bonn")]));
    world.deliver(&unread).await;
    let mut ids = Vec::new();
    for id in ["1", "2", "3", "4"] {
        ids.push(world.company_with(id, "name", id).await.id);
    }

    set_field(&world, &mapping, choose("description", "notes")).await;
    let direction = Some("to_vendor".to_owned());
    set_field(&world, &mapping, wire::SetFieldRequest { direction, ..settings("phone") }).await;
    let conditions = vec!["there city is_not Nowhere".to_owned()];
    let filter = wire::Filter { any: false, conditions };
    let shown = set(&world, &mapping, |ask| ask.filter = Some(filter)).await;
    assert_eq!(shown.state, "active");
    assert_eq!(
        pending(&shown),
        [
            ["", "filter", "", "there city is_not Nowhere"],
            ["description", "vendor_field", "", "notes"],
            ["phone", "direction", "", "to_vendor"],
        ]
    );
    assert_eq!(shown.filter.unwrap().conditions.len(), 1, "what people edit is what they see");

    // The sync goes on as it did.
    world.deliver(&[world.edited("1", &[("name", "1"), ("phone", "2")])]).await;
    world.company_with("1", "phone", "2").await;
    world.deliver(&[world.edited("2", &[("name", "2"), ("phone", "1"), ("city", "Nowhere")])]).await;
    world.company_with("2", "address_city", "Nowhere").await;
    world.edit(&ids[3], &[("description", "ours"), ("address_city", "Ulm")]).await;
    let write = world.write(0).await;
    assert_eq!(write.fields, texts(&[("city", "Ulm")]));
    world.applied(&write, "4").await;

    world.request_plan(&mapping.id).await;
    let wish: CaptureRequested = world
        .wait_for("all to be read", kind::CAPTURE_REQUESTED, |it: &CaptureRequested| {
            it.backfill && it.fields.contains(&"notes".to_owned())
        })
        .await;
    assert!(wish.external_id && wish.fields.contains(&"phone".to_owned()));
    world.deliver(&[read("1", "first"), read("2", "second"), read("3", ""), read("4", "theirs")]).await;
    world.backfill_finished("companies", 4).await;
    let plan = world.plan_in(&mapping.id, "ready").await;
    assert_eq!(note(&plan, "update_here", "1"), Some("description"), "{plan:?}");
    assert_eq!(note(&plan, "skipped", "2"), Some("the filter leaves it out"), "{plan:?}");
    assert_eq!(note(&plan, "conflict", "4"), Some("description"), "{plan:?}");
    assert_eq!(counts(&plan), [("conflict", 1), ("matched_equal", 1), ("skipped", 1), ("update_here", 1)]);
    world.settled().await;
    assert_eq!(text(&world.get(&ids[0]).await, "description"), "", "nothing moves before it is applied");
    assert_eq!(text(&world.get(&ids[1]).await, "address_city"), "Nowhere");

    let stale =
        |refused: tonic::Status| assert_eq!(chassis::guard::stable_code(&refused), Some("plan_stale"));
    stale(activate(&world, &mapping, "not the hash").await.unwrap_err());
    // What arrives for the sync that goes on is known to the plan.
    world.deliver(&[read("3", "third")]).await;
    world.settled().await;
    stale(activate(&world, &mapping, &plan.hash).await.unwrap_err());
    let anew = world.plan_in(&mapping.id, "ready").await;
    assert_eq!(note(&anew, "update_here", "3"), Some("description"), "{anew:?}");

    let applied = activate(&world, &mapping, &anew.hash).await.unwrap();
    assert_eq!((applied.state.as_str(), pending(&applied).len()), ("active", 0));
    for (id, notes) in [("1", "first"), ("3", "third"), ("4", "theirs")] {
        world.company_with(id, "description", notes).await;
    }
    world.plan_in(&mapping.id, "applied").await;
    world.settled().await;
    assert_eq!(text(&world.get(&ids[1]).await, "description"), "");
    assert_eq!(world.get(&ids[1]).await.links[0].state, "filtered");
    assert_eq!(world.query::<i64>("SELECT count(*) FROM beside").await, 0);
    world
        .deliver(&[world.edited("1", &[("name", "1"), ("phone", "3"), ("notes", "last"), ("city", "Bonn")])])
        .await;
    let one = world.company_with("1", "description", "last").await;
    assert_eq!(text(&one, "phone"), "1", "the phone flows there only, and was read as 1 last");
    let mut api = world.api.clone();
    let runs = api.list_runs(by("viewer", wire::ListRunsRequest::default()));
    let runs = runs.await.unwrap().into_inner().runs;
    assert!(runs.iter().any(|run| run.kind == "apply" && run.state == "done"), "{runs:?}");
    let said = world.all::<MappingChanged>(kind::MAPPING_CHANGED).pop().unwrap();
    assert_eq!((said.action.as_str(), said.settings["applied_changes"].1.as_str()), ("activated", "3"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direction_is_planned_with_the_records_that_one_side_alone_has() {
    let (world, mapping) = active("to_vendor").await;
    let ours = world.create(&[("name", "Ours"), ("domain", "ours.test")]).await;
    let write = world.write(0).await;
    world.applied(&write, "1").await;
    world.deliver(&[world.edited("9", &[("name", "Unknown here")])]).await;
    world.settled().await;
    let shown = set(&world, &mapping, |ask| ask.direction = Some("from_vendor".to_owned())).await;
    assert_eq!(pending(&shown), [["", "direction", "to_vendor", "from_vendor"]]);
    // Meanwhile it flows as before.
    let other = world.create(&[("name", "Other"), ("domain", "other.test")]).await;
    let second = world.write(1).await;
    assert_eq!(second.record.to_string(), other.id);

    world.request_plan(&mapping.id).await;
    let gone = ChangeEvent { kind: ChangeKind::Deleted, ..world.edited("8", &[]) };
    let known = world.edited("1", &[("name", "Renamed there"), ("domain", "ours.test")]);
    let late = world.edited("8", &[("name", "Gone")]);
    world.deliver(&[late.clone(), known, world.edited("9", &[("name", "Unknown here")])]).await;
    world.deliver(&[ChangeEvent { version: late.version + 1, ..gone }]).await;
    world.backfill_finished("companies", 3).await;
    let plan = world.plan_in(&mapping.id, "ready").await;
    assert_eq!(note(&plan, "create_here", "9"), Some(""), "{plan:?}");
    assert_eq!(note(&plan, "update_here", "1"), Some("name"), "{plan:?}");
    assert_eq!(note(&plan, "skipped", ""), Some("the direction is from the vendor only"), "{plan:?}");
    assert_eq!(counts(&plan), [("create_here", 1), ("skipped", 1), ("update_here", 1)], "{plan:?}");
    assert_eq!(world.find("company", "9").await, None, "nothing moves before it is applied");

    activate(&world, &mapping, &plan.hash).await.unwrap();
    world.company_with("9", "name", "Unknown here").await;
    let renamed = world.company_with("1", "name", "Renamed there").await;
    assert_eq!(renamed.id, ours.id);
    world.plan_in(&mapping.id, "applied").await;
    assert_eq!(world.find("company", "8").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_can_be_discarded_and_what_moves_no_record_waits_for_nothing() {
    let (world, mapping) = active("bidirectional").await;
    let mut api = world.api.clone();
    assert_eq!(code(api.discard_changes(by("admin", named(&mapping))).await), "nothing_pending");
    assert_eq!(code(api.request_plan(by("admin", named(&mapping))).await), "mapping_active");

    // Neither a mark of personal data nor what nobody confirmed moves anything.
    let marked =
        set_field(&world, &mapping, wire::SetFieldRequest { pii: Some(true), ..settings("phone") }).await;
    assert_eq!(pending(&marked).len(), 0);
    let ignore = wire::SetFieldRequest { action: "ignore".to_owned(), ..settings("source") };
    assert_eq!(pending(&set_field(&world, &mapping, ignore).await).len(), 0);
    set_field(&world, &mapping, choose("description", "notes")).await;
    let both = wire::SetFieldRequest {
        pii: Some(true),
        policy: Some("crm_wins".to_owned()),
        ..settings("address_city")
    };
    let shown = set_field(&world, &mapping, both).await;
    assert_eq!(pending(&shown).len(), 2, "{shown:?}");
    api.suggest_mappings(by("admin", named(&mapping))).await.unwrap();
    assert_eq!(pending(&world.mapping(&mapping.id).await), pending(&shown));
    // Whoever puts it back by hand has nothing that waits.
    let unmap = wire::SetFieldRequest { action: "unmap".to_owned(), ..settings("description") };
    assert_eq!(pending(&set_field(&world, &mapping, unmap).await).len(), 1);
    set_field(&world, &mapping, choose("description", "notes")).await;

    world.request_plan(&mapping.id).await;
    world.deliver(&[world.edited("1", &[("name", "One"), ("notes", "Hello"), ("city", "Bonn")])]).await;
    world.backfill_finished("companies", 1).await;
    world.plan_in(&mapping.id, "ready").await;
    let kept = api.discard_changes(by("admin", named(&mapping))).await.unwrap().into_inner();
    assert_eq!((kept.state.as_str(), pending(&kept).len()), ("active", 0));
    let city = kept.fields.iter().find(|it| it.field == "address_city").unwrap();
    assert_eq!((city.pii, city.policy.as_str()), (true, "newest_wins"), "the mark holds at once");
    assert_eq!(code(api.get_plan(by("viewer", named(&mapping))).await), "not_found");
    world.settled().await;
    let wish = world.all::<CaptureRequested>(kind::CAPTURE_REQUESTED).pop().unwrap();
    assert!(!wish.backfill && !wish.fields.contains(&"notes".to_owned()), "{wish:?}");
    assert_eq!(world.query::<i64>("SELECT count(*) FROM beside").await, 0);
    let one = world.company_with("1", "address_city", "Bonn").await;
    assert_eq!(text(&one, "description"), "");
    let said = world.all::<MappingChanged>(kind::MAPPING_CHANGED).pop().unwrap();
    assert_eq!(said.action, "changes_discarded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_that_is_resumed_goes_on_as_it_was_and_its_changes_still_wait() {
    let (world, mapping) = active("bidirectional").await;
    let mut api = world.api.clone();
    world.deliver(&[world.edited("1", &[("name", "One"), ("phone", "1")])]).await;
    let one = world.company_with("1", "name", "One").await;
    set_field(&world, &mapping, choose("description", "notes")).await;
    world.request_plan(&mapping.id).await;
    api.pause_mapping(by("admin", named(&mapping))).await.unwrap();
    // What is read of it from now on would not be all: it is asked for anew.
    assert_eq!(code(api.get_plan(by("viewer", named(&mapping))).await), "not_found");
    world.deliver(&[world.edited("1", &[("name", "Uno"), ("phone", "1"), ("notes", "Hello")])]).await;
    world.settled().await;
    api.resume_mapping(by("admin", named(&mapping))).await.unwrap();
    world.company_with("1", "name", "Uno").await;
    world.plan_in(&mapping.id, "applied").await;
    assert_eq!(text(&world.get(&one.id).await, "description"), "");
    assert_eq!(pending(&world.mapping(&mapping.id).await), [["description", "vendor_field", "", "notes"]]);

    // A plan of them can be applied from a pause as well, which ends it.
    api.pause_mapping(by("admin", named(&mapping))).await.unwrap();
    world.request_plan(&mapping.id).await;
    world.deliver(&[world.edited("1", &[("name", "Uno"), ("phone", "1"), ("notes", "Hello")])]).await;
    world.backfill_finished("companies", 1).await;
    let plan = world.plan_in(&mapping.id, "ready").await;
    assert_eq!(note(&plan, "update_here", "1"), Some("description"), "{plan:?}");
    let on = activate(&world, &mapping, &plan.hash).await.unwrap();
    assert_eq!((on.state.as_str(), pending(&on).len()), ("active", 0));
    world.company_with("1", "description", "Hello").await;

    // What the vendor no longer has cannot be planned with.
    world.plan_in(&mapping.id, "applied").await;
    let mut schema = hubspot();
    schema[0].fields.push(field("notes", "Notes", FieldType::Text));
    let before = schema.clone();
    schema[0].fields.push(field("origin", "Origin", FieldType::Text));
    world.describe(world.connection, &schema).await;
    world.settled().await;
    set_field(&world, &mapping, choose("sic_code", "origin")).await;
    world.describe(world.connection, &before).await;
    world.settled().await;
    assert_eq!(code(api.request_plan(by("admin", named(&mapping))).await), "field_gone");
    assert_eq!(world.mapping(&mapping.id).await.state, "active");
}
