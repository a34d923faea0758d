use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tonic::{
    Code, Request, Status,
    metadata::{AsciiMetadataValue, MetadataMap},
};

use super::status;

/// Longer than any credential that identity issues.
const LONGEST_CREDENTIAL: usize = 128;

/// What callers prove themselves by.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A session (`as_…`) or an API key (`ak_…`), in `authorization: Bearer …`.
    Bearer(SecretString),
    /// An integration key (`ik_…`), in `x-integration-key`.
    IntegrationKey(SecretString),
}

impl Credential {
    /// The credential of a gRPC request.
    ///
    /// # Errors
    /// UNAUTHENTICATED `credential_missing` or `credential_malformed`.
    pub fn from_metadata(metadata: &MetadataMap) -> Result<Self, Status> {
        Self::from_headers(metadata.as_ref())
    }

    /// The credential of an HTTP request.
    ///
    /// # Errors
    /// UNAUTHENTICATED `credential_missing` or `credential_malformed`.
    pub fn from_headers(headers: &http::HeaderMap) -> Result<Self, Status> {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().map_err(|_| malformed()));
        let credential = if let Some(text) = text("authorization") {
            let (scheme, secret) = text?.split_once(' ').ok_or_else(malformed)?;
            if !scheme.eq_ignore_ascii_case("bearer") {
                return Err(malformed());
            }
            Self::Bearer(secret.trim().into())
        } else if let Some(text) = text("x-integration-key") {
            Self::IntegrationKey(text?.trim().into())
        } else {
            let message = "Sign in, or send a key in the header authorization (Bearer) or x-integration-key.";
            return Err(status(Code::Unauthenticated, "credential_missing", message));
        };
        if credential.is_well_formed() { Ok(credential) } else { Err(malformed()) }
    }

    /// Puts the credential on an outgoing gRPC request.
    ///
    /// # Errors
    /// UNAUTHENTICATED `credential_malformed` for a text that no header can carry.
    pub fn apply(&self, metadata: &mut MetadataMap) -> Result<(), Status> {
        let (name, text) = match self {
            Self::Bearer(secret) => ("authorization", format!("Bearer {}", secret.expose_secret())),
            Self::IntegrationKey(secret) => ("x-integration-key", secret.expose_secret().to_owned()),
        };
        let mut value = AsciiMetadataValue::try_from(text).map_err(|_| malformed())?;
        value.set_sensitive(true);
        metadata.insert(name, value);
        Ok(())
    }

    /// The text that identity checks.
    #[must_use]
    pub const fn secret(&self) -> &SecretString {
        match self {
            Self::Bearer(secret) | Self::IntegrationKey(secret) => secret,
        }
    }

    fn is_well_formed(&self) -> bool {
        let text = self.secret().expose_secret();
        let kind_fits = match self {
            Self::Bearer(_) => text.starts_with("as_") || text.starts_with("ak_"),
            Self::IntegrationKey(_) => text.starts_with("ik_"),
        };
        kind_fits && text.len() <= LONGEST_CREDENTIAL
    }
}

/// An outgoing request that carries the caller's credential.
///
/// # Errors
/// As [`Credential::apply`].
pub fn forward<T>(credential: &Credential, message: T) -> Result<Request<T>, Status> {
    let mut request = Request::new(message);
    credential.apply(request.metadata_mut())?;
    Ok(request)
}

/// Whether a request is marked as no act of a person, like that of a page that keeps its numbers fresh: a session does not
/// last longer for it.
#[must_use]
pub fn is_passive(metadata: &MetadataMap) -> bool {
    metadata.contains_key("accord-passive")
}

/// The SHA-256 of a secret: what it is found and stored by.
#[must_use]
pub fn digest(secret: &SecretString) -> [u8; 32] {
    Sha256::digest(secret.expose_secret().as_bytes()).into()
}

fn malformed() -> Status {
    let message = "The credential is not of the form as_…, ak_… (Bearer) or ik_… (x-integration-key).";
    status(Code::Unauthenticated, "credential_malformed", message)
}
