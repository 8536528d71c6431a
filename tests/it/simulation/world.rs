//! The world outside renewd, all of it in memory, and the books about what may never happen in it.
//!
//! Every exchange with it takes time. A task in an exchange stands still until the driver lets it continue, so that one
//! task runs at a time, and a seed gives the same run each time.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use renewd::ca::Issuer;
use renewd::clock::ManualClock;
use renewd::failure::{Failure, FailureKind};
use renewd::firewall::{Binding, Firewall, KnownDevice};
use renewd::inventory::{Endpoint, Service};
use renewd::pki::Certificate;
use renewd::probe::ProbeResult;
use renewd::renewal::Peers;

use super::authority::{Authority, Counter, Kind};
use super::device::{Device, Session, refused};
use super::oracle;
use super::rng::Rng;
use super::window_oracle::WindowOracle;

/// What all tasks share.
pub struct World {
    state: Mutex<State>,
}

/// Everything there is.
pub struct State {
    /// The true time.
    pub now: Timestamp,
    /// How far renewd's clock is ahead of it.
    pub clock_error: SignedDuration,
    pub last_clock_step_at: Timestamp,
    pub last_crash_at: Timestamp,
    /// When an operator last requested a renewal.
    pub last_request_at: Timestamp,
    pub rng: Rng,
    /// One in so many exchanges takes up to a minute.
    pub slow_one_in: u64,
    pub devices: BTreeMap<Arc<str>, Device>,
    authorities: Vec<Authority>,
    /// What is to be served where.
    pub managed: BTreeMap<(Arc<str>, Service), Managed>,
    pub obstacles: Vec<Obstacle>,
    /// Certificates that were served after their end, and are no longer.
    pub expiries: Vec<Expiry>,
    pub books: Books,
    pub is_crashing: bool,
    /// renewd's clock, which follows `now` at a distance.
    clock: Arc<ManualClock>,
    /// How long the task that has just stopped is on its way.
    on_the_way: Option<SignedDuration>,
}

/// What the configuration wants of a service.
#[derive(Debug, Clone)]
pub struct Managed {
    pub certificate: Arc<str>,
    pub ca: Kind,
    pub window_oracle: Option<WindowOracle>,
    /// Since when.
    pub since: Timestamp,
    /// When an operator last changed something there by hand.
    pub changed_by_hand_at: Timestamp,
}

/// Something that would have delayed any client.
#[derive(Debug, Clone)]
pub struct Obstacle {
    pub scope: Scope,
    pub from: Timestamp,
    pub until: Timestamp,
    pub why: &'static str,
}

/// The clients that an obstacle affects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    Everything,
    Device(Arc<str>),
    Ca(&'static str),
    /// The certificate with this common name.
    Name(String),
}

/// A certificate that was served after its end.
#[derive(Debug, Clone)]
pub struct Expiry {
    pub device: Arc<str>,
    pub managed: Managed,
    pub leaf: Certificate,
    pub bound_at: Timestamp,
    pub from: Timestamp,
    pub until: Timestamp,
}

/// What is counted.
#[derive(Debug, Default)]
pub struct Books {
    pub exchanges: u64,
    pub lost_answers: u64,
    pub key_pairs: u64,
    pub orders: u64,
    pub binds: u64,
    pub violations: Vec<String>,
}

impl World {
    pub fn new(now: Timestamp, rng: Rng, clock: Arc<ManualClock>, budget: u32) -> Self {
        let long_ago = Timestamp::UNIX_EPOCH;
        let state = State {
            now,
            clock_error: SignedDuration::ZERO,
            last_clock_step_at: long_ago,
            last_crash_at: long_ago,
            last_request_at: long_ago,
            rng,
            slow_one_in: 200,
            devices: BTreeMap::new(),
            authorities: Kind::ALL
                .map(|kind| Authority::new(kind, now, budget))
                .into(),
            managed: BTreeMap::new(),
            obstacles: Vec::new(),
            expiries: Vec::new(),
            books: Books::default(),
            is_crashing: false,
            clock,
            on_the_way: None,
        };
        Self {
            state: Mutex::new(state),
        }
    }

    /// Reads the world, or changes it. A panic in a simulation ends it, so a poisoned lock is of no interest.
    pub fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self
            .state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// An exchange is on its way.
    pub async fn travel(&self) {
        self.with(|state| {
            state.books.exchanges += 1;
            let is_slow = state.rng.one_in(state.slow_one_in);
            let longest = if is_slow { 60_000 } else { 800 };
            let takes = 5 + state.rng.below(longest);
            let takes = SignedDuration::from_millis(i64::try_from(takes).unwrap());
            state.on_the_way = Some(state.on_the_way.map_or(takes, |other| other.max(takes)));
        });
        OnTheWay { is_begun: false }.await;
    }

    /// How long the task that was just polled is on its way; `None`: it waits for the store.
    pub fn take_travel(&self) -> Option<SignedDuration> {
        self.with(|state| state.on_the_way.take())
    }
}

/// Stands still once; the driver continues it when its time has come.
struct OnTheWay {
    is_begun: bool,
}

impl Future for OnTheWay {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.is_begun, true) {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl State {
    pub fn device(&mut self, name: &str) -> &mut Device {
        self.devices.get_mut(name).expect("a device of this name")
    }

    pub fn authority(&mut self, kind: Kind) -> &mut Authority {
        let place = Kind::ALL.iter().position(|other| *other == kind).unwrap();
        &mut self.authorities[place]
    }

    /// Moves the true time; renewd's clock follows.
    pub fn set_time(&mut self, now: Timestamp) {
        self.now = now.max(self.now);
        self.clock.set(self.now + self.clock_error);
    }

    /// renewd's clock is wrong by `error` from now on.
    pub fn set_clock_error(&mut self, error: SignedDuration) {
        self.clock_error = error;
        self.last_clock_step_at = self.now;
        self.set_time(self.now);
    }

    pub fn violation(&mut self, words: impl fmt::Display) {
        let words = format!("{:.0}: {words}", self.now);
        self.books.violations.push(words);
    }

    pub fn obstruct(&mut self, scope: Scope, lasts: SignedDuration, why: &'static str) {
        self.obstacles.push(Obstacle {
            scope,
            from: self.now,
            until: self.now + lasts,
            why,
        });
    }

    pub fn reach_device(&mut self, name: &str, call: &str) -> Result<(), Failure> {
        let is_flaky = self.rng.one_in(500);
        let now = self.now;
        if is_flaky || now < self.device(name).down_until {
            let words = "no server answers";
            return Err(Failure::new(FailureKind::Unreachable, call, words));
        }
        Ok(())
    }

    pub fn reach_authority(&mut self, kind: Kind, call: &str) -> Result<(), Failure> {
        let is_flaky = self.rng.one_in(500);
        let is_polite = self.rng.one_in(2);
        let now = self.now;
        if !is_flaky && now >= self.authority(kind).down_until {
            return Ok(());
        }
        if is_polite {
            let failure = Failure::new(FailureKind::Busy, call, "503: come again later");
            return Err(failure.retry_after(SignedDuration::from_mins(10)));
        }
        Err(Failure::new(
            FailureKind::Unreachable,
            call,
            "no server answers",
        ))
    }

    /// Points services at objects, as renewd asks for it, and notes what it should not have asked for.
    pub fn bind(&mut self, name: &str, bindings: &[Binding]) -> Result<(), Failure> {
        for binding in bindings {
            self.judge_binding(name, binding)?;
        }
        let (is_slow, is_stuck) = (self.rng.one_in(30), self.rng.one_in(150));
        let lag = match (is_stuck, is_slow) {
            (true, _) => SignedDuration::from_hours(24 * 30),
            (_, true) => SignedDuration::from_secs(i64::try_from(self.rng.below(60)).unwrap()),
            _ => SignedDuration::ZERO,
        };
        self.books.binds += 1;
        self.rebind(
            name,
            bindings.iter().map(|b| (b.service, b.alias.clone())),
            lag,
        );
        Ok(())
    }

    /// Binds services to objects, on behalf of any client.
    pub fn rebind(
        &mut self,
        name: &str,
        bindings: impl Iterator<Item = (Service, Option<String>)>,
        lag: SignedDuration,
    ) {
        let now = self.now;
        let before = self.device(name).bindings.clone();
        for (service, alias) in bindings {
            self.settle(name, service);
            let device = self.device(name);
            let is_return = alias
                .as_ref()
                .is_none_or(|alias| device.was_bound.contains(alias));
            device.lagging = (!lag.is_zero() && !is_return).then(|| (before.clone(), now + lag));
            device.was_bound.extend(alias.clone());
            device.bindings.insert(service, alias);
            device.proven.remove(&service);
            if device.silent.contains(&service) {
                device.silent_at_bind.insert(service);
            } else {
                device.silent_at_bind.remove(&service);
            }
            device.bound_at.insert(service, now);
        }
    }

    fn judge_binding(&mut self, name: &str, binding: &Binding) -> Result<(), Failure> {
        let now = self.now;
        let device = self.device(name);
        let Some(alias) = &binding.alias else {
            return Ok(());
        };
        let object = device.objects.get(alias);
        let leaf = object.and_then(|object| object.leaf.clone());
        let leaf = leaf.ok_or_else(|| refused("bind", "there is no such certificate"))?;
        if device.was_bound.contains(alias) {
            return Ok(());
        }
        let shown = device.served(binding.service, now).clone();
        let Some(managed) = self
            .managed
            .get(&(Arc::from(name), binding.service))
            .cloned()
        else {
            return Ok(());
        };
        let common_name = leaf.common_name.as_deref().unwrap_or_default();
        if !common_name.starts_with(&*managed.certificate) {
            self.violation(format!(
                "{name}: {common_name} was bound for {}",
                managed.certificate
            ));
        }
        if leaf.not_after <= now {
            self.violation(format!("{name}: {alias} was bound after its end"));
        }
        self.judge_night(name, &managed, &shown);
        Ok(())
    }

    /// Outside a window a certificate is bound only where no window opens before its last twentieth.
    fn judge_night(&mut self, name: &str, managed: &Managed, shown: &Certificate) {
        let Some(window_oracle) = &managed.window_oracle else {
            return;
        };
        let there = self.now + self.clock_error;
        let life = shown.not_before.duration_until(shown.not_after);
        let last_moment = shown.not_after - life / 20;
        // renewd knows of a change by hand only after its next probe.
        let obstacles = self.obstacles.iter().filter(|obstacle| {
            matches!(&obstacle.scope, Scope::Device(of) if **of == *name)
                || obstacle.scope == Scope::Everything
        });
        let changed_at = managed.changed_by_hand_at;
        let is_known = oracle::noticed_at(changed_at, obstacles) < self.now;
        let is_disturbed = self.last_clock_step_at + SignedDuration::from_hours(26) > self.now;
        if is_known
            && !is_disturbed
            && !window_oracle.is_open(there)
            && window_oracle
                .next_opening(there)
                .is_some_and(|at| at < last_moment)
        {
            self.violation(format!(
                "{name}: bound outside its window, though what is served lasts from {:.0} to {:.0} (changed by hand last \
                 at {changed_at:.0})",
                shown.not_before, shown.not_after
            ));
        }
    }

    /// Removes an object, as renewd asks for it.
    pub fn remove(&mut self, name: &str, alias: &str) -> Result<(), Failure> {
        let device = self.device(name);
        let Some(object) = device.objects.get(alias) else {
            return Ok(());
        };
        if device
            .bindings
            .values()
            .flatten()
            .any(|bound| bound == alias)
        {
            return Err(refused("remove", "it is in use"));
        }
        let is_ours = object.is_ours;
        let unproven: Vec<Service> = device
            .bindings
            .iter()
            .filter(|(service, bound)| {
                let is_ours = bound
                    .as_ref()
                    .and_then(|bound| device.objects.get(bound))
                    .is_some_and(|object| object.is_ours);
                // An address that served nothing just before the bind needs no proof: it is reported until it serves it.
                let needs_proof = !device.silent_at_bind.contains(service);
                is_ours && needs_proof && !device.proven.contains(service)
            })
            .map(|(service, _)| *service)
            .collect();
        device.objects.remove(alias);
        if !is_ours {
            self.violation(format!(
                "{name}: {alias} was removed, which renewd did not make"
            ));
        }
        for service in unproven {
            let managed = self.managed.get(&(Arc::from(name), service));
            if managed.is_some_and(|managed| alias.starts_with(&*managed.certificate)) {
                self.violation(format!("{name}: {alias} was removed before the proof"));
            }
        }
        Ok(())
    }

    /// Notes for how long the certificate that a service is about to give up was served after its end.
    pub fn settle(&mut self, name: &str, service: Service) {
        let now = self.now;
        let Some(managed) = self.managed.get(&(Arc::from(name), service)).cloned() else {
            return;
        };
        let device = self.device(name);
        let leaf = device.served(service, now).clone();
        let since = device.bound_at.get(&service).copied().unwrap_or_default();
        let from = leaf.not_after.max(since).max(managed.since);
        if from < now {
            self.expiries.push(Expiry {
                device: Arc::from(name),
                managed,
                leaf,
                bound_at: since,
                from,
                until: now,
            });
        }
    }

    fn show(&mut self, endpoint: &Endpoint) -> ProbeResult {
        let service = match endpoint.port {
            1 => Service::WebManagement,
            _ => Service::SslVpn,
        };
        let now = self.now;
        if self.reach_device(&endpoint.host, "look").is_err() {
            return ProbeResult::Unreachable("no server answers".to_owned());
        }
        let device = self.device(&endpoint.host);
        if device.flaps && service == Service::SslVpn {
            device.looks += 1;
            if device.looks.is_multiple_of(4) {
                device.silent.insert(service);
                return ProbeResult::Unreachable("the address comes and goes".to_owned());
            }
        }
        device.silent.remove(&service);
        let shown = device.served(service, now).clone();
        let bound = device.bindings.get(&service).cloned().flatten();
        let bound = bound.and_then(|alias| device.objects.get(&alias)?.leaf.as_ref());
        if bound.is_some_and(|bound| bound.fingerprint == shown.fingerprint) {
            device.proven.insert(service);
        }
        ProbeResult::Served(Box::new(shown), Vec::new())
    }
}

/// The world as the engine sees it.
#[derive(Clone)]
pub struct WorldPeers(pub Arc<World>);

impl fmt::Debug for WorldPeers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Door")
    }
}

#[async_trait]
impl Peers for WorldPeers {
    async fn firewall(
        &self,
        name: &str,
        known: &KnownDevice<'_>,
    ) -> Result<Box<dyn Firewall>, Failure> {
        let session = Session::open(&self.0, name, known.also_trusted).await?;
        Ok(Box::new(session))
    }

    fn issuer(&self, name: &str) -> Result<Arc<dyn Issuer>, Failure> {
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
        let kind = kind.ok_or_else(|| refused("use a CA", "there is none of this name"))?;
        Ok(Arc::new(Counter {
            world: Arc::clone(&self.0),
            kind,
        }))
    }

    async fn probe(&self, endpoint: &Endpoint, _server_name: Option<&str>) -> ProbeResult {
        self.0.travel().await;
        let probed = self.0.with(|state| state.show(endpoint));
        self.0.travel().await;
        probed
    }
}
