//! `[file_transfer]`, `file_transfer` and `ssh` of a firewall: what is meant, and what is shared.

use std::net::IpAddr;

use super::*;
use crate::firewall::sonicos;
use crate::transfer::{Choice, Protocol};

const HOST_KEY: &str = "SHA256:uNiVztksCsDhcc0u9e8BrszkzpQ4MtBFt7ZNVBGPXDk";

fn device<'a>(config: &'a Config, name: &str) -> &'a sonicos::Settings {
    let firewall::Settings::Sonicos(settings) = &config.firewalls[name].settings else {
        panic!("{name} is a SonicWall")
    };
    settings
}

/// A firewall of this name, with more keys.
fn named(name: &str, more: &str) -> String {
    let text = FIREWALL.replace("PASSWORD", "{ env = \"X\" }");
    text.replace("\"hq\"", &format!("\"{name}\"")) + more
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn left_out_the_way_is_found_by_itself() {
    let config = load_text(&sound("{ env = \"X\" }", "")).unwrap().config;
    let device = device(&config, "hq");
    assert_eq!(*device.transfers, crate::transfer::Settings::default());
    assert_eq!(device.command_line, None);
}

#[test]
fn firewalls_without_keys_of_their_own_share_one_way() {
    let shared = "[file_transfer]\nlisten = \"192.0.2.10\"\nscp_port = 2022\npassive_ports = \"50000-50099\"\n";
    let text = format!("{}{}{shared}", named("a", ""), named("b", ""));
    let config = load_text(&text).unwrap().config;
    let [a, b] = ["a", "b"].map(|name| &device(&config, name).transfers);
    assert!(Arc::ptr_eq(a, b), "ten thousand firewalls hold no copies");
    assert_eq!((a.listen, a.scp_port), (Some(address("192.0.2.10")), 2022));
    assert_eq!(a.passive_ports, Some(50000..=50099));
}

#[test]
fn the_keys_of_a_firewall_take_precedence_one_by_one() {
    let own = "file_transfer = { protocol = \"scp\", advertise = \"198.51.100.1\", source_address = \"203.0.113.7\" }\n";
    let shared =
        "[file_transfer]\nlisten = \"192.0.2.10\"\nadvertise = \"198.51.100.9\"\nftp_port = 2121\n";
    let config = load_text(&(named("hq", own) + shared)).unwrap().config;
    let transfers = &device(&config, "hq").transfers;
    assert_eq!(transfers.protocol, Choice::Only(Protocol::Scp));
    assert_eq!(transfers.advertise, Some(address("198.51.100.1")));
    assert_eq!(transfers.listen, Some(address("192.0.2.10")));
    assert_eq!(transfers.source_address, Some(address("203.0.113.7")));
    assert_eq!((transfers.scp_port, transfers.ftp_port), (0, 2121));
}

#[test]
fn every_address_of_the_machine_can_be_listened_on() {
    let shared = "[file_transfer]\nlisten = \"::\"\n";
    let own = named("hq", "file_transfer = { source_address = \"192.0.2.1\" }\n");
    let config = load_text(&(own + shared)).unwrap().config;
    assert_eq!(device(&config, "hq").transfers.listen, Some(address("::")));
}

#[test]
fn ftp_is_warned_of_once_however_many_firewalls_it_concerns() {
    let firewalls = |own: &str| -> String {
        let names = (0..200).map(|n| named(&format!("fw-{n}"), own));
        names.collect()
    };
    let reported = |text: &str| -> Vec<(usize, String)> {
        let warnings = load_text(text).unwrap().warnings;
        let about_ftp = warnings
            .into_iter()
            .filter(|one| one.message.contains("FTP"));
        about_ftp.map(|one| (one.line, one.message)).collect()
    };
    let clear = "FTP carries requests, certificates and one-time passwords in clear text";
    let shared = format!("[file_transfer]\nprotocol = \"ftp\"\n{}", firewalls(""));
    assert_eq!(reported(&shared), [(2, clear.to_owned())]);
    let own = firewalls("file_transfer = { protocol = \"ftp\" }\n");
    let all = format!("{clear}; 200 firewalls ask for it");
    assert_eq!(reported(&own), [(9, all)]);
    let both = format!("[file_transfer]\nprotocol = \"ftp\"\n{own}");
    assert_eq!(reported(&both), [(2, clear.to_owned())]);
}

#[test]
fn a_command_line_is_at_the_host_of_the_url_unless_it_is_elsewhere() {
    let ssh = |more: &str| {
        let own = format!("ssh = {{ {more}host_key = \"{HOST_KEY}\" }}\n");
        let config = load_text(&named("hq", &own)).unwrap().config;
        device(&config, "hq").command_line.clone().unwrap()
    };
    assert_eq!(ssh("").address.to_string(), "[2001:db8::1]:22");
    let elsewhere = ssh("address = \"192.0.2.7:2222\", ");
    assert_eq!(elsewhere.address.to_string(), "192.0.2.7:2222");
    assert_eq!(elsewhere.host_key, HOST_KEY);
}

#[test]
fn a_login_by_public_key_can_be_asked_for_with_either_padding() {
    for (word, login) in [
        ("public-key", sonicos::Login::PublicKey),
        ("public-key-pkcs1", sonicos::Login::PublicKeyPkcs1),
    ] {
        let text = named("hq", &format!("login = \"{word}\"\n"));
        let config = load_text(&text).unwrap().config;
        assert_eq!(device(&config, "hq").login, login);
    }
}

#[test]
fn the_least_login_can_be_named_and_must_be_one_that_login_reaches() {
    let text = |login, least| {
        named(
            "hq",
            &format!("login = \"{login}\"\nminimum_login = \"{least}\"\n"),
        )
    };
    let config = load_text(&text("automatic", "digest-md5")).unwrap().config;
    let least = device(&config, "hq").minimum_login;
    assert_eq!(least, Some(sonicos::LoginLevel::DigestMd5));
    assert!(load_text(&text("basic", "chap")).is_err());
    assert!(load_text(&text("chap", "chap")).is_ok());
}
