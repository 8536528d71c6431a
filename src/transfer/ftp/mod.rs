//! The FTP server (RFC 959, 2428): one user, one folder, one file.
//!
//! It is not taken from a library, for four reasons. A whole upload must be distinguished from one that broke off,
//! which needs both connections in one place. A data connection may go to the client's own address only. A line has a
//! limit. Every connection must end with the transfer.

mod command;
mod data;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod fuzzing;
mod lines;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::net::TcpStream;

use self::command::{Command, Family};
use self::data::{Broken, DataPort};
use self::lines::{Interruption, Lines};
use super::acceptor::{Client, Connection};
use super::grant::{Refusal, is_folder};
use super::refusals::quoted;

/// Serves one connection until it ends. When this is dropped, everything that belongs to it ends.
pub(super) async fn serve(stream: TcpStream, client: Arc<Client>) {
    let mut session = Session {
        lines: Lines::new(stream),
        client,
        user: None,
        wrong_logins: 0,
        data: None,
    };
    if let Err(error) = session.run().await {
        tracing::debug!(peer = %session.client.peer, %error, "a connection for transfers ended early");
    }
}

/// A control connection, and what has been agreed on it.
struct Session {
    lines: Lines,
    client: Arc<Client>,
    user: Option<String>,
    wrong_logins: u32,
    data: Option<DataPort>,
}

impl Session {
    async fn run(&mut self) -> io::Result<()> {
        self.lines.reply(220, "Ready.").await?;
        while let Some(line) = self.lines.next().await? {
            match Command::parse(&line) {
                Command::Quit => return self.lines.reply(221, "Goodbye.").await,
                command => self.obey(command).await?,
            }
            if self.wrong_logins >= WRONG_LOGINS {
                return self.lines.reply(421, "Too many wrong logins.").await;
            }
        }
        Ok(())
    }

    /// What may be said before a login; everything else needs one.
    async fn obey(&mut self, command: Command) -> io::Result<()> {
        match command {
            Command::User(user) => {
                self.user = Some(user);
                self.lines.reply(331, "Password required.").await
            }
            Command::Pass(password) => self.log_in(&password).await,
            Command::Noop | Command::Options => self.lines.reply(200, "Fine.").await,
            Command::System => self.lines.reply(215, "UNIX Type: L8").await,
            Command::Help => self.lines.reply(214, "One file, once.").await,
            Command::Features => {
                let features = "211-Features:\r\n EPSV\r\n EPRT\r\n SIZE\r\n UTF8\r\n211 End.\r\n";
                self.lines.send(features).await
            }
            command => match self.client.connection().cloned() {
                Some(connection) => self.serve_guest(command, &connection).await,
                None => self.lines.reply(530, "Please log in.").await,
            },
        }
    }

    async fn log_in(&mut self, password: &str) -> io::Result<()> {
        let Some(user) = self.user.take() else {
            return self.lines.reply(503, "The name first.").await;
        };
        if self.client.log_in(&user, password).is_some() {
            return self.lines.reply(230, "Logged in.").await;
        }
        self.wrong_logins += 1;
        self.lines.reply(530, "Login incorrect.").await
    }

    async fn serve_guest(&mut self, command: Command, connection: &Connection) -> io::Result<()> {
        match command {
            Command::Setting { is_ours: true } => self.lines.reply(200, "Fine.").await,
            Command::Setting { is_ours: false } => self.lines.reply(504, "Not that one.").await,
            Command::Restart { is_beginning: true } => {
                self.lines.reply(350, "From the beginning.").await
            }
            Command::Restart {
                is_beginning: false,
            } => self.lines.reply(502, "From the beginning only.").await,
            Command::WorkingFolder => self.lines.reply(257, "\"/\"").await,
            Command::ChangeFolder(path) => self.change_folder(&path, connection).await,
            Command::Passive
            | Command::ExtendedPassive(_)
            | Command::ExtendedPassiveOnly
            | Command::Active(_) => self.agree(command, connection).await,
            Command::Store(path) => self.take_file(&path, connection).await,
            Command::Retrieve(path) => self.give_file(&path, connection).await,
            Command::Size(path) => match connection.size(&path) {
                Some(size) => self.lines.reply(213, &size.to_string()).await,
                None => self.lines.reply(550, "No such file.").await,
            },
            Command::List(path) => self.list(&path, connection, long_line).await,
            Command::Names(path) => {
                self.list(&path, connection, |_, name| format!("{name}\r\n"))
                    .await
            }
            Command::Abort => {
                self.data = None;
                self.lines.reply(226, "Nothing is on its way.").await
            }
            _ => self.lines.reply(502, "Not here.").await,
        }
    }

    async fn change_folder(&mut self, path: &str, connection: &Connection) -> io::Result<()> {
        if is_folder(path) {
            return self.lines.reply(250, "Here.").await;
        }
        connection.refuse(&format!("the folder {}", quoted(path)));
        self.lines.reply(550, "No such folder.").await
    }

    /// Agrees on the next data connection.
    async fn agree(&mut self, command: Command, connection: &Connection) -> io::Result<()> {
        self.data = None;
        let own = self.client.local.ip();
        match command {
            Command::Active(address) => {
                self.data = address.and_then(|address| DataPort::active(address, &self.client));
                if self.data.is_some() {
                    return self.lines.reply(200, "Agreed.").await;
                }
                // Or cannot be read: there is no address that it could have been.
                let to = address.map_or("nowhere".to_owned(), |address| address.to_string());
                connection.refuse(&format!(
                    "a data connection to {to}, which is not its own address"
                ));
                self.lines.reply(501, "To your own address only.").await
            }
            Command::ExtendedPassiveOnly => self.lines.reply(200, "Agreed.").await,
            Command::ExtendedPassive(Some(family)) if !fits(family, own) => {
                let number = if own.is_ipv4() { 1 } else { 2 };
                self.lines
                    .reply(
                        522,
                        &format!("Network protocol not supported, use ({number})"),
                    )
                    .await
            }
            Command::ExtendedPassive(_) => match self.open_port(connection).await {
                Some(port) => {
                    let words = format!("Entering Extended Passive Mode (|||{port}|)");
                    self.lines.reply(229, &words).await
                }
                None => self.lines.reply(425, "No free port.").await,
            },
            _ => self.passive(connection).await,
        }
    }

    async fn passive(&mut self, connection: &Connection) -> io::Result<()> {
        let own = connection.grant.passive_address.map(IpAddr::V4);
        let IpAddr::V4(address) = own.unwrap_or(self.client.local.ip()) else {
            return self.lines.reply(425, "Use EPSV on IPv6.").await;
        };
        let Some(port) = self.open_port(connection).await else {
            return self.lines.reply(425, "No free port.").await;
        };
        let [a, b, c, d] = address.octets();
        let [high, low] = port.to_be_bytes();
        let words = format!("Entering Passive Mode ({a},{b},{c},{d},{high},{low})");
        self.lines.reply(227, &words).await
    }

    /// Opens a port for the next data connection.
    async fn open_port(&mut self, connection: &Connection) -> Option<u16> {
        let ports = connection.grant.passive_ports.as_ref();
        match DataPort::passive(self.client.local.ip(), ports).await {
            Ok((data, port)) => {
                self.data = Some(data);
                Some(port)
            }
            Err(error) => {
                connection.refuse(&format!(
                    "a passive data connection ({error}; see `passive_ports`)"
                ));
                None
            }
        }
    }

    async fn take_file(&mut self, path: &str, connection: &Connection) -> io::Result<()> {
        let mut upload = match connection.receive(path) {
            Ok(upload) => upload,
            Err(refusal) => return self.refuse(refusal).await,
        };
        let Some(stream) = self.connect().await? else {
            return Ok(());
        };
        match self.lines.beside(data::take(stream, &mut upload)).await {
            Ok(Ok(())) => {}
            Ok(Err(Broken::Refused(refusal))) => {
                // Noted as what it is; there is nothing to pass on.
                let _ = connection.noted::<()>(Err(refusal), path);
                return self.refuse(refusal).await;
            }
            Ok(Err(Broken::Lost(error))) => return self.lost(&error.to_string(), connection).await,
            Err(interruption) => return self.interrupted(interruption, connection).await,
        }
        if !self.lines.is_waiting().await {
            return self.interrupted(Interruption::Gone, connection).await;
        }
        match connection.finish(upload, path) {
            Ok(()) => self.lines.reply(226, "Received.").await,
            Err(refusal) => self.refuse(refusal).await,
        }
    }

    async fn give_file(&mut self, path: &str, connection: &Connection) -> io::Result<()> {
        let content = match connection.hand_out(path) {
            Ok(content) => content,
            Err(refusal) => return self.refuse(refusal).await,
        };
        let Some(stream) = self.connect().await? else {
            return Ok(());
        };
        match self.lines.beside(data::give(stream, content)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return self.lost(&error.to_string(), connection).await,
            Err(interruption) => return self.interrupted(interruption, connection).await,
        }
        if !self.lines.is_waiting().await {
            return self.interrupted(Interruption::Gone, connection).await;
        }
        self.lines.reply(226, "Sent.").await?;
        connection.fetched();
        Ok(())
    }

    /// Lists the one file where the client names it; a listing of the folder is empty.
    async fn list(
        &mut self,
        path: &str,
        connection: &Connection,
        line: fn(u64, &str) -> String,
    ) -> io::Result<()> {
        let listing = match connection.size(path) {
            Some(size) => line(size, path),
            None if is_folder(path) => String::new(),
            None => return self.lines.reply(550, "No such file.").await,
        };
        let Some(stream) = self.connect().await? else {
            return Ok(());
        };
        match self
            .lines
            .beside(data::give(stream, listing.as_bytes()))
            .await
        {
            Ok(Ok(())) => self.lines.reply(226, "Listed.").await,
            Ok(Err(error)) => self.lost(&error.to_string(), connection).await,
            Err(interruption) => self.interrupted(interruption, connection).await,
        }
    }

    /// The data connection that was agreed on; without one, that is said.
    async fn connect(&mut self) -> io::Result<Option<TcpStream>> {
        let Some(data) = self.data.take() else {
            self.lines.reply(425, "PASV or PORT first.").await?;
            return Ok(None);
        };
        self.lines.reply(150, "Here it goes.").await?;
        let client = Arc::clone(&self.client);
        match self.lines.beside(data.connect(&client)).await {
            Ok(Ok(stream)) => Ok(Some(stream)),
            Ok(Err(error)) => {
                client.refuse(&format!(
                    "a data connection that did not come about ({error})"
                ));
                self.lines.reply(425, "No data connection.").await?;
                Ok(None)
            }
            Err(Interruption::Aborted) => {
                self.aborted().await?;
                Ok(None)
            }
            Err(Interruption::Gone) => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    async fn refuse(&mut self, refusal: Refusal) -> io::Result<()> {
        self.data = None;
        let code = match refusal {
            Refusal::OtherName => 553,
            Refusal::TooLarge => 552,
            Refusal::OtherDirection | Refusal::Gap | Refusal::Done | Refusal::Over => 550,
        };
        self.lines.reply(code, &refusal.to_string()).await
    }

    async fn lost(&mut self, why: &str, connection: &Connection) -> io::Result<()> {
        connection.refuse(&format!("a file that broke off ({why})"));
        self.lines.reply(426, "The data connection broke.").await
    }

    async fn interrupted(&mut self, why: Interruption, connection: &Connection) -> io::Result<()> {
        match why {
            Interruption::Aborted => {
                connection.refuse("a file that was aborted");
                self.aborted().await
            }
            Interruption::Gone => {
                connection.refuse("a file that broke off");
                Err(io::ErrorKind::UnexpectedEof.into())
            }
        }
    }

    async fn aborted(&mut self) -> io::Result<()> {
        self.lines.reply(426, "Aborted.").await?;
        self.lines.reply(226, "Abort done.").await
    }
}

/// As `ls -l` prints it; the file has no time.
fn long_line(size: u64, name: &str) -> String {
    format!("-rw------- 1 renewd renewd {size} Jan  1  1970 {name}\r\n")
}

fn fits(family: Family, own: IpAddr) -> bool {
    match family {
        Family::V4 => own.is_ipv4(),
        Family::V6 => own.is_ipv6(),
        Family::Other => false,
    }
}

/// In one connection.
const WRONG_LOGINS: u32 = 3;
