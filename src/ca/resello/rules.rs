//! What the API is known to refuse (purchase API reference 4.1, 5), and the description of the settings for the
//! operator. Pure.

use super::plan::Plan;
use super::settings::{Level, RenewalMode, Settings};
use crate::pki::{AlternateName, KeyKind, KeyRequest};

/// Why an order for `wanted` would be refused, or would bring a certificate of no use.
pub(super) fn preflight(wanted: &KeyRequest, settings: &Settings, dcv_type: &str) -> Vec<String> {
    let mut problems = Vec::new();
    problems.extend(key(wanted.key, settings.elliptic_keys));
    problems.extend(names(wanted, dcv_type));
    if dcv_type == "EMAIL" {
        problems.extend(mail(wanted, settings));
    }
    if settings.level != Level::Domain {
        problems.extend(organization(wanted, settings));
    }
    problems
}

/// The products of the shop are good for a domain with and without `www.`, and those for a wildcard for the domain itself.
pub(super) fn added_names(wanted: &KeyRequest) -> Vec<AlternateName> {
    let names = wanted.host_names();
    let domains = names.iter().filter_map(|name| match name {
        AlternateName::Domain(domain) => Some(domain.to_ascii_lowercase()),
        _ => None,
    });
    domains
        .map(|domain| {
            let shorter = ["*.", "www."]
                .into_iter()
                .find_map(|prefix| domain.strip_prefix(prefix));
            AlternateName::Domain(shorter.map_or_else(|| format!("www.{domain}"), str::to_owned))
        })
        .collect()
}

fn key(key: KeyKind, elliptic_keys: bool) -> Option<String> {
    match key {
        KeyKind::Rsa(bits) if bits >= SHORTEST_KEY => None,
        KeyKind::Rsa(bits) => Some(format!(
            "its key has {bits} bits, and the CA wants at least {SHORTEST_KEY}"
        )),
        KeyKind::Ecdsa(_) if elliptic_keys => None,
        other => Some(format!(
            "its key is {other}, and the CA documents keys of at least {SHORTEST_KEY} bits only, which means RSA; if it takes others as well, set `elliptic_keys = true`"
        )),
    }
}

/// An order has no list of names: those that differ would have to be in the plan.
fn names(wanted: &KeyRequest, dcv_type: &str) -> Vec<String> {
    let names = wanted.host_names();
    let mut problems = Vec::new();
    for name in &names {
        match name {
            AlternateName::Domain(domain) if domain.starts_with("*.") && dcv_type == "FILE" => {
                problems.push(format!(
                    "control over the wildcard {domain} cannot be proven by a file: set `validation.dns`"
                ));
            }
            AlternateName::Domain(_) => {}
            other => problems.push(format!(
                "{other} is no domain, and the CA sells certificates for domains only"
            )),
        }
    }
    if names.is_empty() {
        problems.push("it names no domain over which control could be proven".to_owned());
    }
    let domains = names.iter().filter_map(|name| match name {
        AlternateName::Domain(domain) => Some(domain.as_str()),
        _ => None,
    });
    let domains: Vec<&str> = domains.collect();
    if domains.len() > 1 {
        problems.push(format!(
            "it names {}, and an order has room for one name: use one certificate for each",
            domains.join(" and ")
        ));
    }
    problems
}

/// The mail has to go to a mailbox of the domain that the CA writes to (purchase API reference 5).
fn mail(wanted: &KeyRequest, settings: &Settings) -> Vec<String> {
    let Some(address) = &settings.applicant.approver_email_address else {
        return vec!["no recipient is set for the mail that proves control over the domain: set `approver.email_address`".to_owned()];
    };
    let (mailbox, at) = address.rsplit_once('@').unwrap_or((address, ""));
    let mut problems = Vec::new();
    if !MAILBOXES.contains(&mailbox.to_ascii_lowercase().as_str()) {
        problems.push(format!(
            "the CA sends no mail to {address}, only to {} of the domain",
            MAILBOXES.join(", ")
        ));
    }
    let at = at.to_ascii_lowercase();
    for name in wanted.host_names() {
        if let AlternateName::Domain(domain) = name {
            let domain = domain.trim_start_matches("*.").to_ascii_lowercase();
            if domain != at && !domain.ends_with(&format!(".{at}")) {
                problems.push(format!("{address} is not a mailbox of {domain}"));
            }
        }
    }
    problems
}

/// What is looked at besides the domain.
fn organization(wanted: &KeyRequest, settings: &Settings) -> Vec<String> {
    let mut problems = Vec::new();
    if wanted.subject.organization.is_none() && settings.applicant.company_name.is_none() {
        problems.push(
            "it names no organization, which this `validation_level` needs: set `subject.organization`, or `company_name` of this CA"
                .to_owned(),
        );
    }
    if wanted.subject.country.is_none() {
        problems.push(
            "it names no country, which this `validation_level` needs: set `subject.country`"
                .to_owned(),
        );
    }
    problems
}

/// How a certificate gets its successor.
pub(super) fn renewals_in_words(settings: &Settings, plan: &Plan) -> String {
    let words = plan.renewal_in_words();
    match settings.renewal_mode {
        RenewalMode::Renew => format!("the order is renewed, {words}; each costs money"),
        RenewalMode::Buy => "bought anew each time; each costs money".to_owned(),
        RenewalMode::Reissue => format!(
            "reissued, which makes the certificate in use invalid at once; the order is renewed, for money, {words}"
        ),
    }
}

/// How much may be ordered.
pub(super) fn budget_in_words(settings: &Settings) -> String {
    let budget = settings.budget;
    let days = budget.within.as_hours() / 24;
    format!("{} orders in {days} days", budget.orders)
}

/// The mailboxes that the CA writes to (purchase API reference 5).
pub(crate) const MAILBOXES: [&str; 5] = [
    "admin",
    "administrator",
    "hostmaster",
    "postmaster",
    "webmaster",
];
/// Bits (purchase API reference 4.1).
const SHORTEST_KEY: u32 = 2048;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use std::time::Duration;

    use jiff::SignedDuration;

    use super::super::settings::{Applicant, Control, Download, PlanChoice};
    use super::*;
    use crate::inventory::Budget;
    use crate::pki::testing;
    use crate::secret::SecretSource;
    use crate::tls::{Anchor, Trust};

    fn settings(level: Level) -> Settings {
        Settings {
            url: "https://api.example.com/v1".parse().unwrap(),
            user: "example".to_owned(),
            api_key: SecretSource::Env("KEY".to_owned()),
            trust: Trust {
                anchor: Anchor::System,
                server_name: None,
            },
            timeout: Duration::from_secs(30),
            plan: PlanChoice::read("PositiveSSL"),
            level,
            renewal_mode: RenewalMode::Renew,
            control: Control::Mail,
            proof_host: "sectigo.com".to_owned(),
            download: Download::Crt,
            elliptic_keys: false,
            budget: Budget {
                orders: 10,
                within: SignedDuration::from_hours(30 * 24),
            },
            applicant: Applicant {
                approver_email_address: Some("admin@example.com".to_owned()),
                ..Applicant::default()
            },
        }
    }

    fn wanted() -> KeyRequest {
        KeyRequest {
            key: KeyKind::Rsa(2048),
            ..testing::key_request()
        }
    }

    fn reported(wanted: &KeyRequest, level: Level, dcv_type: &str) -> Vec<String> {
        preflight(wanted, &settings(level), dcv_type)
    }

    #[test]
    fn the_names_that_the_products_add_are_www_and_the_domain_of_a_wildcard() {
        for (asked_for, added) in [
            ("vpn.example.com", "www.vpn.example.com"),
            ("www.example.com", "example.com"),
            ("*.example.com", "example.com"),
        ] {
            let mut wanted = testing::key_request();
            wanted.subject.common_name = Some(asked_for.to_owned());
            wanted.alternate_names = Vec::new();
            assert_eq!(
                added_names(&wanted),
                [AlternateName::Domain(added.to_owned())]
            );
        }
    }

    #[test]
    fn a_valid_request_has_no_problem() {
        for level in [Level::Domain, Level::Organization, Level::Extended] {
            assert_eq!(reported(&wanted(), level, "FILE"), [""; 0]);
        }
    }

    #[test]
    fn short_and_elliptic_keys_are_refused() {
        for (kind, words) in [
            (KeyKind::Rsa(1024), "its key has 1024 bits"),
            (KeyKind::Ecdsa(256), "`elliptic_keys = true`"),
        ] {
            let wanted = KeyRequest {
                key: kind,
                ..wanted()
            };
            let reported = reported(&wanted, Level::Domain, "DNS");
            assert!(
                reported.len() == 1 && reported[0].contains(words),
                "{reported:?}"
            );
        }
        let takes = Settings {
            elliptic_keys: true,
            ..settings(Level::Domain)
        };
        assert_eq!(preflight(&testing::key_request(), &takes, "DNS"), [""; 0]);
    }

    #[test]
    fn names_that_an_order_cannot_contain_are_refused() {
        let domain = |name: &str| vec![AlternateName::Domain(name.to_owned())];
        let address = vec![AlternateName::Ip("192.0.2.1".parse().unwrap())];
        for (alternate_names, dcv_type, words) in [
            (
                domain("www.example.com"),
                "DNS",
                "an order has room for one name",
            ),
            (
                [domain("a.example.com"), domain("b.example.com")].concat(),
                "DNS",
                "b.example.com and vpn.example.com, and an order has room",
            ),
            (domain("*.example.com"), "FILE", "`validation.dns`"),
            (address, "DNS", "192.0.2.1 is no domain"),
        ] {
            let mut wanted = KeyRequest {
                alternate_names,
                ..wanted()
            };
            if dcv_type == "FILE" {
                wanted.subject.common_name = None;
            }
            let reported = reported(&wanted, Level::Domain, dcv_type);
            assert!(
                reported.len() == 1 && reported[0].contains(words),
                "{reported:?}"
            );
        }
        let mut nameless = wanted();
        nameless.alternate_names.clear();
        nameless.subject.common_name = Some("Office firewall".to_owned());
        assert!(reported(&nameless, Level::Domain, "DNS")[0].contains("names no domain"));
    }

    #[test]
    fn an_approver_address_that_the_ca_does_not_write_to_is_refused() {
        let reported = |address: Option<&str>| {
            let mut settings = settings(Level::Domain);
            settings.applicant.approver_email_address = address.map(str::to_owned);
            preflight(&wanted(), &settings, "EMAIL")
        };
        for address in ["admin@example.com", "Hostmaster@vpn.example.com"] {
            assert_eq!(reported(Some(address)), [""; 0], "{address}");
        }
        for (address, words) in [
            (
                Some("it@example.com"),
                "the CA sends no mail to it@example.com",
            ),
            (
                Some("admin@ample.com"),
                "is not a mailbox of vpn.example.com",
            ),
            (None, "no recipient is set for the mail"),
        ] {
            let reported = reported(address);
            assert!(
                reported.len() == 1 && reported[0].contains(words),
                "{reported:?}"
            );
        }
    }

    #[test]
    fn an_organization_without_name_or_country_is_refused() {
        let mut wanted = wanted();
        wanted.subject.organization = None;
        wanted.subject.country = None;
        assert_eq!(reported(&wanted, Level::Domain, "DNS"), [""; 0]);
        let reported = reported(&wanted, Level::Organization, "DNS");
        assert!(
            reported[0].contains("`company_name`") && reported[1].contains("no country"),
            "{reported:?}"
        );
    }
}
