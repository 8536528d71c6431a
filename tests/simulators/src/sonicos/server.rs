//! The two TLS ports: sockets, HTTP, and the served certificate. `device.rs` processes the requests.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use http_body_util::{BodyExt as _, Limited};
use hyper::Response;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::certificates::Identity;
use super::decorate::Finished;
use super::device::{Device, Outcome};
use super::rules::Action;
use super::transfer_request::TransferStep;
use super::wire::{Request, envelope_text};
use super::{Profile, http10};
use crate::faulty_connections::{reset, turn_away};
use crate::response_delivery::{Handling, ResponseDelivery};
use crate::tls::{self, Cut};
use crate::{ConnectionFault, Observer};

/// The device, and the means to cut its management connections.
#[derive(Debug)]
pub(super) struct Shared {
    device: Mutex<Device>,
    hang_up: watch::Sender<u64>,
    pub(super) observer: OnceLock<Observer>,
}

impl Shared {
    pub(super) fn new(device: Device) -> Arc<Self> {
        Arc::new(Self {
            device: Mutex::new(device),
            hang_up: watch::Sender::new(0),
            observer: OnceLock::new(),
        })
    }

    /// Ends every connection of the management port.
    pub(super) fn hang_up(&self) {
        self.hang_up.send_modify(|times| *times += 1);
    }

    async fn tell(&self, request: String) {
        if let Some(observer) = self.observer.get() {
            observer.tell(request).await;
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

/// The purpose of a port.
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
        let fault = shared.device().connections.enter();
        if let Some(fault) = fault {
            connections.spawn(turned_away(stream, fault, shared.clone()));
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
    let variants = &shared.device().variants;
    match role {
        Role::Management => variants.refuse_connections_on_management,
        Role::SslVpn => variants.refuse_connections_on_ssl_vpn,
    }
}

async fn turned_away(stream: TcpStream, fault: ConnectionFault, shared: Arc<Shared>) {
    let reported = turn_away(stream, fault).await;
    shared.device().connections.bytes_sent_to_impostor += reported;
}

async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    role: Role,
    acceptor: TlsAcceptor,
    shared: Arc<Shared>,
) {
    let mut hang_up = shared.hang_up.subscribe();
    let Ok(mut stream) = acceptor.accept(stream).await else {
        return;
    };
    let profile = shared.device().settings.profile;
    let exchanges = async {
        match profile {
            Profile::V6_5 => serve_old(&mut stream, peer, role, shared).await,
            _ => serve_new(&mut stream, peer, role, shared).await,
        }
    };
    let to_reset = tokio::select! {
        to_reset = exchanges => to_reset,
        _ = hang_up.changed(), if role == Role::Management => false,
    };
    if to_reset {
        reset(stream.get_ref().0);
    }
}

type Stream = TlsStream<TcpStream>;

/// Returns whether the connection is to be reset.
async fn serve_old(stream: &mut Stream, peer: SocketAddr, role: Role, shared: Arc<Shared>) -> bool {
    let served = http10::serve(stream, peer, role, shared).await;
    served.is_err_and(|error| error.get_ref().is_some_and(|error| Cut::is_reset(error)))
}

/// Returns whether the connection is to be reset.
async fn serve_new(stream: &mut Stream, peer: SocketAddr, role: Role, shared: Arc<Shared>) -> bool {
    let service = service_fn(|request| Box::pin(answer_http(request, peer, role, shared.clone())));
    let mut http = hyper::server::conn::http1::Builder::new();
    let mut connection = http
        .title_case_headers(true)
        .auto_date_header(false)
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(&mut *stream), service);
    // Not simply awaited: a reset connection gets no `close_notify`.
    let ended = poll_fn(|context| connection.poll_without_shutdown(context)).await;
    drop(connection);
    let to_reset = ended.is_err_and(|error| Cut::is_reset(&error));
    if !to_reset {
        let _ = stream.shutdown().await;
    }
    to_reset
}

type HttpReply = Result<Response<ResponseDelivery>, Cut>;

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
        .map_err(|_| Cut::Closed)?
        .to_bytes()
        .to_vec();
    let request = Request::new(head.method.as_str(), target, head.headers, body, peer.ip());
    let finished = answer(request, role, shared.clone()).await?;
    let ends_connection = shared.device().connections.one_request_each;
    response(finished, ends_connection).await
}

/// The answer of a port to a request, over any transport. `None` is a request that is not for the API.
pub(super) async fn answer(
    request: Option<Request>,
    role: Role,
    shared: Arc<Shared>,
) -> Result<Finished, Cut> {
    match request.filter(|_| role == Role::Management) {
        // On a task of its own: the device finishes a request that it received, even when the client is gone.
        Some(request) => tokio::spawn(answer_api(request, shared))
            .await
            .map_err(|_| Cut::Closed)?,
        None => Ok(page(role)),
    }
}

async fn answer_api(request: Request, shared: Arc<Shared>) -> Result<Finished, Cut> {
    let action = {
        let mut device = shared.device();
        device.counters.requests += 1;
        device.counters.credentials += u64::from(request.has_credentials());
        device.let_in_visitor();
        device.rules.take(&request.method, &request.path)
    };
    let Some(action) = action else {
        return act(request, &shared).await;
    };
    if let Some(handling) = action.after() {
        return act_then(request, action, handling, &shared).await;
    }
    match action {
        Action::DelayBefore(delay) => {
            tokio::time::sleep(delay).await;
            act(request, &shared).await
        }
        Action::HoldBefore(barrier) => {
            barrier.hold().await;
            act(request, &shared).await
        }
        instead => answer_instead(&request, instead, &shared),
    }
}

/// The device acts, and something becomes of its answer.
async fn act_then(
    request: Request,
    action: Action,
    handling: Handling,
    shared: &Arc<Shared>,
) -> Result<Finished, Cut> {
    let line = format!("{} {}", request.method, request.display_path());
    let reply = act(request, shared).await;
    let note = |what: &str| {
        let line = format!("- the answer to {line} {what} by rule");
        shared.device().journal.push(line);
    };
    match action {
        Action::HoldAfter(barrier) => {
            barrier.hold().await;
            reply
        }
        Action::DropAfter => {
            note("is cut");
            Err(Cut::Closed)
        }
        Action::ResetAfter => {
            note("is reset");
            Err(Cut::Reset)
        }
        Action::ServerErrorAfter => {
            note("is a 500");
            let mut error = typed("text/plain", b"Internal server error".to_vec());
            error.status = 500;
            Ok(error)
        }
        action => {
            note("does not arrive whole");
            let mut finished = reply?;
            if matches!(action, Action::Truncated) {
                finished.body.truncate(finished.body.len() / 2);
            }
            finished.handling = handling;
            Ok(finished)
        }
    }
}

/// The device processes the request, and runs the file transfers that the request requires.
async fn act(request: Request, shared: &Arc<Shared>) -> Result<Finished, Cut> {
    let line = format!("{} {}", request.method, request.display_path());
    let request = Arc::new(request);
    let asked = request.clone();
    let mut outcome = on_device(shared, move |device| device.answer(&asked)).await?;
    loop {
        if !matches!(outcome, Outcome::Transfer(_)) {
            // Before the connection ends, if it does: that is an answer too.
            shared.tell(line.clone()).await;
        }
        match outcome {
            Outcome::Answered(finished) => return Ok(finished),
            Outcome::Lost => return Err(Cut::Closed),
            Outcome::AllCut => {
                shared.hang_up();
                return Err(Cut::Closed);
            }
            Outcome::Transfer(suspended) => {
                let TransferStep { transfer, next } = *suspended.step;
                let handled = shared.carry(transfer).await;
                shared.tell(format!("{line}: the file is carried")).await;
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
        .map_err(|_| Cut::Closed)
}

/// The rules that keep the device from acting.
fn answer_instead(request: &Request, action: Action, shared: &Shared) -> Result<Finished, Cut> {
    let cut = match action {
        Action::ResetBefore => Cut::Reset,
        _ => Cut::Closed,
    };
    let finished = match action {
        Action::Status(status, body, headers) => Some(Finished {
            status,
            headers,
            body: body.into_bytes(),
            handling: Handling::Whole,
        }),
        Action::SilentBefore => Some(Finished {
            handling: Handling::Never,
            ..typed("text/plain", Vec::new())
        }),
        Action::Echo(status, letters) => {
            let message = format!("{}{}", "x".repeat(letters), request.whole());
            shared.device().echoed.push(message.clone());
            let body = envelope_text(false, &message).into_bytes();
            let mut finished = typed("application/json", body);
            let line = message.replace(|c: char| !matches!(c, ' '..='~'), "_");
            let headers = ECHOING_HEADERS.map(|name| (name.to_owned(), line.clone()));
            finished.headers.extend(headers);
            Some(Finished { status, ..finished })
        }
        Action::Garbage => Some(typed("application/json", vec![0xff, 0x00, b'}', b'{'])),
        Action::Html => Some(typed("text/html", MANAGEMENT_PAGE.into())),
        Action::SuccessFalseWith200(message) => {
            let body = envelope_text(false, &message).into_bytes();
            Some(typed("application/json", body))
        }
        _ => None,
    };
    let status = match &finished {
        Some(finished) if finished.handling == Handling::Never => "silent".to_owned(),
        Some(finished) => finished.status.to_string(),
        None => "cut".to_owned(),
    };
    shared
        .device()
        .write_journal(request, &status, Some("by rule, nothing done"));
    finished.ok_or(cut)
}

async fn response(finished: Finished, ends_connection: bool) -> HttpReply {
    let mut builder = Response::builder().status(finished.status);
    for (name, value) in finished.headers {
        builder = builder.header(name, value);
    }
    if ends_connection {
        builder = builder.header("Connection", "close");
    }
    let delivery = ResponseDelivery::new(finished.body, finished.handling).await?;
    builder.body(delivery).map_err(|_| Cut::Closed)
}

/// The page for a browser.
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
        handling: Handling::Whole,
    }
}

/// Those that a client may look at, or a library may log.
const ECHOING_HEADERS: [&str; 4] = ["Server", "Location", "Retry-After", "X-Request"];
const MANAGEMENT_PAGE: &str =
    "<!doctype html><title>Simulated SonicWall</title><p>Management</p>\n";
const SSL_VPN_PAGE: &str =
    "<!doctype html><title>Simulated SonicWall</title><p>SSL VPN portal</p>\n";

/// Far above `max_payload`, so that the device itself refuses bodies that are too large.
pub(super) const LARGEST_BODY: usize = 64 << 20;

fn certified_key(identity: &Identity, chain: Vec<Vec<u8>>) -> Result<CertifiedKey, rustls::Error> {
    let certificates = std::iter::once(identity.der.clone()).chain(chain).collect();
    tls::certified_key(identity.key.private_key(), certificates)
}
