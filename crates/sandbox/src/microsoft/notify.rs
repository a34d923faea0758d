//! Calling the endpoints of subscriptions: their proof, and what they are told.

use std::time::Duration;

use axum::body::Body;
use http::{Method, Request, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use url::Url;
use uuid::Uuid;

use super::server::Shared;
use super::subscriptions::Delivery;

/// How long an endpoint has to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often is looked whether something is due by the simulator's clock.
const LOOK: Duration = Duration::from_millis(50);
/// Of an answer, more is not read.
const ANSWER_MOST: usize = 4_096;
/// For how long a delivery is tried again.
const TRIED_MS: i64 = 4 * 3_600_000;
const FIRST_RETRY_MS: i64 = 10_000;

/// What speaks to endpoints; plain HTTP only.
pub(crate) type Caller = Client<HttpConnector, Body>;

pub(crate) fn caller() -> Caller {
    Client::builder(TokioExecutor::new()).build_http()
}

/// Has endpoints answer with the token they are sent. An error says why one did not.
pub(crate) async fn validate(caller: &Caller, urls: Vec<Url>) -> Result<(), String> {
    for mut url in urls {
        let token = format!(
            "Validation: Testing client application reachability & more. Request-Id: {}",
            Uuid::new_v4()
        );
        url.query_pairs_mut().append_pair("validationToken", &token);
        let (status, content_type, body) =
            post(caller, url.as_str(), "text/plain; charset=utf-8", String::new())
                .await
                .ok_or("Endpoint could not be reached in time.")?;
        if status != 200 {
            return Err(format!("Notification endpoint must respond with 200 OK; it said {status}."));
        }
        if !content_type.starts_with("text/plain") || body != token.as_bytes() {
            return Err("The endpoint must return the validation token as plain text.".to_owned());
        }
    }
    Ok(())
}

async fn post(
    caller: &Caller,
    url: &str,
    content_type: &str,
    body: String,
) -> Option<(u16, String, Vec<u8>)> {
    let request = Request::builder().method(Method::POST).uri(url).header(header::CONTENT_TYPE, content_type);
    let request = request.body(Body::from(body)).ok()?;
    let whole = async {
        let response = caller.request(request).await.ok()?;
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(Body::new(body), ANSWER_MOST).await.ok()?;
        let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        Some((parts.status.as_u16(), content_type.unwrap_or_default().to_owned(), bytes.to_vec()))
    };
    tokio::time::timeout(PATIENCE, whole).await.ok().flatten()
}

/// Tells endpoints what is due until the simulator stops; what one does not take is tried again later.
pub(crate) async fn deliver(shared: Shared, caller: Caller) {
    while shared.wait(LOOK).await {
        for delivery in due(&shared) {
            let answer = tokio::select! {
                answer = post(&caller, &delivery.url, "application/json; charset=utf-8", delivery.body.to_string()) => answer,
                () = shared.stop.cancelled() => return,
            };
            let taken = answer.is_some_and(|(status, ..)| (200..300).contains(&status));
            let mut sim = shared.lock();
            if taken {
                sim.notified += 1;
                continue;
            }
            let now_ms = sim.clock.now_ms();
            let wait_ms = FIRST_RETRY_MS << delivery.attempts.min(10);
            let again = Delivery { due_ms: now_ms + wait_ms, attempts: delivery.attempts + 1, ..delivery };
            if again.due_ms - again.first_ms <= TRIED_MS {
                sim.outgoing.push_back(again);
            }
        }
    }
}

fn due(shared: &Shared) -> Vec<Delivery> {
    let mut sim = shared.lock();
    let now_ms = sim.clock.now_ms();
    let (due, later): (Vec<_>, Vec<_>) =
        std::mem::take(&mut sim.outgoing).into_iter().partition(|delivery| delivery.due_ms <= now_ms);
    sim.outgoing = later.into();
    due
}
