//! A database that fails, or whose clock differs from ours: reported once, and once more when that is over.

use std::mem::{Discriminant, discriminant};

use crate::event::{Event, EventKind};
use crate::store::StoreError;

/// What was told of the database and is not over yet.
#[derive(Debug, Default)]
pub struct Trouble {
    told: Option<Discriminant<StoreError>>,
}

impl Trouble {
    /// The database failed. The same trouble is told once, however often it is met.
    pub fn met(&mut self, error: &StoreError) {
        let kind = discriminant(error);
        if self.told != Some(kind) {
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
        self.told = Some(kind);
    }

    /// The database works.
    pub fn is_over(&mut self) {
        if self.told.take().is_some() {
            Event::new(EventKind::DatabaseRecovered).log();
        }
    }

    /// Whether nothing is to be tried before the time that was set for it.
    pub fn lasts(&self) -> bool {
        self.told.is_some()
    }
}
