//! Deals that partners register, and what is decided about them.

use bus::outbox;
use jiff::{SignedDuration, Timestamp};
use model::{DealRegistrationId, PartnerId, RecordId, RegistrationConflict};
use proto::crm as wire;

use super::{Asker, Service, limit, no_such_page, setting::days};
use crate::{
    Error,
    deciding::{Outcome, decide_registration},
    domain::{
        address,
        registration::{Fact, Refused, Status, submitted},
    },
    error::Refusal,
    publisher,
    store::{self, partners::Known, registrations::Registration, settings::Settings},
    text::{self, LONGEST_NAME, LONGEST_NOTE},
};

const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// The most deals of a partner within an hour that a link to its form adds to. Whoever has more has a key and a program.
const MOST_OF_A_FORM_IN_AN_HOUR: i64 = 20;

impl Service {
    pub(super) async fn submit_deal_registration(
        &self,
        asker: &Asker,
        request: wire::SubmitDealRegistrationRequest,
    ) -> Result<wire::DealRegistration, Error> {
        let now = self.now();
        let partner = whose(asker, &request.partner_id)?;
        let mut tx = self.pool.begin().await?;
        let settings = store::settings::find(&mut tx, asker.organization).await?;
        let mut new = said(asker, partner, &request, &settings, now)?;
        match store::partners::known(&mut tx, asker.organization, partner).await? {
            Some(Known::Active) => {}
            Some(Known::Revoked) => {
                return Err(Refusal::conflict("partner_revoked", "The partner was revoked.").into());
            }
            // Whoever asks with a key of the partner's is one, though nothing was told of them yet.
            None if asker.partner.is_some() => {}
            None => return Err(no_such_partner().into()),
        }
        if asker.by_form {
            let since = now.saturating_sub(HOUR).unwrap_or(now);
            let lately = store::registrations::submitted_since(&mut tx, asker.organization, partner, since);
            if lately.await? >= MOST_OF_A_FORM_IN_AN_HOUR {
                let message = "That are many registrations within an hour. Go on later.";
                return Err(Refusal::exhausted("too_many_registrations", message).into());
            }
        }
        store::registrations::lock_company(&mut tx, asker.organization, &new.domain).await?;
        let standing =
            store::registrations::standing_with(&mut tx, asker.organization, &new.domain, now).await?;
        if let Some(same) = standing.iter().find(|known| is_same_deal(known, &new)) {
            let message = format!("The partner registered this deal before: {}.", same.id);
            return Err(Refusal::taken("deal_already_registered", message).into());
        }
        new.conflicts = standing.iter().map(|known| conflict(known, partner)).collect();
        store::registrations::insert(&mut tx, &new).await?;
        let company = store::directory::company(&mut tx, asker.organization, &new.domain).await?;
        let message = publisher::registration(&new, company, &asker.actor, now)?;
        outbox::enqueue(&mut tx, message.as_slice()).await?;
        tx.commit().await?;
        self.waker.wake();
        Ok(to_wire(new, asker))
    }

    /// Whose form it is.
    pub(super) async fn deal_form(&self, asker: &Asker, partner: PartnerId) -> Result<wire::DealForm, Error> {
        let mut db = self.pool.acquire().await?;
        let name = store::partners::name(&mut db, asker.organization, partner).await?;
        let known = store::partners::known(&mut db, asker.organization, partner).await?;
        let revoked = known == Some(Known::Revoked);
        let (partner_id, partner_name) = (partner.to_string(), name.unwrap_or_default());
        Ok(wire::DealForm { partner_id, partner_name, revoked })
    }

    pub(super) async fn get_deal_registration(
        &self,
        asker: &Asker,
        request: wire::DealRegistrationRequest,
    ) -> Result<wire::DealRegistration, Error> {
        let found = store::registrations::find(&self.pool, asker.organization, id(&request.id)?).await?;
        let own = |it: &Registration| asker.partner.is_none_or(|partner| partner == it.partner);
        Ok(to_wire(found.filter(own).ok_or_else(missing)?, asker))
    }

    pub(super) async fn list_deal_registrations(
        &self,
        asker: &Asker,
        request: wire::ListDealRegistrationsRequest,
    ) -> Result<wire::ListDealRegistrationsResponse, Error> {
        let limit = limit(request.limit)?;
        let partner = match (asker.partner, request.partner_id.as_str()) {
            (None, "") => None,
            _ => Some(whose(asker, &request.partner_id)?),
        };
        let statuses: Vec<&str> = match request.status.as_str() {
            "" => Status::ALL.map(Status::name).into(),
            "open" => Status::ALL.into_iter().filter(|it| it.is_open()).map(Status::name).collect(),
            name if Status::ALL.iter().any(|status| status.name() == name) => vec![name],
            _ => {
                let message = "status is one of submitted, under_review, approved, rejected, expired, open.";
                return Err(Refusal::invalid("status", "status_invalid", message).into());
            }
        };
        let below = (!request.page.is_empty()).then(|| request.page.parse().map_err(|_| no_such_page()));
        // One more than asked for tells whether there is a next page.
        let most = i64::try_from(limit + 1).unwrap_or(i64::MAX);
        let organization = asker.organization;
        let mut found = store::registrations::list(
            &self.pool,
            organization,
            partner,
            &statuses,
            below.transpose()?,
            most,
        )
        .await?;
        let more = found.len() > limit;
        found.truncate(limit);
        let next_page = found.last().filter(|_| more).map(|last| last.id.to_string()).unwrap_or_default();
        let registrations = found.into_iter().map(|it| to_wire(it, asker)).collect();
        Ok(wire::ListDealRegistrationsResponse { registrations, next_page })
    }

    pub(super) async fn review_deal_registration(
        &self,
        asker: &Asker,
        request: wire::DealRegistrationRequest,
    ) -> Result<wire::DealRegistration, Error> {
        self.decide_registration(asker, &request.id, |_| Fact::Reviewed { by: asker.actor.clone() }).await
    }

    pub(super) async fn approve_deal_registration(
        &self,
        asker: &Asker,
        request: wire::ApproveDealRegistrationRequest,
    ) -> Result<wire::DealRegistration, Error> {
        let asked = if request.days == 0 { None } else { Some(days("days", request.days)?) };
        let deal = RecordId::generate(self.now());
        self.decide_registration(asker, &request.id, |settings| Fact::Approved {
            by: asker.actor.clone(),
            deal,
            days: asked.unwrap_or(settings.protected_days),
        })
        .await
    }

    pub(super) async fn reject_deal_registration(
        &self,
        asker: &Asker,
        request: wire::RejectDealRegistrationRequest,
    ) -> Result<wire::DealRegistration, Error> {
        let reason = text::required("reason", &request.reason, LONGEST_NOTE)?;
        self.decide_registration(asker, &request.id, |_| Fact::Rejected { by: asker.actor.clone(), reason })
            .await
    }

    async fn decide_registration(
        &self,
        asker: &Asker,
        registration: &str,
        fact: impl FnOnce(&Settings) -> Fact,
    ) -> Result<wire::DealRegistration, Error> {
        let about = (asker.organization, id(registration)?);
        let mut tx = self.pool.begin().await?;
        let decided = decide_registration(&mut tx, self.clock.as_ref(), about, &asker.actor, fact).await?;
        let registration = match decided {
            Outcome::Unknown => return Err(missing().into()),
            Outcome::Refused(why, _) => return Err(refused(why).into()),
            Outcome::Same(registration) => registration,
            Outcome::Taken(registration) => {
                tx.commit().await?;
                self.waker.wake();
                registration
            }
        };
        Ok(to_wire(*registration, asker))
    }
}

fn id(text: &str) -> Result<DealRegistrationId, Refusal> {
    text::id("deal_registration_not_found", "deal registration", text)
}

fn missing() -> Refusal {
    Refusal::missing("deal_registration_not_found", "There is no such deal registration.")
}

/// The partner that a request is about: the caller, where it is one.
fn whose(asker: &Asker, named: &str) -> Result<PartnerId, Refusal> {
    match asker.partner {
        Some(own) if named.is_empty() || named == own.to_string() => Ok(own),
        Some(_) => Err(no_such_partner()),
        None if named.is_empty() => {
            Err(Refusal::invalid("partner_id", "required", "partner_id is required."))
        }
        None => named.parse().map_err(|_| no_such_partner()),
    }
}

fn no_such_partner() -> Refusal {
    let message = "There is no such partner. One who was made just now is known in a moment: try again.";
    Refusal::missing("partner_not_found", message)
}

/// What a partner says, checked.
fn said(
    asker: &Asker,
    partner: PartnerId,
    request: &wire::SubmitDealRegistrationRequest,
    settings: &Settings,
    now: Timestamp,
) -> Result<Registration, Refusal> {
    let invalid = |field: &str, code, message: &str| Refusal::invalid(field, code, message);
    let domain = text::required("company_domain", &request.company_domain, LONGEST_NAME)?;
    let domain = address::domain(&domain)
        .ok_or_else(|| invalid("company_domain", "domain_invalid", "company_domain is no domain."))?;
    if address::is_free(&domain, &settings.free_domains) {
        let message = "company_domain is a domain of free e-mail addresses and no company's.";
        return Err(invalid("company_domain", "domain_of_free_mail", message));
    }
    let contact_email = text::required("contact_email", &request.contact_email, LONGEST_NAME)?;
    let contact_email = address::email(&contact_email)
        .ok_or_else(|| invalid("contact_email", "email_invalid", "contact_email is no e-mail address."))?;
    let record = request.partner_record_id.as_str();
    let partner_record = (!record.is_empty())
        .then(|| {
            record.parse().map_err(|_| {
                invalid("partner_record_id", "record_invalid", "partner_record_id is of the form rec_….")
            })
        })
        .transpose()?;
    let money = text::money(&request.amount, &request.currency)?;
    Ok(Registration {
        id: DealRegistrationId::generate(now),
        organization: asker.organization,
        partner,
        partner_record,
        company_name: text::required("company_name", &request.company_name, LONGEST_NAME)?,
        domain,
        contact_name: text::required("contact_name", &request.contact_name, LONGEST_NAME)?,
        contact_email,
        deal_name: text::required("deal_name", &request.deal_name, LONGEST_NAME)?,
        amount: money.map(|(amount, _)| amount),
        currency: money.map(|(_, currency)| currency.to_owned()).unwrap_or_default(),
        expected_close: text::day("expected_close", &request.expected_close)?,
        note: text::optional("note", &request.note, LONGEST_NOTE)?,
        conflicts: Vec::new(),
        submitted_at: now,
        submitted_by: asker.actor.clone(),
        standing: submitted(now, settings.review_days),
    })
}

fn is_same_deal(known: &Registration, new: &Registration) -> bool {
    let key = store::registrations::deal_key;
    known.partner == new.partner && key(&known.deal_name) == key(&new.deal_name)
}

fn conflict(known: &Registration, partner: PartnerId) -> RegistrationConflict {
    RegistrationConflict {
        kind: if known.partner == partner { "duplicate" } else { "channel" }.to_owned(),
        registration: known.id,
        partner: known.partner,
        status: known.standing.status.name().to_owned(),
    }
}

fn refused(refused: Refused) -> Refusal {
    match refused {
        Refused::Decided { status, by } => {
            let (status, by, at) = (status.name(), by.by, by.at);
            let message = format!("It is {status} already: {by} decided at {at}.");
            Refusal::conflict("already_decided", message)
        }
        Refused::Expired => Refusal::conflict("registration_expired", "Its time is over."),
        Refused::ReasonMissing => Refusal::invalid("reason", "required", "reason is required."),
    }
}

fn to_wire(it: Registration, asker: &Asker) -> wire::DealRegistration {
    let text = |id: Option<RecordId>| id.map(|id| id.to_string()).unwrap_or_default();
    let (decided_by, decided_at) = match it.standing.decided {
        Some(decided) => (decided.by, Some(proto::to_wire_time(decided.at))),
        None => (String::new(), None),
    };
    let conflict = |it: RegistrationConflict| wire::RegistrationConflict {
        kind: it.kind,
        registration_id: it.registration.to_string(),
        partner_id: it.partner.to_string(),
        status: it.status,
    };
    let whole = wire::DealRegistration {
        id: it.id.to_string(),
        partner_id: it.partner.to_string(),
        partner_record_id: text(it.partner_record),
        company_name: it.company_name,
        company_domain: it.domain,
        contact_name: it.contact_name,
        contact_email: it.contact_email,
        deal_name: it.deal_name,
        amount: it.amount.map(|amount| amount.to_string()).unwrap_or_default(),
        currency: it.currency,
        expected_close: it.expected_close.map(|day| day.to_string()).unwrap_or_default(),
        note: it.note,
        status: it.standing.status.name().to_owned(),
        conflicts: it.conflicts.into_iter().map(conflict).collect(),
        submitted_at: Some(proto::to_wire_time(it.submitted_at)),
        submitted_by: it.submitted_by,
        reviewer: it.standing.reviewer.unwrap_or_default(),
        decided_at,
        decided_by,
        reason: it.standing.reason,
        expires_at: Some(proto::to_wire_time(it.standing.expires_at)),
        deal_id: text(it.standing.deal),
    };
    if asker.partner.is_some() { as_partners_see_it(whole, asker) } else { whole }
}

/// What became of a deal, and that another partner has the company as well: not which one or how often, nor who of the
/// organization did what.
fn as_partners_see_it(mut it: wire::DealRegistration, asker: &Asker) -> wire::DealRegistration {
    it.reviewer.clear();
    it.decided_by.clear();
    if it.submitted_by != asker.actor {
        it.submitted_by.clear();
    }
    let is_own = |conflict: &wire::RegistrationConflict| conflict.partner_id == it.partner_id;
    let (mut told, others): (Vec<_>, Vec<_>) = it.conflicts.into_iter().partition(is_own);
    let other = others.into_iter().next();
    told.extend(other.map(|it| wire::RegistrationConflict { kind: it.kind, ..<_>::default() }));
    it.conflicts = told;
    it
}
