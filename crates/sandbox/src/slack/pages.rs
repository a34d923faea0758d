//! What a person sees in a browser: a channel with its messages, buttons that work, dialogs.

use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};

use http::StatusCode;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::call::{Awaits, Call, Outcome, Reply};
use super::errors::Failure;
use super::interaction::{Click, Submission};
use super::people::say;
use super::render::{Buttons, blocks, dialog, mrkdwn};
use super::sim::Sim;
use super::workspace::{Channel, Kind, Message, User, Workspace};
use crate::page::escape;

const STYLE: &str = include_str!("pages.css");
const SCRIPT: &str = include_str!("pages.js");
/// How many messages a page shows.
const SHOWN: usize = 200;
/// Drawn, because not every machine has a font with this sign.
const LOCK: &str = "<svg viewBox=\"0 0 16 16\" width=\"12\" height=\"12\" role=\"img\" aria-label=\"private\" fill=\"none\" \
    stroke=\"currentColor\" stroke-width=\"1.6\"><rect x=\"3\" y=\"7\" width=\"10\" height=\"7\" rx=\"1\"/>\
    <path d=\"M5 7V5a3 3 0 0 1 6 0v2\"/></svg>";
const FACES: [&str; 6] = ["#1264a3", "#2b8a3e", "#b0451c", "#7048a5", "#00767d", "#a3295d"];

/// `GET /`: the first channel of the first workspace.
pub(crate) fn home(sim: &mut Sim, call: &Call) -> Outcome {
    let workspace = sim.named(call.query("team"))?;
    let first = workspace.channels.iter().find(|channel| channel.name == "deal-registrations");
    let first = first.or(workspace.channels.first()).ok_or_else(|| Failure::missing("channel_not_found"))?;
    Ok(Reply::redirect(format!("/client/{}/{}", workspace.id, first.id)))
}

/// `GET /client/{team}/{channel}?user=`
pub(crate) fn channel(sim: &mut Sim, call: &Call) -> Outcome {
    let (team, id) = (call.param("team"), call.param("channel"));
    let is_installed = sim.auth.install_of(team).is_some();
    let others: Vec<(String, String)> =
        sim.workspaces.iter().map(|one| (one.id.clone(), one.name.clone())).collect();
    let workspace = sim.workspaces.iter().find(|one| one.id == team);
    let found = workspace.and_then(|one| Some((one, one.channels.iter().find(|channel| channel.id == id)?)));
    let (workspace, channel) = found.ok_or_else(|| Failure::missing("channel_not_found"))?;
    let people: Vec<&User> = workspace.users.iter().filter(|user| user.is_human()).collect();
    let wanted = call.query("user").and_then(|id| people.iter().find(|user| user.id == id));
    let user = wanted.or(people.first()).ok_or_else(|| Failure::missing("user_not_found"))?;
    let path = format!("/client/{}/{}", workspace.id, channel.id);
    let view = sim.view_of(team, &user.id, None);
    let modal = view.map(|view| dialog(workspace, view, &path, &user.id)).unwrap_or_default();
    let page = Page { workspace, channel, user, people: &people, path: &path, is_installed };
    let trouble = match call.query("trouble") {
        Some(_) => {
            "<p class=\"trouble\" role=\"alert\">⚠ The app did not answer in time, or answered with an error.</p>"
        }
        None => "",
    };
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>#{name} | {workspace} | Slack sandbox</title><style>{STYLE}</style></head><body>{nav}<main>{header}{trouble}{messages}{composer}\
         </main>{modal}<script>{SCRIPT}</script></body></html>",
        name = escape(&channel.name),
        workspace = escape(&workspace.name),
        nav = page.nav(&others),
        header = page.header(),
        messages = marked("messages", &page.messages()),
        composer = page.composer(),
        modal = marked("modal", &modal),
    );
    Ok(Reply::html(StatusCode::OK, html))
}

/// A part of the page, with what tells whether it changed.
fn marked(id: &str, html: &str) -> String {
    let mut hasher = DefaultHasher::new();
    html.hash(&mut hasher);
    format!("<div id=\"{id}\" data-mark=\"{:x}\">{html}</div>", hasher.finish())
}

struct Page<'a> {
    workspace: &'a Workspace,
    channel: &'a Channel,
    user: &'a User,
    people: &'a [&'a User],
    path: &'a str,
    is_installed: bool,
}

impl Page<'_> {
    fn nav(&self, others: &[(String, String)]) -> String {
        let state =
            if self.is_installed { "Accord is installed here." } else { "Accord is not installed here yet." };
        let mut html =
            format!("<nav aria-label=\"Channels\"><h1>{}</h1><p>{state}</p>", escape(&self.workspace.name));
        let is_theirs = |channel: &&Channel| !channel.archived && channel.is_open_to(&self.user.id);
        for channel in self.workspace.channels.iter().filter(is_theirs) {
            let current = if channel.id == self.channel.id { " aria-current=\"page\"" } else { "" };
            let _ = write!(
                html,
                "<a href=\"/client/{}/{}?user={}\"{current}>{}</a>",
                self.workspace.id,
                channel.id,
                self.user.id,
                self.title(channel)
            );
        }
        for (id, name) in others.iter().filter(|(id, _)| *id != self.workspace.id) {
            let _ = write!(html, "<a class=\"far\" href=\"/?team={id}\">Go to {}</a>", escape(name));
        }
        html + "</nav>"
    }

    fn title(&self, channel: &Channel) -> String {
        let name = self.name(channel);
        if matches!(channel.kind, Kind::Private) { format!("{LOCK} {name}") } else { name }
    }

    /// What it is called where nothing can be drawn.
    fn name(&self, channel: &Channel) -> String {
        match channel.kind {
            Kind::Public => format!("# {}", escape(&channel.name)),
            Kind::Private => escape(&channel.name),
            Kind::Direct => {
                let other = channel.members.iter().find(|id| **id != self.user.id);
                let name = other.and_then(|id| self.workspace.user(id)).map(|user| user.real_name.as_str());
                format!("● {}", escape(name.unwrap_or("Direct message")))
            }
        }
    }

    fn header(&self) -> String {
        let options: String = self
            .people
            .iter()
            .map(|user| {
                let chosen = if user.id == self.user.id { " selected" } else { "" };
                format!("<option value=\"{}\"{chosen}>{}</option>", user.id, escape(&user.real_name))
            })
            .collect();
        format!(
            "<header><div><h2>{}</h2><p>{}</p></div><form class=\"who\" action=\"{}\"><label for=\"who\">You are</label>\
             <select id=\"who\" name=\"user\">{options}</select><noscript><button>Switch</button></noscript></form></header>",
            self.title(self.channel),
            escape(&self.channel.topic),
            self.path
        )
    }

    /// The newest first: the page turns them round, and so keeps its place at the end.
    fn messages(&self) -> String {
        if !self.channel.is_open_to(&self.user.id) {
            return format!(
                "<p class=\"empty\">{} is not in this channel.</p>",
                escape(&self.user.real_name)
            );
        }
        let is_seen = |message: &&Message| {
            !message.deleted && message.only_for.as_ref().is_none_or(|one| *one == self.user.id)
        };
        let seen = self.channel.messages.iter().rev().filter(is_seen).take(SHOWN);
        let html: String = seen.map(|message| self.message(message)).collect();
        if html.is_empty() {
            "<p class=\"empty\">Nothing has been said here yet.</p>".to_owned()
        } else {
            html
        }
    }

    fn message(&self, message: &Message) -> String {
        let author = self.workspace.user(&message.user);
        let name = match (&message.bot_id, author) {
            (Some(_), _) if message.user == super::workspace::APP_BOT.user_id => "Accord",
            (_, Some(author)) => author.real_name.as_str(),
            _ => message.user.as_str(),
        };
        let tag = if message.bot_id.is_some() { "<span class=\"tag\">APP</span>" } else { "" };
        let edited = if message.edited.is_some() { " <span class=\"edited\">(edited)</span>" } else { "" };
        let only = match &message.only_for {
            Some(_) => "<span class=\"only\">👁 Only visible to you</span>",
            None => "",
        };
        let (action, reply) =
            (format!("{}/click", self.path), if message.thread_ts.is_some() { " reply" } else { "" });
        let buttons = Buttons { action: &action, user: &self.user.id, ts: &message.ts };
        let has_blocks = message.blocks.as_array().is_some_and(|list| !list.is_empty());
        let body = match has_blocks {
            true => blocks(self.workspace, &message.blocks, &buttons),
            false => mrkdwn(self.workspace, &message.text),
        };
        let face = FACES[message.user.bytes().map(usize::from).sum::<usize>() % FACES.len()];
        let initials: String =
            name.split_whitespace().filter_map(|word| word.chars().next()).take(2).collect();
        format!(
            "<article class=\"message{reply}\" data-ts=\"{ts}\"><span class=\"face\" style=\"background:{face}\" aria-hidden=\"true\">{}</span>\
             <div>{only}<b class=\"name\">{}</b>{tag}<time>{}</time><div class=\"body\">{body}{edited}</div></div></article>",
            escape(&initials),
            escape(name),
            self.clock_time(&message.ts),
            ts = message.ts,
        )
    }

    /// When it was said, where the reader is.
    fn clock_time(&self, ts: &str) -> String {
        let second = ts.split('.').next().and_then(|text| text.parse().ok());
        let at = second.and_then(|second| Timestamp::from_second(second).ok());
        let zone = TimeZone::get(&self.user.tz).unwrap_or(TimeZone::UTC);
        at.map(|at| at.to_zoned(zone).strftime("%a %H:%M").to_string()).unwrap_or_default()
    }

    fn composer(&self) -> String {
        if !self.channel.has(&self.user.id) {
            return String::new();
        }
        format!(
            "<form class=\"composer\" method=\"post\" action=\"{}/post\"><input type=\"hidden\" name=\"user\" value=\"{}\">\
             <input type=\"text\" name=\"text\" aria-label=\"Message\" placeholder=\"Message {}\" autocomplete=\"off\" required>\
             <button class=\"primary\">Send</button></form>",
            self.path,
            self.user.id,
            self.name(self.channel)
        )
    }
}

fn back(call: &Call, user: &str) -> String {
    let user: String = url::form_urlencoded::byte_serialize(user.as_bytes()).collect();
    format!("/client/{}/{}?user={user}", call.param("team"), call.param("channel"))
}

/// `POST /client/{team}/{channel}/click`
pub(crate) fn click(sim: &mut Sim, call: &Call) -> Outcome {
    let form = call.form();
    let get = |key: &str| form.get(key).filter(|value| !value.is_empty()).cloned();
    let needed = |key: &str| get(key).unwrap_or_default();
    let click = Click {
        team: Some(call.param("team").to_owned()),
        channel: call.param("channel").to_owned(),
        ts: needed("ts"),
        user: needed("user"),
        action_id: needed("action_id"),
        block_id: get("block_id"),
        value: get("value"),
    };
    let to = back(call, &click.user);
    match sim.click(&click, call.now_ms) {
        Ok(delivery) => Reply::after(Awaits::Page { delivery, to }),
        // The message changed meanwhile, or there is no app to tell: the page shows what is now.
        Err(_) => Ok(Reply::redirect(to + "&trouble=1")),
    }
}

fn submission(call: &Call) -> Submission {
    let form: Vec<(String, String)> = serde_urlencoded::from_bytes(&call.body).unwrap_or_default();
    let get = |key: &str| form.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
    let mut values: Map<String, Value> = Map::new();
    for (name, value) in &form {
        let Some((block, action)) = name.split_once('/') else { continue };
        let block = values.entry(block.to_owned()).or_insert_with(|| json!({}));
        // Boxes of one group come one by one.
        block[action] = match block[action].take() {
            Value::Null => json!(value),
            Value::Array(mut list) => {
                list.push(json!(value));
                Value::Array(list)
            }
            first => json!([first, value]),
        };
    }
    let team = Some(call.param("team").to_owned());
    Submission { team, user: get("user").unwrap_or_default(), view_id: get("view_id"), values }
}

/// `POST /client/{team}/{channel}/submit`
pub(crate) fn submit(sim: &mut Sim, call: &Call) -> Outcome {
    let submission = submission(call);
    let to = back(call, &submission.user);
    match sim.submit(&submission, call.now_ms) {
        Ok(delivery) => Reply::after(Awaits::Page { delivery, to }),
        // The dialog says what is missing.
        Err(_) => Ok(Reply::redirect(to)),
    }
}

/// `POST /client/{team}/{channel}/close`
pub(crate) fn close(sim: &mut Sim, call: &Call) -> Outcome {
    let submission = submission(call);
    let to = back(call, &submission.user);
    match sim.close(&submission) {
        Ok(Some(delivery)) => Reply::after(Awaits::Page { delivery, to }),
        _ => Ok(Reply::redirect(to)),
    }
}

/// `POST /client/{team}/{channel}/post`
pub(crate) fn post(sim: &mut Sim, call: &Call) -> Outcome {
    let mut form = call.form();
    let (user, text) = (form.remove("user").unwrap_or_default(), form.remove("text").unwrap_or_default());
    let (app_id, to) = (sim.settings.app_id.clone(), back(call, &user));
    let workspace = sim.named(Some(call.param("team")))?;
    // What a person types is text, not markup of the vendor.
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    say(workspace, (call.param("channel"), &user), text, &app_id, call.now_ms)?;
    Ok(Reply::redirect(to))
}
