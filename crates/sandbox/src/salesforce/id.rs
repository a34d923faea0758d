//! Record ids: 15 characters that tell case, or the same with a checksum that makes up for lost case.

use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const CHECKSUM: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";
/// Characters after the object's prefix that name the instance the record was made on.
const INSTANCE: &[u8; 3] = b"Hs0";

/// The id of a record. Its order is the vendor's: digits, capitals, small letters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id([u8; 15]);

impl Id {
    pub(crate) const LEAST: Id = Id([0; 15]);
    pub(crate) const MOST: Id = Id([u8::MAX; 15]);

    /// Reads 15 characters as they are, or 18 in any case.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if !bytes.iter().all(u8::is_ascii_alphanumeric) {
            return None;
        }
        let mut id: [u8; 15] = bytes.get(..15)?.try_into().ok()?;
        match bytes.len() {
            15 => Some(Self(id)),
            18 => {
                for (chunk, letter) in id.chunks_mut(5).zip(&bytes[15..]) {
                    let bits = CHECKSUM.iter().position(|known| *known == letter.to_ascii_uppercase())?;
                    for (at, byte) in chunk.iter_mut().enumerate() {
                        match (bits >> at & 1 == 1, byte.is_ascii_alphabetic()) {
                            (true, true) => byte.make_ascii_uppercase(),
                            (true, false) => return None,
                            (false, _) => byte.make_ascii_lowercase(),
                        }
                    }
                }
                Some(Self(id))
            }
            _ => None,
        }
    }

    /// The `number`th id of an object, whose prefix has three characters.
    pub(crate) fn new(prefix: &str, number: u64) -> Self {
        let mut id = [b'0'; 15];
        for (to, from) in id.iter_mut().zip(prefix.bytes().chain(*INSTANCE)) {
            *to = from;
        }
        let mut left = number;
        for to in id[6..].iter_mut().rev() {
            *to = DIGITS[(left % 62) as usize];
            left /= 62;
        }
        Self(id)
    }

    /// The three characters that say which object the record is of.
    pub(crate) fn prefix(&self) -> &str {
        std::str::from_utf8(&self.0[..3]).unwrap_or_default()
    }

    /// The place of an id in the sequence of its object.
    pub(crate) fn number(&self) -> u64 {
        let place = |byte: &u8| DIGITS.iter().position(|known| known == byte).unwrap_or(0) as u64;
        self.0[6..].iter().fold(0, |sum, byte| sum * 62 + place(byte))
    }

    /// The 15 characters without the checksum.
    pub(crate) fn short(&self) -> String {
        self.0.iter().map(|byte| char::from(*byte)).collect()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0_u8; 18];
        text[..15].copy_from_slice(&self.0);
        for (at, chunk) in self.0.chunks(5).enumerate() {
            let capital = |(at, byte): (usize, &u8)| usize::from(byte.is_ascii_uppercase()) << at;
            text[15 + at] = CHECKSUM[chunk.iter().enumerate().map(capital).sum::<usize>()];
        }
        out.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Id::parse(&text).ok_or_else(|| D::Error::custom(format!("not a record id: {text}")))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn recorded_ids_have_the_checksum_the_vendor_gave_them() {
        for known in ["a00D0000008pQRAIA2", "005x00000012Q9PAAU", "003q000000KvQ1tAAF", "01254000001upcKAAQ"]
        {
            assert_eq!(Id::parse(&known[..15]).map(|id| id.to_string()).as_deref(), Some(known));
            assert_eq!(Id::parse(&known.to_lowercase()).map(|id| id.to_string()).as_deref(), Some(known));
        }
        assert_eq!(Id::parse("001"), None);
        assert_eq!(Id::parse("00Dx0000000BV7z555"), None);
    }

    proptest! {
        #[test]
        fn an_id_reads_back_from_both_of_its_forms(number in 0_u64..u64::pow(62, 9)) {
            let id = Id::new("001", number);
            prop_assert_eq!(Id::parse(&id.to_string()), Some(id));
            prop_assert_eq!(Id::parse(&id.short()), Some(id));
            prop_assert_eq!((id.prefix(), id.number()), ("001", number));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in ".{0,20}") {
            let _read = Id::parse(&text);
        }
    }
}
