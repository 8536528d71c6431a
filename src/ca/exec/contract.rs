//! The contract of certmonger's enrollment helpers: the environment variables of a program, and what its exit status
//! and its output mean (certmonger, doc/helpers.txt, version 0.79). Pure.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use data_encoding::BASE64;
use jiff::SignedDuration;
use serde::Deserialize;

use super::run::{Finished, Stopped};
use crate::ca::SigningRequest;
use crate::failure::{Failure, FailureKind};
use crate::pki::{
    Allowance, AlternateName, Certificate, KeyKind, certificates_in, certificates_within,
};
use crate::sanitize::bounded;

/// What a program is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation<'a> {
    /// Report its identity.
    Identify,
    /// Ask for a certificate.
    Submit,
    /// Ask for the state of the request, with the cookie of the previous answer.
    Poll(&'a str),
    /// Hand out the CA's own certificates.
    FetchRoots,
}

/// What a program answers to `Submit` and `Poll`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ProgramAnswer {
    /// The certificate and others, in no order.
    Issued(Vec<Certificate>),
    /// Not yet.
    Wait {
        /// The value to pass at the next call.
        cookie: String,
        /// When it wants to be asked again.
        delay: Option<SignedDuration>,
    },
    /// Finally no.
    Rejected(String),
    /// The CA wants another key pair.
    AnotherKey(String),
}

impl Operation<'_> {
    /// Its name in the contract.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identify => "IDENTIFY",
            Self::Submit => "SUBMIT",
            Self::Poll(_) => "POLL",
            Self::FetchRoots => "FETCH-ROOTS",
        }
    }

    /// The variables of the contract for this operation.
    pub fn environment(
        self,
        nickname: &str,
        request: Option<&SigningRequest>,
    ) -> Vec<(String, String)> {
        let mut variables = vec![
            ("CERTMONGER_OPERATION", self.name().to_owned()),
            ("CERTMONGER_CA_NICKNAME", nickname.to_owned()),
        ];
        if let Some(request) = request {
            variables.extend(of_request(request));
        }
        if let Self::Poll(cookie) = self {
            variables.push(("CERTMONGER_CA_COOKIE", cookie.to_owned()));
        }
        let is_set = |(_, value): &(&str, String)| !value.is_empty();
        variables
            .into_iter()
            .filter(is_set)
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// What a run means that was stopped.
    pub fn stopped(self, program: &Path, stopped: &Stopped) -> Failure {
        let kind = match stopped {
            Stopped::NotStarted(_) => FailureKind::Local,
            _ if self == Self::Submit => FailureKind::OutcomeUnknown,
            Stopped::TooMuch | Stopped::TooDense => FailureKind::Unexpected,
            Stopped::TooSlow(_) | Stopped::Broken(_) => FailureKind::Busy,
        };
        self.failure(kind, format!("{} {stopped}", program.display()))
    }

    /// What the end of a run means.
    pub fn answer(self, finished: &Finished) -> Result<ProgramAnswer, Failure> {
        let words = words(finished);
        let Some(code) = finished.status.code() else {
            let signal = finished.status.signal().unwrap_or_default();
            let kind = if self == Self::Submit {
                FailureKind::OutcomeUnknown
            } else {
                FailureKind::Unexpected
            };
            return Err(self.failure(kind, format!("ended by signal {signal}: {words}")));
        };
        let (kind, meaning) = match code {
            0 => return self.issued(&finished.stdout),
            1 => return self.wait(None, &finished.stdout),
            5 => return self.wait_with_delay(&finished.stdout),
            2 => return Ok(ProgramAnswer::Rejected(words)),
            17 => return Ok(ProgramAnswer::AnotherKey(words)),
            3 => (FailureKind::Unreachable, "it cannot reach the CA"),
            4 => (FailureKind::Local, "it is not fully configured"),
            6 => (FailureKind::Local, "it does not know this operation"),
            16 => (
                FailureKind::Local,
                "it requires SCEP, which renewd does not support",
            ),
            _ => (FailureKind::Unexpected, "an undefined exit status"),
        };
        Err(self.failure(kind, format!("exit status {code}, {meaning}: {words}")))
    }

    /// The CA's certificates; none where the program says that it cannot do this, which it need not.
    pub fn roots(self, finished: &Finished) -> Result<Vec<Certificate>, Failure> {
        let output = String::from_utf8_lossy(&finished.stdout);
        let said = words(finished);
        match finished.status.code() {
            Some(0) if output.trim().is_empty() => Ok(Vec::new()),
            Some(0) => match Certificate::all_from_pem(&output) {
                Ok(roots) if !roots.is_empty() => Ok(roots),
                _ => {
                    let words = format!("exit status 0, but no certificate: {said}");
                    Err(self.failure(FailureKind::Unexpected, words + WITHOUT_ROOTS))
                }
            },
            Some(1 | 2 | 4 | 6 | 16 | 17) => Ok(Vec::new()),
            Some(3) => {
                let words = format!("exit status 3, it cannot reach the CA: {said}");
                Err(self.failure(FailureKind::Unreachable, words))
            }
            _ => {
                let words = format!("{}: {said}", finished.status);
                Err(self.failure(FailureKind::Unexpected, words + WITHOUT_ROOTS))
            }
        }
    }

    fn issued(self, output: &[u8]) -> Result<ProgramAnswer, Failure> {
        let read = match output.trim_ascii_start().first() {
            Some(b'{') => from_json(output),
            _ => certificates_in(output).map_err(|error| error.to_string()),
        };
        read.map(ProgramAnswer::Issued).map_err(|error| {
            let words = format!("exit status 0, but its output is no certificate: {error}");
            self.failure(FailureKind::Unexpected, words)
        })
    }

    fn wait_with_delay(self, output: &[u8]) -> Result<ProgramAnswer, Failure> {
        let end = output.iter().position(|byte| *byte == b'\n');
        let (line, rest) = output.split_at(end.unwrap_or(output.len()));
        let line = String::from_utf8_lossy(line);
        let seconds: u32 = line.trim().parse().map_err(|_| {
            let words =
                format!("exit status 5, but its first line is no number of seconds: {line:?}");
            self.failure(FailureKind::Unexpected, words)
        })?;
        let delay = SignedDuration::from_secs(seconds.into()).min(LONGEST_DELAY);
        self.wait(Some(delay), rest)
    }

    fn wait(self, delay: Option<SignedDuration>, cookie: &[u8]) -> Result<ProgramAnswer, Failure> {
        let cookie = String::from_utf8_lossy(cookie).trim().to_owned();
        if cookie.contains('\0') || cookie.len() > LONGEST_COOKIE_BYTES {
            let words = "its cookie cannot be put into an environment variable";
            return Err(self.failure(FailureKind::Unexpected, words));
        }
        Ok(ProgramAnswer::Wait { cookie, delay })
    }

    fn failure(self, kind: FailureKind, detail: impl std::fmt::Display) -> Failure {
        Failure::new(kind, self.name(), detail)
    }
}

/// What a program says in its own words: its output, and the last lines that it complained.
pub(super) fn words(finished: &Finished) -> String {
    let complaint = String::from_utf8_lossy(&finished.stderr).into_owned();
    let lines: Vec<&str> = complaint.lines().collect();
    let last = lines
        .get(lines.len().saturating_sub(LAST_LINES)..)
        .unwrap_or_default();
    let said = [
        bounded(&String::from_utf8_lossy(&finished.stdout), LONGEST_WORDS),
        bounded(&last.join(" "), LONGEST_WORDS),
    ];
    let said: Vec<&str> = said
        .iter()
        .map(String::as_str)
        .filter(|part| !part.is_empty())
        .collect();
    match said.as_slice() {
        [] => "it says nothing".to_owned(),
        said => said.join("; "),
    }
}

fn of_request(request: &SigningRequest) -> Vec<(&'static str, String)> {
    let csr = &request.csr;
    let names = |pick: fn(&AlternateName) -> bool| {
        let names = csr.alternate_names.iter().filter(|name| pick(name));
        names
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    };
    let previous = request.previous.as_ref();
    vec![
        ("CERTMONGER_CSR", csr.to_pem()),
        ("CERTMONGER_REQ_SUBJECT", subject(&csr.subject)),
        (
            "CERTMONGER_REQ_HOSTNAME",
            names(|name| matches!(name, AlternateName::Domain(_))),
        ),
        (
            "CERTMONGER_REQ_EMAIL",
            names(|name| matches!(name, AlternateName::Email(_))),
        ),
        (
            "CERTMONGER_REQ_IP_ADDRESS",
            names(|name| matches!(name, AlternateName::Ip(_))),
        ),
        ("CERTMONGER_SPKI", BASE64.encode(&csr.public_key_der)),
        ("CERTMONGER_KEY_TYPE", key_type(csr.key).to_owned()),
        (
            "CERTMONGER_CERTIFICATE",
            previous.map_or_else(String::new, |previous| previous.certificate.to_pem()),
        ),
    ]
}

const fn key_type(key: KeyKind) -> &'static str {
    match key {
        KeyKind::Rsa(_) => "RSA",
        KeyKind::Ecdsa(_) => "EC",
        KeyKind::Other => "",
    }
}

/// RFC 4514: the last part first, what has a meaning there escaped.
fn subject(parts: &[(String, String)]) -> String {
    let escaped = |value: &str| {
        let last = value.chars().count().saturating_sub(1);
        let mut text = String::new();
        for (place, c) in value.chars().enumerate() {
            let at_edge = place == 0 && c == '#' || c == ' ' && (place == 0 || place == last);
            if at_edge || "\"+,;<>\\".contains(c) {
                text.push('\\');
            }
            text.push(c);
        }
        text
    };
    let parts = parts.iter().rev();
    let parts: Vec<String> = parts
        .map(|(attribute, value)| format!("{attribute}={}", escaped(value)))
        .collect();
    parts.join(",")
}

/// The form that certmonger itself makes of an answer: `certificate`, and `chain` of texts or of objects.
fn from_json(output: &[u8]) -> Result<Vec<Certificate>, String> {
    #[derive(Deserialize)]
    struct Bundle {
        certificate: String,
        #[serde(default)]
        chain: Vec<Link>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Link {
        Text(String),
        Object { certificate: String },
    }
    let bundle: Bundle = serde_json::from_slice(output).map_err(|error| error.to_string())?;
    let chain = bundle.chain.into_iter().map(|link| match link {
        Link::Text(text) | Link::Object { certificate: text } => text,
    });
    let mut all = Vec::new();
    let mut allowance = Allowance::of_an_answer();
    for text in std::iter::once(bundle.certificate).chain(chain) {
        let read = certificates_within(text.as_bytes(), &mut allowance);
        all.extend(read.map_err(|error| error.to_string())?);
    }
    Ok(all)
}

/// A longer delay is shortened to this: a program that states an absurd delay must not stop a renewal.
const LONGEST_DELAY: SignedDuration = SignedDuration::from_hours(24);
const LAST_LINES: usize = 3;
const WITHOUT_ROOTS: &str = "; a program without this operation ends with status 6";
/// Characters.
const LONGEST_WORDS: usize = 300;
/// Linux takes no variable of more than 128 KiB.
const LONGEST_COOKIE_BYTES: usize = 64 << 10;
