//! The flow of records: what came from vendors, what was written to them, what it did to our records. Field values
//! are kept only where the message says which fields are personal; else their names alone.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::{
    ActivityTold, CanonicalObject, CaptureProgress, ChangeEvent, ChangeKind, ConflictRecorded, Lane,
    RecordChanged, Value, VerifiedBucket, VerifyFinished, VerifyProgressed, WriteOutcome, Written, kind,
    vendor_name,
};
use serde::{Serialize, Serializer};
use serde_json::json;

use super::{
    describe::{Details, Facts, REDACTED},
    entry::Outcome,
};

/// The longest text value in an entry, in characters.
const LONGEST_VALUE: usize = 200;

/// What the entry of a change says of it; of its values, their names only.
#[derive(Serialize)]
struct ChangeDetails<'a> {
    changed_at: Timestamp,
    fields: Vec<&'a String>,
    kind: ChangeKind,
    lane: Lane,
    object: &'a str,
    vendor: &'a str,
    vendor_id: &'a str,
    version: i64,
}

pub(crate) fn change(change: &ChangeEvent) -> Facts {
    let ChangeEvent { vendor, object, id, kind, .. } = change;
    let what = match kind {
        ChangeKind::Upserted => "was read",
        ChangeKind::Deleted => "was deleted there",
    };
    let details = ChangeDetails {
        changed_at: change.changed_at,
        fields: change.fields.keys().collect(),
        kind: *kind,
        lane: change.lane,
        object,
        vendor,
        vendor_id: id,
        version: change.version,
    };
    Facts {
        action: kind::CHANGE.to_owned(),
        target: format!("{vendor}:{object}:{id}"),
        connection: Some(change.connection),
        outcome: Outcome::Ok,
        actor: Some(format!("connection:{}", change.connection)),
        summary: format!("{} {object} {id} {what}", vendor_name(vendor)),
        details: Details::of(&details, std::iter::empty()),
    }
}

/// What people wrote, and who they are, stays out of it.
pub(crate) fn activity(told: &ActivityTold) -> Facts {
    let ActivityTold { source, external_id: id, kind, direction, version, is_gone, .. } = told;
    let what = match (kind.as_str(), direction.as_str()) {
        _ if *is_gone => "An activity that was read before",
        ("email", "inbound") => "A received e-mail",
        ("email", "outbound") => "A sent e-mail",
        ("email", _) => "An e-mail",
        ("meeting", _) => "A meeting",
        ("call", _) => "A call",
        _ => "An activity",
    };
    let became = if *is_gone { "is gone from" } else { "was read from" };
    Facts {
        action: kind::ACTIVITY_TOLD.to_owned(),
        target: format!("{source}:{id}"),
        connection: Some(told.connection),
        outcome: Outcome::Ok,
        actor: Some(format!("connection:{}", told.connection)),
        summary: format!("{what} {became} {}", vendor_name(source)),
        details:
            json!({ "vendor": source, "vendor_id": id, "kind": kind, "version": version, "is_gone": is_gone })
                .into(),
    }
}

pub(crate) fn backfill_finished(progress: &CaptureProgress) -> Facts {
    Facts {
        action: kind::BACKFILL_FINISHED.to_owned(),
        target: progress.connection.to_string(),
        connection: Some(progress.connection),
        outcome: Outcome::Ok,
        actor: None,
        summary: format!("All {} were read: {} records", progress.vendor_object, progress.read),
        details: json!({ "object": progress.vendor_object, "read": progress.read, "total": progress.total })
            .into(),
    }
}

pub(crate) fn verified_bucket(bucket: &VerifiedBucket) -> Facts {
    let (object, count) = (&bucket.vendor_object, bucket.ids.len());
    Facts {
        action: kind::VERIFIED_BUCKET.to_owned(),
        target: bucket.connection.to_string(),
        connection: Some(bucket.connection),
        outcome: Outcome::Ok,
        actor: None,
        summary: format!("{object}: bucket {} differs and is compared one by one", bucket.bucket),
        details: json!({ "object": object, "run": bucket.run, "bucket": bucket.bucket, "records": count })
            .into(),
    }
}

pub(crate) fn verify_progressed(fact: &VerifyProgressed) -> Facts {
    let VerifyProgressed { vendor_object: object, read, total, .. } = fact;
    let of = total.map(|total| format!(" of {total}")).unwrap_or_default();
    Facts {
        action: kind::VERIFY_PROGRESSED.to_owned(),
        target: fact.connection.to_string(),
        connection: Some(fact.connection),
        outcome: Outcome::Ok,
        actor: None,
        summary: format!("{read}{of} {object} were read to be compared"),
        details: json!({ "object": object, "run": fact.run, "read": read, "total": total }).into(),
    }
}

pub(crate) fn verify_finished(fact: &VerifyFinished) -> Facts {
    let VerifyFinished { vendor_object: object, read, buckets, .. } = fact;
    Facts {
        action: kind::VERIFY_FINISHED.to_owned(),
        target: fact.connection.to_string(),
        connection: Some(fact.connection),
        outcome: Outcome::Ok,
        actor: None,
        summary: format!("All {read} {object} were compared: {buckets} buckets differ"),
        details: json!({
            "object": object, "run": fact.run, "read": read, "buckets": buckets, "sent": fact.sent,
        })
        .into(),
    }
}

pub(crate) fn written(written: Written) -> Facts {
    let Written { vendor, object, record, .. } = &written;
    let name = vendor_name(vendor);
    let mut details = json!({
        "vendor": vendor,
        "object": object,
        "operation": "write",
        "write": written.write,
        "mapping": written.mapping,
        "link": written.link,
    });
    let (action, outcome, summary, more) = match &written.outcome {
        WriteOutcome::Applied { vendor_id, version, fields, covered } => {
            let names: Vec<_> = fields.keys().collect();
            let more = json!({
                "vendor_id": vendor_id,
                "version": version,
                "fields": names,
                "covered": covered.keys().collect::<Vec<_>>(),
            });
            ("write.applied", Outcome::Ok, format!("{name} {object} {vendor_id} was written"), more)
        }
        WriteOutcome::Rejected { category, message, field } => {
            let more = json!({ "category": category, "message": message, "field": field });
            let summary = format!("{name} refused to write {object} of {record}: {message}");
            ("write.rejected", Outcome::Failed, summary, more)
        }
    };
    if let (serde_json::Value::Object(details), serde_json::Value::Object(more)) = (&mut details, more) {
        details.extend(more);
    }
    Facts {
        action: action.to_owned(),
        target: record.to_string(),
        connection: Some(written.connection),
        outcome,
        actor: Some(format!("connection:{}", written.connection)),
        summary,
        details: details.into(),
    }
}

/// What the entry of a record's change says of it.
#[derive(Serialize)]
struct RecordDetails<'a> {
    edited_at: Timestamp,
    fields: BTreeMap<&'a str, BeforeAndAfter<'a>>,
    object: CanonicalObject,
    version: i64,
}

#[derive(Serialize)]
struct BeforeAndAfter<'a> {
    after: Shown<'a>,
    before: Shown<'a>,
}

pub(crate) fn record(kind: &str, changed: &RecordChanged) -> Facts {
    let what = kind.strip_prefix("record.").unwrap_or(kind);
    let mut summary = format!("{} {} was {what}", changed.object.name(), changed.record);
    if kind == kind::RECORD_CHANGED {
        for (place, name) in changed.fields.keys().enumerate() {
            summary.push_str(if place == 0 { ": " } else { ", " });
            summary.push_str(name);
        }
    }
    let fields = changed.fields.iter().map(|(name, after)| {
        let pii = changed.pii.contains(name);
        let before = changed.before.get(name).unwrap_or(&Value::Null);
        (name.as_str(), BeforeAndAfter { after: Shown::of(after, pii), before: Shown::of(before, pii) })
    });
    let details = RecordDetails {
        edited_at: changed.at,
        fields: fields.collect(),
        object: changed.object,
        version: changed.version,
    };
    Facts {
        action: kind.to_owned(),
        target: changed.record.to_string(),
        connection: changed.connection,
        outcome: Outcome::Ok,
        actor: Some(changed.actor.clone()),
        summary,
        details: Details::of(&details, changed.fields.keys()),
    }
}

pub(crate) fn conflict(conflict: &ConflictRecorded) -> Facts {
    let ConflictRecorded { record, object, field, policy, winner, pii, .. } = conflict;
    Facts {
        action: kind::CONFLICT_RECORDED.to_owned(),
        target: record.to_string(),
        connection: Some(conflict.connection),
        outcome: Outcome::Ok,
        actor: None,
        summary: format!(
            "Both sides changed {field} of {} {record}; {winner} won by {policy}",
            object.name()
        ),
        details: json!({
            "object": object,
            "field": field,
            "policy": policy,
            "winner": winner,
            "kept": Shown::of(&conflict.kept, *pii),
            "lost": Shown::of(&conflict.lost, *pii),
            "within_clock_skew": conflict.within_clock_skew,
        })
        .into(),
    }
}

/// A value as an entry may show it.
enum Shown<'a> {
    Blank,
    Redacted,
    Value(&'a Value),
}

impl<'a> Shown<'a> {
    fn of(value: &'a Value, pii: bool) -> Self {
        match value {
            value if value.is_blank() => Self::Blank,
            _ if pii => Self::Redacted,
            value => Self::Value(value),
        }
    }
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Blank => serializer.serialize_unit(),
            Self::Redacted => serializer.serialize_str(REDACTED),
            Self::Value(Value::Text(text))
                if text.len() > LONGEST_VALUE && text.chars().count() > LONGEST_VALUE =>
            {
                let short: String = text.chars().take(LONGEST_VALUE).chain(['…']).collect();
                serializer.serialize_str(&short)
            }
            Self::Value(Value::Text(text)) => serializer.serialize_str(text),
            Self::Value(value) => value.to_plain().serialize(serializer),
        }
    }
}

/// The same settings before and after, as an entry shows them.
pub(crate) fn before_and_after(settings: &BTreeMap<String, (String, String)>) -> serde_json::Value {
    let shown = settings
        .iter()
        .map(|(name, (before, after))| (name.clone(), json!({ "before": before, "after": after })));
    serde_json::Value::Object(shown.collect())
}
