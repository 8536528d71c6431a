//! The SSH client: a login with a password, and one program or subsystem at the other end, byte by byte.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use russh::client::{self, Handle, Msg};
use russh::keys::{Algorithm, HashAlg, PublicKeyOrCertificate};
use russh::{Channel, ChannelMsg, Preferred, cipher, kex, mac};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::url::Url;
use super::{Manner, failed};
use crate::sonicos::switch::ScpAlgorithms;

/// The program at the other end.
pub(super) struct Remote {
    /// Dropping it ends the connection.
    _session: Handle<Trust>,
    channel: Channel<Msg>,
    received: VecDeque<u8>,
}

impl Remote {
    /// Runs a program.
    pub(super) async fn run(manner: &Manner, url: &Url, command: String) -> Result<Self, String> {
        let remote = Self::log_in(manner, url).await?;
        remote.channel.exec(true, command).await.map_err(failed)?;
        Ok(remote)
    }

    /// Starts a subsystem (RFC 4254 6.5).
    pub(super) async fn subsystem(manner: &Manner, url: &Url, name: &str) -> Result<Self, String> {
        let remote = Self::log_in(manner, url).await?;
        let asked = remote.channel.request_subsystem(true, name).await;
        asked.map_err(failed)?;
        Ok(remote)
    }

    async fn log_in(manner: &Manner, url: &Url) -> Result<Self, String> {
        if manner.scp_is_broken {
            return break_off(url).await;
        }
        let session = log_in(manner, url).await?;
        let channel = session.channel_open_session().await.map_err(failed)?;
        Ok(Self {
            _session: session,
            channel,
            received: VecDeque::new(),
        })
    }

    pub(super) async fn say(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.channel.data(bytes).await.map_err(failed)
    }

    pub(super) async fn byte(&mut self) -> Result<u8, String> {
        loop {
            if let Some(byte) = self.received.pop_front() {
                return Ok(byte);
            }
            match self.channel.wait().await {
                Some(ChannelMsg::Data { data }) => self.received.extend(data.iter()),
                Some(ChannelMsg::Failure) => return Err(failed("the server refuses the command")),
                Some(ChannelMsg::Eof | ChannelMsg::Close) | None => {
                    return Err(failed("the server closed the connection"));
                }
                Some(_) => {}
            }
        }
    }

    /// No more data follows. An exit status counts.
    pub(super) async fn close(mut self) -> Result<(), String> {
        self.channel.eof().await.map_err(failed)?;
        while let Some(message) = self.channel.wait().await {
            match message {
                ChannelMsg::ExitStatus { exit_status } if exit_status != 0 => {
                    return Err(failed(format!("the server ended with {exit_status}")));
                }
                ChannelMsg::Close => break,
                _ => {}
            }
        }
        Ok(())
    }
}

/// Which host keys the device accepts. guess: any, because no host key is configured.
#[derive(Debug)]
struct Trust {
    /// As OpenSSH prints it, `SHA256:...`.
    pin: Option<String>,
}

impl client::Handler for Trust {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        shown: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else {
            return Ok(false);
        };
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        Ok(self.pin.as_ref().is_none_or(|pin| *pin == fingerprint))
    }
}

async fn log_in(manner: &Manner, url: &Url) -> Result<Handle<Trust>, String> {
    let config = client::Config {
        preferred: preferred(manner.scp_algorithms),
        ..client::Config::default()
    };
    let trust = Trust {
        pin: manner.scp_host_key.clone(),
    };
    let mut session = client::connect(Arc::new(config), url.address(), trust)
        .await
        .map_err(failed)?;
    let entered = session
        .authenticate_password(&url.user, &url.password)
        .await
        .map_err(failed)?;
    if entered.success() {
        Ok(session)
    } else {
        Err(failed("login incorrect"))
    }
}

/// guess: both sets. The old one is what SSH was before 2010.
fn preferred(algorithms: ScpAlgorithms) -> Preferred {
    match algorithms {
        ScpAlgorithms::Modern => Preferred::DEFAULT,
        ScpAlgorithms::Old => Preferred {
            kex: Cow::Borrowed(&[kex::DH_G14_SHA1, kex::DH_G1_SHA1]),
            key: Cow::Borrowed(&[Algorithm::Rsa { hash: None }]),
            cipher: Cow::Borrowed(&[cipher::AES_128_CBC]),
            mac: Cow::Borrowed(&[mac::HMAC_SHA1]),
            ..Preferred::DEFAULT
        },
    }
}

/// A device whose SCP does not work: it sends its greeting and nothing else.
async fn break_off<T>(url: &Url) -> Result<T, String> {
    let mut stream = TcpStream::connect(url.address()).await.map_err(failed)?;
    stream
        .write_all(b"SSH-2.0-SonicOS\r\n")
        .await
        .map_err(failed)?;
    let _ = stream.read(&mut [0; 64]).await;
    Err(failed("no matching key exchange method"))
}
