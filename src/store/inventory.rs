//! Certificates: what the configuration names, what their services showed, and when to look again.
//!
//! `due_check_at` is NULL while a renewal is open: every statement here that sets it sees to that, so that the time to wake
//! up never lies in the past for a certificate that is not due.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use jiff::{SignedDuration, Timestamp};
use sqlx::any::AnyRow;

use super::bulk::{self, check_again, is_open};
use super::row::{Columns, exactly_one, micros, parse, words};
use super::served::{self, served_columns};
use super::synchronised::Synchronised;
use super::{Store, StoreError, Writing, commit, history, missing};
use crate::event::{Event, EventKind};
use crate::inventory::{RenewalId, RenewalWindow, ReportedCondition, Rest, TrackedCertificate};
use crate::pki::Fingerprint;

/// One `[[certificate]]` as the store needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configured {
    /// Its name, unique.
    pub name: Arc<str>,
    /// Its firewall.
    pub firewall: Arc<str>,
    /// Its CA.
    pub ca: Arc<str>,
    /// Changes whenever anything of the `[[certificate]]` changes.
    pub hash: String,
}

/// What a new configuration changed, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// New, or back after it was removed.
    pub added: Vec<Arc<str>>,
    /// Configured differently.
    pub changed: Vec<Arc<str>>,
    /// No longer configured.
    pub removed: Vec<Arc<str>>,
}

/// What the due rules said of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision<'a> {
    /// The certificate.
    pub name: &'a str,
    /// When they are to be asked again.
    pub due_check_at: Timestamp,
    /// A rule's name and its words.
    pub decision: &'a str,
    /// When they were to be asked, as it was read with what was decided. Where it is another time by now, something new is
    /// to be decided about, and the decision is out of date.
    pub was_due_at: Option<Timestamp>,
}

/// At what is looked between renewals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PollKind {
    /// What the services of a certificate show.
    Services,
    /// When its CA wants it to be renewed.
    Window,
}

impl Store {
    /// Takes over everything that is configured. What is new or changed is probed at once; the due rules are asked at
    /// once of what is changed, and of what is new as soon as something was seen of it. What is gone is kept with its
    /// past, but never due. The history states what came and went. Costs one read and no write when nothing changed.
    pub async fn sync_inventory(
        &self,
        configured: &[Configured],
        now: Timestamp,
    ) -> Result<Changes, StoreError> {
        let mut transaction = self.begin().await?;
        let (changes, to_write, moved) = compare(&mut transaction, configured).await?;
        for name in moved {
            // What another firewall served says nothing of this one, and nothing was installed here.
            for statement in [FORGET_SERVED, FORGET_ALIAS] {
                sqlx::query(statement)
                    .bind(name)
                    .execute(&mut transaction)
                    .await?;
            }
        }
        bulk::write(&mut transaction, &to_write, now).await?;
        sqlx::query(BACK_IN_CONFIGURATION)
            .bind(micros(now))
            .execute(&mut transaction)
            .await?;
        for name in &changes.removed {
            remove(&mut transaction, name).await?;
        }
        reconsider(&mut transaction, &changes, now).await?;
        for (kind, names) in [
            (EventKind::CertificateAdded, &changes.added),
            (EventKind::CertificateRemoved, &changes.removed),
        ] {
            history::append_for_each(&mut transaction, kind, names, now).await?;
        }
        commit(transaction).await?;
        self.synchronised.with(configured);
        Ok(changes)
    }

    /// Brings forward the probes that were put off further than `interval`, by a longer one that was configured before;
    /// they stay spread over the new one.
    pub async fn shorten_probes(
        &self,
        interval: SignedDuration,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let interval = i64::try_from(interval.as_micros()).unwrap_or(i64::MAX);
        let latest = micros(now).saturating_add(interval);
        let late = sqlx::query(PROBED_LATE)
            .bind(latest)
            .fetch_optional(&mut self.read().await?)
            .await?;
        if late.is_none() {
            return Ok(());
        }
        let mut transaction = self.begin().await?;
        sqlx::query(SHORTEN_PROBES)
            .bind(latest)
            .bind(micros(now))
            .bind(interval)
            .execute(&mut transaction)
            .await?;
        commit(transaction).await
    }

    /// The renewal waits for something that rests on the configuration, which has changed meanwhile: it looks again at
    /// `now` how long it has to.
    pub async fn reconsider_wait(
        &self,
        renewal: &RenewalId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        sqlx::query(RECONSIDER_WAIT)
            .bind(&*renewal.0)
            .bind(micros(now))
            .execute(&mut transaction)
            .await?;
        commit(transaction).await
    }

    /// One certificate, configured or not.
    pub async fn certificate(&self, name: &str) -> Result<Option<TrackedCertificate>, StoreError> {
        let mut session = self.read().await?;
        let rows = sqlx::query(CERTIFICATE).bind(name).fetch(&mut session);
        Ok(all(rows, &self.synchronised).await?.pop())
    }

    /// Every configured certificate, by name.
    pub async fn certificates(&self) -> Result<Vec<TrackedCertificate>, StoreError> {
        let mut session = self.read().await?;
        let rows = sqlx::query(CERTIFICATES).fetch(&mut session);
        let mut all = all(rows, &self.synchronised).await?;
        // Each database sorts texts in its own way.
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// Certificates without an open renewal of which the due rules must be asked, the longest waiting first.
    pub async fn due_for_check(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<TrackedCertificate>, StoreError> {
        self.due(DUE_FOR_CHECK, now, limit, |row| row.due_check_at)
            .await
    }

    /// Certificates whose services must be looked at, the longest waiting first: where `is_seen`, all but those whose
    /// last look saw nothing ([`TrackedCertificate::is_unseen`]), else only these.
    pub async fn due_for_probe(
        &self,
        now: Timestamp,
        is_seen: bool,
        limit: u32,
    ) -> Result<Vec<TrackedCertificate>, StoreError> {
        let statement = if is_seen {
            DUE_FOR_PROBE
        } else {
            DUE_FOR_PROBE_UNSEEN
        };
        self.due(statement, now, limit, |row| row.probe_at).await
    }

    /// Of certificates that are due for a look, those that are ours to look at: where several daemons see the same, the
    /// first has it until `until`, or until it has stored what it saw.
    pub async fn first_come(
        &self,
        look: PollKind,
        due: Vec<TrackedCertificate>,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<TrackedCertificate>, StoreError> {
        if due.is_empty() || !self.is_shared() {
            return Ok(due);
        }
        let statement = match look {
            PollKind::Services => FIRST_TO_PROBE,
            PollKind::Window => FIRST_TO_ASK,
        };
        let mut transaction = self.begin().await?;
        let mut ours = Vec::new();
        for row in due {
            let done = sqlx::query(statement)
                .bind(&*row.name)
                .bind(micros(now))
                .bind(micros(until))
                .execute(&mut transaction)
                .await?;
            if done.rows_affected() == 1 {
                ours.push(row);
            }
        }
        commit(transaction).await?;
        Ok(ours)
    }

    async fn due(
        &self,
        statement: &'static str,
        now: Timestamp,
        limit: u32,
        order: fn(&TrackedCertificate) -> Option<Timestamp>,
    ) -> Result<Vec<TrackedCertificate>, StoreError> {
        let mut session = self.read().await?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        // What is left to a daemon with another configuration takes no place.
        let mut others = 0;
        loop {
            let most = limit.saturating_add(others);
            let rows = sqlx::query(statement)
                .bind(micros(now))
                .bind(i64::try_from(most).unwrap_or(i64::MAX))
                .fetch(&mut session);
            let all = all(rows, &self.synchronised).await?;
            let is_whole = all.len() < most;
            let (mut ours, left): (Vec<_>, Vec<_>) =
                all.into_iter().partition(|row| row.is_configured_here);
            for row in &left {
                self.synchronised.leave(&row.name, now);
            }
            if is_whole || left.len() <= others {
                // Joined with what the addresses serve, they have lost the order in which they were found.
                ours.sort_by_key(order);
                ours.truncate(limit);
                return Ok(ours);
            }
            others = left.len();
        }
    }

    /// Stores what the due rules said, of each certificate once, and when they are to be asked again. Many at once,
    /// because a fleet takes one commit instead of thousands. A decision that is out of date is left out: a probe, a CA or
    /// an operator changed something while it was made, and the rules are asked again.
    pub async fn record_decisions(&self, decisions: &[Decision<'_>]) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        bulk::decide(&mut transaction, decisions).await?;
        commit(transaction).await
    }

    /// Certificates about whose renewal their CA is to be asked, the longest waiting first.
    pub async fn due_for_window(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<TrackedCertificate>, StoreError> {
        self.due(DUE_FOR_WINDOW, now, limit, |row| row.window_poll_at)
            .await
    }

    /// The CA is to be asked at `now` about what is shown.
    pub async fn ask_for_window(&self, name: &str, now: Timestamp) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let done = sqlx::query("UPDATE certificate SET window_poll_at = $2 WHERE name = $1")
            .bind(name)
            .bind(micros(now))
            .execute(&mut transaction)
            .await?;
        exactly_one(done.rows_affected(), || missing("certificate", name))?;
        commit(transaction).await
    }

    /// Stores what the CA said about the certificate `current`: its window (`None`: it has none), when to ask again
    /// (`None`: never), and when to ask the due rules (`None`: as before).
    #[allow(
        clippy::too_many_arguments,
        reason = "all of it belongs in one transaction"
    )]
    pub async fn record_window(
        &self,
        name: &str,
        current: Fingerprint,
        window: Option<&RenewalWindow>,
        ask_again_at: Option<Timestamp>,
        due_check_at: Option<Timestamp>,
        events: &[Event],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let explanation = window.and_then(|window| window.explanation.as_deref());
        let mut transaction = self.begin().await?;
        let done = sqlx::query(RECORD_WINDOW)
            .bind(name)
            .bind(current.to_string())
            .bind(window.map(|window| micros(window.start)))
            .bind(window.map(|window| micros(window.end)))
            .bind(window.map(|window| micros(window.chosen)))
            .bind(explanation.map(words).as_deref())
            .bind(ask_again_at.map(micros))
            .bind(due_check_at.map(micros))
            .execute(&mut transaction)
            .await?;
        exactly_one(done.rows_affected(), || missing("certificate", name))?;
        // What waits for a maintenance window may have become urgent.
        if window.is_some_and(RenewalWindow::is_urgent) {
            sqlx::query(RECONSIDER_WINDOW)
                .bind(name)
                .bind(micros(now))
                .execute(&mut transaction)
                .await?;
        }
        history::append(&mut transaction, events, now).await?;
        commit(transaction).await
    }

    /// An operator requests a renewal: the due rules are asked at once. Where a renewal is open already, it continues at
    /// once instead, even when it was held. The firewall gets its login attempts back.
    pub async fn request_renewal(
        &self,
        name: &str,
        now: Timestamp,
        events: &[Event],
    ) -> Result<(), StoreError> {
        self.request(name, false, now, events).await
    }

    /// The same, and the certificate is bound without waiting for the maintenance window.
    pub async fn request_renewal_now(
        &self,
        name: &str,
        now: Timestamp,
        events: &[Event],
    ) -> Result<(), StoreError> {
        self.request(name, true, now, events).await
    }

    async fn request(
        &self,
        name: &str,
        bind_now: bool,
        now: Timestamp,
        events: &[Event],
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let done = sqlx::query(REQUEST)
            .bind(name)
            .bind(micros(now))
            .bind(i64::from(bind_now))
            .execute(&mut transaction)
            .await?;
        exactly_one(done.rows_affected(), || {
            let what = format!(
                "\"{name}\" is not in the inventory; is it in the configuration that the daemon loaded?"
            );
            StoreError::broken(what)
        })?;
        sqlx::query(FORGET_REFUSED_LOGINS)
            .bind(name)
            .execute(&mut transaction)
            .await?;
        sqlx::query(RELEASE_HELD)
            .bind(name)
            .bind(micros(now))
            .bind(i64::from(bind_now))
            .execute(&mut transaction)
            .await?;
        history::append(&mut transaction, events, now).await?;
        // The request comes from a command line, which is no daemon.
        self.dialect.notify(&mut transaction, "").await?;
        commit(transaction).await
    }
}

/// How a configured certificate is stored.
#[derive(Clone, Copy)]
enum Stored {
    /// Not at all, or as one that left the configuration.
    Nothing,
    /// With another configuration.
    Otherwise,
    Same,
}

/// What differs from what is stored, what of it is to be written, both in the order of `configured`, and which
/// certificates moved to another firewall.
async fn compare<'a>(
    connection: &mut Writing,
    configured: &'a [Configured],
) -> Result<(Changes, Vec<&'a Configured>, Vec<&'a str>), StoreError> {
    let mut stored: HashMap<&str, (&'a Configured, Stored)> = configured
        .iter()
        .map(|certificate| (&*certificate.name, (certificate, Stored::Nothing)))
        .collect();
    let mut moved = Vec::new();
    let mut changes = Changes::default();
    let mut rows = sqlx::query(KNOWN).fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let name = row.text("name")?;
        let known = stored.get_mut(&*name);
        if let Some((wanted, _)) = &known
            && row.text("firewall")? != *wanted.firewall
        {
            moved.push(&*wanted.name);
        }
        match (known, row.maybe_text("hash")?) {
            (Some((wanted, stored)), Some(hash)) if hash == wanted.hash => *stored = Stored::Same,
            (Some((_, stored)), Some(_)) => *stored = Stored::Otherwise,
            (None, Some(_)) => changes.removed.push(Arc::from(name)),
            (_, None) => {}
        }
    }
    changes.removed.sort_unstable();
    let mut to_write = Vec::new();
    for certificate in configured {
        let name = Arc::clone(&certificate.name);
        match stored.get(&*name) {
            Some((_, Stored::Same)) | None => continue,
            Some((_, Stored::Otherwise)) => changes.changed.push(name),
            Some((_, Stored::Nothing)) => changes.added.push(name),
        }
        to_write.push(certificate);
    }
    Ok((changes, to_write, moved))
}

/// Lets every open renewal whose configuration changed look again at `now`, whatever it waits for; not one that is held.
async fn reconsider(
    connection: &mut Writing,
    changes: &Changes,
    now: Timestamp,
) -> Result<(), StoreError> {
    let names: HashSet<&str> = [&changes.changed, &changes.added, &changes.removed]
        .into_iter()
        .flatten()
        .map(|name| &**name)
        .collect();
    if names.is_empty() {
        return Ok(());
    }
    let waiting = sqlx::query(WAITING)
        .bind(micros(now))
        .fetch_all(&mut *connection)
        .await?;
    for row in &waiting {
        if names.contains(&*row.text("certificate")?) {
            sqlx::query(RECONSIDER)
                .bind(row.text("id")?)
                .bind(micros(now))
                .execute(&mut *connection)
                .await?;
        }
    }
    Ok(())
}

async fn remove(connection: &mut Writing, name: &str) -> Result<(), StoreError> {
    let done = sqlx::query("UPDATE certificate SET configured = 0 WHERE name = $1")
        .bind(name)
        .execute(connection)
        .await?;
    exactly_one(done.rows_affected(), || missing("certificate", name))
}

/// Reads row by row: a row of the driver takes several times the memory of what it says. The certificates keep the order
/// of their first rows.
async fn all(
    mut rows: BoxStream<'_, sqlx::Result<AnyRow>>,
    synchronised: &Synchronised,
) -> Result<Vec<TrackedCertificate>, StoreError> {
    let mut all: Vec<TrackedCertificate> = Vec::new();
    let mut places: HashMap<Arc<str>, usize> = HashMap::new();
    while let Some(row) = rows.try_next().await? {
        let served = parse(&row, "certificate", "name", served::read)?;
        let name = row.text("name")?;
        let place = if let Some(place) = places.get(&*name) {
            *place
        } else {
            let hash = row.maybe_text("hash")?;
            let mut row = tracked(&row)?;
            row.is_configured_here = synchronised.is_ours(&row.name, hash.as_deref());
            places.insert(Arc::clone(&row.name), all.len());
            all.push(row);
            all.len() - 1
        };
        if let Some(row) = all.get_mut(place) {
            row.served.extend(served);
        }
    }
    for row in &mut all {
        row.served.sort_by(|a, b| a.address.cmp(&b.address));
        row.current = crate::inventory::served::deciding(&row.served).cloned();
    }
    Ok(all)
}

fn reported_condition(row: &AnyRow) -> Result<Option<ReportedCondition>, StoreError> {
    let Some(name) = row.maybe_text("reported_condition")? else {
        return Ok(None);
    };
    ReportedCondition::from_name(&name)
        .map(Some)
        .ok_or_else(|| StoreError::broken(format!("no condition {name:?}")))
}

fn tracked(row: &AnyRow) -> Result<TrackedCertificate, StoreError> {
    parse(row, "certificate", "name", read)
}

fn read(row: &AnyRow) -> Result<TrackedCertificate, StoreError> {
    Ok(TrackedCertificate {
        name: Arc::from(row.text("name")?),
        firewall: Arc::from(row.text("firewall")?),
        ca: Arc::from(row.text("ca")?),
        is_configured_here: true,
        served: Vec::new(),
        current: None,
        due_check_at: row.maybe_time("due_check_at")?,
        decision: row.maybe_text("decision")?,
        probe_at: row.maybe_time("probe_at")?,
        requested_at: row.maybe_time("requested_at")?,
        alias: row.maybe_text("alias")?,
        reported_condition: reported_condition(row)?,
        last_failure: row.maybe_text("last_failure")?,
        open_renewal: row.maybe_text("open_renewal")?.map(RenewalId),
        window: window(row)?,
        window_poll_at: row.maybe_time("window_poll_at")?,
        window_for: row.maybe_fingerprint("window_for")?,
        rest: rest(row)?,
        management_untrusted: row.maybe_fingerprint("management_untrusted")?,
    })
}

fn rest(row: &AnyRow) -> Result<Option<Rest>, StoreError> {
    let Some(of) = row.maybe_fingerprint("renewed_fingerprint")? else {
        return Ok(None);
    };
    Ok(Some(Rest {
        began_at: row.time("renewed_at")?,
        until: row.time("rest_until")?,
        early: row.count("early_renewals")?,
        of,
    }))
}

fn window(row: &AnyRow) -> Result<Option<RenewalWindow>, StoreError> {
    let Some(chosen) = row.maybe_time("window_chosen")? else {
        return Ok(None);
    };
    Ok(Some(RenewalWindow {
        start: row.time("window_start")?,
        end: row.time("window_end")?,
        chosen,
        explanation: row.maybe_text("window_explanation")?,
    }))
}

macro_rules! certificate_columns {
    () => {
        "c.name, c.firewall, c.ca, c.due_check_at, c.decision, c.probe_at, c.requested_at, c.alias, c.reported_condition, c.last_failure, \
         c.window_start, c.window_end, c.window_chosen, c.window_explanation, c.window_for, c.window_poll_at, \
         c.renewed_at, c.rest_until, c.early_renewals, c.renewed_fingerprint, \
         CASE WHEN c.configured = 1 THEN c.hash END AS hash, \
         (SELECT f.management_untrusted FROM firewall f WHERE f.name = c.firewall) AS management_untrusted"
    };
}

/// A row for each address of each certificate.
macro_rules! select_certificate {
    ($rest:literal) => {
        concat!(
            "SELECT ",
            certificate_columns!(),
            ", r.id AS open_renewal, ",
            served_columns!(),
            " FROM certificate c LEFT JOIN renewal r ON r.certificate = c.name AND r.ended_at IS NULL \
             LEFT JOIN served s ON s.certificate = c.name ",
            $rest
        )
    };
}

/// The same of a bounded number of certificates.
macro_rules! select_due {
    ($rest:literal) => {
        concat!(
            "SELECT due_rows.*, ",
            served_columns!(),
            " FROM (SELECT ",
            certificate_columns!(),
            ", r.id AS open_renewal FROM certificate c \
             LEFT JOIN renewal r ON r.certificate = c.name AND r.ended_at IS NULL ",
            $rest,
            ") AS due_rows LEFT JOIN served s ON s.certificate = due_rows.name"
        )
    };
}

pub(super) const KNOWN: &str =
    "SELECT name, firewall, CASE WHEN configured = 1 THEN hash END AS hash FROM certificate";

/// What waited for its certificate to come back goes on.
const BACK_IN_CONFIGURATION: &str = "UPDATE renewal SET next_attempt_at = $1 WHERE ended_at IS NULL \
     AND last_error_kind = 'left_configuration' AND next_attempt_at > $1 \
     AND certificate IN (SELECT name FROM certificate WHERE configured = 1)";
const FORGET_SERVED: &str = "DELETE FROM served WHERE certificate = $1";
const FORGET_ALIAS: &str = "UPDATE certificate SET alias = NULL WHERE name = $1";

pub(super) const CERTIFICATE: &str = select_certificate!("WHERE c.name = $1");

pub(super) const CERTIFICATES: &str = select_certificate!("WHERE c.configured = 1");

pub(super) const DUE_FOR_CHECK: &str =
    select_due!("WHERE c.configured = 1 AND c.due_check_at <= $1 ORDER BY c.due_check_at LIMIT $2");

pub(super) const DUE_FOR_PROBE: &str = select_due!(
    "WHERE c.configured = 1 AND c.probe_at <= $1 AND COALESCE(c.reported_condition, '') \
     NOT IN ('unreachable_once', 'unreachable') \
     ORDER BY c.probe_at LIMIT $2"
);

pub(super) const DUE_FOR_PROBE_UNSEEN: &str = select_due!(
    "WHERE c.configured = 1 AND c.probe_at <= $1 AND c.reported_condition IN ('unreachable_once', 'unreachable') \
     ORDER BY c.probe_at LIMIT $2"
);

pub(super) const DUE_FOR_WINDOW: &str = select_due!(
    "WHERE c.configured = 1 AND c.window_poll_at <= $1 ORDER BY c.window_poll_at LIMIT $2"
);

pub(super) const FIRST_TO_PROBE: &str =
    "UPDATE certificate SET probe_at = $3 WHERE name = $1 AND probe_at <= $2";

pub(super) const FIRST_TO_ASK: &str =
    "UPDATE certificate SET window_poll_at = $3 WHERE name = $1 AND window_poll_at <= $2";

pub(super) const RECORD_WINDOW: &str = concat!(
    "UPDATE certificate SET window_for = $2, window_start = $3, window_end = $4, window_chosen = $5, \
     window_explanation = $6, window_poll_at = $7, due_check_at = CASE WHEN ",
    is_open!(),
    " THEN NULL ELSE COALESCE(",
    check_again!("$8"),
    ", due_check_at) END WHERE name = $1"
);

pub(super) const WAITING: &str =
    "SELECT id, certificate FROM renewal WHERE ended_at IS NULL AND next_attempt_at > $1";

pub(super) const RECONSIDER: &str =
    "UPDATE renewal SET next_attempt_at = $2 WHERE id = $1 AND ended_at IS NULL";

pub(super) const RECONSIDER_WAIT: &str = "UPDATE renewal SET next_attempt_at = $2 WHERE id = $1 AND ended_at IS NULL \
     AND next_attempt_at > $2 AND last_error_kind IN ('maintenance_window', 'order_limit', 'order_budget')";

pub(super) const PROBED_LATE: &str =
    "SELECT name FROM certificate WHERE configured = 1 AND probe_at > $1 LIMIT 1";

pub(super) const SHORTEN_PROBES: &str = "UPDATE certificate SET probe_at = $2 + (probe_at - $2) % $3 \
     WHERE configured = 1 AND probe_at > $1";

pub(super) const RECONSIDER_WINDOW: &str = "UPDATE renewal SET next_attempt_at = $2 WHERE certificate = $1 \
     AND ended_at IS NULL AND last_error_kind = 'maintenance_window' AND next_attempt_at > $2";

pub(super) const REQUEST: &str = concat!(
    "UPDATE certificate SET due_check_at = CASE WHEN ",
    is_open!(),
    " THEN NULL ELSE ",
    check_again!("$2"),
    " END, requested_at = CASE WHEN ",
    is_open!(),
    " THEN NULL ELSE $2 END, bind_now = CASE WHEN ",
    is_open!(),
    " THEN 0 ELSE $3 END WHERE name = $1 AND configured = 1"
);

/// Both firewalls, should the certificate have moved to another one since its renewal was planned.
pub(super) const FORGET_REFUSED_LOGINS: &str = "UPDATE firewall SET refused_logins = 0 WHERE refused_logins > 0 AND name IN \
     (SELECT c.firewall FROM certificate c WHERE c.name = $1 \
      UNION SELECT r.firewall FROM renewal r WHERE r.certificate = $1 AND r.ended_at IS NULL)";

/// A decision is remembered by what was to be decided. Where an order was placed, or may have been, the request of
/// an operator is remembered also for a renewal that was not held. It is also remembered that an order is given up because
/// the configuration requests something else.
pub(super) const RELEASE_HELD: &str = "UPDATE renewal SET next_attempt_at = $2, attempts = 0, polls = 0, cause = NULL, same_cause = 0, \
     decided = CASE WHEN next_attempt_at IS NULL OR last_error_kind = 'changed_configuration' THEN last_error_kind \
     WHEN state IN ('csr_exported', 'submitted') THEN COALESCE(decided, last_error_kind) ELSE decided END, \
     bind_now = CASE WHEN $3 = 1 THEN 1 ELSE bind_now END \
     WHERE certificate = $1 AND ended_at IS NULL";
