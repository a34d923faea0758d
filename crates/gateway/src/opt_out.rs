//! Where the recipients of campaigns opt out. Scanners of mail follow its link, so that looking at it changes nothing.

use axum::{
    extract::State,
    response::{Html, IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, Uri, header};
use proto::crm::OptOutRequest;

use crate::{extract::anonymous, failure::ApiError, rooms::Rooms};

/// Nothing but this page itself, which has no script and shows in no frame; and its address goes nowhere.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

const ASK: &str = "<p>You get no more of these mails once you press this.</p>\
                   <form method=\"post\"><button>I want no more of these mails</button></form>";
const DONE: &str = "<p>You get no more of these mails. You can close this page.</p>";
const UNKNOWN: &str = "<p>This link is not whole. Open it from the mail once more.</p>";
const LATER: &str = "<p>That could not be kept. Please try again in a moment.</p>\
                     <form method=\"post\"><button>Try again</button></form>";

/// `GET /opt-out?t=…`: one button, for whoever has the link.
pub(crate) async fn ask() -> Response {
    page(StatusCode::OK, ASK)
}

/// `POST /opt-out?t=…`: by the button, or by a program of mail in one click (RFC 8058). The body is not read.
pub(crate) async fn opt_out(State(rooms): State<Rooms>, uri: Uri) -> Response {
    let token = uri.query().unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("t="));
    let request = OptOutRequest { token: token.unwrap_or_default().to_owned() };
    match rooms.crm().opt_out(anonymous(request)).await {
        Ok(_) => page(StatusCode::OK, DONE),
        Err(status) => match ApiError::from(status).code() {
            "link_not_found" => page(StatusCode::NOT_FOUND, UNKNOWN),
            _ => page(StatusCode::SERVICE_UNAVAILABLE, LATER),
        },
    }
}

fn page(status: StatusCode, text: &'static str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"robots\" content=\"noindex\">\
         <title>Opt out of mails</title><style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;\
         margin:15vh auto;padding:0 1rem}}button{{font:inherit;padding:.6rem 1rem}}</style></head>\
         <body><main><h1>Opt out of mails</h1>{text}</main></body></html>"
    );
    let headers = [
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (status, headers, Html(html)).into_response()
}
