//! The control connection of FTP: lines in, answers out, bounded in length and time.

use std::io::{self, ErrorKind};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A control connection.
#[derive(Debug)]
pub(super) struct Lines {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// Why work beside a control connection was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interruption {
    /// `ABOR`.
    Aborted,
    /// The client is gone.
    Gone,
}

impl Lines {
    /// Of a connection of which nothing has been read.
    pub fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// The next line without its end; `None` when the client has no more to say.
    ///
    /// # Errors
    /// When it is too long, or nothing comes for a while.
    pub async fn next(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(line) = self.take_line() {
                return Ok(Some(line));
            }
            if self.buffer.len() >= LONGEST {
                return Err(io::Error::new(ErrorKind::InvalidData, "a line is too long"));
            }
            if !timeout(IDLE_LIMIT, self.fill()).await?? {
                return Ok(None);
            }
        }
    }

    /// Answers with one line.
    pub async fn reply(&mut self, code: u16, words: &str) -> io::Result<()> {
        self.send(&format!("{code} {words}\r\n")).await
    }

    /// Answers with `text`, which has its ends of lines already.
    pub async fn send(&mut self, text: &str) -> io::Result<()> {
        timeout(IDLE_LIMIT, self.stream.write_all(text.as_bytes())).await?
    }

    /// Does `work` as long as the client is there and does not abort it. What else it says meanwhile is kept.
    pub async fn beside<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Interruption> {
        tokio::pin!(work);
        loop {
            if self.take_abort() {
                return Err(Interruption::Aborted);
            }
            if self.buffer.len() >= LONGEST {
                return Ok(work.await);
            }
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                filled = self.fill() => {
                    if !filled.unwrap_or(false) {
                        return Err(Interruption::Gone);
                    }
                }
            }
        }
    }

    /// Whether the client is still there after a moment. In FTP the end of a file is the end of its connection, which
    /// a client that breaks off brings about as well; but such a client does not wait for the answer.
    pub async fn is_waiting(&mut self) -> bool {
        let pause = tokio::time::sleep(MOMENT);
        self.beside(pause).await.is_ok()
    }

    /// Reads what has come; whether there may be more. Safe to be cancelled.
    async fn fill(&mut self) -> io::Result<bool> {
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }

    fn take_line(&mut self) -> Option<String> {
        let end = self.buffer.iter().position(|byte| *byte == b'\n')?;
        let line: Vec<u8> = self.buffer.drain(..=end).collect();
        let text = String::from_utf8_lossy(&line);
        Some(text.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// Takes an `ABOR` out of what has come. Telnet's signals may stand before it (RFC 959, 4.1.3).
    fn take_abort(&mut self) -> bool {
        let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') else {
            return false;
        };
        let is_abort = self.buffer.get(..end).is_some_and(|line| {
            let is_telnet = |byte: &&u8| **byte >= TELNET;
            let word: Vec<u8> = line.iter().skip_while(is_telnet).copied().collect();
            word.trim_ascii_end().eq_ignore_ascii_case(b"ABOR")
        });
        if is_abort {
            self.buffer.drain(..=end);
        }
        is_abort
    }
}

/// Bytes of a command, and of what is kept while a file is on its way.
const LONGEST: usize = 4096;

/// Without a byte from the client, or until it takes one.
pub(super) const IDLE_LIMIT: Duration = Duration::from_secs(30);

/// Time enough for the end of the control connection to arrive behind the end of the data connection.
const MOMENT: Duration = Duration::from_millis(100);

/// Bytes from here on are Telnet's: IAC, IP, DM.
const TELNET: u8 = 0xF0;

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (Lines, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client, listener.accept());
        (Lines::new(accepted.unwrap().0), client.unwrap())
    }

    #[tokio::test]
    async fn an_endless_line_is_refused_before_it_fills_the_memory() {
        let (mut lines, mut client) = pair().await;
        client.write_all(&[b'x'; 2 * LONGEST]).await.unwrap();
        let error = lines.next().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert!(lines.buffer.len() < 4 * LONGEST);
    }

    #[tokio::test]
    async fn work_ends_with_the_client_or_at_its_wish_and_what_it_said_is_kept() {
        let (mut lines, mut client) = pair().await;
        client
            .write_all(b"\xFF\xF4\xFF\xF2ABOR\r\nNOOP\r\n")
            .await
            .unwrap();
        let never = std::future::pending::<()>();
        assert_eq!(lines.beside(never).await, Err(Interruption::Aborted));
        assert!(lines.is_waiting().await);
        assert_eq!(lines.next().await.unwrap().as_deref(), Some("NOOP"));
        drop(client);
        assert_eq!(
            lines.beside(std::future::pending::<()>()).await,
            Err(Interruption::Gone)
        );
        assert_eq!(lines.next().await.unwrap(), None);
    }
}
