//! Ingest URLs: who makes them, and what comes to them.

use jiff::Timestamp;
use model::{ConversionId, IngestUrlId, Scope as Permission};
use prost::Message as _;
use proto::attribution::{self as wire, ingest_urls_server::IngestUrls};
use rust_decimal::Decimal;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tonic::{Code, Request, Response, Status};
use uuid::Uuid;
use vault::{ExposeSecret, Scope, Sealed, SecretString};

use super::{Asker, Service, id, recording::new_event};
use crate::{
    Error,
    error::Refusal,
    ingest::{
        IngestUrl, KEPT_FOR,
        follow::Told,
        mapping::{Mapping, Reading},
        vendor::{COPPER_SECRET, Sent, Vendor, unhex},
    },
    key,
    store::{self, facts::NewEvent},
    text,
    writer::{Answer, Job},
};

const LONGEST_NAME: usize = 255;
/// The most addresses of an organization, revoked ones included.
const MOST_URLS: usize = 500;
/// The user of HTTP Basic authentication; only the password is a secret.
const USER: &str = "accord";
const SECRET: &str = "ingest_secret";
const BODY: &str = "ingest_body";
pub(super) const UNMET: &str = "It does not meet the conditions.";

impl IngestUrl {
    pub(crate) fn to_wire(&self) -> wire::IngestUrl {
        wire::IngestUrl {
            id: self.id.to_string(),
            name: self.name.clone(),
            vendor: self.vendor.name().to_owned(),
            mapping: Some(self.mapping.to_wire()),
            path: format!("/ingest/{}", self.id),
            created_at: Some(proto::to_wire_time(self.created_at)),
            revoked_at: self.revoked_at.map(proto::to_wire_time),
            ..wire::IngestUrl::default()
        }
    }
}

/// What became of a body.
pub(super) struct Ingested {
    pub(super) outcome: &'static str,
    pub(super) message: String,
    pub(super) event: Option<ConversionId>,
}

impl Ingested {
    pub(super) fn skipped(message: &str) -> Self {
        Self { outcome: "skipped", message: message.to_owned(), event: None }
    }

    pub(super) fn refused(message: String) -> Self {
        Self { outcome: "refused", message, event: None }
    }
}

fn missing() -> Refusal {
    Refusal::missing("ingest_url_not_found", "There is no such ingest URL.")
}

fn signature_invalid() -> Refusal {
    let message = "The sender did not prove itself: its signature, password or secret is missing or wrong.";
    Refusal { kind: Code::Unauthenticated, ..Refusal::invalid("", "signature_invalid", message) }
}

/// A key that Close gave with a webhook subscription.
fn signature_key(vendor: Vendor, key: &str) -> Result<Option<SecretString>, Refusal> {
    let refuse = |message: &str| Refusal::invalid("signature_key", "signature_key_invalid", message);
    match (vendor, key) {
        (_, "") => Ok(None),
        (Vendor::Close, key) if unhex(key).is_some_and(|key| key.len() >= 16) => {
            Ok(Some(SecretString::from(key.trim().to_owned())))
        }
        (Vendor::Close, _) => Err(refuse("A signature key of Close is a hexadecimal text.")),
        _ => Err(refuse("Only Close gives a signature key.")),
    }
}

impl Service {
    fn seal(&self, url: &IngestUrl, purpose: &str, secret: &SecretString) -> Result<Vec<u8>, Error> {
        let (organization, place) = (url.organization.to_string(), url.id.to_string());
        let scope = Scope { organization: &organization, connection: &place, purpose };
        let sealed = self.vault.seal(&scope, secret);
        Ok(sealed.map_err(|error| Error::Stored(error.to_string()))?.into_bytes())
    }

    fn unseal(&self, url: &IngestUrl, purpose: &str, sealed: &[u8]) -> Result<SecretString, Error> {
        let (organization, place) = (url.organization.to_string(), url.id.to_string());
        let scope = Scope { organization: &organization, connection: &place, purpose };
        let opened = self.vault.open(&scope, &Sealed::from_bytes(sealed.to_vec()));
        opened.map_err(|error| Error::Stored(error.to_string()))
    }

    async fn own_url(&self, asker: &Asker, text: &str) -> Result<IngestUrl, Error> {
        let url: IngestUrlId = id("ingest_url_not_found", "ingest URL", text)?;
        let found = store::ingest::find(&self.pool, url).await?;
        Ok(found.filter(|found| found.organization == asker.organization).ok_or_else(missing)?)
    }

    async fn create_url(
        &self,
        asker: &Asker,
        request: wire::CreateIngestUrlRequest,
    ) -> Result<wire::CreateIngestUrlResponse, Error> {
        let vendor = Vendor::named(&request.vendor).ok_or_else(|| {
            let message = "vendor is pipedrive, close, copper or other.";
            Refusal::invalid("vendor", "vendor_invalid", message)
        })?;
        if store::ingest::list(&self.pool, asker.organization).await?.len() >= MOST_URLS {
            let message = format!("An organization has at most {MOST_URLS} ingest URLs.");
            return Err(Refusal::conflict("too_many_ingest_urls", message).into());
        }
        let mapping = request.mapping.as_ref().map(|mapping| mapping_of(vendor, mapping)).transpose()?;
        let now = self.now();
        let mut url = IngestUrl {
            id: IngestUrlId::generate(now),
            organization: asker.organization,
            name: text::required("name", &request.name, LONGEST_NAME)?,
            vendor,
            mapping: mapping.unwrap_or_else(|| vendor.mapping()),
            secret: None,
            created_at: now,
            created_by: asker.actor.clone(),
            revoked_at: None,
        };
        let minted = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let secret = match vendor {
            Vendor::Close => signature_key(vendor, &request.signature_key)?,
            _ => {
                signature_key(vendor, &request.signature_key)?;
                Some(SecretString::from(minted.clone()))
            }
        };
        url.secret = secret.map(|secret| self.seal(&url, SECRET, &secret)).transpose()?;
        store::ingest::put(&self.pool, &url).await?;
        let wire = url.to_wire();
        let path = wire.path.clone();
        let (secret_path, user, secret) = match vendor {
            Vendor::Pipedrive => (path, USER.to_owned(), minted),
            Vendor::Close => (path, String::new(), String::new()),
            Vendor::Copper => (path, COPPER_SECRET.to_owned(), minted),
            Vendor::Other => (format!("{path}/{minted}"), String::new(), String::new()),
        };
        Ok(wire::CreateIngestUrlResponse { url: Some(wire), secret_path, user, secret })
    }

    async fn update_url(
        &self,
        asker: &Asker,
        request: wire::UpdateIngestUrlRequest,
    ) -> Result<wire::IngestUrl, Error> {
        let mut url = self.own_url(asker, &request.ingest_url_id).await?;
        if !request.name.is_empty() {
            url.name = text::required("name", &request.name, LONGEST_NAME)?;
        }
        if let Some(mapping) = &request.mapping {
            url.mapping = mapping_of(url.vendor, mapping)?;
        }
        if let Some(key) = signature_key(url.vendor, &request.signature_key)? {
            url.secret = Some(self.seal(&url, SECRET, &key)?);
        }
        store::ingest::put(&self.pool, &url).await?;
        Ok(url.to_wire())
    }

    async fn revoke_url(&self, asker: &Asker, text: &str) -> Result<wire::IngestUrl, Error> {
        let mut url = self.own_url(asker, text).await?;
        (url.revoked_at, url.secret) = (url.revoked_at.or(Some(self.now())), None);
        store::ingest::put(&self.pool, &url).await?;
        Ok(url.to_wire())
    }

    async fn preview(
        &self,
        asker: &Asker,
        request: wire::PreviewIngestRequest,
    ) -> Result<wire::PreviewIngestResponse, Error> {
        let url = self.own_url(asker, &request.ingest_url_id).await?;
        let drafted = request.mapping.as_ref().map(|mapping| mapping_of(url.vendor, mapping)).transpose()?;
        let mapping = drafted.as_ref().unwrap_or(&url.mapping);
        let kept = store::ingest::bodies(&self.pool, url.id, self.now() - KEPT_FOR).await?;
        let mut bodies = Vec::with_capacity(kept.len());
        for (sealed, known) in kept {
            let body = self.unseal(&url, BODY, &sealed)?;
            let json = body.expose_secret().to_owned();
            let body: Value = serde_json::from_str(&json).unwrap_or_default();
            let told = told(url.vendor, mapping, &body).and_then(|told| told.status);
            let known = wire::IngestedBody {
                record_status: told.map(|status| status.name().to_owned()).unwrap_or_default(),
                ..known
            };
            bodies.push(read_body(known, json, mapping.read(&body)));
        }
        Ok(wire::PreviewIngestResponse { bodies })
    }

    async fn take_in(&self, request: wire::IngestRequest) -> Result<wire::IngestResponse, Error> {
        let url: IngestUrlId = id("ingest_url_not_found", "ingest URL", &request.ingest_url_id)?;
        let url = store::ingest::find(&self.pool, url).await?.filter(|url| url.revoked_at.is_none());
        let url = url.ok_or_else(missing)?;
        let sealed = url.secret.as_deref().ok_or_else(signature_invalid)?;
        let secret = self.unseal(&url, SECRET, sealed)?;
        let json: Option<Value> = serde_json::from_slice(&request.body).ok();
        let sent = Sent {
            secret: &request.secret,
            body: &request.body,
            json: json.as_ref(),
            headers: &request.headers,
        };
        if !url.vendor.authenticates(secret.expose_secret(), &sent) {
            return Err(signature_invalid().into());
        }
        let body = json.ok_or_else(|| Refusal::invalid("body", "invalid_body", "The body is no JSON."))?;
        let mut last = wire::IngestResponse::default();
        for one in url.vendor.divide(url.vendor.without_secret(body)) {
            let ingested = match told(url.vendor, &url.mapping, &one) {
                Some(told) => self.follow_body(&url, &one, &told).await?,
                None => self.record_body(&url, &one).await?,
            };
            let now = self.now();
            let kept = store::ingest::Body {
                id: text::new_id(now),
                received_at: now,
                body: self.seal(&url, BODY, &SecretString::from(one.to_string()))?,
                outcome: ingested.outcome,
                message: ingested.message.clone(),
                event: ingested.event,
            };
            store::ingest::keep(&self.pool, url.id, &kept).await?;
            last = wire::IngestResponse {
                outcome: ingested.outcome.to_owned(),
                event_id: ingested.event.map(|event| event.to_string()).unwrap_or_default(),
                message: ingested.message,
            };
        }
        Ok(last)
    }

    /// Records what a body says, where it meets the conditions and can be read.
    async fn record_body(&self, url: &IngestUrl, body: &Value) -> Result<Ingested, Error> {
        let reading = url.mapping.read(body);
        if !reading.meets_conditions {
            return Ok(Ingested::skipped(UNMET));
        }
        if !reading.problems.is_empty() {
            return Ok(Ingested::refused(reading.problems.join(" ")));
        }
        // A repeat is recognized by the id that the body gives, or by the whole body.
        let known = match &reading.external_event_id {
            Some(id) => format!("id {id}"),
            None => format!("body {body}"),
        };
        match said(url, &reading, &known, self.now()) {
            Ok(event) => {
                let event = self.record_said(event).await?;
                Ok(Ingested { outcome: "recorded", message: String::new(), event: Some(event) })
            }
            Err(refusal) => Ok(Ingested::refused(refusal.message)),
        }
    }

    /// Records an event, or finds the one that it repeats.
    pub(super) async fn record_said(&self, event: NewEvent) -> Result<ConversionId, Error> {
        let job = Job::of(event);
        let Answer::Event(answer) = self.writers.run(job).await? else { return Err(Error::Ending) };
        let stored = |error: &dyn std::fmt::Display| Error::Stored(format!("an event's answer: {error}"));
        let answer = wire::RecordedEvent::decode(answer.as_slice()).map_err(|error| stored(&error))?;
        answer.event_id.parse().map_err(|error| stored(&error))
    }
}

/// A mapping of an address of this vendor.
fn mapping_of(vendor: Vendor, wire: &wire::IngestMapping) -> Result<Mapping, Refusal> {
    if wire.follow_records && !vendor.tells_records() {
        let message = "Only bodies of Pipedrive, Close and Copper are known to say what became of a deal.";
        return Err(Refusal::invalid("mapping", "follow_records_unknown", message));
    }
    Mapping::from_wire(wire)
}

/// What a body tells of a record, where the mapping follows records.
fn told(vendor: Vendor, mapping: &Mapping, body: &Value) -> Option<Told> {
    mapping.follow_records.then(|| vendor.told(body)).flatten()
}

/// Who says what comes to an address.
pub(super) fn actor(url: &IngestUrl) -> String {
    format!("service:attribution/{}", url.id)
}

/// The event that a body says; `known` is what a repeat of it is recognized by.
pub(super) fn said(
    url: &IngestUrl,
    reading: &Reading,
    known: &str,
    now: Timestamp,
) -> Result<NewEvent, Refusal> {
    let mut metadata = reading.metadata.clone();
    metadata.insert("ingest_url".to_owned(), Value::String(url.id.to_string()));
    let asker =
        Asker { organization: url.organization, actor: actor(url), credential_id: url.id.to_string() };
    let event = wire::NewEvent {
        user_id: reading.user_id.clone().unwrap_or_default(),
        r#type: reading.event_type.clone(),
        value: reading.value.as_ref().map(Decimal::to_string),
        currency: reading.currency.clone(),
        metadata_json: Value::Object(metadata).to_string(),
        ts: reading.ts.map(|at: Timestamp| proto::to_wire_time(at)),
        external_event_id: String::new(),
        idempotency_key: String::new(),
        other_user_ids: Vec::new(),
    };
    let key = key::of_webhook(&repeat(url, &reading.event_type, known));
    new_event(&asker, event, Some(key), now)
}

/// What a repeat of an event of this type is recognized by.
pub(super) fn repeat(url: &IngestUrl, event_type: &str, known: &str) -> String {
    format!("{}:{}", url.id, digest(&format!("{event_type} {known}")))
}

/// Half of the SHA-256 of a text, hexadecimal.
pub(super) fn digest(text: &str) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Sha256::digest(text)[..16]);
    Uuid::from_bytes(bytes).simple().to_string()
}

fn read_body(known: wire::IngestedBody, body_json: String, reading: Reading) -> wire::IngestedBody {
    wire::IngestedBody {
        body_json,
        user_id: reading.user_id.unwrap_or_default(),
        event_type: reading.event_type,
        value: reading.value.map(|value| value.to_string()).unwrap_or_default(),
        currency: reading.currency,
        external_event_id: reading.external_event_id.unwrap_or_default(),
        ts: reading.ts.map(proto::to_wire_time),
        metadata_json: Value::Object(reading.metadata).to_string(),
        meets_conditions: reading.meets_conditions,
        problems: reading.problems,
        ..known
    }
}

#[tonic::async_trait]
impl IngestUrls for Service {
    async fn list_ingest_urls(
        &self,
        request: Request<wire::ListIngestUrlsRequest>,
    ) -> Result<Response<wire::ListIngestUrlsResponse>, Status> {
        let asker = self.asker(request.metadata(), Permission::CommissionsRead).await?;
        let urls = store::ingest::list(&self.pool, asker.organization).await?;
        Ok(Response::new(wire::ListIngestUrlsResponse { urls }))
    }

    async fn create_ingest_url(
        &self,
        request: Request<wire::CreateIngestUrlRequest>,
    ) -> Result<Response<wire::CreateIngestUrlResponse>, Status> {
        let asker = self.asker(request.metadata(), Permission::ProgramsWrite).await?;
        Ok(Response::new(self.create_url(&asker, request.into_inner()).await?))
    }

    async fn update_ingest_url(
        &self,
        request: Request<wire::UpdateIngestUrlRequest>,
    ) -> Result<Response<wire::IngestUrl>, Status> {
        let asker = self.asker(request.metadata(), Permission::ProgramsWrite).await?;
        Ok(Response::new(self.update_url(&asker, request.into_inner()).await?))
    }

    async fn revoke_ingest_url(
        &self,
        request: Request<wire::RevokeIngestUrlRequest>,
    ) -> Result<Response<wire::IngestUrl>, Status> {
        let asker = self.asker(request.metadata(), Permission::ProgramsWrite).await?;
        Ok(Response::new(self.revoke_url(&asker, &request.into_inner().ingest_url_id).await?))
    }

    async fn preview_ingest(
        &self,
        request: Request<wire::PreviewIngestRequest>,
    ) -> Result<Response<wire::PreviewIngestResponse>, Status> {
        let asker = self.asker(request.metadata(), Permission::ProgramsWrite).await?;
        Ok(Response::new(self.preview(&asker, request.into_inner()).await?))
    }

    async fn ingest(
        &self,
        request: Request<wire::IngestRequest>,
    ) -> Result<Response<wire::IngestResponse>, Status> {
        Ok(Response::new(self.take_in(request.into_inner()).await?))
    }
}
