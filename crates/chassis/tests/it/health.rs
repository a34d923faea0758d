use axum::{
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use chassis::{Health, Readiness};
use tower::ServiceExt;

async fn get(health: &Health, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let answer = health.router().oneshot(request).await.unwrap();
    let status = answer.status();
    let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_process_is_ready_when_every_service_says_so() {
    let health = Health::new();
    assert_eq!(get(&health, "/health/ready").await.0, StatusCode::SERVICE_UNAVAILABLE);
    health.set("audit", Readiness::Ready);
    health.set("sync-engine", Readiness::NotReady("migrating".to_owned()));
    let (status, body) = get(&health, "/health/ready").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        body,
        r#"{"ready":false,"services":{"audit":{"ready":true},"sync-engine":{"ready":false,"reason":"migrating"}}}"#
    );
    health.set("sync-engine", Readiness::Ready);
    assert_eq!(get(&health, "/health/ready").await.0, StatusCode::OK);
    assert_eq!(get(&health, "/health/live").await.0, StatusCode::OK);
}

/// The only test that sets telemetry up: it can be set up once in a process.
#[tokio::test]
async fn metrics_are_served_as_prometheus_text_and_spans_carry_a_traceparent() {
    use chassis::telemetry;
    let config = telemetry::TelemetryConfig {
        service: "accord".to_owned(),
        otlp_endpoint: None,
        json_logs: true,
        filter: "info".to_owned(),
    };
    let guard = telemetry::init(&config).unwrap();
    assert!(telemetry::init(&config).is_err());
    opentelemetry::global::meter("test").u64_counter("stories_told").build().add(3, &[]);
    let (status, body) = get(&Health::new(), "/metrics").await;
    assert_eq!(status, StatusCode::OK);
    assert!(
        body.lines().any(|line| line.starts_with("stories_told_total") && line.ends_with(" 3")),
        "{body}"
    );
    assert_eq!(telemetry::current_traceparent(), None);
    let span = tracing::info_span!("outer");
    let outer = span.in_scope(telemetry::current_traceparent).unwrap();
    let inner =
        span.in_scope(|| tracing::info_span!("inner").in_scope(telemetry::current_traceparent)).unwrap();
    assert_eq!(outer.split('-').nth(1), inner.split('-').nth(1), "one trace");
    assert_ne!(outer.split('-').nth(2), inner.split('-').nth(2), "two spans");
    guard.flush();
}
