//! What the addresses of a certificate serve, before the bind, after it, and after a roll-back.

use jiff::Timestamp;

use super::{StepContext, StepError};
use crate::event::{Event, EventKind};
use crate::inventory::Service;
use crate::pki::Fingerprint;
use crate::probe::{self, ProbeResult, Verdict};
use crate::renewal::known::{Familiarity, PreviousServed};

/// What each address served just before the bind.
#[derive(Debug)]
pub(super) struct Previous {
    /// `None`: an earlier renewd stored the bind, or it was not renewd that bound.
    addresses: Option<Vec<PreviousServed>>,
    /// What an earlier renewd stored of the first address.
    first: Option<Fingerprint>,
}

/// How far the new certificate is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The addresses that serve it.
    pub new_at: Vec<String>,
    /// What speaks against it, an address at a time.
    pub against: Vec<String>,
    /// The same of addresses that served nothing before the bind: reported, and no reason to roll back.
    pub late: Vec<String>,
}

impl Previous {
    pub(super) fn of(context: &StepContext<'_>) -> Result<Self, StepError> {
        let obtained = &context.renewal().obtained;
        let addresses = obtained.previous_served.as_deref();
        let addresses = addresses
            .map(PreviousServed::parse_all)
            .transpose()
            .map_err(|error| {
                StepError::Permanent(format!("the stored certificates before the bind: {error}"))
            })?;
        Ok(Self {
            addresses,
            first: obtained.previous_fingerprint,
        })
    }

    /// What `address` served; `None` where it served nothing, or where that is not known.
    fn at(&self, address: &str) -> Option<Fingerprint> {
        match &self.addresses {
            Some(addresses) => addresses
                .iter()
                .find(|one| one.address == address)
                .and_then(PreviousServed::fingerprint),
            None => self.first,
        }
    }

    /// When everything that served `service` before the bind has ended by `now`: the last of these ends. `None`: something
    /// has not, or that is not known. `management` is where the management page is; where it is not among the addresses,
    /// or is the only one, all of them speak for either service.
    pub(super) fn ended(
        &self,
        service: Service,
        management: Option<&str>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let addresses = self.addresses.as_ref()?;
        let served = |wanted: bool| -> Vec<&PreviousServed> {
            let is_management = |one: &&PreviousServed| Some(one.address.as_str()) == management;
            let is_theirs = |one: &&PreviousServed| is_management(one) == wanted;
            let answered = addresses.iter().filter(|one| one.fingerprint().is_some());
            answered.filter(is_theirs).collect()
        };
        let mut theirs = served(service == Service::WebManagement);
        if theirs.is_empty() {
            theirs = served(service != Service::WebManagement);
        }
        let ends: Option<Vec<Timestamp>> = theirs.iter().map(|one| one.not_after).collect();
        ends?.into_iter().max().filter(|end| *end <= now)
    }

    /// Judges whether `new` is served: by every address that served something before the bind. Where none did, as at a
    /// first installation, or where that is not known, by every address.
    pub(super) fn proof(&self, results: &[(String, ProbeResult)], new: &Fingerprint) -> Proof {
        let answered = |address: &str| self.at(address).is_some();
        let is_partial = results.iter().any(|(address, _)| answered(address));
        let mut proof = Proof {
            new_at: Vec::new(),
            against: Vec::new(),
            late: Vec::new(),
        };
        for (address, probed) in results {
            let old = self.at(address);
            match doubt(address, &probe::judge(probed, new, old.as_ref())) {
                None => proof.new_at.push(address.clone()),
                Some(doubt) if is_partial && !answered(address) => proof.late.push(doubt),
                Some(doubt) => proof.against.push(doubt),
            }
        }
        proof
    }

    /// What differs from what was served before the bind, an address at a time; `new` is not to be served any more.
    pub(super) fn differences(
        &self,
        results: &[(String, ProbeResult)],
        new: &Fingerprint,
    ) -> Vec<String> {
        let difference = |(address, probed): &(String, ProbeResult)| {
            let now = probe::judge(probed, new, None);
            match (self.at(address), now) {
                (_, Verdict::New) => Some(format!("{address} still serves the new certificate")),
                (Some(before), Verdict::Other(other)) if before != other => Some(format!(
                    "{address} serves SHA-256 {other} and served {before} before"
                )),
                (Some(before), Verdict::Unreachable(why)) => Some(format!(
                    "{address} serves nothing ({why}) and served SHA-256 {before} before"
                )),
                // Where nothing was served before, nothing is expected, and what is served is as good.
                _ => None,
            }
        };
        results.iter().filter_map(difference).collect()
    }
}

fn doubt(address: &str, verdict: &Verdict) -> Option<String> {
    match verdict {
        Verdict::New => None,
        Verdict::OldStillServed => Some(format!("{address} still shows the old certificate")),
        Verdict::Other(other) => Some(format!(
            "{address} shows another certificate (SHA-256 {other})"
        )),
        Verdict::Unreachable(why) => Some(format!("{address} shows none: {why}")),
    }
}

/// Reports, before anything is ordered, the addresses that serve nothing or a certificate that is not known. An
/// operator decides about them; nothing waits for it.
pub(super) async fn report_unready(context: &StepContext<'_>) -> Result<(), StepError> {
    let renewal = context.renewal();
    if renewal.attempts > 0 || renewal.last_error_kind.is_some() {
        return Ok(());
    }
    let knowledge = context.knowledge().await?;
    let unready = |(address, probed): &(String, ProbeResult)| match probed {
        ProbeResult::Unreachable(why) => Some(format!("{address} serves nothing: {why}")),
        ProbeResult::Unreadable(fingerprint, why) => Some(format!(
            "{address} serves SHA-256 {fingerprint}, which cannot be read: {why}"
        )),
        ProbeResult::Served(..) => match knowledge.judge(probed, context.now)?.1 {
            Familiarity::Known | Familiarity::KnownByChain => None,
            Familiarity::PutBack(words) => Some(format!("{address} serves {words}")),
            Familiarity::Unknown(words) => Some(format!(
                "{address} serves a certificate that renewd does not know: {words}"
            )),
        },
    };
    let words: Vec<String> = context.results().await.iter().filter_map(unready).collect();
    if words.is_empty() {
        return Ok(());
    }
    let event = Event {
        detail: Some(format!(
            "{}; is the address right, and is the service on?",
            words.join("; ")
        )),
        ..context.event(EventKind::EndpointNotReady)
    };
    context
        .store
        .record_under(context.lease, std::slice::from_ref(&event), context.now)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use super::*;
    use crate::pki::Certificate;
    use crate::pki::testing::Authority;

    const ONE: &str = "vpn.example.com:443";
    const OTHER: &str = "vpn.example.com:4433";

    fn certificate(name: &str) -> Certificate {
        Authority::root(name).certificate
    }

    fn shows(address: &str, certificate: &Certificate) -> (String, ProbeResult) {
        let probed = ProbeResult::Served(Box::new(certificate.clone()), Vec::new());
        (address.to_owned(), probed)
    }

    fn silent(address: &str) -> (String, ProbeResult) {
        (
            address.to_owned(),
            ProbeResult::Unreachable("refused".to_owned()),
        )
    }

    fn before(results: &[(String, ProbeResult)]) -> Previous {
        let addresses = results
            .iter()
            .map(|(address, probed)| PreviousServed::of(address.clone(), probed));
        Previous {
            addresses: Some(addresses.collect()),
            first: None,
        }
    }

    #[test]
    fn an_address_that_served_nothing_before_is_reported_and_proves_nothing() {
        let (old, new) = (certificate("old"), certificate("new"));
        let previous = before(&[shows(ONE, &old), silent(OTHER)]);
        let new_at_one = [shows(ONE, &new), silent(OTHER)];
        let proof = previous.proof(&new_at_one, &new.fingerprint);
        assert_eq!(proof.new_at, [ONE]);
        assert!(proof.against.is_empty());
        assert!(proof.late.len() == 1 && proof.late[0].contains(OTHER));
        let proof = previous.proof(&[shows(ONE, &old), shows(OTHER, &new)], &new.fingerprint);
        assert!(proof.against.len() == 1 && proof.against[0].contains(ONE));
    }

    #[test]
    fn where_nothing_was_served_before_every_address_has_to_serve_the_new_certificate() {
        let new = certificate("new");
        let previous = before(&[silent(ONE), silent(OTHER)]);
        let half = [shows(ONE, &new), silent(OTHER)];
        assert_eq!(previous.proof(&half, &new.fingerprint).against.len(), 1);
        let whole = [shows(ONE, &new), shows(OTHER, &new)];
        assert!(previous.proof(&whole, &new.fingerprint).against.is_empty());
    }

    #[test]
    fn a_foreign_address_speaks_against_the_proof() {
        let (old, new) = (certificate("old"), certificate("new"));
        let foreign = certificate("foreign");
        let previous = before(&[shows(ONE, &old), shows(OTHER, &foreign)]);
        let bound = [shows(ONE, &new), shows(OTHER, &foreign)];
        assert_eq!(previous.proof(&bound, &new.fingerprint).against.len(), 1);
    }

    #[test]
    fn what_was_served_before_has_ended_for_a_service_when_all_of_it_has() {
        let certificate = certificate("old");
        let end = certificate.not_after;
        let moment = jiff::SignedDuration::from_secs(1);
        let (sooner, later) = (end - moment, end + moment);
        let previous = |one: Timestamp, other: Option<Timestamp>| {
            let mut previous = before(&[shows(ONE, &certificate), shows(OTHER, &certificate)]);
            let addresses = previous.addresses.as_mut().unwrap();
            addresses[0].not_after = Some(one);
            addresses[1].not_after = other;
            previous
        };
        let (management, vpn) = (Service::WebManagement, Service::SslVpn);
        let both = previous(sooner, Some(end));
        assert_eq!(both.ended(management, Some(ONE), end), Some(sooner));
        assert_eq!(both.ended(vpn, Some(ONE), end), Some(end));
        // Where it is not known which address is whose, all of them count.
        assert_eq!(both.ended(management, None, end), Some(end));
        let one = previous(sooner, Some(later));
        assert_eq!(one.ended(management, Some(ONE), end), Some(sooner));
        assert_eq!(one.ended(vpn, Some(ONE), end), None);
        assert_eq!(one.ended(management, None, end), None);
        assert_eq!(previous(sooner, None).ended(vpn, Some(ONE), end), None);
    }

    #[test]
    fn a_roll_back_is_proven_by_what_each_address_served_before() {
        let (old, other, new) = (certificate("old"), certificate("other"), certificate("new"));
        let previous = before(&[shows(ONE, &old), shows(OTHER, &other)]);
        let back = [shows(ONE, &old), shows(OTHER, &other)];
        let differences = |results: &[(String, ProbeResult)]| {
            previous.differences(results, &new.fingerprint).len()
        };
        assert_eq!(differences(&back), 0);
        assert_eq!(differences(&[shows(ONE, &other), shows(OTHER, &other)]), 1);
        assert_eq!(differences(&[shows(ONE, &new), silent(OTHER)]), 2);

        let previous = before(&[shows(ONE, &old), silent(OTHER)]);
        let differences = |probed| {
            previous
                .differences(&[shows(ONE, &old), probed], &new.fingerprint)
                .len()
        };
        assert_eq!(differences(silent(OTHER)), 0);
        assert_eq!(differences(shows(OTHER, &other)), 0);
        assert_eq!(differences(shows(OTHER, &new)), 1);
    }
}
