//! What follows a step: the fact goes through the transition table into the store, a failure through the retry table;
//! either becomes one event, logged after the commit.

use jiff::{SignedDuration, Timestamp};

use super::checkpoint::Moment;
use super::engine::{Context, Engine, later};
use super::retry::{self, Retry, Situation};
use super::state::{self, Fact, Step};
use super::step::Waiting;
use crate::event::{Event, EventKind};
use crate::failure::{Failure, FailureKind, readable};
use crate::inventory::{Obtained, Renewal, RenewalId, Service, Shown, State, due, looks};
use crate::pki::Certificate;
use crate::store::{Ending, Lease, StoreError};

impl Engine {
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
        let lease = lease(renewal, owner, token, now);
        let events = std::slice::from_ref(&event);
        let told = self
            .store
            .postpone(&lease, attempt, Some(until), kind, PANICKED, events, now)
            .await;
        match told {
            // Another daemon took over; what it does counts.
            Err(StoreError::LeaseLost) => return Ok(()),
            told => told?,
        }
        event.log();
        self.store.release(lease).await
    }

    /// Gives a claim back whose worker is gone, if it is still ours.
    ///
    /// # Errors
    /// The store's.
    pub async fn give_back(
        &self,
        renewal: &RenewalId,
        owner: &str,
        token: i64,
    ) -> Result<(), StoreError> {
        let Some(renewal) = self.store.renewal(renewal).await? else {
            return Ok(());
        };
        let lease = lease(renewal, owner, token, self.now());
        match self.store.release(lease).await {
            Err(StoreError::LeaseLost) | Ok(()) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn reached(
        &self,
        lease: &mut Lease,
        context: &Context,
        fact: Fact,
        obtained: &Obtained,
        started: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        if logs_in(lease.renewal.state) && fact != Fact::Proven {
            self.store
                .forget_refused_logins(&lease.renewal.firewall)
                .await?;
        }
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
        let leaf = leaf_of(&lease.renewal.obtained);
        let name = &lease.renewal.certificate;
        let interval = self.desired.daemon.probe_interval;
        let probe_at = looks::next(name, leaf.as_ref(), interval, now);
        let shown = leaf.map(|leaf| Shown::of(&leaf, now));
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

    pub(super) async fn advance(
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
        let ending = if to.is_end() {
            let tracked = self.store.certificate(&lease.renewal.certificate).await?;
            let shown = tracked.and_then(|tracked| tracked.shown);
            let left = shown.map(|shown| now.duration_until(shown.not_after));
            Some(ending(&lease.renewal, fact, to, left, now))
        } else {
            None
        };
        self.checkpoint.pass(Moment::Storing(to)).await;
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
        self.checkpoint.pass(Moment::Stored(to)).await;
        event.log();
        Ok(!to.is_end())
    }

    pub(super) async fn wait(
        &self,
        lease: &Lease,
        waiting: &Waiting,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let renewal = &lease.renewal;
        let until = waiting.until.moment(now);
        let is_news = renewal.last_error_kind.as_deref() != Some(waiting.kind);
        let words = readable(&waiting.words);
        let event = Event {
            reason: Some(waiting.kind.to_owned()),
            detail: Some(words.clone()),
            next_attempt_at: Some(until),
            ..Event::of_renewal(waiting_event(waiting.kind), renewal)
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
                Some(until),
                waiting.kind,
                &words,
                events,
                now,
            )
            .await?;
        events.iter().for_each(Event::log);
        Ok(false)
    }

    /// The CA ended the order and took nothing for it: another one is placed, with the same CSR, after a while.
    pub(super) async fn order_void(
        &self,
        lease: &mut Lease,
        context: &Context,
        words: &str,
        retry_after: Option<SignedDuration>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let orders = self
            .store
            .tries(&lease.renewal.id, Step::Submit.name())
            .await?;
        let lifetime = situation(&lease.renewal, context, 0, now).lifetime;
        let wait = retry_after.unwrap_or_else(|| retry::backoff(orders, lifetime));
        let until = later(now, wait);
        let Some(to) = state::next(lease.renewal.state, Fact::OrderVoid) else {
            let kind = FailureKind::Unexpected.name();
            return self.hold(lease, kind, words, now).await;
        };
        let event = Event {
            next_state: Some(to),
            attempt: Some(orders),
            detail: Some(readable(words)),
            next_attempt_at: Some(until),
            ..Event::of_renewal(EventKind::OrderVoid, &lease.renewal)
        };
        let obtained = lease.renewal.obtained.clone();
        let events = std::slice::from_ref(&event);
        lease.renewal = self
            .store
            .advance(lease, to, &obtained, until, None, events, now)
            .await?;
        self.checkpoint.pass(Moment::Stored(to)).await;
        event.log();
        Ok(false)
    }

    pub(super) async fn failed(
        &self,
        lease: &mut Lease,
        context: &Context,
        failure: &Failure,
        origin: Origin,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let refused_logins = match origin {
            Origin::Firewall => self.refused_logins(&lease.renewal, failure, now).await?,
            Origin::Ca => 0,
        };
        let situation = situation(&lease.renewal, context, refused_logins, now);
        match retry::after(failure, &situation) {
            Retry::GiveUp => self.hopeless(lease, &failure.to_string(), now).await,
            Retry::Hold => {
                let words =
                    format!("{failure}; refused {refused_logins} times, nothing more is tried");
                self.hold(lease, failure.kind.name(), &words, now).await
            }
            Retry::After(wait) => {
                self.try_again(
                    lease,
                    EventKind::StepFailed,
                    failure,
                    situation.attempt,
                    wait,
                    now,
                )
                .await
            }
            Retry::AfterAndTell(wait) => {
                self.try_again(
                    lease,
                    EventKind::PersonNeeded,
                    failure,
                    situation.attempt,
                    wait,
                    now,
                )
                .await
            }
        }
    }

    /// Logins in a row that the firewall refused, with this one; zero when `failure` is none.
    async fn refused_logins(
        &self,
        renewal: &Renewal,
        failure: &Failure,
        now: Timestamp,
    ) -> Result<u32, StoreError> {
        if failure.kind != FailureKind::Unauthorized {
            return Ok(0);
        }
        self.store.count_refused_login(&renewal.firewall, now).await
    }

    async fn try_again(
        &self,
        lease: &Lease,
        kind: EventKind,
        failure: &Failure,
        attempt: u32,
        wait: SignedDuration,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let until = later(now, wait);
        let words = readable(&words_of(failure));
        let error_kind = failure.kind.name();
        let event = Event {
            attempt: Some(attempt),
            error_kind: Some(error_kind.to_owned()),
            detail: Some(words.clone()),
            next_attempt_at: Some(until),
            ..Event::of_renewal(kind, &lease.renewal)
        };
        let events = std::slice::from_ref(&event);
        self.store
            .postpone(lease, attempt, Some(until), error_kind, &words, events, now)
            .await?;
        event.log();
        Ok(false)
    }

    /// Ends what cannot succeed; where an end would leave services half way, a person is called instead.
    pub(super) async fn hopeless(
        &self,
        lease: &mut Lease,
        words: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let words = readable(words);
        if state::next(lease.renewal.state, Fact::GivenUp).is_some() {
            return self.advance(lease, Fact::GivenUp, None, now, &words).await;
        }
        self.hold(lease, FailureKind::Unexpected.name(), &words, now)
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
        let words = readable(words);
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
                &words,
                std::slice::from_ref(&event),
                now,
            )
            .await?;
        event.log();
        Ok(false)
    }
}

/// The claim of a worker that is gone.
fn lease(renewal: Renewal, owner: &str, token: i64, until: Timestamp) -> Lease {
    Lease {
        renewal,
        owner: owner.to_owned(),
        token,
        until,
        follows_lost: false,
    }
}

/// Who failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Firewall,
    Ca,
}

/// What the certificate's row learns when its renewal ends in `to`.
fn ending(
    renewal: &Renewal,
    fact: Fact,
    to: State,
    left: Option<SignedDuration>,
    now: Timestamp,
) -> Ending<'_> {
    let rest = match to {
        State::Completed | State::Superseded => SignedDuration::ZERO,
        // What the configuration asks for now was not tried yet.
        _ if fact == Fact::LeftConfiguration => SignedDuration::ZERO,
        // It was good, and waited for its firewall until its end: nothing speaks against the next one.
        _ if fact == Fact::GivenUp && has_ended(&renewal.obtained, now) => SignedDuration::ZERO,
        _ => retry::hastened(
            retry::backoff(u32::MAX, lifetime_of(&renewal.obtained)),
            left,
        ),
    };
    Ending {
        look_at: later(now, rest),
        alias: (to == State::Completed).then_some(renewal.alias.as_str()),
    }
}

/// For an approval or more money it is a person that a renewal waits for, and one should see why nothing comes.
fn waiting_event(kind: &str) -> EventKind {
    match kind {
        "approval" => EventKind::ApprovalNeeded,
        "order_budget" => EventKind::BudgetSpent,
        "overdue_issuance" => EventKind::PersonNeeded,
        _ => EventKind::RenewalWaits,
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
const fn logs_in(state: State) -> bool {
    !matches!(state, State::CsrExported | State::Submitted | State::Bound)
}

fn situation<'a>(
    renewal: &'a Renewal,
    context: &Context,
    refused_logins: u32,
    now: Timestamp,
) -> Situation<'a> {
    let shown = context.tracked.shown.as_ref();
    Situation {
        renewal: &renewal.id,
        state: renewal.state,
        // A wait is no failure: the count of failures in a row begins anew after it.
        attempt: if renewal.is_failing() {
            renewal.attempts.saturating_add(1)
        } else {
            1
        },
        was_refused: renewal.was_refused(),
        refused_logins,
        lifetime: shown.map(|shown| shown.not_before.duration_until(shown.not_after)),
        left: shown.map(|shown| now.duration_until(shown.not_after)),
    }
}

fn words_of(failure: &Failure) -> String {
    match &failure.waiting_for {
        Some(whom) => format!("{failure}; waiting for {whom}"),
        None => failure.to_string(),
    }
}

fn leaf_of(obtained: &Obtained) -> Option<Certificate> {
    Certificate::from_pem(obtained.leaf_pem.as_deref()?).ok()
}

fn lifetime_of(obtained: &Obtained) -> Option<SignedDuration> {
    leaf_of(obtained).as_ref().map(due::lifetime)
}

fn has_ended(obtained: &Obtained, now: Timestamp) -> bool {
    leaf_of(obtained).is_some_and(|leaf| leaf.not_after <= now)
}

const PANICKED: &str =
    "the step panicked: a defect of renewd; the log of this moment has its place";
