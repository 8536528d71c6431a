//! The retry table: which failures are retried, when, and when an operator is needed.
//!
//! Drivers never retry; every repetition is decided here. Pure: jitter is a function of the renewal and the attempt.

use jiff::SignedDuration;

use crate::failure::{Failure, FailureKind};
use crate::inventory::{RenewalId, State};
use crate::pki::Fingerprint;

/// What follows a failed step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Try again after this time.
    After(SignedDuration),
    /// Try again after this time, and raise an alert.
    AfterAndReport(SignedDuration),
    /// Nothing more until an operator requests it.
    Hold,
    /// End it: repeating is of no use.
    GiveUp,
}

/// What the decision depends on.
#[derive(Debug, Clone, Copy)]
pub struct RetryContext<'a> {
    /// The renewal.
    pub renewal: &'a RenewalId,
    /// The state that could not be left.
    pub state: State,
    /// Failures in a row in this state, this one included.
    pub attempt: u32,
    /// How often the same was said in this state, this time included, whatever was waited for in between.
    pub same_cause: u32,
    /// Whether the failure before this one, in a row, was a refusal.
    pub was_refused: bool,
    /// Logins in a row that this firewall refused, this one included.
    pub refused_logins: u32,
    /// Lifetime of the certificate that is being replaced.
    pub lifetime: Option<SignedDuration>,
    /// How much of it is left; negative when it has ended.
    pub left: Option<SignedDuration>,
}

/// Logins that a firewall may refuse in a row before nothing more is tried: SonicOS locks an account after three to
/// five (SonicOS reference 1.4), and an operator may have mistyped once as well.
pub const REFUSED_LOGIN_LIMIT: u32 = 2;

/// Decides what follows `failure`.
pub fn after(failure: &Failure, context: &RetryContext<'_>) -> Retry {
    let wait = wait(failure, context);
    match failure.kind {
        FailureKind::Unauthorized if context.refused_logins >= REFUSED_LOGIN_LIMIT => Retry::Hold,
        // Evidence of an attack: another login may be what the attacker waits for.
        FailureKind::KeyMismatch | FailureKind::LoginDowngrade => Retry::Hold,
        FailureKind::Unauthorized | FailureKind::Untrusted | FailureKind::Local => {
            Retry::AfterAndReport(wait)
        }
        FailureKind::Refused if is_final(context) => Retry::GiveUp,
        FailureKind::Refused | FailureKind::Unexpected => Retry::AfterAndReport(wait),
        FailureKind::Unreachable | FailureKind::Busy | FailureKind::OutcomeUnknown => {
            if is_to_be_reported(failure.kind, context) {
                Retry::AfterAndReport(wait)
            } else {
                Retry::After(wait)
            }
        }
    }
}

/// How long to wait after the `attempt`th failure in a row, without jitter: 1, 10, 100 minutes, then the smaller of
/// a day and a tenth of the lifetime (CA rules reference 4, as Let's Encrypt recommends).
pub fn backoff(attempt: u32, lifetime: Option<SignedDuration>) -> SignedDuration {
    let longest = lifetime.map_or(DAY, |lifetime| (lifetime / 10).clamp(STEPS[0], DAY));
    let index = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
    STEPS.get(index).copied().unwrap_or(DAY).min(longest)
}

/// `wait`, shortened around the end of a certificate: to a quarter of the time that is `left`, or that has passed since,
/// but not below an hour. A firewall that comes back shortly before the end must not be found too late.
pub fn capped_by_expiry(wait: SignedDuration, left: Option<SignedDuration>) -> SignedDuration {
    left.map_or(wait, |left| {
        wait.min((left.abs() / 4).max(SHORTEST_CAPPED_WAIT))
    })
}

/// What the peer asks for where it asks for a time. A time shorter than the table's counts for a few attempts only: a peer
/// that asks for a second each time would be called every second without end. The table begins after those.
fn wait(failure: &Failure, context: &RetryContext<'_>) -> SignedDuration {
    let Some(asked) = failure.retry_after else {
        return by_the_table(context.attempt, failure, context);
    };
    let asked = asked.clamp(SignedDuration::from_secs(1), DAY);
    match context.attempt.checked_sub(SHORT_RETRIES) {
        None | Some(0) => asked,
        Some(attempt) => asked.max(by_the_table(attempt, failure, context)),
    }
}

fn by_the_table(attempt: u32, failure: &Failure, context: &RetryContext<'_>) -> SignedDuration {
    if failure.kind == FailureKind::OutcomeUnknown && context.attempt == 1 {
        // Nothing is repeated, only looked at.
        return FIRST_CHECK;
    }
    let wait = capped_by_expiry(backoff(attempt, context.lifetime), context.left);
    let wait = if is_busy_firewall(failure.kind, context.state) {
        wait.min(longest_busy(context.attempt))
    } else if failure.kind == FailureKind::Refused && !context.was_refused {
        // A peer that has just restarted may have a temporary error, and the long waits were meant for the outage.
        wait.min(STEPS[1])
    } else {
        wait
    };
    jittered(wait, context.renewal, context.attempt)
}

/// Spreads `wait` by up to a tenth in either direction; the same renewal and attempt always get the same.
fn jittered(wait: SignedDuration, renewal: &RenewalId, attempt: u32) -> SignedDuration {
    let digest = Fingerprint::of(format!("{renewal}/{attempt}").as_bytes()).to_string();
    let draw = i64::from(u16::from_str_radix(&digest[..4], 16).unwrap_or(0));
    let tenth = wait.as_millis() / 10;
    let offset = tenth * i128::from(draw * 2 - i64::from(u16::MAX)) / i128::from(u16::MAX);
    wait + SignedDuration::from_millis(i64::try_from(offset).unwrap_or(0))
}

/// The short waits end with the fourth failure in a row, and the operator should know of it. A firewall that another
/// administrator works on is asked far more often than its administrators want alerts: they get one a day.
fn is_to_be_reported(kind: FailureKind, context: &RetryContext<'_>) -> bool {
    let short = u32::try_from(STEPS.len()).unwrap_or(u32::MAX);
    let Some(more) = context.attempt.checked_sub(short + 1) else {
        return false;
    };
    if !is_busy_firewall(kind, context.state) {
        return true;
    }
    let frequent = BUSY_ATTEMPTS.saturating_sub(short + 1);
    more == 0 || (more >= frequent && (more - frequent).is_multiple_of(BUSY_ATTEMPTS_PER_DAY))
}

fn is_busy_firewall(kind: FailureKind, state: State) -> bool {
    kind == FailureKind::Busy && !asks_the_ca_only(state)
}

/// Another administrator's work ends in minutes, not hours. Uncommitted changes may stay for days.
const fn longest_busy(attempt: u32) -> SignedDuration {
    if attempt < BUSY_ATTEMPTS {
        SignedDuration::from_mins(10)
    } else {
        SignedDuration::from_hours(1)
    }
}

/// Whether the step that leaves `state` uses the CA alone. A CA that fails for hours is neither asked nor reported every
/// few minutes.
const fn asks_the_ca_only(state: State) -> bool {
    matches!(state, State::CsrExported | State::Submitted)
}

/// Whether a refusal is final. One that follows an outage may be a temporary error of a peer that has just restarted. The
/// same refusal is final also where something was waited for in between.
const fn is_final(context: &RetryContext<'_>) -> bool {
    let in_a_row = context.attempt >= REFUSALS && context.was_refused;
    (in_a_row || context.same_cause >= REFUSALS) && may_give_up(context.state)
}

/// Once a certificate was issued it is not thrown away: a failed installation never leads to another order.
const fn may_give_up(state: State) -> bool {
    matches!(
        state,
        State::Planned | State::CsrGenerated | State::CsrExported | State::Submitted
    )
}

const STEPS: [SignedDuration; 3] = [
    SignedDuration::from_mins(1),
    SignedDuration::from_mins(10),
    SignedDuration::from_mins(100),
];
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// So many attempts in a row may follow each other as soon as the peer asks.
const SHORT_RETRIES: u32 = 3;
/// This many attempts at a firewall that another administrator works on, some two hours, are minutes apart; later ones are
/// an hour apart.
const BUSY_ATTEMPTS: u32 = 13;
const BUSY_ATTEMPTS_PER_DAY: u32 = 24;
const SHORTEST_CAPPED_WAIT: SignedDuration = SignedDuration::from_hours(1);
const FIRST_CHECK: SignedDuration = SignedDuration::from_secs(5);
/// A refusal after this many failures, repeated minutes apart, is no temporary error of the device.
pub const REFUSALS: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn context(id: &RenewalId, attempt: u32) -> RetryContext<'_> {
        RetryContext {
            renewal: id,
            state: State::CsrGenerated,
            attempt,
            same_cause: 1,
            was_refused: false,
            refused_logins: 0,
            lifetime: None,
            left: None,
        }
    }

    fn failure(kind: FailureKind) -> Failure {
        Failure::new(kind, "GET /version", "as reported")
    }

    #[test]
    fn waits_are_one_ten_and_a_hundred_minutes_then_a_day() {
        let minutes: Vec<i64> = (1..=5)
            .map(|attempt| backoff(attempt, None).as_mins())
            .collect();
        assert_eq!(minutes, [1, 10, 100, 1440, 1440]);
    }

    #[test]
    fn no_wait_is_longer_than_a_tenth_of_the_lifetime_nor_shorter_than_a_minute() {
        for hours in [1, 24, 160, 90 * 24] {
            let lifetime = SignedDuration::from_hours(hours);
            for attempt in 1..10 {
                let wait = backoff(attempt, Some(lifetime));
                assert!(
                    wait <= (lifetime / 10).max(SignedDuration::from_mins(1)),
                    "{hours} h, attempt {attempt}"
                );
                assert!(wait >= SignedDuration::from_mins(1));
            }
        }
    }

    #[test]
    fn waits_shrink_around_the_end_of_the_certificate_but_not_below_an_hour() {
        let hours = |left| capped_by_expiry(DAY, Some(SignedDuration::from_hours(left))).as_hours();
        assert_eq!(
            [1000, 96, 40, 8, 2, -2, -96].map(hours),
            [24, 24, 10, 2, 1, 1, 24]
        );
        let minute = SignedDuration::from_mins(1);
        assert_eq!(capped_by_expiry(minute, Some(SignedDuration::ZERO)), minute);
        assert_eq!(capped_by_expiry(DAY, None), DAY);
    }

    #[test]
    fn jitter_stays_within_a_tenth_repeats_itself_and_spreads_a_fleet() {
        let waits: std::collections::BTreeSet<i128> = (0..500)
            .map(|n| {
                let id = RenewalId(format!("r{n}"));
                let wait = jittered(SignedDuration::from_mins(100), &id, 3);
                assert_eq!(wait, jittered(SignedDuration::from_mins(100), &id, 3));
                assert!(
                    (wait - SignedDuration::from_mins(100)).abs() <= SignedDuration::from_mins(10)
                );
                wait.as_secs().into()
            })
            .collect();
        assert!(waits.len() > 300, "only {} different waits", waits.len());
    }

    #[test]
    fn what_the_peer_asks_for_wins() {
        let id = RenewalId("r".to_owned());
        let failure = failure(FailureKind::Busy).retry_after(SignedDuration::from_secs(77));
        assert_eq!(
            after(&failure, &context(&id, 3)),
            Retry::After(SignedDuration::from_secs(77))
        );
    }

    /// The waits after `attempts` failures in a row of `kind` in `state`, each with a request for `asked` seconds, and how many
    /// of them are reported.
    fn waits_asked(state: State, asked: i64, attempts: u32) -> (Vec<SignedDuration>, usize) {
        let id = RenewalId("r".to_owned());
        let failure = failure(FailureKind::Busy).retry_after(SignedDuration::from_secs(asked));
        let after = |attempt| {
            let context = RetryContext {
                state,
                ..context(&id, attempt)
            };
            after(&failure, &context)
        };
        let all: Vec<Retry> = (1..=attempts).map(after).collect();
        let reported = all
            .iter()
            .filter(|one| matches!(one, Retry::AfterAndReport(_)));
        let reported = reported.count();
        let waits = all.into_iter().map(|retry| match retry {
            Retry::After(wait) | Retry::AfterAndReport(wait) => wait,
            other => panic!("{other:?}"),
        });
        (waits.collect(), reported)
    }

    #[test]
    fn a_short_wait_that_is_asked_for_each_time_counts_three_times_and_then_the_table_begins() {
        for state in [State::CsrExported, State::Submitted] {
            let (waits, reported) = waits_asked(state, 1, 8);
            assert!(
                waits[..3].iter().all(|wait| wait.as_secs() == 1),
                "{waits:?}"
            );
            let table = [1, 10, 100, 1440, 1440].map(SignedDuration::from_mins);
            for (wait, table) in waits[3..].iter().zip(table) {
                assert!((*wait - table).abs() <= table / 10, "{state}: {waits:?}");
            }
            assert_eq!(reported, 5);
        }
    }

    #[test]
    fn a_firewall_that_asks_for_seconds_each_time_is_called_some_dozens_of_times_a_day_and_reported_twice()
     {
        let (waits, _) = waits_asked(State::VerificationFailed, 5, 100);
        let mut passed = SignedDuration::ZERO;
        let a_day = waits.iter().take_while(|wait| {
            passed += **wait;
            passed <= DAY
        });
        let a_day = u32::try_from(a_day.count()).unwrap_or(u32::MAX);
        assert!((30..45).contains(&a_day), "{a_day} attempts in a day");
        let (_, reported) = waits_asked(State::VerificationFailed, 5, a_day);
        assert_eq!(reported, 2, "reported in a day");
    }

    #[test]
    fn a_wait_that_is_longer_than_the_table_has_is_granted_at_each_attempt() {
        let (waits, _) = waits_asked(State::VerificationFailed, 2 * 60 * 60, 40);
        assert!(waits.iter().all(|wait| wait.as_hours() == 2), "{waits:?}");
    }

    #[test]
    fn a_busy_ca_backs_off_to_a_day_and_is_reported_each_time() {
        let id = RenewalId("r".to_owned());
        for state in [State::CsrExported, State::Submitted] {
            let context = RetryContext {
                state,
                ..context(&id, 9)
            };
            match after(&failure(FailureKind::Busy), &context) {
                Retry::AfterAndReport(wait) => assert!((21..=27).contains(&wait.as_hours())),
                other => panic!("{state}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_busy_firewall_is_asked_every_ten_minutes_then_hourly_and_reported_once_a_day() {
        let id = RenewalId("r".to_owned());
        let mut waited = SignedDuration::ZERO;
        let mut reported = Vec::new();
        for attempt in 1..=60 {
            let context = RetryContext {
                state: State::Imported,
                ..context(&id, attempt)
            };
            let (wait, is_reported) = match after(&failure(FailureKind::Busy), &context) {
                Retry::After(wait) => (wait, false),
                Retry::AfterAndReport(wait) => (wait, true),
                other => panic!("attempt {attempt}: {other:?}"),
            };
            assert!(wait.as_mins() <= if attempt < BUSY_ATTEMPTS { 11 } else { 66 });
            if is_reported {
                reported.push((attempt, waited.as_hours()));
            }
            waited += wait;
        }
        assert_eq!(reported, [(4, 0), (13, 1), (37, 26)]);
    }

    #[test]
    fn a_second_refused_login_holds_the_renewal() {
        let id = RenewalId("r".to_owned());
        let first = RetryContext {
            refused_logins: 1,
            ..context(&id, 1)
        };
        let second = RetryContext {
            refused_logins: 2,
            ..context(&id, 2)
        };
        assert!(matches!(
            after(&failure(FailureKind::Unauthorized), &first),
            Retry::AfterAndReport(_)
        ));
        assert_eq!(
            after(&failure(FailureKind::Unauthorized), &second),
            Retry::Hold
        );
    }

    #[test]
    fn a_login_that_is_weaker_than_before_holds_the_renewal_at_once() {
        let id = RenewalId("r".to_owned());
        let failure = failure(FailureKind::LoginDowngrade);
        assert_eq!(after(&failure, &context(&id, 1)), Retry::Hold);
    }

    #[test]
    fn a_repeated_refusal_ends_it_before_the_issuance_but_never_after() {
        let id = RenewalId("r".to_owned());
        let refused = failure(FailureKind::Refused);
        let again = RetryContext {
            was_refused: true,
            ..context(&id, 3)
        };
        assert_eq!(after(&refused, &again), Retry::GiveUp);
        let bound = RetryContext {
            state: State::VerificationFailed,
            attempt: 30,
            ..again
        };
        assert!(matches!(after(&refused, &bound), Retry::AfterAndReport(_)));
    }

    #[test]
    fn a_refusal_in_the_same_words_ends_it_whatever_was_waited_for_in_between() {
        let id = RenewalId("r".to_owned());
        let refused = failure(FailureKind::Refused);
        let said = |same_cause| RetryContext {
            same_cause,
            ..context(&id, 1)
        };
        assert!(matches!(
            after(&refused, &said(2)),
            Retry::AfterAndReport(_)
        ));
        assert_eq!(after(&refused, &said(3)), Retry::GiveUp);
        let issued = RetryContext {
            state: State::Issued,
            ..said(30)
        };
        assert!(matches!(after(&refused, &issued), Retry::AfterAndReport(_)));
    }

    #[test]
    fn a_single_refusal_after_an_outage_ends_nothing() {
        let id = RenewalId("r".to_owned());
        let refused = failure(FailureKind::Refused);
        for attempt in 1..10 {
            let outage_before = context(&id, attempt);
            assert!(
                matches!(after(&refused, &outage_before), Retry::AfterAndReport(_)),
                "attempt {attempt}"
            );
        }
    }

    #[test]
    fn the_first_refusal_after_an_outage_is_repeated_soon_and_the_second_waits_as_long_as_any() {
        let id = RenewalId("r".to_owned());
        let refused = failure(FailureKind::Refused);
        let minutes = |was_refused| {
            let context = RetryContext {
                state: State::Issued,
                was_refused,
                ..context(&id, 20)
            };
            match after(&refused, &context) {
                Retry::AfterAndReport(wait) => wait.as_mins(),
                other => panic!("{other:?}"),
            }
        };
        assert!((9..=11).contains(&minutes(false)));
        assert!(minutes(true) > 20 * 60);
    }

    #[test]
    fn a_lost_answer_is_looked_into_at_once() {
        let id = RenewalId("r".to_owned());
        assert_eq!(
            after(&failure(FailureKind::OutcomeUnknown), &context(&id, 1)),
            Retry::After(FIRST_CHECK)
        );
    }
}
