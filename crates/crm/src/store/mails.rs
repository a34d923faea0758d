use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::{CampaignId, ConnectionId, MailId, OrganizationId, RecipientId, WithdrawMail};
use sqlx::{PgConnection, Row as _, postgres::PgRow};
use uuid::Uuid;

use super::time;
use crate::Error;

/// A mail that a mailbox was asked to send.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    pub(crate) id: MailId,
    pub(crate) organization: OrganizationId,
    pub(crate) connection: ConnectionId,
    pub(crate) campaign: CampaignId,
    pub(crate) recipient: RecipientId,
    pub(crate) step: usize,
    /// The digest of what its opt-out link holds.
    pub(crate) token_hash: [u8; 32],
    pub(crate) asked_at: Timestamp,
    /// `asked`, `sent` or `failed`.
    pub(crate) state: String,
}

fn read(row: &PgRow) -> Result<Mail, Error> {
    let step: i16 = row.try_get("step")?;
    let hash: Vec<u8> = row.try_get("token_hash")?;
    let odd = |_| Error::Stored("a digest that is none".to_owned());
    Ok(Mail {
        id: MailId::from_uuid(row.try_get("id")?),
        organization: OrganizationId::from_uuid(row.try_get("organization")?),
        connection: ConnectionId::from_uuid(row.try_get("connection")?),
        campaign: CampaignId::from_uuid(row.try_get("campaign")?),
        recipient: RecipientId::from_uuid(row.try_get("recipient")?),
        step: usize::try_from(step).unwrap_or_default(),
        token_hash: hash.try_into().map_err(odd)?,
        asked_at: time(row, "asked_at")?,
        state: row.try_get("state")?,
    })
}

/// Whether one of a campaign was asked for, but for those that the mailbox could not send.
pub(crate) async fn is_any_of(tx: &mut PgConnection, campaign: CampaignId) -> Result<bool, Error> {
    let found = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM recipients JOIN mails ON mails.recipient = recipients.id
                        WHERE recipients.campaign = $1 AND mails.state <> 'failed')",
    )
    .bind(campaign.uuid())
    .fetch_one(tx)
    .await?;
    Ok(found)
}

/// Stores those that are asked for now.
pub(crate) async fn insert(tx: &mut PgConnection, mails: &[Mail]) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO mails (id, organization, connection, campaign, recipient, step, token_hash, asked_at, state)
         SELECT * FROM UNNEST($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::smallint[],
                              $7::bytea[], $8::timestamptz[], $9::text[])",
    )
    .bind(mails.iter().map(|it| it.id.uuid()).collect::<Vec<_>>())
    .bind(mails.iter().map(|it| it.organization.uuid()).collect::<Vec<_>>())
    .bind(mails.iter().map(|it| it.connection.uuid()).collect::<Vec<_>>())
    .bind(mails.iter().map(|it| it.campaign.uuid()).collect::<Vec<_>>())
    .bind(mails.iter().map(|it| it.recipient.uuid()).collect::<Vec<_>>())
    .bind(mails.iter().map(|it| i16::try_from(it.step).unwrap_or(i16::MAX)).collect::<Vec<_>>())
    .bind(mails.iter().map(|it| it.token_hash.as_slice()).collect::<Vec<_>>())
    .bind(mails.iter().map(|it| it.asked_at.to_sqlx()).collect::<Vec<_>>())
    .bind(mails.iter().map(|it| it.state.as_str()).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// One that the mailbox answered. It is locked after its recipient, as everybody locks them.
pub(crate) async fn find(
    db: &mut PgConnection,
    organization: OrganizationId,
    connection: ConnectionId,
    id: MailId,
) -> Result<Option<Mail>, Error> {
    let row = sqlx::query("SELECT * FROM mails WHERE id = $1 AND organization = $2 AND connection = $3")
        .bind(id.uuid())
        .bind(organization.uuid())
        .bind(connection.uuid())
        .fetch_optional(db)
        .await?;
    row.as_ref().map(read).transpose()
}

/// Those that a mailbox was asked to send to a recipient and has not answered, with its vendor.
pub(crate) async fn asked(
    db: &mut PgConnection,
    recipient: RecipientId,
) -> Result<Vec<(String, WithdrawMail)>, Error> {
    let rows = sqlx::query_as(
        "SELECT campaigns.vendor, mails.connection, mails.id FROM mails
         JOIN campaigns ON campaigns.id = mails.campaign
         WHERE mails.recipient = $1 AND mails.state = 'asked'",
    )
    .bind(recipient.uuid());
    Ok(rows.fetch_all(db).await?.into_iter().map(withdrawal).collect())
}

/// The same of all recipients of a campaign.
pub(crate) async fn asked_of(
    db: &mut PgConnection,
    campaign: CampaignId,
) -> Result<Vec<(String, WithdrawMail)>, Error> {
    let rows = sqlx::query_as(
        "SELECT campaigns.vendor, mails.connection, mails.id FROM mails
         JOIN campaigns ON campaigns.id = mails.campaign
         WHERE mails.campaign = $1 AND mails.state = 'asked'",
    )
    .bind(campaign.uuid());
    Ok(rows.fetch_all(db).await?.into_iter().map(withdrawal).collect())
}

fn withdrawal((vendor, connection, mail): (String, Uuid, Uuid)) -> (String, WithdrawMail) {
    let (connection, mail) = (ConnectionId::from_uuid(connection), MailId::from_uuid(mail));
    (vendor, WithdrawMail { connection, mail })
}

/// The one whose link somebody has.
pub(crate) async fn of_token(db: &mut PgConnection, hash: [u8; 32]) -> Result<Option<Mail>, Error> {
    let row = sqlx::query("SELECT * FROM mails WHERE token_hash = $1")
        .bind(hash.as_slice())
        .fetch_optional(db)
        .await?;
    row.as_ref().map(read).transpose()
}

/// Keeps what the mailbox answered; false where it had answered before.
pub(crate) async fn answered(
    tx: &mut PgConnection,
    id: MailId,
    (state, error): (&str, &str),
    (external_id, thread): (Option<&str>, Option<&str>),
    at: Timestamp,
) -> Result<bool, Error> {
    let done = sqlx::query(
        "UPDATE mails SET state = $2, error = $3, external_id = $4, thread = $5, answered_at = $6
         WHERE id = $1 AND state = 'asked'",
    )
    .bind(id.uuid())
    .bind(state)
    .bind(error)
    .bind(external_id)
    .bind(thread)
    .bind(at.to_sqlx())
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The vendor's ids of the mails of a step before, by recipient.
pub(crate) async fn external_ids(
    db: &mut PgConnection,
    recipients: &[RecipientId],
) -> Result<Vec<(RecipientId, usize, String)>, Error> {
    let rows: Vec<(Uuid, i16, String)> = sqlx::query_as(
        "SELECT recipient, step, external_id FROM mails
         WHERE recipient = ANY($1) AND state = 'sent' AND external_id IS NOT NULL",
    )
    .bind(recipients.iter().map(|id| id.uuid()).collect::<Vec<_>>())
    .fetch_all(db)
    .await?;
    let read = |(recipient, step, external_id)| {
        (RecipientId::from_uuid(recipient), usize::try_from(step).unwrap_or_default(), external_id)
    };
    Ok(rows.into_iter().map(read).collect())
}

/// Those of an organization that went to one of these addresses, or are in one of these threads: the recipient with the
/// address and thread, and when it was asked for.
pub(crate) async fn answered_by(
    db: &mut PgConnection,
    organization: OrganizationId,
    addresses: &[&str],
    threads: &[&str],
) -> Result<Vec<Answerable>, Error> {
    let rows = sqlx::query(
        "SELECT mails.recipient, mails.campaign, recipients.address, mails.thread, mails.asked_at FROM mails
         JOIN recipients ON recipients.id = mails.recipient
         WHERE mails.organization = $1 AND mails.thread = ANY($3) AND mails.state <> 'failed'
         UNION
         SELECT mails.recipient, mails.campaign, recipients.address, mails.thread, mails.asked_at FROM recipients
         JOIN mails ON mails.recipient = recipients.id
         WHERE recipients.organization = $1 AND recipients.address = ANY($2) AND mails.state <> 'failed'",
    )
    .bind(organization.uuid())
    .bind(addresses)
    .bind(threads)
    .fetch_all(db)
    .await?;
    let read = |row: &PgRow| {
        Ok(Answerable {
            recipient: RecipientId::from_uuid(row.try_get("recipient")?),
            campaign: CampaignId::from_uuid(row.try_get("campaign")?),
            address: row.try_get("address")?,
            thread: row.try_get("thread")?,
            asked_at: time(row, "asked_at")?,
        })
    };
    rows.iter().map(read).collect()
}

/// A mail that somebody may have answered.
#[derive(Clone)]
pub(crate) struct Answerable {
    pub(crate) recipient: RecipientId,
    pub(crate) campaign: CampaignId,
    pub(crate) address: String,
    pub(crate) thread: Option<String>,
    pub(crate) asked_at: Timestamp,
}
