//! Conversations with a device that plays a script, line by line.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;

use super::Preempt;
use super::dialogue::{Dialogue, Limits};
use super::terminal::Terminal;
use crate::failure::{Failure, FailureKind};
use crate::secret::Secret;

const ORDINARY: &str = "admin@0017C5A1B2C3> ";
const TOP: &str = "config(0017C5A1B2C3)# ";
const MENU: &str = "(config-certificates)# ";
const EDITING: &str = "admin at SonicOS API from 192.0.2.9 is editing.\r\nDo you wish to preempt them (yes/no)?\r\n[no]: ";
const UNCOMMITTED: &str = "Uncommitted changes found, commit them (yes/no/cancel)? [cancel]: ";

/// What is typed, and what the device says to it.
type Script = Vec<(&'static str, String)>;

/// A conversation that has reached its first prompt, with a device that goes on with `script`.
async fn at_the_prompt(script: Script) -> (Dialogue, JoinHandle<()>) {
    let mut whole = vec![("no cli pager session", ORDINARY.to_owned())];
    whole.extend(script);
    let (mut dialogue, device) = before_the_prompt(ORDINARY, whole);
    dialogue.enter(&password()).await.unwrap();
    (dialogue, device)
}

fn before_the_prompt(greeting: &str, script: Script) -> (Dialogue, JoinHandle<()>) {
    let (near, far) = tokio::io::duplex(1 << 16);
    let device = tokio::spawn(play(far, greeting.to_owned(), script));
    let limits = Limits {
        call: Duration::from_secs(20),
        transfer: Duration::from_secs(20),
    };
    let terminal = Terminal::new(Box::new(near), Vec::new());
    let dialogue = Dialogue::new(terminal, "ssh test".to_owned(), "renewd", limits);
    (dialogue, device)
}

/// Repeats each line that is typed, as terminals do, and hangs up at the end of the script.
async fn play(mut line: DuplexStream, greeting: String, script: Script) {
    line.write_all(greeting.as_bytes()).await.unwrap();
    for (expected, answer) in script {
        let mut typed = Vec::new();
        while typed != b" " {
            let byte = line.read_u8().await.unwrap();
            if byte == b'\r' {
                break;
            }
            typed.push(byte);
        }
        assert_eq!(String::from_utf8(typed).unwrap(), expected);
        let echo = if expected == PASSWORD || expected == " " {
            String::new()
        } else {
            format!("{expected}\r\n")
        };
        // In two parts, since a network may tear it anywhere.
        let said = echo + &answer;
        let (first, second) = said.as_bytes().split_at(said.len() / 2);
        line.write_all(first).await.unwrap();
        tokio::task::yield_now().await;
        line.write_all(second).await.unwrap();
    }
}

const PASSWORD: &str = "correct horse";

fn password() -> Secret {
    Secret::new(PASSWORD.to_owned())
}

fn lines(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|&line| line.to_owned()).collect()
}

fn says(words: &str, prompt: &str) -> String {
    format!("{words}\r\n{prompt}")
}

async fn fails(script: Script, typed: &[&str], preempt: Preempt) -> Failure {
    let (mut dialogue, device) = at_the_prompt(script).await;
    let failure = dialogue.run(&lines(typed), preempt).await.unwrap_err();
    dialogue.leave().await.unwrap();
    device.await.unwrap();
    failure
}

#[tokio::test]
async fn lines_are_typed_in_configuration_mode_and_their_answers_come_back_bare() {
    let (mut dialogue, device) = at_the_prompt(vec![
        ("configure", TOP.to_owned()),
        ("certificates", MENU.to_owned()),
        (
            "import ca-cert scp scp://u:pw-1@192.0.2.1/ca.pem",
            says("% Import succeed.", MENU),
        ),
        ("commit", says("\u{1b}[1m% Changes made.\u{1b}[0m", MENU)),
        ("exit", TOP.to_owned()),
        ("exit", ORDINARY.to_owned()),
        ("exit", "% User logout.\r\n".to_owned()),
    ])
    .await;
    let typed = lines(&[
        "certificates",
        "import ca-cert scp scp://u:pw-1@192.0.2.1/ca.pem",
        "commit",
    ]);
    let said = dialogue.run(&typed, Preempt::Never).await.unwrap();
    assert_eq!(said, "% Import succeed.\n% Changes made.\n");
    dialogue.leave().await.unwrap();
    device.await.unwrap();
}

#[tokio::test]
async fn pages_are_turned_where_the_pager_cannot_be_turned_off() {
    let (mut dialogue, device) = at_the_prompt(vec![
        ("configure", TOP.to_owned()),
        ("show certificates status", "one\r\n--MORE--".to_owned()),
        (" ", "\r        \rtwo\r\n--MORE--".to_owned()),
        (" ", says("\r        \rthree", TOP)),
    ])
    .await;
    let said = dialogue
        .run(&lines(&["show certificates status"]), Preempt::Never)
        .await;
    assert_eq!(said.unwrap(), "one\ntwo\nthree\n");
    device.await.unwrap();
}

#[tokio::test]
async fn an_administrator_at_work_keeps_configuration_mode_and_is_named() {
    let failure = fails(
        vec![
            ("configure", EDITING.to_owned()),
            ("no", ORDINARY.to_owned()),
            ("exit", String::new()),
        ],
        &["commit"],
        Preempt::Never,
    )
    .await;
    assert_eq!(failure.kind, FailureKind::Busy);
    let holder = "admin at SonicOS API from 192.0.2.9 is editing";
    assert_eq!(failure.waiting_for.as_deref(), Some(holder));
}

#[tokio::test]
async fn an_idle_administrator_is_preempted_only_where_that_is_allowed() {
    let (mut dialogue, device) = at_the_prompt(vec![
        ("configure", EDITING.to_owned()),
        ("yes", MENU.to_owned()),
        ("exit", TOP.to_owned()),
        ("show version", says("x", TOP)),
    ])
    .await;
    let said = dialogue.run(&lines(&["show version"]), Preempt::Idle).await;
    assert_eq!(said.unwrap(), "x\n");
    device.await.unwrap();
}

#[tokio::test]
async fn no_other_session_is_taken_for_our_own_session_of_the_api() {
    // EDITING names "admin", and we are "renewd".
    let failure = fails(
        vec![
            ("configure", EDITING.to_owned()),
            ("no", ORDINARY.to_owned()),
            ("exit", String::new()),
        ],
        &["commit"],
        Preempt::OwnSession,
    )
    .await;
    assert_eq!(failure.kind, FailureKind::Busy);
    assert!(
        Preempt::OwnSession.takes_from("renewd at SonicOS API from 192.0.2.9 is editing", "renewd")
    );
    assert!(!Preempt::OwnSession.takes_from("renewd at console is editing", "renewd"));
    assert!(Preempt::OwnSession.takes_from("Another user is in configuration mode", "renewd"));
}

#[tokio::test]
async fn no_line_is_typed_after_a_refused_one_and_its_secrets_are_redacted() {
    let import = "import cert-key-pair fw-1 password top-1 scp scp://u:one-time@192.0.2.1/f";
    let said =
        format!("% Status returned processing command:\r\n    {import}\r\n% Error: Import failed.");
    let failure = fails(
        vec![
            ("configure", TOP.to_owned()),
            (import, says(&said, TOP)),
            ("cancel", TOP.to_owned()),
            ("exit", ORDINARY.to_owned()),
            ("exit", String::new()),
        ],
        &[import, "commit"],
        Preempt::Never,
    )
    .await;
    assert_eq!(failure.kind, FailureKind::Refused);
    let reported = failure.to_string();
    assert!(reported.contains("% Error: Import failed."), "{reported}");
    assert!(
        !reported.contains("top-1") && !reported.contains("one-time"),
        "{reported}"
    );
}

#[tokio::test]
async fn a_session_lost_after_a_change_leaves_a_doubt_and_before_it_none() {
    let change = fails(
        vec![
            ("configure", TOP.to_owned()),
            ("commit", "% Applying".to_owned()),
        ],
        &["commit"],
        Preempt::Never,
    )
    .await;
    assert_eq!(change.kind, FailureKind::OutcomeUnknown);
    let look = fails(
        vec![
            ("configure", TOP.to_owned()),
            ("show version", "% Session timed out.\r\n".to_owned()),
        ],
        &["show version"],
        Preempt::Never,
    )
    .await;
    assert_eq!(look.kind, FailureKind::Unreachable);
    assert!(look.detail.contains("Session timed out"), "{look}");
}

#[tokio::test]
async fn uncommitted_changes_of_ours_are_given_up() {
    let (mut dialogue, device) = at_the_prompt(vec![
        ("configure", TOP.to_owned()),
        ("certificate name fw-1", TOP.to_owned()),
        ("cancel", says("% Incomplete command.", TOP)),
        ("exit", UNCOMMITTED.to_owned()),
        ("no", ORDINARY.to_owned()),
        ("exit", String::new()),
    ])
    .await;
    let typed = lines(&["certificate name fw-1"]);
    dialogue.run(&typed, Preempt::Never).await.unwrap();
    dialogue.leave().await.unwrap();
    device.await.unwrap();
}

#[tokio::test]
async fn uncommitted_changes_of_another_administrator_are_left_as_they_are() {
    let (mut dialogue, device) = at_the_prompt(vec![
        ("configure", TOP.to_owned()),
        ("show version", says("x", TOP)),
        ("exit", UNCOMMITTED.to_owned()),
        ("cancel", TOP.to_owned()),
    ])
    .await;
    let looked = dialogue
        .run(&lines(&["show version"]), Preempt::Never)
        .await;
    assert_eq!(looked.unwrap(), "x\n");
    let failure = dialogue.leave().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Busy);
    assert_eq!(
        failure.waiting_for.as_deref(),
        Some("another administrator")
    );
    device.await.unwrap();
}

#[tokio::test]
async fn a_question_that_is_not_known_is_declined() {
    let failure = fails(
        vec![
            ("configure", TOP.to_owned()),
            (
                "no certificate \"fw-1\"",
                "Restart now (yes/cancel)? ".to_owned(),
            ),
            ("cancel", TOP.to_owned()),
            ("cancel", TOP.to_owned()),
            ("exit", ORDINARY.to_owned()),
            ("exit", String::new()),
        ],
        &["no certificate \"fw-1\""],
        Preempt::Never,
    )
    .await;
    assert_eq!(failure.kind, FailureKind::Unexpected);
    assert!(failure.detail.contains("Restart now"), "{failure}");
}

#[tokio::test]
async fn a_device_that_asks_in_the_terminal_is_answered_once() {
    let greeting = "Copyright\r\nAccept The Policy Banner (yes)? ";
    let right = vec![
        ("yes", "User: ".to_owned()),
        ("renewd", "Password: ".to_owned()),
        (PASSWORD, says("", ORDINARY)),
        ("no cli pager session", ORDINARY.to_owned()),
    ];
    let (mut dialogue, device) = before_the_prompt(greeting, right);
    dialogue.enter(&password()).await.unwrap();
    device.await.unwrap();

    let wrong = vec![(PASSWORD, "\r\nAccess denied\r\nPassword: ".to_owned())];
    let (mut dialogue, device) = before_the_prompt("Password: ", wrong);
    let failure = dialogue.enter(&password()).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unauthorized);
    device.await.unwrap();
}

#[tokio::test]
async fn a_locked_account_is_no_broken_connection() {
    let farewell = "% Maximum login attempts exceeded.\r\n";
    let (mut dialogue, device) = before_the_prompt(farewell, Vec::new());
    let failure = dialogue.enter(&password()).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unauthorized);
    device.await.unwrap();
}

#[tokio::test]
async fn a_line_with_a_line_break_in_it_is_not_typed() {
    let (mut dialogue, device) = at_the_prompt(vec![("exit", String::new())]).await;
    let typed = lines(&["show version\rcommit"]);
    let failure = dialogue.run(&typed, Preempt::Never).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Local);
    dialogue.leave().await.unwrap();
    device.await.unwrap();
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let endless = "x".repeat(5 << 18);
    let (mut dialogue, device) = at_the_prompt(vec![
        ("configure", TOP.to_owned()),
        ("show version", endless),
    ])
    .await;
    let failure = dialogue
        .run(&lines(&["show version"]), Preempt::Never)
        .await;
    assert_eq!(failure.unwrap_err().kind, FailureKind::Unexpected);
    device.abort();
}
