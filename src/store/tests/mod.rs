//! Every statement of the store is executed by a test here: nothing else checks them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail by a panic"
)]

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

use super::{Configured, Decision, Lease, Store, StoreError};
use crate::inventory::{Obtained, Renewal, RenewalId, SealedKey, Shown, State};
use crate::pki::Fingerprint;

mod chain;
mod copy;
mod history;
mod inventory;
mod leases;
mod limits;
mod opening;
mod plans;
mod renewals;
mod set_back;
mod waking;

/// A store in a folder of its own, and the folder.
async fn store() -> (Store, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&url(&folder)).await.unwrap();
    (store, folder)
}

fn url(folder: &TempDir) -> String {
    format!("sqlite://{}/renewd.db", folder.path().display())
}

/// A store that knows the certificate "portal" on the firewall "hq" and nothing else.
async fn store_with_portal() -> (Store, TempDir) {
    let (store, folder) = store().await;
    store
        .sync_inventory(&[configured("portal", "hq", "1")], at(0))
        .await
        .unwrap();
    (store, folder)
}

/// A store with a planned renewal "r1" of "portal", claimed.
async fn store_with_lease() -> (Store, Lease, TempDir) {
    let (store, folder) = store_with_portal().await;
    assert!(
        store
            .plan(&renewal("r1", "portal", "hq"), &[])
            .await
            .unwrap()
    );
    let lease = claim(&store, "us", 0).await.unwrap();
    (store, lease, folder)
}

/// A claim of `owner` at `now` seconds, for a minute.
async fn claim(store: &Store, owner: &str, now: i64) -> Option<Lease> {
    store.claim(owner, at(now), at(now + 60), 2).await.unwrap()
}

/// Seconds after the moment at which every test begins.
fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_800_000_000 + seconds)
}

fn configured(name: &str, firewall: &str, hash: &str) -> Configured {
    Configured {
        name: Arc::from(name),
        firewall: Arc::from(firewall),
        ca: Arc::from("office"),
        hash: hash.to_owned(),
    }
}

fn renewal(id: &str, certificate: &str, firewall: &str) -> Renewal {
    Renewal {
        id: RenewalId(id.to_owned()),
        certificate: Arc::from(certificate),
        firewall: Arc::from(firewall),
        ca: Arc::from("office"),
        alias: format!("{certificate}-{id}"),
        reason: "share_of_lifetime_spent".to_owned(),
        state: State::Planned,
        planned_at: at(0),
        state_since: at(0),
        attempts: 0,
        refused_logins: 0,
        next_attempt_at: Some(at(0)),
        last_error_kind: None,
        last_error: None,
        obtained: Obtained::default(),
    }
}

/// A certificate that is valid for `days` from the beginning of the test.
fn shown(pem: &str, days: i64) -> Shown {
    Shown {
        fingerprint: Fingerprint::of(pem.as_bytes()),
        pem: pem.to_owned(),
        not_before: at(-86_400),
        not_after: at(days * 86_400),
        seen_at: at(0),
    }
}

/// Stores what the due rules said of one certificate.
async fn decide(
    store: &Store,
    name: &str,
    look_at: Timestamp,
    decision: &str,
) -> Result<(), StoreError> {
    let decision = Decision {
        name,
        look_at,
        decision,
    };
    store.record_decisions(&[decision]).await
}

/// Runs a statement that the store itself would never run.
async fn meddle(store: &Store, statement: &'static str) {
    sqlx::query(statement).execute(&store.writer).await.unwrap();
}

fn is_lost<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::LeaseLost))
}
