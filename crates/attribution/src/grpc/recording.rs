//! Facts in: conversion events, corrections, identifies, clicks.

use jiff::Timestamp;
use model::{ConversionId, IdentifyId, OrganizationId};
use prost::Message as _;
use proto::attribution as wire;
use url::Url;
use uuid::Uuid;

use super::{Asker, Service, id, slug};
use crate::{
    Error,
    domain::{
        facts::{Change, Conversion, Correction, user_key},
        guard::person,
        money::Currency,
    },
    error::Refusal,
    key,
    store::{
        self,
        clicks::{self, Found, Landing, NewClick},
        facts::{Customer, NewCorrection, NewEvent, Stitch},
        listing,
    },
    text,
    writer::{Answer, Fact, Job},
};

/// The most events of one call.
const MOST_EVENTS: usize = 1_000;
const LONGEST_ID: usize = 255;
/// The most others of whom an event may be.
const MOST_OTHERS: usize = 20;

impl Service {
    pub(super) async fn record_events(
        &self,
        asker: &Asker,
        request: wire::RecordEventsRequest,
    ) -> Result<wire::RecordEventsResponse, Error> {
        if request.events.len() > MOST_EVENTS {
            let message = format!("At most {MOST_EVENTS} events can be recorded at once.");
            return Err(Refusal::invalid("events", "too_many", message).into());
        }
        let now = self.now();
        let mut jobs = Vec::with_capacity(request.events.len());
        let mut refusals = Vec::with_capacity(request.events.len());
        for mut event in request.events {
            let read = match self.whose(asker, &event).await? {
                Ok(user_id) => {
                    event.user_id = user_id.unwrap_or(event.user_id);
                    new_event(asker, event, None, now)
                }
                Err(refusal) => Err(refusal),
            };
            refusals.push(read.map(|event| jobs.push(Job::of(event))).err());
        }
        let mut recorded = self.writers.run_all(jobs).await?.into_iter();
        let mut answers = Vec::with_capacity(refusals.len());
        for refusal in refusals {
            let answer = match refusal {
                None => recorded_event(recorded.next().unwrap_or(Err(Error::Ending))?)?,
                Some(refusal) => wire::event_answer::Answer::Refused(wire::Refusal {
                    code: refusal.code.to_owned(),
                    field: refusal.field.to_owned(),
                    message: refusal.message,
                }),
            };
            answers.push(wire::EventAnswer { answer: Some(answer) });
        }
        Ok(wire::RecordEventsResponse { answers })
    }

    /// Of those who may be meant the first who was identified; none where the event's own user is meant.
    async fn whose(
        &self,
        asker: &Asker,
        event: &wire::NewEvent,
    ) -> Result<Result<Option<String>, Refusal>, Error> {
        const FIELD: &str = "other_user_ids";
        let others = &event.other_user_ids;
        if others.is_empty() {
            return Ok(Ok(None));
        }
        if others.len() > MOST_OTHERS {
            let message = format!("At most {MOST_OTHERS} others may be meant.");
            return Ok(Err(Refusal::invalid(FIELD, "too_many", message)));
        }
        let read = others.iter().map(|other| text::required(FIELD, other, LONGEST_ID));
        let others = match read.collect::<Result<Vec<String>, Refusal>>() {
            Ok(others) => others,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let users: Vec<String> = std::iter::once(event.user_id.clone()).chain(others).collect();
        let keys: Vec<String> = users.iter().map(|user| user_key(user)).collect();
        let identified = store::rules::identified(&self.pool, asker.organization, &keys).await?;
        let place = keys.iter().position(|key| identified.contains(key));
        Ok(Ok(place.and_then(|place| users.into_iter().nth(place))))
    }

    pub(super) async fn correct_event(
        &self,
        asker: &Asker,
        request: wire::CorrectEventRequest,
    ) -> Result<wire::CorrectEventResponse, Error> {
        let missing = || Refusal::missing("event_not_found", "There is no such event.");
        let event = if request.event_id.is_empty() {
            let external = text::required("external_event_id", &request.external_event_id, LONGEST_ID)?;
            listing::event_by_key(&self.pool, asker.organization, key::external(&external)).await?
        } else {
            let event: ConversionId = id("event_not_found", "event", &request.event_id)?;
            listing::event(&self.pool, asker.organization, event).await?
        };
        let (event, user_key, currency) = event.ok_or_else(missing)?;
        let now = self.now();
        let told = text::moment("at", request.at.as_ref())?;
        let at = told.unwrap_or(now);
        let change = change(request.correction.as_ref(), currency)?;
        let customer = Customer { organization: asker.organization, user_key };
        let key = text::required("idempotency_key", &request.idempotency_key, LONGEST_ID)?;
        let id = if told.is_some() { key::correction_id(event, &change, &key) } else { text::new_id(now) };
        let correction = Correction { id, conversion: event, at, change };
        let new = NewCorrection {
            customer: customer.clone(),
            correction,
            is_dated: told.is_some(),
            key,
            reason: text::optional("reason", &request.reason, text::LONGEST)?,
            actor: asker.actor.clone(),
        };
        let job = Job { customers: vec![customer], fact: Fact::Correct(Box::new(new)) };
        let Answer::Corrected(recorded) = self.writers.run(job).await? else { return Err(Error::Ending) };
        let events = listing::events_by_id(&self.pool, asker.organization, &[event]).await?;
        Ok(wire::CorrectEventResponse { recorded, event: events.into_iter().next() })
    }

    pub(super) async fn identify(
        &self,
        request: wire::IdentifyRequest,
    ) -> Result<wire::IdentifyResponse, Error> {
        let click_id = text::required("click_id", &request.click_id, LONGEST_ID)?;
        let user_id = text::required("user_id", &request.user_id, LONGEST_ID)?;
        let asked = slug(&request.organization_id)?;
        let found = clicks::find(&self.pool, &click_id).await?;
        let found = found.filter(|(organization, ..)| asked.is_none_or(|asked| asked == *organization));
        let missing = || Refusal::missing("click_not_found", "There is no such click.");
        let (organization, _, mut click) = found.ok_or_else(missing)?;
        let now = self.now();
        click.identified_at = now;
        let customer = Customer { organization, user_key: user_key(&user_id) };
        let signed = self.is_signed(organization, &user_id, &request.signature).await?;
        let person = person(&customer.user_key);
        click.suspicion = self.oddness(&customer, &click, &person).await?;
        let identify = IdentifyId::generate(now);
        let stitch = Stitch { id: identify, signed, person };
        let job = Job { customers: vec![customer], fact: Fact::Identify(Box::new(click), Box::new(stitch)) };
        let Answer::Identified { first, backfilled } = self.writers.run(job).await? else {
            return Err(Error::Ending);
        };
        Ok(wire::IdentifyResponse {
            identify_id: if first { identify.to_string() } else { String::new() },
            first_stitch: first,
            backfilled_attributions: backfilled,
        })
    }

    pub(super) async fn record_click(
        &self,
        asker: &Asker,
        request: wire::RecordClickRequest,
    ) -> Result<wire::RecordClickResponse, Error> {
        let click = new_click(asker.organization, &request, self.now())?;
        if let Some((organization, ..)) = clicks::find(&self.pool, &click.id).await? {
            if organization != asker.organization {
                return Err(Refusal::taken("click_id_taken", "Another click has this id.").into());
            }
            return Ok(wire::RecordClickResponse { id: click.id, replayed: true });
        }
        let id = click.id.clone();
        landing(self.clicker.run(click).await?)?;
        Ok(wire::RecordClickResponse { id, replayed: false })
    }

    pub(super) async fn follow_link(
        &self,
        request: wire::FollowLinkRequest,
    ) -> Result<wire::FollowLinkResponse, Error> {
        let now = self.now();
        let click = NewClick {
            id: click_id(now),
            organization: slug(&request.organization_id)?,
            link_key: text::required("link_key", &request.link_key, LONGEST_ID)?,
            landing_url: String::new(),
            ip_hash: shortened(&request.ip_hash),
            user_agent: shortened(&request.user_agent),
            referer: shortened(&request.referer),
            flagged: false,
            ts: now,
        };
        let id = click.id.clone();
        let landing = landing(self.clicker.run(click).await?)?;
        let deep = Some(request.deep_link).filter(|link| is_allowed(link, &landing.allowed_domains));
        Ok(wire::FollowLinkResponse {
            click_id: id,
            destination_url: deep.unwrap_or(landing.destination_url),
        })
    }
}

fn landing(found: Found) -> Result<Landing, Refusal> {
    match found {
        Found::Link(landing) => Ok(landing),
        Found::Several => Err(Refusal::invalid(
            "",
            "tenant_slug_missing",
            "Several organizations have this link: say whose, as /t/{slug}/r/{linkKey}.",
        )),
        Found::Nothing => Err(Refusal::missing("link_not_found", "There is no such link.")),
    }
}

/// An id that nobody can guess, and that sorts by its time: 48 bits of it, 80 of chance, 26 letters and digits.
fn click_id(now: Timestamp) -> String {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let ms = u128::try_from(now.as_millisecond()).unwrap_or_default();
    let bits = (ms << 80) | (Uuid::new_v4().as_u128() >> 48 ^ Uuid::new_v4().as_u128() & ((1 << 80) - 1));
    (0..26).rev().map(|place| char::from(DIGITS[(bits >> (5 * place) & 31) as usize])).collect()
}

/// What a browser says of itself: kept as far as it goes.
fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(500).collect()
}

/// Whether an address is of one of these domains, or below one.
pub(super) fn is_allowed(address: &str, domains: &[String]) -> bool {
    let Ok(url) = Url::parse(address) else { return false };
    let is_below = |host: &str, domain: &str| {
        host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
    };
    matches!(url.scheme(), "http" | "https")
        && url.host_str().is_some_and(|host| domains.iter().any(|domain| is_below(host, domain)))
}

fn recorded_event(answer: Answer) -> Result<wire::event_answer::Answer, Error> {
    let Answer::Event(encoded) = answer else { return Err(Error::Ending) };
    let decoded = wire::RecordedEvent::decode(encoded.as_slice());
    let recorded =
        decoded.map_err(|error| Error::Stored(format!("the first answer of an event: {error}")))?;
    Ok(wire::event_answer::Answer::Recorded(recorded))
}

/// The event that somebody tells of. A repeat is recognized by `known`, or by what the event says of itself.
pub(super) fn new_event(
    asker: &Asker,
    event: wire::NewEvent,
    known: Option<Uuid>,
    now: Timestamp,
) -> Result<NewEvent, Refusal> {
    let user_id = text::required("user_id", &event.user_id, LONGEST_ID)?;
    let kind = text::required("type", &event.r#type, LONGEST_ID)?;
    let currency = text::currency("currency", &event.currency)?;
    let value = event.value.as_deref().map(|value| text::money("value", value, currency)).transpose()?;
    let metadata = text::object("metadata", &event.metadata_json)?;
    let ts = text::moment("ts", event.ts.as_ref())?;
    let external = text::optional("external_event_id", &event.external_event_id, LONGEST_ID)?;
    let idempotency = text::optional("idempotency_key", &event.idempotency_key, LONGEST_ID)?;
    let customer = Customer { organization: asker.organization, user_key: user_key(&user_id) };
    let named = key::Named {
        external: &external,
        idempotency: &idempotency,
        kind: &kind,
        user_id: &user_id,
        value: value.map(|value| value.minor()),
        currency: currency.code(),
        ts,
        credential: &asker.credential_id,
    };
    let object = serde_json::from_str(&metadata).unwrap_or_default();
    let key = known.or_else(|| key::of(&named, &object));
    let dated = ts.zip(key).map(|(ts, key)| key::event_id(asker.organization, ts, key));
    let conversion = Conversion {
        id: dated.unwrap_or_else(|| ConversionId::generate(now)),
        kind: kind.into(),
        value: value.map(|value| value.minor()),
        currency,
        metadata: object,
        at: ts.unwrap_or(now),
        received_at: now,
    };
    let external_event_id = (!external.is_empty()).then_some(external);
    Ok(NewEvent { customer, conversion, user_id, metadata, external_event_id, key })
}

fn change(
    correction: Option<&wire::correct_event_request::Correction>,
    currency: Currency,
) -> Result<Change, Refusal> {
    use wire::correct_event_request::Correction as Wire;
    match correction {
        Some(Wire::Value(value)) => Ok(Change::Value(text::money("value", value, currency)?)),
        Some(Wire::Refund(refund)) => Ok(Change::Refund(text::money("refund", refund, currency)?)),
        Some(Wire::Void(true)) => Ok(Change::Void),
        Some(Wire::Restore(true)) => Ok(Change::Restore),
        Some(Wire::Void(false) | Wire::Restore(false)) | None => Err(Refusal::invalid(
            "correction",
            "required",
            "One of value, void, refund or restore is required.",
        )),
    }
}

fn new_click(
    organization: OrganizationId,
    request: &wire::RecordClickRequest,
    now: Timestamp,
) -> Result<NewClick, Refusal> {
    let id = text::required("id", &request.id, 40)?;
    if id.len() < 20 {
        return Err(Refusal::invalid("id", "too_short", "id is shorter than 20 characters."));
    }
    Ok(NewClick {
        id,
        organization: Some(organization),
        link_key: text::required("link_key", &request.link_key, LONGEST_ID)?,
        landing_url: text::optional("landing_url", &request.landing_url, text::LONGEST)?,
        ip_hash: text::optional("ip_hash", &request.ip_hash, LONGEST_ID)?,
        user_agent: text::optional("user_agent", &request.user_agent, text::LONGEST)?,
        referer: text::optional("referer", &request.referer, text::LONGEST)?,
        flagged: request.fraud,
        ts: text::moment("ts", request.ts.as_ref())?.unwrap_or(now),
    })
}
