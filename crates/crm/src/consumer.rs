//! Events in: what is told of records and partners is kept, so that people and companies are found by it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bus::{Bus, ConsumerConfig, Delivery, Message, subject};
use model::{CanonicalObject, Clock, OrganizationId, PartnerChanged, RecordChanged, RecordId, Value, kind};
use sqlx::{PgConnection, PgPool};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    Error,
    domain::{
        activity::{Concerned, NewActivity},
        address,
    },
    recording,
    store::{self, directory::Known, partners::Partner},
    text,
};

/// The durable consumer's name.
const CONSUMER: &str = "crm-directory";
/// How often a failed batch is tried again before its deliveries are tried one by one.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);

/// The fields by which people and companies are found.
const FIELDS: [&str; 5] = ["email", "secondary_email", "domain", "company_id", "partner_id"];
/// What is filled into mails to contacts.
const NAMES: [&str; 2] = ["first_name", "last_name"];
/// The fields that are told in channels, of deals and partners, unless they are marked as personal.
const TOLD: [&str; 3] = ["name", "amount", "currency"];
/// By which a deal's timeline shows what was said with whom it is made.
const OF_DEALS: [&str; 3] = ["primary_contact_id", "actual_close_date", "status"];
/// When a deal was closed; empty while it is open.
const CLOSED: &str = "closed";
/// Of a record that is archived.
const ARCHIVED: &str = "archived";

/// What the consumer works with.
pub(crate) struct Directory {
    pub(crate) pool: PgPool,
    pub(crate) bus: Bus,
    pub(crate) clock: Arc<dyn Clock>,
}

/// What a message tells.
#[derive(Debug)]
enum Told {
    Record(OrganizationId, bool, Box<RecordChanged>),
    Partner(Partner),
}

/// Consumes until shutdown. A bus that fails is opened again.
pub(crate) async fn run(directory: Directory, shutdown: CancellationToken) {
    let work = async {
        loop {
            if let Err(error) = directory.consume().await {
                tracing::error!(%error, "the consumer of records stopped and is opened again");
            }
            sleep(PAUSE).await;
        }
    };
    shutdown.run_until_cancelled(work).await;
}

impl Directory {
    async fn consume(&self) -> Result<(), Error> {
        let config = ConsumerConfig::new(subject::EVENTS, CONSUMER).filtered([
            "record.*.contact",
            "record.*.company",
            "record.*.partner",
            "record.*.deal",
            "partner.>",
        ]);
        let mut consumer = self.bus.consumer(config).await?;
        loop {
            let deliveries = consumer.next_batch().await?;
            if !deliveries.is_empty() {
                self.handle(deliveries).await?;
            }
        }
    }

    async fn handle(&self, deliveries: Vec<Delivery>) -> Result<(), Error> {
        let (mut kept, mut told) = (Vec::new(), Vec::new());
        for delivery in deliveries {
            match read(&delivery.message) {
                Ok(Some(it)) => {
                    told.push(it);
                    kept.push(delivery);
                }
                Ok(None) => delivery.ack().await?,
                Err(error) => delivery.dead_letter("event_undecodable", &error.to_string()).await?,
            }
        }
        let mut tries = 0;
        while let Err(error) = self.keep(&told).await {
            tracing::warn!(%error, size = kept.len(), "what was told of records is tried again");
            tries += u32::from(!error.is_transient());
            if tries == TRIES {
                return self.one_by_one(kept, &told).await;
            }
            sleep(PAUSE).await;
            for delivery in &kept {
                delivery.in_progress().await?;
            }
        }
        Ok(bus::ack_all(kept).await?)
    }

    async fn one_by_one(&self, deliveries: Vec<Delivery>, told: &[Told]) -> Result<(), Error> {
        for (delivery, told) in deliveries.into_iter().zip(told) {
            match self.keep(std::slice::from_ref(told)).await {
                Ok(()) => delivery.ack().await?,
                Err(error) => {
                    tracing::error!(%error, event = %delivery.message.envelope.id, "an event failed");
                    delivery.fail("crm_directory_failed").await?;
                }
            }
        }
        Ok(())
    }

    /// A repeat tells nothing newer and changes nothing.
    async fn keep(&self, told: &[Told]) -> Result<(), Error> {
        let mut tx = self.pool.begin().await?;
        // In the order of organizations, so that two who hear of the same cannot block each other.
        let mut records: BTreeMap<OrganizationId, Vec<(bool, &RecordChanged)>> = BTreeMap::new();
        for told in told {
            match told {
                Told::Partner(partner) => store::partners::put(&mut tx, partner).await?,
                Told::Record(organization, is_archived, changed) => {
                    records.entry(*organization).or_default().push((*is_archived, &**changed));
                }
            }
        }
        for (organization, records) in records {
            self.keep_records(&mut tx, organization, &records).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Keeps what is told of an organization's records, ties what came before them to them, and records the stages that deals
    /// came to.
    async fn keep_records(
        &self,
        tx: &mut PgConnection,
        organization: OrganizationId,
        records: &[(bool, &RecordChanged)],
    ) -> Result<(), Error> {
        let mut newest: BTreeMap<(RecordId, String), Known> = BTreeMap::new();
        for (is_archived, changed) in records {
            for known in known(organization, *is_archived, changed) {
                let place = (known.record, known.field.clone());
                let is_older = |it: &Known| it.version > known.version;
                if !newest.get(&place).is_some_and(is_older) {
                    newest.insert(place, known);
                }
            }
        }
        let known: Vec<Known> = newest.into_values().collect();
        let mut stages: BTreeMap<String, (&str, NewActivity)> = BTreeMap::new();
        for (_, changed) in records {
            stages.extend(stage(changed).map(|new| (new.external_id.clone(), (changed.actor.as_str(), new))));
        }
        if known.is_empty() && stages.is_empty() {
            return Ok(());
        }
        store::activities::lock(&mut *tx, organization).await?;
        let free = store::settings::find(&mut *tx, organization).await?.free_domains;
        if !known.is_empty() {
            store::directory::put(&mut *tx, &known).await?;
            let is_found_by =
                |known: &&Known| FIELDS.contains(&known.field.as_str()) || known.field == ARCHIVED;
            let touched: Vec<_> = known.iter().filter(is_found_by).map(|known| known.record.uuid()).collect();
            store::activities::tie(&mut *tx, organization, &touched, &address::all_free(&free)).await?;
        }
        let now = text::micros(self.clock.now());
        for (actor, new) in stages.into_values() {
            recording::record(&mut *tx, organization, &[&new], &free, actor, now).await?;
        }
        Ok(())
    }
}

fn read(message: &Message) -> Result<Option<Told>, bus::Error> {
    let organization = message.envelope.organization;
    Ok(match message.envelope.kind.as_str() {
        kind::RECORD_CREATED | kind::RECORD_CHANGED => {
            Some(Told::Record(organization, false, Box::new(message.decode()?)))
        }
        kind::RECORD_ARCHIVED => Some(Told::Record(organization, true, Box::new(message.decode()?))),
        kind::PARTNER_CREATED | kind::PARTNER_ACTIVATED | kind::PARTNER_REVOKED => {
            let PartnerChanged { partner, name, status, at, .. } = message.decode()?;
            Some(Told::Partner(Partner { partner, organization, name, status, at }))
        }
        _ => None,
    })
}

/// What a change says of the fields that are kept. One that is too large for its message says nothing of values.
fn known(organization: OrganizationId, is_archived: bool, changed: &RecordChanged) -> Vec<Known> {
    let of = |field: &str, value: String, names| Known {
        record: changed.record,
        field: field.to_owned(),
        organization,
        object: changed.object,
        value,
        names,
        version: changed.version,
    };
    let mut found = Vec::new();
    if is_archived {
        found.push(of(ARCHIVED, "true".to_owned(), None));
    }
    let fields = if changed.truncated { None } else { Some(&changed.fields) };
    let is_told = matches!(changed.object, CanonicalObject::Deal | CanonicalObject::Partner);
    let is_kept = |name: &String| {
        FIELDS.contains(&name.as_str())
            || changed.object == CanonicalObject::Contact && NAMES.contains(&name.as_str())
            || changed.object == CanonicalObject::Deal && OF_DEALS.contains(&name.as_str())
            || is_told && TOLD.contains(&name.as_str()) && !changed.pii.contains(name)
    };
    for (name, value) in fields.into_iter().flatten().filter(|(name, _)| is_kept(name)) {
        if name == "status" && changed.object == CanonicalObject::Deal {
            let is_closed = matches!(value, Value::Text(status) if status == "won" || status == "lost");
            let at = if is_closed { changed.at.to_string() } else { String::new() };
            found.push(of(CLOSED, at, None));
            continue;
        }
        let (value, names) = kept(changed.object, name, value);
        found.push(of(name, value, names));
    }
    found
}

/// A value as it is compared, and the record that it names.
fn kept(object: CanonicalObject, field: &str, value: &Value) -> (String, Option<RecordId>) {
    let text = match value {
        Value::Text(text) => text.as_str(),
        _ => "",
    };
    match (object, field) {
        (CanonicalObject::Contact, "email" | "secondary_email") => {
            (address::email(text).unwrap_or_default(), None)
        }
        (CanonicalObject::Company | CanonicalObject::Partner, "domain") => {
            (address::domain(text).unwrap_or_default(), None)
        }
        (_, "company_id" | "partner_id" | "primary_contact_id") => (String::new(), text.parse().ok()),
        (CanonicalObject::Deal, "actual_close_date") => (value.to_string(), None),
        (_, name) if TOLD.contains(&name) => (value.to_string(), None),
        (CanonicalObject::Contact, name) if NAMES.contains(&name) => (text.to_owned(), None),
        _ => (String::new(), None),
    }
}

/// A deal came from one stage to another, as an activity of its own.
fn stage(changed: &RecordChanged) -> Option<NewActivity> {
    if changed.object != CanonicalObject::Deal || changed.truncated {
        return None;
    }
    let after = changed.fields.get("stage").filter(|stage| !stage.is_blank())?;
    let before = changed.before.get("stage").filter(|stage| !stage.is_blank())?;
    Some(NewActivity {
        source: "accord".to_owned(),
        external_id: format!("{}/{}", changed.record, changed.version),
        version: 0,
        is_gone: false,
        kind: "stage_change",
        direction: "",
        at: text::micros(changed.at),
        subject: format!("{before} → {after}"),
        body: String::new(),
        is_preview: false,
        thread: String::new(),
        url: String::new(),
        participants: Vec::new(),
        told: vec![Concerned::Record(changed.record)],
        automatic: String::new(),
    })
}
