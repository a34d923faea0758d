use opentelemetry::{
    KeyValue, global,
    metrics::{Counter, Gauge},
};

/// The instruments of the bus, in the process's global meter.
pub(crate) struct Metrics {
    published: Counter<u64>,
    consumed: Counter<u64>,
    dead_lettered: Counter<u64>,
    outbox_depth: Gauge<u64>,
    outbox_lag: Gauge<f64>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let meter = global::meter("accord.bus");
        let metrics = Self {
            published: meter
                .u64_counter("accord_bus_published")
                .with_description("messages that a stream has acknowledged")
                .build(),
            consumed: meter
                .u64_counter("accord_bus_consumed")
                .with_description("deliveries handed to a consumer, repeats included")
                .build(),
            dead_lettered: meter
                .u64_counter("accord_bus_dead_lettered")
                .with_description("deliveries that will not be retried")
                .build(),
            outbox_depth: meter
                .u64_gauge("accord_bus_outbox_depth")
                .with_description("rows in the outbox that wait for the relay")
                .build(),
            outbox_lag: meter
                .f64_gauge("accord_bus_outbox_lag_seconds")
                .with_description("age of the oldest row in the outbox")
                .build(),
        };
        // Whoever watches it grow sees it before it does.
        metrics.dead_lettered.add(0, &[]);
        metrics
    }

    pub(crate) fn published(&self, stream: &'static str, count: usize) {
        self.published.add(count as u64, &[KeyValue::new("stream", stream)]);
    }

    pub(crate) fn consumed(&self, consumer: &str, count: usize) {
        self.consumed.add(count as u64, &[KeyValue::new("consumer", consumer.to_owned())]);
    }

    pub(crate) fn dead_lettered(&self, consumer: &str, reason: &str) {
        let labels =
            [KeyValue::new("consumer", consumer.to_owned()), KeyValue::new("reason", reason.to_owned())];
        self.dead_lettered.add(1, &labels);
    }

    pub(crate) fn outbox(&self, name: &str, depth: u64, lag_seconds: f64) {
        let label = [KeyValue::new("outbox", name.to_owned())];
        self.outbox_depth.record(depth, &label);
        self.outbox_lag.record(lag_seconds, &label);
    }
}
