//! Which of the CA's rate limits an order uses up (CA rules reference 4). Pure.

use std::net::{IpAddr, Ipv6Addr};

use jiff::{SignedDuration, Timestamp};

use super::names::Identifier;
use super::{Limit, Limits};
use crate::ca::SigningRequest;
use crate::inventory::RateLimit;
use crate::pki::{AlternateName, Certificate};

/// The limits that count an order of `names` at `now`.
///
/// A renewal inside the window that the CA named itself is counted by none. One of the same names within 120 days is
/// counted by that on the names only.
pub(super) fn of(
    limits: &Limits,
    names: &[Identifier],
    request: &SigningRequest,
    now: Timestamp,
) -> Vec<RateLimit> {
    let ours = request
        .previous
        .as_ref()
        .filter(|previous| previous.order.is_some());
    let is_in_window = request
        .window
        .is_some_and(|window| window.start <= now && now < window.end);
    if ours.is_some() && is_in_window {
        return Vec::new();
    }
    let is_renewal = ours.is_some_and(|previous| {
        let certificate = &previous.certificate;
        certificate.not_before.duration_until(now) < REMEMBERED && names_of(certificate) == names
    });
    let mut counted = Vec::new();
    if !is_renewal {
        counted.extend(
            limits
                .account
                .map(|limit| bucket("account".to_owned(), limit)),
        );
        if let Some(limit) = limits.domain {
            let mut domains: Vec<String> = names.iter().map(registered).collect();
            domains.sort();
            domains.dedup();
            counted.extend(
                domains
                    .into_iter()
                    .map(|domain| bucket(format!("domain {domain}"), limit)),
            );
        }
    }
    if let Some(limit) = limits.names {
        let names: Vec<&str> = names.iter().map(|name| name.value.as_str()).collect();
        counted.push(bucket(format!("names {}", names.join(",")), limit));
    }
    counted
}

fn bucket(bucket: String, limit: Limit) -> RateLimit {
    RateLimit {
        bucket,
        at_most: limit.orders,
        within: limit.within,
    }
}

/// What is counted together: the domain below a public suffix, an IPv4 address, or the /64 of an IPv6 address.
fn registered(name: &Identifier) -> String {
    match name.value.parse() {
        Ok(IpAddr::V4(address)) => address.to_string(),
        Ok(IpAddr::V6(address)) => {
            let network = address.to_bits() >> 64 << 64;
            format!("{}/64", Ipv6Addr::from_bits(network))
        }
        Err(_) => {
            let name = name.value.trim_start_matches("*.");
            psl::domain_str(name).unwrap_or(name).to_owned()
        }
    }
}

/// The names of a certificate, in the order of [`identifiers`](super::names::identifiers).
fn names_of(certificate: &Certificate) -> Vec<Identifier> {
    let common_name = certificate
        .common_name
        .as_deref()
        .and_then(AlternateName::from_common_name);
    super::names::sorted(
        certificate
            .alternate_names
            .iter()
            .cloned()
            .chain(common_name),
    )
}

/// How long Let's Encrypt knows a set of names as a renewal.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(120 * 24);
