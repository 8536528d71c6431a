//! Firewalls that refuse, wait for another administrator, or send responses that are not documented.

use simulators::sonicos::{Action, P10Name, Profile, Rule, Variants};

use super::{DAY, HOUR, live, once};
use crate::sonicos_driver::changes::FORMS;
use crate::test_bed::{TestBed, write_secret};

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_another_administrator_are_waited_for_in_each_form_of_the_listing() {
    for form in FORMS {
        for profile in [Profile::V7_X, Profile::V8] {
            let variants = Variants {
                pending_form: form,
                ..Variants::kind()
            };
            let bed = TestBed::with(profile, variants).await;
            bed.simulator
                .other_administrator()
                .has_pending_change("address-object ipv4 printer");
            let reported = live(&bed, HOUR).await;
            reported.is(
                1,
                &["pending"],
                &["commit or discard", "renewd renew hq-portal"],
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn configuration_mode_of_another_administrator_is_waited_for() {
    let variants = Variants {
        login_without_configuration_mode: true,
        configuration_mode_kept: true,
        ..Variants::kind()
    };
    let bed = TestBed::with(Profile::V7_X, variants).await;
    bed.simulator
        .other_administrator()
        .takes_configuration_mode();
    let reported = live(&bed, HOUR).await;
    reported.is(1, &["config"], &["finish", "renewd renew hq-portal"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_pair_is_given_up_with_the_message_of_the_device() {
    for words in ["Invalid country name.", "The name is too long."] {
        let bed = TestBed::new(Profile::V8).await;
        let refusal = Action::SuccessFalseWith200(words.to_owned());
        let path = "/certificates/generate-signing-request";
        bed.simulator
            .rule(Rule::once("POST", path, refusal).repeated(0, 1000));
        let reported = live(&bed, 12 * HOUR).await;
        reported.is(1, &[words, "FAILED"], &["renewd renew hq-portal"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_pair_that_is_never_listed_is_given_up_and_says_so() {
    // Each request is taken; or the first one, and its name is refused from then on.
    let taken = Variants {
        generation_comes_to_nothing: true,
        ..Variants::kind()
    };
    let hidden = Variants {
        key_ready_after_listings: u32::MAX,
        ..Variants::kind()
    };
    for variants in [taken, hidden] {
        let bed = TestBed::with(Profile::V8, variants).await;
        let reported = live(&bed, HOUR).await;
        reported.is(
            1,
            &["does not list it", "FAILED"],
            &["renewd renew hq-portal"],
        );
        assert!(bed.has_event("attention_needed").await);
        let journal = bed.simulator.journal();
        let asked = journal
            .iter()
            .filter(|line| line.starts_with("POST /certificates/generate-signing-request"));
        assert!(asked.count() <= 3, "{journal:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_is_refused_in_every_form_keeps_the_ordered_certificate() {
    let bed = TestBed::new(Profile::V8).await;
    let refusal = Action::Status(
        400,
        r#"{"status":{"success":false,"info":[{"level":"error","code":"E_INVALID","message":"Bad file."}]}}"#.to_owned(),
        Vec::new(),
    );
    bed.simulator
        .rule(Rule::once("", "/import", refusal.clone()).repeated(0, 10_000));
    bed.simulator
        .rule(Rule::once("", "/certificates/import", refusal).repeated(0, 10_000));
    let reported = live(&bed, DAY).await;
    reported.is(1, &["Bad file."], &["hq refuses", "renewd renew hq-portal"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_another_name_on_6_5_is_named() {
    let variants = Variants {
        p10_name: P10Name::Other,
        ..Variants::kind()
    };
    let keys = "file_transfer = { protocol = \"scp\" }";
    let bed = TestBed::with_keys(Profile::V6_5, variants, keys).await;
    let reported = live(&bed, DAY).await;
    reported.is(1, &["file"], &["hq", "renewd renew hq-portal"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_held_and_says_how_often_it_was_refused() {
    let bed = TestBed::new(Profile::V8).await;
    bed.write_password("wrong");
    let reported = live(&bed, DAY).await;
    reported.is(
        1,
        &["refused", "HELD for an operator"],
        &["check --online", "renewd renew hq-portal"],
    );
    assert_eq!(bed.simulator.counters().failed_logins, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_one_time_code_secret_is_reported_with_its_setting() {
    let variants = Variants {
        totp_secret: Some("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".to_owned()),
        ..Variants::kind()
    };
    for (profile, says) in [
        (Profile::V7_X, "Two-factor"),
        (Profile::V8, "configure `totp`"),
    ] {
        let bed = TestBed::with(profile, variants.clone()).await;
        let reported = live(&bed, DAY).await;
        reported.is(1, &[says], &["renewd renew hq-portal"]);
        assert!(reported.line.contains("totp"), "{reported:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_by_a_proxy_in_between_is_no_refused_login() {
    let bed = TestBed::new(Profile::V8).await;
    let page = Action::Status(
        403,
        "<html>Access denied</html>".to_owned(),
        vec![("Server".to_owned(), "cloudfront".to_owned())],
    );
    bed.simulator
        .rule(Rule::once("", "", page).repeated(0, 10_000));
    let reported = live(&bed, 6 * HOUR).await;
    assert!(!reported.line.contains("HELD"), "{reported:#?}");
    reported.is(1, &["403"], &["hq", "renewd renew hq-portal"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_bodies_and_unknown_responses_end_with_the_evidence() {
    let huge = format!("[{}0]", "{\"\":0},".repeat(1 << 20));
    for action in [
        Action::Status(200, huge, Vec::new()),
        Action::Garbage,
        Action::Html,
        Action::Status(500, "x".repeat(1 << 16), Vec::new()),
    ] {
        let bed = TestBed::new(Profile::V8).await;
        bed.simulator
            .rule(Rule::once("", "", action).repeated(0, 10_000));
        let reported = live(&bed, 3 * HOUR).await;
        reported.is(1, &[""], &["hq", "renewd renew hq-portal"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_firewall_that_cannot_be_reached_is_named() {
    let bed = TestBed::new(Profile::V8).await;
    let text = std::fs::read_to_string(bed.config_file()).unwrap();
    let nowhere = format!("https://{}", crate::rolls_back::dead_address());
    let text = text.replace(&bed.simulator.url(), &nowhere);
    std::fs::write(bed.config_file(), text).unwrap();
    let reported = live(&bed, 6 * HOUR).await;
    reported.is(
        1,
        &["refused"],
        &["hq", "can be reached", "renewd renew hq-portal"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealing_key_that_is_another_one_by_now_is_named() {
    let bed = TestBed::new(Profile::V8).await;
    once(&bed).await;
    let other = data_encoding::BASE64.encode(&[9; 32]);
    write_secret(&bed.folder.path().join("seal.key"), &other);
    bed.clock.advance(61 * DAY);
    let reported = live(&bed, HOUR).await;
    reported.is(
        1,
        &["put the former one back", "the firewall showed SHA-256"],
        &["renewd renew hq-portal"],
    );
    // What cannot be read at all stops every login.
    write_secret(&bed.folder.path().join("seal.key"), "no key");
    bed.clock.advance(HOUR);
    let reported = live(&bed, HOUR).await;
    reported.is(
        1,
        &["seal.key"],
        &["on this machine", "renewd renew hq-portal"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealing_key_that_is_gone_is_named() {
    let bed = TestBed::new(Profile::V8).await;
    once(&bed).await;
    std::fs::remove_file(bed.folder.path().join("seal.key")).unwrap();
    bed.clock.advance(61 * DAY);
    let reported = live(&bed, HOUR).await;
    reported.is(1, &["seal.key"], &["renewd renew hq-portal"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_maintenance_window_is_waited_for_and_can_be_overridden() {
    let bed = TestBed::new(Profile::V8).await;
    bed.configure_window("start = \"0 3 25 11 *\", duration = \"2h\"");
    let reported = live(&bed, HOUR).await;
    reported.is(0, &["the window"], &["renewd renew hq-portal --now"]);
}
