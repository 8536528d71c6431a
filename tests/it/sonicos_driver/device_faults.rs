//! Devices that answer late, strangely or not at all.

use renewd::failure::FailureKind;
use renewd::inventory::Service;
use simulators::sonicos::{Action, Port, Profile, Rule, Variants};

use super::fixture::{Fixture, both, request};

#[tokio::test]
async fn a_lost_response_to_the_commit_is_an_unknown_outcome_that_a_check_resolves() {
    for (drops, expected) in [
        (Action::DropAfter, "fw-1"),
        (Action::DropBefore, "fw-initial"),
    ] {
        let fixture = Fixture::start(Profile::V8, |variants| {
            variants.session_lost_on_management_commit = true;
        })
        .await;
        let (mut session, fingerprint) = fixture.with_certificate("fw-1").await;
        fixture
            .device
            .rule(Rule::once("POST", "/config/pending", drops));
        let failure = session.bind(&both("fw-1")).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::OutcomeUnknown, "{failure}");
        // The certificate on the port may have changed under us, so even the way to log out may be closed.
        let _ = session.close().await;
        let mut session = loop {
            match fixture.open(&[fingerprint]).await {
                Ok(session) => break session,
                Err(failure) => {
                    assert_eq!(failure.kind, FailureKind::Busy, "{failure}");
                    fixture
                        .device
                        .set(|variants| variants.idle_logout_minutes = 0);
                }
            }
        };
        assert_eq!(session.bindings().await.unwrap(), both(expected));
        assert_eq!(fixture.device.pending(), [""; 0]);
        fixture.close(session).await;
    }
}

#[tokio::test]
async fn the_documented_drop_at_the_management_commit_is_an_open_outcome() {
    let fixture = Fixture::start(Profile::V7_X, |variants| {
        variants.drop_on_management_commit = true;
        variants.session_lost_on_management_commit = true;
    })
    .await;
    let (mut session, fingerprint) = fixture.with_certificate("fw-1").await;
    let outcome = session.bind(&both("fw-1")).await;
    assert_eq!(
        outcome.map_err(|failure| failure.kind),
        Err(FailureKind::OutcomeUnknown)
    );
    drop(session);
    let mut session = fixture.open(&[fingerprint]).await.unwrap();
    assert_eq!(session.bindings().await.unwrap(), both("fw-1"));
    fixture.close(session).await;
}

#[tokio::test]
async fn a_failed_commit_is_taken_back() {
    let fixture = Fixture::start(Profile::V8, |_| {}).await;
    let (mut session, _) = fixture.with_certificate("fw-1").await;
    fixture.device.set(|variants| variants.commit_failures = 1);
    let failure = session.bind(&both("fw-1")).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Refused);
    assert!(
        failure.detail.contains("referenced object is missing"),
        "{failure}"
    );
    assert_eq!(fixture.device.pending(), [""; 0]);
    assert_eq!(session.bindings().await.unwrap(), both("fw-initial"));
    fixture.close(session).await;
}

#[tokio::test]
async fn a_second_service_that_is_refused_takes_the_first_back() {
    let fixture = Fixture::start(Profile::V8, |_| {}).await;
    let (mut session, _) = fixture.with_certificate("fw-1").await;
    let no = Action::SuccessFalseWith200("no such thing".to_owned());
    fixture
        .device
        .rule(Rule::once("PUT", "/administration/global", no));
    let failure = session.bind(&both("fw-1")).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Refused);
    assert_eq!(fixture.device.pending(), [""; 0]);
    fixture.close(session).await;
    assert_eq!(
        fixture.device.bound(Port::SslVpn).as_deref(),
        Some("fw-initial")
    );
}

#[tokio::test]
async fn strange_answers_are_unexpected_and_a_lost_one_leaves_a_doubt() {
    let fixture = Fixture::start(Profile::V8, |_| {}).await;
    let mut session = fixture.session().await;
    for (action, expected) in [
        (Action::Html, FailureKind::Unexpected),
        (Action::Garbage, FailureKind::Unexpected),
        (
            Action::SuccessFalseWith200("no".to_owned()),
            FailureKind::Refused,
        ),
        (
            Action::Status(
                503,
                String::new(),
                vec![("Retry-After".to_owned(), "9".to_owned())],
            ),
            FailureKind::Busy,
        ),
        (
            Action::Status(500, String::new(), Vec::new()),
            FailureKind::Unexpected,
        ),
        (Action::DropBefore, FailureKind::OutcomeUnknown),
        (Action::DropAfter, FailureKind::OutcomeUnknown),
    ] {
        fixture
            .device
            .rule(Rule::once("POST", "/certificates", action));
        let failure = session.generate_csr("fw-1", &request()).await.unwrap_err();
        assert_eq!(failure.kind, expected, "{failure}");
        assert_eq!(failure.retry_after.is_some(), expected == FailureKind::Busy);
    }
    fixture
        .device
        .rule(Rule::once("GET", "/administration", Action::DropAfter));
    let failure = session.bindings().await.unwrap_err();
    assert_eq!(
        failure.kind,
        FailureKind::Unreachable,
        "a question leaves no doubt"
    );
    fixture.close(session).await;
}

#[tokio::test]
async fn progress_lines_warnings_stale_nonces_and_200_for_refusals_change_nothing() {
    for uses in [1, 2, 5] {
        let fixture = Fixture::start(Profile::V8, |variants| {
            *variants = Variants {
                progress_lines_one_in: 1,
                refused_nonce_one_in: 4,
                max_nonce: uses,
                several_info_entries: true,
                challenges_in_one_header: true,
                failures_with_200: true,
                ..Variants::kind()
            };
        })
        .await;
        let (mut session, _) = fixture.with_certificate("fw-1").await;
        session.bind(&both("fw-1")).await.unwrap();
        session.remove("never-there").await.unwrap();
        fixture.close(session).await;
        assert_eq!(fixture.device.counters().failed_logins, 0);
        assert_eq!(
            fixture.device.bound(Port::Management).as_deref(),
            Some("fw-1")
        );
    }
}

#[tokio::test]
async fn automatic_commits_are_no_obstacle() {
    let fixture = Fixture::start(Profile::V7_0, |variants| variants.auto_commit = true).await;
    let (mut session, _) = fixture.with_certificate("fw-1").await;
    session.bind(&both("fw-1")).await.unwrap();
    assert_eq!(fixture.device.bound(Port::SslVpn).as_deref(), Some("fw-1"));
    fixture.close(session).await;
}

#[tokio::test]
async fn a_device_without_ssl_vpn_has_one_binding() {
    let fixture = Fixture::start(Profile::V7_0, |_| {}).await;
    let mut session = fixture.session().await;
    let unknown = Action::Status(404, "API not found".to_owned(), Vec::new());
    fixture.device.rule(Rule::once("GET", "/ssl-vpn", unknown));
    let services: Vec<Service> = session
        .bindings()
        .await
        .unwrap()
        .iter()
        .map(|one| one.service)
        .collect();
    assert_eq!(services, [Service::WebManagement]);
    fixture.close(session).await;
}

#[tokio::test]
async fn an_older_generation_is_refused_and_left_logged_out() {
    let fixture = Fixture::start(Profile::V7_0, |_| {}).await;
    let version = r#"{"firmware_version":"SonicOS Enhanced 6.2.9.2-3n","model":"TZ 400"}"#;
    let old = Action::Status(200, version.to_owned(), Vec::new());
    fixture.device.rule(Rule::once("GET", "/version", old));
    let failure = fixture.open(&[]).await.err().unwrap();
    assert_eq!(failure.kind, FailureKind::Refused);
    assert!(failure.detail.contains("6.2.9.2-3n"), "{failure}");
    assert_eq!(
        (
            fixture.device.counters().logins,
            fixture.device.counters().sessions_open
        ),
        (1, 0)
    );
}

#[tokio::test]
async fn a_session_that_the_device_ended_is_retried_and_causes_no_lockout() {
    let fixture = Fixture::start(Profile::V8, |_| {}).await;
    let mut session = fixture.session().await;
    let challenge = r#"Digest realm="r", qop="auth", algorithm=SHA-256, nonce="other""#;
    let gone = Action::Status(
        401,
        String::new(),
        vec![("WWW-Authenticate".to_owned(), challenge.to_owned())],
    );
    fixture
        .device
        .rule(Rule::once("GET", "/reporting", gone).repeated(0, 9));
    let failure = session.installed().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Busy, "{failure}");
    assert_eq!(fixture.requests("GET /reporting"), 2);
    let _ = session.close().await;
}

#[tokio::test]
async fn a_restart_that_the_device_requires_is_among_its_quirks() {
    let fixture = Fixture::start(Profile::V7_X, |variants| {
        variants.restart_required = "APPLIANCE".to_owned();
    })
    .await;
    let (mut session, _) = fixture.with_certificate("fw-1").await;
    session.bind(&both("fw-1")).await.unwrap();
    let quirks = session.identify().await.unwrap().quirks;
    assert!(
        quirks.contains(&"restart_required=APPLIANCE".to_owned()),
        "{quirks:?}"
    );
    fixture.close(session).await;
}
