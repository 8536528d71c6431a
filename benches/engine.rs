//! The real engine and store of a fleet, with the clock and the peers that a bench gives it.

use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use renewd::clock::Clock;
use renewd::config::{self, Config};
use renewd::env::Env;
use renewd::inventory::{Observation, Served, ServedCertificate};
use renewd::pki::Certificate;
use renewd::random::SeededRandom;
use renewd::renewal::{Engine, NoCheckpoint, Peers};
use renewd::store::{Configured, ProbeRecord, Store};

use crate::fleet;

/// An engine whose new store in `folder` knows `count` certificates.
pub async fn start(
    folder: &Path,
    count: usize,
    clock: Arc<dyn Clock>,
    peers: impl FnOnce(&Config) -> Arc<dyn Peers>,
) -> Engine {
    let mut text = fleet::head(folder);
    text.extend((0..count).map(fleet::member));
    let path = folder.join("renewd.toml");
    std::fs::write(&path, text).unwrap();
    let config = config::load(&path).unwrap().config;
    let store = Store::open(&config.daemon.database).await.unwrap();
    let inventory: Vec<Configured> = config
        .certificates
        .values()
        .map(|wanted| Configured {
            name: Arc::clone(&wanted.name),
            firewall: Arc::clone(&wanted.firewall),
            ca: Arc::clone(&wanted.ca),
            hash: "1".to_owned(),
        })
        .collect();
    store.sync_inventory(&inventory, clock.now()).await.unwrap();
    Engine {
        peers: peers(&config),
        config: Arc::new(config),
        store,
        env: Env {
            clock,
            random: Arc::new(SeededRandom::new(1)),
        },
        checkpoint: Arc::new(NoCheckpoint),
    }
}

/// Stores that every certificate shows what `current` makes of its common name; the due rules are asked at once, and the
/// next probe is an hour away.
pub async fn show(engine: &Engine, mut current: impl FnMut(&str) -> ServedCertificate) {
    let now = engine.env.clock.now();
    let next_probe_at = now + jiff::SignedDuration::from_hours(1);
    for wanted in engine.config.certificates.values() {
        let common_name = wanted.request.subject.common_name.as_deref();
        let current = current(common_name.unwrap_or_default());
        let address = wanted.endpoints.first().map(ToString::to_string);
        let served = Served::known(address.unwrap_or_default(), current);
        let observations = [(Observation::probed(served), Vec::new())];
        engine
            .store
            .record_probe(
                &wanted.name,
                &ProbeRecord {
                    observations: &observations,
                    next_probe_at,
                    due_check_at: Some(now),
                    ..ProbeRecord::default()
                },
                now,
            )
            .await
            .unwrap();
    }
}

/// A self-signed certificate for `name`, valid for many years.
pub fn self_signed(name: &str, key: &KeyPair) -> Certificate {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    Certificate::from_der(params.self_signed(key).unwrap().der()).unwrap()
}
