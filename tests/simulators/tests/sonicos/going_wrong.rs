//! Faults by rule and by switch.

use std::time::Duration;

use simulators::sonicos::{
    Action, Barrier, ConnectionFault, CsrForm, On, Profile, Rule, Tampering, Variants,
};
use x509_parser::prelude::{FromDer, X509CertificationRequest};

use crate::client::{Client, Login, served_leaf};
use crate::office::Office;
use crate::steps::{bind, generate, install, logged_in, request_body, spki_sha256, start};

#[tokio::test]
async fn an_answer_lost_by_rule_leaves_the_key_pair_on_the_device() {
    let simulator = start(Profile::V8, |_| {}).await;
    let mut client = logged_in(&simulator).await;
    simulator.rule(Rule::once(
        "POST",
        "/certificates/generate",
        Action::DropAfter,
    ));
    assert!(
        client
            .call(
                "POST",
                "/certificates/generate-signing-request",
                &request_body("lost")
            )
            .await
            .is_err()
    );
    assert!(simulator.is_request("lost"));
    simulator.rule(Rule::once(
        "POST",
        "/certificates/generate",
        Action::DropBefore,
    ));
    assert!(
        client
            .call(
                "POST",
                "/certificates/generate-signing-request",
                &request_body("never")
            )
            .await
            .is_err()
    );
    assert_eq!(simulator.counters().key_pairs_generated, 1);
}

#[tokio::test]
async fn the_device_acts_on_release_even_when_the_client_is_gone() {
    let simulator = start(Profile::V8, |_| {}).await;
    let mut client = logged_in(&simulator).await;
    let barrier = Barrier::new();
    simulator.rule(Rule::once(
        "POST",
        "/certificates/generate",
        Action::HoldBefore(barrier.clone()),
    ));
    let held = tokio::spawn(async move {
        client
            .call(
                "POST",
                "/certificates/generate-signing-request",
                &request_body("held"),
            )
            .await
    });
    barrier.wait_reached().await;
    held.abort();
    assert!(held.await.unwrap_err().is_cancelled());
    assert_eq!(simulator.counters().key_pairs_generated, 0);
    barrier.release();
    while simulator.counters().key_pairs_generated == 0 {
        tokio::task::yield_now().await;
    }
    assert!(simulator.is_request("held"));
}

#[tokio::test]
async fn a_wrong_served_certificate_is_replaced_when_the_previous_one_is_bound_again() {
    let simulator = start(Profile::V8, |variants| {
        variants.serve_wrong_certificate_after_bind = On::Both;
    })
    .await;
    let mut client = logged_in(&simulator).await;
    let initial = simulator.fingerprint();
    install(&mut client, &Office::new(), "fw-2026").await;
    bind(&mut client, "fw-2026").await;
    client
        .call("POST", "/config/pending", "")
        .await
        .unwrap()
        .succeeded();
    let wrong = served_leaf(simulator.management()).await.unwrap();
    assert_ne!(Some(spki_sha256(&wrong)), simulator.spki_sha256("fw-2026"));
    assert_ne!(simulator.fingerprint(), initial);
    bind(&mut client, "fw-initial").await;
    client
        .call("POST", "/config/pending", "")
        .await
        .unwrap()
        .succeeded();
    assert_eq!(simulator.fingerprint(), initial);
}

#[tokio::test]
async fn the_way_is_the_same_on_an_unkind_device() {
    let simulator = start(Profile::V8, |variants| {
        *variants = Variants {
            lost_answer_one_in: 0,
            error_after_applying_one_in: 0,
            ..Variants::unkind()
        }
    })
    .await;
    let mut client = logged_in(&simulator).await;
    let refused = client
        .call(
            "POST",
            "/certificates/generate-signing-request",
            &request_body("early"),
        )
        .await
        .unwrap();
    assert_eq!(refused.info("message"), "Non config mode");
    client
        .call("POST", "/config-mode", "")
        .await
        .unwrap()
        .succeeded();
    install(&mut client, &Office::new(), "fw-2026").await;
    bind(&mut client, "fw-2026").await;
    assert!(
        client.call("POST", "/config/pending", "").await.is_err(),
        "the connection is cut at this commit"
    );
    assert_eq!(simulator.counters().sessions_open, 0);
    assert_eq!(
        Some(spki_sha256(
            &served_leaf(simulator.management()).await.unwrap()
        )),
        simulator.spki_sha256("fw-2026")
    );
}

#[tokio::test]
async fn a_tampered_request_has_other_names_or_another_key() {
    let simulator = start(Profile::V8, |_| {}).await;
    let mut client = logged_in(&simulator).await;
    let honest = generate(&mut client, "tampered").await;
    let mut export = async |tampering| {
        simulator.set(|variants| {
            (variants.csr_tampered, variants.csr_form) = (tampering, CsrForm::Der);
        });
        client
            .call(
                "GET",
                "/export/certificates/signing-request/name/tampered",
                "",
            )
            .await
            .unwrap()
            .body
    };
    let (_, honest) = X509CertificationRequest::from_der(&honest).unwrap();
    let (key, names) = (export(Tampering::Key).await, export(Tampering::Names).await);
    let (_, other_key) = X509CertificationRequest::from_der(&key).unwrap();
    let (_, other_names) = X509CertificationRequest::from_der(&names).unwrap();
    let [honest, other_key, other_names] =
        [honest, other_key, other_names].map(|request| request.certification_request_info);
    assert!(
        honest.subject_pki.raw != other_key.subject_pki.raw
            && honest.subject.as_raw() == other_key.subject.as_raw()
    );
    assert!(
        honest.subject_pki.raw == other_names.subject_pki.raw
            && honest.subject.as_raw() != other_names.subject.as_raw()
    );
    let broken = export(Tampering::Signature).await;
    assert!(
        X509CertificationRequest::from_der(&broken)
            .unwrap()
            .1
            .verify_signature()
            .is_err()
    );
}

#[tokio::test]
async fn a_failed_commit_leaves_the_change_pending_until_it_is_discarded() {
    let simulator = start(Profile::V8, |variants| variants.commit_failures = 1).await;
    let mut client = logged_in(&simulator).await;
    let before = simulator.fingerprint();
    let body = r#"{"administration":{"web_management":{"certificate":{"use_self_signed":true}}}}"#;
    client
        .call("PUT", "/administration/global", body)
        .await
        .unwrap()
        .succeeded();
    assert_eq!(
        client
            .call("POST", "/config/pending", "")
            .await
            .unwrap()
            .status,
        500
    );
    assert_ne!(
        client
            .call("GET", "/config/pending", "")
            .await
            .unwrap()
            .json(),
        serde_json::json!({})
    );
    client
        .call("DELETE", "/config/pending", "")
        .await
        .unwrap()
        .succeeded();
    assert_eq!(
        client
            .call("GET", "/config/pending", "")
            .await
            .unwrap()
            .json(),
        serde_json::json!({})
    );
    assert_eq!(simulator.fingerprint(), before);
}

#[tokio::test]
async fn a_portal_that_refuses_connections_shows_no_certificate() {
    let simulator = start(Profile::V8, |variants| {
        variants.refuse_connections_on_ssl_vpn = true;
    })
    .await;
    assert!(served_leaf(simulator.ssl_vpn()).await.is_err());
    assert!(served_leaf(simulator.management()).await.is_ok());
    simulator.set(|variants| variants.refuse_connections_on_ssl_vpn = false);
    assert!(served_leaf(simulator.ssl_vpn()).await.is_ok());
}

#[tokio::test]
async fn the_old_certificate_is_still_served_when_set() {
    let simulator = start(Profile::V8, |variants| {
        variants.keep_serving_old_after_bind = true;
    })
    .await;
    let mut client = logged_in(&simulator).await;
    let before = simulator.fingerprint();
    install(&mut client, &Office::new(), "fw-2026").await;
    bind(&mut client, "fw-2026").await;
    client
        .call("POST", "/config/pending", "")
        .await
        .unwrap()
        .succeeded();
    assert_eq!(simulator.fingerprint(), before);
}

#[tokio::test]
async fn another_administrator_takes_configuration_mode_away_and_it_can_be_taken_back() {
    let simulator = start(Profile::V8, |_| {}).await;
    let mut client = logged_in(&simulator).await;
    simulator.other_administrator().takes_configuration_mode();
    let refused = client
        .call("DELETE", "/certificates/name/fw-initial", "")
        .await
        .unwrap();
    assert_eq!(
        (refused.status, refused.info("message").as_str()),
        (405, "Non config mode")
    );
    client
        .call("POST", "/config-mode", "")
        .await
        .unwrap()
        .succeeded();
    assert_eq!(
        client
            .call("DELETE", "/certificates/name/fw-initial", "")
            .await
            .unwrap()
            .info("message"),
        "Certificate is in use"
    );
}

#[tokio::test]
async fn a_rule_answers_instead_of_the_device() {
    let simulator = start(Profile::V8, |_| {}).await;
    let mut client = logged_in(&simulator).await;
    simulator.rule(Rule::once(
        "POST",
        "/certificates",
        Action::SuccessFalseWith200("Busy.".to_owned()),
    ));
    let answer = client
        .call(
            "POST",
            "/certificates/generate-signing-request",
            &request_body("never"),
        )
        .await
        .unwrap();
    assert_eq!(
        (answer.status, answer.info("message").as_str()),
        (200, "Busy.")
    );
    simulator.rule(Rule::once(
        "GET",
        "/version",
        Action::Status(
            503,
            "busy".to_owned(),
            vec![("Retry-After".to_owned(), "7".to_owned())],
        ),
    ));
    let busy = client.call("GET", "/version", "").await.unwrap();
    assert_eq!(
        (busy.status, busy.header("retry-after")),
        (503, vec!["7".to_owned()])
    );
    assert_eq!(simulator.counters().key_pairs_generated, 0);
}

#[tokio::test]
async fn random_faults_lose_answers_or_return_500_after_the_act() {
    let simulator = start(Profile::V8, |_| {}).await;
    let mut client = logged_in(&simulator).await;
    let path = "/certificates/generate-signing-request";
    simulator.set(|variants| variants.lost_answer_one_in = 1);
    assert!(
        client
            .call("POST", path, &request_body("lost"))
            .await
            .is_err()
    );
    simulator.set(|variants| {
        (
            variants.lost_answer_one_in,
            variants.error_after_applying_one_in,
        ) = (0, 1);
    });
    assert_eq!(
        client
            .call("POST", path, &request_body("failed"))
            .await
            .unwrap()
            .status,
        500
    );
    assert!(simulator.is_request("lost") && simulator.is_request("failed"));
}

#[tokio::test]
async fn every_kind_of_fault_happens_to_the_request_it_is_for() {
    for profile in [Profile::V6_5, Profile::V8] {
        for (action, status) in [
            (Action::ResetBefore, None),
            (Action::ResetAfter, None),
            (Action::DropBefore, None),
            (Action::ServerErrorAfter, Some(500)),
            (Action::Truncated, Some(200)),
            (Action::CutShort, Some(200)),
            (Action::Drip(Duration::from_micros(10)), Some(200)),
        ] {
            let simulator = start(profile, |_| {}).await;
            let mut client = Client::new(simulator.management(), Login::Nothing);
            simulator.rule(Rule::any(1, action.clone()));
            let answer = client.call("GET", "", "").await;
            let reported = format!("{profile:?} {action:?}: {answer:?}");
            assert_eq!(
                answer.ok().map(|answer| answer.status),
                status,
                "{reported}"
            );
            assert_eq!(simulator.faults_used(), 1, "{reported}");
            let whole = client.call("GET", "", "").await.unwrap();
            assert_eq!(whole.status, 200, "{reported}");
        }
    }
}

#[tokio::test]
async fn half_an_answer_is_half_of_it() {
    for profile in [Profile::V6_5, Profile::V8] {
        let simulator = start(profile, |_| {}).await;
        let mut client = Client::new(simulator.management(), Login::Nothing);
        let whole = client.call("GET", "", "").await.unwrap().body.len();
        for action in [Action::Truncated, Action::CutShort] {
            simulator.rule(Rule::any(1, action.clone()));
            let half = client.call("GET", "", "").await.unwrap().body.len();
            assert_eq!(half, whole / 2, "{profile:?} {action:?}");
        }
    }
}

#[tokio::test]
async fn a_silent_device_never_answers_whether_it_acted_or_not() {
    for profile in [Profile::V6_5, Profile::V8] {
        for action in [Action::SilentBefore, Action::SilentAfter] {
            let simulator = start(profile, |_| {}).await;
            simulator.rule(Rule::any(1, action.clone()));
            let mut client = Client::new(simulator.management(), Login::Nothing);
            let waiting = tokio::time::timeout(PATIENCE, client.call("GET", "", ""));
            assert!(waiting.await.is_err(), "{profile:?} {action:?}");
        }
    }
}

#[tokio::test]
async fn connections_to_both_ports_are_counted_and_go_wrong_one_at_a_time() {
    let simulator = start(Profile::V8, |_| {}).await;
    let real = served_leaf(simulator.ssl_vpn()).await.unwrap();
    simulator.connection_fault(1, ConnectionFault::Refused);
    simulator.connection_fault(2, ConnectionFault::WrongCertificate);
    assert!(served_leaf(simulator.management()).await.is_err());
    let stranger = served_leaf(simulator.ssl_vpn()).await.unwrap();
    assert_ne!(stranger, real);
    assert_eq!(served_leaf(simulator.ssl_vpn()).await.unwrap(), real);
    assert_eq!((simulator.connections(), simulator.faults_used()), (4, 2));
    assert_eq!(simulator.bytes_sent_to_impostor(), 0);
}

/// Long enough for a simulator to act, short enough for a test.
const PATIENCE: Duration = Duration::from_millis(300);
