use jiff::Timestamp;

/// Where "now" comes from. Time is a parameter everywhere, so that tests and the simulator can own it.
pub trait Clock: Send + Sync + 'static {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// The machine's clock: the only place that reads it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one real clock behind the trait")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
