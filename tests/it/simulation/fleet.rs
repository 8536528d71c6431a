//! The fleet of a simulation: its configuration, as an operator would write it, and the devices as they stand at the
//! beginning, each with a certificate of some age.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use renewd::config::{self, Config};
use renewd::firewall::Settings;
use renewd::inventory::{ManagedCertificate, Service};
use renewd::pki::Fingerprint;
use renewd::store::Configured;
use renewd::tls::Anchor;

use super::authority::Kind;
use super::device::{Device, Object};
use super::rng::Rng;
use super::test_pki;
use super::window_oracle::WindowOracle;
use super::world::{Managed, State};

/// One certificate on one firewall.
pub struct Member {
    name: String,
    firewall: String,
    services: &'static [Service],
    ca: Kind,
    is_key_ours: bool,
    window_oracle: Option<WindowOracle>,
}

impl Member {
    /// The one certificate of a fleet of one, from this CA, for both services, at any hour.
    pub fn only(ca: Kind) -> Self {
        Self {
            name: "vpn-00000".to_owned(),
            firewall: "fw-00000".to_owned(),
            services: &Service::ALL,
            ca,
            is_key_ours: false,
            window_oracle: None,
        }
    }
}

/// Chooses the members of `firewalls` firewalls.
pub fn choose(firewalls: usize, rng: &mut Rng) -> Vec<Member> {
    let mut members = Vec::new();
    for n in 0..firewalls {
        let window_oracle = rng.one_in(2).then(|| {
            let (kind, zone) = (rng.place(4), rng.place(6));
            WindowOracle::new(kind, zone)
        });
        let split: &[(&str, &'static [Service])] = match rng.below(10) {
            0 => &[
                ("mgt", &[Service::WebManagement]),
                ("vpn", &[Service::SslVpn]),
            ],
            1 => &[("vpn", &[Service::SslVpn])],
            _ => &[("vpn", &Service::ALL)],
        };
        for (prefix, services) in split {
            members.push(Member {
                name: format!("{prefix}-{n:05}"),
                firewall: format!("fw-{n:05}"),
                services,
                ca: choose_ca(rng),
                is_key_ours: rng.one_in(8),
                window_oracle: window_oracle.clone(),
            });
        }
    }
    members
}

fn choose_ca(rng: &mut Rng) -> Kind {
    match rng.below(100) {
        0..15 => Kind::Local,
        15..40 => Kind::Acme,
        40..50 => Kind::AcmeWithWindows,
        50..54 => Kind::AcmeShort,
        54..69 => Kind::Venafi,
        69..79 => Kind::Pam360,
        79..93 => Kind::Resello,
        _ => Kind::Exec,
    }
}

/// The windows of the firewalls that have one.
pub fn window_oracle(members: &[Member]) -> BTreeMap<Arc<str>, WindowOracle> {
    let with_nights = members.iter().filter_map(|member| {
        let window_oracle = member.window_oracle.clone()?;
        Some((Arc::from(member.firewall.as_str()), window_oracle))
    });
    with_nights.collect()
}

/// Writes the configuration into `folder` and reads it, as renewd does.
pub fn configure(folder: &Path, members: &[Member], probe_interval: &str) -> Config {
    let place = folder.display();
    let mut text = format!(
        "[daemon]\ndatabase = \"sqlite://{place}/renewd.db\"\nstate_directory = \"{place}\"\n\
         probe_interval = \"{probe_interval}\"\n"
    );
    for kind in Kind::ALL {
        let name = kind.name();
        let _ = writeln!(
            text,
            "[[ca]]\nname = \"{name}\"\n\
             driver.local = {{ certificate = \"{place}/{name}.pem\", key = {{ file = \"{place}/{name}.key\" }} }}"
        );
    }
    let mut last = "";
    for member in members {
        if member.firewall != last {
            text.push_str(&firewall(member));
            last = &member.firewall;
        }
        text.push_str(&certificate(member));
    }
    let path = folder.join("renewd.toml");
    std::fs::write(&path, text).unwrap();
    config::load(&path).unwrap().config
}

fn firewall(member: &Member) -> String {
    let name = &member.firewall;
    let window = member.window_oracle.as_ref().map_or_else(String::new, |window_oracle| {
        format!(
            "maintenance_window = {{ start = \"{}\", duration = \"{}h\", time_zone = \"{}\" }}\n",
            window_oracle.expression, window_oracle.hours, window_oracle.zone
        )
    });
    format!(
        "[[firewall]]\nname = \"{name}\"\n\
         driver.sonicos = {{ url = \"https://{name}:1\", user = \"renewd\", password = {{ credential = \"{name}\" }}, \
         trust = {{ sha256 = \"{:064x}\" }} }}\n{window}",
        1
    )
}

fn certificate(member: &Member) -> String {
    let (name, firewall) = (&member.name, &member.firewall);
    let quoted = |items: Vec<String>| {
        let items: Vec<String> = items
            .into_iter()
            .map(|item| format!("\"{item}\""))
            .collect();
        items.join(", ")
    };
    let services = quoted(member.services.iter().map(ToString::to_string).collect());
    let verify = quoted(
        member
            .services
            .iter()
            .map(|s| format!("{firewall}:{}", port(*s)))
            .collect(),
    );
    let origin = if member.is_key_ours {
        ", origin = \"renewd\""
    } else {
        ""
    };
    format!(
        "[[certificate]]\nname = \"{name}\"\nfirewall = \"{firewall}\"\nca = \"{}\"\n\
         subject = {{ common_name = \"{name}.example.com\" }}\n\
         dns_names = [\"{name}.example.com\"]\n\
         key = {{ type = \"ecdsa\", size = 256{origin} }}\nservices = [{services}]\nendpoints = [{verify}]\n",
        member.ca.name()
    )
}

const fn port(service: Service) -> u16 {
    match service {
        Service::WebManagement => 1,
        Service::SslVpn => 2,
    }
}

/// Sets up the devices: each shows a certificate of some age, which an operator installed.
pub fn set_up(state: &mut State, config: &mut Config, members: &[Member]) {
    for (n, name) in config.firewalls.keys().enumerate() {
        let factory = test_pki::factory(state.now);
        let is_slow = state.rng.one_in(4);
        let device = Device::new(factory, is_slow, n * 7);
        state.devices.insert(Arc::clone(name), device);
    }
    for member in members {
        let wanted = Arc::clone(&config.certificates[member.name.as_str()]);
        manage(state, &wanted, member.window_oracle.as_ref());
        let life = member.ca.lifetime(state.now);
        let share = state.rng.below(900);
        let age = life * i32::try_from(share).unwrap() / 1000;
        put_in_by_hand(state, &wanted, member.ca, age);
    }
    for (name, firewall) in &mut config.firewalls {
        let device = &state.devices[name];
        set_pins(
            Arc::make_mut(firewall),
            device.pins.iter().copied().collect(),
        );
    }
}

/// From now on the configuration wants `wanted`.
pub fn manage(
    state: &mut State,
    wanted: &ManagedCertificate,
    window_oracle: Option<&WindowOracle>,
) {
    let ca = Kind::ALL
        .into_iter()
        .find(|kind| kind.name() == &*wanted.ca);
    for service in &wanted.services {
        let managed = Managed {
            certificate: Arc::clone(&wanted.name),
            ca: ca.unwrap(),
            window_oracle: window_oracle.cloned(),
            since: state.now,
            changed_by_hand_at: state.now,
        };
        state
            .managed
            .insert((Arc::clone(&wanted.firewall), *service), managed);
    }
}

/// An operator creates a certificate of this age, and binds it. The pins of the configuration are corrected.
pub fn put_in_by_hand(
    state: &mut State,
    wanted: &ManagedCertificate,
    ca: Kind,
    age: SignedDuration,
) {
    let now = state.now;
    let device = state.device(&wanted.firewall);
    let object = device.make_request(&wanted.request, now);
    let request = object.request.clone().unwrap();
    let life = ca.lifetime(now);
    let leaf = state.authority(ca).sign(&request, now - age, life);
    let fingerprint = leaf.fingerprint;
    // Keys, and with them fingerprints, differ in each run: a name must not depend on them.
    let alias = format!("by-hand-{}-{}", ca.name(), leaf.serial);
    let object = Object {
        leaf: Some(leaf),
        is_ours: false,
        ..object
    };
    let device = state.device(&wanted.firewall);
    device.objects.insert(alias.clone(), object);
    let bindings = wanted
        .services
        .iter()
        .map(|service| (*service, Some(alias.clone())));
    state.rebind(&wanted.firewall, bindings, SignedDuration::ZERO);
    state.device(&wanted.firewall).pins.insert(fingerprint);
    touched(state, wanted, now);
}

/// An operator changed by hand what `wanted` is about.
pub fn touched(state: &mut State, wanted: &ManagedCertificate, at: Timestamp) {
    for service in &wanted.services {
        let place = (Arc::clone(&wanted.firewall), *service);
        if let Some(managed) = state.managed.get_mut(&place) {
            managed.changed_by_hand_at = at;
        }
    }
}

/// Sets the pins in the configuration.
pub fn set_pins(firewall: &mut config::ManagedFirewall, pins: Vec<Fingerprint>) {
    if let Settings::Sonicos(settings) = &mut firewall.settings {
        settings.trust.anchor = Anchor::Pins(pins);
    }
}

/// What the store gets of a configuration.
pub fn configured(config: &Config) -> Vec<Configured> {
    let certificates = config.certificates.values();
    certificates
        .map(|wanted| Configured {
            name: Arc::clone(&wanted.name),
            firewall: Arc::clone(&wanted.firewall),
            ca: Arc::clone(&wanted.ca),
            hash: format!("{wanted:?}"),
        })
        .collect()
}
