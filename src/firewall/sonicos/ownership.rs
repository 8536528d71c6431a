//! Which uncommitted changes are ours. In doubt a change counts as another administrator's: a foreign change must never
//! be committed (SonicOS reference 2).

use serde_json::Value;

use super::envelope::shortened;
use super::pending::{AUTHOR_KEYS, is_hollow};
use super::sentence::{LONGEST_LINE, Sentence};

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

    /// How many things were written, as one may count them.
    pub(super) fn count(&self) -> u64 {
        let count = self.leaves.len() + self.aliases.len() + usize::from(self.ca_certificates);
        u64::try_from(count).unwrap_or(u64::MAX)
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
        // No known setting is nested so deeply.
        if path.len() > DEEPEST_SETTING {
            foreign.push(shortened(&path.join(" ")));
            return;
        }
        if self.owns_certificate(node, path) {
            return;
        }
        match node {
            // A setting whose value is not shown.
            hollow if is_hollow(hollow) => foreign.push(shortened(&path.join(" "))),
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
            is_off
                && siblings.is_some_and(|((_, ours), (name, theirs))| {
                    theirs.ends_with(ours) && EITHER_NAME.contains(&name.as_str())
                })
        })
    }

    /// Whether a part of the settings is about a certificate that we made, imported or removed. Only where the store of
    /// certificates itself is changed: settings of other things name certificates too.
    fn owns_certificate(&self, node: &Value, path: &[String]) -> bool {
        let plain = |part: &String| part.to_ascii_lowercase().replace('-', "_");
        let mut parts = path.iter().map(plain);
        let first = parts.find(|part| !PATH_BEGINNINGS.contains(&part.as_str()));
        if !first.is_some_and(|first| ["certificate", "certificates"].contains(&first.as_str())) {
            return false;
        }
        let is_ours = |text: &str| self.aliases.iter().any(|alias| alias == text);
        let last = path.last().map_or("", String::as_str);
        let is_name = path.len() <= 2 || NAME_KEYS.contains(&last);
        let names_ours = is_ours(last)
            || (is_name && node.as_str().is_some_and(is_ours))
            || node.as_object().is_some_and(|members| {
                let names = NAME_KEYS.iter().filter_map(|key| members.get(*key));
                names.filter_map(Value::as_str).any(is_ours)
            });
        // The device chooses the name of a CA. No other administrator can have changed a certificate since the pending
        // changes were read before the write: only one administrator is in configuration mode.
        let is_generated = |part: String| MAKES_KEYS.contains(&part.as_str());
        let is_ca = parts.next().is_some() && !path.iter().map(plain).any(is_generated);
        names_ours || (self.ca_certificates && is_ca)
    }

    /// Whether a line of the command line is ours, in whatever mode it would be typed. Only lines about certificates
    /// and bindings that we wrote are ours. The same name in any other line belongs to another administrator.
    pub(super) fn owns_line(&self, line: &str) -> bool {
        if line.len() > LONGEST_LINE {
            return false;
        }
        if let Sentence::Announcement {
            author: Some(author),
            ..
        } = Sentence::of(line)
        {
            return author.eq_ignore_ascii_case(&self.user);
        }
        let line = line.replace("\\ ", " ");
        let words: Vec<&str> = line
            .split_whitespace()
            .map(|word| word.trim_matches(['"', '\'']))
            .filter(|word| !word.is_empty())
            .collect();
        let keywords: Vec<String> = words.iter().map(|word| word.to_ascii_lowercase()).collect();
        let keywords: Vec<&str> = keywords.iter().map(String::as_str).collect();
        is_frame(&line)
            || self.owns_binding(&keywords, &words)
            || self.owns_certificate_line(&keywords, &words)
    }

    /// `[administration] web-management certificate …` and `[ssl-vpn server] certificate …` (SonicOS reference 3.9).
    fn owns_binding(&self, keywords: &[&str], words: &[&str]) -> bool {
        let (place, rest) = match keywords {
            ["administration", "web-management", "certificate", rest @ ..]
            | ["web-management", "certificate", rest @ ..] => (Some("administration"), rest),
            ["ssl-vpn", "server", "certificate", rest @ ..] => (Some("ssl_vpn"), rest),
            ["certificate", rest @ ..] => (None, rest),
            _ => return false,
        };
        let value = words.get(words.len() - rest.len()..).unwrap_or_default();
        self.leaves.iter().any(|leaf| {
            let is_there =
                place.is_none_or(|place| leaf.path.first().is_some_and(|at| at == place));
            is_there
                && match (&leaf.value, rest) {
                    (Value::String(name), ["name", ..]) => {
                        value.get(1..).unwrap_or_default().join(" ") == *name
                    }
                    (Value::Bool(true), ["use-self-signed"]) => true,
                    _ => false,
                }
        })
    }

    /// `[certificates] [no] KIND [name] ALIAS …` (SonicOS reference 3.9).
    fn owns_certificate_line(&self, keywords: &[&str], words: &[&str]) -> bool {
        let rest = match keywords {
            ["certificates", "no" | "delete", rest @ ..]
            | ["certificates" | "no" | "delete", rest @ ..] => rest,
            _ => keywords,
        };
        let rest = match rest {
            [
                "import",
                kind @ ("ca-cert" | "ca-certificate" | "signed-cert" | "cert-key-pair"),
                ..,
            ] => {
                if kind.starts_with("ca-") {
                    return self.ca_certificates;
                }
                rest.get(2..)
            }
            ["ca-cert" | "ca-certificate", ..] => return self.ca_certificates,
            [
                "generate-signing-request" | "signing-request" | "signed-cert" | "cert-key-pair",
                ..,
            ] => rest.get(1..),
            // Without a word before it, it is the line of a service.
            ["certificate", ..] if rest.len() < keywords.len() => rest.get(1..),
            _ => return false,
        };
        let rest = rest.unwrap_or_default();
        let rest = match rest {
            ["name" | "alias", rest @ ..] => rest,
            _ => rest,
        };
        let name = words.get(words.len() - rest.len()..);
        let name = name.and_then(<[&str]>::first);
        name.is_some_and(|name| self.aliases.iter().any(|alias| alias == name))
    }
}

/// Whether a line only opens or closes the place where a setting stands.
pub(super) fn is_frame(line: &str) -> bool {
    line.len() <= LONGEST_LINE
        && line.split_whitespace().all(|word| {
            let word = word.trim_matches(['"', '\'', '\\']);
            word.is_empty() || FRAME_WORDS.contains(&word.to_ascii_lowercase().as_str())
        })
}

fn plain(leaf: &Value) -> String {
    leaf.as_str()
        .map_or_else(|| leaf.to_string(), str::to_owned)
}

/// One is enough to commit nothing; the others are for the report. A long path before each of many values would fill
/// the memory.
const MOST_FOREIGN: usize = 100;
/// Parts of a path.
const DEEPEST_SETTING: usize = 64;

/// Where a service keeps its certificate: setting one of them switches the other one off.
const EITHER_NAME: [&str; 2] = ["name", "use_self_signed"];

/// Parts of a path that stand before what is changed.
const PATH_BEGINNINGS: [&str; 6] = ["api", "sonicos", "config", "pending", "import", "export"];

/// Members that hold the name of a certificate.
const NAME_KEYS: [&str; 3] = ["alias", "name", "certificate"];

/// Where key pairs are made.
const MAKES_KEYS: [&str; 3] = ["generate_signing_request", "signing_request", "scep"];

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
            r#"{"dpi_ssl":{"client":{"certificate":"fw-1"}}}"#,
            r#"{"administration":{"web_management":{"certificate":{"name":"fw-1","revocation":null}}}}"#,
            r#"{"administration":{"web_management":{"certificate":{"name":"fw-1"}}},"vpn":{}}"#,
            "vpn policy site-to-site branch certificate fw-1",
            "vpn policy site-to-site fw-1 auth-method certificate certificate name fw-1",
            "dpi-ssl server ssl-server office certificate fw-1",
            "ssl-vpn server certificate name fw-11",
            "web-management certificate use-self-signed",
            "certificate fw-1",
            "change address-object fw-1 by renewd",
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
            "certificates generate-signing-request fw-1",
            "certificates import cert-key-pair fw-1 password x scp scp://a",
        ] {
            assert_eq!(foreign(text, &made()), [""; 0], "{text}");
        }
        for text in [
            r#"{"certificates":{"generate_signing_request":[{"alias":"fw-2"}]}}"#,
            r#"{"administration":{"web_management":{"certificate":{"name":"fw-1"}}}}"#,
            "no certificate \"fw-11\"",
            r#"{"vpn":{"certificates":{"fw-1":"used"}}}"#,
            r#"{"certificates":{"other":{"issuer":"fw-1"}}}"#,
            "certificate name fw-1",
            "no vpn policy certificate fw-1",
            "certificates import ca-cert fw-1",
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
        let made_meanwhile = r#"{"certificates":{"generate_signing_request":[{"alias":"fw-9"}]}}"#;
        assert_eq!(foreign(made_meanwhile, &importing).len(), 1);
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
            let reported = foreign(&text, &made());
            let size: usize = reported.iter().map(String::len).sum();
            assert!(!reported.is_empty() && size < 100_000, "{size} bytes");
        }
    }
}
