use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::{
    Error, Key, KeyId, Keyring,
    cipher::{NONCE_BYTES, TAG_BYTES, decrypt, encrypt},
};

/// The version that the sealed bytes begin with.
const VERSION: u8 = 1;

/// The wrapped data key with its nonce and its tag.
const WRAPPED_BYTES: usize = NONCE_BYTES + 32 + TAG_BYTES;

/// Where a secret belongs. It opens only there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope<'a> {
    /// The organization's id.
    pub organization: &'a str,
    /// The connection's id, or what else in the organization it belongs to.
    pub connection: &'a str,
    /// What it is for, `refresh_token`.
    pub purpose: &'a str,
}

/// An encrypted secret, as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// Bytes that were stored.
    #[must_use]
    pub const fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes to store.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The id of the key that wrapped it.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn key_id(&self) -> Result<KeyId, Error> {
        self.parts().map(|parts| parts.key_id)
    }

    fn parts(&self) -> Result<Parts<'_>, Error> {
        let rest = self.0.strip_prefix(&[VERSION]).ok_or(Error::Malformed)?;
        let (length, rest) = rest.split_first().ok_or(Error::Malformed)?;
        let (key_id, rest) = rest.split_at_checked(usize::from(*length)).ok_or(Error::Malformed)?;
        let key_id = str::from_utf8(key_id).ok().and_then(|id| id.parse().ok()).ok_or(Error::Malformed)?;
        let (wrapped, body) = rest.split_at_checked(WRAPPED_BYTES).ok_or(Error::Malformed)?;
        Ok(Parts { key_id, wrapped, body })
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[sealed, {} bytes]", self.0.len())
    }
}

struct Parts<'a> {
    key_id: KeyId,
    wrapped: &'a [u8],
    body: &'a [u8],
}

/// Seals and opens secrets with the keys of a keyring.
#[derive(Debug, Clone)]
pub struct Vault {
    keyring: Keyring,
}

impl Vault {
    /// A vault that writes with the first key of the keyring and reads with all.
    #[must_use]
    pub const fn new(keyring: Keyring) -> Self {
        Self { keyring }
    }

    /// A vault that writes with the key `primary` and reads with all of `keys`.
    ///
    /// # Errors
    /// When an id appears twice or `primary` is not among them.
    pub fn from_keys(primary: &KeyId, keys: impl IntoIterator<Item = (KeyId, Key)>) -> Result<Self, Error> {
        Keyring::try_new(primary, keys).map(Self::new)
    }

    /// Encrypts a secret so that it opens only in this scope.
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    pub fn seal(&self, scope: &Scope<'_>, secret: &SecretString) -> Result<Sealed, Error> {
        let (id, key) = self.keyring.primary();
        let data_key = Key::generate();
        let mut bytes = vec![VERSION];
        bytes.push(u8::try_from(id.as_str().len()).map_err(|_| Error::KeyId)?);
        bytes.extend_from_slice(id.as_str().as_bytes());
        bytes.extend(encrypt(key, &associated(b"key", id, scope), data_key.bytes())?);
        bytes.extend(encrypt(
            &data_key,
            &associated(b"secret", id, scope),
            secret.expose_secret().as_bytes(),
        )?);
        Ok(Sealed(bytes))
    }

    /// Decrypts a secret that was sealed in this scope.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::UnknownKey`], or [`Error::Mismatch`] when it was changed or belongs elsewhere.
    pub fn open(&self, scope: &Scope<'_>, sealed: &Sealed) -> Result<SecretString, Error> {
        let Parts { key_id, wrapped, body } = sealed.parts()?;
        let key = self.keyring.find(&key_id).ok_or_else(|| Error::UnknownKey(key_id.clone()))?;
        let data_key = Zeroizing::new(decrypt(key, &associated(b"key", &key_id, scope), wrapped)?);
        let data_key = Key::from_bytes(data_key.as_slice().try_into().map_err(|_| Error::Malformed)?);
        let secret = Zeroizing::new(decrypt(&data_key, &associated(b"secret", &key_id, scope), body)?);
        // The copy has the exact size, so turning it into a secret leaves no second one behind.
        Ok(str::from_utf8(&secret).map_err(|_| Error::Malformed)?.to_owned().into())
    }

    /// Whether another key than today's writing key wrapped it.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn needs_rotation(&self, sealed: &Sealed) -> Result<bool, Error> {
        Ok(sealed.key_id()? != self.keyring.primary().0)
    }

    /// Seals the same secret again with today's writing key and a new data key.
    ///
    /// # Errors
    /// As [`Vault::open`].
    pub fn reseal(&self, scope: &Scope<'_>, sealed: &Sealed) -> Result<Sealed, Error> {
        self.seal(scope, &self.open(scope, sealed)?)
    }
}

/// What both encryptions are bound to. Each part has its length before it, so that no two scopes read the same.
fn associated(layer: &[u8], key_id: &KeyId, scope: &Scope<'_>) -> Vec<u8> {
    let parts = [
        layer,
        &[VERSION],
        key_id.as_str().as_bytes(),
        scope.organization.as_bytes(),
        scope.connection.as_bytes(),
        scope.purpose.as_bytes(),
    ];
    let mut bytes = b"accord-vault".to_vec();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}
