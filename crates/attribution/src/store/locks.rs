//! Locks that are held to the end of a transaction. They are names, not rows, so that taking them writes nothing.

use model::OrganizationId;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use crate::Error;

/// So many results of a statement are few for Postgres.
const MOST_COLUMNS: usize = 500;

/// The name of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Lock(i64);

impl Lock {
    /// Held by all who derive by the catalog, alone by who changes it.
    pub(crate) fn catalog(organization: OrganizationId) -> Self {
        Self::named(b"catalog", organization, b"")
    }

    /// Held alone by who derives a customer.
    pub(crate) fn customer(organization: OrganizationId, user_key: &str) -> Self {
        Self::named(b"customer", organization, user_key.as_bytes())
    }

    /// Held alone by who makes a click a customer's, or decides about it.
    pub(crate) fn click(organization: OrganizationId, click: &str) -> Self {
        Self::named(b"click", organization, click.as_bytes())
    }

    /// Held alone by who settles rules that reach over customers; taken after those of customers.
    pub(crate) fn settling(organization: OrganizationId) -> Self {
        Self::named(b"settling", organization, b"")
    }

    /// Held alone by who makes payouts.
    pub(crate) fn payouts(organization: OrganizationId) -> Self {
        Self::named(b"payouts", organization, b"")
    }

    fn named(kind: &[u8], organization: OrganizationId, name: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"attribution/");
        hash.update(kind);
        hash.update(organization.uuid().as_bytes());
        hash.update(name);
        let bytes: [u8; 32] = hash.finalize().into();
        let mut first = [0; 8];
        first.copy_from_slice(&bytes[..8]);
        Self(i64::from_be_bytes(first))
    }
}

/// Takes locks: those that are shared first, then those that are held alone, each in their order, so that two who take
/// several never wait for each other.
pub(crate) async fn take(tx: &mut PgConnection, shared: &[Lock], alone: &[Lock]) -> Result<(), Error> {
    sqlx::query(
        "SELECT count(*) FROM (
             SELECT pg_advisory_xact_lock_shared(shared) FROM UNNEST($1::bigint[]) AS shared
             UNION ALL
             SELECT pg_advisory_xact_lock(alone) FROM UNNEST($2::bigint[]) AS alone) AS taken",
    )
    .bind(sorted(shared))
    .bind(sorted(alone))
    .execute(tx)
    .await?;
    Ok(())
}

/// The statements that take them. The names are numbers, so that a text can hold them which is sent with the one that
/// begins the transaction.
pub(crate) fn taking(shared: &[Lock], alone: &[Lock]) -> String {
    let shared = sorted(shared).into_iter().map(|name| format!("pg_advisory_xact_lock_shared({name})"));
    let alone = sorted(alone).into_iter().map(|name| format!("pg_advisory_xact_lock({name})"));
    let calls: Vec<String> = shared.chain(alone).collect();
    let statements = calls.chunks(MOST_COLUMNS).map(|calls| format!("SELECT {};", calls.join(", ")));
    statements.collect()
}

fn sorted(locks: &[Lock]) -> Vec<i64> {
    let mut names: Vec<i64> = locks.iter().map(|lock| lock.0).collect();
    names.sort_unstable();
    names.dedup();
    names
}
