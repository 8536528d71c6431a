//! Where the database is, and who may read its file. Never changes the contents of a file that exists.

use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use url::Url;

use super::dialect::Dialect;
use super::{StoreError, server};
use crate::secret::SecretSource;

/// Where a database is. No `Debug`: the address of a server holds its password.
pub(super) enum Location {
    /// SQLite.
    File {
        /// Its address.
        url: Url,
        /// The file.
        file: PathBuf,
    },
    /// PostgreSQL.
    Server {
        /// Its address, with the password.
        url: Url,
        /// What messages may contain of it.
        name: String,
    },
}

impl Location {
    /// The place that an address of the configuration names.
    pub(super) fn of(url: &str, password: Option<&SecretSource>) -> Result<Self, StoreError> {
        if let Some(("postgres" | "postgresql", _)) = url.split_once("://") {
            return server::location(url, password);
        }
        let (url, file) = path_of(url)?;
        Ok(Self::File { url, file })
    }

    pub(super) const fn dialect(&self) -> Dialect {
        match self {
            Self::File { .. } => Dialect::Sqlite,
            Self::Server { .. } => Dialect::Postgres,
        }
    }

    pub(super) const fn url(&self) -> &Url {
        match self {
            Self::File { url, .. } | Self::Server { url, .. } => url,
        }
    }

    /// Makes what is missing around a file. A database on a server is made by its administrator.
    pub(super) fn prepare(&self) -> Result<(), StoreError> {
        match self {
            Self::File { file, .. } => prepare(file),
            Self::Server { .. } => Ok(()),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, .. } => file.display().fmt(f),
            Self::Server { name, .. } => f.write_str(name),
        }
    }
}

/// The file of the database that the configuration has at `url`; `None`: it is no file.
pub fn file(url: &str) -> Option<PathBuf> {
    path_of(url).ok().map(|(_, file)| file)
}

/// The path in `sqlite:///path`. Special characters are percent-encoded, as in every URL.
pub(super) fn path_of(url: &str) -> Result<(Url, PathBuf), StoreError> {
    let refuse = |advice: &str| StoreError::Unusable {
        // Not repeated: the address of another kind of database may carry a password.
        location: "address".to_owned(),
        advice: advice.to_owned(),
    };
    let parsed = Url::parse(url).map_err(|_| refuse(WANTED))?;
    if parsed.scheme() != "sqlite" {
        return Err(refuse(WANTED));
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(refuse(
            "it takes no options; write `?` in a path as %3F and `#` as %23",
        ));
    }
    let path = parsed.to_file_path().map_err(|()| refuse(WANTED))?;
    if path.file_name().is_none() || url.ends_with('/') {
        return Err(refuse("it names a folder; name a file in it"));
    }
    Ok((parsed, path))
}

/// Makes the folder (0700) and the file (0600) when they are missing, and removes the permissions of all other users.
/// SQLite gives the permissions of the file to the -wal and -shm that it makes beside it.
fn prepare(file: &Path) -> Result<(), StoreError> {
    if let Some(folder) = file.parent() {
        create_folder(folder)?;
    }
    create_file(file)?;
    refuse_emptied(file)?;
    make_private(file)?;
    for suffix in ["-wal", "-shm"] {
        let mut beside = file.as_os_str().to_owned();
        beside.push(suffix);
        let beside = PathBuf::from(beside);
        if beside.exists() {
            make_private(&beside)?;
        }
    }
    Ok(())
}

fn create_folder(folder: &Path) -> Result<(), StoreError> {
    if folder.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        // Once more, because an unusual umask takes bits away even from the owner.
        .and_then(|()| fs::set_permissions(folder, Permissions::from_mode(0o700)))
        .map_err(|error| {
            let advice = format!(
                "its folder cannot be created ({error}); create it for the user that renewd runs as"
            );
            StoreError::unusable(folder.display(), advice)
        })
}

/// Never opens a file that exists: closing it again would take away the locks that SQLite may hold on it in this process
/// (<https://www.sqlite.org/howtocorrupt.html>, 2.2).
fn create_file(file: &Path) -> Result<(), StoreError> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file);
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && !file.is_dir() => Ok(()),
        Err(error) => {
            let advice = format!(
                "{error}; it must be a file that the user of renewd can read and write, in a folder where it can create files"
            );
            Err(StoreError::unusable(file.display(), advice))
        }
        Ok(_) => Ok(()),
    }
}

/// SQLite takes an empty file for a new database, and deletes what lies in the write-ahead log beside it. There is none
/// beside a file that was just made.
fn refuse_emptied(file: &Path) -> Result<(), StoreError> {
    let length = |file: &Path| fs::metadata(file).map_or(0, |file| file.len());
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    if length(file) == 0 && length(Path::new(&log)) > 0 {
        return Err(StoreError::corrupt("it is empty, and its -wal is not"));
    }
    Ok(())
}

fn make_private(file: &Path) -> Result<(), StoreError> {
    match restrict(file) {
        // The write-ahead log goes away with the last connection of another process, perhaps at this moment.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => {
            let advice = format!(
                "others may read it and that cannot be changed ({error}); give it to the user of renewd and run `chmod 600` on it"
            );
            Err(StoreError::unusable(file.display(), advice))
        }
        Ok(()) => Ok(()),
    }
}

fn restrict(file: &Path) -> io::Result<()> {
    let mode = fs::metadata(file)?.permissions().mode();
    if mode & 0o777 == 0o600 {
        return Ok(());
    }
    fs::set_permissions(file, Permissions::from_mode(0o600))
}

const WANTED: &str = "write it as sqlite:///var/lib/renewd/renewd.db, with an absolute path, or as postgres://renewd@db.example.com/renewd";
