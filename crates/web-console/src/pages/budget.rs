//! A connection's budget of API calls, changed from the page of its health.

use axum::{
    extract::{Path, State},
    response::Response,
};
use proto::connections::SetBudgetRequest;
use serde::Deserialize;

use crate::{app::App, failure::Failure, flash::Flash, form::Form, pages::connection, respond, ui};

/// The windows to choose from, in seconds.
pub(crate) const WINDOWS: &[(u32, &str)] = &[(60, "a minute"), (3_600, "an hour"), (86_400, "a day")];

/// A window in words.
pub(crate) fn window(seconds: &u32) -> String {
    let known = WINDOWS.iter().find(|(known, _)| known == seconds);
    known.map_or_else(|| ui::duration_ms(&(u64::from(*seconds) * 1000)), |(_, words)| (*words).to_owned())
}

#[derive(Deserialize)]
pub(crate) struct Wish {
    /// Empty or 0 for no budget.
    #[serde(default)]
    calls: String,
    window_seconds: u32,
    #[serde(default)]
    warn_percent: String,
}

/// `POST …/budget`.
pub(crate) async fn set(
    State(app): State<App>,
    Path((vendor, connection_id)): Path<(String, String)>,
    Form(visitor, wish): Form<Wish>,
) -> Result<Response, Failure> {
    let calls = number(&wish.calls, "Write the calls as a whole number, or leave them empty for no limit.")?;
    let warn_percent = number(&wish.warn_percent, "Write the warning as a whole number of percent.")?;
    connection::find(&app, &visitor, &vendor, &connection_id).await?;
    let request = SetBudgetRequest {
        connection_id: connection_id.clone(),
        calls,
        window_seconds: wish.window_seconds,
        warn_percent: u32::try_from(warn_percent).unwrap_or(u32::MAX),
    };
    let budget = app.rooms().connections().set_budget(visitor.ask(request)?).await?.into_inner();
    let text = if budget.calls == 0 {
        "The connection has no budget now: only the vendor's limits count.".to_owned()
    } else {
        let calls = ui::count(&budget.calls, "API call", "API calls");
        format!("The budget is {calls} {} now.", window(&budget.window_seconds))
    };
    let page = format!("/settings/integrations/health?connection={connection_id}");
    Ok(respond::redirect(&page, &Flash::good(text)))
}

fn number(text: &str, otherwise: &'static str) -> Result<u64, Failure> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().map_err(|_| Failure::invalid("number_malformed", otherwise))
}
