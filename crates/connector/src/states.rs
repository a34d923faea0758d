//! The states of a connection, and the event of every change, in one transaction.

use bus::outbox;
use jiff::Timestamp;
use model::{ConnectionChanged, ConnectionId, ConnectionState, kind};
use sqlx::PgConnection;

use crate::{
    failure::Failure,
    publisher::Publisher,
    store::{Connection, Store, Transition},
};

/// Who acts when nobody asked.
pub(crate) const SERVICE: &str = "service:connector";

/// Changes the state, if it is one of those that the transition starts from, with its event; tells whether.
pub(crate) async fn change(
    tx: &mut PgConnection,
    publisher: &Publisher,
    id: ConnectionId,
    transition: &Transition<'_>,
    actor: &str,
    now: Timestamp,
) -> Result<bool, Failure> {
    if !Store::transition(tx, id, transition).await? {
        return Ok(false);
    }
    let kind = match transition.to {
        ConnectionState::Disconnected => kind::CONNECTION_DISCONNECTED,
        _ => kind::CONNECTION_CHANGED,
    };
    let fact = ConnectionChanged {
        connection: Some(id),
        vendor: publisher.vendor.to_owned(),
        state: Some(transition.to),
        account: None,
        reason: transition.reason.map(str::to_owned),
        message: transition.message.map(str::to_owned),
        at: now,
    };
    outbox::enqueue(tx, &[publisher.connection(kind, actor, &fact)?]).await?;
    Ok(true)
}

/// The grant is dead: somebody must connect again.
pub(crate) async fn require_authorization(
    tx: &mut PgConnection,
    publisher: &Publisher,
    id: ConnectionId,
    reason: &str,
    message: &str,
    now: Timestamp,
) -> Result<bool, Failure> {
    use ConnectionState::{Active, Error, Paused, ReauthRequired};
    let transition = Transition {
        from: &[Active, Error, Paused],
        to: ReauthRequired,
        reason: Some(reason),
        message: Some(message),
    };
    change(tx, publisher, id, &transition, SERVICE, now).await
}

/// What a person can do next, in words.
pub(crate) fn next_step(connection: &Connection, label: &str) -> String {
    match connection.state {
        ConnectionState::Active => String::new(),
        ConnectionState::Paused => "Resume the connection when reading and writing shall go on.".to_owned(),
        ConnectionState::ReauthRequired => {
            format!("Connect {label} again: reading and writing then go on where they stopped.")
        }
        ConnectionState::Disconnected => format!("Connect {label} to start again."),
        ConnectionState::Error => match connection.reason.as_deref() {
            Some("permission_missing") => format!(
                "Ask the administrator of {label} for what is missing: once it is given, Accord goes on by itself. Or connect \
                 {label} again with an account that may read and write these objects."
            ),
            Some("schema_drift") => "Refresh the schema and review the mappings.".to_owned(),
            _ => {
                "Nothing to do: Accord keeps trying by itself. If it lasts, look at the vendor's status page."
                    .to_owned()
            }
        },
    }
}
