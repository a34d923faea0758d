use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Asks again and again, every 10 milliseconds, until there is an answer.
///
/// # Panics
/// With `what` when the deadline passes without one.
#[track_caller]
pub fn eventually<T, F>(deadline: Duration, what: &str, mut ask: impl FnMut() -> F) -> impl Future<Output = T>
where
    F: Future<Output = Option<T>>,
{
    let caller = std::panic::Location::caller();
    async move {
        let end = Instant::now() + deadline;
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            assert!(Instant::now() < end, "{what}: not within {deadline:?}, waited for at {caller}");
            sleep(Duration::from_millis(10)).await;
        }
    }
}
