use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD};
use rand::{TryRngCore, rngs::OsRng};
use secrecy::SecretString;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::Error;

/// The name of a key; it is stored beside what the key wrapped and is no secret.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeyId(String);

impl KeyId {
    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-');
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(allowed);
        fits.then(|| Self(text.to_owned())).ok_or(Error::KeyId)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A 256-bit key. Wiped from memory when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Key([u8; 32]);

impl Key {
    /// The key with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A new one from the system's source of randomness.
    ///
    /// # Panics
    /// When the system has no randomness to give; no secret can be kept then.
    #[must_use]
    pub fn generate() -> Self {
        let mut bytes = [0; 32];
        OsRng.try_fill_bytes(&mut bytes).expect("the system gives random bytes");
        Self(bytes)
    }

    pub(crate) const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// The key-encryption keys: one writes, all read.
#[derive(Debug, Clone)]
pub struct Keyring {
    /// The first one writes; never empty.
    keys: Vec<(KeyId, Key)>,
}

impl Keyring {
    /// The keyring of these keys, of which `primary` writes.
    ///
    /// # Errors
    /// When an id appears twice or `primary` is not among them.
    pub fn try_new(primary: &KeyId, keys: impl IntoIterator<Item = (KeyId, Key)>) -> Result<Self, Error> {
        let mut keys: Vec<(KeyId, Key)> = keys.into_iter().collect();
        for (index, (id, _)) in keys.iter().enumerate() {
            if keys.iter().skip(index + 1).any(|(other, _)| other == id) {
                return Err(Error::DuplicateKey(id.clone()));
            }
        }
        let writer = keys.iter().position(|(id, _)| id == primary).ok_or(Error::NoKey)?;
        keys.swap(0, writer);
        Ok(Self { keys })
    }

    /// Reads lines of `key_id:base64 of 32 bytes`, the writing key first. Empty lines and `#` comments are skipped,
    /// commas count as line ends.
    ///
    /// # Errors
    /// When a line has another form, an id appears twice, or there is no key. No error repeats what the line said.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut keys = Vec::new();
        for (index, line) in text.split(['\n', ',']).enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            keys.push(parse_line(line).ok_or(Error::KeyringLine { line: index + 1 })?);
        }
        let primary = keys.first().map(|(id, _)| id.clone()).ok_or(Error::NoKey)?;
        Self::try_new(&primary, keys)
    }

    /// A keyring with one new key of this id.
    #[must_use]
    pub fn generate(id: KeyId) -> Self {
        Self { keys: vec![(id, Key::generate())] }
    }

    /// The text that [`Keyring::parse`] reads, for the file that keeps it.
    #[must_use]
    pub fn to_text(&self) -> SecretString {
        let mut text = String::with_capacity(self.keys.len() * 112);
        for (id, key) in &self.keys {
            text.push_str(id.as_str());
            text.push(':');
            let encoded = Zeroizing::new(STANDARD.encode(key.bytes()));
            text.push_str(&encoded);
            text.push('\n');
        }
        text.into()
    }

    /// The key that writes.
    pub(crate) fn primary(&self) -> &(KeyId, Key) {
        self.keys.first().expect("a keyring is never empty")
    }

    pub(crate) fn find(&self, id: &KeyId) -> Option<&Key> {
        self.keys.iter().find(|(known, _)| known == id).map(|(_, key)| key)
    }
}

fn parse_line(line: &str) -> Option<(KeyId, Key)> {
    let (id, encoded) = line.split_once(':')?;
    let bytes = Zeroizing::new(STANDARD.decode(encoded.trim()).ok()?);
    let key = Key::from_bytes(bytes.as_slice().try_into().ok()?);
    Some((id.trim().parse().ok()?, key))
}
