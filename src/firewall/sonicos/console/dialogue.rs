//! The dialogue on the command line: the login, configuration mode, and the answers to the device's questions (SonicOS
//! reference 6.12). It must never commit or discard changes that are not ours.

use std::time::Duration;

use super::Preempt;
use super::answer::{self, NO_PAGER};
use super::prompt::{Prompt, Question};
use super::redactor::Redactor;
use super::terminal::{Screen, Silence, Terminal};
use crate::failure::{Failure, FailureKind, readable};
use crate::firewall::sonicos::messages;
use crate::secret::Secret;

/// A conversation.
pub(super) struct Dialogue {
    terminal: Terminal,
    place: CliMode,
    user: String,
    redactor: Redactor,
    limits: Limits,
    /// What it is held with, for failures.
    name: String,
    /// Whether a line of this run may have changed the device.
    changed: bool,
    /// Whether something of ours waits for a commit.
    uncommitted: bool,
}

/// How long the device may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// For an ordinary line.
    pub(super) call: Duration,
    /// For a line that moves a file or commits.
    pub(super) transfer: Duration,
}

/// Where the device takes our commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CliMode {
    Ordinary,
    Configuration,
    /// A menu below configuration mode.
    Menu,
    /// The session is over, or the device waits for something that we do not know.
    Lost,
}

impl Dialogue {
    /// A conversation that has not begun yet.
    pub(super) fn new(terminal: Terminal, name: String, user: &str, limits: Limits) -> Self {
        Self {
            terminal,
            place: CliMode::Lost,
            user: user.to_owned(),
            redactor: Redactor::default(),
            limits,
            name,
            changed: false,
            uncommitted: false,
        }
    }

    /// Gets to the first prompt. Builds that take any SSH login ask for user and password only here; the reference is
    /// silent about which do. The password is offered once.
    pub(super) async fn enter(&mut self, password: &Secret) -> Result<(), Failure> {
        self.redactor = Redactor::about(password);
        let mut offered = false;
        for _ in 0..MOST_QUESTIONS_AT_THE_DOOR {
            let waited = self.terminal.wait(self.limits.call).await;
            let screen = waited.map_err(|silence| self.turned_away(&silence))?;
            let typed = match screen.prompt {
                Prompt::Ordinary | Prompt::Configuration | Prompt::Menu => {
                    self.arrive(&screen.prompt);
                    return self.turn_pager_off().await;
                }
                Prompt::Policy => self.terminal.type_line("yes").await,
                Prompt::User | Prompt::Password if offered => {
                    let detail = format!("the device asks again: {}", screen.text);
                    return Err(self.failure(FailureKind::Unauthorized, "log in", &detail));
                }
                Prompt::User => self.terminal.type_line(&self.user).await,
                Prompt::Password => {
                    offered = true;
                    self.terminal.type_blindly(password.expose()).await
                }
                _ => return Err(self.not_understood("log in", &screen)),
            };
            typed.map_err(|silence| self.turned_away(&silence))?;
        }
        Err(self.failure(
            FailureKind::Unexpected,
            "log in",
            "the device asks without end",
        ))
    }

    /// Types lines in configuration mode; what the device said to them, in their order.
    pub(super) async fn run(
        &mut self,
        lines: &[String],
        preempt: Preempt,
    ) -> Result<String, Failure> {
        self.learn(lines)?;
        self.changed = false;
        self.take_configuration_mode(preempt).await?;
        let mut said = String::new();
        for line in lines {
            let text = self.command(line).await?;
            if !text.is_empty() {
                said.push_str(&text);
                said.push('\n');
            }
        }
        Ok(self.redactor.cut(&said))
    }

    /// Types a read-only line in the current mode of the session. No administrator loses configuration mode for it.
    pub(super) async fn query(&mut self, line: &str) -> Result<String, Failure> {
        self.learn(&[line.to_owned()])?;
        self.changed = false;
        let said = self.command(line).await?;
        Ok(self.redactor.cut(&said))
    }

    /// Leaves configuration mode and logs out, without a change of ours that waits for a commit.
    pub(super) async fn leave(&mut self) -> Result<(), Failure> {
        // Every change so far was answered; what is lost from here on is only the session.
        self.changed = false;
        let left = self.leave_configuration_mode().await;
        if self.place == CliMode::Ordinary && self.terminal.type_line("exit").await.is_ok() {
            // How the device takes leave is its own affair.
            let _ = self.terminal.wait(FAREWELL_LIMIT).await;
        }
        self.place = CliMode::Lost;
        left
    }

    /// What is secret in `lines`; one that would be several is refused.
    fn learn(&mut self, lines: &[String]) -> Result<(), Failure> {
        for line in lines {
            self.redactor.learn(line);
            if line.chars().any(char::is_control) {
                let detail = "a line may hold no control characters";
                return Err(self.failure(FailureKind::Local, line, detail));
            }
        }
        Ok(())
    }

    async fn turn_pager_off(&mut self) -> Result<(), Failure> {
        // A device that refuses it gets its pages turned.
        let screen = self.type_and_wait(NO_PAGER).await?;
        self.expect_command(NO_PAGER, screen).await.map(|_| ())
    }

    async fn take_configuration_mode(&mut self, preempt: Preempt) -> Result<(), Failure> {
        self.leave_menus().await?;
        if self.place == CliMode::Configuration {
            return Ok(());
        }
        let mut screen = self.type_and_wait(CONFIGURE).await?;
        if let Prompt::Preempt { holder } = &screen.prompt {
            let holder = self.redactor.cut(holder);
            if !preempt.takes_from(&holder, &self.user) {
                self.reply(CONFIGURE, "no").await?;
                let detail = "configuration mode is taken; preempt_idle_administrator is off or changes may wait";
                return Err(self.held(detail, &holder));
            }
            tracing::debug!(firewall = %self.name, %holder, "configuration mode is taken from an idle session");
            screen = self.reply(CONFIGURE, "yes").await?;
        }
        let text = self.expect_command(CONFIGURE, screen).await?;
        self.leave_menus().await?;
        if self.place == CliMode::Configuration {
            return Ok(());
        }
        let detail = format!("the device gives no configuration mode: {text}");
        if messages::is_out_of_configuration_mode(&text) {
            return Err(self.held(&detail, ""));
        }
        Err(self.failure(FailureKind::Refused, CONFIGURE, &detail))
    }

    /// One line; the words of the answer.
    async fn command(&mut self, line: &str) -> Result<String, Failure> {
        let screen = self.type_and_wait(line).await?;
        let text = self.expect_command(line, screen).await?;
        if let Some(words) = answer::refusal(&text) {
            if messages::is_out_of_configuration_mode(&words) {
                let detail = format!("configuration mode was taken from us: {words}");
                return Err(self.held(&detail, ""));
            }
            return Err(self.failure(FailureKind::Refused, line, &words));
        }
        if line == "commit" {
            self.uncommitted = false;
        }
        Ok(text)
    }

    /// Back to the top of configuration mode; a session that another program began may be in a menu.
    async fn leave_menus(&mut self) -> Result<(), Failure> {
        for line in WAYS_OUT {
            if self.place != CliMode::Menu {
                return Ok(());
            }
            self.go_out(line).await?;
        }
        let detail = "the device does not leave its menus";
        Err(self.failure(FailureKind::Unexpected, "exit", detail))
    }

    async fn leave_configuration_mode(&mut self) -> Result<(), Failure> {
        if self.place == CliMode::Lost {
            return Ok(());
        }
        if self.uncommitted && self.place != CliMode::Ordinary {
            let screen = self.type_and_wait("cancel").await?;
            self.go_on("cancel", screen).await?;
        }
        self.leave_menus().await?;
        if self.place == CliMode::Configuration {
            self.go_out("exit").await?;
        }
        if self.place == CliMode::Configuration {
            let detail = "the device does not leave configuration mode";
            return Err(self.failure(FailureKind::Unexpected, "exit", detail));
        }
        Ok(())
    }

    async fn go_out(&mut self, line: &str) -> Result<(), Failure> {
        let screen = self.type_and_wait(line).await?;
        self.go_on(line, screen).await
    }

    /// On our way out: what is ours is given up, what is another's is left as it is.
    async fn go_on(&mut self, line: &str, screen: Screen) -> Result<(), Failure> {
        let screen = match &screen.prompt {
            Prompt::Uncommitted(question) if self.uncommitted => match question.discarding() {
                Some(word) => {
                    self.uncommitted = false;
                    self.reply(line, word).await?
                }
                None => screen,
            },
            _ => screen,
        };
        self.expect_command(line, screen).await.map(|_| ())
    }

    /// The answer, when the device waits for the next command; a question is declined and a failure.
    async fn expect_command(&mut self, line: &str, screen: Screen) -> Result<String, Failure> {
        match &screen.prompt {
            Prompt::Ordinary | Prompt::Configuration | Prompt::Menu => Ok(screen.text),
            Prompt::Uncommitted(question) => {
                self.decline(line, question).await?;
                let detail = format!("{}: left as it is", question.words);
                Err(self.held(&detail, ""))
            }
            Prompt::Question(question) => {
                self.decline(line, question).await?;
                let detail = format!("the device asks, and renewd declined: {}", question.words);
                Err(self.failure(FailureKind::Unexpected, line, &detail))
            }
            _ => Err(self.not_understood(line, &screen)),
        }
    }

    async fn decline(&mut self, line: &str, question: &Question) -> Result<(), Failure> {
        let screen = self.reply(line, question.declining()).await?;
        tracing::debug!(firewall = %self.name, prompt = ?screen.prompt, "declined");
        Ok(())
    }

    /// Answers a question that `line` led to.
    async fn reply(&mut self, line: &str, word: &str) -> Result<Screen, Failure> {
        let typed = self.terminal.type_line(word).await;
        typed.map_err(|silence| self.lost(line, &silence))?;
        self.arrival(line).await
    }

    async fn type_and_wait(&mut self, line: &str) -> Result<Screen, Failure> {
        if self.place == CliMode::Lost {
            return Err(self.failure(FailureKind::Unreachable, line, "the session is over"));
        }
        if answer::is_change(line) {
            self.changed = true;
            self.uncommitted = true;
        }
        tracing::debug!(firewall = %self.name, line = %self.redactor.cut(line), "typed");
        let typed = self.terminal.type_line(line).await;
        typed.map_err(|silence| self.lost(line, &silence))?;
        self.arrival(line).await
    }

    async fn arrival(&mut self, line: &str) -> Result<Screen, Failure> {
        let limit = if answer::is_slow(line) {
            self.limits.transfer
        } else {
            self.limits.call
        };
        let waited = self.terminal.wait(limit).await;
        let screen = waited.map_err(|silence| self.lost(line, &silence))?;
        self.arrive(&screen.prompt);
        Ok(screen)
    }

    fn arrive(&mut self, prompt: &Prompt) {
        self.place = match prompt {
            Prompt::Ordinary => CliMode::Ordinary,
            Prompt::Configuration => CliMode::Configuration,
            Prompt::Menu => CliMode::Menu,
            _ => self.place,
        };
    }

    /// The device waits for something that does not belong here.
    fn not_understood(&mut self, line: &str, screen: &Screen) -> Failure {
        self.place = CliMode::Lost;
        let kind = if self.changed {
            FailureKind::OutcomeUnknown
        } else {
            FailureKind::Unexpected
        };
        let detail = format!("the device waits for something else: {}", screen.text);
        self.failure(kind, line, &detail)
    }

    /// A session that ended at the door.
    fn turned_away(&mut self, silence: &Silence) -> Failure {
        match silence {
            Silence::Ended(words) if messages::is_full(words) => {
                self.failure(FailureKind::Busy, "log in", words)
            }
            Silence::Ended(words) if answer::is_refused_login(words) => {
                self.failure(FailureKind::Unauthorized, "log in", words)
            }
            _ => self.lost("log in", silence),
        }
    }

    /// A session that ended, or a device that waits for nothing.
    fn lost(&mut self, line: &str, silence: &Silence) -> Failure {
        self.place = CliMode::Lost;
        let (kind, detail) = match silence {
            Silence::Ended(words) if messages::is_locked_out(words) => {
                (FailureKind::Unauthorized, words.clone())
            }
            Silence::Ended(words) => (
                FailureKind::Unreachable,
                format!("the session ended: {words}"),
            ),
            Silence::TooLong(words) => (
                FailureKind::Unreachable,
                format!("no prompt in time; the last words: {words}"),
            ),
            Silence::TooMuch => (FailureKind::Unexpected, "the answer has no end".to_owned()),
        };
        let kind = if self.changed {
            FailureKind::OutcomeUnknown
        } else {
            kind
        };
        self.failure(kind, line, &detail)
    }

    /// Another administrator has to act first.
    fn held(&self, detail: &str, holder: &str) -> Failure {
        let holder = if holder.is_empty() {
            "another administrator"
        } else {
            holder
        };
        self.failure(FailureKind::Busy, CONFIGURE, detail)
            .waiting_for(holder)
    }

    fn failure(&self, kind: FailureKind, line: &str, detail: &str) -> Failure {
        let call = format!("{}: {}", self.name, self.redactor.cut(line));
        Failure::new(kind, call, readable(&self.redactor.cut(detail)))
    }
}

const CONFIGURE: &str = "configure";
/// `exit` leads one level up; `end` further, which differs between devices.
const WAYS_OUT: [&str; 6] = ["exit", "exit", "exit", "end", "end", "end"];
const MOST_QUESTIONS_AT_THE_DOOR: usize = 8;
const FAREWELL_LIMIT: Duration = Duration::from_secs(3);
