//! Takes a claimed renewal as far as it goes now: step, fact, transition table, store, event; then the next step.
//!
//! There is one path. Start-up, retry and ordinary running differ only in the row that they begin with. What came of
//! a step is stored by `outcome.rs`.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::checkpoint::{Checkpoint, Moment};
use super::heartbeat;
use super::left;
use super::liveness::Liveness;
use super::outcome::{Brought, Origin};
use super::peers::Peers;
use super::pins::{self, Verified};
use super::remedy;
use super::runtime::StoredCodes;
use super::session::SessionSlot;
use super::state::{self, Fact, Step};
use super::step::{self, Outcome, StepContext, StepError, Until, Wait};
use crate::ca::Reference;
use crate::config::Config;
use crate::env::Env;
use crate::event::{Event, EventKind};
use crate::failure::{Failure, FailureKind, readable};
use crate::firewall::{self, Identity, KnownDevice};
use crate::inventory::due::{self, Decision, Facts};
use crate::inventory::{
    KeyOrigin, ManagedCertificate, Renewal, State, TrackedCertificate, TrackedFirewall, WaitReason,
};
use crate::pki::{Certificate, Csr, Fingerprint};
use crate::seal::{SealError, Sealer};
use crate::store::{Lease, Store, StoreError};

/// Works on renewals of one configuration.
#[derive(Debug)]
pub struct Engine {
    /// What is wanted.
    pub config: Arc<Config>,
    /// The store.
    pub store: Store,
    /// The outside world.
    pub peers: Arc<dyn Peers>,
    /// The time and randomness.
    pub env: Env,
    /// Called at every moment.
    pub checkpoint: Arc<dyn Checkpoint>,
}

/// What the engine knows of a claimed renewal's certificate.
pub(super) struct Context {
    pub(super) wanted: Arc<ManagedCertificate>,
    pub(super) tracked: TrackedCertificate,
    pub(super) also_trusted: Vec<Fingerprint>,
    /// Why the certificates that are trusted besides the configuration could not be verified.
    unverifiable: Option<SealError>,
    refused_keys: Vec<Fingerprint>,
    /// Whether the database names a certificate as trusted there that this renewd did not store.
    has_forged_pins: bool,
    quirks: Vec<String>,
}

impl Context {
    /// Whether a login accepts the certificate of `renewal` by its authentic pin.
    pub(super) fn accepts_new(&self, renewal: &Renewal) -> bool {
        let new = renewal.obtained.fingerprint;
        new.is_some_and(|new| self.also_trusted.contains(&new))
    }
}

/// The pins of a firewall, or why they cannot be verified.
pub type PinsOf = Result<Verified, SealError>;

/// What follows a step.
enum Next {
    /// The next step, at once.
    Step,
    /// The same step, then.
    Wait(Timestamp),
    /// Nothing that this piece of work can do.
    Nothing,
}

impl Next {
    const fn after(goes_on: bool) -> Self {
        if goes_on { Self::Step } else { Self::Nothing }
    }
}

/// Every step ends within this time, whatever its peers do. Longer than the longest exchange that can be configured, which
/// is a signature through an agent, twice ten minutes: an order that is cut off each time would be placed each time.
const STEP_LIMIT: Duration = Duration::from_mins(25);
/// A lease that was begun or extended so little ago is not extended again: most steps follow each other at once. Less than
/// what any lease is longer than the step, or the beat, that it must outlast.
const FRESH: SignedDuration = SignedDuration::from_secs(30);

/// Why a renewal ends whose certificate belongs to another key, once an operator requests another one.
const ANOTHER_KEY_PAIR: &str = "its certificate belongs to another key than that of the firewall; the next renewal makes a new key pair";
/// An order that has not been issued by then is not waited for when its certificate left the configuration.
const LONGEST_ORDER: SignedDuration = SignedDuration::from_hours(30 * 24);
const A_DAY: SignedDuration = SignedDuration::from_hours(24);

impl Engine {
    /// Takes steps until the renewal waits, fails, ends, or `stop` is called; then gives the claim back. `liveness`
    /// shows meanwhile whether the firewall answers.
    ///
    /// # Errors
    /// Only the store's: what peers do wrong is stored as the renewal's own story.
    pub async fn work(
        &self,
        mut lease: Lease,
        stop: &CancellationToken,
        liveness: &Liveness,
    ) -> Result<(), StoreError> {
        if lease.follows_lost {
            self.peers.session_was_left(&lease.renewal.firewall);
        }
        let key = lease.key();
        let steps = Box::pin(self.steps_in_session(&mut lease, stop, liveness));
        let Some(result) = heartbeat::while_kept(self, &key, steps).await else {
            // Dropped in the middle: the next one looks what became of it.
            tracing::warn!(
                renewal = %lease.renewal.id,
                certificate = %lease.renewal.certificate,
                "the claim could not be kept; the step was stopped, and goes on where it can be claimed"
            );
            return Ok(());
        };
        match (result, self.store.release(lease).await) {
            // Another daemon took over; what it does counts.
            (Err(StoreError::LeaseLost), _) | (Ok(()), Err(StoreError::LeaseLost) | Ok(())) => {
                Ok(())
            }
            (Err(error), _) | (Ok(()), Err(error)) => Err(error),
        }
    }

    /// Takes steps, in one session with the firewall as far as they follow at once; it is closed before the claim is given
    /// back.
    async fn steps_in_session(
        &self,
        lease: &mut Lease,
        halt: &CancellationToken,
        liveness: &Liveness,
    ) -> Result<(), StoreError> {
        let firewall = Arc::clone(&lease.renewal.firewall);
        let session = SessionSlot::new(self.peers.as_ref(), liveness, firewall);
        let taken = self.steps(lease, halt, &session).await;
        session.close().await;
        taken
    }

    async fn steps(
        &self,
        lease: &mut Lease,
        halt: &CancellationToken,
        session: &SessionSlot<'_>,
    ) -> Result<(), StoreError> {
        while !halt.is_cancelled() {
            let Some(step) = Step::leaving(lease.renewal.state) else {
                return Ok(());
            };
            if step.is_at_the_ca() {
                session.close().await;
            }
            let now = self.now();
            let until = later(now, self.store.lease_policy().lease);
            if lease.until.duration_until(until) > FRESH {
                self.store.extend(lease, until).await?;
            }
            session.begin_step().await;
            match self.step(step, lease, session, now).await? {
                Next::Step => {}
                Next::Wait(until) if self.waits_in_session(until, session, halt).await => {
                    let renewal = self.store.renewal(&lease.renewal.id).await?;
                    lease.renewal = renewal.ok_or(StoreError::LeaseLost)?;
                }
                Next::Wait(_) | Next::Nothing => return Ok(()),
            }
        }
        Ok(())
    }

    /// Waits here where the session may stay open for so long: a login costs the device, and with one-time codes half a
    /// minute, more than that. `false`: it may not, or the daemon stops.
    async fn waits_in_session(
        &self,
        until: Timestamp,
        session: &SessionSlot<'_>,
        halt: &CancellationToken,
    ) -> bool {
        if !session
            .stays_open_for(self.now().duration_until(until))
            .await
        {
            return false;
        }
        tokio::select! {
            () = self.env.clock.sleep_until(until) => true,
            () = halt.cancelled() => false,
        }
    }

    /// Takes one step, and says what may follow.
    async fn step(
        &self,
        step: Step,
        lease: &mut Lease,
        session: &SessionSlot<'_>,
        now: Timestamp,
    ) -> Result<Next, StoreError> {
        let tracked = self.store.certificate(&lease.renewal.certificate).await?;
        if tracked.as_ref().is_some_and(|row| !row.is_configured_here) {
            // Another daemon has stored another configuration of it, and goes on by that one.
            return Ok(Next::Nothing);
        }
        let is_ordered = self.is_ordered(&lease.renewal).await?;
        let context = match self
            .context(lease, tracked.clone(), is_ordered, now)
            .await?
        {
            Ok(context) => context,
            Err(words) => {
                let kept_until = self.kept_until(&lease.renewal, tracked.as_ref(), is_ordered);
                if let Some(end) = kept_until.filter(|end| now < *end) {
                    let waiting = self.until_it_is_wanted(words, &lease.renewal, now, end);
                    return self.wait(lease, &waiting, now).await.map(Next::after);
                }
                return self
                    .advance(lease, Fact::LeftConfiguration, None, now, words)
                    .await
                    .map(Next::after);
            }
        };
        if !is_ordered && let Some(words) = replaced_by_hand(lease, &context, now) {
            return self
                .advance(lease, Fact::ReplacedByHand, None, now, &words)
                .await
                .map(Next::after);
        }
        if lease.renewal.has_key_mismatch() {
            // It was held since. It is here because an operator requested it.
            let words = ANOTHER_KEY_PAIR;
            return self
                .advance(lease, Fact::CancelledByOperator, None, now, words)
                .await
                .map(Next::after);
        }
        self.checkpoint.pass(Moment::Before(step)).await;
        let mut taken = self.take(step, lease, &context, session, now).await;
        if let Err(error) = &taken
            && session.is_lost(error).await
        {
            session.close().await;
            taken = self.take(step, lease, &context, session, now).await;
        }
        self.follow(taken, lease, &context, now).await
    }

    /// Stores what came of a step that began at `now`, and says what may follow.
    async fn follow(
        &self,
        taken: Result<Outcome, StepError>,
        lease: &mut Lease,
        context: &Context,
        now: Timestamp,
    ) -> Result<Next, StoreError> {
        let finished = self.now();
        let goes_on = match taken {
            Ok(Outcome::Reached(fact, obtained)) => {
                let brought = Brought::by_a_step(fact, obtained, None);
                self.reached(lease, context, brought, now, finished).await
            }
            Ok(Outcome::Explained(fact, obtained, words)) => {
                let brought = Brought::by_a_step(fact, obtained, Some(words));
                self.reached(lease, context, brought, now, finished).await
            }
            Ok(Outcome::Proven(proof)) => self.proven(lease, context, &proof, now, finished).await,
            Ok(Outcome::Wait(waiting)) => {
                self.wait(lease, &waiting, finished).await?;
                if self.is_served_otherwise(context).await? {
                    let renewal = &lease.renewal.id;
                    self.store.reconsider_wait(renewal, finished).await?;
                }
                return Ok(Next::Wait(waiting.until.moment(finished)));
            }
            Ok(Outcome::OrderVoid {
                words,
                may_have_cost,
                retry_after,
            }) => {
                let ended = may_have_cost.as_ref();
                self.order_void(lease, context, &words, ended, retry_after, finished)
                    .await
            }
            Err(error) => self.step_failed(error, lease, context, finished).await,
        };
        goes_on.map(Next::after)
    }

    /// Stores why a step failed, and decides when it is retried. Returns whether the next step follows.
    async fn step_failed(
        &self,
        error: StepError,
        lease: &mut Lease,
        context: &Context,
        finished: Timestamp,
    ) -> Result<bool, StoreError> {
        match error {
            StepError::Firewall(failure) => {
                let origin = Origin::Firewall;
                self.failed(lease, context, &failure, origin, finished)
                    .await
            }
            StepError::Ca(failure) => {
                self.failed(lease, context, &failure, Origin::Ca, finished)
                    .await
            }
            StepError::Order(failure, tries) => {
                let origin = Origin::Order { tries };
                self.failed(lease, context, &failure, origin, finished)
                    .await
            }
            StepError::Decision { kind, words } => {
                let remedy = kind.remedy(&lease.renewal.certificate);
                let words = format!("{words}; {remedy}");
                self.hold_for_decision(lease, kind, &words, finished).await
            }
            StepError::Permanent(words) => self.fail_permanently(lease, &words, finished).await,
            StepError::Cancelled(words) => {
                let words = readable(&words);
                self.advance(lease, Fact::CancelledByOperator, None, finished, &words)
                    .await
            }
            StepError::Store(error) => Err(error),
        }
    }

    /// Whether a probe saw another certificate while a step ran. Where the step decided to wait for a window, it decided by
    /// the one before, and the probe came too early to let it look again.
    async fn is_served_otherwise(&self, context: &Context) -> Result<bool, StoreError> {
        let row = self.store.certificate(&context.tracked.name).await?;
        let served =
            |row: &TrackedCertificate| row.current.as_ref().map(|current| current.fingerprint);
        Ok(row.is_some_and(|row| served(&row) != served(&context.tracked)))
    }

    async fn take(
        &self,
        step: Step,
        lease: &Lease,
        context: &Context,
        session: &SessionSlot<'_>,
        now: Timestamp,
    ) -> Result<Outcome, StepError> {
        let firewall = self.config.firewalls.get(&lease.renewal.firewall);
        if let Some(problem) = context.unverifiable.as_ref().filter(|_| step.logs_in()) {
            let call = "verify what the firewall is trusted by";
            return Err(Failure::new(FailureKind::Local, call, problem).into());
        }
        let sealer = self.sealer();
        let trust = self.trust_text(&lease.renewal.firewall).unwrap_or_default();
        let codes = StoredCodes::of(&self.store, &lease.renewal.firewall);
        let work = StepContext {
            lease,
            wanted: &context.wanted,
            tracked: &context.tracked,
            trust: &trust,
            config: &self.config,
            window: firewall.and_then(|firewall| firewall.window.as_ref()),
            order_budget: self.config.order_budgets.get(&lease.renewal.ca).copied(),
            known: KnownDevice {
                also_trusted: &context.also_trusted,
                refused_keys: &context.refused_keys,
                quirks: &context.quirks,
                codes: Some(&codes),
                left_session_blocks: false,
            },
            peers: self.peers.as_ref(),
            session,
            store: &self.store,
            sealer: &sealer,
            checkpoint: self.checkpoint.as_ref(),
            now,
        };
        let limited = tokio::time::timeout(STEP_LIMIT, step::take(step, &work)).await;
        let taken = limited.unwrap_or_else(|_| {
            let words = format!("not done within {} s", STEP_LIMIT.as_secs());
            Err(Failure::new(FailureKind::OutcomeUnknown, step.name(), words).into())
        });
        match taken {
            Err(StepError::Firewall(mut failure))
                if failure.kind == FailureKind::Untrusted && context.has_forged_pins =>
            {
                failure.detail.push_str(&not_authentic(&sealer));
                Err(failure.into())
            }
            taken => taken,
        }
    }

    /// What is needed to go on, or why the configuration no longer asks for this renewal.
    async fn context(
        &self,
        lease: &Lease,
        tracked: Option<TrackedCertificate>,
        is_ordered: bool,
        now: Timestamp,
    ) -> Result<Result<Context, &'static str>, StoreError> {
        let renewal = &lease.renewal;
        let wanted = self.config.certificates.get(&renewal.certificate);
        let Some(tracked) = tracked else {
            return Ok(Err("the certificate left the configuration"));
        };
        let left = match wanted {
            Some(wanted) => asks_for_another(wanted, renewal, is_ordered),
            None => Some("the certificate left the configuration"),
        };
        let wanted = match (left, wanted) {
            (None, Some(wanted)) => Arc::clone(wanted),
            (words, _) => match left::as_bound(renewal, &tracked) {
                Some(bound) => Arc::new(bound),
                None => {
                    return Ok(Err(
                        words.unwrap_or("the certificate left the configuration")
                    ));
                }
            },
        };
        let firewall = self.store.firewall(&renewal.firewall).await?;
        let identity = firewall.identity.as_deref().and_then(Identity::from_json);
        let (verified, unverifiable) = match self.pins(&firewall).await? {
            Ok(verified) => (verified, None),
            Err(problem) => (Verified::default(), Some(problem)),
        };
        self.report_forged(lease, &firewall, &verified.forged, now)
            .await?;
        let unconfirmed = self.store.unconfirmed(&renewal.firewall).await?;
        Ok(Ok(Context {
            wanted,
            tracked,
            also_trusted: verified.trusted,
            unverifiable,
            has_forged_pins: !verified.forged.is_empty(),
            refused_keys: unconfirmed.into_iter().map(|one| one.public_key).collect(),
            quirks: identity.map(|identity| identity.quirks).unwrap_or_default(),
        }))
    }

    /// Certificates that the firewall is trusted by besides the configuration: those that renewd bound and verified there,
    /// and those that open renewals may have bound. That a certificate was issued does not make it one: its request may
    /// have been replaced on its way, and then an attacker has the key. The firewall itself has confirmed the import,
    /// over a connection that the old trust verified, and the intent to bind it is stored.
    ///
    /// # Errors
    /// The store's. Inside: the sealing key cannot be read, so that no stored pin can be verified.
    pub async fn pins(&self, firewall: &TrackedFirewall) -> Result<PinsOf, StoreError> {
        let Some(trust) = self.trust_text(&firewall.name) else {
            return Ok(Ok(Verified::default()));
        };
        let pending = self.store.pending_pins(&firewall.name).await?;
        Ok(pins::verify(&self.sealer(), firewall, &pending, &trust))
    }

    /// Reports rows that renewd did not store, once.
    async fn report_forged(
        &self,
        lease: &Lease,
        known: &TrackedFirewall,
        forged: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(mark) = pins::unreported(known, forged) else {
            return Ok(());
        };
        let event = Event {
            detail: Some(pins::advice(&known.name)),
            ..Event::of_renewal(EventKind::PinNotAuthentic, &lease.renewal)
        };
        let (firewall, events) = (&lease.renewal.firewall, std::slice::from_ref(&event));
        self.store
            .record_distrust(firewall, &mark, events, Some(lease), now)
            .await
    }

    /// Whether it was ordered, or may have been: an order whose answer was lost is looked for by the renewal that placed it,
    /// and no other would find it.
    async fn is_ordered(&self, renewal: &Renewal) -> Result<bool, StoreError> {
        if renewal.state != State::CsrExported {
            return Ok(renewal.state >= State::Submitted);
        }
        let intent = self.store.intent(&renewal.id, Step::Submit.name()).await?;
        Ok(intent.is_some())
    }

    /// Until when a renewal that was ordered, and that the configuration no longer asks for, is kept in case the configuration
    /// is put back: it would have to be ordered again. `None`: it gives way at once, because it cost nothing or was given up on
    /// request.
    ///
    /// Where the configuration asks for something else instead, it gives way when the last twentieth of the served certificate
    /// begins: an expired certificate costs more than another order.
    fn kept_until(
        &self,
        renewal: &Renewal,
        tracked: Option<&TrackedCertificate>,
        is_ordered: bool,
    ) -> Option<Timestamp> {
        let may_be_kept = matches!(
            renewal.state,
            State::CsrExported | State::Submitted | State::Issued | State::Imported
        );
        if !may_be_kept || !is_ordered {
            return None;
        }
        let leaf = renewal.obtained.leaf_pem.as_deref();
        let leaf = leaf.and_then(|pem| Certificate::from_pem(pem).ok());
        let end = leaf.map_or_else(
            || later(renewal.planned_at, LONGEST_ORDER),
            |leaf| leaf.not_after,
        );
        if self.is_gone(renewal) {
            return Some(end);
        }
        let served = tracked.and_then(|row| row.current.as_ref()?.certificate());
        let end = served.map_or(end, |served| due::emergency_at(&served).min(end));
        self.is_worth_its_order(renewal).then_some(end)
    }

    /// Whether the certificate is no longer in the configuration.
    fn is_gone(&self, renewal: &Renewal) -> bool {
        !self.config.certificates.contains_key(&renewal.certificate)
    }

    /// Keeps what was ordered until the configuration asks for it again, `end` at the latest.
    fn until_it_is_wanted(
        &self,
        words: &str,
        renewal: &Renewal,
        now: Timestamp,
        end: Timestamp,
    ) -> Wait {
        let (kind, words) = if self.is_gone(renewal) {
            let words = format!(
                "{words}; what was ordered is kept and installed when it comes back to the configuration"
            );
            (WaitReason::LeftConfiguration, words)
        } else {
            let kind = WaitReason::ChangedConfiguration;
            let words = format!(
                "{words}; what was ordered for {} may have cost money and is kept until {end:.0}; {}",
                renewal.firewall,
                remedy::of_wait(kind, renewal)
            );
            (kind, words)
        };
        Wait {
            until: Until::Moment(later(now, A_DAY).min(end)),
            kind,
            words,
        }
    }

    /// Whether the order of a renewal may have cost money, and no operator has given it up.
    fn is_worth_its_order(&self, renewal: &Renewal) -> bool {
        if renewal.decided.as_deref() == Some(WaitReason::ChangedConfiguration.name()) {
            return false;
        }
        let Ok(issuer) = self.peers.issuer(&renewal.ca) else {
            return true;
        };
        match renewal.obtained.ca_reference.clone() {
            Some(order) if renewal.state != State::CsrExported => {
                issuer.may_have_cost(&Reference(order))
            }
            // Its answer was lost. Where each order surely costs money, the next renewal asks an operator first.
            _ => issuer.budget().is_none() && issuer.may_have_cost(&Reference(String::new())),
        }
    }

    /// Certificates that renewd bound to this firewall and proved, as long as the configured trust is the same.
    pub async fn learned(&self, firewall: &str) -> Result<Vec<Fingerprint>, StoreError> {
        let known = self.store.firewall(firewall).await?;
        let pins = self.pins(&known).await?;
        Ok(pins.map(|pins| pins.trusted).unwrap_or_default())
    }

    /// What authenticates rows of the database, and seals keys.
    pub fn sealer(&self) -> Sealer {
        let daemon = &self.config.daemon;
        Sealer::new(
            daemon.sealing_key.clone(),
            &daemon.state_directory,
            Arc::clone(&self.env.random),
        )
    }

    pub(super) fn trust_text(&self, firewall: &str) -> Option<String> {
        self.config
            .firewalls
            .get(firewall)
            .map(|configured| firewall::trust_text(&configured.settings))
    }

    pub(super) fn now(&self) -> Timestamp {
        self.env.clock.now()
    }
}

/// Why what renewd has bound itself is not trusted.
fn not_authentic(sealer: &Sealer) -> String {
    format!(
        "; what renewd itself has bound there is not trusted, because its row in the database is not authentic: is the \
         sealing key, {}, another one by now (put the former one back), or was the row written by another program?",
        sealer.location()
    )
}

/// Why a renewal that began under another configuration does not fit this one any more. What is bound is brought to
/// its end anyway.
fn asks_for_another(
    wanted: &ManagedCertificate,
    renewal: &Renewal,
    is_ordered: bool,
) -> Option<&'static str> {
    if wanted.firewall != renewal.firewall {
        return Some("the certificate moved to another firewall in the configuration");
    }
    if wanted.ca != renewal.ca && !is_ordered {
        return Some("the certificate moved to another CA in the configuration");
    }
    // From the order on the key that it was placed for is brought to its end.
    let has_key = renewal.state >= State::CsrGenerated && !is_ordered;
    let origin = match renewal.obtained.sealed_key {
        Some(_) => KeyOrigin::Renewd,
        None => KeyOrigin::Firewall,
    };
    if has_key && wanted.key_origin != origin {
        return Some("the configuration wants the key to be made elsewhere by now");
    }
    let csr = renewal
        .obtained
        .csr_pem
        .as_deref()
        .filter(|_| renewal.state < State::Bound)?;
    let csr = Csr::parse(csr.as_bytes()).ok()?;
    (!csr.differences(&wanted.request).is_empty())
        .then_some("the configuration asks for other names or another key by now")
}

/// Whether another administrator installed a certificate that is not due, so that ours is no longer needed.
fn replaced_by_hand(lease: &Lease, context: &Context, now: Timestamp) -> Option<String> {
    let renewal = &lease.renewal;
    state::next(renewal.state, Fact::ReplacedByHand)?;
    let current = context.tracked.current.as_ref()?;
    if renewal.reason == due::Reason::Requested.name() || current.seen_at <= renewal.planned_at {
        return None;
    }
    let certificate = current.certificate()?;
    let facts = Facts {
        wanted: &context.wanted,
        current: Some(&certificate),
        unknown: None,
        renewed_before: true,
        requested_at: None,
        window: context.tracked.window_of_current(),
        rest: None,
    };
    matches!(due::decide(&facts, now), Decision::Rest { .. }).then(|| {
        format!(
            "the services show {} until {:.0}",
            certificate.fingerprint.short(),
            current.not_after
        )
    })
}

pub(super) fn later(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.saturating_add(by).unwrap_or(Timestamp::MAX)
}
