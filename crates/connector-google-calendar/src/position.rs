//! Where feeds were read up to, as the runtime keeps it.

use connector::{Error, ErrorKind};
use serde::{Serialize, de::DeserializeOwned};

/// A position as text.
pub(crate) fn write(position: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(position).map_err(|source| {
        Error::new(ErrorKind::Protocol, "keep a position", "it cannot be written").with_source(source)
    })
}

/// A position that was kept. One that cannot be read any more is lost: everything is read again.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|source| {
        Error::new(ErrorKind::PositionLost, "go on reading", "the kept position cannot be read")
            .with_source(source)
    })
}

/// A list whose next page is the one that was just read would be read for ever.
pub(crate) fn next(page: Option<&str>, next: Option<String>) -> Result<Option<String>, Error> {
    let next = next.filter(|next| !next.is_empty());
    if next.is_some() && next.as_deref() == page {
        let message = "Google's list leads back to the page that was just read";
        return Err(Error::new(ErrorKind::Protocol, "read the next page", message));
    }
    Ok(next)
}
