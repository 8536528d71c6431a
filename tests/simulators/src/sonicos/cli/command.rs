//! The commands and their modes (SonicOS reference 3.4 to 3.9, 6.12). A word in capitals stands for a value.
//! Parses only.

use super::Mode;
use crate::sonicos::binding::Service;
use crate::sonicos::wire::Refusal;

/// A line that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command<'a> {
    pub(super) verb: Verb,
    /// The values, in the order of the form.
    pub(super) values: Vec<&'a str>,
}

/// A parsed line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Configure,
    Enter(Mode),
    Exit,
    End,
    PagerOff,
    Commit,
    Cancel,
    ShowAll,
    ShowImported,
    ShowOne,
    Export,
    ImportSigned,
    ImportAuthority,
    ImportKeyPair,
    Delete,
    Bind(Service),
    BindSelfSigned(Service),
}

/// Where a form is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FormScope {
    Anywhere,
    Configuring,
    In(Mode),
}

impl<'a> Command<'a> {
    pub(super) fn read(mode: Mode, words: &[&'a str]) -> Result<Self, Refusal> {
        let known = FORMS.iter().filter(|(place, ..)| place.includes(mode));
        let mut furthest = 0;
        for (_, form, verb) in known {
            let form: Vec<&str> = form.split(' ').collect();
            let pairs = words.iter().zip(&form);
            let fitting = pairs
                .take_while(|(word, wanted)| fits(word, wanted))
                .count();
            furthest = furthest.max(fitting);
            if fitting == words.len() && words.len() == form.len() {
                let values = words
                    .iter()
                    .zip(&form)
                    .filter(|(_, wanted)| is_value(wanted));
                return Ok(Self {
                    verb: *verb,
                    values: values.map(|(word, _)| *word).collect(),
                });
            }
        }
        Err(match words.get(furthest) {
            None => incomplete(),
            Some(word) if furthest == 0 => {
                // 1.5: "command ... not found".
                Refusal::new(400, format!("command '{word}' not found"))
            }
            Some(word) => Refusal::unreasonable(word),
        })
    }
}

impl Verb {
    /// Whether it needs configuration mode (1.4).
    pub(super) fn changes(self) -> bool {
        !matches!(
            self,
            Self::Configure
                | Self::Enter(_)
                | Self::Exit
                | Self::End
                | Self::PagerOff
                | Self::ShowAll
                | Self::ShowImported
                | Self::ShowOne
        )
    }
}

impl FormScope {
    fn includes(self, mode: Mode) -> bool {
        match self {
            Self::Anywhere => true,
            Self::Configuring => mode != Mode::Top,
            Self::In(only) => mode == only,
        }
    }
}

/// Words are separated by blanks; quotes keep a name with blanks together (3.9).
pub(super) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for letter in line.chars() {
        match letter {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            letter if letter.is_whitespace() && !quoted => words.extend(word.take()),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// 3.9: such a command exists; guess: its text.
pub(super) fn incomplete() -> Refusal {
    Refusal::new(400, "Incomplete command.")
}

fn fits(word: &str, wanted: &str) -> bool {
    is_value(wanted) || word == wanted
}

fn is_value(wanted: &str) -> bool {
    wanted.chars().all(|letter| letter.is_ascii_uppercase())
}

/// The forms of 3.4 to 3.9 and 6.12. `cancel`, `end` and `exit` are named there; guess: the mode that each leaves.
const FORMS: &[(FormScope, &str, Verb)] = &[
    (FormScope::In(Mode::Top), "configure", Verb::Configure),
    (
        FormScope::In(Mode::Configuration),
        "certificates",
        Verb::Enter(Mode::Certificates),
    ),
    (
        FormScope::In(Mode::Configuration),
        "administration",
        Verb::Enter(Mode::Administration),
    ),
    (
        FormScope::In(Mode::Configuration),
        "ssl-vpn server",
        Verb::Enter(Mode::SslVpnServer),
    ),
    (FormScope::Anywhere, "exit", Verb::Exit),
    (FormScope::Configuring, "end", Verb::End),
    (FormScope::Configuring, "commit", Verb::Commit),
    (FormScope::Configuring, "cancel", Verb::Cancel),
    (FormScope::Anywhere, "no cli pager session", Verb::PagerOff),
    (
        FormScope::Anywhere,
        "show certificates status",
        Verb::ShowAll,
    ),
    (
        FormScope::Anywhere,
        "show certificates status imported",
        Verb::ShowImported,
    ),
    (
        FormScope::Anywhere,
        "show certificate name NAME status",
        Verb::ShowOne,
    ),
    (
        FormScope::In(Mode::Certificates),
        "export signing-request NAME PROTOCOL URL",
        Verb::Export,
    ),
    (
        FormScope::In(Mode::Certificates),
        "import signed-cert NAME PROTOCOL URL",
        Verb::ImportSigned,
    ),
    (
        FormScope::In(Mode::Certificates),
        "import ca-cert PROTOCOL URL",
        Verb::ImportAuthority,
    ),
    (
        FormScope::In(Mode::Certificates),
        "import cert-key-pair NAME password PASSWORD PROTOCOL URL",
        Verb::ImportKeyPair,
    ),
    (
        FormScope::In(Mode::Certificates),
        "no certificate NAME",
        Verb::Delete,
    ),
    (
        FormScope::In(Mode::Administration),
        "web-management certificate name NAME",
        Verb::Bind(Service::Management),
    ),
    (
        FormScope::In(Mode::Administration),
        "web-management certificate use-self-signed",
        Verb::BindSelfSigned(Service::Management),
    ),
    (
        FormScope::In(Mode::SslVpnServer),
        "certificate name NAME",
        Verb::Bind(Service::SslVpn),
    ),
    (
        FormScope::In(Mode::SslVpnServer),
        "certificate use-self-signed",
        Verb::BindSelfSigned(Service::SslVpn),
    ),
];

#[cfg(test)]
mod tests {
    use super::{Command, Mode, Verb, words};

    fn read(mode: Mode, line: &str) -> Result<Verb, String> {
        let words = words(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        Command::read(mode, &words)
            .map(|command| command.verb)
            .map_err(|refusal| refusal.message)
    }

    #[test]
    fn quotes_keep_a_name_together() {
        assert_eq!(
            words("no certificate \"Former Office\"  now"),
            ["no", "certificate", "Former Office", "now"]
        );
        assert_eq!(words(" \t "), Vec::<String>::new());
    }

    #[test]
    fn a_form_is_known_in_its_mode_only() {
        assert_eq!(
            read(Mode::Certificates, "no certificate fw"),
            Ok(Verb::Delete)
        );
        assert_eq!(
            read(Mode::Administration, "import ca-cert ftp x"),
            Err("command 'import' not found".to_owned())
        );
        assert_eq!(
            read(Mode::Top, "commit"),
            Err("command 'commit' not found".to_owned())
        );
    }

    #[test]
    fn an_incomplete_line_and_a_word_too_many_are_distinguished() {
        assert_eq!(
            read(Mode::Certificates, "export signing-request fw"),
            Err("Incomplete command.".to_owned())
        );
        assert_eq!(
            read(Mode::Certificates, "commit now"),
            Err("'now' is not a reasonable value.".to_owned())
        );
        assert_eq!(
            read(Mode::Certificates, "sho certificates status"),
            Err("command 'sho' not found".to_owned())
        );
    }
}
