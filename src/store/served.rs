//! What each address of a certificate serves, and which certificates are known. An older probe never replaces a newer
//! one, nor what a verification stored after it began: the statement itself refuses it.

use std::sync::Arc;

use jiff::Timestamp;
use sqlx::any::AnyRow;

use super::bulk::{check_again, is_open};
use super::row::{Columns, exactly_one, micros, words};
use super::{Store, StoreError, Writing, commit, history, missing};
use crate::event::{Event, EventKind};
use crate::inventory::{
    Condition, Observation, RenewalId, ReportedCondition, Served, ServedCertificate, State,
    Unknown, Unreachable,
};
use crate::pki::Fingerprint;

/// What a probe of every address of a certificate, or a verification, found.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProbeRecord<'a> {
    /// What is true of each address, with the events that this makes.
    pub observations: &'a [(Observation, Vec<Report>)],
    /// Addresses that are no longer looked at.
    pub forgotten: &'a [String],
    /// Certificates that a chain has shown to be ours.
    pub verified_by_chain: &'a [KnownCertificate],
    /// What is wrong with the certificate as a whole, so that it is reported once; `None`: nothing.
    pub reported_condition: Option<ReportedCondition>,
    /// When the addresses are looked at next.
    pub next_probe_at: Timestamp,
    /// When the due rules are to be asked; `None`: as before.
    pub due_check_at: Option<Timestamp>,
    /// What is to be reported of the certificate as a whole.
    pub events: &'a [Event],
}

/// What is to be reported of one address. Those of one kind become one event of the certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What happened.
    pub kind: EventKind,
    /// In words, with the address.
    pub words: String,
}

/// The part of a renewal that bound its certificate that decides which certificates are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundBefore {
    /// The renewal.
    pub id: RenewalId,
    /// Its state.
    pub state: State,
    /// What it bound.
    pub fingerprint: Fingerprint,
    /// When its state became true.
    pub state_since: Timestamp,
    /// What each address served before, as JSON.
    pub previous_served: Option<String>,
    /// What the first address served before, in rows of an earlier renewd.
    pub previous_fingerprint: Option<Fingerprint>,
    /// The CA certificates above it.
    pub chain_pem: Option<String>,
}

/// A certificate that is known although renewd did not bind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownCertificate {
    /// SHA-256 of its DER.
    pub fingerprint: Fingerprint,
    /// An operator accepted it; else a chain verified.
    pub is_adopted: bool,
    /// Since when.
    pub known_at: Timestamp,
    /// The code that authenticates all of it (`renewal::known_rows`).
    pub code: String,
    /// It was reported that the code does not verify.
    pub is_reported: bool,
}

impl Store {
    /// Stores what was found at the addresses of `name`. What was overtaken by something newer is left out, and with it
    /// what is said of the certificate as a whole. The events that were stored are returned.
    pub async fn record_probe(
        &self,
        name: &str,
        probe_record: &ProbeRecord<'_>,
        now: Timestamp,
    ) -> Result<Vec<Event>, StoreError> {
        let mut transaction = self.begin().await?;
        let events = write(&mut transaction, name, probe_record, now).await?;
        commit(transaction).await?;
        Ok(events)
    }

    /// An operator accepts `known` as a certificate of `name`; it is probed at once.
    pub async fn adopt(
        &self,
        name: &str,
        known: &KnownCertificate,
        events: &[Event],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let done = sqlx::query(ADOPTED_IS_PROBED)
            .bind(name)
            .bind(micros(now))
            .execute(&mut transaction)
            .await?;
        exactly_one(done.rows_affected(), || missing("certificate", name))?;
        know(&mut transaction, name, known).await?;
        history::append(&mut transaction, events, now).await?;
        self.dialect.notify(&mut transaction, "").await?;
        commit(transaction).await
    }

    /// The renewals of `certificate` on `firewall` that bound what they obtained, newest first.
    pub async fn bound_before(
        &self,
        certificate: &str,
        firewall: &str,
    ) -> Result<Vec<BoundBefore>, StoreError> {
        let rows = sqlx::query(BOUND_BEFORE)
            .bind(certificate)
            .bind(firewall)
            .fetch_all(&mut self.read().await?)
            .await?;
        rows.iter().map(bound_before).collect()
    }

    /// The certificates of `name` that are known although renewd did not bind them.
    pub async fn known_certificates(
        &self,
        name: &str,
    ) -> Result<Vec<KnownCertificate>, StoreError> {
        let rows = sqlx::query(KNOWN_CERTIFICATES)
            .bind(name)
            .fetch_all(&mut self.read().await?)
            .await?;
        rows.iter().map(known_certificate).collect()
    }

    /// Stores that the codes of these certificates of `name` do not verify, and that this is reported by `events`.
    pub async fn record_forged_known(
        &self,
        name: &str,
        forged: &[Fingerprint],
        events: &[Event],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        for fingerprint in forged {
            sqlx::query(REPORT_FORGED)
                .bind(name)
                .bind(fingerprint.to_string())
                .bind(micros(now))
                .execute(&mut transaction)
                .await?;
        }
        history::append(&mut transaction, events, now).await?;
        commit(transaction).await
    }

    /// Certificates, with the name of the `[[certificate]]`, that a renewd before schema 6 had stored as known.
    pub async fn former_known(&self) -> Result<Vec<(String, KnownCertificate)>, StoreError> {
        let rows = sqlx::query(FORMER_KNOWN)
            .fetch_all(&mut self.read().await?)
            .await?;
        let read = |row| Ok((row_name(row)?, known_certificate(row)?));
        rows.iter().map(read).collect()
    }

    /// Authenticates one of these.
    pub async fn authenticate_former_known(
        &self,
        name: &str,
        fingerprint: Fingerprint,
        code: &str,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        sqlx::query(AUTHENTICATE_FORMER_KNOWN)
            .bind(name)
            .bind(fingerprint.to_string())
            .bind(code)
            .execute(&mut transaction)
            .await?;
        commit(transaction).await
    }
}

/// [`Store::record_probe`] in a transaction that stores more.
pub(super) async fn write(
    connection: &mut Writing,
    name: &str,
    probe_record: &ProbeRecord<'_>,
    now: Timestamp,
) -> Result<Vec<Event>, StoreError> {
    let mut reports: Vec<Report> = Vec::new();
    let mut is_newest = true;
    for (observation, theirs) in probe_record.observations {
        if observe(connection, name, observation).await? {
            reports.extend(theirs.iter().cloned());
        } else {
            is_newest = false;
        }
    }
    for address in probe_record.forgotten {
        sqlx::query(FORGET)
            .bind(name)
            .bind(&**address)
            .execute(&mut *connection)
            .await?;
    }
    for known in probe_record.verified_by_chain {
        know(connection, name, known).await?;
    }
    let due_check_at = probe_record.due_check_at.filter(|_| is_newest);
    let seen = if is_newest {
        sqlx::query(SEEN)
            .bind(name)
            .bind(micros(probe_record.next_probe_at))
            .bind(due_check_at.map(micros))
            .bind(probe_record.reported_condition.map(ReportedCondition::name))
    } else {
        sqlx::query(OVERTAKEN)
            .bind(name)
            .bind(micros(probe_record.next_probe_at))
    };
    let done = seen.execute(&mut *connection).await?;
    exactly_one(done.rows_affected(), || missing("certificate", name))?;
    if let Some(due_check_at) = due_check_at {
        sqlx::query(super::inventory::RECONSIDER_WINDOW)
            .bind(name)
            .bind(micros(due_check_at))
            .execute(&mut *connection)
            .await?;
    }
    let mut events = as_events(name, &reports);
    if is_newest {
        events.extend(probe_record.events.iter().cloned());
    }
    history::append(connection, &events, now).await?;
    Ok(events)
}

fn as_events(name: &str, reports: &[Report]) -> Vec<Event> {
    let certificate: Arc<str> = Arc::from(name);
    let mut events: Vec<Event> = Vec::new();
    for report in reports {
        let known = events.iter_mut().find(|event| event.kind == report.kind);
        match known.and_then(|event| event.detail.as_mut()) {
            Some(words) => words.push_str(&["; ", report.words.as_str()].concat()),
            None => events.push(Event {
                detail: Some(report.words.clone()),
                ..Event::of_certificate(report.kind, &certificate)
            }),
        }
    }
    events
}

/// Whether it was stored: nothing newer is there.
async fn observe(
    connection: &mut Writing,
    name: &str,
    observation: &Observation,
) -> Result<bool, StoreError> {
    let served = &observation.served;
    let known = served.known.as_ref();
    let unknown = served.unknown.as_ref();
    let unreachable = served.unreachable.as_ref();
    let done = sqlx::query(OBSERVE)
        .bind(name)
        .bind(&*served.address)
        .bind(known.map(|known| known.fingerprint.to_string()))
        .bind(known.map(|known| known.pem.as_str()))
        .bind(known.map(|known| micros(known.not_before)))
        .bind(known.map(|known| micros(known.not_after)))
        .bind(known.map(|known| micros(known.seen_at)))
        .bind(i64::from(served.is_wanted))
        .bind(unknown.map(|unknown| unknown.fingerprint.to_string()))
        .bind(unknown.map(|unknown| micros(unknown.since)))
        .bind(unknown.map(|unknown| words(&unknown.words)).as_deref())
        .bind(unreachable.map(|unreachable| micros(unreachable.since)))
        .bind(
            unreachable
                .map(|unreachable| words(&unreachable.words))
                .as_deref(),
        )
        .bind(served.unreachable_reported_at.map(micros))
        .bind(served.reported.map(|(condition, _)| condition.text()))
        .bind(served.reported.map(|(_, at)| micros(at)))
        .bind(micros(served.probed_at))
        .bind(observation.is_verified.then(|| micros(served.probed_at)))
        .execute(connection)
        .await?;
    Ok(done.rows_affected() == 1)
}

async fn know(
    connection: &mut Writing,
    name: &str,
    known: &KnownCertificate,
) -> Result<(), StoreError> {
    sqlx::query(KNOW)
        .bind(name)
        .bind(known.fingerprint.to_string())
        .bind(known.basis())
        .bind(micros(known.known_at))
        .bind(&*known.code)
        .execute(connection)
        .await?;
    Ok(())
}

impl KnownCertificate {
    /// Why it is known, as it is stored.
    pub const fn basis(&self) -> &'static str {
        if self.is_adopted { OPERATOR } else { "chain" }
    }
}

fn row_name(row: &AnyRow) -> Result<String, StoreError> {
    row.text("certificate")
}

fn known_certificate(row: &AnyRow) -> Result<KnownCertificate, StoreError> {
    Ok(KnownCertificate {
        fingerprint: row
            .maybe_fingerprint("fingerprint")?
            .ok_or_else(|| StoreError::broken("fingerprint is missing".to_owned()))?,
        is_adopted: row.text("basis")? == OPERATOR,
        known_at: row.time("known_at")?,
        code: row.maybe_text("code")?.unwrap_or_default(),
        is_reported: row.maybe_number("reported_at")?.is_some(),
    })
}

/// What a row of a certificate says of one address; `None` where it says nothing of any.
pub(super) fn read(row: &AnyRow) -> Result<Option<Served>, StoreError> {
    let Some(address) = row.maybe_text("address")? else {
        return Ok(None);
    };
    Ok(Some(Served {
        address,
        known: known(row)?,
        is_wanted: row.number("is_wanted")? == 1,
        unknown: match row.maybe_fingerprint("unknown_fingerprint")? {
            Some(fingerprint) => Some(Unknown {
                fingerprint,
                since: row.time("unknown_since")?,
                words: row.text("unknown_detail")?,
            }),
            None => None,
        },
        unreachable: match row.maybe_time("unreachable_since")? {
            Some(since) => Some(Unreachable {
                since,
                words: row.maybe_text("unreachable_detail")?.unwrap_or_default(),
            }),
            None => None,
        },
        unreachable_reported_at: row.maybe_time("unreachable_reported_at")?,
        reported: match row.maybe_text("reported")? {
            Some(text) => Condition::from_text(&text).zip(row.maybe_time("reported_at")?),
            None => None,
        },
        probed_at: row.time("probed_at")?,
    }))
}

fn known(row: &AnyRow) -> Result<Option<ServedCertificate>, StoreError> {
    let Some(fingerprint) = row.maybe_fingerprint("served_fingerprint")? else {
        return Ok(None);
    };
    Ok(Some(ServedCertificate {
        fingerprint,
        pem: row.text("pem")?,
        not_before: row.time("not_before")?,
        not_after: row.time("not_after")?,
        seen_at: row.time("seen_at")?,
    }))
}

fn bound_before(row: &AnyRow) -> Result<BoundBefore, StoreError> {
    let state = row.text("state")?;
    Ok(BoundBefore {
        id: RenewalId(row.text("id")?),
        state: State::from_name(&state)
            .ok_or_else(|| StoreError::broken(format!("no state {state:?}")))?,
        fingerprint: row
            .maybe_fingerprint("fingerprint")?
            .ok_or_else(|| StoreError::broken("fingerprint is missing".to_owned()))?,
        state_since: row.time("state_since")?,
        previous_served: row.maybe_text("previous_served")?,
        previous_fingerprint: row.maybe_fingerprint("previous_fingerprint")?,
        chain_pem: row.maybe_text("chain_pem")?,
    })
}

/// Of each row of a certificate, what it says of one address.
macro_rules! served_columns {
    () => {
        "s.address, s.fingerprint AS served_fingerprint, s.pem, s.not_before, s.not_after, s.seen_at, s.is_wanted, \
         s.unknown_fingerprint, s.unknown_since, s.unknown_detail, s.unreachable_since, s.unreachable_detail, \
         s.unreachable_reported_at, s.reported, s.reported_at, s.probed_at"
    };
}
pub(super) use served_columns;

/// Only what is not older than what is there. A verification counts from the moment at which it is stored: what a probe
/// saw that had begun by then may be what was served before.
pub(super) const OBSERVE: &str = "INSERT INTO served (certificate, address, fingerprint, pem, not_before, not_after, \
     seen_at, is_wanted, unknown_fingerprint, unknown_since, unknown_detail, unreachable_since, unreachable_detail, \
     unreachable_reported_at, reported, reported_at, probed_at, verified_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) \
     ON CONFLICT (certificate, address) DO UPDATE SET \
     fingerprint = COALESCE(excluded.fingerprint, served.fingerprint), pem = COALESCE(excluded.pem, served.pem), \
     not_before = COALESCE(excluded.not_before, served.not_before), \
     not_after = COALESCE(excluded.not_after, served.not_after), \
     seen_at = COALESCE(excluded.seen_at, served.seen_at), \
     is_wanted = CASE WHEN excluded.fingerprint IS NULL THEN served.is_wanted ELSE excluded.is_wanted END, \
     unknown_fingerprint = excluded.unknown_fingerprint, unknown_since = excluded.unknown_since, \
     unknown_detail = excluded.unknown_detail, unreachable_since = excluded.unreachable_since, \
     unreachable_detail = excluded.unreachable_detail, unreachable_reported_at = excluded.unreachable_reported_at, \
     reported = excluded.reported, reported_at = excluded.reported_at, probed_at = excluded.probed_at, \
     verified_at = COALESCE(excluded.verified_at, served.verified_at) \
     WHERE excluded.verified_at IS NOT NULL OR (served.probed_at <= excluded.probed_at \
     AND (served.verified_at IS NULL OR served.verified_at < excluded.probed_at))";

pub(super) const FORGET: &str = "DELETE FROM served WHERE certificate = $1 AND address = $2";

/// What an operator accepted is not known by a chain; what was not authentic is replaced.
pub(super) const KNOW: &str = "INSERT INTO known_certificate (certificate, fingerprint, basis, known_at, code) \
     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (certificate, fingerprint) DO UPDATE SET basis = excluded.basis, \
     known_at = excluded.known_at, code = excluded.code, reported_at = NULL \
     WHERE excluded.basis = 'operator' OR known_certificate.reported_at IS NOT NULL";

pub(super) const KNOWN_CERTIFICATES: &str = "SELECT fingerprint, basis, known_at, code, reported_at FROM known_certificate WHERE certificate = $1";

pub(super) const REPORT_FORGED: &str =
    "UPDATE known_certificate SET reported_at = $3 WHERE certificate = $1 AND fingerprint = $2";

const FORMER_KNOWN: &str = "SELECT certificate, fingerprint, basis, known_at, code, reported_at FROM known_certificate WHERE code = 'former'";

const AUTHENTICATE_FORMER_KNOWN: &str = "UPDATE known_certificate SET code = $3 WHERE certificate = $1 AND fingerprint = $2 \
     AND code = 'former'";

/// The basis of what an operator accepted.
const OPERATOR: &str = "operator";

pub(super) const BOUND_BEFORE: &str = "SELECT id, state, fingerprint, state_since, previous_served, previous_fingerprint, \
     chain_pem FROM renewal WHERE certificate = $1 AND firewall = $2 AND fingerprint IS NOT NULL \
     AND state IN ('issued', 'imported', 'bound', 'verified', 'verification_failed', 'completed', 'rolled_back', 'not_rolled_back') \
     ORDER BY planned_at DESC";

pub(super) const ADOPTED_IS_PROBED: &str =
    "UPDATE certificate SET probe_at = $2 WHERE name = $1 AND configured = 1";

pub(super) const SEEN: &str = concat!(
    "UPDATE certificate SET reported_condition = $4, probe_at = $2, due_check_at = CASE WHEN ",
    is_open!(),
    " THEN NULL ELSE COALESCE(",
    check_again!("$3"),
    ", due_check_at) END WHERE name = $1"
);

/// Something newer is stored already: all that is left is when to look again.
pub(super) const OVERTAKEN: &str = "UPDATE certificate SET probe_at = $2 WHERE name = $1";
