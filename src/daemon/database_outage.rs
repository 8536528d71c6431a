//! A database that fails, or whose clock differs from ours: reported once, and once more when that is over.

use std::mem::{Discriminant, discriminant};

use crate::event::{Event, EventKind};
use crate::store::StoreError;

/// What was told of the database and is not over yet.
#[derive(Debug, Default)]
pub struct DatabaseOutage {
    reported: Option<Discriminant<StoreError>>,
}

impl DatabaseOutage {
    /// The database failed. The same trouble is told once, however often it is met.
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
