//! What serving a simulated vendor takes, whichever vendor it is: one lock, connections that faults end, a stop.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::wiretap::{Scissors, Wires};

const SLOW_MS: u64 = 1_000;
const HANG_MS: u64 = 30_000;
/// How long the first half of a cut body has to leave the process.
const CUT_AFTER: Duration = Duration::from_millis(20);
/// How long a shutdown waits for clients that are in the middle of a call.
const LAST_ANSWERS: Duration = Duration::from_secs(2);
const MINUTE: Duration = Duration::from_secs(60);
/// How often the pace is looked at while nobody edits.
const IDLE: Duration = Duration::from_millis(500);

/// A control call that the simulator refused.
#[derive(Debug, thiserror::Error)]
#[error("control the sandbox: {status} {body}")]
pub struct ControlError {
    /// The HTTP status the control API would have answered with.
    pub status: u16,
    /// The vendor-style error body.
    pub body: Value,
}

/// The answer of a control call as its caller in this process takes it.
pub(crate) fn read(body: &Bytes) -> Result<Value, ControlError> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(body)
        .map_err(|error| ControlError { status: 500, body: json!({"message": error.to_string()}) })
}

/// A simulator as its tasks share it.
#[derive(Debug)]
pub(crate) struct Shared<S> {
    sim: Arc<Mutex<S>>,
    /// Asked to stop.
    pub(crate) stop: CancellationToken,
    /// Has stopped.
    done: CancellationToken,
}

impl<S> Clone for Shared<S> {
    fn clone(&self) -> Self {
        Self { sim: Arc::clone(&self.sim), stop: self.stop.clone(), done: self.done.clone() }
    }
}

impl<S> Shared<S> {
    pub(crate) fn new(sim: S) -> Self {
        let (stop, done) = (CancellationToken::new(), CancellationToken::new());
        Self { sim: Arc::new(Mutex::new(sim)), stop, done }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, S> {
        self.sim.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits; false when the simulator stops first.
    pub(crate) async fn wait(&self, duration: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(duration) => true,
            () = self.stop.cancelled() => false,
        }
    }

    /// Has the vendor's users `edit` at their `pace`, so many times a minute, until the simulator stops.
    pub(crate) async fn live(&self, pace: impl Fn(&S) -> u32, mut edit: impl FnMut(&mut S)) {
        loop {
            let pace = pace(&self.lock());
            let pause = if pace == 0 { IDLE } else { MINUTE / pace };
            if !self.wait(pause).await {
                return;
            }
            if pace > 0 {
                edit(&mut self.lock());
            }
        }
    }

    /// What `slow` does before the call.
    pub(crate) async fn dawdle(&self, delay_ms: Option<u64>) {
        self.wait(Duration::from_millis(delay_ms.unwrap_or(SLOW_MS))).await;
    }

    /// What `timeout_after_apply` answers: nothing for long, then the end of the connection.
    pub(crate) async fn hang(&self, delay_ms: Option<u64>, scissors: &Scissors) -> Response {
        self.wait(Duration::from_millis(delay_ms.unwrap_or(HANG_MS))).await;
        hang_up(scissors)
    }

    /// Serves until it is stopped; at the end `close` puts the state away.
    pub(crate) async fn serve(
        self,
        vendor: &'static str,
        listener: TcpListener,
        router: Router,
        close: impl FnOnce(&mut S) -> std::io::Result<()>,
    ) {
        let service = router.into_make_service_with_connect_info::<Scissors>();
        let (stop, stopped) = (self.stop.clone(), self.stop.clone());
        let serving = axum::serve(Wires(listener), service)
            .with_graceful_shutdown(async move { stop.cancelled().await })
            .into_future();
        let patience = async move {
            stopped.cancelled().await;
            tokio::time::sleep(LAST_ANSWERS).await;
        };
        tokio::select! {
            served = serving => if let Err(error) = served {
                tracing::error!(%error, "the {vendor} sandbox stopped serving");
            },
            () = patience => {}
        }
        if let Err(error) = close(&mut self.lock()) {
            tracing::error!(%error, "the sandbox's state file could not be rewritten");
        }
        self.done.cancel();
    }

    /// Stops serving, ends held connections and waits until the state is put away.
    pub(crate) async fn shutdown(&self) {
        self.stop.cancel();
        self.done.cancelled().await;
    }
}

/// Ends the connection without an answer.
pub(crate) fn hang_up(scissors: &Scissors) -> Response {
    scissors.cut();
    Response::new(Body::empty())
}

/// An answer of these parts.
pub(crate) fn answer(
    (status, content_type, body): (StatusCode, &'static str, Bytes),
    headers: impl IntoIterator<Item = (&'static str, String)>,
) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let map = response.headers_mut();
    map.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            map.insert(HeaderName::from_static(name), value);
        }
    }
    response
}

/// With the time of the simulator's clock, by which its records are stamped.
pub(crate) fn dated(mut response: Response, now_ms: i64) -> Response {
    let now = Timestamp::from_millisecond(now_ms).unwrap_or_default();
    let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    if let Ok(date) = HeaderValue::from_str(&date) {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

/// What a gateway in front of the vendor answers when it cannot reach it.
pub(crate) fn bad_gateway(server: &str) -> String {
    gateway_page(StatusCode::BAD_GATEWAY, server)
}

/// The page of a gateway that answers in the vendor's stead: `502 Bad Gateway`.
pub(crate) fn gateway_page(status: StatusCode, server: &str) -> String {
    format!(
        "<html>\r\n<head><title>{status}</title></head>\r\n<body>\r\n\
         <center><h1>{status}</h1></center>\r\n<hr><center>{server}</center>\r\n</body>\r\n</html>"
    )
}

/// Promises the whole body and sends half of it.
pub(crate) async fn cut(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let whole = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len().max(2)));
    let half = whole.slice(..whole.len() / 2);
    let end = async {
        tokio::time::sleep(CUT_AFTER).await;
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
    };
    let first = futures::stream::iter([Ok::<Bytes, std::io::Error>(half)]);
    let body = Body::from_stream(futures::StreamExt::chain(first, futures::stream::once(end)));
    Response::from_parts(parts, body)
}
