//! Derives everything from the facts again and compares it with what stands and with the ledger.

use std::{fmt, sync::Arc};

use jiff::Timestamp;
use model::{OrganizationId, ProgramId};
use sqlx::{Connection as _, PgConnection, PgPool};
use uuid::Uuid;

use crate::{
    Error,
    domain::{
        derive::derive,
        ledger::{Account, balances},
        outcome::{Claim, Payment},
        settle::{Reaching, settle_reaching, settle_within},
        terms::Book,
    },
    store::{
        self,
        facts::Customer,
        standing::{CommissionRow, Standing},
    },
    writer::difference::{Come, Difference as Written, View},
};

/// Customers that are derived together.
const CHUNK: i64 = 500;
const CHUNK_LENGTH: usize = 500;
/// The most differences that are told.
const MOST: usize = 100;

/// What verifying found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// How many events were derived.
    pub events: u64,
    /// How many commissions stand.
    pub commissions: u64,
    /// How many entries the ledger has.
    pub entries: u64,
    /// What differs, up to a hundred.
    pub differences: Vec<Difference>,
}

/// Something that does not stand as it was derived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What: `commission comm_…`.
    pub what: String,
    /// As the facts have it.
    pub derived: String,
    /// As it is stored.
    pub stored: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: the facts come to {}, stored is {}", self.what, self.derived, self.stored)
    }
}

impl Verification {
    /// Whether all stands as it was derived.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.differences.is_empty()
    }

    fn tell(&mut self, what: impl Into<String>, derived: impl Into<String>, stored: impl Into<String>) {
        if self.differences.len() < MOST {
            let (derived, stored) = (derived.into(), stored.into());
            self.differences.push(Difference { what: what.into(), derived, stored });
        }
    }
}

/// The organizations that there is something to verify of. The pool is that of [`crate::open`].
///
/// # Errors
/// The database does not answer.
pub async fn organizations(pool: &PgPool) -> Result<Vec<OrganizationId>, Error> {
    store::listing::organizations(pool).await
}

/// Derives every attribution, commission and balance of an organization from its facts, in one snapshot, and compares.
/// The pool is that of [`crate::open`].
///
/// # Errors
/// The database does not answer, or holds what this version cannot read.
pub async fn verify(pool: &PgPool, organization: OrganizationId) -> Result<Verification, Error> {
    let mut connection = pool.acquire().await?;
    let mut tx = connection.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
    let book = store::catalog::book(&mut tx, organization).await?;
    let mut found = Verification::default();
    let reaching = reaching(&mut tx, &book, organization).await?;
    claims_fit(&reaching, &store::claims::payments(&mut tx, organization).await?, &mut found);
    let mut above = String::new();
    loop {
        let customers = store::listing::customers(&mut *tx, organization, &above, CHUNK).await?;
        let Some(last) = customers.last() else { break };
        above.clone_from(&last.user_key);
        customers_fit(&mut tx, &book, &customers, &reaching, &mut found).await?;
    }
    found.entries = store::ledger::count(&mut tx, organization).await?;
    for (payout, amount, entered) in store::ledger::payouts(&mut tx, organization).await? {
        if amount != entered {
            found.tell(format!("payout {payout}"), amount.to_string(), entered.to_string());
        }
    }
    for (payout, lines, asked) in store::ledger::asked_otherwise(&mut tx, organization).await? {
        found.tell(format!("what payout {payout} asks for"), lines.to_string(), asked.to_string());
    }
    for (strayed, is_for) in store::ledger::strays(&mut tx, organization).await? {
        match is_for {
            true => found.tell(
                format!("balance of entry {strayed}"),
                "that of its commission or payout",
                "another partner or currency",
            ),
            false => {
                found.tell(format!("entry {strayed}"), "nothing", "an entry for no commission and no payout")
            }
        }
    }
    tx.rollback().await?;
    Ok(found)
}

/// What rules that reach over customers pay, settled over all of them.
async fn reaching(
    tx: &mut PgConnection,
    book: &Book,
    organization: OrganizationId,
) -> Result<Reaching, Error> {
    let programs: Vec<Uuid> = book.reaching_programs().into_iter().map(ProgramId::uuid).collect();
    if programs.is_empty() {
        return Ok(Reaching::new());
    }
    let customers = store::listing::customers_of_programs(tx, organization, &programs).await?;
    let mut claims: Vec<Claim<'_>> = Vec::new();
    for chunk in customers.chunks(CHUNK_LENGTH) {
        let list: Vec<&Customer> = chunk.iter().collect();
        let all = store::facts::load(tx, &list, book.reads_metadata()).await?;
        for (customer, facts) in list.into_iter().zip(&all) {
            let derived = derive(book, &Arc::from(customer.user_key.as_str()), facts);
            claims.extend(derived.claims.into_iter().filter(|claim| claim.rule.reaches_over_customers()));
        }
    }
    Ok(settle_reaching(claims.iter()))
}

/// Whether what was noted of claims, by which later ones are settled, is what they come to.
fn claims_fit(derived: &Reaching, stored: &Reaching, found: &mut Verification) {
    let text = |payment: Option<&Payment>| {
        payment
            .map_or_else(|| "nothing".to_owned(), |payment| format!("{} ({})", payment.minor, payment.note))
    };
    let gone = stored.keys().filter(|key| !derived.contains_key(*key));
    for key in derived.keys().chain(gone) {
        let (is, stands) = (derived.get(key), stored.get(key));
        if is != stands {
            let what = format!("claim of rule {} for event {}", key.rule, key.conversion);
            found.tell(what, text(is), text(stands));
        }
    }
}

async fn customers_fit(
    tx: &mut PgConnection,
    book: &Book,
    customers: &[Customer],
    reaching: &Reaching,
    found: &mut Verification,
) -> Result<(), Error> {
    let list: Vec<&Customer> = customers.iter().collect();
    let mut all = store::facts::load(tx, &list, book.reads_metadata()).await?;
    let standings = store::standing::load(tx, &mut all).await?;
    let mut rows = Vec::new();
    for ((customer, facts), standing) in list.into_iter().zip(&all).zip(standings) {
        found.events += facts.conversions.len() as u64;
        let now = Timestamp::UNIX_EPOCH;
        let view = View { customer, book, facts, standing: &standing, now };
        let derived = view.derive();
        let payments = settle_within(&derived.claims, reaching);
        let mut written = Written::default();
        view.tell(&Come { derived, payments }, &mut written)?;
        tell(&written, &standing, found);
        rows.extend(standing.commissions.into_values());
    }
    found.commissions += rows.len() as u64;
    ledger_fits(tx, &rows, found).await
}

fn tell(written: &Written, standing: &Standing, found: &mut Verification) {
    for set in &written.sets {
        let stored = standing.events.get(&set.event);
        let stored = stored.map_or_else(|| "nothing".to_owned(), |stored| format!("{stored:?}"));
        found.tell(format!("event {}", set.event), format!("{:?}", set.standing), stored);
    }
    for row in &written.accrued {
        found.tell(format!("commission of event {}", row.is.key.conversion), told(row), "nothing");
    }
    for (stored, row) in &written.moved {
        if stored.is != row.is {
            found.tell(format!("commission {}", stored.id), told(row), told(stored));
        }
    }
}

fn told(row: &CommissionRow) -> String {
    let (is, position) = (&row.is, row.is.position);
    let held = if is.held { ", held" } else { "" };
    let (status, reason, currency) = (position.status.name(), is.reason.name(), is.currency);
    format!("{status} ({reason}{held}): {} {currency} due, {} paid", position.due, position.paid)
}

/// Whether the entries of commissions sum to where they stand.
async fn ledger_fits(
    tx: &mut PgConnection,
    rows: &[CommissionRow],
    found: &mut Verification,
) -> Result<(), Error> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id.uuid()).collect();
    let sums = store::ledger::sums(tx, &ids).await?;
    for row in rows {
        let balances = balances(row.is.position);
        let of = |account| {
            balances.iter().filter(|(one, _)| *one == account).map(|(_, minor)| *minor).sum::<i64>()
        };
        // What payouts took is in entries of their own.
        let payable = of(Account::Payable) + row.is.position.paid;
        let due = (of(Account::CommissionExpense), of(Account::Accrued), payable);
        let sum = sums.get(&row.id).copied().unwrap_or_default();
        if due != sum {
            let text = |(expense, accrued, payable): (i64, i64, i64)| {
                format!("expense {expense}, accrued {accrued}, payable {payable}")
            };
            found.tell(format!("ledger of commission {}", row.id), text(due), text(sum));
        }
    }
    Ok(())
}
