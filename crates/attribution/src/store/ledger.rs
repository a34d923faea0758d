use std::collections::HashMap;

use model::{CommissionId, LedgerEntryId, OrganizationId, PartnerId, PayoutId};
use sqlx::PgConnection;

use crate::{
    Error,
    domain::{
        ledger::{Account, Entry},
        money::Currency,
    },
};

/// An entry of the ledger, as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct EntryRow {
    pub(crate) id: LedgerEntryId,
    pub(crate) organization: OrganizationId,
    pub(crate) entry: Entry,
    pub(crate) commission: Option<CommissionId>,
    pub(crate) payout: Option<PayoutId>,
    pub(crate) partner: PartnerId,
    pub(crate) currency: Currency,
    pub(crate) reason: &'static str,
}

impl EntryRow {
    /// What it moves to an account.
    pub(crate) fn of(&self, account: Account) -> i64 {
        self.entry
            .postings
            .iter()
            .filter(|posting| posting.account == account)
            .map(|posting| posting.minor)
            .sum()
    }
}

/// What the entries of each of these commissions sum to: expense, accrued, payable.
pub(crate) async fn sums(
    tx: &mut PgConnection,
    commissions: &[uuid::Uuid],
) -> Result<HashMap<CommissionId, (i64, i64, i64)>, Error> {
    let found: Vec<(uuid::Uuid, i64, i64, i64)> = sqlx::query_as(
        "SELECT commission, sum(commission_expense)::bigint, sum(accrued)::bigint, sum(payable)::bigint
         FROM entries WHERE commission = ANY($1) GROUP BY commission",
    )
    .bind(commissions)
    .fetch_all(tx)
    .await?;
    let row = |(id, expense, accrued, payable)| (CommissionId::from_uuid(id), (expense, accrued, payable));
    Ok(found.into_iter().map(row).collect())
}

/// How many entries the ledger of an organization has.
pub(crate) async fn count(tx: &mut PgConnection, organization: OrganizationId) -> Result<u64, Error> {
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM entries WHERE organization = $1")
        .bind(organization.uuid())
        .fetch_one(tx)
        .await?;
    Ok(count.unsigned_abs())
}

/// Of each payout what it is to have taken, and what its entries moved to cash. What it took is the sum of its lines.
pub(crate) async fn payouts(
    tx: &mut PgConnection,
    organization: OrganizationId,
) -> Result<Vec<(PayoutId, i64, i64)>, Error> {
    let found: Vec<(uuid::Uuid, i64, i64)> = sqlx::query_as(
        "SELECT id, CASE WHEN status = 'failed' THEN 0 ELSE
                    (SELECT coalesce(sum(amount), 0) FROM payout_lines WHERE payout = payouts.id)::bigint END,
                (SELECT coalesce(sum(cash), 0) FROM entries
                 WHERE entries.organization = $1 AND entries.payout = payouts.id)::bigint
         FROM payouts WHERE organization = $1 ORDER BY id",
    )
    .bind(organization.uuid())
    .fetch_all(tx)
    .await?;
    Ok(found.into_iter().map(|(id, due, entered)| (PayoutId::from_uuid(id), due, entered)).collect())
}

/// Entries for commissions and payouts that there are not, and those that are another partner's or in another currency than
/// what they are for, since balances are by both; each with whether what it is for is there.
pub(crate) async fn strays(
    tx: &mut PgConnection,
    organization: OrganizationId,
) -> Result<Vec<(LedgerEntryId, bool)>, Error> {
    let found: Vec<(uuid::Uuid, bool)> = sqlx::query_as(
        "SELECT entries.id, commissions.id IS NOT NULL OR payouts.id IS NOT NULL FROM entries
         LEFT JOIN commissions ON commissions.id = entries.commission
         LEFT JOIN payouts ON payouts.id = entries.payout
         WHERE entries.organization = $1
           AND (commissions.id IS NULL AND payouts.id IS NULL
                OR (commissions.organization, commissions.partner, commissions.currency)
                    <> (entries.organization, entries.partner, entries.currency)
                OR (payouts.organization, payouts.partner, payouts.currency)
                    <> (entries.organization, entries.partner, entries.currency)) LIMIT 100",
    )
    .bind(organization.uuid())
    .fetch_all(tx)
    .await?;
    Ok(found.into_iter().map(|(id, is_for)| (LedgerEntryId::from_uuid(id), is_for)).collect())
}

/// Of each payout that asks for another amount than its lines: it, what its lines are together, and what it asks for. Lines of
/// another partner's commissions, or in another currency, are none of its.
pub(crate) async fn asked_otherwise(
    tx: &mut PgConnection,
    organization: OrganizationId,
) -> Result<Vec<(PayoutId, i64, i64)>, Error> {
    let found: Vec<(uuid::Uuid, i64, i64)> = sqlx::query_as(
        "SELECT id, due, amount FROM payouts CROSS JOIN LATERAL (
             SELECT coalesce(sum(payout_lines.amount), 0)::bigint AS due
             FROM payout_lines JOIN commissions ON commissions.id = payout_lines.commission
             WHERE payout_lines.payout = payouts.id AND commissions.organization = payouts.organization
               AND commissions.partner = payouts.partner AND commissions.currency = payouts.currency) AS lines
         WHERE organization = $1 AND due <> amount ORDER BY id",
    )
    .bind(organization.uuid())
    .fetch_all(tx)
    .await?;
    Ok(found.into_iter().map(|(id, due, asked)| (PayoutId::from_uuid(id), due, asked)).collect())
}
