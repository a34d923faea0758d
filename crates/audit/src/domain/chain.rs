use std::fmt;

use model::OrganizationId;
use sha2::{Digest, Sha256};

/// The first text of every hash; another one means another encoding.
const VERSION: &str = "accord.audit.v1";

/// A SHA-256; its text form is lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    pub(crate) const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The hash with these texts in it, each preceded by its length.
    fn of<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        let mut hasher = Sha256::new();
        for text in std::iter::once(VERSION).chain(texts) {
            let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
            hasher.update(length.to_be_bytes());
            hasher.update(text.as_bytes());
        }
        Self(hasher.finalize().into())
    }

    fn hex(self) -> [u8; 64] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = [0; 64];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        hex
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.hex()).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The hash before the first entry: it ties the chain to its organization.
#[must_use]
pub fn genesis(organization: OrganizationId) -> Hash {
    Hash::of([organization.to_string().as_str()])
}

/// Everything that the hash of an entry covers, as the export spells it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hashed<'e> {
    pub(crate) sequence: i64,
    pub(crate) event_id: &'e str,
    pub(crate) action: &'e str,
    pub(crate) actor: &'e str,
    pub(crate) target: &'e str,
    pub(crate) connection_id: &'e str,
    pub(crate) outcome: &'e str,
    pub(crate) occurred_at: &'e str,
    pub(crate) recorded_at: &'e str,
    pub(crate) cause: &'e str,
    pub(crate) summary: &'e str,
    pub(crate) details_json: &'e str,
    pub(crate) previous_hash: &'e str,
}

impl Hashed<'_> {
    pub(crate) fn hash(&self) -> Hash {
        Hash::of([
            self.sequence.to_string().as_str(),
            self.event_id,
            self.action,
            self.actor,
            self.target,
            self.connection_id,
            self.outcome,
            self.occurred_at,
            self.recorded_at,
            self.cause,
            self.summary,
            self.details_json,
            self.previous_hash,
        ])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn moving_text_from_one_field_to_the_next_gives_another_hash(a in ".{0,8}", b in ".{0,8}", c in ".{1,8}") {
            let left = format!("{a}{c}");
            let right = format!("{c}{b}");
            prop_assert_ne!(Hash::of([left.as_str(), &b]), Hash::of([a.as_str(), &right]));
        }
    }

    #[test]
    fn the_encoding_is_the_documented_one() {
        // Length as four bytes, the highest first, then the text: version, then each field.
        let mut bytes = vec![0, 0, 0, 15];
        bytes.extend(b"accord.audit.v1");
        bytes.extend([0, 0, 0, 2]);
        bytes.extend("ä".as_bytes());
        assert_eq!(Hash::of(["ä"]).bytes()[..], Sha256::digest(&bytes)[..]);
    }
}
