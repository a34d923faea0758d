//! Attributions are written to the contacts and deals that they concern, and through their mappings to the CRM.

use model::{
    ApplyWrite, AttributedRecord, AttributedTouch, AttributionChanged, AttributionId,
    AttributionSettingsChanged, ConversionId, FieldSchema, FieldType, MappingChanged, ObjectSchema,
    PartnerId, ProgramId, RecordChanged, Role, Value, kind,
};
use proto::sync as wire;
use testkit::eventually;
use uuid::Uuid;

use crate::world::{SOON, World, by, field, texts, values};

const FIELDS: [&str; 5] =
    ["attributed_partner", "attributed_program", "attributed_click", "attributed_model", "attributed_weight"];

fn theirs() -> Vec<FieldSchema> {
    model::attribution_fields().into_iter().collect()
}

/// HubSpot with contacts; with the fields for attribution or without.
fn contacts(prepared: bool) -> Vec<ObjectSchema> {
    let mut fields = vec![
        field("email", "Email", FieldType::Email),
        field("firstname", "First Name", FieldType::Text),
        field("lastname", "Last Name", FieldType::Text),
    ];
    fields.extend(theirs().into_iter().filter(|_| prepared));
    vec![ObjectSchema { name: "contacts".to_owned(), label: "Contacts".to_owned(), fields }]
}

fn touch(partner: &str, click: &str, weight: i64, of: i64) -> AttributedTouch {
    AttributedTouch {
        attribution: AttributionId::from_uuid(Uuid::now_v7()),
        click: click.to_owned(),
        partner: PartnerId::from_uuid(Uuid::now_v7()),
        program: ProgramId::from_uuid(Uuid::now_v7()),
        weight,
        of,
        partner_name: partner.to_owned(),
        program_name: "Referrals".to_owned(),
    }
}

struct Desk<'w> {
    world: &'w World,
    mapping: String,
}

impl<'w> Desk<'w> {
    /// Contacts are mapped and active, both ways.
    async fn open(world: &'w World) -> Self {
        world.describe(world.connection, &contacts(false)).await;
        let request = wire::CreateMappingRequest {
            connection_id: world.connection.to_string(),
            object: "contact".to_owned(),
            vendor_object: "contacts".to_owned(),
        };
        let mapping = eventually(SOON, "the schema to be known", || async {
            let created = world.api.clone().create_mapping(by("admin", request.clone())).await;
            created.ok().map(|mapping| mapping.into_inner().id)
        })
        .await;
        for (name, vendor_field) in
            [("email", "email"), ("first_name", "firstname"), ("last_name", "lastname")]
        {
            let wish = wire::SetFieldRequest {
                mapping_id: mapping.clone(),
                field: name.to_owned(),
                action: "choose".to_owned(),
                vendor_field: vendor_field.to_owned(),
                ..wire::SetFieldRequest::default()
            };
            world.api.clone().set_field(by("admin", wish)).await.unwrap();
        }
        let desk = Self { world, mapping };
        desk.activate().await;
        desk
    }

    async fn activate(&self) {
        self.world.request_plan(&self.mapping).await;
        self.world.backfill_finished("contacts", 0).await;
        let plan = self.world.plan_in(&self.mapping, "ready").await;
        let request = wire::ActivateRequest { mapping_id: self.mapping.clone(), plan_hash: plan.hash };
        self.world.api.clone().activate(by("admin", request)).await.unwrap();
        self.world.plan_in(&self.mapping, "applied").await;
    }

    /// The vendor gets the fields, and attribution is written to them.
    async fn begin(&self) {
        self.world.describe(self.world.connection, &contacts(true)).await;
        self.set(true).await;
        eventually(SOON, "the fields to wait", || async {
            (self.states().await == ["waiting"; 5]).then_some(())
        })
        .await;
        self.activate().await;
    }

    async fn set(&self, enabled: bool) -> wire::AttributionWriting {
        let connection_id = self.world.connection.to_string();
        let request = wire::SetAttributionWritingRequest { connection_id, enabled };
        self.world.api.clone().set_attribution_writing(by("admin", request)).await.unwrap().into_inner()
    }

    async fn states(&self) -> Vec<String> {
        let request = wire::AttributionWritingRequest { connection_id: self.world.connection.to_string() };
        let writing = self.world.api.clone().get_attribution_writing(by("admin", request)).await.unwrap();
        states(&writing.into_inner())
    }

    async fn contact(&self, email: &str) -> String {
        let fields = [("email", email), ("first_name", "Ada"), ("last_name", "Buyer")];
        let request = wire::CreateRecordRequest {
            object: "contact".to_owned(),
            fields: values(&fields),
            ..wire::CreateRecordRequest::default()
        };
        self.world.api.clone().create_record(by("admin", request)).await.unwrap().into_inner().id
    }

    /// The vendor shows a contact of which nothing is attributed.
    async fn shown(&self, id: &str, fields: &[(&str, &str)]) {
        let mut change = self.world.edited(id, fields);
        change.object = "contacts".to_owned();
        change.fields.extend(FIELDS.map(|name| (name.to_owned(), Value::Null)));
        self.world.deliver(&[change]).await;
    }

    async fn tell(&self, changed: &AttributionChanged) {
        let (name, kind) = match changed.generation {
            1 => ("created", kind::ATTRIBUTION_CREATED),
            _ => ("replaced", kind::ATTRIBUTION_REPLACED),
        };
        let subject = bus::subject::event("attribution", &self.world.organization(), name);
        self.world.publish(subject, kind, changed).await;
    }

    fn of(&self, user: &str, generation: i32, touches: Vec<AttributedTouch>) -> AttributionChanged {
        let now = self.world.later();
        AttributionChanged {
            event: ConversionId::from_uuid(Uuid::now_v7()),
            event_type: "signup".to_owned(),
            status: if touches.is_empty() { "no_click" } else { "attributed" }.to_owned(),
            model: (!touches.is_empty()).then(|| "linear".to_owned()),
            touches,
            at: now,
            generation,
            occurred_at: Some(now),
            user_id: user.to_owned(),
            source: None,
            pii: vec!["user_id".to_owned()],
        }
    }

    /// Waits until a record is told this: the five values, as text.
    async fn told(&self, record: &str, wanted: [&str; 5]) {
        eventually(SOON, &format!("the record to be told {wanted:?}"), || async {
            let found = self.world.get(record).await;
            let told = FIELDS.map(|name| match found.fields.get(name).cloned().map(Value::try_from) {
                Some(Ok(value)) => value.to_string(),
                _ => String::new(),
            });
            (told == wanted).then_some(())
        })
        .await;
    }
}

fn states(writing: &wire::AttributionWriting) -> Vec<String> {
    writing.objects.iter().flat_map(|object| &object.fields).map(|field| field.state.clone()).collect()
}

/// Writes that carry a field of the attribution.
fn telling(world: &World) -> Vec<ApplyWrite> {
    let tells = |write: &ApplyWrite| write.fields.keys().any(|name| FIELDS.contains(&name.as_str()));
    world.writes().into_iter().filter(tells).collect()
}

#[tokio::test]
async fn attribution_is_mapped_outward_once_the_vendor_has_the_fields_and_waits_for_the_plan() {
    let world = World::new().await;
    let desk = Desk::open(&world).await;
    assert_eq!(desk.states().await, ["missing"; 5]);
    let begun = desk.set(true).await;
    assert_eq!((begun.enabled, states(&begun)), (true, vec!["missing".to_owned(); 5]));
    world.describe(world.connection, &contacts(true)).await;
    eventually(SOON, "the fields to wait", || async {
        (desk.states().await == ["waiting"; 5]).then_some(())
    })
    .await;
    let mapping = world.mapping(&desk.mapping).await;
    let field = mapping.fields.iter().find(|field| field.field == "attributed_click").unwrap();
    assert_eq!((field.direction.as_str(), field.vendor_field.as_str()), ("to_vendor", "attributed_click"));
    desk.activate().await;
    assert_eq!(desk.states().await, ["mapped"; 5]);
    let said: Vec<MappingChanged> = world.all(kind::MAPPING_CHANGED);
    let chosen = said.iter().filter(|it| {
        it.action == "field_chosen" && FIELDS.contains(&it.field.as_deref().unwrap_or_default())
    });
    assert_eq!(chosen.count(), 5, "each is told as any change of a mapping");
    // The same schema again, and the same wish, change nothing.
    world.describe(world.connection, &contacts(true)).await;
    desk.set(true).await;
    world.settled().await;
    assert_eq!(desk.states().await, ["mapped"; 5]);
    let ended = desk.set(false).await;
    assert_eq!((ended.enabled, states(&ended)), (false, vec!["unmapped".to_owned(); 5]));
    desk.set(false).await;
    world.settled().await;
    let said = world.said.lock().unwrap();
    let switched = said.iter().filter(|it| it.envelope.kind == kind::ATTRIBUTION_SETTINGS_CHANGED);
    let switched: Vec<_> = switched
        .map(|it| (it.decode::<AttributionSettingsChanged>().unwrap(), it.envelope.actor.clone()))
        .map(|(it, actor)| (it.what, it.change, actor.unwrap_or_default()))
        .collect();
    let by_admin = |change: &str| (world.connection.to_string(), change.to_owned(), world.actor(Role::Admin));
    assert_eq!(
        switched,
        [by_admin("switched_on"), by_admin("switched_off")],
        "what is so already is no news"
    );
}

#[tokio::test]
async fn a_schema_that_is_read_while_the_writing_is_switched_on_is_not_missed() {
    let world = World::new().await;
    let desk = Desk::open(&world).await;
    let waiting = |count: i64| {
        let world = &world;
        eventually(SOON, "the two to wait", move || async move {
            let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                 AND wait_event_type = 'Lock' AND (query LIKE 'UPDATE mappings%' OR query LIKE '%FROM connections%')";
            (world.query::<i64>(sql).await == count).then_some(())
        })
    };
    // The reading stops in its middle, and the switch behind it.
    let pool = chassis::pool(&world.database_url, "sync", 1).await.unwrap();
    let mut held = pool.begin().await.unwrap();
    sqlx::query("SELECT FROM mappings FOR UPDATE").execute(&mut *held).await.unwrap();
    world.describe(world.connection, &contacts(true)).await;
    waiting(1).await;
    let go_on = async {
        waiting(2).await;
        held.rollback().await.unwrap();
    };
    let (begun, ()) = tokio::join!(desk.set(true), go_on);
    assert_eq!(states(&begun), ["waiting"; 5]);
}

#[tokio::test]
async fn the_newest_event_of_a_person_is_told_and_what_is_stale_is_not() {
    let world = World::new().await;
    let desk = Desk::open(&world).await;
    desk.begin().await;
    let contact = desk.contact("buyer@shop.example").await;
    let first =
        desk.of("buyer@shop.example", 1, vec![touch("Ada", "click-a", 2, 3), touch("Bob", "click-b", 1, 3)]);
    desk.tell(&first).await;
    desk.told(&contact, ["Ada", "Referrals", "click-a", "linear", "0.6667"]).await;
    let replaced = AttributionChanged {
        generation: 3,
        touches: vec![touch("Ada", "click-a", 1, 2), touch("Bob", "click-b", 1, 2)],
        ..first.clone()
    };
    desk.tell(&replaced).await;
    desk.told(&contact, ["Bob", "Referrals", "click-b", "linear", "0.5"]).await;
    // One that was overtaken, and the first again.
    desk.tell(&AttributionChanged {
        generation: 2,
        touches: vec![touch("Eve", "click-e", 1, 1)],
        ..first.clone()
    })
    .await;
    desk.tell(&first).await;
    let older = AttributionChanged {
        occurred_at: Some(first.at - jiff::SignedDuration::from_hours(1)),
        ..desk.of("buyer@shop.example", 1, vec![touch("Old", "click-o", 1, 1)])
    };
    desk.tell(&older).await;
    world.settled().await;
    desk.told(&contact, ["Bob", "Referrals", "click-b", "linear", "0.5"]).await;
    let nobody = AttributionChanged { generation: 4, touches: Vec::new(), model: None, ..first.clone() };
    desk.tell(&nobody).await;
    desk.told(&contact, ["Old", "Referrals", "click-o", "linear", "1"]).await;
    desk.tell(&AttributionChanged { generation: 2, touches: Vec::new(), model: None, ..older }).await;
    desk.told(&contact, [""; 5]).await;
    world.settled().await;
    let changes: Vec<RecordChanged> = world.all(kind::RECORD_CHANGED);
    let told = changes.iter().filter(|it| it.fields.keys().any(|name| FIELDS.contains(&name.as_str())));
    let actors: Vec<_> = told.map(|it| it.actor.as_str()).collect();
    assert_eq!(actors, ["service:attribution"; 4], "each change is one edit of the service");
}

#[tokio::test]
async fn a_contact_that_comes_later_or_gets_the_address_is_told_and_the_vendor_once() {
    let world = World::new().await;
    let desk = Desk::open(&world).await;
    let known = desk.of("known@shop.example", 1, vec![touch("Ada", "click-k", 1, 1)]);
    desk.tell(&known).await;
    let before = desk.contact("known@shop.example").await;
    world.settled().await;
    assert!(!world.get(&before).await.fields.contains_key("attributed_partner"), "it is off");
    desk.begin().await;
    desk.told(&before, ["Ada", "Referrals", "click-k", "linear", "1"]).await;

    desk.tell(&desk.of("late@shop.example", 1, vec![touch("Bob", "click-l", 1, 1)])).await;
    world.settled().await;
    let late = desk.contact("Late@Shop.example").await;
    desk.told(&late, ["Bob", "Referrals", "click-l", "linear", "1"]).await;
    let moved = desk.contact("old@shop.example").await;
    desk.tell(&desk.of("new@shop.example", 1, vec![touch("Eve", "click-n", 1, 1)])).await;
    world.edit(&moved, &[("email", "new@shop.example")]).await;
    desk.told(&moved, ["Eve", "Referrals", "click-n", "linear", "1"]).await;
    world.edit(&moved, &[("email", "nobody@shop.example")]).await;
    desk.told(&moved, [""; 5]).await;
}

#[tokio::test]
async fn the_record_that_an_event_tells_of_is_told_and_the_write_is_an_ordinary_one() {
    let world = World::new().await;
    let desk = Desk::open(&world).await;
    desk.begin().await;
    let contact = desk.contact("buyer@shop.example").await;
    let created = world.write(0).await;
    world.applied(&created, "501").await;
    // What was never read there is not written.
    desk.shown("501", &[("email", "buyer@shop.example")]).await;
    world.settled().await;
    let source = AttributedRecord {
        connection: world.connection,
        object: "contacts".to_owned(),
        record: "501".to_owned(),
    };
    let event = AttributionChanged {
        source: Some(source),
        ..desk.of("auth0|77", 1, vec![touch("Ada", "click-a", 1, 1)])
    };
    desk.tell(&event).await;
    desk.told(&contact, ["Ada", "Referrals", "click-a", "linear", "1"]).await;
    desk.tell(&event).await;
    world.settled().await;
    let writes = telling(&world);
    assert_eq!(writes.len(), 1, "{writes:?}");
    let wanted = texts(&[
        ("attributed_partner", "Ada"),
        ("attributed_program", "Referrals"),
        ("attributed_click", "click-a"),
        ("attributed_model", "linear"),
    ]);
    assert!(wanted.iter().all(|(name, value)| writes[0].fields.get(name) == Some(value)), "{writes:?}");
    assert_eq!(writes[0].fields.len(), 5, "and the weight");
    let other = desk.of("other@shop.example", 1, vec![touch("Bob", "click-b", 1, 1)]);
    desk.tell(&other).await;
    world.settled().await;
    assert_eq!(telling(&world).len(), 1, "it concerns nobody who is here");
}
