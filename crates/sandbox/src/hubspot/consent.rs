//! The page where a user agrees to connect an app. Plain HTML: a script can submit it too.

use std::fmt::Write;

use url::Url;

use super::portal::Portal;

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

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#213343;--soft:#5b7083;--line:#d5dee6;--card:#fff;--page:#f3f6f9;--accent:#d6431f}\
@media(prefers-color-scheme:dark){:root{--ink:#e8eef3;--soft:#9fb2c1;--line:#33475a;--card:#1b2733;--page:#121a22;--accent:#ff7a59}}\
*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,sans-serif}\
main{max-width:34rem;margin:8vh auto;padding:2rem;background:var(--card);border:1px solid var(--line);border-radius:14px}\
h1{font-size:1.4rem;margin:.2rem 0 1rem}p{color:var(--soft)}fieldset{border:1px solid var(--line);border-radius:10px;margin:1rem 0;padding:.6rem 1rem}\
legend{font-weight:600;padding:0 .4rem}label{display:block;padding:.35rem 0}ul{padding-left:1.1rem;margin:.3rem 0}\
code{font-size:.85em}.sandbox{font-size:.8rem;letter-spacing:.06em;text-transform:uppercase;color:var(--accent)}\
.actions{display:flex;gap:.8rem;flex-wrap:wrap;margin-top:1.2rem}\
button{font:inherit;padding:.65rem 1.2rem;border-radius:8px;border:1px solid var(--line);background:none;color:inherit;cursor:pointer}\
button.main{background:var(--accent);border-color:var(--accent);color:#fff}button:focus-visible{outline:3px solid var(--ink);outline-offset:2px}";

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
    document(&format!("Connect {app}"), &body)
}

/// The page shown when the request itself is wrong.
pub(crate) fn refusal(reason: &str) -> String {
    let body = format!(
        "<p class=\"sandbox\">HubSpot sandbox</p><h1>Authorization failed</h1><p>{}</p>",
        escape(reason)
    );
    document("Authorization failed", &body)
}

fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{title}</title>\
         <style>{STYLE}</style></head><body><main>{body}</main></body></html>"
    )
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

fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}
