//! `GET /openapi`: the device hands out its own specification (SonicOS reference 1.1).
//!
//! guess: that it is JSON, and that a login is needed. It names a few calls; a real one is as large as a book.

use serde_json::{Map, Value, json};

use super::calls::KNOWN;
use super::device::Device;
use super::wire::{BASE, Reply};

impl Device {
    /// 1.1: the title and the form of the version are those of the vendor's own files.
    pub(super) fn specification(&self) -> Reply {
        let paths: Map<String, Value> = KNOWN
            .iter()
            .map(|known| (format!("/{}", known.join("/")), json!({})))
            .collect();
        Reply::json(json!({
            "openapi": "3.0.0",
            "info": {"title": "SonicOS API", "version": self.settings.profile.firmware()},
            "servers": [{"url": BASE}],
            "paths": paths,
        }))
    }
}
