//! `conversations.*`: channels, who is in them, what was said.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::call::{Args, Call, Outcome, Reply};
use super::errors::Failure;
use super::sim::Sim;
use super::workspace::{Channel, Kind, Workspace};

/// Where a listing goes on: at the thing of this id.
pub(crate) fn cursor(what: &str, id: &str) -> String {
    STANDARD.encode(format!("{what}:{id}"))
}

/// The position that a cursor stands for; the first without one.
pub(crate) fn start_of<'a>(
    given: Option<&str>,
    what: &str,
    mut ids: impl Iterator<Item = &'a str>,
) -> Result<usize, Failure> {
    let Some(given) = given else { return Ok(0) };
    let text = STANDARD.decode(given).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let id = text.as_deref().and_then(|text| text.strip_prefix(what)?.strip_prefix(':'));
    let at = id.and_then(|id| ids.position(|one| one == id));
    at.ok_or_else(|| Failure::named("invalid_cursor"))
}

impl Kind {
    fn of(word: &str) -> Option<Option<Self>> {
        match word {
            "public_channel" => Some(Some(Kind::Public)),
            "private_channel" => Some(Some(Kind::Private)),
            "im" => Some(Some(Kind::Direct)),
            "mpim" => Some(None),
            _ => None,
        }
    }

    /// What the scopes of this kind begin with.
    fn word(self) -> &'static str {
        match self {
            Kind::Public => "channels",
            Kind::Private => "groups",
            Kind::Direct => "im",
        }
    }
}

/// `conversations.list`. A page is cut before it is filtered: it may hold fewer than asked for, even none.
pub(crate) fn list(sim: &mut Sim, call: &Call) -> Outcome {
    let (args, caller) = (call.args()?, call.caller()?);
    let types = args.text("types").unwrap_or_else(|| "public_channel".to_owned());
    let mut kinds = Vec::new();
    for word in types.split(',').map(str::trim) {
        let kind = Kind::of(word).ok_or_else(|| Failure::named("invalid_types"))?;
        kinds.extend(kind);
    }
    for kind in &kinds {
        demand(call, *kind, "read")?;
    }
    let (most, hides_archived) = (args.limit(100, 1_000)?, args.flag("exclude_archived"));
    let home = sim.home(call)?;
    let ids = home.channels.iter().map(|channel| channel.id.as_str());
    let start = start_of(args.text("cursor").as_deref(), "team", ids)?;
    let bot = caller.bot.user_id;
    let page = home.channels.iter().skip(start).take(most).filter(|channel| {
        kinds.contains(&channel.kind) && channel.is_open_to(bot) && !(hides_archived && channel.archived)
    });
    let channels: Vec<Value> = page.map(|channel| channel.wire(bot)).collect();
    let next = home.channels.get(start + most).map(|channel| cursor("team", &channel.id)).unwrap_or_default();
    Reply::ok(json!({"channels": channels, "response_metadata": {"next_cursor": next}}))
}

/// Refuses a call about a kind of channel that the token may not see.
fn demand(call: &Call, kind: Kind, access: &str) -> Result<(), Failure> {
    let needed = format!("{}:{access}", kind.word());
    let scopes = &call.caller()?.scopes;
    if scopes.contains(&needed) {
        return Ok(());
    }
    Err(Failure::missing_scope(&needed, &scopes.iter().cloned().collect::<Vec<_>>().join(",")))
}

/// The channel of a call, if its bot can see it.
pub(crate) fn visible<'a>(
    home: &'a mut Workspace,
    args: &Args,
    bot: &str,
) -> Result<&'a mut Channel, Failure> {
    let id = args.needed("channel")?;
    let found = home.channel(&id).filter(|channel| channel.is_open_to(bot));
    found.ok_or_else(|| Failure::named("channel_not_found"))
}

/// `conversations.info`
pub(crate) fn info(sim: &mut Sim, call: &Call) -> Outcome {
    let (args, bot) = (call.args()?, call.caller()?.bot);
    let channel = visible(sim.home(call)?, args, bot.user_id)?;
    demand(call, channel.kind, "read")?;
    let mut wire = channel.wire(bot.user_id);
    if !args.flag("include_num_members")
        && let Some(wire) = wire.as_object_mut()
    {
        wire.remove("num_members");
    }
    Reply::ok(json!({"channel": wire}))
}

/// `conversations.join`: public channels only.
pub(crate) fn join(sim: &mut Sim, call: &Call) -> Outcome {
    let (args, bot) = (call.args()?, call.caller()?.bot);
    let home = sim.home(call)?;
    let channel = visible(home, args, bot.user_id)?;
    if channel.archived {
        return Err(Failure::named("is_archived"));
    }
    if channel.kind != Kind::Public {
        return Err(Failure::named("method_not_supported_for_channel_type"));
    }
    let is_new = channel.members.insert(bot.user_id.to_owned());
    let mut body = json!({"channel": channel.wire(bot.user_id)});
    if !is_new {
        body["warning"] = json!("already_in_channel");
        body["response_metadata"] = json!({"warnings": ["already_in_channel"]});
    }
    home.touched = true;
    Reply::ok(body)
}

/// `conversations.open`: the direct messages with one person.
pub(crate) fn open(sim: &mut Sim, call: &Call) -> Outcome {
    let (users, bot, now_ms) = (call.args()?.needed("users")?, call.caller()?.bot, call.now_ms);
    let home = sim.home(call)?;
    if home.user(&users).is_none() {
        return Err(Failure::named("user_not_found"));
    }
    let id = home.direct(bot.user_id, &users, now_ms);
    Reply::ok(json!({"channel": {"id": id}}))
}

/// `conversations.history`: the newest first.
pub(crate) fn history(sim: &mut Sim, call: &Call) -> Outcome {
    let (args, bot) = (call.args()?, call.caller()?.bot);
    let (most, app_id) = (args.limit(100, 999)?, sim.settings.app_id.clone());
    let home = sim.home(call)?;
    let team = home.id.clone();
    let channel = visible(home, args, bot.user_id)?;
    demand(call, channel.kind, "history")?;
    if !channel.has(bot.user_id) {
        return Err(Failure::named("not_in_channel"));
    }
    let (oldest, latest) = (args.text("oldest"), args.text("latest"));
    let (inclusive, with_metadata) = (args.flag("inclusive"), args.flag("include_all_metadata"));
    let within = |ts: &str| {
        oldest.as_deref().is_none_or(|oldest| ts > oldest || inclusive && ts == oldest)
            && latest.as_deref().is_none_or(|latest| ts < latest || inclusive && ts == latest)
    };
    let told = |message: &&super::workspace::Message| {
        !message.deleted && message.only_for.is_none() && within(&message.ts)
    };
    let rows: Vec<_> = channel.messages.iter().rev().filter(told).collect();
    let start = start_of(args.text("cursor").as_deref(), "next_ts", rows.iter().map(|row| row.ts.as_str()))?;
    let page = rows.iter().skip(start).take(most).map(|message| {
        let mut wire = message.wire(&team, &app_id);
        if let Some(metadata) = message.metadata.as_ref().filter(|_| with_metadata) {
            wire["metadata"] = metadata.clone();
        }
        wire
    });
    let page: Vec<Value> = page.collect();
    let next = rows.get(start + most).map(|message| cursor("next_ts", &message.ts));
    let mut body = json!({"messages": page, "has_more": next.is_some(), "pin_count": 0});
    if let Some(next) = next {
        body["response_metadata"] = json!({"next_cursor": next});
    }
    Reply::ok(body)
}
