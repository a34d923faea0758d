//! The bitmaps that name fields in a change event's header.

/// A set of fields of one event: positions in the schema, and positions inside compound fields.
#[derive(Debug, Default, Clone, PartialEq, Eq, Hash)]
pub(crate) struct FieldSet {
    /// Positions in the schema; those of the header and of compound fields are never set.
    pub(crate) top: Bits,
    /// Position of a compound field, and the positions of its parts, in the order of the schema.
    pub(crate) nested: Vec<(usize, Bits)>,
}

/// A set of small numbers, as bytes with the lowest first.
#[derive(Debug, Default, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Bits(Vec<u8>);

impl Bits {
    pub(crate) fn set(&mut self, position: usize) {
        let byte = position / 8;
        if self.0.len() <= byte {
            self.0.resize(byte + 1, 0);
        }
        self.0[byte] |= 1 << (position % 8);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whole bytes in upper case, the highest first: `0x0180`.
    fn hex(&self, text: &mut String) {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        text.push_str("0x");
        for byte in self.0.iter().rev() {
            for half in [byte >> 4, byte & 0xf] {
                text.push(char::from(DIGITS[usize::from(half)]));
            }
        }
    }
}

impl FieldSet {
    /// Adds parts of the compound field at a position; no parts add nothing.
    pub(crate) fn nest(&mut self, position: usize, parts: impl Iterator<Item = usize>) {
        let mut bits = Bits::default();
        parts.for_each(|part| bits.set(part));
        if !bits.is_empty() {
            self.nested.push((position, bits));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.top.is_empty() && self.nested.is_empty()
    }

    /// The elements of the header's array: one for the top level unless it is empty, one for each compound field.
    pub(crate) fn elements(&self) -> Vec<String> {
        let mut elements = Vec::new();
        if !self.top.is_empty() {
            let mut text = String::new();
            self.top.hex(&mut text);
            elements.push(text);
        }
        for (position, bits) in &self.nested {
            let mut text = format!("{position}-");
            bits.hex(&mut text);
            elements.push(text);
        }
        elements
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(positions: &[usize]) -> Bits {
        let mut bits = Bits::default();
        positions.iter().for_each(|position| bits.set(*position));
        bits
    }

    /// Elements as they stand in recorded events.
    #[test]
    fn bitmaps_look_like_the_recorded_ones() {
        let set = |top: &[usize], nested: Vec<(usize, Bits)>| FieldSet { top: bits(top), nested }.elements();
        assert_eq!(set(&[23], vec![]), ["0x800000"]);
        assert_eq!(set(&[68, 23], vec![]), ["0x100000000000800000"]);
        assert_eq!(set(&[23], vec![(6, bits(&[0]))]), ["0x800000", "6-0x01"]);
        assert_eq!(set(&[], vec![(6, bits(&[7, 8]))]), ["6-0x0180"]);
        assert!(set(&[], vec![]).is_empty());
    }
}
