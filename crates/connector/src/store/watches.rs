use jiff::Timestamp;
use model::ConnectionId;
use sqlx::{Error, FromRow};
use uuid::Uuid;

use super::{Lease, Store, Stored, at, partition_column};
use crate::{Heard, Watch};

/// What a vendor was asked to tell.
#[derive(Clone, Debug, FromRow)]
pub(crate) struct StoredWatch {
    pub(crate) id: Uuid,
    connection: Uuid,
    pub(crate) vendor: String,
    pub(crate) feed: String,
    pub(crate) address: String,
    /// The digest of the secret.
    pub(crate) secret: Vec<u8>,
    begun_at: jiff_sqlx::Timestamp,
    pub(crate) external_id: Option<String>,
    resource: Option<String>,
    renewed_at: Option<jiff_sqlx::Timestamp>,
    ends_at: Option<jiff_sqlx::Timestamp>,
    is_proven: bool,
    pub(crate) is_ending: bool,
    pub(crate) is_ended: bool,
    /// Whether its feed was not read since something was told last.
    #[sqlx(default)]
    pub(crate) is_unread: bool,
}

impl StoredWatch {
    pub(crate) const fn connection(&self) -> ConnectionId {
        ConnectionId::from_uuid(self.connection)
    }

    pub(crate) fn begun_at(&self) -> Timestamp {
        self.begun_at.to_jiff()
    }

    /// What the vendor agreed to, and when it last did.
    pub(crate) fn agreed(&self) -> Option<(Watch, Timestamp)> {
        let watch = Watch {
            id: self.external_id.clone()?,
            resource: self.resource.clone().unwrap_or_default(),
            ends_at: self.ends_at?.to_jiff(),
            is_proven: self.is_proven,
        };
        Some((watch, self.renewed_at?.to_jiff()))
    }
}

/// How the news of a feed arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The vendor tells.
    Pushed,
    /// By asking alone, and why.
    Polled(String),
}

impl Arrival {
    const fn name(&self) -> &'static str {
        match self {
            Self::Pushed => "pushed",
            Self::Polled(_) => "polled",
        }
    }

    fn message(&self) -> Option<&str> {
        match self {
            Self::Pushed => None,
            Self::Polled(why) => Some(why),
        }
    }
}

/// The same as it is shown.
#[derive(Clone, Debug, FromRow)]
pub(crate) struct ShownArrival {
    pub(crate) feed: String,
    pub(crate) state: String,
    pub(crate) message: Option<String>,
    pub(crate) since: jiff_sqlx::Timestamp,
    pub(crate) pushed_at: Option<jiff_sqlx::Timestamp>,
}

/// A watch that is to be asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewWatch<'a> {
    pub(crate) id: Uuid,
    pub(crate) connection: ConnectionId,
    pub(crate) feed: &'a str,
    pub(crate) address: &'a str,
    pub(crate) secret: &'a [u8],
    pub(crate) now: Timestamp,
}

impl Store {
    /// Notes that the vendor is about to be asked, unless the lease was lost or somebody disconnected the connection.
    pub(crate) async fn begin_watch(&self, lease: &Lease, new: &NewWatch<'_>) -> Result<Stored, Error> {
        let stored = sqlx::query(
            "INSERT INTO watches (id, connection, vendor, feed, address, secret, begun_at)
             SELECT $2, c.id, c.vendor, $3, $4, $5, $6 FROM connections c, leases l
             WHERE c.id = $1 AND c.state <> 'disconnected'
               AND l.vendor = $7 AND l.partition = $8 AND l.holder = $9 AND l.fence = $10
             FOR SHARE OF c",
        )
        .bind(new.connection.uuid())
        .bind(new.id)
        .bind(new.feed)
        .bind(new.address)
        .bind(new.secret)
        .bind(at(new.now))
        .bind(lease.vendor)
        .bind(partition_column(lease.partition))
        .bind(lease.holder)
        .bind(lease.fence)
        .execute(&self.pool)
        .await?;
        Ok(if stored.rows_affected() == 1 { Stored::Done } else { Stored::LeaseLost })
    }

    /// Stores what the vendor agreed to; false when nobody wants it any more.
    pub(crate) async fn agree_watch(&self, id: Uuid, watch: &Watch, now: Timestamp) -> Result<bool, Error> {
        let stored = sqlx::query(
            "UPDATE watches SET external_id = $2, resource = $3, renewed_at = $4, ends_at = $5,
                                is_proven = is_proven OR $6, is_ending = false WHERE id = $1",
        )
        .bind(id)
        .bind(&watch.id)
        .bind(&watch.resource)
        .bind(at(now))
        .bind(at(watch.ends_at))
        .bind(watch.is_proven)
        .execute(&self.pool)
        .await?;
        Ok(stored.rows_affected() == 1)
    }

    pub(crate) async fn drop_watch(&self, id: Uuid) -> Result<(), Error> {
        sqlx::query("DELETE FROM watches WHERE id = $1").bind(id).execute(&self.pool).await?;
        Ok(())
    }

    /// The watches of a connection, the newest first.
    pub(crate) async fn watches(&self, connection: ConnectionId) -> Result<Vec<StoredWatch>, Error> {
        let sql = "SELECT w.*, COALESCE(w.pushed_at > f.last_poll_at, false) AS is_unread
                   FROM watches w LEFT JOIN feeds f ON f.connection = w.connection AND f.feed = w.feed
                   WHERE w.connection = $1 ORDER BY w.begun_at DESC, w.id";
        sqlx::query_as(sql).bind(connection.uuid()).fetch_all(&self.pool).await
    }

    pub(crate) async fn watch(&self, id: Uuid) -> Result<Option<StoredWatch>, Error> {
        sqlx::query_as("SELECT * FROM watches WHERE id = $1").bind(id).fetch_optional(&self.pool).await
    }

    /// Notes what was told, and that the feed's news are pushed.
    pub(crate) async fn note_push(&self, id: Uuid, heard: &[Heard], now: Timestamp) -> Result<(), Error> {
        sqlx::query(
            "WITH told AS (
                 UPDATE watches SET pushed_at = $2, is_proven = true, is_ending = is_ending OR $3,
                                    is_ended = is_ended OR $4
                 WHERE id = $1 RETURNING connection, feed)
             INSERT INTO arrivals (connection, feed, state, since, pushed_at)
             SELECT connection, feed, 'pushed', $2, $2 FROM told
             ON CONFLICT (connection, feed) DO UPDATE
             SET state = 'pushed', message = NULL, pushed_at = $2,
                 since = CASE arrivals.state WHEN 'pushed' THEN arrivals.since ELSE $2 END",
        )
        .bind(id)
        .bind(at(now))
        .bind(heard.contains(&Heard::Ending))
        .bind(heard.contains(&Heard::Ended))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Says how the news of a feed arrive now.
    pub(crate) async fn note_arrival(
        &self,
        connection: ConnectionId,
        feed: &str,
        arrival: &Arrival,
        now: Timestamp,
    ) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO arrivals (connection, feed, state, message, since)
             SELECT id, $2, $3, $4, $5 FROM connections WHERE id = $1 AND state <> 'disconnected' FOR SHARE
             ON CONFLICT (connection, feed) DO UPDATE
             SET state = EXCLUDED.state, message = EXCLUDED.message,
                 since = CASE arrivals.state WHEN EXCLUDED.state THEN arrivals.since ELSE EXCLUDED.since END
             WHERE (arrivals.state, arrivals.message) IS DISTINCT FROM (EXCLUDED.state, EXCLUDED.message)",
        )
        .bind(connection.uuid())
        .bind(feed)
        .bind(arrival.name())
        .bind(arrival.message())
        .bind(at(now))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// How the news of a connection's feeds arrive, as far as it was noted.
    pub(crate) async fn arrivals(&self, connection: ConnectionId) -> Result<Vec<ShownArrival>, Error> {
        sqlx::query_as("SELECT feed, state, message, since, pushed_at FROM arrivals WHERE connection = $1")
            .bind(connection.uuid())
            .fetch_all(&self.pool)
            .await
    }
}
