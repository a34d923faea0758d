use std::collections::BTreeMap;

use bus::subject;
use model::{
    ActivityParticipant, ActivityTold, CanonicalObject, ConflictRecorded, CoveredValue, LinkId, MappingId,
    RecordId, Value, WriteId, WriteOutcome, Written, kind,
};
use uuid::Uuid;

use crate::world::{message, noon, world};

const MARKER: &str = "marker";

#[tokio::test(flavor = "multi_thread")]
async fn no_personal_value_reaches_the_log() {
    let world = world().await;
    let id = Uuid::from_u128(1);
    let written = |number: u128, outcome| Written {
        write: WriteId::from_uuid(Uuid::from_u128(number)),
        connection: world.connection,
        vendor: "hubspot".into(),
        object: "companies".into(),
        mapping: MappingId::from_uuid(id),
        link: LinkId::from_uuid(id),
        record: RecordId::from_uuid(id),
        at: noon(),
        outcome,
    };
    let applied = WriteOutcome::Applied {
        vendor_id: "12".into(),
        version: 3,
        fields: BTreeMap::from([("name".into(), Value::text("Marker Inc."))]),
        covered: BTreeMap::from([(
            "phone".into(),
            CoveredValue { value: Value::text("marker-phone"), at: noon() },
        )]),
    };
    let conflict = ConflictRecorded {
        record: RecordId::from_uuid(id),
        object: CanonicalObject::Contact,
        field: "email".into(),
        connection: world.connection,
        policy: "crm_wins".into(),
        winner: "crm".into(),
        kept: Value::text("marker-kept@example.org"),
        lost: Value::text("marker-lost@example.org"),
        pii: true,
        within_clock_skew: false,
        at: noon(),
    };
    let organization = world.organization;
    let mail = ActivityTold {
        connection: world.connection,
        source: "m365".into(),
        external_id: "AAMk12".into(),
        version: 1,
        is_gone: false,
        kind: "email".into(),
        direction: "inbound".into(),
        at: noon(),
        subject: "Marker subject".into(),
        body: "marker text".into(),
        is_preview: false,
        thread: "marker-thread".into(),
        url: "https://marker.example/".into(),
        participants: vec![ActivityParticipant {
            role: "from".into(),
            name: "Marker Person".into(),
            email: "marker@example.org".into(),
        }],
        automatic: String::new(),
    };
    let on_activities = subject::activity(&organization, "m365");
    let on_changes = subject::written(&organization, "hubspot", "companies");
    let conflicts = subject::conflict(&organization, "recorded");
    for message in [
        world.change(1),
        world.record(2, &["email"]),
        world.access("invited"),
        message(on_changes, kind::WRITTEN, organization, &written(1, applied)),
        message(on_activities, kind::ACTIVITY_TOLD, organization, &mail),
        message(conflicts, kind::CONFLICT_RECORDED, organization, &conflict),
    ] {
        world.bus.publish(&message).await.unwrap();
    }
    let replica = world.replica().await;
    world.entries(6).await;
    let rows: Vec<String> =
        sqlx::query_scalar("SELECT entries::text FROM entries").fetch_all(&world.pool).await.unwrap();
    for row in &rows {
        assert!(!row.to_lowercase().contains(MARKER), "{row}");
    }
    let all = rows.join("\n");
    // Names stay, values that are not personal stay, and what is redacted says so.
    for shown in [
        "name",
        "phone",
        "customer",
        "[redacted]",
        "m365:AAMk12",
        "\"A received e-mail was read from Microsoft 365\"",
    ] {
        assert!(all.contains(shown), "{shown}: {all}");
    }
    replica.stop().await;
}
