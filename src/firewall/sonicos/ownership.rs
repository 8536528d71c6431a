//! Which uncommitted changes are ours. In doubt a change is somebody else's: a foreign change must never be
//! committed (SonicOS reference 2).

use serde_json::Value;

use super::envelope::shortened;
use super::pending::{AUTHOR_KEYS, author_in};

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

impl Ours {
    /// No change yet, by the administrator of that name.
    pub(super) fn by(user: &str) -> Self {
        Self {
            user: user.to_owned(),
            ..Self::default()
        }
    }

    /// Whether nothing was written.
    pub(super) fn is_empty(&self) -> bool {
        self.leaves.is_empty() && self.aliases.is_empty() && !self.ca_certificates
    }

    /// Walks down to the single settings, leaving out the parts that are about our certificates.
    pub(super) fn collect_foreign(
        &self,
        node: &Value,
        path: &mut Vec<String>,
        foreign: &mut Vec<String>,
    ) {
        if foreign.len() >= MOST_FOREIGN {
            return;
        }
        // No setting lies so deep: nobody knows what it is.
        if path.len() > DEEPEST_SETTING {
            foreign.push(shortened(&path.join(" ")));
            return;
        }
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
            leaf => foreign.push(shortened(&format!("{} {}", path.join(" "), plain(leaf)))),
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
        // A CA's name on the device is the device's choice. Nobody else can have changed a certificate since the
        // look before the write: only one administrator is in configuration mode.
        if self.ca_certificates {
            return true;
        }
        let is_ours = |text: &str| self.aliases.iter().any(|alias| alias == text);
        path.last().is_some_and(|name| is_ours(name))
            || node.as_str().is_some_and(is_ours)
            || node.as_object().is_some_and(|members| {
                let mut texts = members.values().filter_map(Value::as_str);
                texts.any(is_ours)
            })
    }

    pub(super) fn owns_line(&self, line: &str) -> bool {
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

fn plain(leaf: &Value) -> String {
    leaf.as_str()
        .map_or_else(|| leaf.to_string(), str::to_owned)
}

/// One is enough to commit nothing; these are for a person. A long path before each of many values would fill the memory.
const MOST_FOREIGN: usize = 100;
/// Parts of a path.
const DEEPEST_SETTING: usize = 64;

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

    use super::super::pending::Pending;
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
    fn a_device_that_lists_without_end_fills_no_memory() {
        let (name, zeros) = ("a".repeat(10_000), "0,".repeat(10_000));
        let deep = "a/".repeat(10_000);
        for text in [
            format!("{{\"{name}\":[{zeros}0]}}"),
            format!("{{\"{deep}\":[{zeros}0]}}"),
        ] {
            let told = foreign(&text, &made());
            let size: usize = told.iter().map(String::len).sum();
            assert!(!told.is_empty() && size < 100_000, "{size} bytes");
        }
    }
}
