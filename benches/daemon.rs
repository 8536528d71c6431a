//! How soon is the daemon ready with a large fleet, and how much memory does it take? Measured from outside, on the
//! program itself: the time from its start to READY=1, and what /proc says of it, also while it probes the whole fleet.

#![allow(clippy::unwrap_used, reason = "a bench stops at the first surprise")]

mod fleet;

use std::fs::{self, File};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const CERTIFICATES: usize = 10_000;
const STARTS: usize = 5;
/// Half a second to be ready.
const START_LIMIT: Duration = Duration::from_millis(500);
const MEMORY_LIMIT_KIB: u64 = 40 * 1024;
/// The first probe of a whole fleet, and the second look a minute after it failed, end well before this.
const SETTLED_LIMIT: Duration = Duration::from_mins(10);
/// A daemon that uses less than this share of a processor for this long has settled.
const QUIET_FOR: Duration = Duration::from_secs(75);
const QUIET_TICKS: u64 = 75;

fn main() -> ExitCode {
    println!(
        "{CERTIFICATES} certificates on as many firewalls; limits: {START_LIMIT:?}, {MEMORY_LIMIT_KIB} KiB"
    );
    let mut is_within = true;
    for (words, layout) in [
        ("one file", Layout::OneFile),
        ("a file each in conf.d", Layout::FilePerFirewall),
    ] {
        println!("\n{words}");
        let bed = TestBed::new(layout);
        is_within &= bed.starts("new database", true);
        is_within &= bed.starts("known database", false);
        is_within &= bed.memory();
    }
    ExitCode::from(u8::from(!is_within))
}

/// How a fleet is written down.
#[derive(Clone, Copy)]
enum Layout {
    /// Everything in `renewd.toml`.
    OneFile,
    /// One file in `conf.d` for each firewall.
    FilePerFirewall,
}

/// A folder with the configuration, and a socket in the place of the service manager's.
struct TestBed {
    folder: TempDir,
    manager: UnixDatagram,
}

impl TestBed {
    fn new(layout: Layout) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut main = fleet::head(folder.path());
        let members = (0..CERTIFICATES).map(fleet::member);
        match layout {
            Layout::OneFile => main.extend(members),
            Layout::FilePerFirewall => {
                let conf_d = folder.path().join("conf.d");
                fs::create_dir(&conf_d).unwrap();
                for (n, text) in members.enumerate() {
                    fs::write(conf_d.join(format!("{n:06}.toml")), text).unwrap();
                }
            }
        }
        fs::write(folder.path().join("renewd.toml"), main).unwrap();
        let manager = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        Self { folder, manager }
    }

    /// Starts the daemon a few times and prints how soon it was ready. Returns whether the median is within the limit.
    fn starts(&self, words: &str, is_new: bool) -> bool {
        let mut took: Vec<Duration> = (0..STARTS)
            .map(|_| {
                if is_new {
                    self.forget();
                }
                let (daemon, took) = self.start();
                self.stop(daemon);
                took
            })
            .collect();
        took.sort_unstable();
        let [median, shortest, longest] =
            [took[STARTS / 2], took[0], took[STARTS - 1]].map(|took| took.as_millis());
        println!("  ready with a {words:14}: {median} ms ({shortest} to {longest})");
        took[STARTS / 2] <= START_LIMIT
    }

    /// Lets a daemon with a new database probe the whole fleet until it rests; whether it stayed within the limit.
    fn memory(&self) -> bool {
        self.forget();
        let (daemon, _) = self.start();
        let ready = resident_kib(daemon.id(), "VmRSS");
        let (while_probing, settled) = self.watch(&daemon);
        let highest = resident_kib(daemon.id(), "VmHWM");
        self.stop(daemon);
        println!("  resident when ready       : {ready} KiB");
        println!("  resident while probing all: {while_probing} KiB at most");
        println!("  resident when settled     : {settled} KiB");
        println!("  highest, as it was read in: {highest} KiB");
        let (daemon, _) = self.start();
        self.pause(Duration::from_secs(5));
        let again = resident_kib(daemon.id(), "VmRSS");
        self.stop(daemon);
        println!("  resident after a restart  : {again} KiB");
        ready.max(while_probing).max(settled).max(again) <= MEMORY_LIMIT_KIB
    }

    /// The most that was seen until the daemon rests, and what is left then.
    fn watch(&self, daemon: &Child) -> (u64, u64) {
        let start = Instant::now();
        let mut most = 0;
        let mut quiet_since = (Instant::now(), processor_ticks(daemon.id()));
        while start.elapsed() < SETTLED_LIMIT {
            self.pause(Duration::from_millis(200));
            most = most.max(resident_kib(daemon.id(), "VmRSS"));
            let used = processor_ticks(daemon.id());
            if used - quiet_since.1 > QUIET_TICKS {
                quiet_since = (Instant::now(), used);
            } else if quiet_since.0.elapsed() > QUIET_FOR {
                break;
            }
        }
        (most, resident_kib(daemon.id(), "VmRSS"))
    }

    fn start(&self) -> (Child, Duration) {
        let start = Instant::now();
        let daemon = Command::new(program())
            .args(["--log-format", "json", "--config"])
            .arg(self.folder.path().join("renewd.toml"))
            .arg("run")
            .env("NOTIFY_SOCKET", self.folder.path().join("notify"))
            .env_remove("JOURNAL_STREAM")
            .stdout(Stdio::null())
            .stderr(File::create(self.folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        self.manager
            .set_read_timeout(Some(Duration::from_mins(1)))
            .unwrap();
        self.wait_for("READY=1");
        (daemon, start.elapsed())
    }

    fn stop(&self, mut daemon: Child) {
        let id = daemon.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        let ended = daemon.wait().unwrap();
        assert!(ended.success(), "{ended}: {}", self.log());
        self.drain();
    }

    fn wait_for(&self, state: &str) {
        let mut message = [0; 4096];
        loop {
            let Ok(length) = self.manager.recv(&mut message) else {
                panic!("the daemon did not say {state}: {}", self.log());
            };
            if String::from_utf8_lossy(&message[..length])
                .lines()
                .any(|line| line == state)
            {
                return;
            }
        }
    }

    fn drain(&self) {
        self.manager.set_nonblocking(true).unwrap();
        while self.manager.recv(&mut [0; 4096]).is_ok() {}
        self.manager.set_nonblocking(false).unwrap();
    }

    /// The end of the daemon's log.
    fn log(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        log.lines().rev().take(3).collect::<Vec<_>>().join("\n")
    }

    fn forget(&self) {
        for suffix in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(self.folder.path().join(format!("renewd.db{suffix}")));
        }
    }

    #[allow(
        clippy::disallowed_methods,
        clippy::unused_self,
        reason = "an observer outside the daemon has nothing else to wait for"
    )]
    fn pause(&self, how_long: Duration) {
        std::thread::sleep(how_long);
    }
}

/// The program that cargo built, or the one that `RENEWD` names.
fn program() -> PathBuf {
    std::env::var_os("RENEWD").map_or_else(
        || Path::new(env!("CARGO_BIN_EXE_renewd")).to_owned(),
        PathBuf::from,
    )
}

/// A line of /proc/PID/status (proc_pid_status(5)), in KiB.
fn resident_kib(process: u32, line: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let value = status
        .lines()
        .find_map(|found| found.strip_prefix(line)?.strip_prefix(':'));
    value
        .and_then(|value| value.split_whitespace().next()?.parse().ok())
        .unwrap()
}

/// What the process has used of processors so far, in hundredths of a second (proc_pid_stat(5), utime and stime).
fn processor_ticks(process: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().unwrap())
        .sum()
}
