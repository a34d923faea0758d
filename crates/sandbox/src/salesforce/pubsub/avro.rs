//! Writing Avro's binary form: just the types that change events are made of.

/// Appends values to a datum.
#[derive(Debug, Default)]
pub(crate) struct Datum(pub(crate) Vec<u8>);

impl Datum {
    /// An `int`, a `long`, an index into an enum or a branch of a union: zigzag, seven bits a byte, the lowest first.
    pub(crate) fn long(&mut self, value: i64) {
        let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
        while rest >= 0x80 {
            self.0.push(rest.to_le_bytes()[0] | 0x80);
            rest >>= 7;
        }
        self.0.push(rest.to_le_bytes()[0]);
    }

    /// The length of a string or an array block.
    fn length(&mut self, length: usize) {
        self.long(i64::try_from(length).unwrap_or(i64::MAX));
    }

    pub(crate) fn string(&mut self, text: &str) {
        self.length(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(crate) fn double(&mut self, value: f64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn boolean(&mut self, value: bool) {
        self.0.push(u8::from(value));
    }

    /// An array of strings, in one block.
    pub(crate) fn strings<S: AsRef<str>>(&mut self, texts: &[S]) {
        if !texts.is_empty() {
            self.length(texts.len());
            texts.iter().for_each(|text| self.string(text.as_ref()));
        }
        self.long(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the Avro specification, and the ends of the range.
    #[test]
    fn longs_are_zigzag_with_seven_bits_a_byte() {
        let bytes = |value: i64| {
            let mut datum = Datum::default();
            datum.long(value);
            datum.0
        };
        for (value, expected) in
            [(0, vec![0]), (-1, vec![1]), (1, vec![2]), (-64, vec![0x7f]), (64, vec![0x80, 1])]
        {
            assert_eq!(bytes(value), expected, "{value}");
        }
        assert_eq!(bytes(i64::MIN), [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]);
        assert_eq!(bytes(i64::MAX), [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]);
    }

    #[test]
    fn an_array_is_one_block_and_an_end() {
        let mut datum = Datum::default();
        datum.strings(&["a", "bc"]);
        datum.strings::<&str>(&[]);
        assert_eq!(datum.0, [4, 2, b'a', 4, b'b', b'c', 0, 0]);
    }
}
