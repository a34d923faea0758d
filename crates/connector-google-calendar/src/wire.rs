//! Google's JSON, spelled as Google spells it. Times stay text: what cannot be read as one must stop no page.

use secrecy::SecretString;
use serde::Deserialize;

/// An answer of the token endpoint.
#[derive(Debug, Deserialize)]
pub(crate) struct Tokens {
    pub(crate) access_token: SecretString,
    /// A refresh brings none: the old one stays.
    #[serde(default)]
    pub(crate) refresh_token: Option<SecretString>,
    pub(crate) expires_in: u64,
}

/// What a token may do.
#[derive(Debug, Deserialize)]
pub(crate) struct TokenInfo {
    #[serde(default)]
    pub(crate) scope: String,
}

/// Who an account is.
#[derive(Debug, Deserialize)]
pub(crate) struct UserInfo {
    /// Stays when the address changes.
    pub(crate) sub: String,
    #[serde(default)]
    pub(crate) email: String,
}

/// A page of a calendar.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Events {
    #[serde(default)]
    pub(crate) items: Vec<Event>,
    #[serde(default)]
    pub(crate) next_page_token: Option<String>,
    #[serde(default)]
    pub(crate) next_sync_token: Option<String>,
    #[serde(default)]
    pub(crate) time_zone: Option<String>,
    /// When the calendar was last changed.
    #[serde(default)]
    pub(crate) updated: Option<String>,
}

/// An event. One that is cancelled may have nothing but its id.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) status: Option<String>,
    pub(crate) html_link: Option<String>,
    pub(crate) created: Option<String>,
    pub(crate) updated: Option<String>,
    pub(crate) summary: Option<String>,
    pub(crate) start: Option<When>,
    pub(crate) recurring_event_id: Option<String>,
    pub(crate) visibility: Option<String>,
    pub(crate) organizer: Option<Person>,
    pub(crate) attendees: Vec<Person>,
    pub(crate) hangout_link: Option<String>,
    pub(crate) conference_data: Option<ConferenceData>,
}

/// A day, or a moment.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct When {
    pub(crate) date: Option<String>,
    pub(crate) date_time: Option<String>,
    pub(crate) time_zone: Option<String>,
}

/// Somebody, or something, that is invited.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Person {
    pub(crate) email: Option<String>,
    pub(crate) display_name: Option<String>,
    pub(crate) organizer: bool,
    /// A room or a device.
    pub(crate) resource: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ConferenceData {
    pub(crate) conference_id: Option<String>,
    pub(crate) conference_solution: Option<ConferenceSolution>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ConferenceSolution {
    pub(crate) key: ConferenceSolutionKey,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ConferenceSolutionKey {
    #[serde(rename = "type")]
    pub(crate) kind: String,
}

/// A page of a list of Meet; a list of nothing has no key.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page<T> {
    #[serde(
        default = "Vec::new",
        alias = "conferenceRecords",
        alias = "transcripts",
        alias = "transcriptEntries",
        alias = "participants"
    )]
    pub(crate) items: Vec<T>,
    #[serde(default)]
    pub(crate) next_page_token: Option<String>,
}

/// A conference that took place.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ConferenceRecord {
    /// `conferenceRecords/…`.
    pub(crate) name: String,
    pub(crate) start_time: Option<String>,
    pub(crate) end_time: Option<String>,
    /// `spaces/…`.
    pub(crate) space: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Space {
    pub(crate) meeting_code: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Transcript {
    /// `conferenceRecords/…/transcripts/…`.
    pub(crate) name: String,
    /// `STARTED`, `ENDED`, `FILE_GENERATED`.
    pub(crate) state: String,
    pub(crate) start_time: Option<String>,
    pub(crate) docs_destination: DocsDestination,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct DocsDestination {
    pub(crate) export_uri: String,
}

/// What somebody said in one go.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct TranscriptEntry {
    /// `conferenceRecords/…/participants/…`.
    pub(crate) participant: String,
    pub(crate) text: String,
    pub(crate) start_time: Option<String>,
}

/// Somebody who was in a conference; Meet tells a name, and no address.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Participant {
    pub(crate) name: String,
    pub(crate) signedin_user: Named,
    pub(crate) anonymous_user: Named,
    pub(crate) phone_user: Named,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Named {
    pub(crate) display_name: String,
}

/// A failure: of the APIs, or of the token endpoint.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Failure {
    pub(crate) error: Option<Refusal>,
    pub(crate) error_description: String,
    pub(crate) error_subtype: String,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Refusal {
    /// The token endpoint gives a code alone.
    OAuth(String),
    Api(ApiFailure),
}

/// Calendar lists its reasons in `errors`, Meet in `status` and `details`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ApiFailure {
    pub(crate) message: String,
    pub(crate) status: String,
    pub(crate) errors: Vec<Reason>,
    pub(crate) details: Vec<Detail>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Reason {
    pub(crate) reason: String,
    pub(crate) location: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Detail {
    pub(crate) reason: String,
}
