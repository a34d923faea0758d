use crate::KeyId;

/// Why a secret could not be sealed or opened, or a keyring not read. Never says what was in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes were not made by this crate, or were cut.
    #[error("open a secret: the sealed bytes are malformed")]
    Malformed,
    /// The key that wrapped it is not in the keyring.
    #[error("open a secret: the keyring has no key {0}")]
    UnknownKey(KeyId),
    /// The bytes were changed, or belong to another organization, connection or purpose.
    #[error("open a secret: it was changed or belongs elsewhere")]
    Mismatch,
    /// The cipher refused to seal: the secret is larger than it takes (64 GiB).
    #[error("seal a secret: it is too large")]
    TooLarge,
    /// A line of the keyring is not `key_id:base64 of 32 bytes`.
    #[error("read the keyring: line {line} is not of the form key_id:base64 of 32 bytes")]
    KeyringLine {
        /// Which line, counted from 1.
        line: usize,
    },
    /// Two keys have one id.
    #[error("read the keyring: the key id {0} appears twice")]
    DuplicateKey(KeyId),
    /// The keyring is empty, or its writing key is not among its keys.
    #[error("read the keyring: there is no key to write with")]
    NoKey,
    /// A key id that is empty, longer than 64 characters, or has other characters than `a-z 0-9 _ . -`.
    #[error("read a key id: expected 1 to 64 characters of a-z 0-9 _ . -")]
    KeyId,
}

impl Error {
    /// A stable name for logs and metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "sealed_malformed",
            Self::UnknownKey(_) => "key_unknown",
            Self::Mismatch => "sealed_mismatch",
            Self::TooLarge => "secret_too_large",
            Self::KeyringLine { .. } => "keyring_invalid",
            Self::DuplicateKey(_) => "key_duplicate",
            Self::NoKey => "keyring_empty",
            Self::KeyId => "key_id_invalid",
        }
    }
}
