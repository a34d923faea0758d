//! What vendors send by themselves. It goes on as it arrived: whoever knows the vendor verifies it before anybody reads it.

use std::{collections::HashMap, time::Duration};

use axum::{
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header};
use proto::connections::ReceiveRequest;

use crate::{extract::anonymous, failure::ApiError, rooms::Rooms};

/// Slack waits three seconds, and tells the person of a failure then.
const ANSWER_WITHIN: Duration = Duration::from_millis(2_500);
/// What the headers of Slack's signature begin with.
const SIGNATURE: &str = "x-slack-";

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
    let request = ReceiveRequest { vendor: "slack".to_owned(), headers, body: body.into() };
    let mut request = anonymous(request);
    request.set_timeout(ANSWER_WITHIN);
    match rooms.connections().receive(request).await {
        Ok(answer) => answer.into_inner().text.into_response(),
        Err(status) => ApiError::from(status).into_response(),
    }
}

fn unread(rejection: &BytesRejection) -> ApiError {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "The body is larger than 1 MiB.")
        }
        _ => ApiError::invalid("body_invalid", "The body did not arrive whole."),
    }
}
