//! Which device this is: the answer to `GET /version`, and what follows from it (SonicOS reference 5).

use serde_json::Value;

use crate::firewall::{Identity, LONGEST_FACT};
use crate::sanitize::bounded;

/// What the device says of itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Version {
    pub(super) identity: Identity,
    /// Who changed the configuration last, as the device writes it.
    pub(super) last_modified_by: Option<String>,
}

/// A generation of the firmware. What differs between builds of one generation is tried, not derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Generation {
    /// 6.5.
    Six,
    /// 7.0 to 7.3.
    Seven,
    /// 8.
    Eight,
}

impl Generation {
    /// Whether the device transfers files itself, over FTP or SCP (SonicOS reference 3.3, 3.4).
    pub(super) fn carries_files(self) -> bool {
        self == Self::Six
    }

    /// Whether the listings of certificates are known to be on the API; on 6.5 they are not (SonicOS reference 3.2).
    pub(super) fn has_reporting(self) -> bool {
        self != Self::Six
    }

    /// The path of the settings of the SSL VPN server (SonicOS reference 4.2).
    pub(super) fn ssl_vpn_path(self) -> &'static str {
        match self {
            Self::Six => "/ssl-vpn/server",
            Self::Seven | Self::Eight => "/ssl-vpn/server/base",
        }
    }
}

impl Version {
    /// Reads the flat object; what is missing stays empty.
    pub(super) fn of(json: &Value) -> Self {
        let text = |name| {
            let text = json.get(name).and_then(Value::as_str)?;
            Some(bounded(text, LONGEST_FACT)).filter(|text| !text.is_empty())
        };
        Self {
            identity: Identity {
                model: text("model").unwrap_or_default(),
                firmware: text("firmware_version").unwrap_or_default(),
                serial: text("serial_number").unwrap_or_default().replace('-', ""),
                system_time: text("system_time"),
                privilege: None,
                quirks: Vec::new(),
            },
            last_modified_by: text("last_modified_by"),
        }
    }

    /// Whether it is a 7.0, whose import of key pairs differs from that of its successors (SonicOS reference 3.6).
    pub(super) fn is_7_0(&self) -> bool {
        release(&self.identity.firmware) == Some((7, 0))
    }

    /// The device's generation, or why this driver cannot serve it.
    pub(super) fn generation(&self) -> Result<Generation, String> {
        let firmware = &self.identity.firmware;
        match release(firmware) {
            Some((6, minor)) if minor < 5 => Err(format!(
                "{firmware} is too old: SonicOS has its API since 6.5, and renewd serves 6.5, 7 and 8"
            )),
            Some((6, _)) => Ok(Generation::Six),
            Some((7, _)) => Ok(Generation::Seven),
            Some((8, _)) => Ok(Generation::Eight),
            Some(_) => Err(format!(
                "{firmware} is a generation that renewd does not know: it serves SonicOS 6.5, 7 and 8"
            )),
            None => Err(format!(
                "the device names no firmware version that can be read: \"{firmware}\""
            )),
        }
    }
}

/// Whether devices with this firmware bring and fetch their files themselves (SonicOS reference 3.3).
pub fn carries_files(firmware: &str) -> bool {
    release(firmware).is_some_and(|(major, _)| major == 6)
}

/// The first two numbers of the version in `firmware_version`; the second is 0 where there is none. The version is the first
/// word that begins with a digit and has a point in it, or else the first that begins with a digit: a tag of the build may
/// stand behind it, and a number in the name before it.
fn release(firmware: &str) -> Option<(u32, u32)> {
    let words = || {
        let words = firmware.split(|c: char| c.is_whitespace() || c == ',' || c == '(');
        words
            .map(|word| word.strip_prefix(['v', 'V']).unwrap_or(word))
            .filter(|word| word.starts_with(|c: char| c.is_ascii_digit()))
    };
    let version = words()
        .find(|word| word.contains('.'))
        .or_else(|| words().next())?;
    let mut numbers = version.split(|character: char| !character.is_ascii_digit());
    let major = numbers.next()?.parse().ok()?;
    let minor = numbers.next().and_then(|text| text.parse().ok());
    Some((major, minor.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_release_is_the_beginning_of_the_version_wherever_a_tag_stands() {
        for (firmware, expected) in [
            ("SonicOS 7.3.1-7013 R9691", (7, 3)),
            ("SonicOS 7.0.1-5165 (R6164)", (7, 0)),
            ("SonicOS Enhanced 6.5.4.15-117n 8h", (6, 5)),
            ("SonicOS 64 8.0.2", (8, 0)),
            ("SonicOS v7.1.2-7019", (7, 1)),
            ("7.2.0-7015", (7, 2)),
        ] {
            assert_eq!(release(firmware), Some(expected), "{firmware}");
        }
        assert_eq!(release("SonicOS R9691"), None);
        assert_eq!(release("SonicOS 7.0.1-5165-R6164"), Some((7, 0)));
        assert_eq!(release("SonicOSX 8.2.1-8010"), Some((8, 2)));
        assert_eq!(release("SonicOS Enhanced 6.5.4.4-44n"), Some((6, 5)));
        assert_eq!(release("SonicOS 8"), Some((8, 0)));
        assert_eq!(release("SonicOS"), None);
        assert_eq!(release(""), None);
    }

    #[test]
    fn version_6_5_and_later_are_served_and_older_ones_are_refused_with_their_reason() {
        let generation =
            |firmware: &str| Version::of(&json!({ "firmware_version": firmware })).generation();
        let refusal = |firmware: &str| generation(firmware).err().unwrap_or_default();
        assert_eq!(
            generation("SonicOS Enhanced 6.5.4.4-44n"),
            Ok(Generation::Six)
        );
        assert_eq!(generation("SonicOS 7.3.0-7012"), Ok(Generation::Seven));
        assert_eq!(generation("SonicOSX 8.2.1-8010"), Ok(Generation::Eight));
        assert!(refusal("SonicOS Enhanced 6.2.9.2-3n").contains("too old"));
        assert!(refusal("SonicOS Enhanced 5.9.1.13").contains("does not know"));
        assert!(refusal("SonicOS 9.0.0").contains("does not know"));
        assert!(refusal("").contains("no firmware version"));
    }

    #[test]
    fn the_serial_number_loses_its_hyphens() {
        let version = Version::of(&json!({
            "firmware_version": "SonicOS 7.0.1-5165-R6164", "model": "TZ 270",
            "serial_number": "2CB8-ED00-1234", "system_time": "", "last_modified_by": "admin"
        }));
        assert_eq!(version.identity.serial, "2CB8ED001234");
        assert_eq!(version.identity.system_time, None);
        assert_eq!(version.last_modified_by.as_deref(), Some("admin"));
    }
}
