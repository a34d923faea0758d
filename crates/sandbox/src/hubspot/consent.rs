//! The page where a user agrees to connect an app. Plain HTML: a script can submit it too.

use std::fmt::Write;

use url::Url;

use super::portal::Portal;
use crate::page::{document, escape};

/// What an app asks for.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: Url,
    pub(crate) scopes: Vec<String>,
    pub(crate) optional: Vec<String>,
    pub(crate) state: Option<String>,
    pub(crate) challenge: Option<String>,
}

/// HubSpot's colour on light and on dark.
const ACCENT: [&str; 2] = ["#d6431f", "#ff7a59"];

/// The consent page.
pub(crate) fn page(ask: &Ask, portals: &[Portal]) -> String {
    let app = app_name(&ask.client_id);
    let mut body = format!(
        "<p class=\"sandbox\">HubSpot sandbox</p><h1>Connect {app} to HubSpot</h1>\
         <form method=\"post\" action=\"/oauth/authorize\">{}",
        hidden_fields(ask)
    );
    body.push_str("<fieldset><legend>Choose an account</legend>");
    for (at, portal) in portals.iter().enumerate() {
        let checked = if at == 0 { " checked" } else { "" };
        let name = escape(&portal.name);
        let _ = write!(
            body,
            "<label><input type=\"radio\" name=\"portal_id\" value=\"{id}\"{checked}> {name} <code>{id}</code></label>",
            id = portal.id
        );
    }
    body.push_str("</fieldset>");
    scope_list(&mut body, &format!("{app} will be able to"), &ask.scopes);
    scope_list(&mut body, "If your subscription has it, also", &ask.optional);
    body.push_str(
        "<div class=\"actions\">\
         <button class=\"main\" id=\"connect\" name=\"decision\" value=\"connect\">Connect app</button>\
         <button id=\"cancel\" name=\"decision\" value=\"cancel\">Cancel</button></div></form>",
    );
    document(&format!("Connect {app}"), &body, ACCENT)
}

/// The page shown when the request itself is wrong.
pub(crate) fn refusal(reason: &str) -> String {
    let body = format!(
        "<p class=\"sandbox\">HubSpot sandbox</p><h1>Authorization failed</h1><p>{}</p>",
        escape(reason)
    );
    document("Authorization failed", &body, ACCENT)
}

fn hidden_fields(ask: &Ask) -> String {
    let scopes = ask.scopes.join(" ");
    let optional = ask.optional.join(" ");
    let mut fields = vec![
        ("client_id", ask.client_id.as_str()),
        ("redirect_uri", ask.redirect_uri.as_str()),
        ("scope", &scopes),
        ("optional_scope", &optional),
    ];
    if let Some(state) = &ask.state {
        fields.push(("state", state));
    }
    if let Some(challenge) = &ask.challenge {
        fields.push(("code_challenge", challenge));
        fields.push(("code_challenge_method", "S256"));
    }
    let mut html = String::new();
    for (name, value) in fields {
        let _ = write!(html, "<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escape(value));
    }
    html
}

fn scope_list(body: &mut String, title: &str, scopes: &[String]) {
    if scopes.is_empty() {
        return;
    }
    let _ = write!(body, "<fieldset><legend>{title}</legend><ul>");
    for scope in scopes {
        let _ = write!(body, "<li>{} <code>{}</code></li>", in_words(scope), escape(scope));
    }
    body.push_str("</ul></fieldset>");
}

fn in_words(scope: &str) -> String {
    let parts: Vec<&str> = scope.split('.').collect();
    match parts.as_slice() {
        ["crm", "objects", object, "read"] => format!("view {} and their values", escape(object)),
        ["crm", "objects", object, "write"] => format!("create, change and delete {}", escape(object)),
        ["crm", "schemas", object, "read"] => format!("view the property settings of {}", escape(object)),
        ["crm", "schemas", object, "write"] => format!("change the property settings of {}", escape(object)),
        ["crm", "lists", ..] => "use lists".to_owned(),
        _ => "see who you are".to_owned(),
    }
}

fn app_name(client_id: &str) -> String {
    let known = client_id.to_lowercase().contains("accord");
    if known { "Accord".to_owned() } else { escape(client_id) }
}
