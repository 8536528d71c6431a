//! The parsers of an ACME server's answers with any input: the body of a fuzz target.
#![allow(
    clippy::missing_panics_doc,
    reason = "a property that does not hold is a panic"
)]

use jiff::SignedDuration;
use url::Url;

use super::challenge::Authorization;
use super::directory::Directory;
use super::hosts::Hosts;
use super::names::Identifier;
use super::order::{Order, issued};
use super::problem::{Problem, Refusal};
use super::renewal_info::{identifier, info};
use super::session::{location, nonce_of};
use crate::ca::Issuance;
use crate::ca::fuzzing::{SECRETS, now};
use crate::ca::http::Response;
use crate::pki;

/// An answer to each question that there is: it is read or refused in bearable words, a window of renewal has a length, and
/// of a chain the leaf is the first, or ours.
pub fn acme(data: &[u8]) {
    let Some(answer) = Response::planted(data) else {
        return;
    };
    refusals(&answer);
    objects(&answer);
    for wait in [None, answer.retry_after(now())] {
        if let Some(info) = info(&answer.body, wait) {
            let window = info.window.is_some_and(|window| window.start < window.end);
            let day = SignedDuration::from_hours(24);
            assert!(window && info.ask_again.is_some_and(|wait| wait <= day));
            let words = info.explanation.unwrap_or_default();
            assert!(words.chars().count() <= 2001 && !words.chars().any(char::is_control));
        }
    }
    let csr = pki::fuzzing::request();
    match issued(&answer, csr) {
        Ok(Issuance::Issued { leaf, chain }) => {
            // No certificate is shorter.
            assert!(chain.len() < answer.body.len() / 64);
            let name = identifier(&leaf.der).unwrap_or_default();
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            assert!(name.chars().all(is_plain), "{name}");
        }
        Ok(other) => assert!(answer.body.is_empty(), "{other:?}"),
        Err(failure) => failure.assert_tellable(&SECRETS),
    }
}

fn refusals(answer: &Response) {
    for is_lasting in [true, false] {
        let Some(refusal) = Refusal::of(answer, is_lasting, now()) else {
            assert!(answer.status < 300);
            continue;
        };
        refusal.failure.assert_tellable(&SECRETS);
    }
    let problem = Problem::of(answer);
    let _ = problem.class();
    let words = problem.to_string();
    assert!(words.len() <= 4 * answer.body.len() + 64);
}

fn objects(answer: &Response) {
    let called = Url::parse("https://acme.example.com/x/1").ok();
    let Some(called) = called else { return };
    let asked = Identifier {
        kind: "dns".to_owned(),
        value: "vpn.example.com".to_owned(),
    };
    let hosts = Hosts::only(called.clone());
    let read = [
        Directory::read(answer, hosts.clone()).map(|directory| {
            let named = [
                &directory.new_nonce,
                &directory.new_account,
                &directory.new_order,
            ];
            let mut named = named.into_iter().chain(&directory.renewal_info);
            assert!(named.all(|url| hosts.allow(url)), "{directory:?}");
        }),
        Order::read(answer, &called, 1).map(drop),
        Authorization::read(answer, &called, &[asked]).map(|authorization| {
            let is_open = !authorization.is_valid() && !authorization.has_ended();
            assert!(is_open || authorization.problems().len() <= answer.body.len());
        }),
        location(answer, &called).map(drop),
    ];
    for failure in read.into_iter().filter_map(Result::err) {
        failure.assert_tellable(&SECRETS);
    }
    let _ = nonce_of(&answer.headers);
}
