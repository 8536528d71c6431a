//! How the bytes of an answer reach the client: at once, half of them, one by one, or never. Independent of
//! their content.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::time::Sleep;

use crate::tls::Cut;

/// How an answer is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handling {
    /// All of it arrives.
    Whole,
    /// Half of the body that was announced, then the connection ends.
    CutShort,
    /// A byte of the body at a time, with this pause between two.
    Dripping(Duration),
    /// Nothing arrives while the client waits.
    Never,
}

/// The body of an answer on its way.
#[derive(Debug)]
pub(crate) struct ResponseDelivery {
    length: u64,
    pieces: VecDeque<Bytes>,
    /// Between two pieces.
    pause: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    is_cut: bool,
}

impl ResponseDelivery {
    /// Delivers a body. An answer without a body to cut or to slow down is lost, or is never sent.
    pub(crate) async fn new(body: Vec<u8>, handling: Handling) -> Result<Self, Cut> {
        match handling {
            Handling::CutShort if body.is_empty() => return Err(Cut::Closed),
            Handling::Dripping(_) if body.is_empty() => return std::future::pending().await,
            Handling::Never => return std::future::pending().await,
            _ => {}
        }
        let length = body.len();
        let pieces = match handling {
            Handling::CutShort => VecDeque::from([Bytes::from(body).slice(..length / 2)]),
            Handling::Dripping(_) => body.chunks(1).map(Bytes::copy_from_slice).collect(),
            _ if body.is_empty() => VecDeque::new(),
            _ => VecDeque::from([Bytes::from(body)]),
        };
        Ok(Self {
            length: u64::try_from(length).unwrap_or(u64::MAX),
            pieces,
            pause: match handling {
                Handling::Dripping(pause) => pause,
                _ => FLUSH,
            },
            waiting: None,
            is_cut: handling == Handling::CutShort,
        })
    }

    /// Writes it where no HTTP library does.
    pub(crate) async fn write(
        mut self,
        stream: &mut (impl AsyncWrite + Unpin),
    ) -> std::io::Result<()> {
        while let Some(piece) = self.pieces.pop_front() {
            stream.write_all(&piece).await?;
            if self.is_cut || !self.pieces.is_empty() {
                stream.flush().await?;
                tokio::time::sleep(self.pause).await;
            }
        }
        if self.is_cut {
            return Err(std::io::Error::other(Cut::Closed));
        }
        Ok(())
    }
}

impl Body for ResponseDelivery {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if let Some(waiting) = self.waiting.as_mut() {
            ready!(waiting.as_mut().poll(context));
            self.waiting = None;
        }
        let piece = self.pieces.pop_front();
        // Earlier answers must have been sent before the connection ends.
        if self.is_cut || !self.pieces.is_empty() {
            self.waiting = Some(Box::pin(tokio::time::sleep(self.pause)));
        }
        Poll::Ready(match piece {
            Some(piece) => Some(Ok(Frame::data(piece))),
            None if self.is_cut => Some(Err(Cut::Closed)),
            None => None,
        })
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}

const FLUSH: Duration = Duration::from_millis(5);
