//! Logs, traces and metrics of this process, set up once by the binary.
//!
//! Code elsewhere uses `tracing` for logs and spans and `opentelemetry::global::meter` for metrics. No secret and no
//! personal data belongs in either.

use std::{collections::HashMap, sync::OnceLock};

use opentelemetry::{global, propagation::TextMapPropagator, trace::TracerProvider};
use opentelemetry_otlp::{ExporterBuildError, MetricExporter, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    metrics::SdkMeterProvider,
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracerProvider},
};
use prometheus::{Registry, TextEncoder};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

/// Where the Prometheus text is read from; empty until [`init`].
static REGISTRY: OnceLock<Registry> = OnceLock::new();

/// What talks about itself at level info; the configured filter may say otherwise.
const QUIET: &str = "opentelemetry=warn,opentelemetry_sdk=warn,sqlx::postgres::notice=warn";

/// What this process tells about itself, and to whom.
#[derive(Debug, Clone)]
pub struct TelemetryConfig {
    /// The name under which traces and metrics appear, `accord`.
    pub service: String,
    /// An OTLP collector that takes gRPC, `http://collector:4317`. Without one nothing is sent.
    pub otlp_endpoint: Option<String>,
    /// Logs as one JSON object a line instead of text for people.
    pub json_logs: bool,
    /// Which logs to write, in the form of `RUST_LOG`: `info,bus=debug`.
    pub filter: String,
}

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be understood.
    #[error("read the log filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The collector's address is unusable.
    #[error("set up the export to the OTLP collector: {0}")]
    Otlp(#[from] ExporterBuildError),
    /// The metrics registry refused the exporter.
    #[error("set up the metrics endpoint: {0}")]
    Metrics(String),
    /// It was set up before in this process.
    #[error("set up telemetry: it is set up already")]
    Twice,
}

/// Keeps the export running. [`TelemetryGuard::flush`] at the end sends what is still held back.
#[derive(Debug)]
pub struct TelemetryGuard {
    traces: SdkTracerProvider,
    metrics: SdkMeterProvider,
}

impl TelemetryGuard {
    /// Sends what is still held back and ends the export. A collector that cannot be reached loses it.
    pub fn flush(self) {
        for result in [self.traces.shutdown(), self.metrics.shutdown()] {
            if let Err(error) = result {
                tracing::debug!(%error, "the last telemetry was not delivered");
            }
        }
    }
}

/// Sets up logs on standard error, traces and metrics. Call it once, inside the tokio runtime.
///
/// # Errors
/// When the filter or the collector's address is malformed, or telemetry is set up already.
pub fn init(config: &TelemetryConfig) -> Result<TelemetryGuard, TelemetryError> {
    let filter = EnvFilter::try_new(format!("{QUIET},{}", config.filter))?;
    let resource = Resource::builder().with_service_name(config.service.clone()).build();
    let registry = Registry::new();
    let prometheus = opentelemetry_prometheus::exporter()
        .with_registry(registry.clone())
        .build()
        .map_err(|error| TelemetryError::Metrics(error.to_string()))?;
    let mut metrics = SdkMeterProvider::builder().with_resource(resource.clone()).with_reader(prometheus);
    // Without a collector nothing is recorded, but spans still have ids, so that a trace that began elsewhere goes on.
    let mut traces = SdkTracerProvider::builder().with_resource(resource);
    if let Some(endpoint) = &config.otlp_endpoint {
        let spans = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
        traces = traces.with_batch_exporter(spans);
        metrics = metrics
            .with_periodic_exporter(MetricExporter::builder().with_tonic().with_endpoint(endpoint).build()?);
    } else {
        traces = traces.with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOff)));
    }
    let guard = TelemetryGuard { traces: traces.build(), metrics: metrics.build() };
    let output = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let output = if config.json_logs { output.json().boxed() } else { output.boxed() };
    // How much is logged must not decide what is traced.
    let traced = EnvFilter::try_new(format!("{QUIET},info"))?;
    let spans = tracing_opentelemetry::layer().with_tracer(guard.traces.tracer("accord"));
    tracing_subscriber::registry()
        .with(output.with_filter(filter))
        .with(spans.with_filter(traced))
        .try_init()
        .map_err(|_| TelemetryError::Twice)?;
    REGISTRY.set(registry).map_err(|_| TelemetryError::Twice)?;
    global::set_text_map_propagator(TraceContextPropagator::new());
    global::set_tracer_provider(guard.traces.clone());
    global::set_meter_provider(guard.metrics.clone());
    Ok(guard)
}

/// All metrics of this process in Prometheus' text format; empty when telemetry was not set up.
#[must_use]
pub fn prometheus_text() -> String {
    let families = REGISTRY.get().map(Registry::gather).unwrap_or_default();
    TextEncoder::new().encode_to_string(&families).unwrap_or_else(|error| {
        tracing::error!(%error, "the metrics could not be written as text");
        String::new()
    })
}

/// The W3C `traceparent` of the current span, to be carried in headers and outbox rows. None outside of any span or
/// when telemetry was not set up.
#[must_use]
pub fn current_traceparent() -> Option<String> {
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(&tracing::Span::current().context(), &mut carrier);
    carrier.remove("traceparent")
}
