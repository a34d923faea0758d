use jiff::Timestamp;
use model::{MailState, SendMail, WithdrawMail};
use sqlx::{Error, PgConnection};

use super::{Store, at};

/// A mail that was begun to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BegunMail {
    /// The vendor's id of its draft, where it is known.
    pub(crate) draft: Option<String>,
    /// Whether it may have left.
    pub(crate) was_handed_over: bool,
    /// Whether it is not to be sent any more.
    pub(crate) is_withdrawn: bool,
}

/// Whether a draft may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HandOver {
    /// The vendor is to be asked now.
    Agreed,
    /// Another process has handed over its own draft, or the mail was decided.
    Overtaken,
    /// The mail is not to be sent any more.
    Withdrawn,
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
        let found = "SELECT draft, handed_over, withdrawn_at IS NOT NULL FROM mails WHERE id = $1 AND connection = $2";
        let row: Option<(Option<String>, bool, bool)> = sqlx::query_as(found)
            .bind(mail.mail.uuid())
            .bind(mail.connection.uuid())
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.map(|(draft, was_handed_over, is_withdrawn)| BegunMail {
            draft,
            was_handed_over,
            is_withdrawn,
        }))
    }

    /// A mail is not to be sent any more, whether it was heard of or not.
    pub(crate) async fn withdraw_mail(&self, mail: &WithdrawMail, now: Timestamp) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO mails (id, connection, withdrawn_at) VALUES ($1, $2, $3) \
             ON CONFLICT (id) DO UPDATE SET withdrawn_at = $3 \
             WHERE mails.connection = $2 AND mails.withdrawn_at IS NULL",
        )
        .bind(mail.mail.uuid())
        .bind(mail.connection.uuid())
        .bind(at(now))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Whether a mail was withdrawn before anything was done for it.
    pub(crate) async fn was_withdrawn_unbegun(&self, mail: &SendMail) -> Result<bool, Error> {
        let found =
            "SELECT EXISTS (SELECT FROM mails WHERE id = $1 AND connection = $2 AND begun_at IS NULL)";
        sqlx::query_scalar(found)
            .bind(mail.mail.uuid())
            .bind(mail.connection.uuid())
            .fetch_one(&self.pool)
            .await
    }

    /// The vendor is about to be asked to send this draft: from here on it counts as sent. The row decides, so that a withdrawal
    /// comes either before this or too late.
    pub(crate) async fn hand_over(&self, mail: &SendMail, draft: &str) -> Result<HandOver, Error> {
        let handed_over = sqlx::query(
            "UPDATE mails SET draft = $2, handed_over = true \
             WHERE id = $1 AND state IS NULL AND withdrawn_at IS NULL AND (NOT handed_over OR draft = $2)",
        )
        .bind(mail.mail.uuid())
        .bind(draft)
        .execute(&self.pool)
        .await?;
        if handed_over.rows_affected() > 0 {
            return Ok(HandOver::Agreed);
        }
        let withdrawn = "SELECT EXISTS (SELECT FROM mails WHERE id = $1 AND state IS NULL \
                         AND withdrawn_at IS NOT NULL AND (NOT handed_over OR draft = $2))";
        let is_withdrawn: bool =
            sqlx::query_scalar(withdrawn).bind(mail.mail.uuid()).bind(draft).fetch_one(&self.pool).await?;
        Ok(if is_withdrawn { HandOver::Withdrawn } else { HandOver::Overtaken })
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

    /// Forgets mails that were decided, and were begun before this moment; and those that were withdrawn before it and never
    /// heard of.
    pub(crate) async fn prune_mails(&self, before: Timestamp) -> Result<(), Error> {
        let over = "DELETE FROM mails WHERE begun_at < $1 AND state IS NOT NULL OR begun_at IS NULL AND withdrawn_at < $1";
        sqlx::query(over).bind(at(before)).execute(&self.pool).await?;
        Ok(())
    }
}
