//! The way to the command line: a connection whose host key is pinned, one login, a terminal with a shell
//! (RFC 4251 to 4254). Knows nothing of what is said on it.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client::{
    self, AuthResult, Config, DisconnectReason, Handle, Handler, KeyboardInteractiveAuthResponse,
};
use russh::keys::{HashAlg, PublicKeyOrCertificate};
use russh::{ChannelMsg, Disconnect, MethodKind, MethodSet, Preferred, cipher, kex, mac};
use tokio::time::timeout;

use super::terminal::Line;
use crate::connector;
use crate::failure::{Failure, FailureKind, readable};
use crate::firewall::sonicos::{CommandLine, Settings};
use crate::secret::Secret;

/// A connection that is logged in.
pub(super) struct Connection {
    handle: Handle<HostKeyVerifier>,
}

impl Connection {
    /// Connects, sees that the host key is the pinned one, logs in once and asks for a shell; with the line to it come
    /// the words that it has said meanwhile.
    pub(super) async fn open(
        settings: &Settings,
        command_line: &CommandLine,
        password: &Secret,
        name: &str,
    ) -> Result<(Self, Box<dyn Line>, Vec<u8>), Failure> {
        let connector = SshConnector {
            name,
            limit: settings.call_timeout,
            parting_words: Arc::default(),
        };
        let handle = connector.knock(command_line).await?;
        let mut connection = Self { handle };
        let opened = async {
            connector
                .log_in(&mut connection.handle, &settings.user, password)
                .await?;
            connector.open_shell(&connection.handle).await
        };
        match opened.await {
            Ok((line, said)) => Ok((connection, line, said)),
            Err(failure) => {
                connection.hang_up().await;
                Err(failure)
            }
        }
    }

    /// Ends the connection; what has broken already is fine.
    pub(super) async fn hang_up(self) {
        let farewell = self.handle.disconnect(Disconnect::ByApplication, "", "");
        let _ = timeout(FAREWELL_LIMIT, farewell).await;
    }
}

/// Getting in: what each stage needs.
struct SshConnector<'a> {
    /// For failures.
    name: &'a str,
    /// For each stage.
    limit: Duration,
    /// Why the peer ended the connection, if it said so.
    parting_words: Arc<Mutex<Option<String>>>,
}

impl SshConnector<'_> {
    async fn knock(&self, command_line: &CommandLine) -> Result<Handle<HostKeyVerifier>, Failure> {
        let address = &command_line.address;
        let limit = (self.limit / 2).min(CONNECT_LIMIT);
        let stream = connector::connect(&address.host, address.port, limit).await;
        let stream = stream.map_err(|error| self.failure(FailureKind::Unreachable, error))?;
        let verifier = HostKeyVerifier {
            pin: command_line.host_key.clone(),
            parting_words: Arc::clone(&self.parting_words),
        };
        let meeting = client::connect_stream(Arc::new(config()), stream, verifier);
        match self.within("handshake", self.limit, meeting).await? {
            Ok(handle) => Ok(handle),
            Err(ConnectError::HostKeyMismatch { presented }) => Err(self.failure(
                FailureKind::Untrusted,
                format!(
                    "it shows the host key {presented}, and {} is pinned",
                    command_line.host_key
                ),
            )),
            Err(ConnectError::Ssh(error)) => Err(self.broken(&error)),
        }
    }

    /// Exactly one try. The question which methods there are is no try: it offers nothing (RFC 4252, 5.2).
    async fn log_in(
        &self,
        handle: &mut Handle<HostKeyVerifier>,
        user: &str,
        password: &Secret,
    ) -> Result<(), Failure> {
        let asking = handle.authenticate_none(user);
        let asked = self.within("log in", self.limit, asking).await?;
        let methods = match asked.map_err(|error| self.broken(&error))? {
            // The device asks in the terminal.
            AuthResult::Success => return Ok(()),
            AuthResult::Failure {
                remaining_methods, ..
            } => remaining_methods,
        };
        self.still_there(handle)?;
        if methods.is_empty() || methods.contains(&MethodKind::Password) {
            let offering = handle.authenticate_password(user, password.expose());
            let answer = self.within("log in", self.limit, offering).await?;
            return match answer.map_err(|error| self.broken(&error))? {
                AuthResult::Success => Ok(()),
                AuthResult::Failure {
                    partial_success, ..
                } => Err(self.refused_login(handle, partial_success)),
            };
        }
        if methods.contains(&MethodKind::KeyboardInteractive) {
            let answering = self.answer_questions(handle, user, password);
            return self.within("log in", self.limit, answering).await?;
        }
        Err(self.failure(FailureKind::Refused, no_password(&methods)))
    }

    /// Keyboard-interactive (RFC 4256): the one hidden question is the password.
    async fn answer_questions(
        &self,
        handle: &mut Handle<HostKeyVerifier>,
        user: &str,
        password: &Secret,
    ) -> Result<(), Failure> {
        let mut offered = false;
        let mut answer = handle
            .authenticate_keyboard_interactive_start(user, None)
            .await;
        for _ in 0..MOST_ROUNDS {
            let prompts = match answer.map_err(|error| self.broken(&error))? {
                KeyboardInteractiveAuthResponse::Success => return Ok(()),
                KeyboardInteractiveAuthResponse::Failure {
                    partial_success, ..
                } => return Err(self.refused_login(handle, partial_success)),
                KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => prompts,
            };
            let responses = match prompts.as_slice() {
                [] => Vec::new(),
                [prompt] if !prompt.echo && !offered => {
                    offered = true;
                    vec![password.expose().to_owned()]
                }
                _ if offered => return Err(self.refused_login(handle, false)),
                _ => {
                    let asked: Vec<&str> = prompts.iter().map(|one| one.prompt.trim()).collect();
                    let detail = format!("it asks for more than a password: {}", asked.join(", "));
                    return Err(self.failure(FailureKind::Refused, detail));
                }
            };
            answer = handle
                .authenticate_keyboard_interactive_respond(responses)
                .await;
        }
        Err(self.failure(FailureKind::Unexpected, "it asks without end"))
    }

    async fn open_shell(
        &self,
        handle: &Handle<HostKeyVerifier>,
    ) -> Result<(Box<dyn Line>, Vec<u8>), Failure> {
        let opening = async {
            let mut channel = handle.channel_open_session().await?;
            let mut said = Vec::new();
            channel
                .request_pty(true, "dumb", COLUMNS, ROWS, 0, 0, &[])
                .await?;
            // Without a terminal there is no echo, which is fine.
            granted(&mut channel, &mut said).await;
            channel.request_shell(true).await?;
            let has_shell = granted(&mut channel, &mut said).await;
            Ok((channel, said, has_shell))
        };
        let opened = self.within("open a shell", self.limit, opening).await?;
        let (channel, said, has_shell) = opened.map_err(|error| self.broken(&error))?;
        if !has_shell {
            let detail = "it gives this user no shell";
            return Err(self.failure(FailureKind::Refused, detail));
        }
        Ok((Box::new(channel.into_stream()), said))
    }

    async fn within<T>(
        &self,
        stage: &str,
        limit: Duration,
        doing: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        timeout(limit, doing).await.map_err(|_| {
            let detail = format!("{stage}: no answer within {} s", limit.as_secs());
            self.failure(FailureKind::Unreachable, detail)
        })
    }

    /// The question about the methods may have ended the connection.
    fn still_there(&self, handle: &Handle<HostKeyVerifier>) -> Result<(), Failure> {
        if handle.is_closed() {
            return Err(self.broken(&russh::Error::Disconnect));
        }
        Ok(())
    }

    /// A refused password; a connection that is gone without a word is no refusal.
    fn refused_login(&self, handle: &Handle<HostKeyVerifier>, partial_success: bool) -> Failure {
        let words = self.parting_words();
        if handle.is_closed() && words.is_none() {
            return self.broken(&russh::Error::Disconnect);
        }
        let detail = match words {
            Some(words) => format!("the device refused the name or the password: {words}"),
            None if partial_success => "it asks for more than a password".to_owned(),
            None => "the device refused the name or the password".to_owned(),
        };
        self.failure(FailureKind::Unauthorized, detail)
    }

    fn broken(&self, error: &russh::Error) -> Failure {
        if let russh::Error::NoCommonAlgo { kind, theirs, .. } = error {
            let detail = format!(
                "no common {kind:?} algorithm; it offers {}",
                theirs.join(", ")
            );
            return self.failure(FailureKind::Refused, detail);
        }
        let detail = match self.parting_words() {
            Some(words) => format!("{error}: {words}"),
            None => error.to_string(),
        };
        self.failure(FailureKind::Unreachable, detail)
    }

    fn parting_words(&self) -> Option<String> {
        let words = self.parting_words.lock();
        words.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn failure(&self, kind: FailureKind, detail: impl std::fmt::Display) -> Failure {
        Failure::new(kind, self.name, readable(&detail.to_string()))
    }
}

/// Lets in only the device whose host key is pinned.
struct HostKeyVerifier {
    pin: String,
    parting_words: Arc<Mutex<Option<String>>>,
}

/// Why there is no connection.
#[derive(Debug)]
enum ConnectError {
    /// Another host key than the pinned one.
    HostKeyMismatch {
        /// SHA-256 of the key, as OpenSSH prints it, and its algorithm.
        presented: String,
    },
    Ssh(russh::Error),
}

impl From<russh::Error> for ConnectError {
    fn from(error: russh::Error) -> Self {
        Self::Ssh(error)
    }
}

impl Handler for HostKeyVerifier {
    type Error = ConnectError;

    async fn check_server_key(
        &mut self,
        key: &PublicKeyOrCertificate,
    ) -> Result<bool, ConnectError> {
        // Certificates are not asked for.
        let PublicKeyOrCertificate::PublicKey { key, .. } = key else {
            return Ok(false);
        };
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        if fingerprint == self.pin {
            return Ok(true);
        }
        let presented = format!("{fingerprint} ({})", key.algorithm().as_str());
        Err(ConnectError::HostKeyMismatch { presented })
    }

    async fn disconnected(
        &mut self,
        reason: DisconnectReason<ConnectError>,
    ) -> Result<(), ConnectError> {
        match reason {
            DisconnectReason::ReceivedDisconnect(reported) => {
                let words = self.parting_words.lock();
                *words.unwrap_or_else(PoisonError::into_inner) = Some(reported.message);
                Ok(())
            }
            DisconnectReason::Error(error) => Err(error),
        }
    }
}

/// Waits for the answer to a request; what is said meanwhile is kept.
async fn granted(channel: &mut russh::Channel<client::Msg>, said: &mut Vec<u8>) -> bool {
    loop {
        match channel.wait().await {
            Some(ChannelMsg::Success) => return true,
            Some(ChannelMsg::Data { data }) => said.extend_from_slice(&data),
            Some(ChannelMsg::Failure | ChannelMsg::Close | ChannelMsg::Eof) | None => return false,
            Some(_) => {}
        }
    }
}

fn no_password(methods: &MethodSet) -> String {
    let offered: Vec<String> = methods.iter().map(|method| format!("{method:?}")).collect();
    format!(
        "it takes no password, only {}: enable password login for SSH management",
        offered.join(", ")
    )
}

/// What is offered, the strongest first. Devices of 2015 speak nothing but the last ones; an attacker cannot make two
/// that have better ones fall back to them, since the offers are signed with the host key (RFC 4253, 7.2 and 8).
fn config() -> Config {
    let strongest = Preferred::default();
    Config {
        client_id: russh::SshId::Standard(Cow::Borrowed("SSH-2.0-renewd")),
        preferred: Preferred {
            kex: with(&strongest.kex, &OLD_KEY_EXCHANGES),
            cipher: with(&strongest.cipher, &OLD_CIPHERS),
            mac: with(&strongest.mac, &OLD_MACS),
            ..strongest
        },
        nodelay: true,
        ..Config::default()
    }
}

fn with<T: Clone>(strongest: &[T], old: &[T]) -> Cow<'static, [T]> {
    Cow::Owned([strongest, old].concat())
}

const OLD_KEY_EXCHANGES: [kex::Name; 6] = [
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::DH_G14_SHA1,
    kex::DH_GEX_SHA1,
    kex::DH_G1_SHA1,
];
const OLD_CIPHERS: [cipher::Name; 4] = [
    cipher::AES_128_GCM,
    cipher::AES_256_CBC,
    cipher::AES_192_CBC,
    cipher::AES_128_CBC,
];
const OLD_MACS: [mac::Name; 2] = [mac::HMAC_SHA1_ETM, mac::HMAC_SHA1];
/// Wider than any line, so that nothing is broken; higher than most listings, for devices that count rows.
const COLUMNS: u32 = 500;
const ROWS: u32 = 500;
const MOST_ROUNDS: usize = 5;
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const FAREWELL_LIMIT: Duration = Duration::from_secs(3);
