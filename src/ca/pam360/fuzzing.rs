//! The parsers of PAM360's answers with any input: the body of a fuzz target.
#![allow(
    clippy::missing_panics_doc,
    reason = "a property that does not hold is a panic"
)]

use super::content;
use super::envelope::{Envelope, Verdict};
use super::settings::Product;
use super::{stored, stored_csr};
use crate::ca::fuzzing::{SECRETS, now};
use crate::ca::http::Response;
use crate::pki;

/// An answer to each question that there is: nothing is a success that does not say so, every row is there or the list is
/// refused, and no file is taken for our CSR that is not.
pub fn pam360(data: &[u8]) {
    let Some(answer) = Response::planted(data) else {
        return;
    };
    for is_lasting in [true, false] {
        match Envelope::open(&answer, Product::Pam360, is_lasting, now()) {
            Ok(envelope) => opened(&answer, envelope),
            Err(failure) => failure.assert_tellable(&SECRETS),
        }
    }
    let csr = pki::fuzzing::request();
    if let Ok(found) = content::certificates(&answer.body) {
        assert!(found.len() <= answer.body.len() / 64);
    }
    if content::holds(&answer.body, csr) {
        assert!(answer.body.len() >= csr.der.len());
    }
}

fn opened(answer: &Response, envelope: Envelope) {
    let text = String::from_utf8_lossy(&answer.body).to_ascii_lowercase();
    let is_done = envelope.verdict == Verdict::Done;
    // A letter may be written as an escape.
    assert!(!is_done || text.contains("success") || text.contains("\\u"));
    let csr = pki::fuzzing::request();
    let _ = stored_csr::id_of(&envelope.whole);
    if let Err(failure) = envelope.done(answer, "say so") {
        failure.assert_tellable(&SECRETS);
        assert!(!is_done);
    }
    let total = envelope.total_rows.unwrap_or_default();
    match envelope.rows(answer, "list", "all are needed") {
        Ok(rows) => {
            assert!(is_done && rows.len() as u64 >= total);
            let most = stored_csr::candidates(&rows, csr).len();
            assert!(most <= rows.len().min(20));
            match stored::candidates(&rows, csr, now()) {
                Ok(found) => assert!(found.len() <= rows.len()),
                Err(failure) => failure.assert_tellable(&SECRETS[2..]),
            }
        }
        Err(failure) => failure.assert_tellable(&SECRETS),
    }
}
