use std::collections::HashMap;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::{OrganizationId, PartnerId, ProgramId};
use prost::Message;
use proto::attribution as wire;
use sqlx::{PgConnection, PgPool, Row as _, postgres::PgRow};

use super::{facts::stored, time};
use crate::{Error, domain::terms::TermsVersion, terms};

/// A version of what a partner gets in a program.
#[derive(Clone, Debug)]
pub(crate) struct NewTerms {
    pub(crate) program: ProgramId,
    pub(crate) partner: PartnerId,
    pub(crate) version: u32,
    pub(crate) effective_from: Timestamp,
    /// None: from then on the program's.
    pub(crate) terms: Option<wire::Terms>,
    pub(crate) actor: String,
}

/// Stores it.
pub(crate) async fn insert(tx: &mut PgConnection, new: &NewTerms, now: Timestamp) -> Result<(), Error> {
    let bare = |terms: &wire::Terms| wire::Terms { version: 0, effective_from: None, ..terms.clone() };
    sqlx::query(
        "INSERT INTO partner_terms (program, partner, version, effective_from, terms, actor, at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(new.program.uuid())
    .bind(new.partner.uuid())
    .bind(new.version.cast_signed())
    .bind(new.effective_from.to_sqlx())
    .bind(new.terms.as_ref().map(|terms| bare(terms).encode_to_vec()))
    .bind(&new.actor)
    .bind(now.to_sqlx())
    .execute(tx)
    .await?;
    Ok(())
}

fn decoded(row: &PgRow) -> Result<Option<wire::Terms>, Error> {
    let encoded: Option<Vec<u8>> = row.try_get("terms")?;
    let decode = |bytes: Vec<u8>| wire::Terms::decode(bytes.as_slice());
    encoded.map(decode).transpose().map_err(|error| stored("terms of a partner", error))
}

/// Those of a partner in one program or in all, the newest version first.
pub(crate) async fn list(
    pool: &PgPool,
    organization: OrganizationId,
    partner: PartnerId,
    program: Option<ProgramId>,
) -> Result<Vec<wire::PartnerTerms>, Error> {
    let rows = sqlx::query(
        "SELECT program, programs.name, version, effective_from, terms, actor, at FROM partner_terms
         JOIN programs ON programs.id = program
         WHERE organization = $1 AND partner = $2 AND ($3::uuid IS NULL OR program = $3)
         ORDER BY program DESC, version DESC",
    )
    .bind(organization.uuid())
    .bind(partner.uuid())
    .bind(program.map(ProgramId::uuid))
    .persistent(false)
    .fetch_all(pool)
    .await?;
    let to_wire = |row: &PgRow| {
        Ok(wire::PartnerTerms {
            partner_id: partner.to_string(),
            program_id: ProgramId::from_uuid(row.try_get("program")?).to_string(),
            program_name: row.try_get("name")?,
            version: row.try_get::<i32, _>("version")?.unsigned_abs(),
            effective_from: Some(proto::to_wire_time(time(row, "effective_from")?)),
            terms: decoded(row)?,
            created_at: Some(proto::to_wire_time(time(row, "at")?)),
            created_by: row.try_get("actor")?,
        })
    };
    rows.iter().map(to_wire).collect()
}

/// Those of all partners of an organization, by program.
pub(crate) async fn all(
    connection: &mut PgConnection,
    organization: OrganizationId,
) -> Result<HashMap<ProgramId, HashMap<PartnerId, Vec<TermsVersion>>>, Error> {
    let rows = sqlx::query(
        "SELECT program, partner, version, effective_from, terms FROM partner_terms
         JOIN programs ON programs.id = program WHERE organization = $1",
    )
    .bind(organization.uuid())
    .fetch_all(connection)
    .await?;
    let mut found: HashMap<ProgramId, HashMap<PartnerId, Vec<TermsVersion>>> = HashMap::new();
    for row in rows {
        let of_program = found.entry(ProgramId::from_uuid(row.try_get("program")?)).or_default();
        let of_partner = of_program.entry(PartnerId::from_uuid(row.try_get("partner")?)).or_default();
        of_partner.push(TermsVersion {
            version: row.try_get::<i32, _>("version")?.unsigned_abs(),
            effective_from: time(&row, "effective_from")?,
            terms: decoded(&row)?.map(|terms| terms::from_wire(&terms)).transpose()?,
        });
    }
    Ok(found)
}
