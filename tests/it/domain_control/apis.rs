//! Records written through a provider's HTTP API: how its refusals are reported. PowerDNS stands for all providers,
//! because its address is configurable.

use std::net::SocketAddr;
use std::time::Duration;

use renewd::dcv::dns::{Powerdns, Propagation, Provider, Settings as DnsSettings};
use renewd::dcv::{self, Proof, Validator};
use renewd::env::Env;
use renewd::failure::FailureKind;
use renewd::secret::{Secret, SecretSource};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

#[tokio::test]
async fn a_refusal_is_reported_with_a_remedy_and_without_the_key() {
    for (status, kind) in [
        ("401 Unauthorized", FailureKind::Unauthorized),
        ("403 Forbidden", FailureKind::Unauthorized),
        ("404 Not Found", FailureKind::Refused),
        ("422 Unprocessable Entity", FailureKind::Refused),
        ("502 Bad Gateway", FailureKind::Busy),
    ] {
        let validator = validator(repeating(status).await);
        let failure = validator.present(&txt()).await.unwrap_err();
        assert_eq!(failure.kind, kind, "{status}: {failure}");
        assert!(
            failure
                .call
                .contains("TXT record of _acme-challenge.fw.example.test")
        );
        assert!(!format!("{failure:?}").contains(KEY), "{failure:?}");
        if kind == FailureKind::Unauthorized {
            assert!(
                failure.detail.contains("validation.dns.provider.powerdns"),
                "{failure}"
            );
        }
        let checked = validator.check().await.unwrap_err();
        assert_eq!(checked.kind, kind, "{status}: {checked}");
        let rehearsed = validator
            .rehearse(&txt())
            .await
            .map_err(|failure| failure.kind);
        // What cannot be read may still be written.
        let expected = if kind == FailureKind::Refused {
            Ok(())
        } else {
            Err(kind)
        };
        assert_eq!(rehearsed, expected, "{status}");
    }
}

#[tokio::test]
async fn a_provider_that_cannot_be_reached_is_reported_as_unreachable() {
    let validator = validator(crate::peers::free_address());
    let failure = validator.present(&txt()).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unreachable, "{failure}");
}

async fn repeating(status: &'static str) -> SocketAddr {
    answering(vec![(status, format!("the key {KEY} is not liked"))]).await
}

/// A server with these statuses and bodies, one after the other and from the start again.
pub async fn answering(answers: Vec<(&'static str, String)>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for (status, body) in answers.iter().cycle() {
            let Ok((mut stream, _)) = listener.accept().await else {
                return;
            };
            let _ = stream.read(&mut [0; 4096]).await;
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

fn validator(server: SocketAddr) -> Validator {
    let settings = DnsSettings {
        provider: Provider::Powerdns(Powerdns {
            url: format!("http://{server}").parse().unwrap(),
            key: SecretSource::Inline(Secret::new(KEY.to_owned())),
            server_id: "localhost".to_owned(),
        }),
        zone: Some("example.test".to_owned()),
        ttl: 60,
        follow_cname: false,
        delegate_to: None,
        resolvers: Vec::new(),
        propagation: Propagation::Servers(vec![server]),
        timeout: Duration::from_secs(10),
    };
    let settings = dcv::Settings::Dns(Box::new(settings));
    Validator::new(settings, Env::system())
}

fn txt() -> Proof {
    Proof::Txt {
        name: "_acme-challenge.fw.example.test".to_owned(),
        value: "one".to_owned(),
    }
}

const KEY: &str = "hunter2-and-more";
