//! The device as an FTP and SCP client. Shares nothing with any server: written from RFC 959 and 2428, the
//! scp protocol, and version 3 of SFTP.
//!
//! Independent of the device's state: it receives a file, or returns one.

mod ftp;
mod scp;
mod sftp;
mod ssh;
mod url;

use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

pub(super) use self::url::{Protocol, Url};
use super::Variants;
use super::switch::{FtpMode, ScpAlgorithms, TransferProtocols};

/// How the device behaves as a client.
#[derive(Debug, Clone)]
pub(super) struct Manner {
    ftp_mode: FtpMode,
    scp_algorithms: ScpAlgorithms,
    scp_is_broken: bool,
    scp_from_root: bool,
    scp_is_sftp: bool,
    scp_host_key: Option<String>,
    time_limit: Duration,
}

impl Manner {
    pub(super) fn of(variants: &Variants) -> Self {
        Self {
            ftp_mode: variants.ftp_mode,
            scp_algorithms: variants.scp_algorithms,
            scp_is_broken: variants.transfer_protocols == TransferProtocols::ScpBroken,
            scp_from_root: variants.scp_from_root,
            scp_is_sftp: variants.scp_is_sftp,
            scp_host_key: variants.scp_host_key.clone(),
            time_limit: variants.transfer_timeout_ms,
        }
    }

    /// guess: whether a path is seen from the root of the server or from the user's folder.
    fn path(&self, url: &Url) -> String {
        let root = if self.scp_from_root { "/" } else { "" };
        format!("{root}{}", url.path())
    }
}

/// The fault of one transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferFault {
    /// The device cannot connect.
    NotConnected,
    /// The device connects and hangs up.
    HungUp,
    /// The device connects and sends nothing until its own timeout.
    Silent,
    /// The device sends a wrong password.
    WrongPassword,
    /// Half of the file is taken for all of it.
    Halved,
}

/// Uploads a file to the server of `url`. The text of an error is the text of the device (guess: all of them).
pub(super) async fn bring(
    manner: &Manner,
    url: &str,
    file_name: &str,
    content: &[u8],
    fault: Option<TransferFault>,
) -> Result<(), String> {
    let url = Url::parse(url)?.with(fault);
    let name = url.file().unwrap_or(file_name);
    let content = match fault {
        Some(TransferFault::Halved) => &content[..content.len() / 2],
        _ => content,
    };
    let carried = async {
        fail(&url, fault).await?;
        match url.protocol {
            Protocol::Ftp => ftp::store(manner, &url, name, content).await,
            Protocol::Scp if manner.scp_is_sftp => sftp::send(manner, &url, name, content).await,
            Protocol::Scp => scp::send(manner, &url, name, content).await,
        }
    };
    let carried = tokio::time::timeout(manner.time_limit, carried).await;
    carried.unwrap_or_else(|_| Err("File transfer failed: timed out".to_owned()))
}

/// Gets the file of `url`.
pub(super) async fn fetch(
    manner: &Manner,
    url: &str,
    fault: Option<TransferFault>,
) -> Result<Vec<u8>, String> {
    let url = Url::parse(url)?.with(fault);
    let carried = async {
        fail(&url, fault).await?;
        match url.protocol {
            Protocol::Ftp => ftp::retrieve(manner, &url).await,
            Protocol::Scp if manner.scp_is_sftp => sftp::receive(manner, &url).await,
            Protocol::Scp => scp::receive(manner, &url).await,
        }
    };
    let carried = tokio::time::timeout(manner.time_limit, carried).await;
    let carried = carried.unwrap_or_else(|_| Err("File transfer failed: timed out".to_owned()));
    carried.map(|mut file| {
        if fault == Some(TransferFault::Halved) {
            file.truncate(file.len() / 2);
        }
        file
    })
}

/// The faults that keep the device from carrying anything.
async fn fail(url: &Url, fault: Option<TransferFault>) -> Result<(), String> {
    let connect = || TcpStream::connect(url.address());
    match fault {
        Some(TransferFault::NotConnected) => Err(failed("connection refused")),
        Some(TransferFault::HungUp) => {
            let mut stream = connect().await.map_err(failed)?;
            // Waits for the first byte of the server, which shows that the login succeeded.
            let _ = stream.read_u8().await;
            Err(failed("connection closed"))
        }
        Some(TransferFault::Silent) => {
            let _stream = connect().await.map_err(failed)?;
            std::future::pending().await
        }
        Some(TransferFault::WrongPassword | TransferFault::Halved) | None => Ok(()),
    }
}

/// The largest file that is fetched. guess: a certificate with its key fits many times.
const LARGEST_FILE: u64 = 1 << 20;

fn failed(reason: impl std::fmt::Display) -> String {
    format!("File transfer failed: {reason}")
}
