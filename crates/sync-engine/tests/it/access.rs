use proto::sync as wire;
use tonic::{Code, Status};

use crate::world::{World, by, values};

fn code(result: Result<impl Sized, Status>) -> Code {
    result.err().map_or(Code::Ok, |status| status.code())
}

/// Calls every method with the ids of the world's organization and says what came of it.
macro_rules! each {
    ($world:ident, $credential:expr, [$($method:ident($request:expr)),+ $(,)?]) => {
        vec![$((stringify!($method), code($world.api.clone().$method(by($credential, $request)).await))),+]
    };
}

struct Ids {
    record: String,
    mapping: String,
    conflict: String,
    issue: String,
}

async fn writes(world: &World, ids: &Ids, credential: &str) -> Vec<(&'static str, Code)> {
    let mapping = || wire::MappingRequest { mapping_id: ids.mapping.clone() };
    let issue = || wire::IssueRequest { issue_id: ids.issue.clone() };
    let connection_id = world.connection.to_string();
    each!(
        world,
        credential,
        [
            update_record(wire::UpdateRecordRequest {
                id: ids.record.clone(),
                fields: values(&[("name", "x")]),
                if_version: None
            }),
            archive_record(wire::ArchiveRecordRequest { id: ids.record.clone() }),
            restore_conflict(wire::RestoreConflictRequest { conflict_id: ids.conflict.clone() }),
            create_mapping(wire::CreateMappingRequest {
                connection_id,
                object: "deal".to_owned(),
                vendor_object: "deals".to_owned()
            }),
            suggest_mappings(mapping()),
            set_field(wire::SetFieldRequest {
                mapping_id: ids.mapping.clone(),
                field: "name".to_owned(),
                action: "settings".to_owned(),
                ..Default::default()
            }),
            set_mapping(wire::SetMappingRequest { mapping_id: ids.mapping.clone(), ..Default::default() }),
            discard_changes(mapping()),
            request_plan(mapping()),
            activate(wire::ActivateRequest { mapping_id: ids.mapping.clone(), plan_hash: "x".to_owned() }),
            pause_mapping(mapping()),
            resume_mapping(mapping()),
            retry_issue(issue()),
            dismiss_issue(issue()),
        ]
    )
}

async fn reads(world: &World, ids: &Ids, credential: &str) -> Vec<(&'static str, Code)> {
    let mapping = || wire::MappingRequest { mapping_id: ids.mapping.clone() };
    let connection_id = || world.connection.to_string();
    each!(
        world,
        credential,
        [
            get_record(wire::GetRecordRequest { id: ids.record.clone() }),
            get_history(wire::GetHistoryRequest { id: ids.record.clone(), ..Default::default() }),
            list_pairs(wire::ListPairsRequest { connection_id: connection_id() }),
            get_mapping(mapping()),
            get_plan(mapping()),
            get_sync_health(wire::GetSyncHealthRequest { connection_id: connection_id(), minutes: 5 }),
        ]
    )
}

async fn world_with_everything() -> (World, Ids) {
    let world = World::new().await;
    let mapping = world.active("bidirectional", "crm_wins").await;
    world.deliver(&[world.edited("1", &[("name", "One"), ("numberofemployees", "many")])]).await;
    let record = world.company_with("1", "name", "One").await;
    world.settled().await;
    let issue = world.issues().await.pop().unwrap().id;
    let ids = Ids { record: record.id, mapping: mapping.id, conflict: uuid::Uuid::nil().to_string(), issue };
    (world, ids)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_organizations_ids_are_not_found() {
    let (world, ids) = world_with_everything().await;
    for (method, code) in
        reads(&world, &ids, "stranger").await.into_iter().chain(writes(&world, &ids, "stranger").await)
    {
        assert_eq!(code, Code::NotFound, "{method}");
    }
    for (method, code) in reads(&world, &ids, "viewer").await {
        assert_eq!(code, Code::Ok, "{method}");
    }
    let ask = wire::ListRecordsRequest { object: "company".to_owned(), ..Default::default() };
    assert_eq!(world.api.clone().list_records(by("stranger", ask)).await.unwrap().into_inner().records, []);
    let ask = wire::ListMappingsRequest { connection_id: world.connection.to_string() };
    assert_eq!(world.api.clone().list_mappings(by("stranger", ask)).await.unwrap().into_inner().mappings, []);
    let ask = wire::ListIssuesRequest { connection_id: world.connection.to_string(), ..Default::default() };
    assert_eq!(world.api.clone().list_issues(by("stranger", ask)).await.unwrap().into_inner().issues, []);
    assert_eq!(world.issues().await.len(), 1, "nothing was dismissed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_reads_a_member_edits_records_and_only_an_admin_changes_mappings() {
    let (world, ids) = world_with_everything().await;
    for (method, code) in writes(&world, &ids, "viewer").await {
        assert_eq!(code, Code::PermissionDenied, "{method}");
    }
    for (method, code) in writes(&world, &ids, "member").await {
        let records = ["update_record", "archive_record"].contains(&method);
        let expected = match method {
            "restore_conflict" => Code::NotFound,
            _ if records => Code::Ok,
            _ => Code::PermissionDenied,
        };
        assert_eq!(code, expected, "{method}");
    }
    for (method, code) in reads(&world, &ids, "nobody").await {
        assert_eq!(code, Code::Unauthenticated, "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_never_reaches_another_organizations_mapping() {
    let (world, ids) = world_with_everything().await;
    let change = world.edited("1", &[("name", "Stolen")]);
    let subject = bus::subject::change(&world.other, "hubspot", "companies");
    let now = model::Clock::now(&world.clock);
    let forged =
        bus::Message::json(subject, model::kind::CHANGE, "connector/hubspot", world.other, now, &change)
            .unwrap();
    world.bus.publish(&forged).await.unwrap();
    world.settled().await;
    assert_eq!(crate::world::text(&world.get(&ids.record).await, "name"), "One");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_see_mappings_and_not_records_sees_no_values() {
    let world = World::new().await;
    let draft = world.draft().await;
    world.create(&[("name", "Here"), ("domain", "one.test")]).await;
    world.request_plan(&draft.id).await;
    world.deliver(&[world.edited("1", &[("name", "There"), ("domain", "one.test")])]).await;
    world.settled().await;
    world.backfill_finished("companies", 1).await;
    let plan = world.plan_in(&draft.id, "ready").await;
    assert!(plan.categories.iter().any(|count| !count.samples.is_empty()));
    let ask = wire::MappingRequest { mapping_id: draft.id.clone() };
    let bare = world.api.clone().get_plan(by("mapper", ask)).await.unwrap().into_inner();
    assert_eq!(bare.hash, plan.hash);
    assert!(bare.categories.iter().all(|count| count.samples.is_empty()));

    let ask = wire::ActivateRequest { mapping_id: draft.id.clone(), plan_hash: plan.hash };
    world.api.clone().activate(by("admin", ask)).await.unwrap();
    world.plan_in(&draft.id, "applied").await;
    let fields = [("name", "There"), ("domain", "one.test"), ("numberofemployees", "many")];
    world.deliver(&[world.edited("1", &fields)]).await;
    world.settled().await;
    let (conflict, issue) = (world.conflicts().await.remove(0), world.issues().await.remove(0));
    assert!(conflict.kept.is_some() && conflict.lost.is_some());
    assert!(
        [&conflict.record_title, &issue.record_title, &issue.message].iter().all(|text| !text.is_empty())
    );
    let mut api = world.api.clone();
    let ask = wire::ListConflictsRequest::default();
    let conflicts = api.list_conflicts(by("mapper", ask)).await.unwrap().into_inner().conflicts;
    let bare = wire::Conflict { record_title: String::new(), kept: None, lost: None, ..conflict };
    assert_eq!(conflicts[0], bare);
    let ask = wire::ListIssuesRequest::default();
    let issues = api.list_issues(by("mapper", ask)).await.unwrap().into_inner().issues;
    assert_eq!(issues, [wire::Issue { record_title: String::new(), message: String::new(), ..issue }]);
    world.create(&[("name", "Twin"), ("domain", "two.test")]).await;
    world.create(&[("name", "Twin"), ("domain", "two.test")]).await;
    world.deliver(&[world.edited("2", &[("name", "Which"), ("domain", "two.test")])]).await;
    world.settled().await;
    let ask = wire::ListDecisionsRequest::default();
    let seen = api.list_decisions(by("admin", ask.clone())).await.unwrap().into_inner().decisions.remove(0);
    assert_eq!((seen.title.as_str(), seen.candidates.len()), ("Which", 2));
    let bare = api.list_decisions(by("mapper", ask)).await.unwrap().into_inner().decisions.remove(0);
    assert_eq!((bare.title.as_str(), bare.fields.len()), ("2", 0));
    assert!(bare.candidates.iter().all(|candidate| candidate.title.is_empty()));
    let ask = wire::ListRecordsRequest { object: "company".to_owned(), ..Default::default() };
    assert_eq!(code(api.list_records(by("mapper", ask)).await), Code::PermissionDenied);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_organization_is_on_every_row_that_does_not_go_with_another_one() {
    let world = World::bare().await;
    let without: Vec<String> = world
        .query(
            "SELECT coalesce(array_agg(c.relname::text ORDER BY c.relname), '{}') FROM pg_class c \
             WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' \
               AND NOT EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnotnull \
                               AND a.attname IN ('organization_id', 'organization')) \
               AND NOT EXISTS (SELECT 1 FROM pg_constraint f WHERE f.conrelid = c.oid AND f.contype = 'f' \
                               AND f.confdeltype = 'c')",
        )
        .await;
    // The inbox knows messages, and the ledger of migrations belongs to the installation.
    let known = |name: &String| name == "inbox" || name.contains("migrations");
    assert_eq!(without.iter().filter(|name| !known(name)).collect::<Vec<_>>(), Vec::<&String>::new());
}
