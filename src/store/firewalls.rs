//! What is known of each firewall: what it said of itself, which certificates it is trusted by besides the configuration,
//! and how often it refused our login.

use jiff::Timestamp;
use sqlx::any::AnyRow;

use super::row::{Columns, exactly_one, micros, parse, words};
use super::{Lease, Pins, Store, StoreError, Writing, commit, history, leases, missing};
use crate::event::Event;
use crate::inventory::{RenewalId, TrackedFirewall};
use crate::pki::Fingerprint;

/// A certificate that an open renewal is about to bind to the management port, or has bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingPin {
    /// The renewal.
    pub renewal: RenewalId,
    /// Its firewall.
    pub firewall: String,
    /// SHA-256 of its certificate.
    pub fingerprint: Fingerprint,
    /// The configured trust that it belongs to.
    pub trust: String,
    /// The code that authenticates it (`renewal::pins`).
    pub code: String,
}

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

    /// Certificates that open renewals are about to bind to the management port of `firewall`, or have bound.
    pub async fn pending_pins(&self, firewall: &str) -> Result<Vec<PendingPin>, StoreError> {
        let rows = sqlx::query(PENDING_PINS)
            .bind(firewall)
            .fetch_all(&mut self.read().await?)
            .await?;
        rows.iter()
            .map(|row| parse(row, "renewal", "id", pending_pin))
            .collect()
    }

    /// Firewalls whose learned certificates a renewd before schema 5 had stored.
    pub async fn former_pins(&self) -> Result<Vec<TrackedFirewall>, StoreError> {
        let rows = sqlx::query(FORMER_PINS)
            .fetch_all(&mut self.read().await?)
            .await?;
        rows.iter().map(tracked).collect()
    }

    /// Certificates of renewals that a renewd before schema 5 had bound and not proven, or was about to bind: they have no
    /// code. To which service is not stored with them.
    pub async fn former_pending(&self) -> Result<Vec<PendingPin>, StoreError> {
        let rows = sqlx::query(FORMER_PENDING)
            .fetch_all(&mut self.read().await?)
            .await?;
        rows.iter()
            .map(|row| parse(row, "renewal", "id", pending_pin))
            .collect()
    }

    /// Authenticates one of them for the configured trust `pin.0` with the code `pin.1`; `None`: it is no pin.
    pub async fn settle_former_pending(
        &self,
        renewal: &RenewalId,
        pin: Option<(&str, &str)>,
        events: &[Event],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        sqlx::query(SETTLE_FORMER_PENDING)
            .bind(&*renewal.0)
            .bind(pin.map(|(trust, _)| trust))
            .bind(pin.map(|(_, code)| code))
            .execute(&mut transaction)
            .await?;
        history::append(&mut transaction, events, now).await?;
        commit(transaction).await
    }

    /// Authenticates these of one firewall with `code`.
    pub async fn authenticate_former(
        &self,
        name: &str,
        code: &str,
        events: &[Event],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        sqlx::query(AUTHENTICATE_FORMER)
            .bind(name)
            .bind(code)
            .execute(&mut transaction)
            .await?;
        history::append(&mut transaction, events, now).await?;
        commit(transaction).await
    }

    /// Stores that the rows `distrusted` of the firewall `name` are reported, with the events that report them unless that is
    /// stored already. A step does so under its `lease`.
    pub async fn record_distrust(
        &self,
        name: &str,
        distrusted: &str,
        events: &[Event],
        lease: Option<&Lease>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        if let Some(lease) = lease {
            leases::still_ours(&mut transaction, lease).await?;
        }
        let done = sqlx::query(RECORD_DISTRUST)
            .bind(name)
            .bind(&*words(distrusted))
            .execute(&mut transaction)
            .await?;
        if done.rows_affected() == 1 {
            history::append(&mut transaction, events, now).await?;
        }
        commit(transaction).await
    }

    /// Stores what the management page of `name` serves and no pin accepts, with the events that report it unless that is
    /// stored already; `None`: what it serves is accepted.
    pub async fn record_management(
        &self,
        name: &str,
        untrusted: Option<&Fingerprint>,
        events: &[Event],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let done = sqlx::query(RECORD_MANAGEMENT)
            .bind(name)
            .bind(untrusted.map(ToString::to_string))
            .execute(&mut transaction)
            .await?;
        if done.rows_affected() == 1 {
            history::append(&mut transaction, events, now).await?;
        }
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
        .bind(pins.code)
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

fn pending_pin(row: &AnyRow) -> Result<PendingPin, StoreError> {
    let text = row.text("fingerprint")?;
    Ok(PendingPin {
        renewal: RenewalId(row.text("id")?),
        firewall: row.text("firewall")?,
        fingerprint: text
            .parse()
            .map_err(|error| StoreError::broken(format!("fingerprint: {error}")))?,
        trust: row.maybe_text("pin_for")?.unwrap_or_default(),
        code: row.text("pin_code")?,
    })
}

fn tracked(row: &AnyRow) -> Result<TrackedFirewall, StoreError> {
    parse(row, "firewall", "name", read)
}

fn read(row: &AnyRow) -> Result<TrackedFirewall, StoreError> {
    let pins = row
        .text("pins")?
        .split_whitespace()
        .map(|text| {
            text.parse()
                .map_err(|error| StoreError::broken(format!("pins: {error}")))
        })
        .collect::<Result<_, _>>()?;
    Ok(TrackedFirewall {
        name: row.text("name")?,
        identity: row.maybe_text("identity")?,
        identified_at: row.maybe_time("identified_at")?,
        pins,
        pins_for: row.maybe_text("pins_for")?,
        pins_code: row.maybe_text("pins_code")?,
        distrusted: row.maybe_text("distrusted")?,
        refused_logins: row.count("refused_logins")?,
    })
}

macro_rules! select_firewall {
    ($rest:literal) => {
        concat!(
            "SELECT name, identity, identified_at, pins, pins_for, pins_code, distrusted, refused_logins \
             FROM firewall WHERE ",
            $rest
        )
    };
}

pub(super) const FIREWALL: &str = select_firewall!("name = $1");

const FORMER_PINS: &str = select_firewall!("pins_code = 'former'");

const AUTHENTICATE_FORMER: &str =
    "UPDATE firewall SET pins_code = $2 WHERE name = $1 AND pins_code = 'former'";

const RECORD_IDENTITY: &str = "INSERT INTO firewall (name, identity, identified_at) VALUES ($1, $2, $3) \
     ON CONFLICT (name) DO UPDATE SET identity = excluded.identity, identified_at = excluded.identified_at";

const LEARN_TRUST: &str = "INSERT INTO firewall (name, pins, pins_for, pins_code) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (name) DO UPDATE SET pins = excluded.pins, pins_for = excluded.pins_for, \
     pins_code = excluded.pins_code";

const FORMER_PENDING: &str = "SELECT id, firewall, fingerprint, pin_for, pin_code FROM renewal \
     WHERE ended_at IS NULL AND pin_code = 'former'";

const SETTLE_FORMER_PENDING: &str =
    "UPDATE renewal SET pin_for = $2, pin_code = $3 WHERE id = $1 AND pin_code = 'former'";

pub(super) const PENDING_PINS: &str = "SELECT id, firewall, fingerprint, pin_for, pin_code FROM renewal \
     WHERE firewall = $1 AND ended_at IS NULL AND pin_code IS NOT NULL AND fingerprint IS NOT NULL \
     AND state IN ('imported', 'bound', 'verification_failed', 'verified')";

const RECORD_DISTRUST: &str = "INSERT INTO firewall (name, distrusted) VALUES ($1, $2) \
     ON CONFLICT (name) DO UPDATE SET distrusted = excluded.distrusted \
     WHERE COALESCE(firewall.distrusted, '') <> excluded.distrusted";

const RECORD_MANAGEMENT: &str = "INSERT INTO firewall (name, management_untrusted) VALUES ($1, $2) \
     ON CONFLICT (name) DO UPDATE SET management_untrusted = excluded.management_untrusted \
     WHERE COALESCE(firewall.management_untrusted, '') <> COALESCE(excluded.management_untrusted, '')";

const TAKE_CODE_STEP: &str = "INSERT INTO firewall (name, code_step) VALUES ($1, $2) \
     ON CONFLICT (name) DO UPDATE SET code_step = excluded.code_step \
     WHERE firewall.code_step IS NULL OR firewall.code_step < excluded.code_step";

const COUNT_REFUSED_LOGIN: &str = "INSERT INTO firewall (name, refused_logins, refused_login_at) VALUES ($1, 1, $2) \
     ON CONFLICT (name) DO UPDATE SET refused_logins = firewall.refused_logins + 1, \
     refused_login_at = excluded.refused_login_at";

const FORGET_REFUSED_LOGINS: &str =
    "UPDATE firewall SET refused_logins = 0 WHERE name = $1 AND refused_logins > 0";
