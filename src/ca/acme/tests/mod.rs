//! The driver's parts that need no server.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where it fails"
)]

mod account;
mod answers;
mod limits;
mod preflight;
mod problems;
mod signatures;

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use url::Url;

use super::*;
use crate::dcv;
use crate::seal;
use crate::tls::{Anchor, Trust};

fn settings(folder: &Path) -> Settings {
    let directory: Url = "https://acme.example.com/directory".parse().unwrap();
    Settings {
        limits: Limits::of(&directory),
        directory,
        allow_hosts: Vec::new(),
        trust: Trust {
            anchor: Anchor::System,
            server_name: None,
        },
        timeout: Duration::from_secs(1),
        contact: vec!["admin@example.com".to_owned()],
        account: folder.join("acme/office.account"),
        sealing_key: seal::SealingKeyLocation::new(None, folder),
        external_account: None,
        profile: None,
        roots: None,
        validation: dcv::Settings::Http(dcv::http::Settings { listen: Vec::new() }),
    }
}

fn now() -> Timestamp {
    "2026-11-22T10:00:00Z".parse().unwrap()
}
