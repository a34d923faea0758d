//! From a message of the bus to the entry that records it.

use bus::{Message, dead::DeadLetter};
use model::{ConnectionId, kind};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    control, earning,
    entry::{Draft, Outcome},
    flow, telling,
};

/// The longest id or name in an entry, in characters.
const LONGEST_NAME: usize = 300;
/// The longest summary, in characters.
const LONGEST_SUMMARY: usize = 240;
/// The longest details, in bytes of JSON; longer ones are replaced by a note.
const LONGEST_DETAILS: usize = 8_000;

/// What stands for a value that must not be stored.
pub(crate) const REDACTED: &str = "[redacted]";

/// What a message says, without any value that must not be stored.
pub(crate) struct Facts {
    pub(crate) action: String,
    pub(crate) target: String,
    pub(crate) connection: Option<ConnectionId>,
    pub(crate) outcome: Outcome,
    /// Who did it, when the envelope does not say.
    pub(crate) actor: Option<String>,
    pub(crate) summary: String,
    pub(crate) details: Details,
}

/// The entry of a message.
pub(crate) struct Described {
    pub(crate) draft: Draft,
    /// Set when the message could not be understood: why, without its content.
    pub(crate) undecodable: Option<String>,
}

/// The entry of a message of CHANGES or EVENTS. There is always one.
pub(crate) fn describe(message: &Message) -> Described {
    let envelope = &message.envelope;
    let organization = envelope.organization.to_string();
    let facts = if message.subject.split('.').nth(1) == Some(organization.as_str()) {
        facts(message).map_err(|error| error.to_string())
    } else {
        Err("the subject names another organization than the envelope".to_owned())
    };
    match facts {
        Ok(facts) => Described { draft: draft(message, envelope.id.clone(), facts), undecodable: None },
        Err(reason) => {
            let facts = Facts {
                action: "undecodable".to_owned(),
                target: envelope.id.clone(),
                connection: None,
                outcome: Outcome::Failed,
                actor: None,
                summary: format!("A message of type {} could not be read", envelope.kind),
                details: json!({ "type": envelope.kind, "subject": message.subject, "reason": reason })
                    .into(),
            };
            let draft = draft(message, format!("undecodable:{}", envelope.id), facts);
            Described { draft, undecodable: Some(reason) }
        }
    }
}

/// The entry of a dead letter. `letter` is none when it is gone from the stream already.
pub(crate) fn describe_dead(message: &Message, sequence: u64, letter: Option<&DeadLetter>) -> Draft {
    let envelope = &message.envelope;
    let mut tokens = message.subject.split('.').skip(1);
    let (stream, consumer) = (tokens.next().unwrap_or_default(), tokens.next().unwrap_or_default());
    let reason = letter.map_or("no longer known", |letter| letter.reason.as_str());
    let facts = Facts {
        action: "dead_letter".to_owned(),
        target: envelope.id.clone(),
        connection: None,
        outcome: Outcome::Failed,
        actor: Some(format!("service:{consumer}")),
        summary: format!("{consumer} gave up on a message of type {}: {reason}", envelope.kind),
        details: json!({
            "stream": stream,
            "consumer": consumer,
            "type": envelope.kind,
            "reason": reason,
            "detail": letter.map(|letter| &letter.detail),
            "attempts": letter.map(|letter| letter.attempts),
            "dead_letter": sequence,
        })
        .into(),
    };
    let mut draft = draft(message, format!("dead:{sequence}:{}", envelope.id), facts);
    draft.occurred_at = letter.map_or(draft.occurred_at, |letter| letter.at);
    draft.cause = clean(envelope.id.clone(), LONGEST_NAME);
    draft
}

fn facts(message: &Message) -> Result<Facts, bus::Error> {
    let kind = message.envelope.kind.as_str();
    Ok(match kind {
        kind::CHANGE => flow::change(&message.decode()?),
        kind::ACTIVITY_TOLD => flow::activity(&message.decode()?),
        kind::BACKFILL_FINISHED => flow::backfill_finished(&message.decode()?),
        kind::VERIFIED_BUCKET => flow::verified_bucket(&message.decode()?),
        kind::VERIFY_PROGRESSED => flow::verify_progressed(&message.decode()?),
        kind::VERIFY_FINISHED => flow::verify_finished(&message.decode()?),
        kind::WRITTEN => flow::written(message.decode()?),
        kind::RECORD_CREATED | kind::RECORD_CHANGED | kind::RECORD_ARCHIVED => {
            flow::record(kind, &message.decode()?)
        }
        kind::CONFLICT_RECORDED => flow::conflict(&message.decode()?),
        kind::CONNECTION_AUTHORIZED
        | kind::CONNECTION_CHANGED
        | kind::CONNECTION_DISCONNECTED
        | kind::CONNECTION_REFUSED
        | kind::TOKEN_REFRESHED
        | kind::TOKEN_REFRESH_FAILED => control::connection(kind, &message.decode()?),
        kind::BUDGET_CHANGED => control::budget_changed(&message.decode()?),
        kind::BUDGET_REACHED => control::budget_reached(&message.decode()?),
        kind::READING_CHANGED => control::reading_changed(&message.decode()?),
        kind::SCHEMA_REFRESHED => control::schema(&message.decode()?),
        kind::SCHEMA_DRIFT_DETECTED => control::schema_drift(&message.decode()?),
        kind::FIELD_ADDED => control::field_added(&message.decode()?),
        kind::MAPPING_CHANGED => control::mapping(&message.decode()?),
        kind::CAPTURE_REQUESTED => control::capture_requested(&message.decode()?),
        kind::CAPTURE_STOPPED => control::capture_stopped(&message.decode()?),
        kind::WATCH_REQUESTED => control::watch_requested(&message.decode()?),
        kind::VERIFY_REQUESTED => control::verify_requested(&message.decode()?),
        kind::SYNC_RUN_FINISHED => control::run_finished(&message.decode()?),
        kind::ACCESS_CHANGED => control::access(&message.decode()?),
        kind::ATTRIBUTION_CREATED | kind::ATTRIBUTION_REPLACED => {
            earning::attribution(kind, &message.decode()?)
        }
        kind::ATTRIBUTION_DECIDED => earning::decision(&message.decode()?),
        kind::ATTRIBUTION_SETTINGS_CHANGED => earning::settings(&message.decode()?),
        kind::COMMISSION_ACCRUED
        | kind::COMMISSION_APPROVED
        | kind::COMMISSION_PAID
        | kind::COMMISSION_REVERSED
        | kind::COMMISSION_ADJUSTED => earning::commission(kind, &message.decode()?),
        kind::PARTNER_CREATED | kind::PARTNER_ACTIVATED | kind::PARTNER_REVOKED => {
            earning::partner(kind, &message.decode()?)
        }
        kind::PAYOUT_CREATED => earning::payout(&message.decode()?),
        kind::DEAL_REGISTRATION_SUBMITTED
        | kind::DEAL_REGISTRATION_APPROVED
        | kind::DEAL_REGISTRATION_REJECTED
        | kind::DEAL_REGISTRATION_EXPIRED => earning::deal_registration(kind, &message.decode()?),
        kind::DEAL_REGISTRATION_REFUSED => telling::decision_refused(message.decode()?),
        kind::CRM_SETTINGS_CHANGED => telling::settings(message.decode()?),
        kind::CRM_MAILING_CHANGED => telling::mailing(message.decode()?),
        kind::POSTED => telling::posted(message.decode()?),
        kind::MAILED => telling::mailed(message.decode()?),
        kind::INTERACTION => telling::interaction(message.decode()?),
        kind::VENDOR_USER => telling::vendor_user(message.decode()?),
        other => control::unknown(other, &message.decode()?),
    })
}

fn draft(message: &Message, event_id: String, facts: Facts) -> Draft {
    let envelope = &message.envelope;
    let actor = envelope.actor.clone().or(facts.actor);
    Draft {
        organization: envelope.organization,
        event_id,
        action: clean(facts.action, LONGEST_NAME),
        actor: clean(actor.unwrap_or_else(|| format!("service:{}", envelope.source)), LONGEST_NAME),
        target: clean(facts.target, LONGEST_NAME),
        connection: facts.connection,
        outcome: facts.outcome.name(),
        occurred_at: envelope.time,
        cause: clean(envelope.cause.clone().unwrap_or_default(), LONGEST_NAME),
        summary: clean(capital(&facts.summary), LONGEST_SUMMARY),
        details: facts.details.0,
    }
}

/// The sentence with a capital at its beginning, which may be a name that is spelled without.
fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

/// One line of text that Postgres can store.
fn clean(text: String, longest: usize) -> String {
    let fits = text.len() <= longest;
    if fits && !text.chars().any(char::is_control) {
        return text;
    }
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    let mut short: String = text.chars().take(longest).map(visible).collect();
    if !fits && short.len() < text.len() {
        short.push('…');
    }
    short
}

/// What an entry says besides: the text of a JSON object that is not too long.
#[derive(Clone, Debug)]
pub(crate) struct Details(String);

impl Details {
    /// These; where they are too long, the names of what they are about.
    pub(crate) fn of<'n>(details: &impl Serialize, names: impl Iterator<Item = &'n String>) -> Self {
        let text = serde_json::to_string(details)
            .unwrap_or_else(|error| json!({ "unwritable": error.to_string() }).to_string());
        if text.len() <= LONGEST_DETAILS {
            return Self(text);
        }
        let names: Vec<&String> = names.take(100).collect();
        let short = json!({ "shortened": true, "bytes": text.len(), "fields": names }).to_string();
        if short.len() <= LONGEST_DETAILS {
            return Self(short);
        }
        Self(json!({ "shortened": true, "bytes": text.len() }).to_string())
    }
}

impl From<Value> for Details {
    fn from(mut facts: Value) -> Self {
        if let Value::Object(map) = &mut facts {
            map.retain(|_, value| !value.is_null());
        }
        let names = facts.get("fields").and_then(Value::as_object).into_iter().flat_map(Map::keys);
        Self::of(&facts, names)
    }
}

/// The keys of what nobody has marked, never its values.
pub(crate) fn keys(body: &Map<String, Value>) -> Vec<&String> {
    body.keys().take(100).collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use model::{OrganizationId, RecordId};
    use proptest::prelude::*;

    use super::*;

    fn message(kind: &str, body: &Value) -> Message {
        let org = OrganizationId::generate(Timestamp::UNIX_EPOCH);
        let subject = bus::subject::record(&org, "company");
        Message::json(subject, kind, "test", org, Timestamp::UNIX_EPOCH, body).unwrap()
    }

    #[test]
    fn a_message_for_another_organization_than_its_subject_is_undecodable() {
        let mut message = message("deal.closed_won", &json!({}));
        assert!(describe(&message).undecodable.is_none());
        message.subject = message.subject.replace("org_", "org_f");
        let described = describe(&message);
        assert!(described.undecodable.is_some());
        assert_eq!(described.draft.action, "undecodable");
    }

    #[test]
    fn what_happened_is_a_sentence_that_begins_with_a_capital() {
        let record = RecordId::generate(Timestamp::UNIX_EPOCH);
        let body = json!({
            "record": record, "object": "deal", "version": 2, "fields": { "stage": null }, "before": {},
            "actor": "service:test", "at": Timestamp::UNIX_EPOCH,
        });
        let described = describe(&message(kind::RECORD_CHANGED, &body));
        assert_eq!(described.draft.summary, format!("Deal {record} was changed: stage"));
    }

    #[test]
    fn values_of_an_unknown_event_are_not_kept() {
        let described = describe(&message("deal.closed_won", &json!({ "email": "ann@example.org" })));
        assert!(!format!("{:?}", described.draft).contains("ann@"));
        assert!(described.draft.details.contains("email"));
    }

    proptest! {
        #[test]
        fn any_body_under_any_kind_gives_an_entry_that_can_be_stored(
            kind in prop::sample::select(vec![
                kind::CHANGE, kind::WRITTEN, kind::RECORD_CHANGED, kind::MAPPING_CHANGED, kind::ACCESS_CHANGED, "x.y",
            ]),
            body in ".*",
        ) {
            let draft = describe(&message(kind, &json!({ "id": body, "fields": { body.clone(): body } }))).draft;
            for text in [&draft.action, &draft.actor, &draft.target, &draft.cause, &draft.summary, &draft.details] {
                prop_assert!(!text.contains('\0'));
            }
            prop_assert!(serde_json::from_str::<Map<String, Value>>(&draft.details).is_ok());
        }
    }

    #[test]
    fn long_details_keep_the_names_of_the_fields() {
        let long: Map<String, Value> =
            (0..90).map(|i| (format!("f{i}"), Value::from("v".repeat(200)))).collect();
        let Details(text) = json!({ "fields": long }).into();
        assert!(text.len() <= LONGEST_DETAILS && text.contains("f17") && !text.contains("vvv"), "{text}");
    }
}
