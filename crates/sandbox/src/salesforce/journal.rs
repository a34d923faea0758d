//! What was committed, in order: the one source of change events.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;
use uuid::Uuid;

/// How long commits are kept: longer than the 72 hours that events are.
const KEPT: SignedDuration = SignedDuration::from_hours(96);
/// The number of the first commit.
const FIRST: i64 = 10_640_117_000_001;

/// Values of a record by REST field name; fields without a value are absent.
pub(crate) type Fields = BTreeMap<String, Value>;

/// What happened to a record within one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Kind {
    Create,
    Update,
    Delete,
    Undelete,
}

/// One record's change, all its writes within the transaction collapsed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Changed {
    pub(crate) object: String,
    /// Ids with 18 characters.
    pub(crate) ids: Vec<String>,
    pub(crate) kind: Kind,
    /// The whole record before; empty for a creation.
    pub(crate) before: Fields,
    /// The whole record after; empty for a deletion.
    pub(crate) after: Fields,
}

/// One transaction that became visible.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Commit {
    /// Grows with every commit.
    pub(crate) number: i64,
    /// When it became visible, on the simulator's clock.
    pub(crate) at: Timestamp,
    pub(crate) transaction: Uuid,
    /// The user (`005…`, 18 characters) who did it.
    pub(crate) user: String,
    /// The `changeOrigin` of its events; empty for background processes.
    pub(crate) origin: String,
    pub(crate) changes: Vec<Changed>,
}

/// The commits of the last days.
#[derive(Debug)]
pub(crate) struct Journal {
    commits: VecDeque<Arc<Commit>>,
    newest: watch::Sender<i64>,
    /// Commits that the state file does not have yet.
    pub(crate) unsaved: Vec<Arc<Commit>>,
}

impl Default for Journal {
    fn default() -> Self {
        Self { commits: VecDeque::new(), newest: watch::Sender::new(FIRST - 1), unsaved: Vec::new() }
    }
}

impl Journal {
    /// Numbers a transaction and shows it to everyone who listens.
    pub(crate) fn append(&mut self, at: Timestamp, user: String, origin: String, changes: Vec<Changed>) {
        let number = self.newest() + 1;
        let commit = Arc::new(Commit { number, at, transaction: Uuid::new_v4(), user, origin, changes });
        self.unsaved.push(commit.clone());
        self.load(commit);
        while self.commits.front().is_some_and(|oldest| oldest.at < at - KEPT) {
            self.commits.pop_front();
        }
    }

    /// Puts back a commit of an earlier run.
    pub(crate) fn load(&mut self, commit: Arc<Commit>) {
        self.newest.send_replace(commit.number);
        self.commits.push_back(commit);
    }

    /// The number of the latest commit.
    pub(crate) fn newest(&self) -> i64 {
        *self.newest.borrow()
    }

    /// Everything that was committed after `number`, in order.
    pub(crate) fn commits_after(&self, number: i64) -> impl Iterator<Item = &Arc<Commit>> {
        let from = self.commits.partition_point(|commit| commit.number <= number);
        self.commits.range(from..)
    }

    /// Tells the number of the latest commit whenever it grows.
    #[expect(dead_code, reason = "for the event stream")]
    pub(crate) fn subscribe(&self) -> watch::Receiver<i64> {
        self.newest.subscribe()
    }
}
