//! Leases: the right to work on a renewal. A lease covers the renewal and its firewall, because two workers on one
//! firewall would take its configuration mode from each other. It expires, so that a crashed worker blocks nothing for long.

use std::collections::HashSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sqlx::any::AnyRow;

use super::row::{Columns, exactly_one, micros};
use super::{Store, StoreError, Writing, commit, missing, renewals};
use crate::inventory::{Renewal, RenewalId};

/// The right to work on a renewal and its firewall.
#[derive(Debug)]
pub struct Lease {
    /// The renewal; the one that `advance` returns takes its place.
    pub renewal: Renewal,
    /// Who holds it.
    pub owner: String,
    /// Fencing: larger with each claim on this firewall.
    pub token: i64,
    /// When another holder may take it.
    pub until: Timestamp,
    /// The previous lease on this firewall expired: its holder may have left a session there.
    pub follows_lost: bool,
}

impl Lease {
    /// What is needed to keep it, apart from the work that it is for.
    pub fn key(&self) -> LeaseKey {
        LeaseKey {
            renewal: self.renewal.id.clone(),
            token: self.token,
        }
    }
}

/// Names a lease.
#[derive(Debug, Clone)]
pub struct LeaseKey {
    renewal: RenewalId,
    token: i64,
}

/// How long leases are, and how they are kept.
#[derive(Debug, Clone, Copy)]
pub struct LeasePolicy {
    /// How long a claim holds.
    pub lease: SignedDuration,
    /// How often it is renewed while a step runs; `None`: only between steps.
    pub beat: Option<Duration>,
    /// A holder that could not renew it for this long stops. It stops before another holder may begin, even where two
    /// clocks differ by what is left of the lease.
    pub lost_after: Duration,
}

impl LeasePolicy {
    /// Where a lock excludes every other process, a lease ends with its process, whatever the clock of the machine does
    /// meanwhile: a clock that jumps by days lets no second worker in. The next holder of the lock takes the lease over.
    pub(super) const ALONE: Self = Self {
        lease: SignedDuration::from_hours(24 * 365 * 100),
        beat: None,
        lost_after: Duration::MAX,
    };

    /// Where only the end of a lease says that its holder is gone.
    pub(super) const SHARED: Self = Self {
        lease: SignedDuration::from_mins(2),
        beat: Some(Duration::from_secs(20)),
        lost_after: Duration::from_secs(75),
    };
}

impl Store {
    /// How long leases are on this database.
    pub const fn lease_policy(&self) -> LeasePolicy {
        self.lease_policy
    }

    /// The same database with other leases: every daemon on it must have the same.
    #[must_use]
    pub fn with_lease_policy(mut self, lease_policy: LeasePolicy) -> Self {
        self.lease_policy = lease_policy;
        self
    }

    /// Takes the most urgent renewal that is ready: not held, its time has come, neither it nor its firewall is worked
    /// on, and the firewall refused fewer logins in a row than `refused_login_limit`.
    pub async fn claim(
        &self,
        owner: &str,
        now: Timestamp,
        lease_until: Timestamp,
        refused_login_limit: u32,
    ) -> Result<Option<Lease>, StoreError> {
        self.claim_by(MOST_URGENT, owner, now, lease_until, refused_login_limit)
            .await
    }

    /// The same, without renewals whose last attempt reached no peer ([`Renewal::is_unreached`]): those wait until no other
    /// renewal does.
    pub async fn claim_reachable(
        &self,
        owner: &str,
        now: Timestamp,
        lease_until: Timestamp,
        refused_login_limit: u32,
    ) -> Result<Option<Lease>, StoreError> {
        let statement = MOST_URGENT_REACHABLE;
        self.claim_by(statement, owner, now, lease_until, refused_login_limit)
            .await
    }

    async fn claim_by(
        &self,
        most_urgent: &'static str,
        owner: &str,
        now: Timestamp,
        lease_until: Timestamp,
        refused_login_limit: u32,
    ) -> Result<Option<Lease>, StoreError> {
        let look = |left: i64| {
            sqlx::query(most_urgent)
                .bind(micros(now))
                .bind(i64::from(refused_login_limit))
                .bind(left)
        };
        // Every tick ends with the answer "nothing more", which is to take no lock.
        let mut left = 0;
        loop {
            let ready = look(left).fetch_optional(&mut self.read().await?).await?;
            match ready {
                None => return Ok(None),
                Some(ready) if self.is_ours_to_claim(&ready, now)? => break,
                Some(_) => left += 1,
            }
        }
        let mut transaction = self.begin().await?;
        let Some(candidate) = look(left).fetch_optional(&mut transaction).await? else {
            return Ok(None);
        };
        if !self.is_ours_to_claim(&candidate, now)? {
            // The order changed between the two statements: the next turn looks again.
            return Ok(None);
        }
        let id = RenewalId(candidate.text("id")?);
        let firewall = candidate.text("firewall")?;
        let follows_lost = candidate.maybe_number("lost_at")?.is_some();
        let Some(token) =
            claim_firewall(&mut transaction, &firewall, owner, now, lease_until).await?
        else {
            // Taken between the two statements, which only a database with several writers allows.
            return Ok(None);
        };
        take_over(&mut transaction, &id, &firewall, owner, lease_until, token).await?;
        let renewal = renewals::find(&mut transaction, &id)
            .await?
            .ok_or_else(|| missing("renewal", &id.0))?;
        commit(transaction).await?;
        Ok(Some(Lease {
            renewal,
            owner: owner.to_owned(),
            token,
            until: lease_until,
            follows_lost,
        }))
    }

    /// One whose certificate is configured otherwise here is left to the daemon that stored its configuration.
    fn is_ours_to_claim(&self, ready: &AnyRow, now: Timestamp) -> Result<bool, StoreError> {
        let certificate = ready.text("certificate")?;
        let hash = ready.maybe_text("hash")?;
        let is_ours = self.synchronised.is_ours(&certificate, hash.as_deref());
        if !is_ours {
            self.synchronised.leave(&certificate, now);
        }
        Ok(is_ours)
    }

    /// Keeps the lease until `until`.
    pub async fn extend(&self, lease: &mut Lease, until: Timestamp) -> Result<(), StoreError> {
        self.prolong(&lease.key(), until).await?;
        lease.until = until;
        Ok(())
    }

    /// The same, for a task that keeps the lease while another one works.
    pub async fn prolong(&self, key: &LeaseKey, until: Timestamp) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        for statement in [EXTEND_RENEWAL, EXTEND_FIREWALL] {
            let done = sqlx::query(statement)
                .bind(&*key.renewal.0)
                .bind(key.token)
                .bind(micros(until))
                .execute(&mut transaction)
                .await?;
            exactly_one(done.rows_affected(), || StoreError::LeaseLost)?;
        }
        commit(transaction).await
    }

    /// Gives the renewal and its firewall back. [`StoreError::LeaseLost`]: another holder has them already, and there is
    /// nothing left to give back.
    pub async fn release(&self, lease: Lease) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        for statement in [RELEASE_FIREWALL, RELEASE_RENEWAL] {
            let done = sqlx::query(statement)
                .bind(&*lease.renewal.id.0)
                .bind(lease.token)
                .execute(&mut transaction)
                .await?;
            exactly_one(done.rows_affected(), || StoreError::LeaseLost)?;
        }
        // Another renewal of this firewall may be ready, and another daemon idle.
        self.dialect.notify(&mut transaction, &lease.owner).await?;
        commit(transaction).await
    }

    /// The firewalls with a lease at `now`.
    pub async fn leased(&self, now: Timestamp) -> Result<HashSet<String>, StoreError> {
        let rows = sqlx::query(LEASED)
            .bind(micros(now))
            .fetch_all(&mut self.read().await?)
            .await?;
        rows.iter().map(|row| row.text("name")).collect()
    }

    /// Frees every lease, whoever holds it. Only for a caller that knows that no other process works on this database, such
    /// as one that holds the lock file of an SQLite database: the holders have crashed, and waiting for them is useless.
    ///
    /// Returns the firewalls that were worked on: sessions may have been left there.
    pub async fn take_over(&self) -> Result<Vec<String>, StoreError> {
        let mut transaction = self.begin().await?;
        sqlx::query(FREE_RENEWALS).execute(&mut transaction).await?;
        let freed = sqlx::query(FREE_FIREWALLS)
            .fetch_all(&mut transaction)
            .await?;
        let firewalls = freed
            .iter()
            .map(|row| row.text("name"))
            .collect::<Result<_, _>>()?;
        commit(transaction).await?;
        Ok(firewalls)
    }
}

/// Proves within a transaction that the renewal is still ours and unmoved, and locks its row until the commit.
pub(super) async fn still_ours(connection: &mut Writing, lease: &Lease) -> Result<(), StoreError> {
    let done = sqlx::query(STILL_OURS)
        .bind(&*lease.renewal.id.0)
        .bind(lease.renewal.state.name())
        .bind(lease.token)
        .execute(connection)
        .await?;
    exactly_one(done.rows_affected(), || StoreError::LeaseLost)
}

async fn claim_firewall(
    connection: &mut Writing,
    firewall: &str,
    owner: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<i64>, StoreError> {
    let row = sqlx::query(CLAIM_FIREWALL)
        .bind(firewall)
        .bind(owner)
        .bind(micros(until))
        .bind(micros(now))
        .fetch_optional(connection)
        .await?;
    row.map(|row| row.number("lease_token")).transpose()
}

async fn take_over(
    connection: &mut Writing,
    id: &RenewalId,
    firewall: &str,
    owner: &str,
    until: Timestamp,
    token: i64,
) -> Result<(), StoreError> {
    // A worker whose lease on this firewall expired may hold another renewal of it; it must not write any more either.
    sqlx::query(EXPEL)
        .bind(firewall)
        .execute(&mut *connection)
        .await?;
    let done = sqlx::query(CLAIM_RENEWAL)
        .bind(&*id.0)
        .bind(owner)
        .bind(micros(until))
        .bind(token)
        .execute(connection)
        .await?;
    exactly_one(done.rows_affected(), || missing("renewal", &id.0))
}

/// Walks the open renewals in the order of urgency, in an index that holds all that is asked, and stops at the first
/// that fits. The plus sign keeps SQLite from collecting and sorting all that are ready instead, for each claim.
macro_rules! most_urgent {
    ($and:literal) => {
        concat!(
            "SELECT r.id, r.firewall, r.certificate, \
             (SELECT CASE WHEN c.configured = 1 THEN c.hash END FROM certificate c WHERE c.name = r.certificate) AS hash, \
             (SELECT f.lease_until FROM firewall f WHERE f.name = r.firewall) AS lost_at FROM renewal r \
             WHERE r.ended_at IS NULL AND +r.next_attempt_at <= $1 ",
            $and,
            "AND EXISTS (SELECT 1 FROM firewall f WHERE f.name = r.firewall \
                 AND (f.lease_until IS NULL OR f.lease_until <= $1) AND f.refused_logins < $2) \
             ORDER BY r.deadline, r.next_attempt_at LIMIT 1 OFFSET $3"
        )
    };
}
pub(super) const MOST_URGENT: &str = most_urgent!("");

pub(super) const MOST_URGENT_REACHABLE: &str = most_urgent!(
    "AND (r.last_error_kind IS NULL OR r.last_error_kind NOT IN ('unreachable', 'outcome_unknown')) "
);

pub(super) const CLAIM_FIREWALL: &str = "UPDATE firewall SET lease_owner = $2, lease_until = $3, lease_token = lease_token + 1 \
     WHERE name = $1 AND (lease_until IS NULL OR lease_until <= $4) RETURNING lease_token";

pub(super) const EXPEL: &str = "UPDATE renewal SET lease_owner = NULL, lease_until = NULL, lease_token = NULL \
     WHERE firewall = $1 AND ended_at IS NULL AND lease_token IS NOT NULL";

pub(super) const CLAIM_RENEWAL: &str = "UPDATE renewal SET lease_owner = $2, lease_until = $3, lease_token = $4 \
     WHERE id = $1 AND ended_at IS NULL";

pub(super) const EXTEND_RENEWAL: &str =
    "UPDATE renewal SET lease_until = $3 WHERE id = $1 AND lease_token = $2";

pub(super) const EXTEND_FIREWALL: &str = "UPDATE firewall SET lease_until = $3 \
     WHERE name = (SELECT r.firewall FROM renewal r WHERE r.id = $1) AND lease_token = $2";

pub(super) const RELEASE_FIREWALL: &str = "UPDATE firewall SET lease_owner = NULL, lease_until = NULL \
     WHERE name = (SELECT r.firewall FROM renewal r WHERE r.id = $1) AND lease_token = $2 AND lease_owner IS NOT NULL";

pub(super) const RELEASE_RENEWAL: &str = "UPDATE renewal SET lease_owner = NULL, lease_until = NULL, lease_token = NULL \
     WHERE id = $1 AND lease_token = $2";

pub(super) const LEASED: &str = "SELECT name FROM firewall WHERE lease_until > $1";

/// Where work goes on, the claim is not forgotten but long over: the next one says that a session may have been left,
/// also when there are several deaths in between.
pub(super) const FREE_FIREWALLS: &str = "UPDATE firewall SET lease_owner = NULL, lease_until = CASE WHEN EXISTS \
     (SELECT 1 FROM renewal r WHERE r.firewall = firewall.name AND r.ended_at IS NULL) THEN 0 END \
     WHERE lease_until IS NOT NULL RETURNING name";

pub(super) const FREE_RENEWALS: &str = "UPDATE renewal SET lease_owner = NULL, lease_until = NULL, lease_token = NULL \
     WHERE ended_at IS NULL AND lease_token IS NOT NULL";

pub(super) const STILL_OURS: &str = "UPDATE renewal SET lease_token = lease_token \
     WHERE id = $1 AND state = $2 AND lease_token = $3 AND ended_at IS NULL";
