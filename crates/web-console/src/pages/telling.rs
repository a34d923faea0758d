//! What is told in the channels of a vendor, and who the people are who answer there.

pub(crate) mod channels;
pub(crate) mod people;

use proto::connections::Connection;

use crate::{
    app::App,
    failure::Failure,
    pages::{connection, purpose::Purpose},
    session::Visitor,
};

/// What can be told, as the crm room names it, and in words.
pub(crate) const EVENTS: &[(&str, &str)] = &[
    ("registration_submitted", "Deal registered, to approve or reject"),
    ("partner_created", "Partner added"),
    ("partner_tier_changed", "Partner's tier changed"),
    ("deal_won", "Deal won"),
    ("deal_lost", "Deal lost"),
    ("commission_accrued", "Commission accrued"),
    ("payout_created", "Payout written down"),
    ("sync_trouble", "A connection is in trouble"),
];

/// The connection of an address, where it has channels.
async fn find(app: &App, visitor: &Visitor, vendor: &str, id: &str) -> Result<Connection, Failure> {
    let connection = connection::find(app, visitor, vendor, id).await?;
    if Purpose::find(app, visitor, vendor).await?.is_posts() {
        Ok(connection)
    } else {
        Err(Failure::not_found())
    }
}

fn path(connection: &Connection, page: &str) -> String {
    format!("/settings/integrations/{}/{}/{page}", connection.vendor, connection.id)
}

/// An event in words; one that is newer than this page by its name.
pub(crate) fn event(name: &str) -> String {
    let known = EVENTS.iter().find(|(event, _)| *event == name);
    known.map_or_else(|| crate::ui::spaced(name), |(_, words)| (*words).to_owned())
}
