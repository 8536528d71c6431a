//! Looking at proofs (RFC 8555 8.3, 8.4), for real and in the background: nothing is locked meanwhile. Not made: redirects,
//! CAA, and looking up where a name points: every web server is on 127.0.0.1.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::identifier::Identifier;
use super::wire::Problem;
use super::{Faces, ProblemType, dns};

/// What will come of a look.
pub(super) type Verdict = oneshot::Receiver<Result<(), Problem>>;

/// What is to be seen.
#[derive(Debug)]
pub(super) enum Proof {
    /// A page.
    Http {
        host: Identifier,
        token: String,
        key_authorization: String,
    },
    /// A TXT record.
    Dns { name: String, digest: String },
}

/// Where and how often to look.
#[derive(Debug)]
pub(super) struct Look<'a> {
    faces: &'a Faces,
    txt: &'a HashMap<String, Vec<String>>,
}

impl<'a> Look<'a> {
    pub(super) fn new(faces: &'a Faces, txt: &'a HashMap<String, Vec<String>>) -> Self {
        Self { faces, txt }
    }

    /// Begins to look. What a switch has decided is decided at once.
    pub(super) fn at(&self, proof: Proof) -> Verdict {
        let (sender, verdict) = oneshot::channel();
        let decided = match (self.faces.validation_fails, self.faces.always_valid) {
            (Some(kind), _) => Some(Err(Problem::asked_for(kind, None))),
            (None, true) => Some(Ok(())),
            (None, false) => self.in_the_store(&proof),
        };
        if let Some(decided) = decided {
            // The receiver is in this function: it cannot be gone.
            let _ = sender.send(decided);
            return verdict;
        }
        let times = self.faces.vantage_points.max(1);
        let (http_port, dns_server) = (self.faces.http_port, self.faces.dns_server);
        tokio::spawn(async move {
            let mut outcome = Ok(());
            for _ in 0..times {
                outcome = match (&proof, dns_server) {
                    (Proof::Http { .. }, _) => page(&proof, http_port).await,
                    (Proof::Dns { name, digest }, Some(server)) => {
                        record(name, digest, server).await
                    }
                    (Proof::Dns { .. }, None) => Ok(()),
                };
                if outcome.is_err() {
                    break;
                }
            }
            // Nobody is there to hear it when the CA has stopped.
            let _ = sender.send(outcome);
        });
        verdict
    }

    fn in_the_store(&self, proof: &Proof) -> Option<Result<(), Problem>> {
        let Proof::Dns { name, digest } = proof else {
            return None;
        };
        if self.faces.dns_server.is_some() {
            return None;
        }
        let texts = self.txt.get(name).cloned().unwrap_or_default();
        Some(compare(name, digest, &texts))
    }
}

/// 8.3: one page, whose body is the key authorization; white space at its end does not matter.
async fn page(proof: &Proof, port: u16) -> Result<(), Problem> {
    let Proof::Http {
        host,
        token,
        key_authorization,
    } = proof
    else {
        return Ok(());
    };
    let host = match host {
        Identifier::Ip(address) if address.is_ipv6() => format!("[{address}]"),
        other => other.text(),
    };
    let path = format!("/.well-known/acme-challenge/{token}");
    let url = format!("http://{host}{path}");
    let unseen = |why: String| Problem::new(ProblemType::Connection, format!("{url}: {why}"));
    let (status, body) = timeout(PATIENCE, fetch(&host, &path, port))
        .await
        .map_err(|_| unseen("timeout".to_owned()))?
        .map_err(|error| unseen(error.to_string()))?;
    if status == 200 && body.trim_end() == key_authorization {
        return Ok(());
    }
    let seen: String = body.chars().take(80).collect();
    Err(Problem::new(
        ProblemType::Unauthorized,
        format!("{url}: not the key authorization, but {status} {seen:?}"),
    ))
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn fetch(host: &str, path: &str, port: u16) -> Result<(u16, String), Failure> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = hyper::Request::get(path)
        .header("Host", host)
        .header("User-Agent", "simulated ACME server")
        .body(Empty::<Bytes>::new())?;
    let answer: hyper::Response<Incoming> = sender.send_request(request).await?;
    let status = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), LARGEST_PAGE)
        .collect()
        .await?
        .to_bytes();
    connection.abort();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// 8.4: one of the TXT records is the digest of the key authorization.
async fn record(name: &str, digest: &str, server: SocketAddr) -> Result<(), Problem> {
    let failed = |why: String| {
        Problem::new(
            ProblemType::Dns,
            format!("looking up TXT for {name}: {why}"),
        )
    };
    let texts = timeout(PATIENCE, dns::texts(name, server))
        .await
        .map_err(|_| failed("timeout".to_owned()))?
        .map_err(failed)?;
    compare(name, digest, &texts)
}

fn compare(name: &str, digest: &str, texts: &[String]) -> Result<(), Problem> {
    if texts.iter().any(|text| text == digest) {
        return Ok(());
    }
    let detail = match texts.first() {
        None => format!("no TXT record found at {name}"),
        Some(first) => format!("incorrect TXT record {first:?} found at {name}"),
    };
    Err(Problem::new(ProblemType::Unauthorized, detail))
}

/// On loopback whoever has not answered by then never will.
const PATIENCE: Duration = Duration::from_secs(5);

/// A key authorization is much smaller.
const LARGEST_PAGE: usize = 64 << 10;
