//! Ids as Exchange gives them out: long, opaque, and bound to their mailbox.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;

/// Bytes of an id; one short of a multiple of three, so that its text ends with `=`.
const LENGTH: usize = 110;
const GUID: usize = 36;

/// What an id is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Item {
    /// A message where it is: the id changes with every move.
    Message {
        serial: u64,
        place: u32,
    },
    /// A message wherever it is in its mailbox.
    Immutable {
        serial: u64,
    },
    Folder {
        at: usize,
    },
    Conversation {
        number: u64,
    },
}

impl Item {
    fn parts(self) -> ([u8; 3], u64, u32) {
        match self {
            Item::Message { serial, place } => ([0x00, 0x03, 0x24], serial, place),
            Item::Immutable { serial } => ([0x00, 0x09, 0x00], serial, 0),
            Item::Folder { at } => ([0x01, 0x03, 0x24], at as u64, 0),
            Item::Conversation { number } => ([0x00, 0x04, 0x24], number, 0),
        }
    }

    fn of(prefix: &[u8], number: u64, place: u32) -> Option<Self> {
        Some(match prefix {
            [0x00, 0x03, 0x24] => Item::Message { serial: number, place },
            [0x00, 0x09, 0x00] => Item::Immutable { serial: number },
            [0x01, 0x03, 0x24] => Item::Folder { at: usize::try_from(number).ok()? },
            [0x00, 0x04, 0x24] => Item::Conversation { number },
            _ => return None,
        })
    }

    /// The id in a mailbox, which a GUID names.
    pub(crate) fn text(self, mailbox: &str) -> String {
        let (prefix, number, place) = self.parts();
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.extend(prefix);
        bytes.extend(mailbox.bytes().chain(std::iter::repeat(0)).take(GUID));
        bytes.extend((0..LENGTH - 3 - GUID - 16).map(|at| (at % 251) as u8 ^ 0x46));
        bytes.extend(number.to_be_bytes());
        bytes.extend(place.to_be_bytes());
        bytes.extend(checksum(&bytes).to_be_bytes());
        URL_SAFE.encode(bytes)
    }

    /// Reads an id of the mailbox; None when it was never one.
    pub(crate) fn read(text: &str, mailbox: &str) -> Option<Self> {
        let bytes = URL_SAFE.decode(text).ok().filter(|bytes| bytes.len() == LENGTH)?;
        let (rest, sum) = bytes.split_last_chunk::<4>()?;
        if checksum(rest) != u32::from_be_bytes(*sum) || &bytes[3..3 + GUID] != mailbox.as_bytes() {
            return None;
        }
        let (rest, place) = rest.split_last_chunk::<4>()?;
        let (_, number) = rest.split_last_chunk::<8>()?;
        Item::of(&bytes[..3], u64::from_be_bytes(*number), u32::from_be_bytes(*place))
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOX: &str = "0c9f2c6a-7c1c-4e0b-9d1e-3b2c6a7c1c4e";

    #[test]
    fn an_id_reads_back_in_its_mailbox_and_nowhere_else() {
        for item in [
            Item::Message { serial: 7, place: 3 },
            Item::Immutable { serial: u64::MAX },
            Item::Folder { at: 2 },
            Item::Conversation { number: 9 },
        ] {
            let text = item.text(BOX);
            assert_eq!(Item::read(&text, BOX), Some(item));
            assert_eq!(Item::read(&text, &BOX.replace('0', "1")), None);
            assert_eq!(Item::read(&text.to_lowercase(), BOX), None, "ids tell case apart");
        }
    }
}
