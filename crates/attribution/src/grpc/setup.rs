//! Partners, programs, links.

use jiff::Timestamp;
use model::{OrganizationId, PartnerChanged, PartnerId, ProgramId, kind};
use proto::attribution as wire;
use sqlx::{Postgres, Transaction};
use url::Url;
use uuid::Uuid;

use super::{Asker, Service, id};
use crate::{
    Error,
    domain::facts::is_email,
    error::Refusal,
    publisher,
    store::{self, links::NewLink, partners::PartnerDecision, programs::Face},
    terms, text, webhooks,
};

const LONGEST_NAME: usize = 255;
const MOST_DOMAINS: usize = 50;
/// Partners of one page.
const USUAL_LIMIT: u32 = 100;
const LARGEST_LIMIT: u32 = 500;

pub(super) fn partner_missing() -> Refusal {
    Refusal::missing("partner_not_found", "There is no such partner.")
}

pub(super) fn program_missing() -> Refusal {
    Refusal::missing("program_not_found", "There is no such program.")
}

impl Service {
    pub(super) async fn create_partner(
        &self,
        asker: &Asker,
        request: wire::CreatePartnerRequest,
    ) -> Result<wire::Partner, Error> {
        let email = text::required("email", request.email.trim(), LONGEST_NAME)?;
        if !is_email(&email) {
            return Err(Refusal::invalid("email", "email_invalid", "email is no e-mail address.").into());
        }
        let request = wire::CreatePartnerRequest {
            email,
            name: text::required("name", &request.name, LONGEST_NAME)?,
            metadata_json: text::object("metadata", &request.metadata_json)?,
            invite: request.invite,
        };
        let (now, organization) = (self.now(), asker.organization);
        let partner = PartnerId::generate(now);
        let mut tx = self.changing(organization).await?;
        match store::partners::insert(&mut tx, organization, partner, &request, now).await {
            Err(error) if error.is_conflict(store::partners::EMAIL) => {
                return Err(Refusal::taken("email_taken", "Another partner has this e-mail address.").into());
            }
            other => other?,
        }
        let (status, kinds): (_, &[_]) = if request.invite {
            ("invited", &[kind::PARTNER_CREATED])
        } else {
            ("active", &[kind::PARTNER_CREATED, kind::PARTNER_ACTIVATED])
        };
        let (status, note) = (status.to_owned(), String::new());
        let created = PartnerChanged { partner, name: request.name.clone(), status, note, at: now };
        self.tell_partner(&mut tx, asker, &created, kinds).await?;
        let stored = store::partners::find(&mut *tx, organization, partner).await?;
        self.commit(tx).await?;
        stored.ok_or_else(|| partner_missing().into())
    }

    pub(super) async fn decide_partner(
        &self,
        asker: &Asker,
        request: wire::DecidePartnerRequest,
    ) -> Result<wire::Partner, Error> {
        let is_revoked = match request.decision.as_str() {
            "revoke" => true,
            "reinstate" => false,
            "invite" | "activate" => return self.let_in(asker, &request).await,
            _ => {
                let message = "decision must be revoke, reinstate, invite or activate.";
                return Err(Refusal::invalid("decision", "decision_invalid", message).into());
            }
        };
        let partner: PartnerId = id("partner_not_found", "partner", &request.partner_id)?;
        let note = text::optional("note", &request.note, text::LONGEST)?;
        let (now, organization) = (self.now(), asker.organization);
        let mut tx = self.changing(organization).await?;
        let found =
            store::partners::find(&mut *tx, organization, partner).await?.ok_or_else(partner_missing)?;
        if (found.status == "revoked") == is_revoked {
            return Ok(found);
        }
        let decision = PartnerDecision {
            id: text::new_id(now),
            organization,
            partner,
            is_revoked,
            note: note.clone(),
            actor: asker.actor.clone(),
            at: now,
        };
        store::partners::decide(&mut tx, &decision).await?;
        let (status, kind) =
            if is_revoked { ("revoked", kind::PARTNER_REVOKED) } else { ("active", kind::PARTNER_ACTIVATED) };
        let (status, name) = (status.to_owned(), found.name.clone());
        let changed = PartnerChanged { partner, name, status, note, at: now };
        self.tell_partner(&mut tx, asker, &changed, &[kind]).await?;
        let stored = store::partners::find(&mut *tx, organization, partner).await?;
        // What happens from now on is earned otherwise; some of it may be recorded already.
        let customers = store::stale::insert_from(&mut tx, organization, partner.uuid(), Some(now)).await?;
        self.commit(tx).await?;
        self.derive_again(customers).await?;
        stored.ok_or_else(|| partner_missing().into())
    }

    /// Invites a partner once more who is not active yet, or says that they are.
    async fn let_in(
        &self,
        asker: &Asker,
        request: &wire::DecidePartnerRequest,
    ) -> Result<wire::Partner, Error> {
        let partner: PartnerId = id("partner_not_found", "partner", &request.partner_id)?;
        let (now, organization) = (self.now(), asker.organization);
        let mut tx = self.changing(organization).await?;
        let found =
            store::partners::find(&mut *tx, organization, partner).await?.ok_or_else(partner_missing)?;
        match (found.status.as_str(), request.decision.as_str()) {
            ("invited", "invite") => {
                store::partners::invite(&mut tx, partner, now).await?;
                let told =
                    publisher::settings(organization, partner.to_string(), "invited", &asker.actor, now)?;
                bus::outbox::enqueue(&mut tx, &[told]).await?;
            }
            ("invited", _) => {
                let note = text::optional("note", &request.note, text::LONGEST)?;
                self.activate(&mut tx, asker, partner, note).await?;
            }
            ("revoked", _) => {
                let message = "The partner is revoked: reinstate them.";
                return Err(Refusal::conflict("partner_revoked", message).into());
            }
            (_, "invite") => {
                return Err(Refusal::taken("already_activated", "The partner is active already.").into());
            }
            _ => return Ok(found),
        }
        let stored = store::partners::find(&mut *tx, organization, partner).await?;
        self.commit(tx).await?;
        stored.ok_or_else(|| partner_missing().into())
    }

    /// A partner uses a key of their own: whoever was invited is active from then on.
    pub(super) async fn came(&self, asker: &Asker, partner: PartnerId) -> Result<(), Error> {
        if !store::partners::is_invited(&self.pool, asker.organization, partner).await? {
            return Ok(());
        }
        let mut tx = self.changing(asker.organization).await?;
        self.activate(&mut tx, asker, partner, String::new()).await?;
        self.commit(tx).await
    }

    async fn activate(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        asker: &Asker,
        partner: PartnerId,
        note: String,
    ) -> Result<(), Error> {
        let now = self.now();
        if store::partners::activate(&mut *tx, asker.organization, partner, now).await? {
            let (status, name) = ("active".to_owned(), String::new());
            let changed = PartnerChanged { partner, name, status, note, at: now };
            self.tell_partner(tx, asker, &changed, &[kind::PARTNER_ACTIVATED]).await?;
        }
        Ok(())
    }

    pub(super) async fn list_partners(
        &self,
        asker: &Asker,
        request: wire::ListPartnersRequest,
    ) -> Result<wire::ListPartnersResponse, Error> {
        let limit = super::reading::limit(request.limit, USUAL_LIMIT, LARGEST_LIMIT);
        let below: Option<Uuid> = super::reading::cursor(&request.cursor)?;
        let more = i64::from(limit) + 1;
        let mut partners =
            store::partners::list(&self.pool, asker.organization, &request.status, below, more).await?;
        let next_cursor =
            super::reading::cut(&mut partners, limit, |partner| partner.id.parse().map(PartnerId::uuid).ok());
        Ok(wire::ListPartnersResponse { partners, next_cursor })
    }

    pub(super) async fn get_partner(
        &self,
        asker: &Asker,
        request: wire::GetPartnerRequest,
    ) -> Result<wire::Partner, Error> {
        let partner: PartnerId = id("partner_not_found", "partner", &request.partner_id)?;
        let found = store::partners::find(&self.pool, asker.organization, partner).await?;
        found.ok_or_else(|| partner_missing().into())
    }

    pub(super) async fn create_program(
        &self,
        asker: &Asker,
        request: wire::Program,
    ) -> Result<wire::Program, Error> {
        let (now, organization) = (self.now(), asker.organization);
        let terms = request.terms.clone().unwrap_or_default();
        terms::from_wire(&terms)?;
        let starts_at = text::moment("starts_at", request.starts_at.as_ref())?;
        let face = Face {
            name: text::required("name", &request.name, LONGEST_NAME)?,
            destination_url: address("destination_url", &request.destination_url)?,
            allowed_domains: domains(&request.allowed_domains)?,
            starts_at,
            ends_at: after("ends_at", text::moment("ends_at", request.ends_at.as_ref())?, starts_at)?,
            extra: text::object("extra", &request.extra_json)?,
        };
        let program = ProgramId::generate(now);
        let mut tx = self.changing(organization).await?;
        store::programs::put(&mut tx, organization, program, &face, now).await?;
        // Events of before it was written down are paid by the first terms, too.
        let from = face.starts_at.unwrap_or(Timestamp::UNIX_EPOCH);
        store::programs::insert_terms(&mut tx, program, 1, from, Some(&terms)).await?;
        let stored = store::programs::find(&mut *tx, organization, program).await?;
        self.commit(tx).await?;
        stored.ok_or_else(|| program_missing().into())
    }

    pub(super) async fn update_program(
        &self,
        asker: &Asker,
        request: wire::UpdateProgramRequest,
    ) -> Result<wire::Program, Error> {
        let (now, organization) = (self.now(), asker.organization);
        let program: ProgramId = id("program_not_found", "program", &request.program_id)?;
        let mut tx = self.changing(organization).await?;
        let found = store::programs::find(&mut *tx, organization, program).await?;
        let found = found.ok_or_else(program_missing)?;
        let face = changed_face(&found, &request, now)?;
        store::programs::put(&mut tx, organization, program, &face, now).await?;
        if let Some(terms) = &request.terms {
            terms::from_wire(terms)?;
        }
        for (from, terms) in changed_terms(&found, &request, face.starts_at, now)? {
            let version = store::programs::next_version(&mut tx, program).await?;
            store::programs::insert_terms(&mut tx, program, version, from, terms).await?;
        }
        let stored = store::programs::find(&mut *tx, organization, program).await?;
        let customers = store::stale::insert_from(&mut tx, organization, program.uuid(), Some(now)).await?;
        self.commit(tx).await?;
        self.derive_again(customers).await?;
        stored.ok_or_else(|| program_missing().into())
    }

    pub(super) async fn list_programs(
        &self,
        asker: &Asker,
        _request: wire::ListProgramsRequest,
    ) -> Result<wire::ListProgramsResponse, Error> {
        let programs = store::programs::list(&self.pool, asker.organization).await?;
        Ok(wire::ListProgramsResponse { programs })
    }

    pub(super) async fn get_program(
        &self,
        asker: &Asker,
        request: wire::GetProgramRequest,
    ) -> Result<wire::Program, Error> {
        let program: ProgramId = id("program_not_found", "program", &request.program_id)?;
        let found = store::programs::find(&self.pool, asker.organization, program).await?;
        found.ok_or_else(|| program_missing().into())
    }

    pub(super) async fn create_link(
        &self,
        asker: &Asker,
        request: wire::CreateLinkRequest,
    ) -> Result<wire::Link, Error> {
        let key = text::required("key", &request.key, 64)?;
        let readable = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if key.len() < 3 || !key.bytes().all(readable) {
            let message = "key must be 3 to 64 letters, digits, _ or -.";
            return Err(Refusal::invalid("key", "link_key_invalid", message).into());
        }
        let (now, organization) = (self.now(), asker.organization);
        let partner: PartnerId = id("partner_not_found", "partner", &request.partner_id)?;
        let program: ProgramId = id("program_not_found", "program", &request.program_id)?;
        let mut tx = self.pool.begin().await?;
        store::partners::find(&mut *tx, organization, partner).await?.ok_or_else(partner_missing)?;
        let found = store::programs::find(&mut *tx, organization, program).await?;
        let found = found.ok_or_else(program_missing)?;
        let destination_url = destination(&request.destination_url, &found)?;
        let link = NewLink { key: key.clone(), partner, program, destination_url: destination_url.clone() };
        match store::links::insert(&mut tx, organization, &link, now).await {
            Err(error) if error.is_conflict(store::links::KEY) => {
                return Err(Refusal::taken("link_key_taken", "Another link has this key.").into());
            }
            other => other?,
        }
        tx.commit().await?;
        let own = destination_url.is_empty();
        Ok(wire::Link {
            key,
            partner_id: partner.to_string(),
            program_id: program.to_string(),
            destination_url: if own { found.destination_url } else { destination_url },
            created_at: Some(proto::to_wire_time(now)),
            clicks: 0,
        })
    }

    pub(super) async fn list_links(
        &self,
        asker: &Asker,
        request: wire::ListLinksRequest,
    ) -> Result<wire::ListLinksResponse, Error> {
        let partner: PartnerId = id("partner_not_found", "partner", &request.partner_id)?;
        let since = Timestamp::UNIX_EPOCH;
        let links = store::links::list(&self.pool, asker.organization, partner, since).await?;
        Ok(wire::ListLinksResponse { links })
    }

    /// A transaction that changes the catalog of an organization.
    pub(super) async fn changing(
        &self,
        organization: OrganizationId,
    ) -> Result<Transaction<'static, Postgres>, Error> {
        let mut tx = self.pool.begin().await?;
        store::catalog::change(&mut tx, organization).await?;
        Ok(tx)
    }

    pub(super) async fn commit(&self, tx: Transaction<'static, Postgres>) -> Result<(), Error> {
        tx.commit().await?;
        self.waker.wake();
        self.bell.ring();
        Ok(())
    }

    async fn tell_partner(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        asker: &Asker,
        changed: &PartnerChanged,
        kinds: &[&'static str],
    ) -> Result<(), Error> {
        let messages: Result<Vec<_>, _> = kinds
            .iter()
            .map(|kind| publisher::partner(asker.organization, kind, changed, &asker.actor))
            .collect();
        let messages = messages?;
        webhooks::enqueue(tx, &messages, changed.at).await?;
        Ok(bus::outbox::enqueue(tx, &messages).await?)
    }
}

fn changed_face(
    found: &wire::Program,
    request: &wire::UpdateProgramRequest,
    now: Timestamp,
) -> Result<Face, Refusal> {
    let name = request.name.as_deref().unwrap_or(&found.name);
    let destination_url = request.destination_url.as_deref().unwrap_or(&found.destination_url);
    let allowed = request.allowed_domains.as_ref();
    let extra = request.extra_json.as_deref().unwrap_or(&found.extra_json);
    let start = (request.starts_at.as_ref(), request.clear_starts_at);
    let end = (request.ends_at.as_ref(), request.clear_ends_at);
    let starts_at = moved("starts_at", found.starts_at.as_ref(), start, now)?;
    let ends_at = moved("ends_at", found.ends_at.as_ref(), end, now)?;
    Ok(Face {
        name: text::required("name", name, LONGEST_NAME)?,
        destination_url: address("destination_url", destination_url)?,
        allowed_domains: domains(allowed.map_or(&found.allowed_domains, |allowed| &allowed.domains))?,
        starts_at,
        ends_at: after("ends_at", ends_at, starts_at)?,
        extra: text::object("extra", extra)?,
    })
}

/// The versions that the program's terms get: other terms from now on, or from its start. Until a start that is moved, nobody
/// is paid; one that is taken away is now.
fn changed_terms<'t>(
    found: &'t wire::Program,
    request: &'t wire::UpdateProgramRequest,
    starts_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<Vec<(Timestamp, Option<&'t wire::Terms>)>, Refusal> {
    let stands = text::moment("starts_at", found.starts_at.as_ref())?;
    let from = starts_at.map_or(now, |starts_at| starts_at.max(now));
    let terms = request.terms.as_ref();
    if starts_at == stands {
        return Ok(terms.map(|terms| (from, Some(terms))).into_iter().collect());
    }
    let pause = stands.unwrap_or(now);
    let pause = (pause < from).then_some((pause, None));
    Ok(pause.into_iter().chain([(from, terms.or(found.terms.as_ref()))]).collect())
}

/// A start or an end may be moved or taken away, but neither from nor into the past: what was earned stays earned.
fn moved(
    field: &'static str,
    stands: Option<&prost_types::Timestamp>,
    (asked, is_cleared): (Option<&prost_types::Timestamp>, bool),
    now: Timestamp,
) -> Result<Option<Timestamp>, Refusal> {
    let (stands, asked) = (text::moment(field, stands)?, text::moment(field, asked)?);
    let wanted = if is_cleared { asked } else { asked.or(stands) };
    if wanted == stands {
        return Ok(stands);
    }
    if wanted.is_some_and(|wanted| wanted < now) || stands.is_some_and(|stands| stands < now) {
        return Err(Refusal::invalid(field, "in_the_past", format!("{field} is in the past.")));
    }
    Ok(wanted)
}

fn after(
    field: &'static str,
    at: Option<Timestamp>,
    start: Option<Timestamp>,
) -> Result<Option<Timestamp>, Refusal> {
    match at.zip(start) {
        Some((at, start)) if at <= start => {
            Err(Refusal::invalid(field, "time_range_invalid", format!("{field} is not after the start.")))
        }
        _ => Ok(at),
    }
}

/// An address that a browser may be sent to.
fn address(field: &'static str, text: &str) -> Result<String, Refusal> {
    let text = text::required(field, text, text::LONGEST)?;
    let is_web =
        Url::parse(&text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    is_web.then_some(text).ok_or_else(|| {
        Refusal::invalid(field, "url_invalid", format!("{field} is no http or https address."))
    })
}

fn domains(domains: &[String]) -> Result<Vec<String>, Refusal> {
    let wrong = |message| Refusal::invalid("allowed_domains", "domain_invalid", message);
    if domains.len() > MOST_DOMAINS {
        return Err(wrong(format!("There are more than {MOST_DOMAINS} domains.")));
    }
    let readable = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'-';
    let one = |domain: &String| {
        let fits = !domain.is_empty() && domain.len() <= 253 && domain.bytes().all(readable);
        fits.then(|| domain.to_ascii_lowercase()).ok_or_else(|| wrong(format!("{domain:?} is no domain.")))
    };
    domains.iter().map(one).collect()
}

/// Another destination than the program's is allowed on its own host and on its allowed domains.
fn destination(text: &str, program: &wire::Program) -> Result<String, Refusal> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let text = address("destination_url", text)?;
    let own = Url::parse(&program.destination_url).ok().and_then(|url| url.host_str().map(str::to_owned));
    let allowed: Vec<String> = program.allowed_domains.iter().cloned().chain(own).collect();
    if super::recording::is_allowed(&text, &allowed) {
        return Ok(text);
    }
    let message = "The program does not allow this destination.";
    Err(Refusal::invalid("destination_url", "destination_override_not_allowed", message))
}
