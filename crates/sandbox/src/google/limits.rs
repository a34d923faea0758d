//! Quotas: calls of a user within a sliding minute, for each API.

use std::collections::{HashMap, VecDeque};

use http::StatusCode;

use super::Settings;
use super::errors::{Failure, Style};

const WINDOW_MS: i64 = 60_000;

/// Calls counted so far. Refused calls do not count.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    windows: HashMap<(String, bool), VecDeque<i64>>,
}

impl Limits {
    /// Counts a call, or refuses it.
    pub(crate) fn admit(
        &mut self,
        settings: &Settings,
        email: &str,
        style: Style,
        now_ms: i64,
    ) -> Result<(), Failure> {
        if !settings.rate_limits {
            return Ok(());
        }
        let meet = style == Style::Modern;
        let window = self.windows.entry((email.to_owned(), meet)).or_default();
        while window.front().is_some_and(|at| *at <= now_ms - WINDOW_MS) {
            window.pop_front();
        }
        if window.len() >= settings.calls_per_minute {
            let forbidden = !meet && settings.quota_status == 403;
            return Err(Failure::rate(if forbidden {
                StatusCode::FORBIDDEN
            } else {
                StatusCode::TOO_MANY_REQUESTS
            }));
        }
        window.push_back(now_ms);
        Ok(())
    }
}
