//! The session with a renewal's firewall: opened by the first step that needs it, shared by the steps that follow at once,
//! and closed before anything is waited for that takes longer than a few seconds.
//!
//! Whatever becomes of the work, no session is forgotten: one that goes out of scope unclosed, or in the middle of its
//! opening, or whose opening failed in a way that may have left it there, is reported as left on the firewall, so that the
//! next login may replace it.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex as QuickMutex, MutexGuard as QuickGuard, PoisonError};
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};
use tokio::time::Instant;

use super::liveness::Liveness;
use super::peers::Peers;
use super::step::StepError;
use crate::failure::{Failure, FailureKind};
use crate::firewall::{Firewall, InstalledObject, KnownDevice};

/// The session of one piece of work, open or not.
pub struct SessionSlot<'a> {
    peers: &'a dyn Peers,
    liveness: &'a Liveness,
    firewall: Arc<str>,
    /// Locked while a step uses the session.
    slot: Mutex<Slot>,
    usage: QuickMutex<Usage>,
}

#[derive(Default)]
struct Slot {
    session: Option<Box<dyn Firewall>>,
    /// It is being opened or closed. Where that is cut off, it may be open.
    is_in_doubt: bool,
    /// It was open before the step that runs now.
    is_from_before: bool,
}

/// What became of the session since it was opened.
#[derive(Default)]
struct Usage {
    /// When a step had done with it last.
    used_at: Option<Instant>,
    /// For how long it was kept open while renewd waited.
    waited: SignedDuration,
    /// What the firewall listed last.
    listed: Option<Vec<InstalledObject>>,
}

/// The open session, lent to a step.
pub struct OpenSession<'a> {
    session: MappedMutexGuard<'a, Box<dyn Firewall>>,
    usage: &'a QuickMutex<Usage>,
}

impl<'a> SessionSlot<'a> {
    /// For work on `firewall`; nothing is opened yet.
    pub fn new(peers: &'a dyn Peers, liveness: &'a Liveness, firewall: Arc<str>) -> Self {
        Self {
            peers,
            liveness,
            firewall,
            slot: Mutex::default(),
            usage: QuickMutex::default(),
        }
    }

    /// The session that is open, or a new one.
    pub(super) async fn open(&self, known: &KnownDevice<'_>) -> Result<OpenSession<'_>, Failure> {
        let mut slot = self.slot.lock().await;
        if slot.session.is_none() {
            *self.usage() = Usage::default();
            slot.is_in_doubt = true;
            let reaching = self.liveness.reaching();
            let opened = self.peers.firewall(&self.firewall, known).await;
            drop(reaching);
            slot.is_in_doubt = false;
            if opened
                .as_ref()
                .is_err_and(|failure| failure.may_leave_session)
            {
                self.peers.session_was_left(&self.firewall);
            }
            slot.session = Some(opened?);
            self.liveness.answered();
        }
        let lent = MutexGuard::try_map(slot, |slot| slot.session.as_mut());
        let session = lent.map_err(|_| {
            let words = "the session that was opened is not there";
            Failure::new(FailureKind::Unexpected, "open a session", words)
        })?;
        Ok(OpenSession {
            session,
            usage: &self.usage,
        })
    }

    /// Closes the session, if one is open. What was done in it counts, not how it ended.
    pub(super) async fn close(&self) {
        let mut slot = self.slot.lock().await;
        let is_in_doubt = std::mem::take(&mut slot.is_in_doubt);
        let Some(session) = slot.session.take() else {
            if is_in_doubt {
                self.peers.session_was_left(&self.firewall);
            }
            return;
        };
        slot.is_in_doubt = true;
        let closed = session.close().await;
        *slot = Slot::default();
        *self.usage() = Usage::default();
        if let Err(failure) = closed {
            tracing::debug!(error = %failure, "the session could not be closed; the device ends it when idle");
            self.peers.session_was_left(&self.firewall);
        }
    }

    /// A step begins. A session that no step used for a while keeps others from their work, and is closed first.
    pub(super) async fn begin_step(&self) {
        let used_at = self.usage().used_at;
        if used_at.is_some_and(|used_at| used_at.elapsed() > LONGEST_REST) {
            self.close().await;
        }
        let mut slot = self.slot.lock().await;
        slot.is_from_before = slot.session.is_some();
    }

    /// Whether a step in a session that was open before it failed as it does where the device has ended that session, or
    /// presents another certificate by now. Then nothing was done, and a new session shows more.
    pub(super) async fn is_lost(&self, error: &StepError) -> bool {
        let StepError::Firewall(failure) = error else {
            return false;
        };
        let is_reporting = matches!(
            failure.kind,
            FailureKind::Unauthorized | FailureKind::Untrusted | FailureKind::Unreachable
        );
        is_reporting && self.slot.lock().await.is_from_before
    }

    /// Whether a session is open and may stay open while renewd waits for this time, which counts from then on.
    pub(super) async fn stays_open_for(&self, wait: SignedDuration) -> bool {
        let is_open = self.slot.lock().await.session.is_some();
        let mut usage = self.usage();
        let waited = usage.waited.saturating_add(wait);
        let may_stay = is_open && wait <= LONGEST_WAIT && waited <= LONGEST_WAITS;
        if may_stay {
            usage.waited = waited;
            // The wait itself is no rest.
            let length = Duration::try_from(wait).unwrap_or_default();
            usage.used_at = Some(Instant::now() + length);
            usage.listed = None;
        }
        may_stay
    }

    /// What the firewall listed last in this session, unless renewd waited since.
    pub(super) fn listed(&self) -> Option<Vec<InstalledObject>> {
        self.usage().listed.clone()
    }

    /// The firewall lists these now.
    pub(super) fn remember_listed(&self, objects: &[InstalledObject]) {
        self.usage().listed = Some(objects.to_vec());
    }

    fn usage(&self) -> QuickGuard<'_, Usage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SessionSlot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionSlot")
            .field("firewall", &self.firewall)
            .finish_non_exhaustive()
    }
}

impl Drop for SessionSlot<'_> {
    fn drop(&mut self) {
        let slot = self.slot.get_mut();
        if slot.session.is_some() || slot.is_in_doubt {
            self.peers.session_was_left(&self.firewall);
        }
    }
}

impl Deref for OpenSession<'_> {
    type Target = dyn Firewall;

    fn deref(&self) -> &Self::Target {
        self.session.as_ref()
    }
}

impl DerefMut for OpenSession<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.session.as_mut()
    }
}

impl Drop for OpenSession<'_> {
    fn drop(&mut self) {
        let mut usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        usage.used_at = Some(Instant::now());
    }
}

/// A wait in which a session stays open: a device needs some seconds to list a key pair, or to present a certificate.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_secs(5);
/// All such waits of one session: a session with configuration mode blocks other administrators.
const LONGEST_WAITS: SignedDuration = SignedDuration::from_secs(10);
/// Between two steps that use it, while others run.
const LONGEST_REST: Duration = Duration::from_secs(5);
