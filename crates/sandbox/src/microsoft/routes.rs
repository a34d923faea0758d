//! Every route of the simulator. The router works from this table, and the coverage table is compared with it.

use std::collections::HashMap;

use http::Method;

use super::call::{Call, Outcome};
use super::sim::Sim;
use super::{batch, control, delta, mail, oauth, pages, sending, subscriptions};
use crate::paths::params_of;

/// Whose call it is, and how the call log groups it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Of Graph: needs a token and counts against the mailbox.
    Graph,
    OAuth,
    Control,
}

impl Class {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Class::Graph => "graph",
            Class::OAuth => "oauth",
            Class::Control => "control",
        }
    }
}

/// What a token must be granted for a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// No token.
    Open,
    /// A live token, whatever its scopes.
    Any,
    Read,
    Write,
    Send,
}

impl Access {
    /// Scopes of which one is enough; none needed when empty.
    pub(crate) fn scopes(self) -> &'static [&'static str] {
        match self {
            Access::Open | Access::Any => &[],
            Access::Read => &["Mail.ReadBasic", "Mail.Read", "Mail.ReadWrite"],
            Access::Write => &["Mail.ReadWrite"],
            Access::Send => &["Mail.Send"],
        }
    }
}

pub(crate) type Handler = fn(&mut Sim, &Call) -> Outcome;

/// One route.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) class: Class,
    pub(crate) access: Access,
    pub(crate) handler: Handler,
}

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PATCH: Method = Method::PATCH;
const DELETE: Method = Method::DELETE;

const fn graph(method: Method, path: &'static str, access: Access, handler: Handler) -> Route {
    Route { method, path, class: Class::Graph, access, handler }
}

const fn open(method: Method, path: &'static str, handler: Handler) -> Route {
    Route { method, path, class: Class::OAuth, access: Access::Open, handler }
}

const fn internal(method: Method, path: &'static str, handler: Handler) -> Route {
    Route { method, path, class: Class::Control, access: Access::Open, handler }
}

#[rustfmt::skip]
pub(crate) static ROUTES: &[Route] = &[
    open(GET, "/{tenant}/oauth2/v2.0/authorize", oauth::authorize),
    open(POST, "/{tenant}/oauth2/v2.0/authorize", oauth::decide),
    open(POST, "/{tenant}/oauth2/v2.0/token", oauth::token),
    open(GET, "/{tenant}/v2.0/adminconsent", oauth::admin_consent),
    open(POST, "/{tenant}/v2.0/adminconsent", oauth::decide_admin_consent),
    open(GET, "/{tenant}/v2.0/.well-known/openid-configuration", oauth::discovery),

    graph(GET, "/v1.0/me", Access::Any, mail::me),
    graph(POST, "/v1.0/me/revokeSignInSessions", Access::Any, mail::revoke_sessions),
    graph(GET, "/v1.0/me/mailFolders", Access::Read, mail::folders),
    graph(POST, "/v1.0/me/mailFolders", Access::Write, mail::create_folder),
    graph(GET, "/v1.0/me/mailFolders/{folder}", Access::Read, mail::folder),
    graph(GET, "/v1.0/me/mailFolders/{folder}/messages", Access::Read, mail::list),
    graph(POST, "/v1.0/me/mailFolders/{folder}/messages", Access::Write, sending::create_draft),
    graph(GET, "/v1.0/me/mailFolders/{folder}/messages/delta", Access::Read, delta::delta),
    graph(GET, "/v1.0/me/mailFolders/{folder}/messages/{id}", Access::Read, mail::get),
    graph(GET, "/v1.0/me/messages", Access::Read, mail::list),
    graph(POST, "/v1.0/me/messages", Access::Write, sending::create_draft),
    graph(GET, "/v1.0/me/messages/{id}", Access::Read, mail::get),
    graph(PATCH, "/v1.0/me/messages/{id}", Access::Write, mail::update),
    graph(DELETE, "/v1.0/me/messages/{id}", Access::Write, mail::delete),
    graph(GET, "/v1.0/me/messages/{id}/$value", Access::Read, mail::mime),
    graph(GET, "/v1.0/me/messages/{id}/attachments", Access::Read, mail::attachments),
    graph(POST, "/v1.0/me/messages/{id}/send", Access::Send, sending::send_draft),
    graph(POST, "/v1.0/me/messages/{id}/reply", Access::Send, sending::reply),
    graph(POST, "/v1.0/me/messages/{id}/replyAll", Access::Send, sending::reply),
    graph(POST, "/v1.0/me/messages/{id}/createReply", Access::Write, sending::create_reply),
    graph(POST, "/v1.0/me/messages/{id}/createReplyAll", Access::Write, sending::create_reply),
    graph(POST, "/v1.0/me/messages/{id}/move", Access::Write, mail::move_to),
    graph(POST, "/v1.0/me/messages/{id}/permanentDelete", Access::Write, mail::delete_for_good),
    graph(POST, "/v1.0/me/sendMail", Access::Send, sending::send_mail),
    graph(POST, "/v1.0/me/translateExchangeIds", Access::Any, mail::translate_ids),
    graph(GET, "/v1.0/subscriptions", Access::Any, subscriptions::list),
    graph(POST, "/v1.0/subscriptions", Access::Read, subscriptions::create),
    graph(GET, "/v1.0/subscriptions/{id}", Access::Any, subscriptions::get),
    graph(PATCH, "/v1.0/subscriptions/{id}", Access::Any, subscriptions::renew),
    graph(DELETE, "/v1.0/subscriptions/{id}", Access::Any, subscriptions::delete),
    graph(POST, "/v1.0/subscriptions/{id}/reauthorize", Access::Any, subscriptions::reauthorize),
    graph(POST, "/v1.0/$batch", Access::Any, batch::batch),

    internal(GET, "/mail", pages::people),
    internal(GET, "/mail/{mailbox}", pages::list),
    internal(GET, "/mail/{mailbox}/{serial}", pages::message),
    internal(POST, "/mail/{mailbox}/{serial}/reply", pages::reply),

    internal(GET, "/_sandbox/health", control::health),
    internal(POST, "/_sandbox/seed", control::seed),
    internal(POST, "/_sandbox/deliver", control::deliver),
    internal(POST, "/_sandbox/bounce", control::bounce),
    internal(POST, "/_sandbox/edit", control::edit),
    internal(POST, "/_sandbox/move", control::move_to),
    internal(POST, "/_sandbox/delete", control::delete),
    internal(GET, "/_sandbox/state/{mailbox}", control::state),
    internal(GET, "/_sandbox/sent", control::sent),
    internal(POST, "/_sandbox/user", control::user),
    internal(POST, "/_sandbox/settings", control::settings),
    internal(POST, "/_sandbox/clock", control::clock),
    internal(POST, "/_sandbox/revoke", control::revoke),
    internal(POST, "/_sandbox/expire_tokens", control::expire_tokens),
    internal(GET, "/_sandbox/subscriptions", control::subscriptions),
    internal(POST, "/_sandbox/lifecycle", control::lifecycle),
    internal(GET, "/_sandbox/faults", control::faults),
    internal(POST, "/_sandbox/faults", control::add_fault),
    internal(DELETE, "/_sandbox/faults", control::clear_faults),
    internal(GET, "/_sandbox/calls", control::calls),
    internal(DELETE, "/_sandbox/calls", control::clear_calls),
];

/// What a method and a path lead to.
#[derive(Debug)]
pub(crate) enum Match {
    Route {
        route: &'static Route,
        params: HashMap<String, String>,
        user: Option<String>,
    },
    /// The path exists, with other methods.
    Methods,
    Nothing,
}

/// A path with keys and functions spelled as segments: `mailFolders('inbox')/messages/delta()` is
/// `mailFolders/inbox/messages/delta`.
pub(crate) fn plain_path(path: &str) -> String {
    let one = |segment: &str| -> String {
        let segment = segment.strip_prefix("microsoft.graph.").unwrap_or(segment);
        let key = segment.strip_suffix(')').and_then(|open| open.split_once('('));
        match key {
            Some((name, "")) => name.to_owned(),
            Some((name, key)) => format!("{name}/{}", key.replace("%27", "'").trim_matches('\'')),
            None => segment.to_owned(),
        }
    };
    path.split('/').map(one).collect::<Vec<_>>().join("/")
}

pub(crate) fn find(method: &Method, path: &str) -> Match {
    let plain = plain_path(path);
    let mut segments: Vec<&str> = plain.split('/').collect();
    let mut user = None;
    if let ["", "v1.0", "users", who, ..] = segments.as_slice() {
        user = Some((*who).to_owned());
        segments.splice(2..4, ["me"]);
    }
    let mut exists = false;
    for route in ROUTES {
        let Some(params) = params_of(route.path, &segments) else { continue };
        if route.method != method {
            exists = true;
            continue;
        }
        let params = params.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let user = user.and_then(|user| params_of("{user}", &[&user])?.remove("user"));
        return Match::Route { route, params, user };
    }
    if exists { Match::Methods } else { Match::Nothing }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_functions_may_be_spelled_the_way_of_odata() {
        let found =
            find(&GET, "/v1.0/users('a%40b.example')/mailFolders('inbox')/messages/microsoft.graph.delta()");
        let Match::Route { route, params, user } = found else { panic!("{found:?}") };
        assert_eq!(route.path, "/v1.0/me/mailFolders/{folder}/messages/delta");
        assert_eq!((params["folder"].as_str(), user.as_deref()), ("inbox", Some("a@b.example")));
    }
}
