//! Changes that wait for a commit. Every form in which a device may show them is read (SonicOS reference 2 leaves
//! the form open); what cannot be read as "nothing" is something.

use serde_json::Value;

use super::envelope::{Envelope, is_empty, shortened};
use super::lenient::json_in;
use super::ownership::Ours;
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
                _ if is_more => match Self::of_settings(without_status(json)) {
                    // It says that there is something, and does not list it.
                    Self::Nothing if envelope.pending_config == Some(true) => Self::Something,
                    pending => pending,
                },
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

/// The word after "by" in a line that is about changes.
pub(super) fn author_in(line: &str) -> Option<String> {
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
pub(super) const AUTHOR_KEYS: [&str; 5] = [
    "administrator",
    "admin",
    "modified_by",
    "changed_by",
    "owner",
];

#[cfg(test)]
mod tests {
    use super::*;

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
    fn the_author_is_named_when_the_device_names_one() {
        let named = Pending::of(r#"{"administrator":"jane","address_object":{"ipv4":"x"}}"#);
        assert_eq!(named.author().as_deref(), Some("jane"));
        let text =
            Pending::of("Uncommitted changes by \"joe\":\naddress-object ipv4 x host 192.0.2.7");
        assert_eq!(text.author().as_deref(), Some("joe"));
        assert_eq!(Pending::of("address-object by design").author(), None);
        assert!(text.summary().contains("address-object"));
    }

    #[test]
    fn changes_that_are_told_of_and_not_listed_are_something() {
        let text = r#"{"status":{"success":true,"cli":{"pending_config":true}},"config":{}}"#;
        assert_eq!(Pending::of(text), Pending::Something);
    }
}
