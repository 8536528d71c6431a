//! Walks the chain of the history and finds the first event that does not fit. It only reads, a few hundred events at a
//! time, beside a daemon that works.

use std::fmt;

use jiff::Timestamp;
use sqlx::any::AnyRow;

use super::chain::{Chain, Head, Stored};
use super::checkpoint::Checkpoint;
use crate::seal::{SealError, Sealer};
use crate::store::row::Columns;
use crate::store::{Store, StoreError, missing};

/// What a walk over the whole history came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// How many events fit, from the first one that is kept on.
    pub events: i64,
    /// Where the history begins, because what is older was removed; `None`: with its first event.
    pub checkpoint: Option<Checkpoint>,
    /// Why the checkpoint could not be verified.
    pub unverifiable: Option<SealError>,
    /// The event of the given head was removed: the head proves nothing any more.
    pub is_reported_removed: bool,
    /// When the first of them happened; `None` where there is none.
    pub since: Option<Timestamp>,
    /// The last of them.
    pub head: Option<Head>,
    /// Up to this event they were stored by a renewd that made no chain: for them it holds since the upgrade only.
    pub chained_late: i64,
    /// The first that does not fit; `None`: the chain is unbroken.
    pub misfit: Option<Misfit>,
}

/// How a history can be broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misfit {
    /// Events that must be there are not.
    Missing {
        /// The first of them.
        first: i64,
        /// The last of them.
        last: i64,
    },
    /// An event that does not belong to its hash and to the event before it.
    Changed(i64),
    /// An event that carries no hash.
    Unhashed(i64),
    /// An event that cannot be read at all.
    Unreadable(i64),
    /// An event under an id that no event was given.
    PutIn(i64),
    /// The event of the given head carries another hash now.
    Rewritten(i64),
    /// The checkpoint says that the events up to this one were removed, and renewd did not store it.
    Checkpoint(i64),
    /// The history ends before the given head.
    CutOff {
        /// The id of the head.
        reported: i64,
        /// The last event that there is.
        last: i64,
    },
}

impl Store {
    /// The end of the history; `None` while there is no event.
    pub async fn history_head(&self) -> Result<Option<Head>, StoreError> {
        let row = sqlx::query(LAST)
            .fetch_optional(&mut self.read().await?)
            .await?;
        row.map(|row| {
            let id = row.number("id")?;
            let hash = row.maybe_text("hash")?;
            let hash = hash.ok_or_else(|| missing("history", &format!("{id} with a hash")))?;
            Ok(Head { id, hash })
        })
        .transpose()
    }

    /// Whether every event is there as it was stored, and whether `reported`, a head from outside of the database, is among
    /// them. Where the oldest were removed it begins at their checkpoint, if that is authentic. It reads in pieces: what is
    /// appended meanwhile is not looked at.
    pub async fn verify_history(
        &self,
        reported: Option<&Head>,
        sealer: &Sealer,
    ) -> Result<Verdict, StoreError> {
        loop {
            let checkpoint = self.history_checkpoint().await?;
            let verdict = self.verify_from(checkpoint, reported, sealer).await?;
            // Some of what was to be read may have been removed meanwhile.
            if verdict.misfit.is_none() || verdict.checkpoint == self.history_checkpoint().await? {
                return Ok(verdict);
            }
        }
    }

    async fn verify_from(
        &self,
        checkpoint: Option<Checkpoint>,
        reported: Option<&Head>,
        sealer: &Sealer,
    ) -> Result<Verdict, StoreError> {
        let last = self.bookkept("last_event").await?;
        let former = checkpoint.as_ref().map(|checkpoint| &checkpoint.head);
        let first = former.map_or(0, |former| former.id);
        let is_authentic = checkpoint.as_ref().map(|one| one.is_authentic(sealer));
        let is_forged = matches!(is_authentic, Some(Ok(false)))
            || checkpoint.as_ref().is_some_and(|one| one.removed != first);
        let mut walk = Walk::from(former.cloned(), reported);
        let mut misfit = is_forged.then_some(Misfit::Checkpoint(first));
        if misfit.is_none() {
            misfit = rewritten(former, reported);
        }
        if misfit.is_none() {
            // The newest event is never removed.
            misfit = self
                .walk(&mut walk, last.max(first + i64::from(first > 0)))
                .await?;
        }
        if misfit.is_none() {
            misfit = self.behind_the_end().await?;
        }
        if misfit.is_none() {
            misfit = reported
                .filter(|reported| reported.id > last)
                .map(|reported| Misfit::CutOff {
                    reported: reported.id,
                    last,
                });
        }
        let head = walk.chain.head();
        Ok(Verdict {
            events: head.id - first,
            since: walk.since,
            head: (head.id > first).then(|| head.clone()),
            chained_late: self.bookkept("chained_late").await?,
            is_reported_removed: reported.is_some_and(|reported| reported.id < first),
            unverifiable: is_authentic.and_then(Result::err),
            checkpoint,
            misfit,
        })
    }

    async fn walk(&self, walk: &mut Walk<'_>, last: i64) -> Result<Option<Misfit>, StoreError> {
        let begin = walk.chain.head().id;
        loop {
            let done = walk.chain.head().id;
            // The first look also finds what was put in before the beginning.
            let from = if done == begin { i64::MIN } else { done };
            let rows = sqlx::query(SOME)
                .bind(from)
                .bind(last)
                .fetch_all(&mut self.read().await?)
                .await?;
            if rows.is_empty() {
                let is_missing = done < last;
                return Ok(is_missing.then_some(Misfit::Missing {
                    first: done + 1,
                    last,
                }));
            }
            for row in &rows {
                if let Some(misfit) = walk.step(row)? {
                    return Ok(Some(misfit));
                }
            }
        }
    }

    /// An event with a higher id than was ever given. The newest is asked for first, since others may be appended.
    async fn behind_the_end(&self) -> Result<Option<Misfit>, StoreError> {
        let newest = sqlx::query(LAST)
            .fetch_optional(&mut self.read().await?)
            .await?;
        let Some(newest) = newest.map(|row| row.number("id")).transpose()? else {
            return Ok(None);
        };
        let last = self.bookkept("last_event").await?;
        Ok((newest > last).then_some(Misfit::PutIn(newest)))
    }

    async fn bookkept(&self, name: &str) -> Result<i64, StoreError> {
        sqlx::query("SELECT value FROM bookkeeping WHERE name = $1")
            .bind(name)
            .fetch_optional(&mut self.read().await?)
            .await?
            .ok_or_else(|| missing("bookkeeping", name))?
            .number("value")
    }
}

/// A given head of the very event after which the history begins.
fn rewritten(former: Option<&Head>, reported: Option<&Head>) -> Option<Misfit> {
    let (former, reported) = former.zip(reported)?;
    (former.id == reported.id && former.hash != reported.hash)
        .then_some(Misfit::Rewritten(reported.id))
}

/// A walk that has come as far as the head of its chain.
pub(in crate::store) struct Walk<'a> {
    chain: Chain,
    since: Option<Timestamp>,
    reported: Option<&'a Head>,
}

impl<'a> Walk<'a> {
    /// A walk that begins after `former`, or with the first event.
    pub(in crate::store) fn from(former: Option<Head>, reported: Option<&'a Head>) -> Self {
        Self {
            chain: former.map_or_else(Chain::empty, Chain::after),
            since: None,
            reported,
        }
    }

    /// As far as it has come.
    pub(in crate::store) fn head(&self) -> &Head {
        self.chain.head()
    }

    /// Goes on by one event, or says why it does not fit.
    pub(in crate::store) fn step(&mut self, row: &AnyRow) -> Result<Option<Misfit>, StoreError> {
        let (id, expected) = (row.number("id")?, self.chain.head().id + 1);
        if id < expected {
            return Ok(Some(Misfit::PutIn(id)));
        }
        if id > expected {
            return Ok(Some(Misfit::Missing {
                first: expected,
                last: id - 1,
            }));
        }
        let Ok(stored) = Stored::read(row) else {
            return Ok(Some(Misfit::Unreadable(id)));
        };
        let before = self.chain.head().clone();
        let hash = self.chain.append(&stored.link()).hash.clone();
        let misfit = match &stored.hash {
            None => Some(Misfit::Unhashed(id)),
            Some(carried) if *carried != hash => Some(Misfit::Changed(id)),
            Some(_) => self
                .reported
                .filter(|reported| reported.id == id && reported.hash != hash)
                .map(|_| Misfit::Rewritten(id)),
        };
        if misfit.is_some() {
            self.chain = Chain::after(before);
        } else if self.since.is_none() {
            self.since = row.maybe_time("at").ok().flatten();
        }
        Ok(misfit)
    }
}

impl Misfit {
    /// The first event that it is about.
    pub const fn event(&self) -> i64 {
        match *self {
            Self::Missing { first, .. } => first,
            Self::CutOff { last, .. } => last + 1,
            Self::Changed(id)
            | Self::Unhashed(id)
            | Self::Unreadable(id)
            | Self::PutIn(id)
            | Self::Rewritten(id)
            | Self::Checkpoint(id) => id,
        }
    }
}

/// What it means, for people.
impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { first, last } if first == last => {
                write!(f, "event {first} was taken out")
            }
            Self::Missing { first, last } => {
                write!(f, "the events {first} to {last} were taken out")
            }
            Self::Changed(id) => write!(
                f,
                "event {id} does not fit: it, or the hash of the event before it, was changed after it was stored, \
                 or another was put in its place"
            ),
            Self::Unhashed(id) => write!(
                f,
                "event {id} carries no hash: it was not stored by this renewd, or its hash was taken away"
            ),
            Self::Unreadable(id) => write!(f, "event {id} holds what renewd never stores"),
            Self::PutIn(id) => write!(
                f,
                "event {id} was put in: renewd gave that number to no event"
            ),
            Self::Rewritten(id) => write!(
                f,
                "event {id} is not the one of the given head: the history was rewritten, at least up to there"
            ),
            Self::Checkpoint(id) => write!(
                f,
                "the checkpoint that says that the events up to {id} were removed was not stored by this renewd under this \
                 sealing key: another program removed events, or the sealing key is another one; put the former one back"
            ),
            Self::CutOff { reported, last } => write!(
                f,
                "the history ends with event {last}, before event {reported} of the given head: its end was cut off, \
                 or an old copy of the database was put back"
            ),
        }
    }
}

const LAST: &str = "SELECT id, hash FROM history ORDER BY id DESC LIMIT 1";

pub(in crate::store) const SOME: &str = "SELECT id, at, name, level, certificate, renewal, fields, hash \
     FROM history WHERE id > $1 AND id <= $2 ORDER BY id LIMIT 500";
