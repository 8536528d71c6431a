//! Connections with time limits: for every statement, for the beginning of a transaction and for its commit. A connection
//! that was cut is not reported, and the operating system gives up only after a quarter of an hour.

use std::fmt::Debug;
use std::io;
use std::ops::DerefMut;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt};
use sqlx::any::{Any, AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo};
use sqlx::pool::PoolConnection;
use sqlx::{AnyConnection, Either, Execute, Executor, SqlStr, Transaction};

use super::{CommitObserver, StoreError};
use crate::event::Event;

/// A transaction that writes; dropped, it is rolled back.
pub(super) type Writing = Session<Transaction<'static, Any>>;

/// A connection for one look.
pub(super) type Reading = Session<PoolConnection<Any>>;

/// A connection, and how long it may be silent.
#[derive(Debug)]
pub(super) struct Session<C> {
    connection: C,
    patience: Option<Duration>,
    /// Called at the commit.
    observer: Option<Arc<dyn CommitObserver>>,
    /// What was stored in this transaction, to be logged after its commit.
    to_log: Vec<Event>,
}

impl<C> Session<C> {
    pub(super) fn new(connection: C, patience: Option<Duration>) -> Self {
        Self {
            connection,
            patience,
            observer: None,
            to_log: Vec::new(),
        }
    }
}

impl Writing {
    /// The same, with an observer of its commit.
    pub(super) fn observed_by(mut self, observer: Option<Arc<dyn CommitObserver>>) -> Self {
        self.observer = observer;
        self
    }

    /// Logs `events` after the commit, and not at all without one.
    pub(super) fn log_after_commit(&mut self, events: impl IntoIterator<Item = Event>) {
        self.to_log.extend(events);
    }

    /// Commits, and logs what was stored: here and nowhere else, so that nothing is logged twice or without being stored.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        within(self.patience, self.connection.commit()).await?;
        self.to_log.iter().for_each(Event::log);
        if let Some(observer) = self.observer {
            observer.committed().await;
        }
        Ok(())
    }
}

/// Waits for `answer`, at most as long as `patience` says.
pub(super) async fn within<T>(
    patience: Option<Duration>,
    answer: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    let Some(limit) = patience else {
        return answer.await;
    };
    let answer = tokio::time::timeout(limit, answer).await;
    answer.unwrap_or_else(|_| Err(silence()))
}

impl<'c, C> Executor<'c> for &'c mut Session<C>
where
    C: DerefMut<Target = AnyConnection> + Debug + Send,
{
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, sqlx::Result<Either<AnyQueryResult, AnyRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let patience = self.patience;
        let answers = self.connection.deref_mut().fetch_many(query);
        if patience.is_none() {
            return answers;
        }
        let next = move |mut answers: BoxStream<'e, _>| async move {
            let answer = within(patience, async { answers.next().await.transpose() }).await;
            Some((answer.transpose()?, answers))
        };
        stream::unfold(answers, next).boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<AnyRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let answer = self.connection.deref_mut().fetch_optional(query);
        within(self.patience, answer).boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, sqlx::Result<AnyStatement>>
    where
        'c: 'e,
    {
        self.connection.deref_mut().prepare_with(sql, parameters)
    }
}

fn silence() -> sqlx::Error {
    let words = "it did not answer in time";
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, words))
}
