//! kill -9 at every moment of every step, then a start like any other: one key pair, one signature, proven.
//!
//! The daemon that is killed runs in a process of its own: this test binary again, controlled by its environment.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use async_trait::async_trait;
use renewd::clock::ManualClock;
use renewd::inventory::State;
use renewd::renewal::{Checkpoint, Moment, Step};
use renewd::store::CommitObserver;
use simulators::sonicos::{On, Profile, Variants};

use crate::test_bed::{self, TestBed};

/// The steps of a renewal that succeeds.
pub const FORWARD: [Step; 8] = [
    Step::GenerateCsr,
    Step::ExportCsr,
    Step::Submit,
    Step::PollIssuance,
    Step::Import,
    Step::Bind,
    Step::Verify,
    Step::RetireOld,
];

/// Every moment through which a renewal passes that succeeds.
fn forward_moments() -> Vec<Moment> {
    let mut moments = Vec::new();
    for step in FORWARD {
        moments.push(Moment::Before(step));
        if matches!(
            step,
            Step::GenerateCsr | Step::Submit | Step::Import | Step::Bind
        ) {
            moments.push(Moment::Intended(step));
        }
        moments.push(Moment::Acted(step));
    }
    let reached = State::ALL
        .into_iter()
        .filter(|state| *state != State::Planned && *state <= State::Verified);
    moments.extend(reached.map(Moment::Stored));
    moments.push(Moment::Stored(State::Completed));
    moments
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_a_renewal_continues_without_a_second_key_pair_or_signature() {
    let moments = forward_moments();
    for moment in &moments {
        let bed = TestBed::new(Profile::V8).await;
        kill_at(&bed.config_file(), *moment);
        let report = bed.run_once().await;
        assert!(
            !report.has_failed(),
            "after a kill at {moment:?}: {report:#?}"
        );
        eprintln!("killed at {moment:?}");
        bed.assert_renewed_once().await;
    }
    eprintln!("killed and recovered at {} moments", moments.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_rolling_back_the_previous_certificate_is_still_verified() {
    let moments = [
        Moment::Stored(State::VerificationFailed),
        Moment::Before(Step::RollBack),
        Moment::Intended(Step::RollBack),
        Moment::Acted(Step::RollBack),
        Moment::Stored(State::RolledBack),
    ];
    for moment in moments {
        let variants = Variants {
            serve_wrong_certificate_after_bind: On::SslVpn,
            ..Variants::kind()
        };
        let bed = TestBed::with(Profile::V8, variants).await;
        let before = bed.seen().await;
        kill_at(&bed.config_file(), moment);
        bed.run_once().await;
        let renewals = bed.renewals().await;
        assert_eq!(renewals.len(), 1, "{moment:?}");
        assert_eq!(
            renewals[0].state,
            State::RolledBack,
            "{moment:?}: {:?}",
            renewals[0].last_error
        );
        assert_eq!(bed.seen().await, before, "{moment:?}");
        bed.assert_left_in_order();
    }
}

/// Runs the daemon in a process that kills itself, as `kill -9` does, when `moment` is reached.
pub fn kill_at(config_file: &Path, moment: Moment) {
    let status = Command::new(std::env::current_exe().unwrap())
        .args([
            "survives_crash::a_daemon_that_is_to_be_killed",
            "--exact",
            "--nocapture",
        ])
        .env(CONFIG, config_file)
        .env(MOMENT, format!("{moment:?}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    assert_eq!(signal, Some(9), "{moment:?} was never reached: {status}");
}

/// Not a test by itself: the process that is killed by the tests above.
#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_to_be_killed() {
    let (Ok(config), Ok(moment)) = (std::env::var(CONFIG), std::env::var(MOMENT)) else {
        return;
    };
    let clock = Arc::new(ManualClock::new(test_bed::TODAY.parse().unwrap()));
    let deadly = Arc::new(Deadly { moment });
    // A single run does not wait for an operator, nor for long.
    for _ in 0..MOST_RUNS {
        let deadly = Arc::clone(&deadly) as Arc<dyn Checkpoint>;
        test_bed::run_once(Path::new(&config), Arc::clone(&clock), deadly).await;
        clock.advance(jiff::SignedDuration::from_mins(1));
    }
}

#[derive(Debug)]
struct Deadly {
    moment: String,
}

impl CommitObserver for Deadly {}

#[async_trait]
impl Checkpoint for Deadly {
    async fn pass(&self, moment: Moment) {
        if format!("{moment:?}") != self.moment {
            return;
        }
        let own = std::process::id().to_string();
        Command::new("kill").args(["-9", &own]).status().unwrap();
        loop {
            std::thread::park();
        }
    }
}

/// Until the moment is reached.
const MOST_RUNS: usize = 10;
const CONFIG: &str = "RENEWD_TEST_CONFIG";
const MOMENT: &str = "RENEWD_TEST_KILL_AT";
