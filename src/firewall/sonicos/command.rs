//! The device's command line: through its API, `/direct/cli` (SonicOS reference 3.9), and over SSH where the API lacks it.
//! Lines go in, and JSON, an envelope or text comes out. Lines may hold passwords: only what they are for is ever shown.

use reqwest::Method;

use super::envelope::{self, Reply};
use super::ownership::Ours;
use super::transport::{Request, Response};
use super::write::Writer;
use super::{Console, Session, listing, messages, relaxed_json};
use crate::failure::{Failure, FailureKind};

/// What a `show` command printed.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ShowOutput {
    /// The JSON object of the command.
    Json(serde_json::Value),
    /// The text of the command line.
    Text(String),
}

impl ShowOutput {
    /// The rows of a listing; `None` when it is none.
    pub(super) fn rows(&self) -> Option<Vec<listing::Row>> {
        match self {
            Self::Json(json) => listing::rows(json),
            Self::Text(text) => super::table::rows(text),
        }
    }

    /// What is said of one certificate.
    pub(super) fn columns(&self) -> Vec<(String, String)> {
        match self {
            Self::Json(json) => listing::columns(json),
            Self::Text(text) => super::table::detail(text),
        }
    }
}

impl Writer {
    /// One complete change that the command line has too: `ours` is what it leaves to be committed.
    pub(super) async fn change_by_either(
        &mut self,
        learned_default: &'static str,
        call: &Request,
        lines: &[String],
        ours: Ours,
    ) -> Result<(), Failure> {
        self.begin().await?;
        let reply = self.by_api_or_command(learned_default, call, lines).await?;
        self.settle(&[reply], ours).await.map(|_| ())
    }

    /// One change that the API may have a call for, and the command line surely has: in the way that worked before, or by
    /// the API, and in the other one where the device does not know that.
    pub(super) async fn by_api_or_command(
        &mut self,
        learned_default: &'static str,
        call: &Request,
        lines: &[String],
    ) -> Result<Reply, Failure> {
        let is_by_command = self.quirks.learned_default(learned_default) == Some(BY_COMMAND);
        let first = self.in_one_way(is_by_command, call, lines).await;
        match first {
            Err(failure) if is_unknown(&failure) => {
                let second = self.in_one_way(!is_by_command, call, lines).await;
                let reply = second.map_err(|second| both_unknown(failure, second))?;
                let way = if is_by_command { BY_CALL } else { BY_COMMAND };
                self.quirks.note(learned_default, way);
                Ok(reply)
            }
            outcome => outcome,
        }
    }

    async fn in_one_way(
        &mut self,
        is_by_command: bool,
        call: &Request,
        lines: &[String],
    ) -> Result<Reply, Failure> {
        if is_by_command {
            self.command(&call.name(), lines).await
        } else {
            self.write(call).await
        }
    }

    /// Has lines carried out from the top of configuration mode. `purpose` is shown instead of them.
    pub(super) async fn command(
        &mut self,
        purpose: &str,
        lines: &[String],
    ) -> Result<Reply, Failure> {
        let call = Request::change(Method::POST, PATH)
            .content(TEXT, body(lines))
            .displayed_as(format!("{PATH} ({purpose})"))
            .slow();
        let answer = self.send(&call).await?;
        refuse(&call, &answer).map_err(|failure| self.channel.without_secrets(failure))?;
        self.judge(&call, &answer)
    }

    /// Has one `show` command carried out.
    pub(super) async fn show(&mut self, line: &str) -> Result<ShowOutput, Failure> {
        let call = Request::session(Method::POST, PATH)
            .content(TEXT, body(&[line.to_owned()]))
            .displayed_as(format!("{PATH} ({line})"));
        let answer = self.channel.exchange(&call).await?;
        let output = refuse(&call, &answer).and_then(|()| output(&call, &answer));
        output.map_err(|failure| self.channel.without_secrets(failure))
    }
}

impl Session {
    /// Has one `show` command carried out, in whichever way there is.
    pub(super) async fn show(&mut self, line: &str) -> Result<ShowOutput, Failure> {
        match self.writer.show(line).await {
            Err(failure) if self.has_ssh() && lacks_it(&failure) => {
                let said = self.show_over_ssh(line).await?;
                Ok(ShowOutput::Text(said))
            }
            outcome => outcome,
        }
    }

    /// Whether the command line over SSH may be used.
    pub(super) fn has_ssh(&self) -> bool {
        self.settings.command_line.is_some()
    }

    /// Has lines typed over SSH, from the top of configuration mode. What they change must be committed by the last of
    /// them.
    pub(super) async fn type_lines(&mut self, lines: &[String]) -> Result<String, Failure> {
        let preempt = self.writer.hand_over().await?;
        let mut console = self.console().await?;
        console.preempt(preempt);
        let said = Box::pin(self.run_alone(&mut console, lines)).await;
        self.put_down(console, said).await
    }

    /// Enters configuration mode, reads the pending changes, then types the lines. No other administrator can change
    /// anything after the pending changes were read, and earlier changes are among them. A commit has no owner, on the
    /// command line either (SonicOS reference 2).
    async fn run_alone(
        &mut self,
        console: &mut Console,
        lines: &[String],
    ) -> Result<String, Failure> {
        console.run(&[]).await?;
        self.writer.only_ours().await?;
        console.run(lines).await
    }

    /// Has one read-only line typed over SSH; in configuration mode only on a device that shows nothing without.
    async fn show_over_ssh(&mut self, line: &str) -> Result<String, Failure> {
        let mut console = self.console().await?;
        let said = Box::pin(console.query(line)).await;
        match self.put_down(console, said).await {
            Err(failure) if failure.kind == FailureKind::Busy || is_unknown(&failure) => {
                self.type_lines(&[line.to_owned()]).await
            }
            outcome => outcome,
        }
    }

    async fn console(&self) -> Result<Console, Failure> {
        let Some(command_line) = &self.settings.command_line else {
            let detail = "`ssh` is not configured for this firewall";
            return Err(Failure::new(FailureKind::Local, "use SSH", detail));
        };
        let password = &self.writer.channel.password;
        // Boxed: the last resort would otherwise make every other future as large as itself.
        Box::pin(Console::open(&self.settings, command_line, password)).await
    }

    /// Closes `console`, whatever it `said`.
    async fn put_down(
        &self,
        console: Console,
        said: Result<String, Failure>,
    ) -> Result<String, Failure> {
        if let Err(failure) = console.close().await {
            tracing::debug!(error = %failure, "the session on the command line was not closed");
        }
        said.map_err(|failure| self.writer.channel.without_secrets(failure))
    }
}

/// The failure of the second way, which is the one that counts unless the device knows neither.
fn both_unknown(first: Failure, second: Failure) -> Failure {
    if is_unknown(&second) {
        Failure {
            detail: format!("{}; {}: {}", first.detail, second.call, second.detail),
            ..first
        }
    } else {
        second
    }
}

fn is_unknown(failure: &Failure) -> bool {
    failure.kind == FailureKind::Refused && messages::is_unknown(&failure.detail)
}

/// Whether the API has no command line, or none that can be read.
fn lacks_it(failure: &Failure) -> bool {
    failure.kind == FailureKind::Unexpected || is_unknown(failure)
}

/// A word of a command; in quotes where it would be several.
pub(super) fn word(text: &str) -> Result<String, Failure> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return Ok(text.to_owned());
    }
    quoted(text)
}

/// A word of a command, in quotes.
pub(super) fn quoted(text: &str) -> Result<String, Failure> {
    if text.is_empty() || text.contains(|c: char| c.is_control() || c == '"' || c == '\\') {
        let detail = "a name that the command line cannot take";
        return Err(Failure::new(FailureKind::Local, "write a command", detail));
    }
    Ok(format!("\"{text}\""))
}

fn body(lines: &[String]) -> Vec<u8> {
    let mut body = lines.join("\n");
    body.push('\n');
    body.into_bytes()
}

/// A refusal in the words of the command line, which are no envelope.
fn refuse(call: &Request, answer: &Response) -> Result<(), Failure> {
    let text = answer.text();
    let is_words = relaxed_json::json_in(&text).is_none() && !text.contains('{');
    if answer.status == 200 && is_words && messages::is_command_refused(&text) {
        let said = envelope::shortened(&text);
        return Err(call.failure(FailureKind::Refused, said));
    }
    Ok(())
}

fn output(call: &Request, answer: &Response) -> Result<ShowOutput, Failure> {
    let reply = envelope::judge(call, answer)?;
    let text = answer.text();
    match (reply.json, reply.envelope) {
        (Some(json), None) => Ok(ShowOutput::Json(json)),
        (Some(json), Some(_)) if json.as_object().is_some_and(|members| members.len() > 1) => {
            Ok(ShowOutput::Json(json))
        }
        (None, _) if !text.contains('{') => Ok(ShowOutput::Text(text.into_owned())),
        _ => {
            let said = envelope::shortened(&text);
            let detail = format!("not what was to be shown: {said}");
            Err(call.failure(FailureKind::Unexpected, detail))
        }
    }
}

/// In the quirks: what goes by the command line.
const BY_COMMAND: &str = "cli";
/// In the quirks: what goes by a call of its own.
const BY_CALL: &str = "api";
const PATH: &str = "/direct/cli";
const TEXT: &str = "text/plain";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;

    fn what(body: &str) -> Result<ShowOutput, Failure> {
        let call = Request::session(Method::POST, PATH).displayed_as("/direct/cli (show)");
        let answer = Response::saying(200, body);
        refuse(&call, &answer).and_then(|()| output(&call, &answer))
    }

    #[test]
    fn json_and_text_are_distinguished_from_an_envelope_and_from_refusals() {
        let json = serde_json::json!({ "certificate": "fw-1" });
        assert_eq!(
            what(r#"{"certificate":"fw-1"}"#).unwrap(),
            ShowOutput::Json(json)
        );
        assert_eq!(
            what("Name Type").unwrap(),
            ShowOutput::Text("Name Type".to_owned())
        );
        let only_an_envelope =
            r#"{"status":{"success":true,"info":[{"level":"info","message":"Success."}]}}"#;
        assert_eq!(
            what(only_an_envelope).unwrap_err().kind,
            FailureKind::Unexpected
        );
        for refusal in [
            "% Error: Incomplete command.",
            "command 'show' not found",
            "'fw-9' is not a reasonable value",
        ] {
            assert_eq!(what(refusal).unwrap_err().kind, FailureKind::Refused);
        }
        assert_eq!(
            what("{\"certificate\":").unwrap_err().kind,
            FailureKind::Unexpected
        );
    }

    #[test]
    fn a_name_cannot_become_a_second_line() {
        assert_eq!(word("fw-1.a").unwrap(), "fw-1.a");
        assert_eq!(word("fw 1").unwrap(), "\"fw 1\"");
        assert_eq!(quoted("fw-1").unwrap(), "\"fw-1\"");
        for name in ["", "a\nb", "a\"b", "a\\"] {
            assert_eq!(word(name).unwrap_err().kind, FailureKind::Local);
        }
    }
}
