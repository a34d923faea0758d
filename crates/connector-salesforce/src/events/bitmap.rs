//! Which fields an event is about: `changedFields`, `nulledFields` and `diffFields`.
//!
//! An element `0xHEX` is a bitmap over the fields of the event's schema, `P-0xHEX` one over the parts of the compound at
//! position P. Bit 0 is the lowest. There may be elements of the second kind only.

use super::avro::Malformed;

/// A bitmap as hexadecimal digits: of any width.
#[derive(Clone, Copy, Debug, Default)]
struct Bits<'a>(&'a [u8]);

impl<'a> Bits<'a> {
    fn parse(text: &'a str) -> Result<Self, Malformed> {
        let digits = text.strip_prefix("0x").map(str::as_bytes);
        let digits = digits.filter(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit));
        digits.map(Self).ok_or(Malformed("a bitmap is not hexadecimal"))
    }

    fn has(self, bit: usize) -> bool {
        let digit = self.0.len().checked_sub(1 + bit / 4).and_then(|at| self.0.get(at));
        let digit = digit.and_then(|digit| char::from(*digit).to_digit(16)).unwrap_or_default();
        digit >> (bit % 4) & 1 == 1
    }

    /// One more than the highest bit that is set.
    fn width(self) -> usize {
        (0..self.0.len() * 4).rev().find(|bit| self.has(*bit)).map_or(0, |bit| bit + 1)
    }
}

/// The fields and parts of compounds that some elements name.
#[derive(Clone, Debug, Default)]
pub(crate) struct FieldSet<'a> {
    top: Vec<Bits<'a>>,
    nested: Vec<(usize, Bits<'a>)>,
}

impl<'a> FieldSet<'a> {
    /// Adds elements; none may name a field that a schema with so many fields does not have.
    pub(crate) fn add(&mut self, elements: &[&'a str], fields: usize) -> Result<(), Malformed> {
        const TOO_WIDE: Malformed = Malformed("a bitmap names a field that the schema does not have");
        for element in elements {
            match element.split_once('-') {
                None => {
                    let bits = Bits::parse(element)?;
                    if bits.width() > fields {
                        return Err(TOO_WIDE);
                    }
                    self.top.push(bits);
                }
                Some((position, bits)) => {
                    let position: usize =
                        position.parse().map_err(|_| Malformed("a bitmap has no position"))?;
                    if position >= fields {
                        return Err(TOO_WIDE);
                    }
                    self.nested.push((position, Bits::parse(bits)?));
                }
            }
        }
        Ok(())
    }

    /// Whether the field at this position is named itself.
    pub(crate) fn has(&self, position: usize) -> bool {
        self.top.iter().any(|bits| bits.has(position))
    }

    /// Whether parts of the compound at this position are named.
    pub(crate) fn has_parts(&self, position: usize) -> bool {
        self.nested.iter().any(|(at, bits)| *at == position && bits.width() > 0)
    }

    /// Whether this part of the compound at this position is named.
    pub(crate) fn has_part(&self, position: usize, part: usize) -> bool {
        self.nested.iter().any(|(at, bits)| *at == position && bits.has(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions(elements: &[&str], fields: usize) -> Vec<usize> {
        let mut set = FieldSet::default();
        set.add(elements, fields).unwrap();
        (0..fields).filter(|position| set.has(*position)).collect()
    }

    #[test]
    fn bitmaps_of_captured_events_name_their_fields() {
        assert_eq!(positions(&["0x800000"], 86), [23]);
        assert_eq!(positions(&["0x100000000000800000"], 86), [23, 68]);
        assert_eq!(positions(&["0x800000", "6-0x01"], 86), [23]);
        assert_eq!(positions(&[], 86), Vec::<usize>::new());
        let mut set = FieldSet::default();
        set.add(&["6-0x0180"], 86).unwrap();
        assert!(
            set.has_parts(6)
                && set.has_part(6, 7)
                && set.has_part(6, 8)
                && !set.has_part(6, 0)
                && !set.has_part(5, 7)
        );
        assert!(!set.has(6));
    }

    #[test]
    fn a_wide_object_has_a_wide_bitmap() {
        let element = format!("0x01{}", "00".repeat(90));
        assert_eq!(positions(&[&element], 721), [720]);
    }

    #[test]
    fn what_is_no_bitmap_is_refused() {
        for element in
            ["", "0x", "12", "0xZZ", "x-0x01", "-0x01", "3-", "0x01-0x01", "99-0x01", "0x0100000000"]
        {
            assert!(FieldSet::default().add(&[element], 20).is_err(), "{element}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_a_panic(element in ".*", fields in 0_usize..200, bit: usize) {
            let mut set = FieldSet::default();
            if set.add(&[&element], fields).is_ok() {
                let _ = (set.has(bit), set.has_part(bit, bit), set.has_parts(bit));
            }
        }

        #[test]
        fn a_bit_that_is_set_is_found(bit in 0_usize..900) {
            let mut bytes = [0_u8; 113];
            bytes[112 - bit / 8] |= 1 << (bit % 8);
            let element: String = std::iter::once("0x".to_owned()).chain(bytes.iter().map(|byte| format!("{byte:02X}"))).collect();
            proptest::prop_assert_eq!(positions(&[&element], 904), [bit]);
        }
    }
}
