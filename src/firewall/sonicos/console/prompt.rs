//! The prompt or question that the device waits at, recognised at the end of its output (SonicOS reference 6.12), never
//! by a period of silence.

/// What the device waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Prompt {
    /// A command that looks: `user@SERIAL>`.
    Ordinary,
    /// A command in configuration mode: `config(SERIAL)#`.
    Configuration,
    /// A command in one of its menus: `(edit-interface[X2])#`.
    Menu,
    /// A user's name.
    User,
    /// A password.
    Password,
    /// A key press, so that it goes on.
    Pager,
    /// That a policy is accepted: `(yes)?`.
    Policy,
    /// Whether an administrator is to lose configuration mode.
    Preempt {
        /// Who has it, in the device's words; empty when it does not say.
        holder: String,
    },
    /// What is to become of uncommitted changes.
    Uncommitted(Question),
    /// An answer to another question.
    Question(Question),
}

/// A question with its choices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    /// Its words.
    pub(super) words: String,
    /// The words in parentheses, in lower case.
    choices: Vec<String>,
}

impl Prompt {
    /// What a screen's last line waits for; `None` while more is to come.
    pub(super) fn of(screen: &str) -> Option<Self> {
        let (before, last) = screen.rsplit_once('\n').unwrap_or(("", screen));
        let last = last.trim();
        if last.is_empty() {
            return None;
        }
        named(last).or_else(|| Some(Self::of_question(Question::of(before, last)?, screen)))
    }

    fn of_question(question: Question, screen: &str) -> Self {
        let words = question.words.to_ascii_lowercase();
        if question.choices == ["yes"] {
            Self::Policy
        } else if words.contains("preempt") {
            Self::Preempt {
                holder: holder(screen),
            }
        } else if words.contains("uncommitted") {
            Self::Uncommitted(question)
        } else {
            Self::Question(question)
        }
    }
}

impl Question {
    /// A question whose choices stand in the last line, or in the one before `[default]:`.
    fn of(before: &str, last: &str) -> Option<Self> {
        let last = last.trim_end_matches([':', ' ']);
        let (line, default) = match last.strip_suffix(']').and_then(|l| l.rsplit_once('[')) {
            Some((line, default)) => (line.trim_end(), Some(default)),
            None => (last, None),
        };
        if default.is_some_and(|default| !is_word(default)) {
            return None;
        }
        let (before, line) = if line.is_empty() {
            let before = before.trim_end();
            before.rsplit_once('\n').unwrap_or(("", before))
        } else {
            (before, line)
        };
        let (_, choices) = line
            .trim_end_matches(['?', ' '])
            .strip_suffix(')')?
            .rsplit_once('(')?;
        let choices: Vec<String> = choices
            .split('/')
            .map(|choice| choice.trim().to_ascii_lowercase())
            .collect();
        let known = choices.iter().any(|choice| is_choice(choice));
        (known && choices.iter().all(|choice| is_word(choice))).then(|| Self {
            words: last_words(&format!("{before}\n{line}")),
            choices,
        })
    }

    /// The answer that changes nothing.
    pub(super) fn declining(&self) -> &'static str {
        if self.offers("cancel") {
            "cancel"
        } else {
            "no"
        }
    }

    /// The answer that gives up uncommitted changes, where the words leave no doubt which one it is.
    pub(super) fn discarding(&self) -> Option<&'static str> {
        let words = self.words.to_ascii_lowercase().replace("uncommitted", "");
        let commits = ["commit", "apply", "save"]
            .iter()
            .any(|word| words.contains(word));
        let discards = ["discard", "lose", "lost", "abandon"];
        match (commits, discards.iter().any(|word| words.contains(word))) {
            (true, false) if self.offers("no") => Some("no"),
            (false, true) if self.offers("yes") => Some("yes"),
            _ => None,
        }
    }

    fn offers(&self, choice: &str) -> bool {
        self.choices.iter().any(|offered| offered == choice)
    }
}

/// The prompts that need no look at other lines.
fn named(last: &str) -> Option<Prompt> {
    if let Some(name) = last.strip_suffix('>') {
        return is_name(name).then_some(Prompt::Ordinary);
    }
    if let Some(mode) = last.strip_suffix('#') {
        let (head, menu) = mode.trim_end().strip_suffix(')')?.split_once('(')?;
        let is_prompt = (head.is_empty() || is_name(head)) && menu.len() < LONGEST_NAME;
        let prompt = if head == "config" {
            Prompt::Configuration
        } else {
            Prompt::Menu
        };
        return is_prompt.then_some(prompt);
    }
    let lower = last.to_ascii_lowercase();
    if lower.contains("--") && lower.trim_matches(['-', ' ']) == "more" {
        return Some(Prompt::Pager);
    }
    let label = lower.strip_suffix(':')?.trim_end();
    match label {
        "user" | "username" | "user name" | "login" | "name" => Some(Prompt::User),
        _ if label.starts_with("password") || label.ends_with("'s password") => {
            Some(Prompt::Password)
        }
        _ => None,
    }
}

/// The line before the question, where it names a session: "admin at SonicOS API from 192.0.2.9 is editing."
fn holder(screen: &str) -> String {
    let mut before = screen.lines().rev();
    before.find(|line| line.to_ascii_lowercase().contains("preempt"));
    let line = before.map(str::trim).find(|line| !line.is_empty());
    line.filter(|line| !line.starts_with('%'))
        .map_or_else(String::new, |line| line.trim_end_matches('.').to_owned())
}

/// The last paragraph, as one line.
fn last_words(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let recent = lines
        .rsplit(|line| line.is_empty())
        .next()
        .unwrap_or_default();
    let from = recent.len().saturating_sub(LINES_OF_A_QUESTION);
    recent.get(from..).unwrap_or_default().join(" ")
}

fn is_name(text: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || "_.+@-".contains(c);
    !text.is_empty() && text.len() < LONGEST_NAME && text.chars().all(is_part)
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphabetic())
}

fn is_choice(word: &str) -> bool {
    matches!(word, "yes" | "no" | "cancel" | "y" | "n")
}

const LONGEST_NAME: usize = 128;
const LINES_OF_A_QUESTION: usize = 4;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;

    #[test]
    fn prompts_for_commands_are_known_by_their_form() {
        for (screen, prompt) in [
            ("Copyright\n\nadmin@0017C5A1B2C3>", Prompt::Ordinary),
            ("fw-hq>", Prompt::Ordinary),
            ("config(0017C5A1B2C3)#", Prompt::Configuration),
            ("config(0017C5A1B2C3)# ", Prompt::Configuration),
            ("(config-certificates)#", Prompt::Menu),
            ("% Done.\n(edit-interface[X2])#", Prompt::Menu),
        ] {
            assert_eq!(Prompt::of(screen), Some(prompt), "{screen}");
        }
    }

    #[test]
    fn output_is_no_prompt() {
        for screen in [
            "",
            "admin@0017C5A1B2C3>\n",
            "<b>",
            "a line with an arrow ->",
            "# a comment",
            "item (2)",
            "Subject: CN=fw (test)",
            "[no]:",
            "valid from:",
            "100% (done)#1",
        ] {
            assert_eq!(Prompt::of(screen), None, "{screen}");
        }
    }

    #[test]
    fn logins_pages_and_policies_are_known() {
        assert_eq!(Prompt::of("User:"), Some(Prompt::User));
        assert_eq!(
            Prompt::of("Access denied\nPassword: "),
            Some(Prompt::Password)
        );
        assert_eq!(Prompt::of("row\n--MORE--"), Some(Prompt::Pager));
        assert_eq!(Prompt::of("-- More --"), Some(Prompt::Pager));
        let banner = "Only for staff.\nAccept The Policy Banner (yes)?";
        assert_eq!(Prompt::of(banner), Some(Prompt::Policy));
    }

    #[test]
    fn the_question_about_pre_emption_names_the_holder() {
        let editing = "admin at SonicOS API from 192.0.2.9 is editing.\nDo you wish to preempt them (yes/no)?\n[no]:";
        let holder = "admin at SonicOS API from 192.0.2.9 is editing".to_owned();
        assert_eq!(Prompt::of(editing), Some(Prompt::Preempt { holder }));
        let unnamed = "Do you wish to preempt them (yes/no)? [no]:";
        let holder = String::new();
        assert_eq!(Prompt::of(unnamed), Some(Prompt::Preempt { holder }));
    }

    #[test]
    fn questions_about_uncommitted_changes_are_answered_only_where_the_words_leave_no_doubt() {
        for (screen, discarding) in [
            (
                "Uncommitted changes found, commit them (yes/no/cancel)? [cancel]:",
                Some("no"),
            ),
            (
                "Uncommitted changes found.\nDiscard them (yes/cancel)?",
                Some("yes"),
            ),
            ("Uncommitted changes found (yes/no/cancel)?", None),
            (
                "Uncommitted changes found. Commit or discard (yes/no/cancel)?",
                None,
            ),
        ] {
            let Some(Prompt::Uncommitted(question)) = Prompt::of(screen) else {
                panic!("{screen}");
            };
            assert_eq!(question.discarding(), discarding, "{screen}");
            assert_eq!(question.declining(), "cancel");
        }
    }

    #[test]
    fn any_other_question_keeps_its_words() {
        let screen = "% Applying.\n\nAre you sure you wish to restart (yes/cancel)?";
        let Some(Prompt::Question(question)) = Prompt::of(screen) else {
            panic!("no question");
        };
        assert_eq!(
            question.words,
            "Are you sure you wish to restart (yes/cancel)?"
        );
        assert_eq!(question.declining(), "cancel");
    }

    #[test]
    fn a_question_that_stands_before_its_default_is_reported_once() {
        let screen = "admin is editing.\nDo you wish to go on (yes/no)?\n[no]:";
        let Some(Prompt::Question(question)) = Prompt::of(screen) else {
            panic!("no question");
        };
        assert_eq!(
            question.words,
            "admin is editing. Do you wish to go on (yes/no)?"
        );
    }
}
