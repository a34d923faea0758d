//! The flow of records: what came from vendors, what was written to them, what it did to our records. Field values
//! are kept only where the message says which fields are personal; else their names alone.

use std::collections::BTreeMap;

use model::{
    CaptureProgress, ChangeEvent, ChangeKind, ConflictRecorded, RecordChanged, Value, VerifiedBucket,
    VerifyFinished, VerifyProgressed, WriteOutcome, Written, kind,
};
use serde_json::{Map, json};

use super::{
    describe::{Facts, REDACTED},
    entry::Outcome,
};

/// The longest text value in an entry, in characters.
const LONGEST_VALUE: usize = 200;

pub(crate) fn change(change: ChangeEvent) -> Facts {
    let ChangeEvent { vendor, object, id, kind, .. } = &change;
    let what = match kind {
        ChangeKind::Upserted => "was read",
        ChangeKind::Deleted => "was deleted there",
    };
    Facts {
        action: kind::CHANGE.to_owned(),
        target: format!("{vendor}:{object}:{id}"),
        connection: Some(change.connection),
        outcome: Outcome::Ok,
        actor: Some(format!("connection:{}", change.connection)),
        summary: format!("{vendor} {object} {id} {what}"),
        details: json!({
            "vendor": vendor,
            "object": object,
            "vendor_id": id,
            "kind": kind,
            "lane": change.lane,
            "version": change.version,
            "changed_at": change.changed_at,
            "fields": change.fields.keys().collect::<Vec<_>>(),
        }),
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
        details: json!({ "object": progress.vendor_object, "read": progress.read, "total": progress.total }),
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
        details: json!({ "object": object, "run": bucket.run, "bucket": bucket.bucket, "records": count }),
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
        details: json!({ "object": object, "run": fact.run, "read": read, "total": total }),
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
        }),
    }
}

pub(crate) fn written(written: Written) -> Facts {
    let Written { vendor, object, record, .. } = &written;
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
            ("write.applied", Outcome::Ok, format!("{vendor} {object} {vendor_id} was written"), more)
        }
        WriteOutcome::Rejected { category, message, field } => {
            let more = json!({ "category": category, "message": message, "field": field });
            let summary = format!("{vendor} refused to write {object} of {record}: {message}");
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
        details,
    }
}

pub(crate) fn record(kind: &str, changed: &RecordChanged) -> Facts {
    let what = kind.strip_prefix("record.").unwrap_or(kind);
    let names: Vec<&str> = changed.fields.keys().map(String::as_str).collect();
    let mut summary = format!("{} {} was {what}", changed.object.name(), changed.record);
    if kind == kind::RECORD_CHANGED && !names.is_empty() {
        summary.push_str(": ");
        summary.push_str(&names.join(", "));
    }
    let mut fields = Map::new();
    for (name, after) in &changed.fields {
        let pii = changed.pii.contains(name);
        let before = changed.before.get(name).unwrap_or(&Value::Null);
        fields.insert(name.clone(), json!({ "before": shown(before, pii), "after": shown(after, pii) }));
    }
    Facts {
        action: kind.to_owned(),
        target: changed.record.to_string(),
        connection: changed.connection,
        outcome: Outcome::Ok,
        actor: Some(changed.actor.clone()),
        summary,
        details: json!({
            "object": changed.object,
            "version": changed.version,
            "edited_at": changed.at,
            "fields": fields,
        }),
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
            "kept": shown(&conflict.kept, *pii),
            "lost": shown(&conflict.lost, *pii),
            "within_clock_skew": conflict.within_clock_skew,
        }),
    }
}

/// A value as an entry may show it.
fn shown(value: &Value, pii: bool) -> serde_json::Value {
    match value {
        value if value.is_blank() => serde_json::Value::Null,
        _ if pii => REDACTED.into(),
        Value::Text(text) if text.chars().count() > LONGEST_VALUE => {
            let mut short: String = text.chars().take(LONGEST_VALUE).collect();
            short.push('…');
            short.into()
        }
        value => value.to_plain(),
    }
}

/// The same settings before and after, as an entry shows them.
pub(crate) fn before_and_after(settings: &BTreeMap<String, (String, String)>) -> serde_json::Value {
    let shown = settings
        .iter()
        .map(|(name, (before, after))| (name.clone(), json!({ "before": before, "after": after })));
    serde_json::Value::Object(shown.collect())
}
