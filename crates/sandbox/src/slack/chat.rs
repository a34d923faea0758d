//! `chat.*`: saying things, changing and taking back what was said.

use serde_json::{Value, json};

use super::auth::Bot;
use super::blocks::{MESSAGE_MOST, check};
use super::call::{Args, Call, Outcome, Reply};
use super::conversations::visible;
use super::errors::Failure;
use super::sim::Sim;
use super::workspace::{Channel, Kind, Message, Workspace};

const TEXT_MOST: usize = 40_000;
const ATTACHMENTS_MOST: usize = 100;
const METADATA_MOST: usize = 16_000;

/// What a message says; absent parts were not sent.
#[derive(Debug, Default)]
pub(crate) struct Content {
    pub(crate) text: Option<String>,
    pub(crate) blocks: Option<Value>,
    pub(crate) attachments: Option<Value>,
    pub(crate) metadata: Option<Value>,
}

impl Content {
    pub(crate) fn read(args: &Args) -> Result<Self, Failure> {
        let blocks = args.structure("blocks", "invalid_blocks_format")?;
        let blocks = blocks.map(|blocks| match blocks.is_array() {
            true => check(&blocks, "/blocks", MESSAGE_MOST).map_err(|problems| {
                Failure::told("invalid_blocks", &problems).with("errors", json!(problems))
            }),
            false => Err(Failure::named("invalid_blocks_format")),
        });
        let attachments = args.structure("attachments", "invalid_attachments")?;
        if attachments.as_ref().and_then(Value::as_array).is_some_and(|list| list.len() > ATTACHMENTS_MOST) {
            return Err(Failure::named("too_many_attachments"));
        }
        let metadata = args.structure("metadata", "invalid_metadata_format")?;
        if metadata.as_ref().is_some_and(|metadata| metadata.to_string().len() > METADATA_MOST) {
            return Err(Failure::named("metadata_too_large"));
        }
        let text = args.text("text").map(|text| text.chars().take(TEXT_MOST).collect());
        Ok(Self { text, blocks: blocks.transpose()?, attachments, metadata })
    }

    fn says_something(&self) -> bool {
        let has = |list: &Option<Value>| {
            list.as_ref().and_then(Value::as_array).is_some_and(|list| !list.is_empty())
        };
        self.text.is_some() || has(&self.blocks) || has(&self.attachments)
    }

    /// The message of a bot or a person.
    pub(crate) fn into_message(self, ts: String, user: &str, bot_id: Option<&str>) -> Message {
        let empty = || json!([]);
        Message {
            ts,
            user: user.to_owned(),
            bot_id: bot_id.map(str::to_owned),
            text: self.text.unwrap_or_default(),
            blocks: self.blocks.unwrap_or_else(empty),
            attachments: self.attachments.unwrap_or_else(empty),
            thread_ts: None,
            metadata: self.metadata,
            edited: None,
            only_for: None,
            deleted: false,
        }
    }

    /// Puts it in the place of what a message says. Parts that were not sent: text stays, blocks go when
    /// there is text in their place.
    pub(crate) fn replace(self, message: &mut Message) {
        let empty = || json!([]);
        if self.blocks.is_some() || self.text.is_some() {
            message.blocks = self.blocks.unwrap_or_else(empty);
        }
        if self.attachments.is_some() || self.text.is_some() {
            message.attachments = self.attachments.unwrap_or_else(empty);
        }
        message.text = self.text.unwrap_or(std::mem::take(&mut message.text));
        message.metadata = self.metadata.or(message.metadata.take());
    }
}

/// The channel that a bot may post in; a person's id stands for the direct messages with them.
fn postable<'a>(home: &'a mut Workspace, call: &Call, args: &Args) -> Result<&'a mut Channel, Failure> {
    let (caller, wanted) = (call.caller()?, args.needed("channel")?);
    let (bot, anywhere) = (caller.bot.user_id, caller.scopes.contains("chat:write.public"));
    let id = if home.user(&wanted).is_some() { home.direct(bot, &wanted, call.now_ms) } else { wanted };
    let channel = home.channel_called(&id).filter(|channel| channel.is_open_to(bot));
    let channel = channel.ok_or_else(|| Failure::named("channel_not_found"))?;
    if channel.archived {
        return Err(Failure::named("is_archived"));
    }
    if !(channel.has(bot) || anywhere && channel.kind == Kind::Public) {
        return Err(Failure::named("not_in_channel"));
    }
    Ok(channel)
}

/// `chat.postMessage`. Nothing tells a repeated call from a new one.
pub(crate) fn post_message(sim: &mut Sim, call: &Call) -> Outcome {
    let (args, bot) = (call.args()?, call.caller()?.bot);
    let (app_id, burst, is_limited) =
        (sim.settings.app_id.clone(), sim.settings.message_burst, sim.settings.rate_limits);
    let home = sim.home(call)?;
    let channel = postable(home, call, args)?;
    let content = Content::read(args)?;
    if !content.says_something() {
        return Err(Failure::named("no_text"));
    }
    let thread_ts = args.text("thread_ts");
    if thread_ts.as_deref().is_some_and(|ts| channel.find(ts).is_none()) {
        return Err(Failure::named("cannot_reply_to_message"));
    }
    let (id, team) = (channel.id.clone(), home.id.clone());
    if is_limited {
        sim.limits.admit_message(&id, burst, call.now_ms)?;
    }
    let home = sim.home(call)?;
    let ts = home.stamp(call.now_ms);
    let message = Message { thread_ts, ..content.into_message(ts.clone(), bot.user_id, Some(bot.bot_id)) };
    let wire = message.wire(&team, &app_id);
    home.say(&id, message);
    Reply::ok(json!({"channel": id, "ts": ts, "message": wire}))
}

/// `chat.postEphemeral`: only one person sees it, and nobody finds it again.
pub(crate) fn post_ephemeral(sim: &mut Sim, call: &Call) -> Outcome {
    let (args, bot) = (call.args()?, call.caller()?.bot);
    let user = args.needed("user")?;
    let home = sim.home(call)?;
    let channel = postable(home, call, args)?;
    if !channel.has(&user) {
        return Err(Failure::named("user_not_in_channel"));
    }
    let id = channel.id.clone();
    let content = Content::read(args)?;
    if !content.says_something() {
        return Err(Failure::named("no_text"));
    }
    let ts = home.stamp(call.now_ms);
    let message = content.into_message(ts.clone(), bot.user_id, Some(bot.bot_id));
    home.say(&id, Message { only_for: Some(user), ..message });
    Reply::ok(json!({"message_ts": ts}))
}

/// A message of this bot in a channel that it sees.
fn own<'a>(
    home: &'a mut Workspace,
    args: &Args,
    bot: &Bot,
    not_own: &str,
) -> Result<&'a mut Message, Failure> {
    let channel = visible(home, args, bot.user_id)?;
    let at = channel.find(&args.needed("ts")?);
    let found = at.map(|at| &mut channel.messages[at]).filter(|message| message.only_for.is_none());
    let message = found.ok_or_else(|| Failure::named("message_not_found"))?;
    if message.bot_id.as_deref() == Some(bot.bot_id) { Ok(message) } else { Err(Failure::named(not_own)) }
}

/// `chat.update`
pub(crate) fn update(sim: &mut Sim, call: &Call) -> Outcome {
    let (args, bot, app_id) = (call.args()?, call.caller()?.bot, sim.settings.app_id.clone());
    let home = sim.home(call)?;
    let (channel, team, edited) = (args.needed("channel")?, home.id.clone(), home.stamp(call.now_ms));
    let message = own(home, args, bot, "cant_update_message")?;
    let content = Content::read(args)?;
    if !content.says_something() && content.blocks.is_none() && content.attachments.is_none() {
        return Err(Failure::named("no_text"));
    }
    content.replace(message);
    message.edited = Some(edited);
    let (ts, wire) = (message.ts.clone(), message.wire(&team, &app_id));
    home.touch(&channel, &ts);
    Reply::ok(json!({"channel": channel, "ts": ts, "text": wire["text"], "message": wire}))
}

/// `chat.delete`
pub(crate) fn delete(sim: &mut Sim, call: &Call) -> Outcome {
    let (args, bot) = (call.args()?, call.caller()?.bot);
    let home = sim.home(call)?;
    let channel = args.needed("channel")?;
    let message = own(home, args, bot, "cant_delete_message")?;
    message.deleted = true;
    let ts = message.ts.clone();
    home.touch(&channel, &ts);
    Reply::ok(json!({"channel": channel, "ts": ts}))
}

/// `chat.getPermalink`
pub(crate) fn get_permalink(sim: &mut Sim, call: &Call) -> Outcome {
    let (args, bot) = (call.args()?, call.caller()?.bot);
    let ts = args.needed("message_ts")?;
    let home = sim.home(call)?;
    let domain = home.domain.clone();
    let channel = visible(home, args, bot.user_id)?;
    if channel.find(&ts).is_none() {
        return Err(Failure::named("message_not_found"));
    }
    let link = format!("https://{domain}.slack.com/archives/{}/p{}", channel.id, ts.replace('.', ""));
    Reply::ok(json!({"channel": channel.id, "permalink": link}))
}
