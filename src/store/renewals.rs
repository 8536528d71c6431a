//! Renewals. What a step stores of one is in `steps.rs`; its statements stand here. Each names the lease and the state that
//! the step leaves, so that a worker that lost its lease cannot write; which moves are legal is decided elsewhere.

use std::sync::Arc;

use jiff::Timestamp;
use sqlx::AnyExecutor;
use sqlx::any::AnyRow;

use super::row::{Columns, exactly_one, micros, parse, words};
use super::{Lease, Store, StoreError, Writing, commit, history, missing};
use crate::event::Event;
use crate::inventory::{Obtained, Renewal, RenewalId, Rest, SealedKey, State};
use crate::pki::{Csr, Fingerprint};

/// What the end of a renewal means for its certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending<'a> {
    /// When the due rules are asked again.
    pub due_check_at: Timestamp,
    /// The alias that is bound now; `None`: the one before is still bound.
    pub alias: Option<&'a str>,
    /// Why the renewal failed, and what to do; `None`: it did not.
    pub failure: Option<&'a str>,
    /// The rest that follows; `None`: none was earned.
    pub rest: Option<Rest>,
}

/// A key that a certificate was requested for, and that its firewall has not confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnconfirmedKey {
    /// The renewal that requested it.
    pub renewal: RenewalId,
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub public_key: Fingerprint,
}

impl Store {
    /// Stores a new renewal. `false`, and nothing is stored, when the certificate has an open one already or left the
    /// configuration. `requested_at` and `due_check_at` of the certificate are answered by it.
    pub async fn plan(&self, renewal: &Renewal, events: &[Event]) -> Result<bool, StoreError> {
        let mut transaction = self.begin().await?;
        sqlx::query("INSERT INTO firewall (name) VALUES ($1) ON CONFLICT (name) DO NOTHING")
            .bind(&*renewal.firewall)
            .execute(&mut transaction)
            .await?;
        let planned = insert(&mut transaction, renewal).await?;
        // Also when another open renewal was in the way: a look time beside it would wake the daemon for nothing.
        sqlx::query(ANSWER_REQUEST)
            .bind(&*renewal.certificate)
            .execute(&mut transaction)
            .await?;
        if planned {
            history::append(&mut transaction, events, renewal.planned_at).await?;
        }
        commit(transaction).await?;
        Ok(planned)
    }

    /// The renewal `id`.
    pub async fn renewal(&self, id: &RenewalId) -> Result<Option<Renewal>, StoreError> {
        find(&mut self.read().await?, id).await
    }

    /// The keys that certificates were requested for at `firewall` and that it has not confirmed in any renewal. By the key,
    /// not by the certificate: a CA may have issued what renewd has not fetched yet or has refused, and the signature of a
    /// certificate can be changed without the key of its CA into another valid one.
    pub async fn unconfirmed(&self, firewall: &str) -> Result<Vec<UnconfirmedKey>, StoreError> {
        let rows = sqlx::query(UNCONFIRMED)
            .bind(firewall)
            .fetch_all(&mut self.read().await?)
            .await?;
        let mut keys = Vec::new();
        for row in &rows {
            // What cannot be read any more was checked when it was exported.
            if let Ok(request) = Csr::parse(row.text("csr_pem")?.as_bytes()) {
                keys.push(UnconfirmedKey {
                    renewal: RenewalId(row.text("id")?),
                    public_key: request.public_key,
                });
            }
        }
        keys.sort_by(|a, b| a.renewal.0.cmp(&b.renewal.0));
        Ok(keys)
    }

    /// Every renewal that has not ended, the most urgent first.
    pub async fn open_renewals(&self) -> Result<Vec<Renewal>, StoreError> {
        let rows = sqlx::query(OPEN_RENEWALS)
            .fetch_all(&mut self.read().await?)
            .await?;
        rows.iter().map(renewal).collect()
    }

    /// The last renewals of a certificate, newest first.
    pub async fn renewals_of(
        &self,
        certificate: &str,
        limit: u32,
    ) -> Result<Vec<Renewal>, StoreError> {
        let rows = sqlx::query(RENEWALS_OF)
            .bind(certificate)
            .bind(i64::from(limit))
            .fetch_all(&mut self.read().await?)
            .await?;
        rows.iter().map(renewal).collect()
    }

    /// Stores what was obtained in the middle of a step, such as the bindings before they are changed.
    pub async fn keep(&self, lease: &Lease, obtained: &Obtained) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        add_obtained(&mut transaction, lease, obtained).await?;
        commit(transaction).await
    }
}

/// The renewal `id`, as this transaction or the last commit has it.
pub(super) async fn find(
    executor: impl AnyExecutor<'_>,
    id: &RenewalId,
) -> Result<Option<Renewal>, StoreError> {
    let row = sqlx::query(RENEWAL)
        .bind(&*id.0)
        .fetch_optional(executor)
        .await?;
    row.as_ref().map(renewal).transpose()
}

async fn insert(connection: &mut Writing, renewal: &Renewal) -> Result<bool, StoreError> {
    let done = sqlx::query(PLAN)
        .bind(&*renewal.id.0)
        .bind(&*renewal.certificate)
        .bind(&*renewal.firewall)
        .bind(&*renewal.ca)
        .bind(&*renewal.alias)
        .bind(&*renewal.reason)
        .bind(renewal.state.name())
        .bind(micros(renewal.planned_at))
        .bind(renewal.next_attempt_at.map(micros))
        .bind(renewal.obtained.csr_pem.as_deref())
        .bind(renewal.obtained.ca_reference.as_deref())
        .bind(renewal.obtained.leaf_pem.as_deref())
        .bind(renewal.obtained.chain_pem.as_deref())
        .bind(renewal.obtained.fingerprint.map(|print| print.to_string()))
        .execute(connection)
        .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn add_obtained(
    connection: &mut Writing,
    lease: &Lease,
    obtained: &Obtained,
) -> Result<(), StoreError> {
    let done = sqlx::query(ADD_OBTAINED)
        .bind(&*lease.renewal.id.0)
        .bind(lease.token)
        .bind(obtained.csr_pem.as_deref())
        .bind(obtained.ca_reference.as_deref())
        .bind(obtained.leaf_pem.as_deref())
        .bind(obtained.chain_pem.as_deref())
        .bind(obtained.fingerprint.map(|print| print.to_string()))
        .bind(obtained.previous_bindings.as_deref())
        .bind(obtained.previous_fingerprint.map(|print| print.to_string()))
        .bind(obtained.sealed_key.as_ref().map(SealedKey::text))
        .bind(obtained.previous_served.as_deref())
        .bind(obtained.verification_failure.as_deref())
        .bind(obtained.previous_bound_at.map(micros))
        .execute(connection)
        .await?;
    exactly_one(done.rows_affected(), || StoreError::LeaseLost)
}

/// Whether there was one.
pub(super) async fn destroy_key(
    connection: &mut Writing,
    lease: &Lease,
) -> Result<bool, StoreError> {
    let done = sqlx::query(DESTROY_KEY)
        .bind(&*lease.renewal.id.0)
        .bind(lease.token)
        .execute(connection)
        .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn end(
    connection: &mut Writing,
    certificate: &str,
    ending: Ending<'_>,
) -> Result<(), StoreError> {
    let done = sqlx::query(END)
        .bind(certificate)
        .bind(micros(ending.due_check_at))
        .bind(ending.alias)
        .bind(ending.failure.map(words).as_deref())
        .execute(&mut *connection)
        .await?;
    if let Some(rest) = ending.rest {
        sqlx::query(REST)
            .bind(certificate)
            .bind(micros(rest.began_at))
            .bind(micros(rest.until))
            .bind(i64::from(rest.early))
            .bind(rest.of.to_string())
            .execute(connection)
            .await?;
    }
    exactly_one(done.rows_affected(), || missing("certificate", certificate))
}

fn renewal(row: &AnyRow) -> Result<Renewal, StoreError> {
    parse(row, "renewal", "id", read)
}

fn read(row: &AnyRow) -> Result<Renewal, StoreError> {
    let state = row.text("state")?;
    let state = State::from_name(&state)
        .ok_or_else(|| StoreError::broken(format!("no state {state:?}")))?;
    Ok(Renewal {
        id: RenewalId(row.text("id")?),
        certificate: Arc::from(row.text("certificate")?),
        firewall: Arc::from(row.text("firewall")?),
        ca: Arc::from(row.text("ca")?),
        alias: row.text("alias")?,
        reason: row.text("reason")?,
        state,
        planned_at: row.time("planned_at")?,
        planned_ahead: row.count("planned_ahead")? != 0,
        state_since: row.time("state_since")?,
        attempts: row.count("attempts")?,
        polls: row.count("polls")?,
        cause: row.maybe_text("cause")?,
        same_cause: row.count("same_cause")?,
        decided: row.maybe_text("decided")?,
        bind_now: row.count("bind_now")? != 0,
        refused_logins: row.count("refused_logins")?,
        next_attempt_at: row.maybe_time("next_attempt_at")?,
        last_error_kind: row.maybe_text("last_error_kind")?,
        last_error: row.maybe_text("last_error")?,
        obtained: Obtained {
            csr_pem: row.maybe_text("csr_pem")?,
            ca_reference: row.maybe_text("ca_reference")?,
            leaf_pem: row.maybe_text("leaf_pem")?,
            chain_pem: row.maybe_text("chain_pem")?,
            fingerprint: row.maybe_fingerprint("fingerprint")?,
            previous_bindings: row.maybe_text("previous_bindings")?,
            previous_fingerprint: row.maybe_fingerprint("previous_fingerprint")?,
            previous_served: row.maybe_text("previous_served")?,
            verification_failure: row.maybe_text("verification_failure")?,
            previous_bound_at: row.maybe_time("previous_bound_at")?,
            sealed_key: row.maybe_text("sealed_key")?.map(SealedKey::new),
        },
    })
}

/// Refused logins are counted per firewall, where they do their harm; a renewal shows its firewall's.
macro_rules! select_renewal {
    ($rest:literal) => {
        concat!(
            "SELECT r.id, r.certificate, r.firewall, r.ca, r.alias, r.reason, r.state, r.planned_at, r.planned_ahead, r.state_since, \
             r.attempts, r.polls, r.cause, r.same_cause, r.decided, r.bind_now, r.next_attempt_at, r.last_error_kind, r.last_error, r.csr_pem, r.ca_reference, r.leaf_pem, \
             r.chain_pem, r.fingerprint, r.previous_bindings, r.previous_fingerprint, r.previous_served, r.verification_failure, r.previous_bound_at, \
             r.sealed_key, f.refused_logins \
             FROM renewal r JOIN firewall f ON f.name = r.firewall ",
            $rest
        )
    };
}

pub(super) const RENEWAL: &str = select_renewal!("WHERE r.id = $1");

pub(super) const OPEN_RENEWALS: &str =
    select_renewal!("WHERE r.ended_at IS NULL ORDER BY r.deadline, r.id");

pub(super) const RENEWALS_OF: &str =
    select_renewal!("WHERE r.certificate = $1 ORDER BY r.planned_at DESC, r.id DESC LIMIT $2");

/// What expires first is the most urgent. What an operator requested and what is not installed at all goes by the time of
/// planning, before everything that is still valid.
pub(super) const PLAN: &str = "INSERT INTO renewal \
     (id, certificate, firewall, ca, alias, reason, state, planned_at, state_since, next_attempt_at, \
     csr_pem, ca_reference, leaf_pem, chain_pem, fingerprint, bind_now, deadline) \
     SELECT $1, c.name, $3, $4, $5, $6, $7, $8, $8, $9, $10, $11, $12, $13, $14, c.bind_now, \
     CASE WHEN c.requested_at IS NULL \
     THEN COALESCE((SELECT MIN(s.not_after) FROM served s WHERE s.certificate = c.name), $8) ELSE $8 END \
     FROM certificate c WHERE c.name = $2 AND c.configured = 1 \
     ON CONFLICT (certificate) WHERE ended_at IS NULL DO NOTHING";

pub(super) const ANSWER_REQUEST: &str = "UPDATE certificate SET due_check_at = NULL, requested_at = NULL, bind_now = 0 WHERE name = $1 AND configured = 1";

pub(super) const END: &str = "UPDATE certificate SET due_check_at = $2, alias = COALESCE($3, alias), last_failure = $4 WHERE name = $1";

pub(super) const REST: &str = "UPDATE certificate SET renewed_at = $2, rest_until = $3, early_renewals = $4, \
     renewed_fingerprint = $5 WHERE name = $1";

pub(super) const UNCONFIRMED: &str = "SELECT r.id, r.csr_pem FROM renewal r \
     WHERE r.firewall = $1 AND r.confirmed_at IS NULL AND r.csr_pem IS NOT NULL \
     AND NOT EXISTS (SELECT 1 FROM renewal s WHERE s.fingerprint = r.fingerprint \
         AND s.firewall = r.firewall AND s.confirmed_at IS NOT NULL)";

pub(super) const ADVANCE: &str = "UPDATE renewal SET state = $4, state_since = $5, ended_at = $6, next_attempt_at = $7, \
     confirmed_at = CASE WHEN $4 = 'imported' THEN $5 ELSE confirmed_at END, \
     attempts = 0, polls = 0, cause = NULL, same_cause = 0, decided = NULL, last_error_kind = NULL, last_error = NULL \
     WHERE id = $1 AND state = $2 AND lease_token = $3 AND ended_at IS NULL";

pub(super) const POSTPONE: &str = "UPDATE renewal SET attempts = $4, next_attempt_at = $5, last_error_kind = $6, last_error = $7, \
     polls = CASE WHEN CAST($8 AS TEXT) IS NULL THEN polls + 1 ELSE 0 END, \
     same_cause = CASE WHEN CAST($8 AS TEXT) IS NULL THEN same_cause WHEN cause = $8 THEN same_cause + 1 ELSE 1 END, \
     cause = COALESCE($8, cause) \
     WHERE id = $1 AND state = $2 AND lease_token = $3 AND ended_at IS NULL";

/// What is known stays known.
pub(super) const ADD_OBTAINED: &str = "UPDATE renewal SET csr_pem = COALESCE($3, csr_pem), \
     ca_reference = COALESCE($4, ca_reference), leaf_pem = COALESCE($5, leaf_pem), \
     chain_pem = COALESCE($6, chain_pem), fingerprint = COALESCE($7, fingerprint), \
     previous_bindings = COALESCE($8, previous_bindings), \
     previous_fingerprint = COALESCE($9, previous_fingerprint), sealed_key = COALESCE($10, sealed_key), \
     previous_served = COALESCE($11, previous_served), verification_failure = COALESCE($12, verification_failure), \
     previous_bound_at = COALESCE($13, previous_bound_at) \
     WHERE id = $1 AND lease_token = $2";

pub(super) const DESTROY_KEY: &str = "UPDATE renewal SET sealed_key = NULL \
     WHERE id = $1 AND lease_token = $2 AND sealed_key IS NOT NULL";
