//! What a device says on its command line, under any input: the bodies of fuzz targets.
#![allow(
    clippy::missing_panics_doc,
    reason = "a property that does not hold is a panic"
)]

use std::io::Cursor;
use std::time::Duration;

use super::answer::{is_refused_login, refusal};
use super::output_filter::{after_echo, visible};
use super::prompt::Prompt;
use super::redactor::Redactor;
use super::terminal::Terminal;
use crate::secret::Secret;

/// A line that was typed, and what came: what is shown of it has no control characters, is no longer than it was, and reads
/// the same when it is read again.
pub fn screen(data: &[u8]) {
    let raw = String::from_utf8_lossy(data);
    let (typed, raw) = raw.split_once('\u{0}').unwrap_or(("commit", &raw));
    let rest = after_echo(raw, typed);
    assert!(raw.ends_with(rest), "{raw:?}");
    let screen = visible(rest);
    assert!(screen.len() <= rest.len());
    let is_plain = |c: char| c == '\n' || !c.is_control();
    assert!(screen.chars().all(is_plain), "{screen:?}");
    assert_eq!(visible(&screen), screen);
    if let Some(Prompt::Question(question) | Prompt::Uncommitted(question)) = Prompt::of(&screen) {
        let answers = ["yes", "no", "cancel"];
        assert!(answers.contains(&question.declining()));
        assert!(question.words.len() <= screen.len());
    }
    if let Some(words) = refusal(&screen) {
        assert!(words.len() <= screen.len() && !words.contains('\n'));
    }
    let _ = is_refused_login(&screen);
    wait(data);
}

/// A terminal at which a device says all of `data` and hangs up: it comes to an end, and types no more than the device asked
/// for.
fn wait(data: &[u8]) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
    else {
        return;
    };
    let line = tokio::io::join(Cursor::new(data.to_vec()), tokio::io::sink());
    let mut terminal = Terminal::new(Box::new(line), Vec::new());
    let waited = runtime.block_on(terminal.wait(Duration::from_mins(1)));
    if let Ok(screen) = waited {
        assert!(screen.prompt != Prompt::Pager);
        // What is not UTF-8 is shown as a sign of three bytes.
        assert!(screen.text.len() <= 3 * data.len());
    }
}

/// What came before and after a password, in any spelling of a terminal: it is cut out.
pub fn redactor(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (before, after) = text.split_once('\n').unwrap_or((&text, ""));
    let mut redactor = Redactor::about(&Secret::new(PASSWORD.to_owned()));
    let typed = format!("export x scp scp://r1:{ONE_TIME}@192.0.2.1/f password \"{WORD}\"");
    redactor.learn(&typed);
    redactor.learn(before);
    let broken = PASSWORD.replace(' ', "\r\n ");
    let said = format!("{before}{PASSWORD}{after}{broken} {typed}{after}");
    let reported = redactor.cut(&said);
    for secret in [PASSWORD, &broken, ONE_TIME, WORD] {
        assert!(!reported.contains(secret), "{reported}");
    }
}

const PASSWORD: &str = "correct horse battery";
const ONE_TIME: &str = "kq3xv7onetime";
const WORD: &str = "P1XYZWORD";
