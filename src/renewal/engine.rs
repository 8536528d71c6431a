//! Takes a claimed renewal as far as it goes now: step, fact, transition table, store, event; then the next step.
//!
//! There is one path. Start-up, retry and ordinary running differ only in the row that they begin with.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::checkpoint::{Checkpoint, Moment};
use super::peers::Peers;
use super::retry::{self, Retry, Situation};
use super::state::{self, Fact, Step};
use super::step::{self, Outcome, StepError, Waiting, Work};
use crate::config::Desired;
use crate::event::{Event, EventKind};
use crate::failure::{Failure, FailureKind};
use crate::firewall;
use crate::inventory::due::{self, Decision, Facts};
use crate::inventory::{
    ManagedCertificate, Obtained, Renewal, RenewalId, Service, Shown, State, TrackedCertificate,
};
use crate::pki::{Certificate, Fingerprint};
use crate::store::{Ending, Lease, Store, StoreError};
use crate::surroundings::Surroundings;

/// Works on renewals of one configuration.
#[derive(Debug)]
pub struct Engine {
    /// What is wanted.
    pub desired: Arc<Desired>,
    /// The store.
    pub store: Store,
    /// The outside world.
    pub peers: Arc<dyn Peers>,
    /// The time and randomness.
    pub surroundings: Surroundings,
    /// Told of every moment.
    pub checkpoint: Arc<dyn Checkpoint>,
}

/// What the engine knows of a claimed renewal's certificate.
struct Context {
    wanted: Arc<ManagedCertificate>,
    tracked: TrackedCertificate,
    also_trusted: Vec<Fingerprint>,
}

/// How long a claim holds; renewed at every step, so it must outlast the slowest step.
pub const LEASE: SignedDuration = SignedDuration::from_mins(6);
const PANICKED: &str =
    "the step panicked: a defect of renewd; the log of this moment has its place";
/// Every step ends within this time, whatever its peers do.
const STEP_LIMIT: Duration = Duration::from_mins(5);

impl Engine {
    /// Takes steps until the renewal waits, fails, ends, or `stop` is called; then gives the claim back.
    ///
    /// # Errors
    /// Only the store's: what peers do wrong is stored as the renewal's own story.
    pub async fn work(&self, mut lease: Lease, stop: &CancellationToken) -> Result<(), StoreError> {
        let result = self.steps(&mut lease, stop).await;
        match (result, self.store.release(lease).await) {
            // Another daemon took over; what it does counts.
            (Err(StoreError::LeaseLost), _) | (Ok(()), Err(StoreError::LeaseLost) | Ok(())) => {
                Ok(())
            }
            (Err(error), _) | (Ok(()), Err(error)) => Err(error),
        }
    }

    /// Stores that the work on `renewal` ended in a panic: this renewal fails, the daemon lives.
    ///
    /// # Errors
    /// The store's.
    pub async fn after_panic(
        &self,
        renewal: &RenewalId,
        owner: &str,
        token: i64,
    ) -> Result<(), StoreError> {
        let Some(renewal) = self.store.renewal(renewal).await? else {
            return Ok(());
        };
        let now = self.now();
        let attempt = renewal.attempts.saturating_add(1);
        let until = later(now, retry::backoff(attempt, None));
        let kind = FailureKind::Unexpected.name();
        let event = Event {
            attempt: Some(attempt),
            error_kind: Some(kind.to_owned()),
            detail: Some(PANICKED.to_owned()),
            next_attempt_at: Some(until),
            ..Event::of_renewal(EventKind::PersonNeeded, &renewal)
        };
        let lease = Lease {
            renewal,
            owner: owner.to_owned(),
            token,
            until: now,
        };
        let events = std::slice::from_ref(&event);
        self.store
            .postpone(&lease, attempt, Some(until), kind, PANICKED, events, now)
            .await?;
        event.log();
        self.store.release(lease).await
    }

    async fn steps(&self, lease: &mut Lease, halt: &CancellationToken) -> Result<(), StoreError> {
        while !halt.is_cancelled() {
            let Some(step) = Step::leaving(lease.renewal.state) else {
                return Ok(());
            };
            let now = self.now();
            self.store.extend(lease, later(now, LEASE)).await?;
            if !self.step(step, lease, now).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Takes one step; `true` when the next one may follow at once.
    async fn step(
        &self,
        step: Step,
        lease: &mut Lease,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let Some(context) = self.context(lease).await? else {
            return self
                .advance(
                    lease,
                    Fact::LeftConfiguration,
                    None,
                    now,
                    "no longer configured",
                )
                .await;
        };
        if let Some(words) = replaced_by_hand(lease, &context, now) {
            return self
                .advance(lease, Fact::ReplacedByHand, None, now, &words)
                .await;
        }
        self.checkpoint.pass(Moment::Before(step));
        let taken = self.take(step, lease, &context, now).await;
        let finished = self.now();
        match taken {
            Ok(Outcome::Reached(fact, obtained)) => {
                self.reached(lease, &context, fact, &obtained, now, finished)
                    .await
            }
            Ok(Outcome::Wait(waiting)) => self.wait(lease, &waiting, finished).await,
            Err(StepError::Peer(failure)) => self.failed(lease, &context, &failure, finished).await,
            Err(StepError::Hopeless(words)) => self.hopeless(lease, &words, finished).await,
            Err(StepError::Store(error)) => Err(error),
        }
    }

    async fn take(
        &self,
        step: Step,
        lease: &Lease,
        context: &Context,
        now: Timestamp,
    ) -> Result<Outcome, StepError> {
        let firewall = self.desired.firewalls.get(&lease.renewal.firewall);
        let work = Work {
            lease,
            wanted: &context.wanted,
            tracked: &context.tracked,
            window: firewall.and_then(|firewall| firewall.window.as_ref()),
            also_trusted: &context.also_trusted,
            peers: self.peers.as_ref(),
            store: &self.store,
            checkpoint: self.checkpoint.as_ref(),
            now,
        };
        let limited = tokio::time::timeout(STEP_LIMIT, step::take(step, &work)).await;
        limited.unwrap_or_else(|_| {
            let words = format!("not done within {} s", STEP_LIMIT.as_secs());
            Err(Failure::new(FailureKind::OutcomeUnknown, step.name(), words).into())
        })
    }

    /// What is needed to go on; `None` when the certificate or its firewall left the configuration or moved.
    async fn context(&self, lease: &Lease) -> Result<Option<Context>, StoreError> {
        let renewal = &lease.renewal;
        let Some(wanted) = self.desired.certificates.get(&renewal.certificate) else {
            return Ok(None);
        };
        if wanted.firewall != renewal.firewall {
            return Ok(None);
        }
        let Some(tracked) = self.store.certificate(&renewal.certificate).await? else {
            return Ok(None);
        };
        let mut also_trusted = self.learned(&renewal.firewall).await?;
        // While the services point, or may point, at the new certificate, it may answer instead of the old one.
        also_trusted.extend(renewal.obtained.fingerprint);
        Ok(Some(Context {
            wanted: Arc::clone(wanted),
            tracked,
            also_trusted,
        }))
    }

    /// Certificates that renewd bound to this firewall and proved, as long as the configured trust is the same.
    pub async fn learned(&self, firewall: &str) -> Result<Vec<Fingerprint>, StoreError> {
        let known = self.store.firewall(firewall).await?;
        let trust = self.trust_text(firewall);
        Ok(if known.learned_for == trust {
            known.learned
        } else {
            Vec::new()
        })
    }

    fn trust_text(&self, firewall: &str) -> Option<String> {
        self.desired
            .firewalls
            .get(firewall)
            .map(|configured| firewall::trust_text(&configured.settings))
    }

    async fn reached(
        &self,
        lease: &mut Lease,
        context: &Context,
        fact: Fact,
        obtained: &Obtained,
        started: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.store
            .forget_refused_logins(&lease.renewal.firewall)
            .await?;
        match fact {
            Fact::Proven => self.proven(lease, context, now).await?,
            // What the services show has changed twice; the next probe looks afresh.
            Fact::PreviousProven => {
                let name = &lease.renewal.certificate;
                self.store
                    .record_sight(name, None, None, now, None, &[], now)
                    .await?;
            }
            _ => {}
        }
        let elapsed = u64::try_from(started.duration_until(now).as_millis()).unwrap_or(0);
        self.store_fact(lease, fact, Some(obtained), now, Some(elapsed), None)
            .await
    }

    /// From the proof on, the new certificate is what the services show.
    async fn proven(
        &self,
        lease: &Lease,
        context: &Context,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let leaf = lease
            .renewal
            .obtained
            .leaf_pem
            .as_deref()
            .and_then(|pem| Certificate::from_pem(pem).ok());
        let shown = leaf.map(|leaf| Shown::of(&leaf, now));
        let probe_at = later(now, self.desired.daemon.probe_interval);
        let name = &lease.renewal.certificate;
        self.store
            .record_sight(name, shown.as_ref(), None, probe_at, None, &[], now)
            .await?;
        self.learn(lease, context, now).await
    }

    /// The new management certificate is whom we believe from now on.
    async fn learn(
        &self,
        lease: &Lease,
        context: &Context,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (Some(new), Some(trust)) = (
            lease.renewal.obtained.fingerprint,
            self.trust_text(&lease.renewal.firewall),
        ) else {
            return Ok(());
        };
        if !context.wanted.services.contains(&Service::WebManagement) {
            return Ok(());
        }
        let event = Event {
            detail: Some(format!("SHA-256 {new}")),
            ..Event::of_renewal(EventKind::TrustLearned, &lease.renewal)
        };
        self.store
            .learn_trust(
                &lease.renewal.firewall,
                &[new],
                &trust,
                std::slice::from_ref(&event),
                now,
            )
            .await?;
        event.log();
        Ok(())
    }

    async fn advance(
        &self,
        lease: &mut Lease,
        fact: Fact,
        obtained: Option<&Obtained>,
        now: Timestamp,
        words: &str,
    ) -> Result<bool, StoreError> {
        self.store_fact(lease, fact, obtained, now, None, Some(words.to_owned()))
            .await
    }

    async fn store_fact(
        &self,
        lease: &mut Lease,
        fact: Fact,
        obtained: Option<&Obtained>,
        now: Timestamp,
        elapsed_ms: Option<u64>,
        detail: Option<String>,
    ) -> Result<bool, StoreError> {
        let from = lease.renewal.state;
        let Some(to) = state::next(from, fact) else {
            let words = format!(
                "{from} cannot be followed by \"{}\": a defect of renewd",
                fact.words()
            );
            return self
                .hold(lease, FailureKind::Unexpected.name(), &words, now)
                .await;
        };
        let obtained = obtained.unwrap_or(&lease.renewal.obtained).clone();
        let event = Event {
            next_state: Some(to),
            elapsed_ms,
            detail,
            ..Event::of_renewal(ending_event(to), &lease.renewal)
        };
        let ending = to.is_end().then(|| ending(&lease.renewal, to, now));
        lease.renewal = self
            .store
            .advance(
                lease,
                to,
                &obtained,
                now,
                ending,
                std::slice::from_ref(&event),
                now,
            )
            .await?;
        self.checkpoint.pass(Moment::Stored(to));
        event.log();
        Ok(!to.is_end())
    }

    async fn wait(
        &self,
        lease: &Lease,
        waiting: &Waiting,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let renewal = &lease.renewal;
        let is_news = renewal.last_error_kind.as_deref() != Some(waiting.kind);
        let event = Event {
            reason: Some(waiting.kind.to_owned()),
            detail: Some(waiting.words.clone()),
            next_attempt_at: Some(waiting.until),
            ..Event::of_renewal(EventKind::RenewalWaits, renewal)
        };
        let events = if is_news {
            std::slice::from_ref(&event)
        } else {
            &[]
        };
        let attempts = if renewal.is_failing() {
            1
        } else {
            renewal.attempts.saturating_add(1)
        };
        self.store
            .postpone(
                lease,
                attempts,
                Some(waiting.until),
                waiting.kind,
                &waiting.words,
                events,
                now,
            )
            .await?;
        events.iter().for_each(Event::log);
        Ok(false)
    }

    async fn failed(
        &self,
        lease: &mut Lease,
        context: &Context,
        failure: &Failure,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let renewal = &lease.renewal;
        // A wait is no failure: the count of failures in a row begins anew after it.
        let attempt = if renewal.is_failing() {
            renewal.attempts.saturating_add(1)
        } else {
            1
        };
        let refused_logins = self.refused_logins(renewal, failure, now).await?;
        let lifetime = context
            .tracked
            .shown
            .as_ref()
            .map(|shown| shown.not_before.duration_until(shown.not_after));
        let situation = Situation {
            renewal: &renewal.id,
            state: renewal.state,
            attempt,
            refused_logins,
            lifetime,
        };
        let (wait, kind) = match retry::after(failure, &situation) {
            Retry::GiveUp => return self.hopeless(lease, &failure.to_string(), now).await,
            Retry::Hold => {
                let words =
                    format!("{failure}; refused {refused_logins} times, nothing more is tried");
                return self.hold(lease, failure.kind.name(), &words, now).await;
            }
            Retry::After(wait) => (wait, EventKind::StepFailed),
            Retry::AfterAndTell(wait) => (wait, EventKind::PersonNeeded),
        };
        let event = Event {
            attempt: Some(attempt),
            error_kind: Some(failure.kind.name().to_owned()),
            detail: Some(words_of(failure)),
            next_attempt_at: Some(later(now, wait)),
            ..Event::of_renewal(kind, renewal)
        };
        self.try_again(lease, attempt, failure, &event, now).await
    }

    /// Counts a login that the firewall refused; how many it refused in a row.
    async fn refused_logins(
        &self,
        renewal: &Renewal,
        failure: &Failure,
        now: Timestamp,
    ) -> Result<u32, StoreError> {
        if failure.kind == FailureKind::Unauthorized && concerns_firewall(renewal.state) {
            let firewall = &renewal.firewall;
            return self.store.count_refused_login(firewall, now).await;
        }
        Ok(0)
    }

    async fn try_again(
        &self,
        lease: &Lease,
        attempt: u32,
        failure: &Failure,
        event: &Event,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.store
            .postpone(
                lease,
                attempt,
                event.next_attempt_at,
                failure.kind.name(),
                &words_of(failure),
                std::slice::from_ref(event),
                now,
            )
            .await?;
        event.log();
        Ok(false)
    }

    /// Ends what cannot succeed; where an end would leave services half way, a person is called instead.
    async fn hopeless(
        &self,
        lease: &mut Lease,
        words: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        if state::next(lease.renewal.state, Fact::GivenUp).is_some() {
            return self.advance(lease, Fact::GivenUp, None, now, words).await;
        }
        self.hold(lease, FailureKind::Unexpected.name(), words, now)
            .await
    }

    async fn hold(
        &self,
        lease: &Lease,
        kind: &str,
        words: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let renewal = &lease.renewal;
        let event = Event {
            error_kind: Some(kind.to_owned()),
            detail: Some(format!(
                "{words}; when it is mended: renewd renew {}",
                renewal.certificate
            )),
            ..Event::of_renewal(EventKind::RenewalHeld, renewal)
        };
        let attempts = renewal.attempts.saturating_add(1);
        self.store
            .postpone(
                lease,
                attempts,
                None,
                kind,
                words,
                std::slice::from_ref(&event),
                now,
            )
            .await?;
        event.log();
        Ok(false)
    }

    fn now(&self) -> Timestamp {
        self.surroundings.clock.now()
    }
}

/// Whether somebody put in a certificate that is not due, so that ours is no longer needed.
fn replaced_by_hand(lease: &Lease, context: &Context, now: Timestamp) -> Option<String> {
    let renewal = &lease.renewal;
    state::next(renewal.state, Fact::ReplacedByHand)?;
    let shown = context.tracked.shown.as_ref()?;
    if renewal.reason == due::Reason::Requested.name() || shown.seen_at <= renewal.planned_at {
        return None;
    }
    let certificate = Certificate::from_pem(&shown.pem).ok()?;
    let facts = Facts {
        wanted: &context.wanted,
        shown: Some(&certificate),
        renewed_before: true,
        requested_at: None,
    };
    matches!(due::decide(&facts, now), Decision::Rest { .. }).then(|| {
        format!(
            "the services show {} until {:.0}",
            certificate.fingerprint.short(),
            shown.not_after
        )
    })
}

/// What the certificate's row learns when its renewal ends in `to`.
fn ending(renewal: &Renewal, to: State, now: Timestamp) -> Ending<'_> {
    let rest = match to {
        State::Completed | State::Superseded => SignedDuration::ZERO,
        _ => retry::backoff(u32::MAX, lifetime_of(&renewal.obtained)),
    };
    Ending {
        look_at: later(now, rest),
        alias: (to == State::Completed).then_some(renewal.alias.as_str()),
    }
}

fn ending_event(state: State) -> EventKind {
    match state {
        State::Completed => EventKind::RenewalCompleted,
        State::RolledBack => EventKind::RenewalRolledBack,
        State::Abandoned => EventKind::RenewalAbandoned,
        State::Superseded => EventKind::RenewalSuperseded,
        _ => EventKind::StateReached,
    }
}

/// Whether the step that leaves `state` logs in to the firewall.
const fn concerns_firewall(state: State) -> bool {
    !matches!(state, State::CsrExported | State::Submitted)
}

fn words_of(failure: &Failure) -> String {
    match &failure.waiting_for {
        Some(whom) => format!("{failure}; waiting for {whom}"),
        None => failure.to_string(),
    }
}

fn lifetime_of(obtained: &Obtained) -> Option<SignedDuration> {
    let leaf = Certificate::from_pem(obtained.leaf_pem.as_deref()?).ok()?;
    Some(due::lifetime(&leaf))
}

fn later(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.saturating_add(by).unwrap_or(Timestamp::MAX)
}
