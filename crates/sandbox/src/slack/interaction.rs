//! What people do with buttons and dialogs, and how the app is told.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::auth::secret;
use super::blocks::element;
use super::delivery::{About, Delivery};
use super::errors::Failure;
use super::inputs::state;
use super::sim::Sim;
use super::views::{View, shape};
use super::workspace::APP_BOT;

/// How long a trigger is remembered, to say why it is no good any more.
const REMEMBER_MS: i64 = 600_000;
const TROUBLE: &str = "We had some trouble connecting. Try again?";

/// What lets an app open a dialog for somebody, once and soon.
#[derive(Debug, Clone)]
pub(crate) struct Trigger {
    team_id: String,
    user_id: String,
    expires_ms: i64,
    used: bool,
}

/// Somebody uses a button or a menu of a message.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Click {
    #[serde(default)]
    pub(crate) team: Option<String>,
    pub(crate) channel: String,
    pub(crate) ts: String,
    pub(crate) user: String,
    pub(crate) action_id: String,
    #[serde(default)]
    pub(crate) block_id: Option<String>,
    /// What is chosen of a menu; of a button, a value in the place of its own.
    #[serde(default)]
    pub(crate) value: Option<String>,
}

/// Somebody submits or closes the dialog that they look at.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Submission {
    #[serde(default)]
    pub(crate) team: Option<String>,
    pub(crate) user: String,
    #[serde(default)]
    pub(crate) view_id: Option<String>,
    /// By action id, or by block id and action id.
    #[serde(default)]
    pub(crate) values: Map<String, Value>,
}

/// Who acts, as the app is told.
struct Actor {
    team_id: String,
    user_id: String,
    wire: Map<String, Value>,
}

impl Sim {
    /// What every interaction tells of who did it.
    fn actor(&mut self, team: Option<&str>, user: &str) -> Result<Actor, Failure> {
        let app_id = self.settings.app_id.clone();
        let workspace = self.named(team)?;
        // By id, by name or by address, as it suits whoever asks.
        let found = workspace.users.iter().find(|one| {
            one.id == user || one.name == user || one.email.as_deref().is_some_and(|email| email == user)
        });
        let found = found.filter(|one| one.is_human()).ok_or_else(|| Failure::missing("user_not_found"))?;
        let wire = json!({
            "user": {"id": found.id, "username": found.name, "name": found.name, "team_id": found.team_id},
            "team": {"id": workspace.id, "domain": workspace.domain}, "enterprise": null,
            "is_enterprise_install": false, "api_app_id": app_id, "token": "sandbox-verification-token",
        });
        let (team_id, user_id) = (workspace.id.clone(), found.id.clone());
        let Value::Object(wire) = wire else { return Err(Failure::missing("user_not_found")) };
        if self.auth.install_of(&team_id).is_none() {
            return Err(Failure::bad("the app is not installed in this workspace"));
        }
        Ok(Actor { team_id, user_id, wire })
    }

    fn interactivity_url(&self) -> Result<String, Failure> {
        let url = self.settings.interactivity_url.clone();
        url.ok_or_else(|| Failure::bad("the app has no interactivity_url"))
    }

    fn trigger(&mut self, actor: &Actor, now_ms: i64) -> String {
        self.triggers.retain(|_, trigger| trigger.expires_ms > now_ms - REMEMBER_MS);
        let id = format!("{}.{}.{}", now_ms, &actor.team_id[1..], secret(32).to_lowercase());
        let ends_ms = now_ms + i64::try_from(self.settings.trigger_ms).unwrap_or(i64::MAX / 2);
        let (team_id, user_id) = (actor.team_id.clone(), actor.user_id.clone());
        self.triggers.insert(id.clone(), Trigger { team_id, user_id, expires_ms: ends_ms, used: false });
        id
    }

    /// Uses a trigger up, and says whose it is.
    pub(crate) fn use_trigger(&mut self, id: &str, team: &str, now_ms: i64) -> Result<String, Failure> {
        let found = self.triggers.get_mut(id).filter(|trigger| trigger.team_id == team);
        let trigger = found.ok_or_else(|| Failure::named("invalid_trigger_id"))?;
        if trigger.used {
            return Err(Failure::named("exchanged_trigger_id"));
        }
        if trigger.expires_ms <= now_ms {
            return Err(Failure::named("expired_trigger_id"));
        }
        trigger.used = true;
        Ok(trigger.user_id.clone())
    }

    /// Somebody clicks; the answer is the number of the delivery.
    pub(crate) fn click(&mut self, click: &Click, now_ms: i64) -> Result<u64, Failure> {
        let url = self.interactivity_url()?;
        let mut actor = self.actor(click.team.as_deref(), &click.user)?;
        let app_id = self.settings.app_id.clone();
        let workspace = self.named(Some(&actor.team_id))?;
        let action_ts = workspace.stamp(now_ms);
        let team_id = workspace.id.clone();
        let channel = workspace.channel_called(&click.channel);
        let channel = channel.filter(|channel| channel.is_open_to(&actor.user_id));
        let channel = channel.ok_or_else(|| Failure::missing("channel_not_found"))?;
        let message = channel.find(&click.ts).map(|at| &channel.messages[at]);
        let message =
            message.filter(|message| message.only_for.as_ref().is_none_or(|one| *one == actor.user_id));
        let message = message.ok_or_else(|| Failure::missing("message_not_found"))?;
        let found = element(&message.blocks, &click.action_id, click.block_id.as_deref());
        let (block_id, element) = found.ok_or_else(|| Failure::missing("action_not_found"))?;
        let mut action = chosen(element, click.value.as_deref())?;
        action.insert("block_id".to_owned(), json!(block_id));
        action.insert("action_ts".to_owned(), json!(action_ts));
        let wire = message.wire(&team_id, &app_id);
        let (is_ephemeral, ts) = (message.only_for.is_some(), message.ts.clone());
        let (channel_id, name) = (channel.id.clone(), channel.told_name().to_owned());
        let trigger = self.trigger(&actor, now_ms);
        let response_url = self.response_url(&team_id, &channel_id, &actor.user_id, &ts, now_ms);
        let mut fields = json!({
            "type": "block_actions", "trigger_id": trigger, "response_url": response_url,
            "container": {"type": "message", "message_ts": ts, "channel_id": channel_id,
                "is_ephemeral": is_ephemeral},
            "channel": {"id": channel_id, "name": name}, "state": {"values": {}}, "actions": [action],
        });
        // What only one person sees is not told again.
        if !is_ephemeral {
            fields["message"] = wire;
        }
        actor.wire.extend(fields.as_object().cloned().unwrap_or_default());
        let payload = Value::Object(actor.wire);
        Ok(self.send(Delivery::to_interactivity(&url, "block_actions", &payload, About::Nothing)))
    }

    /// The dialog that somebody looks at, or the one that is named.
    fn looked_at(&self, actor: &Actor, view_id: Option<&str>) -> Result<View, Failure> {
        let found = self.view_of(&actor.team_id, &actor.user_id, view_id).cloned();
        found.ok_or_else(|| Failure::missing("view_not_found"))
    }

    /// Somebody submits a dialog; the answer is the number of the delivery.
    pub(crate) fn submit(&mut self, submission: &Submission, now_ms: i64) -> Result<u64, Failure> {
        let url = self.interactivity_url()?;
        let mut actor = self.actor(submission.team.as_deref(), &submission.user)?;
        let view = self.looked_at(&actor, submission.view_id.as_deref())?;
        let filled = state(view.blocks(), &submission.values).map_err(|complaints| {
            let told: Map<String, Value> =
                complaints.iter().map(|(block, text)| (block.clone(), json!(text))).collect();
            self.complain(&view.id, complaints);
            Failure::bad("the dialog is not complete").with("errors", Value::Object(told))
        })?;
        let trigger = self.trigger(&actor, now_ms);
        let view_wire = view.wire(&self.settings.app_id, Some(&filled));
        let fields =
            json!({"type": "view_submission", "trigger_id": trigger, "view": view_wire, "response_urls": []});
        actor.wire.extend(fields.as_object().cloned().unwrap_or_default());
        let payload = Value::Object(actor.wire);
        let about = About::View(view.id);
        Ok(self.send(Delivery::to_interactivity(&url, "view_submission", &payload, about)))
    }

    /// Somebody closes a dialog; the app is told if it asked for that.
    pub(crate) fn close(&mut self, submission: &Submission) -> Result<Option<u64>, Failure> {
        let mut actor = self.actor(submission.team.as_deref(), &submission.user)?;
        let view = self.looked_at(&actor, submission.view_id.as_deref())?;
        self.take_down(&view, view.flag("clear_on_close"));
        let Some(url) = self.settings.interactivity_url.clone().filter(|_| view.flag("notify_on_close"))
        else {
            return Ok(None);
        };
        let view_wire = view.wire(&self.settings.app_id, None);
        let fields =
            json!({"type": "view_closed", "view": view_wire, "is_cleared": view.flag("clear_on_close")});
        actor.wire.extend(fields.as_object().cloned().unwrap_or_default());
        let payload = Value::Object(actor.wire);
        Ok(Some(self.send(Delivery::to_interactivity(&url, "view_closed", &payload, About::Nothing))))
    }

    fn take_down(&mut self, view: &View, with_all_below: bool) {
        let is_theirs = |one: &View| one.team_id == view.team_id && one.user_id == view.user_id;
        self.views.retain(|one| if with_all_below { !is_theirs(one) } else { one.id != view.id });
    }

    fn complain(&mut self, view_id: &str, complaints: Vec<(String, String)>) {
        if let Some(view) = self.views.iter_mut().find(|view| view.id == view_id) {
            view.errors = complaints;
        }
    }

    /// What becomes of a submitted dialog; without an answer it stays.
    pub(crate) fn view_answered(&mut self, view_id: &str, answer: Option<&str>) {
        let trouble = || vec![(String::new(), TROUBLE.to_owned())];
        let Some(view) = self.views.iter().find(|view| view.id == view_id).cloned() else { return };
        let Some(answer) = answer else { return self.complain(view_id, trouble()) };
        let body: Value = serde_json::from_str(answer).unwrap_or(Value::Null);
        let now_ms = self.clock.now_ms();
        match body["response_action"].as_str() {
            Some("errors") => {
                let errors = body["errors"].as_object().cloned().unwrap_or_default();
                let told =
                    |(block, text): (String, Value)| (block, text.as_str().unwrap_or_default().to_owned());
                self.complain(view_id, errors.into_iter().map(told).collect());
            }
            Some("clear") => self.take_down(&view, true),
            Some(action @ ("update" | "push")) => match shape(&body["view"]) {
                Err(_) => self.complain(view_id, trouble()),
                Ok(shape) if action == "update" => {
                    if let Some(view) = self.views.iter_mut().find(|view| view.id == view_id) {
                        view.replace(shape, now_ms);
                    }
                }
                Ok(shape) => {
                    let bot_id = APP_BOT.bot_id.to_owned();
                    let pushed = self.show(&view.team_id, &view.user_id, bot_id, shape, true, now_ms);
                    if pushed.is_err() {
                        self.complain(view_id, trouble());
                    }
                }
            },
            _ => self.take_down(&view, false),
        }
    }
}

/// What was done with an element, as the app is told.
fn chosen(element: &Value, value: Option<&str>) -> Result<Map<String, Value>, Failure> {
    let kind = element["type"].as_str().unwrap_or_default();
    let mut action = Map::new();
    let keep: &[&str] = if kind == "button" {
        &["action_id", "text", "value", "type", "style", "url"]
    } else {
        &["action_id", "type"]
    };
    for key in keep {
        if let Some(kept) = element.get(*key) {
            action.insert((*key).to_owned(), kept.clone());
        }
    }
    match (kind, value) {
        ("button", Some(value)) => {
            action.insert("value".to_owned(), json!(value));
        }
        ("static_select" | "overflow" | "radio_buttons", value) => {
            let options = element["options"].as_array().into_iter().flatten();
            let found = options.into_iter().find(|option| option["value"].as_str() == value);
            let option = found.ok_or_else(|| Failure::bad("value is none of the options"))?;
            action.insert("selected_option".to_owned(), option.clone());
        }
        ("users_select", Some(user)) => {
            action.insert("selected_user".to_owned(), json!(user));
        }
        _ => {}
    }
    Ok(action)
}
