use std::any::Any;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use opentelemetry::propagation::Extractor;
use tower_http::{
    catch_panic::CatchPanicLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    set_header::SetResponseHeaderLayer,
    trace::TraceLayer,
};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::{
    Config, Error, attribution, failure::ApiError, inward, oauth, openapi, opt_out, pace, pages, rooms::Rooms,
};

/// The largest body that is read, in bytes.
const LARGEST_BODY: usize = 1024 * 1024;

/// The gateway as a router, to be served by whoever has a listener.
///
/// # Errors
/// A room's address is no address.
pub fn app(config: Config) -> Result<Router, Error> {
    let rooms = Rooms::try_new(config)?;
    let (api, description) = openapi::documented().split_for_parts();
    let description = openapi::with_attribution(description);
    let index = pages::index(&description, &rooms);
    let description = description.to_json().unwrap_or_default();
    let surface = attribution::Surface::new(rooms.clone());
    let pace = pace::Pace::new(rooms.config().trusted_proxy);
    let router = api
        .route("/api/openapi.json", get(|| async move { pages::json(description) }))
        .route("/llms.txt", get(|| async move { index }))
        .route("/", get(pages::root))
        .route("/oauth/start", get(oauth::start))
        .route("/oauth/callback/{vendor}", get(oauth::callback))
        .route("/slack/interactions", post(inward::slack))
        .route("/slack/events", post(inward::slack))
        .route(
            "/push/{vendor}/{watch}",
            post(inward::push).route_layer(from_fn_with_state(pace, pace::of_pushes)),
        )
        .route("/opt-out", get(opt_out::ask).post(opt_out::opt_out))
        .fallback_service(attribution::fallback(surface))
        .method_not_allowed_fallback(pages::method_not_allowed)
        .with_state(rooms)
        .layer(DefaultBodyLimit::max(LARGEST_BODY));
    Ok(router
        .layer(CatchPanicLayer::custom(panicked))
        .layer(SetResponseHeaderLayer::if_not_present(
            header::CACHE_CONTROL,
            HeaderValue::from_static("no-store"),
        ))
        .layer(SetResponseHeaderLayer::overriding(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(TraceLayer::new_for_http().make_span_with(span))
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid)))
}

fn panicked(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a request made the gateway panic");
    let message = "Something went wrong here. It was logged.";
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message).into_response()
}

/// The span of a request: its method and path, never its query, which may hold a ticket or somebody's name.
fn span(request: &Request) -> tracing::Span {
    let id = request.headers().get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    let span = tracing::info_span!(
        "request", method = %request.method(), path = request.uri().path(), request_id = id
    );
    let parent = opentelemetry::global::get_text_map_propagator(|propagator| {
        propagator.extract(&Headers(request.headers()))
    });
    // Without telemetry there is nothing to set it on.
    let _without_telemetry = span.set_parent(parent);
    span
}

struct Headers<'r>(&'r HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}
