use std::time::Duration;

use sqlx::Error;
use uuid::Uuid;

use super::{Lease, Store, partition_column};

impl Store {
    /// Makes sure that the vendor's partitions have their rows.
    pub(crate) async fn create_leases(&self, vendor: &str, partitions: u32) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO leases (vendor, partition) SELECT $1, generate_series(0, $2 - 1)
             ON CONFLICT DO NOTHING",
        )
        .bind(vendor)
        .bind(partition_column(partitions))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Says that this process is alive, and returns how many are.
    pub(crate) async fn heartbeat(&self, replica: Uuid, ttl: Duration) -> Result<usize, Error> {
        sqlx::query(
            "INSERT INTO replicas (id, seen_at) VALUES ($1, now())
             ON CONFLICT (id) DO UPDATE SET seen_at = now()",
        )
        .bind(replica)
        .execute(&self.pool)
        .await?;
        let alive: i64 = sqlx::query_scalar(
            "WITH gone AS (DELETE FROM replicas WHERE seen_at < now() - $1 * interval '20 milliseconds')
             SELECT count(*) FROM replicas WHERE seen_at >= now() - $1 * interval '1 millisecond'",
        )
        .bind(millis(ttl))
        .fetch_one(&self.pool)
        .await?;
        Ok(usize::try_from(alive).unwrap_or(1).max(1))
    }

    /// Prolongs the leases that this process still holds, and returns them.
    pub(crate) async fn renew_leases(
        &self,
        vendor: &'static str,
        replica: Uuid,
        ttl: Duration,
    ) -> Result<Vec<Lease>, Error> {
        let rows: Vec<(i32, i64)> = sqlx::query_as(
            "UPDATE leases SET expires_at = now() + $3 * interval '1 millisecond'
             WHERE vendor = $1 AND holder = $2 AND expires_at > now() RETURNING partition, fence",
        )
        .bind(vendor)
        .bind(replica)
        .bind(millis(ttl))
        .fetch_all(&self.pool)
        .await?;
        Ok(leases(rows, vendor, replica))
    }

    /// Takes up to `count` leases that nobody holds, and returns them.
    pub(crate) async fn take_leases(
        &self,
        vendor: &'static str,
        replica: Uuid,
        ttl: Duration,
        count: usize,
    ) -> Result<Vec<Lease>, Error> {
        let rows: Vec<(i32, i64)> = sqlx::query_as(
            "UPDATE leases SET holder = $2, fence = fence + 1, expires_at = now() + $3 * interval '1 millisecond'
             WHERE vendor = $1 AND partition IN (
                 SELECT partition FROM leases WHERE vendor = $1 AND expires_at <= now()
                 ORDER BY partition LIMIT $4 FOR UPDATE SKIP LOCKED)
             RETURNING partition, fence",
        )
        .bind(vendor)
        .bind(replica)
        .bind(millis(ttl))
        .bind(i64::try_from(count).unwrap_or(i64::MAX))
        .fetch_all(&self.pool)
        .await?;
        Ok(leases(rows, vendor, replica))
    }

    /// Gives a lease back at once.
    pub(crate) async fn release_lease(&self, lease: &Lease) -> Result<(), Error> {
        sqlx::query(
            "UPDATE leases SET holder = NULL, expires_at = '-infinity'
             WHERE vendor = $1 AND partition = $2 AND holder = $3 AND fence = $4",
        )
        .bind(lease.vendor)
        .bind(partition_column(lease.partition))
        .bind(lease.holder)
        .bind(lease.fence)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Forgets this process, so that the others share its part at once.
    pub(crate) async fn leave(&self, replica: Uuid) -> Result<(), Error> {
        sqlx::query("DELETE FROM replicas WHERE id = $1").bind(replica).execute(&self.pool).await?;
        Ok(())
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn leases(rows: Vec<(i32, i64)>, vendor: &'static str, holder: Uuid) -> Vec<Lease> {
    let lease = |(partition, fence)| Lease {
        vendor,
        partition: u32::try_from(partition).unwrap_or_default(),
        holder,
        fence,
    };
    rows.into_iter().map(lease).collect()
}
