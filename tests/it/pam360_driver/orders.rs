//! Orders that go well, wait, or are refused; what check and probe tell.

use std::time::Duration;

use renewd::ca::Issuance;
use renewd::ca::pam360::{MicrosoftCa, Signer};
use renewd::failure::FailureKind;
use renewd::pki::Certificate;
use renewd::secret::{Secret, SecretSource};
use simulators::ca::{ChainMischief, Mischief};
use simulators::pam360::{ImportId, PendingAnswer, Variants};

use super::fixture::{Fixture, microsoft_ca};

#[tokio::test]
async fn a_certificate_is_issued_with_its_chain() {
    let fixture = Fixture::start(Variants::kind()).await;
    let obtained = fixture.obtain().await;
    assert_eq!(obtained.leaf.public_key, fixture.request.csr.public_key);
    assert!(
        !obtained.leaf.is_ca,
        "never what the vendor's samples ask for"
    );
    let now = obtained.leaf.not_before;
    let built = renewd::pki::path::build(&obtained.leaf, &obtained.chain, &[], now);
    let chain = built.certificates;
    assert!(renewd::pki::ends_in_root(&chain), "{chain:#?}");
    let days = obtained
        .leaf
        .not_before
        .duration_until(obtained.leaf.not_after);
    assert_eq!(days.as_hours() / 24, 90);
    assert_eq!(obtained.failures, []);
    fixture.assert_ordered_once("a good order");
}

#[tokio::test]
async fn an_agent_is_named_and_waited_for() {
    let mut fixture = Fixture::start(Variants::kind()).await;
    fixture.settings.signer = Signer::MscaUsingAgent {
        ca: microsoft_ca(),
        agent: "agent1".to_owned(),
        response_timeout: Duration::from_secs(90),
    };
    fixture.obtain().await;
    fixture.assert_ordered_once("an agent");
}

#[tokio::test]
async fn a_pending_approval_raises_an_alert_and_is_not_ordered_again() {
    for pending_answer in [PendingAnswer::Success, PendingAnswer::Failed] {
        let fixture = Fixture::with_microsoft_ca(Variants {
            needs_approval: true,
            approval_calls: None,
            pending_answer,
            ..Variants::kind()
        })
        .await;
        let reference = fixture.submit().await.unwrap();
        for _ in 0..5 {
            let Issuance::Pending {
                waiting_for,
                needs_person,
                ..
            } = fixture.poll(&reference).await.unwrap()
            else {
                panic!("nothing was approved")
            };
            assert!(needs_person, "{waiting_for}");
            assert!(waiting_for.contains("CA manager"), "{waiting_for}");
        }
        assert_eq!(fixture.server.approve(), 1);
        let issued = fixture.poll(&reference).await.unwrap();
        assert!(matches!(issued, Issuance::Issued { .. }), "{issued:?}");
        fixture.assert_ordered_once("an approval");
    }
}

#[tokio::test]
async fn a_refusal_of_the_server_is_reported_with_its_message() {
    let mut fixture = Fixture::start(Variants::kind()).await;
    fixture.settings.signer = Signer::Root {
        common_name: "unknown".to_owned(),
        serial_number: "1".to_owned(),
    };
    let failure = fixture.submit().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Refused);
    assert!(
        failure.detail.contains("No root certificate unknown"),
        "{failure}"
    );
    fixture.settings.signer = Signer::Msca(MicrosoftCa {
        template: "Users".to_owned(),
        ..microsoft_ca()
    });
    let failure = fixture.submit().await.unwrap_err();
    assert!(failure.detail.contains("The template Users"), "{failure}");
    assert_eq!(fixture.server.counters().orders, 0);
}

#[tokio::test]
async fn a_csr_that_the_server_does_not_show_to_be_ours_is_never_signed() {
    for variants in [
        Variants {
            export_foreign_csr: true,
            older_namesakes: 2,
            ..Variants::kind()
        },
        Variants {
            export_works: false,
            ..Variants::kind()
        },
    ] {
        let fixture = Fixture::start(variants).await;
        let failure = fixture.submit().await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Unexpected, "{failure}");
        assert_eq!(fixture.requests("POST /api/pki/restapi/signCSR"), 0);
    }
}

#[tokio::test]
async fn without_any_way_to_the_id_the_setting_is_named() {
    let mut fixture = Fixture::start(Variants {
        import_id: ImportId::Absent,
        ..Variants::kind()
    })
    .await;
    fixture.settings.csr_list_operation = None;
    let failure = fixture.submit().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Local);
    assert!(
        failure.detail.contains("set `csr_list_operation`"),
        "{failure}"
    );
    assert!(
        failure.detail.contains("imported successfully"),
        "{failure}"
    );
    assert_eq!(fixture.server.counters().orders, 0);
}

#[tokio::test]
async fn a_csr_that_is_there_already_is_not_imported_again() {
    let fixture = Fixture::start(Variants {
        refuse_second_import: true,
        import_id: ImportId::Absent,
        ..Variants::default()
    })
    .await;
    fixture.submit().await.unwrap();
    fixture.submit().await.unwrap();
    assert_eq!(fixture.requests("POST /api/pki/restapi/importCSR"), 1);
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_left_to_the_engine() {
    for mischief in [
        Mischief::WrongKey,
        Mischief::DropNames,
        Mischief::CaTrue,
        Mischief::WrongName,
        Mischief::Expired,
    ] {
        let fixture = Fixture::start(Variants::kind()).await;
        fixture.server.mischief(mischief);
        let reference = fixture.submit().await.unwrap();
        let Issuance::Issued { leaf, .. } = fixture.poll(&reference).await.unwrap() else {
            panic!("{mischief:?}")
        };
        assert_eq!(
            leaf.der,
            fixture.server.certificates()[0].der,
            "{mischief:?}"
        );
    }
}

#[tokio::test]
async fn the_leaf_is_found_at_every_position() {
    for mischief in [
        ChainMischief::Shuffled,
        ChainMischief::WithRoot,
        ChainMischief::WithoutRoot,
    ] {
        let fixture = Fixture::start(Variants::kind()).await;
        fixture.server.chain_mischief(mischief);
        let leaf = fixture.obtain().await.leaf;
        assert_eq!(leaf.public_key, fixture.request.csr.public_key);
    }
}

#[tokio::test]
async fn the_configured_chain_replaces_a_missing_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::start(Variants {
        certificate_has_chain: false,
        ..Variants::kind()
    })
    .await;
    assert_eq!(fixture.obtain().await.chain, []);
    let path = folder.path().join("chain.pem");
    fixture.settings.chain = Some(path.clone());
    let reference = fixture.submit().await.unwrap();
    let failure = fixture.poll(&reference).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Local);
    std::fs::write(&path, fixture.server.chain_pem()).unwrap();
    let chain = Certificate::all_from_pem(&fixture.server.chain_pem()).unwrap();
    assert_eq!(fixture.obtain().await.chain, chain);
}

#[tokio::test]
async fn check_reports_the_issuer_and_what_is_stored() {
    let fixture = Fixture::start(Variants::default()).await;
    fixture.obtain().await;
    let facts = fixture.ca().check().await.unwrap();
    let fact = |name: &str| {
        let found = facts.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone()).unwrap()
    };
    assert_eq!(fact("token"), "accepted");
    assert_eq!(fact("certificates"), "2");
    assert_eq!(fact("validity"), "90 days");
    assert!(fact("signer").contains("PAM360 Issuing CA"), "{facts:?}");
    assert!(fact("CSR list").ends_with("by getCSRList"), "{facts:?}");
}

#[tokio::test]
async fn each_wrong_credential_is_one_clear_sentence() {
    let mut fixture = Fixture::start(Variants::kind()).await;
    fixture.server.set(|variants| variants.refuse_host = true);
    let failure = fixture.ca().check().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unauthorized);
    assert!(
        failure.detail.contains("add this machine to the API user"),
        "{failure}"
    );
    fixture.settings.token = SecretSource::Inline(Secret::new("planted-Token-7431".to_owned()));
    for status in [200, 401] {
        fixture
            .server
            .set(|variants| variants.bad_credentials_status = status);
        for failure in [
            fixture.ca().check().await.unwrap_err(),
            fixture.ca().probe().await.unwrap_err(),
            fixture.submit().await.unwrap_err(),
        ] {
            assert_eq!(failure.kind, FailureKind::Unauthorized, "{status}");
            assert!(
                failure.detail.contains("put it where `token` says"),
                "{failure}"
            );
            assert!(!format!("{failure:?}").contains("7431"));
        }
    }
}

#[tokio::test]
async fn a_probe_shows_each_answer_and_changes_nothing() {
    let mut fixture = Fixture::start(Variants::default()).await;
    fixture.obtain().await;
    fixture.settings.csr_list_operation = None;
    let before = (fixture.server.counters().orders, fixture.server.csrs());
    let exchanges = fixture.ca().probe().await.unwrap();
    let reported = format!("{exchanges:#?}");
    for words in [
        "GET getCertificate",
        "GET getAllSSLCertificates",
        "GET getCertificateDetails",
        "GET getCSRList {}",
        "GET getAllCSR {}",
        "GET exportCSR",
        "HTTP 200: -----BEGIN CERTIFICATE-----",
        "Common Name",
        "Invalid operation",
    ] {
        assert!(reported.contains(words), "{words}: {reported}");
    }
    let SecretSource::Inline(token) = &fixture.settings.token else {
        panic!("the token is written here")
    };
    assert!(!reported.contains(token.expose()));
    assert_eq!(
        (fixture.server.counters().orders, fixture.server.csrs()),
        before
    );
    let changing = |line: &String| !line.starts_with("GET ");
    let after_the_order = fixture.server.requests().len() - exchanges.len();
    assert!(
        !fixture.server.requests()[after_the_order..]
            .iter()
            .any(changing)
    );
}

#[tokio::test]
async fn a_subject_without_common_name_is_objected_to_before_anything_is_sent() {
    let fixture = Fixture::start(Variants::kind()).await;
    let mut wanted = renewd::pki::KeyRequest {
        subject: renewd::pki::Subject::default(),
        alternate_names: Vec::new(),
        key: renewd::pki::KeyKind::Rsa(2048),
        digest: renewd::pki::Digest::Sha256,
    };
    let ca = fixture.ca();
    let problems = ca.preflight(&wanted).await.unwrap();
    assert!(problems[0].contains("`common_name`"), "{problems:?}");
    wanted.subject.common_name = Some("vpn.example.com".to_owned());
    assert_eq!(ca.preflight(&wanted).await.unwrap(), Vec::<String>::new());
    assert_eq!(fixture.server.requests().len(), 0);
}
