//! Control proven by records in the DNS: Pebble asks a real name server, which takes the updates of renewd (RFC 2136), or
//! its own one, to which a program passes them on.

use std::net::SocketAddr;

use renewd::ca;
use renewd::dcv::{Proof, Validator};
use renewd::inventory::State;

use super::*;
use crate::peers::{bind, free_address, knot, write_program};

#[tokio::test(flavor = "multi_thread")]
async fn a_record_at_knot_proves_control_and_is_gone_afterwards() {
    let Some(knot) = knot::start(free_address(), KEY, &[("example.com", PLAIN)]).await else {
        return;
    };
    renews(knot.address, r#", zone = "example.com""#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_at_bind_in_a_zone_that_was_found_proves_control_and_is_gone_afterwards() {
    let Some(bind) = bind::start(free_address(), KEY, &[("example.com", PLAIN)]).await else {
        return;
    };
    renews(bind.address, "").await;
}

/// BIND keeps no TXT record beside a CNAME, so what Pebble found was written at its end.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_in_the_zone_that_a_cname_delegates_to_proves_control_and_is_gone_afterwards() {
    let zones = [("example.com", DELEGATING), ("validation.test", VALIDATION)];
    let Some(bind) = bind::start(free_address(), KEY, &zones).await else {
        return;
    };
    renews(bind.address, "").await;
}

/// The whole renewal with updates of the server at `dns`.
async fn renews(dns: SocketAddr, more: &str) {
    let Some((pebble, bed)) = fixture(dns, more).await else {
        return;
    };
    assert_eq!(until_it_ends(&bed).await, State::Completed);
    assert_shown(&bed).await;
    assert_eq!((pebble.orders(), pebble.certificates()), (1, 1));
    assert_no_record_is_left(&bed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_the_record_is_up_a_renewal_orders_once_and_takes_it_away() {
    let Some(knot) = knot::start(free_address(), KEY, &[("example.com", PLAIN)]).await else {
        return;
    };
    let Some((pebble, bed)) = fixture(knot.address, "").await else {
        return;
    };
    assert!(kill_at(&bed, &pebble, "Before(PollIssuance) 2"));
    let shown = validator(&bed).missing(&never()).await.unwrap().unwrap();
    assert!(shown.ends_with("shows other values"), "{shown}");
    assert_eq!(until_it_ends(&bed).await, State::Completed);
    assert_shown(&bed).await;
    assert_eq!((pebble.orders(), pebble.certificates()), (1, 1));
    assert_no_record_is_left(&bed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_one_clear_sentence_before_a_key_pair_is_made() {
    let Some(knot) = knot::start(free_address(), KEY, &[("example.com", PLAIN)]).await else {
        return;
    };
    let Some((pebble, bed)) = fixture(knot.address, "").await else {
        return;
    };
    write_secret(&bed, "d3Jvbmcgd3Jvbmcgd3Jvbmc=");
    bed.run_once().await;
    assert!(bed.has_event("attention_needed").await);
    let renewal = bed.renewals().await.remove(0);
    assert_eq!(renewal.state, State::Planned);
    let words = "rfc2136: try _acme-challenge.vpn.example.com in example.com: the name server does not accept this TSIG \
        key, or does not let it make this change; see `validation.dns.provider.rfc2136`";
    assert_eq!(renewal.last_error.as_deref(), Some(words));
    assert_eq!(bed.simulator.counters().key_pairs_generated, 0);
    assert_eq!((pebble.orders(), pebble.accounts()), (0, 0));

    write_secret(&bed, KEY.1);
    bed.clock
        .sleep_until(renewal.next_attempt_at.unwrap())
        .await;
    assert_eq!(until_it_ends(&bed).await, State::Completed);
    assert_shown(&bed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_sets_the_record_that_proves_control_and_is_run_again_to_clean_up() {
    let Some(pebble) = Pebble::start(PebbleFaults::USUAL).await else {
        return;
    };
    let bed = test_bed_today().await;
    let script = bed.folder.path().join("set-record");
    let (dns, management) = (pebble.names().dns, pebble.names().management);
    write_program(
        &script,
        &PROGRAM.replace("PORT", &management.port().to_string()),
    );
    let validation = format!(
        r#"validation.dns = {{ provider.exec = {{ program = "{}" }}, resolvers = ["{dns}"], check_servers = ["{dns}"] }}"#,
        script.display()
    );
    use_driver(&bed, &proven_by(&validation, &pebble));
    assert_eq!(until_it_ends(&bed).await, State::Completed);
    assert_shown(&bed).await;
    assert_eq!((pebble.orders(), pebble.certificates()), (1, 1));
    assert_no_record_is_left(&bed).await;
}

/// A Pebble that asks the server at `dns`, and a test bed that may change the records there.
async fn fixture(dns: SocketAddr, more: &str) -> Option<(Pebble, TestBed)> {
    let pebble = Pebble::asking(dns, PebbleFaults::USUAL).await?;
    let bed = test_bed_today().await;
    write_secret(&bed, KEY.1);
    let validation = format!(
        r#"validation.dns = {{ provider.rfc2136 = {{ server = "{dns}", key_name = "{}", secret = {{ file = "{}/tsig" }} }}, resolvers = ["{dns}"], check_servers = ["{dns}"]{more} }}"#,
        KEY.0,
        bed.folder.path().display()
    );
    use_driver(&bed, &proven_by(&validation, &pebble));
    Some((pebble, bed))
}

fn write_secret(bed: &TestBed, secret: &str) {
    test_bed::write_secret(&bed.folder.path().join("tsig"), secret);
}

async fn assert_no_record_is_left(bed: &TestBed) {
    let shown = validator(bed).missing(&never()).await.unwrap().unwrap();
    assert!(shown.ends_with("does not show it yet"), "{shown}");
}

fn validator(bed: &TestBed) -> Validator {
    let ca::Settings::Acme(settings) = &bed.config().cas["office"] else {
        panic!("not an ACME server");
    };
    Validator::new(settings.validation.clone(), bed.env())
}

/// A record that no program writes. Servers without it show whether they answer with other records instead.
fn never() -> Proof {
    Proof::Txt {
        name: "_acme-challenge.vpn.example.com".to_owned(),
        value: "never".to_owned(),
    }
}

const KEY: (&str, &str) = ("renewd", "cmVuZXdkIHJlbmV3ZCByZW5ld2QgcmVuZXdkIHJlbmU=");

const PLAIN: &str = "$ORIGIN example.com.\n$TTL 60\n\
    @ SOA ns1 hostmaster 1 3600 900 604800 60\n@ NS ns1\nns1 A 127.0.0.1\nvpn A 127.0.0.1\n";

const DELEGATING: &str = "$ORIGIN example.com.\n$TTL 60\n\
    @ SOA ns1 hostmaster 1 3600 900 604800 60\n@ NS ns1\nns1 A 127.0.0.1\n\
    _acme-challenge.vpn CNAME vpn.validation.test.\n";

const VALIDATION: &str = "$ORIGIN validation.test.\n$TTL 60\n\
    @ SOA ns1 hostmaster 1 3600 900 604800 60\n@ NS ns1\nns1 A 127.0.0.1\n";

/// Calls the management port of Pebble's name server.
const PROGRAM: &str = r#"#!/bin/bash
set -eu
case $1 in
present) path=/set-txt body="{\"host\": \"$2\", \"value\": \"$3\"}" ;;
cleanup) path=/clear-txt body="{\"host\": \"$2\"}" ;;
esac
exec 3<>/dev/tcp/127.0.0.1/PORT
printf 'POST %s HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s' "$path" "${#body}" "$body" >&3
read -r answer <&3
[[ $answer == *" 200 "* ]]
"#;
