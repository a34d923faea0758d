//! The attribution API: from clicks to payouts, with the addresses, bodies and answers that callers of the open API of this kind
//! know, so that a program moves over by changing a base URL. Errors have the form `{"error": code, "detail"?: …}`.

mod base;
mod budget;
mod caller;
mod clicks;
mod commissions;
mod conversions;
mod events;
mod fields;
mod guards;
mod identify;
mod ingest;
mod ingest_urls;
mod json;
mod keys;
mod ledger;
mod partners;
mod payouts;
mod programs;
mod query;
mod refusal;
mod reports;
mod webhooks;
mod wire;

use std::{any::Any, net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    middleware::{from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
};
use chassis::guard::{Guard, stable_code};
use http::{Extensions, HeaderMap, StatusCode};
use model::OrganizationId;
use moka::future::Cache;
use proto::{attribution::attribution_client::AttributionClient, identity::FindOrganizationRequest};
use tonic::{Code, transport::Channel};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

pub use self::budget::Budget;
use self::{base::Slug, refusal::Refusal};
pub(crate) use self::{
    budget::{Budgets, Holder, client},
    refusal::RefusalBody,
};
use crate::{extract::anonymous, rooms::Rooms};

/// For how long it is remembered which organization has a slug, which never changes.
const SLUG_REMEMBERED_FOR: Duration = Duration::from_secs(600);
const SLUGS_REMEMBERED: u64 = 10_000;

/// What the operations of this API need.
#[derive(Clone)]
pub(crate) struct Surface(Arc<Parts>);

struct Parts {
    rooms: Rooms,
    guard: Guard,
    organizations: Cache<String, OrganizationId>,
    budgets: Budgets,
    identify_budgets: Budgets,
}

impl Surface {
    pub(crate) fn new(rooms: Rooms) -> Self {
        let organizations =
            Cache::builder().max_capacity(SLUGS_REMEMBERED).time_to_live(SLUG_REMEMBERED_FOR).build();
        let budgets = Budgets::new(rooms.config().key_budget);
        let identify_budgets = Budgets::new(rooms.config().identify_budget);
        let guard = Guard::new(rooms.identity_channel());
        Self(Arc::new(Parts { rooms, guard, organizations, budgets, identify_budgets }))
    }

    fn rooms(&self) -> &Rooms {
        &self.0.rooms
    }

    fn attribution(&self) -> AttributionClient<Channel> {
        self.0.rooms.attribution()
    }

    fn guard(&self) -> &Guard {
        &self.0.guard
    }

    fn budgets(&self) -> &Budgets {
        &self.0.budgets
    }

    fn identify_budgets(&self) -> &Budgets {
        &self.0.identify_budgets
    }

    /// Where a request comes from.
    fn client(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        budget::client(self.rooms().config().trusted_proxy, headers, extensions)
    }

    /// The organization with this slug; none when there is none.
    async fn organization(&self, Slug(slug): &Slug) -> Result<Option<OrganizationId>, Refusal> {
        if let Some(known) = self.0.organizations.get(slug).await {
            return Ok(Some(known));
        }
        let request = anonymous(FindOrganizationRequest { slug: slug.clone() });
        let found = match self.rooms().identity().find_organization(request).await {
            Ok(found) => found.into_inner().organization_id.parse::<OrganizationId>(),
            Err(status) if status.code() == Code::NotFound && stable_code(&status).is_some() => {
                return Ok(None);
            }
            Err(status) => return Err(Refusal::of_open_room(&status)),
        };
        let found = found.map_err(|_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error"))?;
        self.0.organizations.insert(slug.clone(), found).await;
        Ok(Some(found))
    }
}

/// The operations that need a key.
fn with_key() -> OpenApiRouter<Surface> {
    OpenApiRouter::new()
        .merge(events::router())
        .merge(clicks::router())
        .merge(partners::router())
        .merge(programs::router())
        .merge(reports::router())
        .merge(commissions::router())
        .merge(payouts::router())
        .merge(ledger::router())
        .merge(keys::router())
        .merge(ingest::router())
        .merge(ingest_urls::router())
        .merge(conversions::router())
        .merge(guards::router())
        .merge(webhooks::router())
}

/// What the operations are, at their addresses without a base.
pub(crate) fn description() -> OpenApi {
    with_key().merge(identify::router()).merge(clicks::redirect()).into_openapi()
}

/// Serves the API at all its bases; whatever is no address of it is answered as the rest of the gateway does.
pub(crate) fn fallback(surface: Surface) -> axum::routing::MethodRouter {
    let with_key = with_key().layer(from_fn_with_state(surface.clone(), budget::of_key));
    let identify = identify::router()
        .layer(from_fn_with_state(surface.clone(), budget::of_address))
        .layer(from_fn(identify::for_every_origin));
    let (inner, _) = with_key.merge(identify).merge(clicks::redirect()).split_for_parts();
    let inner: Router = inner
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(surface.clone(), budget::shown))
        .with_state(surface);
    axum::routing::any(base::enter).with_state(inner)
}

async fn not_found() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "not_found")
}

async fn method_not_allowed() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed")
}

fn panicked(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a request made the gateway panic");
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error").into_response()
}
