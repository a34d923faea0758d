//! "Why does this field have this value?" over gRPC, with a million changes stored, and as many conflicts and writes as a
//! busy year brings.

use std::time::Instant;

use anyhow::{Result, ensure};
use model::RecordId;
use proto::sync::GetLineageRequest;
use uuid::Uuid;

use crate::{
    servers::Servers,
    sync,
    table::{Row, ms, note, percentile},
};

const RECORDS: i32 = 10_000;
/// Changes of each record; every tenth is a conflict, and a write with its answer.
const CHANGES: i32 = 100;
const ASKED: i32 = 1_000;

/// The description was set by the first change, the phone by every one.
const SEED: [&str; 4] = [
    "INSERT INTO records (id, organization_id, object, version, title, cells, created_at, updated_at)
     SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(r), 12, '0'))::uuid, $1, 'company', $4, 'Company ' || r,
            json_build_object(
                'description', json_build_object('v', 'about ' || r, 't', now(), 'o', 'connection:x', 'n', 1),
                'phone', json_build_object('v', 'phone ' || $4, 't', now(), 'o', 'connection:x', 'n', $4)), now(), now()
     FROM generate_series(1, $3) r WHERE $2::uuid IS NOT NULL",
    "INSERT INTO revisions (organization_id, record_id, version, at, actor, cause, vendor, changes, mapping_id,
         mapping_revision, lane, taken_at)
     SELECT $1, ('00000000-0000-7000-8000-' || lpad(to_hex(r), 12, '0'))::uuid, v, now(), 'connection:x',
            gen_random_uuid()::text, 'hubspot',
            CASE v WHEN 1 THEN json_build_array(
                json_build_object('f', 'description', 'a', 'about ' || r, 'r', 'first_sync'),
                json_build_object('f', 'phone', 'a', 'phone 1', 'r', 'first_sync'))
            ELSE json_build_array(json_build_object('f', 'phone', 'b', 'phone ' || v - 1, 'a', 'phone ' || v, 'r',
                                                    'vendor_moved', 'p', v - 1)) END,
            $2, 1, 'live', now()
     FROM generate_series(1, $4) v, generate_series(1, $3) r",
    "INSERT INTO conflicts (id, organization_id, connection_id, record_id, object, field, policy, winner, kept, lost, pii,
         within_clock_skew, at, cause, version, mapping_id, mapping_revision)
     SELECT gen_random_uuid(), $1, $2, ('00000000-0000-7000-8000-' || lpad(to_hex(r), 12, '0'))::uuid, 'company', 'phone',
            'newest_wins', 'platform', to_jsonb('phone ' || v), '\"lost\"', false, false, now(), '', v, $2, 1
     FROM generate_series(10, $4, 10) v, generate_series(1, $3) r",
    "INSERT INTO writes (organization_id, id, record_id, link_id, mapping_id, mapping_revision, version, cause, taken_at, asked_at, creates,
         fields, state, answer, answered_at, answered, vendor_version)
     SELECT $1, gen_random_uuid(), ('00000000-0000-7000-8000-' || lpad(to_hex(r), 12, '0'))::uuid, $1, $2, 1, v, '', now(),
            now(), false, '{\"phone\": {\"v\": \"phone\", \"a\": \"x\"}}', 'applied', '', now(), '{\"phone\": \"x\"}', v
     FROM generate_series(10, $4, 10) v, generate_series(1, $3) r",
];

pub(crate) async fn measure() -> Result<Row> {
    let servers = Servers::start().await?;
    let open = sync::open(&servers).await?;
    let tenant = open.tenant().await?;
    let pool = chassis::pool(servers.postgres.url(), "sync", 2).await?;
    let mapping: Uuid = sqlx::query_scalar("SELECT id FROM mappings").fetch_one(&pool).await?;
    let began = Instant::now();
    for statement in SEED {
        let seed = sqlx::query(statement).bind(tenant.organization.uuid()).bind(mapping);
        seed.bind(RECORDS).bind(CHANGES).execute(&pool).await?;
    }
    sqlx::query("ANALYZE").execute(&pool).await?;
    let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM revisions").fetch_one(&pool).await?;
    note(&format!("lineage: {stored} changes stored in {:.0} s", began.elapsed().as_secs_f64()));
    let mut sync = tenant.sync();
    let mut took = Vec::new();
    for n in 0..ASKED {
        let record = u128::try_from(n * 7_919 % RECORDS + 1)? | 0x0000_0000_0000_7000_8000_0000_0000_0000;
        let field = if n % 2 == 0 { "phone" } else { "description" };
        let ask = GetLineageRequest {
            record_id: RecordId::from_uuid(Uuid::from_u128(record)).to_string(),
            field: field.to_owned(),
            version: 0,
        };
        let began = Instant::now();
        let story = sync.get_lineage(tenant.request(ask)?).await?.into_inner();
        took.push(began.elapsed());
        ensure!(story.steps.len() >= 2 && story.steps[0].kind == "change", "a story is missing: {story:?}");
    }
    let (p50, p99) = (percentile(&mut took, 50), percentile(&mut took, 99));
    note(&format!("lineage: p50 {p50:?}, p99 {p99:?} of {ASKED} stories"));
    open.close().await;
    servers.stop().await;
    Ok(Row {
        what: "Why a field has its value, p99 of 1,000,000",
        ours: ms(p99),
        floor: String::new(),
        ratio: String::new(),
        goal: "< 50 ms",
        disk: None,
    })
}
