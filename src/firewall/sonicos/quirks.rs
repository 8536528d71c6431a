//! What a device turned out to need. Learned defaults are stored from session to session and tried first; facts of one
//! session are reported and not stored. renewd relies on none of them: when a learned default fails, every other
//! variant is tried.

use std::collections::BTreeMap;

/// What is known of the device so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Quirks(BTreeMap<&'static str, String>);

impl Quirks {
    /// The learned defaults among the quirks of earlier sessions, each `name=value`.
    pub(super) fn known(reported: &[String]) -> Self {
        let learned_defaults = reported.iter().filter_map(|quirk| {
            let (name, value) = quirk.split_once('=')?;
            let name = LEARNED_DEFAULTS
                .into_iter()
                .find(|learned_default| *learned_default == name)?;
            Some((name, value.to_owned()))
        });
        Self(learned_defaults.collect())
    }

    /// What worked before.
    pub(super) fn learned_default(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Records what the device has just shown.
    pub(super) fn note(&mut self, name: &'static str, value: impl Into<String>) {
        self.0.insert(name, value.into());
    }

    /// All of it, each `name=value`.
    pub(super) fn to_words(&self) -> Vec<String> {
        let quirks = self.0.iter();
        quirks
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    }
}

/// How a request is got.
pub(super) const EXPORT: &str = "export";
/// How a certificate is put on the device.
pub(super) const IMPORT: &str = "import";
/// How a CA certificate is.
pub(super) const CA_IMPORT: &str = "ca-import";
/// How a PKCS#12 file is.
pub(super) const KEY_PAIR: &str = "key_pair";
/// Which encryption of such a file the device opens.
pub(super) const KEY_PAIR_ENCRYPTION: &str = "key_pair_encryption";
/// Which listing works.
pub(super) const LISTING: &str = "listing";
/// How we logged in: the least that is accepted the next time.
pub(super) const LOGIN: &str = "login";
/// How services are pointed at certificates.
pub(super) const BIND: &str = "bind";
/// How certificates are removed.
pub(super) const DELETE: &str = "delete";

const LEARNED_DEFAULTS: [&str; 9] = [
    LOGIN,
    EXPORT,
    IMPORT,
    CA_IMPORT,
    KEY_PAIR,
    KEY_PAIR_ENCRYPTION,
    LISTING,
    BIND,
    DELETE,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn learned_defaults_are_stored_and_facts_of_one_session_are_not() {
        let reported = [
            "export=put-scp",
            "listing=cli",
            "restart_required=APPLIANCE",
            "login=digest SHA-256",
            "nonsense",
        ]
        .map(str::to_owned);
        let mut quirks = Quirks::known(&reported);
        let known = ["export=put-scp", "listing=cli", "login=digest SHA-256"];
        assert_eq!(quirks.to_words(), known);
        assert_eq!(quirks.learned_default(EXPORT), Some("put-scp"));
        quirks.note(EXPORT, "post-ftp");
        assert_eq!(quirks.learned_default(EXPORT), Some("post-ftp"));
    }
}
