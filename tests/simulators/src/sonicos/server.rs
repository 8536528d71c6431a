//! The two TLS ports: sockets, HTTP, and the certificate on the wire. What a request means is decided in `device.rs`.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Response;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::certificates::Identity;
use super::decorate::Finished;
use super::device::{Device, Outcome};
use super::errand::Commission;
use super::rules::Action;
use super::wire::{Request, envelope_text};
use super::{Profile, http10};
use crate::Witness;
use crate::tls::{self, Cut};

/// The device, and the means to cut its management connections.
#[derive(Debug)]
pub(super) struct Shared {
    device: Mutex<Device>,
    hang_up: watch::Sender<u64>,
    pub(super) witness: OnceLock<Witness>,
}

impl Shared {
    pub(super) fn new(device: Device) -> Arc<Self> {
        Arc::new(Self {
            device: Mutex::new(device),
            hang_up: watch::Sender::new(0),
            witness: OnceLock::new(),
        })
    }

    /// Ends every connection of the management port.
    pub(super) fn hang_up(&self) {
        self.hang_up.send_modify(|times| *times += 1);
    }

    async fn tell(&self, deed: String) {
        if let Some(witness) = self.witness.get() {
            witness.tell(deed).await;
        }
    }

    /// A panic in one handler must not hide the state from the test that looks for its cause.
    pub(super) fn device(&self) -> MutexGuard<'_, Device> {
        self.device.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The certificate that one port serves to new connections.
#[derive(Debug)]
pub(super) struct PortCertificate(RwLock<Arc<CertifiedKey>>);

impl PortCertificate {
    pub(super) fn new(identity: &Identity) -> std::io::Result<Self> {
        let key = certified_key(identity, Vec::new()).map_err(std::io::Error::other)?;
        Ok(Self(RwLock::new(Arc::new(key))))
    }

    /// Serves this from now on. A key that TLS cannot use leaves the port as it is.
    pub(super) fn serve(&self, identity: &Identity, chain: Vec<Vec<u8>>) {
        if let Ok(key) = certified_key(identity, chain) {
            *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
        }
    }

    /// The leaf now served, DER.
    pub(super) fn leaf(&self) -> Vec<u8> {
        self.present()
            .cert
            .first()
            .map(|leaf| leaf.to_vec())
            .unwrap_or_default()
    }

    fn present(&self) -> Arc<CertifiedKey> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl ResolvesServerCert for PortCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.present())
    }
}

/// What a port does with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Management,
    SslVpn,
}

/// Serves a port until the returned future is dropped; dropping it ends its connections too.
pub(super) async fn serve_port(
    listener: TcpListener,
    role: Role,
    certificate: Arc<PortCertificate>,
    shared: Arc<Shared>,
) {
    let Ok(acceptor) = tls::acceptor(certificate) else {
        return;
    };
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            continue;
        };
        if is_refused(role, &shared) {
            continue;
        }
        connections.spawn(serve_connection(
            stream,
            peer,
            role,
            acceptor.clone(),
            shared.clone(),
        ));
        while connections.try_join_next().is_some() {}
    }
}

fn is_refused(role: Role, shared: &Shared) -> bool {
    let faces = &shared.device().faces;
    match role {
        Role::Management => faces.refuse_connections_on_management,
        Role::SslVpn => faces.refuse_connections_on_ssl_vpn,
    }
}

async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    role: Role,
    acceptor: TlsAcceptor,
    shared: Arc<Shared>,
) {
    let mut hang_up = shared.hang_up.subscribe();
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    if shared.device().settings.profile == Profile::V6_5 {
        tokio::select! {
            _ = http10::serve(stream, peer, role, shared.clone()) => {}
            _ = hang_up.changed(), if role == Role::Management => {}
        }
        return;
    }
    let service = service_fn(|request| answer_http(request, peer, role, shared.clone()));
    let mut http = hyper::server::conn::http1::Builder::new();
    let connection = http
        .title_case_headers(true)
        .auto_date_header(false)
        .timer(TokioTimer::new());
    tokio::select! {
        _ = connection.serve_connection(TokioIo::new(stream), service) => {}
        _ = hang_up.changed(), if role == Role::Management => {}
    }
}

type HttpReply = Result<Response<Full<Bytes>>, Cut>;

async fn answer_http(
    request: hyper::Request<Incoming>,
    peer: SocketAddr,
    role: Role,
    shared: Arc<Shared>,
) -> HttpReply {
    let (head, body) = request.into_parts();
    let target = head
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let body = Limited::new(body, LARGEST_BODY)
        .collect()
        .await
        .map_err(|_| Cut)?
        .to_bytes()
        .to_vec();
    let request = Request::new(head.method.as_str(), target, head.headers, body, peer.ip());
    response(answer(request, role, shared).await?)
}

/// What a port says to a request, whatever carries it; `None` is a request that is not for the API.
pub(super) async fn answer(
    request: Option<Request>,
    role: Role,
    shared: Arc<Shared>,
) -> Result<Finished, Cut> {
    match request.filter(|_| role == Role::Management) {
        // On a task of its own: the device finishes what it was told even when the client is gone.
        Some(request) => tokio::spawn(answer_api(request, shared))
            .await
            .map_err(|_| Cut)?,
        None => Ok(page(role)),
    }
}

async fn answer_api(request: Request, shared: Arc<Shared>) -> Result<Finished, Cut> {
    let action = {
        let mut device = shared.device();
        device.counters.requests += 1;
        device.rules.take(&request.method, &request.path)
    };
    match action {
        None => act(request, &shared).await,
        Some(Action::DelayBefore(delay)) => {
            tokio::time::sleep(delay).await;
            act(request, &shared).await
        }
        Some(Action::HoldBefore(gate)) => {
            gate.hold().await;
            act(request, &shared).await
        }
        Some(Action::HoldAfter(gate)) => {
            let reply = act(request, &shared).await;
            gate.hold().await;
            reply
        }
        Some(Action::DropAfter) => {
            let line = format!(
                "- the answer to {} {} is cut by rule",
                request.method,
                request.shown_path()
            );
            let _ = act(request, &shared).await;
            shared.device().journal.push(line);
            Err(Cut)
        }
        Some(instead) => answer_instead(&request, instead, &shared),
    }
}

/// The device acts, and runs the errands that it needs for that.
async fn act(request: Request, shared: &Arc<Shared>) -> Result<Finished, Cut> {
    let deed = format!("{} {}", request.method, request.shown_path());
    let request = Arc::new(request);
    let asked = request.clone();
    let mut outcome = on_device(shared, move |device| device.answer(&asked)).await?;
    loop {
        if !matches!(outcome, Outcome::Errand(_)) {
            // Before the connection ends, if it does: that is an answer too.
            shared.tell(deed.clone()).await;
        }
        match outcome {
            Outcome::Answered(finished) => return Ok(finished),
            Outcome::Lost => return Err(Cut),
            Outcome::AllCut => {
                shared.hang_up();
                return Err(Cut);
            }
            Outcome::Errand(suspended) => {
                let Commission { errand, next } = *suspended.commission;
                let handled = shared.carry(errand).await;
                shared.tell(format!("{deed}: the file is carried")).await;
                let asked = request.clone();
                let resume = move |device: &mut Device| {
                    device.resume(&asked, next, suspended.next_nonce, handled)
                };
                outcome = on_device(shared, resume).await?;
            }
        }
    }
}

/// Away from the threads that serve sockets: making an RSA key takes its time.
async fn on_device(
    shared: &Arc<Shared>,
    act: impl FnOnce(&mut Device) -> Outcome + Send + 'static,
) -> Result<Outcome, Cut> {
    let shared = shared.clone();
    tokio::task::spawn_blocking(move || act(&mut shared.device()))
        .await
        .map_err(|_| Cut)
}

/// The rules that keep the device from acting.
fn answer_instead(request: &Request, action: Action, shared: &Shared) -> Result<Finished, Cut> {
    let finished = match action {
        Action::Status(status, body, headers) => Some(Finished {
            status,
            headers,
            body: body.into_bytes(),
        }),
        Action::Echo(status, letters) => {
            let message = format!("{}{}", "x".repeat(letters), request.whole());
            shared.device().echoed.push(message.clone());
            let body = envelope_text(false, &message).into_bytes();
            let typed = typed("application/json", body);
            Some(Finished { status, ..typed })
        }
        Action::Garbage => Some(typed("application/json", vec![0xff, 0x00, b'}', b'{'])),
        Action::Html => Some(typed("text/html", MANAGEMENT_PAGE.into())),
        Action::SuccessFalseWith200(message) => {
            let body = envelope_text(false, &message).into_bytes();
            Some(typed("application/json", body))
        }
        _ => None,
    };
    let status = finished
        .as_ref()
        .map_or_else(|| "cut".to_owned(), |finished| finished.status.to_string());
    shared
        .device()
        .write_journal(request, &status, Some("by rule, nothing done"));
    finished.ok_or(Cut)
}

fn response(finished: Finished) -> HttpReply {
    let mut builder = Response::builder().status(finished.status);
    for (name, value) in finished.headers {
        builder = builder.header(name, value);
    }
    builder
        .body(Full::new(Bytes::from(finished.body)))
        .map_err(|_| Cut)
}

/// What a browser would see: enough to know that something is there.
fn page(role: Role) -> Finished {
    let text = if role == Role::Management {
        MANAGEMENT_PAGE
    } else {
        SSL_VPN_PAGE
    };
    typed("text/html", text.into())
}

fn typed(kind: &str, body: Vec<u8>) -> Finished {
    Finished {
        status: 200,
        headers: vec![("Content-Type".to_owned(), kind.to_owned())],
        body,
    }
}

const MANAGEMENT_PAGE: &str =
    "<!doctype html><title>Simulated SonicWall</title><p>Management</p>\n";
const SSL_VPN_PAGE: &str =
    "<!doctype html><title>Simulated SonicWall</title><p>SSL VPN portal</p>\n";

/// Far above `max_payload`, so that the device itself refuses what is too large.
pub(super) const LARGEST_BODY: usize = 64 << 20;

fn certified_key(identity: &Identity, chain: Vec<Vec<u8>>) -> Result<CertifiedKey, rustls::Error> {
    let certificates = std::iter::once(identity.der.clone()).chain(chain).collect();
    tls::certified_key(identity.key.private_key(), certificates)
}
