//! Changes that wait for a commit. Every form in which a device may show them is read (SonicOS reference 2 leaves
//! the form open). Only the forms of an allow-list are "nothing"; what is not on it waits, or is not known.

use serde_json::Value;

use super::envelope::{Envelope, shortened};
use super::ownership::{Ours, is_frame};
use super::relaxed_json::json_and_words;
use super::sentence::{LONGEST_LINE, Sentence, author_in};

/// What `GET /config/pending` shows.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Pending {
    /// Nothing waits: the device says so.
    Nothing,
    /// The answer says neither that something waits nor that nothing does. Before a write that counts as no change;
    /// after a write it is no reason to commit.
    Unsaid,
    /// Something waits; the device does not list it.
    Something(Announcement),
    /// Changed settings.
    Settings(Value),
    /// Lines of CLI text.
    Lines(Vec<String>),
}

/// How a device says that something waits, without listing it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Announcement {
    /// Its words; empty when it is only a flag.
    pub(super) words: String,
    /// How many changes, where it says so.
    pub(super) count: Option<u64>,
    /// The administrator that it names. Several sessions may have that name.
    pub(super) author: Option<String>,
    /// Whether our session is in configuration mode, where it says so.
    pub(super) configuring: Option<bool>,
}

impl Announcement {
    /// What two parts of one answer say together: the larger number, and every author.
    fn and(self, other: Self) -> Self {
        Self {
            words: if other.words.is_empty() {
                self.words
            } else {
                other.words
            },
            count: self.count.max(other.count),
            author: both(self.author, other.author),
            configuring: self.configuring.or(other.configuring),
        }
    }
}

impl Pending {
    /// Reads an answer's body.
    pub(super) fn of(text: &str) -> Self {
        let Some((json, words)) = json_and_words(text) else {
            return Self::of_text(text);
        };
        match (Self::of_text(words), Self::of_json(json)) {
            (Self::Nothing, Self::Unsaid) => Self::Nothing,
            (Self::Something(one), Self::Something(other)) => Self::Something(one.and(other)),
            // The words before the JSON say more than it does.
            (
                said @ (Self::Settings(_) | Self::Lines(_) | Self::Something(_)),
                Self::Nothing | Self::Unsaid,
            ) => said,
            (_, output) => output,
        }
    }

    /// The changes that are not ours, one line each. The caller decides about [`Pending::Something`] and
    /// [`Pending::Unsaid`], which list no changes.
    pub(super) fn foreign(&self, ours: &Ours) -> Vec<String> {
        match self {
            Self::Nothing | Self::Unsaid | Self::Something(_) => Vec::new(),
            Self::Settings(settings) => {
                let mut foreign = Vec::new();
                ours.collect_foreign(settings, &mut Vec::new(), &mut foreign);
                foreign
            }
            Self::Lines(lines) => {
                let foreign = lines.iter().filter(|line| !ours.owns_line(line));
                foreign.map(|line| shortened(line)).collect()
            }
        }
    }

    /// All of it, shortened, for people.
    pub(super) fn summary(&self) -> String {
        match self {
            Self::Something(Announcement { words, .. }) if !words.is_empty() => {
                format!("changes that the device does not list (\"{words}\")")
            }
            Self::Something(_) => "changes that the device does not list".to_owned(),
            listed => shortened(&listed.foreign(&Ours::default()).join("; ")),
        }
    }

    /// Who made the changes, where the device says so.
    pub(super) fn author(&self) -> Option<String> {
        match self {
            Self::Nothing | Self::Unsaid => None,
            Self::Something(announcement) => announcement.author.clone(),
            Self::Settings(settings) => {
                let named = AUTHOR_KEYS.iter().find_map(|key| settings.get(key));
                named.and_then(Value::as_str).map(shortened)
            }
            Self::Lines(lines) => lines.iter().find_map(|line| author_in(line)),
        }
    }

    fn of_json(json: Value) -> Self {
        let Some(envelope) = Envelope::of(&json) else {
            return Self::of_value(json);
        };
        let said = Self::of_text(&envelope.words().join("\n"));
        let beside = Self::of_members(without_envelope(json, &envelope));
        let configuring = envelope.configuring;
        let words = envelope.messages();
        let pending = match (beside, envelope.pending_config, said) {
            (Self::Something(one), _, Self::Something(other)) => Self::Something(one.and(other)),
            (listed @ (Self::Settings(_) | Self::Lines(_) | Self::Something(_)), _, _)
            | (_, _, listed @ (Self::Lines(_) | Self::Something(_))) => listed,
            (_, Some(true), _) => Self::Something(Announcement {
                words,
                ..Announcement::default()
            }),
            (_, Some(false), _) | (Self::Nothing, ..) | (_, _, Self::Nothing) => Self::Nothing,
            _ => Self::Unsaid,
        };
        match pending {
            Self::Something(announcement) => Self::Something(Announcement {
                configuring,
                ..announcement
            }),
            pending => pending,
        }
    }

    /// What a value says that stands where a list of changes is expected.
    fn of_value(value: Value) -> Self {
        match value {
            Value::Null => Self::Unsaid,
            Value::Bool(false) => Self::Nothing,
            Value::Bool(true) => Self::Something(Announcement::default()),
            Value::Number(number) => match number.as_u64() {
                Some(0) => Self::Nothing,
                count => Self::Something(Announcement {
                    words: number.to_string(),
                    count: Some(count.unwrap_or(u64::MAX)),
                    ..Announcement::default()
                }),
            },
            Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
                "false" => Self::Nothing,
                "true" | "yes" => Self::Something(Announcement::default()),
                _ => Self::of_text(&text),
            },
            Value::Array(members) if members.is_empty() => Self::Nothing,
            Value::Array(members) => match lines_in(&members) {
                Some(lines) => Self::of_text(&lines),
                None => Self::of_settings(Value::Array(members)),
            },
            Value::Object(members) if members.is_empty() => Self::Nothing,
            members @ Value::Object(_) => Self::of_members(members),
        }
    }

    /// What an object says: its members that only hold a list or a flag, or the settings that it is.
    fn of_members(object: Value) -> Self {
        let Value::Object(members) = &object else {
            return Self::Unsaid;
        };
        if !members.keys().all(|name| is_holder(name)) {
            return if is_hollow(&object) {
                // Names of settings without one of them.
                Self::Unsaid
            } else {
                Self::of_settings(object)
            };
        }
        let held = members.values().cloned().map(Self::of_value);
        let (quiet, mut waiting): (Vec<Self>, Vec<Self>) =
            held.partition(|one| matches!(one, Self::Nothing | Self::Unsaid));
        match waiting.len() {
            0 if quiet.contains(&Self::Nothing) => Self::Nothing,
            0 => Self::Unsaid,
            1 => waiting.remove(0),
            // A flag or a count beside a list.
            _ => {
                let is_listed = |one: &Self| matches!(one, Self::Settings(_) | Self::Lines(_));
                let names_author = |one: &Self| matches!(one, Self::Something(announcement) if announcement.author.is_some());
                let has_author = waiting.iter().any(names_author);
                let mut listed = waiting.iter().filter(|one| is_listed(one));
                match (listed.next(), listed.next()) {
                    (Some(only), None) if !has_author => only.clone(),
                    (None, _) => Self::Something(together(waiting)),
                    // Their author is evaluated together with them.
                    _ => Self::Settings(object),
                }
            }
        }
    }

    /// Settings; where only their author is named, they are not listed.
    fn of_settings(value: Value) -> Self {
        let mut author = None;
        if names_only_authors(&value, &mut author) {
            return Self::Something(Announcement {
                author,
                ..Announcement::default()
            });
        }
        Self::Settings(value)
    }

    fn of_text(text: &str) -> Self {
        let mut lines = Vec::new();
        let mut announced: Option<Announcement> = None;
        let (mut is_denied, mut is_listed) = (false, false);
        for line in text.lines() {
            let line = line.trim_matches(['%', ' ', '\t', '\r']);
            match Sentence::of(line) {
                Sentence::Silent => {}
                Sentence::Nothing => is_denied = true,
                Sentence::Announcement { count, author } => {
                    if author.is_some() {
                        // The author of a list is evaluated together with it.
                        lines.push(line.to_owned());
                    }
                    let one = Announcement {
                        words: shortened(line),
                        count,
                        author,
                        configuring: None,
                    };
                    announced = Some(announced.unwrap_or_default().and(one));
                }
                Sentence::Other => {
                    is_listed |= !is_frame(line);
                    lines.push(beginning(line).to_owned());
                }
            }
        }
        match announced {
            _ if is_listed => Self::Lines(lines),
            Some(announcement) => Self::Something(announcement),
            None if is_denied => Self::Nothing,
            None => Self::Unsaid,
        }
    }
}

/// So much of a line that a longer one is still known to be too long for one of ours.
fn beginning(line: &str) -> &str {
    let end = line.floor_char_boundary(LONGEST_LINE + char::MAX_LEN_UTF8);
    line.get(..end).unwrap_or(line)
}

/// What announcements say together.
fn together(announcements: Vec<Pending>) -> Announcement {
    let all = Announcement::default();
    announcements.into_iter().fold(all, |all, one| match one {
        Pending::Something(announcement) => all.and(announcement),
        _ => all,
    })
}

/// One author; of two different ones both, which match no user.
fn both(one: Option<String>, other: Option<String>) -> Option<String> {
    match (one, other) {
        (Some(one), Some(other)) if !one.eq_ignore_ascii_case(&other) => {
            Some(shortened(&format!("{one}, {other}")))
        }
        (one, other) => one.or(other),
    }
}

/// Whether a value holds nothing but the names of authors, which are added to `author`.
fn names_only_authors(value: &Value, author: &mut Option<String>) -> bool {
    match value {
        Value::Array(members) if !members.is_empty() => members
            .iter()
            .all(|member| names_only_authors(member, author)),
        Value::Object(members) if !members.is_empty() => {
            members.iter().all(|(name, member)| match member.as_str() {
                Some(who) if AUTHOR_KEYS.contains(&name.as_str()) => {
                    *author = both(author.take(), Some(shortened(who)));
                    true
                }
                _ => false,
            })
        }
        _ => false,
    }
}

/// The lines of a list of texts; `None` when it holds something else.
fn lines_in(members: &[Value]) -> Option<String> {
    let texts: Option<Vec<&str>> = members.iter().map(Value::as_str).collect();
    texts.map(|texts| texts.join("\n"))
}

/// JSON with no single setting in it. A `null` or `false` is a setting.
pub(super) fn is_hollow(json: &Value) -> bool {
    match json {
        Value::Object(members) => members.values().all(is_hollow),
        Value::Array(members) => members.iter().all(is_hollow),
        _ => false,
    }
}

fn is_holder(name: &str) -> bool {
    HOLDERS.contains(&name.to_ascii_lowercase().as_str())
}

/// What stands beside the envelope, and in it where no envelope has anything.
fn without_envelope(mut json: Value, envelope: &Envelope) -> Value {
    let Some(members) = json.as_object_mut() else {
        return json;
    };
    if let Some(Value::Object(mut status)) = members.remove("status") {
        if let Some(Value::Object(cli)) = status.remove("cli") {
            let said = cli
                .into_iter()
                .filter(|(name, _)| is_holder(name) && name != "pending_config");
            members.extend(said);
        }
        let unknown = status
            .into_iter()
            .filter(|(name, _)| !ENVELOPE_KEYS.contains(&name.as_str()));
        members.extend(unknown);
    }
    let fields = envelope.entries().iter().filter_map(Value::as_object);
    for (name, value) in fields.flatten().filter(|(name, _)| is_holder(name)) {
        members.entry(name.clone()).or_insert_with(|| value.clone());
    }
    json
}

/// Members beside the settings in which a device may name the author.
pub(super) const AUTHOR_KEYS: [&str; 5] = [
    "administrator",
    "admin",
    "modified_by",
    "changed_by",
    "owner",
];

/// What an envelope has (SonicOS reference 1.5).
const ENVELOPE_KEYS: [&str; 6] = ["success", "cli", "info", "code", "message", "level"];

/// Names that hold a list of changes, their number, or whether there are any, and are no setting themselves.
const HOLDERS: [&str; 22] = [
    "config",
    "configuration",
    "data",
    "result",
    "results",
    "items",
    "list",
    "entries",
    "details",
    "pending",
    "pending_config",
    "pending_changes",
    "config_pending",
    "uncommitted",
    "uncommitted_changes",
    "has_pending",
    "has_changes",
    "changes",
    "changed",
    "count",
    "total",
    "text",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_on_the_list_is_nothing() {
        for text in [
            "{}",
            "[]",
            "% No pending changes.",
            "none",
            "\"No uncommitted changes.\"",
            r#"{"status":{"success":true,"cli":{"pending_config":false},"info":[]}}"#,
            r#"{"status":{"success":true,"cli":{"pending_config":"false"},"info":[]}}"#,
            r#"{"status":{"success":true,"cli":{"pending_config":0},"info":[]}}"#,
            r#"{"status":{"success":true,"info":[{"level":"info","code":"E_OK","message":"No changes made."}]}}"#,
            r#"{"status":{"success":true,"info":[]},"changes":[]}"#,
            r#"{"status":{"success":true,"pending_changes":[],"info":[{"message":"Success."}]}}"#,
            r#"{"pending_config":false}"#,
            r#"{"pending":{"count":0,"list":[]}}"#,
            r#"{"changes":"none"}"#,
        ] {
            assert_eq!(Pending::of(text), Pending::Nothing, "{text}");
        }
    }

    #[test]
    fn an_answer_that_says_nothing_of_changes_is_no_word_for_none() {
        for text in [
            "",
            " \r\n",
            "null",
            "\"\"",
            "Success.",
            r#"{"administration":{}}"#,
            r#"{"pending":null}"#,
            r#"{"status":{"success":true,"info":[{"level":"info","code":"E_OK","message":"Success."}]}}"#,
            r#"{"status":{"success":true,"info":[]}}"#,
        ] {
            assert_eq!(Pending::of(text), Pending::Unsaid, "{text}");
        }
    }

    #[test]
    fn a_sentence_a_flag_or_a_number_says_that_something_waits() {
        for text in [
            "Uncommitted changes found.",
            "% Uncommitted changes found.\n{}",
            "\"Uncommitted changes found.\"",
            r#"["Uncommitted changes found."]"#,
            r#"{"text":"Uncommitted changes found."}"#,
            r#"{"status":{"success":true,"info":[{"level":"info","code":"E_OK","message":"Uncommitted changes found."}]}}"#,
            r#"{"status":{"success":true,"cli":{"pending_config":false},"info":[{"message":"Success."},{"message":"There are pending changes."}]}}"#,
            r#"{"status":{"success":true,"cli":{"pending_config":true},"info":[{"message":"No pending changes."}]}}"#,
            r#"{"status":{"success":true,"cli":{"pending_config":true},"info":[]}}"#,
            r#"{"status":{"success":true,"cli":{"pending_config":true}},"config":{}}"#,
            r#"{"status":{"success":true,"info":[{"pending_config":"Yes"}]}}"#,
            r#"{"pending_config":true}"#,
            r#"{"status":{"success":true,"cli":{"pending_config":"true"},"info":[]}}"#,
            r#"{"status":{"success":true,"cli":{"pending_config":"Yes"},"info":[]}}"#,
            r#"{"status":{"success":true,"cli":{"pending_config":1},"info":[]}}"#,
            r#"{"status":{"success":true,"cli":{"pending_config":"unknown"},"info":[]}}"#,
            r#"{"status":{"success":true,"cli":{"pending_changes":2},"info":[]}}"#,
            r#"{"status":{"success":true,"cli":{"uncommitted":["address-object ipv4 x"]},"info":[]}}"#,
            r#"{"changes":2}"#,
            r#"{"has_changes":"yes"}"#,
            "7",
            "Uncommitted changes by renewd",
            "3 pending changes by \"renewd\"",
            "% Uncommitted changes by renewd:\nadministration\n exit",
            "% Uncommitted changes by renewd\n{}",
            r#"{"status":{"success":true,"info":[{"message":"Uncommitted changes by renewd."}]}}"#,
            r#"{"administrator":"renewd"}"#,
            r#"[{"administrator":"renewd","modified_by":"renewd"}]"#,
            r#"{"pending":{"administrator":"renewd"},"count":1}"#,
        ] {
            let pending = Pending::of(text);
            let is_quiet = matches!(pending, Pending::Nothing | Pending::Unsaid);
            let is_ours = matches!(pending, Pending::Settings(_) | Pending::Lines(_))
                && pending.foreign(&Ours::by("renewd")).is_empty();
            assert!(!is_quiet && !is_ours, "{text}: {pending:?}");
        }
    }

    #[test]
    fn whoever_is_named_and_how_many_changes_there_are_is_kept_from_every_part_of_an_answer() {
        for (text, author, count) in [
            ("Uncommitted changes by jane", Some("jane"), None),
            (
                "3 pending changes\nUncommitted changes by jane",
                Some("jane"),
                Some(3),
            ),
            (
                "2 changes by jane\n1 change by joe",
                Some("jane, joe"),
                Some(2),
            ),
            (
                "% Uncommitted changes by jane\n{\"count\":2}",
                Some("jane"),
                Some(2),
            ),
            (
                r#"{"count":3,"pending":{"owner":"jane"}}"#,
                Some("jane"),
                Some(3),
            ),
            (r#"{"admin":"jane","owner":"joe"}"#, Some("jane, joe"), None),
            (
                r#"{"status":{"info":[{"message":"Uncommitted changes by jane"}]},"count":4}"#,
                Some("jane"),
                Some(4),
            ),
            (
                "4 pending changes\nUncommitted changes found.",
                None,
                Some(4),
            ),
        ] {
            let Pending::Something(said) = Pending::of(text) else {
                panic!("{text}");
            };
            assert_eq!(
                (said.author.as_deref(), said.count),
                (author, count),
                "{text}"
            );
        }
        // Beside a list, it is judged with the list.
        let text = r#"{"config":{"ssl_vpn":{"server":{}},"x":1},"pending":{"owner":"jane"}}"#;
        let foreign = Pending::of(text).foreign(&Ours::by("jane"));
        assert!(
            foreign.iter().any(|line| line.contains("jane")),
            "{foreign:?}"
        );
    }

    #[test]
    fn words_that_only_frame_a_list_are_no_change_and_no_denial() {
        assert_eq!(Pending::of("administration\n exit\n"), Pending::Unsaid);
        let denied = "config\nNo pending changes.\nend";
        assert_eq!(Pending::of(denied), Pending::Nothing);
    }

    #[test]
    fn a_line_that_is_longer_than_any_command_is_not_ours_and_fills_no_memory() {
        let ours = Ours {
            aliases: vec!["fw-1".to_owned()],
            ..Ours::by("renewd")
        };
        for words in ["exit ", "Uncommitted changes ", "no pending changes ", "ü "] {
            let line = format!("import signed-cert fw-1 {}", words.repeat(10_000));
            for text in [line.as_str(), words.repeat(10_000).as_str()] {
                let pending = Pending::of(text);
                let Pending::Lines(lines) = &pending else {
                    panic!("{words}: {pending:?}");
                };
                assert!(lines.iter().all(|line| line.len() < 5_000), "{words}");
                assert_eq!(pending.foreign(&ours).len(), 1, "{words}");
            }
        }
    }

    #[test]
    fn a_list_of_lines_is_read_as_lines() {
        let text = r#"{"pending_changes":["address-object ipv4 x","no certificate fw-1"]}"#;
        let lines = ["address-object ipv4 x", "no certificate fw-1"];
        let expected = Pending::Lines(lines.map(str::to_owned).to_vec());
        assert_eq!(Pending::of(text), expected);
    }

    #[test]
    fn unknown_shapes_count_as_changes_of_another_administrator() {
        for text in [
            r#"[{"id":4}]"#,
            r#"{"address_object":{"ipv4":null}}"#,
            r#"{"state":"dirty"}"#,
            r#"{"status":"dirty"}"#,
            r#"{"status":{"success":true,"info":[],"dirty":true}}"#,
            r#"{"address_object":{"ipv4":"#,
            "{}\n% 1 more",
            "dirty",
        ] {
            let foreign = Pending::of(text).foreign(&Ours::by("renewd"));
            assert!(!foreign.is_empty(), "{text}");
        }
    }

    #[test]
    fn the_author_is_named_when_the_device_names_one() {
        let named = Pending::of(r#"{"administrator":"jane","address_object":{"ipv4":"x"}}"#);
        assert_eq!(named.author().as_deref(), Some("jane"));
        let text =
            Pending::of("Uncommitted changes by \"joe\":\naddress-object ipv4 x host 192.0.2.7");
        assert_eq!(text.author().as_deref(), Some("joe"));
        assert!(text.summary().contains("address-object"));
    }
}
