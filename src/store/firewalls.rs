//! What is known of each firewall: what it said of itself, which certificates it is trusted by besides the configuration,
//! and how often it refused our login.

use jiff::Timestamp;
use sqlx::any::AnyRow;

use super::row::{Columns, exactly_one, micros, parse};
use super::{Lease, Pins, Store, StoreError, Writing, commit, leases, missing};
use crate::inventory::TrackedFirewall;

impl Store {
    /// A firewall; one that nothing was stored of yet has nothing but its name.
    pub async fn firewall(&self, name: &str) -> Result<TrackedFirewall, StoreError> {
        let row = sqlx::query(FIREWALL)
            .bind(name)
            .fetch_optional(&mut self.read().await?)
            .await?;
        row.as_ref().map_or_else(
            || {
                Ok(TrackedFirewall {
                    name: name.to_owned(),
                    ..TrackedFirewall::default()
                })
            },
            tracked,
        )
    }

    /// Stores what the firewall of `lease` says of itself (`firewall::Identity`, as JSON).
    pub async fn record_identity(
        &self,
        lease: &Lease,
        identity_json: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let name = &lease.renewal.firewall;
        let mut transaction = self.begin().await?;
        leases::still_ours(&mut transaction, lease).await?;
        let done = sqlx::query(RECORD_IDENTITY)
            .bind(&**name)
            .bind(identity_json)
            .bind(micros(now))
            .execute(&mut transaction)
            .await?;
        exactly_one(done.rows_affected(), || missing("firewall", name))?;
        commit(transaction).await
    }

    /// Takes the time step of a one-time code, by its beginning, for a login; `false`: that step or a later one was taken
    /// before. It is on the disk when this returns.
    pub async fn take_code_step(&self, name: &str, step: Timestamp) -> Result<bool, StoreError> {
        let mut transaction = self.begin().await?;
        let done = sqlx::query(TAKE_CODE_STEP)
            .bind(name)
            .bind(micros(step))
            .execute(&mut transaction)
            .await?;
        commit(transaction).await?;
        Ok(done.rows_affected() == 1)
    }
}

/// Replaces the certificates that are trusted because renewd bound and verified them, and the configured trust that they
/// belong to.
pub(super) async fn learn(
    connection: &mut Writing,
    name: &str,
    pins: Pins<'_>,
) -> Result<(), StoreError> {
    let learned: Vec<String> = pins.fingerprints.iter().map(ToString::to_string).collect();
    let done = sqlx::query(LEARN_TRUST)
        .bind(name)
        .bind(learned.join(" "))
        .bind(pins.trust)
        .execute(connection)
        .await?;
    exactly_one(done.rows_affected(), || missing("firewall", name))
}

/// Counts one more refused login in a row.
pub(super) async fn count_refused_login(
    connection: &mut Writing,
    name: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let done = sqlx::query(COUNT_REFUSED_LOGIN)
        .bind(name)
        .bind(micros(now))
        .execute(connection)
        .await?;
    exactly_one(done.rows_affected(), || missing("firewall", name))
}

/// A login worked. Mostly there is nothing to forget, and then nothing is written.
pub(super) async fn forget_refused_logins(
    connection: &mut Writing,
    name: &str,
) -> Result<(), StoreError> {
    sqlx::query(FORGET_REFUSED_LOGINS)
        .bind(name)
        .execute(connection)
        .await?;
    Ok(())
}

fn tracked(row: &AnyRow) -> Result<TrackedFirewall, StoreError> {
    parse(row, "firewall", "name", read)
}

fn read(row: &AnyRow) -> Result<TrackedFirewall, StoreError> {
    let learned = row
        .text("learned")?
        .split_whitespace()
        .map(|text| {
            text.parse()
                .map_err(|error| StoreError::broken(format!("learned: {error}")))
        })
        .collect::<Result<_, _>>()?;
    Ok(TrackedFirewall {
        name: row.text("name")?,
        identity: row.maybe_text("identity")?,
        identified_at: row.maybe_time("identified_at")?,
        learned,
        learned_for: row.maybe_text("learned_for")?,
        refused_logins: row.count("refused_logins")?,
    })
}

pub(super) const FIREWALL: &str = "SELECT name, identity, identified_at, learned, learned_for, refused_logins \
     FROM firewall WHERE name = $1";

const RECORD_IDENTITY: &str = "INSERT INTO firewall (name, identity, identified_at) VALUES ($1, $2, $3) \
     ON CONFLICT (name) DO UPDATE SET identity = excluded.identity, identified_at = excluded.identified_at";

const LEARN_TRUST: &str = "INSERT INTO firewall (name, learned, learned_for) VALUES ($1, $2, $3) \
     ON CONFLICT (name) DO UPDATE SET learned = excluded.learned, learned_for = excluded.learned_for";

const TAKE_CODE_STEP: &str = "INSERT INTO firewall (name, code_step) VALUES ($1, $2) \
     ON CONFLICT (name) DO UPDATE SET code_step = excluded.code_step \
     WHERE firewall.code_step IS NULL OR firewall.code_step < excluded.code_step";

const COUNT_REFUSED_LOGIN: &str = "INSERT INTO firewall (name, refused_logins, refused_login_at) VALUES ($1, 1, $2) \
     ON CONFLICT (name) DO UPDATE SET refused_logins = firewall.refused_logins + 1, \
     refused_login_at = excluded.refused_login_at";

const FORGET_REFUSED_LOGINS: &str =
    "UPDATE firewall SET refused_logins = 0 WHERE name = $1 AND refused_logins > 0";
