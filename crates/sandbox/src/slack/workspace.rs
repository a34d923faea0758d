//! A workspace: its people, its channels, what was said in them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::auth::Bot;

/// The bot of the app that connects through OAuth.
pub(crate) static APP_BOT: Bot = Bot { user_id: "U0ACCORDBOT", bot_id: "B0ACCORDBOT", name: "accord" };
/// The bot behind the long-lived token for outside tools.
pub(crate) static TOOL_BOT: Bot = Bot { user_id: "U0TOOLBOT00", bot_id: "B0TOOLBOT00", name: "toolbox" };

/// A person or a bot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) id: String,
    /// The workspace that they come from, which is another one for strangers in shared channels.
    pub(crate) team_id: String,
    pub(crate) name: String,
    pub(crate) real_name: String,
    pub(crate) email: Option<String>,
    pub(crate) tz: String,
    pub(crate) is_admin: bool,
    pub(crate) is_restricted: bool,
    pub(crate) is_bot: bool,
    pub(crate) deleted: bool,
    pub(crate) updated_s: i64,
}

/// Who can see a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Public,
    Private,
    Direct,
}

/// A place where things are said.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Channel {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) archived: bool,
    pub(crate) topic: String,
    pub(crate) members: BTreeSet<String>,
    pub(crate) created_s: i64,
    #[serde(skip)]
    pub(crate) messages: Vec<Message>,
}

/// Something said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) ts: String,
    pub(crate) user: String,
    pub(crate) bot_id: Option<String>,
    pub(crate) text: String,
    pub(crate) blocks: Value,
    pub(crate) attachments: Value,
    pub(crate) thread_ts: Option<String>,
    pub(crate) metadata: Option<Value>,
    pub(crate) edited: Option<String>,
    /// The only one who sees it.
    pub(crate) only_for: Option<String>,
    pub(crate) deleted: bool,
}

/// A company at the vendor.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Workspace {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) domain: String,
    pub(crate) users: Vec<User>,
    pub(crate) channels: Vec<Channel>,
    next_id: u64,
    last_us: i64,
    /// People or channels changed.
    #[serde(skip)]
    pub(crate) touched: bool,
    /// Messages that changed, by channel and timestamp.
    #[serde(skip)]
    pub(crate) touched_messages: Vec<(String, String)>,
}

impl User {
    pub(crate) fn is_human(&self) -> bool {
        !self.is_bot && !self.deleted
    }

    /// The person as the Web API tells of them; the address only to those who may know it.
    pub(crate) fn wire(&self, with_email: bool) -> Value {
        let mut profile = json!({
            "real_name": self.real_name, "real_name_normalized": self.real_name, "display_name": self.name,
            "display_name_normalized": self.name, "team": self.team_id,
        });
        if let Some(email) = self.email.as_ref().filter(|_| with_email) {
            profile["email"] = json!(email);
        }
        let mut user = json!({
            "id": self.id, "team_id": self.team_id, "name": self.name, "deleted": self.deleted,
            "is_bot": self.is_bot, "is_app_user": false, "updated": self.updated_s, "profile": profile,
        });
        if !self.deleted {
            let more = json!({"real_name": self.real_name, "tz": self.tz, "is_admin": self.is_admin,
                "is_owner": false, "is_restricted": self.is_restricted, "is_ultra_restricted": false});
            if let (Some(user), Value::Object(more)) = (user.as_object_mut(), more) {
                user.extend(more);
            }
        }
        user
    }
}

impl Channel {
    pub(crate) fn has(&self, user_id: &str) -> bool {
        self.members.contains(user_id)
    }

    /// Whether somebody in the workspace can see it.
    pub(crate) fn is_open_to(&self, user_id: &str) -> bool {
        self.kind == Kind::Public || self.has(user_id)
    }

    pub(crate) fn wire(&self, for_user: &str) -> Value {
        if self.kind == Kind::Direct {
            let with = self.members.iter().find(|id| *id != for_user);
            return json!({"id": self.id, "created": self.created_s, "is_im": true, "is_archived": false,
                "user": with, "is_user_deleted": false});
        }
        json!({
            "id": self.id, "name": self.name, "name_normalized": self.name, "is_channel": true,
            "is_group": false, "is_im": false, "is_mpim": false, "is_private": self.kind == Kind::Private,
            "is_archived": self.archived, "is_general": self.name == "general",
            "is_member": self.has(for_user), "is_shared": false, "is_ext_shared": false, "is_org_shared": false,
            "num_members": self.members.len(), "created": self.created_s, "updated": self.created_s * 1_000,
            "topic": {"value": self.topic, "creator": "", "last_set": 0},
            "purpose": {"value": "", "creator": "", "last_set": 0},
        })
    }

    /// What interactions call it.
    pub(crate) fn told_name(&self) -> &str {
        match self.kind {
            Kind::Public => &self.name,
            Kind::Private => "privategroup",
            Kind::Direct => "directmessage",
        }
    }

    /// The position of a message that is still there.
    pub(crate) fn find(&self, ts: &str) -> Option<usize> {
        let at = self.messages.partition_point(|message| message.ts.as_str() < ts);
        self.messages.get(at).filter(|message| message.ts == ts && !message.deleted).map(|_| at)
    }
}

impl Message {
    pub(crate) fn wire(&self, team_id: &str, app_id: &str) -> Value {
        let mut message =
            json!({"type": "message", "user": self.user, "text": self.text, "ts": self.ts, "team": team_id});
        if let Some(bot_id) = &self.bot_id {
            message["bot_id"] = json!(bot_id);
            message["app_id"] = json!(app_id);
            let name = if self.user == APP_BOT.user_id { APP_BOT.name } else { TOOL_BOT.name };
            message["bot_profile"] = json!({"id": bot_id, "app_id": app_id, "name": name, "deleted": false,
                "team_id": team_id});
        }
        for (key, list) in [("blocks", &self.blocks), ("attachments", &self.attachments)] {
            if list.as_array().is_some_and(|list| !list.is_empty()) {
                message[key] = list.clone();
            }
        }
        for (key, value) in [("thread_ts", &self.thread_ts)] {
            if let Some(value) = value {
                message[key] = json!(value);
            }
        }
        if let Some(ts) = &self.edited {
            message["edited"] = json!({"user": self.user, "ts": ts});
        }
        message
    }
}

impl Workspace {
    pub(crate) fn user(&self, id: &str) -> Option<&User> {
        self.users.iter().find(|user| user.id == id)
    }

    pub(crate) fn channel(&mut self, id: &str) -> Option<&mut Channel> {
        self.channels.iter_mut().find(|channel| channel.id == id)
    }

    /// A channel of an id or, where people type, of a name.
    pub(crate) fn channel_called(&mut self, id_or_name: &str) -> Option<&mut Channel> {
        let name = id_or_name.trim_start_matches('#');
        self.channels.iter_mut().find(|channel| channel.id == id_or_name || channel.name == name)
    }

    /// A new id of a kind, such as `C0000000012`.
    pub(crate) fn new_id(&mut self, prefix: char) -> String {
        self.touched = true;
        self.next_id += 1;
        format!("{prefix}{}{:07}", &self.id[1..4], self.next_id)
    }

    /// The next timestamp, which no other message of the workspace has.
    pub(crate) fn stamp(&mut self, now_ms: i64) -> String {
        self.last_us = (self.last_us + 1).max(now_ms.saturating_mul(1_000));
        format!("{:010}.{:06}", self.last_us / 1_000_000, self.last_us % 1_000_000)
    }

    /// Adds a message to a channel that exists.
    pub(crate) fn say(&mut self, channel_id: &str, message: Message) {
        self.touched_messages.push((channel_id.to_owned(), message.ts.clone()));
        if let Some(channel) = self.channel(channel_id) {
            channel.messages.push(message);
        }
    }

    /// Notes that a message changed.
    pub(crate) fn touch(&mut self, channel_id: &str, ts: &str) {
        self.touched_messages.push((channel_id.to_owned(), ts.to_owned()));
    }

    /// The direct messages of two, opened when there are none yet.
    pub(crate) fn direct(&mut self, one: &str, other: &str, now_ms: i64) -> String {
        let members: BTreeSet<String> = [one.to_owned(), other.to_owned()].into();
        let known =
            self.channels.iter().find(|channel| channel.kind == Kind::Direct && channel.members == members);
        if let Some(known) = known {
            return known.id.clone();
        }
        let id = self.new_id('D');
        let name = String::new();
        self.channels.push(Channel { members, ..Channel::new(&id, &name, Kind::Direct, now_ms / 1_000) });
        id
    }

    /// The app's bot is among the people from now on.
    pub(crate) fn welcome(&mut self, bot: &Bot) {
        self.touched = true;
        match self.users.iter_mut().find(|user| user.id == bot.user_id) {
            Some(known) => known.deleted = false,
            None => {
                let mut user = User::new(&self.id, bot.user_id, bot.name, None);
                user.is_bot = true;
                self.users.push(user);
            }
        }
    }

    /// The app's bot is gone, from every channel too.
    pub(crate) fn part(&mut self, bot: &Bot) {
        self.touched = true;
        self.users.iter_mut().filter(|user| user.id == bot.user_id).for_each(|user| user.deleted = true);
        self.channels.iter_mut().filter(|channel| channel.kind != Kind::Direct).for_each(|channel| {
            channel.members.remove(bot.user_id);
        });
    }

    pub(crate) fn forget_touched(&mut self) {
        self.touched = false;
        self.touched_messages.clear();
    }
}

impl User {
    pub(crate) fn new(team_id: &str, id: &str, real_name: &str, email: Option<String>) -> Self {
        let name = email.as_deref().and_then(|email| email.split('@').next()).unwrap_or(real_name);
        Self {
            id: id.to_owned(),
            team_id: team_id.to_owned(),
            name: name.to_lowercase(),
            real_name: real_name.to_owned(),
            email,
            tz: "Europe/Berlin".to_owned(),
            is_admin: false,
            is_restricted: false,
            is_bot: false,
            deleted: false,
            updated_s: 1_700_000_000,
        }
    }
}

impl Channel {
    pub(crate) fn new(id: &str, name: &str, kind: Kind, created_s: i64) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            kind,
            archived: false,
            topic: String::new(),
            members: BTreeSet::new(),
            created_s,
            messages: Vec::new(),
        }
    }
}

/// The people of the first workspace: name, address, timezone, whether they administer it.
const PEOPLE: [(&str, &str, &str, bool); 6] = [
    ("Olivia Owner", "olivia@northwind.example", "America/Los_Angeles", true),
    ("Adam Admin", "adam@northwind.example", "Europe/London", true),
    ("Mia Member", "mia@northwind.example", "Europe/Berlin", false),
    ("Victor Viewer", "victor@northwind.example", "Asia/Singapore", false),
    ("Gina Guest", "gina@guests.example", "America/New_York", false),
    ("Leo Left", "leo@northwind.example", "Europe/Paris", false),
];

/// The channels: name, kind, topic, archived.
const CHANNELS: [(&str, Kind, &str, bool); 6] = [
    ("general", Kind::Public, "What everybody should know", false),
    ("deal-registrations", Kind::Public, "Partners bring deals, we say yes or no", false),
    ("partners", Kind::Public, "News from the partner programme", false),
    ("leadership", Kind::Private, "Numbers first", false),
    ("partner-desk", Kind::Private, "Commissions and payouts", false),
    ("old-launch", Kind::Public, "Done", true),
];

impl Workspace {
    /// A workspace as it is when nobody has done anything in it.
    pub(crate) fn fresh(id: &str, name: &str, domain: &str) -> Self {
        let mut made = Self {
            id: id.to_owned(),
            name: name.to_owned(),
            domain: domain.to_owned(),
            users: Vec::new(),
            channels: Vec::new(),
            next_id: 0,
            last_us: 0,
            touched: true,
            touched_messages: Vec::new(),
        };
        for (name, email, tz, is_admin) in PEOPLE {
            let user_id = made.new_id('U');
            let email = email.replace("northwind", domain);
            let mut user = User::new(id, &user_id, name, Some(email));
            (user.tz, user.is_admin) = (tz.to_owned(), is_admin);
            (user.is_restricted, user.deleted) = (name.contains("Guest"), name.contains("Left"));
            made.users.push(user);
        }
        let people: Vec<&User> = made.users.iter().filter(|user| user.is_human()).collect();
        let everybody: BTreeSet<String> =
            people.iter().filter(|user| !user.is_restricted).map(|user| user.id.clone()).collect();
        let few: BTreeSet<String> =
            people.iter().filter(|user| user.is_admin).map(|user| user.id.clone()).collect();
        for (name, kind, topic, archived) in CHANNELS {
            let channel_id = made.new_id('C');
            let members = if kind == Kind::Private { few.clone() } else { everybody.clone() };
            let (topic, channel) = (topic.to_owned(), Channel::new(&channel_id, name, kind, 1_690_000_000));
            made.channels.push(Channel { members, topic, archived, ..channel });
        }
        made
    }
}
