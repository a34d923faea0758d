//! The query of an address, read name by name, with the faults that a body would have.

use std::collections::HashMap;

use axum::extract::FromRequestParts;
use http::request::Parts;
use jiff::Timestamp;

use super::fields::{Faults, moment, not_one_of, whole_number};

/// The names and values of a query. One that is named twice is at fault; one that nobody asks for is left alone.
#[derive(Debug, Default)]
pub(super) struct Params {
    values: HashMap<String, Vec<String>>,
    faults: Faults,
}

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let mut params = Self::default();
        let query = parts.uri.query().unwrap_or_default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            params.values.entry(name.into_owned()).or_default().push(value.into_owned());
        }
        Ok(params)
    }
}

impl Params {
    /// The value of a name; an empty one says nothing.
    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        let mut values = self.values.remove(name)?;
        let value = values.pop()?;
        if !values.is_empty() {
            self.faults.add(name, "Expected string, received array");
            return None;
        }
        if value.contains('\0') {
            self.faults.add(name, "Invalid");
            return None;
        }
        Some(value).filter(|value| !value.is_empty())
    }

    pub(super) fn text_or_empty(&mut self, name: &'static str) -> String {
        self.text(name).unwrap_or_default()
    }

    pub(super) fn one_of(&mut self, name: &'static str, allowed: &[&'static str]) -> Option<&'static str> {
        let value = self.text(name)?;
        let found = allowed.iter().copied().find(|allowed| *allowed == value);
        if found.is_none() {
            self.faults.add(name, not_one_of(&value, allowed));
        }
        found
    }

    pub(super) fn integer(&mut self, name: &'static str, least: u32, most: u32) -> Option<u32> {
        let value = self.text(name)?;
        whole_number(&value, least, most).map_err(|fault| self.faults.add(name, fault)).ok()
    }

    pub(super) fn moment(&mut self, name: &'static str) -> Option<Timestamp> {
        let value = self.text(name)?;
        // An offset's plus sign is a blank where nobody encoded it.
        let moment = moment(&value).or_else(|| moment(&value.replace(' ', "+")));
        if moment.is_none() {
            self.faults.add(name, "Invalid datetime");
        }
        moment
    }

    /// `true` or `1`.
    pub(super) fn is_set(&mut self, name: &'static str) -> bool {
        self.text(name).is_some_and(|value| value == "true" || value == "1")
    }

    /// The value, unless there are faults.
    pub(super) fn done<T>(self, value: T) -> Result<T, Faults> {
        if self.faults.is_empty() { Ok(value) } else { Err(self.faults) }
    }
}
