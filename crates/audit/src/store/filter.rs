use jiff::Timestamp;
use model::ConnectionId;

use crate::domain::entry::Outcome;

/// Which entries of a chain; what is none does not filter.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    /// An action, or the beginning of one with `*` behind it.
    pub(crate) action: Option<String>,
    pub(crate) actor: Option<String>,
    pub(crate) target: Option<String>,
    pub(crate) connection: Option<ConnectionId>,
    pub(crate) outcome: Option<Outcome>,
    /// Occurred at this moment or later.
    pub(crate) from: Option<Timestamp>,
    /// Occurred before this moment.
    pub(crate) to: Option<Timestamp>,
}

impl Filter {
    /// Whether everything that fits is in the index of notable entries.
    pub(crate) fn is_notable(&self) -> bool {
        let failed = self.outcome.is_some_and(|outcome| outcome != Outcome::Ok);
        let person = self.actor.as_deref().is_some_and(|actor| {
            ["user:", "api_key:", "integration_key:"].iter().any(|kind| actor.starts_with(kind))
        });
        let not_flow = self.action.as_deref().is_some_and(|action| {
            let flow = ["change.", "write.", "record."];
            match action.strip_suffix('*') {
                Some(prefix) => !flow.iter().any(|flow| flow.starts_with(prefix) || prefix.starts_with(flow)),
                None => !flow.iter().any(|flow| action.starts_with(flow)),
            }
        });
        failed || person || not_flow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_filter_that_excludes_the_flow_uses_the_notable_index() {
        let action =
            |action: &str| Filter { action: Some(action.to_owned()), ..Filter::default() }.is_notable();
        for notable in ["mapping.*", "mapping.activated", "identity.*", "m*", "dead_letter"] {
            assert!(action(notable), "{notable}");
        }
        for flow in ["*", "change.captured", "c*", "write.*", "record.changed*", "re*"] {
            assert!(!action(flow), "{flow}");
        }
        assert!(Filter { outcome: Some(Outcome::Failed), ..Filter::default() }.is_notable());
        assert!(!Filter { outcome: Some(Outcome::Ok), ..Filter::default() }.is_notable());
        assert!(!Filter::default().is_notable());
    }
}
