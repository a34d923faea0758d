//! The call log: how often each route was called, and the last calls in order.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use super::clock::iso;
use super::routes::Class;

/// How many calls are remembered one by one.
const REMEMBERED: usize = 500;

/// Calls of one route.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Count {
    pub(crate) calls: u64,
    /// Answers by HTTP status; 0 stands for a connection that ended without one.
    pub(crate) by_status: BTreeMap<u16, u64>,
}

/// One call.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Entry {
    pub(crate) at: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) route: &'static str,
    pub(crate) class: Class,
    pub(crate) status: u16,
    pub(crate) app_id: Option<u64>,
    pub(crate) fault: Option<String>,
}

/// Counts and the last calls.
#[derive(Debug, Default)]
pub(crate) struct CallLog {
    routes: BTreeMap<String, Count>,
    classes: BTreeMap<&'static str, u64>,
    last: VecDeque<Entry>,
}

impl CallLog {
    pub(crate) fn record(&mut self, now_ms: i64, mut entry: Entry) {
        entry.at = iso(now_ms);
        let count = self.routes.entry(format!("{} {}", entry.method, entry.route)).or_default();
        count.calls += 1;
        *count.by_status.entry(entry.status).or_default() += 1;
        *self.classes.entry(entry.class.word()).or_default() += 1;
        self.last.push_back(entry);
        if self.last.len() > REMEMBERED {
            self.last.pop_front();
        }
    }

    pub(crate) fn total_calls(&self) -> u64 {
        self.classes.values().sum()
    }

    pub(crate) fn wire(&self, last: usize) -> serde_json::Value {
        let skipped = self.last.len().saturating_sub(last);
        let recent: Vec<&Entry> = self.last.iter().skip(skipped).collect();
        serde_json::json!({"total": self.total_calls(), "classes": self.classes, "routes": self.routes,
                           "last": recent})
    }
}
