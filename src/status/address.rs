//! What is wrong with what an address serves, in words, and what an operator does about it.

use crate::inventory::{AddressProblem, TrackedCertificate};
use crate::pki::Fingerprint;

/// What is wrong, to be put behind the address.
pub(super) fn words(problem: AddressProblem<'_>) -> String {
    match problem {
        AddressProblem::Unreachable(outage) => {
            format!("serves nothing since {:.0}: {}", outage.since, outage.words)
        }
        AddressProblem::Unknown(unknown) => format!(
            "serves since {:.0} a certificate that does not count: {}",
            unknown.since, unknown.words
        ),
        AddressProblem::PutBack(known) => format!(
            "serves SHA-256 {}, which renewd has replaced: an older binding was put back",
            known.fingerprint
        ),
        AddressProblem::Untrusted(known) => format!(
            "is the management page and serves SHA-256 {}, which no pin accepts: renewd does not log in there",
            known.fingerprint
        ),
    }
}

/// What an operator does about it.
pub(super) fn remedy(problem: AddressProblem<'_>, row: &TrackedCertificate) -> String {
    let (name, firewall) = (&row.name, &row.firewall);
    match problem {
        AddressProblem::Unreachable(_) => {
            let first = if row.current.is_none() {
                format!(
                    "; for a first certificate, where nothing is served yet: renewd renew {name}"
                )
            } else {
                String::new()
            };
            format!(
                "check that the address in `endpoints` is right and its service on {firewall} is on; it is looked at again \
                 by itself{first}"
            )
        }
        AddressProblem::Unknown(unknown) => format!(
            "check who put it there; when it is right: renewd adopt {name} --fingerprint {}; to replace it: renewd renew \
             {name}",
            unknown.fingerprint
        ),
        AddressProblem::PutBack(_) => format!(
            "find out who put it back: an administrator of {firewall}, or a central management (NSM or GMS) whose stored \
             copy has to be brought up to date; to bind the renewed certificate again: renewd renew {name}"
        ),
        AddressProblem::Untrusted(known) => trust_remedy(firewall, &known.fingerprint),
    }
}

/// The management page of `firewall`, which no certificate has in `endpoints`, serves a certificate that no pin accepts.
pub(super) fn untrusted_page(firewall: &str, fingerprint: &Fingerprint) -> String {
    format!(
        "the management page of {firewall} serves SHA-256 {fingerprint}, which no pin accepts: renewd does not log in there"
    )
}

/// What an operator does about a management page that no pin accepts.
pub(super) fn trust_remedy(firewall: &str, fingerprint: &Fingerprint) -> String {
    format!(
        "compare it with the console of {firewall}; when it is the right device, add sha256 \"{fingerprint}\" to its `trust`"
    )
}
