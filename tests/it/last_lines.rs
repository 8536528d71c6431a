//! Every scenario in which a renewal cannot simply be completed: `run --once` ends, with an exit code and a last line that
//! names the certificate with its firewall and CA, the problem, and what to do; `status` and `explain` say the same.

mod addresses;
mod attacks;
mod authorities;
mod devices;
mod put_back;

use jiff::SignedDuration;
use renewd::cli::Summary;
use renewd::clock::Clock;
use renewd::status;

use crate::test_bed::{CERTIFICATE, TestBed};

pub const HOUR: SignedDuration = SignedDuration::from_hours(1);
pub const DAY: SignedDuration = SignedDuration::from_hours(24);

/// The output of the last run of a scenario, and of the other commands after it.
#[derive(Debug)]
pub struct RunOutput {
    code: u8,
    line: String,
    reason: String,
    now: String,
    to_do: String,
}

/// Runs again whenever something is due, as long as that is within `longest`. Each run has to end by itself, with few
/// logins and a line that is whole.
pub async fn live(bed: &TestBed, longest: SignedDuration) -> RunOutput {
    let end = bed.clock.now() + longest;
    for _ in 0..MOST_RUNS {
        let reported = once(bed).await;
        let newest = bed.renewals().await.into_iter().next();
        let next = newest.filter(|renewal| !renewal.state.is_end());
        let soonest = bed.clock.now() + SignedDuration::from_secs(1);
        match next.and_then(|renewal| renewal.next_attempt_at) {
            Some(at) if at < end => bed.clock.set(at.max(soonest)),
            _ => return reported,
        }
    }
    panic!("{:#?}", bed.renewals().await);
}

/// One `run --once`.
pub async fn once(bed: &TestBed) -> RunOutput {
    let before = bed.simulator.counters().logins;
    let report = bed.run_once().await;
    let logins = bed.simulator.counters().logins - before;
    assert!(logins <= MOST_LOGINS, "{logins} logins in one run");
    let (store, config, now) = (bed.store().await, bed.config(), bed.clock.now());
    let summary = Summary::of(&store, &config, &report, now).await.unwrap();
    let wanted = &config.certificates[CERTIFICATE];
    let overview = status::overview(&store, &config, now).await.unwrap();
    let explanation = status::explain(&store, &config, wanted, now).await;
    store.close().await;
    let explanation = explanation.unwrap().expect("the certificate is known");
    let reported = RunOutput {
        code: u8::from(!summary.problems.is_empty()),
        line: summary.last_line().unwrap_or_default(),
        reason: overview[0].reason.clone(),
        now: explanation.now.join("\n"),
        to_do: explanation.to_do.join("\n"),
    };
    assert_eq!(overview[0].reason, explanation.standing.reason);
    assert!(
        reported.code == 0 || overview[0].health.is_bad() || reported.waits_for_operator(),
        "{reported:#?}"
    );
    reported.assert_whole();
    reported
}

impl RunOutput {
    /// The exit code, the problem and the remedy, each by its parts; the first part of each also where the other commands
    /// say it.
    #[track_caller]
    pub fn is(&self, code: u8, problem: &[&str], remedy: &[&str]) {
        assert_eq!(self.code, code, "{self:#?}");
        let (says, to_do) = self.parts();
        for part in problem {
            assert!(says.contains(part), "no {part:?} in {self:#?}");
        }
        for part in remedy {
            assert!(to_do.contains(part), "no {part:?} to do in {self:#?}");
        }
        let (problem, remedy) = (problem[0], remedy[0]);
        assert!(self.reason.contains(problem), "status: {self:#?}");
        assert!(self.now.contains(problem), "explain, now: {self:#?}");
        let is_idle = to_do.starts_with("nothing") && !to_do.contains("renewd renew");
        let is_reported = is_idle || self.to_do.contains(remedy);
        assert!(is_reported, "explain, to do: {self:#?}");
    }

    fn parts(&self) -> (&str, &str) {
        self.line.split_once("; what to do: ").expect(&self.line)
    }

    /// A wait of which an alert was raised.
    fn waits_for_operator(&self) -> bool {
        ["approve", "order_budget", "look into the account", "--now"]
            .iter()
            .any(|part| self.line.contains(part))
    }

    fn assert_whole(&self) {
        if self.line.is_empty() {
            assert_eq!(self.code, 0, "{self:#?}");
            return;
        }
        let begins = if self.code == 0 {
            "waits: "
        } else {
            "needs attention: "
        };
        let peers = format!("{begins}hq-portal (firewall hq, CA office): ");
        assert!(self.line.starts_with(&peers), "{self:#?}");
        let (says, to_do) = self.parts();
        assert!(says.len() > peers.len() + 10, "{self:#?}");
        assert!(to_do.len() > 10, "{self:#?}");
    }
}

/// Of one scenario.
const MOST_RUNS: usize = 100;
/// A whole renewal that is rolled back needs nine. A firewall that never lists its key pair is looked at for the five minutes
/// of a run.
const MOST_LOGINS: u64 = 15;
