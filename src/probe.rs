//! Which certificate does this service show now? A TLS handshake, no application data.
//!
//! A probe judges neither chain nor name nor dates, because it reports what is served, good or bad. It does verify that the
//! peer has the key: a certificate is public, and any server could present it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{AlertDescription, DigitallySignedStruct, Error, SignatureScheme};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout_at};

use crate::connector;
use crate::inventory::Endpoint;
use crate::pki::{Certificate, Fingerprint};
use crate::tls::{self, Handshake, Version};

/// What an address showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeResult {
    /// A handshake showed this certificate, and the peer proved that it has the key; with the certificates that came
    /// after it, DER, which are not verified.
    Served(Box<Certificate>, Vec<Vec<u8>>),
    /// A handshake showed a certificate that cannot be read; why. The peer proved that it has the key.
    Unreadable(Fingerprint, String),
    /// No certificate was seen, or the peer could not prove that it has the key; why.
    Unreachable(String),
}

/// What a probe result says about a certificate that was just bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The new certificate is served.
    New,
    /// The one before it is still served.
    OldStillServed,
    /// A third one is served.
    Other(Fingerprint),
    /// Nothing was seen; why.
    Unreachable(String),
}

/// Probes `endpoint`, with `server_name` in the handshake (SNI) where it can be named there, else with the endpoint's
/// own name. An address that cannot be named in SNI is probed anyway. The probe takes `limit` at most.
pub async fn probe(endpoint: &Endpoint, server_name: Option<&str>, limit: Duration) -> ProbeResult {
    let recorder = Arc::new(CertificateRecorder::new());
    let handshake = shake_hands(endpoint, server_name, limit, Arc::clone(&recorder));
    recorder.result(handshake.await.err())
}

/// What `probed` says, when `new` was bound in the place of `old`.
pub fn judge(probed: &ProbeResult, new: &Fingerprint, old: Option<&Fingerprint>) -> Verdict {
    let fingerprint = match probed {
        ProbeResult::Unreachable(why) => return Verdict::Unreachable(why.clone()),
        ProbeResult::Served(served, _) => served.fingerprint,
        ProbeResult::Unreadable(fingerprint, _) => *fingerprint,
    };
    if fingerprint == *new {
        Verdict::New
    } else if Some(&fingerprint) == old {
        Verdict::OldStillServed
    } else {
        Verdict::Other(fingerprint)
    }
}

async fn shake_hands(
    endpoint: &Endpoint,
    server_name: Option<&str>,
    limit: Duration,
    recorder: Arc<CertificateRecorder>,
) -> Result<(), String> {
    let deadline = Instant::now() + limit;
    let config = tls::config(recorder).map_err(|failure| failure.detail)?;
    let name = server_name.and_then(|name| sni(name).ok());
    let name = match name {
        Some(name) => name,
        None => sni(&endpoint.host)?,
    };
    let stream = connector::connect(&endpoint.host, endpoint.port, limit)
        .await
        .map_err(|error| error.to_string())?;
    let address = stream.peer_addr().map_err(|error| error.to_string())?;
    let handshake = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream);
    let mut stream = match timeout_at(deadline, handshake).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(format!("{address}: {}", explain(&error))),
        Err(_) => {
            let limit = limit.as_secs_f32();
            return Err(format!("{address}: no answer within {limit} s"));
        }
    };
    // A device that does not answer the shutdown has presented its certificate anyway.
    let _ = timeout_at(deadline, stream.shutdown()).await;
    Ok(())
}

/// Whether `name` can be named in a handshake.
pub fn is_server_name(name: &str) -> bool {
    sni(name).is_ok()
}

/// The name for the handshake; an IPv6 address without its zone, which means nothing to the peer.
fn sni(name: &str) -> Result<ServerName<'static>, String> {
    let name = name.split('%').next().unwrap_or(name);
    ServerName::try_from(name.to_owned())
        .map_err(|_| format!("{name:?} is no host name or address"))
}

fn explain(error: &std::io::Error) -> String {
    if let Some(words) = tls::refusal(error) {
        return words;
    }
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref());
    match cause {
        Some(Error::AlertReceived(
            AlertDescription::HandshakeFailure | AlertDescription::ProtocolVersion,
        )) => format!("{error}: the service has no TLS 1.2 or 1.3 with forward secrecy"),
        _ => format!("TLS handshake: {error}"),
    }
}

/// Accepts every certificate and remembers it, so that it is known although the handshake failed later.
#[derive(Debug)]
struct CertificateRecorder {
    handshake: Handshake,
    seen: Mutex<PeerCertificates>,
}

#[derive(Debug, Default)]
struct PeerCertificates {
    leaf: Option<Vec<u8>>,
    chain: Vec<Vec<u8>>,
    proved: bool,
}

impl CertificateRecorder {
    fn new() -> Self {
        Self {
            handshake: Handshake::new(&tls::provider()),
            seen: Mutex::default(),
        }
    }

    fn result(&self, trouble: Option<String>) -> ProbeResult {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let trouble = || trouble.unwrap_or_else(|| "no certificate was shown".to_owned());
        match &seen.leaf {
            Some(leaf) if seen.proved => match Certificate::from_der(leaf) {
                Ok(certificate) => ProbeResult::Served(Box::new(certificate), seen.chain.clone()),
                Err(error) => ProbeResult::Unreadable(Fingerprint::of(leaf), error.to_string()),
            },
            _ => ProbeResult::Unreachable(trouble()),
        }
    }

    fn verify_signature(
        &self,
        version: Version,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let proof = self
            .handshake
            .verify_known(version, message, certificate, signed)?;
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .proved = true;
        Ok(proof)
    }
}

impl ServerCertVerifier for CertificateRecorder {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.leaf = Some(leaf.to_vec());
        let chain = intermediates.iter().take(LONGEST_CHAIN);
        seen.chain = chain.map(|certificate| certificate.to_vec()).collect();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(Version::Tls12, message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(Version::Tls13, message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.handshake.schemes()
    }
}

/// More certificates than this no server needs to prove itself.
const LONGEST_CHAIN: usize = 16;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use rcgen::KeyPair;

    use super::*;
    use crate::pki::testing::leaf_params;
    use crate::tls::testing::serve;

    const LIMIT: Duration = Duration::from_secs(10);

    fn certificate() -> (KeyPair, Certificate) {
        let key = KeyPair::generate().unwrap();
        let certificate = leaf_params().self_signed(&key).unwrap();
        (key, Certificate::from_der(certificate.der()).unwrap())
    }

    #[tokio::test]
    async fn the_served_certificate_is_seen_over_ipv4_and_ipv6() {
        let (key, certificate) = certificate();
        for address in ["127.0.0.1", "::1"] {
            let server = serve(address, &[&certificate], &key).await;
            for name in [None, Some("vpn.example.com")] {
                let probed = probe(&server.endpoint, name, LIMIT).await;
                assert_eq!(
                    probed,
                    ProbeResult::Served(Box::new(certificate.clone()), Vec::new())
                );
            }
        }
    }

    #[tokio::test]
    async fn a_certificate_shown_without_its_key_does_not_count() {
        let (_, certificate) = certificate();
        let thief = serve("127.0.0.1", &[&certificate], &KeyPair::generate().unwrap()).await;
        let ProbeResult::Unreachable(why) = probe(&thief.endpoint, None, LIMIT).await else {
            panic!("a stolen certificate was believed");
        };
        let words = "but did not prove that it has its key";
        assert!(why.contains(words), "{why}");
        assert!(why.contains(&certificate.fingerprint.to_string()), "{why}");
    }

    #[tokio::test]
    async fn a_certificate_that_cannot_be_read_is_no_silence() {
        let (key, certificate) = certificate();
        let mut odd = certificate;
        // The month of its beginning, a UTCTime: there is no 13th.
        let date = odd.der.windows(2).position(|pair| pair == [0x17, 13]);
        let month = date.unwrap() + 4;
        odd.der[month..month + 2].copy_from_slice(b"13");
        let server = serve("127.0.0.1", &[&odd], &key).await;
        let probed = probe(&server.endpoint, None, LIMIT).await;
        let ProbeResult::Unreadable(fingerprint, why) = probed else {
            panic!("{probed:?}");
        };
        assert_eq!(fingerprint, Fingerprint::of(&odd.der));
        assert!(!why.is_empty());
    }

    #[tokio::test]
    async fn a_silent_or_closed_port_is_unreachable_within_the_limit() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint {
            host: "127.0.0.1".to_owned(),
            port: silent.local_addr().unwrap().port(),
        };
        let probed = probe(&endpoint, None, Duration::from_millis(50)).await;
        assert_eq!(
            probed,
            ProbeResult::Unreachable(format!("{endpoint}: no answer within 0.05 s"))
        );
        drop(silent);
        let ProbeResult::Unreachable(why) = probe(&endpoint, None, LIMIT).await else {
            panic!("nothing listens there");
        };
        assert!(why.contains("refused"), "{why}");
    }

    #[tokio::test]
    async fn an_address_is_seen_although_a_name_cannot_be_asked_for() {
        let (key, certificate) = certificate();
        let server = serve("127.0.0.1", &[&certificate], &key).await;
        for name in ["*.example.com", "a b", "Ver. 2"] {
            assert!(!is_server_name(name));
            assert_eq!(
                probe(&server.endpoint, Some(name), LIMIT).await,
                ProbeResult::Served(Box::new(certificate.clone()), Vec::new()),
                "{name}"
            );
        }
        let nowhere = Endpoint {
            host: "a b".to_owned(),
            port: 443,
        };
        assert_eq!(
            probe(&nowhere, None, LIMIT).await,
            ProbeResult::Unreachable("\"a b\" is no host name or address".to_owned())
        );
    }

    #[test]
    fn a_probe_result_is_compared_with_the_new_and_the_old_certificate() {
        let served = ProbeResult::Served(Box::new(certificate().1), Vec::new());
        let ProbeResult::Served(seen, _) = &served else {
            return;
        };
        let here = seen.fingerprint;
        let other = Fingerprint::of(b"other");
        assert_eq!(judge(&served, &here, Some(&here)), Verdict::New);
        assert_eq!(judge(&served, &other, Some(&here)), Verdict::OldStillServed);
        assert_eq!(judge(&served, &other, None), Verdict::Other(here));
        let nothing = ProbeResult::Unreachable("why".to_owned());
        assert_eq!(
            judge(&nothing, &here, None),
            Verdict::Unreachable("why".to_owned())
        );
    }
}
