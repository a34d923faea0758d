use jiff::Timestamp;
use model::{ConnectionId, LinkId, MappingId, OrganizationId, RecordId, WriteId};
use sqlx::{PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use super::{at, from_json, json, states};
use crate::{
    Error,
    domain::{UnknownWord, sync::Link},
};

macro_rules! columns {
    ($rest:literal) => {
        concat!(
            "SELECT id, mapping_id, vendor_id, record_id, state, seen_version, seen_at, write_id, \
             fields::text AS fields, staged::text AS staged, written, written_version, shown FROM links ",
            $rest
        )
    };
}

fn read(row: &PgRow) -> Result<Link, Error> {
    let state: &str = row.try_get("state")?;
    let staged: Option<&str> = row.try_get("staged")?;
    Ok(Link {
        id: LinkId::from_uuid(row.try_get("id")?),
        mapping: MappingId::from_uuid(row.try_get("mapping_id")?),
        vendor_id: row.try_get("vendor_id")?,
        record: row.try_get::<Option<Uuid>, _>("record_id")?.map(RecordId::from_uuid),
        state: state.parse().map_err(|error: UnknownWord| Error::stored("a link's state", error))?,
        seen_version: row.try_get("seen_version")?,
        seen_at: row
            .try_get::<Option<jiff_sqlx::Timestamp>, _>("seen_at")?
            .map(jiff_sqlx::Timestamp::to_jiff),
        write: row.try_get::<Option<Uuid>, _>("write_id")?.map(WriteId::from_uuid),
        fields: from_json::<states::Read>("a link's fields", row.try_get("fields")?)?.0,
        staged: staged.map(|text| from_json("a link's staged fields", text)).transpose()?,
        written: row
            .try_get::<Option<Uuid>, _>("written")?
            .map(WriteId::from_uuid)
            .zip(row.try_get("written_version")?),
        shown: row.try_get("shown")?,
    })
}

/// Where a vendor's record is linked, without locking it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) link: LinkId,
    pub(crate) record: Option<RecordId>,
}

/// Which links of a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// All of them.
    All,
    /// Those of which something is kept for later, but for what somebody ignored.
    Planned,
    /// Those that only wait to be merged.
    Mergeable,
    /// Those of whose vendor's record nothing is kept beside the sync, but for what somebody ignored.
    NotBeside,
}

/// Finds links by mapping and vendor id, in the order of the question, and whether parts are kept of any of these records.
pub(crate) async fn find(
    tx: &mut PgConnection,
    wanted: &[(MappingId, String)],
) -> Result<(Vec<Option<Found>>, bool), Error> {
    let (mut found, mut has_parts) = (vec![None; wanted.len()], false);
    let rows = sqlx::query(
        "SELECT w.n, l.id, l.record_id, p.vendor_id IS NOT NULL AS has_part \
         FROM UNNEST($1::uuid[], $2::text[]) WITH ORDINALITY AS w(mapping_id, vendor_id, n) \
         LEFT JOIN links l ON l.mapping_id = w.mapping_id AND l.vendor_id = w.vendor_id \
         LEFT JOIN parts p ON p.mapping_id = w.mapping_id AND p.vendor_id = w.vendor_id \
         WHERE l.id IS NOT NULL OR p.vendor_id IS NOT NULL",
    )
    .bind(wanted.iter().map(|(mapping, _)| mapping.uuid()).collect::<Vec<_>>())
    .bind(wanted.iter().map(|(_, id)| id.as_str()).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    for row in rows {
        let place = usize::try_from(row.try_get::<i64, _>("n")? - 1).unwrap_or_default();
        let record = row.try_get::<Option<Uuid>, _>("record_id")?.map(RecordId::from_uuid);
        let link: Option<Uuid> = row.try_get("id")?;
        found[place] = link.map(|link| Found { link: LinkId::from_uuid(link), record });
        has_parts |= row.try_get::<bool, _>("has_part")?;
    }
    Ok((found, has_parts))
}

/// Which records these links belong to.
pub(crate) async fn records_of(tx: &mut PgConnection, links: &[LinkId]) -> Result<Vec<RecordId>, Error> {
    let ids: Vec<Uuid> = links.iter().map(|id| id.uuid()).collect();
    let records: Vec<Uuid> =
        sqlx::query_scalar("SELECT record_id FROM links WHERE id = ANY($1) AND record_id IS NOT NULL")
            .bind(ids)
            .fetch_all(tx)
            .await?;
    Ok(records.into_iter().map(RecordId::from_uuid).collect())
}

/// Locks links until the transaction ends: these, and all that belong to these records.
pub(crate) async fn lock(
    tx: &mut PgConnection,
    links: &[LinkId],
    records: &[RecordId],
) -> Result<Vec<Link>, Error> {
    let links: Vec<Uuid> = links.iter().map(|id| id.uuid()).collect();
    let records: Vec<Uuid> = records.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query(columns!("WHERE id = ANY($1) OR record_id = ANY($2) ORDER BY id FOR UPDATE"))
        .bind(links)
        .bind(records)
        .fetch_all(tx)
        .await?;
    rows.iter().map(read).collect()
}

/// The links of a record, without locking them.
pub(crate) async fn of_records(db: &mut PgConnection, records: &[RecordId]) -> Result<Vec<Link>, Error> {
    let records: Vec<Uuid> = records.iter().map(|id| id.uuid()).collect();
    let rows =
        sqlx::query(columns!("WHERE record_id = ANY($1) ORDER BY id")).bind(records).fetch_all(db).await?;
    rows.iter().map(read).collect()
}

/// One link, without locking it.
pub(crate) async fn get(db: &mut PgConnection, id: LinkId) -> Result<Option<Link>, Error> {
    let row = sqlx::query(columns!("WHERE id = $1")).bind(id.uuid()).fetch_optional(db).await?;
    row.as_ref().map(read).transpose()
}

/// Links of a mapping behind this one, in the order of ids, without locking them.
pub(crate) async fn page(
    db: &mut PgConnection,
    mapping: MappingId,
    after: Option<LinkId>,
    which: Which,
    limit: i64,
) -> Result<Vec<Link>, Error> {
    let rows = match which {
        Which::All => sqlx::query(columns!("WHERE mapping_id = $1 AND id > $2 ORDER BY id LIMIT $3")),
        Which::Planned => sqlx::query(columns!(
            "WHERE mapping_id = $1 AND id > $2 AND staged IS NOT NULL AND state <> 'ignored' \
             ORDER BY id LIMIT $3"
        )),
        Which::Mergeable => sqlx::query(columns!(
            "WHERE mapping_id = $1 AND id > $2 AND staged IS NOT NULL \
             AND state NOT IN ('ambiguous', 'filtered', 'ignored') ORDER BY id LIMIT $3"
        )),
        Which::NotBeside => sqlx::query(columns!(
            "WHERE mapping_id = $1 AND id > $2 AND state <> 'ignored' AND NOT EXISTS (SELECT 1 FROM beside b \
             WHERE b.mapping_id = links.mapping_id AND b.vendor_id = links.vendor_id) ORDER BY id LIMIT $3"
        )),
    };
    let rows = rows
        .bind(mapping.uuid())
        .bind(after.map_or(Uuid::nil(), LinkId::uuid))
        .bind(limit)
        .fetch_all(db)
        .await?;
    rows.iter().map(read).collect()
}

/// Lets in what a filter left out, so that it is asked again.
pub(crate) async fn release(tx: &mut PgConnection, mapping: MappingId) -> Result<(), Error> {
    sqlx::query(
        "UPDATE links SET state = CASE WHEN record_id IS NULL THEN 'staged' ELSE 'linked' END \
         WHERE mapping_id = $1 AND state = 'filtered'",
    )
    .bind(mapping.uuid())
    .execute(tx)
    .await?;
    Ok(())
}

/// The organization's links that wait for a person's decision, in the order of ids; of one connection where given.
pub(crate) async fn ambiguous(
    db: &mut PgConnection,
    organization: OrganizationId,
    connection: Option<ConnectionId>,
    limit: i64,
) -> Result<Vec<Link>, Error> {
    let rows = sqlx::query(columns!(
        "WHERE organization_id = $1 AND state = 'ambiguous' AND mapping_id IN (SELECT m.id FROM mappings m \
             WHERE m.organization_id = $1 AND ($2::uuid IS NULL OR m.connection_id = $2)) ORDER BY id LIMIT $3"
    ))
    .bind(organization.uuid())
    .bind(connection.map(ConnectionId::uuid))
    .bind(limit)
    .fetch_all(db)
    .await?;
    rows.iter().map(read).collect()
}

/// The link of a vendor's record, without locking it.
pub(crate) async fn of_vendor(
    db: &mut PgConnection,
    mapping: MappingId,
    vendor_id: &str,
) -> Result<Option<Link>, Error> {
    let row = sqlx::query(columns!("WHERE mapping_id = $1 AND vendor_id = $2"))
        .bind(mapping.uuid())
        .bind(vendor_id)
        .fetch_optional(db)
        .await?;
    row.as_ref().map(read).transpose()
}

/// The links of these records of the vendor, without locking them.
pub(crate) async fn of_vendors(
    db: &mut PgConnection,
    mapping: MappingId,
    vendor_ids: &[&str],
) -> Result<Vec<Link>, Error> {
    let rows = sqlx::query(columns!("WHERE mapping_id = $1 AND vendor_id = ANY($2)"))
        .bind(mapping.uuid())
        .bind(vendor_ids)
        .fetch_all(db)
        .await?;
    rows.iter().map(read).collect()
}

/// What is open about a link: the field, empty for the whole record, and why.
pub(crate) async fn troubles(db: &mut PgConnection, link: LinkId) -> Result<Vec<(String, String)>, Error> {
    let rows = sqlx::query(
        "SELECT field, message FROM issues WHERE link_id = $1 AND state IN ('open', 'retrying') ORDER BY field",
    )
    .bind(link.uuid())
    .fetch_all(db)
    .await?;
    rows.iter().map(|row| Ok((row.try_get("field")?, row.try_get("message")?))).collect()
}

/// How many links of a mapping are staged, and how many belong to a record.
pub(crate) async fn count(db: &mut PgConnection, mapping: MappingId) -> Result<(i64, i64), Error> {
    let row = sqlx::query(
        "SELECT count(*) FILTER (WHERE staged IS NOT NULL) AS staged, count(record_id) AS linked \
         FROM links WHERE mapping_id = $1",
    )
    .bind(mapping.uuid())
    .fetch_one(db)
    .await?;
    Ok((row.try_get("staged")?, row.try_get("linked")?))
}

/// The ids of a connection's links with a write in flight, or one refused for want of an authorization, behind this one.
pub(crate) async fn unsettled(
    db: &mut PgConnection,
    connection: ConnectionId,
    after: Option<LinkId>,
    limit: i64,
) -> Result<Vec<LinkId>, Error> {
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "SELECT l.id FROM links l JOIN mappings m ON m.id = l.mapping_id WHERE m.connection_id = $1 \
         AND (l.write_id IS NOT NULL OR EXISTS (SELECT 1 FROM issues i WHERE i.link_id = l.id \
              AND i.category = 'auth' AND i.state IN ('open', 'retrying'))) AND l.id > $2 ORDER BY l.id LIMIT $3",
    )
    .bind(connection.uuid())
    .bind(after.map_or(Uuid::nil(), LinkId::uuid))
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(ids.into_iter().map(LinkId::from_uuid).collect())
}

/// Stores links, new ones and changed ones, in one statement.
pub(crate) async fn put(tx: &mut PgConnection, links: &[&Link]) -> Result<(), Error> {
    if links.is_empty() {
        return Ok(());
    }
    let fields =
        links.iter().map(|link| json(&states::Stored(&link.fields))).collect::<Result<Vec<_>, _>>()?;
    let staged =
        links.iter().map(|link| link.staged.as_ref().map(json).transpose()).collect::<Result<Vec<_>, _>>()?;
    let seen_at: Vec<Option<jiff_sqlx::Timestamp>> =
        links.iter().map(|link| link.seen_at.map(|time: Timestamp| at(time))).collect();
    sqlx::query(
        "INSERT INTO links (id, organization_id, mapping_id, vendor_id, record_id, state, seen_version, seen_at, \
             write_id, fields, staged, written, written_version, shown) \
         SELECT l.id, m.organization_id, mapping_id, vendor_id, record_id, l.state, seen_version, seen_at, write_id, \
             l.fields::json, staged::json, written, written_version, shown \
         FROM UNNEST($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::bigint[], $7::timestamptz[], \
                     $8::uuid[], $9::text[], $10::text[], $11::uuid[], $12::bigint[], $13::bigint[]) \
              AS l(id, mapping_id, vendor_id, record_id, state, seen_version, seen_at, write_id, fields, staged, \
                   written, written_version, shown) \
              JOIN mappings m ON m.id = l.mapping_id \
         ON CONFLICT (id) DO UPDATE SET vendor_id = excluded.vendor_id, record_id = excluded.record_id, \
             state = excluded.state, seen_version = excluded.seen_version, seen_at = excluded.seen_at, \
             write_id = excluded.write_id, fields = excluded.fields, staged = excluded.staged, \
             written = excluded.written, written_version = excluded.written_version, shown = excluded.shown",
    )
    .bind(links.iter().map(|link| link.id.uuid()).collect::<Vec<_>>())
    .bind(links.iter().map(|link| link.mapping.uuid()).collect::<Vec<_>>())
    .bind(links.iter().map(|link| link.vendor_id.as_deref()).collect::<Vec<_>>())
    .bind(links.iter().map(|link| link.record.map(RecordId::uuid)).collect::<Vec<_>>())
    .bind(links.iter().map(|link| link.state.name()).collect::<Vec<_>>())
    .bind(links.iter().map(|link| link.seen_version).collect::<Vec<_>>())
    .bind(seen_at)
    .bind(links.iter().map(|link| link.write.map(WriteId::uuid)).collect::<Vec<_>>())
    .bind(fields)
    .bind(staged)
    .bind(links.iter().map(|link| link.written.map(|(write, _)| write.uuid())).collect::<Vec<_>>())
    .bind(links.iter().map(|link| link.written.map(|(_, version)| version)).collect::<Vec<_>>())
    .bind(links.iter().map(|link| link.shown).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}
