//! Whether a daemon is at work, for those who look from outside, and the latest time that was stored.

use jiff::Timestamp;

use super::row::{Columns, exactly_one, micros};
use super::{Store, StoreError, commit, missing};

impl Store {
    /// Stores that the daemon's loop is alive at `now`. Like `write_probe` it finds out whether anything can be stored.
    pub async fn beat(&self, now: Timestamp) -> Result<(), StoreError> {
        self.keep_beat(micros(now)).await?;
        self.write_probe(now).await
    }

    /// Stores that the daemon stopped regularly, so that its missing heartbeat is no problem.
    pub async fn mark_stopped(&self) -> Result<(), StoreError> {
        self.keep_beat(AT_REST).await
    }

    async fn keep_beat(&self, value: i64) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let done = sqlx::query(BEAT)
            .bind(value)
            .execute(&mut transaction)
            .await?;
        exactly_one(done.rows_affected(), || missing("bookkeeping", "heartbeat"))?;
        commit(transaction).await
    }

    /// When a daemon's loop was alive last; `None`: none has run, or it stopped as it should.
    pub async fn last_beat(&self) -> Result<Option<Timestamp>, StoreError> {
        let beat = self.bookkept_time("heartbeat").await?;
        Ok(beat.filter(|beat| micros(*beat) != AT_REST))
    }

    /// The time of the last `write_probe` or `beat`: where the clock stood then.
    pub async fn last_write(&self) -> Result<Option<Timestamp>, StoreError> {
        self.bookkept_time("write_probe").await
    }

    async fn bookkept_time(&self, name: &str) -> Result<Option<Timestamp>, StoreError> {
        let row = sqlx::query(BOOKKEPT)
            .bind(name)
            .fetch_optional(&mut self.read().await?)
            .await?;
        row.map(|row| row.time("value")).transpose()
    }
}

const AT_REST: i64 = 0;

const BEAT: &str = "INSERT INTO bookkeeping (name, value) VALUES ('heartbeat', $1) \
     ON CONFLICT (name) DO UPDATE SET value = excluded.value";

const BOOKKEPT: &str = "SELECT value FROM bookkeeping WHERE name = $1";
