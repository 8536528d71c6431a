//! The TLS port of a simulated CA: sockets, HTTP, and the faults. The model processes the requests.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http_body_util::{BodyExt as _, Limited};
use hyper::Response;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use time::format_description::well_known::Rfc2822;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::fault::{Fault, Faults};
use super::http::{Reply, Request};
use super::model::{Model, Office};
use crate::faulty_connections::{FaultyConnections, reset, turn_away};
use crate::response_delivery::{Handling, ResponseDelivery};
use crate::tls::Cut;
use crate::{ConnectionFault, Observer};

/// A CA with its counters, faults and journal.
#[derive(Debug)]
pub(super) struct Shared<M>(Mutex<State<M>>);

/// Everything behind the port.
#[derive(Debug)]
pub(super) struct State<M> {
    pub(super) model: M,
    pub(super) office: Office,
    pub(super) faults: Faults,
    pub(super) connections: FaultyConnections,
    /// `POST /path`, one per request.
    pub(super) requests: Vec<String>,
    /// The same with its outcome.
    pub(super) journal: Vec<String>,
    pub(super) refuse_connections: bool,
    pub(super) observer: Option<Observer>,
}

impl<M: Model> Shared<M> {
    pub(super) fn new(model: M, office: Office) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            model,
            office,
            faults: Faults::default(),
            connections: FaultyConnections::default(),
            requests: Vec::new(),
            journal: Vec::new(),
            refuse_connections: false,
            observer: None,
        })))
    }

    /// A panic in one handler must not hide the state from the test that looks for its cause.
    pub(super) fn state(&self) -> MutexGuard<'_, State<M>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        let fault = shared.state().connections.enter();
        if let Some(fault) = fault {
            connections.spawn(turned_away(stream, fault, shared.clone()));
            continue;
        }
        connections.spawn(serve_connection(stream, acceptor.clone(), shared.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn turned_away<M: Model>(stream: TcpStream, fault: ConnectionFault, shared: Arc<Shared<M>>) {
    let reported = turn_away(stream, fault).await;
    shared.state().connections.bytes_sent_to_impostor += reported;
}

async fn serve_connection<M: Model>(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    shared: Arc<Shared<M>>,
) {
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let service = service_fn(|request| Box::pin(answer_http(request, shared.clone())));
    let mut http = hyper::server::conn::http1::Builder::new();
    let mut connection = http
        .title_case_headers(true)
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    // Not simply awaited: the socket is needed afterwards, to reset it.
    let ended = poll_fn(|context| connection.poll_without_shutdown(context)).await;
    let mut stream = connection.into_parts().io.into_inner();
    match ended {
        Err(error) if Cut::is_reset(&error) => reset(stream.get_ref().0),
        _ => {
            let _ = stream.shutdown().await;
        }
    }
}

type HttpReply = Result<Response<ResponseDelivery>, Cut>;

async fn answer_http<M: Model>(
    request: hyper::Request<Incoming>,
    shared: Arc<Shared<M>>,
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
    let request = Request::new(head.method.as_str(), target, head.headers, body);
    // On a task of its own: the CA finishes a request that it received, even when the client is gone.
    let (reply, handling) = tokio::spawn(answer(request, shared.clone()))
        .await
        .map_err(|_| Cut::Closed)??;
    let ends_connection = shared.state().connections.one_request_each;
    send(reply, handling, ends_connection).await
}

async fn answer<M: Model>(
    request: Request,
    shared: Arc<Shared<M>>,
) -> Result<(Reply, Handling), Cut> {
    let line = request.line();
    let fault = {
        let mut state = shared.state();
        state.office.counters.requests += 1;
        state.requests.push(line.clone());
        state.faults.take(&request)
    };
    let Some(fault) = fault else {
        let reply = act(request, &shared).await?;
        note(&line, &reply, &shared);
        return Ok((reply, Handling::Whole));
    };
    if let Some(reply) = fault.instead() {
        let reply = reply.noted("by fault, nothing done");
        note(&line, &reply, &shared);
        return Ok((reply, Handling::Whole));
    }
    if let Some(cut) = fault.cut_before() {
        return Err(lost(&line, "cut by fault, nothing done", &shared, cut));
    }
    match &fault {
        Fault::Delay(delay) => tokio::time::sleep(*delay).await,
        Fault::HoldBefore(barrier) => barrier.hold().await,
        Fault::SilentBefore => {
            let _ = lost(&line, "silent by fault, nothing done", &shared, Cut::Closed);
            return Ok((Reply::empty(200), Handling::Never));
        }
        _ => {}
    }
    let reply = act(request, &shared).await?;
    if let Some(cut) = fault.cut_after() {
        return Err(lost(&line, "done, its answer cut by fault", &shared, cut));
    }
    if let Fault::HoldAfter(barrier) = &fault {
        barrier.hold().await;
    }
    let reply = fault.after(reply);
    note(&line, &reply, &shared);
    Ok((reply, fault.handling()))
}

/// The CA acts, away from the threads that serve sockets.
async fn act<M: Model>(request: Request, shared: &Arc<Shared<M>>) -> Result<Reply, Cut> {
    let preparation = shared.state().model.prepare(&request);
    if let Some(preparation) = preparation {
        preparation.await;
    }
    let observer = shared.state().observer.clone();
    let line = request.line();
    let shared = shared.clone();
    let acting = tokio::task::spawn_blocking(move || {
        let state = &mut *shared.state();
        let reply = state.model.answer(&mut state.office, &request);
        let date = state.office.now().format(&Rfc2822).unwrap_or_default();
        reply.header("Date", &date.replace("+0000", "GMT"))
    });
    let reply = acting.await.map_err(|_| Cut::Closed)?;
    if let Some(observer) = observer {
        observer.tell(line).await;
    }
    Ok(reply)
}

fn lost<M: Model>(line: &str, why: &str, shared: &Shared<M>, cut: Cut) -> Cut {
    shared.state().journal.push(format!("{line} - ({why})"));
    cut
}

fn note<M: Model>(line: &str, reply: &Reply, shared: &Shared<M>) {
    let note = reply
        .note
        .as_ref()
        .map(|note| format!(" ({note})"))
        .unwrap_or_default();
    let line = format!("{line} {}{note}", reply.status);
    shared.state().journal.push(line);
}

async fn send(reply: Reply, handling: Handling, ends_connection: bool) -> HttpReply {
    let mut builder = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        builder = builder.header(name, value);
    }
    if ends_connection {
        builder = builder.header("Connection", "close");
    }
    let delivery = ResponseDelivery::new(reply.body, handling).await?;
    builder.body(delivery).map_err(|_| Cut::Closed)
}

/// No request to a CA is anywhere near it.
const LARGEST_BODY: usize = 4 << 20;
