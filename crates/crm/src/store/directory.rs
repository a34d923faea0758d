use std::collections::BTreeMap;

use model::{CanonicalObject, OrganizationId, RecordId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::Error;

/// A field of a record, as of a version of it.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) record: RecordId,
    pub(crate) field: String,
    pub(crate) organization: OrganizationId,
    pub(crate) object: CanonicalObject,
    /// Empty where there is none.
    pub(crate) value: String,
    /// The record that a reference names.
    pub(crate) names: Option<RecordId>,
    pub(crate) version: i64,
}

/// Stores what is newer than what is known. No two of them are of the same field.
pub(crate) async fn put(db: &mut PgConnection, known: &[Known]) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO directory (record, field, organization, object, value, names, version)
         SELECT * FROM UNNEST($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::uuid[], $7::bigint[])
         ON CONFLICT (record, field) DO UPDATE
             SET value = EXCLUDED.value, names = EXCLUDED.names, version = EXCLUDED.version
             WHERE directory.version < EXCLUDED.version",
    )
    .bind(known.iter().map(|it| it.record.uuid()).collect::<Vec<_>>())
    .bind(known.iter().map(|it| it.field.as_str()).collect::<Vec<_>>())
    .bind(known.iter().map(|it| it.organization.uuid()).collect::<Vec<_>>())
    .bind(known.iter().map(|it| it.object.name()).collect::<Vec<_>>())
    .bind(known.iter().map(|it| it.value.as_str()).collect::<Vec<_>>())
    .bind(known.iter().map(|it| it.names.map(RecordId::uuid)).collect::<Vec<_>>())
    .bind(known.iter().map(|it| it.version).collect::<Vec<_>>())
    .execute(db)
    .await?;
    Ok(())
}

/// The company with this domain; none where there are several.
pub(crate) async fn company(
    db: &mut PgConnection,
    organization: OrganizationId,
    domain: &str,
) -> Result<Option<RecordId>, Error> {
    let found: Vec<Uuid> = sqlx::query_scalar(
        "SELECT record FROM directory
         WHERE organization = $1 AND value = $2 AND field = 'domain' AND object = 'company'
           AND NOT EXISTS (SELECT FROM directory AS gone WHERE gone.record = directory.record
                                                          AND gone.field = 'archived')
         LIMIT 2",
    )
    .bind(organization.uuid())
    .bind(domain)
    .fetch_all(db)
    .await?;
    Ok(<[Uuid; 1]>::try_from(found).ok().map(|[only]| RecordId::from_uuid(only)))
}

/// What is told of a record in channels: `name`, `amount`, `currency`, and the `partner_name` of its partner.
pub(crate) async fn told(
    db: &mut PgConnection,
    organization: OrganizationId,
    record: RecordId,
) -> Result<BTreeMap<String, String>, Error> {
    let found: Vec<(String, String)> = sqlx::query_as(
        "SELECT field, value FROM directory
         WHERE organization = $1 AND record = $2 AND field IN ('name', 'amount', 'currency')
         UNION ALL
         SELECT 'partner_name', partner.value FROM directory AS it
         JOIN directory AS partner
             ON partner.record = it.names AND partner.field = 'name' AND partner.organization = $1
         WHERE it.organization = $1 AND it.record = $2 AND it.field = 'partner_id'",
    )
    .bind(organization.uuid())
    .bind(record.uuid())
    .fetch_all(db)
    .await?;
    Ok(found.into_iter().collect())
}

/// What is known of contacts: `email`, `secondary_email`, `first_name` and `last_name`. Those that are archived are not there.
pub(crate) async fn contacts(
    db: &mut PgConnection,
    organization: OrganizationId,
    records: &[Uuid],
) -> Result<BTreeMap<Uuid, BTreeMap<String, String>>, Error> {
    let rows: Vec<(Uuid, String, String)> = sqlx::query_as(
        "SELECT record, field, value FROM directory
         WHERE record = ANY($2) AND organization = $1 AND object = 'contact'
           AND field IN ('email', 'secondary_email', 'first_name', 'last_name')
           AND NOT EXISTS (SELECT FROM directory AS gone WHERE gone.record = directory.record
                                                          AND gone.field = 'archived')",
    )
    .bind(organization.uuid())
    .bind(records)
    .fetch_all(db)
    .await?;
    let mut found: BTreeMap<Uuid, BTreeMap<String, String>> = BTreeMap::new();
    for (record, field, value) in rows {
        found.entry(record).or_default().insert(field, value);
    }
    Ok(found)
}
