//! The program's last answer about an order: the reference that the engine stores, and a file for the case that renewd
//! is killed before that, or that a later answer contains another cookie.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;

use crate::ca::{Reference, file};
use crate::failure::{Failure, FailureKind};
use crate::pki::Certificate;
use crate::private_file;
use crate::random::Random;

/// How an order stood after the last answer. Written as a word, a newline and a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// The certificates, PEM.
    Issued(String),
    /// The program is to be asked again with `cookie`, not before `until`.
    Waits {
        until: Option<Timestamp>,
        cookie: String,
    },
}

impl Standing {
    /// This was issued.
    pub fn issued(certificates: &[Certificate]) -> Self {
        Self::Issued(certificates.iter().map(Certificate::to_pem).collect())
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Issued(pem) => write!(f, "issued\n{pem}"),
            Self::Waits {
                until: None,
                cookie,
            } => write!(f, "waits\n{cookie}"),
            Self::Waits {
                until: Some(until),
                cookie,
            } => write!(f, "waits {until}\n{cookie}"),
        }
    }
}

impl FromStr for Standing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (head, body) = text.split_once('\n').unwrap_or((text, ""));
        let body = body.to_owned();
        match head.split_once(' ').unwrap_or((head, "")) {
            ("issued", "") => Ok(Self::Issued(body)),
            ("waits", "") => Ok(Self::Waits {
                until: None,
                cookie: body,
            }),
            ("waits", until) => Ok(Self::Waits {
                until: Some(until.parse().map_err(|error| format!("{until}: {error}"))?),
                cookie: body,
            }),
            _ => Err(format!(
                "it begins with {head:?}, so renewd did not write it"
            )),
        }
    }
}

/// How the order stood after the last answer, for people, without the cookie of the program; `None`: it is no reference of
/// this kind of CA.
pub fn display(reference: &Reference) -> Option<String> {
    Some(match reference.0.parse().ok()? {
        Standing::Issued(_) => "answered by the program with a certificate".to_owned(),
        Standing::Waits { until: None, .. } => "not answered finally by the program".to_owned(),
        Standing::Waits {
            until: Some(until), ..
        } => format!("not answered finally by the program, which is asked again at {until:.0}"),
    })
}

/// The folder of what was answered; one file per client reference.
#[derive(Debug, Clone)]
pub(super) struct Records {
    folder: PathBuf,
    random: Arc<dyn Random>,
}

impl Records {
    pub fn new(folder: &Path, random: Arc<dyn Random>) -> Self {
        Self {
            folder: folder.to_owned(),
            random,
        }
    }

    /// What was answered last about `reference`.
    pub async fn read(&self, reference: &str) -> Result<Option<Standing>, Failure> {
        let path = self.path(reference)?;
        match tokio::fs::read_to_string(&path).await {
            Ok(text) => text
                .parse()
                .map(Some)
                .map_err(|error| problem(&path, error)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(problem(&path, error)),
        }
    }

    /// Keeps `standing`; after a power cut there is all of it, or what was there before.
    pub async fn write(&self, reference: &str, standing: &Standing) -> Result<(), Failure> {
        let path = self.path(reference)?;
        let (target, text) = (path.clone(), standing.to_string());
        let random = Arc::clone(&self.random);
        let write = move || private_file::replace(&target, text.as_bytes(), random.as_ref());
        tokio::task::spawn_blocking(write)
            .await
            .map_err(|error| problem(&path, error))?
            .map_err(|error| problem(&path, error))
    }

    fn path(&self, reference: &str) -> Result<PathBuf, Failure> {
        match file::objection(reference) {
            None => Ok(self.folder.join(format!("{reference}.order"))),
            Some(words) => Err(Failure::new(FailureKind::Local, CALL, words)),
        }
    }
}

fn problem(path: &Path, problem: impl fmt::Display) -> Failure {
    Failure::new(
        FailureKind::Local,
        CALL,
        format!("{}: {problem}", path.display()),
    )
}

const CALL: &str = "records of an outside program";
