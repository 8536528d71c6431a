//! Each exit status, cookies, limits, and what is left after a crash.

use std::time::Duration;

use jiff::SignedDuration;
use renewd::ca::{Issuance, Issuer, Reference};
use renewd::failure::FailureKind;

use super::fixture::Fixture;

fn assert_issued(issuance: &Issuance, fixture: &Fixture) {
    let Issuance::Issued { leaf, chain } = issuance else {
        panic!("{issuance:?}")
    };
    assert_eq!(
        leaf.public_key, fixture.request.csr.public_key,
        "not the first of the output"
    );
    assert_eq!(chain.len(), 1);
}

#[tokio::test]
async fn a_certificate_that_is_issued_at_once_is_kept_and_the_program_is_not_run_again() {
    let fixture = Fixture::new("cat \"$D/leaf.pem\"");
    assert_eq!(fixture.driver().find(&fixture.request).await.unwrap(), None);
    let order = fixture.driver().submit(&fixture.request).await.unwrap();
    // renewd crashes before the reference is stored.
    assert_eq!(
        fixture.driver().find(&fixture.request).await.unwrap(),
        Some(order.clone())
    );
    let issuance = fixture
        .driver()
        .poll(&order, &fixture.request)
        .await
        .unwrap();
    assert_issued(&issuance, &fixture);
    // The record is lost, the reference is not.
    std::fs::remove_dir_all(&fixture.settings.records).unwrap();
    let issuance = fixture
        .driver()
        .poll(&order, &fixture.request)
        .await
        .unwrap();
    assert_issued(&issuance, &fixture);
    assert_eq!(fixture.note("calls"), "SUBMIT\n");
}

#[tokio::test]
async fn a_program_that_issues_the_leaf_alone_is_asked_for_the_chain() {
    let fixture = Fixture::new(
        "case $CERTMONGER_OPERATION in\n\
         FETCH-ROOTS) echo Root; sed '/^-----END/q' \"$D/leaf.pem\";;\n\
         *) sed '1,/^-----END/d' \"$D/leaf.pem\";;\n\
         esac",
    );
    let order = fixture.driver().submit(&fixture.request).await.unwrap();
    let issuance = fixture
        .driver()
        .poll(&order, &fixture.request)
        .await
        .unwrap();
    assert_issued(&issuance, &fixture);
    assert_eq!(fixture.note("calls"), "SUBMIT\nFETCH-ROOTS\n");
}

#[tokio::test]
async fn ca_certificates_that_could_not_be_fetched_once_are_requested_again() {
    for once in ["exit 99", "exit 3", "kill -9 $$", "echo '<html>'; exit 0"] {
        let fixture = Fixture::new(&format!(
            "if [ $CERTMONGER_OPERATION = SUBMIT ]; then sed '1,/^-----END/d' \"$D/leaf.pem\"; exit; fi\n\
             if ! [ -e \"$D/once\" ]; then : > \"$D/once\"; {once}; fi\n\
             sed '/^-----END/q' \"$D/leaf.pem\""
        ));
        let order = fixture.driver().submit(&fixture.request).await.unwrap();
        let failure = fixture.driver().poll(&order, &fixture.request).await;
        assert_eq!(failure.unwrap_err().call, "FETCH-ROOTS", "{once}");
        let issuance = fixture
            .driver()
            .poll(&order, &fixture.request)
            .await
            .unwrap();
        assert_issued(&issuance, &fixture);
        assert_eq!(fixture.note("calls"), "SUBMIT\nFETCH-ROOTS\nFETCH-ROOTS\n");
    }
}

#[tokio::test]
async fn a_program_that_cannot_tell_the_certificates_of_the_ca_need_not() {
    for lacking in ["exit 6", "exit 1", "exit 0"] {
        let fixture = Fixture::new(&format!(
            "[ $CERTMONGER_OPERATION = FETCH-ROOTS ] && {lacking}\nsed '1,/^-----END/d' \"$D/leaf.pem\""
        ));
        let order = fixture.driver().submit(&fixture.request).await.unwrap();
        let issuance = fixture
            .driver()
            .poll(&order, &fixture.request)
            .await
            .unwrap();
        assert!(
            matches!(&issuance, Issuance::Issued { chain, .. } if chain.is_empty()),
            "{lacking}: {issuance:?}"
        );
    }
}

#[tokio::test]
async fn each_answer_brings_the_cookie_of_the_next_poll() {
    let fixture = Fixture::new(
        "case \"$CERTMONGER_CA_COOKIE\" in\n\
         '') echo step=1; exit 1;;\n\
         step=1) echo step=2; exit 1;;\n\
         step=2) cat \"$D/leaf.pem\";;\n\
         esac",
    );
    let order = fixture.driver().submit(&fixture.request).await.unwrap();
    let first = fixture
        .driver()
        .poll(&order, &fixture.request)
        .await
        .unwrap();
    assert!(
        matches!(
            first,
            Issuance::Pending {
                retry_after: None,
                ..
            }
        ),
        "{first:?}"
    );
    // The reference is still the first one, as the engine has it.
    let second = fixture
        .driver()
        .poll(&order, &fixture.request)
        .await
        .unwrap();
    assert_issued(&second, &fixture);
    assert_eq!(fixture.note("calls"), "SUBMIT\nPOLL\nPOLL\n");
}

#[tokio::test]
async fn a_program_that_names_a_time_is_not_asked_before_it() {
    let fixture = Fixture::new(
        "[ \"$CERTMONGER_OPERATION\" = POLL ] && exec cat \"$D/leaf.pem\"\necho 600; echo c; exit 5",
    );
    let order = fixture.driver().submit(&fixture.request).await.unwrap();
    let Issuance::Pending { retry_after, .. } = fixture
        .driver()
        .poll(&order, &fixture.request)
        .await
        .unwrap()
    else {
        panic!("too early")
    };
    assert_eq!(retry_after, Some(SignedDuration::from_mins(10)));
    assert_eq!(fixture.note("calls"), "SUBMIT\n");
    fixture.clock.advance(SignedDuration::from_mins(10));
    let issuance = fixture
        .driver()
        .poll(&order, &fixture.request)
        .await
        .unwrap();
    assert_issued(&issuance, &fixture);
}

#[tokio::test]
async fn each_other_exit_status_is_a_failure_with_the_programs_message() {
    for (code, kind) in [
        (2, FailureKind::Refused),
        (3, FailureKind::Unreachable),
        (4, FailureKind::Local),
        (6, FailureKind::Local),
        (16, FailureKind::Local),
        (17, FailureKind::Refused),
        (99, FailureKind::Unexpected),
    ] {
        let fixture = Fixture::new(&format!("echo because; echo more >&2; exit {code}"));
        let failure = fixture.driver().submit(&fixture.request).await.unwrap_err();
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.detail.contains("because; more"), "{failure}");
        assert_eq!(fixture.driver().find(&fixture.request).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_refusal_of_a_poll_ends_the_order() {
    for code in [2, 17] {
        let fixture = Fixture::new(&format!(
            "[ \"$CERTMONGER_OPERATION\" = SUBMIT ] && exit 1\necho the registrar said no; exit {code}"
        ));
        let order = fixture.driver().submit(&fixture.request).await.unwrap();
        let end = fixture
            .driver()
            .poll(&order, &fixture.request)
            .await
            .unwrap();
        let Issuance::Refused { reason } = end else {
            panic!("{end:?}")
        };
        assert!(reason.contains("the registrar said no"), "{reason}");
    }
}

#[tokio::test]
async fn a_slow_program_is_killed_with_everything_that_it_has_started() {
    let mut fixture = Fixture::new("sleep 600 & echo $! > \"$D/child\"; wait");
    fixture.settings.timeout = Duration::from_millis(500);
    let failure = fixture.driver().submit(&fixture.request).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::OutcomeUnknown, "{failure}");
    assert!(
        failure.detail.contains("took longer than 0.5 s"),
        "{failure}"
    );
    assert_ends(&fixture).await;
}

/// The process whose number the program noted as its child is killed.
async fn assert_ends(fixture: &Fixture) {
    let child = fixture.note("child");
    assert!(!child.is_empty(), "it never came so far");
    let state = format!("/proc/{}/stat", child.trim());
    let is_gone = || std::fs::read_to_string(&state).map_or(true, |stat| stat.contains(") Z "));
    for _ in 0..200 {
        if is_gone() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the grandchild lives");
}

#[tokio::test]
async fn what_a_program_leaves_running_with_its_output_holds_up_no_answer_and_is_killed() {
    let mut fixture = Fixture::new("sleep 600 & echo $! > \"$D/child\"; cat \"$D/leaf.pem\"");
    fixture.settings.timeout = Duration::from_mins(5);
    let started = std::time::Instant::now();
    let order = fixture.driver().submit(&fixture.request).await.unwrap();
    let issuance = fixture
        .driver()
        .poll(&order, &fixture.request)
        .await
        .unwrap();
    assert_issued(&issuance, &fixture);
    assert_eq!(fixture.note("calls"), "SUBMIT\n");
    assert!(
        started.elapsed() < Duration::from_mins(1),
        "{:?}",
        started.elapsed()
    );
    assert_ends(&fixture).await;
}

#[tokio::test]
async fn a_program_that_never_stops_writing_is_killed() {
    let fixture = Fixture::new("exec yes");
    let failure = fixture.driver().submit(&fixture.request).await.unwrap_err();
    assert!(failure.detail.contains("it wrote more than"), "{failure}");
}

#[tokio::test]
async fn a_program_gets_the_contract_and_the_configured_values_and_nothing_else() {
    let mut fixture = Fixture::new("env | cut -d= -f1 | sort > \"$D/env\"; exit 1");
    let more = ("CERTMONGER_OPERATION".to_owned(), "POLL".to_owned());
    fixture.settings.environment.push(more);
    fixture.driver().submit(&fixture.request).await.unwrap();
    let seen = fixture.note("env");
    let names: Vec<&str> = seen
        .lines()
        .filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_') && !name.is_empty())
        // What the shell itself adds.
        .filter(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name))
        .collect();
    assert_eq!(
        names,
        [
            "CERTMONGER_CA_NICKNAME",
            "CERTMONGER_CSR",
            "CERTMONGER_KEY_TYPE",
            "CERTMONGER_OPERATION",
            "CERTMONGER_REQ_HOSTNAME",
            "CERTMONGER_REQ_SUBJECT",
            "CERTMONGER_SPKI",
            "D",
            "PATH",
        ]
    );
    assert_eq!(
        fixture.note("calls"),
        "SUBMIT\n",
        "the contract's own value counts"
    );
}

#[tokio::test]
async fn a_missing_program_is_reported_by_its_name() {
    let mut fixture = Fixture::new("");
    fixture.settings.program = "/nowhere/helper".into();
    let failure = fixture.driver().check().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Local);
    assert!(
        failure
            .detail
            .starts_with("/nowhere/helper cannot be started"),
        "{failure}"
    );
}

#[tokio::test]
async fn check_reports_the_identity_of_the_program() {
    for (script, identity) in [
        ("echo helper 1.0", "helper 1.0"),
        ("exit 6", "it does not say"),
    ] {
        let fixture = Fixture::new(script);
        let facts = fixture.driver().check().await.unwrap();
        assert_eq!(facts[1].1, identity);
        assert_eq!(fixture.note("calls"), "IDENTIFY\n");
    }
    let failure = Fixture::new("echo no keytab; exit 4")
        .driver()
        .check()
        .await
        .unwrap_err();
    assert!(failure.detail.contains("no keytab"), "{failure}");
}

#[tokio::test]
async fn garbage_is_not_taken_for_a_certificate() {
    for output in ["<html>Sign in</html>", "", "{\"certificate\":"] {
        let fixture = Fixture::new(&format!("printf '%s' '{output}'"));
        let failure = fixture.driver().submit(&fixture.request).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Unexpected, "{failure}");
    }
    let fixture = Fixture::new("exit 1");
    let strange = Reference("a reference of another driver".to_owned());
    let failure = fixture
        .driver()
        .poll(&strange, &fixture.request)
        .await
        .unwrap_err();
    assert_eq!(failure.kind, FailureKind::Local);
}
