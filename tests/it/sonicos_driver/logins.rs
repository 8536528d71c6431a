//! Logins: which succeed, and by which scheme. A refusal costs one login and no more.

use renewd::failure::{Failure, FailureKind};
use renewd::firewall::sonicos::{Login, LoginLevel};
use simulators::sonicos::{Action, Offer, Profile, Rule};

use super::fixture::{Fixture, inline, pin};

/// Reads, writes and logs out; the login that was used.
async fn visits(fixture: &Fixture) -> String {
    let mut session = fixture.session().await;
    for _ in 0..12 {
        session.bindings().await.unwrap();
    }
    session.remove("never-there").await.unwrap();
    let identity = session.identify().await.unwrap();
    fixture.close(session).await;
    let counters = fixture.device.counters();
    assert_eq!((counters.failed_logins, counters.logins), (0, 1));
    let login = identity
        .quirks
        .iter()
        .find_map(|quirk| quirk.strip_prefix("login="));
    login.unwrap().to_owned()
}

#[tokio::test]
async fn the_best_digest_is_taken_by_itself_on_every_generation() {
    for (profile, model) in [
        (Profile::V7_0, "TZ 270"),
        (Profile::V7_X, "TZ 370"),
        (Profile::V8, "NSv 270"),
    ] {
        let fixture = Fixture::start(profile, |_| {}).await;
        assert_eq!(visits(&fixture).await, "digest SHA-256");
        let mut session = fixture.session().await;
        let identity = session.identify().await.unwrap();
        assert_eq!(
            (identity.model.as_str(), identity.firmware.as_str()),
            (model, profile.firmware())
        );
        assert_eq!(identity.privilege.as_deref(), Some("FULL_ADMIN"));
        fixture.close(session).await;
    }
}

#[tokio::test]
async fn every_variant_of_digest_is_answered_across_nonces() {
    for (integrity, session_variant, expected) in [
        (Offer::Enforced, Offer::Off, "digest SHA-256 auth-int"),
        (Offer::Allowed, Offer::Allowed, "digest SHA-256"),
        (Offer::Off, Offer::Enforced, "digest SHA-256-sess"),
        (
            Offer::Enforced,
            Offer::Enforced,
            "digest SHA-256-sess auth-int",
        ),
    ] {
        let fixture = Fixture::start(Profile::V7_X, |variants| {
            (variants.integrity_protection, variants.session_variant) =
                (integrity, session_variant);
            (variants.max_nonce, variants.challenges_in_one_header) = (3, true);
        })
        .await;
        assert_eq!(visits(&fixture).await, expected);
    }
}

#[tokio::test]
async fn md5_is_answered_where_nothing_better_is_offered() {
    let fixture = Fixture::start(Profile::V7_0, |variants| {
        (variants.digest_sha256, variants.digest_md5) = (false, Some(true));
    })
    .await;
    assert_eq!(visits(&fixture).await, "digest MD5");
}

#[tokio::test]
async fn basic_and_chap_logins_work_with_and_without_session_security() {
    for (login, secure, expected) in [
        (Login::Basic, false, "basic"),
        (Login::Basic, true, "basic"),
        (Login::Chap, false, "chap"),
        (Login::Chap, true, "chap"),
    ] {
        let mut fixture = Fixture::start(Profile::V7_0, |variants| {
            (variants.basic, variants.chap) = (Some(true), Some(true));
            variants.session_security = Some(secure);
        })
        .await;
        fixture.settings.login = login;
        assert_eq!(visits(&fixture).await, expected);
    }
}

#[tokio::test]
async fn without_digest_chap_comes_before_basic() {
    for (chap, expected) in [(true, "chap"), (false, "basic")] {
        let fixture = Fixture::start(Profile::V7_0, |variants| {
            (variants.digest_sha256, variants.digest_md5) = (false, Some(false));
            (variants.basic, variants.chap, variants.session_security) =
                (Some(true), Some(chap), Some(false));
        })
        .await;
        assert_eq!(visits(&fixture).await, expected);
    }
}

#[tokio::test]
async fn a_two_factor_login_brings_a_token() {
    let key = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    for profile in [Profile::V7_0, Profile::V7_X, Profile::V8] {
        let mut fixture = Fixture::start(profile, |variants| {
            variants.totp_secret = Some(key.to_owned());
        })
        .await;
        fixture.settings.totp = Some(inline(key));
        assert_eq!(visits(&fixture).await, "bearer token");
    }
}

/// Nothing derived from the password was sent, and the failure names the setting that accepts less.
fn assert_nothing_was_shown(fixture: &Fixture, failure: &Failure) {
    assert_eq!(failure.kind, FailureKind::LoginDowngrade, "{failure}");
    assert!(failure.detail.contains("`minimum_login`"), "{failure}");
    let counters = fixture.device.counters();
    assert_eq!((counters.logins, counters.failed_logins), (0, 0));
    assert_eq!(fixture.device.counters().credentials, 0, "{failure}");
}

/// A device that offers these logins and no other.
#[allow(
    clippy::fn_params_excessive_bools,
    reason = "the rows of a table, one column for each login"
)]
async fn offering(sha256: bool, md5: bool, chap: bool, basic: bool, integrity: Offer) -> Fixture {
    Fixture::start(Profile::V7_0, |variants| {
        (variants.digest_sha256, variants.digest_md5) = (sha256, Some(md5));
        (variants.chap, variants.basic) = (Some(chap), Some(basic));
        variants.integrity_protection = integrity;
    })
    .await
}

#[tokio::test]
async fn a_login_weaker_than_the_one_before_is_not_answered() {
    let off = Offer::Off;
    for (before, login, weaker) in [
        (
            "digest SHA-256",
            Login::Automatic,
            (false, true, true, true, off),
        ),
        (
            "digest SHA-256",
            Login::Digest,
            (false, true, true, true, off),
        ),
        (
            "digest SHA-256",
            Login::Automatic,
            (false, false, true, true, off),
        ),
        (
            "digest SHA-256",
            Login::Automatic,
            (false, false, false, true, off),
        ),
        (
            "digest SHA-256 auth-int",
            Login::Automatic,
            (true, true, true, true, off),
        ),
        (
            "digest SHA-256-sess",
            Login::Automatic,
            (false, true, false, false, off),
        ),
        (
            "digest MD5",
            Login::Automatic,
            (false, false, true, true, off),
        ),
        ("chap", Login::Automatic, (false, false, false, true, off)),
    ] {
        let (sha256, md5, chap, basic, integrity) = weaker;
        let mut fixture = offering(sha256, md5, chap, basic, integrity).await;
        fixture.settings.login = login;
        let failure = fixture.trying_with(&[format!("login={before}")]).await;
        assert_nothing_was_shown(&fixture, &failure.err().unwrap());
    }
}

#[tokio::test]
async fn a_login_as_good_as_before_or_better_is_answered() {
    for (before, expected) in [
        ("basic", "digest SHA-256"),
        ("chap", "digest SHA-256"),
        ("digest MD5", "digest SHA-256"),
        ("digest SHA-256", "digest SHA-256"),
        ("digest SHA-256 auth-int", "digest SHA-256 auth-int"),
        ("source address", "digest SHA-256"),
    ] {
        let fixture = offering(true, true, true, true, Offer::Allowed).await;
        let mut session = fixture.knowing(&[format!("login={before}")]).await;
        let quirks = session.identify().await.unwrap().quirks;
        fixture.close(session).await;
        assert!(quirks.contains(&format!("login={expected}")), "{quirks:?}");
    }
}

#[tokio::test]
async fn a_weaker_login_is_accepted_where_the_configuration_names_it() {
    let before = ["login=digest SHA-256".to_owned()];
    let mut fixture = offering(false, false, false, true, Offer::Off).await;
    fixture.settings.minimum_login = Some(LoginLevel::Basic);
    let mut session = fixture.knowing(&before).await;
    let quirks = session.identify().await.unwrap().quirks;
    fixture.close(session).await;
    assert!(quirks.contains(&"login=basic".to_owned()), "{quirks:?}");

    let mut fixture = offering(false, false, false, true, Offer::Off).await;
    fixture.settings.login = Login::Basic;
    let session = fixture.knowing(&before).await;
    fixture.close(session).await;
}

#[tokio::test]
async fn the_least_login_of_the_configuration_counts_at_the_first_contact_too() {
    let mut fixture = offering(false, true, true, true, Offer::Off).await;
    fixture.settings.minimum_login = Some(LoginLevel::DigestSha256);
    let failure = fixture.trying_with(&[]).await;
    assert_nothing_was_shown(&fixture, &failure.err().unwrap());
    let lowered = ["login=basic".to_owned()];
    let failure = fixture.trying_with(&lowered).await;
    assert_nothing_was_shown(&fixture, &failure.err().unwrap());
}

#[tokio::test]
async fn a_digest_without_qop_is_never_answered_nor_replaced_by_the_password_itself() {
    for challenge in [
        r#"Digest realm="r", algorithm=MD5, nonce="n", Basic realm="r""#,
        r#"Digest realm="r", algorithm=SHA-256, nonce="n", Basic realm="r""#,
    ] {
        for login in [Login::Automatic, Login::Digest] {
            let mut fixture = offering(false, false, false, true, Offer::Off).await;
            fixture.settings.login = login;
            let headers = vec![("WWW-Authenticate".to_owned(), challenge.to_owned())];
            let asks = Action::Status(401, String::new(), headers);
            fixture.device.rule(Rule::once("POST", "/auth", asks));
            let failure = fixture.open(&[]).await.err().unwrap();
            assert_eq!(failure.kind, FailureKind::Refused, "{failure}");
            assert!(failure.detail.contains("`qop`"), "{failure}");
            assert_eq!(fixture.device.counters().credentials, 0);
        }
    }
}

#[tokio::test]
async fn a_weaker_challenge_in_a_session_is_not_answered() {
    let fixture = Fixture::start(Profile::V7_X, |_| {}).await;
    let mut session = fixture.session().await;
    let weak = r#"Digest realm="r", qop="auth", algorithm=MD5, nonce="n", stale=true"#;
    let headers = vec![("WWW-Authenticate".to_owned(), weak.to_owned())];
    let asks = Action::Status(401, String::new(), headers);
    fixture
        .device
        .rule(Rule::once("GET", "/administration/global", asks).repeated(0, 2));
    let before = fixture.device.counters().credentials;
    let failure = session.bindings().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Busy, "{failure}");
    // Twice the request, and between them the one attempt to be let in to management.
    assert!(fixture.device.counters().credentials <= before + 3);
    assert_eq!(fixture.requests("GET /administration/global"), 2);
    fixture.close(session).await;
}

#[tokio::test]
async fn a_wrong_password_costs_exactly_one_failed_login_with_every_scheme() {
    for login in [Login::Automatic, Login::Digest, Login::Basic, Login::Chap] {
        let mut fixture = Fixture::start(Profile::V7_0, |variants| {
            (variants.basic, variants.chap) = (Some(true), Some(true));
        })
        .await;
        fixture.settings.login = login;
        fixture.settings.password = inline("wrong horse");
        let failure = fixture.open(&[]).await.err().unwrap();
        assert_eq!(
            failure.kind,
            FailureKind::Unauthorized,
            "{login:?}: {failure}"
        );
        assert!(!failure.may_leave_session, "{login:?}");
        assert!(!failure.to_string().contains("wrong horse"), "{failure}");
        let counters = fixture.device.counters();
        assert_eq!(
            (counters.failed_logins, counters.sessions_open),
            (1, 0),
            "{login:?}"
        );
    }
}

#[tokio::test]
async fn a_wrong_one_time_code_costs_exactly_one_failed_login() {
    let mut fixture = Fixture::start(Profile::V8, |variants| {
        variants.totp_secret = Some("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".to_owned());
    })
    .await;
    fixture.settings.totp = Some(inline("MFRGGZDFMZTWQ2LK"));
    let failure = fixture.open(&[]).await.err().unwrap();
    assert_eq!(failure.kind, FailureKind::Unauthorized);
    assert_eq!(fixture.device.counters().failed_logins, 1);
}

#[tokio::test]
async fn a_wrong_pin_is_refused_before_any_request_is_sent() {
    let mut fixture = Fixture::start(Profile::V8, |_| {}).await;
    fixture.settings.trust = pin(&"ab".repeat(32));
    let failure = fixture.open(&[]).await.err().unwrap();
    assert_eq!(failure.kind, FailureKind::Untrusted);
    assert!(
        failure.detail.contains(&fixture.device.fingerprint()),
        "{failure}"
    );
    assert_eq!(fixture.device.counters().requests, 0);
}

#[tokio::test]
async fn an_address_without_a_listener_is_unreachable() {
    let mut fixture = Fixture::start(Profile::V8, |_| {}).await;
    let address = fixture.device.url();
    fixture.device.stop().await;
    fixture.device = Fixture::start(Profile::V8, |_| {}).await.device;
    fixture.settings.url = address.parse().unwrap();
    let failure = fixture.open(&[]).await.err().unwrap();
    assert_eq!(failure.kind, FailureKind::Unreachable, "{failure}");
    assert!(!failure.may_leave_session);
}

#[tokio::test]
async fn a_login_that_the_device_cannot_accept_is_reported_with_the_reason() {
    let fixture = Fixture::start(Profile::V8, |variants| variants.api_disabled = true).await;
    let failure = fixture.open(&[]).await.err().unwrap();
    assert_eq!(failure.kind, FailureKind::Refused);
    assert!(failure.detail.contains("switched off"), "{failure}");

    let fixture =
        Fixture::start(Profile::V8, |variants| variants.password_must_change = true).await;
    let failure = fixture.open(&[]).await.err().unwrap();
    assert_eq!(failure.kind, FailureKind::Unauthorized);
    assert!(failure.detail.contains("password changed"), "{failure}");
    assert_eq!(fixture.device.counters().sessions_open, 0);

    let fixture = Fixture::start(Profile::V8, |variants| variants.too_many_sessions = true).await;
    let failure = fixture.open(&[]).await.err().unwrap();
    assert_eq!(failure.kind, FailureKind::Busy);

    let mut fixture = Fixture::start(Profile::V8, |_| {}).await;
    fixture.settings.login = Login::Basic;
    let failure = fixture.open(&[]).await.err().unwrap();
    assert_eq!(failure.kind, FailureKind::Refused);
    assert!(failure.detail.contains("Digest"), "{failure}");
}

#[tokio::test]
async fn a_login_that_needs_to_start_management_starts_it() {
    let fixture = Fixture::start(Profile::V7_X, |variants| {
        variants.needs_start_management = true;
    })
    .await;
    visits(&fixture).await;
    assert_eq!(fixture.requests("POST /start-management"), 1);
}

#[tokio::test]
async fn a_session_that_is_not_known_after_a_good_login_starts_management_once() {
    for for_writes in [false, true] {
        for profile in [Profile::V7_0, Profile::V7_X, Profile::V8] {
            let fixture = Fixture::start(profile, |variants| {
                variants.needs_start_management = true;
                variants.start_management_status = 401;
                variants.start_management_for_writes = for_writes;
            })
            .await;
            visits(&fixture).await;
            assert_eq!(fixture.requests("POST /start-management"), 1);
        }
    }
}

#[tokio::test]
async fn an_ended_session_is_recognized_after_one_attempt_to_start_management() {
    let fixture = Fixture::start(Profile::V7_X, |_| {}).await;
    let mut session = fixture.session().await;
    let ended = Action::Status(401, String::new(), Vec::new());
    for path in ["/administration/global", "/start-management"] {
        let method = if path == "/start-management" {
            "POST"
        } else {
            "GET"
        };
        fixture
            .device
            .rule(Rule::once(method, path, ended.clone()).repeated(0, 9));
    }
    for _ in 0..3 {
        let failure = session.bindings().await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Busy, "{failure}");
    }
    assert_eq!(fixture.requests("POST /start-management"), 1);
    assert_eq!(fixture.device.counters().failed_logins, 0);
}

#[tokio::test]
async fn a_403_of_something_in_front_of_the_device_is_no_refused_login() {
    let fixture = Fixture::start(Profile::V7_X, |_| {}).await;
    let headers = vec![("Server".to_owned(), "Apache".to_owned())];
    let box_in_between = Action::Status(403, "Forbidden".to_owned(), headers);
    fixture
        .device
        .rule(Rule::once("POST", "/auth", box_in_between));
    let failure = fixture.open(&[]).await.err().unwrap();
    assert_eq!(failure.kind, FailureKind::Busy, "{failure}");
    assert!(
        failure.detail.contains("in front of the device"),
        "{failure}"
    );
    assert!(failure.retry_after.is_some());
}

/// Responses that replace the device's own response to a login: its login schemes are not in them.
fn no_answer_of_the_device() -> [Action; 5] {
    let header = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let sessions = "Too many sessions".to_owned();
    [
        Action::Status(503, sessions.clone(), Vec::new()),
        Action::Status(403, "Forbidden".to_owned(), header("Server", "Apache")),
        Action::Status(429, String::new(), header("Retry-After", "120")),
        Action::Status(502, "<html>Bad gateway</html>".to_owned(), Vec::new()),
        Action::Status(401, sessions, Vec::new()),
    ]
}

#[tokio::test]
async fn a_missing_response_to_the_chap_request_does_not_mean_that_the_device_has_no_chap() {
    for answer in no_answer_of_the_device() {
        for (login, before) in [
            (Login::Automatic, "login=chap"),
            (Login::Automatic, "login=source address"),
            (Login::Chap, "login=chap"),
        ] {
            let mut fixture = offering(false, false, true, true, Offer::Off).await;
            fixture.settings.login = login;
            let rule = Rule::once("GET", "/auth", answer.clone());
            fixture.device.rule(rule);
            let failure = fixture
                .trying_with(&[before.to_owned()])
                .await
                .err()
                .unwrap();
            let context = format!("{answer:?}, {login:?} after {before}: {failure}");
            assert_eq!(failure.kind, FailureKind::Busy, "{context}");
            assert_eq!(fixture.device.counters().credentials, 0, "{context}");
            let asked = failure.retry_after.map(|wait| wait.as_secs());
            match &answer {
                Action::Status(429, ..) => assert_eq!(asked, Some(120), "{context}"),
                Action::Status(403, ..) => assert!(asked.is_some(), "{context}"),
                _ => {}
            }
            let session = fixture.knowing(&[before.to_owned()]).await;
            fixture.close(session).await;
        }
    }
}

#[tokio::test]
async fn a_refusal_for_want_of_room_is_no_offer_of_a_weaker_login() {
    for (login, before) in [
        (Login::Automatic, "login=digest SHA-256"),
        (Login::Digest, "login=digest SHA-256"),
        (Login::Digest, "login=source address"),
        (Login::PublicKey, "login=source address"),
    ] {
        let mut fixture = offering(true, true, true, true, Offer::Off).await;
        fixture.settings.login = login;
        let full = Action::Status(401, "Too many sessions".to_owned(), Vec::new());
        fixture
            .device
            .rule(Rule::once("", "/auth", full).repeated(0, 2));
        let failure = fixture
            .trying_with(&[before.to_owned()])
            .await
            .err()
            .unwrap();
        let context = format!("{login:?} after {before}: {failure}");
        assert_eq!(failure.kind, FailureKind::Busy, "{context}");
        assert_eq!(fixture.device.counters().credentials, 0, "{context}");
    }
}

#[tokio::test]
async fn what_is_neither_a_challenge_of_chap_nor_a_refusal_sends_no_password() {
    let fixture = offering(false, false, true, true, Offer::Off).await;
    for answer in [
        Action::Status(403, "Forbidden".to_owned(), Vec::new()),
        Action::Status(302, String::new(), Vec::new()),
        Action::Status(200, r#"{"id":"0b"}"#.to_owned(), Vec::new()),
    ] {
        let context = format!("{answer:?}");
        fixture.device.rule(Rule::once("GET", "/auth", answer));
        let failure = fixture.trying_with(&[]).await.err().unwrap();
        assert_eq!(failure.kind, FailureKind::Unexpected, "{context}");
    }
    assert_eq!(fixture.device.counters().credentials, 0);
}

/// Whether the failure of a login in which this goes wrong says that a session may be open.
async fn leaves_session(login: Login, totp: bool, rule: Rule) -> bool {
    let key = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    let mut fixture = Fixture::start(Profile::V7_0, |variants| {
        (variants.basic, variants.chap) = (Some(true), Some(true));
        variants.totp_secret = totp.then(|| key.to_owned());
    })
    .await;
    fixture.settings.login = login;
    fixture.settings.totp = totp.then(|| inline(key));
    fixture.device.rule(rule);
    fixture.open(&[]).await.err().unwrap().may_leave_session
}

#[tokio::test]
async fn a_failed_login_says_whether_a_session_of_ours_may_be_open() {
    let lost = |path, skip| Rule::once("POST", path, Action::DropAfter).repeated(skip, 1);
    for (login, totp, rule) in [
        (Login::Automatic, false, lost("/auth", 1)),
        (Login::Basic, false, lost("/auth", 0)),
        (
            Login::Basic,
            false,
            Rule::once("POST", "/auth", Action::ServerErrorAfter),
        ),
        (Login::Chap, false, lost("/auth", 0)),
        (Login::Automatic, true, lost("/tfa", 0)),
    ] {
        assert!(
            leaves_session(login, totp, rule.clone()).await,
            "{login:?} {rule:?}"
        );
    }
    // What was lost is the question how to log in, or the device has refused.
    let full = Action::Status(503, "Too many sessions".to_owned(), Vec::new());
    for (login, rule) in [
        (Login::Automatic, lost("/auth", 0)),
        (Login::Basic, Rule::once("POST", "/auth", full)),
        (Login::Chap, Rule::once("GET", "/auth", Action::DropAfter)),
    ] {
        assert!(
            !leaves_session(login, false, rule.clone()).await,
            "{login:?} {rule:?}"
        );
    }
}

#[tokio::test]
async fn a_central_management_is_reported_by_the_device() {
    for is_managed in [true, false] {
        let fixture = Fixture::start(Profile::V7_0, |variants| {
            variants.managed_centrally = is_managed;
        })
        .await;
        let mut session = fixture.session().await;
        let quirks = session.identify().await.unwrap().quirks;
        fixture.close(session).await;
        let reported = renewd::firewall::sonicos::is_managed_centrally(&quirks);
        assert_eq!(reported, is_managed, "{quirks:?}");
    }
}

#[tokio::test]
async fn a_session_shows_no_secret_when_it_is_printed() {
    let fixture = Fixture::start(Profile::V7_X, |_| {}).await;
    let session = fixture.log_in(&[]).await.unwrap();
    let printed = format!("{session:?}");
    assert!(
        printed.contains("[secret]") && !printed.contains("correct horse"),
        "{printed}"
    );
    fixture.close(Box::new(session)).await;
}

#[tokio::test]
async fn a_stale_nonce_before_the_refusal_makes_no_second_failed_login() {
    let mut fixture = Fixture::start(Profile::V8, |_| {}).await;
    fixture.settings.password = inline("wrong horse");
    let stale = r#"Digest realm="r", qop="auth", algorithm=SHA-256, nonce="old", stale=true"#;
    let headers = vec![("WWW-Authenticate".to_owned(), stale.to_owned())];
    let stale = Action::Status(401, String::new(), headers);
    fixture
        .device
        .rule(Rule::once("POST", "/auth", stale).repeated(1, 1));
    let failure = fixture.open(&[]).await.err().unwrap();
    assert_eq!(failure.kind, FailureKind::Unauthorized);
    assert_eq!(fixture.requests("POST /auth"), 3);
    assert_eq!(fixture.device.counters().failed_logins, 1);
}
