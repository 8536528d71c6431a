//! What happens in the world, and what operators do: outages, restarts, other administrators, mistakes and their
//! repair, clocks that are set wrong, crashes, incidents at CAs, changes of the configuration.

use std::sync::Arc;

use jiff::SignedDuration;
use renewd::event::{Event, EventKind};
use renewd::inventory::{ManagedCertificate, Renewal, Service};
use renewd::pki::AlternateName;

use super::authority::{Kind, Misissue};
use super::driver::{Driver, FIREWALL_DOWN};
use super::fleet;
use super::world::{Obstacle, Scope};

/// Something that happens.
#[derive(Debug, Clone)]
pub enum Happening {
    /// One of those that come again and again, so many times a year.
    Rng(Trouble, u64),
    /// renewd starts again.
    Restart,
    /// The clock is right again.
    ClockFixed,
    /// The password of this firewall is right again.
    PasswordFixed(Arc<str>),
    /// An operator writes into the configuration what this firewall shows.
    PinFixed(Arc<str>),
    /// A certificate comes back into the configuration.
    Return(Arc<ManagedCertificate>),
    /// Once a day an operator looks for held renewals.
    Round,
    /// Once a week the store is compared with what must be true.
    Audit,
}

/// What comes again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    FirewallDown,
    FirewallRestarts,
    ForeignChange,
    ForeignSession,
    PasswordChanged,
    ReplacedByHand,
    BoundByHand,
    DeletedByHand,
    Requested,
    CaDown,
    Incident,
    Misissue,
    ClockSet,
    Crash,
    Reconfigured,
}

/// How often each comes in a year: in a thousand firewalls, and for itself.
const RATES: [(Trouble, u64, u64); 15] = [
    (Trouble::FirewallDown, 5000, 0),
    (Trouble::FirewallRestarts, 5000, 0),
    (Trouble::ForeignChange, 5000, 0),
    (Trouble::ForeignSession, 4000, 0),
    (Trouble::PasswordChanged, 700, 0),
    (Trouble::ReplacedByHand, 500, 0),
    (Trouble::BoundByHand, 200, 0),
    (Trouble::DeletedByHand, 500, 0),
    (Trouble::Requested, 200, 0),
    (Trouble::CaDown, 0, 60),
    (Trouble::Incident, 0, 2),
    (Trouble::Misissue, 0, 6),
    (Trouble::ClockSet, 0, 6),
    (Trouble::Crash, 200, 40),
    (Trouble::Reconfigured, 400, 4),
];

impl Driver {
    /// Enters what will happen first of everything.
    pub fn draw_fate(&mut self) {
        let firewalls = u64::try_from(self.plan.firewalls).unwrap();
        for (trouble, in_a_thousand, alone) in RATES {
            let per_year = (in_a_thousand * firewalls).div_ceil(1000) + alone;
            let pause = self.rng.pause(per_year);
            self.schedule(pause, Happening::Rng(trouble, per_year));
        }
        self.schedule(SignedDuration::from_hours(24), Happening::Round);
        self.schedule(SignedDuration::from_hours(24 * 7), Happening::Audit);
    }

    pub async fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Rng(trouble, per_year) => {
                let pause = self.rng.pause(per_year);
                self.schedule(pause, Happening::Rng(trouble, per_year));
                self.strike(trouble).await;
            }
            Happening::Restart => {
                if self.daemon.is_none() {
                    self.start_daemon().await;
                }
            }
            Happening::ClockFixed => self.set_clock(SignedDuration::ZERO),
            Happening::PasswordFixed(firewall) => self.fix_held(&firewall).await,
            Happening::PinFixed(firewall) => self.write_pin(&firewall).await,
            Happening::Return(wanted) => {
                self.put_in(&wanted);
                self.reload().await;
            }
            Happening::Round => {
                self.schedule(SignedDuration::from_hours(24), Happening::Round);
                self.make_round().await;
            }
            Happening::Audit => {
                self.schedule(SignedDuration::from_hours(24 * 7), Happening::Audit);
                self.audit().await;
            }
        }
    }

    async fn strike(&mut self, trouble: Trouble) {
        let firewall = self.any_firewall().await;
        let lasts = self.rng.trouble();
        match trouble {
            Trouble::FirewallDown => {
                self.obstruct_device(&firewall, lasts, FIREWALL_DOWN);
            }
            Trouble::FirewallRestarts => {
                let lasts = SignedDuration::from_mins(5);
                self.world.with(|state| {
                    let until = state.now + lasts;
                    state.device(&firewall).restart(until);
                });
            }
            Trouble::ForeignChange => {
                self.obstruct_device(&firewall, lasts, "another administrator left a change");
            }
            Trouble::ForeignSession => {
                self.obstruct_device(&firewall, lasts, "another administrator configured");
            }
            Trouble::PasswordChanged => self.change_password(&firewall),
            Trouble::ReplacedByHand => self.replace_by_hand(&firewall).await,
            Trouble::BoundByHand => self.bind_by_hand(&firewall).await,
            Trouble::DeletedByHand => self.delete_by_hand(&firewall),
            Trouble::Requested => {
                let wanted = self.certificate_of(&firewall);
                self.request(&wanted.name).await;
            }
            Trouble::CaDown => self.stop_ca(lasts),
            Trouble::Incident => self.recall(),
            Trouble::Misissue => self.misissue(lasts),
            Trouble::ClockSet => self.set_clock_wrong(),
            Trouble::Crash => self.arm_crash(),
            Trouble::Reconfigured => self.reconfigure(&firewall).await,
        }
    }

    /// Half of all troubles find a renewal under way: there they are most unwelcome.
    async fn any_firewall(&mut self) -> Arc<str> {
        let open = match self.store() {
            Some(store) if self.rng.one_in(2) => store.open_renewals().await.unwrap(),
            _ => Vec::new(),
        };
        if !open.is_empty() {
            return Arc::clone(&self.rng.pick(&open).firewall);
        }
        let place = self.rng.place(self.config.firewalls.len());
        let firewall = self.config.firewalls.keys().nth(place);
        Arc::clone(firewall.unwrap())
    }

    fn obstruct_device(&mut self, firewall: &Arc<str>, lasts: SignedDuration, why: &'static str) {
        self.world.with(|state| {
            state.obstruct(Scope::Device(Arc::clone(firewall)), lasts, why);
            let until = state.now + lasts;
            let device = state.device(firewall);
            let place = match why {
                FIREWALL_DOWN => &mut device.down_until,
                "another administrator left a change" => &mut device.foreign_until,
                _ => &mut device.configured_by_other_until,
            };
            *place = until.max(*place);
        });
    }

    fn change_password(&mut self, firewall: &Arc<str>) {
        let lasts = self.rng.between(
            SignedDuration::from_hours(1),
            SignedDuration::from_hours(120),
        );
        self.world.with(|state| {
            let scope = Scope::Device(Arc::clone(firewall));
            state.obstruct(scope, lasts, "an operator changed the password");
            let until = state.now + lasts;
            let device = state.device(firewall);
            device.locked_until = until.max(device.locked_until);
        });
        self.schedule(lasts, Happening::PasswordFixed(Arc::clone(firewall)));
    }

    /// One of the certificates, of this firewall where it has one.
    fn certificate_of(&mut self, firewall: &str) -> Arc<ManagedCertificate> {
        let all = || self.config.certificates.values();
        if let Some(wanted) = all().find(|wanted| &*wanted.firewall == firewall) {
            return Arc::clone(wanted);
        }
        let place = self.rng.place(self.config.certificates.len());
        let wanted = self.config.certificates.values().nth(place);
        Arc::clone(wanted.unwrap())
    }

    /// Most operators configure the new pin at once, some only after an alert.
    async fn replace_by_hand(&mut self, firewall: &str) {
        let wanted = self.certificate_of(firewall);
        let is_wrong = self.rng.one_in(5);
        let ca = *self.rng.pick(&[Kind::Local, Kind::Acme, Kind::Exec]);
        let mut put_in = wanted.as_ref().clone();
        if is_wrong {
            let name = format!("{}.example.org", wanted.name);
            put_in.request.subject.common_name = Some(name.clone());
            put_in.request.alternate_names = vec![AlternateName::Domain(name)];
        }
        let firewall = &wanted.firewall;
        let pins = self.world.with(|state| state.device(firewall).pins.clone());
        self.world
            .with(|state| fleet::put_in_by_hand(state, &put_in, ca, SignedDuration::ZERO));
        if !wanted.services.contains(&Service::WebManagement) {
            return self.write_pin(firewall).await;
        }
        if !self.rng.one_in(3) {
            return self.write_pin(firewall).await;
        }
        self.world.with(|state| state.device(firewall).pins = pins);
        let lasts = self.rng.between(
            SignedDuration::from_hours(1),
            SignedDuration::from_hours(72),
        );
        self.world.with(|state| {
            let scope = Scope::Device(Arc::clone(firewall));
            state.obstruct(scope, lasts, "an operator forgot the pin");
        });
        self.schedule(lasts, Happening::PinFixed(Arc::clone(firewall)));
    }

    async fn write_pin(&mut self, firewall: &Arc<str>) {
        let pins = self.world.with(|state| {
            let now = state.now;
            let device = state.device(firewall);
            for service in Service::ALL {
                let shown = device.served(service, now).fingerprint;
                device.pins.insert(shown);
            }
            device.pins.iter().copied().collect()
        });
        let config = Arc::make_mut(&mut self.config);
        if let Some(configured) = config.firewalls.get_mut(firewall) {
            fleet::set_pins(Arc::make_mut(configured), pins);
        }
        self.reload().await;
    }

    /// An operator binds the services to another certificate of the device.
    async fn bind_by_hand(&mut self, firewall: &str) {
        let wanted = self.certificate_of(firewall);
        let firewall = &wanted.firewall;
        let aliases: Vec<String> = self.world.with(|state| {
            let objects = state.device(firewall).objects.iter();
            let bindable = objects.filter(|(_, object)| object.leaf.is_some());
            bindable.map(|(alias, _)| alias.clone()).collect()
        });
        let Some(alias) = (!aliases.is_empty()).then(|| self.rng.pick(&aliases).clone()) else {
            return;
        };
        self.world.with(|state| {
            let bindings = wanted
                .services
                .iter()
                .map(|service| (*service, Some(alias.clone())));
            state.rebind(firewall, bindings, SignedDuration::ZERO);
            fleet::touched(state, &wanted, state.now);
        });
        self.write_pin(firewall).await;
    }

    /// An operator deletes something that is not in use, perhaps ours.
    fn delete_by_hand(&mut self, firewall: &Arc<str>) {
        let rng = &mut self.rng;
        self.world.with(|state| {
            let device = state.device(firewall);
            let bound: Vec<&String> = device.bindings.values().flatten().collect();
            let unused = device.objects.keys().filter(|alias| !bound.contains(alias));
            let unused: Vec<String> = unused.cloned().collect();
            if unused.is_empty() {
                return;
            }
            let alias = rng.pick(&unused).clone();
            device.objects.remove(&alias);
            // What was ordered for it is lost; another order follows in a day or so.
            let lasts = SignedDuration::from_hours(30);
            let scope = Scope::Device(Arc::clone(firewall));
            state.obstruct(scope, lasts, "an operator deleted what renewd had created");
        });
    }

    fn stop_ca(&mut self, lasts: SignedDuration) {
        let kind = *self.rng.pick(&Kind::ALL);
        self.world.with(|state| {
            let until = state.now + lasts;
            state.obstruct(Scope::Ca(kind.name()), lasts, "the CA was down");
            let authority = state.authority(kind);
            authority.down_until = until.max(authority.down_until);
        });
    }

    /// A CA issues with unusable dates, until it is fixed.
    fn misissue(&mut self, lasts: SignedDuration) {
        let kind = *self.rng.pick(&Kind::ALL);
        let how = *self.rng.pick(&Misissue::ALL);
        self.world.with(|state| {
            let until = state.now + lasts;
            // What was issued last in this time waits for an operator, and then for its successor.
            let felt = lasts + SignedDuration::from_hours(75);
            state.obstruct(Scope::Ca(kind.name()), felt, "the CA misissued");
            state.authority(kind).misissues = Some((how, until));
        });
    }

    fn recall(&mut self) {
        let kind = *self.rng.pick(&[Kind::AcmeWithWindows, Kind::AcmeShort]);
        let recalled = self.world.with(|state| {
            let now = state.now;
            state.authority(kind).recall(now, 3)
        });
        self.verdicts.recalled += recalled;
    }

    /// Minutes mostly, hours at times, a day once in a while; later it is set right again.
    fn set_clock_wrong(&mut self) {
        let (shortest, longest) = match self.rng.below(8) {
            0 => (20 * 60, 24 * 60),
            1..=3 => (60, 12 * 60),
            _ => (1, 59),
        };
        let [shortest, longest] = [shortest, longest].map(SignedDuration::from_mins);
        let error = self.rng.between(shortest, longest);
        let error = if self.rng.one_in(2) { error } else { -error };
        let lasts = self
            .rng
            .between(SignedDuration::from_mins(5), SignedDuration::from_hours(24));
        self.world.with(|state| {
            // What was stored while the clock was wrong is wrong for as long again.
            let total = lasts + error.abs() * 2;
            state.obstruct(Scope::Everything, total, "the clock was wrong");
        });
        self.set_clock(error);
        self.schedule(lasts, Happening::ClockFixed);
    }

    fn set_clock(&mut self, error: SignedDuration) {
        self.world.with(|state| state.set_clock_error(error));
        self.verdicts.clock_steps += 1;
        // The loop never sleeps longer than this.
        self.wake_within(SignedDuration::from_mins(1));
    }

    async fn reconfigure(&mut self, firewall: &str) {
        let wanted = self.certificate_of(firewall);
        let case = self.rng.below(3);
        match case {
            0 if self.config.certificates.len() > 2 => return self.take_out(&wanted).await,
            1 => {
                let mut changed = wanted.as_ref().clone();
                let name = format!("{}-{}.example.com", wanted.name, self.rng.below(100));
                changed.request.subject.common_name = Some(name.clone());
                changed.request.alternate_names = vec![AlternateName::Domain(name)];
                self.put_in(&changed);
            }
            _ => {
                let ca = *self
                    .rng
                    .pick(&[Kind::Local, Kind::Acme, Kind::Venafi, Kind::Resello]);
                let mut changed = wanted.as_ref().clone();
                changed.ca = Arc::from(ca.name());
                self.put_in(&changed);
            }
        }
        self.reload().await;
    }

    fn put_in(&mut self, wanted: &ManagedCertificate) {
        self.world.with(|state| {
            let window_oracle = self.window_oracle.get(&wanted.firewall).cloned();
            fleet::manage(state, wanted, window_oracle.as_ref());
        });
        let config = Arc::make_mut(&mut self.config);
        let name = Arc::clone(&wanted.name);
        config.certificates.insert(name, Arc::new(wanted.clone()));
    }

    async fn take_out(&mut self, wanted: &Arc<ManagedCertificate>) {
        self.world.with(|state| {
            for service in &wanted.services {
                state.settle(&wanted.firewall, *service);
                let place = (Arc::clone(&wanted.firewall), *service);
                state.managed.remove(&place);
            }
        });
        Arc::make_mut(&mut self.config)
            .certificates
            .remove(&wanted.name);
        self.reload().await;
        let away = self.rng.between(
            SignedDuration::from_hours(1),
            SignedDuration::from_hours(24 * 40),
        );
        self.schedule(away, Happening::Return(Arc::clone(wanted)));
    }

    /// An operator looks for held renewals, and resumes those whose cause is gone.
    async fn make_round(&mut self) {
        for renewal in self.held().await {
            let is_locked = self.world.with(|state| {
                let now = state.now;
                now < state.device(&renewal.firewall).locked_until
            });
            if !is_locked {
                self.let_go_on(&renewal).await;
            }
        }
    }

    async fn fix_held(&mut self, firewall: &Arc<str>) {
        let is_locked = self.world.with(|state| {
            let now = state.now;
            now < state.device(firewall).locked_until
        });
        for renewal in self.held().await {
            if renewal.firewall == *firewall && !is_locked {
                self.let_go_on(&renewal).await;
            }
        }
    }

    async fn held(&self) -> Vec<Renewal> {
        let Some(store) = self.store() else {
            return Vec::new();
        };
        let open = store.open_renewals().await.unwrap();
        let is_held = |renewal: &Renewal| renewal.next_attempt_at.is_none();
        open.into_iter().filter(is_held).collect()
    }

    async fn let_go_on(&mut self, renewal: &Renewal) {
        self.world.with(|state| {
            // No operator looks before the next morning.
            state.obstacles.push(Obstacle {
                scope: Scope::Device(Arc::clone(&renewal.firewall)),
                from: state.now - SignedDuration::from_hours(25),
                until: state.now,
                why: "an operator was asked to act",
            });
        });
        self.verdicts.let_go_on += 1;
        self.request(&renewal.certificate).await;
    }

    /// `renewd renew`.
    async fn request(&mut self, certificate: &Arc<str>) {
        let Some(store) = self.store() else {
            return;
        };
        if !self.config.certificates.contains_key(certificate) {
            return;
        }
        let now = self.time_of_daemon();
        let event = Event::of_certificate(EventKind::RenewalRequested, certificate);
        store
            .request_renewal(certificate, now, &[event])
            .await
            .unwrap();
        let firewall = Arc::clone(&self.config.certificates[certificate].firewall);
        self.world.with(|state| {
            state.last_request_at = state.now;
            state.device(&firewall).refused_in_a_row = 0;
        });
        self.wake_within(SignedDuration::from_mins(1));
    }
}
