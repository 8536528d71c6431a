//! The command line: one administrator's shell (SonicOS reference 3.2, 3.4 to 3.7, 3.9, 6.12).
//!
//! It changes the same state as the API, with the same functions. It does not know whether a terminal (`console.rs`) or
//! `POST /direct/cli` (`direct.rs`) uses it; only the texts differ. It transfers no files itself: a
//! transfer is a `TransferRequest`, as for the API. No abbreviations.

mod command;
pub(super) mod console;
mod direct;
mod show;

use serde_json::Value;

use self::command::{Command, Verb};
use super::binding::{Binding, Service};
use super::carrier::Protocol;
use super::device::{Device, SERIAL_NUMBER};
use super::session::Holder;
use super::transfer_request::Then;
use super::wire::{Handled, Refusal, Reply, without_credentials};

/// One session of the command line.
#[derive(Debug)]
pub(super) struct Shell {
    holder: Holder,
    mode: Mode,
    /// Whether long output stops at each page.
    pager: bool,
}

/// Where a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Top,
    Configuration,
    Certificates,
    Administration,
    SslVpnServer,
}

/// What became of a line.
#[derive(Debug)]
enum Step {
    /// Nothing is said about it.
    Quiet,
    /// Something was done, or will be when the reply's transfer has ended.
    Acted(Reply),
    /// This is shown.
    Shown(Value),
    /// It depends on the answer.
    Asks(Question),
    /// The session is over.
    Over,
}

/// What the command line asks back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    /// 6.12: another administrator holds configuration mode.
    Preempt,
    /// 6.12: configuration mode is left for this mode, with something uncommitted.
    Uncommitted(Mode),
}

impl Shell {
    /// A terminal: nothing is configured yet.
    fn at_console(number: u32) -> Self {
        Self {
            holder: Holder::Console(number),
            mode: Mode::Top,
            pager: true,
        }
    }

    /// 3.9: it starts in configuration mode already, in the session of the API.
    fn of_api() -> Self {
        Self {
            holder: Holder::Api,
            mode: Mode::Configuration,
            pager: false,
        }
    }

    /// Does one line; an empty one is nothing.
    fn act(&mut self, device: &mut Device, line: &str) -> Result<Step, Refusal> {
        let words = command::words(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if words.is_empty() {
            return Ok(Step::Quiet);
        }
        let command = Command::read(self.mode, &words)?;
        if command.verb.changes() {
            device.require_configuration_mode(self.holder)?;
        }
        match (command.verb, command.values.as_slice()) {
            (Verb::Configure, _) => self.configure(device),
            (Verb::Enter(mode), _) => Ok(self.enter(mode)),
            (Verb::Exit, _) => Ok(self.leave(device, self.mode.outer())),
            (Verb::End, _) => Ok(self.leave(device, Some(Mode::Top))),
            (Verb::PagerOff, _) => {
                self.pager = false;
                Ok(Step::Quiet)
            }
            (Verb::Commit, _) => Ok(Step::Acted(device.commit()?)),
            (Verb::Cancel, _) => {
                device.discard_pending();
                Ok(self.enter(Mode::Configuration))
            }
            (Verb::ShowAll, _) => Ok(show::all(device.status_of_all(true), device)),
            (Verb::ShowImported, _) => Ok(show::all(device.status_of_all(false), device)),
            (Verb::ShowOne, [name]) => Ok(Step::Shown(Value::Object(device.status_of(name)?))),
            (Verb::Bind(service), [name]) => {
                bind(device, service, Binding::Name((*name).to_owned()))
            }
            (Verb::BindSelfSigned(service), _) => bind(device, service, Binding::SelfSigned),
            (Verb::Delete, [name]) => {
                let reply = device.delete_certificate(name)?;
                let words = ("Certificate has been successfully deleted", "Changes made.");
                Ok(Step::Acted(reply.saying(self.either(words))))
            }
            (verb, values) => self.transfer(device, verb, values).map(Step::Acted),
        }
    }

    /// Continues after a question. guess: every unclear answer counts as the default.
    fn answer(
        &mut self,
        device: &mut Device,
        question: Question,
        answer: &str,
    ) -> Result<Step, Refusal> {
        match (question, answer.trim()) {
            (Question::Preempt, "yes") => {
                device.mode = Some(self.holder);
                Ok(self.enter(Mode::Configuration))
            }
            (Question::Uncommitted(mode), "yes") => {
                let reply = device.commit()?;
                self.go(device, mode);
                Ok(Step::Acted(reply))
            }
            (Question::Uncommitted(mode), "no") => {
                device.discard_pending();
                Ok(self.go(device, mode))
            }
            _ => Ok(Step::Quiet),
        }
    }

    /// 1.4: an administrator who lost configuration mode leaves it. guess: at the next line.
    fn notice_preemption(&mut self, device: &Device) -> bool {
        let lost = self.mode != Mode::Top && device.mode != Some(self.holder);
        if lost {
            self.mode = Mode::Top;
        }
        lost
    }

    /// 6.12 has the first two; guess: the others.
    fn prompt(&self, device: &Device) -> String {
        let serial = SERIAL_NUMBER.replace('-', "");
        match self.mode {
            Mode::Top => format!("{}@{serial}> ", device.settings.user),
            Mode::Configuration => format!("config({serial})# "),
            Mode::Certificates => "(config-certificates)# ".to_owned(),
            Mode::Administration => "(config-administration)# ".to_owned(),
            Mode::SslVpnServer => "(config-ssl-vpn-server)# ".to_owned(),
        }
    }

    fn configure(&mut self, device: &mut Device) -> Result<Step, Refusal> {
        if device.variants.configuration_mode_refused || device.variants.read_only_administrator {
            return Err(Refusal::new(403, "Not allowed in current mode."));
        }
        match (device.mode, self.holder) {
            (Some(holder), own) if holder == own => Ok(self.enter(Mode::Configuration)),
            // Over the API it takes a POST to /config-mode (1.4).
            (_, Holder::Api) => {
                device.require_configuration_mode(Holder::Api)?;
                Ok(Step::Quiet)
            }
            (Some(_), _) => Ok(Step::Asks(Question::Preempt)),
            (None, own) => {
                device.mode = Some(own);
                Ok(self.enter(Mode::Configuration))
            }
        }
    }

    fn enter(&mut self, mode: Mode) -> Step {
        self.mode = mode;
        Step::Quiet
    }

    /// 6.12: leaving configuration mode with something uncommitted asks. guess: not over the API, whose session keeps it.
    fn leave(&mut self, device: &mut Device, mode: Option<Mode>) -> Step {
        match mode {
            None => Step::Over,
            Some(Mode::Top)
                if self.mode != Mode::Top
                    && self.holder != Holder::Api
                    && !device.pending.is_empty() =>
            {
                Step::Asks(Question::Uncommitted(Mode::Top))
            }
            Some(mode) => self.go(device, mode),
        }
    }

    fn go(&mut self, device: &mut Device, mode: Mode) -> Step {
        if mode == Mode::Top && self.holder != Holder::Api && device.mode == Some(self.holder) {
            device.mode = None;
        }
        self.enter(mode)
    }

    /// 3.3 to 3.6: the same transfers as of the API.
    fn transfer(&self, device: &mut Device, verb: Verb, values: &[&str]) -> Handled {
        let said = self.either(match verb {
            Verb::Export => (COMMAND_SUCCEEDED, "Export succeed."),
            Verb::ImportKeyPair => (
                "Successfully loaded certificate and key pair",
                "Import succeed.",
            ),
            _ => (COMMAND_SUCCEEDED, "Import succeed."),
        });
        let [names @ .., word, url] = values else {
            return Err(command::incomplete());
        };
        let protocol = Protocol::of_word(word).ok_or_else(|| Refusal::unreasonable(word))?;
        let owned = |name: &&str| (*name).to_owned();
        let reply = match (verb, names) {
            (Verb::Export, [alias]) => device.export_request_to(alias, protocol, url),
            (Verb::ImportSigned, [alias]) => {
                let alias = owned(alias);
                device.fetch_from(protocol, url, Then::Signed { alias })
            }
            (Verb::ImportKeyPair, [alias, password]) => {
                let (alias, password) = (owned(alias), owned(password));
                device.fetch_from(protocol, url, Then::KeyPair { alias, password })
            }
            (Verb::ImportAuthority, []) => device.fetch_from(protocol, url, Then::Authority),
            _ => Err(command::incomplete()),
        }?;
        reply.and_then(device, move |_, handled| Ok(handled?.saying(said)))
    }

    /// The words over the API, and those at a terminal (3.6, 3.7).
    fn either(&self, (api, console): (&'static str, &'static str)) -> &'static str {
        if self.holder == Holder::Api {
            api
        } else {
            console
        }
    }
}

impl Mode {
    /// Where `exit` leads; out of the session from the top.
    fn outer(self) -> Option<Self> {
        match self {
            Self::Top => None,
            Self::Configuration => Some(Self::Top),
            Self::Certificates | Self::Administration | Self::SslVpnServer => {
                Some(Self::Configuration)
            }
        }
    }
}

/// 4: the same pending change as of the API.
fn bind(device: &mut Device, service: Service, binding: Binding) -> Result<Step, Refusal> {
    let reply = device.bind_to(service, binding)?;
    Ok(Step::Acted(reply.saying(COMMAND_SUCCEEDED)))
}

/// A text of 1.5.
const COMMAND_SUCCEEDED: &str = "Command succeeded";

/// A line for the journal: without the password of a PKCS#12 file, and without the credentials of an URL.
fn masked(line: &str) -> String {
    let mut hide = false;
    let words = line.split_whitespace().map(|word| {
        let shown = if hide { "***" } else { word };
        hide = word == "password";
        shown
    });
    without_credentials(&words.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn the_journal_shows_no_password_of_a_line() {
        let line = "import cert-key-pair fw password secret ftp ftp://a:b@192.0.2.1/fw.p12";
        assert_eq!(
            masked(line),
            "import cert-key-pair fw password *** ftp ftp://192.0.2.1/fw.p12"
        );
    }
}
