//! What stops `run --once` before anything is done: the exit code, and a last line with the remedy.

use super::office::{CommandOutput, Office};

/// The last line, wherever it is.
fn last(output: &CommandOutput) -> &str {
    let text = if output.stderr.is_empty() {
        &output.stdout
    } else {
        &output.stderr
    };
    text.lines().next_back().unwrap_or_default()
}

#[track_caller]
fn ends(office: &Office, code: i32, parts: &[&str]) {
    let output = office.renewd(&["run", "--once"]);
    let output = output.with_code(code);
    for part in parts {
        assert!(last(&output).contains(part), "no {part:?} in {output:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_has_its_exit_code_and_a_hint() {
    let office = Office::new().await;
    let good = office.configuration();
    office.configure(&good.replace("ca = \"office\"", "ca = \"offic\""));
    ends(&office, 78, &["1 error", "renewd check"]);
    office.configure(&good);
    office.set_mode("hq.password", 0o644);
    ends(&office, 78, &["hq.password", "chmod"]);
    office.set_mode("hq.password", 0o600);
    office.set_mode("renewd.toml", 0o666);
    ends(&office, 78, &["renewd.toml", "chmod"]);
    office.set_mode("renewd.toml", 0o600);
    std::fs::write(office.path("renewd.db"), "no database").unwrap();
    ends(&office, 74, &["damaged", "restore a backup"]);
    std::fs::remove_file(office.path("renewd.db")).unwrap();

    let mut daemon = office.start_service(&["run"], &[]);
    let ready = || {
        std::fs::read_to_string(office.path("log")).is_ok_and(|log| log.contains("daemon_ready"))
    };
    for _ in 0..3000 {
        if ready() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let output = office.renewd(&["run", "--once"]);
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    let output = output.with_code(75);
    assert!(last(&output).contains("renewd"), "{output:#?}");
}
