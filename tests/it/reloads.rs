//! A reload at any moment: what is under way ends the same, and what waits does so by the configuration in force.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::SignedDuration;
use renewd::clock::Clock;
use renewd::daemon::{Command, Daemon, LogFilter};
use renewd::inventory::State;
use renewd::renewal::{Checkpoint, Moment, NoCheckpoint, Step};
use renewd::store::CommitObserver;
use simulators::sonicos::{Port, Profile};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use tokio::sync::mpsc;

use crate::test_bed::{CERTIFICATE, TestBed, replace_file};

/// Never opens while a test runs.
const SHUT: &str =
    "maintenance_window = { start = \"0 2 * * TUE\", duration = \"1h\", time_zone = \"UTC\" }";

/// A daemon that runs, as under a service manager, with a clock that is moved for it.
pub struct Running {
    command_sender: mpsc::Sender<Command>,
    daemon: tokio::task::JoinHandle<()>,
    moves: tokio::task::JoinHandle<()>,
}

impl Running {
    pub async fn start(
        bed: &TestBed,
        checkpoint: Arc<dyn Checkpoint>,
        command_sender: (mpsc::Sender<Command>, mpsc::Receiver<Command>),
    ) -> Self {
        let file = bed.config_file();
        let daemon = Daemon::start_with(&file, bed.config(), bed.env(), checkpoint)
            .await
            .unwrap();
        let (command_sender, commands) = command_sender;
        let daemon = tokio::spawn(async move { daemon.run_with(commands).await.unwrap() });
        let (clock, look) = (Arc::clone(&bed.clock), command_sender.clone());
        let moves = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                clock.advance(SignedDuration::from_millis(500));
                let _ = look.try_send(Command::Tick);
            }
        });
        Self {
            command_sender,
            daemon,
            moves,
        }
    }

    pub async fn stop(self) {
        self.moves.abort();
        self.command_sender.send(Command::Shutdown).await.unwrap();
        self.daemon.await.unwrap();
    }
}

/// Has the configuration read again, and returns when that is done.
async fn reload(command_sender: &mpsc::Sender<Command>) {
    // A channel with room for one: the third is taken in only when the first was dealt with.
    for meaning in [Command::Reload, Command::Tick, Command::Tick] {
        command_sender.send(meaning).await.unwrap();
    }
}

pub fn channel() -> (mpsc::Sender<Command>, mpsc::Receiver<Command>) {
    mpsc::channel(1)
}

pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let patience = tokio::time::Instant::now() + Duration::from_mins(1);
    while !is_so().await {
        assert!(tokio::time::Instant::now() < patience, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Changes the file and has it read at one moment, once; and writes down every moment.
struct Reloads {
    at: Option<Moment>,
    file: std::path::PathBuf,
    text: String,
    command_sender: mpsc::Sender<Command>,
    is_done: AtomicBool,
    moments: Mutex<Vec<Moment>>,
}

impl std::fmt::Debug for Reloads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reloads")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl CommitObserver for Reloads {}

#[async_trait]
impl Checkpoint for Reloads {
    async fn pass(&self, moment: Moment) {
        let mut is_new = false;
        if let Ok(mut moments) = self.moments.lock() {
            is_new = !moments.contains(&moment);
            moments.push(moment);
        }
        if self.at == Some(moment) && is_new {
            replace_file(&self.file, &self.text);
            reload(&self.command_sender).await;
            self.is_done.store(true, Ordering::SeqCst);
        }
    }
}

/// What a reload changes, as text to find and text to put in its place. None of it is a reason to start again.
const CHANGES: [(&str, &str); 4] = [
    (
        "[daemon]",
        "[daemon]\nprobe_interval = \"2h\"\nmax_concurrent_renewals = 3",
    ),
    ("verify_timeout = \"5s\"", "verify_timeout = \"7s\""),
    (
        "user = \"renewd\"",
        "user = \"renewd\", call_timeout = \"19s\"",
    ),
    (
        "\n[[certificate]]",
        "maintenance_window = { start = \"0 0 * * *\", duration = \"24h\", time_zone = \"UTC\" }\n[[certificate]]",
    ),
];

/// A whole renewal with a reload at this moment; every moment that it passed.
async fn renewed_with_a_reload(at: Option<Moment>, change: (&str, &str)) -> Vec<Moment> {
    let bed = TestBed::new(Profile::V8).await;
    let text = std::fs::read_to_string(bed.config_file()).unwrap();
    let changed = text.replacen(change.0, change.1, 1);
    assert_ne!(changed, text);
    let (command_sender, commands) = channel();
    let reloads = Arc::new(Reloads {
        at,
        file: bed.config_file(),
        text: changed,
        command_sender: command_sender.clone(),
        is_done: AtomicBool::new(at.is_none()),
        moments: Mutex::default(),
    });
    let running = Running::start(&bed, Arc::clone(&reloads) as _, (command_sender, commands)).await;
    until(&format!("a renewal with a reload at {at:?}"), async || {
        let renewals = bed.renewals().await;
        let is_over = renewals
            .first()
            .is_some_and(|renewal| renewal.state.is_end());
        is_over && reloads.is_done.load(Ordering::SeqCst)
    })
    .await;
    running.stop().await;
    bed.assert_renewed_once().await;
    let moments = reloads.moments.lock().unwrap();
    moments.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_at_any_moment_of_any_step_changes_nothing_of_a_renewal() {
    let mut moments = renewed_with_a_reload(None, CHANGES[0]).await;
    let mut seen = std::collections::HashSet::new();
    moments.retain(|moment| seen.insert(*moment));
    assert!(moments.len() > 25, "{moments:?}");
    for (number, moment) in moments.into_iter().enumerate() {
        renewed_with_a_reload(Some(moment), CHANGES[number % CHANGES.len()]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_cannot_be_stored_leaves_the_log_as_it_was() {
    let bed = TestBed::new(Profile::V8).await;
    let filters: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = Arc::clone(&filters);
    let filter = LogFilter::new(move |filter| {
        noted.lock().unwrap().push(filter.to_owned());
        Ok(())
    });
    let checkpoint = Arc::new(NoCheckpoint);
    let file = bed.config_file();
    let daemon = Daemon::start_with(&file, bed.config(), bed.env(), checkpoint);
    let daemon = daemon.await.unwrap().with_log(filter);
    let (command_sender, commands) = channel();
    let running = tokio::spawn(async move { daemon.run_with(commands).await.unwrap() });
    let refuse = "CREATE TRIGGER refuse BEFORE UPDATE OF hash ON certificate BEGIN SELECT RAISE(ABORT, 'no'); END";
    execute(&bed, refuse).await;
    let text = std::fs::read_to_string(&file).unwrap();
    let changed = text.replacen("[daemon]", "[daemon]\nlog = \"debug\"", 1);
    let changed = changed.replacen("verify_timeout = \"5s\"", "verify_timeout = \"7s\"", 1);
    replace_file(&file, &changed);
    reload(&command_sender).await;
    assert_eq!(*filters.lock().unwrap(), [""; 0]);
    execute(&bed, "DROP TRIGGER refuse").await;
    reload(&command_sender).await;
    assert_eq!(*filters.lock().unwrap(), ["debug"]);
    command_sender.send(Command::Shutdown).await.unwrap();
    running.await.unwrap();
}

async fn execute(bed: &TestBed, statement: &str) {
    let url = bed.config().daemon.database;
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let statement = AssertSqlSafe(statement.to_owned());
    sqlx::query(statement)
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

/// A test bed in which a renewal waits for a window that is far away.
async fn waiting_for_a_window() -> TestBed {
    let bed = TestBed::new(Profile::V8).await;
    bed.configure_window(SHUT.split_once('{').unwrap().1.trim_end_matches('}'));
    bed.run_once().await;
    let renewal = bed.renewals().await.remove(0);
    assert_eq!(renewal.state, State::Imported);
    assert_eq!(
        renewal.last_error_kind.as_deref(),
        Some("maintenance_window")
    );
    bed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_is_removed_or_moved_by_a_reload_is_no_longer_waited_for() {
    // It is Sunday, 10:00.
    let moved = SHUT
        .replace("0 2 * * TUE", "0 9 * * SUN")
        .replace("1h", "3h");
    for now in ["", moved.as_str()] {
        let bed = waiting_for_a_window().await;
        let (command_sender, commands) = channel();
        let running = Running::start(
            &bed,
            Arc::new(NoCheckpoint),
            (command_sender.clone(), commands),
        )
        .await;
        let text = std::fs::read_to_string(bed.config_file()).unwrap();
        let start = text.find("maintenance_window").unwrap();
        let end = start + text[start..].find('\n').unwrap();
        let changed = [&text[..start], now, &text[end..]].concat();
        replace_file(&bed.config_file(), &changed);
        reload(&command_sender).await;
        until("it is bound at once", async || {
            bed.renewals().await[0].state == State::Completed
        })
        .await;
        running.stop().await;
        bed.assert_renewed_once().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_looks_at_a_window_while_it_is_removed_waits_no_longer_than_the_reload() {
    let bed = TestBed::new(Profile::V8).await;
    let text = std::fs::read_to_string(bed.config_file()).unwrap();
    bed.configure_window(SHUT.split_once('{').unwrap().1.trim_end_matches('}'));
    let (command_sender, commands) = channel();
    let reloads = Arc::new(Reloads {
        at: Some(Moment::Before(Step::Bind)),
        file: bed.config_file(),
        text,
        command_sender: command_sender.clone(),
        is_done: AtomicBool::new(false),
        moments: Mutex::default(),
    });
    let running = Running::start(&bed, reloads, (command_sender, commands)).await;
    until("it is bound at once", async || {
        let renewals = bed.renewals().await;
        renewals
            .first()
            .is_some_and(|renewal| renewal.state == State::Completed)
    })
    .await;
    running.stop().await;
    bed.assert_renewed_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shorter_probe_interval_counts_from_the_reload_on() {
    let bed = TestBed::new(Profile::V8).await;
    let text = std::fs::read_to_string(bed.config_file()).unwrap();
    let seldom = text.replace("[daemon]", "[daemon]\nprobe_interval = \"7d\"");
    replace_file(&bed.config_file(), &seldom);
    bed.run_once().await;
    assert_ne!(
        bed.simulator.bound(Port::Management).as_deref(),
        Some("fw-initial")
    );
    let (command_sender, commands) = channel();
    let running = Running::start(
        &bed,
        Arc::new(NoCheckpoint),
        (command_sender.clone(), commands),
    )
    .await;
    replace_file(&bed.config_file(), &text);
    reload(&command_sender).await;
    let store = bed.store().await;
    let row = store.certificate(CERTIFICATE).await.unwrap().unwrap();
    let latest = bed.clock.now() + SignedDuration::from_hours(1);
    assert!(row.probe_at <= Some(latest), "{:?}", row.probe_at);
    store.close().await;
    running.stop().await;
}
