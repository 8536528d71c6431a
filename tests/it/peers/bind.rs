//! BIND as the primary server of some zones that takes signed updates of TXT and CNAME records.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use tempfile::TempDir;

use super::{Process, program};

/// A running server.
#[derive(Debug)]
pub struct Bind {
    /// Where it answers, over UDP and TCP.
    pub address: SocketAddr,
    _process: Process,
    _folder: TempDir,
}

/// Starts it at `address` with `zones` (name and text) and the HMAC-SHA256 key (name and base64) that may change them;
/// `None`: it is not installed.
pub async fn start(address: SocketAddr, key: (&str, &str), zones: &[(&str, &str)]) -> Option<Bind> {
    let named = program("named", "NAMED")?;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    let (name, secret) = key;
    // Without recursion it would not follow a CNAME into another zone, not even a local one. It has no other server to
    // ask.
    let mut config = format!(
        "options {{ directory \"{path}\"; pid-file \"{path}/pid\"; session-keyfile \"{path}/session.key\";\n\
         listen-on port {} {{ {}; }}; listen-on-v6 {{ none; }};\n\
         recursion yes; forward only; forwarders {{ 127.0.0.1 port 9; }}; dnssec-validation no; notify no; }};\n\
         controls {{}};\n\
         key \"{name}\" {{ algorithm hmac-sha256; secret \"{secret}\"; }};\n",
        address.port(),
        address.ip()
    );
    for (zone, text) in zones {
        fs::write(folder.path().join(zone), text).unwrap();
        let section = format!(
            "zone \"{zone}\" {{ type primary; file \"{path}/{zone}\";\n\
             update-policy {{ grant {name} zonesub TXT CNAME; }}; }};\n"
        );
        config.push_str(&section);
    }
    let config_file = folder.path().join("named.conf");
    fs::write(&config_file, config).unwrap();
    let mut command = Command::new(named);
    command.args(["-g", "-n", "1", "-c"]).arg(config_file);
    let mut process = Process::start(&mut command, &folder.path().join("log"));
    process.answers_at(address).await;
    Some(Bind {
        address,
        _process: process,
        _folder: folder,
    })
}
