//! How much of each CA's limits is used, and the moments that were given out.

use jiff::Timestamp;

use super::row::{Columns, micros};
use super::{Lease, Store, StoreError, Writing, commit, intents, leases};
use crate::inventory::{Budget, Intent, OrderBasis, RateLimit, RenewalId};

/// Whether an order may be placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permission {
    /// It may, and the intent to do so is stored.
    Granted(Intent),
    /// Not before `until`: the budget is spent.
    Exhausted {
        /// When the oldest order leaves the budget's time.
        until: Timestamp,
        /// The budget.
        budget: Budget,
    },
}

impl Store {
    /// The moment at which the renewal may order within `limits` of its CA, taken out of them once: asked again, it is
    /// the same moment, until an order was placed.
    pub async fn reserve(
        &self,
        lease: &Lease,
        limits: &[RateLimit],
        now: Timestamp,
    ) -> Result<Timestamp, StoreError> {
        if limits.is_empty() {
            return Ok(now);
        }
        let mut transaction = self.begin().await?;
        leases::still_ours(&mut transaction, lease).await?;
        let row = sqlx::query(SLOT)
            .bind(&*lease.renewal.id.0)
            .fetch_optional(&mut transaction)
            .await?;
        if let Some(row) = row {
            return row.time("at");
        }
        let at = take(&mut transaction, &lease.renewal.ca, limits, now).await?;
        sqlx::query(KEEP_SLOT)
            .bind(&*lease.renewal.id.0)
            .bind(micros(at))
            .execute(&mut transaction)
            .await?;
        commit(transaction).await?;
        Ok(at)
    }

    /// Opens the intent of an order that is placed on `basis`, if `budget` has room for it. The moment that was reserved for
    /// it is used up.
    pub async fn intend_order(
        &self,
        lease: &Lease,
        step: &str,
        reference: &str,
        basis: Option<&OrderBasis>,
        budget: Option<Budget>,
        now: Timestamp,
    ) -> Result<Permission, StoreError> {
        let mut transaction = self.begin().await?;
        leases::still_ours(&mut transaction, lease).await?;
        if let Some(budget) = budget
            && let Some(until) = spent_until(&mut transaction, lease, step, budget, now).await?
        {
            return Ok(Permission::Exhausted { until, budget });
        }
        let intent = intents::open(&mut transaction, lease, step, reference, basis, now).await?;
        for statement in [USE_SLOT, USE_DECISION] {
            sqlx::query(statement)
                .bind(&*lease.renewal.id.0)
                .execute(&mut transaction)
                .await?;
        }
        commit(transaction).await?;
        Ok(Permission::Granted(intent))
    }

    /// The order of the open intent was surely not placed: the intent is closed, and counts as no order. The moment that
    /// was reserved for it is the renewal's again, else a CA that is out of order for an hour would use up its limits.
    pub async fn withdraw_order(
        &self,
        lease: &Lease,
        step: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        leases::still_ours(&mut transaction, lease).await?;
        withdraw(&mut transaction, &lease.renewal.id, step, now).await?;
        commit(transaction).await
    }

    /// The order for which a moment was used up was not placed, says the CA: the moment is the renewal's again. Its try
    /// still counts.
    pub async fn return_turn(&self, lease: &Lease, now: Timestamp) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        leases::still_ours(&mut transaction, lease).await?;
        sqlx::query(RETURN_USED_SLOT)
            .bind(&*lease.renewal.id.0)
            .bind(micros(now))
            .execute(&mut transaction)
            .await?;
        commit(transaction).await
    }

    /// How many orders were placed at `ca` since `since`.
    pub async fn orders_since(
        &self,
        ca: &str,
        step: &str,
        since: Timestamp,
    ) -> Result<u32, StoreError> {
        sqlx::query(ORDERS_SINCE)
            .bind(ca)
            .bind(step)
            .bind(micros(since))
            .fetch_one(&mut self.read().await?)
            .await?
            .count("orders")
    }
}

/// The call of the open intent of `step` was certainly not carried out. The moment that was reserved for an order is the
/// renewal's again; other steps have none.
pub(super) async fn withdraw(
    connection: &mut Writing,
    renewal: &RenewalId,
    step: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(WITHDRAW)
        .bind(&*renewal.0)
        .bind(step)
        .bind(micros(now))
        .execute(&mut *connection)
        .await?;
    sqlx::query(RETURN_SLOT)
        .bind(&*renewal.0)
        .bind(micros(now))
        .execute(connection)
        .await?;
    Ok(())
}

/// Finds the first moment that all `limits` allow, and takes it out of them.
async fn take(
    connection: &mut Writing,
    ca: &str,
    limits: &[RateLimit],
    now: Timestamp,
) -> Result<Timestamp, StoreError> {
    let mut full = Vec::with_capacity(limits.len());
    for limit in limits {
        let row = sqlx::query(ALLOWANCE)
            .bind(ca)
            .bind(&*limit.bucket)
            .fetch_optional(&mut *connection)
            .await?;
        full.push(row.map(|row| row.time("full_at")).transpose()?);
    }
    let earliest = limits.iter().zip(&full);
    let at = earliest
        .map(|(limit, full_at)| limit.earliest(*full_at, now))
        .fold(now, Timestamp::max);
    for (limit, full_at) in limits.iter().zip(full) {
        sqlx::query(KEEP_ALLOWANCE)
            .bind(ca)
            .bind(&*limit.bucket)
            .bind(micros(limit.full_at(full_at, at)))
            .execute(&mut *connection)
            .await?;
    }
    Ok(at)
}

/// When `budget` has room again; `None`: it has. Every try counts that may have been taken, also this renewal's own.
async fn spent_until(
    connection: &mut Writing,
    lease: &Lease,
    step: &str,
    budget: Budget,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let since = now.checked_sub(budget.within).unwrap_or(Timestamp::MIN);
    let row = sqlx::query(ORDERS_SINCE)
        .bind(&*lease.renewal.ca)
        .bind(step)
        .bind(micros(since))
        .fetch_one(connection)
        .await?;
    if row.count("orders")? < budget.orders {
        return Ok(None);
    }
    let oldest = row.maybe_time("oldest")?.unwrap_or(now);
    let until = oldest.saturating_add(budget.within);
    Ok(Some(until.unwrap_or(Timestamp::MAX)))
}

pub(super) const SLOT: &str = "SELECT at FROM order_slot WHERE renewal = $1 AND at IS NOT NULL";

pub(super) const KEEP_SLOT: &str = "INSERT INTO order_slot (renewal, at) VALUES ($1, $2) \
     ON CONFLICT (renewal) DO UPDATE SET at = excluded.at";

pub(super) const USE_SLOT: &str = "UPDATE order_slot SET at = NULL WHERE renewal = $1";

/// A decision is good for one order.
pub(super) const USE_DECISION: &str = "UPDATE renewal SET decided = NULL WHERE id = $1";

pub(super) const RETURN_SLOT: &str = "UPDATE order_slot SET at = $2 WHERE renewal = $1";

pub(super) const RETURN_USED_SLOT: &str =
    "UPDATE order_slot SET at = $2 WHERE renewal = $1 AND at IS NULL";

pub(super) const ALLOWANCE: &str = "SELECT full_at FROM allowance WHERE ca = $1 AND bucket = $2";

pub(super) const KEEP_ALLOWANCE: &str = "INSERT INTO allowance (ca, bucket, full_at) VALUES ($1, $2, $3) \
     ON CONFLICT (ca, bucket) DO UPDATE SET full_at = excluded.full_at";

pub(super) const WITHDRAW: &str = "UPDATE intent SET closed_at = $3, tries = tries - 1, \
     tried_at = CASE WHEN tries > 1 THEN tried_at END \
     WHERE renewal = $1 AND step = $2 AND closed_at IS NULL";

/// An intent that was tried again may stand for more than one order; none that was counted is counted less.
pub(super) const ORDERS_SINCE: &str = "SELECT CAST(COALESCE(SUM(i.tries), 0) AS BIGINT) AS orders, MIN(i.tried_at) AS oldest \
     FROM intent i JOIN renewal r ON r.id = i.renewal \
     WHERE r.ca = $1 AND i.step = $2 AND i.tried_at > $3";
