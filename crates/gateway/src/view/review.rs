use jiff::Timestamp;
use proto::sync as wire;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    moment, text,
    value::{Plain, plain, plain_or_null},
};

/// Which conflicts.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListConflicts {
    /// Of this connection only.
    #[serde(default)]
    pub(crate) connection_id: Option<String>,
    /// Of this record only.
    #[serde(default)]
    pub(crate) record_id: Option<String>,
    /// How many, at most 500; 50 when not given.
    #[serde(default)]
    pub(crate) limit: Option<u32>,
    /// `next_page` of the page before.
    #[serde(default)]
    pub(crate) page: Option<String>,
}

/// A page of conflicts.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConflictList {
    data: Vec<Conflict>,
    /// To be sent as `page` for the next ones; null on the last page.
    next_page: Option<String>,
}

/// Both sides changed a field, and a policy decided.
#[derive(Serialize, ToSchema)]
pub(crate) struct Conflict {
    id: String,
    record_id: String,
    record_title: String,
    object: String,
    field: String,
    field_label: String,
    connection_id: String,
    /// `platform_wins`, `crm_wins`, `newest_wins` or `manual`.
    policy: String,
    /// `platform` or `crm`.
    winner: String,
    kept: Plain,
    lost: Plain,
    pii: bool,
    /// Whether the two edits were closer in time than the clocks can be trusted.
    within_clock_skew: bool,
    at: Option<Timestamp>,
    restored_at: Option<Timestamp>,
}

/// Which issues.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListIssues {
    /// Of this connection only.
    #[serde(default)]
    pub(crate) connection_id: Option<String>,
    /// How many, at most 500; 100 when not given.
    #[serde(default)]
    pub(crate) limit: Option<u32>,
    /// Of this category only.
    #[serde(default)]
    pub(crate) category: Option<String>,
    /// About this field only.
    #[serde(default)]
    pub(crate) field: Option<String>,
    /// Of this record only.
    #[serde(default)]
    pub(crate) record_id: Option<String>,
    /// `waiting` (the default: open and retrying), `open`, `retrying`, `dismissed` or `resolved`.
    #[serde(default)]
    pub(crate) state: Option<String>,
    /// `next_page` of the page before.
    #[serde(default)]
    pub(crate) page: Option<String>,
}

/// Issues to be changed: those that are named, or all that wait and fit. At least one must be given.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhichIssues {
    #[serde(default)]
    ids: Vec<String>,
    #[serde(default)]
    connection_id: Option<String>,
    #[serde(default)]
    category: Option<String>,
    #[serde(default)]
    field: Option<String>,
    #[serde(default)]
    record_id: Option<String>,
}

/// Which side of a conflict stands.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settlement {
    /// `platform` or `crm`.
    pub(crate) winner: String,
}

/// How many issues were changed.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChangedIssues {
    pub(crate) count: u64,
}

/// The issues.
#[derive(Serialize, ToSchema)]
pub(crate) struct IssueList {
    data: Vec<Issue>,
    /// To be sent as `page` for the next ones; null on the last page.
    next_page: Option<String>,
    /// How many wait for somebody, by category.
    counts: Vec<IssueCount>,
}

/// How many issues of a category wait for somebody.
#[derive(Serialize, ToSchema)]
pub(crate) struct IssueCount {
    category: String,
    label: String,
    count: u64,
    /// What to do about them.
    suggestion: String,
}

/// A record that could not be read or written.
#[derive(Serialize, ToSchema)]
pub(crate) struct Issue {
    id: String,
    connection_id: String,
    record_id: Option<String>,
    record_title: Option<String>,
    /// `partner`, `company`, `deal`, `contact` or `lead`.
    object: Option<String>,
    vendor_id: Option<String>,
    field: Option<String>,
    /// `auth`, `permission`, `rate_limit`, `validation`, `duplicate`, `missing`, `schema_drift`, `value`,
    /// `unavailable`, `ambiguous` or `conflict`.
    category: String,
    category_label: String,
    /// The vendor's words, without what is marked as personal data.
    message: String,
    suggestion: Option<String>,
    /// Of a `conflict`: the value here; null of personal data.
    here: Option<Plain>,
    /// Of a `conflict`: the vendor's value; null of personal data.
    there: Option<Plain>,
    /// `open`, `retrying`, `dismissed` or `resolved`.
    state: String,
    at: Option<Timestamp>,
}

impl From<wire::ListConflictsResponse> for ConflictList {
    fn from(list: wire::ListConflictsResponse) -> Self {
        let conflict = |conflict: wire::Conflict| Conflict {
            id: conflict.id,
            record_id: conflict.record_id,
            record_title: conflict.record_title,
            object: conflict.object,
            field: conflict.field,
            field_label: conflict.field_label,
            connection_id: conflict.connection_id,
            policy: conflict.policy,
            winner: conflict.winner,
            kept: plain_or_null(conflict.kept),
            lost: plain_or_null(conflict.lost),
            pii: conflict.pii,
            within_clock_skew: conflict.within_clock_skew,
            at: moment(conflict.at),
            restored_at: moment(conflict.restored_at),
        };
        Self { data: list.conflicts.into_iter().map(conflict).collect(), next_page: text(list.next_page) }
    }
}

impl From<wire::Issue> for Issue {
    fn from(issue: wire::Issue) -> Self {
        Self {
            id: issue.id,
            connection_id: issue.connection_id,
            record_id: text(issue.record_id),
            record_title: text(issue.record_title),
            object: text(issue.object),
            vendor_id: text(issue.vendor_id),
            field: text(issue.field),
            category: issue.category,
            category_label: issue.category_label,
            message: issue.message,
            suggestion: text(issue.suggestion),
            here: issue.here.map(plain),
            there: issue.there.map(plain),
            state: issue.state,
            at: moment(issue.at),
        }
    }
}

impl From<wire::ListIssuesResponse> for IssueList {
    fn from(list: wire::ListIssuesResponse) -> Self {
        let count = |count: wire::IssueCount| IssueCount {
            category: count.category,
            label: count.label,
            count: count.count,
            suggestion: count.suggestion,
        };
        Self {
            data: list.issues.into_iter().map(Into::into).collect(),
            next_page: text(list.next_page),
            counts: list.counts.into_iter().map(count).collect(),
        }
    }
}

impl From<WhichIssues> for wire::ChangeIssuesRequest {
    fn from(which: WhichIssues) -> Self {
        Self {
            issue_ids: which.ids,
            connection_id: which.connection_id.unwrap_or_default(),
            category: which.category.unwrap_or_default(),
            field: which.field.unwrap_or_default(),
            record_id: which.record_id.unwrap_or_default(),
        }
    }
}
