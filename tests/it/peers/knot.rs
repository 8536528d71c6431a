//! Knot DNS as the primary server of some zones that takes signed updates of TXT and CNAME records.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use tempfile::TempDir;

use super::{Process, program};

/// A running server.
#[derive(Debug)]
pub struct Knot {
    /// Where it answers, over UDP and TCP.
    pub address: SocketAddr,
    _process: Process,
    _folder: TempDir,
}

/// Starts it at `address` with `zones` (name and text) and the HMAC-SHA256 key (name and base64) that may change them;
/// `None`: it is not installed.
pub async fn start(address: SocketAddr, key: (&str, &str), zones: &[(&str, &str)]) -> Option<Knot> {
    let knotd = program("knotd", "KNOTD")?;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    let (name, secret) = key;
    let mut config = format!(
        "server:\n  rundir: {path}\n  listen: {}@{}\n\
         database:\n  storage: {path}\n\
         log:\n- target: stdout\n  any: info\n\
         key:\n- id: {name}\n  algorithm: hmac-sha256\n  secret: {secret}\n\
         acl:\n- id: change\n  key: {name}\n  action: update\n  update-type: [TXT, CNAME]\nzone:\n",
        address.ip(),
        address.port()
    );
    for (zone, text) in zones {
        let file = folder.path().join(zone);
        fs::write(&file, text).unwrap();
        // Without a journal every update of a zone that is not loaded whole fails.
        let section = format!(
            "- domain: {zone}\n  file: {}\n  zonefile-load: whole\n  acl: change\n",
            file.display()
        );
        config.push_str(&section);
    }
    let config_file = folder.path().join("knot.conf");
    fs::write(&config_file, config).unwrap();
    let mut command = Command::new(knotd);
    command.arg("-c").arg(config_file);
    let mut process = Process::start(&mut command, &folder.path().join("log"));
    process.answers_at(address).await;
    Some(Knot {
        address,
        _process: process,
        _folder: folder,
    })
}
