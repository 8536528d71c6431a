//! The cases.

use jiff::SignedDuration;
use renewd::clock::Clock;
use renewd::inventory::State;
use renewd::renewal::{Moment, Step};
use simulators::ca::{ChainMischief, Fault, Mischief, On, RetryAfter};

use super::{Behaviour, Bench, Subject};
use crate::lab::CERTIFICATE;
use crate::survives_crash::kill_at;

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);

pub async fn issues_one_certificate_for_one_order<S: Subject>() {
    let bench = Bench::<S>::new().await;
    bench.run(DAY).await;
    bench.assert_one_order("without faults").await;
    assert_eq!(bench.ca.port().counters().signed, 1);
}

pub async fn waits_long_with_few_questions<S: Subject>() {
    if S::SIGNS_AT_ONCE {
        return;
    }
    let bench = Bench::<S>::new().await;
    bench.ca.behave(Behaviour::SignsAfter(30));
    bench.run(3 * DAY).await;
    bench.assert_one_order("after thirty looks").await;
}

pub async fn tells_a_person_once_and_waits_for_days<S: Subject>() {
    if !S::ASKS_PEOPLE {
        return;
    }
    let bench = Bench::<S>::new().await;
    bench.ca.behave(Behaviour::WaitsForPerson);
    let before = bench.ca.port().requests().len();
    let began = bench.lab.clock.now();
    bench.lab.run_once().await;
    let waited = began.duration_until(bench.lab.clock.now());
    assert!(
        waited < SignedDuration::from_mins(4),
        "one run waits {waited:#}"
    );
    let renewal = bench.run(3 * DAY).await;
    assert_eq!(renewal.state, State::Submitted, "{:?}", renewal.last_error);
    assert_eq!(bench.told("approval_needed").await, 1);
    let asked = bench.ca.port().requests().len() - before;
    assert!(asked < 600, "{asked} requests in three days");
    bench.ca.approve();
    bench.run(DAY).await;
    bench.assert_one_order("after the approval").await;
}

pub async fn ends_at_once_when_it_is_refused_with_the_words_of_the_ca<S: Subject>() {
    if !S::ENDS_WHEN_REFUSED {
        return;
    }
    let bench = Bench::<S>::new().await;
    bench.ca.behave(Behaviour::Refuses);
    let renewal = bench.run(3 * HOUR).await;
    assert_eq!(renewal.state, State::Failed, "{:?}", renewal.last_error);
    let history = bench.lab.history().await;
    let words = history
        .iter()
        .find(|event| event.name == "renewal_failed")
        .and_then(|event| event.fields["detail"].as_str().map(str::to_owned))
        .unwrap();
    assert!(words.contains(bench.ca.refusal()), "{words}");
    assert!(
        bench.ca.port().counters().orders <= 3,
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
        let bench = Bench::<S>::new().await;
        let before = bench.lab.seen().await;
        bench.ca.port().mischief(mischief);
        bench.run(6 * HOUR).await;
        let renewal = bench.renewal().await;
        assert!(
            renewal.state < State::Issued || renewal.state == State::Failed,
            "{mischief:?}: {}",
            renewal.state
        );
        assert_eq!(bench.lab.seen().await, before, "{mischief:?}");
        assert!(
            bench.told("attention_needed").await + bench.told("approval_needed").await > 0,
            "{mischief:?}: nobody was told"
        );
        assert_eq!(bench.ca.orders(), 1, "{mischief:?}");
        assert_eq!(bench.lab.simulator.counters().imports, 0, "{mischief:?}");
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
        let bench = Bench::<S>::new().await;
        let before = bench.lab.seen().await;
        bench.ca.port().mischief(mischief);
        let renewal = bench.run(4 * DAY).await;
        assert_eq!(renewal.state, State::Issued, "{mischief:?}: {renewal:#?}");
        assert_eq!(renewal.next_attempt_at, None, "{mischief:?}: held");
        assert_eq!(renewal.last_error_kind.as_deref(), Some("already_due"));
        let words = renewal.last_error.clone().unwrap();
        assert!(words.contains(says), "{words}");
        for part in ["is the clock right?", "renewd renew hq-portal"] {
            assert!(words.contains(part), "{words}");
        }
        assert_eq!(bench.told("renewal_held").await, 1, "{mischief:?}");
        assert_eq!(bench.ca.orders(), 1, "{mischief:?}");
        assert_eq!(bench.lab.seen().await, before, "{mischief:?}");
        assert_eq!(bench.lab.simulator.counters().imports, 0, "{mischief:?}");
        if mischief == Mischief::EndsSoon {
            continue;
        }
        // The operator decides to install it. It is due at once, and still not replaced at once.
        let store = bench.lab.store().await;
        bench.lab.decide().await;
        bench.ca.port().mischief(Mischief::Nothing);
        assert_eq!(bench.run(DAY).await.state, State::Completed, "{mischief:?}");
        let installed = renewal.obtained.fingerprint.unwrap();
        assert_eq!(bench.lab.seen().await[0].fingerprint, installed);
        bench.lab.run_once().await;
        assert_eq!(bench.ca.orders(), 1, "{mischief:?}: ordered again at once");
        let row = store.certificate(CERTIFICATE).await.unwrap().unwrap();
        let decision = row.decision.unwrap();
        assert!(decision.contains("due already"), "{decision}");
        let until = row.due_check_at.unwrap();
        assert!(bench.lab.clock.now() + HOUR <= until, "{until}");
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
        let bench = Bench::<S>::new().await;
        bench.ca.port().chain_mischief(mischief);
        bench.run(DAY).await;
        bench.assert_one_order(&format!("{mischief:?}")).await;
    }
}

/// Neither the budget nor a limit is used up by calls that cannot have ordered: where the CA counts no order after a
/// failure, none is counted here.
pub async fn counts_no_order_for_what_fails_before_it_is_placed<S: Subject>() {
    let mut unordered = 0;
    for nth in 1..=calls_of_a_renewal::<S>().await {
        let bench = Bench::<S>::new().await;
        bench.ca.port().fault(On::any(nth), Fault::ServerErrorAfter);
        bench.lab.run_once().await;
        // The order was placed before that call or by it, or all the same.
        let placed = |call: &String| bench.ca.is_placing(call);
        if bench.ca.orders() > 0 || bench.ca.port().requests().iter().any(placed) {
            continue;
        }
        let (ca, step) = ("office", Step::Submit.name());
        let since = bench.lab.clock.now() - DAY;
        let store = bench.lab.store().await;
        let counted = store.orders_since(ca, step, since).await.unwrap();
        assert_eq!(counted, 0, "the failure of call {nth} counts as an order");
        let renewal = bench.renewal().await;
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
    let bench = Bench::<S>::new().await;
    bench.run(DAY).await;
    u32::try_from(bench.ca.port().requests().len()).unwrap()
}

async fn at_every_call<S: Subject>(fault: &Fault) {
    let calls = calls_of_a_renewal::<S>().await;
    assert!(calls >= 2, "only {calls} calls");
    for nth in 1..=calls {
        let bench = Bench::<S>::new().await;
        bench.ca.port().fault(On::any(nth), fault.clone());
        bench.run(2 * DAY).await;
        assert_eq!(bench.ca.port().faults_used(), 1, "call {nth}");
        bench
            .assert_one_order(&format!("{fault:?} at call {nth} of {calls}"))
            .await;
    }
    eprintln!("{fault:?} at each of {calls} calls");
}

pub async fn comes_back_when_it_is_told_to<S: Subject>() {
    for (fault, least) in [
        (Fault::TooManyRequests(RetryAfter::Seconds(1234)), 1234),
        (Fault::Unavailable(RetryAfter::Seconds(77)), 77),
        (Fault::TooManyRequests(RetryAfter::Silent), 50),
    ] {
        let bench = Bench::<S>::new().await;
        bench.ca.port().fault(On::any(1), fault.clone());
        let start = bench.lab.clock.now();
        bench.lab.run_once().await;
        let renewal = bench.renewal().await;
        let wait = start.duration_until(renewal.next_attempt_at.unwrap_or(start));
        assert!(
            wait.as_secs() >= least || renewal.state == State::Completed,
            "{fault:?}: {wait:?}"
        );
        bench.run(DAY).await;
        bench.assert_one_order(&format!("{fault:?}")).await;
    }
}

pub async fn goes_on_when_refused_credentials_are_mended<S: Subject>() {
    if !S::HAS_CREDENTIALS {
        return;
    }
    let bench = Bench::<S>::new().await;
    if !S::SIGNS_AT_ONCE {
        bench.ca.behave(Behaviour::SignsAfter(200));
        bench.lab.run_once().await;
    }
    bench.ca.spoil_credentials(true, &bench.lab);
    let before = bench.ca.port().requests().len();
    bench.run(6 * HOUR).await;
    let renewal = bench.renewal().await;
    assert_eq!(
        renewal.last_error_kind.as_deref(),
        Some("unauthorized"),
        "{:?}",
        renewal.last_error
    );
    let refused = bench.ca.port().requests().len() - before;
    assert!(
        refused < 30,
        "{refused} requests with refused credentials in six hours"
    );
    assert!(bench.told("attention_needed").await > 0);
    bench.ca.spoil_credentials(false, &bench.lab);
    bench.ca.behave(Behaviour::Signs);
    bench.run(30 * DAY).await;
    bench.assert_one_order("with mended credentials").await;
}

pub async fn orders_once_when_killed_between_order_and_reference<S: Subject>() {
    for moment in [
        Moment::Intended(Step::Submit),
        Moment::Acted(Step::Submit),
        Moment::Stored(State::Submitted),
        Moment::Acted(Step::PollIssuance),
    ] {
        let bench = Bench::<S>::new().await;
        let config_file = bench.lab.config_file();
        tokio::task::spawn_blocking(move || kill_at(&config_file, moment))
            .await
            .unwrap();
        bench.run(DAY).await;
        bench
            .assert_one_order(&format!("killed at {moment:?}"))
            .await;
    }
}
