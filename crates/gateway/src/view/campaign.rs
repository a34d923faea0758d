use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use proto::crm as wire;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{moment, text, to_wire};

/// Mails that are to be sent to many: one step is a campaign, several are a sequence.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CampaignDraft {
    name: String,
    /// `conn_…`: the mailbox.
    connection_id: String,
    /// From 1 to 20.
    steps: Vec<CampaignStep>,
    /// When the first mails are due at the earliest; when it is started, where there is none.
    #[serde(default)]
    starts_at: Option<Timestamp>,
    /// Mails are sent at any time, where there is none.
    #[serde(default)]
    window: Option<SendingWindow>,
}

impl From<CampaignDraft> for wire::CampaignDraft {
    fn from(CampaignDraft { name, connection_id, steps, starts_at, window }: CampaignDraft) -> Self {
        let steps = steps.into_iter().map(|CampaignStep { after_days, subject, text }| wire::CampaignStep {
            after_days,
            subject: subject.unwrap_or_default(),
            text,
        });
        let window = window.map(|it| wire::SendingWindow {
            time_zone: it.time_zone,
            from_minute: it.from_minute,
            until_minute: it.until_minute,
            weekdays_only: it.weekdays_only,
        });
        Self { name, connection_id, steps: steps.collect(), starts_at: to_wire(starts_at), window }
    }
}

/// A draft as it is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CampaignEdit {
    name: String,
    /// `conn_…`: the mailbox.
    connection_id: String,
    /// From 1 to 20.
    steps: Vec<CampaignStep>,
    /// When the first mails are due at the earliest; when it is started, where there is none.
    #[serde(default)]
    starts_at: Option<Timestamp>,
    /// Mails are sent at any time, where there is none.
    #[serde(default)]
    window: Option<SendingWindow>,
    /// Refuse the edit (409 `version_changed`) unless the campaign still has this version.
    #[serde(default)]
    if_version: Option<i64>,
}

impl CampaignEdit {
    pub(crate) fn into_wire(self) -> (wire::CampaignDraft, Option<i64>) {
        let Self { name, connection_id, steps, starts_at, window, if_version } = self;
        (CampaignDraft { name, connection_id, steps, starts_at, window }.into(), if_version)
    }
}

/// Which version is meant.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct IfVersion {
    /// Refuse it (409 `version_changed`) unless the campaign still has this version.
    pub(crate) if_version: Option<i64>,
}

/// One mail of a campaign.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CampaignStep {
    /// How many days after the mail before, 0 to 365; of the first one, after the start or the enrolment.
    #[serde(default)]
    after_days: u32,
    /// With `{{fields}}`. Without it a later step answers the mail before and stays in its thread.
    #[serde(default)]
    subject: Option<String>,
    /// Plain text with `{{fields}}`. `{{opt_out_link}}` is where the link is to be; without it, the link stands below.
    text: String,
}

/// The hours in which mails are sent.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendingWindow {
    /// `Europe/Berlin`
    time_zone: String,
    /// The minute of the day from which on mails are sent …
    from_minute: u32,
    /// … until before this one.
    until_minute: u32,
    /// Not on Saturdays and Sundays.
    #[serde(default)]
    weekdays_only: bool,
}

/// A campaign, and what came of it so far.
#[derive(Serialize, ToSchema)]
pub(crate) struct Campaign {
    /// `camp_…`
    id: String,
    name: String,
    connection_id: String,
    /// `m365`
    vendor: String,
    steps: Vec<CampaignStep>,
    starts_at: Option<Timestamp>,
    window: Option<SendingWindow>,
    /// `draft`, `running`, `paused`; `finished`: it runs, and no mail is to come.
    state: String,
    /// Why it was paused by itself: a stable code of the mailbox, like `scope_missing`.
    pause_reason: Option<String>,
    /// The same in words.
    pause_message: Option<String>,
    created_by: String,
    created_at: Option<Timestamp>,
    started_at: Option<Timestamp>,
    recipient_count: u32,
    /// How many recipients are in which state: `scheduled`, `sending`, `sent`, `finished`, `stopped`, `failed`,
    /// `suppressed`, `replied`, `bounced`, `opted_out`.
    recipients: BTreeMap<String, u32>,
    mails_sent: u32,
    /// Counts on whenever the draft is changed.
    version: i64,
}

impl From<wire::Campaign> for Campaign {
    fn from(it: wire::Campaign) -> Self {
        let step = |it: wire::CampaignStep| CampaignStep {
            after_days: it.after_days,
            subject: text(it.subject),
            text: it.text,
        };
        let window = it.window.map(|it| SendingWindow {
            time_zone: it.time_zone,
            from_minute: it.from_minute,
            until_minute: it.until_minute,
            weekdays_only: it.weekdays_only,
        });
        Self {
            id: it.id,
            name: it.name,
            connection_id: it.connection_id,
            vendor: it.vendor,
            steps: it.steps.into_iter().map(step).collect(),
            starts_at: moment(it.starts_at),
            window,
            state: it.state,
            pause_reason: text(it.pause_reason),
            pause_message: text(it.pause_message),
            created_by: it.created_by,
            created_at: moment(it.created_at),
            started_at: moment(it.started_at),
            recipient_count: it.recipient_count,
            recipients: it.recipients.into_iter().map(|it| (it.state, it.count)).collect(),
            mails_sent: it.mails_sent,
            version: it.version,
        }
    }
}

/// A page of campaigns.
#[derive(Serialize, ToSchema)]
pub(crate) struct CampaignList {
    data: Vec<Campaign>,
    next_page: Option<String>,
}

impl From<wire::ListCampaignsResponse> for CampaignList {
    fn from(list: wire::ListCampaignsResponse) -> Self {
        Self {
            data: list.campaigns.into_iter().map(Campaign::from).collect(),
            next_page: text(list.next_page),
        }
    }
}

/// Which page.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// 1 to 200; 50 where it is not told.
    pub(crate) limit: Option<u32>,
    /// `next_page` of the answer before.
    pub(crate) page: Option<String>,
}

/// Which recipients.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListRecipients {
    /// Those in this state only.
    pub(crate) state: Option<String>,
    /// 1 to 200; 50 where it is not told.
    pub(crate) limit: Option<u32>,
    /// `next_page` of the answer before.
    pub(crate) page: Option<String>,
}

/// Whose mails are shown.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PreviewQuery {
    /// `rcpt_…`; the first ones where it is not told.
    pub(crate) recipient_id: Option<String>,
    /// 1 to 20 recipients; 3 where it is not told.
    pub(crate) limit: Option<u32>,
}

/// Which suppressed addresses.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListSuppressions {
    /// An address, or a part of one.
    pub(crate) query: Option<String>,
    /// 1 to 200; 50 where it is not told.
    pub(crate) limit: Option<u32>,
    /// `next_page` of the answer before.
    pub(crate) page: Option<String>,
}

/// People who are to get a campaign's mails.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRecipients {
    /// At most 10,000.
    pub(crate) recipients: Vec<NewRecipient>,
}

/// Somebody who is to get a campaign's mails: a contact, or an address.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRecipient {
    /// `rec_…`: a contact, whose address and names are known.
    #[serde(default)]
    contact_id: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    name: String,
    /// What is filled into the texts, besides `email`, `name`, `first_name` and `last_name`.
    #[serde(default)]
    fields: HashMap<String, String>,
}

impl From<NewRecipient> for wire::NewRecipient {
    fn from(NewRecipient { contact_id, email, name, fields }: NewRecipient) -> Self {
        Self { contact_id, email, name, fields }
    }
}

/// Who was enrolled.
#[derive(Serialize, ToSchema)]
pub(crate) struct Enrolment {
    enrolled: u32,
    /// How many were there already, by their address.
    known: u32,
    /// Who was not; everybody else was.
    refused: Vec<RecipientRefused>,
}

/// Somebody who cannot be mailed.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecipientRefused {
    /// The place in the request, from 0.
    index: u32,
    /// `address_invalid`, `contact_not_found`, `contact_without_address`, `field_missing`, `field_invalid`, `suppressed`,
    /// `too_long`.
    code: String,
    /// The field, where it is about one.
    field: Option<String>,
}

impl From<wire::RecipientRefused> for RecipientRefused {
    fn from(it: wire::RecipientRefused) -> Self {
        Self { index: it.index, code: it.code, field: text(it.field) }
    }
}

impl From<wire::EnrolRecipientsResponse> for Enrolment {
    fn from(it: wire::EnrolRecipientsResponse) -> Self {
        let refused = it.refused.into_iter().map(RecipientRefused::from).collect();
        Self { enrolled: it.enrolled, known: it.known, refused }
    }
}

/// Somebody whom a campaign is sent to.
#[derive(Serialize, ToSchema)]
pub(crate) struct Recipient {
    /// `rcpt_…`
    id: String,
    campaign_id: String,
    contact_id: Option<String>,
    email: String,
    name: Option<String>,
    /// `scheduled`, `sending`, `sent`, `finished`, `stopped`, `failed`, `suppressed`, `replied`, `bounced`, `opted_out`.
    state: String,
    /// Why it ended, as a stable code; null where the state says it.
    reason: Option<String>,
    /// The same in words.
    reason_message: Option<String>,
    /// How many mails were sent.
    mails_sent: u32,
    /// When the next mail is due.
    due_at: Option<Timestamp>,
    changed_at: Option<Timestamp>,
}

impl From<wire::Recipient> for Recipient {
    fn from(it: wire::Recipient) -> Self {
        Self {
            id: it.id,
            campaign_id: it.campaign_id,
            contact_id: text(it.contact_id),
            email: it.email,
            name: text(it.name),
            state: it.state,
            reason: text(it.reason),
            reason_message: text(it.reason_message),
            mails_sent: it.step,
            due_at: moment(it.due_at),
            changed_at: moment(it.changed_at),
        }
    }
}

/// A page of recipients.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecipientList {
    data: Vec<Recipient>,
    next_page: Option<String>,
}

impl From<wire::ListRecipientsResponse> for RecipientList {
    fn from(list: wire::ListRecipientsResponse) -> Self {
        Self {
            data: list.recipients.into_iter().map(Recipient::from).collect(),
            next_page: text(list.next_page),
        }
    }
}

/// Mails as recipients would get them.
#[derive(Serialize, ToSchema)]
pub(crate) struct Preview {
    mails: Vec<PreviewedMail>,
    /// The fields that recipients lack. A campaign does not start while there are any.
    missing: Vec<MissingField>,
}

/// One mail as its recipient would get it.
#[derive(Serialize, ToSchema)]
pub(crate) struct PreviewedMail {
    recipient_id: String,
    email: String,
    /// The place of the step, from 0.
    step: u32,
    /// Null where a field is missing.
    subject: Option<String>,
    text: Option<String>,
    /// The field that this recipient lacks.
    missing: Option<String>,
}

/// A field that recipients lack.
#[derive(Serialize, ToSchema)]
pub(crate) struct MissingField {
    field: String,
    /// How many they are.
    recipients: u32,
}

impl From<wire::PreviewCampaignResponse> for Preview {
    fn from(it: wire::PreviewCampaignResponse) -> Self {
        let mail = |it: wire::PreviewedMail| PreviewedMail {
            recipient_id: it.recipient_id,
            email: it.email,
            step: it.step,
            subject: text(it.subject),
            text: text(it.text),
            missing: text(it.missing),
        };
        let missing = |it: wire::MissingField| MissingField { field: it.field, recipients: it.recipients };
        Self {
            mails: it.mails.into_iter().map(mail).collect(),
            missing: it.missing.into_iter().map(missing).collect(),
        }
    }
}

/// The connections that campaigns send through.
#[derive(Serialize, ToSchema)]
pub(crate) struct Mailboxes {
    data: Vec<Mailbox>,
}

/// A connection that campaigns send through, with how many mails it sends at most.
#[derive(Serialize, ToSchema)]
pub(crate) struct Mailbox {
    connection_id: String,
    vendor: String,
    /// `active`, `paused`, `error`, `reauth_required`
    state: String,
    per_minute: u32,
    per_day: u32,
    /// How many it was asked for in the last 24 hours.
    asked_today: u32,
}

impl From<wire::Mailbox> for Mailbox {
    fn from(it: wire::Mailbox) -> Self {
        let wire::Mailbox { connection_id, vendor, state, per_minute, per_day, asked_today } = it;
        Self { connection_id, vendor, state, per_minute, per_day, asked_today }
    }
}

impl From<wire::ListMailboxesResponse> for Mailboxes {
    fn from(list: wire::ListMailboxesResponse) -> Self {
        Self { data: list.mailboxes.into_iter().map(Mailbox::from).collect() }
    }
}

/// How many mails a mailbox sends at most.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MailboxLimits {
    /// 1 to 1,000.
    pub(crate) per_minute: u32,
    /// 1 to 100,000.
    pub(crate) per_day: u32,
}

/// Addresses that get no mail of any campaign.
#[derive(Serialize, ToSchema)]
pub(crate) struct SuppressionList {
    data: Vec<Suppression>,
    next_page: Option<String>,
}

/// An address that gets no mail.
#[derive(Serialize, ToSchema)]
pub(crate) struct Suppression {
    email: String,
    /// `opted_out`, `bounced`, `manual`
    reason: String,
    /// The campaign whose mail it was, where it was one.
    campaign_id: Option<String>,
    at: Option<Timestamp>,
}

impl From<wire::ListSuppressionsResponse> for SuppressionList {
    fn from(list: wire::ListSuppressionsResponse) -> Self {
        let one = |it: wire::Suppression| Suppression {
            email: it.email,
            reason: it.reason,
            campaign_id: text(it.campaign_id),
            at: moment(it.at),
        };
        Self { data: list.suppressions.into_iter().map(one).collect(), next_page: text(list.next_page) }
    }
}

/// Addresses that are to get no mail.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSuppressions {
    /// At most 10,000.
    pub(crate) emails: Vec<String>,
}

/// What became of addresses that are to get no mail.
#[derive(Serialize, ToSchema)]
pub(crate) struct SuppressionsAdded {
    added: u32,
    known: u32,
    /// What is no address; everything else is on the list.
    refused: Vec<RecipientRefused>,
}

impl From<wire::AddSuppressionsResponse> for SuppressionsAdded {
    fn from(it: wire::AddSuppressionsResponse) -> Self {
        let refused = it.refused.into_iter().map(RecipientRefused::from).collect();
        Self { added: it.added, known: it.known, refused }
    }
}

/// An address that may get mails again.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SuppressionRemoved {
    pub(crate) email: String,
}
