//! Every route of the simulator. Calls are matched against this table, and the coverage table is
//! compared with it.

use std::collections::HashMap;

use http::Method;

use super::call::{Call, Outcome};
use super::sim::Sim;
use super::{calendars, control, events, meet, oauth, push, staging};
use crate::paths::params_of;

/// How the call log groups a call, and whether it counts against a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Api,
    OAuth,
    Control,
}

impl Class {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Class::Api => "api",
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
    /// One of these scopes, named without their prefix.
    OneOf(&'static [&'static str]),
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
const PUT: Method = Method::PUT;
const PATCH: Method = Method::PATCH;
const DELETE: Method = Method::DELETE;

const fn open(method: Method, path: &'static str, handler: Handler) -> Route {
    Route { method, path, class: Class::OAuth, access: Access::Open, handler }
}

const fn known(path: &'static str, handler: Handler) -> Route {
    Route { method: GET, path, class: Class::OAuth, access: Access::Any, handler }
}

const fn api(method: Method, path: &'static str, scopes: &'static [&'static str], handler: Handler) -> Route {
    Route { method, path, class: Class::Api, access: Access::OneOf(scopes), handler }
}

const fn internal(method: Method, path: &'static str, handler: Handler) -> Route {
    Route { method, path, class: Class::Control, access: Access::Open, handler }
}

const LIST: &[&str] =
    &["calendar", "calendar.readonly", "calendar.calendarlist", "calendar.calendarlist.readonly"];
const CALENDARS: &[&str] =
    &["calendar", "calendar.readonly", "calendar.calendars", "calendar.calendars.readonly"];
const READ: &[&str] = &[
    "calendar",
    "calendar.readonly",
    "calendar.events",
    "calendar.events.readonly",
    "calendar.events.owned",
    "calendar.events.owned.readonly",
];
const WRITE: &[&str] = &["calendar", "calendar.events", "calendar.events.owned"];
const MEET: &[&str] = &["meetings.space.readonly", "meetings.space.created"];

#[rustfmt::skip]
pub(crate) static ROUTES: &[Route] = &[
    open(GET, "/o/oauth2/v2/auth", oauth::authorize),
    open(POST, "/o/oauth2/v2/auth", oauth::decide),
    open(POST, "/token", oauth::token),
    open(POST, "/revoke", oauth::revoke),
    open(GET, "/revoke", oauth::revoke),
    open(GET, "/tokeninfo", oauth::token_info),
    open(POST, "/oauth2/v2/tokeninfo", oauth::token_info),
    known("/v1/userinfo", oauth::user_info),
    known("/oauth2/v3/userinfo", oauth::user_info),
    known("/oauth2/v2/userinfo", oauth::user_info_v2),
    known("/userinfo/v2/me", oauth::user_info_v2),

    api(GET, "/calendar/v3/users/me/calendarList", LIST, calendars::list),
    api(GET, "/calendar/v3/users/me/calendarList/{calendarId}", LIST, calendars::list_get),
    api(GET, "/calendar/v3/calendars/{calendarId}", CALENDARS, calendars::get),
    api(GET, "/calendar/v3/calendars/{calendarId}/events", READ, events::list),
    api(POST, "/calendar/v3/calendars/{calendarId}/events", WRITE, events::insert),
    api(POST, "/calendar/v3/calendars/{calendarId}/events/watch", READ, push::watch),
    api(GET, "/calendar/v3/calendars/{calendarId}/events/{eventId}", READ, events::get),
    api(PUT, "/calendar/v3/calendars/{calendarId}/events/{eventId}", WRITE, events::update),
    api(PATCH, "/calendar/v3/calendars/{calendarId}/events/{eventId}", WRITE, events::patch),
    api(DELETE, "/calendar/v3/calendars/{calendarId}/events/{eventId}", WRITE, events::delete),
    api(GET, "/calendar/v3/calendars/{calendarId}/events/{eventId}/instances", READ, events::instances),
    api(POST, "/calendar/v3/channels/stop", READ, push::stop),

    api(GET, "/v2/spaces/{space}", MEET, meet::space),
    api(GET, "/v2/conferenceRecords", MEET, meet::records),
    api(GET, "/v2/conferenceRecords/{conference}", MEET, meet::get_record),
    api(GET, "/v2/conferenceRecords/{conference}/participants", MEET, meet::participants),
    api(GET, "/v2/conferenceRecords/{conference}/participants/{participant}", MEET, meet::get_participant),
    api(GET, "/v2/conferenceRecords/{conference}/participants/{participant}/participantSessions", MEET, meet::sessions),
    api(GET, "/v2/conferenceRecords/{conference}/transcripts", MEET, meet::transcripts),
    api(GET, "/v2/conferenceRecords/{conference}/transcripts/{transcript}", MEET, meet::get_transcript),
    api(GET, "/v2/conferenceRecords/{conference}/transcripts/{transcript}/entries", MEET, meet::entries),
    api(GET, "/v2/conferenceRecords/{conference}/transcripts/{transcript}/entries/{entry}", MEET, meet::get_entry),
    api(GET, "/v2/conferenceRecords/{conference}/recordings", MEET, meet::nothing),
    api(GET, "/v2/conferenceRecords/{conference}/smartNotes", MEET, meet::nothing),

    internal(GET, "/_sandbox/health", control::health),
    internal(POST, "/_sandbox/seed", staging::seed),
    internal(POST, "/_sandbox/meeting", staging::meeting),
    internal(POST, "/_sandbox/edit", staging::edit),
    internal(POST, "/_sandbox/move", staging::shift),
    internal(POST, "/_sandbox/cancel", staging::cancel),
    internal(POST, "/_sandbox/hold", staging::hold),
    internal(GET, "/_sandbox/state", staging::state),
    internal(GET, "/_sandbox/channels", push::channels),
    internal(POST, "/_sandbox/settings", control::settings),
    internal(POST, "/_sandbox/clock", control::clock),
    internal(POST, "/_sandbox/revoke", control::revoke),
    internal(POST, "/_sandbox/expire_tokens", control::expire_tokens),
    internal(POST, "/_sandbox/expire_sync_tokens", control::expire_sync_tokens),
    internal(GET, "/_sandbox/faults", control::faults),
    internal(POST, "/_sandbox/faults", control::add_fault),
    internal(DELETE, "/_sandbox/faults", control::clear_faults),
    internal(GET, "/_sandbox/calls", control::calls),
    internal(DELETE, "/_sandbox/calls", control::clear_calls),
];

/// What a path was matched to.
pub(crate) enum Match {
    Route(&'static Route, HashMap<&'static str, String>),
    /// The path exists, but not with this method.
    Method,
    Nothing,
}

/// Finds the route of a path. Names win over parameters.
pub(crate) fn find(method: &Method, path: &str) -> Match {
    let path: Vec<&str> = path.split('/').collect();
    let fitting =
        ROUTES.iter().filter_map(|route| params_of(route.path, &path).map(|params| (route, params)));
    let fitting: Vec<_> = fitting.collect();
    let is_empty = fitting.is_empty();
    let right = fitting.into_iter().filter(|(route, _)| route.method == *method);
    match right.min_by_key(|(_, params)| params.len()) {
        Some((route, params)) => Match::Route(route, params),
        None if is_empty => Match::Nothing,
        None => Match::Method,
    }
}
