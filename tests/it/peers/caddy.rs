//! Caddy as an ACME server in front of its internal CA.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::{Process, free_address, program};

/// A running Caddy.
pub struct Caddy {
    _server: Process,
    folder: TempDir,
    address: SocketAddr,
}

impl Caddy {
    /// Starts it; `None`: it is not installed.
    pub async fn start() -> Option<Self> {
        let caddy = program("caddy", "CADDY")?;
        let folder = tempfile::tempdir().unwrap();
        let address = free_address();
        let mut server = Process::start(
            Command::new(caddy)
                .args(["run", "--adapter", "caddyfile", "--config"])
                .arg(configure(folder.path(), address))
                // Its ACME database lies below its home, whatever `storage` says.
                .env("HOME", folder.path())
                .env_remove("XDG_DATA_HOME")
                .env_remove("XDG_CONFIG_HOME"),
            &folder.path().join("caddy.log"),
        );
        server.answers_at(address).await;
        Some(Self {
            _server: server,
            folder,
            address,
        })
    }

    /// The URL of its directory.
    pub fn directory(&self) -> String {
        format!(
            "https://localhost:{}/acme/local/directory",
            self.address.port()
        )
    }

    /// The root of its CA, which its own TLS certificate comes from as well.
    pub fn root(&self) -> PathBuf {
        self.folder
            .path()
            .join("storage/pki/authorities/local/root.crt")
    }
}

fn configure(folder: &Path, address: SocketAddr) -> PathBuf {
    let path = folder.join("Caddyfile");
    let text = format!(
        "{{
    admin off
    skip_install_trust
    auto_https disable_redirects
    default_bind 127.0.0.1
    storage file_system {}
    http_port {}
    https_port {port}
}}
https://localhost:{port} {{
    tls internal
    acme_server
}}
",
        folder.join("storage").display(),
        free_address().port(),
        port = address.port(),
    );
    std::fs::write(&path, text).unwrap();
    path
}
