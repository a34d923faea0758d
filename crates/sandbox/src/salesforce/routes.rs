//! Every route of the simulator. Calls are matched against this table, and the coverage table is
//! compared with it.

use std::collections::HashMap;

use http::Method;

use super::call::{Call, Outcome};
use super::pubsub::control as stream;
use super::sim::Sim;
use super::{
    bulk, collections, composite, control, describe, limits, oauth, query, replication, rows, tooling,
};
use crate::paths::params_of;

/// Whose call it is, and how the call log groups it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Of the API: needs a token and counts against the daily allocation.
    Api,
    /// The list of versions: no token.
    Versions,
    OAuth,
    Control,
}

impl Class {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Class::Api | Class::Versions => "api",
            Class::OAuth => "oauth",
            Class::Control => "control",
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
    pub(crate) handler: Handler,
}

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PATCH: Method = Method::PATCH;
const DELETE: Method = Method::DELETE;

const fn oauth(method: Method, path: &'static str, handler: Handler) -> Route {
    Route { method, path, class: Class::OAuth, handler }
}

const fn api(method: Method, path: &'static str, handler: Handler) -> Route {
    Route { method, path, class: Class::Api, handler }
}

const VERSIONS: Route =
    Route { method: GET, path: "/services/data", class: Class::Versions, handler: describe::versions };

const fn internal(method: Method, path: &'static str, handler: Handler) -> Route {
    Route { method, path, class: Class::Control, handler }
}

#[rustfmt::skip]
pub(crate) static ROUTES: &[Route] = &[
    oauth(GET, "/services/oauth2/authorize", oauth::authorize),
    oauth(POST, "/services/oauth2/authorize", oauth::decide),
    oauth(POST, "/services/oauth2/token", oauth::token),
    oauth(GET, "/services/oauth2/revoke", oauth::revoke),
    oauth(POST, "/services/oauth2/revoke", oauth::revoke),
    oauth(POST, "/services/oauth2/introspect", oauth::introspect),
    oauth(GET, "/services/oauth2/userinfo", oauth::userinfo),
    oauth(GET, "/id/{org}/{user}", oauth::identity),

    VERSIONS,
    api(GET, "/services/data/{version}", describe::resources),
    api(GET, "/services/data/{version}/limits", limits::limits),
    api(GET, "/services/data/{version}/limits/recordCount", limits::record_count),
    api(GET, "/services/data/{version}/sobjects", describe::global),
    api(GET, "/services/data/{version}/sobjects/{object}", describe::basics),
    api(POST, "/services/data/{version}/sobjects/{object}", rows::create),
    api(GET, "/services/data/{version}/sobjects/{object}/describe", describe::describe),
    api(GET, "/services/data/{version}/sobjects/{object}/updated", replication::updated),
    api(GET, "/services/data/{version}/sobjects/{object}/deleted", replication::deleted),
    api(GET, "/services/data/{version}/sobjects/{object}/{id}", rows::get),
    api(PATCH, "/services/data/{version}/sobjects/{object}/{id}", rows::update),
    api(DELETE, "/services/data/{version}/sobjects/{object}/{id}", rows::delete),
    api(GET, "/services/data/{version}/sobjects/{object}/{field}/{value}", rows::get_by_key),
    api(PATCH, "/services/data/{version}/sobjects/{object}/{field}/{value}", rows::upsert),
    api(DELETE, "/services/data/{version}/sobjects/{object}/{field}/{value}", rows::delete_by_key),
    api(GET, "/services/data/{version}/query", query::query),
    api(GET, "/services/data/{version}/queryAll", query::query_all),
    api(GET, "/services/data/{version}/query/{locator}", query::more),
    api(POST, "/services/data/{version}/composite", composite::composite),
    api(POST, "/services/data/{version}/composite/batch", composite::batch),
    api(POST, "/services/data/{version}/composite/sobjects", collections::create),
    api(PATCH, "/services/data/{version}/composite/sobjects", collections::update),
    api(DELETE, "/services/data/{version}/composite/sobjects", collections::delete),
    api(GET, "/services/data/{version}/composite/sobjects/{object}", collections::read),
    api(POST, "/services/data/{version}/composite/sobjects/{object}", collections::read_many),
    api(PATCH, "/services/data/{version}/composite/sobjects/{object}/{field}", collections::upsert),
    api(POST, "/services/data/{version}/jobs/query", bulk::create),
    api(GET, "/services/data/{version}/jobs/query", bulk::list),
    api(GET, "/services/data/{version}/jobs/query/{job}", bulk::status),
    api(PATCH, "/services/data/{version}/jobs/query/{job}", bulk::abort),
    api(DELETE, "/services/data/{version}/jobs/query/{job}", bulk::delete),
    api(GET, "/services/data/{version}/jobs/query/{job}/results", bulk::results),
    api(POST, "/services/data/{version}/tooling/sobjects/CustomField", tooling::create_field),

    internal(GET, "/_sandbox/health", control::health),
    internal(POST, "/_sandbox/seed", control::seed),
    internal(POST, "/_sandbox/transaction", control::transaction),
    internal(POST, "/_sandbox/create", control::step),
    internal(POST, "/_sandbox/edit", control::step),
    internal(POST, "/_sandbox/delete", control::step),
    internal(POST, "/_sandbox/undelete", control::step),
    internal(POST, "/_sandbox/merge", control::step),
    internal(POST, "/_sandbox/convert", control::step),
    internal(POST, "/_sandbox/empty_recycle_bin", control::empty_recycle_bin),
    internal(POST, "/_sandbox/field", control::add_field),
    internal(DELETE, "/_sandbox/field", control::remove_field),
    internal(GET, "/_sandbox/state/{object}", control::state),
    internal(POST, "/_sandbox/settings", control::settings),
    internal(POST, "/_sandbox/clock", control::clock),
    internal(POST, "/_sandbox/revoke", control::revoke),
    internal(POST, "/_sandbox/expire_tokens", control::expire_tokens),
    internal(POST, "/_sandbox/close_cursors", control::close_cursors),
    internal(GET, "/_sandbox/faults", control::faults),
    internal(POST, "/_sandbox/faults", control::add_fault),
    internal(DELETE, "/_sandbox/faults", control::clear_faults),
    internal(GET, "/_sandbox/calls", control::calls),
    internal(DELETE, "/_sandbox/calls", control::clear_calls),
    internal(GET, "/_sandbox/stream", stream::stream),
    internal(POST, "/_sandbox/stream/settings", stream::settings),
    internal(POST, "/_sandbox/stream/gap", stream::gap),
    internal(POST, "/_sandbox/stream/cut", stream::cut),
    internal(POST, "/_sandbox/stream/migrate", stream::migrate),
    internal(POST, "/_sandbox/stream/faults", stream::add_fault),
    internal(DELETE, "/_sandbox/stream/faults", stream::clear_faults),
];

/// What a path was matched to.
pub(crate) enum Match {
    Route(&'static Route, HashMap<&'static str, String>),
    /// The path exists, but not with this method; these it has.
    Methods(Vec<&'static str>),
    Nothing,
}

/// Finds the route of a path. Names win over parameters; a slash at the end changes nothing.
pub(crate) fn find(method: &Method, path: &str) -> Match {
    let path: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    let mut fitting: Vec<(usize, &'static Route, HashMap<&'static str, String>)> = ROUTES
        .iter()
        .filter_map(|route| params_of(route.path, &path).map(|params| (params.len(), route, params)))
        .collect();
    let Some(fewest) = fitting.iter().map(|(count, ..)| *count).min() else { return Match::Nothing };
    fitting.retain(|(count, ..)| *count == fewest);
    match fitting.iter().position(|(_, route, _)| route.method == *method) {
        Some(at) => {
            let (_, route, params) = fitting.swap_remove(at);
            Match::Route(route, params)
        }
        None => Match::Methods(fitting.iter().map(|(_, route, _)| route.method.as_str()).collect()),
    }
}
