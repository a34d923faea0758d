use std::collections::HashMap;

use jiff::Timestamp;
use model::{OrganizationId, PartnerId, ProgramId};
use prost::Message;
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use super::{
    locks::{self, Lock},
    maybe_time, partner_terms, time,
};
use crate::{
    Error,
    domain::terms::{Book, ModelChange, Names, Partner, Program, Standing, TermsVersion},
    terms,
};

/// The versions of catalogs; one that nobody changed yet has none.
pub(crate) async fn versions(
    connection: &mut PgConnection,
    organizations: &[OrganizationId],
) -> Result<HashMap<OrganizationId, i64>, Error> {
    let organizations: Vec<Uuid> = organizations.iter().map(|id| id.uuid()).collect();
    let found: Vec<(Uuid, i64)> =
        sqlx::query_as("SELECT organization, version FROM catalogs WHERE organization = ANY($1)")
            .bind(organizations)
            .fetch_all(connection)
            .await?;
    Ok(found.into_iter().map(|(id, version)| (OrganizationId::from_uuid(id), version)).collect())
}

/// Takes the catalog alone until the end of the transaction, and raises its version.
pub(crate) async fn change(tx: &mut PgConnection, organization: OrganizationId) -> Result<(), Error> {
    locks::take(tx, &[], &[Lock::catalog(organization)]).await?;
    sqlx::query(
        "INSERT INTO catalogs (organization, version) VALUES ($1, 1)
         ON CONFLICT (organization) DO UPDATE SET version = catalogs.version + 1",
    )
    .bind(organization.uuid())
    .execute(tx)
    .await?;
    Ok(())
}

/// All programs and partners of an organization, as the domain reads them.
pub(crate) async fn book(connection: &mut PgConnection, organization: OrganizationId) -> Result<Book, Error> {
    Ok(Book {
        programs: programs(connection, organization).await?,
        partners: partners(connection, organization).await?,
        names: names(connection, organization).await?,
    })
}

async fn names(connection: &mut PgConnection, organization: OrganizationId) -> Result<Names, Error> {
    let programs: Vec<(Uuid, String)> =
        sqlx::query_as("SELECT id, name FROM programs WHERE organization = $1")
            .bind(organization.uuid())
            .fetch_all(&mut *connection)
            .await?;
    let partners: Vec<(Uuid, String)> =
        sqlx::query_as("SELECT id, name FROM partners WHERE organization = $1")
            .bind(organization.uuid())
            .fetch_all(connection)
            .await?;
    Ok(Names {
        programs: programs.into_iter().map(|(id, name)| (ProgramId::from_uuid(id), name)).collect(),
        partners: partners.into_iter().map(|(id, name)| (PartnerId::from_uuid(id), name)).collect(),
    })
}

async fn programs(
    connection: &mut PgConnection,
    organization: OrganizationId,
) -> Result<HashMap<ProgramId, Program>, Error> {
    let rows = sqlx::query(
        "SELECT terms.program, version, effective_from, terms, ends_at FROM terms
         JOIN programs ON programs.id = terms.program WHERE organization = $1",
    )
    .bind(organization.uuid())
    .fetch_all(&mut *connection)
    .await?;
    let mut versions: HashMap<ProgramId, (Vec<TermsVersion>, Option<Timestamp>)> = HashMap::new();
    for row in rows {
        let entry = versions.entry(ProgramId::from_uuid(row.try_get("program")?)).or_default();
        let encoded: Option<Vec<u8>> = row.try_get("terms")?;
        let wire = encoded.map(|bytes| proto::attribution::Terms::decode(bytes.as_slice())).transpose();
        let wire = wire.map_err(|error| Error::Stored(format!("terms of a program: {error}")))?;
        let version: i32 = row.try_get("version")?;
        entry.0.push(TermsVersion {
            version: version.unsigned_abs(),
            effective_from: time(&row, "effective_from")?,
            terms: wire.map(|wire| terms::from_wire(&wire)).transpose()?,
        });
        entry.1 = maybe_time(&row, "ends_at")?;
    }
    let mut own = partner_terms::all(&mut *connection, organization).await?;
    let changes: Vec<(Uuid, String, i32)> = sqlx::query_as(
        "SELECT DISTINCT ON (program) program, model, up_to_version FROM model_changes
         JOIN programs ON programs.id = model_changes.program
         WHERE organization = $1 ORDER BY program, model_changes.id DESC",
    )
    .bind(organization.uuid())
    .fetch_all(connection)
    .await?;
    let mut models = HashMap::new();
    for (program, model, up_to_version) in changes {
        let model = model.parse().map_err(|error| Error::Stored(format!("{error}")))?;
        let change = ModelChange { model, up_to_version: up_to_version.unsigned_abs() };
        models.insert(ProgramId::from_uuid(program), change);
    }
    let program = |(id, (mut versions, ends_at)): (ProgramId, (Vec<TermsVersion>, Option<Timestamp>))| {
        if let Some(effective_from) = ends_at {
            let version = versions.iter().map(|version| version.version).max().unwrap_or_default() + 1;
            versions.push(TermsVersion { version, effective_from, terms: None });
        }
        let mut program = Program::new(versions, models.get(&id).copied());
        for (partner, versions) in own.remove(&id).unwrap_or_default() {
            program.agree(partner, versions);
        }
        (id, program)
    };
    Ok(versions.into_iter().map(program).collect())
}

async fn partners(
    connection: &mut PgConnection,
    organization: OrganizationId,
) -> Result<HashMap<PartnerId, Partner>, Error> {
    let decided =
        sqlx::query("SELECT partner, verdict, at FROM partner_decisions WHERE organization = $1 ORDER BY id")
            .bind(organization.uuid())
            .fetch_all(&mut *connection)
            .await?;
    let mut standings: HashMap<Uuid, Vec<Standing>> = HashMap::new();
    for (sequence, row) in (0..).zip(decided) {
        let verdict: String = row.try_get("verdict")?;
        let standing = Standing { at: time(&row, "at")?, sequence, active: verdict == "reinstate" };
        standings.entry(row.try_get("partner")?).or_default().push(standing);
    }
    let rows: Vec<(Uuid, String)> = sqlx::query_as("SELECT id, email FROM partners WHERE organization = $1")
        .bind(organization.uuid())
        .fetch_all(connection)
        .await?;
    let partner = |(id, email): (Uuid, String)| {
        (PartnerId::from_uuid(id), Partner::new(&email, standings.remove(&id).unwrap_or_default()))
    };
    Ok(rows.into_iter().map(partner).collect())
}
