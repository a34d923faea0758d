//! The call log: how often each route was called, and the last calls in order.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use serde_json::{Value, json};

/// How many calls are remembered one by one.
const REMEMBERED: usize = 500;

/// Calls of one route.
#[derive(Debug, Clone, Default, Serialize)]
struct Count {
    calls: u64,
    /// Answers by HTTP status; 0 stands for a connection that ended without one.
    by_status: BTreeMap<u16, u64>,
}

/// One call.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Entry {
    pub(crate) at: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) route: &'static str,
    pub(crate) class: &'static str,
    pub(crate) status: u16,
    /// What the client calls itself in `Sforce-Call-Options`.
    pub(crate) client: Option<String>,
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
    pub(crate) fn record(&mut self, entry: Entry) {
        let count = self.routes.entry(format!("{} {}", entry.method, entry.route)).or_default();
        count.calls += 1;
        *count.by_status.entry(entry.status).or_default() += 1;
        *self.classes.entry(entry.class).or_default() += 1;
        self.last.push_back(entry);
        if self.last.len() > REMEMBERED {
            self.last.pop_front();
        }
    }

    pub(crate) fn wire(&self, last: usize) -> Value {
        let skipped = self.last.len().saturating_sub(last);
        let recent: Vec<&Entry> = self.last.iter().skip(skipped).collect();
        let total: u64 = self.classes.values().sum();
        json!({"total": total, "classes": self.classes, "routes": self.routes, "last": recent})
    }
}
