use std::collections::HashMap;

use jiff::Timestamp;
use model::ConnectionId;
use sqlx::{Error, FromRow};

use super::{Store, at};

/// How the changes of an object become known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamState {
    /// The stream is open, and what was changed before it is being read.
    CatchingUp,
    /// By the stream alone.
    Following,
    /// The stream broke off and is being opened again.
    Interrupted,
    /// The vendor did not know any more where the stream stood: what was changed since is being read.
    Lost,
    /// The account has no stream: by asking.
    Polled,
}

impl StreamState {
    /// Its stable name in the API.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::CatchingUp => "catching_up",
            Self::Following => "following",
            Self::Interrupted => "interrupted",
            Self::Lost => "lost",
            Self::Polled => "polled",
        }
    }
}

/// How an object is followed, as it is shown.
#[derive(Clone, Debug, FromRow)]
pub(crate) struct Following {
    object: String,
    pub(crate) state: String,
    /// Why, in words.
    pub(crate) message: Option<String>,
    pub(crate) since: jiff_sqlx::Timestamp,
    pub(crate) changed_at: Option<jiff_sqlx::Timestamp>,
    pub(crate) lag_ms: Option<i64>,
    /// The vendor's own name of the position up to which everything was published.
    pub(crate) position: Option<String>,
    /// When that was last stored.
    pub(crate) stored_at: Option<jiff_sqlx::Timestamp>,
}

impl Store {
    /// Says how an object is followed now.
    pub(crate) async fn note_stream(
        &self,
        connection: ConnectionId,
        object: &str,
        state: StreamState,
        message: Option<&str>,
        now: Timestamp,
    ) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO streams (connection, object, state, message, since) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (connection, object) DO UPDATE
             SET state = EXCLUDED.state, message = EXCLUDED.message,
                 since = CASE WHEN streams.state = EXCLUDED.state THEN streams.since ELSE EXCLUDED.since END",
        )
        .bind(connection.uuid())
        .bind(object)
        .bind(state.name())
        .bind(message)
        .bind(at(now))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Notes the last change that the stream brought.
    pub(crate) async fn note_streamed(
        &self,
        connection: ConnectionId,
        object: &str,
        changed_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), Error> {
        sqlx::query("UPDATE streams SET changed_at = $3, lag_ms = $4 WHERE connection = $1 AND object = $2")
            .bind(connection.uuid())
            .bind(object)
            .bind(at(changed_at))
            .bind(now.as_millisecond() - changed_at.as_millisecond())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// How the objects of a connection are followed, where the vendor has a stream.
    pub(crate) async fn followed(
        &self,
        connection: ConnectionId,
    ) -> Result<HashMap<String, Following>, Error> {
        let rows: Vec<Following> = sqlx::query_as(
            "SELECT s.object, s.state, s.message, s.since, s.changed_at, s.lag_ms, c.position ->> 'id' AS position,
                    c.stored_at
             FROM streams s LEFT JOIN checkpoints c
               ON c.connection = s.connection AND c.object = s.object AND c.lane = 'stream'
             WHERE s.connection = $1",
        )
        .bind(connection.uuid())
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|row| (row.object.clone(), row)).collect())
    }
}
