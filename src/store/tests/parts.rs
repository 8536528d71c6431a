//! The parts of a step's record one at a time, short to call.

use super::*;
use crate::event::Event;
use crate::store::{Ending, Next, Pins, Postponed, Reached, StepRecord, commit, firewalls};

impl Store {
    #[allow(clippy::too_many_arguments, reason = "short to call in a test")]
    pub(super) async fn advance(
        &self,
        lease: &Lease,
        state: State,
        obtained: &Obtained,
        next_attempt_at: Timestamp,
        ending: Option<Ending<'_>>,
        events: &[Event],
        now: Timestamp,
    ) -> Result<Renewal, StoreError> {
        let next = Next::Reached(Reached {
            state,
            obtained,
            next_attempt_at,
            ending,
        });
        self.record_step(lease, &StepRecord::new(next, events), now)
            .await
    }

    #[allow(clippy::too_many_arguments, reason = "short to call in a test")]
    pub(super) async fn postpone(
        &self,
        lease: &Lease,
        attempts: u32,
        next_attempt_at: Option<Timestamp>,
        error_kind: &str,
        error: &str,
        events: &[Event],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let next = Next::Postponed(Postponed {
            attempts,
            next_attempt_at,
            error_kind,
            error,
        });
        self.record_step(lease, &StepRecord::new(next, events), now)
            .await?;
        Ok(())
    }

    pub(super) async fn learn_trust(
        &self,
        name: &str,
        fingerprints: &[Fingerprint],
        trust: &str,
    ) -> Result<(), StoreError> {
        let pins = Pins {
            fingerprints,
            trust,
            code: "code",
        };
        let mut transaction = self.begin().await?;
        firewalls::learn(&mut transaction, name, pins).await?;
        commit(transaction).await
    }

    /// How many there are now.
    pub(super) async fn count_refused_login(
        &self,
        name: &str,
        now: Timestamp,
    ) -> Result<u32, StoreError> {
        let mut transaction = self.begin().await?;
        firewalls::count_refused_login(&mut transaction, name, now).await?;
        commit(transaction).await?;
        Ok(self.firewall(name).await?.refused_logins)
    }

    pub(super) async fn forget_refused_logins(&self, name: &str) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        firewalls::forget_refused_logins(&mut transaction, name).await?;
        commit(transaction).await
    }
}
