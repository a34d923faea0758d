//! The pages where a user, or an administrator for everybody, agrees. Plain HTML: a script can submit them too.

use std::fmt::Write;

use url::Url;

use super::mailbox::Person;
use crate::page::{document, escape};

/// What an app asks for.
#[derive(Debug)]
pub(crate) struct Ask {
    /// Where the page's form goes.
    pub(crate) action: String,
    pub(crate) client_id: String,
    pub(crate) redirect_uri: Url,
    pub(crate) scopes: Vec<String>,
    pub(crate) state: Option<String>,
    pub(crate) nonce: Option<String>,
    pub(crate) login_hint: Option<String>,
    /// The challenge of PKCE, and whether it is a hash.
    pub(crate) challenge: Option<(String, bool)>,
}

/// Microsoft's colour on light and on dark.
pub(crate) const ACCENT: [&str; 2] = ["#0067b8", "#4cc2ff"];
const SANDBOX: &str = "<p class=\"sandbox\">Microsoft 365 sandbox</p>";

/// The consent page of a user.
pub(crate) fn page<'a>(ask: &Ask, people: impl Iterator<Item = &'a Person>, needs_admin: bool) -> String {
    let mut body = String::from(SANDBOX);
    if needs_admin {
        body.push_str(
            "<h1>Need admin approval</h1><p>Accord needs permission to access resources in your organization that \
             only an admin can grant. Ask an admin to grant permission to this app before you can use it.</p>",
        );
    } else {
        body.push_str("<h1>Permissions requested by Accord</h1>");
    }
    begin(&mut body, ask);
    body.push_str("<fieldset><legend>Pick an account</legend>");
    for (at, person) in people.enumerate() {
        let hinted =
            ask.login_hint.as_deref().map_or(at == 0, |hint| person.address.eq_ignore_ascii_case(hint));
        let _ = write!(
            body,
            "<label><input type=\"radio\" name=\"user\" value=\"{id}\"{checked}> {name} <code>{address}</code></label>",
            id = person.id,
            checked = if hinted { " checked" } else { "" },
            name = escape(&person.name),
            address = escape(&person.address),
        );
    }
    body.push_str("</fieldset>");
    scope_list(&mut body, &ask.scopes);
    end(&mut body);
    document("Permissions requested", &body, ACCENT)
}

/// The consent page of an administrator.
pub(crate) fn admin_page(ask: &Ask) -> String {
    let mut body = format!("{SANDBOX}<h1>Permissions requested: review for your organization</h1>");
    begin(&mut body, ask);
    scope_list(&mut body, &ask.scopes);
    end(&mut body);
    document("Permissions requested", &body, ACCENT)
}

/// The page shown when the request itself is wrong.
pub(crate) fn refusal(reason: &str) -> String {
    let body =
        format!("{SANDBOX}<h1>Sorry, but we're having trouble signing you in.</h1><p>{}</p>", escape(reason));
    document("Sign in to your account", &body, ACCENT)
}

fn begin(body: &mut String, ask: &Ask) {
    let _ = write!(body, "<form method=\"post\" action=\"{}\">", escape(&ask.action));
    let scopes = ask.scopes.join(" ");
    let mut fields = vec![
        ("client_id", ask.client_id.as_str()),
        ("redirect_uri", ask.redirect_uri.as_str()),
        ("response_type", "code"),
        ("scope", &scopes),
    ];
    fields.extend(ask.state.as_deref().map(|state| ("state", state)));
    fields.extend(ask.nonce.as_deref().map(|nonce| ("nonce", nonce)));
    if let Some((challenge, hashed)) = &ask.challenge {
        fields.push(("code_challenge", challenge));
        fields.push(("code_challenge_method", if *hashed { "S256" } else { "plain" }));
    }
    for (name, value) in fields {
        let _ = write!(body, "<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escape(value));
    }
}

fn end(body: &mut String) {
    body.push_str(
        "<div class=\"actions\"><button class=\"main\" id=\"accept\" name=\"decision\" value=\"accept\">Accept</button>\
         <button id=\"cancel\" name=\"decision\" value=\"cancel\">Cancel</button></div></form>",
    );
}

fn scope_list(body: &mut String, scopes: &[String]) {
    body.push_str("<fieldset><legend>This app would like to</legend><ul>");
    for scope in scopes {
        let _ = write!(body, "<li>{} <code>{}</code></li>", in_words(scope), escape(scope));
    }
    body.push_str("</ul></fieldset>");
}

fn in_words(scope: &str) -> &'static str {
    match scope {
        "Mail.Read" => "read your mail",
        "Mail.ReadBasic" => "read your mail without its text",
        "Mail.ReadWrite" => "read and write your mail",
        "Mail.Send" => "send mail as you",
        "MailboxSettings.Read" => "read your mailbox settings",
        "offline_access" => "keep access to what you have given it access to",
        _ => "see who you are",
    }
}
