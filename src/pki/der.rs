//! Writes DER (ITU-T X.690): just what a certificate signing request is made of. It knows nothing of what it writes.

/// One element: identifier octet, length, content.
pub(super) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut der = vec![tag];
    der.extend(length(content.len()));
    der.extend_from_slice(content);
    der
}

/// Whether it begins as every certificate, request and bag of them does. A parser may let a SEQUENCE pass that does not say
/// that it holds others; no device and no CA would.
pub(super) fn is_sequence(der: &[u8]) -> bool {
    der.first() == Some(&SEQUENCE)
}

/// A SEQUENCE of `parts`.
pub(super) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    element(SEQUENCE, &parts.concat())
}

/// A SET OF one element; more would have to be sorted.
pub(super) fn set_of_one(part: &[u8]) -> Vec<u8> {
    element(SET, part)
}

/// A BIT STRING of whole octets.
pub(super) fn bit_string(octets: &[u8]) -> Vec<u8> {
    element(BIT_STRING, &[&[0], octets].concat())
}

/// X.690, 8.1.3: one octet up to 127, else the number of octets and the octets.
fn length(length: usize) -> Vec<u8> {
    if let Ok(short @ ..=0x7f) = u8::try_from(length) {
        return vec![short];
    }
    let octets = length.to_be_bytes();
    let significant: Vec<u8> = octets.into_iter().skip_while(|octet| *octet == 0).collect();
    let count = u8::try_from(significant.len()).unwrap_or(u8::MAX);
    [&[LONG_FORM | count], significant.as_slice()].concat()
}

pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const UTF8_STRING: u8 = 0x0c;
pub(super) const PRINTABLE_STRING: u8 = 0x13;
pub(super) const IA5_STRING: u8 = 0x16;
/// Identifier of a context-specific element that holds others.
pub(super) const CONSTRUCTED_CONTEXT: u8 = 0xa0;
/// Identifier of a context-specific element that holds a value.
pub(super) const PRIMITIVE_CONTEXT: u8 = 0x80;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const BIT_STRING: u8 = 0x03;
const LONG_FORM: u8 = 0x80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_in_their_shortest_form() {
        assert_eq!(length(0), [0]);
        assert_eq!(length(127), [127]);
        assert_eq!(length(128), [0x81, 128]);
        assert_eq!(length(255), [0x81, 255]);
        assert_eq!(length(256), [0x82, 1, 0]);
        assert_eq!(length(70_000), [0x83, 1, 0x11, 0x70]);
    }

    #[test]
    fn a_bit_string_says_that_no_bit_is_unused() {
        assert_eq!(bit_string(&[0xff]), [3, 2, 0, 0xff]);
    }
}
