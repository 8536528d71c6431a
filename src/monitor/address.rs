//! Compares what one address serves with what renewd knows. It decides what counts from now on, and what is reported.
//!
//! A condition is reported once, and again only when it has been over for a while. An address that alternates between
//! reachable and unreachable does not flood the operator's mailbox.

use std::mem::discriminant;

use jiff::{SignedDuration, Timestamp};

use crate::event::EventKind;
use crate::inventory::{
    Condition, Endpoint, ManagedCertificate, Served, ServedCertificate, Unknown, Unreachable,
};
use crate::pki::{self, Certificate, Fingerprint};
use crate::probe::ProbeResult;
use crate::renewal::known::{Familiarity, Knowledge};
use crate::store::Report;

/// One probe of the addresses of a certificate.
#[derive(Debug)]
pub(super) struct Address<'a> {
    /// What is wanted.
    pub wanted: &'a ManagedCertificate,
    /// Which certificates are known.
    pub knowledge: &'a Knowledge<'a>,
    /// Who may have put an older binding back, in words.
    pub cause_of_put_back: &'a str,
    /// Where the firewall serves its management page.
    pub management: Option<Endpoint>,
    /// The fingerprints that a login to the firewall accepts; `None`: it does not use fingerprints, or that is not
    /// known.
    pub pins: Option<Vec<Fingerprint>>,
    /// Whether nothing that renewd knows was ever served for the certificate: then what is unknown makes it due.
    pub is_first: bool,
    /// When the probe began: what was stored since then counts more.
    pub started: Timestamp,
    /// When it had ended.
    pub now: Timestamp,
}

/// What was seen at an address.
#[derive(Debug)]
pub(super) struct ProbedAddress {
    pub served: Served,
    pub reports: Vec<Report>,
    pub verified_by_chain: Option<Fingerprint>,
    /// Whether the probe before saw a certificate there that renewd does not know.
    was_unknown: bool,
}

impl Address<'_> {
    /// What `probed` means for `address`, of which `before` is known.
    pub(super) fn at(
        &self,
        address: &str,
        probed: &ProbeResult,
        before: Option<&Served>,
    ) -> ProbedAddress {
        let mut seen = ProbedAddress {
            served: Served {
                address: address.to_owned(),
                known: None,
                is_wanted: true,
                unknown: None,
                unreachable: None,
                unreachable_reported_at: before.and_then(|before| before.unreachable_reported_at),
                reported: before.and_then(|before| before.reported),
                probed_at: self.started,
            },
            reports: Vec::new(),
            verified_by_chain: None,
            was_unknown: before.is_some_and(|before| before.unknown.is_some()),
        };
        match probed {
            ProbeResult::Unreachable(why) => {
                // What it presented last is still what is wrong with it.
                seen.served.unknown = before.and_then(|before| before.unknown.clone());
                self.unreachable(&mut seen, before, why);
            }
            ProbeResult::Unreadable(fingerprint, why) => {
                let words = format!("SHA-256 {fingerprint}, which cannot be read: {why}");
                let condition = Condition::Unreadable(*fingerprint);
                let kind = EventKind::CertificateUnreadable;
                self.unknown(&mut seen, before, *fingerprint, &words);
                let words = format!("{address} serves {words}; {}", self.advice(*fingerprint));
                self.report(&mut seen, Some((condition, kind, words)));
            }
            ProbeResult::Served(certificate, _) => {
                self.presented(&mut seen, before, certificate, probed);
            }
        }
        seen
    }

    fn presented(
        &self,
        seen: &mut ProbedAddress,
        before: Option<&Served>,
        certificate: &Certificate,
        probed: &ProbeResult,
    ) {
        let fingerprint = certificate.fingerprint;
        let familiarity = self.knowledge.judge(probed, self.now);
        let address = seen.served.address.clone();
        let untrusted = self.untrusted(&address, &fingerprint);
        let problem = match familiarity.map(|(_, familiarity)| familiarity) {
            None => None,
            Some(Familiarity::PutBack(words)) => {
                self.known(seen, certificate);
                let words = format!(
                    "{address} serves {words}: an older binding was put back, {}; to bind the renewed certificate again \
                     at once: renewd renew {}",
                    self.cause_of_put_back, self.wanted.name
                );
                let condition = Condition::PutBack(fingerprint);
                let problem = Some((condition, EventKind::BindingPutBack, words));
                let is_news = self.report(seen, problem);
                Self::report_untrusted(seen, untrusted.filter(|_| is_news));
                return;
            }
            Some(Familiarity::Unknown(words)) => {
                self.unknown(seen, before, fingerprint, &words);
                let words = format!(
                    "{address} serves a certificate that renewd does not know: {words}; {}",
                    self.consequence(fingerprint)
                );
                let condition = match &untrusted {
                    Some((untrusted, ..)) => *untrusted,
                    None => Condition::Unknown(fingerprint),
                };
                let is_news = self.report(
                    seen,
                    Some((condition, EventKind::CertificateUnknown, words)),
                );
                Self::report_untrusted(seen, untrusted.filter(|_| is_news));
                return;
            }
            Some(known @ (Familiarity::Known | Familiarity::KnownByChain)) => {
                let differences = self.known(seen, certificate);
                let is_new = known == Familiarity::KnownByChain;
                seen.verified_by_chain = is_new.then_some(fingerprint);
                untrusted.or_else(|| {
                    let other = before.and_then(|before| before.known.as_ref());
                    let is_other = other.is_some_and(|other| other.fingerprint != fingerprint);
                    (is_new && is_other).then(|| replaced(&address, certificate, &differences))
                })
            }
        };
        self.report(seen, problem);
    }

    /// It is what counts from now on; how it differs from what is wanted.
    fn known(&self, seen: &mut ProbedAddress, certificate: &Certificate) -> Vec<String> {
        let differences = pki::differences_from_request(certificate, &self.wanted.request);
        seen.served.known = Some(ServedCertificate::of(certificate, self.started));
        seen.served.is_wanted = differences.is_empty();
        differences
    }

    /// The management page serves a certificate by which a login is refused: that is said now and not when a renewal needs
    /// the login.
    fn untrusted(
        &self,
        address: &str,
        fingerprint: &Fingerprint,
    ) -> Option<(Condition, EventKind, String)> {
        let is_management = self
            .management
            .as_ref()
            .is_some_and(|management| management.to_string() == address);
        let pins = self.pins.as_ref().filter(|_| is_management)?;
        (!pins.contains(fingerprint)).then(|| {
            let words = no_pin(address, fingerprint, &self.wanted.firewall);
            let condition = Condition::Untrusted(*fingerprint);
            (condition, EventKind::ManagementCertificateUntrusted, words)
        })
    }

    /// Reports now, and not only when a renewal needs the login, that no pin accepts what the management page serves.
    fn report_untrusted(
        seen: &mut ProbedAddress,
        untrusted: Option<(Condition, EventKind, String)>,
    ) {
        let reports = untrusted.map(|(_, kind, words)| Report { kind, words });
        seen.reports.extend(reports);
    }

    fn unknown(
        &self,
        seen: &mut ProbedAddress,
        before: Option<&Served>,
        fingerprint: Fingerprint,
        words: &str,
    ) {
        let since = before
            .and_then(|before| before.unknown.as_ref())
            .filter(|unknown| unknown.fingerprint == fingerprint)
            .map_or(self.started, |unknown| unknown.since);
        seen.served.unknown = Some(Unknown {
            fingerprint,
            since,
            words: words.to_owned(),
        });
    }

    /// The consequence of an unknown certificate, and what an operator can do about it.
    fn consequence(&self, fingerprint: Fingerprint) -> String {
        let name = &self.wanted.name;
        if self.is_first {
            return format!(
                "nothing that renewd knows was served for {name} before, so a renewal replaces it now (not_yet_issued); to \
                 keep it until it has to be renewed: renewd adopt {name} --fingerprint {fingerprint}, before the renewal \
                 has placed its order"
            );
        }
        format!(
            "it changes nothing before it is checked; {}",
            self.advice(fingerprint)
        )
    }

    fn advice(&self, fingerprint: Fingerprint) -> String {
        let name = &self.wanted.name;
        format!(
            "when it is right: renewd adopt {name} --fingerprint {fingerprint}; to replace it: renewd renew {name}"
        )
    }

    /// An operator is notified at the second unreachable probe in a row, once for each outage.
    fn unreachable(&self, seen: &mut ProbedAddress, before: Option<&Served>, why: &str) {
        let outage = before.and_then(|before| before.unreachable.as_ref());
        let since = outage.map_or(self.started, |outage| outage.since);
        seen.served.unreachable = Some(Unreachable {
            since,
            words: why.to_owned(),
        });
        let last = seen.served.unreachable_reported_at;
        let is_reported = last.is_some_and(|at| at >= since);
        if outage.is_some() && !is_reported && last.is_none_or(|at| self.is_long_ago(at)) {
            seen.served.unreachable_reported_at = Some(self.now);
            seen.reports.push(Report {
                kind: EventKind::EndpointUnreachable,
                words: format!("{}: {why}", seen.served.address),
            });
        }
    }

    /// Reports `problem` unless it was reported already.
    /// `true`: it was not.
    fn report(
        &self,
        seen: &mut ProbedAddress,
        problem: Option<(Condition, EventKind, String)>,
    ) -> bool {
        let Some((condition, kind, words)) = problem else {
            let served = seen.served.known.as_ref().map(|known| known.fingerprint);
            seen.served.reported = seen.served.reported.filter(|(condition, at)| {
                // The same certificate is right by now: an operator has changed the trust, or accepted it.
                Some(condition.fingerprint()) != served && !self.is_long_ago(*at)
            });
            return false;
        };
        if let Some((reported, at)) = seen.served.reported {
            // An address that presents another unknown one each time is one condition: `status` shows the last.
            let goes_on = seen.was_unknown && discriminant(&reported) == discriminant(&condition);
            if reported == condition || (goes_on && !self.is_long_ago(at)) {
                return false;
            }
        }
        seen.served.reported = Some((condition, self.now));
        seen.reports.push(Report { kind, words });
        true
    }

    fn is_long_ago(&self, at: Timestamp) -> bool {
        at.duration_until(self.now) >= QUIET
    }
}

/// The management page of `firewall` serves a certificate that no pin accepts.
pub(super) fn no_pin(address: &str, fingerprint: &Fingerprint, firewall: &str) -> String {
    format!(
        "{address} serves SHA-256 {fingerprint}, which no pin of {firewall} names: renewd will not log in there; when it is \
         the right device, add that fingerprint to its trust"
    )
}

/// Another certificate of a trusted CA: it is what counts from now on, or it is not what was asked for.
fn replaced(
    address: &str,
    certificate: &Certificate,
    differences: &[String],
) -> (Condition, EventKind, String) {
    let (fingerprint, until) = (certificate.fingerprint, certificate.not_after);
    let condition = Condition::Replaced(fingerprint);
    if differences.is_empty() {
        let words = format!("{address} serves SHA-256 {fingerprint}, valid until {until:.0}");
        return (condition, EventKind::CertificateReplacedExternally, words);
    }
    let words = format!("{address}: {}", differences.join("; "));
    (condition, EventKind::CertificateMismatch, words)
}

/// A condition that comes back sooner than this after it was reported is not reported again.
const QUIET: SignedDuration = SignedDuration::from_hours(6);
