//! Changes that wait for a commit, and whose they are. Every form in which a device may show them is read
//! (SonicOS reference 2 leaves the form open), and in doubt a change is somebody else's: a foreign change must
//! never be committed.

use serde_json::Value;

use super::envelope::{Envelope, is_empty, json_in, shortened};
use super::wording;

/// What `GET /config/pending` shows.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Pending {
    /// Nothing waits.
    Nothing,
    /// Something waits; the device does not say what.
    Something,
    /// Changed settings.
    Settings(Value),
    /// Lines of CLI text.
    Lines(Vec<String>),
}

/// What we have written ourselves, and so may commit.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Ours {
    /// Settings, as path and value.
    pub(super) leaves: Vec<Leaf>,
    /// Certificates and requests, by name: everything about them is ours.
    pub(super) aliases: Vec<String>,
    /// Whether CA certificates were imported; they have no name that we chose.
    pub(super) ca_certificates: bool,
    /// Our own name on the device, which may stand beside the changes.
    pub(super) user: String,
}

/// One setting.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Leaf {
    /// Names from the outside to the inside.
    pub(super) path: Vec<String>,
    pub(super) value: Value,
}

impl Pending {
    /// Reads an answer's body.
    pub(super) fn of(text: &str) -> Self {
        match json_in(text) {
            Some(json) => Self::of_json(json),
            None => Self::of_text(text),
        }
    }

    /// What of it is not ours, one line each. The caller decides about [`Pending::Something`], of which nothing
    /// can be told apart.
    pub(super) fn foreign(&self, ours: &Ours) -> Vec<String> {
        match self {
            Self::Nothing | Self::Something => Vec::new(),
            Self::Settings(settings) => {
                let mut foreign = Vec::new();
                ours.collect_foreign(settings, &mut Vec::new(), &mut foreign);
                foreign
            }
            Self::Lines(lines) => {
                let foreign = lines.iter().filter(|line| !ours.owns_line(line));
                foreign.cloned().collect()
            }
        }
    }

    /// All of it, shortened, for people.
    pub(super) fn summary(&self) -> String {
        if *self == Self::Something {
            return "changes that the device does not list".to_owned();
        }
        shortened(&self.foreign(&Ours::default()).join("; "))
    }

    /// Who made the changes, where the device says so.
    pub(super) fn author(&self) -> Option<String> {
        match self {
            Self::Nothing | Self::Something => None,
            Self::Settings(settings) => {
                let named = AUTHOR_KEYS.iter().find_map(|key| settings.get(key));
                named.and_then(Value::as_str).map(shortened)
            }
            Self::Lines(lines) => lines.iter().find_map(|line| author_in(line)),
        }
    }

    fn of_json(json: Value) -> Self {
        if let Some(envelope) = Envelope::of(&json) {
            let is_more = json.as_object().is_some_and(|members| members.len() > 1);
            return match envelope.pending_config {
                _ if is_more => Self::of_settings(without_status(json)),
                Some(true) => Self::Something,
                Some(false) => Self::Nothing,
                None if wording::is_nothing_pending(&envelope.messages()) => Self::Nothing,
                None if wording::is_success_text(&envelope.messages()) => Self::Nothing,
                None if envelope.messages().is_empty() => Self::Nothing,
                None => Self::Lines(vec![envelope.messages()]),
            };
        }
        match json.get("pending_config").or_else(|| json.get("pending")) {
            Some(Value::Bool(true)) => Self::Something,
            Some(Value::Bool(false)) => Self::Nothing,
            _ => Self::of_settings(json),
        }
    }

    fn of_settings(settings: Value) -> Self {
        match settings {
            Value::String(text) => Self::of_text(&text),
            settings if is_hollow(&settings) => Self::Nothing,
            settings => Self::Settings(settings),
        }
    }

    fn of_text(text: &str) -> Self {
        let lines: Vec<String> = text
            .lines()
            .map(|line| line.trim_matches(['%', ' ', '\t', '\r']).to_owned())
            .filter(|line| !line.is_empty())
            .collect();
        let is_nothing = match lines.as_slice() {
            [] => true,
            [only] => wording::is_nothing_pending(only) || only.eq_ignore_ascii_case("none"),
            _ => false,
        };
        if is_nothing {
            Self::Nothing
        } else {
            Self::Lines(lines)
        }
    }
}

impl Ours {
    /// Walks down to the single settings, leaving out the parts that are about our certificates.
    fn collect_foreign(&self, node: &Value, path: &mut Vec<String>, foreign: &mut Vec<String>) {
        if self.owns_certificate(node, path) {
            return;
        }
        match node {
            Value::Object(members) => {
                for (name, member) in members {
                    if path.is_empty() && self.names_us(name, member) {
                        continue;
                    }
                    let depth = path.len();
                    path.extend(
                        name.split(['/', '.'])
                            .filter(|part| !part.is_empty())
                            .map(str::to_owned),
                    );
                    self.collect_foreign(member, path, foreign);
                    path.truncate(depth);
                }
            }
            Value::Array(members) => {
                for member in members {
                    self.collect_foreign(member, path, foreign);
                }
            }
            leaf if self.owns_leaf(leaf, path) => {}
            leaf => foreign.push(
                format!("{} {}", path.join(" "), plain(leaf))
                    .trim()
                    .to_owned(),
            ),
        }
    }

    fn names_us(&self, name: &str, member: &Value) -> bool {
        AUTHOR_KEYS.contains(&name) && member.as_str() == Some(self.user.as_str())
    }

    fn owns_leaf(&self, value: &Value, path: &[String]) -> bool {
        self.leaves.iter().any(|leaf| {
            if path.ends_with(&leaf.path) {
                return *value == leaf.value;
            }
            // Setting a name switches the self-signed one off, and the other way round.
            let is_off = matches!(value, Value::Null | Value::Bool(false));
            let siblings = leaf.path.split_last().zip(path.split_last());
            is_off && siblings.is_some_and(|((_, ours), (_, theirs))| theirs.ends_with(ours))
        })
    }

    /// Whether a part of the settings is about a certificate that we made, imported or removed.
    fn owns_certificate(&self, node: &Value, path: &[String]) -> bool {
        let within = |wanted: &[&str]| {
            path.iter().any(|part| {
                let part = part.to_ascii_lowercase().replace('-', "_");
                wanted.contains(&part.as_str())
            })
        };
        if !within(&["certificate", "certificates"])
            || within(&["administration", "ssl_vpn", "vpn"])
        {
            return false;
        }
        if self.ca_certificates && within(&["ca", "ca_cert", "ca_certificate", "ca_certificates"]) {
            return true;
        }
        let is_ours = |text: &str| self.aliases.iter().any(|alias| alias == text);
        match node {
            Value::Object(members) => members
                .values()
                .any(|value| value.as_str().is_some_and(is_ours)),
            Value::String(text) => is_ours(text) || path.last().is_some_and(|name| is_ours(name)),
            _ => path.last().is_some_and(|name| is_ours(name)),
        }
    }

    fn owns_line(&self, line: &str) -> bool {
        let line = line.to_ascii_lowercase();
        let words: Vec<&str> = line
            .split(|character: char| {
                character.is_whitespace() || "\"'=:,;{}[]/".contains(character)
            })
            .filter(|word| !word.is_empty())
            .collect();
        let says = |wanted: &str| words.contains(&wanted.to_ascii_lowercase().as_str());
        let is_frame = words.iter().all(|word| FRAME_WORDS.contains(word));
        if is_frame
            || author_in(&line).is_some_and(|author| author.eq_ignore_ascii_case(&self.user))
        {
            return true;
        }
        if !line.contains("cert") && !line.contains("signing") {
            return false;
        }
        let is_bound = self.leaves.iter().any(|leaf| match &leaf.value {
            Value::String(name) => says(name),
            _ => says("use-self-signed") || says("use_self_signed"),
        });
        let is_ca =
            self.ca_certificates && (says("ca-cert") || says("ca") || says("ca-certificate"));
        is_bound || is_ca || self.aliases.iter().any(|alias| says(alias))
    }
}

/// JSON with no single setting in it. A `null` or `false` is a setting.
fn is_hollow(json: &Value) -> bool {
    match json {
        Value::Object(members) => members.values().all(is_hollow_member),
        Value::Array(members) => members.iter().all(is_hollow_member),
        other => is_empty(other),
    }
}

fn is_hollow_member(json: &Value) -> bool {
    (json.is_object() || json.is_array()) && is_hollow(json)
}

fn without_status(mut json: Value) -> Value {
    if let Some(members) = json.as_object_mut() {
        members.remove("status");
    }
    json
}

fn plain(leaf: &Value) -> String {
    leaf.as_str()
        .map_or_else(|| leaf.to_string(), str::to_owned)
}

/// The word after "by" in a line that is about changes.
fn author_in(line: &str) -> Option<String> {
    let lower = line.to_ascii_lowercase();
    let is_about_changes = ["change", "pending", "uncommitted"]
        .iter()
        .any(|word| lower.contains(word));
    let mut words = line.split_whitespace();
    let name = is_about_changes
        .then(|| words.by_ref().find(|word| word.eq_ignore_ascii_case("by")))
        .and_then(|_| words.next())?;
    let name = name.trim_matches(['"', '\'', '.', ',', ':', ';', '(', ')']);
    (!name.is_empty()).then(|| shortened(name))
}

/// Members beside the settings in which a device may name the author.
const AUTHOR_KEYS: [&str; 5] = [
    "administrator",
    "admin",
    "modified_by",
    "changed_by",
    "owner",
];

/// Words of lines that only open or close the place where a setting stands.
const FRAME_WORDS: [&str; 10] = [
    "administration",
    "certificates",
    "config",
    "configure",
    "end",
    "exit",
    "server",
    "ssl-vpn",
    "web-management",
    "!",
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn leaf(path: &str, value: Value) -> Leaf {
        Leaf {
            path: path.split('.').map(str::to_owned).collect(),
            value,
        }
    }

    fn bound() -> Ours {
        Ours {
            leaves: vec![
                leaf(
                    "administration.web_management.certificate.name",
                    json!("fw-1"),
                ),
                leaf("ssl_vpn.server.certificate.name", json!("fw-1")),
            ],
            ..Ours::default()
        }
    }

    fn made() -> Ours {
        Ours {
            aliases: vec!["fw-1".to_owned()],
            ..Ours::default()
        }
    }

    fn foreign(text: &str, ours: &Ours) -> Vec<String> {
        Pending::of(text).foreign(ours)
    }

    #[test]
    fn every_form_of_nothing_is_nothing() {
        for text in [
            "",
            " \r\n",
            "{}",
            "[]",
            "null",
            "\"\"",
            r#"{"administration":{}}"#,
            "% No pending changes.",
            "none",
            r#"{"status":{"success":true,"info":[{"level":"info","code":"E_OK","message":"Success."}]}}"#,
            r#"{"status":{"success":true,"cli":{"pending_config":false},"info":[]}}"#,
            r#"{"pending_config":false}"#,
        ] {
            assert_eq!(Pending::of(text), Pending::Nothing, "{text}");
        }
    }

    #[test]
    fn an_envelope_that_says_only_that_something_waits_is_told_apart() {
        let text = r#"{"status":{"success":true,"cli":{"pending_config":true},"info":[]}}"#;
        assert_eq!(Pending::of(text), Pending::Something);
        assert_eq!(
            Pending::of(r#"{"pending_config":true}"#),
            Pending::Something
        );
    }

    #[test]
    fn our_own_bindings_are_ours_however_the_paths_are_written() {
        for text in [
            r#"{"administration":{"web_management":{"certificate":{"name":"fw-1"}}},"ssl_vpn":{"server":{"certificate":{"name":"fw-1"}}}}"#,
            r#"{"/administration/global":{"administration":{"web_management":{"certificate":{"name":"fw-1"}}}}}"#,
            r#"{"administration.web_management.certificate.name":"fw-1"}"#,
            r#"{"administration/web_management/certificate":{"name":"fw-1","use_self_signed":false}}"#,
            r#"[{"ssl_vpn":{"server":{"certificate":{"name":"fw-1"}}}}]"#,
            "administration\n web-management certificate name fw-1\n exit\nssl-vpn server\n certificate name \"fw-1\"\n",
        ] {
            assert_eq!(foreign(text, &bound()), [""; 0], "{text}");
        }
    }

    #[test]
    fn anything_else_is_foreign() {
        for text in [
            r#"{"administration":{"web_management":{"certificate":{"name":"fw-2"}}}}"#,
            r#"{"administration":{"web_management":{"certificate":{"name":"fw-1"},"https_port":8443}}}"#,
            r#"{"administration":{"web_management":{"certificate":{"name":"fw-1"},"http":false}}}"#,
            r#"{"vpn":{"policy":[{"certificate":"fw-1"}]}}"#,
            r#"{"address_object":{"certificate":null}}"#,
            "web-management certificate name fw-1\naddress-object ipv4 fw-1 host 192.0.2.7",
            "web-management certificate name fw-2",
            "3 changes",
        ] {
            assert_eq!(foreign(text, &bound()).len(), 1, "{text}");
        }
    }

    #[test]
    fn everything_about_our_own_certificate_is_ours() {
        for text in [
            r#"{"certificates":{"generate_signing_request":[{"alias":"fw-1","key":{"size":"2048"}}]}}"#,
            r#"{"/certificates/name/fw-1":null}"#,
            r#"{"certificates":{"fw-1":{"type":"request"}}}"#,
            "certificates\nno certificate \"fw-1\"\nexit",
            "import signed-cert fw-1",
        ] {
            assert_eq!(foreign(text, &made()), [""; 0], "{text}");
        }
        for text in [
            r#"{"certificates":{"generate_signing_request":[{"alias":"fw-2"}]}}"#,
            r#"{"administration":{"web_management":{"certificate":{"name":"fw-1"}}}}"#,
            "no certificate \"fw-11\"",
        ] {
            assert_eq!(foreign(text, &made()).len(), 1, "{text}");
        }
    }

    #[test]
    fn an_imported_ca_is_ours_only_when_we_imported_one() {
        let text = r#"{"certificates":{"ca":[{"subject":"CN=Office CA"}]}}"#;
        let importing = Ours {
            ca_certificates: true,
            ..Ours::default()
        };
        assert_eq!(foreign(text, &importing), [""; 0]);
        assert_eq!(foreign(text, &made()).len(), 1);
    }

    #[test]
    fn our_own_name_beside_our_changes_is_no_change() {
        let ours = Ours {
            user: "renewd".to_owned(),
            ..bound()
        };
        let setting = r#""ssl_vpn":{"server":{"certificate":{"name":"fw-1"}}}"#;
        assert_eq!(
            foreign(&format!(r#"{{"administrator":"renewd",{setting}}}"#), &ours),
            [""; 0]
        );
        assert_eq!(
            foreign(&format!(r#"{{"administrator":"jane",{setting}}}"#), &ours).len(),
            1
        );
        assert_eq!(
            foreign("Pending changes by renewd:\ncertificate name fw-1", &ours),
            [""; 0]
        );
    }

    #[test]
    fn the_author_is_named_when_the_device_names_one() {
        let named = Pending::of(r#"{"administrator":"jane","address_object":{"ipv4":"x"}}"#);
        assert_eq!(named.author().as_deref(), Some("jane"));
        let text =
            Pending::of("Uncommitted changes by \"joe\":\naddress-object ipv4 x host 192.0.2.7");
        assert_eq!(text.author().as_deref(), Some("joe"));
        assert_eq!(Pending::of("address-object by design").author(), None);
        assert!(text.summary().contains("address-object"));
    }
}
