use std::collections::HashMap;

use model::OrganizationId;
use sqlx::{PgConnection, PgPool, Row as _};
use uuid::Uuid;

use crate::Error;

/// The newest entry of a chain, as the table of heads has it; unchecked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeadRow {
    pub(crate) sequence: i64,
    pub(crate) hash: Vec<u8>,
}

/// Makes this transaction the only one that appends to these chains, and reads their heads. The ids are given in
/// order, so that two transactions cannot wait for each other.
pub(crate) async fn lock(
    tx: &mut PgConnection,
    organizations: &[Uuid],
) -> Result<HashMap<Uuid, HeadRow>, Error> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended(id::text, 0)) FROM UNNEST($1::uuid[]) AS id")
        .bind(organizations)
        .execute(&mut *tx)
        .await?;
    let rows = sqlx::query("SELECT organization, sequence, hash FROM heads WHERE organization = ANY($1)")
        .bind(organizations)
        .fetch_all(tx)
        .await?;
    let mut heads = HashMap::with_capacity(rows.len());
    for row in rows {
        let head = HeadRow { sequence: row.try_get("sequence")?, hash: row.try_get("hash")? };
        heads.insert(row.try_get("organization")?, head);
    }
    Ok(heads)
}

/// Moves heads forward that are locked by this transaction. Those that are there are updated, not inserted and refused, which
/// would lock each of them once more.
pub(crate) async fn advance(tx: &mut PgConnection, heads: &[(Uuid, HeadRow)]) -> Result<(), Error> {
    let organizations: Vec<Uuid> = heads.iter().map(|(organization, _)| *organization).collect();
    let sequences: Vec<i64> = heads.iter().map(|(_, head)| head.sequence).collect();
    let hashes: Vec<&[u8]> = heads.iter().map(|(_, head)| head.hash.as_slice()).collect();
    sqlx::query(
        "WITH given AS (
             SELECT * FROM UNNEST($1::uuid[], $2::bigint[], $3::bytea[]) AS given (organization, sequence, hash)
         ), moved AS (
             UPDATE heads SET sequence = given.sequence, hash = given.hash FROM given
             WHERE heads.organization = given.organization RETURNING heads.organization
         )
         INSERT INTO heads (organization, sequence, hash)
         SELECT * FROM given WHERE organization NOT IN (SELECT organization FROM moved)",
    )
    .bind(organizations)
    .bind(sequences)
    .bind(hashes)
    .execute(tx)
    .await?;
    Ok(())
}

/// The head of one chain.
pub(crate) async fn read(
    tx: &mut PgConnection,
    organization: OrganizationId,
) -> Result<Option<HeadRow>, Error> {
    let row = sqlx::query("SELECT sequence, hash FROM heads WHERE organization = $1")
        .bind(organization.uuid())
        .fetch_optional(tx)
        .await?;
    row.map(|row| Ok(HeadRow { sequence: row.try_get("sequence")?, hash: row.try_get("hash")? })).transpose()
}

/// The organizations that have entries, in order.
pub(crate) async fn organizations(pool: &PgPool) -> Result<Vec<OrganizationId>, Error> {
    // A head that was taken away must not hide its entries: this walks the primary key from one to the next.
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "WITH RECURSIVE found AS (
             (SELECT organization FROM entries ORDER BY organization LIMIT 1)
             UNION ALL
             SELECT (SELECT organization FROM entries WHERE organization > found.organization
                     ORDER BY organization LIMIT 1)
             FROM found WHERE found.organization IS NOT NULL
         )
         SELECT organization FROM found WHERE organization IS NOT NULL
         UNION SELECT organization FROM heads ORDER BY 1",
    )
    .fetch_all(pool)
    .await?;
    Ok(ids.into_iter().map(OrganizationId::from_uuid).collect())
}
