//! What people and services decide: connections, mappings, captures, runs, access.

use model::{
    AccessChanged, AccessSubject, BudgetChanged, BudgetReached, BudgetSettings, CaptureRequested,
    CaptureStopped, ConnectionChanged, ConnectionState, FieldAdded, MappingChanged, ReadingChanged,
    ReadingSettings, SchemaDriftDetected, SchemaRefreshed, SyncRunFinished, VerifyRequested, WatchRequested,
    kind, vendor_name,
};
use serde_json::{Map, Value, json};

use super::{
    describe::{Facts, REDACTED, keys},
    entry::Outcome,
    flow::before_and_after,
};

/// Facts about access that name a person.
const PERSONAL_FACTS: [&str; 3] = ["email", "name", "client"];

pub(crate) fn connection(kind: &str, changed: &ConnectionChanged) -> Facts {
    let ConnectionChanged { connection, vendor, state, reason, message, account, .. } = changed;
    let (action, outcome, what) = match kind {
        kind::CONNECTION_REFUSED => {
            ("oauth.refused", Outcome::Refused, "authorization was refused".to_owned())
        }
        kind::CONNECTION_AUTHORIZED => (kind, Outcome::Ok, "was connected".to_owned()),
        kind::CONNECTION_DISCONNECTED => (kind, Outcome::Ok, "was disconnected".to_owned()),
        kind::TOKEN_REFRESHED => (kind, Outcome::Ok, "token was refreshed".to_owned()),
        kind::TOKEN_REFRESH_FAILED => (kind, Outcome::Failed, "token could not be refreshed".to_owned()),
        other => {
            let broken = matches!(state, Some(ConnectionState::Error | ConnectionState::ReauthRequired));
            let outcome = if broken { Outcome::Failed } else { Outcome::Ok };
            (other, outcome, format!("is {}", state.map_or("changed", ConnectionState::name)))
        }
    };
    let why = message.as_deref().or(reason.as_deref()).map(|why| format!(": {why}")).unwrap_or_default();
    Facts {
        action: action.to_owned(),
        target: connection.map_or_else(|| vendor.clone(), |id| id.to_string()),
        connection: *connection,
        outcome,
        actor: None,
        summary: format!("{} {what}{why}", vendor_name(vendor)),
        details: json!({
            "vendor": vendor, "state": state, "account": account, "reason": reason, "message": message,
        })
        .into(),
    }
}

pub(crate) fn budget_changed(changed: &BudgetChanged) -> Facts {
    let words = |budget: Option<BudgetSettings>| {
        budget.map_or_else(
            || "no limit".to_owned(),
            |budget| format!("{} calls in {} s", budget.calls, budget.window_seconds),
        )
    };
    Facts {
        action: kind::BUDGET_CHANGED.to_owned(),
        target: changed.connection.to_string(),
        connection: Some(changed.connection),
        outcome: Outcome::Ok,
        actor: None,
        summary: format!(
            "The API budget of {} was changed from {} to {}",
            vendor_name(&changed.vendor),
            words(changed.before),
            words(changed.after)
        ),
        details: json!({ "vendor": changed.vendor, "before": changed.before, "after": changed.after }).into(),
    }
}

pub(crate) fn reading_changed(changed: &ReadingChanged) -> Facts {
    let words = |settings: ReadingSettings| {
        let often = settings
            .interval_minutes
            .map_or("as often as usual".to_owned(), |minutes| format!("every {minutes} min"));
        format!("{often}, {}", if settings.bodies { "whole texts" } else { "beginnings of texts" })
    };
    Facts {
        action: kind::READING_CHANGED.to_owned(),
        target: changed.connection.to_string(),
        connection: Some(changed.connection),
        outcome: Outcome::Ok,
        actor: None,
        summary: format!(
            "How {} is read was changed from {} to {}",
            vendor_name(&changed.vendor),
            words(changed.before),
            words(changed.after)
        ),
        details: json!({ "vendor": changed.vendor, "before": changed.before, "after": changed.after }).into(),
    }
}

pub(crate) fn budget_reached(reached: &BudgetReached) -> Facts {
    let calls = reached.budget.map(|budget| budget.calls);
    let most = calls.map(|calls| format!(" of {calls}")).unwrap_or_default();
    Facts {
        action: kind::BUDGET_REACHED.to_owned(),
        target: reached.connection.to_string(),
        connection: Some(reached.connection),
        outcome: Outcome::Ok,
        actor: None,
        summary: format!(
            "The API budget of {} is {}: {} calls{most} are used",
            vendor_name(&reached.vendor),
            reached.level,
            reached.used
        ),
        details: json!({
            "vendor": reached.vendor, "level": reached.level, "used": reached.used, "budget": reached.budget,
            "turns_at": reached.turns_at,
        })
        .into(),
    }
}

pub(crate) fn schema(refreshed: &SchemaRefreshed) -> Facts {
    let objects: Vec<Value> = refreshed
        .objects
        .iter()
        .map(|object| json!({ "name": object.name, "fields": object.fields.len() }))
        .collect();
    let part =
        refreshed.part.map(|part| format!(" (part {} of {})", part.number, part.of)).unwrap_or_default();
    Facts {
        action: kind::SCHEMA_REFRESHED.to_owned(),
        target: refreshed.connection.to_string(),
        connection: Some(refreshed.connection),
        outcome: Outcome::Ok,
        actor: None,
        summary: format!(
            "The schema of {} was read: {} objects{part}",
            vendor_name(&refreshed.vendor),
            objects.len()
        ),
        details: json!({ "vendor": refreshed.vendor, "objects": objects }).into(),
    }
}

pub(crate) fn schema_drift(found: &SchemaDriftDetected) -> Facts {
    let changes: Vec<Value> = found
        .changes
        .iter()
        .take(50)
        .map(|one| json!({ "object": one.object, "field": one.field, "change": one.change.name() }))
        .collect();
    let paused: Vec<&str> = found.paused.iter().map(|one| one.vendor_field.as_str()).collect();
    Facts {
        action: kind::SCHEMA_DRIFT_DETECTED.to_owned(),
        target: found.connection.to_string(),
        connection: Some(found.connection),
        outcome: Outcome::Ok,
        actor: None,
        summary: format!(
            "The schema of {} changed in {} places; {} field mappings paused",
            vendor_name(&found.vendor),
            found.changes.len(),
            paused.len()
        ),
        details: json!({ "vendor": found.vendor, "changes": changes, "paused": paused }).into(),
    }
}

pub(crate) fn field_added(added: &FieldAdded) -> Facts {
    Facts {
        action: kind::FIELD_ADDED.to_owned(),
        target: format!("{}.{}", added.object.name(), added.field),
        connection: None,
        outcome: Outcome::Ok,
        actor: None,
        summary: format!("Field {} was added to {}", added.field, added.object.name()),
        details: json!({ "label": added.label, "type": added.field_type.name() }).into(),
    }
}

pub(crate) fn mapping(changed: &MappingChanged) -> Facts {
    let MappingChanged { object, vendor_object, action, field, .. } = changed;
    let about = field.as_deref().map(|field| format!(", field {field}")).unwrap_or_default();
    let done = action.replace('_', " ");
    Facts {
        action: format!("mapping.{action}"),
        target: changed.mapping.to_string(),
        connection: Some(changed.connection),
        outcome: Outcome::Ok,
        actor: None,
        summary: format!("Mapping of {} and {vendor_object}{about}: {done}", object.name()),
        details: json!({
            "object": object,
            "vendor_object": vendor_object,
            "field": field,
            "settings": before_and_after(&changed.settings),
        })
        .into(),
    }
}

pub(crate) fn capture_requested(wish: &CaptureRequested) -> Facts {
    let history = if wish.backfill { " with their history" } else { "" };
    Facts {
        action: kind::CAPTURE_REQUESTED.to_owned(),
        target: wish.connection.to_string(),
        connection: Some(wish.connection),
        outcome: Outcome::Ok,
        actor: None,
        summary: format!("{} are to be read{history}", wish.vendor_object),
        details: json!({
            "object": wish.vendor_object, "backfill": wish.backfill, "fields": wish.fields,
            "dated": wish.dated, "dated_history": wish.dated_history,
            "external_id": wish.external_id,
        })
        .into(),
    }
}

pub(crate) fn capture_stopped(stopped: &CaptureStopped) -> Facts {
    Facts {
        action: kind::CAPTURE_STOPPED.to_owned(),
        target: stopped.connection.to_string(),
        connection: Some(stopped.connection),
        outcome: Outcome::Ok,
        actor: None,
        summary: format!("{} are no longer read", stopped.vendor_object),
        details: json!({ "object": stopped.vendor_object }).into(),
    }
}

pub(crate) fn watch_requested(wish: &WatchRequested) -> Facts {
    let summary = if wish.fields.is_empty() {
        format!("no conversion rule looks at {} any more", wish.vendor_object)
    } else {
        format!("conversion rules look at {} fields of {}", wish.fields.len(), wish.vendor_object)
    };
    let details = json!({
        "object": wish.vendor_object, "fields": wish.fields, "people": wish.people, "backfill": wish.backfill,
    });
    Facts {
        action: kind::WATCH_REQUESTED.to_owned(),
        target: wish.connection.to_string(),
        connection: Some(wish.connection),
        outcome: Outcome::Ok,
        actor: None,
        summary,
        details: details.into(),
    }
}

pub(crate) fn verify_requested(wish: &VerifyRequested) -> Facts {
    Facts {
        action: kind::VERIFY_REQUESTED.to_owned(),
        target: wish.connection.to_string(),
        connection: Some(wish.connection),
        outcome: Outcome::Ok,
        actor: None,
        summary: format!("{} are to be compared at both sides", wish.vendor_object),
        details: json!({ "object": wish.vendor_object, "run": wish.run }).into(),
    }
}

pub(crate) fn run_finished(run: &SyncRunFinished) -> Facts {
    let SyncRunFinished { vendor, vendor_object, run: kind_of_run, read, error, message, .. } = run;
    let what = match message.as_deref().or(error.as_deref()) {
        None if kind_of_run == "undo" => {
            format!("a run was put back, {} values of {read} records", run.published)
        }
        None if kind_of_run == "reconcile" => {
            format!("{read} records verified equal, {} repaired", run.published)
        }
        None => format!("{kind_of_run} read {read} records"),
        Some(why) => format!("{kind_of_run} failed: {why}"),
    };
    Facts {
        action: kind::SYNC_RUN_FINISHED.to_owned(),
        target: run.connection.to_string(),
        connection: Some(run.connection),
        outcome: if error.is_some() { Outcome::Failed } else { Outcome::Ok },
        actor: None,
        summary: format!("{} {vendor_object}: {what}", vendor_name(vendor)),
        details: json!({
            "vendor": vendor, "object": vendor_object, "operation": kind_of_run, "read": read,
            "published": run.published, "error": error, "message": message,
            "started_at": run.started_at, "finished_at": run.finished_at,
        })
        .into(),
    }
}

pub(crate) fn access(changed: &AccessChanged) -> Facts {
    let AccessChanged { subject, id, action, facts, .. } = changed;
    let noun = match subject {
        AccessSubject::User => "user",
        AccessSubject::Session => "session",
        AccessSubject::ApiKey => "API key",
        AccessSubject::IntegrationKey => "integration key",
    };
    let refused = action.ends_with("_refused");
    let mut shown = Map::new();
    for (name, value) in facts {
        let personal = PERSONAL_FACTS.contains(&name.as_str());
        shown.insert(name.clone(), if personal { REDACTED.into() } else { value.as_str().into() });
    }
    Facts {
        action: format!("identity.{action}"),
        target: id.clone(),
        connection: None,
        outcome: if refused { Outcome::Refused } else { Outcome::Ok },
        actor: None,
        summary: format!("{noun} {id}: {}", action.replace('_', " ")),
        details: json!({ "subject": subject, "facts": shown }).into(),
    }
}

/// An event that this version does not know: that it happened, and the names of what it says.
pub(crate) fn unknown(kind: &str, body: &Value) -> Facts {
    let names = body.as_object().map(keys);
    Facts {
        action: kind.to_owned(),
        target: String::new(),
        connection: None,
        outcome: Outcome::Ok,
        actor: None,
        summary: kind.replace(['.', '_'], " "),
        details: json!({ "keys": names }).into(),
    }
}
