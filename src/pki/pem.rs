//! PEM (RFC 7468), read generously: text around the blocks, CRLF, indentation and old header lines are skipped.

use super::PkiError;

/// One block of a PEM text.
pub(super) struct Block<'a> {
    /// The label after BEGIN.
    pub label: &'a str,
    /// The content, decoded.
    pub der: Vec<u8>,
}

/// The block at one BEGIN.
pub(super) struct Found<'a> {
    /// The label after BEGIN; empty if the line is not complete.
    pub label: &'a str,
    /// The line of the BEGIN, from 1.
    pub line: usize,
    /// Whether its headers say that it is encrypted (RFC 1421).
    pub is_encrypted: bool,
    /// The block, or why there is none.
    pub block: Result<Block<'a>, PkiError>,
}

/// Every block of `text`, in its order.
pub(super) fn blocks(text: &str) -> Result<Vec<Block<'_>>, PkiError> {
    each(text).into_iter().map(|found| found.block).collect()
}

/// Every BEGIN of `text`, in its order, with its block or with the reason that there is none.
pub(super) fn each(text: &str) -> Vec<Found<'_>> {
    let mut all = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        line += before.matches('\n').count();
        let (found, next) = one(after, line);
        line += after
            .get(..after.len() - next.len())
            .map_or(0, |passed| passed.matches('\n').count());
        all.push(found);
        rest = next;
    }
    all
}

/// The block at a BEGIN, which `after` follows, and the text behind the block.
fn one(after: &str, line: usize) -> (Found<'_>, &str) {
    let failed = |label, words: String| Found {
        label,
        line,
        is_encrypted: false,
        block: Err(PkiError(words)),
    };
    let Some((label, body)) = after
        .split_once(DASHES)
        .filter(|(label, _)| !label.contains('\n'))
    else {
        let words = "PEM: a BEGIN line is not complete".to_owned();
        return (failed("", words), after);
    };
    // Another BEGIN before the END: this one was cut off, and what follows may be whole.
    let end = format!("-----END {label}{DASHES}");
    let own = body.split_once(BEGIN).map_or(body, |(own, _)| own);
    let Some((own, _)) = own.split_once(&end) else {
        let words = format!("PEM: BEGIN {label} has no END {label}");
        return (failed(label, words), body);
    };
    let next = body.get(own.len() + end.len()..).unwrap_or_default();
    let found = Found {
        label,
        line,
        is_encrypted: own.contains("Proc-Type:") && own.contains("ENCRYPTED"),
        block: decode(label, own).map(|der| Block { label, der }),
    };
    (found, next)
}

/// `der` as one PEM block under `label`, lines of 64 characters, ending in a newline.
pub(super) fn encode(label: &str, der: &[u8]) -> String {
    let mut lines = String::new();
    for (position, digit) in data_encoding::BASE64.encode(der).chars().enumerate() {
        if position > 0 && position % LINE == 0 {
            lines.push('\n');
        }
        lines.push(digit);
    }
    format!("{BEGIN}{label}{DASHES}\n{lines}\n-----END {label}{DASHES}\n")
}

fn decode(label: &str, body: &str) -> Result<Vec<u8>, PkiError> {
    let digits: String = body
        .lines()
        // "Proc-Type: ..." and other headers of RFC 1421.
        .filter(|line| !line.contains(':'))
        .flat_map(str::chars)
        .filter(|c| !c.is_whitespace())
        .collect();
    data_encoding::BASE64
        .decode(digits.as_bytes())
        .map_err(|error| PkiError(format!("PEM: {label} is not base64: {error}")))
}

const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";
const LINE: usize = 64;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_again() {
        for length in [0, 1, 47, 48, 49, 200] {
            let der: Vec<u8> = (0..length).collect();
            let text = encode("CERTIFICATE", &der);
            let blocks = blocks(&text).unwrap();
            assert_eq!(blocks.len(), 1);
            assert_eq!(blocks[0].label, "CERTIFICATE");
            assert_eq!(blocks[0].der, der);
        }
    }

    #[test]
    fn text_around_and_odd_line_ends_are_skipped() {
        let text = "Bag Attributes\r\n  -----BEGIN A-----\r\nProc-Type: 4\r\n\r\n  AQ\r\n ID \r\n-----END A-----\r\nend";
        assert_eq!(blocks(text).unwrap()[0].der, [1, 2, 3]);
    }

    #[test]
    fn a_cut_block_is_an_error_and_not_an_absence() {
        let error = blocks("-----BEGIN CERTIFICATE-----\nAQID").err().unwrap();
        assert_eq!(error.0, "PEM: BEGIN CERTIFICATE has no END CERTIFICATE");
    }
}
