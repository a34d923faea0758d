use utoipa::{
    Modify, OpenApi,
    openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use crate::{api, attribution, failure::ErrorBody};

/// Where the operations begin.
pub(crate) const PREFIX: &str = "/api/v1";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Accord API",
        description = "Records of the partner workspace, connections to vendors, mappings, the audit log and access. \
                       Every answer that is no success has the form `{\"error\": {\"code\", \"message\", \"field\"?}}`; \
                       `code` is stable. Those of the attribution API have the form `{\"error\": code, \"detail\"?}`; it is served \
                       below `/api`, `/`, `/t/{slug}` and `/api/t/{slug}` alike, where the slug is that of the key's organization.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "records", description = "Partners, companies, deals, contacts and leads"),
        (name = "connections", description = "Authorized links to vendors"),
        (name = "mappings", description = "Which objects and fields are kept in sync, and how"),
        (name = "review", description = "Conflicts that policies decided, and records that could not be synced"),
        (name = "audit", description = "The append-only, hash-chained record of everything"),
        (name = "crm", description = "Deals that partners register, what happened with records, and mails to many"),
        (name = "attribution", description = "From clicks to payouts, as callers of the open API of this kind know it"),
        (name = "access", description = "People, roles and keys"),
    ),
    components(schemas(ErrorBody, attribution::RefusalBody)),
    security(("bearer" = []), ("integration_key" = [])),
    modifiers(&SecuritySchemes),
)]
pub(crate) struct ApiDoc;

struct SecuritySchemes;

impl Modify for SecuritySchemes {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An API key `ak_…`, or a session `as_…`"))
            .build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        let description = "An integration key of a sibling product, `ik_…`";
        let key = ApiKeyValue::with_description("X-Integration-Key", description);
        components.add_security_scheme("integration_key", SecurityScheme::ApiKey(ApiKey::Header(key)));
    }
}

/// The API's description in OpenAPI 3.1, as it is served at `/api/openapi.json`.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let (_, openapi) = documented().split_for_parts();
    with_attribution(openapi)
}

/// The same with the attribution API, which is served at other bases as well.
pub(crate) fn with_attribution(openapi: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    openapi.nest("/api", attribution::description())
}

/// All operations below their prefix, and their description.
pub(crate) fn documented() -> utoipa_axum::router::OpenApiRouter<crate::rooms::Rooms> {
    utoipa_axum::router::OpenApiRouter::with_openapi(ApiDoc::openapi()).nest(PREFIX, api::router())
}
