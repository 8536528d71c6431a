//! The list of calls: by generation (SonicOS reference 5), and by switches. Their handlers are in other modules.

use serde_json::json;

use super::Profile;
use super::device::Device;
use super::transfers::TRANSFERS;
use super::wire::{Refusal, Reply, unknown_call};

impl Device {
    /// Differences between the generations (5), and calls that a switch disables.
    pub(super) fn has_call(&self, method: &str, segments: &[&str]) -> bool {
        let is_old = self.is_old();
        match segments {
            ["reporting", ..] => self.variants.reporting_calls.unwrap_or(!is_old),
            ["export" | "import", "certificates", ..] | ["ssl-vpn", "server", "base"] => !is_old,
            ["ssl-vpn", "server"] => is_old && (method == "GET" || self.variants.binding_calls),
            ["administration", "global"] => method == "GET" || self.variants.binding_calls,
            ["certificates", "name", _] => self.variants.delete_call,
            _ => true,
        }
    }

    /// 1.5: 404 "API not found"; a path that only lacks segments is "incomplete", and so is, on 6.5, the export of
    /// later firmware (3.3).
    pub(super) fn unknown_path(&self, segments: &[&str]) -> Refusal {
        let of_later = self.is_old() && segments.starts_with(&["export", "certificates"]);
        let more: &[&[&str]] = if self.is_old() { TRANSFERS } else { &[] };
        let incomplete = KNOWN
            .iter()
            .chain(more)
            .filter(|known| self.has_call("GET", known))
            .any(|known| known.len() > segments.len() && known.starts_with(segments));
        if incomplete || of_later {
            Refusal::incomplete()
        } else {
            unknown_call()
        }
    }

    /// Whether it is of the generation that speaks HTTP/1.0 and moves files by FTP and SCP.
    pub(super) fn is_old(&self) -> bool {
        self.settings.profile == Profile::V6_5
    }
}

/// The writes that exist: everything else is an unknown path, with or without configuration mode.
pub(super) fn is_a_write(method: &str, segments: &[&str]) -> bool {
    let methods: &[&str] = match segments {
        ["config", "pending"] | ["config", "pending", "best-effort"] => &["POST", "DELETE"],
        ["certificates", "generate-signing-request"] => &["POST"],
        ["certificates", "name" | "ca", _] => &["DELETE"],
        ["administration", "global"]
        | ["ssl-vpn", "server"]
        | ["ssl-vpn", "server", "base"]
        | ["import", "certificates", "ca-cert"]
        | [
            "import",
            "certificates",
            "signed-cert" | "cert-key-pair",
            "name",
            _,
        ]
        | [
            "import",
            "certificates",
            "cert-key-pair",
            "name",
            _,
            "password",
            _,
        ] => &["PUT"],
        _ => &[],
    };
    methods.contains(&method)
}

/// 1.1: some builds list the endpoints at the bare root.
pub(super) fn endpoints() -> Reply {
    let paths: Vec<String> = KNOWN
        .iter()
        .map(|known| format!("/api/sonicos/{}", known.join("/")))
        .collect();
    Reply::json(json!(paths))
}

/// The calls that begin with a shorter path.
pub(super) const KNOWN: &[&[&str]] = &[
    &["certificates", "generate-signing-request"],
    &["certificates", "name", "NAME"],
    &["config", "pending"],
    &["export", "certificates", "signing-request", "name", "NAME"],
    &["import", "certificates", "signed-cert", "name", "NAME"],
    &["reporting", "certificates", "name", "NAME"],
    &["ssl-vpn", "server", "base"],
    &["administration", "global"],
];
