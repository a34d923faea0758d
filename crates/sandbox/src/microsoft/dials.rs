//! The settings of the control API.

use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Call, Outcome, Reply};
use super::control::invalid;
use super::errors::Failure;
use super::sim::{Notifications, Sim};

/// A setting that can be absent: `null` takes it away, nothing leaves it.
#[expect(clippy::option_option, reason = "absent, null and a number are three wishes")]
fn optional<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Option<i64>>, D::Error> {
    Option::<i64>::deserialize(from).map(Some)
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::option_option, reason = "absent, null and a number are three wishes")]
struct Turn {
    rate_limits: Option<bool>,
    #[serde(deserialize_with = "optional")]
    access_token_s: Option<Option<i64>>,
    #[serde(deserialize_with = "optional")]
    refresh_grace_s: Option<Option<i64>>,
    #[serde(deserialize_with = "optional")]
    delta_token_minutes: Option<Option<i64>>,
    latency_ms: Option<u64>,
    notification_delay_ms: Option<i64>,
    living_edits_per_minute: Option<u32>,
    admin_consent_required: Option<bool>,
    /// A list limits consent, `"all"` lifts the limit.
    scopes_granted: Option<Value>,
    empty_pages: Option<bool>,
    repeat_rows: Option<bool>,
    sparse_updates: Option<bool>,
    moves_are_changed: Option<bool>,
    resync_with_location: Option<bool>,
    bouncing: Option<Vec<String>>,
    notifications: Option<Notifications>,
}

/// The longest span that a setting may name, in its unit: some thousands of years.
const LONG: i64 = 1_000_000_000;

impl Turn {
    fn check(&self) -> Result<(), Failure> {
        let spans = [self.access_token_s, self.refresh_grace_s, self.delta_token_minutes];
        let spans = spans.into_iter().flatten().flatten().chain(self.notification_delay_ms);
        if spans.into_iter().any(|span| !(0..=LONG).contains(&span)) {
            return Err(invalid("a span of time is negative or too long"));
        }
        Ok(())
    }
}

/// `POST /_sandbox/settings`: what is named changes, the rest stays. Answers with all of it.
pub(crate) fn settings(sim: &mut Sim, call: &Call) -> Outcome {
    let turn: Turn = if call.body.is_empty() { Turn::default() } else { call.json()? };
    turn.check()?;
    let (settings, dials) = (&mut sim.settings, &mut sim.dials);
    if let Some(scopes) = turn.scopes_granted {
        dials.scopes_granted = match scopes {
            Value::String(all) if all == "all" => None,
            list => Some(
                serde_json::from_value(list)
                    .map_err(|_| invalid("scopes_granted is a list of scopes or \"all\""))?,
            ),
        };
    }
    settings.rate_limits = turn.rate_limits.unwrap_or(settings.rate_limits);
    settings.access_token_s = turn.access_token_s.unwrap_or(settings.access_token_s);
    settings.refresh_grace_s = turn.refresh_grace_s.unwrap_or(settings.refresh_grace_s);
    settings.delta_token_minutes = turn.delta_token_minutes.unwrap_or(settings.delta_token_minutes);
    settings.latency_ms = turn.latency_ms.unwrap_or(settings.latency_ms);
    settings.notification_delay_ms = turn.notification_delay_ms.unwrap_or(settings.notification_delay_ms);
    settings.living_edits_per_minute =
        turn.living_edits_per_minute.unwrap_or(settings.living_edits_per_minute);
    dials.admin_consent_required = turn.admin_consent_required.unwrap_or(dials.admin_consent_required);
    dials.empty_pages = turn.empty_pages.unwrap_or(dials.empty_pages);
    dials.repeat_rows = turn.repeat_rows.unwrap_or(dials.repeat_rows);
    dials.sparse_updates = turn.sparse_updates.unwrap_or(dials.sparse_updates);
    dials.moves_are_changed = turn.moves_are_changed.unwrap_or(dials.moves_are_changed);
    dials.resync_with_location = turn.resync_with_location.unwrap_or(dials.resync_with_location);
    dials.notifications = turn.notifications.unwrap_or(dials.notifications);
    if let Some(bouncing) = turn.bouncing {
        dials.bouncing = bouncing.iter().map(|address| address.to_lowercase()).collect();
    }
    Reply::ok(&json!({
        "rate_limits": settings.rate_limits, "access_token_s": settings.access_token_s,
        "refresh_grace_s": settings.refresh_grace_s, "delta_token_minutes": settings.delta_token_minutes,
        "latency_ms": settings.latency_ms, "notification_delay_ms": settings.notification_delay_ms,
        "living_edits_per_minute": settings.living_edits_per_minute,
        "admin_consent_required": dials.admin_consent_required, "scopes_granted": dials.scopes_granted,
        "empty_pages": dials.empty_pages, "repeat_rows": dials.repeat_rows,
        "sparse_updates": dials.sparse_updates, "moves_are_changed": dials.moves_are_changed,
        "resync_with_location": dials.resync_with_location, "bouncing": dials.bouncing,
        "notifications": dials.notifications,
    }))
}
