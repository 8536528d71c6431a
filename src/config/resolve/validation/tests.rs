//! What is written under `validation`, and what is meant or said about it.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::Path;

use serde::Deserialize;

use super::*;
use crate::config::diagnostics::{Diagnostics, Origin};
use crate::config::resolve::Shared;
use crate::dcv::dns::{Algorithm, Provider, Transport};

#[derive(Deserialize)]
struct Driver {
    validation: Placed<Validation>,
}

/// What `text` means, and what is said about it.
fn read(text: &str) -> (Option<dcv::Settings>, String) {
    let driver: Driver = toml::from_str(text).unwrap();
    let mut diagnostics = Diagnostics::default();
    let file = diagnostics.add_file(Path::new("renewd.toml").into(), text.to_owned().into());
    let mut resolver = Resolver {
        diagnostics: &mut diagnostics,
        origin: Origin { file, start: 0 },
        folder: Path::new("/etc/renewd"),
        exposed: None,
        shared: &mut Shared::default(),
    };
    let settings = resolver.validation(driver.validation);
    let reported: Vec<String> = diagnostics
        .into_errors()
        .iter()
        .map(|error| format!("{} ({:?})", error.message, error.hint))
        .collect();
    (settings, reported.join("\n"))
}

fn dns(text: &str) -> Settings {
    match read(text) {
        (Some(dcv::Settings::Dns(settings)), reported) if reported.is_empty() => *settings,
        (settings, reported) => panic!("{settings:?} {reported}"),
    }
}

#[test]
fn files_are_served_on_port_80_of_every_address_by_default() {
    let listen = |text| match read(text) {
        (Some(dcv::Settings::Http(settings)), _) => settings.listen,
        (settings, reported) => panic!("{settings:?} {reported}"),
    };
    assert_eq!(listen("validation.http = {}"), ["[::]:80".parse().unwrap()]);
    let two = listen("validation.http.listen = ['192.0.2.10:80', '[2001:db8::10]:80']");
    assert_eq!(two.len(), 2);
    for (bad, words) in [
        (
            "validation.http.listen = '192.0.2.10'",
            "not an address with a port",
        ),
        ("validation.http.listen = '192.0.2.10:0'", "has no port"),
        ("validation.http.listen = []", "holds no address"),
        (
            "validation.http.listen = ['0.0.0.0:80', '[::]:80']",
            "conflict",
        ),
        (
            "validation.http.listen = ['192.0.2.1:80', '0.0.0.0:80']",
            "conflict",
        ),
    ] {
        let (settings, reported) = read(bad);
        assert!(
            settings.is_none() && reported.contains(words),
            "{bad}: {reported}"
        );
    }
}

#[test]
fn a_name_server_with_a_key_is_all_that_is_needed() {
    let settings = dns(
        "validation.dns.provider.rfc2136 = { server = '2001:db8::53', key_name = 'renewd.', secret = { env = 'KEY' } }",
    );
    let Provider::Rfc2136(server) = &settings.provider else {
        panic!("{settings:?}");
    };
    assert_eq!(server.server.to_string(), "[2001:db8::53]:53");
    assert_eq!(server.transport, Transport::Tcp);
    assert_eq!(server.key_name, "renewd");
    assert_eq!(server.algorithm, Algorithm::HmacSha256);
    assert_eq!((settings.ttl, settings.follow_cname), (60, true));
    assert!(matches!(settings.propagation, Propagation::Authoritative));
    assert_eq!(settings.timeout.as_secs(), 30);
    let secrets = dcv::Settings::Dns(Box::new(settings)).secrets();
    assert_eq!(secrets.first().unwrap().0, "secret");
}

#[test]
fn every_provider_is_read() {
    for (raw, name) in [
        ("cloudflare = { token = 'x' }", "cloudflare"),
        ("desec = { token = 'x' }", "desec"),
        ("digitalocean = { token = 'x' }", "digitalocean"),
        ("hetzner = { token = 'x' }", "hetzner"),
        ("gandi = { token = 'x' }", "gandi"),
        (
            "route53 = { access_key_id = 'a', secret_access_key = 'x' }",
            "route53",
        ),
        (
            "ovh = { application_key = 'a', application_secret = 'x', consumer_key = 'x', endpoint = 'ca' }",
            "ovh",
        ),
        (
            "google = { service_account = 'google.json', project = 'p' }",
            "google",
        ),
        (
            "azure = { tenant_id = 't', client_id = 'c', client_secret = 'x', subscription_id = 's', resource_group = 'g' }",
            "azure",
        ),
        (
            "powerdns = { url = 'http://127.0.0.1:8081', key = 'x' }",
            "powerdns",
        ),
        (
            "infoblox = { server = 'grid.example.com', user = 'renewd', password = 'x' }",
            "infoblox",
        ),
        (
            "exec = { program = 'set-record', arguments = ['-v'] }",
            "exec",
        ),
    ] {
        let settings = dns(&format!("validation.dns.provider.{raw}"));
        assert_eq!(settings.provider.name(), name);
        let is_program = matches!(settings.provider, Provider::Exec(_));
        assert_eq!(settings.provider.secrets().is_empty(), is_program, "{name}");
    }
}

#[test]
fn a_record_is_asked_for_or_waited_for_but_not_both() {
    let with = |more: &str| format!("[validation.dns]\nprovider.desec = {{ token = 'x' }}\n{more}");
    let asked = dns(&with(
        "check_servers = ['192.0.2.53', '[2001:db8::53]:5353']",
    ));
    let Propagation::Servers(servers) = asked.propagation else {
        panic!("{:?}", asked.propagation);
    };
    let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["192.0.2.53:53", "[2001:db8::53]:5353"]);
    let waited = dns(&with("check = false\nwait = '5m'")).propagation;
    assert!(matches!(waited, Propagation::Wait(wait) if wait.as_mins() == 5));
    for (bad, words) in [
        ("wait = '5m'", "`wait` counts only with"),
        (
            "check = false\ncheck_servers = ['192.0.2.53']",
            "`check_servers` counts only",
        ),
        (
            "check_servers = ['ns1.example.com']",
            "not the address of a name server",
        ),
        (
            "resolvers = ['192.0.2.53:0']",
            "not the address of a name server",
        ),
        ("zone = '*.example.com'", "is not a zone"),
        ("delegate_to = 'acme example'", "is not a domain name"),
    ] {
        let (_, reported) = read(&with(bad));
        assert!(reported.contains(words), "{bad}: {reported}");
    }
}

#[test]
fn an_api_key_goes_in_clear_text_to_this_machine_only() {
    for (url, words) in [
        ("http://dns.example.com:8081", "clear text"),
        ("https://renewd:hunter2@dns.example.com", "more than a host"),
        ("https://dns.example.com/?key=hunter2", "more than a host"),
        ("ftp://127.0.0.1", "not the URL of an HTTP API"),
        ("dns.example.com", "not a URL"),
    ] {
        let text = format!(
            "validation.dns.provider.powerdns = {{ url = '{url}', key = {{ env = 'K' }} }}"
        );
        let (settings, reported) = read(&text);
        assert!(
            settings.is_none() && reported.contains(words),
            "{url}: {reported}"
        );
        assert!(!reported.contains("hunter2"), "{reported}");
    }
}
