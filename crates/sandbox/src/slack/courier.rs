//! The courier: takes what is due to the app and measures how long the app takes.

use std::time::{Duration, Instant};

use axum::body::Body;
use http::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::delivery::{Parcel, Tried};
use super::server::Shared;

/// How often it looks whether time alone has made something due.
const LOOKS: Duration = Duration::from_millis(250);
const ANSWER_BYTES: usize = 1024 * 1024;

type Http = Client<HttpConnector, Body>;

/// Carries until the simulator stops.
pub(crate) async fn carry(shared: Shared) {
    let http: Http = Client::builder(TokioExecutor::new()).build_http();
    let bell = std::sync::Arc::clone(&shared.lock().bell);
    loop {
        let rung = bell.notified();
        tokio::pin!(rung);
        // From here on no ringing is missed, also none from before it is waited for.
        rung.as_mut().enable();
        for parcel in shared.lock().take_due() {
            tokio::spawn(deliver(shared.clone(), http.clone(), parcel));
        }
        tokio::select! {
            () = rung => {}
            goes_on = shared.wait(LOOKS) => if !goes_on { return },
        }
    }
}

async fn deliver(shared: Shared, http: Http, parcel: Parcel) {
    let began = Instant::now();
    let limit = Duration::from_millis(parcel.limit_ms);
    let tried = tokio::select! {
        tried = tokio::time::timeout(limit, post(&http, &parcel)) => tried.unwrap_or(Err("http_timeout")),
        () = shared.stop.cancelled() => return,
    };
    let took_ms = began.elapsed().as_secs_f64() * 1_000.0;
    shared.lock().delivered(parcel, tried, took_ms);
}

async fn post(http: &Http, parcel: &Parcel) -> Tried {
    if !parcel.url.starts_with("http://") {
        // Certificates are not what is simulated here.
        return Err("ssl_error");
    }
    let mut request = Request::post(&parcel.url);
    for (name, value) in &parcel.headers {
        request = request.header(*name, value);
    }
    let request = request.body(Body::from(parcel.body.clone())).map_err(|_| "unknown_error")?;
    let response = http.request(request).await.map_err(|_| "connection_failed")?;
    let status = response.status().as_u16();
    let is_welcome = response.headers().get("x-slack-no-retry").is_none_or(|value| value != "1");
    let body = axum::body::to_bytes(Body::new(response.into_body()), ANSWER_BYTES).await;
    let body = body.map_err(|_| "connection_failed")?;
    Ok((status, is_welcome, String::from_utf8_lossy(&body).into_owned()))
}
