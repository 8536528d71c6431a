//! The daemon as a service manager sees it: ready, fed watchdog, reload, stop, one at a time.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::office::Office;

/// A running daemon; it is killed when the test ends, however it ends.
pub struct Running {
    child: Child,
    pub notices: Receiver<String>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// Starts `renewd run` as systemd does, and waits until it reports that it is ready.
    pub fn start(office: &Office) -> Self {
        let notices = listen(&office.path("notify"));
        let environment = [
            ("NOTIFY_SOCKET", office.path("notify").display().to_string()),
            ("WATCHDOG_USEC", "600000".to_owned()),
        ];
        let child = office.start_service(&["run"], &environment);
        let running = Self { child, notices };
        running.wait_for_notice("READY=1");
        running
    }

    pub fn wait_for_notice(&self, wanted: &str) {
        loop {
            let notice = self.notices.recv_timeout(PATIENCE).expect(wanted);
            if notice.lines().any(|line| line == wanted) {
                return;
            }
        }
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill")
            .args(["-s", name, &pid])
            .status()
            .unwrap();
        assert!(status.success());
    }
}

/// Reads notifications at once, as the service manager does. A full socket would block the daemon.
fn listen(path: &Path) -> Receiver<String> {
    let socket = UnixDatagram::bind(path).unwrap();
    let (heard, notices) = channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length) = socket.recv(&mut buffer) {
            let notice = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if heard.send(notice).is_err() {
                return;
            }
        }
    });
    notices
}

/// Waits until the log holds `wanted`.
pub async fn wait_for_log(office: &Office, wanted: &str) -> String {
    let started = Instant::now();
    loop {
        let log = std::fs::read_to_string(office.path("log")).unwrap();
        if log.contains(wanted) {
            return log;
        }
        assert!(started.elapsed() < PATIENCE, "no {wanted} in {log}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_reports_ready_feeds_its_watchdog_renews_and_stops_on_request() {
    let office = Office::new().await;
    let mut daemon = Running::start(&office);
    daemon.wait_for_notice("WATCHDOG=1");
    wait_for_log(&office, "\"event\":\"renewal_completed\"").await;
    daemon.wait_for_notice("WATCHDOG=1");
    let output = Instant::now();
    daemon.signal("TERM");
    daemon.wait_for_notice("STOPPING=1");
    let status = daemon.child.wait().unwrap();
    assert!(output.elapsed() < Duration::from_secs(20));
    assert_eq!(status.code(), Some(0));
    wait_for_log(&office, "\"event\":\"daemon_stopping\"").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_applied_and_an_invalid_one_is_not() {
    let office = Office::new().await;
    let daemon = Running::start(&office);
    wait_for_log(&office, "\"event\":\"renewal_completed\"").await;
    let renamed = office
        .configuration()
        .replace("\"hq-portal\"", "\"hq-renamed\"");
    office.configure(&renamed);
    daemon.signal("HUP");
    daemon.wait_for_notice("READY=1");
    let log = wait_for_log(&office, "\"event\":\"configuration_reloaded\"").await;
    assert!(
        log.contains("\"event\":\"certificate_removed\",\"certificate\":\"hq-portal\""),
        "{log}"
    );
    assert!(
        log.contains("\"event\":\"certificate_added\",\"certificate\":\"hq-renamed\""),
        "{log}"
    );

    office.configure(&renamed.replace("size = 256", "size = 257"));
    daemon.signal("HUP");
    daemon.wait_for_notice("READY=1");
    let log = wait_for_log(&office, "\"event\":\"configuration_refused\"").await;
    let refused = log
        .lines()
        .find(|line| line.contains("configuration_refused"))
        .unwrap();
    assert!(
        refused.contains("renewd.toml:") && refused.contains("257"),
        "{refused}"
    );
    assert!(refused.contains("stays in force"), "{refused}");

    office.configure(&renamed);
    office
        .renewd(&["status"])
        .with_code(0)
        .prints(&["hq-renamed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_changes_scan_and_log_and_names_what_needs_a_restart() {
    let office = Office::new().await;
    let seldom = office
        .configuration()
        .replace("[daemon]", "[daemon]\nscan = \"0 0 0 1 1 *\"");
    office.configure(&seldom);
    let daemon = Running::start(&office);
    let log = wait_for_log(&office, "\"event\":\"renewal_completed\"").await;
    assert!(!log.contains("\"level\":\"DEBUG\""), "{log}");
    let often = "scan = \"* * * * * *\"\nlog = \"debug\"";
    let often = seldom.replace("scan = \"0 0 0 1 1 *\"", often);
    office.configure(&often);
    daemon.signal("HUP");
    daemon.wait_for_notice("READY=1");
    wait_for_log(&office, "\"event\":\"configuration_reloaded\"").await;
    let first = office.simulator.fingerprint();
    office.renewd(&["renew", "hq-portal"]).with_code(0);
    let started = Instant::now();
    while office.simulator.fingerprint() == first {
        assert!(started.elapsed() < PATIENCE, "the new scan does not count");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    wait_for_log(&office, "\"level\":\"DEBUG\"").await;

    let elsewhere = "[daemon]\ndatabase_password = { env = \"HOME\" }";
    office.configure(&often.replace("[daemon]", elsewhere));
    daemon.signal("HUP");
    let log = wait_for_log(&office, "\"event\":\"configuration_refused\"").await;
    let refused = log
        .lines()
        .find(|line| line.contains("configuration_refused"));
    let refused = refused.unwrap();
    assert!(
        refused.contains("`database_password` takes effect after a restart"),
        "{refused}"
    );
    drop(daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_is_refused_while_read_only_commands_and_requests_work() {
    let office = Office::new().await;
    let text = office
        .configuration()
        .replace("[daemon]", "[daemon]\nscan = \"* * * * * *\"");
    office.configure(&text);
    let daemon = Running::start(&office);
    wait_for_log(&office, "\"event\":\"renewal_completed\"").await;
    for arguments in [&["run"][..], &["run", "--once"]] {
        office
            .renewd(arguments)
            .with_code(75)
            .complains(&["another renewd"]);
    }
    office
        .renewd(&["status"])
        .with_code(0)
        .prints(&["hq-portal"]);
    let first = office.simulator.fingerprint();
    office.renewd(&["renew", "hq-portal"]).with_code(0);
    let started = Instant::now();
    while office.simulator.fingerprint() == first {
        assert!(started.elapsed() < PATIENCE, "the request was not heard");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(daemon);
}

/// Longer than anything here takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(30);
