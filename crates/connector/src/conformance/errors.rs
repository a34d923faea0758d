use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header::RETRY_AFTER};
use serde::Deserialize;
use serde_json::Value;

use crate::{Error, Response, Retry};

/// One row of a vendor's table of errors.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    status: u16,
    #[serde(default)]
    retry_after: Option<String>,
    /// A text is HTML.
    body: Value,
    kind: String,
    /// `never`, `backoff`, or seconds.
    retry: Value,
    #[serde(default)]
    field: Option<String>,
    #[serde(default)]
    code: Option<String>,
    /// A part of the message.
    #[serde(default)]
    says: String,
}

/// Every documented error body has its kind and its retry, and none tells the value `s3cret`. The table is a JSON list
/// of rows; gives how many there are.
///
/// # Panics
/// With what was missed.
pub fn every_documented_error_is_understood(
    table: &str,
    check: impl Fn(&Response) -> Result<(), Error>,
) -> usize {
    let rows: Vec<Row> =
        serde_json::from_str(table).unwrap_or_else(|error| panic!("the table cannot be read: {error}"));
    for row in &rows {
        let name = &row.name;
        let error = match check(&row.answer()) {
            Err(error) => error,
            Ok(()) => panic!("{name} is taken for a success"),
        };
        assert_eq!(error.kind.code(), row.kind, "{name}");
        assert_eq!(error.retry, row.retry(), "{name}");
        assert_eq!(error.field.as_deref(), row.field.as_deref(), "{name}");
        assert!(
            row.code.is_none() || error.code.as_deref() == row.code.as_deref(),
            "{name}: {:?}",
            error.code
        );
        assert!(error.message.contains(&row.says), "{name}: {}", error.message);
        assert!(!error.message.contains("s3cret"), "{name} tells a value: {}", error.message);
    }
    rows.len()
}

impl Row {
    fn answer(&self) -> Response {
        let body = self.body.as_str().map_or_else(|| self.body.to_string(), str::to_owned);
        let seconds = self.retry_after.iter().filter_map(|seconds| HeaderValue::from_str(seconds).ok());
        let headers: HeaderMap = seconds.map(|seconds| (RETRY_AFTER, seconds)).collect();
        Response { status: self.status, headers, body: Bytes::from(body) }
    }

    fn retry(&self) -> Retry {
        match (self.retry.as_u64(), self.retry.as_str()) {
            (Some(seconds), _) => Retry::After(Duration::from_secs(seconds)),
            (_, Some("backoff")) => Retry::Backoff,
            _ => Retry::Never,
        }
    }
}
