//! An outside program as a CA: any program with the contract of certmonger's enrollment helpers.
//!
//! The contract has no operation that looks an order up. An answer of a program is on disk before renewd acts on it.
//! A program that was killed before it answered is asked once more with the same CSR, so it should take the same CSR
//! for the same order.

mod contract;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod record;
mod run;
mod settings;

#[cfg(test)]
mod tests;

pub(super) use record::display;
pub use settings::Settings;

use async_trait::async_trait;
use std::sync::Arc;

use jiff::Timestamp;

use super::{Issuance, Issuer, PreparedOrder, Reference, SigningRequest};
use crate::env::Env;
use crate::failure::{Failure, FailureKind};
use crate::pki::{Certificate, ends_in_root, path};
use contract::{Operation, ProgramAnswer};
use record::{Records, Standing};
use run::Finished;

/// A CA behind an outside program.
#[derive(Debug)]
pub struct ExecCa {
    settings: Settings,
    records: Records,
    env: Env,
}

impl ExecCa {
    /// A driver for `settings`; nothing is run yet.
    pub fn new(settings: Settings, env: Env) -> Self {
        Self {
            records: Records::new(&settings.records, Arc::clone(&env.random)),
            settings,
            env,
        }
    }

    async fn run(
        &self,
        operation: Operation<'_>,
        request: Option<&SigningRequest>,
    ) -> Result<Finished, Failure> {
        let Settings {
            name,
            program,
            arguments,
            environment,
            timeout,
            ..
        } = &self.settings;
        // Of two values for one variable the last counts: the contract's own is never another.
        let mut variables = vec![("PATH".to_owned(), PATH.to_owned())];
        variables.extend(environment.iter().cloned());
        variables.extend(operation.environment(name, request));
        run::run(program, arguments, &variables, *timeout)
            .await
            .map_err(|stopped| operation.stopped(program, &stopped))
    }

    async fn place(&self, request: &SigningRequest) -> Result<Reference, Failure> {
        let finished = self.run(Operation::Submit, Some(request)).await?;
        let standing = match Operation::Submit.answer(&finished)? {
            ProgramAnswer::Issued(certificates) => Standing::issued(&certificates),
            ProgramAnswer::Wait { cookie, delay } => self.waits(cookie, delay),
            ProgramAnswer::Rejected(words) => return Err(refused(format!("rejected: {words}"))),
            ProgramAnswer::AnotherKey(words) => return Err(refused(another_key(&words))),
        };
        let standing = self.keep(request, standing).await;
        Ok(Reference(standing.to_string()))
    }

    /// The CA's own certificates, of a program that hands out the leaf alone. That it has none to tell is an answer; that
    /// it could not tell them is none, and the firewall may need them.
    async fn roots(&self) -> Result<Vec<Certificate>, Failure> {
        let finished = self.run(Operation::FetchRoots, None).await?;
        Operation::FetchRoots.roots(&finished)
    }

    /// Records an answer before renewd acts on it. If the record cannot be written, the answer is used anyway: it is
    /// valid until renewd stops.
    async fn keep(&self, request: &SigningRequest, standing: Standing) -> Standing {
        let reference = &request.client_reference;
        if let Err(error) = self.records.write(reference, &standing).await {
            tracing::warn!(%error, "an answer could not be recorded");
        }
        standing
    }

    fn waits(&self, cookie: String, delay: Option<jiff::SignedDuration>) -> Standing {
        let now = self.now();
        Standing::Waits {
            until: delay.map(|delay| now.saturating_add(delay).unwrap_or(now)),
            cookie,
        }
    }

    fn now(&self) -> Timestamp {
        self.env.clock.now()
    }

    /// `standing` in the form that the renewal engine takes.
    async fn issuance(
        &self,
        standing: &Standing,
        request: &SigningRequest,
    ) -> Result<Issuance, Failure> {
        match standing {
            Standing::Issued(pem) => {
                let (leaf, mut chain) = issued(pem, request)?;
                let above = path::build(&leaf, &chain, &[], self.now()).certificates;
                if !ends_in_root(&above) {
                    chain.extend(self.roots().await?);
                }
                Ok(Issuance::Issued { leaf, chain })
            }
            Standing::Waits { until, .. } => Ok(Issuance::Pending {
                retry_after: until.map(|until| self.now().duration_until(until)),
                waiting_for: format!("what {} waits for", self.settings.program.display()),
                needs_person: false,
            }),
        }
    }
}

#[async_trait]
impl Issuer for ExecCa {
    /// The contract has no question that only asks: whether the program can be run is all that can be known.
    async fn prepare<'a>(
        &'a self,
        request: &'a SigningRequest,
    ) -> Result<PreparedOrder<'a>, Failure> {
        run::check(&self.settings.program)
            .await
            .map_err(|words| Failure::new(FailureKind::Local, Operation::Submit.name(), words))?;
        Ok(PreparedOrder::new(self.place(request)))
    }

    /// Only what the program has answered can be known.
    /// It is written here, in several lines; what the program puts into it was bounded when it was read.
    fn reference_objection(&self, _reference: &Reference) -> Option<String> {
        None
    }

    async fn find(&self, request: &SigningRequest) -> Result<Option<Reference>, Failure> {
        let standing = self.records.read(&request.client_reference).await?;
        Ok(standing.map(|standing| Reference(standing.to_string())))
    }

    async fn poll(&self, order: &Reference, request: &SigningRequest) -> Result<Issuance, Failure> {
        let standing = match self.records.read(&request.client_reference).await? {
            Some(standing) => standing,
            None => order.0.parse().map_err(|error| {
                Failure::new(FailureKind::Local, "read the stored reference", error)
            })?,
        };
        let cookie = match &standing {
            Standing::Waits { until, cookie } if until.is_none_or(|until| until <= self.now()) => {
                cookie
            }
            _ => return self.issuance(&standing, request).await,
        };
        let operation = Operation::Poll(cookie);
        let finished = self.run(operation, Some(request)).await?;
        let standing = match operation.answer(&finished)? {
            ProgramAnswer::Issued(certificates) => Standing::issued(&certificates),
            ProgramAnswer::Wait { cookie, delay } => self.waits(cookie, delay),
            ProgramAnswer::Rejected(reason) => return Ok(Issuance::Refused { reason }),
            ProgramAnswer::AnotherKey(words) => {
                let reason = another_key(&words);
                return Ok(Issuance::Refused { reason });
            }
        };
        let standing = self.keep(request, standing).await;
        self.issuance(&standing, request).await
    }

    async fn check(&self) -> Result<Vec<(String, String)>, Failure> {
        let finished = self.run(Operation::Identify, None).await?;
        let words = contract::words(&finished);
        let identity = match finished.status.code() {
            Some(0) => words,
            // The operation is optional.
            Some(6) => "it does not say".to_owned(),
            _ => {
                let words = format!("{}: {words}", finished.status);
                let call = Operation::Identify.name();
                return Err(Failure::new(FailureKind::Local, call, words));
            }
        };
        let program = self.settings.program.display().to_string();
        Ok(vec![
            ("program".to_owned(), program),
            ("identifies itself as".to_owned(), identity),
        ])
    }
}

/// The certificate with our key, else the first, and the others.
fn issued(
    pem: &str,
    request: &SigningRequest,
) -> Result<(Box<Certificate>, Vec<Certificate>), Failure> {
    let problem =
        |words: String| Failure::new(FailureKind::Unexpected, "read what was issued", words);
    let mut all = Certificate::all_from_pem(pem).map_err(|error| problem(error.to_string()))?;
    if all.is_empty() {
        return Err(problem("it holds no certificate".to_owned()));
    }
    let place = all.iter().position(|one| is_ours(one, request));
    let leaf = Box::new(all.remove(place.unwrap_or(0)));
    Ok((leaf, all))
}

fn is_ours(certificate: &Certificate, request: &SigningRequest) -> bool {
    certificate.public_key == request.csr.public_key
}

fn another_key(words: &str) -> String {
    format!("the CA requires another key pair; the next renewal generates one: {words}")
}

fn refused(words: String) -> Failure {
    Failure::new(FailureKind::Refused, Operation::Submit.name(), words)
}

/// What Debian gives a service.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
