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
pub(crate) struct Entry<C> {
    pub(crate) at: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) route: &'static str,
    pub(crate) class: &'static str,
    pub(crate) status: u16,
    /// Who called, in the vendor's terms.
    #[serde(flatten)]
    pub(crate) client: C,
    /// The fault that it was hit by, as the control API spells it.
    pub(crate) fault: Option<Value>,
}

/// Counts and the last calls.
#[derive(Debug)]
pub(crate) struct CallLog<C> {
    routes: BTreeMap<String, Count>,
    classes: BTreeMap<&'static str, u64>,
    last: VecDeque<Entry<C>>,
}

impl<C> Default for CallLog<C> {
    fn default() -> Self {
        Self { routes: BTreeMap::new(), classes: BTreeMap::new(), last: VecDeque::new() }
    }
}

impl<C: Serialize> CallLog<C> {
    pub(crate) fn record(&mut self, entry: Entry<C>) {
        let count = self.routes.entry(format!("{} {}", entry.method, entry.route)).or_default();
        count.calls += 1;
        *count.by_status.entry(entry.status).or_default() += 1;
        *self.classes.entry(entry.class).or_default() += 1;
        self.last.push_back(entry);
        if self.last.len() > REMEMBERED {
            self.last.pop_front();
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.classes.values().sum()
    }

    pub(crate) fn wire(&self, last: usize) -> Value {
        let skipped = self.last.len().saturating_sub(last);
        let recent: Vec<&Entry<C>> = self.last.iter().skip(skipped).collect();
        json!({"total": self.total(), "classes": self.classes, "routes": self.routes, "last": recent})
    }
}
