use jiff::Timestamp;
use model::{ConnectionId, ConnectionState, OrganizationId};
use sqlx::{Error, FromRow, PgConnection};
use uuid::Uuid;

use super::{Store, at, partition_column};

/// A connection as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) organization: OrganizationId,
    pub(crate) vendor: String,
    pub(crate) partition: u32,
    pub(crate) account_id: String,
    /// Where its people sign in, see [`crate::Connector::login_url`].
    pub(crate) site: String,
    pub(crate) account_name: String,
    pub(crate) tier: Option<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) notices: Vec<String>,
    pub(crate) state: ConnectionState,
    pub(crate) reason: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) connected_by: String,
    pub(crate) connected_at: Timestamp,
    /// When it was last connected anew after it was disconnected.
    pub(crate) alive_since: Timestamp,
    pub(crate) last_sync_at: Option<Timestamp>,
    /// How often it was paused.
    pub(crate) pauses: i64,
    pub(crate) schema_refreshed_at: Option<Timestamp>,
}

impl Connection {
    /// Whether it reads and writes, or will again by itself.
    pub(crate) const fn works(&self) -> bool {
        matches!(self.state, ConnectionState::Active | ConnectionState::Error)
    }
}

/// An authorized account.
#[derive(Clone, Debug)]
pub(crate) struct NewConnection<'a> {
    pub(crate) id: ConnectionId,
    pub(crate) organization: OrganizationId,
    pub(crate) vendor: &'static str,
    pub(crate) site: &'a str,
    pub(crate) account: &'a crate::Account,
    pub(crate) actor: &'a str,
    pub(crate) now: Timestamp,
}

/// A change of state, allowed from some states only.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transition<'a> {
    pub(crate) from: &'a [ConnectionState],
    pub(crate) to: ConnectionState,
    pub(crate) reason: Option<&'a str>,
    pub(crate) message: Option<&'a str>,
}

#[derive(FromRow)]
struct Row {
    id: Uuid,
    organization: Uuid,
    vendor: String,
    partition: i32,
    account_id: String,
    site: String,
    account_name: String,
    tier: Option<String>,
    scopes: Vec<String>,
    notices: Vec<String>,
    state: String,
    reason: Option<String>,
    message: Option<String>,
    connected_by: String,
    connected_at: jiff_sqlx::Timestamp,
    alive_since: jiff_sqlx::Timestamp,
    last_sync_at: Option<jiff_sqlx::Timestamp>,
    pauses: i64,
    schema_refreshed_at: Option<jiff_sqlx::Timestamp>,
}

impl TryFrom<Row> for Connection {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        Ok(Self {
            id: ConnectionId::from_uuid(row.id),
            organization: OrganizationId::from_uuid(row.organization),
            vendor: row.vendor,
            partition: u32::try_from(row.partition).unwrap_or_default(),
            account_id: row.account_id,
            site: row.site,
            account_name: row.account_name,
            tier: row.tier,
            scopes: row.scopes,
            notices: row.notices,
            state: state(&row.state)?,
            reason: row.reason,
            message: row.message,
            connected_by: row.connected_by,
            connected_at: row.connected_at.to_jiff(),
            alive_since: row.alive_since.to_jiff(),
            last_sync_at: row.last_sync_at.map(|at| at.to_jiff()),
            pauses: row.pauses,
            schema_refreshed_at: row.schema_refreshed_at.map(|at| at.to_jiff()),
        })
    }
}

fn state(name: &str) -> Result<ConnectionState, Error> {
    use ConnectionState::{Active, Disconnected, Error as Failing, Paused, ReauthRequired};
    [Active, Paused, Failing, ReauthRequired, Disconnected]
        .into_iter()
        .find(|state| state.name() == name)
        .ok_or_else(|| Error::Decode("no such connection state".into()))
}

impl Store {
    /// The connections of an organization, the newest first.
    pub(crate) async fn connections(&self, organization: OrganizationId) -> Result<Vec<Connection>, Error> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT c.*, s.refreshed_at AS schema_refreshed_at
             FROM connections c LEFT JOIN schemas s ON s.connection = c.id
             WHERE c.organization = $1 ORDER BY c.connected_at DESC, c.id",
        )
        .bind(organization.uuid())
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// The connections in these partitions of a vendor that are not disconnected.
    pub(crate) async fn connections_in(
        &self,
        vendor: &str,
        partitions: &[u32],
    ) -> Result<Vec<Connection>, Error> {
        let partitions: Vec<i32> = partitions.iter().copied().map(partition_column).collect();
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT c.*, s.refreshed_at AS schema_refreshed_at
             FROM connections c LEFT JOIN schemas s ON s.connection = c.id
             WHERE c.vendor = $1 AND c.partition = ANY($2) AND c.state <> 'disconnected'",
        )
        .bind(vendor)
        .bind(partitions)
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// The connections to an account that are not disconnected, whosever they are. They stay as they are until the transaction
    /// ends: nobody authorizes one again in between.
    pub(crate) async fn lock_connections_to(
        tx: &mut PgConnection,
        vendor: &str,
        account: &str,
    ) -> Result<Vec<Connection>, Error> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT c.*, s.refreshed_at AS schema_refreshed_at
             FROM connections c LEFT JOIN schemas s ON s.connection = c.id
             WHERE c.vendor = $1 AND c.account_id = $2 AND c.state <> 'disconnected' ORDER BY c.id
             FOR NO KEY UPDATE OF c",
        )
        .bind(vendor)
        .bind(account)
        .fetch_all(tx)
        .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// One connection.
    pub(crate) async fn connection(&self, id: ConnectionId) -> Result<Option<Connection>, Error> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT c.*, s.refreshed_at AS schema_refreshed_at
             FROM connections c LEFT JOIN schemas s ON s.connection = c.id WHERE c.id = $1",
        )
        .bind(id.uuid())
        .fetch_optional(&self.pool)
        .await?;
        row.map(TryInto::try_into).transpose()
    }

    /// Stores an authorized account as an active connection, a new one or the one that this account has already, and
    /// returns its id.
    pub(crate) async fn upsert_connection(
        tx: &mut PgConnection,
        new: &NewConnection<'_>,
    ) -> Result<ConnectionId, Error> {
        let partition = bus::subject::partition(&new.id);
        let id: Uuid = sqlx::query_scalar(
            "INSERT INTO connections (id, organization, vendor, partition, account_id, account_name, tier, scopes,
                                      notices, state, connected_by, connected_at, site)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'active', $10, $11, $12)
             ON CONFLICT (organization, vendor, account_id) DO UPDATE
             SET account_name = EXCLUDED.account_name, tier = EXCLUDED.tier, scopes = EXCLUDED.scopes,
                 alive_since = CASE connections.state WHEN 'disconnected' THEN EXCLUDED.connected_at
                                                      ELSE connections.alive_since END,
                 notices = EXCLUDED.notices, state = 'active', reason = NULL, message = NULL,
                 connected_by = EXCLUDED.connected_by, connected_at = EXCLUDED.connected_at,
                 site = EXCLUDED.site
             RETURNING id",
        )
        .bind(new.id.uuid())
        .bind(new.organization.uuid())
        .bind(new.vendor)
        .bind(partition_column(partition))
        .bind(&new.account.id)
        .bind(&new.account.name)
        .bind(&new.account.tier)
        .bind(&new.account.scopes)
        .bind(&new.account.notices)
        .bind(new.actor)
        .bind(at(new.now))
        .bind(new.site)
        .fetch_one(tx)
        .await?;
        Ok(ConnectionId::from_uuid(id))
    }

    /// Changes the state if the connection is in one of the states that the transition starts from; tells whether.
    pub(crate) async fn transition(
        tx: &mut PgConnection,
        id: ConnectionId,
        transition: &Transition<'_>,
    ) -> Result<bool, Error> {
        let from: Vec<&str> = transition.from.iter().map(|state| state.name()).collect();
        let changed = sqlx::query(
            "UPDATE connections SET state = $3, reason = $4, message = $5,
                                    pauses = pauses + ($3 = 'paused')::int
             WHERE id = $1 AND state = ANY($2)
               AND (state, reason) IS DISTINCT FROM ($3, $4)",
        )
        .bind(id.uuid())
        .bind(from)
        .bind(transition.to.name())
        .bind(transition.reason)
        .bind(transition.message)
        .execute(tx)
        .await?;
        Ok(changed.rows_affected() > 0)
    }
}
