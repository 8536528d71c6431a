//! One order and its states: pending, proved, active; renewed, reissued, deleted (purchase API reference 4.2, 4.3).
//! Decides when a certificate is signed; takes no money and writes no JSON.

use serde_json::{Map, Value};
use time::{Duration, OffsetDateTime};

use super::dcv::{Method, Proof, Wanted};
use super::ledger::Payment;
use super::settings::Plan;
use super::switch::DeletedAs;
use super::variants::Variants;
use crate::ca::{Csr, Issued, Office, Tier};

/// An "SSL Certificate" of the API.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) id: String,
    pub(super) plan: Plan,
    pub(super) client_reference: Option<String>,
    /// Company, address and approver as they were sent.
    pub(super) contact: Map<String, Value>,
    pub(super) current: Option<Current>,
    pub(super) job: Option<Job>,
    /// A final status word.
    pub(super) ended: Option<String>,
    pub(super) deleted: bool,
    /// Answers that still contain the state before the job.
    pub(super) stale_answers: u32,
    /// Lists that do not show it yet.
    pub(super) hidden_lists: u32,
    pub(super) payments: Vec<Payment>,
    pub(super) ordered: OffsetDateTime,
}

/// The certificate of the order, and its source.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) csr: Csr,
    pub(super) issued: Issued,
}

/// A purchase or a reissue that is under way.
#[derive(Debug)]
pub(super) struct Job {
    /// Distinguishes the outcome of a look from one for an earlier job.
    pub(super) number: u64,
    pub(super) csr: Csr,
    pub(super) proof: Proof,
    pub(super) names: Vec<NameProof>,
    /// Whether the organization is vetted, or needs no vetting.
    pub(super) vetted: bool,
    /// A reissue ends when the certificate before it would have ended.
    pub(super) ends: Option<OffsetDateTime>,
    /// Reads that still return pending after everything is validated.
    pub(super) reads_left: u32,
    /// Reads of the details that do not list the records yet.
    pub(super) details_hidden: u32,
    /// Reads since the shop looked by itself.
    pub(super) reads_since_look: u32,
}

/// How far the proof of one name is.
#[derive(Debug, Clone)]
pub(super) struct NameProof {
    pub(super) name: String,
    pub(super) method: Method,
    pub(super) email: Option<String>,
    pub(super) proved: bool,
    /// The last result of a look, for display.
    pub(super) seen: String,
}

impl Order {
    /// The word that answers show.
    pub(super) fn status(&self, variants: &Variants) -> &str {
        match (&self.ended, &self.job) {
            (Some(word), _) => word,
            _ if self.deleted && variants.deleted_as == DeletedAs::Deleted => "deleted",
            _ if self.deleted => "cancelled",
            (None, Some(_)) if self.is_stale() => "active",
            (None, Some(_)) => "pending",
            (None, None) => "active",
        }
    }

    /// Whether the API still returns it.
    pub(super) fn is_known(&self, variants: &Variants) -> bool {
        !self.deleted || variants.deleted_as != DeletedAs::Gone
    }

    /// Whether it can be renewed, reissued, validated or deleted.
    pub(super) fn is_open(&self) -> bool {
        !self.deleted && self.ended.is_none()
    }

    /// A read of a validated order advances it.
    pub(super) fn bring_on(&mut self, variants: &Variants, office: &mut Office) {
        if self.is_stale() || !self.is_open() {
            return;
        }
        let Some(job) = self.job.as_mut().filter(|job| job.is_proved()) else {
            return;
        };
        if job.reads_left > 0 {
            job.reads_left -= 1;
        } else {
            self.finish(variants, office);
        }
    }

    /// Signs, or ends the order as the switch defines.
    pub(super) fn finish(&mut self, variants: &Variants, office: &mut Office) {
        let Some(job) = self.job.take() else {
            return;
        };
        let outcome = match &variants.ends_as {
            Some(word) => Err(word.clone()),
            None => job.sign(office).map_err(|_| "failed".to_owned()),
        };
        match outcome {
            Ok(issued) => {
                self.current = Some(Current {
                    csr: job.csr,
                    issued,
                });
            }
            Err(word) => {
                office.order_failed(&job.csr);
                self.ended = Some(word);
                self.job = Some(job);
            }
        }
    }

    /// The end of the certificate.
    pub(super) fn ends(&self) -> Option<OffsetDateTime> {
        Some(self.current.as_ref()?.issued.not_after)
    }

    /// When the certificate, or with the switch the plan's term, ends (4.3).
    pub(super) fn expires(&self, variants: &Variants) -> Option<OffsetDateTime> {
        let ends = self.ends()?;
        let months = i64::from(self.plan.interval_months);
        Some(if variants.expires_with_term {
            self.ordered + Duration::days(30 * months)
        } else {
            ends
        })
    }

    /// The request that download-csr gives: the newest, or with the switch the one of the certificate.
    pub(super) fn csr(&self, variants: &Variants) -> Option<&Csr> {
        let current = self.current.as_ref().map(|current| &current.csr);
        let job = self.job.as_ref().map(|job| &job.csr);
        if variants.csr_lags {
            current.or(job)
        } else {
            job.or(current)
        }
    }

    fn is_stale(&self) -> bool {
        self.stale_answers > 0 && self.current.is_some() && self.job.is_some()
    }
}

impl Job {
    pub(super) fn is_proved(&self) -> bool {
        self.vetted && self.names.iter().all(|name| name.proved)
    }

    /// The expected record for each name that is not validated. `None` where the subscriber has to act.
    pub(super) fn wanted(&self) -> Vec<(String, Option<Wanted>)> {
        let open = self.names.iter().filter(|name| !name.proved);
        open.map(|name| (name.name.clone(), self.wanted_for(name)))
            .collect()
    }

    fn wanted_for(&self, name: &NameProof) -> Option<Wanted> {
        match name.method {
            Method::Email => None,
            Method::Dns => Some(Wanted::Record {
                name: self.proof.record(&name.name),
                value: self.proof.cname(),
            }),
            Method::File => Some(Wanted::File {
                host: name.name.clone(),
                path: self.proof.path(),
                contents: self.proof.contents(),
            }),
        }
    }

    /// The outcome of a look.
    pub(super) fn looked(&mut self, name: &str, outcome: &Result<(), String>) {
        for row in self.names.iter_mut().filter(|row| row.name == name) {
            row.proved = outcome.is_ok();
            row.seen = outcome.clone().err().unwrap_or_default();
        }
    }

    /// The subscriber follows the links in the mails.
    pub(super) fn approve(&mut self) {
        for name in &mut self.names {
            name.proved |= name.method == Method::Email;
        }
    }

    fn sign(&self, office: &mut Office) -> Result<Issued, String> {
        let lifetime = match self.ends {
            Some(ends) => ends - office.begin(),
            None => office.lifetime(),
        };
        office.sign(&self.csr, Tier::Intermediate, lifetime, false)
    }
}
