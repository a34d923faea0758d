use jiff::Timestamp;
use model::{MailState, SendMail};
use sqlx::{Error, PgConnection};

use super::{Store, at};

/// A mail that was begun to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BegunMail {
    /// The vendor's id of its draft, where it is known.
    pub(crate) draft: Option<String>,
    /// Whether it may have left.
    pub(crate) was_handed_over: bool,
}

impl Store {
    /// Notes that a draft of a mail is about to be made; gives what is known of an earlier try.
    pub(crate) async fn begin_mail(
        &self,
        mail: &SendMail,
        now: Timestamp,
    ) -> Result<Option<BegunMail>, Error> {
        let insert =
            "INSERT INTO mails (id, connection, begun_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        let inserted = sqlx::query(insert)
            .bind(mail.mail.uuid())
            .bind(mail.connection.uuid())
            .bind(at(now))
            .execute(&self.pool)
            .await?;
        if inserted.rows_affected() == 1 {
            return Ok(None);
        }
        self.begun_mail(mail).await
    }

    /// What is known of an earlier try.
    pub(crate) async fn begun_mail(&self, mail: &SendMail) -> Result<Option<BegunMail>, Error> {
        let row: Option<(Option<String>, bool)> =
            sqlx::query_as("SELECT draft, handed_over FROM mails WHERE id = $1 AND connection = $2")
                .bind(mail.mail.uuid())
                .bind(mail.connection.uuid())
                .fetch_optional(&self.pool)
                .await?;
        Ok(row.map(|(draft, was_handed_over)| BegunMail { draft, was_handed_over }))
    }

    /// The vendor is about to be asked to send this draft; whether it may be, because no other one was handed over meanwhile.
    pub(crate) async fn hand_over(&self, mail: &SendMail, draft: &str) -> Result<bool, Error> {
        let handed_over = sqlx::query(
            "UPDATE mails SET draft = $2, handed_over = true \
             WHERE id = $1 AND state IS NULL AND (NOT handed_over OR draft = $2)",
        )
        .bind(mail.mail.uuid())
        .bind(draft)
        .execute(&self.pool)
        .await?;
        Ok(handed_over.rows_affected() > 0)
    }

    /// The vendor did not send it for sure.
    pub(crate) async fn take_back_mail(&self, mail: &SendMail) -> Result<(), Error> {
        sqlx::query("UPDATE mails SET handed_over = false WHERE id = $1")
            .bind(mail.mail.uuid())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// It is decided what became of it.
    pub(crate) async fn finish_mail(
        tx: &mut PgConnection,
        mail: &SendMail,
        state: MailState,
    ) -> Result<(), Error> {
        let state = match state {
            MailState::Sent => "sent",
            MailState::Failed => "failed",
            MailState::Unsure => "unsure",
        };
        sqlx::query("UPDATE mails SET state = $2 WHERE id = $1")
            .bind(mail.mail.uuid())
            .bind(state)
            .execute(tx)
            .await?;
        Ok(())
    }

    /// Forgets mails that were decided, and were begun before this moment.
    pub(crate) async fn prune_mails(&self, before: Timestamp) -> Result<(), Error> {
        sqlx::query("DELETE FROM mails WHERE begun_at < $1 AND state IS NOT NULL")
            .bind(at(before))
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
