//! A copy of the database, for looking at what would happen. The original may be in use; nothing in it is changed.

use std::path::Path;

use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, ConnectOptions, Connection};

use super::{BUSY_TIMEOUT, Store, StoreError, place, set_up};

impl Store {
    /// Copies the database `url` as it is at this moment into `copy`, a file that does not exist yet; `false` when there
    /// is no database. The tables of the copy are brought up to date when it is opened, those of the original are not.
    pub async fn copy(url: &str, copy: &Path) -> Result<bool, StoreError> {
        sqlx::any::install_default_drivers();
        let (mut url, file) = place::path_of(url)?;
        if !file.exists() {
            return Ok(false);
        }
        // Not "ro": whoever may not write leaves the write-ahead log behind.
        url.set_query(Some("mode=rw"));
        let options = AnyConnectOptions::from_url(&url)?.disable_statement_logging();
        copied(&options, copy)
            .await
            .map_err(|error| error.at(&file))?;
        Ok(true)
    }
}

async fn copied(options: &AnyConnectOptions, copy: &Path) -> Result<(), StoreError> {
    let mut connection = AnyConnection::connect_with(options).await?;
    set_up(&mut connection, BUSY_TIMEOUT).await?;
    sqlx::query("VACUUM INTO $1")
        .bind(copy.to_string_lossy().into_owned())
        .execute(&mut connection)
        .await?;
    Ok(connection.close().await?)
}
