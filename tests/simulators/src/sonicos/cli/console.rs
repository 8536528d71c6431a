//! The command line at a terminal (SonicOS reference 6.12): plain text on a TCP port of loopback, without a login and
//! without encryption. An SSH server that has done both stands before it and relays.

use std::io;
use std::sync::Arc;

use time::{Duration, OffsetDateTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{COMMAND_SUCCEEDED, Question, Shell, Step, masked, show};
use crate::sonicos::device::Device;
use crate::sonicos::rules::{Action, CONSOLE};
use crate::sonicos::server::Shared;
use crate::sonicos::transfer_request::TransferStep;
use crate::sonicos::wire::{Handled, Refusal, Reply};

/// Serves the port until the returned future is dropped; dropping it ends its sessions too.
pub(in crate::sonicos) async fn serve_console(listener: TcpListener, shared: Arc<Shared>) {
    let mut sessions = JoinSet::new();
    let mut number = 0;
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        number += 1;
        let session = Session {
            shell: Shell::at_console(number),
            terminal: Terminal::new(stream),
            lines: 0,
            last_seen: shared.device().now(),
            shared: shared.clone(),
        };
        sessions.spawn(session.serve());
        while sessions.try_join_next().is_some() {}
    }
}

/// A user at a terminal. When the connection ends in any way, the session and its unfinished commands end too.
#[derive(Debug)]
struct Session {
    shell: Shell,
    terminal: Terminal,
    lines: u32,
    last_seen: OffsetDateTime,
    shared: Arc<Shared>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.device().forget(self.shell.holder);
    }
}

impl Session {
    async fn serve(mut self) {
        // A terminal that is gone is how most sessions end.
        let _ = self.converse().await;
    }

    async fn converse(&mut self) -> io::Result<()> {
        if !self.greet().await? {
            return Ok(());
        }
        loop {
            let prompt = self.shell.prompt(&self.shared.device());
            self.terminal.write(&prompt).await?;
            let Some(line) = self.read_line().await? else {
                return Ok(());
            };
            if self.has_timed_out() {
                return self.terminal.line("% Session timed out.").await;
            }
            self.journal(&line);
            let rule = self.shared.device().rules.take(CONSOLE, &line);
            match rule {
                Some(Action::DropBefore) => return Ok(()),
                Some(Action::DropAfter) => {
                    self.terminal.is_cut = true;
                    self.run(&line).await?;
                    return Ok(());
                }
                _ if self.run(&line).await? => {}
                _ => return Ok(()),
            }
        }
    }

    /// 6.12. Returns whether the session continues. guess: the text of the policy.
    async fn greet(&mut self) -> io::Result<bool> {
        self.terminal.echoes = self.shared.device().variants.console_echoes;
        let (exceeded, banner) = {
            let variants = &self.shared.device().variants;
            (
                variants.console_login_attempts_exceeded,
                variants.console_banner,
            )
        };
        if exceeded {
            self.terminal
                .line("% Maximum login attempts exceeded.")
                .await?;
            return Ok(false);
        }
        if banner {
            self.terminal.line("Authorized use only.").await?;
            self.terminal.write("I accept the policy (yes)? ").await?;
            let answer = self.read_line().await?;
            return Ok(answer.is_some_and(|answer| answer.trim() == "yes"));
        }
        Ok(true)
    }

    /// Runs a line and prints the outcome; false at the end of the session.
    async fn run(&mut self, line: &str) -> io::Result<bool> {
        let step = {
            let mut device = self.shared.device();
            if self.shell.notice_preemption(&device) {
                Err(Refusal::new(405, "Non config mode"))
            } else {
                self.shell.act(&mut device, line)
            }
        };
        match step {
            Ok(Step::Asks(question)) => {
                self.terminal.write(asked(question)).await?;
                let Some(answer) = self.read_line().await? else {
                    return Ok(false);
                };
                self.journal(&answer);
                let step = self
                    .shell
                    .answer(&mut self.shared.device(), question, &answer);
                self.tell(step).await
            }
            step => self.tell(step).await,
        }
    }

    async fn tell(&mut self, step: Result<Step, Refusal>) -> io::Result<bool> {
        match step {
            Ok(Step::Over) => return Ok(false),
            Ok(Step::Quiet | Step::Asks(_)) => {}
            Ok(Step::Shown(shown)) => self.page(&show::lines(&shown)).await?,
            Ok(Step::Acted(reply)) => {
                let handled = settle(&self.shared, reply).await;
                self.cut_what_a_commit_cuts();
                self.tell_result(handled).await?;
            }
            Err(refusal) => self.tell_result(Err(refusal)).await?,
        }
        Ok(true)
    }

    /// 6.12: "% Changes made."; guess: "% Error:", and that settings are accepted without output.
    async fn tell_result(&mut self, handled: Handled) -> io::Result<()> {
        let text = match &handled {
            Ok(reply) => match reply.message() {
                None | Some("Success." | COMMAND_SUCCEEDED) => return Ok(()),
                Some(message) => format!("% {message}"),
            },
            Err(refusal) => format!("% Error: {}", refusal.message),
        };
        self.terminal.line(&text).await
    }

    /// 6.12: "--MORE--" after each page. guess: a blank shows the next page, `q` ends it, anything else one more line.
    async fn page(&mut self, lines: &[String]) -> io::Result<()> {
        let page = match self.shared.device().variants.console_page_lines {
            size if size > 0 && self.shell.pager => size as usize,
            _ => usize::MAX,
        };
        let mut left = page;
        for line in lines {
            if left == 0 {
                self.terminal.write("--MORE--").await?;
                let key = self.terminal.key().await?;
                self.terminal.write("\r        \r").await?;
                left = match key {
                    None | Some(b'q') => return Ok(()),
                    Some(b' ') => page,
                    Some(_) => 1,
                };
            }
            self.terminal.line(line).await?;
            left -= 1;
        }
        Ok(())
    }

    /// 2: a commit may take the management's connections with it; the terminal's stays.
    fn cut_what_a_commit_cuts(&self) {
        let cut = std::mem::take(&mut self.shared.device().cut_connections);
        if cut {
            self.shared.hang_up();
        }
    }

    async fn read_line(&mut self) -> io::Result<Option<String>> {
        self.terminal.read_line().await
    }

    /// 1.4, 6.12: by the device clock, or by the switch.
    fn has_timed_out(&mut self) -> bool {
        let device = self.shared.device();
        let limit = Duration::minutes(i64::from(device.variants.idle_logout_minutes));
        let idle = device.now() - self.last_seen;
        self.last_seen = device.now();
        self.lines += 1;
        let after = device.variants.console_times_out_after;
        idle > limit || (after > 0 && self.lines > after)
    }

    fn journal(&self, line: &str) {
        let line = format!("- console: {}", masked(line));
        self.shared.device().journal.push(line);
    }
}

/// Runs the transfers of a reply, as for a request of the API.
async fn settle(shared: &Arc<Shared>, mut reply: Reply) -> Handled {
    while let Some(step) = reply.transfer.take() {
        let TransferStep { transfer, next } = *step;
        let handled = shared.carry(transfer).await;
        reply = next.run(&mut shared.device() as &mut Device, handled)?;
    }
    Ok(reply)
}

/// 6.12 has "preempt them (yes/no)?", "[no]:" and "Uncommitted changes found"; guess: the words around.
fn asked(question: Question) -> &'static str {
    match question {
        Question::Preempt => {
            "Another administrator is in configuration mode.\r\nDo you wish to preempt them (yes/no)? [no]: "
        }
        Question::Uncommitted(_) => {
            "Uncommitted changes found, commit them before exiting (yes/no/cancel)? [cancel]: "
        }
    }
}

/// A terminal in lines.
#[derive(Debug)]
struct Terminal {
    stream: BufReader<TcpStream>,
    echoes: bool,
    /// Nothing more reaches it.
    is_cut: bool,
    /// The last key was CR: a line feed after it is the same line end.
    returned: bool,
}

impl Terminal {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream: BufReader::new(stream),
            echoes: false,
            is_cut: false,
            returned: false,
        }
    }

    async fn write(&mut self, text: &str) -> io::Result<()> {
        if self.is_cut {
            return Ok(());
        }
        self.stream.write_all(text.as_bytes()).await?;
        self.stream.flush().await
    }

    async fn line(&mut self, text: &str) -> io::Result<()> {
        self.write(&format!("{text}\r\n")).await
    }

    /// One line without its end; `None` when the terminal is gone.
    async fn read_line(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        while let Some(key) = self.key().await? {
            match key {
                b'\r' | b'\n' => {
                    if self.echoes {
                        self.write("\r\n").await?;
                    }
                    return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
                }
                END_OF_TRANSMISSION => return Ok(None),
                key if line.len() < LONGEST_LINE => {
                    line.push(key);
                    if self.echoes {
                        self.stream.write_all(&[key]).await?;
                    }
                }
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    /// One key; the two bytes of a line end are one.
    async fn key(&mut self) -> io::Result<Option<u8>> {
        loop {
            let mut byte = [0];
            if self.stream.read(&mut byte).await? == 0 {
                return Ok(None);
            }
            let [key] = byte;
            let second_half = key == b'\n' && self.returned;
            self.returned = key == b'\r';
            if !second_half {
                return Ok(Some(key));
            }
        }
    }
}

/// Ctrl-D.
const END_OF_TRANSMISSION: u8 = 4;

/// Bytes; an URL with its credentials fits many times.
const LONGEST_LINE: usize = 4096;
