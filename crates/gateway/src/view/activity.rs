use jiff::Timestamp;
use proto::crm as wire;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{moment, text, to_wire};

/// Which activities.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct GetTimeline {
    /// What they concern: `rec_…`, or `ptnr_…`.
    pub(crate) record_id: String,
    /// `email`, `call`, `meeting`, `note`, `stage_change`, `ticket`, `quote`; several with commas between them. All when not
    /// given.
    #[serde(default)]
    pub(crate) kinds: Option<String>,
    /// Words that are all there; "in quotes" as they follow each other, -without.
    #[serde(default)]
    pub(crate) query: Option<String>,
    /// How many, at most 200; 50 when not given.
    #[serde(default)]
    pub(crate) limit: Option<u32>,
    /// `next_page` of the page before.
    #[serde(default)]
    pub(crate) page: Option<String>,
}

impl From<GetTimeline> for wire::GetTimelineRequest {
    fn from(it: GetTimeline) -> Self {
        let kinds = it.kinds.unwrap_or_default();
        let kinds = kinds.split(',').map(str::trim).filter(|kind| !kind.is_empty());
        Self {
            record_id: it.record_id,
            kinds: kinds.map(str::to_owned).collect(),
            query: it.query.unwrap_or_default(),
            limit: it.limit.unwrap_or_default(),
            page: it.page.unwrap_or_default(),
        }
    }
}

/// What happened with a record, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct Timeline {
    data: Vec<Activity>,
    /// To be sent as `page` for the next ones; null on the last page.
    next_page: Option<String>,
}

/// What was done with a record.
#[derive(Serialize, ToSchema)]
pub(crate) struct Activity {
    /// `act_…`
    id: String,
    source: String,
    external_id: String,
    kind: String,
    /// `inbound` or `outbound`.
    direction: Option<String>,
    at: Option<Timestamp>,
    subject: Option<String>,
    /// The beginning of the text, or all of it: plain text, however it looks.
    preview: Option<String>,
    has_more_text: bool,
    thread: Option<String>,
    url: Option<String>,
    /// The first fifty.
    participants: Vec<Participant>,
    participant_count: u32,
    /// What it concerns.
    record_ids: Vec<String>,
    recorded_by: String,
}

/// Somebody who took part.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Participant {
    /// `from`, `to`, `cc`, `bcc`, `organizer`, `attendee`, `speaker`, or another word.
    #[serde(default)]
    role: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    email: String,
}

impl From<wire::Participant> for Participant {
    fn from(it: wire::Participant) -> Self {
        let wire::Participant { role, name, email } = it;
        Self { role, name, email }
    }
}

impl From<Participant> for wire::Participant {
    fn from(it: Participant) -> Self {
        let Participant { role, name, email } = it;
        Self { role, name, email }
    }
}

impl From<wire::Activity> for Activity {
    fn from(it: wire::Activity) -> Self {
        Self {
            id: it.id,
            source: it.source,
            external_id: it.external_id,
            kind: it.kind,
            direction: text(it.direction),
            at: moment(it.at),
            subject: text(it.subject),
            preview: text(it.preview),
            has_more_text: it.has_more_text,
            thread: text(it.thread),
            url: text(it.url),
            participants: it.participants.into_iter().map(Into::into).collect(),
            participant_count: it.participant_count,
            record_ids: it.record_ids,
            recorded_by: it.recorded_by,
        }
    }
}

impl From<wire::GetTimelineResponse> for Timeline {
    fn from(it: wire::GetTimelineResponse) -> Self {
        Self { data: it.activities.into_iter().map(Into::into).collect(), next_page: text(it.next_page) }
    }
}

/// Activities that a source tells: all of them are recorded, or none.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewActivities {
    /// At most 500.
    activities: Vec<NewActivity>,
}

/// An activity, known again by `source` and `external_id`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewActivity {
    /// Who tells it.
    source: String,
    /// What the source calls it.
    external_id: String,
    /// A greater one replaces what is known.
    #[serde(default)]
    version: i64,
    /// `email`, `call`, `meeting`, `note`, `stage_change`, `ticket` or `quote`.
    kind: String,
    /// `inbound` or `outbound`.
    #[serde(default)]
    direction: String,
    at: Timestamp,
    #[serde(default)]
    subject: String,
    /// Plain text.
    #[serde(default)]
    body: String,
    #[serde(default)]
    thread: String,
    /// Where it can be looked at: `https://…`
    #[serde(default)]
    url: String,
    /// They are matched to contacts by address, and to companies and partners by domain.
    #[serde(default)]
    participants: Vec<Participant>,
    /// What it concerns besides: `rec_…`, `ptnr_…`.
    #[serde(default)]
    record_ids: Vec<String>,
}

impl From<NewActivity> for wire::NewActivity {
    fn from(it: NewActivity) -> Self {
        Self {
            source: it.source,
            external_id: it.external_id,
            version: it.version,
            kind: it.kind,
            direction: it.direction,
            at: to_wire(Some(it.at)),
            subject: it.subject,
            body: it.body,
            thread: it.thread,
            url: it.url,
            participants: it.participants.into_iter().map(Into::into).collect(),
            record_ids: it.record_ids,
        }
    }
}

impl From<NewActivities> for wire::RecordActivitiesRequest {
    fn from(it: NewActivities) -> Self {
        Self { activities: it.activities.into_iter().map(Into::into).collect() }
    }
}

/// What became of activities, in the order of the request.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecordedActivities {
    data: Vec<RecordedActivity>,
}

/// What became of an activity.
#[derive(Serialize, ToSchema)]
struct RecordedActivity {
    /// `act_…`
    id: String,
    /// `new`, `replaced` or `known`.
    outcome: String,
    /// The records that it concerns so far. People and companies that become known later are added.
    record_ids: Vec<String>,
}

impl From<wire::RecordActivitiesResponse> for RecordedActivities {
    fn from(it: wire::RecordActivitiesResponse) -> Self {
        let recorded = |it: wire::RecordedActivity| RecordedActivity {
            id: it.id,
            outcome: it.outcome,
            record_ids: it.record_ids,
        };
        Self { data: it.activities.into_iter().map(recorded).collect() }
    }
}
