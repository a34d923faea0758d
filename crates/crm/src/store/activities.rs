use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::{ActivityId, OrganizationId, RecordId};
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use crate::{
    Error,
    domain::activity::{Concerned, NewActivity},
};

/// What became of an activity that was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    New,
    Replaced,
    Known,
}

impl Outcome {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Replaced => "replaced",
            Self::Known => "known",
        }
    }
}

/// An activity that is about to be stored, with all that it concerns.
#[derive(Debug)]
pub(crate) struct Arrival<'a> {
    pub(crate) new: &'a NewActivity,
    pub(crate) concerned: BTreeSet<Concerned>,
}

/// Lets activities be recorded while nobody becomes known, so that neither misses the other.
pub(crate) async fn lock_shared(tx: &mut PgConnection, organization: OrganizationId) -> Result<(), Error> {
    sqlx::query("SELECT pg_advisory_xact_lock_shared(hashtextextended($1, 12))")
        .bind(directory(organization))
        .execute(tx)
        .await?;
    Ok(())
}

/// Lets people and companies become known while no activity is recorded.
pub(crate) async fn lock(tx: &mut PgConnection, organization: OrganizationId) -> Result<(), Error> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 12))")
        .bind(directory(organization))
        .execute(tx)
        .await?;
    Ok(())
}

fn directory(organization: OrganizationId) -> String {
    format!("crm.directory:{organization}")
}

/// The records that are known by these addresses and domains.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) contacts: HashMap<String, Vec<RecordId>>,
    pub(crate) companies: HashMap<String, Vec<RecordId>>,
    /// The companies and partners that records name.
    pub(crate) named: HashMap<RecordId, Vec<RecordId>>,
}

/// Looks for people by their addresses, for companies and partners by their domains, and for the companies and partners of
/// those and of `told`.
pub(crate) async fn find(
    tx: &mut PgConnection,
    organization: OrganizationId,
    addresses: &BTreeSet<&str>,
    domains: &BTreeSet<&str>,
    told: &BTreeSet<RecordId>,
) -> Result<Found, Error> {
    let mut found = Found::default();
    let mut people: BTreeSet<Uuid> = told.iter().map(|record| record.uuid()).collect();
    let rows = sqlx::query(
        "SELECT field, value, record FROM directory
         WHERE organization = $1 AND ((value = ANY($2) AND field IN ('email', 'secondary_email'))
                                      OR (value = ANY($3) AND field = 'domain'))
           AND NOT EXISTS (SELECT FROM directory AS gone WHERE gone.record = directory.record
                                                          AND gone.field = 'archived')",
    )
    .bind(organization.uuid())
    .bind(addresses.iter().copied().collect::<Vec<_>>())
    .bind(domains.iter().copied().collect::<Vec<_>>())
    .fetch_all(&mut *tx)
    .await?;
    for row in rows {
        let (field, value): (String, String) = (row.try_get("field")?, row.try_get("value")?);
        let record: Uuid = row.try_get("record")?;
        if field == "domain" {
            found.companies.entry(value).or_default().push(RecordId::from_uuid(record));
        } else {
            people.insert(record);
            found.contacts.entry(value).or_default().push(RecordId::from_uuid(record));
        }
    }
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "SELECT record, names FROM directory
         WHERE record = ANY($2) AND organization = $1 AND field IN ('company_id', 'partner_id') AND names IS NOT NULL",
    )
    .bind(organization.uuid())
    .bind(people.into_iter().collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    for (record, names) in rows {
        found.named.entry(RecordId::from_uuid(record)).or_default().push(RecordId::from_uuid(names));
    }
    Ok(found)
}

/// The texts that are longer than the beginnings that are told now, by the source and its id: what is there stays.
pub(crate) async fn longer(
    tx: &mut PgConnection,
    organization: OrganizationId,
    news: &[&NewActivity],
) -> Result<BTreeMap<(String, String), String>, Error> {
    let previews: Vec<&&NewActivity> = news.iter().filter(|new| new.is_preview).collect();
    if previews.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT a.source, a.external_id, a.body
         FROM UNNEST($2::text[], $3::text[], $4::text[]) AS given (source, external_id, body)
         JOIN activities a ON a.organization = $1 AND a.source = given.source AND a.external_id = given.external_id
         WHERE length(a.body) > length(given.body)",
    )
    .bind(organization.uuid())
    .bind(previews.iter().map(|new| new.source.as_str()).collect::<Vec<_>>())
    .bind(previews.iter().map(|new| new.external_id.as_str()).collect::<Vec<_>>())
    .bind(previews.iter().map(|new| new.body.as_str()).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|(source, id, body)| ((source, id), body)).collect())
}

/// Stores activities, in one order. Those that are known in the same or a later version stay as they are; what is gone is
/// later than the same version of it.
pub(crate) async fn put(
    tx: &mut PgConnection,
    organization: OrganizationId,
    arrivals: &[Arrival<'_>],
    actor: &str,
    now: Timestamp,
) -> Result<Vec<(ActivityId, Outcome)>, Error> {
    let stored = upsert(&mut *tx, organization, arrivals, actor, now).await?;
    let replaced: Vec<Uuid> = stored.values().filter(|(_, is_new)| !is_new).map(|(id, _)| *id).collect();
    if !replaced.is_empty() {
        for table in [
            "DELETE FROM participants WHERE activity = ANY($1)",
            "DELETE FROM concerns WHERE activity = ANY($1)",
        ] {
            sqlx::query(table).bind(&replaced).execute(&mut *tx).await?;
        }
    }
    let written: Vec<(Uuid, &Arrival<'_>)> =
        arrivals.iter().filter_map(|arrival| Some((stored.get(&place(arrival.new))?.0, arrival))).collect();
    insert_participants(&mut *tx, organization, &written).await?;
    insert_concerns(&mut *tx, organization, &written).await?;
    let known = known(tx, organization, arrivals, &stored).await?;
    let outcome = |arrival: &Arrival<'_>| {
        let place = place(arrival.new);
        let (id, outcome) = match stored.get(&place) {
            Some((id, true)) => (*id, Outcome::New),
            Some((id, false)) => (*id, Outcome::Replaced),
            None => (known.get(&place).copied().unwrap_or_default(), Outcome::Known),
        };
        (ActivityId::from_uuid(id), outcome)
    };
    Ok(arrivals.iter().map(outcome).collect())
}

type Place<'a> = (&'a str, &'a str);

pub(crate) fn place(new: &NewActivity) -> (String, String) {
    (new.source.clone(), new.external_id.clone())
}

/// The ids of those that are written, and whether they are new.
async fn upsert(
    tx: &mut PgConnection,
    organization: OrganizationId,
    arrivals: &[Arrival<'_>],
    actor: &str,
    now: Timestamp,
) -> Result<BTreeMap<(String, String), (Uuid, bool)>, Error> {
    let mut sorted: Vec<&Arrival<'_>> = arrivals.iter().collect();
    // In one order, so that two who tell the same cannot block each other.
    sorted.sort_by_key(|arrival| -> Place<'_> { (&arrival.new.source, &arrival.new.external_id) });
    let news: Vec<&NewActivity> = sorted.iter().map(|arrival| arrival.new).collect();
    let ids = |arrival: &&Arrival<'_>| {
        let ids = arrival.concerned.iter().map(|id| id.uuid().hyphenated().to_string());
        ids.collect::<Vec<_>>().join(" ")
    };
    let rows = sqlx::query(
        "INSERT INTO activities (id, organization, source, external_id, version, kind, direction, at, subject, body,
                                 thread, url, participants, recorded_by, recorded_at, gone, words)
         SELECT id, $1, source, external_id, version, kind, direction, at, subject, body, thread, url, participants,
                $2, $3, gone, to_tsvector('simple', words) || array_to_tsvector(string_to_array(ids, ' '))
         FROM UNNEST($4::uuid[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::text[], $10::timestamptz[],
                     $11::text[], $12::text[], $13::text[], $14::text[], $15::integer[], $16::text[], $17::text[],
                     $18::boolean[])
             AS given (id, source, external_id, version, kind, direction, at, subject, body, thread, url,
                       participants, words, ids, gone)
         ON CONFLICT (organization, source, external_id) DO UPDATE
             SET version = EXCLUDED.version, kind = EXCLUDED.kind, direction = EXCLUDED.direction, at = EXCLUDED.at,
                 subject = EXCLUDED.subject, body = EXCLUDED.body, thread = EXCLUDED.thread, url = EXCLUDED.url,
                 participants = EXCLUDED.participants, recorded_by = EXCLUDED.recorded_by,
                 recorded_at = EXCLUDED.recorded_at, gone = EXCLUDED.gone, words = EXCLUDED.words
             WHERE (activities.version, activities.gone) < (EXCLUDED.version, EXCLUDED.gone)
         RETURNING id, source, external_id, xmax = 0 AS is_new",
    )
    .bind(organization.uuid())
    .bind(actor)
    .bind(now.to_sqlx())
    .bind(news.iter().map(|_| ActivityId::generate(now).uuid()).collect::<Vec<_>>())
    .bind(news.iter().map(|new| new.source.as_str()).collect::<Vec<_>>())
    .bind(news.iter().map(|new| new.external_id.as_str()).collect::<Vec<_>>())
    .bind(news.iter().map(|new| new.version).collect::<Vec<_>>())
    .bind(news.iter().map(|new| new.kind).collect::<Vec<_>>())
    .bind(news.iter().map(|new| new.direction).collect::<Vec<_>>())
    .bind(news.iter().map(|new| new.at.to_sqlx()).collect::<Vec<_>>())
    .bind(news.iter().map(|new| new.subject.as_str()).collect::<Vec<_>>())
    .bind(news.iter().map(|new| new.body.as_str()).collect::<Vec<_>>())
    .bind(news.iter().map(|new| new.thread.as_str()).collect::<Vec<_>>())
    .bind(news.iter().map(|new| new.url.as_str()).collect::<Vec<_>>())
    .bind(news.iter().map(|new| i32::try_from(new.participants.len()).unwrap_or(i32::MAX)).collect::<Vec<_>>())
    .bind(news.iter().map(|new| new.words()).collect::<Vec<_>>())
    .bind(sorted.iter().map(ids).collect::<Vec<_>>())
    .bind(news.iter().map(|new| new.is_gone).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    let read = |row: &sqlx::postgres::PgRow| {
        let place = (row.try_get("source")?, row.try_get("external_id")?);
        Ok((place, (row.try_get("id")?, row.try_get("is_new")?)))
    };
    rows.iter().map(read).collect::<Result<_, sqlx::Error>>().map_err(Error::from)
}

async fn insert_participants(
    tx: &mut PgConnection,
    organization: OrganizationId,
    written: &[(Uuid, &Arrival<'_>)],
) -> Result<(), Error> {
    let all: Vec<_> = written
        .iter()
        .flat_map(|(id, arrival)| (0_i32..).zip(&arrival.new.participants).map(|(at, who)| (*id, at, who)))
        .collect();
    sqlx::query(
        "INSERT INTO participants (activity, place, organization, role, name, email, address, domain)
         SELECT activity, place, $1, role, name, email, address, domain
         FROM UNNEST($2::uuid[], $3::integer[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
             AS given (activity, place, role, name, email, address, domain)",
    )
    .bind(organization.uuid())
    .bind(all.iter().map(|(id, _, _)| *id).collect::<Vec<_>>())
    .bind(all.iter().map(|(_, place, _)| *place).collect::<Vec<_>>())
    .bind(all.iter().map(|(_, _, who)| who.role.as_str()).collect::<Vec<_>>())
    .bind(all.iter().map(|(_, _, who)| who.name.as_str()).collect::<Vec<_>>())
    .bind(all.iter().map(|(_, _, who)| who.email.as_str()).collect::<Vec<_>>())
    .bind(all.iter().map(|(_, _, who)| who.address.as_str()).collect::<Vec<_>>())
    .bind(all.iter().map(|(_, _, who)| who.domain()).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

async fn insert_concerns(
    tx: &mut PgConnection,
    organization: OrganizationId,
    written: &[(Uuid, &Arrival<'_>)],
) -> Result<(), Error> {
    let all: Vec<_> = written
        .iter()
        .flat_map(|(id, arrival)| arrival.concerned.iter().map(|concerned| (*id, *concerned, arrival.new)))
        .collect();
    sqlx::query(
        "INSERT INTO concerns (activity, record, organization, is_partner, kind, at)
         SELECT activity, record, $1, is_partner, kind, at
         FROM UNNEST($2::uuid[], $3::uuid[], $4::boolean[], $5::text[], $6::timestamptz[])
             AS given (activity, record, is_partner, kind, at)",
    )
    .bind(organization.uuid())
    .bind(all.iter().map(|(id, _, _)| *id).collect::<Vec<_>>())
    .bind(all.iter().map(|(_, concerned, _)| concerned.uuid()).collect::<Vec<_>>())
    .bind(all.iter().map(|(_, concerned, _)| concerned.is_partner()).collect::<Vec<_>>())
    .bind(all.iter().map(|(_, _, new)| new.kind).collect::<Vec<_>>())
    .bind(all.iter().map(|(_, _, new)| new.at.to_sqlx()).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// The ids of those that stayed as they were.
async fn known(
    tx: &mut PgConnection,
    organization: OrganizationId,
    arrivals: &[Arrival<'_>],
    stored: &BTreeMap<(String, String), (Uuid, bool)>,
) -> Result<BTreeMap<(String, String), Uuid>, Error> {
    let left: Vec<&NewActivity> =
        arrivals.iter().map(|it| it.new).filter(|new| !stored.contains_key(&place(new))).collect();
    if left.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows: Vec<(String, String, Uuid)> = sqlx::query_as(
        "SELECT source, external_id, id FROM activities
         JOIN UNNEST($2::text[], $3::text[]) AS given (source, external_id) USING (source, external_id)
         WHERE organization = $1",
    )
    .bind(organization.uuid())
    .bind(left.iter().map(|new| new.source.as_str()).collect::<Vec<_>>())
    .bind(left.iter().map(|new| new.external_id.as_str()).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|(source, external_id, id)| ((source, external_id), id)).collect())
}

/// Ties activities that came before to those of these records that became known: people by their addresses, companies and
/// partners by their domains, but for `free` ones, and then the companies and partners that those records name.
pub(crate) async fn tie(
    tx: &mut PgConnection,
    organization: OrganizationId,
    records: &[Uuid],
    free: &[String],
) -> Result<(), Error> {
    let mut tied: Vec<(Uuid, Uuid)> = Vec::new();
    for sql in [
        "INSERT INTO concerns (activity, record, organization, is_partner, kind, at)
         SELECT DISTINCT activities.id, directory.record, directory.organization, false, activities.kind, activities.at
         FROM directory
         JOIN participants ON participants.organization = $1 AND participants.address = directory.value
         JOIN activities ON activities.id = participants.activity
         WHERE directory.record = ANY($2) AND directory.organization = $1 AND directory.value <> ''
           AND directory.field IN ('email', 'secondary_email') AND $3::text[] IS NOT NULL
         ON CONFLICT DO NOTHING RETURNING activity, record",
        "INSERT INTO concerns (activity, record, organization, is_partner, kind, at)
         SELECT DISTINCT activities.id, directory.record, directory.organization, false, activities.kind, activities.at
         FROM directory
         JOIN participants ON participants.organization = $1 AND participants.domain = directory.value
         JOIN activities ON activities.id = participants.activity
         WHERE directory.record = ANY($2) AND directory.organization = $1 AND directory.value <> ''
           AND directory.field = 'domain' AND directory.value <> ALL($3)
         ON CONFLICT DO NOTHING RETURNING activity, record",
        "INSERT INTO concerns (activity, record, organization, is_partner, kind, at)
         SELECT DISTINCT concerns.activity, directory.names, concerns.organization, false, concerns.kind, concerns.at
         FROM directory
         JOIN concerns ON concerns.record = directory.record AND concerns.organization = $1
         WHERE directory.record = ANY($2) AND directory.organization = $1 AND directory.names IS NOT NULL
           AND directory.field IN ('company_id', 'partner_id') AND $3::text[] IS NOT NULL
         ON CONFLICT DO NOTHING RETURNING activity, record",
    ] {
        let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(sql)
            .bind(organization.uuid())
            .bind(records)
            .bind(free)
            .fetch_all(&mut *tx)
            .await?;
        tied.extend(rows);
    }
    if tied.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE activities SET words = words || array_to_tsvector(given.ids)
         FROM (SELECT activity, array_agg(DISTINCT record::text) AS ids
               FROM UNNEST($1::uuid[], $2::uuid[]) AS tied (activity, record) GROUP BY activity) AS given
         WHERE activities.id = given.activity",
    )
    .bind(tied.iter().map(|(activity, _)| *activity).collect::<Vec<_>>())
    .bind(tied.iter().map(|(_, record)| *record).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}
