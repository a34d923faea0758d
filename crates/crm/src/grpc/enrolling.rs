//! Who a campaign is sent to, and what they would get.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use model::{RecipientId, RecordId};
use proto::crm as wire;
use uuid::Uuid;

use super::{
    Asker, Service,
    campaigning::{campaign_id, first_due, locked, missing, needed, tell},
    limit, no_such_page,
};
use crate::{
    Error,
    domain::{
        address,
        campaign::{Fact, Standing, State, words},
        template::{Fields, Unwritable, is_field},
    },
    error::Refusal,
    sending,
    store::{self, campaigns::Campaign, recipients::Recipient},
    suppressing,
    text::{LONGEST_LINE, LONGEST_NAME, id},
};

/// The most recipients of one request.
const MOST_RECIPIENTS: usize = 10_000;
/// The most fields of one recipient.
const MOST_FIELDS: usize = 50;
/// Of how many recipients a preview shows the mails: usually, and at most.
const USUAL_PREVIEW: u32 = 3;
const LARGEST_PREVIEW: u32 = 20;

/// What is known of contacts, by their ids.
type Contacts = BTreeMap<Uuid, BTreeMap<String, String>>;

/// Why somebody is not enrolled: a stable code, and the field that it is about.
struct Refused(&'static str, String);

fn refused(code: &'static str) -> Refused {
    Refused(code, String::new())
}

/// Somebody who can be mailed.
struct Candidate {
    email: String,
    address: String,
    name: String,
    contact: Option<RecordId>,
    fields: Fields,
}

impl Service {
    pub(super) async fn enrol_recipients(
        &self,
        asker: &Asker,
        request: wire::EnrolRecipientsRequest,
    ) -> Result<wire::EnrolRecipientsResponse, Error> {
        let told = request.recipients;
        if !(1..=MOST_RECIPIENTS).contains(&told.len()) {
            let message = format!("recipients are from 1 to {MOST_RECIPIENTS}.");
            return Err(Refusal::invalid("recipients", "recipients_invalid", message).into());
        }
        let now = self.now();
        let mut tx = self.pool.begin().await?;
        let campaign = locked(&mut tx, asker, &request.campaign_id).await?;
        let needed = needed(&campaign)?;
        let ids: Vec<Uuid> =
            told.iter().filter_map(|it| Some(it.contact_id.parse::<RecordId>().ok()?.uuid())).collect();
        let contacts = store::directory::contacts(&mut tx, asker.organization, &ids).await?;
        let read: Vec<Result<Candidate, Refused>> =
            told.into_iter().map(|told| candidate(told, &contacts, &needed)).collect();
        let addresses: Vec<&str> = read.iter().flatten().map(|it| it.address.as_str()).collect();
        let suppressed = store::suppressions::of(&mut tx, asker.organization, &addresses).await?;
        let (mut news, mut seen, mut known, mut refusals) = (Vec::new(), BTreeSet::new(), 0, Vec::new());
        for (index, read) in (0_u32..).zip(read) {
            match read {
                Err(Refused(code, field)) => refusals.push(told_refusal(index, code, field)),
                Ok(it) if suppressed.contains_key(&it.address) => {
                    refusals.push(told_refusal(index, "suppressed", String::new()));
                }
                Ok(it) if seen.contains(&it.address) => known += 1,
                Ok(it) => {
                    seen.insert(it.address.clone());
                    news.push(enrolled(it, &campaign, now));
                }
            }
        }
        let count = store::recipients::insert(&mut tx, &news).await?;
        let enrolled = u32::try_from(count).unwrap_or(u32::MAX);
        known += u32::try_from(news.len()).unwrap_or(u32::MAX).saturating_sub(enrolled);
        if enrolled > 0 {
            tell(&mut tx, asker, &campaign, ("enrolled", enrolled), now).await?;
        }
        tx.commit().await?;
        self.waker.wake();
        Ok(wire::EnrolRecipientsResponse { enrolled, known, refused: refusals })
    }

    pub(super) async fn list_recipients(
        &self,
        asker: &Asker,
        request: wire::ListRecipientsRequest,
    ) -> Result<wire::ListRecipientsResponse, Error> {
        let limit = limit(request.limit)?;
        let state = request.state.as_str();
        if !state.is_empty() && State::from_name(state).is_none() {
            let names = State::ALL.map(State::name).join(", ");
            let message = format!("state is one of {names}.");
            return Err(Refusal::invalid("state", "state_invalid", message).into());
        }
        let above = match request.page.as_str() {
            "" => Uuid::nil(),
            page => page.parse::<RecipientId>().map_err(|_| no_such_page())?.uuid(),
        };
        let most = i64::try_from(limit + 1).unwrap_or(i64::MAX);
        let mut db = self.pool.acquire().await?;
        let campaign = campaign_id(&request.campaign_id)?;
        let campaign = store::campaigns::find(&mut db, asker.organization, campaign).await?;
        let campaign = campaign.ok_or_else(missing)?;
        let mut found = store::recipients::page(&mut db, campaign.id, state, above, most).await?;
        let more = found.len() > limit;
        found.truncate(limit);
        let next_page = found.last().filter(|_| more).map(|last| last.id.to_string()).unwrap_or_default();
        Ok(wire::ListRecipientsResponse { recipients: found.into_iter().map(to_wire).collect(), next_page })
    }

    pub(super) async fn stop_recipient(
        &self,
        asker: &Asker,
        request: wire::RecipientRequest,
    ) -> Result<wire::Recipient, Error> {
        let missing_one = || Refusal::missing("recipient_not_found", "There is no such recipient.");
        let now = self.now();
        let mut tx = self.pool.begin().await?;
        let campaign = campaign_id(&request.campaign_id)?;
        let campaign = store::campaigns::find(&mut tx, asker.organization, campaign).await?;
        let campaign = campaign.ok_or_else(missing)?;
        let recipient = id("recipient_not_found", "recipient", &request.recipient_id)?;
        let found = store::recipients::lock(&mut tx, asker.organization, recipient).await?;
        let found = found.filter(|it| it.campaign == campaign.id).ok_or_else(missing_one)?;
        if found.standing.state.is_open() {
            suppressing::settle(&mut tx, &found, &Fact::Stopped, now).await?;
            tell(&mut tx, asker, &campaign, ("recipient_stopped", 1), now).await?;
        }
        let stopped = store::recipients::find(&mut tx, campaign.id, recipient).await?;
        tx.commit().await?;
        self.waker.wake();
        Ok(to_wire(stopped.ok_or_else(missing_one)?))
    }

    pub(super) async fn preview_campaign(
        &self,
        asker: &Asker,
        request: wire::PreviewCampaignRequest,
    ) -> Result<wire::PreviewCampaignResponse, Error> {
        let limit = match request.limit {
            0 => USUAL_PREVIEW,
            1..=LARGEST_PREVIEW => request.limit,
            _ => {
                let message = format!("limit is from 1 to {LARGEST_PREVIEW}.");
                return Err(Refusal::invalid("limit", "limit_invalid", message).into());
            }
        };
        let mut db = self.pool.acquire().await?;
        let campaign = campaign_id(&request.campaign_id)?;
        let campaign = store::campaigns::find(&mut db, asker.organization, campaign).await?;
        let campaign = campaign.ok_or_else(missing)?;
        let recipients = if request.recipient_id.is_empty() {
            store::recipients::page(&mut db, campaign.id, "", Uuid::nil(), limit.into()).await?
        } else {
            let one = id("recipient_not_found", "recipient", &request.recipient_id)?;
            store::recipients::find(&mut db, campaign.id, one).await?.into_iter().collect()
        };
        let fields = needed(&campaign)?;
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let missing = store::recipients::missing(&mut db, campaign.id, &fields).await?;
        let missing = missing.into_iter().map(|(field, recipients)| wire::MissingField { field, recipients });
        Ok(wire::PreviewCampaignResponse {
            mails: self.previewed(&campaign, &recipients)?,
            missing: missing.collect(),
        })
    }

    fn previewed(
        &self,
        campaign: &Campaign,
        recipients: &[Recipient],
    ) -> Result<Vec<wire::PreviewedMail>, Error> {
        let malformed = |_| Error::Stored(format!("the texts of {}", campaign.id));
        let texts = sending::texts(&campaign.steps).map_err(malformed)?;
        // Opens nothing: the link of a mail is made when it is sent.
        let link = format!("{}preview", self.opt_out);
        let mut mails = Vec::new();
        for recipient in recipients {
            for (step, texts) in (0_u32..).zip(&texts) {
                let (subject, text, missing) = match texts.write(recipient, &link) {
                    Ok(written) => (written.subject, written.text, String::new()),
                    Err(Unwritable::Missing(field)) => (String::new(), String::new(), field),
                    Err(Unwritable::TooLong) => (String::new(), words("too_long"), String::new()),
                };
                mails.push(wire::PreviewedMail {
                    recipient_id: recipient.id.to_string(),
                    email: recipient.email.clone(),
                    step,
                    subject,
                    text,
                    missing,
                });
            }
        }
        Ok(mails)
    }
}

fn told_refusal(index: u32, code: &'static str, field: String) -> wire::RecipientRefused {
    wire::RecipientRefused { index, code: code.to_owned(), field }
}

/// Somebody as told, with what is known of the contact.
fn candidate(told: wire::NewRecipient, contacts: &Contacts, needed: &[String]) -> Result<Candidate, Refused> {
    let contact: Option<RecordId> = match told.contact_id.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|_| refused("contact_not_found"))?),
    };
    let none = BTreeMap::new();
    let known = match contact {
        None => &none,
        Some(id) => contacts.get(&id.uuid()).ok_or_else(|| refused("contact_not_found"))?,
    };
    let of = |field: &str| known.get(field).map(|value| value.trim()).filter(|value| !value.is_empty());
    let mut email = told.email.trim().to_owned();
    if email.is_empty() && contact.is_some() {
        let known = of("email").or_else(|| of("secondary_email"));
        known.ok_or_else(|| refused("contact_without_address"))?.clone_into(&mut email);
    }
    let address = address::email(&email).ok_or_else(|| refused("address_invalid"))?;
    let mut name = told.name.trim().to_owned();
    if name.is_empty() {
        name = [of("first_name"), of("last_name")].into_iter().flatten().collect::<Vec<_>>().join(" ");
    }
    if name.len() > LONGEST_NAME {
        return Err(Refused("too_long", "name".to_owned()));
    }
    if name.chars().any(char::is_control) {
        return Err(Refused("field_invalid", "name".to_owned()));
    }
    let mut fields = fields(told.fields)?;
    let names = ["first_name", "last_name"].map(|field| (field, of(field).unwrap_or_default().to_owned()));
    for (field, value) in names.into_iter().chain([("name", name.clone()), ("email", email.clone())]) {
        if !value.is_empty() {
            fields.entry(field.to_owned()).or_insert(value);
        }
    }
    if let Some(field) = needed.iter().find(|field| !fields.contains_key(*field)) {
        return Err(Refused("field_missing", field.clone()));
    }
    Ok(Candidate { email, address, name, contact, fields })
}

/// The fields that are told, but for blank ones.
fn fields(told: std::collections::HashMap<String, String>) -> Result<Fields, Refused> {
    if told.len() > MOST_FIELDS {
        return Err(refused("field_invalid"));
    }
    let mut fields = Fields::new();
    for (field, value) in told {
        if !is_field(&field) {
            return Err(refused("field_invalid"));
        }
        if value.len() > LONGEST_LINE {
            return Err(Refused("too_long", field));
        }
        if value.contains('\0') {
            return Err(Refused("field_invalid", field));
        }
        if !value.trim().is_empty() {
            fields.insert(field, value.trim().to_owned());
        }
    }
    Ok(fields)
}

fn enrolled(it: Candidate, campaign: &Campaign, now: Timestamp) -> Recipient {
    let due_at = (campaign.state != "draft").then(|| first_due(campaign, now));
    Recipient {
        id: RecipientId::generate(now),
        campaign: campaign.id,
        organization: campaign.organization,
        email: it.email,
        address: it.address,
        name: it.name,
        contact: it.contact,
        fields: it.fields,
        standing: Standing { state: State::Scheduled, reason: String::new(), step: 0, due_at },
        changed_at: now,
    }
}

fn to_wire(it: Recipient) -> wire::Recipient {
    wire::Recipient {
        id: it.id.to_string(),
        campaign_id: it.campaign.to_string(),
        contact_id: it.contact.map(|id| id.to_string()).unwrap_or_default(),
        email: it.email,
        name: it.name,
        state: it.standing.state.name().to_owned(),
        reason_message: words(&it.standing.reason),
        reason: it.standing.reason,
        step: u32::try_from(it.standing.step).unwrap_or(u32::MAX),
        due_at: it.standing.due_at.map(proto::to_wire_time),
        changed_at: Some(proto::to_wire_time(it.changed_at)),
    }
}
