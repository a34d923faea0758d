//! How many requests each caller may make: fixed windows, counted in this process.

use std::{
    collections::HashMap,
    fmt::Write,
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    extract::{ConnectInfo, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use chassis::guard::{Credential, digest};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use super::{Surface, refusal::Refusal};

const SHARDS: usize = 16;
/// How many callers a shard remembers. When more come within one window, the shard begins anew: its callers get more than
/// their budget, and the memory stays bounded.
const CALLERS_OF_A_SHARD: usize = 16_384;

/// How much a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Requests within a window.
    pub requests: u32,
    /// The length of a window.
    pub window: Duration,
}

impl Budget {
    /// Of a key: 600 requests in five minutes, as callers of this API know it.
    pub const OF_A_KEY: Self = Self { requests: 600, window: Duration::from_secs(300) };
    /// Of an address that identifies: 120 requests a minute.
    pub const OF_AN_ADDRESS: Self = Self { requests: 120, window: Duration::from_secs(60) };
}

/// Whose budget.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    Key([u8; 32]),
    Address(IpAddr),
    /// The end has no address: tests, and sockets of the machine itself.
    Nobody,
}

#[derive(Clone, Copy, Debug)]
struct Spent {
    since: Instant,
    requests: u32,
}

/// What is left after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) allowed: bool,
    remaining: u32,
    pub(crate) reset_seconds: u64,
}

/// The budgets of all callers of one kind.
#[derive(Debug)]
pub(crate) struct Budgets {
    budget: Budget,
    shards: [Mutex<HashMap<Holder, Spent>>; SHARDS],
    hasher: RandomState,
}

impl Budgets {
    pub(crate) fn new(budget: Budget) -> Self {
        Self { budget, shards: Default::default(), hasher: RandomState::new() }
    }

    fn shard(&self, holder: &Holder) -> &Mutex<HashMap<Holder, Spent>> {
        &self.shards[usize::try_from(self.hasher.hash_one(holder)).unwrap_or_default() % SHARDS]
    }

    /// Takes one request of what a caller has.
    pub(crate) fn spend(&self, holder: Holder, now: Instant) -> Left {
        let Budget { requests: limit, window } = self.budget;
        let mut shard = self.shard(&holder).lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |spent: &Spent| now.saturating_duration_since(spent.since) >= window;
        if shard.len() >= CALLERS_OF_A_SHARD && !shard.contains_key(&holder) {
            shard.retain(|_, spent| !is_over(spent));
            if shard.len() >= CALLERS_OF_A_SHARD {
                shard.clear();
            }
        }
        let spent = shard.entry(holder).or_insert(Spent { since: now, requests: 0 });
        if is_over(spent) {
            *spent = Spent { since: now, requests: 0 };
        }
        let allowed = spent.requests < limit;
        spent.requests = spent.requests.saturating_add(u32::from(allowed));
        let left = window.saturating_sub(now.saturating_duration_since(spent.since));
        Left { allowed, remaining: limit - spent.requests, reset_seconds: left.as_secs_f64().ceil() as u64 }
    }

    /// What a caller has, of which nothing is taken.
    fn look(&self, holder: &Holder, now: Instant) -> Left {
        let Budget { requests: limit, window } = self.budget;
        let spent = self.shard(holder).lock().unwrap_or_else(PoisonError::into_inner).get(holder).copied();
        let is_now = |spent: &Spent| now.saturating_duration_since(spent.since) < window;
        let Spent { since, requests } = spent.filter(is_now).unwrap_or(Spent { since: now, requests: 0 });
        let left = window.saturating_sub(now.saturating_duration_since(since));
        let remaining = limit.saturating_sub(requests);
        Left { allowed: remaining > 0, remaining, reset_seconds: left.as_secs_f64().ceil() as u64 }
    }

    fn note(&self, left: Left, response: &mut Response) {
        let Budget { requests: limit, window } = self.budget;
        let Left { remaining, reset_seconds: reset, .. } = left;
        let headers = response.headers_mut();
        set(headers, "ratelimit-policy", format_args!("{limit};w={}", window.as_secs()));
        set(headers, "ratelimit", format_args!("limit={limit}, remaining={remaining}, reset={reset}"));
    }

    async fn guard(&self, holder: Holder, request: Request, next: Next) -> Response {
        // A browser's question whether it may ask costs nothing.
        if request.method() == Method::OPTIONS {
            return next.run(request).await;
        }
        let left = self.spend(holder, Instant::now());
        let mut response = match left.allowed {
            true => next.run(request).await,
            false => {
                let wait = HeaderValue::from(left.reset_seconds.max(1));
                let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited");
                ([(header::RETRY_AFTER, wait)], refusal).into_response()
            }
        };
        self.note(left, &mut response);
        response
    }
}

fn set(headers: &mut HeaderMap, name: &'static str, value: std::fmt::Arguments<'_>) {
    let mut text = String::with_capacity(48);
    let _infallible = text.write_fmt(value);
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// Counts a request for its key, or for its address where it has none.
pub(super) async fn of_key(State(surface): State<Surface>, request: Request, next: Next) -> Response {
    let holder = holder(&surface, &request);
    surface.budgets().guard(holder, request, next).await
}

/// Says on every other answer what the caller has left; links, and addresses of nothing, cost nothing.
pub(super) async fn shown(State(surface): State<Surface>, request: Request, next: Next) -> Response {
    let holder = holder(&surface, &request);
    let mut response = next.run(request).await;
    if !response.headers().contains_key("ratelimit") {
        let left = surface.budgets().look(&holder, Instant::now());
        surface.budgets().note(left, &mut response);
    }
    response
}

fn holder(surface: &Surface, request: &Request) -> Holder {
    match Credential::from_headers(request.headers()) {
        Ok(credential) => Holder::Key(digest(credential.secret())),
        Err(_) => Holder::of(surface.client(request.headers(), request.extensions())),
    }
}

/// Counts an identify for the address that it comes from.
pub(super) async fn of_address(State(surface): State<Surface>, request: Request, next: Next) -> Response {
    let holder = Holder::of(surface.client(request.headers(), request.extensions()));
    surface.identify_budgets().guard(holder, request, next).await
}

impl Holder {
    /// One network of IPv6 is one caller: everybody has 2^64 addresses.
    pub(crate) fn of(address: Option<IpAddr>) -> Self {
        match address.map(|address| address.to_canonical()) {
            Some(IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                Self::Address(IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)))
            }
            Some(address) => Self::Address(address),
            None => Self::Nobody,
        }
    }
}

/// Where a request comes from: the last hop that a proxy of ours noted, because callers can write the others.
pub(crate) fn client(trusted_proxy: bool, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
    let noted = || headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok();
    let noted = if trusted_proxy { noted() } else { None };
    let noted = noted.and_then(|hops| hops.rsplit(',').next()?.trim().parse().ok());
    noted.or_else(|| extensions.get().map(|ConnectInfo::<std::net::SocketAddr>(peer)| peer.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Budget = Budget { requests: 3, window: Duration::from_secs(10) };

    #[test]
    fn a_budget_is_spent_and_is_whole_again_in_the_next_window() {
        let (budgets, start) = (Budgets::new(BUDGET), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let key = || Holder::Key([1; 32]);
        for remaining in [2, 1, 0] {
            let left = budgets.spend(key(), at(0));
            assert_eq!(left, Left { allowed: true, remaining, reset_seconds: 10 });
        }
        assert_eq!(budgets.spend(key(), at(4)), Left { allowed: false, remaining: 0, reset_seconds: 6 });
        assert!(budgets.spend(Holder::Key([2; 32]), at(4)).allowed);
        assert_eq!(budgets.spend(key(), at(10)), Left { allowed: true, remaining: 2, reset_seconds: 10 });
    }

    #[test]
    fn however_many_callers_come_the_memory_stays_bounded() {
        let (budgets, now) = (Budgets::new(BUDGET), Instant::now());
        for caller in 0..u32::try_from(SHARDS * CALLERS_OF_A_SHARD * 2).unwrap() {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&caller.to_le_bytes());
            budgets.spend(Holder::Key(key), now);
        }
        for shard in &budgets.shards {
            assert!(shard.lock().unwrap().len() <= CALLERS_OF_A_SHARD);
        }
    }

    #[test]
    fn a_network_of_ipv6_is_one_caller_and_a_mapped_address_is_its_own() {
        let holder = |text: &str| Holder::of(Some(text.parse().unwrap()));
        assert_eq!(holder("2001:db8:1:2::1"), holder("2001:db8:1:2:ffff::9"));
        assert_ne!(holder("2001:db8:1:2::1"), holder("2001:db8:1:3::1"));
        assert_eq!(holder("::ffff:192.0.2.1"), holder("192.0.2.1"));
    }
}
