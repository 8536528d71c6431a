//! Records in the DNS, written to real name servers by signed updates (RFC 2136).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use renewd::clock::ManualClock;
use renewd::dcv::dns::{
    Algorithm, Propagation, Provider, Rfc2136, Settings as DnsSettings, Transport,
};
use renewd::dcv::{self, Method, Proof, Validator};
use renewd::env::Env;
use renewd::failure::FailureKind;
use renewd::inventory::Endpoint;
use renewd::secret::{Secret, SecretSource};

use crate::peers::{bind, free_address, knot};

#[tokio::test]
async fn a_record_is_written_seen_and_removed_at_knot() {
    let Some(server) = knot::start(free_address(), KEY, &zones()).await else {
        return;
    };
    is_written_seen_and_removed(server.address).await;
}

#[tokio::test]
async fn a_record_is_written_seen_and_removed_at_bind() {
    let Some(server) = bind::start(free_address(), KEY, &zones()).await else {
        return;
    };
    is_written_seen_and_removed(server.address).await;
}

async fn is_written_seen_and_removed(server: SocketAddr) {
    for transport in [Transport::Tcp, Transport::Udp] {
        let mut settings = settings(server);
        rfc2136(&mut settings).transport = transport;
        let validator = validator(settings);
        assert_eq!(validator.method(), Method::Dns);
        let (one, two) = (txt("fw", "one"), txt("fw", "two"));
        let missing = validator.missing(&one).await.unwrap().unwrap();
        let expected =
            format!("TXT record of _acme-challenge.fw.example.test: {server} does not show it yet");
        assert_eq!(missing, expected);
        for proof in [&one, &one, &two] {
            validator.present(proof).await.unwrap();
        }
        assert_eq!(validator.missing(&one).await.unwrap(), None);
        assert_eq!(validator.missing(&two).await.unwrap(), None);
        for _ in 0..2 {
            validator.withdraw(&one).await.unwrap();
        }
        assert_eq!(validator.missing(&two).await.unwrap(), None, "it stays");
        let missing = validator.missing(&one).await.unwrap().unwrap();
        assert!(missing.ends_with("shows other values"), "{missing}");
        validator.withdraw(&two).await.unwrap();
        let missing = validator.missing(&two).await.unwrap();
        assert!(missing.unwrap().ends_with("does not show it yet"));
    }
}

#[tokio::test]
async fn a_cname_takes_the_place_of_that_of_an_earlier_order() {
    let Some(server) = knot::start(free_address(), KEY, &zones()).await else {
        return;
    };
    let validator = validator(settings(server.address));
    let cname = |target: &str| Proof::Cname {
        name: "_0A1B.fw.example.test".to_owned(),
        target: target.to_owned(),
    };
    let (earlier, later) = (cname("a.ca.example"), cname("B.ca.example."));
    validator.present(&earlier).await.unwrap();
    assert_eq!(validator.missing(&earlier).await.unwrap(), None);
    validator.present(&later).await.unwrap();
    validator.present(&later).await.unwrap();
    assert_eq!(validator.missing(&later).await.unwrap(), None);
    assert!(validator.missing(&earlier).await.unwrap().is_some());
    validator.withdraw(&later).await.unwrap();
    assert!(validator.missing(&later).await.unwrap().is_some());
}

#[tokio::test]
async fn a_wrong_key_is_one_clear_sentence() {
    let knot = knot::start(free_address(), KEY, &zones()).await;
    let bind = bind::start(free_address(), KEY, &zones()).await;
    let servers = [
        knot.as_ref().map(|knot| knot.address),
        bind.as_ref().map(|bind| bind.address),
    ];
    for server in servers.into_iter().flatten() {
        for (name, secret) in [("renewd", "d3Jvbmcgd3Jvbmcgd3Jvbmc="), ("unknown", KEY.1)] {
            let mut settings = settings(server);
            rfc2136(&mut settings).key_name = name.to_owned();
            rfc2136(&mut settings).secret = inline(secret);
            settings.zone = Some("example.test".to_owned());
            let validator = validator(settings.clone());
            let failure = validator.present(&txt("fw", "one")).await.unwrap_err();
            assert_eq!(failure.kind, FailureKind::Unauthorized, "{failure}");
            assert!(failure.detail.contains("TSIG key"), "{failure}");
            assert!(
                failure.detail.contains("validation.dns.provider.rfc2136"),
                "{failure}"
            );
            assert!(!failure.to_string().contains(secret), "{failure}");
            let checked = validator.check().await.unwrap_err();
            assert_eq!(checked.kind, FailureKind::Unauthorized, "{checked}");
            settings.zone = None;
            let unzoned = super::records::validator(settings.clone());
            let rehearsed = unzoned.rehearse(&txt("fw", "one")).await.unwrap_err();
            assert_eq!(rehearsed.kind, FailureKind::Unauthorized, "{rehearsed}");
            assert!(rehearsed.detail.contains("TSIG key"), "{rehearsed}");
            match super::records::validator(settings).check().await {
                Err(failure) => assert_eq!(failure.kind, FailureKind::Unauthorized, "{failure}"),
                // Knot signs nothing about a zone that is not its own, whatever the key.
                Ok(facts) => assert!(facts[1].1.contains("or not the TSIG key"), "{facts:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_check_and_a_rehearsal_try_the_key_and_change_nothing() {
    let knot = knot::start(free_address(), KEY, &zones()).await;
    let bind = bind::start(free_address(), KEY, &zones()).await;
    let servers = [
        knot.as_ref().map(|knot| knot.address),
        bind.as_ref().map(|bind| bind.address),
    ];
    for server in servers.into_iter().flatten() {
        let mut settings = settings(server);
        for zone in [Some("example.test".to_owned()), None] {
            settings.zone = zone;
            let facts = validator(settings.clone()).check().await.unwrap();
            assert_eq!(facts[0].1, "dns, rfc2136");
            let expected = match &settings.zone {
                Some(_) => "accepted for example.test",
                None => "not refused; more is known when `zone` names a zone to try",
            };
            assert!(facts[1].1.starts_with(expected), "{facts:?}");
            let validator = validator(settings.clone());
            validator.rehearse(&txt("fw", "one")).await.unwrap();
            let missing = validator.missing(&txt("fw", "one")).await.unwrap();
            assert!(missing.unwrap().ends_with("does not show it yet"));
        }
    }
}

#[tokio::test]
async fn a_txt_record_is_written_where_a_cname_delegates_it_to() {
    let Some(server) = bind::start(free_address(), KEY, &zones()).await else {
        return;
    };
    let followed = validator(settings(server.address));
    followed.present(&txt("alias", "one")).await.unwrap();
    assert_eq!(followed.missing(&txt("alias", "one")).await.unwrap(), None);
    let direct = Proof::Txt {
        name: "alias.delegated.test".to_owned(),
        value: "one".to_owned(),
    };
    assert_eq!(followed.missing(&direct).await.unwrap(), None);
    followed.withdraw(&txt("alias", "one")).await.unwrap();
    assert!(followed.missing(&direct).await.unwrap().is_some());
    let endless = followed.present(&txt("endless", "one")).await.unwrap_err();
    assert_eq!(endless.kind, FailureKind::Refused);
    assert!(endless.detail.contains("do not end"), "{endless}");

    let mut reported = settings(server.address);
    reported.follow_cname = false;
    reported.delegate_to = Some("delegated.test".to_owned());
    let reported = validator(reported);
    reported.present(&txt("fw", "two")).await.unwrap();
    let written = Proof::Txt {
        name: "_acme-challenge.fw.example.test.delegated.test".to_owned(),
        value: "two".to_owned(),
    };
    assert_eq!(followed.missing(&written).await.unwrap(), None);
    reported.withdraw(&txt("fw", "two")).await.unwrap();
}

#[tokio::test]
async fn a_record_outside_of_the_zone_is_not_tried() {
    let Some(server) = knot::start(free_address(), KEY, &zones()).await else {
        return;
    };
    let mut settings = settings(server.address);
    settings.zone = Some("delegated.test".to_owned());
    let elsewhere = validator(settings.clone());
    let failure = elsewhere.present(&txt("fw", "one")).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Local);
    assert!(failure.detail.contains("is not in `zone`"), "{failure}");
    let rehearsed = elsewhere.rehearse(&txt("fw", "one")).await.unwrap_err();
    assert_eq!(rehearsed, failure);
    settings.zone = None;
    let nowhere = Proof::Cname {
        name: "_0a1b.example.net".to_owned(),
        target: "a.ca.example".to_owned(),
    };
    let failure = validator(settings).present(&nowhere).await.unwrap_err();
    assert_eq!(
        failure.kind,
        FailureKind::Unreachable,
        "the server refuses: {failure}"
    );
}

#[tokio::test]
async fn a_record_is_seen_when_the_last_server_shows_it() {
    let knot = knot::start(free_address(), KEY, &zones()).await;
    let bind = bind::start(free_address(), KEY, &zones()).await;
    let (Some(knot), Some(bind)) = (knot, bind) else {
        return;
    };
    let mut at_knot = settings(knot.address);
    at_knot.propagation = Propagation::Servers(vec![knot.address, bind.address]);
    let at_knot = validator(at_knot);
    at_knot.present(&txt("fw", "one")).await.unwrap();
    let missing = at_knot.missing(&txt("fw", "one")).await.unwrap().unwrap();
    let expected = format!("{} does not show it yet", bind.address);
    assert!(missing.ends_with(&expected), "{missing}");
    assert!(!missing.contains(&knot.address.to_string()), "{missing}");

    validator(settings(bind.address))
        .present(&txt("fw", "one"))
        .await
        .unwrap();
    assert_eq!(at_knot.missing(&txt("fw", "one")).await.unwrap(), None);
}

/// A server that does not know the zone has no answer about the record (a lame delegation).
#[tokio::test]
async fn a_server_that_says_nothing_is_waited_for_only_some_minutes_and_one_that_contradicts_for_ever()
 {
    let with_zone = knot::start(free_address(), KEY, &zones()).await;
    let contradicting = knot::start(free_address(), KEY, &zones()).await;
    let silent = knot::start(free_address(), KEY, &[("delegated.test", DELEGATED)]).await;
    let (Some(good), Some(contradicting), Some(silent)) = (with_zone, contradicting, silent) else {
        return;
    };
    let clock = Arc::new(ManualClock::new("2026-11-22T12:00:00Z".parse().unwrap()));
    let mut env = Env::system();
    env.clock = clock.clone();
    let seen_by = |servers: &[SocketAddr]| {
        let mut settings = settings(good.address);
        settings.propagation = Propagation::Servers(servers.to_vec());
        let settings = dcv::Settings::Dns(Box::new(settings));
        Validator::new(settings, env.clone())
    };
    let proof = txt("silent", "one");
    let with_silent = seen_by(&[good.address, silent.address]);
    let with_both = seen_by(&[good.address, silent.address, contradicting.address]);
    with_silent.present(&proof).await.unwrap();
    let missing = with_silent.missing(&proof).await.unwrap().unwrap();
    assert!(missing.contains(&silent.address.to_string()), "{missing}");
    assert!(missing.contains("does not answer"), "{missing}");
    clock.advance(SignedDuration::from_mins(6));
    assert_eq!(with_silent.missing(&proof).await.unwrap(), None);
    clock.advance(SignedDuration::from_hours(6));
    let missing = with_both.missing(&proof).await.unwrap().unwrap();
    assert!(missing.contains("does not show it yet"), "{missing}");
    with_silent.withdraw(&proof).await.unwrap();
}

#[tokio::test]
async fn every_name_server_of_the_zone_is_asked_at_port_53() {
    let address: SocketAddr = "127.77.53.1:53".parse().unwrap();
    if std::net::UdpSocket::bind(address).is_err() {
        println!("skipped: needs the right to listen at port 53");
        return;
    }
    let zone = "$ORIGIN example.test.\n$TTL 60\n@ SOA ns1 hostmaster 1 3600 900 604800 60\n\
        @ NS ns1\n@ NS ns2\nns1 A 127.77.53.1\nns2 A 127.77.53.2\n";
    let Some(first) = knot::start(address, KEY, &[("example.test", zone)]).await else {
        return;
    };
    let second = "127.77.53.2:53".parse().unwrap();
    let Some(second) = knot::start(second, KEY, &[("example.test", zone)]).await else {
        return;
    };
    let mut settings = settings(first.address);
    settings.propagation = Propagation::Authoritative;
    let validator = validator(settings.clone());
    validator.present(&txt("fw", "one")).await.unwrap();
    let missing = validator.missing(&txt("fw", "one")).await.unwrap().unwrap();
    let expected = "ns2.example.test (127.77.53.2:53) does not show it yet";
    assert!(missing.ends_with(expected), "{missing}");
    rfc2136(&mut settings).server.host = second.address.ip().to_string();
    settings.zone = Some("example.test".to_owned());
    let other = super::records::validator(settings);
    other.present(&txt("fw", "one")).await.unwrap();
    assert_eq!(validator.missing(&txt("fw", "one")).await.unwrap(), None);
    let facts = other.check().await.unwrap();
    assert!(
        facts[2].1.contains("ns1.example.test (127.77.53.1:53)"),
        "{facts:?}"
    );
}

#[tokio::test]
async fn without_a_server_to_ask_a_fixed_time_is_waited() {
    let Some(server) = knot::start(free_address(), KEY, &zones()).await else {
        return;
    };
    let clock = Arc::new(ManualClock::new("2026-11-22T12:00:00Z".parse().unwrap()));
    let mut env = Env::system();
    env.clock = clock.clone();
    let mut settings = settings(server.address);
    settings.propagation = Propagation::Wait(SignedDuration::from_secs(60));
    let settings = dcv::Settings::Dns(Box::new(settings));
    let proof = txt("waited", "one");
    let validator = || Validator::new(settings.clone(), env.clone());
    validator().present(&proof).await.unwrap();
    let missing = validator().missing(&proof).await.unwrap().unwrap();
    assert!(missing.contains("until 2026-11-22T12:01:00Z"), "{missing}");
    clock.advance(SignedDuration::from_secs(59));
    validator().present(&proof).await.unwrap();
    assert!(validator().missing(&proof).await.unwrap().is_some());
    clock.advance(SignedDuration::from_secs(1));
    assert_eq!(validator().missing(&proof).await.unwrap(), None);
    validator().withdraw(&proof).await.unwrap();
}

#[tokio::test]
async fn a_secret_that_is_not_base64_and_a_file_as_proof_are_refused_before_anything_is_sent() {
    let mut broken = settings(free_address());
    rfc2136(&mut broken).secret = inline("hunter2!");
    broken.follow_cname = false;
    let failure = validator(broken)
        .present(&txt("fw", "one"))
        .await
        .unwrap_err();
    assert_eq!(failure.kind, FailureKind::Local);
    assert!(failure.detail.contains("not base64"), "{failure}");
    assert!(!failure.to_string().contains("hunter2"), "{failure}");
    let file = Proof::File {
        domain: "fw.example.test".to_owned(),
        path: "/.well-known/x".to_owned(),
        content: "x".to_owned(),
    };
    let failure = validator(settings(free_address())).present(&file).await;
    let failure = failure.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Refused);
    assert!(failure.detail.contains("validation.dns"), "{failure}");
}

const KEY: (&str, &str) = ("renewd", "cmVuZXdkIHJlbmV3ZCByZW5ld2QgcmVuZXdkIHJlbmU=");

fn zones() -> [(&'static str, &'static str); 2] {
    [("example.test", EXAMPLE), ("delegated.test", DELEGATED)]
}

const EXAMPLE: &str = "$ORIGIN example.test.\n$TTL 60\n\
    @ SOA ns1 hostmaster 1 3600 900 604800 60\n@ NS ns1\nns1 A 127.0.0.1\n\
    _acme-challenge.alias CNAME alias.delegated.test.\n\
    _acme-challenge.endless CNAME _acme-challenge.endless2\n\
    _acme-challenge.endless2 CNAME _acme-challenge.endless\n";

const DELEGATED: &str = "$ORIGIN delegated.test.\n$TTL 60\n\
    @ SOA ns1 hostmaster 1 3600 900 604800 60\n@ NS ns1\nns1 A 127.0.0.1\n";

fn settings(server: SocketAddr) -> DnsSettings {
    DnsSettings {
        provider: Provider::Rfc2136(Rfc2136 {
            server: Endpoint {
                host: server.ip().to_string(),
                port: server.port(),
            },
            transport: Transport::Tcp,
            key_name: KEY.0.to_owned(),
            algorithm: Algorithm::HmacSha256,
            secret: inline(KEY.1),
        }),
        zone: None,
        ttl: 60,
        follow_cname: true,
        delegate_to: None,
        resolvers: vec![server],
        propagation: Propagation::Servers(vec![server]),
        timeout: Duration::from_secs(10),
    }
}

fn rfc2136(settings: &mut DnsSettings) -> &mut Rfc2136 {
    match &mut settings.provider {
        Provider::Rfc2136(server) => server,
        other => panic!("{other:?}"),
    }
}

fn validator(settings: DnsSettings) -> Validator {
    let settings = dcv::Settings::Dns(Box::new(settings));
    Validator::new(settings, Env::system())
}

fn txt(host: &str, value: &str) -> Proof {
    Proof::Txt {
        name: format!("_acme-challenge.{host}.example.test"),
        value: value.to_owned(),
    }
}

fn inline(text: &str) -> SecretSource {
    SecretSource::Inline(Secret::new(text.to_owned()))
}
