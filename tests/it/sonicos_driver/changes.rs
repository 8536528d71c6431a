//! Another administrator on the same device: never committed, discarded or pushed aside.

use renewd::failure::{Failure, FailureKind};
use renewd::firewall::{Binding, Firewall};
use renewd::inventory::Service;
use simulators::sonicos::{Action, Barrier, NonConfigMode, PendingForm, Port, Profile, Rule};

use super::fixture::{Fixture, Office, both, request};

/// Every form in which a device may answer that something waits for a commit, or that nothing does.
pub const FORMS: [PendingForm; 12] = [
    PendingForm::Paths,
    PendingForm::Status,
    PendingForm::Text,
    PendingForm::Sentence,
    PendingForm::Message,
    PendingForm::MessageOrSuccess,
    PendingForm::SentenceOrEmpty,
    PendingForm::Flag,
    PendingForm::Count,
    PendingForm::Author,
    PendingForm::List,
    PendingForm::PathsInEnvelope,
];

/// The device's own certificate on both services.
fn self_signed() -> Vec<Binding> {
    let services = Service::ALL.into_iter();
    services
        .map(|service| Binding {
            service,
            alias: None,
        })
        .collect()
}

#[tokio::test]
async fn our_own_change_is_committed_in_every_form_of_pending_answer() {
    for profile in [Profile::V6_5, Profile::V7_X, Profile::V8] {
        for form in FORMS {
            for cli_member in [true, false] {
                let fixture = Fixture::start(profile, |variants| {
                    (variants.pending_form, variants.cli_member) = (form, cli_member);
                })
                .await;
                let mut session = fixture.session().await;
                let bound = session.bind(&self_signed()).await;
                assert!(bound.is_ok(), "{profile:?} {form:?}: {bound:?}");
                // The certificate on the port may have changed under us.
                let _ = session.close().await;
                assert_eq!(fixture.device.bound(Port::Management), None, "{form:?}");
                assert_eq!(fixture.device.bound(Port::SslVpn), None, "{form:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_change_at_any_request_is_neither_committed_nor_discarded_in_any_form() {
    const CHANGE: &str = "address-object ipv4 office";
    for profile in [Profile::V8, Profile::V6_5] {
        for form in FORMS.into_iter().chain([PendingForm::Silent]) {
            for number in 1.. {
                let mut fixture = Fixture::start(profile, |variants| {
                    (variants.pending_form, variants.cli_member) = (form, number % 2 == 0);
                })
                .await;
                fixture.settings.preempt_idle_administrator = number % 3 != 0;
                let other = fixture.device.other_administrator();
                other.comes_at_request(number, CHANGE);
                let _ = everything(&fixture, profile).await;
                untouched(&fixture);
                let journal = fixture.device.journal();
                if !journal
                    .iter()
                    .any(|line| line.contains("comes and changes"))
                {
                    break;
                }
                let pending = fixture.device.pending();
                assert!(
                    pending.iter().any(|line| line.contains(CHANGE)),
                    "{profile:?} {form:?} request {number}: {journal:#?}"
                );
            }
        }
    }
}

/// All that changes a device, in one session; on 6.5 the binding only.
async fn everything(fixture: &Fixture, profile: Profile) -> Result<(), Failure> {
    let mut session = fixture.open(&[]).await?;
    let done = change_all(session.as_mut(), profile).await;
    let _ = session.close().await;
    done
}

async fn change_all(session: &mut dyn Firewall, profile: Profile) -> Result<(), Failure> {
    if profile != Profile::V6_5 {
        session.generate_csr("fw-1", &request()).await?;
        session.import_chain(&[Office::new().certificate()]).await?;
        session.remove("fw-1").await?;
    }
    session.bind(&self_signed()).await
}

#[tokio::test]
async fn on_a_device_that_never_lists_pending_changes_nothing_is_committed() {
    for cli_member in [true, false] {
        let fixture = Fixture::start(Profile::V7_X, |variants| {
            (variants.pending_form, variants.cli_member) = (PendingForm::Silent, cli_member);
        })
        .await;
        let mut session = fixture.session().await;
        let failure = session.bind(&self_signed()).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Busy, "{failure}");
        assert!(failure.detail.contains("neither yes nor no"), "{failure}");
        fixture.close(session).await;
        assert_eq!(fixture.requests("POST /config/pending"), 0);
        let bound = fixture.device.bound(Port::Management);
        assert_eq!(bound.as_deref(), Some("fw-initial"));
    }
    // What it commits itself is seen in its settings.
    let fixture = Fixture::start(Profile::V7_X, |variants| {
        (variants.pending_form, variants.cli_member) = (PendingForm::Silent, false);
        variants.auto_commit = true;
    })
    .await;
    let mut session = fixture.session().await;
    session.bind(&self_signed()).await.unwrap();
    let _ = session.close().await;
    assert_eq!(fixture.device.bound(Port::Management), None);
}

#[tokio::test]
async fn a_change_made_just_before_configuration_mode_is_taken_is_seen_after_it() {
    for form in FORMS {
        let mut fixture =
            Fixture::start(Profile::V7_X, |variants| variants.pending_form = form).await;
        fixture.settings.preempt_idle_administrator = true;
        let other = fixture.device.other_administrator();
        other.takes_configuration_mode();
        let barrier = Barrier::new();
        let take = Rule::once("POST", "/config-mode", Action::HoldBefore(barrier.clone()));
        fixture.device.rule(take);
        let mut session = fixture.session().await;
        let wanted = self_signed();
        let (outcome, ()) = tokio::join!(session.bind(&wanted), async {
            barrier.wait_reached().await;
            other.has_pending_change("address-object ipv4 office");
            barrier.release();
        });
        assert_eq!(outcome.unwrap_err().kind, FailureKind::Busy, "{form:?}");
        fixture.close(session).await;
        assert_eq!(fixture.device.pending().len(), 1, "{form:?}");
        untouched(&fixture);
    }
}

#[tokio::test]
async fn a_foreign_change_stops_the_first_write_and_names_the_other_administrator() {
    for form in FORMS {
        let mut fixture =
            Fixture::start(Profile::V7_X, |variants| variants.pending_form = form).await;
        fixture.settings.preempt_idle_administrator = true;
        fixture
            .device
            .other_administrator()
            .has_pending_change("address-object ipv4 office");
        let mut session = fixture.session().await;
        let seen = session.pending_changes_of_others().await.unwrap().unwrap();
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
        fixture.close(session).await;
        assert_eq!(fixture.device.pending().len(), 1, "{form:?}");
        untouched(&fixture);
    }
}

#[tokio::test]
async fn a_foreign_change_between_write_and_commit_is_not_committed_and_ours_is_taken_back() {
    for form in [PendingForm::Paths, PendingForm::Text] {
        let fixture = Fixture::start(Profile::V8, |variants| variants.pending_form = form).await;
        let (mut session, _) = fixture.with_certificate("fw-1").await;
        let barrier = Barrier::new();
        fixture.device.rule(Rule::once(
            "PUT",
            "/administration/global",
            Action::HoldAfter(barrier.clone()),
        ));
        let wanted = both("fw-1");
        let (outcome, ()) = tokio::join!(session.bind(&wanted), async {
            barrier.wait_reached().await;
            fixture
                .device
                .other_administrator()
                .has_pending_change("address-object ipv4 office");
            barrier.release();
        });
        let failure = outcome.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Busy, "{failure}");
        assert!(failure.waiting_for.is_some());
        let pending = fixture.device.pending();
        assert!(
            pending.iter().any(|line| line.contains("address-object")),
            "{pending:?}"
        );
        fixture.device.other_administrator().commits();
        fixture.close(session).await;
        assert_eq!(
            fixture.device.bound(Port::Management).as_deref(),
            Some("fw-initial")
        );
        untouched(&fixture);
    }
}

#[tokio::test]
async fn configuration_mode_is_left_to_an_administrator_unless_it_may_be_taken() {
    for (preempt, changes, expected) in [
        (false, false, Err(FailureKind::Busy)),
        (true, false, Ok(())),
        (true, true, Err(FailureKind::Busy)),
    ] {
        let mut fixture = Fixture::start(Profile::V7_0, |_| {}).await;
        fixture.settings.preempt_idle_administrator = preempt;
        let other = fixture.device.other_administrator();
        other.takes_configuration_mode();
        if changes {
            other.has_pending_change("address-object ipv4 office");
        }
        let mut session = fixture.session().await;
        assert_eq!(
            session.bindings().await.unwrap().len(),
            2,
            "reading needs no configuration mode"
        );
        let outcome = session.generate_csr("fw-1", &request()).await;
        assert_eq!(outcome.map_err(|failure| failure.kind), expected);
        fixture.close(session).await;
        let (taken, given_back) = (
            fixture.requests("POST /config-mode"),
            fixture.requests("POST /non-config-mode"),
        );
        let once = usize::from(expected.is_ok());
        assert_eq!((taken, given_back), (once, once));
        untouched(&fixture);
    }
}

#[tokio::test]
async fn configuration_mode_is_left_to_its_holder_even_where_the_device_does_not_name_the_holder() {
    for preempt in [false, true] {
        let mut fixture = Fixture::start(Profile::V6_5, |_| {}).await;
        fixture.settings.preempt_idle_administrator = preempt;
        let mut session = fixture.session().await;
        fixture
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
        assert_eq!(fixture.requests("POST /config-mode"), usize::from(preempt));
        fixture.close(session).await;
    }
}

#[tokio::test]
async fn configuration_mode_lost_in_between_is_taken_again_only_where_that_is_allowed() {
    for refusal in [
        NonConfigMode::NonConfigMode405,
        NonConfigMode::NotAllowed400,
    ] {
        for preempt in [false, true] {
            let mut fixture =
                Fixture::start(Profile::V8, |variants| variants.non_config_mode = refusal).await;
            fixture.settings.preempt_idle_administrator = preempt;
            let mut session = fixture.session().await;
            fixture
                .device
                .other_administrator()
                .takes_configuration_mode();
            let outcome = session.generate_csr("fw-1", &request()).await;
            assert_eq!(outcome.is_ok(), preempt, "{outcome:?}");
            assert_eq!(
                fixture.device.counters().key_pairs_generated,
                u64::from(preempt)
            );
            fixture.close(session).await;
        }
    }
}

#[tokio::test]
async fn configuration_mode_that_is_kept_from_us_is_waited_for() {
    let mut fixture = Fixture::start(Profile::V7_X, |variants| {
        variants.configuration_mode_kept = true;
    })
    .await;
    fixture.settings.preempt_idle_administrator = true;
    let other = fixture.device.other_administrator();
    other.takes_configuration_mode();
    let mut session = fixture.session().await;
    let failure = session.generate_csr("fw-1", &request()).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Busy, "{failure}");
    let holder = failure.waiting_for.unwrap();
    assert!(holder.contains("another administrator"), "{holder}");
    other.leaves();
    session.generate_csr("fw-1", &request()).await.unwrap();
    fixture.close(session).await;
}

#[tokio::test]
async fn free_configuration_mode_is_requested_whatever_preempting_says() {
    for (has_holder, expected) in [(false, Ok(())), (true, Err(FailureKind::Busy))] {
        let fixture = Fixture::start(Profile::V7_0, |variants| {
            variants.login_reports_holder = true;
            variants.login_without_configuration_mode = true;
        })
        .await;
        if has_holder {
            fixture
                .device
                .other_administrator()
                .takes_configuration_mode();
        }
        let mut session = fixture.session().await;
        let outcome = session.generate_csr("fw-1", &request()).await;
        assert_eq!(outcome.map_err(|failure| failure.kind), expected);
        fixture.close(session).await;
    }
}

#[tokio::test]
async fn a_read_only_administrator_is_refused_a_write() {
    let fixture = Fixture::start(Profile::V8, |variants| {
        variants.read_only_administrator = true;
    })
    .await;
    let mut session = fixture.session().await;
    let failure = session.generate_csr("fw-1", &request()).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Refused);
    assert!(failure.detail.contains("full rights"), "{failure}");
    fixture.close(session).await;
}

fn untouched(fixture: &Fixture) {
    let counters = fixture.device.counters();
    assert_eq!(counters.commits_of_foreign_changes, 0);
    assert_eq!(counters.discards_of_foreign_changes, 0);
}
