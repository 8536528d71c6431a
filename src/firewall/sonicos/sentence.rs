//! Sentences about uncommitted changes. No text of this family is published (SonicOS reference 2), so a sentence counts
//! only when every word of it is known: an unknown word may name a change, or deny what the others say.

use super::envelope::shortened;

/// What one line says about uncommitted changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sentence {
    /// That there are none.
    Nothing,
    /// Nothing about them, such as "Success.".
    Silent,
    /// That there are some, without naming one.
    Announcement {
        /// How many, where it says so.
        count: Option<u64>,
        /// The administrator that it names.
        author: Option<String>,
    },
    /// Something else: a change, or words that are not known.
    Other,
}

impl Sentence {
    /// Reads one line.
    pub(super) fn of(line: &str) -> Self {
        if line.len() > LONGEST_LINE {
            return Self::Other;
        }
        let (line, author) = without_author(line);
        let lower = line.to_ascii_lowercase();
        let words: Vec<&str> = lower
            .split(|c: char| c.is_whitespace() || PUNCTUATION.contains(c))
            .filter(|word| !word.is_empty())
            .collect();
        if words.iter().all(|word| SILENT.contains(word)) {
            return if author.is_none() {
                Self::Silent
            } else {
                Self::Other
            };
        }
        if author.is_none() && denies(&words) {
            return Self::Nothing;
        }
        let is_known = |word: &&str| {
            ABOUT_CHANGES.contains(word)
                || SUBJECTS.contains(word)
                || SILENT.contains(word)
                || FURTHER.contains(word)
                || is_number(word)
        };
        if words.iter().any(|word| SUBJECTS.contains(word)) && words.iter().all(is_known) {
            let number = words.iter().find(|word| is_number(word));
            return Self::Announcement {
                // What has too many digits is more than anything of ours.
                count: number.map(|number| number.parse().unwrap_or(u64::MAX)),
                author,
            };
        }
        Self::Other
    }
}

/// Whether a sentence begins with a denial and goes on with nothing but what is denied.
fn denies(words: &[&str]) -> bool {
    let mut rest = words.iter().skip_while(|word| OPENINGS.contains(word));
    let is_denial = match rest.next() {
        Some(&("no" | "none" | "nothing" | "zero" | "0")) => true,
        Some(&"not") => rest.next() == Some(&"pending"),
        _ => false,
    };
    is_denial && rest.all(|word| ABOUT_CHANGES.contains(word) || SUBJECTS.contains(word))
}

/// The line without "by NAME" where it is about changes, and the name.
fn without_author(line: &str) -> (String, Option<String>) {
    let author = author_in(line);
    if author.is_none() {
        return (line.to_owned(), None);
    }
    let mut words = line.split_whitespace();
    let mut rest: Vec<&str> = Vec::new();
    for word in words.by_ref() {
        if word.eq_ignore_ascii_case("by") {
            break;
        }
        rest.push(word);
    }
    rest.extend(words.skip(1));
    (rest.join(" "), author)
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

fn is_number(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit())
}

/// Bytes: more than any sentence or command has. A line of a peer may be as long as its answer, and is not cut into words.
pub(super) const LONGEST_LINE: usize = 4 << 10;

const PUNCTUATION: &str = "%.,:;!?\"'()[]*";

/// Words that say nothing about changes.
const SILENT: [&str; 14] = [
    "success",
    "successful",
    "successfully",
    "succeeded",
    "ok",
    "e_ok",
    "done",
    "processing",
    "please",
    "wait",
    "command",
    "completed",
    "info",
    "-",
];

/// Words that a denial may begin with.
const OPENINGS: [&str; 10] = [
    "there", "are", "is", "you", "have", "has", "info", "success", "ok", "device",
];

/// What waits, or that it waits: without one of them a sentence is about something else.
const SUBJECTS: [&str; 12] = [
    "change",
    "changes",
    "modification",
    "modifications",
    "modified",
    "changed",
    "pending",
    "uncommitted",
    "uncommited",
    "unsaved",
    "outstanding",
    "commit",
];

/// Words that may stand in a denial as well as in an announcement.
const ABOUT_CHANGES: [&str; 26] = [
    "configuration",
    "config",
    "to",
    "be",
    "found",
    "made",
    "waiting",
    "present",
    "exist",
    "exists",
    "currently",
    "at",
    "this",
    "time",
    "now",
    "is",
    "are",
    "there",
    "for",
    "a",
    "in",
    "on",
    "the",
    "detected",
    "device",
    "firewall",
];

/// Words of announcements only.
const FURTHER: [&str; 33] = [
    "warning",
    "you",
    "have",
    "has",
    "been",
    "were",
    "was",
    "not",
    "yet",
    "committed",
    "saved",
    "applied",
    "or",
    "and",
    "discard",
    "discarded",
    "cancel",
    "need",
    "needs",
    "must",
    "require",
    "requires",
    "required",
    "before",
    "first",
    "will",
    "lost",
    "them",
    "it",
    "some",
    "of",
    "settings",
    "following",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn announced(count: Option<u64>) -> Sentence {
        Sentence::Announcement {
            count,
            author: None,
        }
    }

    #[test]
    fn only_a_sentence_whose_every_word_is_known_denies_changes() {
        for line in [
            "% No pending changes.",
            "none",
            "No",
            "No changes made.",
            "There are no uncommitted changes.",
            "Nothing to commit",
            "No uncommitted changes found.",
            "0 pending changes",
            "not pending",
        ] {
            assert_eq!(Sentence::of(line), Sentence::Nothing, "{line}");
        }
        for line in [
            "No changes were committed yet.",
            "No changes are committed.",
            "no pending changes of yours, but 3 of another administrator",
            "No changes made by jane were committed",
            "no pending policy",
            "no certificate \"fw-1\"",
        ] {
            assert_ne!(Sentence::of(line), Sentence::Nothing, "{line}");
        }
    }

    #[test]
    fn a_sentence_that_names_no_change_is_an_announcement() {
        for line in [
            "Uncommitted changes found.",
            "% Uncommitted changes found",
            "There are pending changes",
            "The configuration has been modified; please commit or discard the changes.",
            "Changes have not been committed yet!",
            "Commit required",
        ] {
            assert_eq!(Sentence::of(line), announced(None), "{line}");
        }
        assert_eq!(Sentence::of("3 pending changes"), announced(Some(3)));
    }

    #[test]
    fn a_sentence_with_an_unknown_word_may_name_a_change() {
        for line in [
            "Uncommitted changes found: address-object",
            "Another administrator has uncommitted changes.",
            "no address-object pending",
            "pending vpn",
        ] {
            assert_eq!(Sentence::of(line), Sentence::Other, "{line}");
        }
    }

    #[test]
    fn what_says_nothing_about_changes_is_silent() {
        for line in ["Success.", "", "% Processing...", "Command succeeded"] {
            assert_eq!(Sentence::of(line), Sentence::Silent, "{line}");
        }
    }

    #[test]
    fn the_administrator_in_a_sentence_is_read() {
        assert_eq!(
            Sentence::of("Uncommitted changes by \"joe\":"),
            Sentence::Announcement {
                count: None,
                author: Some("joe".to_owned())
            }
        );
        assert_eq!(author_in("address-object by design"), None);
    }
}
