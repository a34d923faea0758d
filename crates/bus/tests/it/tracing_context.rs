use bus::{
    ack_all,
    outbox::{self, Relay},
    subject,
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use opentelemetry::{
    Context,
    trace::{TraceContextExt, TracerProvider},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracerProvider, Span, SpanData, SpanProcessor},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::SubscriberExt;

use crate::{change, connect, reader, record, room, take};

/// Keeps every span that ended.
#[derive(Clone, Debug, Default)]
struct Ended(Arc<Mutex<Vec<SpanData>>>);

impl SpanProcessor for Ended {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.0.lock().unwrap().push(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[tokio::test]
async fn the_trace_goes_on_across_the_bus_and_the_outbox() {
    let ended = Ended::default();
    let provider = SdkTracerProvider::builder().with_span_processor(ended.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let _subscriber = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    let (nats, database) = (testkit::nats().await, testkit::database().await);
    let (bus, pool) = (connect(&nats).await, room(&database, "room").await);

    let span = tracing::info_span!("the edit");
    let edit = span.context().span().span_context().trace_id().to_string();
    async {
        bus.publish(&change(1)).await.unwrap();
        let mut tx = pool.begin().await.unwrap();
        outbox::enqueue(&mut tx, &[record(2)]).await.unwrap();
        tx.commit().await.unwrap();
    }
    .instrument(span)
    .await;
    let shutdown = CancellationToken::new();
    let relay = tokio::spawn(Relay::new(pool, bus.clone(), "test").run(shutdown.clone()));

    let handling = tracing::info_span!("the handling of a batch");
    for stream in [subject::CHANGES, subject::EVENTS] {
        let mut consumer = bus.consumer(reader(stream)).await.unwrap();
        let got = take(&mut consumer, 1).await;
        assert!(got[0].message.envelope.traceparent.as_deref().unwrap().contains(&edit), "{stream}");
        got[0].message.envelope.link_to(&handling);
        ack_all(got).await.unwrap();
    }
    drop(handling);
    shutdown.cancel();
    relay.await.unwrap();
    let spans = ended.0.lock().unwrap();
    let handling = spans.iter().find(|span| span.name == "the handling of a batch").unwrap();
    assert_eq!(handling.links.len(), 2);
    assert!(handling.links.iter().all(|link| link.span_context.trace_id().to_string() == edit));
}
