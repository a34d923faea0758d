use std::time::Duration;

use jiff::Timestamp;
use model::ConnectionId;
use sqlx::{Error, FromRow, PgConnection};
use uuid::Uuid;
use vault::Sealed;

use super::{Store, at};

/// The sealed tokens of a connection.
#[derive(Clone, Debug)]
pub(crate) struct TokenRow {
    pub(crate) generation: i64,
    pub(crate) access: Sealed,
    pub(crate) refresh: Sealed,
    /// When the access token ends, and how long it lives in all; none when only a refused call tells.
    pub(crate) expires: Option<(Timestamp, Duration)>,
    /// The base address of the account's API, where it has one of its own.
    pub(crate) api_url: Option<String>,
    /// Whether somebody announced a refresh that has not ended.
    pub(crate) intent: bool,
}

/// What became of an announced refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IntentAnswer {
    /// Go ahead.
    Granted,
    /// Somebody else is at it, or was faster.
    Taken,
}

#[derive(FromRow)]
struct Row {
    generation: i64,
    access_token: Vec<u8>,
    refresh_token: Vec<u8>,
    expires_at: Option<jiff_sqlx::Timestamp>,
    lifetime_ms: i64,
    api_url: Option<String>,
    intent_by: Option<Uuid>,
}

impl Store {
    /// The tokens.
    pub(crate) async fn tokens(&self, connection: ConnectionId) -> Result<Option<TokenRow>, Error> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT generation, access_token, refresh_token, expires_at, lifetime_ms, api_url, intent_by
             FROM tokens WHERE connection = $1",
        )
        .bind(connection.uuid())
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| TokenRow {
            generation: row.generation,
            access: Sealed::from_bytes(row.access_token),
            refresh: Sealed::from_bytes(row.refresh_token),
            expires: row.expires_at.map(|at| (at.to_jiff(), lifetime(row.lifetime_ms))),
            api_url: row.api_url,
            intent: row.intent_by.is_some(),
        }))
    }

    /// Stores the tokens of a completed authorization, in place of older ones, whatever their generation says. The first generation is the second of
    /// the clock, so that it is newer than those of an earlier life of the connection.
    pub(crate) async fn put_tokens(
        tx: &mut PgConnection,
        connection: ConnectionId,
        tokens: &TokenRow,
    ) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO tokens (connection, generation, access_token, refresh_token, expires_at, lifetime_ms, api_url)
             VALUES ($1, extract(epoch FROM now())::bigint, $2, $3, $4, $5, $6)
             ON CONFLICT (connection) DO UPDATE
             SET generation = tokens.generation + 1, access_token = EXCLUDED.access_token,
                 refresh_token = EXCLUDED.refresh_token, expires_at = EXCLUDED.expires_at,
                 lifetime_ms = EXCLUDED.lifetime_ms, api_url = EXCLUDED.api_url, intent_by = NULL, intent_until = NULL",
        )
        .bind(connection.uuid())
        .bind(tokens.access.as_bytes())
        .bind(tokens.refresh.as_bytes())
        .bind(tokens.expires.map(|(ends, _)| at(ends)))
        .bind(lifetime_ms(tokens))
        .bind(&tokens.api_url)
        .execute(tx)
        .await?;
        Ok(())
    }

    /// Announces a refresh of this generation, for this long. An announcement that is overdue belongs to a process
    /// that died, and is taken over.
    pub(crate) async fn announce_refresh(
        &self,
        connection: ConnectionId,
        generation: i64,
        by: Uuid,
        patience: Duration,
    ) -> Result<IntentAnswer, Error> {
        let announced = sqlx::query(
            "UPDATE tokens SET intent_by = $3, intent_until = now() + $4 * interval '1 millisecond'
             WHERE connection = $1 AND generation = $2 AND (intent_by IS NULL OR intent_until < now())",
        )
        .bind(connection.uuid())
        .bind(generation)
        .bind(by)
        .bind(i64::try_from(patience.as_millis()).unwrap_or(i64::MAX))
        .execute(&self.pool)
        .await?;
        Ok(if announced.rows_affected() == 1 { IntentAnswer::Granted } else { IntentAnswer::Taken })
    }

    /// Takes an announcement back.
    pub(crate) async fn withdraw_refresh(
        tx: &mut PgConnection,
        connection: ConnectionId,
        generation: i64,
        by: Uuid,
    ) -> Result<bool, Error> {
        let withdrawn = sqlx::query(
            "UPDATE tokens SET intent_by = NULL, intent_until = NULL
             WHERE connection = $1 AND generation = $2 AND intent_by = $3",
        )
        .bind(connection.uuid())
        .bind(generation)
        .bind(by)
        .execute(tx)
        .await?;
        Ok(withdrawn.rows_affected() == 1)
    }

    /// Lets anybody take an announcement over whose outcome is not known.
    pub(crate) async fn interrupt_refresh(
        &self,
        connection: ConnectionId,
        generation: i64,
        by: Uuid,
    ) -> Result<(), Error> {
        sqlx::query(
            "UPDATE tokens SET intent_until = '-infinity'
             WHERE connection = $1 AND generation = $2 AND intent_by = $3",
        )
        .bind(connection.uuid())
        .bind(generation)
        .bind(by)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Replaces the tokens of this generation; tells whether. Somebody else may have announced a refresh since, while
    /// these could not be stored: the vendor refuses them then, and they find the newer ones.
    pub(crate) async fn replace_tokens(
        tx: &mut PgConnection,
        connection: ConnectionId,
        by: Uuid,
        next: &TokenRow,
    ) -> Result<bool, Error> {
        let replaced = sqlx::query(
            "UPDATE tokens SET generation = $2, access_token = $4, refresh_token = $5, expires_at = $6,
                               lifetime_ms = $7, api_url = $8, intent_by = NULL, intent_until = NULL
             WHERE connection = $1 AND generation = $2 - 1",
        )
        .bind(connection.uuid())
        .bind(next.generation)
        .bind(by)
        .bind(next.access.as_bytes())
        .bind(next.refresh.as_bytes())
        .bind(next.expires.map(|(ends, _)| at(ends)))
        .bind(lifetime_ms(next))
        .bind(&next.api_url)
        .execute(tx)
        .await?;
        Ok(replaced.rows_affected() == 1)
    }

    /// Deletes the tokens.
    pub(crate) async fn delete_tokens(tx: &mut PgConnection, connection: ConnectionId) -> Result<(), Error> {
        sqlx::query("DELETE FROM tokens WHERE connection = $1").bind(connection.uuid()).execute(tx).await?;
        Ok(())
    }
}

fn lifetime(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or_default())
}

fn lifetime_ms(tokens: &TokenRow) -> i64 {
    let lives = tokens.expires.map_or(Duration::ZERO, |(_, lives)| lives);
    i64::try_from(lives.as_millis()).unwrap_or(i64::MAX)
}
