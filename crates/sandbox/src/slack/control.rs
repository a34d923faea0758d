//! The control API: what a test or a demo does from outside the vendor's API.

use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::Dead;
use super::call::{Awaits, Call, Outcome, Reply};
use super::delivery::Seal;
use super::errors::Failure;
use super::faults::Fault;
use super::interaction::{Click, Submission};
use super::settings::Turn;
use super::sim::Sim;

const PATIENCE_MS: u64 = 10_000;
const PATIENCE_MOST_MS: u64 = 120_000;

/// `GET /_sandbox/health`
pub(crate) fn health(sim: &mut Sim, call: &Call) -> Outcome {
    let teams: Vec<&str> = sim.workspaces.iter().map(|workspace| workspace.id.as_str()).collect();
    Reply::ok(json!({"status": "ok", "teams": teams, "now_ms": call.now_ms}))
}

/// Messages that look like this; an absent condition always holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Search {
    team: Option<String>,
    /// An id or a name.
    channel: Option<String>,
    /// What the text or the blocks contain.
    contains: Option<String>,
    /// Later than this timestamp.
    after: Option<String>,
    /// Those that only this person sees.
    only_for: Option<String>,
}

impl Search {
    fn read(call: &Call) -> Self {
        let get = |name: &str| call.query(name).filter(|value| !value.is_empty()).map(str::to_owned);
        let (team, channel, contains) = (get("team"), get("channel"), get("contains"));
        Self { team, channel, contains, after: get("after"), only_for: get("only_for") }
    }

    fn find(&self, sim: &Sim) -> Vec<Value> {
        let mut found = Vec::new();
        let teams = sim.workspaces.iter();
        for workspace in teams.filter(|one| self.team.as_ref().is_none_or(|team| one.id == *team)) {
            let is_meant = |channel: &&super::workspace::Channel| {
                let name = self.channel.as_deref().map(|name| name.trim_start_matches('#'));
                name.is_none_or(|name| channel.id == name || channel.name == name)
            };
            for channel in workspace.channels.iter().filter(is_meant) {
                let live = channel.messages.iter().filter(|message| !message.deleted);
                for message in live.filter(|message| self.after.as_ref().is_none_or(|ts| message.ts > *ts)) {
                    let mut wire = message.wire(&workspace.id, &sim.settings.app_id);
                    let contains = |text: &String| {
                        message.text.contains(text) || message.blocks.to_string().contains(text)
                    };
                    let is_seen = self.only_for.is_none() || self.only_for == message.only_for;
                    if is_seen && self.contains.as_ref().is_none_or(contains) {
                        wire["channel"] = json!(channel.id);
                        wire["only_for"] = json!(message.only_for);
                        wire["metadata"] = json!(message.metadata);
                        found.push(wire);
                    }
                }
            }
        }
        found
    }
}

/// `GET /_sandbox/messages?team=&channel=&contains=&after=&only_for=`: the oldest first, private ones too.
pub(crate) fn messages(sim: &mut Sim, call: &Call) -> Outcome {
    Reply::ok(json!({"messages": Search::read(call).find(sim)}))
}

/// `GET /_sandbox/wait`: the same, as soon as there is one.
pub(crate) fn wait(_sim: &mut Sim, call: &Call) -> Outcome {
    let asked = call.query("timeout_ms").and_then(|text| text.parse().ok());
    let patience_ms = asked.unwrap_or(PATIENCE_MS).min(PATIENCE_MOST_MS);
    Reply::after(Awaits::Message { search: Search::read(call), patience_ms })
}

/// The answer that waited; None when it is too early for one.
pub(crate) fn settled(sim: &Sim, awaits: &Awaits, at_last: bool) -> Option<Outcome> {
    match awaits {
        Awaits::Delivery(id) => {
            let delivery = sim.deliveries.get(*id)?;
            (at_last || delivery.is_over()).then(|| Reply::ok(json!({"delivery": delivery})))
        }
        Awaits::Page { delivery, to } => {
            let delivery = sim.deliveries.get(*delivery)?;
            let is_trouble = delivery.state != super::delivery::State::Acknowledged;
            let to = if is_trouble { format!("{to}&trouble=1") } else { to.clone() };
            (at_last || delivery.is_over()).then(|| Ok(Reply::redirect(to)))
        }
        Awaits::Message { search, .. } => {
            let found = search.find(sim);
            if !found.is_empty() {
                return Some(Reply::ok(json!({"messages": found})));
            }
            at_last.then(|| Err(Failure::missing("message_not_found")))
        }
    }
}

/// `GET /_sandbox/views`: the open dialogs.
pub(crate) fn views(sim: &mut Sim, _call: &Call) -> Outcome {
    let app_id = sim.settings.app_id.clone();
    let views: Vec<Value> = sim
        .views
        .iter()
        .map(|view| json!({"user": view.user_id, "errors": view.errors, "view": view.wire(&app_id, None)}))
        .collect();
    Reply::ok(json!({"views": views}))
}

/// `POST /_sandbox/click`: answered when the app has answered, or has not.
pub(crate) fn click(sim: &mut Sim, call: &Call) -> Outcome {
    let click: Click = call.json()?;
    Reply::after(Awaits::Delivery(sim.click(&click, call.now_ms)?))
}

/// `POST /_sandbox/submit`: likewise.
pub(crate) fn submit(sim: &mut Sim, call: &Call) -> Outcome {
    let submission: Submission = call.json()?;
    Reply::after(Awaits::Delivery(sim.submit(&submission, call.now_ms)?))
}

/// `POST /_sandbox/close`
pub(crate) fn close(sim: &mut Sim, call: &Call) -> Outcome {
    let submission: Submission = call.json()?;
    match sim.close(&submission)? {
        Some(delivery) => Reply::after(Awaits::Delivery(delivery)),
        None => Reply::ok(json!({"delivery": null})),
    }
}

/// `GET /_sandbox/deliveries?kind=&last=`: what was sent to the app, and what came of it.
pub(crate) fn deliveries(sim: &mut Sim, call: &Call) -> Outcome {
    let last = call.query("last").and_then(|text| text.parse().ok()).unwrap_or(100);
    let kind = call.query("kind");
    let all = sim.deliveries.iter().rev().filter(|one| kind.is_none_or(|kind| one.kind == kind));
    let mut found: Vec<Value> = all.take(last).map(|delivery| json!(delivery)).collect();
    found.reverse();
    Reply::ok(json!({"deliveries": found}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Redelivery {
    id: u64,
    /// Signed so many seconds ago.
    #[serde(default)]
    age_s: Option<i64>,
    /// Signed with another secret.
    #[serde(default)]
    forged: bool,
    /// In the place of its own; signed as the rest says, or as the first one was.
    #[serde(default)]
    body: Option<String>,
}

/// `POST /_sandbox/redeliver`: the same request once more, to the letter or not quite.
pub(crate) fn redeliver(sim: &mut Sim, call: &Call) -> Outcome {
    let order: Redelivery = call.json()?;
    let seal = match (order.forged, order.age_s) {
        (true, _) => Some(Seal::Forged),
        (false, age_s) => age_s.map(Seal::Aged),
    };
    let found = sim.deliveries.get(order.id).and_then(|delivery| delivery.again(seal, order.body));
    let again = found.ok_or_else(|| Failure::missing("no delivery that was sent has this id"))?;
    Reply::after(Awaits::Delivery(sim.send(again)))
}

/// `POST /_sandbox/verify`: the vendor asks the events URL for a challenge.
pub(crate) fn verify(sim: &mut Sim, _call: &Call) -> Outcome {
    Reply::after(Awaits::Delivery(sim.verify()?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Happening {
    #[serde(default)]
    team: Option<String>,
    event: Value,
}

/// `POST /_sandbox/event`: an event of any kind.
pub(crate) fn event(sim: &mut Sim, call: &Call) -> Outcome {
    let order: Happening = call.json()?;
    let team = sim.named(order.team.as_deref())?.id.clone();
    if !order.event.is_object() {
        return Err(Failure::bad("event is an object"));
    }
    let sent = sim.tell(&team, order.event).ok_or_else(|| Failure::bad("the app has no events_url"))?;
    Reply::ok(json!({"delivery_id": sent}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    #[serde(default)]
    team: Option<String>,
}

/// `POST /_sandbox/uninstall`: an administrator removes the app.
pub(crate) fn uninstall(sim: &mut Sim, call: &Call) -> Outcome {
    let Which { team } = call.json()?;
    let team = sim.named(team.as_deref())?.id.clone();
    Reply::ok(json!({"ended_tokens": sim.remove_app(&team, Dead::AccountInactive)}))
}

/// `POST /_sandbox/revoke`: the tokens are revoked, and the app is told of that alone.
pub(crate) fn revoke(sim: &mut Sim, call: &Call) -> Outcome {
    let Which { team } = call.json()?;
    let team = sim.named(team.as_deref())?.id.clone();
    let ended = sim.auth.end(&team, Dead::TokenRevoked);
    if ended > 0 {
        sim.tell_revoked(&team);
    }
    Reply::ok(json!({"ended_tokens": ended}))
}

/// `POST /_sandbox/expire_tokens`: tokens that rotate expire now.
pub(crate) fn expire_tokens(sim: &mut Sim, call: &Call) -> Outcome {
    Reply::ok(json!({"expired_tokens": sim.auth.expire(call.now_ms)}))
}

/// `POST /_sandbox/settings`: what is named changes. Answers with all of it but the secrets.
pub(crate) fn settings(sim: &mut Sim, call: &Call) -> Outcome {
    let turn: Turn = call.json()?;
    sim.settings.turn(turn);
    Reply::ok(sim.settings.wire())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_ms: i64,
}

/// `POST /_sandbox/clock`
pub(crate) fn clock(sim: &mut Sim, call: &Call) -> Outcome {
    let Advance { advance_ms } = call.json()?;
    if advance_ms < 0 {
        return Err(Failure::bad("the clock only goes forward"));
    }
    sim.clock.advance(advance_ms);
    Reply::ok(json!({"now_ms": sim.clock.now_ms(), "offset_ms": sim.clock.offset_ms()}))
}

/// `GET /_sandbox/faults`
pub(crate) fn faults(sim: &mut Sim, _call: &Call) -> Outcome {
    Reply::ok(json!({"faults": sim.faults.set}))
}

/// `POST /_sandbox/faults`
pub(crate) fn add_fault(sim: &mut Sim, call: &Call) -> Outcome {
    let fault: Fault = call.json()?;
    if !sim.faults.try_set(fault) {
        return Err(Failure::bad("times starts at 1 and probability is between 0 and 1"));
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
    Reply::ok(sim.calls.wire(last))
}

/// `DELETE /_sandbox/calls`
pub(crate) fn clear_calls(sim: &mut Sim, _call: &Call) -> Outcome {
    sim.calls = crate::calls::CallLog::default();
    Reply::empty()
}
