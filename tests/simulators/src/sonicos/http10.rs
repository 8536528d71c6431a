//! HTTP/1.0 as SonicOS 6.5 speaks it: one request for each connection, no Content-Length in the answer, closed by the
//! device (SonicOS reference 1.2, the trace; 5). Written by hand for the spelling and the order of the headers.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode, header};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::decorate::Finished;
use super::server::{LARGEST_BODY, Role, Shared, answer};
use super::wire::{Refusal, Request, envelope_text};
use crate::response_delivery::{Handling, ResponseDelivery};

/// Answers one request, then closes.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    peer: SocketAddr,
    role: Role,
    shared: Arc<Shared>,
) -> io::Result<()> {
    let head = read_head(stream).await?;
    let (finished, is_head) = match Head::parse(&head) {
        Ok(parsed) => {
            let body = read_body(stream, parsed.length).await?;
            let is_head = parsed.method == Method::HEAD.as_str();
            let request = Request::new(
                parsed.method,
                parsed.target,
                parsed.headers,
                body,
                peer.ip(),
            );
            let finished = answer(request, role, shared).await;
            (finished.map_err(io::Error::other)?, is_head)
        }
        Err(refusal) => (bare(&refusal), false),
    };
    let head = head_of(&finished);
    let body = if is_head { Vec::new() } else { finished.body };
    let delivery = ResponseDelivery::new(body, finished.handling);
    // A client without an answer disconnects at some time.
    let delivery = tokio::select! {
        delivery = delivery => delivery.map_err(io::Error::other)?,
        _ = stream.read_u8() => return Err(io::ErrorKind::UnexpectedEof.into()),
    };
    stream.write_all(&head).await?;
    delivery.write(stream).await?;
    stream.shutdown().await
}

/// The head of a request, headers in the order in which they came.
#[derive(Debug)]
struct Head<'a> {
    method: &'a str,
    target: &'a str,
    headers: HeaderMap,
    length: usize,
}

impl<'a> Head<'a> {
    /// RFC 1945 5. guess: the refusal of an invalid request or of one without a length.
    fn parse(head: &'a str) -> Result<Self, Refusal> {
        let malformed = || Refusal::new(400, "Bad request.");
        let mut lines = head.split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Err(malformed());
        };
        let mut headers = HeaderMap::new();
        for line in lines.filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or_else(malformed)?;
            let name = HeaderName::try_from(name).map_err(|_| malformed())?;
            let value = HeaderValue::try_from(value.trim()).map_err(|_| malformed())?;
            headers.append(name, value);
        }
        if headers.contains_key(header::TRANSFER_ENCODING) {
            return Err(Refusal::new(411, "Length required."));
        }
        let length = match headers.get(header::CONTENT_LENGTH).map(HeaderValue::to_str) {
            None => 0,
            Some(text) => {
                let length = text.ok().and_then(|text| text.parse().ok());
                length.ok_or_else(malformed)?
            }
        };
        Ok(Self {
            method,
            target,
            headers,
            length,
        })
    }
}

async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= LARGEST_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
        head.push(stream.read_u8().await?);
    }
    String::from_utf8(head).map_err(io::Error::other)
}

async fn read_body(stream: &mut (impl AsyncRead + Unpin), length: usize) -> io::Result<Vec<u8>> {
    let mut body = vec![0; length.min(LARGEST_BODY)];
    stream.read_exact(&mut body).await?;
    Ok(body)
}

/// The order of the trace in 1.2, then whatever else there is.
fn head_of(finished: &Finished) -> Vec<u8> {
    let reason = StatusCode::from_u16(finished.status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Unknown");
    let mut head = format!("HTTP/1.0 {} {reason}\r\n", finished.status);
    let place = |name: &str| {
        let known = TRACE
            .iter()
            .position(|known| known.eq_ignore_ascii_case(name));
        known.unwrap_or(TRACE.len())
    };
    let mut headers: Vec<&(String, String)> = finished.headers.iter().collect();
    headers.sort_by_key(|(name, _)| place(name));
    for (name, value) in headers {
        let spelled = TRACE.get(place(name)).copied().unwrap_or(name);
        let _ = write!(head, "{spelled}: {value}\r\n");
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// A refusal that no handler saw.
fn bare(refusal: &Refusal) -> Finished {
    Finished {
        status: refusal.status,
        headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
        body: envelope_text(false, &refusal.message).into_bytes(),
        handling: Handling::Whole,
    }
}

/// 1.2: names, spelling and order.
const TRACE: [&str; 5] = [
    "Server",
    "Expires",
    "Cache-Control",
    "Content-type",
    "X-Content-Type-Options",
];

const LARGEST_HEAD: usize = 64 << 10;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::{Finished, Handling, Head, head_of};

    #[test]
    fn the_head_of_an_answer_looks_like_the_trace() {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let finished = Finished {
            status: 200,
            headers: vec![
                header("X-Other", "1"),
                header("Content-Type", "application/json; charset=UTF-8"),
                header("Server", "SonicWALL"),
            ],
            body: Vec::new(),
            handling: Handling::Whole,
        };
        assert_eq!(
            String::from_utf8(head_of(&finished)).unwrap(),
            "HTTP/1.0 200 OK\r\nServer: SonicWALL\r\nContent-type: application/json; charset=UTF-8\r\nX-Other: 1\r\n\r\n"
        );
    }

    #[test]
    fn a_body_without_a_length_is_refused() {
        let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(Head::parse(head).unwrap_err().status, 411);
        let head = "POST / HTTP/1.1\r\nContent-Length: 12\r\n\r\n";
        assert_eq!(Head::parse(head).unwrap().length, 12);
    }
}
