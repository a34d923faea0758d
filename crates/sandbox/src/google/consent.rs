//! The page where a user agrees to connect an app. Plain HTML: a script can submit it too.

use std::fmt::Write;

use url::Url;

use super::auth::IDENTITY;
use super::calendar::Calendar;
use crate::page::{document, escape};

/// What an app asks for.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: Url,
    pub(crate) scopes: Vec<String>,
    pub(crate) offline: bool,
    /// The user is asked, whatever was agreed before.
    pub(crate) consent: bool,
    pub(crate) hint: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) nonce: Option<String>,
    /// Method and challenge.
    pub(crate) challenge: Option<(String, String)>,
}

/// Google's colour on light and on dark.
pub(crate) const ACCENT: [&str; 2] = ["#0b57d0", "#1a73e8"];

/// The consent page.
pub(crate) fn page(ask: &Ask, accounts: &[Calendar]) -> String {
    let app = app_name(&ask.client_id);
    let mut body = format!(
        "<p class=\"sandbox\">Google sandbox</p><h1>{app} wants access to your Google Account</h1>\
         <form method=\"post\" action=\"/o/oauth2/v2/auth\">{}",
        hidden_fields(ask)
    );
    body.push_str("<fieldset><legend>Choose an account</legend>");
    let hinted = accounts.iter().position(|one| ask.hint.as_ref() == Some(&one.email)).unwrap_or(0);
    for (at, account) in accounts.iter().enumerate() {
        let checked = if at == hinted { " checked" } else { "" };
        let (name, email) = (escape(&account.name), escape(&account.email));
        let _ = write!(
            body,
            "<label><input type=\"radio\" name=\"account\" value=\"{email}\"{checked}> {name} <code>{email}</code></label>"
        );
    }
    let _ = write!(body, "</fieldset><fieldset><legend>Select what {app} can access</legend>");
    for scope in &ask.scopes {
        let (value, words) = (escape(scope), in_words(scope));
        if IDENTITY.contains(&scope.as_str()) {
            let _ = write!(body, "<label>{words} <code>{value}</code></label>");
        } else {
            let _ = write!(
                body,
                "<label><input type=\"checkbox\" name=\"granted\" value=\"{value}\" checked> {words} <code>{value}</code></label>"
            );
        }
    }
    body.push_str(
        "</fieldset><div class=\"actions\">\
         <button class=\"main\" id=\"allow\" name=\"decision\" value=\"allow\">Continue</button>\
         <button id=\"deny\" name=\"decision\" value=\"deny\">Cancel</button></div></form>",
    );
    document(&format!("Connect {app}"), &body, ACCENT)
}

/// The page shown when the request itself is wrong.
pub(crate) fn refusal(code: &str, reason: &str) -> String {
    let body = format!(
        "<p class=\"sandbox\">Google sandbox</p><h1>Access blocked</h1><p>{}</p><p>Error 400: <code>{code}</code></p>",
        escape(reason)
    );
    document("Access blocked", &body, ACCENT)
}

fn hidden_fields(ask: &Ask) -> String {
    let scopes = ask.scopes.join(" ");
    let mut fields = vec![
        ("client_id", ask.client_id.as_str()),
        ("redirect_uri", ask.redirect_uri.as_str()),
        ("response_type", "code"),
        ("scope", &scopes),
        ("granular", "true"),
    ];
    if ask.offline {
        fields.push(("access_type", "offline"));
    }
    if ask.consent {
        fields.push(("prompt", "consent"));
    }
    if let Some(state) = &ask.state {
        fields.push(("state", state));
    }
    if let Some(nonce) = &ask.nonce {
        fields.push(("nonce", nonce));
    }
    if let Some((method, challenge)) = &ask.challenge {
        fields.push(("code_challenge", challenge));
        fields.push(("code_challenge_method", method));
    }
    let mut html = String::new();
    for (name, value) in fields {
        let _ = write!(html, "<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escape(value));
    }
    html
}

fn in_words(scope: &str) -> &'static str {
    let name = scope.rsplit('/').next().unwrap_or_default();
    let reads = name.ends_with("readonly");
    match name {
        _ if IDENTITY.contains(&scope) => "See who you are",
        _ if name.starts_with("calendar") && reads => "See and download your calendars and their events",
        _ if name.starts_with("calendar") => "See, edit, share and delete your calendars and their events",
        _ if name.starts_with("meetings") && reads => "See your meetings and what was said in them",
        _ if name.starts_with("meetings") => "Create, edit and see your meetings made by this app",
        _ => "See the transcripts of your meetings in Drive and Docs",
    }
}

fn app_name(client_id: &str) -> String {
    let known = client_id.to_lowercase().contains("accord");
    if known { "Accord".to_owned() } else { escape(client_id) }
}
