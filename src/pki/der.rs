//! Reads and writes DER (ITU-T X.690), only the part that requests and certificates need. It does not interpret the
//! values.

/// One element as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Element<'a> {
    /// The identifier octet.
    pub tag: u8,
    /// What is in it.
    pub content: &'a [u8],
    /// The element itself, with identifier and length.
    pub whole: &'a [u8],
}

impl Element<'_> {
    /// Whether it holds other elements.
    pub fn is_constructed(&self) -> bool {
        self.tag & CONSTRUCTED != 0
    }

    /// The elements in it; `None`: its content is not a row of elements.
    pub fn children(&self) -> Option<Vec<Self>> {
        all(self.content)
    }

    /// The elements in it, when its identifier octet is `tag`.
    pub fn children_of(&self, tag: u8) -> Option<Vec<Self>> {
        (self.tag == tag).then(|| self.children()).flatten()
    }

    /// Whether it and everything in it is encoded as DER demands: each value has one encoding only, so that every program
    /// reads the same. What OCTET STRING and BIT STRING wrap is not looked into.
    pub fn is_strict(&self) -> bool {
        self.is_strict_within(DEEPEST)
    }

    fn is_strict_within(&self, depth: u8) -> bool {
        if self.is_constructed() {
            // A string in pieces is BER (10.2).
            let is_universal = self.tag & CLASS == 0;
            if is_universal && !matches!(self.tag, SEQUENCE | SET) {
                return false;
            }
            let parts = depth.checked_sub(1).zip(self.children());
            return parts.is_some_and(|(depth, parts)| {
                parts.iter().all(|part| part.is_strict_within(depth))
            });
        }
        match (self.tag, self.content) {
            // The universal forms of SEQUENCE and SET are always constructed.
            (PRIMITIVE_SEQUENCE | PRIMITIVE_SET, _) | (INTEGER, []) => false,
            (BOOLEAN, content) => matches!(content, [0 | 0xff]),
            (INTEGER, [0, second, ..]) => second & 0x80 != 0,
            (INTEGER, [0xff, second, ..]) => second & 0x80 == 0,
            _ => true,
        }
    }
}

/// The first element of `bytes` and what follows it. Only identifiers of one octet and lengths in their shortest form.
pub(super) fn first(bytes: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&tag, after) = bytes.split_first()?;
    if tag & HIGH_TAG == HIGH_TAG {
        return None;
    }
    let (&short, after) = after.split_first()?;
    let (length, after) = match short {
        0..=0x7f => (usize::from(short), after),
        _ => long_length(usize::from(short & 0x7f), after)?,
    };
    let (content, rest) = after.split_at_checked(length)?;
    let whole = bytes.get(..bytes.len() - rest.len())?;
    Some((
        Element {
            tag,
            content,
            whole,
        },
        rest,
    ))
}

/// The one element that `bytes` are.
pub(super) fn only(bytes: &[u8]) -> Option<Element<'_>> {
    match first(bytes)? {
        (element, []) => Some(element),
        _ => None,
    }
}

/// Every element of `bytes`, which hold nothing else.
pub(super) fn all(mut bytes: &[u8]) -> Option<Vec<Element<'_>>> {
    let mut elements = Vec::new();
    while !bytes.is_empty() {
        let (element, rest) = first(bytes)?;
        elements.push(element);
        bytes = rest;
    }
    Some(elements)
}

fn long_length(octets: usize, bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (digits, rest) = bytes.split_at_checked(octets)?;
    if octets == 0 || octets > 4 || digits.first() == Some(&0) {
        return None;
    }
    let length = digits
        .iter()
        .fold(0, |length, digit| length << 8 | usize::from(*digit));
    (length > 0x7f).then_some((length, rest))
}

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
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
const BIT_STRING: u8 = 0x03;
const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const PRIMITIVE_SEQUENCE: u8 = 0x10;
const PRIMITIVE_SET: u8 = 0x11;
const LONG_FORM: u8 = 0x80;
/// Bits of the identifier octet.
const CLASS: u8 = 0xc0;
const CONSTRUCTED: u8 = 0x20;
const HIGH_TAG: u8 = 0x1f;
/// Nothing that is read here is nested any deeper.
const DEEPEST: u8 = 32;

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
    fn only_one_encoding_of_each_value_is_read() {
        let whole = [0x30, 3, 2, 1, 5];
        assert_eq!(only(&whole).map(|found| found.content), Some(&whole[2..]));
        for (odd, why) in [
            (
                &[0x30, 0x81, 3, 2, 1, 5][..],
                "a length that is not the shortest",
            ),
            (&[0x30, 0x80, 2, 1, 5, 0, 0], "an indefinite length"),
            (&[0x30, 4, 2, 1, 5], "cut off"),
            (&[0x30, 3, 2, 1, 5, 0], "a byte behind"),
            (&[0x3f, 0x1f, 0], "a long identifier"),
        ] {
            assert_eq!(only(odd), None, "{why}");
        }
        for (bytes, strict) in [
            (&[0x30, 3, 2, 1, 5][..], true),
            (&[0x30, 4, 2, 2, 0, 5], false),
            (&[0x30, 4, 2, 2, 0, 0x85], true),
            (&[0x30, 3, 1, 1, 1], false),
            (&[0x30, 3, 1, 1, 0xff], true),
            (&[0x30, 2, 2, 1], false),
            (&[0x24, 3, 4, 1, 5], false),
            (&[0xa0, 3, 2, 1, 5], true),
            (&[0x10, 0], false),
        ] {
            let found = only(bytes).map(|element| element.is_strict());
            assert_eq!(found, Some(strict), "{bytes:02x?}");
        }
    }

    #[test]
    fn a_bit_string_says_that_no_bit_is_unused() {
        assert_eq!(bit_string(&[0xff]), [3, 2, 0, 0xff]);
    }
}
