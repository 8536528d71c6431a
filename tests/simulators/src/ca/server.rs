//! The TLS port of a simulated CA: sockets, HTTP, and the faults. What a request means is decided by the model.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Response;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::fault::{Fault, Faults};
use super::http::{Reply, Request};
use super::model::{Model, Office};
use crate::Witness;
use crate::tls::Cut;

/// A CA and what happens around it.
#[derive(Debug)]
pub(super) struct Shared<M>(Mutex<State<M>>);

/// Everything behind the port.
#[derive(Debug)]
pub(super) struct State<M> {
    pub(super) model: M,
    pub(super) office: Office,
    pub(super) faults: Faults,
    /// `POST /path`, one per request.
    pub(super) requests: Vec<String>,
    /// The same with what came of it.
    pub(super) journal: Vec<String>,
    pub(super) refuse_connections: bool,
    pub(super) witness: Option<Witness>,
}

impl<M: Model> Shared<M> {
    pub(super) fn new(model: M, office: Office) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            model,
            office,
            faults: Faults::default(),
            requests: Vec::new(),
            journal: Vec::new(),
            refuse_connections: false,
            witness: None,
        })))
    }

    /// A panic in one handler must not hide the state from the test that looks for its cause.
    pub(super) fn state(&self) -> MutexGuard<'_, State<M>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one certificate of the port.
#[derive(Debug)]
pub(super) struct OneCertificate(pub(super) Arc<CertifiedKey>);

impl ResolvesServerCert for OneCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

/// Serves the port until the returned future is dropped; dropping it ends its connections too.
pub(super) async fn serve<M: Model>(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    shared: Arc<Shared<M>>,
) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        if shared.state().refuse_connections {
            reset(&stream);
            continue;
        }
        connections.spawn(serve_connection(stream, acceptor.clone(), shared.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve_connection<M: Model>(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    shared: Arc<Shared<M>>,
) {
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let to_reset = Arc::new(AtomicBool::new(false));
    let service =
        service_fn(|request| Box::pin(answer_http(request, shared.clone(), to_reset.clone())));
    let mut http = hyper::server::conn::http1::Builder::new();
    let mut connection = http
        .title_case_headers(true)
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    // Not simply awaited: the socket is needed afterwards, to reset it.
    let _ = poll_fn(|context| connection.poll_without_shutdown(context)).await;
    let mut stream = connection.into_parts().io.into_inner();
    if to_reset.load(Ordering::Relaxed) {
        reset(stream.get_ref().0);
    } else {
        let _ = stream.shutdown().await;
    }
}

/// The client gets a TCP RST as soon as the socket is dropped. A failure leaves an ordinary end.
fn reset(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}

type HttpReply = Result<Response<Full<Bytes>>, Cut>;

async fn answer_http<M: Model>(
    request: hyper::Request<Incoming>,
    shared: Arc<Shared<M>>,
    to_reset: Arc<AtomicBool>,
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
    let request = Request::new(head.method.as_str(), target, head.headers, body);
    // On a task of its own: the CA finishes what it was told even when the client is gone.
    tokio::spawn(answer(request, shared, to_reset))
        .await
        .map_err(|_| Cut)?
}

async fn answer<M: Model>(
    request: Request,
    shared: Arc<Shared<M>>,
    to_reset: Arc<AtomicBool>,
) -> HttpReply {
    let line = request.line();
    let fault = {
        let mut state = shared.state();
        state.office.counters.requests += 1;
        state.requests.push(line.clone());
        state.faults.take(&request)
    };
    let Some(fault) = fault else {
        let reply = act(request, &shared).await?;
        return send(&line, reply, &shared);
    };
    if let Some(reply) = fault.instead() {
        return send(&line, reply.noted("by fault, nothing done"), &shared);
    }
    match &fault {
        Fault::Reset | Fault::LostBefore => {
            to_reset.store(matches!(fault, Fault::Reset), Ordering::Relaxed);
            return cut(&line, "cut by fault, nothing done", &shared);
        }
        Fault::Delay(delay) => tokio::time::sleep(*delay).await,
        Fault::HoldBefore(gate) => gate.hold().await,
        _ => {}
    }
    let reply = act(request, &shared).await?;
    match &fault {
        Fault::LostAfter => return cut(&line, "done, its answer cut by fault", &shared),
        Fault::HoldAfter(gate) => gate.hold().await,
        _ => {}
    }
    send(&line, fault.after(reply), &shared)
}

/// The CA acts, away from the threads that serve sockets.
async fn act<M: Model>(request: Request, shared: &Arc<Shared<M>>) -> Result<Reply, Cut> {
    let errand = shared.state().model.errand(&request);
    if let Some(errand) = errand {
        errand.await;
    }
    let witness = shared.state().witness.clone();
    let line = request.line();
    let shared = shared.clone();
    let acting = tokio::task::spawn_blocking(move || {
        let state = &mut *shared.state();
        state.model.answer(&mut state.office, &request)
    });
    let reply = acting.await.map_err(|_| Cut)?;
    if let Some(witness) = witness {
        witness.tell(line).await;
    }
    Ok(reply)
}

fn cut<M: Model>(line: &str, why: &str, shared: &Shared<M>) -> HttpReply {
    shared.state().journal.push(format!("{line} - ({why})"));
    Err(Cut)
}

fn send<M: Model>(line: &str, reply: Reply, shared: &Shared<M>) -> HttpReply {
    let note = reply
        .note
        .map(|note| format!(" ({note})"))
        .unwrap_or_default();
    shared
        .state()
        .journal
        .push(format!("{line} {}{note}", reply.status));
    let mut builder = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        builder = builder.header(name, value);
    }
    builder
        .body(Full::new(Bytes::from(reply.body)))
        .map_err(|_| Cut)
}

/// No request to a CA is anywhere near it.
const LARGEST_BODY: usize = 4 << 20;
