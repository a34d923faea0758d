//! How often vendors may tell that something is new. Nobody signs in there: an address that was answered before is a watch, and
//! whoever asks for others is counted by where they come from.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use moka::future::Cache;
use opentelemetry::{KeyValue, global, metrics::Counter};
use sha2::{Digest, Sha256};

use crate::{
    attribution::{Budget, Budgets, Holder, client},
    failure::ApiError,
};

const MINUTE: Duration = Duration::from_secs(60);
/// Of a watch: a mailbox that gets twenty mails a second. It comes from as many addresses as the vendor likes.
const OF_A_WATCH: Budget = Budget { requests: 1_200, window: MINUTE };
/// Of an address, for what is not known to be a watch: a vendor's tells of many that began since this process did.
const OF_A_STRANGER: Budget = Budget { requests: 300, window: MINUTE };
/// How many watches are known; of more, those that were quiet for longest are strangers again.
const WATCHES: u64 = 65_536;
/// For how long a watch is known after it was last heard of.
const KNOWN_FOR: Duration = Duration::from_secs(24 * 3600);

/// What was asked of `/push/` within the last minute.
#[derive(Debug)]
pub(crate) struct Pace {
    watches: Budgets,
    strangers: Budgets,
    /// Digests of the paths that were answered well.
    known: Cache<[u8; 32], ()>,
    held_back: Counter<u64>,
    trusted_proxy: bool,
}

impl Pace {
    pub(crate) fn new(trusted_proxy: bool) -> Arc<Self> {
        let what = "requests to addresses of watches that were too many, by whose they were";
        let held_back =
            global::meter("gateway").u64_counter("accord_push_held_back").with_description(what).build();
        held_back.add(0, &[]);
        Arc::new(Self {
            watches: Budgets::new(OF_A_WATCH),
            strangers: Budgets::new(OF_A_STRANGER),
            known: Cache::builder().max_capacity(WATCHES).time_to_idle(KNOWN_FOR).build(),
            held_back,
            trusted_proxy,
        })
    }
}

/// Holds back what is too much of one watch, or of one address that names none.
pub(crate) async fn of_pushes(State(pace): State<Arc<Pace>>, request: Request, next: Next) -> Response {
    let watch: [u8; 32] = Sha256::digest(request.uri().path()).into();
    let is_known = pace.known.get(&watch).await.is_some();
    let (left, whose) = if is_known {
        (pace.watches.spend(Holder::Key(watch), Instant::now()), "watch")
    } else {
        let from = client(pace.trusted_proxy, request.headers(), request.extensions());
        (pace.strangers.spend(Holder::of(from), Instant::now()), "stranger")
    };
    if !left.allowed {
        pace.held_back.add(1, &[KeyValue::new("whose", whose)]);
        let message = "Too many requests. Try again later.";
        let refusal = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", message);
        let wait = HeaderValue::from(left.reset_seconds.max(1));
        return ([(header::RETRY_AFTER, wait)], refusal).into_response();
    }
    let response = next.run(request).await;
    // A handshake, which anybody can ask for, makes none known.
    if !is_known && response.status() == StatusCode::ACCEPTED {
        pace.known.insert(watch, ()).await;
    }
    response
}
