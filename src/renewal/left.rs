//! A certificate that left the configuration, or moved in it, while a renewal of it was bound: the renewal is brought to its
//! end by what is stored, because nothing may be given up between bind and proof.

use std::sync::Arc;

use jiff::SignedDuration;

use super::known::PreviousServed;
use crate::firewall::Binding;
use crate::inventory::{
    Endpoint, KeyOrigin, ManagedCertificate, Renewal, RenewalPolicy, State, TrackedCertificate,
    Urgent,
};
use crate::pki::{Certificate, Digest, KeyRequest, Subject};

/// What `renewal` bound, as the step before the bind stored it; `None` where it did not get so far, or where it is not
/// known at which addresses it can be verified.
pub(super) fn as_bound(
    renewal: &Renewal,
    tracked: &TrackedCertificate,
) -> Option<ManagedCertificate> {
    if !matches!(
        renewal.state,
        State::Bound | State::Verified | State::VerificationFailed
    ) {
        return None;
    }
    let obtained = &renewal.obtained;
    let leaf = Certificate::from_pem(obtained.leaf_pem.as_deref()?).ok()?;
    let endpoints = addresses(renewal, tracked);
    if endpoints.is_empty() {
        return None;
    }
    let bindings: Vec<Binding> = obtained
        .previous_bindings
        .as_deref()
        .and_then(|json| serde_json::from_str(json).ok())
        .unwrap_or_default();
    Some(ManagedCertificate {
        name: Arc::clone(&renewal.certificate),
        firewall: Arc::clone(&renewal.firewall),
        ca: Arc::clone(&renewal.ca),
        request: KeyRequest {
            subject: Subject {
                common_name: leaf.common_name,
                ..Subject::default()
            },
            alternate_names: leaf.alternate_names,
            key: leaf.key,
            digest: Digest::Sha256,
        },
        key_origin: KeyOrigin::default(),
        services: bindings.iter().map(|binding| binding.service).collect(),
        endpoints,
        policy: RenewalPolicy {
            renew_after: None,
            verify_timeout: VERIFY_TIMEOUT,
            urgent: Urgent::default(),
        },
    })
}

fn addresses(renewal: &Renewal, tracked: &TrackedCertificate) -> Vec<Endpoint> {
    let previous = renewal.obtained.previous_served.as_deref();
    let previous = previous
        .and_then(|json| PreviousServed::parse_all(json).ok())
        .unwrap_or_default();
    let stored = previous.iter().map(|one| one.address.as_str());
    let mut addresses: Vec<Endpoint> = stored.filter_map(|text| text.parse().ok()).collect();
    if addresses.is_empty() && tracked.firewall == renewal.firewall {
        let served = tracked.served.iter();
        let known = served.filter(|one| !one.address.is_empty());
        addresses.extend(known.filter_map(|one| one.address.parse().ok()));
    }
    addresses
}

/// As where none is configured.
const VERIFY_TIMEOUT: SignedDuration = SignedDuration::from_mins(2);
