use model::{ConnectionId, Digests, OrganizationId, VerifyRequested};
use sqlx::{Error, PgConnection, types::Json};
use uuid::Uuid;

use super::Store;

impl Store {
    /// Stores that an object is to be compared, in place of an older wish. What is not read is not compared.
    pub(crate) async fn put_verify(
        tx: &mut PgConnection,
        organization: OrganizationId,
        wish: &VerifyRequested,
    ) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO verifies (connection, object, run, digests)
             SELECT c.connection, c.object, $4, $5 FROM captures c JOIN connections o ON o.id = c.connection
             WHERE c.connection = $1 AND o.organization = $2 AND c.object = $3 AND c.active
             ON CONFLICT (connection, object) DO UPDATE SET run = EXCLUDED.run, digests = EXCLUDED.digests",
        )
        .bind(wish.connection.uuid())
        .bind(organization.uuid())
        .bind(&wish.vendor_object)
        .bind(wish.run)
        .bind(Json(&wish.digests))
        .execute(tx)
        .await?;
        Ok(())
    }

    /// What is known of the object that this run compares; none when it ended.
    pub(crate) async fn verify(
        &self,
        connection: ConnectionId,
        object: &str,
        run: Uuid,
    ) -> Result<Option<Digests>, Error> {
        let known: Option<Json<Digests>> = sqlx::query_scalar(
            "SELECT digests FROM verifies WHERE connection = $1 AND object = $2 AND run = $3",
        )
        .bind(connection.uuid())
        .bind(object)
        .bind(run)
        .fetch_optional(&self.pool)
        .await?;
        Ok(known.map(|known| known.0))
    }

    /// A comparison ended.
    pub(crate) async fn end_verify(
        &self,
        connection: ConnectionId,
        object: &str,
        run: Uuid,
    ) -> Result<(), Error> {
        sqlx::query("DELETE FROM verifies WHERE connection = $1 AND object = $2 AND run = $3")
            .bind(connection.uuid())
            .bind(object)
            .bind(run)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
