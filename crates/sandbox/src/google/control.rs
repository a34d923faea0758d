//! The control API: settings, time, tokens, faults and the call log.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Settings;
use super::call::{Call, Outcome, Reply};
use super::errors::Failure;
use super::faults::Fault;
use super::sim::Sim;

/// `GET /_sandbox/health`
pub(crate) fn health(sim: &mut Sim, call: &Call) -> Outcome {
    let accounts = sim.calendars.iter().map(|one| {
        let live = one.events.values().filter(|event| !event.is_cancelled()).count();
        json!({"email": one.email, "name": one.name, "events": live})
    });
    let accounts: Vec<Value> = accounts.collect();
    let conferences = sim.conferences.iter().filter(|one| one.is_known(call.now_ms)).count();
    Reply::ok(
        &json!({"status": "ok", "now_ms": call.now_ms, "accounts": accounts, "conferences": conferences}),
    )
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Turn {
    testing: Option<bool>,
    rate_limits: Option<bool>,
    calls_per_minute: Option<usize>,
    quota_status: Option<u16>,
    sync_token_days: Option<i64>,
    transcript_delay_ms: Option<i64>,
    push_https_only: Option<bool>,
    lose_pushes: Option<bool>,
}

fn put<T>(setting: &mut T, wanted: Option<T>) {
    if let Some(wanted) = wanted {
        *setting = wanted;
    }
}

/// `POST /_sandbox/settings`: what is named changes, the rest stays. Answers with all of it.
pub(crate) fn settings(sim: &mut Sim, call: &Call) -> Outcome {
    let turn: Turn = call.shape()?;
    let is_wrong = turn.quota_status.is_some_and(|status| status != 403 && status != 429)
        || turn.sync_token_days.is_some_and(|days| !(0..=36_500).contains(&days))
        || turn.transcript_delay_ms.is_some_and(|delay| !(0..=1_000_000_000_000).contains(&delay));
    if is_wrong {
        let message = "quota_status is 403 or 429, sync_token_days and transcript_delay_ms are not negative";
        return Err(Failure::bad("invalid", message));
    }
    let settings: &mut Settings = &mut sim.settings;
    put(&mut settings.testing, turn.testing);
    put(&mut settings.rate_limits, turn.rate_limits);
    put(&mut settings.calls_per_minute, turn.calls_per_minute);
    put(&mut settings.quota_status, turn.quota_status);
    put(&mut settings.sync_token_days, turn.sync_token_days);
    put(&mut settings.transcript_delay_ms, turn.transcript_delay_ms);
    put(&mut settings.push_https_only, turn.push_https_only);
    put(&mut settings.lose_pushes, turn.lose_pushes);
    Reply::ok(&json!({
        "testing": settings.testing, "rate_limits": settings.rate_limits,
        "calls_per_minute": settings.calls_per_minute, "quota_status": settings.quota_status,
        "sync_token_days": settings.sync_token_days, "transcript_delay_ms": settings.transcript_delay_ms,
        "push_https_only": settings.push_https_only, "lose_pushes": settings.lose_pushes,
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_ms: i64,
}

/// `POST /_sandbox/clock`
pub(crate) fn clock(sim: &mut Sim, call: &Call) -> Outcome {
    let Advance { advance_ms } = call.shape()?;
    if advance_ms < 0 {
        return Err(Failure::bad("invalid", "the clock only goes forward"));
    }
    sim.clock.advance(advance_ms);
    Reply::ok(&json!({"now_ms": sim.clock.now_ms(), "offset_ms": sim.clock.offset_ms()}))
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Whose {
    account: Option<String>,
}

/// `POST /_sandbox/revoke`: users remove the app, of one account or of all.
pub(crate) fn revoke(sim: &mut Sim, call: &Call) -> Outcome {
    let Whose { account } = call.shape()?;
    Reply::ok(&json!({"revoked_grants": sim.auth.revoke(account.as_deref())}))
}

/// `POST /_sandbox/expire_tokens`: access tokens expire now, refresh tokens live on.
pub(crate) fn expire_tokens(sim: &mut Sim, _call: &Call) -> Outcome {
    Reply::ok(&json!({"expired_tokens": sim.auth.expire_access()}))
}

/// `POST /_sandbox/expire_sync_tokens`: incremental lists, also those that are half read, answer 410.
pub(crate) fn expire_sync_tokens(sim: &mut Sim, call: &Call) -> Outcome {
    let Whose { account } = call.shape()?;
    let is_meant = |email: &String| account.as_ref().is_none_or(|account| account == email);
    let meant = sim.calendars.iter_mut().filter(|one| is_meant(&one.email));
    let expired = meant.map(|one| one.epoch += 1).count();
    Reply::ok(&json!({"calendars": expired}))
}

/// `GET /_sandbox/faults`
pub(crate) fn faults(sim: &mut Sim, _call: &Call) -> Outcome {
    Reply::ok(&json!({"faults": sim.faults.set}))
}

/// `POST /_sandbox/faults`
pub(crate) fn add_fault(sim: &mut Sim, call: &Call) -> Outcome {
    let fault: Fault = call.shape()?;
    if !sim.faults.try_set(fault) {
        return Err(Failure::bad("invalid", "times starts at 1 and probability is between 0 and 1"));
    }
    faults(sim, call)
}

/// `DELETE /_sandbox/faults`
pub(crate) fn clear_faults(sim: &mut Sim, _call: &Call) -> Outcome {
    sim.faults.set.clear();
    Reply::empty()
}

/// `GET /_sandbox/calls`
pub(crate) fn calls(sim: &mut Sim, call: &Call) -> Outcome {
    let last = call.query("last").and_then(|text| text.parse().ok()).unwrap_or(50);
    Reply::ok(&sim.calls.wire(last))
}

/// `DELETE /_sandbox/calls`
pub(crate) fn clear_calls(sim: &mut Sim, _call: &Call) -> Outcome {
    sim.calls = crate::calls::CallLog::default();
    Reply::empty()
}
