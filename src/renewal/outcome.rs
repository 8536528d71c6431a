//! What follows a step: the fact goes through the transition table into the store, a failure through the retry table.
//! Either becomes one record, which the store writes in one transaction and whose events it logs after the commit.

use jiff::{SignedDuration, Timestamp};

use super::checkpoint::Moment;
use super::engine::{Context, Engine, later};
use super::pins;
use super::remedy;
use super::retry::{self, Retry, RetryContext};
use super::state::{self, Fact, Step};
use super::step::{Proof, Wait};
use crate::ca::Reference;
use crate::event::{Event, EventKind};
use crate::failure::{Failure, FailureKind, readable};
use crate::inventory::{
    DecisionKind, Observation, Obtained, Renewal, RenewalId, Rest, ServedCertificate, Service,
    State, TrackedCertificate, WaitReason, cause, due, probe_schedule,
};
use crate::pki::{Certificate, Csr, Fingerprint};
use crate::seal::SealError;
use crate::store::{
    Ending, Lease, Login, Next, Pins, Postponed, ProbeRecord, Reached, Report, StepRecord,
    StoreError,
};

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
        // What was counted in a wait were looks, and no failures.
        let attempt = if renewal.is_failing() {
            renewal.attempts.saturating_add(1)
        } else {
            1
        };
        let until = later(now, retry::backoff(attempt, None));
        let kind = FailureKind::Unexpected.name();
        let event = Event {
            attempt: Some(attempt),
            error_kind: Some(kind.to_owned()),
            detail: Some(PANICKED.to_owned()),
            next_attempt_at: Some(until),
            ..Event::of_renewal(EventKind::AttentionNeeded, &renewal)
        };
        let lease = lease(renewal, owner, token, now);
        let next = Next::Postponed(Postponed {
            attempts: attempt,
            next_attempt_at: Some(until),
            error_kind: kind,
            error: PANICKED,
        });
        let record = StepRecord::new(next, std::slice::from_ref(&event));
        match self.store.record_step(&lease, &record, now).await {
            // Another daemon took over; what it does counts.
            Err(StoreError::LeaseLost) => return Ok(()),
            recorded => recorded?,
        };
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
        brought: Brought,
        started: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let renewal = &lease.renewal;
        let next_probe_at = match brought.fact {
            // What the services serve has changed twice; the next probe looks afresh.
            Fact::PreviousProven
            | Fact::PreviousNotProven
            | Fact::PreviousUnknown
            | Fact::PreviousEnded
            | Fact::PreviousNotBindable
            | Fact::BoundByOthers => Some(now),
            _ => None,
        };
        let pin = match brought.fact {
            // Otherwise no pin would accept its management page from the end of this renewal on.
            Fact::PreviousEnded | Fact::PreviousNotBindable | Fact::PreviousUnknown => {
                self.new_pin(renewal, context, &context.also_trusted)
            }
            _ => Ok(None),
        };
        let pin = match pin {
            Ok(pin) => pin,
            Err(problem) => return self.no_pin(lease, context, problem, now).await,
        };
        let logs_in = Step::leaving(renewal.state).is_some_and(Step::logs_in);
        let found = Found {
            next_probe_at,
            pin,
            login: (logs_in && brought.fact != Fact::PreviousUnknown).then_some(Login::Accepted),
            ..Found::default()
        };
        let reported = StepReport::since(started, now, brought.words);
        self.store_fact(
            lease,
            brought.fact,
            brought.obtained.as_deref(),
            now,
            reported,
            found,
        )
        .await
    }

    /// From the proof on, the new certificate is what the addresses serve, and where it is the one of the management port,
    /// it is a pin. An address that does not serve it yet is looked at again soon.
    pub(super) async fn proven(
        &self,
        lease: &mut Lease,
        context: &Context,
        proof: &Proof,
        started: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let renewal = &lease.renewal;
        let leaf = leaf_of(&renewal.obtained);
        let interval = self.config.daemon.probe_interval;
        let mut next_probe_at =
            probe_schedule::after_proof(&renewal.certificate, leaf.as_ref(), interval, now);
        if !proof.late.is_empty() {
            next_probe_at = next_probe_at.min(later(now, SOON));
        }
        let current = leaf.map(|leaf| ServedCertificate::of(&leaf, now));
        // A certificate that moved in the configuration is served elsewhere by now.
        let is_here = context.tracked.firewall == renewal.firewall;
        let observations = current
            .iter()
            .filter(|_| is_here)
            .flat_map(|current| {
                let new_at = proof.new_at.iter();
                new_at.map(|address| Observation::verified(address.clone(), current.clone()))
            })
            .map(|observation| (observation, Vec::new()))
            .collect();
        let forgotten = if is_here {
            no_longer_verified(context)
        } else {
            Vec::new()
        };
        let pin = match self.new_pin(renewal, context, &[]) {
            Ok(pin) => pin,
            Err(problem) => return self.no_pin(lease, context, problem, now).await,
        };
        let found = Found {
            observations,
            forgotten,
            current,
            next_probe_at: is_here.then_some(next_probe_at),
            pin,
            late: (!proof.late.is_empty()).then(|| proof.late.join("; ")),
            login: None,
        };
        let reported = StepReport::since(started, now, None);
        self.store_fact(lease, Fact::Proven, None, now, reported, found)
            .await
    }

    /// The new certificate as a pin beside those of `kept`, where it is the one of the management port and the authenticated
    /// intent to bind names it: everyone who can write the database can change the renewal's row.
    fn new_pin(
        &self,
        renewal: &Renewal,
        context: &Context,
        kept: &[Fingerprint],
    ) -> Result<Option<NewPin>, SealError> {
        let learns = context.wanted.services.contains(&Service::WebManagement);
        let trust = self.trust_text(&renewal.firewall).filter(|_| learns);
        let Some((new, trust)) = renewal.obtained.fingerprint.zip(trust) else {
            return Ok(None);
        };
        let kept = kept.iter().copied().filter(|pin| *pin != new);
        let all: Vec<Fingerprint> = std::iter::once(new).chain(kept).collect();
        let code = pins::authenticate(&self.sealer(), &renewal.firewall, &trust, &all)?;
        // After the code: without the sealing key this fails and is repeated.
        Ok(context.accepts_new(renewal).then_some(NewPin {
            new,
            all,
            trust,
            code,
        }))
    }

    async fn no_pin(
        &self,
        lease: &mut Lease,
        context: &Context,
        problem: SealError,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let call = "authenticate the new pin";
        let failure = Failure::new(FailureKind::Local, call, problem);
        self.failed(lease, context, &failure, Origin::Firewall, now)
            .await
    }

    pub(super) async fn advance(
        &self,
        lease: &mut Lease,
        fact: Fact,
        obtained: Option<&Obtained>,
        now: Timestamp,
        words: &str,
    ) -> Result<bool, StoreError> {
        let reported = StepReport {
            elapsed_ms: None,
            detail: Some(words.to_owned()),
        };
        self.store_fact(lease, fact, obtained, now, reported, Found::default())
            .await
    }

    async fn store_fact(
        &self,
        lease: &mut Lease,
        fact: Fact,
        obtained: Option<&Obtained>,
        now: Timestamp,
        reported: StepReport,
        found: Found,
    ) -> Result<bool, StoreError> {
        let renewal = &lease.renewal;
        let from = renewal.state;
        let Some(to) = state::next(from, fact) else {
            let words = format!(
                "{from} cannot be followed by \"{}\": a defect of renewd",
                fact.words()
            );
            return self
                .hold(lease, FailureKind::Unexpected.name(), &words, None, now)
                .await;
        };
        let failure = reported.detail.clone().filter(|_| is_failure(to));
        let events = events_of(renewal, to, reported, &found);
        let ending = if to.is_end() {
            let ending = self.ending_of(renewal, to, &found, now).await?;
            Some(Ending {
                failure: failure.as_deref(),
                ..ending
            })
        } else {
            None
        };
        // Not what the lease knows: the step may have stored more in its middle.
        let nothing_new = Obtained::default();
        let next = Next::Reached(Reached {
            state: to,
            obtained: obtained.unwrap_or(&nothing_new),
            next_attempt_at: now,
            ending,
        });
        let probe_record = found.probe_record();
        let record = StepRecord {
            served: probe_record.as_ref(),
            pins: found.pins(),
            login: found.login,
            ..StepRecord::new(next, &events)
        };
        self.checkpoint.pass(Moment::Storing(to)).await;
        let renewal = self.store.record_step(lease, &record, now).await?;
        lease.renewal = renewal;
        self.checkpoint.pass(Moment::Stored(to)).await;
        Ok(!to.is_end())
    }

    /// What the end in `to` means for the certificate, but for why it failed.
    async fn ending_of<'a>(
        &self,
        renewal: &'a Renewal,
        to: State,
        found: &Found,
        now: Timestamp,
    ) -> Result<Ending<'a>, StoreError> {
        let tracked = self.store.certificate(&renewal.certificate).await?;
        let is_here = tracked
            .as_ref()
            .is_some_and(|tracked| tracked.firewall == renewal.firewall);
        let current = found.current.as_ref();
        let current = current.or_else(|| {
            tracked
                .as_ref()
                .and_then(|tracked| tracked.current.as_ref())
        });
        let left = current.map(|current| now.duration_until(current.not_after));
        let ending = ending(renewal, to, left, now);
        let rest = rest(renewal, to, tracked.as_ref(), now).or_else(|| {
            let previous = tracked.as_ref().and_then(|tracked| tracked.rest.as_ref());
            let served = current.filter(|_| ending.due_check_at > now)?.fingerprint;
            Some(Rest::after_failure(
                previous,
                served,
                now,
                ending.due_check_at,
            ))
        });
        Ok(Ending {
            alias: ending.alias.filter(|_| is_here),
            rest,
            ..ending
        })
    }

    pub(super) async fn wait(
        &self,
        lease: &Lease,
        waiting: &Wait,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let renewal = &lease.renewal;
        let until = waiting.until.moment(now);
        // Each reason once in a state: two that take turns are no news.
        let is_news = renewal.last_error_kind.as_deref() != Some(waiting.kind.name())
            && !self
                .store
                .is_wait_reported(renewal, waiting.kind.name())
                .await?;
        let words = readable(&waiting.words);
        let event = Event {
            reason: Some(waiting.kind.name().to_owned()),
            detail: Some(words.clone()),
            next_attempt_at: Some(until),
            ..Event::of_renewal(waiting_event(waiting.kind), renewal)
        };
        let events = if is_news {
            std::slice::from_ref(&event)
        } else {
            &[]
        };
        let next = Next::Postponed(Postponed {
            // A wait is no failure: the count of failures in a row begins anew after it.
            attempts: 0,
            next_attempt_at: Some(until),
            error_kind: waiting.kind.name(),
            error: &words,
        });
        let record = StepRecord::new(next, events);
        self.store.record_step(lease, &record, now).await?;
        Ok(false)
    }

    /// The CA ended the order: another one is placed, with the same CSR, after a while. One that may have cost money, which
    /// is `ended`, is remembered: an operator decides after the second.
    pub(super) async fn order_void(
        &self,
        lease: &mut Lease,
        context: &Context,
        words: &str,
        ended: Option<&Reference>,
        retry_after: Option<SignedDuration>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let orders = self
            .store
            .tries(&lease.renewal.id, Step::Submit.name())
            .await?;
        let lifetime = retry_context(&lease.renewal, context, 0, now).lifetime;
        let wait = retry_after.unwrap_or_else(|| retry::backoff(orders, lifetime));
        let until = later(now, wait);
        let Some(to) = state::next(lease.renewal.state, Fact::OrderVoid) else {
            let kind = FailureKind::Unexpected.name();
            return self.hold(lease, kind, words, None, now).await;
        };
        let event = Event {
            next_state: Some(to),
            attempt: Some(orders),
            detail: Some(readable(words)),
            next_attempt_at: Some(until),
            ..Event::of_renewal(EventKind::OrderVoid, &lease.renewal)
        };
        let next = Next::Reached(Reached {
            state: to,
            obtained: &Obtained::default(),
            next_attempt_at: until,
            ending: None,
        });
        let record = StepRecord {
            ended_order: ended.map(|order| (Step::Submit.name(), order.0.as_str())),
            ..StepRecord::new(next, std::slice::from_ref(&event))
        };
        let renewal = self.store.record_step(lease, &record, now).await?;
        lease.renewal = renewal;
        self.checkpoint.pass(Moment::Stored(to)).await;
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
        let is_refused = origin == Origin::Firewall && failure.kind == FailureKind::Unauthorized;
        let login = is_refused.then_some(Login::Refused);
        let refused_logins = match login {
            Some(_) => self.refused_logins(&lease.renewal).await?,
            None => 0,
        };
        let mut retry_context = retry_context(&lease.renewal, context, refused_logins, now);
        let said = cause(failure.kind, &readable(&words_of(failure)));
        if lease.renewal.cause.as_ref() == Some(&said) {
            retry_context.same_cause = lease.renewal.same_cause.saturating_add(1);
        }
        if let Origin::Order { tries } = origin {
            retry_context.attempt = retry_context.attempt.max(tries);
        }
        let attempt = retry_context.attempt;
        match retry::after(failure, &retry_context) {
            Retry::GiveUp => {
                self.fail_permanently(lease, &failure.to_string(), now)
                    .await
            }
            Retry::Hold if failure.kind == FailureKind::KeyMismatch => {
                let words = format!("{failure}. {}", what_to_check(&lease.renewal));
                self.hold(lease, failure.kind.name(), &words, login, now)
                    .await
            }
            Retry::Hold => {
                let times = match failure.kind {
                    FailureKind::Unauthorized => format!("; refused {refused_logins} times"),
                    _ => String::new(),
                };
                let words = format!("{failure}{times}; nothing more is tried");
                let kind = failure.kind.name();
                self.hold(lease, kind, &words, login, now).await
            }
            Retry::After(wait) => {
                let event = failed_event(EventKind::StepFailed, lease, failure, attempt);
                self.try_again(lease, event, wait, login, now).await
            }
            Retry::AfterAndReport(wait) => {
                let event = failed_event(EventKind::AttentionNeeded, lease, failure, attempt);
                self.try_again(lease, event, wait, login, now).await
            }
        }
    }

    /// Logins in a row that the firewall refused, with the one that is about to be stored. No other worker logs in there: the
    /// lease covers the firewall.
    async fn refused_logins(&self, renewal: &Renewal) -> Result<u32, StoreError> {
        let firewall = self.store.firewall(&renewal.firewall).await?;
        Ok(firewall.refused_logins.saturating_add(1))
    }

    async fn try_again(
        &self,
        lease: &Lease,
        event: Event,
        wait: SignedDuration,
        login: Option<Login>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let until = later(now, wait);
        let event = Event {
            next_attempt_at: Some(until),
            ..event
        };
        let next = Next::Postponed(Postponed {
            attempts: event.attempt.unwrap_or(1),
            next_attempt_at: Some(until),
            error_kind: event.error_kind.as_deref().unwrap_or_default(),
            error: event.detail.as_deref().unwrap_or_default(),
        });
        let record = StepRecord {
            login,
            ..StepRecord::new(next, std::slice::from_ref(&event))
        };
        self.store.record_step(lease, &record, now).await?;
        Ok(false)
    }

    /// Ends what cannot succeed. Where that would leave services half way, the renewal is held for an operator instead.
    pub(super) async fn fail_permanently(
        &self,
        lease: &mut Lease,
        words: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let words = readable(words);
        if state::next(lease.renewal.state, Fact::GivenUp).is_some() {
            let remedy = remedy::of_end(State::Failed, &lease.renewal.certificate);
            let words = remedy.map_or(words.clone(), |remedy| format!("{words}; {remedy}"));
            return self.advance(lease, Fact::GivenUp, None, now, &words).await;
        }
        self.hold(lease, FailureKind::Unexpected.name(), &words, None, now)
            .await
    }

    async fn hold(
        &self,
        lease: &Lease,
        kind: &str,
        words: &str,
        login: Option<Login>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let renewal = &lease.renewal;
        let words = readable(words);
        let event = Event {
            error_kind: Some(kind.to_owned()),
            detail: Some(format!(
                "{words}; when it is fixed: renewd renew {}",
                renewal.certificate
            )),
            ..Event::of_renewal(held_event(kind), renewal)
        };
        self.store_hold(lease, event, &words, login, now).await
    }

    /// Only an operator may decide whether it goes on; `words` say what there is to decide and how.
    pub(super) async fn hold_for_decision(
        &self,
        lease: &Lease,
        kind: DecisionKind,
        words: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let words = readable(words);
        let event = Event {
            error_kind: Some(kind.name().to_owned()),
            detail: Some(words.clone()),
            ..Event::of_renewal(EventKind::RenewalHeld, &lease.renewal)
        };
        self.store_hold(lease, event, &words, None, now).await
    }

    async fn store_hold(
        &self,
        lease: &Lease,
        event: Event,
        words: &str,
        login: Option<Login>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let renewal = &lease.renewal;
        let attempts = renewal.attempts.saturating_add(1);
        let next = Next::Postponed(Postponed {
            attempts,
            next_attempt_at: None,
            error_kind: event.error_kind.as_deref().unwrap_or_default(),
            error: words,
        });
        let record = StepRecord {
            login,
            ..StepRecord::new(next, std::slice::from_ref(&event))
        };
        self.store.record_step(lease, &record, now).await?;
        Ok(false)
    }
}

/// Addresses that left the configuration while the renewal was open. What they served is served there no more as far as this
/// certificate is concerned: it would be due again at once.
fn no_longer_verified(context: &Context) -> Vec<String> {
    let verified: Vec<String> = context
        .wanted
        .endpoints
        .iter()
        .map(ToString::to_string)
        .collect();
    let known = context.tracked.served.iter();
    known
        .map(|served| served.address.clone())
        .filter(|address| !verified.contains(address))
        .collect()
}

/// What is reported of the step that reached `to`.
fn events_of(renewal: &Renewal, to: State, reported: StepReport, found: &Found) -> Vec<Event> {
    let reached = Event {
        next_state: Some(to),
        elapsed_ms: reported.elapsed_ms,
        detail: reported.detail,
        ..Event::of_renewal(ending_event(to), renewal)
    };
    let learned = found.pin.as_ref().map(|pin| Event {
        detail: Some(format!("SHA-256 {}", pin.new)),
        ..Event::of_renewal(EventKind::PinUpdated, renewal)
    });
    let late = found.late.as_ref().map(|words| Event {
        detail: Some(format!(
            "{words}; it served nothing before the bind either: is the address right, and is the service on?"
        )),
        ..Event::of_renewal(EventKind::EndpointNotUpdated, renewal)
    });
    learned.into_iter().chain(late).chain([reached]).collect()
}

/// What a step says of itself, in its event.
#[derive(Debug)]
struct StepReport {
    elapsed_ms: Option<u64>,
    detail: Option<String>,
}

impl StepReport {
    fn since(started: Timestamp, now: Timestamp, detail: Option<String>) -> Self {
        let elapsed = u64::try_from(started.duration_until(now).as_millis()).unwrap_or(0);
        Self {
            elapsed_ms: Some(elapsed),
            detail,
        }
    }
}

/// What a step brought about.
#[derive(Debug)]
pub(super) struct Brought {
    pub(super) fact: Fact,
    /// `None`: nothing new.
    pub(super) obtained: Option<Box<Obtained>>,
    /// Why, in words.
    pub(super) words: Option<String>,
}

impl Brought {
    /// `fact`, with everything that was obtained by now.
    pub(super) const fn by_a_step(
        fact: Fact,
        obtained: Box<Obtained>,
        words: Option<String>,
    ) -> Self {
        Self {
            fact,
            obtained: Some(obtained),
            words,
        }
    }
}

/// What a step found out besides the fact that it reached; stored with it.
#[derive(Debug, Default)]
struct Found {
    /// What each address serves, where that was verified.
    observations: Vec<(Observation, Vec<Report>)>,
    /// Addresses that are known of the certificate and are not verified any more.
    forgotten: Vec<String>,
    /// What they serve, where it is known.
    current: Option<ServedCertificate>,
    /// When they are looked at next; `None`: nothing was seen.
    next_probe_at: Option<Timestamp>,
    pin: Option<NewPin>,
    /// Addresses that do not serve the new certificate yet, in words.
    late: Option<String>,
    login: Option<Login>,
}

/// What the firewall is trusted by from now on, for the configured trust, and the code of both.
#[derive(Debug)]
struct NewPin {
    new: Fingerprint,
    /// With those that count beside it.
    all: Vec<Fingerprint>,
    trust: String,
    code: String,
}

impl Found {
    fn probe_record(&self) -> Option<ProbeRecord<'_>> {
        Some(ProbeRecord {
            observations: &self.observations,
            forgotten: &self.forgotten,
            next_probe_at: self.next_probe_at?,
            ..ProbeRecord::default()
        })
    }

    fn pins(&self) -> Option<Pins<'_>> {
        let pin = self.pin.as_ref()?;
        Some(Pins {
            fingerprints: &pin.all,
            trust: &pin.trust,
            code: &pin.code,
        })
    }
}

/// The event of a failure that is not the end.
fn failed_event(kind: EventKind, lease: &Lease, failure: &Failure, attempt: u32) -> Event {
    Event {
        attempt: Some(attempt),
        error_kind: Some(failure.kind.name().to_owned()),
        detail: Some(readable(&words_of(failure))),
        ..Event::of_renewal(kind, &lease.renewal)
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

/// Which peer failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Firewall,
    Ca,
    /// The CA, at an order that was tried so many times.
    Order {
        tries: u32,
    },
}

/// What the certificate's row learns when its renewal ends in `to`.
fn ending(
    renewal: &Renewal,
    to: State,
    left: Option<SignedDuration>,
    now: Timestamp,
) -> Ending<'_> {
    let pause = match to {
        // After a cancelled one: what the configuration or an operator asks for now was not tried yet.
        State::Completed | State::Superseded | State::Cancelled => SignedDuration::ZERO,
        // The operator gave the order up in any case.
        State::Failed if renewal.decided.as_deref() == Some(DecisionKind::OrderGone.name()) => {
            SignedDuration::ZERO
        }
        // It was valid, and waited for its firewall until it expired: the next one may follow at once.
        State::Failed if has_ended(&renewal.obtained, now) => SignedDuration::ZERO,
        _ => retry::capped_by_expiry(
            retry::backoff(u32::MAX, lifetime_of(&renewal.obtained)),
            left,
        ),
    };
    Ending {
        due_check_at: later(now, pause),
        alias: (to == State::Completed).then_some(renewal.alias.as_str()),
        failure: None,
        rest: None,
    }
}

/// Whether the end in `to` is to be shown until a renewal succeeds.
const fn is_failure(to: State) -> bool {
    matches!(to, State::RolledBack | State::NotRolledBack | State::Failed)
}

/// How long the certificate rests after its own renewal.
fn rest(
    renewal: &Renewal,
    to: State,
    tracked: Option<&TrackedCertificate>,
    now: Timestamp,
) -> Option<Rest> {
    let leaf = leaf_of(&renewal.obtained).filter(|_| to == State::Completed)?;
    let previous = tracked.and_then(|tracked| tracked.rest.as_ref());
    // What follows a failure is no round.
    let follows_failure = tracked.is_some_and(|tracked| tracked.last_failure.is_some());
    let reason = due::Reason::from_name(&renewal.reason).filter(|_| !follows_failure);
    let planned_at = renewal.planned_at;
    Some(Rest::after(previous, planned_at, reason, &leaf, now))
}

/// An approval or a larger budget needs an operator, who should see why the renewal does not continue.
fn waiting_event(reason: WaitReason) -> EventKind {
    match reason {
        WaitReason::Approval => EventKind::ApprovalNeeded,
        WaitReason::OrderBudget => EventKind::OrderBudgetExhausted,
        WaitReason::IssuanceOverdue | WaitReason::ChangedConfiguration => {
            EventKind::AttentionNeeded
        }
        WaitReason::KeyGeneration
        | WaitReason::OrderLookup
        | WaitReason::OrderLimit
        | WaitReason::OrderShared
        | WaitReason::Issuance
        | WaitReason::MaintenanceWindow
        | WaitReason::EndpointCheck
        | WaitReason::ConfirmingBind
        | WaitReason::Verification
        | WaitReason::RollbackVerification
        | WaitReason::LeftConfiguration => EventKind::RenewalWaiting,
    }
}

/// A possible attack must not be lost among ordinary failures.
fn held_event(kind: &str) -> EventKind {
    if kind == FailureKind::KeyMismatch.name() {
        EventKind::KeyMismatch
    } else {
        EventKind::RenewalHeld
    }
}

/// What an operator has to check where the firewall refuses a certificate because of its key.
fn what_to_check(renewal: &Renewal) -> String {
    let csr = renewal.obtained.csr_pem.as_deref();
    let csr = csr.and_then(|pem| Csr::parse(pem.as_bytes()).ok());
    let key = csr.map_or_else(
        || "the stored CSR".to_owned(),
        |csr| {
            format!(
                "the stored CSR (SHA-256 of its public key: {})",
                csr.public_key
            )
        },
    );
    let serial = leaf_of(&renewal.obtained).map_or_else(String::new, |leaf| {
        format!(" (serial number {})", leaf.serial)
    });
    format!(
        "The request may have been replaced on its way from the firewall, and an attacker may have the key of the issued \
         certificate: renewd does not log in again for this renewal. Compare {key} with the request {} on the firewall; \
         check the path between renewd and the firewall; revoke the certificate{serial} at {}",
        renewal.alias, renewal.ca
    )
}

fn ending_event(state: State) -> EventKind {
    match state {
        State::Completed => EventKind::RenewalCompleted,
        State::VerificationFailed => EventKind::VerificationFailed,
        State::RolledBack => EventKind::RenewalRolledBack,
        State::NotRolledBack => EventKind::RenewalNotRolledBack,
        State::Failed => EventKind::RenewalFailed,
        State::Cancelled => EventKind::RenewalCancelled,
        State::Superseded => EventKind::RenewalSuperseded,
        _ => EventKind::StateReached,
    }
}

fn retry_context<'a>(
    renewal: &'a Renewal,
    context: &Context,
    refused_logins: u32,
    now: Timestamp,
) -> RetryContext<'a> {
    let current = context.tracked.current.as_ref();
    RetryContext {
        renewal: &renewal.id,
        state: renewal.state,
        attempt: renewal.attempts.saturating_add(1),
        same_cause: 1,
        was_refused: renewal.was_refused(),
        refused_logins,
        lifetime: current.map(|current| current.not_before.duration_until(current.not_after)),
        left: current.map(|current| now.duration_until(current.not_after)),
    }
}

fn words_of(failure: &Failure) -> String {
    match &failure.waiting_for {
        Some(peer) => format!("{failure}; waiting for {peer}"),
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
/// When an address is looked at again that did not serve the new certificate with the others.
const SOON: SignedDuration = SignedDuration::from_mins(1);
