//! What people do to a connection. Each action says what happened on the page it came from.

use axum::{
    extract::{Path, State},
    response::Response,
};
use proto::{
    connections::ConnectionRequest,
    sync::{CreateMappingRequest, IssueRequest},
};
use serde::Deserialize;

use crate::{
    app::App,
    failure::Failure,
    flash::Flash,
    form::{Form, Nothing},
    pages::connection,
    respond,
    session::Visitor,
    ui,
};

type Where = Path<(String, String)>;
type Done = Result<Response, Failure>;

/// What is asked of the connection of an address, once it is there.
async fn request(
    app: &App,
    visitor: &Visitor,
    vendor: &str,
    connection: &str,
) -> Result<tonic::Request<ConnectionRequest>, Failure> {
    let connection_id = connection::find(app, visitor, vendor, connection).await?.id;
    visitor.ask(ConnectionRequest { connection_id })
}

fn back(vendor: &str, connection: &str, text: impl Into<String>) -> Response {
    respond::redirect(&format!("/settings/integrations/{vendor}/{connection}"), &Flash::good(text))
}

/// `POST …/sync`.
pub(crate) async fn sync_now(
    State(app): State<App>,
    Path((vendor, id)): Where,
    Form(visitor, _): Form<Nothing>,
) -> Done {
    let request = request(&app, &visitor, &vendor, &id).await?;
    let answer = app.rooms().connections().sync_now(request).await?.into_inner();
    let text = if answer.objects.is_empty() {
        "Nothing is mapped yet, so there is nothing to sync. Map a pair of objects first.".to_owned()
    } else {
        format!("Syncing {} now. New values appear here as they arrive.", answer.objects.join(" and "))
    };
    Ok(back(&vendor, &id, text))
}

/// `POST …/refresh-schema`.
pub(crate) async fn refresh_schema(
    State(app): State<App>,
    Path((vendor, id)): Where,
    Form(visitor, _): Form<Nothing>,
) -> Done {
    let request = request(&app, &visitor, &vendor, &id).await?;
    let answer = app.rooms().connections().refresh_schema(request).await?.into_inner();
    let fields: u64 = answer.objects.iter().map(|object| object.fields.len() as u64).sum();
    let objects = ui::count(&(answer.objects.len() as u64), "object", "objects");
    Ok(back(
        &vendor,
        &id,
        format!("The schema was read again: {objects} with {}.", ui::count(&fields, "field", "fields")),
    ))
}

/// `POST …/pause`.
pub(crate) async fn pause(
    State(app): State<App>,
    Path((vendor, id)): Where,
    Form(visitor, _): Form<Nothing>,
) -> Done {
    let request = request(&app, &visitor, &vendor, &id).await?;
    app.rooms().connections().pause(request).await?;
    Ok(back(&vendor, &id, "Paused. Nothing is read or written until somebody resumes it."))
}

/// `POST …/resume`.
pub(crate) async fn resume(
    State(app): State<App>,
    Path((vendor, id)): Where,
    Form(visitor, _): Form<Nothing>,
) -> Done {
    let request = request(&app, &visitor, &vendor, &id).await?;
    app.rooms().connections().resume(request).await?;
    Ok(back(&vendor, &id, "Resumed. It goes on where it stopped."))
}

#[derive(Deserialize)]
pub(crate) struct PairForm {
    object: String,
    vendor_object: String,
}

/// `POST …/pairs`: begins the mapping of a pair.
pub(crate) async fn map_pair(
    State(app): State<App>,
    Path((vendor, id)): Where,
    Form(visitor, pair): Form<PairForm>,
) -> Done {
    connection::find(&app, &visitor, &vendor, &id).await?;
    let mapping = app
        .rooms()
        .sync()
        .create_mapping(visitor.ask(CreateMappingRequest {
            connection_id: id.clone(),
            object: pair.object,
            vendor_object: pair.vendor_object,
        })?)
        .await?
        .into_inner();
    let path = format!("/settings/integrations/{vendor}/{id}/mappings/{}", mapping.id);
    Ok(respond::redirect(&path, &Flash::good("The mapping is begun. Choose “Suggest Mappings” to fill it.")))
}

/// `POST /settings/issues/{issue}/{retry|dismiss}`.
pub(crate) async fn issue(
    State(app): State<App>,
    Path((issue_id, action)): Where,
    headers: axum::http::HeaderMap,
    Form(visitor, _): Form<Nothing>,
) -> Done {
    let request = visitor.ask(IssueRequest { issue_id })?;
    let text = match action.as_str() {
        "retry" => {
            app.rooms().sync().retry_issue(request).await?;
            "It is tried again."
        }
        "dismiss" => {
            app.rooms().sync().dismiss_issue(request).await?;
            "Dismissed. It stays in the audit log."
        }
        _ => return Err(Failure::not_found()),
    };
    let path = respond::referring_path(&headers).unwrap_or_else(|| "/settings/integrations".to_owned());
    Ok(respond::redirect(&path, &Flash::good(text)))
}
