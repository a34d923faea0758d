//! What a body comes to that tells how a record is now. Pure.

use jiff::Timestamp;
use model::ConversionId;

use crate::domain::{
    facts::Change,
    money::{Currency, Money},
};

/// How a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Won,
    /// Lost, or open again.
    Lost,
    Deleted,
}

/// What a body tells of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) record: String,
    /// By the CRM's clock.
    pub(crate) at: Timestamp,
    /// None where it only tells what changed, and that did not.
    pub(crate) status: Option<Status>,
}

/// What is known of a record, each by the newest body that told it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Known {
    pub(crate) status: Option<(Status, Timestamp)>,
    pub(crate) worth: Option<(Money, Timestamp)>,
    pub(crate) stands: Option<Recorded>,
    /// How many events of the record came before the one that stands.
    pub(crate) cycle: i32,
}

/// The event of a record, as it was told last.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Recorded {
    pub(crate) event: ConversionId,
    pub(crate) user_key: String,
    /// In minor units.
    pub(crate) value: Option<i64>,
    pub(crate) currency: Currency,
    pub(crate) void: bool,
}

impl Status {
    pub(crate) const ALL: [Self; 3] = [Self::Won, Self::Lost, Self::Deleted];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Won => "won",
            Self::Lost => "lost",
            Self::Deleted => "deleted",
        }
    }
}

impl Known {
    /// Keeps what a body tells, where no newer one told it already.
    pub(crate) fn learn(&mut self, told: &Told, worth: Option<Money>) {
        if let Some(status) = told.status
            && !self.is_newer_than(told.at)
        {
            self.status = Some((status, told.at));
        }
        if let Some(worth) = worth
            && self.worth.is_none_or(|(_, at)| at <= told.at)
        {
            self.worth = Some((worth, told.at));
        }
    }

    /// Whether a body came that is newer than this moment.
    pub(crate) fn is_newer_than(&self, at: Timestamp) -> bool {
        self.status.is_some_and(|(_, known)| known > at)
    }

    /// Whether the record is known not to be won.
    pub(crate) fn is_lost(&self) -> bool {
        self.status.is_some_and(|(status, _)| status != Status::Won)
    }

    /// Since when the record is won in another currency than its event is in.
    pub(crate) fn other_currency(&self) -> Option<Timestamp> {
        let (worth, at) = self.worth.filter(|_| !self.is_lost())?;
        self.stands.as_ref().filter(|stands| stands.currency != worth.currency()).map(|_| at)
    }

    /// The corrections that make the event what the record is, and since when each is so. Nothing is said twice: what
    /// somebody else corrected of the event stays as long as the record does not change.
    pub(crate) fn catch_up(&mut self) -> Vec<(Change, Timestamp)> {
        let mut corrections = Vec::new();
        let Some(stands) = &mut self.stands else { return corrections };
        if let Some((status, at)) = self.status
            && stands.void == (status == Status::Won)
        {
            stands.void = !stands.void;
            corrections.push((if stands.void { Change::Void } else { Change::Restore }, at));
        }
        if let Some((worth, at)) = self.worth
            && !stands.void
            && worth.currency() == stands.currency
            && stands.value != Some(worth.minor())
        {
            stands.value = Some(worth.minor());
            corrections.push((Change::Value(worth), at));
        }
        corrections
    }
}
