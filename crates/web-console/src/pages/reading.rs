//! How a connection reads mails, meetings and calls, changed from its page.

use axum::{
    extract::{Path, State},
    response::Response,
};
use proto::connections::SetReadingRequest;
use serde::Deserialize;

use crate::{app::App, failure::Failure, flash::Flash, form::Form, pages::connection, respond, ui};

#[derive(Deserialize)]
pub(crate) struct Wish {
    /// Empty or 0 for as often as is usual.
    #[serde(default)]
    interval_minutes: String,
    /// There when the box is ticked.
    bodies: Option<String>,
}

/// `POST …/reading`.
pub(crate) async fn set(
    State(app): State<App>,
    Path((vendor, connection_id)): Path<(String, String)>,
    Form(visitor, wish): Form<Wish>,
) -> Result<Response, Failure> {
    let minutes = match wish.interval_minutes.trim() {
        "" => 0,
        minutes => minutes.parse().map_err(|_| {
            let text = "Write the minutes as a whole number, or leave them empty for the usual.";
            Failure::invalid("number_malformed", text)
        })?,
    };
    connection::find(&app, &visitor, &vendor, &connection_id).await?;
    let request = SetReadingRequest {
        connection_id: connection_id.clone(),
        interval_minutes: minutes,
        bodies: wish.bodies.is_some(),
    };
    let set = app.rooms().connections().set_reading(visitor.ask(request)?).await?.into_inner();
    let often = if set.interval_minutes == 0 { set.usual_minutes } else { set.interval_minutes };
    let often = ui::count(&u64::from(often), "minute", "minutes");
    let text = match (set.has_bodies, set.bodies) {
        (false, _) => format!("It is read every {often} now."),
        (true, true) => format!("It is read every {often} now, and whole texts are kept from now on."),
        (true, false) => {
            format!("It is read every {often} now, and beginnings of texts are kept from now on.")
        }
    };
    let page = format!("/settings/integrations/{vendor}/{connection_id}");
    Ok(respond::redirect(&page, &Flash::good(text)))
}
