//! A copy of the database, for looking at what would happen. The original may be in use; nothing in it is changed.

use std::path::Path;

use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, ConnectOptions, Connection};

use super::connections::Session;
use super::location::Location;
use super::row::Columns;
use super::{Access, BUSY_TIMEOUT, Store, StoreError, commit, migrate, migrations, pool};
use crate::secret::SecretSource;

impl Store {
    /// Copies the database `url` as it is at this moment into `copy`, a file that does not exist yet; `false` when there
    /// is no database. The tables of the copy are brought up to date when it is opened, those of the original are not; a
    /// server whose tables are those of another version is refused.
    pub async fn copy(
        url: &str,
        password: Option<&SecretSource>,
        copy: &Path,
    ) -> Result<bool, StoreError> {
        sqlx::any::install_default_drivers();
        let location = Location::of(url, password)?;
        let copied = match &location {
            Location::File { file, .. } if !file.exists() => return Ok(false),
            Location::File { .. } => copy_file(&location, copy).await,
            Location::Server { .. } => copy_server(&location, copy).await,
        };
        copied.map(|()| true).map_err(|error| error.at(&location))
    }
}

async fn copy_file(location: &Location, copy: &Path) -> Result<(), StoreError> {
    let mut url = location.url().clone();
    // Not "ro": a read-only connection leaves the write-ahead log behind.
    url.set_query(Some("mode=rw"));
    let options = AnyConnectOptions::from_url(&url)?.disable_statement_logging();
    let mut connection = AnyConnection::connect_with(&options).await?;
    let dialect = location.dialect();
    dialect.set_up(&mut connection, BUSY_TIMEOUT).await?;
    sqlx::query("VACUUM INTO $1")
        .bind(copy.to_string_lossy().into_owned())
        .execute(&mut connection)
        .await?;
    Ok(connection.close().await?)
}

async fn copy_server(location: &Location, copy: &Path) -> Result<(), StoreError> {
    let options = AnyConnectOptions::from_url(location.url())?.disable_statement_logging();
    let dialect = location.dialect();
    let original = pool(dialect, 1, options, BUSY_TIMEOUT, Access::Write).await?;
    let mut connection = original.acquire().await?;
    // Rows of other tables would be copied in part: what was renamed meanwhile would be missing.
    if sqlx::query(dialect.count_tables())
        .fetch_one(&mut *connection)
        .await?
        .number("ours")?
        == 1
    {
        migrations::refuse_other_version(&mut connection, location).await?;
    }
    drop(connection);
    let look = original.begin_with(dialect.begin_snapshot()).await?;
    let mut look = Session::new(look, dialect.patience());
    let copy = Store::open(&format!("sqlite://{}", copy.display())).await?;
    let mut writing = copy.begin().await?;
    migrate::tables((dialect, &mut look), (copy.dialect, &mut writing)).await?;
    commit(writing).await?;
    commit(look).await?;
    copy.close().await;
    original.close().await;
    Ok(())
}
