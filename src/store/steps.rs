//! What came of a step, stored as a whole: the next state or the wait, what was obtained, what is served, which pins were
//! learned, how the login went, and the events. One transaction, which the token of the lease opens: a worker that lost
//! its lease stores none of it.

use jiff::Timestamp;

use super::row::{exactly_one, micros, words};
use super::{
    Ending, Lease, ProbeRecord, Store, StoreError, Writing, commit, firewalls, history, intents,
    limits, missing, renewals, served,
};
use crate::event::Event;
use crate::failure::FailureKind;
use crate::inventory::{Obtained, Renewal, State, cause};
use crate::pki::Fingerprint;

/// Everything that one step brought about.
#[derive(Debug, Clone, Copy)]
pub struct StepRecord<'a> {
    /// What is true of the renewal now.
    pub next: Next<'a>,
    /// What the services of the certificate serve now, where the step found out.
    pub served: Option<&'a ProbeRecord<'a>>,
    /// Which certificates the firewall is trusted by from now on, besides its configuration.
    pub pins: Option<Pins<'a>>,
    /// How the login of the step went, where there was one.
    pub login: Option<Login>,
    /// The step of an open intent whose call was certainly not carried out: it is closed and does not count as a try.
    pub withdrawn: Option<&'a str>,
    /// The step that placed an order, and the order, where the CA ended it and it may have cost money.
    pub ended_order: Option<(&'a str, &'a str)>,
    /// Stored with it, and logged after the commit.
    pub events: &'a [Event],
}

/// What is true of a renewal after a step.
#[derive(Debug, Clone, Copy)]
pub enum Next<'a> {
    /// Another state was reached.
    Reached(Reached<'a>),
    /// The step failed or waits; the state stays.
    Postponed(Postponed<'a>),
}

/// A state that was reached: attempts and errors begin anew, open intents have their outcome, and a private key that the
/// state no longer needs is destroyed.
#[derive(Debug, Clone, Copy)]
pub struct Reached<'a> {
    /// The new state.
    pub state: State,
    /// What was obtained so far; what is not in it stays as it is stored.
    pub obtained: &'a Obtained,
    /// When the next step may be taken.
    pub next_attempt_at: Timestamp,
    /// Given when and only when `state` is an end.
    pub ending: Option<Ending<'a>>,
}

/// A step that failed or waits.
#[derive(Debug, Clone, Copy)]
pub struct Postponed<'a> {
    /// The failures in a row.
    pub attempts: u32,
    /// When the next step may be taken; `None`: the renewal is held until an operator requests it.
    pub next_attempt_at: Option<Timestamp>,
    /// `failure::FailureKind` or a wait reason, by name.
    pub error_kind: &'a str,
    /// The same in words.
    pub error: &'a str,
}

/// The certificates that a firewall is trusted by because renewd bound and verified them; they replace those before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pins<'a> {
    /// SHA-256 of each.
    pub fingerprints: &'a [Fingerprint],
    /// The configured trust that they belong to.
    pub trust: &'a str,
    /// The code that authenticates both (`renewal::pins`).
    pub code: &'a str,
}

/// How a login at the firewall went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// It worked: the refused ones in a row are forgotten.
    Accepted,
    /// It was refused, once more in a row.
    Refused,
}

impl<'a> StepRecord<'a> {
    /// A record of `next` and `events` alone.
    pub const fn new(next: Next<'a>, events: &'a [Event]) -> Self {
        Self {
            next,
            served: None,
            pins: None,
            login: None,
            withdrawn: None,
            ended_order: None,
            events,
        }
    }
}

impl Store {
    /// Stores all of `record`, and returns the renewal as it is now. The lease stays: go on under it with that renewal,
    /// or release it.
    pub async fn record_step(
        &self,
        lease: &Lease,
        record: &StepRecord<'_>,
        now: Timestamp,
    ) -> Result<Renewal, StoreError> {
        let mut transaction = self.begin().await?;
        // First, because everything after it rests on the token.
        let has_destroyed = match &record.next {
            Next::Reached(reached) => reach(&mut transaction, lease, reached, now).await?,
            Next::Postponed(postponed) => {
                postpone(&mut transaction, lease, postponed).await?;
                false
            }
        };
        store_findings(&mut transaction, lease, record, now).await?;
        history::append(&mut transaction, record.events, now).await?;
        let renewal = renewals::find(&mut transaction, &lease.renewal.id).await?;
        commit(transaction).await?;
        if has_destroyed && let Err(error) = self.empty_write_ahead_log().await {
            // The change itself is stored, and the next start or upkeep cuts the log off as well.
            tracing::debug!(%error, "a destroyed key lies on in the write-ahead log, sealed");
        }
        renewal.ok_or_else(|| missing("renewal", &lease.renewal.id.0))
    }

    /// Stores events of a step that is not over yet.
    pub async fn record_under(
        &self,
        lease: &Lease,
        events: &[Event],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        super::leases::still_ours(&mut transaction, lease).await?;
        history::append(&mut transaction, events, now).await?;
        commit(transaction).await
    }
}

impl Store {
    /// Stores which CA certificates were installed on the firewall of the renewal. Each comes with the event that reports
    /// it, which is stored when the firewall got that certificate for the first time.
    pub async fn record_installed(
        &self,
        lease: &Lease,
        installed: &[(Fingerprint, Event)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        super::leases::still_ours(&mut transaction, lease).await?;
        let mut events = Vec::new();
        for (fingerprint, event) in installed {
            let done = sqlx::query(INSTALLED)
                .bind(&*lease.renewal.firewall)
                .bind(fingerprint.to_string())
                .bind(micros(now))
                .execute(&mut transaction)
                .await?;
            if done.rows_affected() > 0 {
                events.push(event.clone());
            }
        }
        history::append(&mut transaction, &events, now).await?;
        commit(transaction).await
    }
}

/// Whether a private key was destroyed.
async fn reach(
    connection: &mut Writing,
    lease: &Lease,
    reached: &Reached<'_>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let state = reached.state;
    if state.is_end() != reached.ending.is_some() {
        let what = format!("{state} was to be stored with the wrong kind of ending");
        return Err(StoreError::broken(what));
    }
    let done = sqlx::query(renewals::ADVANCE)
        .bind(&*lease.renewal.id.0)
        .bind(lease.renewal.state.name())
        .bind(lease.token)
        .bind(state.name())
        .bind(micros(now))
        .bind(reached.ending.map(|_| micros(now)))
        .bind(micros(reached.next_attempt_at))
        .execute(&mut *connection)
        .await?;
    exactly_one(done.rows_affected(), || StoreError::LeaseLost)?;
    renewals::add_obtained(connection, lease, reached.obtained).await?;
    let has_destroyed = !state.needs_key() && renewals::destroy_key(connection, lease).await?;
    if let Some(ending) = reached.ending {
        renewals::end(connection, &lease.renewal.certificate, ending).await?;
    }
    Ok(has_destroyed)
}

async fn postpone(
    connection: &mut Writing,
    lease: &Lease,
    postponed: &Postponed<'_>,
) -> Result<(), StoreError> {
    let error = words(postponed.error);
    // A failure is counted also by what it said, which no wait in between changes.
    let kind = FailureKind::from_name(postponed.error_kind);
    let cause = kind.map(|kind| cause(kind, &error));
    let done = sqlx::query(renewals::POSTPONE)
        .bind(&*lease.renewal.id.0)
        .bind(lease.renewal.state.name())
        .bind(lease.token)
        .bind(i64::from(postponed.attempts))
        .bind(postponed.next_attempt_at.map(micros))
        .bind(postponed.error_kind)
        .bind(&*error)
        .bind(cause)
        .execute(connection)
        .await?;
    exactly_one(done.rows_affected(), || StoreError::LeaseLost)
}

/// What the step found out besides; in a transaction that has proven the lease.
async fn store_findings(
    connection: &mut Writing,
    lease: &Lease,
    record: &StepRecord<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Renewal {
        id,
        certificate,
        firewall,
        ..
    } = &lease.renewal;
    if let Some(step) = record.withdrawn {
        limits::withdraw(connection, id, step, now).await?;
    }
    if let Some((step, order)) = record.ended_order {
        intents::note_ended(connection, id, step, order).await?;
    }
    if matches!(record.next, Next::Reached(_)) {
        intents::close(connection, id, now).await?;
    }
    if let Some(probe_record) = record.served {
        served::write(connection, certificate, probe_record, now).await?;
    }
    if let Some(pins) = record.pins {
        firewalls::learn(connection, firewall, pins).await?;
    }
    match record.login {
        Some(Login::Accepted) => firewalls::forget_refused_logins(connection, firewall).await,
        Some(Login::Refused) => firewalls::count_refused_login(connection, firewall, now).await,
        None => Ok(()),
    }
}

const INSTALLED: &str = "INSERT INTO installed_ca_certificate (firewall, fingerprint, installed_at) VALUES ($1, $2, $3) \
     ON CONFLICT (firewall, fingerprint) DO NOTHING";
