//! Every exchange of a renewal fails once, in several ways; the renewal ends the same.

use jiff::SignedDuration;
use renewd::clock::Clock;
use renewd::inventory::State;
use simulators::ca::Mischief;
use simulators::sonicos::{Action, Profile, Rule, Variants};

use crate::contract::resello::Resello;
use crate::contract::{Fixture, Subject as _};
use crate::test_bed::{TestBed, today};

/// The changing calls of a renewal without faults, in order, by method.
async fn calls_of_a_renewal(profile: Profile) -> Vec<(&'static str, u32)> {
    let bed = TestBed::new(profile).await;
    bed.run_once().await;
    bed.assert_renewed_once().await;
    let journal = bed.simulator.journal();
    let count = |method: &str| {
        let calls = journal
            .iter()
            .filter(|line| line.starts_with(method))
            .count();
        u32::try_from(calls).unwrap()
    };
    ["POST", "PUT", "DELETE"]
        .map(|method| (method, count(method)))
        .to_vec()
}

async fn survives(profile: Profile, method: &str, index: u32, action: Action) {
    let bed = TestBed::new(profile).await;
    let name = format!("{method} number {index}: {action:?}");
    bed.simulator
        .rule(Rule::once(method, "", action).repeated(index, 1));
    for _ in 0..4 {
        bed.run_once().await;
        if bed.renewals().await[0].state.is_end() {
            break;
        }
        // Longer than a device keeps an idle session, and than the second wait of the retry table.
        bed.clock.advance(SignedDuration::from_mins(12));
    }
    let renewals = bed.renewals().await;
    assert_eq!(
        renewals[0].state,
        State::Completed,
        "{name}: {:?}",
        renewals[0].last_error
    );
    assert_eq!(renewals.len(), 1, "{name}");
    let counters = bed.simulator.counters();
    assert_eq!(counters.key_pairs_generated, 1, "{name}");
    assert_eq!(bed.signatures(), 1, "{name}");
    assert_eq!(counters.commits_of_foreign_changes, 0, "{name}");
    assert_eq!(counters.locked_out, 0, "{name}");
    let fingerprint = renewals[0].obtained.fingerprint.unwrap();
    for seen in bed.seen().await {
        assert_eq!(seen.fingerprint, fingerprint, "{name}");
    }
}

async fn survives_at_every_call(action: Action) {
    let mut cases = 0;
    for (method, calls) in calls_of_a_renewal(Profile::V8).await {
        for index in 0..calls {
            survives(Profile::V8, method, index, action.clone()).await;
            cases += 1;
        }
    }
    eprintln!("{cases} calls failed once: {action:?}");
    assert!(cases >= 12, "only {cases} calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_lost_response_the_device_is_checked_before_a_call_is_repeated() {
    survives_at_every_call(Action::DropAfter).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_that_does_not_arrive_is_made_again() {
    survives_at_every_call(Action::DropBefore).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_that_ends_in_a_server_error_is_repeated() {
    let action = Action::Status(500, "internal error".to_owned(), Vec::new());
    survives_at_every_call(action).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_that_is_answered_by_a_page_is_made_again() {
    survives_at_every_call(Action::Html).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_device_whose_first_request_was_lost_gets_another_and_is_then_waited_for() {
    let variants = Variants {
        key_delay_ms: std::time::Duration::from_secs(40),
        ..Variants::kind()
    };
    let bed = TestBed::with(Profile::V8, variants).await;
    let generation = "/certificates/generate-signing-request";
    bed.simulator
        .rule(Rule::once("POST", generation, Action::DropBefore));
    for _ in 0..60 {
        bed.run_once().await;
        let renewal = bed.renewals().await.swap_remove(0);
        if renewal.state.is_end() {
            break;
        }
        bed.clock.set(renewal.next_attempt_at.unwrap());
    }
    bed.assert_renewed_once().await;
    assert!(!bed.has_event("attention_needed").await);
    let journal = bed.simulator.journal();
    let asked = |line: &&String| line.starts_with(&format!("POST {generation}"));
    assert_eq!(journal.iter().filter(asked).count(), 2, "{journal:#?}");
}

/// A device of 6.5 whose command line answers in text.
async fn old_lab() -> TestBed {
    let variants = Variants {
        cli_shows_text: true,
        ..Variants::kind()
    };
    TestBed::with_keys(
        Profile::V6_5,
        variants,
        r#"file_transfer = { protocol = "scp" }"#,
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_that_are_cut_off_again_and_again_never_lead_to_another_order() {
    let bed = old_lab().await;
    bed.run_once().await;
    let journal = bed.simulator.journal();
    let before_import = journal
        .iter()
        .take_while(|line| !line.starts_with("- brought"));
    let looks = before_import.filter(|line| line.starts_with("POST /direct/cli"));
    let looks = u32::try_from(looks.count()).unwrap();
    let bed = old_lab().await;
    let nothing = Action::Status(200, String::new(), Vec::new());
    let rule = Rule::once("POST", "/direct/cli", nothing);
    // In each of three runs a listing, and what is asked of one certificate.
    bed.simulator.rule(rule.repeated(looks, 6));
    for _ in 0..4 {
        bed.run_once().await;
        bed.clock.advance(SignedDuration::from_hours(2));
    }
    assert_eq!(bed.simulator.faults_used(), 6);
    bed.assert_renewed_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_certificate_that_was_paid_for_is_not_paid_for_again_the_next_day() {
    let fixture = Fixture::<Resello>::new().await;
    fixture.ca.port().mischief(Mischief::WrongName);
    let renewal = fixture.run(SignedDuration::from_hours(24 * 4)).await;
    assert_eq!(renewal.state, State::Submitted, "{:?}", renewal.last_error);
    assert_eq!(fixture.ca.orders(), 1);
    let reported = fixture.reported("attention_needed").await;
    assert!((3..10).contains(&reported), "reported {reported} times");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_pair_that_is_listed_late_is_waited_for_when_its_name_is_refused() {
    let variants = Variants {
        key_ready_after_listings: 15,
        ..Variants::kind()
    };
    let bed = TestBed::with(Profile::V8, variants).await;
    for _ in 0..6 {
        let report = bed.run_once().await;
        assert!(!report.has_failed(), "{report:#?}");
        // Longer than any box needs for a key, so that it is asked again.
        bed.clock.advance(SignedDuration::from_mins(4));
    }
    bed.assert_renewed_once().await;
    let asked = "POST /certificates/generate-signing-request 400";
    let journal = bed.simulator.journal();
    assert!(
        journal.iter().any(|line| line.starts_with(asked)),
        "{journal:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_pair_that_is_listed_late_is_waited_for_though_the_device_was_held_before() {
    let variants = Variants {
        key_ready_after_listings: 20,
        ..Variants::kind()
    };
    let bed = TestBed::with(Profile::V8, variants).await;
    let other = bed.simulator.other_administrator();
    other.has_pending_change("address-object ipv4 office");
    for _ in 0..8 {
        bed.run_once().await;
        bed.clock.advance(SignedDuration::from_hours(3));
    }
    let asked = "POST /certificates/generate-signing-request";
    let is_asked = || {
        bed.simulator
            .journal()
            .iter()
            .any(|line| line.starts_with(asked))
    };
    assert!(!is_asked(), "not beside another administrator's changes");
    other.leaves();
    for _ in 0..8 {
        bed.run_once().await;
        bed.clock.advance(SignedDuration::from_mins(4));
    }
    bed.assert_renewed_once().await;
    let refused = format!("{asked} 400");
    let journal = bed.simulator.journal();
    assert!(
        journal.iter().any(|line| line.starts_with(&refused)),
        "{journal:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_pair_that_is_refused_for_another_reason_is_given_up_and_reported() {
    let bed = TestBed::new(Profile::V8).await;
    let lost = Rule::once(
        "POST",
        "/certificates/generate-signing-request",
        Action::DropBefore,
    );
    bed.simulator.rule(lost);
    let refused = r#"{"status": {"success": false, "info": [{"level": "error", "code": "E_ERROR", "message": "No."}]}}"#;
    let refused = Action::Status(400, refused.to_owned(), Vec::new());
    let always = Rule::once("POST", "/certificates/generate-signing-request", refused);
    bed.simulator.rule(always.repeated(1, 1_000));
    for _ in 0..30 {
        bed.run_once().await;
        bed.clock.advance(SignedDuration::from_mins(4));
        if bed.renewals().await[0].state.is_end() {
            break;
        }
    }
    assert_eq!(bed.renewals().await.last().unwrap().state, State::Failed);
    assert!(bed.has_event("attention_needed").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_expired_before_its_window_opened_is_replaced_at_once() {
    let bed = TestBed::new(Profile::V8).await;
    bed.configure_window(r#"start = "0 2 24 * *", duration = "1h", time_zone = "UTC""#);
    let text = std::fs::read_to_string(bed.config_file()).unwrap();
    let text = text.replace("driver.local = { ", "driver.local = { lifetime_days = 1, ");
    std::fs::write(bed.config_file(), text).unwrap();
    bed.run_once().await;
    // It ends before what is served does: an operator decides.
    bed.decide().await;
    bed.run_once().await;
    assert_eq!(bed.renewals().await[0].state, State::Imported);
    let text = std::fs::read_to_string(bed.config_file()).unwrap();
    std::fs::write(bed.config_file(), text.replace("lifetime_days = 1, ", "")).unwrap();
    bed.clock.set("2026-11-24T02:00:00Z".parse().unwrap());
    bed.run_once().await;
    let states: Vec<State> = bed.renewals().await.iter().map(|one| one.state).collect();
    assert_eq!(states, [State::Completed, State::Failed]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_run_ends_though_the_ca_requests_another_poll_each_time() {
    let driver = r#"driver.exec = { program = "/bin/sh", arguments = ["FOLDER/helper"] }"#;
    let bed = TestBed::with_ca(Profile::V8, Variants::kind(), today(), driver).await;
    let script =
        "[ $CERTMONGER_OPERATION = FETCH-ROOTS ] && exit 6\nprintf '100\\ncookie\\n'\nexit 5\n";
    std::fs::write(bed.folder.path().join("helper"), script).unwrap();
    for _ in 0..2 {
        let began = bed.clock.now();
        let report = bed.run_once().await;
        assert!(!report.has_failed(), "{report:#?}");
        let waited = began.duration_until(bed.clock.now());
        assert!(waited <= SignedDuration::from_mins(6), "{waited:#}");
        assert_eq!(bed.renewals().await[0].state, State::Submitted);
        bed.clock.advance(SignedDuration::from_mins(2));
    }
}
