use model::{ChangeEvent, RecordChanged, Value, kind};
use proto::sync as wire;

use crate::world::{World, by, text, values};

#[tokio::test(flavor = "multi_thread")]
async fn a_field_marked_as_personal_is_named_in_every_event() {
    let world = World::new().await;
    let draft = world.draft().await;
    let ask = wire::SetFieldRequest {
        mapping_id: draft.id.clone(),
        field: "phone".to_owned(),
        action: "settings".to_owned(),
        pii: Some(true),
        ..wire::SetFieldRequest::default()
    };
    world.api.clone().set_field(by("admin", ask)).await.unwrap();
    world.activate(&draft.id, 0).await;
    world.deliver(&[world.edited("1", &[("name", "One"), ("phone", "1")])]).await;
    let record = world.company_with("1", "name", "One").await;
    world.edit(&record.id, &[("phone", "2")]).await;
    for (kind, fields) in [(kind::RECORD_CREATED, 2), (kind::RECORD_CHANGED, 1)] {
        let event: RecordChanged = world.wait_for(kind, kind, |_| true).await;
        assert_eq!(event.pii, ["phone"], "{kind}");
        assert_eq!(event.fields.len(), fields);
    }
    let there =
        ChangeEvent { version: i64::MAX / 2, ..world.edited("1", &[("name", "One"), ("phone", "3")]) };
    world.settled().await;
    world.applied(&world.write(0).await, "1").await;
    world.edit(&record.id, &[("phone", "4")]).await;
    let write = world.write(1).await;
    world.deliver(&[there]).await;
    world.settled().await;
    world
        .answer(
            &write,
            model::WriteOutcome::Rejected {
                category: model::IssueCategory::Validation,
                message: "no".to_owned(),
                field: Some("phone".to_owned()),
            },
        )
        .await;
    world.settled().await;
    assert!(world.conflicts().await.iter().all(|conflict| conflict.pii));
    assert_eq!(world.conflicts().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_in_any_script_and_long_texts_arrive_whole() {
    let world = World::new().await;
    world.active("bidirectional", "newest_wins").await;
    let names = [
        "株式会社アコード",
        "Ωμέγα ΑΕ",
        "شركة",
        "Ünïcødé & <b>Söhne</b> 🦀",
        "O'Brien; DROP TABLE",
        "a\u{0}b",
    ];
    let changes: Vec<ChangeEvent> =
        names.iter().enumerate().map(|(n, name)| world.edited(&n.to_string(), &[("name", name)])).collect();
    world.deliver(&changes).await;
    for (number, name) in names.iter().enumerate() {
        world.company_with(&number.to_string(), "name", &name.replace('\0', "")).await;
    }
    let ask = wire::ListRecordsRequest {
        object: "companies".to_owned(),
        query: "ünïcødé & <B>".to_owned(),
        ..wire::ListRecordsRequest::default()
    };
    let found = world.api.clone().list_records(by("viewer", ask)).await.unwrap().into_inner().records;
    assert_eq!(found.len(), 1, "found by a part of the name in any case");

    let long = "ß".repeat(128 * 1024);
    let record = world.edit(&found[0].id, &[("description", &long), ("external_id", &long)]).await;
    assert_eq!(text(&record, "description"), long);
    let longer = format!("{long}!");
    let ask = wire::UpdateRecordRequest {
        id: record.id.clone(),
        fields: values(&[("description", &longer)]),
        if_version: None,
    };
    let refused = world.api.clone().update_record(by("member", ask)).await.unwrap_err();
    assert_eq!(chassis::guard::stable_code(&refused), Some("value_too_long"));

    world.deliver(&[world.edited("0", &[("name", &long), ("domain", &long), ("city", &long)])]).await;
    world.company_with("0", "domain", &long).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_too_large_for_one_message_are_an_issue_and_the_change_is_still_told() {
    let world = World::new().await;
    world.active("bidirectional", "newest_wins").await;
    // Each character takes six bytes in JSON.
    let large = "\u{1}".repeat(200 * 1024);
    let record = world.create(&[("name", "Small"), ("address_city", &large)]).await;
    let event: RecordChanged = world
        .wait_for("record.created", kind::RECORD_CREATED, |e: &RecordChanged| {
            e.record.to_string() == record.id
        })
        .await;
    assert!(event.truncated, "{event:?}");
    let named: Vec<(&str, &model::Value)> =
        event.fields.iter().map(|(field, value)| (field.as_str(), value)).collect();
    assert_eq!(named, [("address_city", &model::Value::Null), ("name", &model::Value::Null)]);
    world.settled().await;
    assert_eq!(world.writes(), []);
    let issue = world.issues().await.pop().unwrap();
    assert_eq!((issue.category.as_str(), issue.record_id.as_str()), ("value", record.id.as_str()));
    world.edit(&record.id, &[("address_city", "Small")]).await;
    assert_eq!(world.write(0).await.fields, crate::world::texts(&[("name", "Small"), ("city", "Small")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn custom_fields_are_mapped_and_synced_like_any_other() {
    let world = World::new().await;
    let mut api = world.api.clone();
    let score = proto::v1::Field {
        name: "partner_score".to_owned(),
        label: "Partner Score".to_owned(),
        r#type: "number".to_owned(),
        ..proto::v1::Field::default()
    };
    let ask = wire::AddCustomFieldRequest { object: "company".to_owned(), field: Some(score) };
    api.add_custom_field(by("admin", ask.clone())).await.unwrap();
    let again = api.add_custom_field(by("admin", ask)).await.unwrap_err();
    assert_eq!(chassis::guard::stable_code(&again), Some("field_exists"));
    let draft = world.draft().await;
    let ask = wire::SetFieldRequest {
        mapping_id: draft.id.clone(),
        field: "partner_score".to_owned(),
        action: "choose".to_owned(),
        vendor_field: "numberofemployees".to_owned(),
        ..wire::SetFieldRequest::default()
    };
    let taken = api.set_field(by("admin", ask.clone())).await.unwrap_err();
    assert_eq!(chassis::guard::stable_code(&taken), Some("vendor_field_taken"));
    let unmap = wire::SetFieldRequest {
        field: "employee_count".to_owned(),
        action: "unmap".to_owned(),
        ..ask.clone()
    };
    api.set_field(by("admin", unmap)).await.unwrap();
    api.set_field(by("admin", ask)).await.unwrap();
    world.activate(&draft.id, 0).await;
    world.deliver(&[world.edited("1", &[("name", "One"), ("numberofemployees", "1.50")])]).await;
    let record = world.company_with("1", "partner_score", "1.50").await;
    world.edit(&record.id, &[("partner_score", "2")]).await;
    let write = world.write(0).await;
    assert_eq!(write.fields["numberofemployees"], Value::Number(2.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_without_any_mapped_field_is_linked_and_nothing_is_written() {
    let world = World::new().await;
    world.active("bidirectional", "newest_wins").await;
    world.deliver(&[world.edited("1", &[("nobody_mapped_this", "x")])]).await;
    world.settled().await;
    let record = world.find("company", "1").await.unwrap();
    assert!(record.fields.is_empty(), "{:?}", record.fields);
    assert_eq!((world.writes(), world.issues().await), (Vec::new(), Vec::new()));
}
