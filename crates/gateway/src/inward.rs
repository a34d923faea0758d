//! What vendors send by themselves. It goes on as it arrived: whoever knows the vendor verifies it before anybody reads it.

use std::{collections::HashMap, time::Duration};

use axum::{
    body::Bytes,
    extract::{Path, RawQuery, State, rejection::BytesRejection},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header};
use proto::connections::ReceiveRequest;

use crate::{extract::anonymous, failure::ApiError, rooms::Rooms};

/// Slack waits three seconds, and tells the person of a failure then. Microsoft wants to be answered in as many.
const ANSWER_WITHIN: Duration = Duration::from_millis(2_500);
/// What the headers of Slack's signature begin with.
const SIGNATURE: &str = "x-slack-";
/// What the headers of Google's push channels begin with.
const CHANNEL: &str = "x-goog-";

/// `POST /slack/interactions` and `POST /slack/events`
pub(crate) async fn slack(
    State(rooms): State<Rooms>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return unread(&rejection).into_response(),
    };
    let told = headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with(SIGNATURE) || **name == header::CONTENT_TYPE);
    let told = told.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
    let headers: HashMap<String, String> = told.collect();
    let vendor = "slack".to_owned();
    let request = ReceiveRequest { vendor, headers, body: body.into(), ..ReceiveRequest::default() };
    match receive(&rooms, request).await {
        Ok(text) => text.into_response(),
        Err(error) => error.into_response(),
    }
}

/// `POST /push/{vendor}/{watch}`: a vendor tells that something is new. It is read after the answer.
pub(crate) async fn push(
    State(rooms): State<Rooms>,
    Path((vendor, watch)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return unread(&rejection).into_response(),
    };
    let told = headers.iter().filter(|(name, _)| name.as_str().starts_with(CHANNEL));
    let told = told.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
    let (headers, query) = (told.collect(), query.unwrap_or_default());
    let request = ReceiveRequest { vendor, headers, body: body.into(), watch, query };
    match receive(&rooms, request).await {
        Ok(text) if text.is_empty() => StatusCode::ACCEPTED.into_response(),
        Ok(text) => text.into_response(),
        Err(error) => error.into_response(),
    }
}

async fn receive(rooms: &Rooms, request: ReceiveRequest) -> Result<String, ApiError> {
    let mut request = anonymous(request);
    request.set_timeout(ANSWER_WITHIN);
    Ok(rooms.connections().receive(request).await?.into_inner().text)
}

fn unread(rejection: &BytesRejection) -> ApiError {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "The body is larger than 1 MiB.")
        }
        _ => ApiError::invalid("body_invalid", "The body did not arrive whole."),
    }
}
