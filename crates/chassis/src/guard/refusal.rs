use tonic::{Code, Status, metadata::AsciiMetadataValue};

const CODE: &str = "accord-code";
const FIELD: &str = "accord-field";

/// A refusal with a stable code for programs and a sentence for people.
#[must_use]
pub fn status(code: Code, stable_code: &'static str, message: impl Into<String>) -> Status {
    let mut status = Status::new(code, message);
    status.metadata_mut().insert(CODE, AsciiMetadataValue::from_static(stable_code));
    status
}

/// The same refusal, naming the field of the request that it is about.
#[must_use]
pub fn at_field(mut status: Status, field: &str) -> Status {
    if let Ok(field) = AsciiMetadataValue::try_from(field) {
        status.metadata_mut().insert(FIELD, field);
    }
    status
}

/// The stable code of a refusal; none when the server gave none.
#[must_use]
pub fn stable_code(status: &Status) -> Option<&str> {
    status.metadata().get(CODE)?.to_str().ok()
}

/// The field that a refusal is about.
#[must_use]
pub fn field(status: &Status) -> Option<&str> {
    status.metadata().get(FIELD)?.to_str().ok()
}
