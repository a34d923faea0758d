use jiff::Timestamp;
use model::{ConnectionId, OrganizationId};
use sqlx::{Error, FromRow};
use uuid::Uuid;
use vault::Sealed;

use super::{Store, at};

/// A flow that somebody begins.
#[derive(Clone, Debug)]
pub(crate) struct NewAuthorization<'a> {
    pub(crate) id: Uuid,
    pub(crate) organization: OrganizationId,
    pub(crate) vendor: &'static str,
    pub(crate) connection: Option<ConnectionId>,
    pub(crate) actor: &'a str,
    pub(crate) return_path: &'a str,
    pub(crate) site: &'a str,
    pub(crate) ticket_hash: &'a [u8],
    pub(crate) expires_at: Timestamp,
}

/// A flow under way.
#[derive(Clone, Debug)]
pub(crate) struct Authorization {
    pub(crate) id: Uuid,
    pub(crate) organization: OrganizationId,
    pub(crate) vendor: String,
    pub(crate) connection: Option<ConnectionId>,
    pub(crate) actor: String,
    pub(crate) return_path: String,
    pub(crate) site: String,
    pub(crate) nonce_hash: Vec<u8>,
    pub(crate) verifier: Option<Sealed>,
    pub(crate) code: Option<Sealed>,
    pub(crate) expires_at: Timestamp,
}

#[derive(FromRow)]
struct Row {
    id: Uuid,
    organization: Uuid,
    vendor: String,
    connection: Option<Uuid>,
    actor: String,
    return_path: String,
    site: String,
    nonce_hash: Option<Vec<u8>>,
    verifier: Option<Vec<u8>>,
    code: Option<Vec<u8>>,
    expires_at: jiff_sqlx::Timestamp,
}

impl From<Row> for Authorization {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            organization: OrganizationId::from_uuid(row.organization),
            vendor: row.vendor,
            connection: row.connection.map(ConnectionId::from_uuid),
            actor: row.actor,
            return_path: row.return_path,
            site: row.site,
            nonce_hash: row.nonce_hash.unwrap_or_default(),
            verifier: row.verifier.map(Sealed::from_bytes),
            code: row.code.map(Sealed::from_bytes),
            expires_at: row.expires_at.to_jiff(),
        }
    }
}

impl Store {
    /// Stores a new flow, forgets those that ended long ago and the secrets of those that ended.
    pub(crate) async fn begin_authorization(
        &self,
        new: &NewAuthorization<'_>,
        now: Timestamp,
    ) -> Result<(), Error> {
        sqlx::query("DELETE FROM authorizations WHERE expires_at < $1 - interval '1 day'")
            .bind(at(now))
            .execute(&self.pool)
            .await?;
        sqlx::query(
            "UPDATE authorizations SET code = NULL, verifier = NULL
             WHERE expires_at < $1 AND (code IS NOT NULL OR verifier IS NOT NULL)",
        )
        .bind(at(now))
        .execute(&self.pool)
        .await?;
        sqlx::query(
            "INSERT INTO authorizations (id, organization, vendor, connection, actor, return_path, ticket_hash,
                                         expires_at, site)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(new.id)
        .bind(new.organization.uuid())
        .bind(new.vendor)
        .bind(new.connection.map(ConnectionId::uuid))
        .bind(new.actor)
        .bind(new.return_path)
        .bind(new.ticket_hash)
        .bind(at(new.expires_at))
        .bind(new.site)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The flow of a ticket that was not spent.
    pub(crate) async fn ticket(&self, hash: &[u8], now: Timestamp) -> Result<Option<Authorization>, Error> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT id, organization, vendor, connection, actor, return_path, site, nonce_hash, verifier, code,
                    expires_at
             FROM authorizations WHERE ticket_hash = $1 AND state_hash IS NULL AND expires_at > $2",
        )
        .bind(hash)
        .bind(at(now))
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(Into::into))
    }

    /// Spends the ticket of a flow, which lasts until then; tells whether it was there to spend.
    pub(crate) async fn start_authorization(
        &self,
        id: Uuid,
        state_hash: &[u8],
        nonce_hash: &[u8],
        verifier: &Sealed,
        expires_at: Timestamp,
    ) -> Result<bool, Error> {
        let started = sqlx::query(
            "UPDATE authorizations SET state_hash = $2, nonce_hash = $3, verifier = $4, expires_at = $5
             WHERE id = $1 AND state_hash IS NULL",
        )
        .bind(id)
        .bind(state_hash)
        .bind(nonce_hash)
        .bind(verifier.as_bytes())
        .bind(at(expires_at))
        .execute(&self.pool)
        .await?;
        Ok(started.rows_affected() == 1)
    }

    /// Spends a state: the flow that it belongs to, once.
    pub(crate) async fn complete_authorization(
        &self,
        state_hash: &[u8],
        now: Timestamp,
    ) -> Result<Option<Authorization>, Error> {
        let row: Option<Row> = sqlx::query_as(
            "UPDATE authorizations SET completed_at = $2
             WHERE state_hash = $1 AND completed_at IS NULL AND expires_at > $2
             RETURNING id, organization, vendor, connection, actor, return_path, site, nonce_hash, verifier, code,
                       expires_at",
        )
        .bind(state_hash)
        .bind(at(now))
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(Into::into))
    }

    /// Keeps what the vendor gave with the browser until somebody confirms it, at the latest then.
    pub(crate) async fn keep_code(
        &self,
        id: Uuid,
        confirm_hash: &[u8],
        code: &Sealed,
        expires_at: Timestamp,
    ) -> Result<(), Error> {
        sqlx::query("UPDATE authorizations SET confirm_hash = $2, code = $3, expires_at = $4 WHERE id = $1")
            .bind(id)
            .bind(confirm_hash)
            .bind(code.as_bytes())
            .bind(at(expires_at))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Takes the flow that waits for this confirmation, once: its secrets are in the answer and no longer here.
    pub(crate) async fn take_code(
        &self,
        confirm_hash: &[u8],
        now: Timestamp,
    ) -> Result<Option<Authorization>, Error> {
        let row: Option<Row> = sqlx::query_as(
            "WITH waiting AS (
                 SELECT id, code, verifier FROM authorizations
                 WHERE confirm_hash = $1 AND confirmed_at IS NULL FOR UPDATE)
             UPDATE authorizations a SET confirmed_at = $2, code = NULL, verifier = NULL
             FROM waiting w WHERE a.id = w.id
             RETURNING a.id, a.organization, a.vendor, a.connection, a.actor, a.return_path, a.site, a.nonce_hash,
                       a.expires_at, w.verifier, w.code",
        )
        .bind(confirm_hash)
        .bind(at(now))
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(Into::into))
    }

    /// The flow that a browser's nonce belongs to, whatever became of it: whom to tell about a wrong state.
    pub(crate) async fn authorization_of_nonce(&self, hash: &[u8]) -> Result<Option<Authorization>, Error> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT id, organization, vendor, connection, actor, return_path, site, nonce_hash, verifier, code,
                    expires_at
             FROM authorizations WHERE nonce_hash = $1 LIMIT 1",
        )
        .bind(hash)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(Into::into))
    }
}
