//! Another administrator on the same device: never committed, discarded or pushed aside.

use renewd::failure::FailureKind;
use simulators::sonicos::{Action, NonConfigMode, PendingForm, Profile, Rule};

use super::bench::{Bench, both, request};

#[tokio::test]
async fn a_foreign_change_stops_the_first_write_and_names_whom_to_wait_for() {
    for form in [PendingForm::Paths, PendingForm::Status, PendingForm::Text] {
        let mut bench = Bench::start(Profile::V7_X, |faces| faces.pending_form = form).await;
        bench.settings.preempt_idle_administrator = true;
        bench
            .device
            .other_administrator()
            .has_pending_change("address-object ipv4 office");
        let mut session = bench.session().await;
        let seen = session.foreign_changes().await.unwrap().unwrap();
        assert!(seen.by.contains("another administrator"), "{seen:?}");
        let failure = session.generate_csr("fw-1", &request()).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Busy);
        assert!(
            failure
                .waiting_for
                .unwrap()
                .contains("another administrator")
        );
        let failure = session.bind(&both("fw-initial")).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Busy);
        bench.close(session).await;
        assert_eq!(bench.device.pending().len(), 1, "{form:?}");
        untouched(&bench);
    }
}

#[tokio::test]
async fn a_foreign_change_between_write_and_commit_is_not_committed_and_ours_is_taken_back() {
    for form in [PendingForm::Paths, PendingForm::Text] {
        let bench = Bench::start(Profile::V8, |faces| faces.pending_form = form).await;
        let (mut session, _) = bench.with_certificate("fw-1").await;
        let gate = simulators::sonicos::Gate::new();
        bench.device.rule(Rule::once(
            "PUT",
            "/administration/global",
            Action::HoldAfter(gate.clone()),
        ));
        let wanted = both("fw-1");
        let (outcome, ()) = tokio::join!(session.bind(&wanted), async {
            gate.wait_reached().await;
            bench
                .device
                .other_administrator()
                .has_pending_change("address-object ipv4 office");
            gate.release();
        });
        let failure = outcome.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Busy, "{failure}");
        assert!(failure.waiting_for.is_some());
        let pending = bench.device.pending();
        assert!(
            pending.iter().any(|line| line.contains("address-object")),
            "{pending:?}"
        );
        bench.device.other_administrator().commits();
        bench.close(session).await;
        assert_eq!(
            bench
                .device
                .bound(simulators::sonicos::Port::Management)
                .as_deref(),
            Some("fw-initial")
        );
        untouched(&bench);
    }
}

#[tokio::test]
async fn configuration_mode_is_left_to_an_administrator_unless_it_may_be_taken() {
    for (preempt, changes, expected) in [
        (false, false, Err(FailureKind::Busy)),
        (true, false, Ok(())),
        (true, true, Err(FailureKind::Busy)),
    ] {
        let mut bench = Bench::start(Profile::V7_0, |_| {}).await;
        bench.settings.preempt_idle_administrator = preempt;
        let other = bench.device.other_administrator();
        other.takes_configuration_mode();
        if changes {
            other.has_pending_change("address-object ipv4 office");
        }
        let mut session = bench.session().await;
        assert_eq!(
            session.bindings().await.unwrap().len(),
            2,
            "reading needs no configuration mode"
        );
        let outcome = session.generate_csr("fw-1", &request()).await;
        assert_eq!(outcome.map_err(|failure| failure.kind), expected);
        bench.close(session).await;
        let (taken, given_back) = (
            bench.requests("POST /config-mode"),
            bench.requests("POST /non-config-mode"),
        );
        let once = usize::from(expected.is_ok());
        assert_eq!((taken, given_back), (once, once));
        untouched(&bench);
    }
}

#[tokio::test]
async fn a_device_that_does_not_tell_who_has_configuration_mode_leaves_it_to_them_all_the_same() {
    for preempt in [false, true] {
        let mut bench = Bench::start(Profile::V6_5, |_| {}).await;
        bench.settings.preempt_idle_administrator = preempt;
        let mut session = bench.session().await;
        bench
            .device
            .other_administrator()
            .takes_configuration_mode();
        let outcome = session.generate_csr("fw-1", &request()).await;
        let expected = if preempt {
            Ok(())
        } else {
            Err(FailureKind::Busy)
        };
        assert_eq!(outcome.map_err(|failure| failure.kind), expected);
        assert_eq!(bench.requests("POST /config-mode"), usize::from(preempt));
        bench.close(session).await;
    }
}

#[tokio::test]
async fn configuration_mode_lost_in_between_is_taken_again_only_where_that_is_allowed() {
    for refusal in [
        NonConfigMode::NonConfigMode405,
        NonConfigMode::NotAllowed400,
    ] {
        for preempt in [false, true] {
            let mut bench =
                Bench::start(Profile::V8, |faces| faces.non_config_mode = refusal).await;
            bench.settings.preempt_idle_administrator = preempt;
            let mut session = bench.session().await;
            bench
                .device
                .other_administrator()
                .takes_configuration_mode();
            let outcome = session.generate_csr("fw-1", &request()).await;
            assert_eq!(outcome.is_ok(), preempt, "{outcome:?}");
            assert_eq!(
                bench.device.counters().key_pairs_generated,
                u64::from(preempt)
            );
            bench.close(session).await;
        }
    }
}

#[tokio::test]
async fn an_administrator_who_may_only_read_is_refused_a_write() {
    let bench = Bench::start(Profile::V8, |faces| faces.read_only_administrator = true).await;
    let mut session = bench.session().await;
    let failure = session.generate_csr("fw-1", &request()).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Refused);
    assert!(failure.detail.contains("full rights"), "{failure}");
    bench.close(session).await;
}

fn untouched(bench: &Bench) {
    let counters = bench.device.counters();
    assert_eq!(counters.commits_of_foreign_changes, 0);
    assert_eq!(counters.discards_of_foreign_changes, 0);
}
