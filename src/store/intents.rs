//! What must not be done twice, written down before it is tried. An open intent says: this may have happened, look.

use jiff::Timestamp;
use sqlx::any::AnyRow;

use super::row::{Columns, exactly_one, micros};
use super::{Lease, Store, StoreError, Writing, commit, leases, missing};
use crate::inventory::{Intent, OrderBasis, RenewalId};

impl Store {
    /// Opens the intent of `step`, or counts one more try of the open one, which keeps its first `reference`.
    /// It is on the disk when this returns.
    pub async fn intend(
        &self,
        lease: &Lease,
        step: &str,
        reference: &str,
        now: Timestamp,
    ) -> Result<Intent, StoreError> {
        let mut transaction = self.begin().await?;
        leases::still_ours(&mut transaction, lease).await?;
        let intent = open(&mut transaction, lease, step, reference, None, now).await?;
        commit(transaction).await?;
        Ok(intent)
    }

    /// Opens the intent of a bind that changes the management certificate: from now on the firewall may show the new one,
    /// which counts as a pin for the configured `trust` by its `code`.
    pub async fn intend_pinned(
        &self,
        lease: &Lease,
        step: &str,
        reference: &str,
        (trust, code): (&str, &str),
        now: Timestamp,
    ) -> Result<Intent, StoreError> {
        let mut transaction = self.begin().await?;
        leases::still_ours(&mut transaction, lease).await?;
        let intent = open(&mut transaction, lease, step, reference, None, now).await?;
        let done = sqlx::query(PIN)
            .bind(&*lease.renewal.id.0)
            .bind(lease.token)
            .bind(trust)
            .bind(code)
            .execute(&mut transaction)
            .await?;
        exactly_one(done.rows_affected(), || StoreError::LeaseLost)?;
        commit(transaction).await?;
        Ok(intent)
    }

    /// The last try of `step` was certainly not carried out: it counts no more. The intent is closed when no other try is
    /// left, of which it is not known what came.
    pub async fn withdraw(
        &self,
        lease: &Lease,
        step: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        leases::still_ours(&mut transaction, lease).await?;
        sqlx::query(WITHDRAW_TRY)
            .bind(&*lease.renewal.id.0)
            .bind(step)
            .bind(micros(now))
            .execute(&mut transaction)
            .await?;
        commit(transaction).await
    }

    /// What the last try of `step` may have brought about was looked for, and not found.
    pub async fn missed(&self, lease: &Lease, step: &str) -> Result<Intent, StoreError> {
        let mut transaction = self.begin().await?;
        leases::still_ours(&mut transaction, lease).await?;
        let row = sqlx::query(MISS)
            .bind(&*lease.renewal.id.0)
            .bind(step)
            .fetch_optional(&mut transaction)
            .await?;
        let row = row.ok_or_else(|| missing("intent", step))?;
        commit(transaction).await?;
        intent(&row)
    }

    /// How often `step` was tried since the renewal began, whatever came of it.
    pub async fn tries(&self, renewal: &RenewalId, step: &str) -> Result<u32, StoreError> {
        sqlx::query(TRIES)
            .bind(&*renewal.0)
            .bind(step)
            .fetch_one(&mut self.read().await?)
            .await?
            .count("tries")
    }

    /// The intent of `step` whose outcome is not known.
    pub async fn intent(
        &self,
        renewal: &RenewalId,
        step: &str,
    ) -> Result<Option<Intent>, StoreError> {
        let row = sqlx::query(OPEN_INTENT)
            .bind(&*renewal.0)
            .bind(step)
            .fetch_optional(&mut self.read().await?)
            .await?;
        row.as_ref().map(intent).transpose()
    }

    /// The newest intent of `step` of which not every try was withdrawn, whether its outcome is known or not.
    pub async fn last_intent(
        &self,
        renewal: &RenewalId,
        step: &str,
    ) -> Result<Option<Intent>, StoreError> {
        let row = sqlx::query(LAST_INTENT)
            .bind(&*renewal.0)
            .bind(step)
            .fetch_optional(&mut self.read().await?)
            .await?;
        row.as_ref().map(intent).transpose()
    }
}

/// An order of a renewal that ended before it was known whether it was placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgottenOrder {
    /// The renewal.
    pub renewal: RenewalId,
    /// The CA's name.
    pub ca: String,
    /// Our reference of it.
    pub reference: String,
    /// When it was tried last.
    pub tried_at: Timestamp,
}

impl Store {
    /// The newest order of a renewal of `certificate` that ended in the middle of it: whether it was placed was never known.
    /// Nothing from before the last completed renewal.
    pub async fn forgotten_order(
        &self,
        certificate: &str,
        step: &str,
    ) -> Result<Option<ForgottenOrder>, StoreError> {
        let row = sqlx::query(FORGOTTEN_ORDER)
            .bind(certificate)
            .bind(step)
            .fetch_optional(&mut self.read().await?)
            .await?;
        let read = |row: &AnyRow| {
            Ok(ForgottenOrder {
                renewal: RenewalId(row.text("renewal")?),
                ca: row.text("ca")?,
                reference: row.text("reference")?,
                tried_at: row.time("tried_at")?,
            })
        };
        row.as_ref().map(read).transpose()
    }
}

/// An order that its CA ended without a certificate, and that may have cost money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedOrder {
    /// The renewal that placed it.
    pub renewal: RenewalId,
    /// The CA's name.
    pub ca: String,
    /// The CA's reference of it.
    pub order: String,
}

impl Store {
    /// The orders of `certificate` that ended so since its last completed renewal, the newest first.
    pub async fn ended_orders(
        &self,
        certificate: &str,
        step: &str,
    ) -> Result<Vec<EndedOrder>, StoreError> {
        let rows = sqlx::query(ENDED_ORDERS)
            .bind(certificate)
            .bind(step)
            .fetch_all(&mut self.read().await?)
            .await?;
        let read = |row: &AnyRow| {
            Ok(EndedOrder {
                renewal: RenewalId(row.text("renewal")?),
                ca: row.text("ca")?,
                order: row.text("ended_order")?,
            })
        };
        rows.iter().map(read).collect()
    }
}

/// The CA ended `order`, which came of the newest intent of `step`.
pub(super) async fn note_ended(
    connection: &mut Writing,
    renewal: &RenewalId,
    step: &str,
    order: &str,
) -> Result<(), StoreError> {
    sqlx::query(NOTE_ENDED)
        .bind(&*renewal.0)
        .bind(step)
        .bind(order)
        .execute(connection)
        .await?;
    Ok(())
}

/// Writes the intent of `step`, or counts one more try of it.
pub(super) async fn open(
    connection: &mut Writing,
    lease: &Lease,
    step: &str,
    reference: &str,
    basis: Option<&OrderBasis>,
    now: Timestamp,
) -> Result<Intent, StoreError> {
    let basis = basis.map(serde_json::to_string).transpose();
    let basis = basis.map_err(|error| StoreError::broken(format!("intent: {error}")))?;
    let row = sqlx::query(INTEND)
        .bind(&*lease.renewal.id.0)
        .bind(step)
        .bind(reference)
        .bind(micros(now))
        .bind(basis)
        .fetch_optional(connection)
        .await?
        .ok_or_else(|| missing("intent", step))?;
    intent(&row)
}

/// The outcome of everything that was tried is known: the renewal has moved on.
pub(super) async fn close(
    connection: &mut Writing,
    renewal: &RenewalId,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(CLOSE)
        .bind(&*renewal.0)
        .bind(micros(now))
        .execute(connection)
        .await?;
    Ok(())
}

fn intent(row: &AnyRow) -> Result<Intent, StoreError> {
    let basis = row.maybe_text("basis")?;
    let basis = basis.map(|json| serde_json::from_str(&json)).transpose();
    Ok(Intent {
        step: row.text("step")?,
        reference: row.text("reference")?,
        opened_at: row.time("opened_at")?,
        tried_at: row.time("tried_at")?,
        tries: row.count("tries")?,
        misses: row.count("misses")?,
        basis: basis.map_err(|error| StoreError::broken(format!("intent: basis: {error}")))?,
    })
}

pub(super) const INTEND: &str = "INSERT INTO intent (renewal, step, reference, opened_at, tried_at, tries, basis) VALUES ($1, $2, $3, $4, $4, 1, $5) \
     ON CONFLICT (renewal, step) WHERE closed_at IS NULL \
     DO UPDATE SET tries = intent.tries + 1, tried_at = excluded.tried_at, misses = 0, basis = excluded.basis \
     RETURNING step, reference, opened_at, tried_at, tries, misses, basis";

pub(super) const PIN: &str =
    "UPDATE renewal SET pin_for = $3, pin_code = $4 WHERE id = $1 AND lease_token = $2";

pub(super) const OPEN_INTENT: &str = "SELECT step, reference, opened_at, tried_at, tries, misses, basis FROM intent \
     WHERE renewal = $1 AND step = $2 AND closed_at IS NULL";

pub(super) const LAST_INTENT: &str = "SELECT step, reference, opened_at, tried_at, tries, misses, basis FROM intent \
     WHERE renewal = $1 AND step = $2 AND tries > 0 AND opened_at = (SELECT MAX(l.opened_at) FROM intent l \
         WHERE l.renewal = $1 AND l.step = $2 AND l.tries > 0)";

/// When the tries before were made is not kept: they are as old as the first.
pub(super) const WITHDRAW_TRY: &str = "UPDATE intent SET tries = tries - 1, \
     tried_at = CASE WHEN tries > 1 THEN opened_at END, closed_at = CASE WHEN tries > 1 THEN NULL ELSE $3 END \
     WHERE renewal = $1 AND step = $2 AND closed_at IS NULL";

pub(super) const MISS: &str = "UPDATE intent SET misses = misses + 1 \
     WHERE renewal = $1 AND step = $2 AND closed_at IS NULL \
     RETURNING step, reference, opened_at, tried_at, tries, misses, basis";

pub(super) const TRIES: &str = "SELECT CAST(COALESCE(SUM(tries), 0) AS BIGINT) AS tries FROM intent WHERE renewal = $1 AND step = $2";

/// What was known of its outcome has closed an intent before its renewal ended.
pub(super) const FORGOTTEN_ORDER: &str = "SELECT i.renewal, r.ca, i.reference, i.tried_at FROM renewal r \
     JOIN intent i ON i.renewal = r.id \
     WHERE r.certificate = $1 AND r.ended_at IS NOT NULL AND i.step = $2 AND i.tries > 0 AND i.tried_at IS NOT NULL \
     AND i.closed_at = r.ended_at AND r.planned_at > COALESCE((SELECT MAX(c.planned_at) FROM renewal c \
         WHERE c.certificate = $1 AND c.state = 'completed'), -9223372036854775807) \
     ORDER BY i.tried_at DESC LIMIT 1";

/// Nothing from before the last completed renewal.
pub(super) const ENDED_ORDERS: &str = "SELECT i.renewal, r.ca, i.ended_order FROM renewal r JOIN intent i ON i.renewal = r.id \
     WHERE r.certificate = $1 AND i.step = $2 AND i.ended_order IS NOT NULL \
     AND r.planned_at > COALESCE((SELECT MAX(c.planned_at) FROM renewal c \
         WHERE c.certificate = $1 AND c.state = 'completed'), -9223372036854775807) \
     ORDER BY i.tried_at DESC";

pub(super) const NOTE_ENDED: &str = "UPDATE intent SET ended_order = $3 WHERE renewal = $1 AND step = $2 AND tries > 0 \
     AND opened_at = (SELECT MAX(l.opened_at) FROM intent l WHERE l.renewal = $1 AND l.step = $2 AND l.tries > 0)";

pub(super) const CLOSE: &str =
    "UPDATE intent SET closed_at = $2 WHERE renewal = $1 AND closed_at IS NULL";
