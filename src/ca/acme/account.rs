//! The account: its key in a file of its own, and its registration at the CA.
//!
//! The key is on the disk before the CA hears of it. To make an account for a key that has one gives that one
//! (RFC 8555, 7.3.1), so a crash in between makes no second account, and no second bucket of its limits.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use super::jws::AccountKey;
use super::session::{Session, location, parsed};
use super::{Settings, local, refused};
use crate::failure::Failure;
use crate::private_file;
use crate::random::Random;

/// What the file holds.
#[derive(Debug)]
pub(super) struct Account {
    pub key: AccountKey,
    /// By the URL of the directory: a test environment and the real one are two.
    registrations: BTreeMap<String, Registration>,
}

/// An account at one CA.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Registration {
    url: String,
    contact: Vec<String>,
}

/// The file as it is written.
#[derive(Serialize, Deserialize)]
struct Written {
    /// PKCS#8, base64url.
    key: String,
    accounts: BTreeMap<String, Registration>,
}

impl Account {
    /// Reads `path`; `None`: there is no such file.
    pub fn read(path: &Path) -> Result<Option<Self>, Failure> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(problem(path, error)),
        };
        let mode = std::fs::metadata(path).map_err(|error| problem(path, error))?;
        if mode.permissions().mode() & 0o077 != 0 {
            let words = "others can read the account's key: chmod 600 this file";
            return Err(problem(path, words));
        }
        let written: Written = serde_json::from_str(&text).map_err(|error| {
            // The text of the error may repeat what was read.
            let place = format!("line {}, column {}", error.line(), error.column());
            problem(path, format!("not an account file ({place}): {MEND}"))
        })?;
        let key = AccountKey::from_text(&written.key)
            .map_err(|error| problem(path, format!("{error}: {MEND}")))?;
        Ok(Some(Self {
            key,
            registrations: written.accounts,
        }))
    }

    /// Reads `path`, or makes it with a new key. Of two that make it at once, both get the first one's.
    pub fn read_or_make(path: &Path, random: &dyn Random) -> Result<Self, Failure> {
        if let Some(account) = Self::read(path)? {
            return Ok(account);
        }
        let account = Self {
            key: AccountKey::generate()?,
            registrations: BTreeMap::new(),
        };
        match private_file::create(path, account.to_text(path)?.as_bytes(), random) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(problem(path, error));
            }
            _ => {}
        }
        Self::read(path)?.ok_or_else(|| problem(path, "it vanished as soon as it was made"))
    }

    /// The URL of the account at the CA of `directory`, if it is known.
    pub fn url(&self, directory: &Url) -> Option<&str> {
        let registration = self.registrations.get(directory.as_str())?;
        Some(&registration.url)
    }

    /// Whether the CA was told these mail addresses.
    pub fn has_told(&self, settings: &Settings) -> bool {
        self.registrations
            .get(settings.directory.as_str())
            .is_some_and(|registration| registration.contact == settings.contact)
    }

    /// Remembers the account's URL, and what the CA was told.
    pub fn remember(
        &mut self,
        settings: &Settings,
        url: String,
        random: &dyn Random,
    ) -> Result<(), Failure> {
        let registration = Registration {
            url,
            contact: settings.contact.clone(),
        };
        self.registrations
            .insert(settings.directory.to_string(), registration);
        let path = &settings.account;
        private_file::replace(path, self.to_text(path)?.as_bytes(), random)
            .map_err(|error| problem(path, error))
    }

    fn to_text(&self, path: &Path) -> Result<String, Failure> {
        let written = Written {
            key: self.key.to_text()?.expose().to_owned(),
            accounts: self.registrations.clone(),
        };
        serde_json::to_string_pretty(&written).map_err(|error| problem(path, error))
    }
}

/// Makes the account at the CA, or finds that of the key: the account's URL.
pub(super) async fn register(
    session: &mut Session,
    settings: &Settings,
) -> Result<String, Failure> {
    let url = session.directory.new_account.clone();
    let mut payload = json!({ "termsOfServiceAgreed": true, "contact": mail(settings) });
    match &settings.external_account {
        Some(external) => {
            let key = external
                .hmac_key
                .read()
                .map_err(|error| local("external_account", error))?;
            // The key itself is never sent, so no answer can repeat it.
            let binding = session.key.bound_to(&external.key_id, &key, url.as_str())?;
            payload["externalAccountBinding"] = binding;
        }
        None if session.directory.meta.external_account_required => {
            let words = "this CA takes only customers that it knows: set `external_account` to the key that it gives them";
            return Err(refused("make an ACME account", words));
        }
        None => {}
    }
    let answer = session.post(&url, &payload).await?;
    Ok(location(&answer)?.into())
}

/// Tells the CA the mail addresses that are wanted now (RFC 8555, 7.3.2).
pub(super) async fn update(session: &mut Session, settings: &Settings) -> Result<(), Failure> {
    if let Some(url) = url_of(session)? {
        session
            .post(&url, &json!({ "contact": mail(settings) }))
            .await?;
    }
    Ok(())
}

/// What the CA says of the account: its status, such as `valid`.
pub(super) async fn status(session: &mut Session) -> Result<String, Failure> {
    #[derive(Deserialize)]
    struct Told {
        status: String,
    }
    let Some(url) = url_of(session)? else {
        return Ok("none".to_owned());
    };
    let answer = session.read(&url).await?;
    let told: Told = parsed(&answer, "account")?;
    Ok(told.status)
}

fn url_of(session: &Session) -> Result<Option<Url>, Failure> {
    let parse = |url: &String| {
        Url::parse(url).map_err(|error| local("ACME account", format!("{url}: {error}")))
    };
    session.account.as_ref().map(parse).transpose()
}

fn mail(settings: &Settings) -> Value {
    settings
        .contact
        .iter()
        .map(|address| format!("mailto:{address}"))
        .collect()
}

fn problem(path: &Path, problem: impl std::fmt::Display) -> Failure {
    local("ACME account", format!("{}: {problem}", path.display()))
}

const MEND: &str = "put it back from a backup, or remove it, and a new account is made";
