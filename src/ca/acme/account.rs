//! The account: its key, sealed, in a file of its own, and its registration at the CA.
//!
//! The key is on disk before it is registered at the CA. A registration of a known key returns the existing account
//! (RFC 8555, 7.3.1), so a crash in between creates no second account and no second set of rate limits.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;
use zeroize::Zeroizing;

use super::jws::AccountKey;
use super::object::Object;
use super::session::{Session, location};
use super::settings::Settings;
use crate::env::Env;
use crate::failure::{Failure, readable};
use crate::private_file;
use crate::seal::{SealError, Sealer};

/// What the file holds.
#[derive(Debug)]
pub(super) struct Account {
    pub key: AccountKey,
    /// Whether the file is as it would be written now. One of an older renewd has the key in the clear.
    is_sealed: bool,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed_key: Option<String>,
    /// PKCS#8, base64url: as an older renewd wrote it.
    #[serde(skip_serializing)]
    key: Option<String>,
    accounts: BTreeMap<String, Registration>,
}

impl Account {
    /// Reads the file and changes nothing; `None`: there is no such file.
    pub fn read(settings: &Settings, env: &Env) -> Result<Option<Self>, Failure> {
        let path = &settings.account;
        let text = match std::fs::read_to_string(path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(problem(path, error)),
        };
        let mode = std::fs::metadata(path).map_err(|error| problem(path, error))?;
        if mode.permissions().mode() & 0o077 != 0 {
            let words = "other users can read the account's key: run `chmod 600` on this file";
            return Err(problem(path, words));
        }
        let written: Written = serde_json::from_str(&text).map_err(|error| {
            // The text of the error may repeat what was read.
            let place = format!("line {}, column {}", error.line(), error.column());
            problem(path, format!("not an account file ({place}): {RESTORE}"))
        })?;
        let (key, is_sealed) = match (written.sealed_key, written.key.map(Zeroizing::new)) {
            (Some(sealed), _) => open(path, &sealed, &sealer(settings, env))?,
            (None, Some(text)) => (AccountKey::from_text(&text), false),
            (None, None) => (Err("it holds no key".to_owned()), false),
        };
        Ok(Some(Self {
            key: key.map_err(|error| problem(path, format!("{error}: {RESTORE}")))?,
            is_sealed,
            registrations: written.accounts,
        }))
    }

    /// Reads the file, or makes it with a new key. Of two that make it at once, both get the first one's. A key that is
    /// still in the clear, or under a former sealing key, is sealed.
    pub fn read_or_make(settings: &Settings, env: &Env) -> Result<Self, Failure> {
        let path = &settings.account;
        if let Some(mut account) = Self::read(settings, env)? {
            if !account.is_sealed {
                account.seal(settings, env);
            }
            return Ok(account);
        }
        let account = Self {
            key: AccountKey::generate()?,
            is_sealed: true,
            registrations: BTreeMap::new(),
        };
        let text = account.to_text(settings, env)?;
        match private_file::create(path, text.as_bytes(), env.random.as_ref()) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(problem(path, error));
            }
            _ => {}
        }
        Self::read(settings, env)?
            .ok_or_else(|| problem(path, "it disappeared after it was created"))
    }

    /// Seals the key in its file. The key is usable even if this fails; the next use retries it.
    fn seal(&mut self, settings: &Settings, env: &Env) {
        let path = settings.account.display();
        match self.write(settings, env) {
            Ok(()) => {
                self.is_sealed = true;
                tracing::info!(%path, "the key of this ACME account is sealed now");
            }
            Err(error) => {
                tracing::warn!(%path, %error, "the key of this ACME account could not be sealed");
            }
        }
    }

    /// The URL of the account at the CA of `directory`, if it is known.
    pub fn url(&self, directory: &Url) -> Option<&str> {
        let registration = self.registrations.get(directory.as_str())?;
        Some(&registration.url)
    }

    /// Whether the CA has these mail addresses.
    pub fn has_reported(&self, settings: &Settings) -> bool {
        self.registrations
            .get(settings.directory.as_str())
            .is_some_and(|registration| registration.contact == settings.contact)
    }

    /// Records the account's URL and the mail addresses that the CA has.
    pub fn remember(&mut self, settings: &Settings, url: String, env: &Env) -> Result<(), Failure> {
        let registration = Registration {
            url,
            contact: settings.contact.clone(),
        };
        self.registrations
            .insert(settings.directory.to_string(), registration);
        self.write(settings, env)
    }

    fn write(&self, settings: &Settings, env: &Env) -> Result<(), Failure> {
        let text = self.to_text(settings, env)?;
        let path = &settings.account;
        private_file::replace(path, text.as_bytes(), env.random.as_ref())
            .map_err(|error| problem(path, error))
    }

    fn to_text(&self, settings: &Settings, env: &Env) -> Result<String, Failure> {
        let path = &settings.account;
        let sealed = sealer(settings, env).seal_account(&self.key.to_pkcs8()?);
        let written = Written {
            sealed_key: Some(sealed.map_err(|error| problem(path, error))?),
            key: None,
            accounts: self.registrations.clone(),
        };
        serde_json::to_string_pretty(&written).map_err(|error| problem(path, error))
    }
}

fn sealer(settings: &Settings, env: &Env) -> Sealer {
    Sealer::at(settings.sealing_key.clone(), Arc::clone(&env.random))
}

/// The key, and whether it is sealed as it would be now. One that does not open is never replaced: to the CA, another key
/// is another customer.
fn open(
    path: &Path,
    sealed: &str,
    by: &Sealer,
) -> Result<(Result<AccountKey, String>, bool), Failure> {
    let opened = by.open_account(sealed).map_err(|error| match error {
        SealError::Closed { place } => problem(
            path,
            format!("it does not open with the sealing key, {place}: {UNSEAL}"),
        ),
        error @ SealError::NoKey { .. } => problem(path, error),
    })?;
    let key = AccountKey::from_pkcs8(&opened.pkcs8);
    Ok((key, !opened.is_under_former_key))
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
                .map_err(|error| Failure::local("external_account", error))?;
            let binding = session.key.bound_to(&external.key_id, &key, url.as_str())?;
            payload["externalAccountBinding"] = binding;
        }
        None if session.directory.meta.external_account_required => {
            let words = "this CA requires an external account: set `external_account` to the key that it gives its customers";
            return Err(Failure::refused("make an ACME account", words));
        }
        None => {}
    }
    let answer = session.post(&url, &payload).await?;
    let account = location(&answer, &url)?;
    session.directory.hosts.check("the account", &account)?;
    Ok(account.into())
}

/// Sends the configured mail addresses to the CA (RFC 8555, 7.3.2).
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
    let Some(url) = url_of(session)? else {
        return Ok("none".to_owned());
    };
    let answer = session.read(&url).await?;
    let status = Object::of(&answer, &url, "account")?.text("status")?;
    Ok(readable(&status))
}

fn url_of(session: &Session) -> Result<Option<Url>, Failure> {
    let parse = |url: &String| {
        Url::parse(url).map_err(|error| Failure::local("ACME account", format!("{url}: {error}")))
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
    Failure::local("ACME account", format!("{}: {problem}", path.display()))
}

const UNSEAL: &str =
    "put the former sealing key back; or remove this file, and a new account is made";
const RESTORE: &str = "put it back from a backup, or remove it, and a new account is made";
