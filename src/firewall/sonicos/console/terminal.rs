//! A terminal with a device at the other end: types lines, and waits for what the device waits for.
//! Turns pages; decides nothing else.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::answer::is_farewell;
use super::output_filter::{after_echo, visible};
use super::prompt::Prompt;

/// Bytes to and from a device.
pub(super) trait Line: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Line for T {}

/// A terminal.
pub(super) struct Terminal {
    line: Box<dyn Line>,
    /// What the device has said since the last line was typed.
    said: Vec<u8>,
    /// The last line that was typed, where the device may repeat it.
    typed: String,
}

/// What stands on the screen since the last line was typed.
#[derive(Debug)]
pub(super) struct Screen {
    /// Without echo, prompt and empty lines around.
    pub(super) text: String,
    /// What the device waits for.
    pub(super) prompt: Prompt,
}

/// Why the device waits for nothing.
#[derive(Debug)]
pub(super) enum Silence {
    /// The session is over; its last words.
    Ended(String),
    /// Nothing that is known as a prompt came in time; the last words.
    TooLong(String),
    /// More came than any honest answer has.
    TooMuch,
}

impl Terminal {
    /// A terminal on a line, on which the device has said something already.
    pub(super) fn new(line: Box<dyn Line>, said: Vec<u8>) -> Self {
        Self {
            line,
            said,
            typed: String::new(),
        }
    }

    /// Types a line that the device repeats.
    pub(super) async fn type_line(&mut self, line: &str) -> Result<(), Silence> {
        line.clone_into(&mut self.typed);
        self.enter(&format!("{line}\r")).await
    }

    /// Types a line that the device does not repeat, such as a password.
    pub(super) async fn type_blindly(&mut self, line: &str) -> Result<(), Silence> {
        self.typed.clear();
        self.enter(&format!("{line}\r")).await
    }

    /// Waits until the device waits for something other than the next page.
    pub(super) async fn wait(&mut self, limit: Duration) -> Result<Screen, Silence> {
        match timeout(limit, self.read_screen()).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Silence::TooLong(self.text_from(0))),
        }
    }

    async fn read_screen(&mut self) -> Result<Screen, Silence> {
        loop {
            let end = self.text_from(self.said.len().saturating_sub(LOOKED_AT_BYTES));
            if end.lines().any(is_farewell) {
                return Err(Silence::Ended(end));
            }
            match Prompt::of(&end) {
                Some(Prompt::Pager) => self.turn_page().await?,
                Some(prompt) => {
                    let text = without_prompt(&self.text_from(0), &prompt);
                    return Ok(Screen { text, prompt });
                }
                None => {}
            }
            let mut chunk = [0; CHUNK_BYTES];
            let count = self.line.read(&mut chunk).await.unwrap_or(0);
            if count == 0 {
                return Err(Silence::Ended(end));
            }
            if self.said.len() + count > LARGEST_ANSWER_BYTES {
                return Err(Silence::TooMuch);
            }
            self.said
                .extend_from_slice(chunk.get(..count).unwrap_or_default());
        }
    }

    /// Asks for the next page, and forgets the line that offered it.
    async fn turn_page(&mut self) -> Result<(), Silence> {
        let start = self
            .said
            .iter()
            .rposition(|byte| matches!(byte, b'\n' | b'\r'));
        self.said.truncate(start.map_or(0, |start| start + 1));
        self.send(b" ").await
    }

    async fn enter(&mut self, line: &str) -> Result<(), Silence> {
        self.said.clear();
        self.send(line.as_bytes()).await
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Silence> {
        let sent = async {
            self.line.write_all(bytes).await?;
            self.line.flush().await
        };
        sent.await
            .map_err(|error| Silence::Ended(error.to_string()))
    }

    /// What stands on the screen from a place on; the echo is at the beginning.
    fn text_from(&self, start: usize) -> String {
        let raw = String::from_utf8_lossy(self.said.get(start..).unwrap_or_default());
        match start {
            0 => visible(after_echo(&raw, &self.typed)),
            _ => visible(&raw),
        }
    }
}

/// What stands before the line in which the device waits; the whole where it asks something.
fn without_prompt(text: &str, prompt: &Prompt) -> String {
    let is_command = matches!(
        prompt,
        Prompt::Ordinary | Prompt::Configuration | Prompt::Menu
    );
    let text = match text.rsplit_once('\n') {
        Some((before, _)) if is_command => before,
        None if is_command => "",
        _ => text,
    };
    let text = text.trim_end();
    text.trim_start_matches('\n').to_owned()
}

const CHUNK_BYTES: usize = 8 << 10;
/// Longer than any prompt with its question, so that a long answer is not read anew with each piece of it.
const LOOKED_AT_BYTES: usize = 4 << 10;
/// Some thousands of lines.
const LARGEST_ANSWER_BYTES: usize = 512 << 10;
