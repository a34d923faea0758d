use std::borrow::Cow;

use sqlx::{
    Connection, PgConnection, PgPool, SqlSafeStr,
    migrate::{MigrateError, MigrationType, Migrator},
};

use crate::DatabaseError;

/// One step of a schema's history. Steps are only ever added: a step that ran and was changed afterwards is refused.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Its number; steps run in this order.
    pub version: i64,
    /// What it does, in a word or two.
    pub name: &'static str,
    /// The SQL, any number of statements; they run in one transaction.
    pub sql: &'static str,
}

/// Creates `schema` when missing and runs the steps that it has not seen, with its own history table. Processes that
/// migrate at the same time wait for each other. The pool must come from [`crate::pool`] with the same schema.
///
/// # Errors
/// When a step fails, or a step that ran before reads differently now.
pub async fn migrate(pool: &PgPool, schema: &'static str, steps: &[Migration]) -> Result<(), DatabaseError> {
    let mut migrator = Migrator::with_migrations(
        steps
            .iter()
            .map(|step| {
                let name = Cow::Borrowed(step.name);
                let sql = step.sql.into_sql_str();
                sqlx::migrate::Migration::new(step.version, name, MigrationType::Simple, sql, false)
            })
            .collect(),
    );
    migrator.create_schema(schema);
    migrator.dangerous_set_table_name(format!("{schema}._migrations"));
    let run = async {
        // A connection of its own: one that failed in the middle must not go back to the pool with the lock held.
        let mut connection = PgConnection::connect_with(&pool.connect_options()).await?;
        migrator.run_direct(None, &mut connection, false).await?;
        connection.close().await?;
        Ok::<(), MigrateError>(())
    };
    run.await.map_err(|source| DatabaseError::Migrate { schema, source })
}
