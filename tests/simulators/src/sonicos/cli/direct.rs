//! `POST /direct/cli`: the command line over the API (SonicOS reference 3.9), in the API's own session.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::{COMMAND_SUCCEEDED, Shell, Step, masked, show};
use crate::sonicos::decorate::wants_text;
use crate::sonicos::device::Device;
use crate::sonicos::wire::{Handled, Refusal, Reply, Request};

/// Lines that are being run, and what was said so far.
#[derive(Debug)]
struct Run {
    shell: Shell,
    lines: VecDeque<String>,
    /// What the actions said, as entries of `info`.
    said: Vec<Value>,
    /// What the last line showed, if it was one that shows something.
    shown: Option<Value>,
    /// Whether a `show` answers as text.
    as_text: bool,
    /// For the journal.
    note: String,
}

impl Device {
    /// 3.9: the lines of the body one by one. guess: it stops at the first that is refused; what was done stays done.
    pub(in crate::sonicos) fn run_lines(&mut self, request: &Request) -> Handled {
        // guess: another content type is refused.
        if !request
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("text/plain"))
        {
            return Err(Refusal::new(400, "Content-Type text/plain is expected."));
        }
        let body = String::from_utf8_lossy(&request.body);
        let run = Run {
            shell: Shell::of_api(),
            lines: body.lines().map(str::to_owned).collect(),
            said: Vec::new(),
            shown: None,
            as_text: self.variants.cli_shows_text || wants_text(request),
            note: body.lines().map(masked).collect::<Vec<_>>().join("; "),
        };
        run.go_on(self)
    }
}

impl Run {
    /// Runs the remaining lines. When a line requires a transfer, the rest follows after it.
    fn go_on(mut self, device: &mut Device) -> Handled {
        while let Some(line) = self.lines.pop_front() {
            match self.shell.act(device, &line) {
                Ok(Step::Acted(reply)) => {
                    return reply.and_then(device, |device, handled| match handled {
                        Ok(reply) => self.acted(&reply).go_on(device),
                        Err(refusal) => Ok(self.refused(refusal)),
                    });
                }
                Ok(Step::Shown(value)) => self.shown = Some(value),
                // Over the API no user can answer. No line asks a question.
                Ok(Step::Quiet | Step::Asks(_)) => {}
                Ok(Step::Over) => break,
                Err(refusal) => return Ok(self.refused(refusal)),
            }
        }
        match device.commit_automatically() {
            Ok(()) => Ok(self.reply()),
            Err(refusal) => Ok(self.refused(refusal)),
        }
    }

    fn acted(mut self, reply: &Reply) -> Self {
        let message = reply.message().unwrap_or(COMMAND_SUCCEEDED);
        self.said
            .push(json!({"level": "info", "code": "E_OK", "message": message}));
        self.shown = None;
        self
    }

    /// 3.9: the object of a `show`; for actions the envelope with one entry each, the last of which is the result.
    fn reply(mut self) -> Reply {
        let reply = match self.shown {
            Some(shown) if self.as_text => {
                let text = show::lines(&shown).join("\n") + "\n";
                Reply::file("text/plain; charset=UTF-8", text.into_bytes())
            }
            Some(shown) => Reply::json(shown),
            None => match self.said.pop() {
                Some(result) => Reply::succeeded(result),
                None => Reply::done(COMMAND_SUCCEEDED),
            },
        };
        Reply {
            earlier: self.said,
            ..reply.noted(self.note)
        }
    }

    fn refused(self, refusal: Refusal) -> Reply {
        let note = format!("{}: {}", self.note, refusal.message);
        Reply {
            earlier: self.said,
            ..Reply::from(refusal).noted(note)
        }
    }
}
