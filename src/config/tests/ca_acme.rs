//! `driver.acme` as it is written, and what is said where it is wrong.

use jiff::SignedDuration;

use super::*;
use crate::ca::acme::{Limit, Limits, Settings};
use crate::dcv;
use crate::secret::SecretSource;
use crate::tls::Anchor;

const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

fn with(keys: &str) -> String {
    format!(
        "[daemon]\nstate_directory = \"/state\"\n[[ca]]\nname = \"public\"\n[ca.driver.acme]\n{keys}\n"
    )
}

fn resolved(keys: &str) -> Settings {
    let config = load_text(&with(keys))
        .unwrap_or_else(|errors| panic!("{errors}"))
        .config;
    let ca::Settings::Acme(settings) = &config.cas["public"] else {
        panic!("public is an ACME CA")
    };
    settings.as_ref().clone()
}

/// Every mistake in one text.
fn said(keys: &str) -> String {
    load_text(&with(keys)).unwrap_err().to_string()
}

fn sound(directory: &str, more: &str) -> String {
    format!(
        "directory = \"{directory}\"\nterms_of_service_agreed = true\nvalidation.http = {{}}\n{more}"
    )
}

#[test]
fn three_keys_are_enough_for_lets_encrypt_and_its_limits_are_known() {
    let settings = resolved(&sound(LETS_ENCRYPT, ""));
    assert_eq!(settings.directory.as_str(), LETS_ENCRYPT);
    assert!(matches!(settings.trust.anchor, Anchor::System));
    assert_eq!(settings.account, Path::new("/state/acme/public.account"));
    assert_eq!(settings.timeout.as_secs(), 30);
    assert_eq!(settings.contact, [""; 0]);
    let limit = |orders, hours| {
        let within = SignedDuration::from_hours(hours);
        Some(Limit { orders, within })
    };
    assert_eq!(settings.limits.account, limit(300, 3));
    assert_eq!(settings.limits.domain, limit(50, 168));
    assert_eq!(settings.limits.names, limit(5, 168));
    let dcv::Settings::Http(http) = settings.validation else {
        panic!("files are served")
    };
    assert_eq!(http.listen.len(), 1);
}

#[test]
fn limits_are_raised_or_taken_away_one_by_one() {
    let limits = "limits = { domain = { orders = 500, within = \"1d\" }, names = { orders = 0 } }";
    let limits = resolved(&sound(LETS_ENCRYPT, limits)).limits;
    assert_eq!(limits.account.unwrap().orders, 300);
    assert_eq!(
        limits.domain.unwrap().within,
        SignedDuration::from_hours(24)
    );
    assert_eq!(limits.names, None);
    let other = resolved(&sound("https://ca.example.com:9000/acme/directory", ""));
    assert_eq!(other.limits, Limits::default());
}

#[test]
fn everything_that_can_be_written_arrives() {
    let settings = resolved(&sound(
        "https://ca.example.com/dir",
        r#"contact = ["admin@example.com", "mailto:night@example.com"]
allow_hosts = ["Files.example.com", "eu.example.com:8443"]
profile = "shortlived"
roots = "/etc/renewd/root.pem"
account = "/keys/public.json"
external_account = { key_id = "kid-1", hmac_key = { credential = "acme" } }
trust = { ca = "/etc/ssl/private-ca.pem" }
timeout = "1m""#,
    ));
    assert_eq!(settings.contact, ["admin@example.com", "night@example.com"]);
    let allowed: Vec<String> = settings
        .allow_hosts
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(allowed, ["files.example.com", "eu.example.com:8443"]);
    assert_eq!(settings.profile.as_deref(), Some("shortlived"));
    assert_eq!(settings.account, Path::new("/keys/public.json"));
    assert_eq!(
        settings.roots.as_deref(),
        Some(Path::new("/etc/renewd/root.pem"))
    );
    let external = settings.external_account.clone().unwrap();
    assert_eq!(external.key_id, "kid-1");
    let secrets = ca::Settings::Acme(Box::new(settings)).secrets();
    assert!(
        matches!(&secrets[..], [("hmac_key", SecretSource::Credential(name))] if name == "acme"),
        "{secrets:?}"
    );
}

#[test]
fn terms_are_not_agreed_to_by_leaving_something_out() {
    let lacking = said(&format!(
        "directory = \"{LETS_ENCRYPT}\"\nvalidation.http = {{}}"
    ));
    assert!(lacking.contains("`terms_of_service_agreed`"), "{lacking}");
    assert!(
        lacking.contains("if you agree: terms_of_service_agreed = true"),
        "{lacking}"
    );
    let refused = said(&format!(
        "directory = \"{LETS_ENCRYPT}\"\nterms_of_service_agreed = false\nvalidation.http = {{}}"
    ));
    assert!(
        refused.contains("without agreeing to the CA's terms"),
        "{refused}"
    );
}

#[test]
fn each_mistake_has_its_words() {
    for (more, words) in [
        ("contact = [\"admin\"]", "`admin` is not a mail address"),
        (
            "allow_hosts = [\"https://files.example.com/\"]",
            "`https://files.example.com/` is not a host name",
        ),
        ("profile = \"\"", "write it as the CA shows it"),
        ("external_account = { key_id = \"k\" }", "`hmac_key`"),
        (
            "limits = { names = { orders = 5 } }",
            "the time that it counts for",
        ),
        (
            "limits = { names = { orders = 5, within = \"1s\" } }",
            "too short",
        ),
        (
            "limits = { names = { orders = -1 } }",
            "no limit: { orders = 0 }",
        ),
        ("timeout = \"1h\"", "too long"),
        ("trust = { }", "`trust` is empty"),
        ("kontact = []", "contact"),
    ] {
        let said = said(&sound("https://ca.example.com/dir", more));
        assert!(said.contains(words), "{more}: {said}");
    }
    let plain = said(&sound("http://ca.example.com/dir", ""));
    assert!(plain.contains("reached by https"), "{plain}");
    let none = said(&format!(
        "directory = \"{LETS_ENCRYPT}\"\nterms_of_service_agreed = true"
    ));
    assert!(none.contains("`validation`"), "{none}");
}
