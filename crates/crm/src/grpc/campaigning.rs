//! Campaigns: drafts, and whether they run.

use bus::outbox;
use jiff::{Timestamp, tz::TimeZone};
use model::{CampaignId, ConnectionId, MailingChanged, OrganizationId};
use proto::crm as wire;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Asker, Service, limit, no_such_page};
use crate::{
    Error,
    domain::{
        campaign::{DAY, State, Window, after, words},
        template::{Malformed, OPT_OUT_LINK, Template},
    },
    error::Refusal,
    publisher, sending,
    store::{
        self,
        campaigns::{Campaign, Numbers, Step},
    },
    text::{self, LONGEST_NAME},
};

/// The vendors whose mailboxes send.
pub(super) const VENDORS: [&str; 1] = ["m365"];
/// The most mails of one campaign.
const MOST_STEPS: usize = 20;
/// The most days between two mails.
const MOST_DAYS: u32 = 365;
/// The longest text of a mail, in bytes.
const LONGEST_TEXT: usize = 64 * 1024;

impl Service {
    pub(super) async fn create_campaign(
        &self,
        asker: &Asker,
        request: wire::CampaignDraft,
    ) -> Result<wire::Campaign, Error> {
        let mut tx = self.pool.begin().await?;
        let made = self.drafted(&mut tx, asker, None, request).await?;
        let whole = shown(&mut tx, vec![made]).await?.remove(0);
        tx.commit().await?;
        self.waker.wake();
        Ok(whole)
    }

    pub(super) async fn update_campaign(
        &self,
        asker: &Asker,
        request: wire::UpdateCampaignRequest,
    ) -> Result<wire::Campaign, Error> {
        let mut tx = self.pool.begin().await?;
        let known = locked(&mut tx, asker, &request.id).await?;
        if known.state != "draft" {
            return Err(started().into());
        }
        unchanged(&known, request.if_version)?;
        let draft = request.draft.unwrap_or_default();
        let changed = self.drafted(&mut tx, asker, Some(known), draft).await?;
        let whole = shown(&mut tx, vec![changed]).await?.remove(0);
        tx.commit().await?;
        self.waker.wake();
        Ok(whole)
    }

    /// Stores a draft as it is told, new or in the place of the one that is known.
    async fn drafted(
        &self,
        tx: &mut PgConnection,
        asker: &Asker,
        known: Option<Campaign>,
        draft: wire::CampaignDraft,
    ) -> Result<Campaign, Error> {
        let now = self.now();
        let connection = text::id("connection_not_found", "connection", &draft.connection_id)?;
        let vendor = mailbox(&mut *tx, asker.organization, connection).await?;
        let change = if known.is_some() { "changed" } else { "created" };
        let (id, created_by, created_at, version) = match known {
            Some(known) => (known.id, known.created_by, known.created_at, known.version + 1),
            None => (CampaignId::generate(now), asker.actor.clone(), now, 1),
        };
        let starts_at = draft.starts_at.as_ref();
        let it = Campaign {
            id,
            organization: asker.organization,
            name: text::required("name", &draft.name, LONGEST_NAME)?,
            connection,
            vendor,
            state: "draft".to_owned(),
            pause_reason: String::new(),
            starts_at: starts_at.map(|at| text::moment("starts_at", Some(at))).transpose()?,
            window: draft.window.map(window).transpose()?,
            created_by,
            created_at,
            started_at: None,
            version,
            steps: steps(draft.steps)?,
        };
        store::campaigns::put(&mut *tx, &it).await?;
        store::mailboxes::know(&mut *tx, asker.organization, connection).await?;
        tell(tx, asker, &it, (change, 0), now).await?;
        Ok(it)
    }

    pub(super) async fn get_campaign(
        &self,
        asker: &Asker,
        request: wire::CampaignRequest,
    ) -> Result<wire::Campaign, Error> {
        let mut db = self.pool.acquire().await?;
        let id = campaign_id(&request.id)?;
        let found = store::campaigns::find(&mut db, asker.organization, id).await?.ok_or_else(missing)?;
        Ok(shown(&mut db, vec![found]).await?.remove(0))
    }

    pub(super) async fn list_campaigns(
        &self,
        asker: &Asker,
        request: wire::ListCampaignsRequest,
    ) -> Result<wire::ListCampaignsResponse, Error> {
        let limit = limit(request.limit)?;
        let below = match request.page.as_str() {
            "" => Uuid::max(),
            page => page.parse::<CampaignId>().map_err(|_| no_such_page())?.uuid(),
        };
        let most = i64::try_from(limit + 1).unwrap_or(i64::MAX);
        let mut db = self.pool.acquire().await?;
        let mut found = store::campaigns::page(&mut db, asker.organization, below, most).await?;
        let more = found.len() > limit;
        found.truncate(limit);
        let next_page = found.last().filter(|_| more).map(|last| last.id.to_string()).unwrap_or_default();
        Ok(wire::ListCampaignsResponse { campaigns: shown(&mut db, found).await?, next_page })
    }

    pub(super) async fn start_campaign(
        &self,
        asker: &Asker,
        request: wire::StartCampaignRequest,
    ) -> Result<wire::Campaign, Error> {
        let now = self.now();
        let mut tx = self.pool.begin().await?;
        let mut campaign = locked(&mut tx, asker, &request.id).await?;
        if campaign.state != "draft" {
            return Err(started().into());
        }
        unchanged(&campaign, request.if_version)?;
        mailbox(&mut tx, asker.organization, campaign.connection).await?;
        let fields = needed(&campaign)?;
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let lacking = store::recipients::missing(&mut tx, campaign.id, &fields).await?;
        if let Some((field, count)) = lacking.first() {
            let message = format!("{{{{{field}}}}} is not known of {count} recipients.");
            return Err(Refusal::conflict("fields_missing", message).into());
        }
        let count = store::recipients::start(&mut tx, campaign.id, first_due(&campaign, now)).await?;
        if count == 0 {
            return Err(Refusal::conflict("campaign_empty", "The campaign has no recipients.").into());
        }
        store::campaigns::set_state(&mut tx, campaign.id, ("running", ""), Some(now)).await?;
        campaign.state = "running".to_owned();
        campaign.started_at = Some(now);
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        tell(&mut tx, asker, &campaign, ("started", count), now).await?;
        let whole = shown(&mut tx, vec![campaign]).await?.remove(0);
        tx.commit().await?;
        self.waker.wake();
        Ok(whole)
    }

    pub(super) async fn withdraw_campaign(
        &self,
        asker: &Asker,
        request: wire::CampaignRequest,
    ) -> Result<wire::Campaign, Error> {
        let mut tx = self.pool.begin().await?;
        let mut campaign = locked(&mut tx, asker, &request.id).await?;
        if campaign.state == "draft" {
            return Err(not_started().into());
        }
        // Whoever asks a mailbox for mails shares the row of the campaign: none is asked for meanwhile.
        if store::mails::is_any_of(&mut tx, campaign.id).await? {
            let message = "Mails of the campaign went out, or are on their way. Pause it instead.";
            return Err(Refusal::conflict("mails_asked_for", message).into());
        }
        store::recipients::withdraw(&mut tx, campaign.id).await?;
        store::campaigns::withdraw(&mut tx, campaign.id).await?;
        "draft".clone_into(&mut campaign.state);
        campaign.pause_reason.clear();
        campaign.started_at = None;
        tell(&mut tx, asker, &campaign, ("withdrawn", 0), self.now()).await?;
        let whole = shown(&mut tx, vec![campaign]).await?.remove(0);
        tx.commit().await?;
        self.waker.wake();
        Ok(whole)
    }

    pub(super) async fn pause_campaign(
        &self,
        asker: &Asker,
        request: wire::CampaignRequest,
    ) -> Result<wire::Campaign, Error> {
        self.turn(asker, &request.id, ("paused", "paused")).await
    }

    pub(super) async fn resume_campaign(
        &self,
        asker: &Asker,
        request: wire::CampaignRequest,
    ) -> Result<wire::Campaign, Error> {
        self.turn(asker, &request.id, ("running", "resumed")).await
    }

    /// Brings a campaign that was started into a state. One that is in it already stays as it is.
    async fn turn(
        &self,
        asker: &Asker,
        id: &str,
        (state, change): (&str, &str),
    ) -> Result<wire::Campaign, Error> {
        let now = self.now();
        let mut tx = self.pool.begin().await?;
        let mut campaign = locked(&mut tx, asker, id).await?;
        if campaign.state == "draft" {
            return Err(not_started().into());
        }
        if campaign.state != state {
            if state == "running" {
                mailbox(&mut tx, asker.organization, campaign.connection).await?;
            } else {
                // What was not sent yet comes back, and is due again once the campaign is resumed.
                let asked = store::mails::asked_of(&mut tx, campaign.id).await?;
                publisher::withdraw(&mut tx, asker.organization, &asked, now).await?;
            }
            store::campaigns::set_state(&mut tx, campaign.id, (state, ""), None).await?;
            state.clone_into(&mut campaign.state);
            campaign.pause_reason.clear();
            tell(&mut tx, asker, &campaign, (change, 0), now).await?;
        }
        let whole = shown(&mut tx, vec![campaign]).await?.remove(0);
        tx.commit().await?;
        self.waker.wake();
        Ok(whole)
    }
}

pub(super) fn campaign_id(text: &str) -> Result<CampaignId, Refusal> {
    text::id("campaign_not_found", "campaign", text)
}

pub(super) fn missing() -> Refusal {
    Refusal::missing("campaign_not_found", "There is no such campaign.")
}

fn started() -> Refusal {
    Refusal::conflict("campaign_started", "The campaign was started already.")
}

fn not_started() -> Refusal {
    Refusal::conflict("campaign_not_started", "The campaign was not started.")
}

/// Whether the campaign still is what the asker saw.
fn unchanged(campaign: &Campaign, seen: Option<i64>) -> Result<(), Refusal> {
    match seen {
        Some(version) if version != campaign.version => {
            let message = format!("The campaign changed meanwhile: it has version {}.", campaign.version);
            Err(Refusal::outdated("version_changed", message))
        }
        _ => Ok(()),
    }
}

/// The campaign of a request, for whoever changes it.
pub(super) async fn locked(tx: &mut PgConnection, asker: &Asker, id: &str) -> Result<Campaign, Error> {
    let found = store::campaigns::lock(tx, asker.organization, campaign_id(id)?).await?;
    Ok(found.ok_or_else(missing)?)
}

/// When the first mail is due to those who are enrolled by now.
pub(super) fn first_due(campaign: &Campaign, now: Timestamp) -> Timestamp {
    let start = campaign.starts_at.map_or(now, |at| at.max(now));
    after(start, campaign.delays().first().copied().unwrap_or_default())
}

/// The fields that the texts have places for, but for the link.
pub(super) fn needed(campaign: &Campaign) -> Result<Vec<String>, Error> {
    let malformed = |_| Error::Stored(format!("the texts of {}", campaign.id));
    let texts = sending::texts(&campaign.steps).map_err(malformed)?;
    let mut fields: Vec<String> = texts
        .iter()
        .flat_map(|it| it.subject.fields().into_iter().chain(it.text.fields()))
        .filter(|field| *field != OPT_OUT_LINK)
        .map(str::to_owned)
        .collect();
    fields.sort();
    fields.dedup();
    Ok(fields)
}

/// The vendor of a connection that sends mails and stands.
pub(super) async fn mailbox(
    db: &mut PgConnection,
    organization: OrganizationId,
    connection: ConnectionId,
) -> Result<String, Error> {
    let missing = || Refusal::missing("connection_not_found", "There is no such connection.");
    let (vendor, state) =
        store::connections::find(db, organization, connection).await?.ok_or_else(missing)?;
    if !VENDORS.contains(&vendor.as_str()) {
        let message = format!("No mails are sent through {}.", model::vendor_name(&vendor));
        return Err(Refusal::conflict("vendor_sends_no_mail", message).into());
    }
    if state != "active" {
        let message = "The mailbox is not connected at the moment.";
        return Err(Refusal::conflict("connection_not_active", message).into());
    }
    Ok(vendor)
}

fn window(told: wire::SendingWindow) -> Result<Window, Refusal> {
    let zone = TimeZone::get(&told.time_zone).ok().filter(|zone| zone.iana_name().is_some());
    let unknown = || {
        let message = "A time zone is of the form Europe/Berlin.";
        Refusal::invalid("window.time_zone", "time_zone_invalid", message)
    };
    let zone = zone.ok_or_else(unknown)?;
    let minute = |minute: u32| u16::try_from(minute).ok().filter(|minute| *minute <= DAY);
    let hours = minute(told.from_minute).zip(minute(told.until_minute)).filter(|(from, until)| from < until);
    let wrong = || {
        let message = "The hours are from one minute of the day to a later one, at most 1440.";
        Refusal::invalid("window", "window_invalid", message)
    };
    let (from, until) = hours.ok_or_else(wrong)?;
    Ok(Window { zone, from, until, weekdays: told.weekdays_only })
}

fn steps(told: Vec<wire::CampaignStep>) -> Result<Vec<Step>, Refusal> {
    if !(1..=MOST_STEPS).contains(&told.len()) {
        let message = format!("steps are from 1 to {MOST_STEPS}.");
        return Err(Refusal::invalid("steps", "steps_invalid", message));
    }
    told.into_iter().enumerate().map(step).collect()
}

fn step((place, told): (usize, wire::CampaignStep)) -> Result<Step, Refusal> {
    let field = |name: &str| format!("steps[{place}].{name}");
    if told.after_days > MOST_DAYS {
        let message = format!("after_days is from 0 to {MOST_DAYS}.");
        return Err(Refusal::invalid(field("after_days"), "days_invalid", message));
    }
    let subject = match place {
        0 => text::required(&field("subject"), &told.subject, LONGEST_NAME)?,
        _ => text::optional(&field("subject"), &told.subject, LONGEST_NAME)?,
    };
    let body = text::required(&field("text"), &told.text, LONGEST_TEXT)?;
    let template = template(&field("subject"), &subject)?;
    if template.fields().contains(OPT_OUT_LINK) {
        let message = "A subject has no link.";
        return Err(Refusal::invalid(field("subject"), "template_invalid", message));
    }
    self::template(&field("text"), &body)?;
    Ok(Step { after_days: told.after_days, subject, text: body })
}

fn template(field: &str, text: &str) -> Result<Template, Refusal> {
    Template::parse(text).map_err(|why| {
        let message = match why {
            Malformed::Unclosed => {
                "A field is of the form {{first_name}}: something is not closed or not opened."
            }
            Malformed::Name => {
                "The name of a field is of lower-case letters, digits and _, as in {{first_name}}."
            }
        };
        Refusal::invalid(field, "template_invalid", message)
    })
}

/// The audit hears of it.
pub(super) async fn tell(
    tx: &mut PgConnection,
    asker: &Asker,
    campaign: &Campaign,
    (change, count): (&str, u32),
    now: Timestamp,
) -> Result<(), Error> {
    let changed = MailingChanged {
        subject: "campaign".to_owned(),
        id: campaign.id.to_string(),
        change: change.to_owned(),
        reason: String::new(),
        count,
        at: now,
    };
    let message = publisher::mailing(campaign.organization, &changed, &asker.actor)?;
    Ok(outbox::enqueue(tx, &[message]).await?)
}

/// Campaigns with their numbers.
async fn shown(db: &mut PgConnection, campaigns: Vec<Campaign>) -> Result<Vec<wire::Campaign>, Error> {
    let ids: Vec<CampaignId> = campaigns.iter().map(|it| it.id).collect();
    let numbers = store::campaigns::numbers(db, &ids).await?;
    Ok(campaigns.into_iter().zip(numbers).map(|(it, numbers)| to_wire(it, &numbers)).collect())
}

fn to_wire(it: Campaign, numbers: &Numbers) -> wire::Campaign {
    let count = |name: &str| numbers.states.iter().find(|(state, _)| state == name).map_or(0, |(_, n)| *n);
    let all = State::ALL.into_iter().map(|state| (state, count(state.name())));
    let recipients: Vec<(State, u32)> = all.filter(|(_, count)| *count > 0).collect();
    let is_over = !recipients.is_empty() && recipients.iter().all(|(state, _)| !state.is_open());
    let state = if it.state == "running" && is_over { "finished".to_owned() } else { it.state };
    let window = it.window.map(|window| wire::SendingWindow {
        time_zone: window.zone.iana_name().unwrap_or_default().to_owned(),
        from_minute: window.from.into(),
        until_minute: window.until.into(),
        weekdays_only: window.weekdays,
    });
    let step = |step: Step| wire::CampaignStep {
        after_days: step.after_days,
        subject: step.subject,
        text: step.text,
    };
    wire::Campaign {
        id: it.id.to_string(),
        name: it.name,
        connection_id: it.connection.to_string(),
        vendor: it.vendor,
        steps: it.steps.into_iter().map(step).collect(),
        starts_at: it.starts_at.map(proto::to_wire_time),
        window,
        state,
        pause_message: words(&it.pause_reason),
        pause_reason: it.pause_reason,
        created_by: it.created_by,
        created_at: Some(proto::to_wire_time(it.created_at)),
        started_at: it.started_at.map(proto::to_wire_time),
        recipient_count: recipients.iter().map(|(_, count)| count).sum(),
        recipients: recipients
            .into_iter()
            .map(|(state, count)| wire::RecipientCount { state: state.name().to_owned(), count })
            .collect(),
        mails_sent: numbers.mails_sent,
        version: it.version,
    }
}
