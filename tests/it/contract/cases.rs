//! The cases.

use jiff::SignedDuration;
use renewd::clock::Clock;
use renewd::inventory::State;
use renewd::renewal::{Moment, Step};
use simulators::ca::{ChainMischief, Fault, Mischief, On, RetryAfter};

use super::{Behaviour, Fixture, Subject};
use crate::survives_crash::kill_at;
use crate::test_bed::CERTIFICATE;

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);

pub async fn issues_one_certificate_for_one_order<S: Subject>() {
    let fixture = Fixture::<S>::new().await;
    fixture.run(DAY).await;
    fixture.assert_one_order("without faults").await;
    assert_eq!(fixture.ca.port().counters().signed, 1);
}

pub async fn waits_long_with_few_questions<S: Subject>() {
    if S::SIGNS_AT_ONCE {
        return;
    }
    let fixture = Fixture::<S>::new().await;
    fixture.ca.behave(Behaviour::SignsAfter(30));
    fixture.run(3 * DAY).await;
    fixture.assert_one_order("after thirty looks").await;
}

pub async fn alerts_an_operator_once_and_waits_for_days<S: Subject>() {
    if !S::ASKS_PEOPLE {
        return;
    }
    let fixture = Fixture::<S>::new().await;
    fixture.ca.behave(Behaviour::WaitsForPerson);
    let before = fixture.ca.port().requests().len();
    let began = fixture.bed.clock.now();
    fixture.bed.run_once().await;
    let waited = began.duration_until(fixture.bed.clock.now());
    assert!(
        waited < SignedDuration::from_mins(4),
        "one run waits {waited:#}"
    );
    let renewal = fixture.run(3 * DAY).await;
    assert_eq!(renewal.state, State::Submitted, "{:?}", renewal.last_error);
    assert_eq!(fixture.reported("approval_needed").await, 1);
    let asked = fixture.ca.port().requests().len() - before;
    assert!(asked < 600, "{asked} requests in three days");
    fixture.ca.approve();
    fixture.run(DAY).await;
    fixture.assert_one_order("after the approval").await;
}

pub async fn ends_at_once_with_the_message_of_the_ca_when_it_is_refused<S: Subject>() {
    if !S::ENDS_WHEN_REFUSED {
        return;
    }
    let fixture = Fixture::<S>::new().await;
    fixture.ca.behave(Behaviour::Refuses);
    let renewal = fixture.run(3 * HOUR).await;
    assert_eq!(renewal.state, State::Failed, "{:?}", renewal.last_error);
    let history = fixture.bed.history().await;
    let words = history
        .iter()
        .find(|event| event.name == "renewal_failed")
        .and_then(|event| event.fields["detail"].as_str().map(str::to_owned))
        .unwrap();
    assert!(words.contains(fixture.ca.refusal()), "{words}");
    assert!(
        fixture.ca.port().counters().orders <= 3,
        "not ordered again and again"
    );
}

pub async fn lets_no_bad_certificate_onto_the_device<S: Subject>() {
    for mischief in [
        Mischief::WrongKey,
        Mischief::DropNames,
        Mischief::WrongName,
        Mischief::CaTrue,
        Mischief::Expired,
        Mischief::ClientAuthOnly,
    ] {
        let fixture = Fixture::<S>::new().await;
        let before = fixture.bed.seen().await;
        fixture.ca.port().mischief(mischief);
        fixture.run(6 * HOUR).await;
        let renewal = fixture.renewal().await;
        assert!(
            renewal.state < State::Issued || renewal.state == State::Failed,
            "{mischief:?}: {}",
            renewal.state
        );
        assert_eq!(fixture.bed.seen().await, before, "{mischief:?}");
        assert!(
            fixture.reported("attention_needed").await + fixture.reported("approval_needed").await
                > 0,
            "{mischief:?}: no alert was raised"
        );
        assert_eq!(fixture.ca.orders(), 1, "{mischief:?}");
        assert_eq!(fixture.bed.simulator.counters().imports, 0, "{mischief:?}");
    }
}

/// A certificate that is due when it is issued is neither installed nor ordered again: an operator decides.
pub async fn holds_what_is_already_due_until_an_operator_decides<S: Subject>() {
    for (mischief, says) in [
        (Mischief::Backdated, "is already due: valid from 2026-08"),
        (
            Mischief::EndsSoon,
            "ends no later than the one that is served",
        ),
    ] {
        let fixture = Fixture::<S>::new().await;
        let before = fixture.bed.seen().await;
        fixture.ca.port().mischief(mischief);
        let renewal = fixture.run(4 * DAY).await;
        assert_eq!(renewal.state, State::Issued, "{mischief:?}: {renewal:#?}");
        assert_eq!(renewal.next_attempt_at, None, "{mischief:?}: held");
        assert_eq!(renewal.last_error_kind.as_deref(), Some("already_due"));
        let words = renewal.last_error.clone().unwrap();
        assert!(words.contains(says), "{words}");
        for part in ["is the clock right?", "renewd renew hq-portal"] {
            assert!(words.contains(part), "{words}");
        }
        assert_eq!(fixture.reported("renewal_held").await, 1, "{mischief:?}");
        assert_eq!(fixture.ca.orders(), 1, "{mischief:?}");
        assert_eq!(fixture.bed.seen().await, before, "{mischief:?}");
        assert_eq!(fixture.bed.simulator.counters().imports, 0, "{mischief:?}");
        if mischief == Mischief::EndsSoon {
            continue;
        }
        // The operator decides to install it. It is due at once, and still not replaced at once.
        let store = fixture.bed.store().await;
        fixture.bed.decide().await;
        fixture.ca.port().mischief(Mischief::Nothing);
        assert_eq!(
            fixture.run(DAY).await.state,
            State::Completed,
            "{mischief:?}"
        );
        let installed = renewal.obtained.fingerprint.unwrap();
        assert_eq!(fixture.bed.seen().await[0].fingerprint, installed);
        fixture.bed.run_once().await;
        assert_eq!(
            fixture.ca.orders(),
            1,
            "{mischief:?}: ordered again at once"
        );
        let row = store.certificate(CERTIFICATE).await.unwrap().unwrap();
        let decision = row.decision.unwrap();
        assert!(decision.contains("due already"), "{decision}");
        let until = row.due_check_at.unwrap();
        assert!(fixture.bed.clock.now() + HOUR <= until, "{until}");
    }
}

pub async fn puts_any_chain_in_order<S: Subject>() {
    if !S::GIVES_CHAIN {
        return;
    }
    for mischief in [
        ChainMischief::Shuffled,
        ChainMischief::WithRoot,
        ChainMischief::WithStranger,
    ] {
        let fixture = Fixture::<S>::new().await;
        fixture.ca.port().chain_mischief(mischief);
        fixture.run(DAY).await;
        fixture.assert_one_order(&format!("{mischief:?}")).await;
    }
}

/// Neither the budget nor a limit is used up by calls that cannot have ordered: where the CA counts no order after a
/// failure, none is counted here.
pub async fn counts_no_order_for_what_fails_before_it_is_placed<S: Subject>() {
    let mut unordered = 0;
    for nth in 1..=calls_of_a_renewal::<S>().await {
        let fixture = Fixture::<S>::new().await;
        fixture
            .ca
            .port()
            .fault(On::any(nth), Fault::ServerErrorAfter);
        fixture.bed.run_once().await;
        // The order was placed before that call, by it, or in spite of its failure.
        let placed = |call: &String| fixture.ca.is_placing(call);
        if fixture.ca.orders() > 0 || fixture.ca.port().requests().iter().any(placed) {
            continue;
        }
        let (ca, step) = ("office", Step::Submit.name());
        let since = fixture.bed.clock.now() - DAY;
        let store = fixture.bed.store().await;
        let counted = store.orders_since(ca, step, since).await.unwrap();
        assert_eq!(counted, 0, "the failure of call {nth} counts as an order");
        let renewal = fixture.renewal().await;
        let intent = store.intent(&renewal.id, step).await.unwrap();
        assert_eq!(intent, None, "call {nth}");
        unordered += 1;
    }
    assert!(unordered > 0, "no failure of a call holds up the order");
}

pub async fn orders_once_whichever_answer_is_lost<S: Subject>() {
    at_every_call::<S>(&Fault::LostAfter).await;
}

pub async fn makes_every_call_again_that_did_not_arrive<S: Subject>() {
    at_every_call::<S>(&Fault::LostBefore).await;
}

pub async fn survives_an_error_of_the_server_at_every_call<S: Subject>() {
    at_every_call::<S>(&Fault::ServerErrorAfter).await;
}

pub async fn survives_half_an_answer_at_every_call<S: Subject>() {
    at_every_call::<S>(&Fault::Truncated).await;
}

pub async fn survives_garbage_at_every_call<S: Subject>() {
    at_every_call::<S>(&Fault::Garbage).await;
}

pub async fn survives_a_login_page_at_every_call<S: Subject>() {
    at_every_call::<S>(&Fault::LoginPage).await;
}

/// Each exchange of a renewal without faults fails once.
async fn calls_of_a_renewal<S: Subject>() -> u32 {
    let fixture = Fixture::<S>::new().await;
    fixture.run(DAY).await;
    u32::try_from(fixture.ca.port().requests().len()).unwrap()
}

async fn at_every_call<S: Subject>(fault: &Fault) {
    let calls = calls_of_a_renewal::<S>().await;
    assert!(calls >= 2, "only {calls} calls");
    for nth in 1..=calls {
        let fixture = Fixture::<S>::new().await;
        fixture.ca.port().fault(On::any(nth), fault.clone());
        fixture.run(2 * DAY).await;
        assert_eq!(fixture.ca.port().faults_used(), 1, "call {nth}");
        fixture
            .assert_one_order(&format!("{fault:?} at call {nth} of {calls}"))
            .await;
    }
    eprintln!("{fault:?} at each of {calls} calls");
}

pub async fn retries_at_the_requested_time<S: Subject>() {
    for (fault, least) in [
        (Fault::TooManyRequests(RetryAfter::Seconds(1234)), 1234),
        (Fault::Unavailable(RetryAfter::Seconds(77)), 77),
        (Fault::TooManyRequests(RetryAfter::Silent), 50),
    ] {
        let fixture = Fixture::<S>::new().await;
        fixture.ca.port().fault(On::any(1), fault.clone());
        let start = fixture.bed.clock.now();
        fixture.bed.run_once().await;
        let renewal = fixture.renewal().await;
        let wait = start.duration_until(renewal.next_attempt_at.unwrap_or(start));
        assert!(
            wait.as_secs() >= least || renewal.state == State::Completed,
            "{fault:?}: {wait:?}"
        );
        fixture.run(DAY).await;
        fixture.assert_one_order(&format!("{fault:?}")).await;
    }
}

pub async fn continues_when_refused_credentials_are_fixed<S: Subject>() {
    if !S::HAS_CREDENTIALS {
        return;
    }
    let fixture = Fixture::<S>::new().await;
    if !S::SIGNS_AT_ONCE {
        fixture.ca.behave(Behaviour::SignsAfter(200));
        fixture.bed.run_once().await;
    }
    fixture.ca.spoil_credentials(true, &fixture.bed);
    let before = fixture.ca.port().requests().len();
    fixture.run(6 * HOUR).await;
    let renewal = fixture.renewal().await;
    assert_eq!(
        renewal.last_error_kind.as_deref(),
        Some("unauthorized"),
        "{:?}",
        renewal.last_error
    );
    let refused = fixture.ca.port().requests().len() - before;
    assert!(
        refused < 30,
        "{refused} requests with refused credentials in six hours"
    );
    assert!(fixture.reported("attention_needed").await > 0);
    fixture.ca.spoil_credentials(false, &fixture.bed);
    fixture.ca.behave(Behaviour::Signs);
    fixture.run(30 * DAY).await;
    fixture.assert_one_order("with fixed credentials").await;
}

pub async fn orders_once_when_killed_between_order_and_reference<S: Subject>() {
    for moment in [
        Moment::Intended(Step::Submit),
        Moment::Acted(Step::Submit),
        Moment::Stored(State::Submitted),
        Moment::Acted(Step::PollIssuance),
    ] {
        let fixture = Fixture::<S>::new().await;
        let config_file = fixture.bed.config_file();
        tokio::task::spawn_blocking(move || kill_at(&config_file, moment))
            .await
            .unwrap();
        fixture.run(DAY).await;
        fixture
            .assert_one_order(&format!("killed at {moment:?}"))
            .await;
    }
}
