//! The few addresses that are not the API.

use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use http::{StatusCode, header};
use utoipa::openapi::OpenApi;

use crate::{failure::ApiError, rooms::Rooms};

/// `GET /`: people are looking for the console.
pub(crate) async fn root(State(rooms): State<Rooms>) -> Redirect {
    Redirect::to(rooms.config().public_console_url.as_str())
}

/// An address that is not there.
pub(crate) async fn not_found() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "path_unknown", "There is nothing at this address.")
}

/// A method that an address does not take.
pub(crate) async fn method_not_allowed() -> ApiError {
    let message = "This address does not take this method.";
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}

/// The OpenAPI description as text.
pub(crate) fn json(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// `GET /llms.txt`: every operation and page on one page, for readers that are programs.
pub(crate) fn index(openapi: &OpenApi, rooms: &Rooms) -> String {
    let config = rooms.config();
    let base = config.public_api_url.as_str().trim_end_matches('/');
    let mut text = format!(
        "# Accord\n\n> Keeps partner records and CRMs in sync: records, connections, mappings, audit.\n\n\
         Authenticate with `Authorization: Bearer ak_…` or `X-Integration-Key: ik_…`.\n\n\
         ## Pages\n\n- [Console]({}): the web interface\n- [OpenAPI]({base}/api/openapi.json): the API in full\n",
        config.public_console_url
    );
    let mut tag = String::new();
    let mut operations: Vec<(String, String)> = Vec::new();
    for (path, item) in &openapi.paths.paths {
        let methods = [
            ("GET", &item.get),
            ("POST", &item.post),
            ("PUT", &item.put),
            ("PATCH", &item.patch),
            ("DELETE", &item.delete),
        ];
        for (method, operation) in methods {
            let Some(operation) = operation else { continue };
            let tag = operation.tags.iter().flatten().next().cloned().unwrap_or_default();
            let summary = operation.summary.as_deref().unwrap_or_default();
            operations.push((tag, format!("- `{method} {base}{path}`: {summary}\n")));
        }
    }
    operations.sort();
    for (of, line) in operations {
        if of != tag {
            text.push_str(&format!("\n## API: {of}\n\n"));
            tag = of;
        }
        text.push_str(&line);
    }
    text
}
