//! Notifications between daemons that share a server: something may be due now. A notification carries no data and may be
//! lost; each daemon also checks at intervals.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{ConnectOptions, Executor, PgPool};

use super::connections::within;
use super::dialect::{CHANNEL, Dialect, PRESENT};
use super::location::Location;
use super::{Store, StoreError};

/// The connection for notifications, made on first use.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pool: PgPool,
}

impl Line {
    /// The line to a server; a file has none.
    pub(super) fn to(location: &Location) -> Result<Option<Self>, StoreError> {
        let Location::Server { url, .. } = location else {
            return Ok(None);
        };
        let options = PgConnectOptions::from_url(url)?.disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .connect_lazy_with(options);
        Ok(Some(Self { pool }))
    }

    pub(super) async fn close(self) {
        self.pool.close().await;
    }
}

/// What other daemons and commands have to say. While it is held, the server knows that a daemon is there.
pub struct Notifications {
    listener: PgListener,
    owner: String,
}

impl Store {
    /// Listens for what others than `owner` have to say; `None`: on this database there are no others.
    pub async fn listen(&self, owner: &str) -> Result<Option<Notifications>, StoreError> {
        let Some(line) = &self.notifications else {
            return Ok(None);
        };
        let patience = Dialect::Postgres.patience();
        let mut listener = within(patience, PgListener::connect_with(&line.pool)).await?;
        listener.eager_reconnect(false);
        within(patience, listener.listen(CHANNEL)).await?;
        within(patience, (&mut listener).execute(PRESENT)).await?;
        Ok(Some(Notifications {
            listener,
            owner: owner.to_owned(),
        }))
    }
}

impl Notifications {
    /// Waits until there is something to look at. After an error, or when it was quiet for long, listen anew: a
    /// connection that was cut off says nothing of it.
    pub async fn next(&mut self) -> Result<(), StoreError> {
        loop {
            let notice = within(Some(QUIET), self.listener.try_recv()).await?;
            let Some(notice) = notice else {
                let evidence = "the connection for notices broke".to_owned();
                return Err(StoreError::Unreachable { evidence });
            };
            if notice.payload() != self.owner {
                return Ok(());
            }
        }
    }
}

impl std::fmt::Debug for Notifications {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notices").finish_non_exhaustive()
    }
}

const QUIET: Duration = Duration::from_mins(10);
