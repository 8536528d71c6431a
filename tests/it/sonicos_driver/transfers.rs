//! From the key pair to the certificate on the device, in every form that a device may have.

use renewd::failure::FailureKind;
use renewd::firewall::ObjectKind;
use renewd::pki::{AlternateName, KeyKind, KeyRequest};
use simulators::sonicos::{
    Action, CsrForm, ImportForm, PendingForm, Port, Profile, Rule, Specification, WrongForm,
};

use super::fixture::{Fixture, Office, both, export, install, list_of, listed, request};

#[tokio::test]
async fn the_whole_procedure_works_on_every_generation() {
    for profile in [Profile::V7_0, Profile::V7_X, Profile::V8] {
        let fixture = Fixture::start(profile, |_| {}).await;
        let mut session = fixture.session().await;
        let leaf = install(session.as_mut(), "fw-1").await;
        assert_eq!(
            fixture.device.spki_sha256("fw-1"),
            Some(leaf.public_key.to_string())
        );
        session.bind(&both("fw-1")).await.unwrap();
        assert_eq!(session.bindings().await.unwrap(), both("fw-1"));
        session.remove("fw-initial").await.unwrap();
        session.remove("fw-initial").await.unwrap();
        let names: Vec<String> = session
            .installed()
            .await
            .unwrap()
            .into_iter()
            .map(|one| one.alias)
            .collect();
        assert_eq!(names, ["fw-1"]);
        fixture.close(session).await;
        for port in [Port::Management, Port::SslVpn] {
            assert_eq!(fixture.device.served_der(port), leaf.der);
        }
        let counters = fixture.device.counters();
        assert_eq!((counters.commits, counters.key_pairs_generated), (1, 1));
        assert_eq!(
            (counters.failed_logins, counters.commits_of_foreign_changes),
            (0, 0)
        );
    }
}

#[tokio::test]
async fn a_request_becomes_a_certificate_in_every_form_of_the_listing() {
    for (request_text, local_text, lists) in [
        ("Pending request", "Local certificate", true),
        ("Certificate Signing Request", "local CERTIFICATE", false),
        ("waiting", "Local cert", true),
        ("", "", false),
    ] {
        let fixture = Fixture::start(Profile::V7_0, |variants| {
            variants.request_type_text = request_text.to_owned();
            variants.local_type_text = local_text.to_owned();
            variants.filtered_listings_work = lists;
        })
        .await;
        let mut session = fixture.session().await;
        install(session.as_mut(), "fw-1").await;
        session.generate_csr("fw-2", &request()).await.unwrap();
        let expected = list_of(&[
            ("fw-1", ObjectKind::Certificate),
            ("fw-2", ObjectKind::PendingRequest),
        ]);
        assert_eq!(
            listed(session.as_mut()).await,
            expected,
            "{request_text:?} {local_text:?}"
        );
        fixture.close(session).await;
    }
}

#[tokio::test]
async fn a_slow_key_appears_in_the_listing_later() {
    let fixture = Fixture::start(Profile::V8, |variants| {
        variants.key_ready_after_listings = 2;
    })
    .await;
    let mut session = fixture.session().await;
    session.generate_csr("fw-1", &request()).await.unwrap();
    assert!(session.export_csr("fw-1").await.is_err());
    let mut looks = 0;
    while !session
        .installed()
        .await
        .unwrap()
        .iter()
        .any(|one| one.alias == "fw-1")
    {
        looks += 1;
        assert!(looks < 5, "the key never comes");
    }
    assert!(looks > 0);
    export(session.as_mut(), "fw-1").await;
    fixture.close(session).await;
}

#[tokio::test]
async fn a_request_is_read_in_every_form() {
    let fixture = Fixture::start(Profile::V8, |_| {}).await;
    let mut session = fixture.session().await;
    session.generate_csr("fw-1", &request()).await.unwrap();
    for form in [
        CsrForm::Pem,
        CsrForm::NewPem,
        CsrForm::JsonString,
        CsrForm::JsonObject,
        CsrForm::Der,
    ] {
        fixture.device.set(|variants| variants.csr_form = form);
        export(session.as_mut(), "fw-1").await;
    }
    let failure = session.export_csr("fw-2").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Refused);
    assert!(failure.detail.contains("no certificate found"), "{failure}");
    let working = r#"{"status":{"success":false,"info":[{"level":"error","message":"Key generation in progress"}]}}"#;
    let working = Action::Status(400, working.to_owned(), Vec::new());
    fixture.device.rule(Rule::once("GET", "/export", working));
    let failure = session.export_csr("fw-1").await.unwrap_err();
    assert_eq!(
        (failure.kind, failure.retry_after.is_some()),
        (FailureKind::Busy, true)
    );
    fixture.close(session).await;
}

#[tokio::test]
async fn a_device_that_takes_files_as_multipart_only_gets_them_so() {
    for status in [400, 406, 415] {
        let fixture = Fixture::start(Profile::V8, |variants| {
            (variants.import_form, variants.wrong_form_status) = (ImportForm::Multipart, status);
        })
        .await;
        let mut session = fixture.session().await;
        install(session.as_mut(), "fw-1").await;
        let quirks = session.identify().await.unwrap().quirks;
        assert!(
            quirks.contains(&"import=multipart".to_owned()),
            "{quirks:?}"
        );
        // Raw was tried once, for the CA; the certificate went the way that had worked.
        assert_eq!(fixture.requests("PUT /import/certificates/"), 3);
        fixture.close(session).await;
    }
}

#[tokio::test]
async fn every_form_is_tried_where_the_device_calls_the_others_unknown_or_unreadable() {
    for form in [ImportForm::Raw, ImportForm::Multipart, ImportForm::Named] {
        for wrong in [WrongForm::Format, WrongForm::UnknownCall] {
            for status in [400, 404, 405, 415] {
                let fixture = Fixture::start(Profile::V8, |variants| {
                    (variants.import_form, variants.wrong_form) = (form, wrong);
                    variants.wrong_form_status = status;
                })
                .await;
                let mut session = fixture.session().await;
                install(session.as_mut(), "fw-1").await;
                fixture.close(session).await;
            }
        }
    }
}

#[tokio::test]
async fn a_form_that_the_device_rejects_is_not_reported_as_a_key_mismatch() {
    let fixture = Fixture::start(Profile::V8, |variants| {
        variants.import_form = ImportForm::Both;
    })
    .await;
    let mut session = fixture.session().await;
    let words = "schema validation: body does not match the expected content";
    let text = format!(
        r#"{{"status":{{"success":false,"info":[{{"level":"error","code":"E_INVALID","message":"{words}"}}]}}}}"#
    );
    let refusal = Action::Status(400, text, Vec::new());
    let path = "/import/certificates/signed-cert";
    fixture.device.rule(Rule::once("PUT", path, refusal));
    install(session.as_mut(), "fw-1").await;
    let quirks = session.identify().await.unwrap().quirks;
    assert!(
        quirks.contains(&"import=multipart".to_owned()),
        "{quirks:?}"
    );
    fixture.close(session).await;
}

#[tokio::test]
async fn when_no_form_is_taken_each_is_reported_with_the_message_of_the_device() {
    let fixture = Fixture::start(Profile::V8, |_| {}).await;
    let mut session = fixture.session().await;
    session.generate_csr("fw-1", &request()).await.unwrap();
    let csr = export(session.as_mut(), "fw-1").await;
    let leaf = Office::new().issue(&csr);
    let unknown = |words: &str| {
        let text = format!(
            r#"{{"status":{{"success":false,"info":[{{"level":"error","code":"E_INVALID_API_CALL","message":"{words}"}}]}}}}"#
        );
        Action::Status(400, text, Vec::new())
    };
    for words in ["first no", "second no", "third no"] {
        let path = "/import/certificates/signed-cert";
        fixture.device.rule(Rule::once("PUT", path, unknown(words)));
    }
    let failure = session.import_signed("fw-1", &leaf).await.unwrap_err();
    for words in [
        "raw: ",
        "multipart: ",
        "multipart-file: ",
        "first no",
        "second no",
        "third no",
    ] {
        assert!(failure.detail.contains(words), "{words}: {failure}");
    }
    assert!(failure.detail.chars().count() <= 2001, "{failure}");
    fixture.close(session).await;
}

#[tokio::test]
async fn a_form_that_worked_is_tried_first_the_next_time() {
    let fixture = Fixture::start(Profile::V8, |variants| {
        variants.import_form = ImportForm::Multipart;
    })
    .await;
    let mut session = fixture.knowing(&["import=multipart".to_owned()]).await;
    install(session.as_mut(), "fw-1").await;
    assert_eq!(fixture.requests("PUT /import/certificates/"), 2);
    fixture
        .device
        .set(|variants| variants.import_form = ImportForm::Raw);
    install(session.as_mut(), "fw-2").await;
    fixture.close(session).await;
}

#[tokio::test]
async fn a_name_that_is_too_long_for_the_device_is_reported_with_a_remedy() {
    let fixture = Fixture::start(Profile::V7_X, |variants| variants.alias_limit = Some(8)).await;
    let mut session = fixture.session().await;
    let refused = session.generate_csr("fw-too-long", &request()).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Refused);
    assert!(refused.detail.contains("shorter `name`"), "{refused}");
    fixture.close(session).await;
}

#[tokio::test]
async fn the_device_hands_out_its_own_specification_where_it_has_one() {
    for profile in [Profile::V7_X, Profile::V6_5] {
        let fixture = Fixture::start(profile, |_| {}).await;
        let mut session = fixture.session().await;
        assert_eq!(session.specification().await.unwrap(), None);
        fixture
            .device
            .set(|variants| variants.openapi = Specification::Json);
        let specification = session.specification().await.unwrap().unwrap();
        let json: serde_json::Value = serde_json::from_slice(&specification).unwrap();
        assert!(json.get("openapi").is_some(), "{json}");
        fixture.close(session).await;
    }
}

#[tokio::test]
async fn a_ca_that_is_there_already_is_fine() {
    let fixture = Fixture::start(Profile::V7_X, |_| {}).await;
    let mut session = fixture.session().await;
    let chain = [Office::new().certificate()];
    session.import_chain(&chain).await.unwrap();
    session.import_chain(&chain).await.unwrap();
    fixture
        .device
        .set(|variants| variants.ca_exists_text = "Certificate was loaded before".to_owned());
    session.import_chain(&chain).await.unwrap();
    assert_eq!(fixture.device.counters().ca_imports, 1);
    fixture.close(session).await;
}

#[tokio::test]
async fn a_refused_certificate_says_why_and_is_not_sent_in_another_form() {
    let fixture = Fixture::start(Profile::V8, |_| {}).await;
    let mut session = fixture.session().await;
    session.generate_csr("fw-1", &request()).await.unwrap();
    let office = Office::new();
    let signed = office.issue(&export(session.as_mut(), "fw-1").await);

    let failure = session.import_signed("fw-1", &signed).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Refused);
    assert!(failure.detail.contains("imported first"), "{failure}");

    session.import_chain(&[office.certificate()]).await.unwrap();
    let failure = session
        .import_signed("fw-1", &office.issue_for_another_key())
        .await
        .unwrap_err();
    assert_eq!(failure.kind, FailureKind::KeyMismatch);
    assert!(failure.detail.contains("another key"), "{failure}");
    assert_eq!(fixture.requests("PUT /import/certificates/signed-cert"), 2);

    session.import_signed("fw-1", &signed).await.unwrap();
    fixture.close(session).await;
}

#[tokio::test]
async fn an_unsupported_request_is_refused_before_anything_is_sent() {
    let fixture = Fixture::start(Profile::V8, |_| {}).await;
    let mut session = fixture.session().await;
    let before = fixture.device.counters().requests;
    let ipv6 = AlternateName::Ip("2001:db8::1".parse().unwrap());
    for request in [
        KeyRequest {
            key: KeyKind::Rsa(3072),
            ..request()
        },
        KeyRequest {
            alternate_names: vec![ipv6],
            ..request()
        },
    ] {
        let failure = session.generate_csr("fw-1", &request).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Local);
    }
    for name in ["", ".", ".."] {
        assert_eq!(
            session.remove(name).await.unwrap_err().kind,
            FailureKind::Local
        );
    }
    assert_eq!(fixture.device.counters().requests, before);
    fixture.close(session).await;
}

#[tokio::test]
async fn a_name_in_use_is_refused_and_a_certificate_in_use_is_not_removed() {
    let fixture = Fixture::start(Profile::V8, |_| {}).await;
    let mut session = fixture.session().await;
    session.generate_csr("fw-1", &request()).await.unwrap();
    let failure = session.generate_csr("fw-1", &request()).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Refused);
    assert!(failure.detail.contains("Duplicate"), "{failure}");
    let failure = session.remove("fw-initial").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Refused);
    assert!(failure.detail.contains("still uses"), "{failure}");
    fixture.close(session).await;
}

#[tokio::test]
async fn operations_that_wait_for_a_commit_are_committed() {
    for form in [PendingForm::Paths, PendingForm::Status, PendingForm::Text] {
        for cli_member in [true, false] {
            let fixture = Fixture::start(Profile::V8, |variants| {
                variants.generation_is_pending = true;
                variants.imports_are_pending = true;
                variants.deletes_are_pending = true;
                (variants.pending_form, variants.cli_member) = (form, cli_member);
            })
            .await;
            let mut session = fixture.session().await;
            install(session.as_mut(), "fw-1").await;
            session.remove("fw-1").await.unwrap();
            assert_eq!(fixture.device.pending(), [""; 0]);
            assert_eq!(
                (
                    fixture.device.counters().imports,
                    fixture.device.counters().deletes
                ),
                (1, 1),
                "{form:?}"
            );
            fixture.close(session).await;
        }
    }
}
