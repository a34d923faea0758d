//! Custom objects, which only an Enterprise subscription has.

use std::collections::BTreeMap;

use connector::{Body, Connector, Request, Session};
use connector_hubspot::ApiVersion;
use model::{FieldType, Value, WriteKind, WriteOutcome};
use sandbox::hubspot::{Settings, Tier};
use serde_json::json;

use crate::{
    portal::{Portal, connected_with, fields, settings},
    writing::write_of,
};

/// The portal's administrator makes a custom object.
async fn make_cars(portal: &Portal) -> String {
    let token = portal.sandbox.access_token().into();
    let admin = Session::for_tests(portal.hubspot.clone(), "", token).unwrap();
    let property = |name: &str, kind: &str, field: &str| json!({"name": name, "label": name, "type": kind, "fieldType": field});
    let schema = json!({
        "name": "car",
        "labels": {"singular": "Car", "plural": "Cars"},
        "requiredProperties": ["plate"],
        "primaryDisplayProperty": "plate",
        "properties": [property("plate", "string", "text"), property("seats", "number", "number")],
    });
    let request = Request {
        host: connector::Host::Api,
        class: "core",
        method: http::Method::POST,
        path: "/crm-object-schemas/v3/schemas".to_owned(),
        headers: Vec::new(),
        body: Body::Json(schema.to_string().into()),
        idempotent: false,
    };
    admin.send(request).await.unwrap();
    format!("p{}_car", portal.sandbox.portal_id())
}

#[tokio::test]
async fn custom_objects_are_described_read_and_written() {
    for version in [ApiVersion::Classic, ApiVersion::March2026] {
        let portal = connected_with(Settings { tier: Tier::Enterprise, ..settings() }, version).await;
        let cars = make_cars(&portal).await;
        let schema = portal.schema(&cars).await;
        assert_eq!(schema.label, "Cars");
        let field = |name: &str| schema.field(name).unwrap();
        assert!(field("plate").required && !field("seats").required);
        assert_eq!(field("seats").field_type, FieldType::Number);

        let first = portal.make("car", json!({"plate": "AB-12", "seats": "5"}));
        let (all, cursor) = portal.read_all(&schema, &fields(&["plate", "seats"])).await;
        assert_eq!((all.len(), &all[0].id), (1, &first));
        assert_eq!(all[0].fields["seats"], Value::Number(5.into()));

        portal.hubspot.prepare_external_id(&portal.session, &cars).await.unwrap();
        let kind = WriteKind::Create { external_id: "rec_1".to_owned() };
        let create = write_of(&cars, kind, &[("plate", Value::text("CD-34"))]);
        let update = write_of(
            &cars,
            WriteKind::Update { id: first.clone(), expected: BTreeMap::new() },
            &[("seats", Value::Number(7.into()))],
        );
        for outcome in portal.hubspot.write(&portal.session, &schema, &[create, update]).await {
            assert!(matches!(outcome, Ok(WriteOutcome::Applied { .. })), "{outcome:?}");
        }
        let page = portal.page(&schema, &fields(&["plate"]), &cursor).await;
        assert_eq!(page.changes.len(), 2);
        portal.sandbox.archive("car", &first).unwrap();
        let (deleted, _) = portal.hubspot.fetch_deleted(&portal.session, &cars, None).await.unwrap();
        assert_eq!(deleted.iter().map(|change| &change.id).collect::<Vec<_>>(), [&first]);
    }
}

#[tokio::test]
async fn a_smaller_subscription_has_none_and_says_why() {
    let portal =
        connected_with(Settings { tier: Tier::Professional, ..settings() }, ApiVersion::Classic).await;
    let objects = portal.hubspot.describe(&portal.session).await.unwrap();
    let names: Vec<&str> = objects.iter().map(|object| object.name.as_str()).collect();
    assert_eq!(names, ["companies", "deals", "contacts"]);
    let account = portal.hubspot.account(&portal.session).await.unwrap();
    assert!(
        account.notices[0].contains("custom objects, which need HubSpot Enterprise"),
        "{:?}",
        account.notices
    );
}
