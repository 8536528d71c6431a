//! How things stand, read from the store alone: for `renewd status`, `show` and `explain`.

mod explain;

pub use explain::{Explanation, explain};

use jiff::Timestamp;
use serde::Serialize;

use crate::config::Desired;
use crate::inventory::{Renewal, TrackedCertificate};
use crate::renewal::retry::REFUSED_LOGIN_LIMIT;
use crate::store::{Store, StoreError};

/// How one certificate stands. The field names are a promise to scripts (docs/json.md).
#[derive(Debug, Clone, Serialize)]
pub struct Standing {
    /// The certificate's name in the configuration.
    pub certificate: String,
    /// Its firewall.
    pub firewall: String,
    /// Its CA.
    pub ca: String,
    /// In one word.
    pub health: Health,
    /// The state of the open renewal; absent when none is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'static str>,
    /// The open renewal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renewal: Option<String>,
    /// End of validity of what the services showed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
    /// SHA-256 of what the services showed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// When it was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_at: Option<Timestamp>,
    /// When something happens next; absent when it waits for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
    /// Why it stands so, in words.
    pub reason: String,
}

/// How a certificate stands, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Valid and not due.
    Ok,
    /// A renewal is under way.
    Renewing,
    /// The renewal's last step failed; it will be tried again.
    Failing,
    /// It waits for a person.
    Held,
    /// What the services show has expired.
    Expired,
    /// No certificate was seen.
    Unseen,
}

impl Health {
    /// The word in the table and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Renewing => "renewing",
            Self::Failing => "failing",
            Self::Held => "held",
            Self::Expired => "expired",
            Self::Unseen => "unseen",
        }
    }

    /// Whether somebody should look.
    pub const fn is_bad(self) -> bool {
        matches!(
            self,
            Self::Failing | Self::Held | Self::Expired | Self::Unseen
        )
    }
}

/// How every configured certificate stands, by name.
///
/// # Errors
/// The store's.
pub async fn overview(
    store: &Store,
    desired: &Desired,
    now: Timestamp,
) -> Result<Vec<Standing>, StoreError> {
    let open = store.open_renewals().await?;
    let rows = store.certificates().await?;
    let mut standings = Vec::with_capacity(rows.len());
    for row in rows
        .iter()
        .filter(|row| desired.certificates.contains_key(&row.name))
    {
        let renewal = row
            .open_renewal
            .as_ref()
            .and_then(|id| open.iter().find(|renewal| renewal.id == *id));
        let refused = match renewal {
            Some(renewal) => store.firewall(&renewal.firewall).await?.refused_logins,
            None => 0,
        };
        standings.push(standing(row, renewal, refused, now));
    }
    Ok(standings)
}

/// How one certificate stands.
pub fn standing(
    row: &TrackedCertificate,
    renewal: Option<&Renewal>,
    refused_logins: u32,
    now: Timestamp,
) -> Standing {
    let health = health(row, renewal, refused_logins, now);
    Standing {
        certificate: row.name.to_string(),
        firewall: row.firewall.to_string(),
        ca: row.ca.to_string(),
        health,
        state: renewal.map(|renewal| renewal.state.name()),
        renewal: renewal.map(|renewal| renewal.id.to_string()),
        not_after: row.shown.as_ref().map(|shown| shown.not_after),
        sha256: row
            .shown
            .as_ref()
            .map(|shown| shown.fingerprint.to_string()),
        seen_at: row.shown.as_ref().map(|shown| shown.seen_at),
        next_at: match renewal {
            _ if health == Health::Held => None,
            Some(renewal) => renewal.next_attempt_at,
            None => row.look_at,
        },
        reason: reason(row, renewal, refused_logins),
    }
}

fn health(
    row: &TrackedCertificate,
    renewal: Option<&Renewal>,
    refused_logins: u32,
    now: Timestamp,
) -> Health {
    if row
        .shown
        .as_ref()
        .is_some_and(|shown| shown.not_after <= now)
    {
        return Health::Expired;
    }
    match renewal {
        Some(renewal)
            if renewal.next_attempt_at.is_none() || refused_logins >= REFUSED_LOGIN_LIMIT =>
        {
            Health::Held
        }
        Some(renewal) if renewal.is_failing() => Health::Failing,
        Some(_) => Health::Renewing,
        None if row.shown.is_none() || row.told.is_some() => Health::Unseen,
        None => Health::Ok,
    }
}

fn reason(row: &TrackedCertificate, renewal: Option<&Renewal>, refused_logins: u32) -> String {
    match renewal {
        Some(renewal) => match &renewal.last_error {
            Some(error) => error.clone(),
            None if refused_logins >= REFUSED_LOGIN_LIMIT => {
                format!(
                    "{} refused our login {refused_logins} times",
                    renewal.firewall
                )
            }
            None => renewal.reason.clone(),
        },
        None => row
            .decision
            .clone()
            .unwrap_or_else(|| "not looked at yet".to_owned()),
    }
}
