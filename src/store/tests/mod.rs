//! Every statement of the store is executed by a test here: nothing else checks them. Most tests hold on both engines:
//! `on_sqlite` and `on_postgres` take in the same files, each with a home of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail by a panic"
)]

use std::path::Path;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

use super::{Configured, Decision, Lease, ProbeRecord, Store, StoreError};
use crate::inventory::{
    Observation, Obtained, Renewal, RenewalId, ReportedCondition, SealedKey, Served,
    ServedCertificate, State, Unreachable,
};
use crate::pki::Fingerprint;

mod on_postgres;
mod on_sqlite;
mod parts;
#[path = "../../../tests/support/postgres.rs"]
mod postgres;

/// Where the database of a test is.
enum Home {
    Folder(TempDir),
    Server(String),
}

impl Home {
    /// The file in a folder of its own.
    fn path(&self) -> &Path {
        match self {
            Self::Folder(folder) => folder.path(),
            Self::Server(_) => panic!("a server has no folder"),
        }
    }
}

fn a_folder() -> Home {
    Home::Folder(tempfile::tempdir().unwrap())
}

/// A database of its own on a server. Where none is installed a test that holds on both engines runs on a file again.
fn a_server() -> Home {
    postgres::cluster().map_or_else(a_folder, |cluster| Home::Server(cluster.database()))
}

fn url(home: &Home) -> String {
    match home {
        Home::Folder(folder) => format!("sqlite://{}/renewd.db", folder.path().display()),
        Home::Server(url) => url.clone(),
    }
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
        polls: 0,
        cause: None,
        same_cause: 0,
        decided: None,
        planned_ahead: false,
        bind_now: false,
        refused_logins: 0,
        next_attempt_at: Some(at(0)),
        last_error_kind: None,
        last_error: None,
        obtained: Obtained::default(),
    }
}

/// A certificate that is valid for `days` from the beginning of the test.
fn current(pem: &str, days: i64) -> ServedCertificate {
    ServedCertificate {
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
    due_check_at: Timestamp,
    decision: &str,
) -> Result<(), StoreError> {
    let row = store.certificate(name).await?;
    let decision = Decision {
        name,
        due_check_at,
        decision,
        was_due_at: row.and_then(|row| row.due_check_at),
    };
    store.record_decisions(&[decision]).await
}

/// Stores that a probe found `current` at the one address of a certificate, or nothing new.
#[allow(
    clippy::too_many_arguments,
    reason = "a test says all of it in one line"
)]
async fn record_probe(
    store: &Store,
    name: &str,
    current: Option<&ServedCertificate>,
    reported_condition: Option<ReportedCondition>,
    next_probe_at: Timestamp,
    due_check_at: Option<Timestamp>,
    events: &[crate::event::Event],
    now: Timestamp,
) -> Result<(), StoreError> {
    let observations: Vec<_> = current
        .map(|current| {
            let served = Served {
                probed_at: now,
                ..Served::known("vpn.example.com:443".to_owned(), current.clone())
            };
            (Observation::probed(served), Vec::new())
        })
        .into_iter()
        .collect();
    let probe_record = ProbeRecord {
        observations: &observations,
        reported_condition,
        next_probe_at,
        due_check_at,
        events,
        ..ProbeRecord::default()
    };
    store.record_probe(name, &probe_record, now).await.map(drop)
}

/// Runs a statement that the store itself would never run.
async fn meddle(store: &Store, statement: &'static str) {
    sqlx::query(statement).execute(&store.writer).await.unwrap();
}

fn is_lost<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::LeaseLost))
}
