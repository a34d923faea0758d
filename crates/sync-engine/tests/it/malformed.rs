use proto::{sync as wire, v1};
use tonic::{Code, Status};

use crate::world::{World, by, values};

#[track_caller]
fn refused<T>(result: Result<T, Status>, code: Code, stable: &str) -> Option<String> {
    let Err(status) = result else { panic!("{stable} was expected") };
    assert_eq!((status.code(), chassis::guard::stable_code(&status)), (code, Some(stable)), "{status:?}");
    chassis::guard::field(&status).map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_record_requests_get_stable_codes() {
    use Code::{Aborted, FailedPrecondition, InvalidArgument, NotFound};
    let world = World::new().await;
    let mut api = world.api.clone();
    let record = world.create(&[("name", "One")]).await;
    let create = |object: &str, fields: &[(&str, &str)], key: &str| {
        by(
            "member",
            wire::CreateRecordRequest {
                object: object.to_owned(),
                fields: values(fields),
                idempotency_key: key.to_owned(),
            },
        )
    };
    let one = [("name", "One")];
    refused(api.create_record(create("moon", &one, "")).await, NotFound, "object_unknown");
    let missing =
        refused(api.create_record(create("company", &[], "")).await, InvalidArgument, "field_required");
    assert_eq!(missing.as_deref(), Some("name"));
    let unknown = [("name", "One"), ("nom", "x")];
    let field =
        refused(api.create_record(create("company", &unknown, "")).await, InvalidArgument, "field_unknown");
    assert_eq!(field.as_deref(), Some("nom"));
    let number = [("name", "One"), ("employee_count", "many")];
    refused(api.create_record(create("company", &number, "")).await, InvalidArgument, "value_does_not_fit");
    let option = [("name", "One"), ("company_type", "alien")];
    refused(api.create_record(create("company", &option, "")).await, InvalidArgument, "option_unknown");
    let nul = [("name", "O\0ne")];
    refused(api.create_record(create("company", &nul, "")).await, InvalidArgument, "text_invalid");
    let key = "k".repeat(300);
    refused(
        api.create_record(create("company", &one, &key)).await,
        InvalidArgument,
        "idempotency_key_too_long",
    );
    let first = api.create_record(create("company", &one, "key")).await.unwrap().into_inner();
    let second = api.create_record(create("company", &one, "key")).await.unwrap().into_inner();
    assert_eq!(first.id, second.id, "the same key gives the same record");
    let other = [("name", "Two")];
    refused(
        api.create_record(create("company", &other, "key")).await,
        Code::AlreadyExists,
        "idempotency_key_reused",
    );

    let update = |id: &str, fields: &[(&str, &str)], if_version| {
        by("member", wire::UpdateRecordRequest { id: id.to_owned(), fields: values(fields), if_version })
    };
    for id in ["", "x", "rec_", &format!("rec_{}", "0".repeat(32)), &world.connection.to_string()] {
        refused(api.update_record(update(id, &one, None)).await, NotFound, "not_found");
        refused(
            api.get_record(by("viewer", wire::GetRecordRequest { id: id.to_owned() })).await,
            NotFound,
            "not_found",
        );
    }
    refused(api.update_record(update(&record.id, &one, Some(99))).await, Aborted, "version_changed");
    refused(
        api.update_record(update(&record.id, &[("name", "")], None)).await,
        InvalidArgument,
        "field_required",
    );
    let wrong = v1::Value { kind: Some(v1::value::Kind::Number("ten".to_owned())) };
    let ask = wire::UpdateRecordRequest {
        id: record.id.clone(),
        fields: [("employee_count".to_owned(), wrong)].into(),
        if_version: None,
    };
    refused(api.update_record(by("member", ask)).await, InvalidArgument, "value_invalid");
    let archive = || by("member", wire::ArchiveRecordRequest { id: record.id.clone() });
    let archived = api.archive_record(archive()).await.unwrap().into_inner();
    assert_eq!(api.archive_record(archive()).await.unwrap().into_inner().version, archived.version);
    refused(api.update_record(update(&record.id, &one, None)).await, FailedPrecondition, "record_archived");

    let list = |object: &str, vendor: &str, page: &str, query: &str| {
        by(
            "viewer",
            wire::ListRecordsRequest {
                object: object.to_owned(),
                vendor: vendor.to_owned(),
                page: page.to_owned(),
                query: query.to_owned(),
                ..wire::ListRecordsRequest::default()
            },
        )
    };
    refused(api.list_records(list("moons", "", "", "")).await, NotFound, "object_unknown");
    refused(
        api.list_records(list("company", "hubspot", "", "")).await,
        InvalidArgument,
        "vendor_filter_incomplete",
    );
    refused(api.list_records(list("company", "", "second", "")).await, InvalidArgument, "page_invalid");
    refused(api.list_records(list("company", "", "", "\0")).await, InvalidArgument, "text_invalid");
    assert!(
        api.list_records(list("company", "", "", "%_\\'\"")).await.unwrap().into_inner().records.is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_mapping_requests_get_stable_codes() {
    use Code::{AlreadyExists, FailedPrecondition, InvalidArgument, NotFound};
    let world = World::new().await;
    let mut api = world.api.clone();
    let create = |connection: &str, object: &str, vendor_object: &str| {
        by(
            "admin",
            wire::CreateMappingRequest {
                connection_id: connection.to_owned(),
                object: object.to_owned(),
                vendor_object: vendor_object.to_owned(),
            },
        )
    };
    let connection = world.connection.to_string();
    refused(api.create_mapping(create("x", "company", "companies")).await, NotFound, "not_found");
    refused(
        api.create_mapping(create(&connection, "moon", "companies")).await,
        InvalidArgument,
        "object_unknown",
    );
    refused(
        api.create_mapping(create(&connection, "company", "moons")).await,
        InvalidArgument,
        "vendor_object_unknown",
    );
    let mapping = api.create_mapping(create(&connection, "company", "companies")).await.unwrap().into_inner();
    refused(
        api.create_mapping(create(&connection, "company", "companies")).await,
        AlreadyExists,
        "mapping_exists",
    );
    let request = || by("admin", wire::MappingRequest { mapping_id: mapping.id.clone() });
    refused(api.request_plan(request()).await, FailedPrecondition, "nothing_mapped");
    refused(api.get_plan(request()).await, NotFound, "not_found");
    refused(api.pause_mapping(request()).await, FailedPrecondition, "mapping_state");
    refused(api.resume_mapping(request()).await, FailedPrecondition, "mapping_state");

    let set = |field: &str, action: &str, vendor_field: &str| wire::SetFieldRequest {
        mapping_id: mapping.id.clone(),
        field: field.to_owned(),
        action: action.to_owned(),
        vendor_field: vendor_field.to_owned(),
        ..wire::SetFieldRequest::default()
    };
    for (ask, stable) in [
        (set("nom", "ignore", ""), "field_unknown"),
        (set("name", "dance", ""), "action_unknown"),
        (set("name", "confirm", ""), "nothing_to_confirm"),
        (set("name", "choose", "nom"), "vendor_field_unknown"),
        (set("name", "choose", ""), "vendor_field_unknown"),
        (set("name", "choose", "\0"), "vendor_field_unknown"),
        (
            wire::SetFieldRequest { direction: Some("up".into()), ..set("name", "settings", "") },
            "direction_unknown",
        ),
        (
            wire::SetFieldRequest { policy: Some("luck".into()), ..set("name", "settings", "") },
            "policy_unknown",
        ),
    ] {
        refused(api.set_field(by("admin", ask)).await, InvalidArgument, stable);
    }
    let set = |change: fn(&mut wire::SetMappingRequest)| {
        let mut ask = wire::SetMappingRequest { mapping_id: mapping.id.clone(), ..Default::default() };
        change(&mut ask);
        by("admin", ask)
    };
    let keys = set(|ask| ask.match_keys = vec!["shoe size".to_owned()]);
    refused(api.set_mapping(keys).await, InvalidArgument, "match_key_unknown");
    refused(
        api.set_mapping(set(|ask| ask.direction = Some(String::new()))).await,
        InvalidArgument,
        "direction_unknown",
    );
    refused(
        api.set_mapping(set(|ask| ask.default_policy = Some("x".into()))).await,
        InvalidArgument,
        "policy_unknown",
    );

    let custom = |name: &str, kind: &str| {
        let field = v1::Field { name: name.to_owned(), r#type: kind.to_owned(), ..v1::Field::default() };
        by("admin", wire::AddCustomFieldRequest { object: "company".to_owned(), field: Some(field) })
    };
    for (name, kind) in
        [("", "text"), ("Größe", "text"), ("a b", "text"), (&*"x".repeat(500), "text"), ("ok", "rocket")]
    {
        let status = api.add_custom_field(custom(name, kind)).await.unwrap_err();
        assert_eq!(status.code(), InvalidArgument, "{name} {kind}: {status:?}");
        assert!(chassis::guard::stable_code(&status).is_some());
    }
    let none = wire::AddCustomFieldRequest { object: "company".to_owned(), field: None };
    assert_eq!(api.add_custom_field(by("admin", none)).await.unwrap_err().code(), InvalidArgument);
    refused(api.add_custom_field(custom("name", "text")).await, AlreadyExists, "field_exists");
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_lists_and_decisions_get_stable_codes() {
    use Code::NotFound;
    let world = World::new().await;
    let mut api = world.api.clone();
    for id in ["", "x", &uuid::Uuid::nil().to_string(), "\0"] {
        let conflict = wire::RestoreConflictRequest { conflict_id: id.to_owned() };
        refused(api.restore_conflict(by("member", conflict)).await, NotFound, "not_found");
        let issue = || by("admin", wire::IssueRequest { issue_id: id.to_owned() });
        refused(api.retry_issue(issue()).await, NotFound, "not_found");
        refused(api.dismiss_issue(issue()).await, NotFound, "not_found");
    }
    let list = |connection: &str, record: &str, page: &str| {
        by(
            "viewer",
            wire::ListConflictsRequest {
                connection_id: connection.to_owned(),
                record_id: record.to_owned(),
                page: page.to_owned(),
                limit: u32::MAX,
            },
        )
    };
    refused(api.list_conflicts(list("x", "", "")).await, NotFound, "not_found");
    refused(api.list_conflicts(list("", "x", "")).await, NotFound, "not_found");
    refused(api.list_conflicts(list("", "", "x")).await, NotFound, "not_found");
    let history = wire::GetHistoryRequest { id: "x".to_owned(), limit: u32::MAX, before_version: -5 };
    refused(api.get_history(by("viewer", history)).await, NotFound, "not_found");
    let health = wire::GetSyncHealthRequest { connection_id: String::new(), minutes: u32::MAX };
    refused(api.get_sync_health(by("viewer", health)).await, NotFound, "not_found");
}
