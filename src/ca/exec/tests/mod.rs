//! The contract and its interpretation. The integration tests run real programs.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rcgen::KeyPair;

use super::contract::{Operation, ProgramAnswer, words};
use super::record::{Records, Standing};
use super::run::Finished;
use crate::ca::{Previous, SigningRequest};
use crate::failure::FailureKind;
use crate::pki::testing::{Authority, csr, csr_params, now};
use crate::random::SystemRandom;

fn finished(code: i32, stdout: &[u8], stderr: &str) -> Finished {
    Finished {
        status: ExitStatus::from_raw(code << 8),
        stdout: stdout.to_vec(),
        stderr: stderr.as_bytes().to_vec(),
    }
}

fn answer(code: i32, stdout: &str) -> Result<ProgramAnswer, FailureKind> {
    let finished = finished(code, stdout.as_bytes(), "");
    let answer = Operation::Poll("c").answer(&finished);
    answer.map_err(|failure| failure.kind)
}

fn wait(cookie: &str, delay: Option<i64>) -> ProgramAnswer {
    ProgramAnswer::Wait {
        cookie: cookie.to_owned(),
        delay: delay.map(SignedDuration::from_secs),
    }
}

#[test]
fn every_exit_status_of_the_contract_has_its_meaning() {
    assert_eq!(answer(1, "state=5\n"), Ok(wait("state=5", None)));
    assert_eq!(answer(5, "90\na\nb\n"), Ok(wait("a\nb", Some(90))));
    assert_eq!(answer(5, "90"), Ok(wait("", Some(90))));
    assert_eq!(answer(5, "soon\nx"), Err(FailureKind::Unexpected));
    assert_eq!(
        answer(2, "no\n"),
        Ok(ProgramAnswer::Rejected("no".to_owned()))
    );
    assert_eq!(
        answer(17, "used up"),
        Ok(ProgramAnswer::AnotherKey("used up".to_owned()))
    );
    for (code, kind) in [
        (3, FailureKind::Unreachable),
        (4, FailureKind::Local),
        (6, FailureKind::Local),
        (16, FailureKind::Local),
        (7, FailureKind::Unexpected),
        (127, FailureKind::Unexpected),
    ] {
        assert_eq!(answer(code, "words"), Err(kind), "{code}");
    }
    assert_eq!(answer(0, "not a certificate"), Err(FailureKind::Unexpected));
    assert_eq!(answer(0, ""), Err(FailureKind::Unexpected));
    assert_eq!(answer(1, "a\0b"), Err(FailureKind::Unexpected));
}

#[test]
fn a_program_that_was_killed_leaves_a_submission_open() {
    let killed = Finished {
        status: ExitStatus::from_raw(9),
        ..finished(0, b"", "")
    };
    let kind = |operation: Operation<'_>| operation.answer(&killed).unwrap_err().kind;
    assert_eq!(kind(Operation::Submit), FailureKind::OutcomeUnknown);
    assert_eq!(kind(Operation::Poll("c")), FailureKind::Unexpected);
}

#[test]
fn certificates_are_read_from_pem_der_and_json() {
    let (root, request) = (
        Authority::root("Root").certificate,
        Authority::root("Leaf").certificate,
    );
    let pems = format!("{}{}", request.to_pem(), root.to_pem());
    let expected = Ok(ProgramAnswer::Issued(vec![request.clone(), root.clone()]));
    assert_eq!(answer(0, &pems), expected);
    for chain in [
        serde_json::json!([root.to_pem()]),
        serde_json::json!([{ "nickname": "Root", "certificate": root.to_pem() }]),
    ] {
        let json = serde_json::json!({ "certificate": request.to_pem(), "chain": chain, "key_checked": true });
        assert_eq!(answer(0, &json.to_string()), expected);
    }
    let der = Operation::Submit
        .answer(&finished(0, &request.der, ""))
        .unwrap();
    assert_eq!(der, ProgramAnswer::Issued(vec![request]));
    assert_eq!(
        answer(0, "{\"certificate\":7}"),
        Err(FailureKind::Unexpected)
    );
}

#[test]
fn a_programs_words_are_its_output_and_the_end_of_its_complaints_in_one_line() {
    let reported = words(&finished(2, b"no\n way\x1b[1m", "one\ntwo\nthree\nfour\n"));
    assert_eq!(reported, "no way[1m; two three four");
    assert_eq!(words(&finished(2, b"", "")), "it says nothing");
    assert!(words(&finished(2, &[b'x'; 5000], "")).chars().count() <= 301);
}

#[test]
fn the_environment_is_that_of_the_contract() {
    let previous = Authority::root("Old").certificate;
    let request = SigningRequest {
        client_reference: "r1".to_owned(),
        csr: csr(&csr_params(), &KeyPair::generate().unwrap()),
        planned_at: now(),
        previous: Some(Previous {
            certificate: previous.clone(),
            order: None,
        }),
        window: None,
    };
    let variables = Operation::Poll("cookie").environment("office", Some(&request));
    let value = |name: &str| {
        let found = variables.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    };
    assert_eq!(value("CERTMONGER_OPERATION"), Some("POLL"));
    assert_eq!(value("CERTMONGER_CA_COOKIE"), Some("cookie"));
    assert_eq!(value("CERTMONGER_CA_NICKNAME"), Some("office"));
    assert_eq!(value("CERTMONGER_CSR"), Some(&*request.csr.to_pem()));
    assert_eq!(value("CERTMONGER_REQ_HOSTNAME"), Some("vpn.example.com"));
    assert_eq!(value("CERTMONGER_REQ_IP_ADDRESS"), None);
    assert_eq!(value("CERTMONGER_KEY_TYPE"), Some("EC"));
    assert_eq!(value("CERTMONGER_CERTIFICATE"), Some(&*previous.to_pem()));
    let subject = value("CERTMONGER_REQ_SUBJECT").unwrap();
    assert!(
        subject.contains("CN=vpn.example.com") && subject.contains("O=Example"),
        "{subject}"
    );
    let identify = Operation::Identify.environment("office", None);
    assert_eq!(identify.len(), 2);
}

#[tokio::test]
async fn what_was_answered_is_read_again_and_the_last_answer_counts() {
    let folder = tempfile::tempdir().unwrap();
    let records = Records::new(&folder.path().join("records"), Arc::new(SystemRandom));
    assert_eq!(records.read("r1").await.unwrap(), None);
    let until: Timestamp = "2026-11-22T10:00:00.5Z".parse().unwrap();
    for standing in [
        Standing::Waits {
            until: None,
            cookie: "a\nb".to_owned(),
        },
        Standing::Waits {
            until: Some(until),
            cookie: String::new(),
        },
        Standing::Issued("-----BEGIN\n".to_owned()),
    ] {
        records.write("r1", &standing).await.unwrap();
        assert_eq!(records.read("r1").await.unwrap(), Some(standing));
    }
    for reference in ["", "../x", ".x", "a/b"] {
        let failure = records.read(reference).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Local, "{reference}");
    }
    assert!("renewed\n".parse::<Standing>().is_err());
}
