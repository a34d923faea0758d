//! Deals that partners register: the queue, what is decided, and what the organization set about it.

pub(crate) mod detail;
pub(crate) mod form;
pub(crate) mod queue;
pub(crate) mod settings;

use crate::ui;

pub(crate) const PATH: &str = "/attribution/registrations";

/// Whether somebody is to decide.
pub(crate) fn is_open(status: &str) -> bool {
    matches!(status, "submitted" | "under_review")
}

/// How a registration stands, as a pill.
pub(crate) fn state(status: &str) -> ui::Markup {
    use ui::Tone::{Bad, Busy, Good, Quiet, Warn};
    match status {
        "submitted" => ui::pill(Warn, "New"),
        "under_review" => ui::pill(Busy, "Under review"),
        "approved" => ui::pill(Good, "Approved"),
        "rejected" => ui::pill(Bad, "Rejected"),
        "expired" => ui::pill(Quiet, "Expired"),
        other => ui::state(other),
    }
}
