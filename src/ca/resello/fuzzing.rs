//! The parsers of the purchase API's answers with any input: the bodies of fuzz targets.
#![allow(
    clippy::missing_panics_doc,
    reason = "a property that does not hold is a panic"
)]

use serde_json::{Value, json};

use super::delivery;
use super::details::{Details, Domain};
use super::envelope::{self, Reply};
use super::order::Order;
use super::plan::{Plan, in_words};
use super::proof::{self, Proven};
use super::settings::Download;
use crate::ca::fuzzing::{SECRETS, now};
use crate::ca::http::Response;
use crate::dcv::{Method, Proof};
use crate::failure::FailureKind;
use crate::pki::fuzzing::request;
use crate::pki::is_dns_name;

/// An answer to each question that there is: nothing is a success that does not say so, a doubt about an order stays one,
/// and what the CA wants to be published stays in the place that is made for it.
pub fn resello(data: &[u8]) {
    let Some(answer) = Response::planted(data) else {
        return;
    };
    for is_lasting in [true, false] {
        match envelope::read(&answer, is_lasting, now()) {
            Ok(Reply::Done(body)) => done(&answer, &body),
            Ok(Reply::Missing(failure)) => failure.assert_tellable(&SECRETS),
            Err(failure) => {
                failure.assert_tellable(&SECRETS);
                // A success that cannot be read may have cost money.
                let is_lost = is_lasting && answer.status < 300 && answer.json().is_err();
                assert!(!is_lost || failure.kind == FailureKind::OutcomeUnknown);
            }
        }
    }
    if let Ok(body) = answer.json() {
        details(&body);
    }
}

fn done(answer: &Response, body: &Value) {
    assert!(answer.status < 300, "{}", answer.status);
    let success = &body["success"];
    assert!(success != &json!(false) && success != &json!("false"));
    assert!(!success.is_number(), "{body}");
    let result = body.get("result").unwrap_or(body);
    let objects = result
        .as_array()
        .map_or(std::slice::from_ref(result), |all| all);
    let orders: Vec<Order> = objects.iter().filter_map(Order::read).collect();
    assert!(orders.iter().all(|order| !order.id.is_empty()));
    let plans: Vec<Plan> = objects.iter().filter_map(Plan::read).collect();
    for plan in &plans {
        let _ = (plan.renewal_allowed(), plan.renewal_in_words());
    }
    assert!(!in_words(&plans).is_empty());
}

fn details(body: &Value) {
    let Details::Known { domains, open } = Details::read(body) else {
        return;
    };
    let reported: usize = open.iter().map(String::len).sum();
    assert!(reported <= 4 * body.to_string().len() + 64);
    let proven = Proven {
        csr: request(),
        host: "sectigo.com",
    };
    for domain in &domains {
        for method in [Method::Dns, Method::Http] {
            if let Some(Ok(proof)) = domain.proof(proven, method) {
                assert_in_its_place(domain, &proof);
                assert_is_of_our_request(&proof, &proof::computed(proven, "", method));
            }
        }
    }
}

fn assert_in_its_place(domain: &Domain, proof: &Proof) {
    let of = domain
        .name
        .trim()
        .trim_end_matches('.')
        .to_ascii_lowercase();
    let of = of.strip_prefix("*.").unwrap_or(&of);
    if !is_dns_name(of) {
        // It is among no names of ours.
        return;
    }
    match proof {
        Proof::Cname { name, target } => {
            let (label, place) = name.split_once('.').unwrap_or((name, ""));
            assert!(label.starts_with('_'), "{name}");
            let is_above = place.contains('.') && of.ends_with(&format!(".{place}"));
            assert!(place == of || is_above, "{name} for {of}");
            assert!(!target.is_empty());
            assert!(!name.chars().chain(target.chars()).any(is_odd), "{proof:?}");
        }
        Proof::File { domain, path, .. } => {
            let www = |name: &str| name.strip_prefix("www.").unwrap_or(name).to_owned();
            assert_eq!(www(domain), www(of));
            assert!(path.starts_with("/.well-known/pki-validation/"), "{path}");
            assert!(
                !path.contains("..") && !path.chars().any(is_odd),
                "{path:?}"
            );
        }
        Proof::Txt { .. } => assert!(of.is_empty(), "the API knows no TXT records"),
    }
}

/// The published proof contains the digests of our request in their position.
fn assert_is_of_our_request(proof: &Proof, computed: &Proof) {
    let begin = |own: &str, with: &str| {
        let with = with.strip_suffix("sectigo.com").unwrap_or(with).trim_end();
        assert!(own.to_ascii_lowercase().starts_with(with), "{own}: {with}");
    };
    match (proof, computed) {
        (
            Proof::Cname { name, target },
            Proof::Cname {
                name: own,
                target: digest,
            },
        ) => {
            begin(name, own);
            begin(target, digest);
        }
        (
            Proof::File { path, content, .. },
            Proof::File {
                path: own,
                content: digest,
                ..
            },
        ) => {
            assert!(path.eq_ignore_ascii_case(own), "{path}");
            begin(content, digest);
        }
        _ => panic!("{proof:?} is of another kind than {computed:?}"),
    }
}

/// What has no place in a name and in a path.
fn is_odd(character: char) -> bool {
    character.is_control() || character.is_whitespace()
}

/// A download in each of its forms: it takes no more than a bounded amount of memory, and an archive holds no more
/// certificates than it has room for.
pub fn archive(data: &[u8]) {
    for form in [Download::Zip, Download::Crt, Download::Pkcs7] {
        match delivery::read("download", data, form) {
            Ok(found) => assert!(found.len() <= 1000, "{}", found.len()),
            Err(failure) => failure.assert_tellable(&[]),
        }
    }
}
