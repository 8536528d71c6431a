//! Servers on loopback with host keys in a temporary folder, and the clients.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use renewd::env::Env;
use renewd::failure::Failure;
use renewd::transfer::{Protocol, Settings, Task, Transfer, TransferRequest, Transfers};
use tempfile::TempDir;
use tokio::process::Command;
use url::Url;

use crate::peers::{program, write_program};

/// What is carried in most tests.
pub const CONTENT: &[u8] =
    b"-----BEGIN CERTIFICATE REQUEST-----\nMA==\n-----END CERTIFICATE REQUEST-----\n";

/// The largest file that is taken in most tests.
pub const LARGEST: usize = 4096;

/// Long enough for a slow machine; a test that needs it has failed.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// Servers, and files for their clients.
pub struct Fixture {
    pub transfers: Transfers,
    pub folder: TempDir,
}

impl Fixture {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.p10"), CONTENT).unwrap();
        std::fs::write(folder.path().join("x.txt"), CONTENT).unwrap();
        std::fs::write(folder.path().join("large.p10"), vec![b'x'; LARGEST + 1]).unwrap();
        let transfers = Transfers::new(folder.path(), &Env::system());
        Self { transfers, folder }
    }

    /// Opens for `a.p10` or `a.pem` from 127.0.0.1.
    pub async fn receive(&self, protocol: Protocol) -> Transfer {
        self.open(&loopback(), protocol, receiving(), PATIENCE)
            .await
            .unwrap()
    }

    /// Opens with `a.pem` for 127.0.0.1.
    pub async fn hand_out(&self, protocol: Protocol) -> Transfer {
        let task = Task::HandOut {
            name: "a.pem".to_owned(),
            content: CONTENT.to_vec(),
        };
        self.open(&loopback(), protocol, task, PATIENCE)
            .await
            .unwrap()
    }

    pub async fn open(
        &self,
        settings: &Settings,
        protocol: Protocol,
        task: Task,
        time_limit: Duration,
    ) -> Result<Transfer, Failure> {
        let request = TransferRequest {
            protocol,
            firewall: SocketAddr::from((Ipv4Addr::LOCALHOST, 443)),
            task,
            time_limit,
        };
        self.transfers.open(settings, request).await
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// OpenSSH's `program` with `options`, to the server of `url`, without anything that it finds on this machine.
    pub fn openssh(&self, name: &str, url: &Url, options: &[&str]) -> Option<Command> {
        let mut command = Command::new(program(name, &name.to_uppercase())?);
        let ask = self.file("ask");
        if !ask.exists() {
            write_program(&ask, "#!/bin/sh\nprintf '%s\\n' \"$ANSWER\"\n");
        }
        command
            .env("SSH_ASKPASS", ask)
            .env("SSH_ASKPASS_REQUIRE", "force")
            .env("ANSWER", url.password().unwrap())
            .args(["-F", "/dev/null"]);
        // Of two values the first one counts.
        for option in options.iter().chain(&QUIET_AND_STRANGE) {
            command.args(["-o", option]);
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        Some(command)
    }

    /// Copies `from` to the path `to` on the server; `None` where there is no `scp`.
    pub async fn bring(
        &self,
        scp_protocol: ScpProtocol,
        from: &str,
        url: &Url,
        to: &str,
    ) -> Option<Output> {
        let mut scp = self.scp(scp_protocol, url, &[])?;
        scp.arg(self.file(from)).arg(remote(url, to));
        Some(output(scp).await)
    }

    /// Copies the path `from` on the server to the file `to`.
    pub async fn fetch(
        &self,
        scp_protocol: ScpProtocol,
        url: &Url,
        from: &str,
        to: &str,
    ) -> Option<Output> {
        let mut scp = self.scp(scp_protocol, url, &[])?;
        scp.arg(remote(url, from)).arg(self.file(to));
        Some(output(scp).await)
    }

    pub fn scp(&self, scp_protocol: ScpProtocol, url: &Url, options: &[&str]) -> Option<Command> {
        let mut scp = self.openssh("scp", url, options)?;
        if scp_protocol == ScpProtocol::Legacy {
            scp.arg("-O");
        }
        scp.args(["-P", &url.port().unwrap_or(22).to_string()]);
        Some(scp)
    }

    /// Calls `curl`; `None` where there is none.
    pub async fn curl(&self, arguments: &[&str]) -> Option<Output> {
        let mut curl = Command::new(program("curl", "CURL")?);
        curl.args(["-q", "-sS", "--max-time", "30"])
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        Some(output(curl).await)
    }
}

/// A client that knows no host, has no key, tries once and prints little.
const QUIET_AND_STRANGE: [&str; 6] = [
    "StrictHostKeyChecking=no",
    "UserKnownHostsFile=/dev/null",
    "GlobalKnownHostsFile=/dev/null",
    "IdentityFile=/dev/null",
    "NumberOfPasswordPrompts=1",
    "LogLevel=ERROR",
];

/// The two protocols of `scp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScpProtocol {
    Legacy,
    Sftp,
}

impl ScpProtocol {
    pub const BOTH: [Self; 2] = [Self::Legacy, Self::Sftp];
}

/// At free ports of 127.0.0.1.
pub fn loopback() -> Settings {
    Settings {
        listen: Some(IpAddr::from(Ipv4Addr::LOCALHOST)),
        ..Settings::default()
    }
}

pub fn receiving() -> Task {
    Task::Receive {
        names: vec!["a.p10".to_owned(), "a.pem".to_owned()],
        largest: LARGEST,
    }
}

pub fn folder_url(transfer: &Transfer) -> Url {
    transfer.folder_url().expose().parse().unwrap()
}

/// `url` with another password.
pub fn with_password(url: &Url, password: &str) -> Url {
    let mut url = url.clone();
    url.set_password(Some(password)).unwrap();
    url
}

fn remote(url: &Url, path: &str) -> String {
    format!("{}@{}:{path}", url.username(), url.host_str().unwrap())
}

pub async fn output(mut command: Command) -> Output {
    command.output().await.unwrap()
}

/// The output of a program, for the message of a failed test.
pub fn said(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    format!("{} {out} {error}", output.status)
}

/// Whether nothing was left at `path`.
pub fn is_absent(path: &Path) -> bool {
    std::fs::read(path).map_or(true, |content| content.is_empty())
}
