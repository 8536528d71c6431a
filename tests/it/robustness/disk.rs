//! A full disk: nothing is ordered whose intent cannot be stored, no peer gets a request without use, one alert is
//! raised, and renewd continues by itself when there is space.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use jiff::SignedDuration;
use renewd::inventory::State;
use simulators::sonicos::Profile;
use tempfile::TempDir;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use super::{Counting, Running, pause, wait_until};
use crate::command_line::office::Office;
use crate::test_bed::TestBed;

/// A small disk in memory.
pub struct Disk {
    folder: TempDir,
}

impl Disk {
    /// Mounts one of `size`; prints a note and returns nothing where that is not allowed.
    pub fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"])
            .arg(folder.path())
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self { folder });
        }
        println!("skipped: needs the right to mount");
        None
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    /// Takes every byte that is free.
    pub fn fill(&self) {
        let mut filler = fs::File::create(self.filler()).unwrap();
        for size in [1 << 16, 1 << 12, 1] {
            while filler.write_all(&vec![1; size]).is_ok() {}
        }
    }

    pub fn make_room(&self) {
        fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

/// The names of the events that were logged.
#[derive(Debug, Clone, Default)]
struct LoggedEvents(Arc<Mutex<Vec<String>>>);

impl LoggedEvents {
    fn times(&self, event: &str) -> usize {
        let reported = self.0.lock().unwrap();
        reported.iter().filter(|name| *name == event).count()
    }
}

impl<S: tracing::Subscriber> Layer<S> for LoggedEvents {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        struct Name(Option<String>);
        impl Visit for Name {
            fn record_str(&mut self, field: &Field, value: &str) {
                if field.name() == "event" {
                    self.0 = Some(value.to_owned());
                }
            }
            fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
        }
        let mut name = Name(None);
        event.record(&mut name);
        self.0.lock().unwrap().extend(name.0);
    }
}

/// A test bed whose database and state lie on `disk`.
async fn test_bed_on(disk: &Disk) -> (TestBed, TempDir) {
    let mut bed = TestBed::new(Profile::V8).await;
    let elsewhere = tempfile::tempdir_in(disk.path()).unwrap();
    let folder = std::mem::replace(&mut bed.folder, elsewhere);
    bed.write_password(crate::test_bed::PASSWORD);
    bed.set_keys("");
    (bed, folder)
}

// On one thread, so that the log of the daemon's tasks is heard, and of no other test's.
#[tokio::test]
async fn while_the_disk_is_full_nothing_is_begun_and_it_continues_when_there_is_space() {
    let Some(disk) = Disk::mount("8m") else {
        return;
    };
    let (bed, _ca) = test_bed_on(&disk).await;
    let reported = LoggedEvents::default();
    let _log =
        tracing::subscriber::set_default(tracing_subscriber::registry().with(reported.clone()));
    let clock = Counting::new(Arc::clone(&bed.clock));
    let daemon = Running::start(&bed.config_file(), Arc::clone(&clock) as _, || disk.fill()).await;
    wait_until("it is reported", async || {
        reported.times("database_failed") > 0
    })
    .await;
    let turns = clock.asked();
    pause(Duration::from_secs(3)).await;
    assert!(
        clock.asked() - turns < 10,
        "{} wasted turns",
        clock.asked() - turns
    );
    assert_eq!(bed.simulator.counters().requests, 0, "a firewall was asked");
    assert_eq!(bed.signatures(), 0);
    assert_eq!(reported.times("database_failed"), 1);

    disk.make_room();
    wait_until("it is renewed", async || {
        // The daemon sleeps in real time and waits for the device by this clock.
        bed.clock.advance(SignedDuration::from_millis(100));
        bed.renewals()
            .await
            .first()
            .is_some_and(|renewal| renewal.state == State::Completed)
    })
    .await;
    daemon.stop().await;
    bed.assert_renewed_once().await;
    assert_eq!(reported.times("database_failed"), 1, "reported once");
    assert_eq!(reported.times("database_recovered"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_on_a_full_disk_fails_with_advice() {
    let Some(disk) = Disk::mount("8m") else {
        return;
    };
    let office = Office::new().await;
    let there = format!("sqlite://{}", office.folder.path().display());
    let at = format!("sqlite://{}", disk.path().display());
    office.configure(&office.configuration().replacen(&there, &at, 1));
    disk.fill();
    office
        .renewd(&["run", "--once"])
        .with_code(74)
        .complains(&["room"]);
    disk.make_room();
    office.renewd(&["run", "--once"]).with_code(0);
    disk.fill();
    for command in [&["run"][..], &["run", "--once"], &["renew", "hq-portal"]] {
        office.renewd(command).with_code(74).complains(&["full"]);
    }
    disk.make_room();
    office.renewd(&["status"]).with_code(0);
}
