//! Every route of the simulator. The router is built from this table, and the coverage table is
//! compared with it.

use http::Method;
use serde::Serialize;

use super::call::{Call, Outcome};
use super::sim::Sim;
use super::{account, associations, batch, control, oauth, objects, properties, search};

/// Which budget a call counts against, and how the call log groups it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Class {
    General,
    Search,
    #[serde(rename = "oauth")]
    OAuth,
    Control,
}

impl Class {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Class::General => "general",
            Class::Search => "search",
            Class::OAuth => "oauth",
            Class::Control => "control",
        }
    }
}

/// Whether a call reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Read,
    Write,
}

impl Mode {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Mode::Read => "read",
            Mode::Write => "write",
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
    Objects(Mode),
    Properties(Mode),
    Pipelines,
    Associations(Mode),
    Owners,
    Schemas(Mode),
}

pub(crate) type Handler = fn(&mut Sim, &Call) -> Outcome;

/// One route, under its classic and, where it has one, its date-based path.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) dated: Option<&'static str>,
    pub(crate) class: Class,
    pub(crate) access: Access,
    pub(crate) handler: Handler,
}

impl Route {
    pub(crate) fn paths(&self) -> impl Iterator<Item = &'static str> {
        [Some(self.path), self.dated].into_iter().flatten()
    }
}

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;
const PATCH: Method = Method::PATCH;
const DELETE: Method = Method::DELETE;

/// A CRM route with both spellings.
const fn crm(
    method: Method,
    path: &'static str,
    dated: &'static str,
    access: Access,
    handler: Handler,
) -> Route {
    Route { method, path, dated: Some(dated), class: Class::General, access, handler }
}

/// A CRM route with one spelling.
const fn classic(method: Method, path: &'static str, access: Access, handler: Handler) -> Route {
    Route { method, path, dated: None, class: Class::General, access, handler }
}

const fn open(method: Method, path: &'static str, dated: Option<&'static str>, handler: Handler) -> Route {
    Route { method, path, dated, class: Class::OAuth, access: Access::Open, handler }
}

const fn internal(method: Method, path: &'static str, handler: Handler) -> Route {
    Route { method, path, dated: None, class: Class::Control, access: Access::Open, handler }
}

const OBJECTS_READ: Access = Access::Objects(Mode::Read);
const OBJECTS_WRITE: Access = Access::Objects(Mode::Write);
const PROPERTIES_READ: Access = Access::Properties(Mode::Read);
const PROPERTIES_WRITE: Access = Access::Properties(Mode::Write);
const LINKS_READ: Access = Access::Associations(Mode::Read);
const LINKS_WRITE: Access = Access::Associations(Mode::Write);

const SEARCH: Route = Route {
    method: POST,
    path: "/crm/v3/objects/{type}/search",
    dated: Some("/crm/objects/2026-03/{type}/search"),
    class: Class::Search,
    access: OBJECTS_READ,
    handler: search::search,
};

#[rustfmt::skip]
pub(crate) static ROUTES: &[Route] = &[
    open(GET, "/oauth/authorize", None, oauth::authorize),
    open(POST, "/oauth/authorize", None, oauth::decide),
    open(POST, "/oauth/v1/token", None, oauth::token_v1),
    open(POST, "/oauth/v3/token", Some("/oauth/2026-03/token"), oauth::token_v3),
    open(POST, "/oauth/v3/token/introspect", Some("/oauth/2026-03/token/introspect"), oauth::introspect),
    open(POST, "/oauth/v3/token/revoke", Some("/oauth/2026-03/token/revoke"), oauth::revoke),
    open(GET, "/oauth/v1/access-tokens/{token}", None, oauth::access_token_info),
    open(GET, "/oauth/v1/refresh-tokens/{token}", None, oauth::refresh_token_info),
    open(DELETE, "/oauth/v1/refresh-tokens/{token}", None, oauth::delete_refresh_token),

    SEARCH,
    crm(GET, "/crm/v3/objects/{type}", "/crm/objects/2026-03/{type}", OBJECTS_READ, objects::list),
    crm(POST, "/crm/v3/objects/{type}", "/crm/objects/2026-03/{type}", OBJECTS_WRITE, objects::create),
    crm(GET, "/crm/v3/objects/{type}/{id}", "/crm/objects/2026-03/{type}/{id}", OBJECTS_READ, objects::get),
    crm(PATCH, "/crm/v3/objects/{type}/{id}", "/crm/objects/2026-03/{type}/{id}", OBJECTS_WRITE, objects::update),
    crm(DELETE, "/crm/v3/objects/{type}/{id}", "/crm/objects/2026-03/{type}/{id}", OBJECTS_WRITE, objects::archive),
    crm(POST, "/crm/v3/objects/{type}/merge", "/crm/objects/2026-03/{type}/merge", OBJECTS_WRITE, objects::merge),
    crm(POST, "/crm/v3/objects/{type}/gdpr-delete", "/crm/objects/2026-03/{type}/gdpr-delete", OBJECTS_WRITE, objects::gdpr_delete),
    crm(POST, "/crm/v3/objects/{type}/batch/read", "/crm/objects/2026-03/{type}/batch/read", OBJECTS_READ, batch::read),
    crm(POST, "/crm/v3/objects/{type}/batch/create", "/crm/objects/2026-03/{type}/batch/create", OBJECTS_WRITE, batch::create),
    crm(POST, "/crm/v3/objects/{type}/batch/update", "/crm/objects/2026-03/{type}/batch/update", OBJECTS_WRITE, batch::update),
    crm(POST, "/crm/v3/objects/{type}/batch/upsert", "/crm/objects/2026-03/{type}/batch/upsert", OBJECTS_WRITE, batch::upsert),
    crm(POST, "/crm/v3/objects/{type}/batch/archive", "/crm/objects/2026-03/{type}/batch/archive", OBJECTS_WRITE, batch::archive),

    crm(GET, "/crm/v3/properties/{type}", "/crm/properties/2026-03/{type}", PROPERTIES_READ, properties::list),
    crm(POST, "/crm/v3/properties/{type}", "/crm/properties/2026-03/{type}", PROPERTIES_WRITE, properties::create),
    crm(GET, "/crm/v3/properties/{type}/groups", "/crm/properties/2026-03/{type}/groups", PROPERTIES_READ, properties::groups),
    crm(GET, "/crm/v3/properties/{type}/{name}", "/crm/properties/2026-03/{type}/{name}", PROPERTIES_READ, properties::get),
    crm(PATCH, "/crm/v3/properties/{type}/{name}", "/crm/properties/2026-03/{type}/{name}", PROPERTIES_WRITE, properties::update),
    crm(DELETE, "/crm/v3/properties/{type}/{name}", "/crm/properties/2026-03/{type}/{name}", PROPERTIES_WRITE, properties::archive),
    crm(POST, "/crm/v3/properties/{type}/batch/read", "/crm/properties/2026-03/{type}/batch/read", PROPERTIES_READ, properties::batch_read),
    crm(POST, "/crm/v3/properties/{type}/batch/create", "/crm/properties/2026-03/{type}/batch/create", PROPERTIES_WRITE, properties::batch_create),
    crm(POST, "/crm/v3/properties/{type}/batch/archive", "/crm/properties/2026-03/{type}/batch/archive", PROPERTIES_WRITE, properties::batch_archive),

    crm(GET, "/crm/v3/pipelines/{type}", "/crm/pipelines/2026-03/{type}", Access::Pipelines, account::pipelines),
    crm(GET, "/crm/v3/pipelines/{type}/{pipeline}", "/crm/pipelines/2026-03/{type}/{pipeline}", Access::Pipelines, account::pipeline),
    crm(GET, "/crm/v3/pipelines/{type}/{pipeline}/stages", "/crm/pipelines/2026-03/{type}/{pipeline}/stages", Access::Pipelines, account::stages),
    crm(GET, "/crm/v3/pipelines/{type}/{pipeline}/stages/{stage}", "/crm/pipelines/2026-03/{type}/{pipeline}/stages/{stage}", Access::Pipelines, account::stage),
    crm(GET, "/crm/v3/owners", "/crm/owners/2026-03", Access::Owners, account::owners),
    classic(GET, "/crm/v3/owners/", Access::Owners, account::owners),
    crm(GET, "/crm/v3/owners/{id}", "/crm/owners/2026-03/{id}", Access::Owners, account::owner),
    crm(GET, "/crm-object-schemas/v3/schemas", "/crm-object-schemas/2026-03/schemas", Access::Schemas(Mode::Read), account::schemas),
    crm(POST, "/crm-object-schemas/v3/schemas", "/crm-object-schemas/2026-03/schemas", Access::Schemas(Mode::Write), account::create_schema),
    crm(GET, "/crm-object-schemas/v3/schemas/{type}", "/crm-object-schemas/2026-03/schemas/{type}", Access::Schemas(Mode::Read), account::schema),
    crm(GET, "/account-info/v3/details", "/account-info/2026-03/details", Access::Any, account::details),
    crm(GET, "/account-info/v3/api-usage/daily/private-apps", "/account-info/2026-03/api-usage/daily/private-apps", Access::Any, account::daily_usage),

    crm(GET, "/crm/v4/objects/{type}/{id}/associations/{to}", "/crm/objects/2026-03/{type}/{id}/associations/{to}", LINKS_READ, associations::list),
    crm(PUT, "/crm/v4/objects/{type}/{id}/associations/{to}/{toId}", "/crm/objects/2026-03/{type}/{id}/associations/{to}/{toId}", LINKS_WRITE, associations::put),
    crm(DELETE, "/crm/v4/objects/{type}/{id}/associations/{to}/{toId}", "/crm/objects/2026-03/{type}/{id}/associations/{to}/{toId}", LINKS_WRITE, associations::delete),
    crm(PUT, "/crm/v4/objects/{type}/{id}/associations/default/{to}/{toId}", "/crm/objects/2026-03/{type}/{id}/associations/default/{to}/{toId}", LINKS_WRITE, associations::put_default),
    crm(GET, "/crm/v4/associations/{type}/{to}/labels", "/crm/associations/2026-03/{type}/{to}/labels", LINKS_READ, associations::labels),
    crm(POST, "/crm/v4/associations/{type}/{to}/batch/read", "/crm/associations/2026-03/{type}/{to}/batch/read", LINKS_READ, associations::batch_read),
    crm(POST, "/crm/v4/associations/{type}/{to}/batch/create", "/crm/associations/2026-03/{type}/{to}/batch/create", LINKS_WRITE, associations::batch_create),
    crm(POST, "/crm/v4/associations/{type}/{to}/batch/associate/default", "/crm/associations/2026-03/{type}/{to}/batch/associate/default", LINKS_WRITE, associations::batch_default),
    crm(POST, "/crm/v4/associations/{type}/{to}/batch/archive", "/crm/associations/2026-03/{type}/{to}/batch/archive", LINKS_WRITE, associations::batch_archive),
    crm(POST, "/crm/v4/associations/{type}/{to}/batch/labels/archive", "/crm/associations/2026-03/{type}/{to}/batch/labels/archive", LINKS_WRITE, associations::batch_archive_labels),

    internal(GET, "/_sandbox/health", control::health),
    internal(POST, "/_sandbox/seed", control::seed),
    internal(POST, "/_sandbox/create", control::create),
    internal(POST, "/_sandbox/edit", control::edit),
    internal(POST, "/_sandbox/archive", control::archive),
    internal(POST, "/_sandbox/restore", control::restore),
    internal(POST, "/_sandbox/merge", control::merge),
    internal(GET, "/_sandbox/state/{object}", control::state),
    internal(POST, "/_sandbox/settings", control::settings),
    internal(POST, "/_sandbox/clock", control::clock),
    internal(POST, "/_sandbox/revoke", control::revoke),
    internal(POST, "/_sandbox/expire_tokens", control::expire_tokens),
    internal(GET, "/_sandbox/faults", control::faults),
    internal(POST, "/_sandbox/faults", control::add_fault),
    internal(DELETE, "/_sandbox/faults", control::clear_faults),
    internal(GET, "/_sandbox/calls", control::calls),
    internal(DELETE, "/_sandbox/calls", control::clear_calls),
];
