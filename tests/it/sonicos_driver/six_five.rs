//! SonicOS 6.5, which brings and fetches its files itself: every published way to ask for that, by SCP and by FTP, against
//! renewd's own servers.

use std::sync::Arc;

use renewd::failure::FailureKind;
use renewd::firewall::ObjectKind;
use renewd::firewall::sonicos::Login;
use renewd::pki::{Csr, KeyBundle, PrivateKey};
use renewd::transfer::{Choice, Protocol, Settings};
use simulators::sonicos::{
    Action, FtpMode, KeyPairEncryption, P10Form, P10Name, Port, Profile, Rule, Tampering,
    TransferProtocols, TransferSpelling, UrlForm,
};

use super::fixture::{Fixture, Office, both, export, install, list_of, listed, request};

const SPELLINGS: [(TransferSpelling, &str); 3] = [
    (TransferSpelling::Put, "put"),
    (TransferSpelling::Post, "post"),
    (TransferSpelling::CliOnly, "cli"),
];

#[tokio::test]
async fn the_whole_procedure_works_in_every_transfer_variant_by_scp_and_by_ftp() {
    for (spelling, way) in SPELLINGS {
        for (protocols, protocol, choice) in [
            (TransferProtocols::Both, "scp", Choice::Automatic),
            (
                TransferProtocols::FtpOnly,
                "ftp",
                Choice::Only(Protocol::Ftp),
            ),
            (
                TransferProtocols::ScpBroken,
                "ftp",
                Choice::Only(Protocol::Ftp),
            ),
        ] {
            let mut fixture = Fixture::start(Profile::V6_5, |variants| {
                variants.transfer_spelling = Some(spelling);
                variants.transfer_protocols = protocols;
            })
            .await;
            choose(&mut fixture, choice);
            let mut session = fixture.session().await;
            let leaf = install(session.as_mut(), "fw-1").await;
            session.installed().await.unwrap();
            let quirks = session.identify().await.unwrap().quirks;
            fixture.close(session).await;
            // Each call has a connection of its own, so that the next one already meets the new certificate.
            let mut session = fixture.open(&[leaf.fingerprint]).await.unwrap();
            session.bind(&both("fw-1")).await.unwrap();
            assert_eq!(session.bindings().await.unwrap(), both("fw-1"));
            session.remove("fw-initial").await.unwrap();
            session.remove("fw-initial").await.unwrap();
            for expected in [
                format!("export={way}-{protocol}-folder"),
                format!("import={way}-{protocol}"),
                format!("ca-import={way}-{protocol}"),
                "listing=cli".to_owned(),
            ] {
                assert!(quirks.contains(&expected), "{expected}: {quirks:?}");
            }
            fixture.close(session).await;
            for port in [Port::Management, Port::SslVpn] {
                assert_eq!(fixture.device.served_der(port), leaf.der);
            }
            let counters = fixture.device.counters();
            assert_eq!(
                (counters.transfers_brought, counters.transfers_fetched),
                (1, 2)
            );
            assert_eq!(
                (counters.key_pairs_generated, counters.failed_logins),
                (1, 0)
            );
        }
    }
}

#[tokio::test]
async fn a_transfer_that_is_refused_by_a_bare_404_or_405_is_tried_in_the_other_spellings() {
    for status in [404, 405] {
        for (spelling, way) in SPELLINGS {
            let fixture = Fixture::start(Profile::V6_5, |variants| {
                variants.transfer_spelling = Some(spelling);
                variants.wrong_spelling_status = status;
            })
            .await;
            let mut session = fixture.session().await;
            install(session.as_mut(), "fw-1").await;
            let quirks = session.identify().await.unwrap().quirks;
            let expected = format!("import={way}-scp");
            assert!(quirks.contains(&expected), "{status}: {quirks:?}");
            assert_eq!(fixture.requests("POST /config-mode"), 0);
            fixture.close(session).await;
        }
    }
}

/// A build that accepts one variant, and refuses the others with messages that do not name a call.
#[tokio::test]
async fn a_transfer_that_is_refused_without_a_cause_is_tried_in_the_other_variants() {
    let envelope = r#"{"status":{"success":false,"info":[{"level":"error","code":"E_X","message":"schema validation"}]}}"#;
    for (status, body) in [(400, envelope), (400, ""), (406, "")] {
        for (spelling, way) in &SPELLINGS[1..] {
            let fixture = Fixture::start(Profile::V6_5, |variants| {
                variants.transfer_spelling = Some(*spelling);
                variants.url_form = UrlForm::File;
            })
            .await;
            for (method, path) in UNKNOWN.iter().filter(|(method, _)| way != method) {
                let no = Action::Status(status, body.to_owned(), Vec::new());
                let method = method.to_ascii_uppercase();
                fixture
                    .device
                    .rule(Rule::once(&method, path, no).repeated(0, 99));
            }
            let mut session = fixture.session().await;
            install(session.as_mut(), "fw-1").await;
            let quirks = session.identify().await.unwrap().quirks;
            for expected in [format!("export={way}-scp"), format!("import={way}-scp")] {
                assert!(quirks.contains(&expected), "{status} {body}: {quirks:?}");
            }
            fixture.close(session).await;
        }
    }
}

/// What asks for a transfer, by verb.
const UNKNOWN: [(&str, &str); 4] = [
    ("put", "/certificates/export/"),
    ("put", "/certificates/import/"),
    ("post", "/certificates/export/"),
    ("post", "/certificates/import/"),
];

#[tokio::test]
async fn what_worked_is_tried_first_the_next_time_and_everything_when_it_fails() {
    let mut fixture = Fixture::start(Profile::V6_5, |variants| {
        variants.transfer_spelling = Some(TransferSpelling::Post);
        variants.transfer_protocols = TransferProtocols::ScpOnly;
    })
    .await;
    let mut session = fixture.session().await;
    install(session.as_mut(), "fw-1").await;
    let quirks = session.identify().await.unwrap().quirks;
    fixture.close(session).await;

    let before = fixture.requests("PUT /certificates/");
    let mut session = fixture.knowing(&quirks).await;
    install(session.as_mut(), "fw-2").await;
    assert_eq!(fixture.requests("PUT /certificates/"), before);
    assert_eq!(fixture.device.counters().transfers_failed, 0);
    fixture.close(session).await;

    fixture.device.set(|variants| {
        variants.transfer_spelling = Some(TransferSpelling::Put);
        variants.transfer_protocols = TransferProtocols::FtpOnly;
    });
    only(&mut fixture, Protocol::Ftp);
    let mut session = fixture.knowing(&quirks).await;
    install(session.as_mut(), "fw-3").await;
    let relearned = session.identify().await.unwrap().quirks;
    assert!(
        relearned.contains(&"export=put-ftp-folder".to_owned()),
        "{relearned:?}"
    );
    fixture.close(session).await;
}

#[tokio::test]
async fn ftp_is_never_tried_unless_it_is_configured() {
    for protocols in [TransferProtocols::FtpOnly, TransferProtocols::ScpBroken] {
        let fixture = Fixture::start(Profile::V6_5, |variants| {
            variants.transfer_protocols = protocols;
        })
        .await;
        // Whatever worked before.
        let remembered = ["export=put-ftp-folder".to_owned()];
        let mut session = fixture.knowing(&remembered).await;
        session.generate_csr("fw-1", &request()).await.unwrap();
        let failure = session.export_csr("fw-1").await.unwrap_err();
        let advice = "`file_transfer.protocol = \"ftp\"`";
        assert!(failure.detail.contains(advice), "{failure}");
        fixture.close(session).await;
        assert_eq!(fixture.device.counters().transfers_brought, 0);
        let journal = fixture.device.journal().join("\n");
        assert!(
            !journal.contains("/ftp/") && !journal.contains("-ftp/"),
            "{journal}"
        );
    }
}

#[tokio::test]
async fn a_request_comes_in_every_form_and_under_every_name() {
    for (form, name, url, mode) in [
        (
            P10Form::Pem,
            P10Name::Alias,
            UrlForm::Folder,
            FtpMode::Active,
        ),
        (
            P10Form::Der,
            P10Name::AliasP10,
            UrlForm::File,
            FtpMode::ExtendedPassive,
        ),
        (
            P10Form::Der,
            P10Name::Alias,
            UrlForm::Both,
            FtpMode::ExtendedActive,
        ),
    ] {
        for protocol in [Protocol::Scp, Protocol::Ftp] {
            let mut fixture = Fixture::start(Profile::V6_5, |variants| {
                (variants.p10_form, variants.p10_name) = (form, name);
                (variants.url_form, variants.ftp_mode) = (url, mode);
            })
            .await;
            only(&mut fixture, protocol);
            let mut session = fixture.session().await;
            session.generate_csr("fw-1", &request()).await.unwrap();
            export(session.as_mut(), "fw-1").await;
            fixture.close(session).await;
        }
    }
}

#[tokio::test]
async fn a_request_under_a_similar_name_is_taken_and_another_name_is_reported() {
    for protocol in [Protocol::Scp, Protocol::Ftp] {
        for name in [P10Name::Capitals, P10Name::AliasCsr] {
            let mut fixture =
                Fixture::start(Profile::V6_5, |variants| variants.p10_name = name).await;
            only(&mut fixture, protocol);
            let mut session = fixture.session().await;
            session.generate_csr("fw-1", &request()).await.unwrap();
            export(session.as_mut(), "fw-1").await;
            fixture.close(session).await;
        }
        let mut fixture = Fixture::start(Profile::V6_5, |variants| {
            variants.p10_name = P10Name::Other;
            variants.url_form = UrlForm::Folder;
        })
        .await;
        only(&mut fixture, protocol);
        let mut session = fixture.session().await;
        session.generate_csr("fw-1", &request()).await.unwrap();
        let failure = session.export_csr("fw-1").await.unwrap_err();
        for words in ["certreq.p10", "expected was the file fw-1.p10 or fw-1"] {
            assert!(failure.detail.contains(words), "{words}: {failure}");
        }
        fixture.close(session).await;
    }
}

#[tokio::test]
async fn a_protocol_that_was_chosen_is_obeyed() {
    let mut fixture = Fixture::start(Profile::V6_5, |variants| {
        variants.transfer_protocols = TransferProtocols::ScpBroken;
    })
    .await;
    only(&mut fixture, Protocol::Scp);
    let mut session = fixture.session().await;
    session.generate_csr("fw-1", &request()).await.unwrap();
    let failure = session.export_csr("fw-1").await.unwrap_err();
    assert!(failure.detail.contains("put-scp-folder"), "{failure}");
    assert!(!failure.detail.contains("ftp:"), "{failure}");
    assert!(
        failure.detail.contains("`file_transfer.protocol`"),
        "{failure}"
    );
    assert_eq!(fixture.device.counters().transfers_brought, 0);
    fixture.close(session).await;
}

#[tokio::test]
async fn a_response_before_the_file_is_not_taken_for_the_file() {
    let fixture = Fixture::start(Profile::V6_5, |variants| {
        variants.answers_before_transfer = true;
    })
    .await;
    let mut session = fixture.session().await;
    session.generate_csr("fw-1", &request()).await.unwrap();
    export(session.as_mut(), "fw-1").await;
    fixture.close(session).await;
}

#[tokio::test]
async fn a_file_that_came_counts_and_a_lost_answer_to_an_import_leaves_a_doubt() {
    let fixture = Fixture::start(Profile::V6_5, |_| {}).await;
    let mut session = fixture.session().await;
    session.generate_csr("fw-1", &request()).await.unwrap();
    fixture
        .device
        .set(|variants| variants.transfer_answer_lost = true);
    let csr = export(session.as_mut(), "fw-1").await;
    fixture
        .device
        .set(|variants| variants.transfer_answer_lost = false);
    let office = Office::new();
    session.import_chain(&[office.certificate()]).await.unwrap();
    fixture
        .device
        .set(|variants| variants.transfer_answer_lost = true);
    let failure = session
        .import_signed("fw-1", &office.issue(&csr))
        .await
        .unwrap_err();
    assert_eq!(failure.kind, FailureKind::OutcomeUnknown, "{failure}");
    assert_eq!(fixture.device.counters().transfers_fetched, 2);
    let listed = session.installed().await.unwrap();
    let kind = listed.iter().find(|one| one.alias == "fw-1").unwrap().kind;
    assert_eq!(kind, ObjectKind::Certificate);
    fixture.close(session).await;
}

#[tokio::test]
async fn a_certificate_that_the_device_refuses_is_not_offered_in_another_way() {
    let fixture = Fixture::start(Profile::V6_5, |_| {}).await;
    let mut session = fixture.session().await;
    session.generate_csr("fw-1", &request()).await.unwrap();
    let office = Office::new();
    session.import_chain(&[office.certificate()]).await.unwrap();
    let foreign = office.issue_for_another_key();
    let failure = session.import_signed("fw-1", &foreign).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::KeyMismatch);
    assert!(failure.detail.contains("another key"), "{failure}");
    assert_eq!(fixture.device.counters().transfers_fetched, 2);
    assert_eq!(fixture.requests("PUT /certificates/import/signed-cert"), 1);

    let failure = session.export_csr("fw-9").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Refused);
    assert!(failure.detail.contains("no certificate found"), "{failure}");
    fixture.close(session).await;
}

#[tokio::test]
async fn when_no_way_is_left_every_way_is_named_without_a_secret() {
    let fixture = Fixture::start(Profile::V6_5, |variants| {
        variants.transfer_spelling = Some(TransferSpelling::CliOnly);
    })
    .await;
    let mut session = fixture.session().await;
    session.generate_csr("fw-1", &request()).await.unwrap();
    fixture.device.set(|variants| variants.direct_cli = false);
    let failure = session.export_csr("fw-1").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Refused);
    for way in ["put-scp", "post-scp", "cli-scp", "`ssh`"] {
        assert!(failure.detail.contains(way), "{way}: {failure}");
    }
    assert!(!failure.to_string().contains("://"), "{failure}");
    fixture.close(session).await;
}

#[tokio::test]
async fn a_request_that_was_replaced_in_transit_is_distinguished_from_the_requested_one() {
    for tampering in [
        Tampering::Names,
        Tampering::AlternateName,
        Tampering::Subject,
        Tampering::KeyType,
        Tampering::KeySize,
        Tampering::Signature,
    ] {
        for profile in [Profile::V6_5, Profile::V8] {
            let fixture =
                Fixture::start(profile, |variants| variants.csr_tampered = tampering).await;
            let mut session = fixture.session().await;
            session.generate_csr("fw-1", &request()).await.unwrap();
            let der = session.export_csr("fw-1").await.unwrap();
            let differs = match Csr::parse(&der) {
                Ok(csr) => !csr.differences(&request()).is_empty(),
                Err(_) => true,
            };
            assert!(differs, "{tampering:?} on {profile:?} went unseen");
            fixture.close(session).await;
        }
    }
}

#[tokio::test]
async fn listings_of_the_command_line_are_read_as_json_and_as_text() {
    for (is_text, is_in_object) in [(false, false), (false, true), (true, false)] {
        let fixture = Fixture::start(Profile::V6_5, |variants| {
            variants.cli_shows_text = is_text;
            variants.cli_listing_in_object = is_in_object;
        })
        .await;
        let mut session = fixture.session().await;
        let leaf = install(session.as_mut(), "fw-1").await;
        session.generate_csr("fw-2", &request()).await.unwrap();
        let expected = list_of(&[
            ("fw-1", ObjectKind::Certificate),
            ("fw-2", ObjectKind::PendingRequest),
        ]);
        assert_eq!(
            listed(session.as_mut()).await,
            expected,
            "text {is_text}, object {is_in_object}"
        );
        let mismatches = session.mismatches("fw-1", &leaf).await.unwrap();
        assert_eq!(mismatches, [""; 0]);
        fixture.close(session).await;
    }
}

#[tokio::test]
async fn basic_and_chap_log_in_without_requesting_configuration_mode() {
    for (login, chap) in [
        (Login::Automatic, true),
        (Login::Automatic, false),
        (Login::Basic, true),
        (Login::Chap, true),
    ] {
        let mut fixture =
            Fixture::start(Profile::V6_5, |variants| variants.chap = Some(chap)).await;
        fixture.settings.login = login;
        let mut session = fixture.session().await;
        session.generate_csr("fw-1", &request()).await.unwrap();
        let identity = session.identify().await.unwrap();
        assert!(identity.firmware.contains("6.5"), "{identity:?}");
        fixture.close(session).await;
        assert_eq!(fixture.device.counters().failed_logins, 0);
    }
}

#[tokio::test]
async fn a_key_pair_of_renewd_is_fetched_by_scp_in_the_encryption_that_the_device_opens() {
    for encryption in [
        KeyPairEncryption::Any,
        KeyPairEncryption::LegacyOnly,
        KeyPairEncryption::ModernOnly,
    ] {
        let fixture = Fixture::start(Profile::V6_5, |variants| {
            variants.transfer_spelling = Some(TransferSpelling::Post);
            variants.key_pair_encryption = encryption;
        })
        .await;
        let mut session = fixture.session().await;
        let office = Office::new();
        session.import_chain(&[office.certificate()]).await.unwrap();
        let bundle = bundle(&office);
        session.import_key_pair("fw-1", &bundle).await.unwrap();
        assert_eq!(
            fixture.device.spki_sha256("fw-1"),
            Some(bundle.leaf.public_key.to_string())
        );
        fixture.close(session).await;
    }
}

#[tokio::test]
async fn a_key_pair_is_never_transferred_by_ftp_unless_that_is_configured() {
    let mut fixture = Fixture::start(Profile::V6_5, |variants| {
        variants.transfer_spelling = Some(TransferSpelling::Post);
        variants.transfer_protocols = TransferProtocols::FtpOnly;
    })
    .await;
    let bundle = bundle(&Office::new());
    let mut session = fixture.session().await;
    let refused = session.import_key_pair("fw-1", &bundle).await.unwrap_err();
    assert!(!refused.detail.contains("ftp:"), "{refused}");
    assert_eq!(fixture.device.counters().transfers_fetched, 0);
    fixture.close(session).await;

    only(&mut fixture, Protocol::Ftp);
    let mut session = fixture.session().await;
    session.import_key_pair("fw-1", &bundle).await.unwrap();
    fixture.close(session).await;
}

fn bundle(office: &Office) -> KeyBundle {
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = office.sign(&rcgen::PublicKeyData::subject_public_key_info(&key));
    KeyBundle {
        key: PrivateKey::from_pkcs8(key.serialize_der()),
        leaf,
        chain: vec![office.certificate()],
    }
}

fn only(fixture: &mut Fixture, protocol: Protocol) {
    choose(fixture, Choice::Only(protocol));
}

fn choose(fixture: &mut Fixture, protocol: Choice) {
    fixture.settings.transfers = Arc::new(Settings {
        protocol,
        ..Settings::default()
    });
}
