//! Rate limits: a rolling ten-second budget per app and portal, five searches a second per portal.

use std::collections::{HashMap, VecDeque};

use http::StatusCode;
use serde_json::json;
use uuid::Uuid;

use super::Tier;
use super::auth::Caller;
use super::errors::Failure;
use super::routes::Class;

const WINDOW_MS: i64 = 10_000;
const SECOND_MS: i64 = 1_000;
const DAY_MS: i64 = 86_400_000;
const PUBLIC_APP_BURST: usize = 110;
const SEARCHES_PER_SECOND: u32 = 5;

/// Response headers that tell a client what is left.
pub(crate) type Headers = Vec<(&'static str, String)>;

/// Requests counted so far. Refused requests do not count.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    bursts: HashMap<(u64, u64), VecDeque<i64>>,
    searches: HashMap<u64, (i64, u32)>,
    days: HashMap<(u64, u64), (i64, u64)>,
}

impl Limits {
    /// Counts a call, or refuses it with the vendor's 429.
    pub(crate) fn admit(
        &mut self,
        class: Class,
        caller: &Caller,
        tier: Tier,
        now_ms: i64,
    ) -> Result<Headers, Failure> {
        if class == Class::Search {
            return self.admit_search(caller.portal_id, now_ms);
        }
        let mut headers = self.admit_burst(caller, tier, now_ms)?;
        if caller.private {
            headers.extend(self.admit_daily(caller, tier, now_ms)?);
        }
        Ok(headers)
    }

    fn admit_search(&mut self, portal: u64, now_ms: i64) -> Result<Headers, Failure> {
        let exempt = ("x-hubspot-rate-limit-exemptions", "ten-secondly".to_owned());
        let second = now_ms.div_euclid(SECOND_MS);
        let window = self.searches.entry(portal).or_insert((second, 0));
        if window.0 != second {
            *window = (second, 0);
        }
        if window.1 >= SEARCHES_PER_SECOND {
            let mut failure = refusal("SECONDLY", "secondly");
            failure.headers.push(exempt);
            return Err(failure);
        }
        window.1 += 1;
        Ok(vec![exempt])
    }

    fn admit_burst(&mut self, caller: &Caller, tier: Tier, now_ms: i64) -> Result<Headers, Failure> {
        let most = match (caller.private, tier) {
            (false, _) => PUBLIC_APP_BURST,
            (true, Tier::Free | Tier::Starter) => 100,
            (true, Tier::Professional | Tier::Enterprise) => 190,
        };
        let window = self.bursts.entry((caller.portal_id, caller.app_id)).or_default();
        while window.front().is_some_and(|at| *at <= now_ms - WINDOW_MS) {
            window.pop_front();
        }
        let refused = window.len() >= most;
        if !refused {
            window.push_back(now_ms);
        }
        let headers = vec![
            ("x-hubspot-ratelimit-max", most.to_string()),
            ("x-hubspot-ratelimit-remaining", (most - window.len()).to_string()),
            ("x-hubspot-ratelimit-interval-milliseconds", WINDOW_MS.to_string()),
            ("x-hubspot-ratelimit-secondly", (most / 10).to_string()),
            ("x-hubspot-ratelimit-secondly-remaining", (most / 10).to_string()),
        ];
        if refused {
            let mut failure = refusal("TEN_SECONDLY_ROLLING", "ten_secondly_rolling");
            failure.headers = headers;
            return Err(failure);
        }
        Ok(headers)
    }

    fn admit_daily(&mut self, caller: &Caller, tier: Tier, now_ms: i64) -> Result<Headers, Failure> {
        let most: u64 = match tier {
            Tier::Free | Tier::Starter => 250_000,
            Tier::Professional => 625_000,
            Tier::Enterprise => 1_000_000,
        };
        let day = now_ms.div_euclid(DAY_MS);
        let count = self.days.entry((caller.portal_id, caller.app_id)).or_insert((day, 0));
        if count.0 != day {
            *count = (day, 0);
        }
        if count.1 >= most {
            return Err(refusal("DAILY", "daily"));
        }
        count.1 += 1;
        Ok(vec![
            ("x-hubspot-ratelimit-daily", most.to_string()),
            ("x-hubspot-ratelimit-daily-remaining", (most - count.1).to_string()),
        ])
    }
}

/// The vendor's 429.
pub(crate) fn refusal(policy: &str, word: &str) -> Failure {
    let body = json!({
        "status": "error",
        "message": format!("You have reached your {word} limit."),
        "errorType": "RATE_LIMIT",
        "policyName": policy,
        "requestId": Uuid::new_v4().to_string(),
        "groupName": "publicapi:crm",
    });
    Failure { status: StatusCode::TOO_MANY_REQUESTS, body, headers: Vec::new() }
}
