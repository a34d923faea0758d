//! Every route of the simulator. The router is built from this table, and the coverage table is compared with it.

use axum::routing::MethodFilter;
use serde::Serialize;

use super::call::{Call, Outcome};
use super::sim::Sim;
use super::{chat, control, conversations, oauth, pages, people, responses, users, views};

/// How the call log groups a call, and how errors look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Class {
    Api,
    #[serde(rename = "oauth")]
    OAuth,
    Response,
    /// What a person in a browser does.
    Page,
    Control,
}

impl Class {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Class::Api => "api",
            Class::OAuth => "oauth",
            Class::Response => "response",
            Class::Page => "page",
            Class::Control => "control",
        }
    }
}

/// The HTTP methods of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Post,
    Delete,
    /// Methods of the Web API do not tell them apart.
    GetOrPost,
}

impl Verb {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Verb::Get => "GET",
            Verb::Post => "POST",
            Verb::Delete => "DELETE",
            Verb::GetOrPost => "GET or POST",
        }
    }

    pub(crate) fn filter(self) -> MethodFilter {
        match self {
            Verb::Get => MethodFilter::GET,
            Verb::Post => MethodFilter::POST,
            Verb::Delete => MethodFilter::DELETE,
            Verb::GetOrPost => MethodFilter::GET.or(MethodFilter::POST),
        }
    }
}

/// How often a minute a workspace may call a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tier {
    None,
    Two,
    Three,
    Four,
    /// Several hundred.
    Special,
    /// By the channel.
    Message,
}

/// What a token must be granted: one of these scopes; None where no token is asked for.
pub(crate) type Access = Option<&'static [&'static str]>;

pub(crate) type Handler = fn(&mut Sim, &Call) -> Outcome;

/// One route.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) verb: Verb,
    pub(crate) path: &'static str,
    pub(crate) class: Class,
    pub(crate) tier: Tier,
    pub(crate) access: Access,
    /// Whether arguments may come as JSON.
    pub(crate) json: bool,
    pub(crate) handler: Handler,
}

/// A method that reads: forms only.
const fn read(path: &'static str, tier: Tier, scopes: &'static [&'static str], handler: Handler) -> Route {
    let (verb, class) = (Verb::GetOrPost, Class::Api);
    Route { verb, path, class, tier, access: Some(scopes), json: false, handler }
}

/// A method that writes: forms and JSON.
const fn write(path: &'static str, tier: Tier, scopes: &'static [&'static str], handler: Handler) -> Route {
    let (verb, class) = (Verb::GetOrPost, Class::Api);
    Route { verb, path, class, tier, access: Some(scopes), json: true, handler }
}

const fn open(verb: Verb, path: &'static str, class: Class, handler: Handler) -> Route {
    Route { verb, path, class, tier: Tier::None, access: None, json: false, handler }
}

const fn internal(verb: Verb, path: &'static str, handler: Handler) -> Route {
    open(verb, path, Class::Control, handler)
}

use Tier::{Four, Message, Special, Three, Two};
use Verb::{Delete, Get, GetOrPost, Post};

const ANY: &[&str] = &[];
const WRITE: &[&str] = &["chat:write"];
/// By the kind of channel, which the method looks at itself.
const CHANNELS: &[&str] = &["channels:read", "groups:read", "im:read"];
const HISTORY: &[&str] = &["channels:history", "groups:history", "im:history"];
const USERS: &[&str] = &["users:read"];

#[rustfmt::skip]
pub(crate) static ROUTES: &[Route] = &[
    open(Get, "/oauth/v2/authorize", Class::OAuth, oauth::authorize),
    open(Post, "/oauth/v2/authorize", Class::OAuth, oauth::decide),
    open(GetOrPost, "/api/oauth.v2.access", Class::OAuth, oauth::access),
    open(GetOrPost, "/api/oauth.v2.exchange", Class::OAuth, oauth::exchange),
    open(GetOrPost, "/api/apps.uninstall", Class::OAuth, oauth::uninstall),
    write("/api/auth.test", Special, ANY, oauth::test),
    read("/api/auth.revoke", Three, ANY, oauth::revoke),

    read("/api/conversations.list", Two, CHANNELS, conversations::list),
    read("/api/conversations.info", Three, CHANNELS, conversations::info),
    read("/api/conversations.history", Three, HISTORY, conversations::history),
    write("/api/conversations.join", Three, &["channels:join"], conversations::join),
    write("/api/conversations.open", Three, &["im:write"], conversations::open),

    write("/api/chat.postMessage", Message, WRITE, chat::post_message),
    write("/api/chat.postEphemeral", Four, WRITE, chat::post_ephemeral),
    write("/api/chat.update", Three, WRITE, chat::update),
    write("/api/chat.delete", Three, WRITE, chat::delete),
    read("/api/chat.getPermalink", Special, ANY, chat::get_permalink),

    write("/api/views.open", Four, ANY, views::open),
    write("/api/views.push", Four, ANY, views::push),
    write("/api/views.update", Four, ANY, views::update),

    read("/api/users.info", Four, USERS, users::info),
    read("/api/users.list", Two, USERS, users::list),
    read("/api/users.lookupByEmail", Three, &["users:read.email"], users::lookup_by_email),

    open(Post, "/actions/{team}/{id}/{secret}", Class::Response, responses::answer),

    open(Get, "/", Class::Page, pages::home),
    open(Get, "/client/{team}/{channel}", Class::Page, pages::channel),
    open(Post, "/client/{team}/{channel}/click", Class::Page, pages::click),
    open(Post, "/client/{team}/{channel}/submit", Class::Page, pages::submit),
    open(Post, "/client/{team}/{channel}/close", Class::Page, pages::close),
    open(Post, "/client/{team}/{channel}/post", Class::Page, pages::post),

    internal(Get, "/_sandbox/health", control::health),
    internal(Get, "/_sandbox/workspace", people::workspace),
    internal(Post, "/_sandbox/user", people::user),
    internal(Post, "/_sandbox/channel", people::channel),
    internal(Post, "/_sandbox/invite", people::invite),
    internal(Post, "/_sandbox/kick", people::kick),
    internal(Post, "/_sandbox/post", people::post),
    internal(Get, "/_sandbox/messages", control::messages),
    internal(Get, "/_sandbox/wait", control::wait),
    internal(Get, "/_sandbox/views", control::views),
    internal(Post, "/_sandbox/click", control::click),
    internal(Post, "/_sandbox/submit", control::submit),
    internal(Post, "/_sandbox/close", control::close),
    internal(Get, "/_sandbox/deliveries", control::deliveries),
    internal(Post, "/_sandbox/redeliver", control::redeliver),
    internal(Post, "/_sandbox/verify", control::verify),
    internal(Post, "/_sandbox/event", control::event),
    internal(Post, "/_sandbox/uninstall", control::uninstall),
    internal(Post, "/_sandbox/revoke", control::revoke),
    internal(Post, "/_sandbox/expire_tokens", control::expire_tokens),
    internal(Post, "/_sandbox/settings", control::settings),
    internal(Post, "/_sandbox/clock", control::clock),
    internal(Get, "/_sandbox/faults", control::faults),
    internal(Post, "/_sandbox/faults", control::add_fault),
    internal(Delete, "/_sandbox/faults", control::clear_faults),
    internal(Get, "/_sandbox/calls", control::calls),
    internal(Delete, "/_sandbox/calls", control::clear_calls),
];
