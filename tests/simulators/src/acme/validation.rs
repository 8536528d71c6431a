//! Validates challenges (RFC 8555 8.3, 8.4) by real connections, in the background, without a lock. Not implemented:
//! redirects, CAA, and resolving names: every web server is on 127.0.0.1.

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
use super::{ProblemType, Variants, dns};

/// The future outcome of a validation.
pub(super) type Verdict = oneshot::Receiver<Result<(), Problem>>;

/// The expected record or file.
#[derive(Debug)]
pub(super) enum Proof {
    /// 8.3
    Http(Page),
    /// 8.4
    Dns(Record),
}

/// A page below port 80 of a name.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) host: Identifier,
    pub(super) token: String,
    pub(super) key_authorization: String,
}

/// A TXT record.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) name: String,
    /// In base64url.
    pub(super) digest: String,
}

/// Starts the validation that the switches define. Without the network, the outcome is available at once.
pub(super) fn look(
    variants: &Variants,
    txt: &HashMap<String, Vec<String>>,
    proof: Proof,
) -> Verdict {
    let (sender, verdict) = oneshot::channel();
    // The receiver may be gone. That is no failure.
    let send = |outcome| drop(sender.send(outcome));
    let times = variants.vantage_points.max(1);
    match (variants.validation_fails, proof, variants.dns_server) {
        (Some(kind), ..) => send(Err(Problem::asked_for(kind, None))),
        _ if variants.always_valid => send(Ok(())),
        (None, Proof::Dns(record), None) => {
            let texts = txt.get(&record.name).map(Vec::as_slice);
            send(record.compare(texts.unwrap_or_default()));
        }
        (None, Proof::Dns(record), Some(server)) => {
            tokio::spawn(async move { send(record.look(times, server).await) });
        }
        (None, Proof::Http(page), _) => {
            let port = variants.http_port;
            tokio::spawn(async move { send(page.look(times, port).await) });
        }
    }
    verdict
}

impl Page {
    /// Every look must see it.
    async fn look(&self, times: u32, port: u16) -> Result<(), Problem> {
        for _ in 0..times {
            self.look_once(port).await?;
        }
        Ok(())
    }

    /// 8.3: its body is the key authorization; white space at its end does not matter.
    async fn look_once(&self, port: u16) -> Result<(), Problem> {
        let host = match &self.host {
            Identifier::Ip(address) if address.is_ipv6() => format!("[{address}]"),
            other => other.text(),
        };
        let path = format!("/.well-known/acme-challenge/{}", self.token);
        let url = format!("http://{host}{path}");
        let unseen = |why: String| Problem::new(ProblemType::Connection, format!("{url}: {why}"));
        let (status, body) = timeout(PATIENCE, fetch(&host, &path, port))
            .await
            .map_err(|_| unseen("timeout".to_owned()))?
            .map_err(|error| unseen(error.to_string()))?;
        if status == 200 && body.trim_end() == self.key_authorization {
            return Ok(());
        }
        let seen: String = body.chars().take(80).collect();
        Err(Problem::new(
            ProblemType::Unauthorized,
            format!("{url}: not the key authorization, but {status} {seen:?}"),
        ))
    }
}

impl Record {
    /// Every look must see it.
    async fn look(&self, times: u32, server: SocketAddr) -> Result<(), Problem> {
        for _ in 0..times {
            self.look_once(server).await?;
        }
        Ok(())
    }

    async fn look_once(&self, server: SocketAddr) -> Result<(), Problem> {
        let failed = |why: String| {
            let detail = format!("looking up TXT for {}: {why}", self.name);
            Problem::new(ProblemType::Dns, detail)
        };
        let texts = timeout(PATIENCE, dns::texts(&self.name, server))
            .await
            .map_err(|_| failed("timeout".to_owned()))?
            .map_err(failed)?;
        self.compare(&texts)
    }

    /// 8.4: one of the records is the digest.
    fn compare(&self, texts: &[String]) -> Result<(), Problem> {
        if texts.contains(&self.digest) {
            return Ok(());
        }
        let name = &self.name;
        let detail = match texts.first() {
            None => format!("no TXT record found at {name}"),
            Some(first) => format!("incorrect TXT record {first:?} found at {name}"),
        };
        Err(Problem::new(ProblemType::Unauthorized, detail))
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn fetch(host: &str, path: &str, port: u16) -> Result<(u16, String), Failure> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // It ends when the sender is dropped.
    tokio::spawn(connection);
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
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// On loopback a server that has not answered by then never answers.
const PATIENCE: Duration = Duration::from_secs(5);

/// A key authorization is much smaller.
const LARGEST_PAGE: usize = 64 << 10;
