//! Firewalls as they are on paper: objects, services, other administrators, outages. A second opinion on what
//! `renewd::firewall::Firewall` asks for; it shares no code with a driver, and takes note of what may never happen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use renewd::failure::{Failure, FailureKind};
use renewd::firewall::{
    Binding, Firewall, Identity, InstalledObject, ObjectKind, PendingChangesOfOthers,
};
use renewd::inventory::Service;
use renewd::pki::{Certificate, Fingerprint, KeyBundle, KeyRequest};

use super::test_pki;
use super::world::{State, World};

/// One firewall.
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a trait of its own that a device may have"
)]
pub struct Device {
    pub objects: BTreeMap<String, Object>,
    /// What each service uses; `None`: the device's own certificate.
    pub bindings: BTreeMap<Service, Option<String>>,
    /// What is served until then, where the device is slow to take a change.
    pub lagging: Option<(BTreeMap<Service, Option<String>>, Timestamp)>,
    /// Its own certificate.
    pub factory: Certificate,
    /// The pins of the configuration.
    pub pins: BTreeSet<Fingerprint>,
    pub down_until: Timestamp,
    /// Our password is wrong until then.
    pub locked_until: Timestamp,
    /// Another administrator has configuration mode until then.
    pub configured_by_other_until: Timestamp,
    /// Another administrator's changes wait for their commit until then.
    pub foreign_until: Timestamp,
    /// A session of ours that was not closed ends then.
    pub left_session_until: Timestamp,
    /// renewd knows that it left a session here.
    pub may_replace_session: bool,
    pub session_open: bool,
    pub refused_in_a_row: u32,
    /// Whether a small box takes its time for a key pair.
    pub is_slow: bool,
    /// Whether every fourth probe of its SSL VPN is not answered.
    pub flaps: bool,
    pub looks: u32,
    /// Services of which the certificate that is bound now was seen.
    pub proven: BTreeSet<Service>,
    /// Services that did not answer their last probe.
    pub silent: BTreeSet<Service>,
    /// Those that had not answered the last probe before they were bound.
    pub silent_at_bind: BTreeSet<Service>,
    /// Everything that was ever bound here: binding it again is a way back.
    pub was_bound: BTreeSet<String>,
    pub bound_at: BTreeMap<Service, Timestamp>,
    next_key: usize,
}

/// A named object.
#[derive(Clone)]
pub struct Object {
    /// SHA-256 of the public key of the key pair that was born, or brought, under this name.
    pub key: Fingerprint,
    /// The request; `None` where the key pair came from outside.
    pub request: Option<Vec<u8>>,
    pub leaf: Option<Certificate>,
    /// Listed from then on.
    pub listed_at: Timestamp,
    /// Whether renewd made it.
    pub is_ours: bool,
}

impl Device {
    pub fn new(factory: Certificate, is_slow: bool, first_key: usize) -> Self {
        let long_ago = Timestamp::UNIX_EPOCH;
        Self {
            objects: BTreeMap::new(),
            bindings: Service::ALL.into_iter().map(|s| (s, None)).collect(),
            lagging: None,
            pins: BTreeSet::from([factory.fingerprint]),
            factory,
            down_until: long_ago,
            locked_until: long_ago,
            configured_by_other_until: long_ago,
            foreign_until: long_ago,
            left_session_until: long_ago,
            may_replace_session: false,
            session_open: false,
            refused_in_a_row: 0,
            is_slow,
            flaps: first_key.is_multiple_of(3),
            looks: 0,
            proven: BTreeSet::new(),
            silent: BTreeSet::new(),
            silent_at_bind: BTreeSet::new(),
            was_bound: BTreeSet::new(),
            bound_at: BTreeMap::new(),
            next_key: first_key,
        }
    }

    /// What a handshake with `service` shows.
    pub fn served(&self, service: Service, now: Timestamp) -> &Certificate {
        let bindings = match &self.lagging {
            Some((old, until)) if now < *until => old,
            _ => &self.bindings,
        };
        let alias = bindings.get(&service).and_then(Option::as_deref);
        alias
            .and_then(|alias| self.objects.get(alias)?.leaf.as_ref())
            .unwrap_or(&self.factory)
    }

    /// Makes a key pair and its request; the next one gets another key.
    pub fn make_request(&mut self, request: &KeyRequest, listed_at: Timestamp) -> Object {
        self.next_key += 1;
        let (key, request) = test_pki::signing_request(self.next_key, request);
        Object {
            key,
            request: Some(request),
            leaf: None,
            listed_at,
            is_ours: true,
        }
    }

    /// Everything that was not committed is gone, and so are the sessions.
    pub fn restart(&mut self, until: Timestamp) {
        let long_ago = Timestamp::UNIX_EPOCH;
        self.down_until = self.down_until.max(until);
        self.foreign_until = long_ago;
        self.configured_by_other_until = long_ago;
        self.left_session_until = long_ago;
        self.lagging = None;
    }

    /// Why no client can write now.
    fn busy(&self, now: Timestamp, call: &str) -> Result<(), Failure> {
        let reason = if now < self.foreign_until {
            "changes of another administrator wait for their commit"
        } else if now < self.configured_by_other_until {
            "another administrator has configuration mode"
        } else {
            return Ok(());
        };
        Err(Failure::new(FailureKind::Busy, call, reason).waiting_for("another administrator"))
    }
}

/// A session of renewd.
pub struct Session {
    world: Arc<World>,
    name: Arc<str>,
    is_closed: bool,
}

impl Session {
    /// Logs in, as far as the device lets us.
    pub async fn open(
        world: &Arc<World>,
        name: &str,
        also_trusted: &[Fingerprint],
    ) -> Result<Self, Failure> {
        world.travel().await;
        world.with(|state| log_in(state, name, also_trusted))?;
        let session = Self {
            world: Arc::clone(world),
            name: Arc::from(name),
            is_closed: false,
        };
        world.travel().await;
        Ok(session)
    }

    /// One exchange: there, the act, and back. Either way may fail, and so may the device.
    async fn call<T>(
        &self,
        call: &str,
        act: impl FnOnce(&mut State) -> Result<T, Failure> + Send,
    ) -> Result<T, Failure> {
        self.world.travel().await;
        let answer = self.world.with(|state| {
            state.reach_device(&self.name, call)?;
            let is_lost = state.rng.one_in(LOST);
            let answer = act(state);
            if is_lost && answer.is_ok() {
                state.books.lost_answers += 1;
                let words = "the connection broke before the answer came";
                return Err(Failure::new(FailureKind::OutcomeUnknown, call, words));
            }
            answer
        });
        self.world.travel().await;
        answer
    }

    async fn write<T>(
        &self,
        call: &'static str,
        act: impl FnOnce(&mut State) -> Result<T, Failure> + Send,
    ) -> Result<T, Failure> {
        self.call(call, |state| {
            let now = state.now;
            state.device(&self.name).busy(now, call)?;
            act(state)
        })
        .await
    }
}

fn log_in(state: &mut State, name: &str, also_trusted: &[Fingerprint]) -> Result<(), Failure> {
    const CALL: &str = "log in";
    state.reach_device(name, CALL)?;
    let now = state.now;
    let device = state.device(name);
    let shown = device.served(Service::WebManagement, now).fingerprint;
    if !device.pins.contains(&shown) && !also_trusted.contains(&shown) {
        let words = "its certificate is none that is believed";
        return Err(Failure::new(FailureKind::Untrusted, CALL, words));
    }
    if now < device.locked_until {
        device.refused_in_a_row += 1;
        let refused = device.refused_in_a_row;
        if refused > LOGIN_LIMIT {
            state.violation(format!("{name} refused {refused} logins in a row"));
        }
        return Err(Failure::new(
            FailureKind::Unauthorized,
            CALL,
            "wrong password",
        ));
    }
    device.refused_in_a_row = 0;
    if now < device.left_session_until && !device.may_replace_session {
        let words = "a session of the same user is open";
        return Err(Failure::new(FailureKind::Busy, CALL, words));
    }
    device.left_session_until = Timestamp::UNIX_EPOCH;
    device.may_replace_session = false;
    let is_doubled = std::mem::replace(&mut device.session_open, true);
    if is_doubled {
        state.violation(format!("two sessions at {name}"));
    }
    Ok(())
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.is_closed {
            return;
        }
        self.world.with(|state| {
            let is_crash = state.is_crashing;
            let now = state.now;
            let device = state.device(&self.name);
            device.session_open = false;
            device.left_session_until = now + IDLE_TIMEOUT;
            if !is_crash {
                state.violation(format!("a session at {} was not given back", self.name));
            }
        });
    }
}

#[async_trait]
impl Firewall for Session {
    async fn identify(&mut self) -> Result<Identity, Failure> {
        self.call("identify", |_| Ok(Identity::default())).await
    }

    async fn installed(&mut self) -> Result<Vec<InstalledObject>, Failure> {
        self.call("list", |state| {
            let now = state.now;
            let listed = state.device(&self.name).objects.iter();
            let listed = listed.filter(|(_, object)| object.listed_at <= now);
            Ok(listed
                .map(|(alias, object)| listed_as(alias, object))
                .collect())
        })
        .await
    }

    async fn is_absent(&mut self, alias: &str) -> Result<bool, Failure> {
        self.call("show", |state| {
            let now = state.now;
            let found = state.device(&self.name).objects.get(alias);
            Ok(found.is_none_or(|object| object.listed_at > now))
        })
        .await
    }

    async fn generate_csr(&mut self, alias: &str, request: &KeyRequest) -> Result<(), Failure> {
        self.write("generate", |state| {
            let is_slow = state.device(&self.name).is_slow;
            let takes = if is_slow { state.rng.below(60) } else { 0 };
            let listed_at = state.now + SignedDuration::from_secs(i64::try_from(takes).unwrap());
            let device = state.device(&self.name);
            if device.objects.contains_key(alias) {
                // After a step of the clock it may be asked for once more; no device makes a second one.
                return Err(refused("generate", "the name is in use"));
            }
            let object = device.make_request(request, listed_at);
            device.objects.insert(alias.to_owned(), object);
            state.books.key_pairs += 1;
            Ok(())
        })
        .await
    }

    async fn export_csr(&mut self, alias: &str) -> Result<Vec<u8>, Failure> {
        self.call("export", |state| {
            let object = state.device(&self.name).objects.get(alias);
            let request = object.and_then(|object| object.request.clone());
            request.ok_or_else(|| refused("export", "no such request"))
        })
        .await
    }

    async fn import_chain(&mut self, _chain: &[Certificate]) -> Result<(), Failure> {
        self.write("import the chain", |_| Ok(())).await
    }

    async fn import_signed(&mut self, alias: &str, leaf: &Certificate) -> Result<(), Failure> {
        self.write("import", |state| {
            if state.rng.one_in(MOODY) {
                return Err(refused("import", "not now"));
            }
            let object = state.device(&self.name).objects.get_mut(alias);
            let object = object.ok_or_else(|| refused("import", "no such request"))?;
            if object.key != leaf.public_key {
                let words = format!(
                    "{}: {alias} was given a certificate for another key",
                    self.name
                );
                state.violation(words);
                return Err(refused("import", "the key is another"));
            }
            object.leaf = Some(leaf.clone());
            Ok(())
        })
        .await
    }

    async fn import_key_pair(&mut self, alias: &str, bundle: &KeyBundle) -> Result<(), Failure> {
        self.write("import a key pair", |state| {
            let key = test_pki::public_key(&bundle.key);
            if key != bundle.leaf.public_key {
                let words = format!("{}: {alias} came with another key", self.name);
                state.violation(words);
            }
            let object = Object {
                key,
                request: None,
                leaf: Some(bundle.leaf.clone()),
                listed_at: state.now,
                is_ours: true,
            };
            state.books.key_pairs += 1;
            let device = state.device(&self.name);
            device.objects.insert(alias.to_owned(), object);
            Ok(())
        })
        .await
    }

    async fn mismatches(
        &mut self,
        alias: &str,
        leaf: &Certificate,
    ) -> Result<Vec<String>, Failure> {
        self.call("compare", |state| {
            let object = state.device(&self.name).objects.get(alias);
            let held = object.and_then(|object| object.leaf.as_ref());
            let is_same = held.is_some_and(|held| held.serial == leaf.serial);
            let words = "the serial number is another".to_owned();
            Ok(if is_same { Vec::new() } else { vec![words] })
        })
        .await
    }

    fn also_accept(&mut self, _fingerprint: Fingerprint) {}

    async fn bindings(&mut self) -> Result<Vec<Binding>, Failure> {
        self.call("bindings", |state| {
            let bindings = state.device(&self.name).bindings.iter();
            let read = |(service, alias): (&Service, &Option<String>)| Binding {
                service: *service,
                alias: alias.clone(),
            };
            Ok(bindings.map(read).collect())
        })
        .await
    }

    async fn bind(&mut self, bindings: &[Binding]) -> Result<(), Failure> {
        self.write("bind", |state| state.bind(&self.name, bindings))
            .await
    }

    async fn remove(&mut self, alias: &str) -> Result<(), Failure> {
        self.write("remove", |state| state.remove(&self.name, alias))
            .await
    }

    async fn pending_changes_of_others(
        &mut self,
    ) -> Result<Option<PendingChangesOfOthers>, Failure> {
        self.call("pending", |state| {
            let now = state.now;
            let is_there = now < state.device(&self.name).foreign_until;
            Ok(is_there.then(|| PendingChangesOfOthers {
                by: "another administrator".to_owned(),
                summary: "an access rule".to_owned(),
            }))
        })
        .await
    }

    async fn specification(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        Ok(None)
    }

    async fn close(mut self: Box<Self>) -> Result<(), Failure> {
        // Set at once: the caller has done its part, whether or not the logout succeeds.
        self.is_closed = true;
        let is_reached = self.world.with(|state| {
            let is_reached = state.reach_device(&self.name, "log out");
            let end = state.now + IDLE_TIMEOUT;
            let device = state.device(&self.name);
            device.session_open = false;
            if is_reached.is_err() {
                device.left_session_until = end;
            }
            is_reached
        });
        self.world.travel().await;
        is_reached
    }
}

fn listed_as(alias: &str, object: &Object) -> InstalledObject {
    InstalledObject {
        alias: alias.to_owned(),
        kind: match object.leaf {
            Some(_) => ObjectKind::Certificate,
            None => ObjectKind::PendingRequest,
        },
        detail: Vec::new(),
    }
}

pub fn refused(call: &str, words: &str) -> Failure {
    Failure::new(FailureKind::Refused, call, words)
}

/// Of so many exchanges the answer to one is lost.
const LOST: u64 = 300;
/// Of so many imports one is refused for no reason.
const MOODY: u64 = 200;
/// Refused logins in a row that a device may see: one more could lock the account.
const LOGIN_LIMIT: u32 = 2;
/// The device ends an idle session.
const IDLE_TIMEOUT: SignedDuration = SignedDuration::from_mins(5);
