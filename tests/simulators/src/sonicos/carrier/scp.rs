//! The SCP client: `scp -t` and `scp -f` over SSH (the protocol of BSD rcp, as OpenSSH's `scp -O` speaks it).

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use russh::client::{self, Handle, Msg};
use russh::keys::{Algorithm, HashAlg, PublicKeyOrCertificate};
use russh::{Channel, ChannelMsg, Preferred, cipher, kex, mac};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::url::Url;
use super::{LARGEST_FILE, Manner, failed};
use crate::sonicos::switch::ScpAlgorithms;

/// Puts a file where the URL says.
pub(super) async fn send(
    manner: &Manner,
    url: &Url,
    name: &str,
    content: &[u8],
) -> Result<(), String> {
    let mut remote = Remote::open(manner, url, "-t").await?;
    remote.acknowledged().await?;
    let head = format!("C0644 {} {name}\n", content.len());
    remote.say(head.as_bytes()).await?;
    remote.acknowledged().await?;
    remote.say(&[content, &[0]].concat()).await?;
    remote.acknowledged().await?;
    remote.close().await
}

/// Gets the file that the URL names.
pub(super) async fn receive(manner: &Manner, url: &Url) -> Result<Vec<u8>, String> {
    let mut remote = Remote::open(manner, url, "-f").await?;
    remote.say(&[0]).await?;
    let length = loop {
        let line = remote.line().await?;
        match line.split_at_checked(1) {
            Some(("C", rest)) => break length_of(rest)?,
            // Times, which nobody asked for.
            Some(("T", _)) => remote.say(&[0]).await?,
            _ => return Err(failed(line.trim_start_matches(['\u{1}', '\u{2}']))),
        }
    };
    remote.say(&[0]).await?;
    let mut file = Vec::new();
    for _ in 0..length {
        file.push(remote.byte().await?);
    }
    remote.acknowledged().await?;
    remote.say(&[0]).await?;
    remote.close().await?;
    Ok(file)
}

/// The program at the other end.
struct Remote {
    /// Dropping it ends the connection.
    _session: Handle<Trust>,
    channel: Channel<Msg>,
    received: VecDeque<u8>,
}

impl Remote {
    async fn open(manner: &Manner, url: &Url, direction: &str) -> Result<Self, String> {
        if manner.scp_is_broken {
            return break_off(url).await;
        }
        let session = log_in(manner, url).await?;
        let channel = session.channel_open_session().await.map_err(failed)?;
        let command = format!("scp {direction} {}", path(manner, url));
        channel.exec(true, command).await.map_err(failed)?;
        Ok(Self {
            _session: session,
            channel,
            received: VecDeque::new(),
        })
    }

    async fn say(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.channel.data(bytes).await.map_err(failed)
    }

    async fn byte(&mut self) -> Result<u8, String> {
        loop {
            if let Some(byte) = self.received.pop_front() {
                return Ok(byte);
            }
            match self.channel.wait().await {
                Some(ChannelMsg::Data { data }) => self.received.extend(data.iter()),
                Some(ChannelMsg::Failure) => return Err(failed("scp is refused")),
                Some(ChannelMsg::Eof | ChannelMsg::Close) | None => {
                    return Err(failed("the server closed the connection"));
                }
                Some(_) => {}
            }
        }
    }

    async fn line(&mut self) -> Result<String, String> {
        let mut line = Vec::new();
        while line.len() < LONGEST_LINE {
            match self.byte().await? {
                b'\n' => break,
                byte => line.push(byte),
            }
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    /// 0 is good, 1 and 2 come with a text.
    async fn acknowledged(&mut self) -> Result<(), String> {
        match self.byte().await? {
            0 => Ok(()),
            _ => Err(failed(self.line().await?)),
        }
    }

    /// No more is said; an exit status, if there is one, counts.
    async fn close(mut self) -> Result<(), String> {
        self.channel.eof().await.map_err(failed)?;
        while let Some(message) = self.channel.wait().await {
            match message {
                ChannelMsg::ExitStatus { exit_status } if exit_status != 0 => {
                    return Err(failed(format!("scp ended with {exit_status}")));
                }
                ChannelMsg::Close => break,
                _ => {}
            }
        }
        Ok(())
    }
}

const LONGEST_LINE: usize = 4096;

/// Which host keys the device believes. guess: any, since nobody told it one.
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

/// guess: whether a path is seen from the root of the server or from the user's folder.
fn path(manner: &Manner, url: &Url) -> String {
    let root = if manner.scp_from_root { "/" } else { "" };
    let path = format!("{root}{}", url.path());
    if path.is_empty() {
        ".".to_owned()
    } else {
        path
    }
}

/// A device whose SCP does not work: it says hello, and that was all.
async fn break_off<T>(url: &Url) -> Result<T, String> {
    let mut stream = TcpStream::connect(url.address()).await.map_err(failed)?;
    stream
        .write_all(b"SSH-2.0-SonicOS\r\n")
        .await
        .map_err(failed)?;
    let _ = stream.read(&mut [0; 64]).await;
    Err(failed("no matching key exchange method"))
}

/// `0644 LENGTH NAME`.
fn length_of(head: &str) -> Result<u64, String> {
    let length = head
        .split(' ')
        .nth(1)
        .and_then(|length| length.parse().ok());
    let length = length.filter(|length| *length <= LARGEST_FILE);
    length.ok_or_else(|| failed("the length of the file is not acceptable"))
}

#[cfg(test)]
mod tests {
    use super::length_of;

    #[test]
    fn the_length_of_a_file_is_read_and_bounded() {
        assert_eq!(length_of("0644 1234 fw.pem"), Ok(1234));
        assert!(length_of("0644 many fw.pem").is_err());
        assert!(length_of("0644 99999999 fw.pem").is_err());
    }
}
