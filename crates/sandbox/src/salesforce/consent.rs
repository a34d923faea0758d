//! The page where a user agrees to connect an app. Plain HTML: a script can submit it too.

use std::fmt::Write;

use url::Url;

use super::Environment;
use super::sim::Sim;
use crate::page::{document, escape};

/// Salesforce's colour on light and on dark.
const ACCENT: [&str; 2] = ["#0b5cab", "#57a3fd"];

/// What an app asks for.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: Url,
    pub(crate) response_type: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) state: Option<String>,
    pub(crate) nonce: Option<String>,
    pub(crate) challenge: Option<String>,
    pub(crate) challenge_method: Option<String>,
}

/// The consent page.
pub(crate) fn page(ask: &Ask, sim: &Sim) -> String {
    let known = ask.client_id.to_lowercase().contains("accord");
    let app = if known { "Accord".to_owned() } else { escape(&ask.client_id) };
    let host = match sim.settings.environment {
        Environment::Production => "login.salesforce.com",
        Environment::Sandbox => "test.salesforce.com",
    };
    let mut body = format!(
        "<p class=\"sandbox\">Salesforce sandbox &middot; {host}</p><h1>Allow {app} to use {}?</h1>\
         <form method=\"post\" action=\"/services/oauth2/authorize\">{}<fieldset><legend>You are</legend>",
        escape(&sim.org.name),
        hidden_fields(ask)
    );
    for (at, user) in sim.org.users.iter().enumerate() {
        let checked = if at == 0 { " checked" } else { "" };
        let (name, title) = (escape(&sim.person(*user, "Name")), escape(&sim.person(*user, "Title")));
        let _ = write!(
            body,
            "<label><input type=\"radio\" name=\"user\" value=\"{user}\"{checked}> {name} <code>{title}</code></label>"
        );
    }
    let _ = write!(body, "</fieldset><fieldset><legend>{app} is asking to</legend><ul>");
    for scope in &ask.scopes {
        let _ = write!(body, "<li>{} <code>{}</code></li>", in_words(scope), escape(scope));
    }
    body.push_str(
        "</ul></fieldset><div class=\"actions\">\
         <button class=\"main\" id=\"allow\" name=\"decision\" value=\"allow\">Allow</button>\
         <button id=\"deny\" name=\"decision\" value=\"deny\">Deny</button></div></form>",
    );
    document(&format!("Allow {app}"), &body, ACCENT)
}

/// The page shown when there is nobody to send the user back to.
pub(crate) fn refusal(reason: &str) -> String {
    let body =
        format!("<p class=\"sandbox\">Salesforce sandbox</p><h1>OAuth error</h1><p>{}</p>", escape(reason));
    document("OAuth error", &body, ACCENT)
}

fn hidden_fields(ask: &Ask) -> String {
    let scopes = ask.scopes.join(" ");
    let optional = [
        ("state", &ask.state),
        ("nonce", &ask.nonce),
        ("code_challenge", &ask.challenge),
        ("code_challenge_method", &ask.challenge_method),
    ];
    let fields = [
        ("response_type", ask.response_type.as_str()),
        ("client_id", ask.client_id.as_str()),
        ("redirect_uri", ask.redirect_uri.as_str()),
        ("scope", &scopes),
    ];
    let given = optional.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?)));
    fields.into_iter().chain(given).fold(String::new(), |mut html, (name, value)| {
        let _ = write!(html, "<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escape(value));
        html
    })
}

fn in_words(scope: &str) -> &'static str {
    match scope {
        "api" => "manage user data via APIs",
        "refresh_token" | "offline_access" => "perform requests at any time",
        "full" => "do everything you can do",
        "web" => "use the web as you",
        "pubsub_api" => "receive events",
        _ => "see who you are",
    }
}
