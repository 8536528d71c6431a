//! Reads columns of a row as what they mean. A value that is not valid is [`StoreError::Broken`], never a panic.

use std::borrow::Cow;
use std::str::FromStr;

use jiff::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::StoreError;
use crate::pki::Fingerprint;

/// Typed columns, by name.
pub(super) trait Columns {
    fn text(&self, column: &str) -> Result<String, StoreError>;
    fn maybe_text(&self, column: &str) -> Result<Option<String>, StoreError>;
    fn number(&self, column: &str) -> Result<i64, StoreError>;
    fn maybe_number(&self, column: &str) -> Result<Option<i64>, StoreError>;

    /// A number that counts something.
    fn count(&self, column: &str) -> Result<u32, StoreError> {
        let number = self.number(column)?;
        u32::try_from(number)
            .map_err(|_| StoreError::broken(format!("{column} = {number} is not a count")))
    }

    fn time(&self, column: &str) -> Result<Timestamp, StoreError> {
        self.maybe_time(column)?
            .ok_or_else(|| StoreError::broken(format!("{column} is missing")))
    }

    fn maybe_time(&self, column: &str) -> Result<Option<Timestamp>, StoreError> {
        let Some(microseconds) = self.maybe_number(column)? else {
            return Ok(None);
        };
        Timestamp::from_microsecond(microseconds)
            .map(Some)
            .map_err(|_| StoreError::broken(format!("{column} = {microseconds} is not a time")))
    }

    fn maybe_fingerprint(&self, column: &str) -> Result<Option<Fingerprint>, StoreError> {
        let Some(text) = self.maybe_text(column)? else {
            return Ok(None);
        };
        Fingerprint::from_str(&text)
            .map(Some)
            .map_err(|error| StoreError::broken(format!("{column} = {text:?}: {error}")))
    }
}

impl Columns for AnyRow {
    fn text(&self, column: &str) -> Result<String, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn maybe_text(&self, column: &str) -> Result<Option<String>, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn number(&self, column: &str) -> Result<i64, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn maybe_number(&self, column: &str) -> Result<Option<i64>, StoreError> {
        Ok(self.try_get(column)?)
    }
}

/// Reads a row, and says of one that is not valid which it is: the `key` in `table`.
pub(super) fn parse<T>(
    row: &AnyRow,
    table: &str,
    key: &str,
    into: impl FnOnce(&AnyRow) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    into(row).map_err(|error| match error {
        StoreError::Broken { what } => {
            let name = row.text(key).unwrap_or_default();
            StoreError::broken(format!("{table} \"{name}\": {what}"))
        }
        other => other,
    })
}

/// Words of a peer as they are stored: PostgreSQL takes no NUL in a text, and what cannot be stored would be tried again
/// for ever.
pub(super) fn words(words: &str) -> Cow<'_, str> {
    if words.contains('\0') {
        Cow::Owned(words.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(words)
    }
}

/// A time as it is stored: microseconds since 1970, the rest cut off.
pub(super) fn micros(time: Timestamp) -> i64 {
    time.as_microsecond()
}

/// Complains about `what` unless exactly one row was changed.
pub(super) fn exactly_one(rows: u64, what: impl FnOnce() -> StoreError) -> Result<(), StoreError> {
    if rows == 1 { Ok(()) } else { Err(what()) }
}
