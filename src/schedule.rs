//! Operators' cron expressions and maintenance windows, in their own time zone. Pure: `now` is an argument.

use jiff::{SignedDuration, Timestamp};

/// A recurring span in which certificates may be bound.
#[derive(Debug, Clone)]
pub struct MaintenanceWindow {
    /// Start, a cron expression in `time_zone`.
    pub start: Box<croner::Cron>,
    /// The expression as written.
    pub expression: String,
    /// Length.
    pub lasts: SignedDuration,
    /// The operator's time zone.
    pub time_zone: jiff::tz::TimeZone,
}

/// A window's place in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its start.
    pub start: Timestamp,
    /// Its end.
    pub end: Timestamp,
}
