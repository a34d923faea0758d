//! The schemas of events, which never change: each is asked for once, however often its stream is opened anew.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// One of a large object has some ten thousand characters, and each field that is added makes another one.
const MOST_KEPT: usize = 500;

/// Schemas as JSON, by the organization's id and their own.
#[derive(Debug, Default)]
pub(crate) struct Schemas(Mutex<HashMap<(String, String), Arc<str>>>);

impl Schemas {
    fn kept(&self) -> MutexGuard<'_, HashMap<(String, String), Arc<str>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn known(&self, organization: &str, id: &str) -> Option<Arc<str>> {
        self.kept().get(&(organization.to_owned(), id.to_owned())).cloned()
    }

    pub(super) fn learn(&self, organization: &str, id: &str, json: &str) -> Arc<str> {
        let json: Arc<str> = json.into();
        let mut kept = self.kept();
        if kept.len() >= MOST_KEPT {
            kept.clear();
        }
        kept.insert((organization.to_owned(), id.to_owned()), json.clone());
        json
    }
}
