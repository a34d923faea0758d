//! The page where a user agrees to install the app. Plain HTML: a script can submit it too.

use std::fmt::Write;

use url::Url;

use super::workspace::Workspace;
use crate::page::{document, escape};

/// What an app asks for.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: Url,
    /// Whether it was part of the request, and so must be part of the next.
    pub(crate) redirect_uri_was_sent: bool,
    pub(crate) scopes: Vec<String>,
    pub(crate) state: Option<String>,
    /// The workspace that is proposed.
    pub(crate) team: Option<String>,
}

/// Slack's colour on light and on dark.
const ACCENT: [&str; 2] = ["#611f69", "#8d4a96"];

/// The consent page.
pub(crate) fn page(ask: &Ask, workspaces: &[Workspace]) -> String {
    let mut body = String::from(
        "<p class=\"sandbox\">Slack sandbox</p><h1>Accord asks for permission to enter a workspace</h1>\
         <form method=\"post\" action=\"/oauth/v2/authorize\">",
    );
    hidden_fields(&mut body, ask);
    body.push_str("<fieldset><legend>Install it as</legend>");
    let proposed = ask.team.as_deref().or(workspaces.first().map(|workspace| workspace.id.as_str()));
    for workspace in workspaces {
        let admins = workspace.users.iter().filter(|user| user.is_human() && user.is_admin);
        for (at, user) in admins.enumerate() {
            let checked = if at == 0 && proposed == Some(&workspace.id) { " checked" } else { "" };
            let _ = write!(
                body,
                "<label><input type=\"radio\" name=\"by\" value=\"{team} {id}\"{checked}> {user} in <b>{name}</b> \
                 <code>{team}</code></label>",
                team = workspace.id,
                id = user.id,
                user = escape(&user.real_name),
                name = escape(&workspace.name),
            );
        }
    }
    body.push_str("</fieldset><fieldset><legend>Accord will be able to</legend><ul>");
    for scope in &ask.scopes {
        let _ = write!(body, "<li>{} <code>{}</code></li>", in_words(scope), escape(scope));
    }
    body.push_str(
        "</ul></fieldset><div class=\"actions\">\
         <button class=\"main\" id=\"connect\" name=\"decision\" value=\"allow\">Allow</button>\
         <button id=\"cancel\" name=\"decision\" value=\"cancel\">Cancel</button></div></form>",
    );
    document("Install Accord", &body, ACCENT)
}

/// The page shown when the request itself is wrong.
pub(crate) fn refusal(reason: &str) -> String {
    let body = format!(
        "<p class=\"sandbox\">Slack sandbox</p><h1>Something went wrong when authorizing this app</h1><p>{}</p>",
        escape(reason)
    );
    document("Authorization failed", &body, ACCENT)
}

fn hidden_fields(body: &mut String, ask: &Ask) {
    let scopes = ask.scopes.join(",");
    let mut fields = vec![("client_id", ask.client_id.as_str()), ("scope", &scopes)];
    if ask.redirect_uri_was_sent {
        fields.push(("redirect_uri", ask.redirect_uri.as_str()));
    }
    if let Some(state) = &ask.state {
        fields.push(("state", state));
    }
    for (name, value) in fields {
        let _ = write!(body, "<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escape(value));
    }
}

fn in_words(scope: &str) -> &'static str {
    match scope {
        "channels:read" | "groups:read" | "im:read" | "mpim:read" => "see which conversations there are",
        "channels:history" | "groups:history" | "im:history" => "read messages where it is a member",
        "channels:join" => "join public channels",
        "chat:write" => "send messages",
        "chat:write.public" => "send messages to channels where it is not a member",
        "im:write" => "start direct messages",
        "users:read" => "see who the people are",
        "users:read.email" => "see their e-mail addresses",
        _ => "do what the name says",
    }
}
