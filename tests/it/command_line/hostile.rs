//! A device that sends terminal escape sequences, text that forges log lines, and responses without end.

use renewd::sanitize::is_unsafe;
use simulators::sonicos::{Action, Profile, Rule, Settings, Simulator, Variants};

use super::office::{CommandOutput, Office, PASSWORD};

/// Clears the screen, hides, reorders, and begins a line that looks like one of ours.
const HOSTILE: &str =
    "TZ\u{1b}[2J\u{202e}\u{200b}\u{2028}\u{85}\u{9b}\nok      forged: line\r\n[[ca]]\n";

async fn office() -> Office {
    let mut office = Office::with(Variants::kind()).await;
    let mut settings = Settings::new(Profile::V8);
    settings.variants = Variants::kind();
    PASSWORD.clone_into(&mut settings.password);
    "vpn.example.com\u{202e}\u{200b}moc".clone_into(&mut settings.initial.common_name);
    office.simulator = Simulator::start(settings).await.unwrap();
    office.configure(&office.configuration());
    office
}

fn version(model: &str) -> Action {
    let body = serde_json::json!({
        "firmware_version": "SonicOSX 8.2.1-8010", "model": model, "serial_number": model, "system_time": model,
        "last_modified_by": model,
    });
    Action::Status(200, body.to_string(), Vec::new())
}

#[track_caller]
fn assert_harmless(output: &CommandOutput) {
    for text in [&output.stdout, &output.stderr] {
        assert!(
            !text.contains(|c: char| c != '\n' && is_unsafe(c)),
            "{text:?}"
        );
        for start in ["ok      forged", "[[ca]]"] {
            assert!(
                !text
                    .lines()
                    .any(|line| line.trim_start().starts_with(start)),
                "{text}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn text_of_a_peer_reaches_the_terminal_without_escape_sequences_and_forges_no_line() {
    let office = office().await;
    let rule = Rule::once("GET", "/version", version(HOSTILE));
    office.simulator.rule(rule.repeated(0, 100));
    let address = office.simulator.management().to_string();
    let output = office.renewd(&["probe", &address]).with_code(0);
    assert_harmless(&output.prints(&["CN=vpn.example.com", "moc"]));
    assert_harmless(&office.renewd(&["probe", &address, "--json"]).with_code(0));
    let output = office.renewd(&["check", "--online"]);
    assert_harmless(&output.prints(&["TZ", "forged: line"]));
    assert_harmless(&office.renewd(&["discover", "hq"]).with_code(0));
    assert_harmless(&office.renewd(&["run", "--once", "--log", "debug", "--log-format", "text"]));
    for arguments in [
        &["show", "hq-portal"][..],
        &["show", "hq-portal", "--json"],
        &["show", "--firewall", "hq"],
        &["show", "--firewall", "hq", "--json"],
        &["status"],
        &["explain", "hq-portal"],
    ] {
        assert_harmless(&office.renewd(arguments));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_discover_prints_is_a_document_of_the_expected_tables_only() {
    let office = office().await;
    let rule = Rule::once("GET", "/version", version(HOSTILE));
    office.simulator.rule(rule.repeated(0, 100));
    let output = office.renewd(&["discover", "hq"]).with_code(0);
    let document: toml::Table = output.stdout.parse().unwrap();
    assert_eq!(document.keys().collect::<Vec<_>>(), ["certificate"]);
    let certificates = document["certificate"].as_array().unwrap();
    let name = certificates[0]["subject"]["common_name"].as_str();
    assert_eq!(name, Some("vpn.example.com\u{202e}\u{200b}moc"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_of_megabytes_is_neither_stored_nor_printed() {
    let office = Office::new().await;
    let rule = Rule::once("GET", "/version", version(&"x".repeat(1 << 20)));
    office.simulator.rule(rule.repeated(0, 100));
    office.renewd(&["run", "--once"]);
    let shown = office
        .renewd(&["show", "--firewall", "hq", "--json"])
        .with_code(0);
    let model = shown.json()["identity"]["model"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        model.starts_with("xxx") && model.chars().count() <= 257,
        "{}",
        model.len()
    );
    let output = office.renewd(&["check", "--online"]);
    assert!(output.stdout.len() < 10_000, "{}", output.stdout.len());
    let database = std::fs::read(office.path("renewd.db")).unwrap();
    let megabyte = "x".repeat(10_000).into_bytes();
    assert!(
        !database
            .windows(megabyte.len())
            .any(|window| window == megabyte)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dense_answer_before_the_login_is_refused_and_takes_no_memory() {
    let office = Office::new().await;
    let dense = format!("[{}0]", "{\"\":0},".repeat(1 << 20));
    for (method, path) in [("GET", "/version"), ("POST", "/auth"), ("", "")] {
        let action = Action::Status(200, dense.clone(), Vec::new());
        office
            .simulator
            .rule(Rule::once(method, path, action).repeated(0, 4));
        let mut command = super::office::renewd(office.folder.path());
        command.args(["check", "--online"]);
        let child = command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let peak = peak_kib(child.id());
        let output = child.wait_with_output().unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(stdout.contains("the answer "), "{stdout}");
        assert!(peak < 128 << 10, "{peak} KiB");
    }
}

/// The most memory that the process took, looked at until it ends.
fn peak_kib(process: u32) -> u64 {
    let mut peak = 0;
    while let Ok(status) = std::fs::read_to_string(format!("/proc/{process}/status")) {
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        // A process that has ended has no memory any more.
        let Some(line) = line else { break };
        let number = line.split_whitespace().nth(1).unwrap();
        peak = peak.max(number.parse().unwrap());
        std::thread::yield_now();
    }
    peak
}
