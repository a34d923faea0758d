//! How money reaches partners. The ledger knows payouts; a rail moves their money and says what became of it.

use std::fmt::Debug;

use model::{OrganizationId, PartnerId, PayoutId};

/// A payout as a rail is asked to move it. It was written down before, and nothing of it ever changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Which payout it is.
    pub payout: PayoutId,
    /// By which the rail recognizes a repeat: made of the payout's id.
    pub key: String,
    /// Who pays.
    pub organization: OrganizationId,
    /// Who is paid.
    pub partner: PartnerId,
    /// In major units.
    pub amount: String,
    /// The ISO 4217 code of the amount.
    pub currency: String,
}

/// What became of a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A person moves the money and says how that went; the rail is not asked again.
    ByHand,
    /// It is under way; the rail is asked again later.
    UnderWay,
    /// The partner has the money.
    Paid {
        /// What the rail calls it.
        reference: String,
    },
    /// The partner does not have it, and never will by this transfer.
    Failed {
        /// What the rail calls it.
        reference: String,
        /// Why, in words that people may read: no secret and nobody's account.
        reason: String,
    },
}

/// The rail did not say what became of a transfer: it may be under way or not. It is looked up before it is begun again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ask the rail about a transfer: {0}")]
pub struct NoAnswer(
    /// Why, in words that people may read.
    pub String,
);

/// Moves money. A rail is called outside of every transaction, after what is owed was committed with its key and amount,
/// and may be called any number of times about one transfer, by several processes and after a crash.
#[tonic::async_trait]
pub trait Rail: Debug + Send + Sync {
    /// Its name, which never changes: a payout stays with the rail that it was written down for.
    fn name(&self) -> &'static str;

    /// Begins a transfer. One with the same key as an earlier one is the earlier one: nothing moves twice.
    ///
    /// # Errors
    /// It is not known whether it was begun.
    async fn begin(&self, transfer: &Transfer) -> Result<Outcome, NoAnswer>;

    /// What became of a transfer; none where the rail has never heard of its key.
    ///
    /// # Errors
    /// The rail does not answer.
    async fn outcome(&self, transfer: &Transfer) -> Result<Option<Outcome>, NoAnswer>;
}

/// The rail that is a person, with a list of payouts and a bank.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manual;

#[tonic::async_trait]
impl Rail for Manual {
    fn name(&self) -> &'static str {
        "manual"
    }

    async fn begin(&self, _: &Transfer) -> Result<Outcome, NoAnswer> {
        Ok(Outcome::ByHand)
    }

    async fn outcome(&self, _: &Transfer) -> Result<Option<Outcome>, NoAnswer> {
        Ok(Some(Outcome::ByHand))
    }
}
