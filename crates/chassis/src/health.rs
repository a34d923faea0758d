use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use serde_json::json;

/// Whether a service can do its work now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It can.
    Ready,
    /// It cannot, for this reason. It is shown to whoever asks: no secret, no personal data.
    NotReady(String),
}

/// What the services of this process say about themselves. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<BTreeMap<&'static str, Readiness>>>);

impl Health {
    /// A registry in which no service has spoken yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes how the service is. A service names itself first as not ready, so that the process is not taken for
    /// ready before all of it is.
    pub fn set(&self, service: &'static str, readiness: Readiness) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(service, readiness);
    }

    /// How each service is, by name.
    #[must_use]
    pub fn all(&self) -> BTreeMap<&'static str, Readiness> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether at least one service has spoken and all are ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let all = self.all();
        !all.is_empty() && all.values().all(|readiness| *readiness == Readiness::Ready)
    }

    /// `GET /health/live` (this process answers), `GET /health/ready` (200 or 503, and JSON with each service) and
    /// `GET /metrics` (Prometheus text).
    pub fn router(&self) -> Router {
        Router::new()
            .route("/health/live", get(|| async { Json(json!({ "live": true })) }))
            .route("/health/ready", get(ready))
            .route("/metrics", get(metrics))
            .with_state(self.clone())
    }
}

async fn ready(State(health): State<Health>) -> impl IntoResponse {
    let services: BTreeMap<_, _> = health
        .all()
        .into_iter()
        .map(|(service, readiness)| {
            let line = match readiness {
                Readiness::Ready => json!({ "ready": true }),
                Readiness::NotReady(reason) => json!({ "ready": false, "reason": reason }),
            };
            (service, line)
        })
        .collect();
    let ready = health.is_ready();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": ready, "services": services })))
}

async fn metrics() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        crate::telemetry::prometheus_text(),
    )
}
