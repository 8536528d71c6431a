//! Reports a database that fails, or whose clock differs from ours: once at the beginning and once at the end.

use std::mem::{Discriminant, discriminant};

use crate::event::{Event, EventKind};
use crate::store::StoreError;

/// The database failure that was reported and is not over yet.
#[derive(Debug, Default)]
pub struct DatabaseOutage {
    reported: Option<Discriminant<StoreError>>,
}

impl DatabaseOutage {
    /// The database failed. The same kind of failure is reported once, however often it occurs.
    pub fn begin(&mut self, error: &StoreError) {
        let kind = discriminant(error);
        if self.reported != Some(kind) {
            let kind = match error {
                StoreError::ClockDiffers { .. } => EventKind::ClockDiffers,
                _ => EventKind::DatabaseFailed,
            };
            let event = Event {
                detail: Some(error.to_string()),
                ..Event::new(kind)
            };
            event.log();
        }
        self.reported = Some(kind);
    }

    /// The database works.
    pub fn end(&mut self) {
        if self.reported.take().is_some() {
            Event::new(EventKind::DatabaseRecovered).log();
        }
    }

    /// Whether nothing is to be tried before the time that was set for it.
    pub fn lasts(&self) -> bool {
        self.reported.is_some()
    }
}
