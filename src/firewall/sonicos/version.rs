//! Which device this is: the answer to `GET /version` (SonicOS reference 5).

use serde_json::Value;

use crate::firewall::Identity;

/// What the device says of itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Version {
    pub(super) identity: Identity,
    /// Who changed the configuration last, as the device writes it.
    pub(super) last_modified_by: Option<String>,
}

impl Version {
    /// Reads the flat object; what is missing stays empty.
    pub(super) fn of(json: &Value) -> Self {
        let text = |name| {
            let text = json.get(name).and_then(Value::as_str).map(str::trim);
            text.filter(|text| !text.is_empty()).map(str::to_owned)
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
        let release = self.identity.firmware.split_whitespace().next_back();
        release.is_some_and(|release| release.starts_with("7.0"))
    }

    /// Why this driver cannot serve the device; `None` when it can.
    pub(super) fn refusal(&self) -> Option<String> {
        let firmware = &self.identity.firmware;
        match generation(firmware) {
            Some('7' | '8') => None,
            Some('6') => Some(format!(
                "{firmware} gives out requests and takes in certificates by FTP or SCP only, which renewd does not do yet: \
                 it serves SonicOS 7.0 and later"
            )),
            Some(_) => Some(format!(
                "{firmware} is a generation that renewd does not know: it serves SonicOS 7 and 8"
            )),
            None => Some(format!(
                "the device names no firmware version that can be read: \"{firmware}\""
            )),
        }
    }
}

/// The first character of the last word of `firmware_version`.
fn generation(firmware: &str) -> Option<char> {
    let last = firmware.split_whitespace().next_back()?;
    last.chars().next().filter(char::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_generation_is_the_first_character_of_the_last_word() {
        assert_eq!(generation("SonicOS 7.0.1-5165-R6164"), Some('7'));
        assert_eq!(generation("SonicOSX 8.2.1-8010"), Some('8'));
        assert_eq!(generation("SonicOS Enhanced 6.5.4.4-44n"), Some('6'));
        assert_eq!(generation("SonicOS"), None);
        assert_eq!(generation(""), None);
    }

    #[test]
    fn version_7_and_8_are_served_and_6_5_is_refused_with_its_reason() {
        let refusal =
            |firmware: &str| Version::of(&json!({ "firmware_version": firmware })).refusal();
        assert_eq!(refusal("SonicOS 7.3.0-7012"), None);
        assert_eq!(refusal("SonicOSX 8.2.1-8010"), None);
        assert!(refusal("SonicOS Enhanced 6.5.4.4-44n").is_some_and(|text| text.contains("FTP")));
        assert!(refusal("SonicOS 9.0.0").is_some_and(|text| text.contains("does not know")));
        assert!(refusal("").is_some_and(|text| text.contains("no firmware version")));
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
