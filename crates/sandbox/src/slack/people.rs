//! The control API of people and channels: what administrators and users of a workspace do.

use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Call, Outcome, Reply};
use super::chat::Content;
use super::errors::Failure;
use super::sim::Sim;
use super::workspace::{APP_BOT, Channel, Kind, User, Workspace};

/// `GET /_sandbox/workspace?team=`: its people and channels.
pub(crate) fn workspace(sim: &mut Sim, call: &Call) -> Outcome {
    let install = call.query("team").map(str::to_owned).or(sim.workspaces.first().map(|one| one.id.clone()));
    let install = install.and_then(|team| sim.auth.install_of(&team).cloned());
    let workspace = sim.named(call.query("team"))?;
    let users: Vec<Value> = workspace.users.iter().map(|user| user.wire(true)).collect();
    let channels: Vec<Value> = workspace
        .channels
        .iter()
        .map(|channel| {
            let mut wire = channel.wire(APP_BOT.user_id);
            wire["members"] = json!(channel.members);
            wire
        })
        .collect();
    let installed = install.map(|install| json!({"by": install.installer, "scopes": install.scopes}));
    Reply::ok(json!({"id": workspace.id, "name": workspace.name, "domain": workspace.domain,
        "users": users, "channels": channels, "installed": installed}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Person {
    #[serde(default)]
    team: Option<String>,
    /// Who changes; without it somebody new comes.
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    real_name: Option<String>,
    /// Empty for somebody without an address.
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    tz: Option<String>,
    #[serde(default)]
    is_admin: Option<bool>,
    #[serde(default)]
    is_restricted: Option<bool>,
    #[serde(default)]
    deleted: Option<bool>,
    /// The workspace they come from, where that is another one.
    #[serde(default)]
    home_team: Option<String>,
}

/// `POST /_sandbox/user`: somebody comes, changes or leaves. Who is new is in every public channel.
pub(crate) fn user(sim: &mut Sim, call: &Call) -> Outcome {
    let order: Person = call.json()?;
    let workspace = sim.named(order.team.as_deref())?;
    let id = match &order.id {
        Some(id) if workspace.user(id).is_some() => id.clone(),
        Some(_) => return Err(Failure::missing("user_not_found")),
        None => {
            let name = order.real_name.as_deref().ok_or_else(|| Failure::bad("real_name is missing"))?;
            let id = workspace.new_id('U');
            workspace.users.push(User::new(&workspace.id, &id, name, None));
            let public = workspace.channels.iter_mut().filter(|channel| channel.kind == Kind::Public);
            public.for_each(|channel| {
                channel.members.insert(id.clone());
            });
            id
        }
    };
    workspace.touched = true;
    let found = workspace.users.iter_mut().find(|user| user.id == id);
    let user = found.ok_or_else(|| Failure::missing("user_not_found"))?;
    if let Some(email) = order.email {
        let name = email.split('@').next().unwrap_or_default().to_lowercase();
        user.name = if name.is_empty() { user.name.clone() } else { name };
        user.email = Some(email).filter(|email| !email.is_empty());
    }
    user.real_name = order.real_name.unwrap_or(std::mem::take(&mut user.real_name));
    user.tz = order.tz.unwrap_or(std::mem::take(&mut user.tz));
    user.team_id = order.home_team.unwrap_or(std::mem::take(&mut user.team_id));
    user.is_admin = order.is_admin.unwrap_or(user.is_admin);
    user.is_restricted = order.is_restricted.unwrap_or(user.is_restricted);
    user.deleted = order.deleted.unwrap_or(user.deleted);
    user.updated_s = call.now_ms / 1_000;
    Reply::ok(json!({"user": user.wire(true)}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    #[serde(default)]
    team: Option<String>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    private: bool,
    #[serde(default)]
    archived: Option<bool>,
    /// Whether the app is in it.
    #[serde(default)]
    with_app: bool,
}

/// `POST /_sandbox/channel`: a channel is made, renamed or archived. A new one has everybody in it.
pub(crate) fn channel(sim: &mut Sim, call: &Call) -> Outcome {
    let order: Place = call.json()?;
    let workspace = sim.named(order.team.as_deref())?;
    let id = match order.id {
        Some(id) => id,
        None => {
            let name = order.name.as_deref().ok_or_else(|| Failure::bad("name is missing"))?;
            if workspace.channels.iter().any(|channel| channel.name == name) {
                return Err(Failure::bad("name_taken"));
            }
            let id = workspace.new_id('C');
            let kind = if order.private { Kind::Private } else { Kind::Public };
            let people = workspace.users.iter().filter(|user| user.is_human());
            let members = people.map(|user| user.id.clone()).collect();
            let made = Channel { members, ..Channel::new(&id, name, kind, call.now_ms / 1_000) };
            workspace.channels.push(made);
            id
        }
    };
    workspace.touched = true;
    let channel = workspace.channel(&id).ok_or_else(|| Failure::missing("channel_not_found"))?;
    channel.name = order.name.unwrap_or(std::mem::take(&mut channel.name));
    channel.archived = order.archived.unwrap_or(channel.archived);
    if order.with_app {
        channel.members.insert(APP_BOT.user_id.to_owned());
    }
    Reply::ok(json!({"channel": channel.wire(APP_BOT.user_id)}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Membership {
    #[serde(default)]
    team: Option<String>,
    channel: String,
    /// The app's bot without it.
    #[serde(default)]
    user: Option<String>,
}

fn membership<'a>(sim: &'a mut Sim, order: &Membership) -> Result<(&'a mut Channel, String), Failure> {
    let workspace: &mut Workspace = sim.named(order.team.as_deref())?;
    workspace.touched = true;
    let user = order.user.clone().unwrap_or_else(|| APP_BOT.user_id.to_owned());
    let channel = workspace.channel_called(&order.channel);
    Ok((channel.ok_or_else(|| Failure::missing("channel_not_found"))?, user))
}

/// `POST /_sandbox/invite`: somebody, or the app, is in a channel from now on.
pub(crate) fn invite(sim: &mut Sim, call: &Call) -> Outcome {
    let order = call.json()?;
    let (channel, user) = membership(sim, &order)?;
    channel.members.insert(user);
    Reply::ok(json!({"channel": channel.wire(APP_BOT.user_id)}))
}

/// `POST /_sandbox/kick`: and no more.
pub(crate) fn kick(sim: &mut Sim, call: &Call) -> Outcome {
    let order = call.json()?;
    let (channel, user) = membership(sim, &order)?;
    channel.members.remove(&user);
    Reply::ok(json!({"channel": channel.wire(APP_BOT.user_id)}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Saying {
    #[serde(default)]
    team: Option<String>,
    channel: String,
    user: String,
    text: String,
}

/// `POST /_sandbox/post`: somebody says something.
pub(crate) fn post(sim: &mut Sim, call: &Call) -> Outcome {
    let order: Saying = call.json()?;
    let app_id = sim.settings.app_id.clone();
    let workspace = sim.named(order.team.as_deref())?;
    let wire = say(workspace, (&order.channel, &order.user), order.text, &app_id, call.now_ms)?;
    Reply::ok(wire)
}

/// Somebody says something in a channel that they are in.
pub(crate) fn say(
    workspace: &mut Workspace,
    (channel, user): (&str, &str),
    text: String,
    app_id: &str,
    now_ms: i64,
) -> Result<Value, Failure> {
    let is_meant = |one: &&User| one.is_human() && (one.id == user || one.name == user);
    let user = workspace.users.iter().find(is_meant).map(|user| user.id.clone());
    let user = user.ok_or_else(|| Failure::missing("user_not_found"))?;
    let channel = workspace.channel_called(channel).filter(|channel| channel.has(&user));
    let channel = channel.ok_or_else(|| Failure::missing("channel_not_found"))?.id.clone();
    let (ts, team) = (workspace.stamp(now_ms), workspace.id.clone());
    let content = Content { text: Some(text), ..Content::default() };
    let message = content.into_message(ts.clone(), &user, None);
    let wire = message.wire(&team, app_id);
    workspace.say(&channel, message);
    Ok(json!({"channel": channel, "ts": ts, "message": wire}))
}
