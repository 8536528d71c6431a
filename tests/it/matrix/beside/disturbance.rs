//! What may happen beside a renewal. One thing happens at one point. Another administrator's work is ended later.

use std::fmt;
use std::os::unix::fs::PermissionsExt as _;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;
use renewd::clock::Clock;
use renewd::daemon::Command;
use renewd::event::EventKind;
use renewd::inventory::State;
use renewd::monitor;
use renewd::renewal::retry::REFUSED_LOGIN_LIMIT;
use renewd::store::{Lease, StoreError};
use simulators::sonicos::Port;
use tokio::sync::watch as signal;
use tokio::task::JoinHandle;

use super::scene::Scene;
use crate::matrix::driver_pair::{DriverPair, Face};
use crate::matrix::fixture::Fixture;
use crate::postgres::Cluster;
use crate::probes_beside::Slow;
use crate::test_bed::CERTIFICATE;

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disturbance {
    /// The clock jumps forward, and another worker tries to claim the renewal.
    Jump(SignedDuration),
    /// The same by a day, where daemons share a database on a server.
    SharedJump,
    /// The configuration is read again.
    Reload(Reload),
    /// The addresses are probed, and what was seen is stored at once, or at the end.
    Probe { at_once: bool },
    /// Another administrator changes something and does not commit it. The device reports it in this form.
    Pending(&'static str),
    /// An operator asks for a renewal.
    Request { now: bool },
}

/// What a reload finds in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    Same,
    /// A maintenance window that opens in two days, where there was none.
    WindowShut,
    /// No maintenance window, where there was one that opens in two days.
    WindowGone,
    /// The certificate is gone, and comes back later.
    Removed,
    /// The certificate is for one of its two services only.
    Moved,
}

/// Each by its name.
const ALL: [(&str, Disturbance); 24] = [
    ("jump-day", Disturbance::Jump(A_DAY)),
    ("jump-26m", Disturbance::Jump(SignedDuration::from_mins(26))),
    ("jump-shared", Disturbance::SharedJump),
    ("reload-same", Disturbance::Reload(Reload::Same)),
    (
        "reload-window-shut",
        Disturbance::Reload(Reload::WindowShut),
    ),
    (
        "reload-window-gone",
        Disturbance::Reload(Reload::WindowGone),
    ),
    ("reload-removed", Disturbance::Reload(Reload::Removed)),
    ("reload-moved", Disturbance::Reload(Reload::Moved)),
    ("probe-at-once", Disturbance::Probe { at_once: true }),
    ("probe-at-end", Disturbance::Probe { at_once: false }),
    ("pending-paths", Disturbance::Pending("paths")),
    ("pending-status", Disturbance::Pending("status")),
    ("pending-text", Disturbance::Pending("text")),
    ("pending-list", Disturbance::Pending("list")),
    ("pending-sentence", Disturbance::Pending("sentence")),
    ("pending-message", Disturbance::Pending("message")),
    ("pending-flag", Disturbance::Pending("flag")),
    ("pending-count", Disturbance::Pending("count")),
    (
        "pending-message-or-success",
        Disturbance::Pending("message_or_success"),
    ),
    (
        "pending-sentence-or-empty",
        Disturbance::Pending("sentence_or_empty"),
    ),
    ("pending-silent", Disturbance::Pending(SILENT)),
    ("pending-garbage", Disturbance::Pending(GARBAGE)),
    ("request", Disturbance::Request { now: false }),
    ("request-now", Disturbance::Request { now: true }),
];

/// The sorts of disturbances, as they are counted.
pub const SORTS: [&str; 5] = ["jump", "reload", "probe", "pending", "request"];

/// What has happened, and what is to follow of it.
pub struct Act {
    disturbance: Disturbance,
    /// Where it happened.
    pub point: String,
    /// The configuration before.
    configuration: String,
    /// What the other administrator changed.
    change: String,
    /// Pauses in which the renewal waited for the other administrator, and all pauses since.
    busy: usize,
    rests: usize,
    is_over: bool,
    /// Renewals that were asked for besides the one under way.
    pub more_renewals: usize,
    reloads: Vec<JoinHandle<()>>,
    late: Option<Late>,
    lease: Option<Lease>,
}

/// A probe whose results are stored on a signal of the sender.
type Late = (signal::Sender<bool>, JoinHandle<Result<(), StoreError>>);

impl Disturbance {
    /// All of them that can happen on any machine.
    pub fn everywhere() -> Vec<Self> {
        let all = ALL.iter().map(|(_, disturbance)| *disturbance);
        all.filter(|it| *it != Self::SharedJump).collect()
    }

    /// Whether it can happen to this device. One that lists no change at all does not list ours either: what waits there
    /// for a commit is never committed, whoever else is at work.
    pub fn can_happen(self, face: Face) -> bool {
        self != Self::Pending(SILENT) || face != Face::V7xPending
    }

    /// Which of `SORTS` it is.
    pub const fn sort(self) -> usize {
        match self {
            Self::Jump(_) | Self::SharedJump => 0,
            Self::Reload(_) => 1,
            Self::Probe { .. } => 2,
            Self::Pending(_) => 3,
            Self::Request { .. } => 4,
        }
    }

    /// A test bed in which it can happen; `None` where something is missing on this machine.
    pub async fn fixture(self, pair: DriverPair) -> Option<Fixture> {
        let fixture = Fixture::with(pair, |variants| {
            if let Self::Pending(form) = self
                && ![SILENT, GARBAGE].contains(&form)
            {
                variants.set_by_name("pending_form", form).unwrap();
            }
        })
        .await;
        keep_private(&fixture);
        match self {
            Self::Reload(Reload::WindowGone) => reconfigure(&fixture, &with_window),
            Self::SharedJump => {
                let url = crate::postgres::cluster().map(Cluster::database)?;
                let file = fixture.bed.folder.path().join("renewd.db");
                let before = format!("sqlite://{}", file.display());
                reconfigure(&fixture, &|text| text.replace(&before, &url));
            }
            _ => {}
        }
        Some(fixture)
    }

    /// Lets it happen, at the point at which the daemon of `scene` stands.
    pub async fn strike(self, scene: &mut Scene, number: usize) -> Result<Act, String> {
        let points = scene.fixture.crash_points.points();
        let mut act = Act {
            disturbance: self,
            point: points.get(number - 1).cloned().unwrap_or_default(),
            configuration: configuration(&scene.fixture),
            change: String::new(),
            busy: 0,
            rests: 0,
            is_over: !matches!(self, Self::Pending(_) | Self::Reload(Reload::Removed)),
            more_renewals: 0,
            reloads: Vec::new(),
            late: None,
            lease: None,
        };
        match self {
            Self::Jump(by) => {
                scene.fixture.bed.clock.advance(by);
                if let Some(lease) = claim(scene).await {
                    return Err(format!("another worker claims it: {lease:?}"));
                }
                drop(wake(scene, Command::Tick).await);
            }
            Self::SharedJump => {
                scene.fixture.bed.clock.advance(A_DAY);
                act.lease = claim(scene).await;
            }
            Self::Reload(reload) => {
                reconfigure(&scene.fixture, &|text| reload.changed(text));
                act.reloads.push(wake(scene, Command::Reload).await);
            }
            Self::Probe { at_once } => act.late = probe(scene, at_once).await?,
            Self::Pending(form) => {
                // Between our look and our commit only whoever takes configuration mode from us can change anything
                // (SonicOS reference 1.4).
                let takes_mode = act.point.ends_with("/config/pending") || number.is_multiple_of(2);
                act.change = meddle(scene, form, takes_mode, number).await;
            }
            Self::Request { now } => act.more_renewals = request(scene, now).await?,
        }
        Ok(act)
    }
}

impl Reload {
    fn changed(self, text: &str) -> String {
        match self {
            Self::Same => text.to_owned(),
            Self::WindowShut => with_window(text),
            Self::WindowGone => text.replace(&window(), "\n"),
            Self::Removed => text.split("[[certificate]]").next().unwrap().to_owned(),
            Self::Moved => {
                let (before, verify) = text.split_once("endpoints = [").unwrap();
                let (_, ssl_vpn) = verify.split_once(", ").unwrap();
                let services = before.replace("\"web-management\", ", "");
                [&services, "endpoints = [", ssl_vpn].concat()
            }
        }
    }
}

impl Act {
    /// After the daemon has gone on.
    pub async fn follow(&mut self, scene: &mut Scene) -> Result<(), String> {
        let Some(lease) = self.lease.take() else {
            return Ok(());
        };
        // The worker that has lost its claim ends, and stores nothing of its work.
        let points = || scene.fixture.crash_points.points().len();
        let mut before = 0;
        while points() > before {
            before = points();
            tokio::time::sleep(FENCED).await;
        }
        let now = scene.newest().await.map(|renewal| renewal.state);
        if now != Some(lease.renewal.state) {
            let words = "who lost its claim stored that it is";
            return Err(format!("{} before, {words} {now:?}", lease.renewal.state));
        }
        scene.store.release(lease).await.map_err(|e| e.to_string())
    }

    /// Called when nothing is in progress. Ends the other administrator's work when the renewal has waited for it often
    /// enough.
    pub async fn rest(&mut self, scene: &mut Scene, ended: State) -> Result<(), String> {
        let renewal = scene.newest().await;
        let waits_for = renewal
            .as_ref()
            .filter(|renewal| !renewal.state.is_end())
            .and_then(|renewal| renewal.last_error_kind.clone());
        self.rests += 1;
        match self.disturbance {
            Disturbance::Reload(Reload::WindowGone)
                if waits_for.as_deref() == Some("maintenance_window") =>
            {
                Err("it waits for a window that is gone".to_owned())
            }
            Disturbance::Reload(Reload::Removed) if !self.is_over => {
                let is_ended = renewal.is_some_and(|it| it.state == ended);
                // A roll-back is no reason to begin again, and no certificate is there to come back to.
                if !(is_ended && ended == State::RolledBack) {
                    reconfigure(&scene.fixture, &|_| self.configuration.clone());
                    self.reloads.push(wake(scene, Command::Reload).await);
                }
                self.is_over = true;
                Ok(())
            }
            Disturbance::Pending(_) if !self.is_over => {
                self.busy += usize::from(waits_for.as_deref() == Some("busy"));
                self.is_left_alone(scene)?;
                let is_ended = renewal.is_some_and(|renewal| renewal.state.is_end());
                if is_ended || self.busy == BUSY || self.rests == RESTS {
                    self.is_reported_once(scene).await?;
                    self.ends_other_administrators_work(scene);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Whether nothing is to follow but the end of the renewal.
    pub const fn is_over(&self) -> bool {
        self.is_over
    }

    /// When all is over: what is still to be stored is stored, and what was seen last counts.
    pub async fn end(&mut self, scene: &Scene) -> Result<(), String> {
        if let Some((over, probe)) = self.late.take() {
            over.send_replace(true);
            let stored = probe.await.map_err(|panic| panic.to_string())?;
            stored.map_err(|error| error.to_string())?;
        }
        match self.disturbance {
            Disturbance::Probe { .. } => is_what_is_served(scene).await,
            Disturbance::Reload(_) => {
                for reload in self.reloads.drain(..).filter(|it| !it.is_finished()) {
                    let read = tokio::time::timeout(DEALT_WITH, reload).await;
                    read.map_err(|_| "the configuration was not read again")?
                        .map_err(|panic| panic.to_string())?;
                }
                let is_refused = scene.fixture.log.text().contains("configuration_refused");
                (!is_refused)
                    .then_some(())
                    .ok_or_else(|| "the configuration was refused".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn is_left_alone(&self, scene: &Scene) -> Result<(), String> {
        let pending = scene.fixture.bed.simulator.pending();
        let is_there = pending.contains(&self.change);
        is_there
            .then_some(())
            .ok_or_else(|| format!("{:?} is gone: {pending:?}", self.change))
    }

    async fn is_reported_once(&self, scene: &Scene) -> Result<(), String> {
        let history = scene.store.history(CERTIFICATE, 10_000).await.unwrap();
        let is_alert = |name: &str| name == EventKind::AttentionNeeded.name();
        let reported = history.iter().filter(|past| is_alert(&past.name)).count();
        let wanted = usize::from(self.busy == BUSY);
        (reported == wanted).then_some(()).ok_or_else(|| {
            format!("pending changes were reported {reported} times, not {wanted} times")
        })
    }

    /// The other administrator commits, or leaves without a commit.
    fn ends_other_administrators_work(&mut self, scene: &Scene) {
        let simulator = &scene.fixture.bed.simulator;
        if self.rests.is_multiple_of(2) {
            simulator.other_administrator().commits();
        }
        simulator.other_administrator().leaves();
        if let Disturbance::Pending(SILENT | GARBAGE) = self.disturbance {
            simulator.set(|variants| variants.set_by_name("pending_form", "paths").unwrap());
        }
        self.is_over = true;
    }
}

/// Wakes the daemon, and waits until it has dealt with that where it can.
async fn wake(scene: &Scene, meaning: Command) -> JoinHandle<()> {
    let mut dealt_with = tokio::spawn(scene.running.command(meaning));
    if !scene.fixture.crash_points.is_loop_held() {
        let _ = tokio::time::timeout(DEALT_WITH, &mut dealt_with).await;
    }
    dealt_with
}

/// What another worker gets that asks for a renewal that is worked on.
async fn claim(scene: &Scene) -> Option<Lease> {
    if !scene.is_worked_on().await {
        return None;
    }
    let now = scene.fixture.bed.clock.now();
    let until = now + scene.store.lease_policy().lease;
    let claimed = scene
        .store
        .claim("another", now, until, REFUSED_LOGIN_LIMIT);
    claimed.await.unwrap()
}

async fn probe(scene: &Scene, at_once: bool) -> Result<Option<Late>, String> {
    let (over, slow) = Slow::new();
    let engine = slow.engine(&scene.fixture.bed).await;
    let certificate = scene.store.certificate(CERTIFICATE).await.unwrap();
    // Before the first start there is none.
    let Some(row) = certificate else {
        return Ok(None);
    };
    over.send_replace(at_once);
    let probe = tokio::spawn(async move { monitor::observe(&engine, &row).await });
    let looked = async {
        while slow.looked() < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let looked = tokio::time::timeout(Duration::from_secs(30), looked).await;
    looked.map_err(|_| "the probe sees nothing")?;
    if at_once {
        let stored = probe.await.map_err(|panic| panic.to_string())?;
        stored.map_err(|error| error.to_string())?;
        return Ok(None);
    }
    Ok(Some((over, probe)))
}

/// What is stored of each address is what it serves.
async fn is_what_is_served(scene: &Scene) -> Result<(), String> {
    let simulator = &scene.fixture.bed.simulator;
    let row = scene.store.certificate(CERTIFICATE).await.unwrap().unwrap();
    for served in &row.served {
        let is_management = served.address == simulator.management().to_string();
        let port = if is_management {
            Port::Management
        } else {
            Port::SslVpn
        };
        let der = simulator.served_der(port);
        let now = renewd::pki::Certificate::from_der(&der)
            .unwrap()
            .fingerprint;
        let stored = served.known.as_ref().map(|known| known.fingerprint);
        if stored != Some(now) || served.unknown.is_some() || served.unreachable.is_some() {
            return Err(format!("{now} is served, and stored is {served:?}"));
        }
    }
    Ok(())
}

/// Another administrator changes something; the line that stands for it.
async fn meddle(scene: &Scene, form: &'static str, takes_mode: bool, number: usize) -> String {
    let simulator = &scene.fixture.bed.simulator;
    let other = simulator.other_administrator();
    if [SILENT, GARBAGE].contains(&form) {
        simulator.set(|variants| variants.set_by_name("pending_form", form).unwrap());
    }
    // It is theirs also where it names our certificate.
    let line = match scene.newest().await {
        Some(renewal) if number.is_multiple_of(3) => {
            format!(
                "vpn policy site-to-site office certificate {}",
                renewal.alias
            )
        }
        _ => "address-object ipv4 office".to_owned(),
    };
    // Where the device lists no changes, the holder of configuration mode has made them (SonicOS reference 1.4).
    if takes_mode || !LISTING.contains(&form) {
        other.takes_configuration_mode();
    }
    other.has_pending_change(&line);
    line
}

/// Asks for a renewal; how many are to follow besides the one that is under way or due.
async fn request(scene: &Scene, now: bool) -> Result<usize, String> {
    let store = &scene.store;
    // Before the first start there is nothing to ask for.
    if store.certificate(CERTIFICATE).await.unwrap().is_none() {
        return Ok(0);
    }
    let newest = scene.newest().await;
    let at = scene.fixture.bed.clock.now();
    let asked = if now {
        store.request_renewal_now(CERTIFICATE, at, &[]).await
    } else {
        store.request_renewal(CERTIFICATE, at, &[]).await
    };
    asked.map_err(|error| error.to_string())?;
    Ok(usize::from(newest.is_some_and(|it| it.state.is_end())))
}

/// A reload refuses what others may read.
fn keep_private(fixture: &Fixture) {
    for file in std::fs::read_dir(fixture.bed.folder.path()).unwrap() {
        let path = file.unwrap().path();
        let mut permissions = path.metadata().unwrap().permissions();
        permissions.set_mode(permissions.mode() & 0o700);
        std::fs::set_permissions(&path, permissions).unwrap();
    }
}

fn configuration(fixture: &Fixture) -> String {
    std::fs::read_to_string(fixture.bed.config_file()).unwrap()
}

fn reconfigure(fixture: &Fixture, change: &dyn Fn(&str) -> String) {
    let changed = change(&configuration(fixture));
    crate::test_bed::replace_file(&fixture.bed.config_file(), &changed);
}

fn window() -> String {
    format!("\n{WINDOW}\n")
}

fn with_window(text: &str) -> String {
    let (before, after) = text.split_once("\n[[certificate]]").unwrap();
    [before, &window(), "[[certificate]]", after].concat()
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = ALL.iter().find(|(_, disturbance)| disturbance == self);
        f.write_str(found.map_or("unnamed", |(name, _)| name))
    }
}

impl FromStr for Disturbance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = ALL.iter().find(|(name, _)| *name == text);
        found.map(|(_, disturbance)| *disturbance).ok_or_else(|| {
            let names: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
            format!("no disturbance {text:?}; there are {}", names.join(", "))
        })
    }
}

const A_DAY: SignedDuration = SignedDuration::from_hours(24);
/// It opens two days after a test begins.
const WINDOW: &str =
    r#"maintenance_window = { start = "0 2 * * TUE", duration = "1h", time_zone = "UTC" }"#;
/// The forms in which a device does not report whether changes are pending. A device that always does so could never be
/// committed on.
const SILENT: &str = "silent";
const GARBAGE: &str = "garbage";
/// The forms that list what was changed.
const LISTING: [&str; 3] = ["paths", "text", "list"];
/// Attempts at a firewall that another administrator works on, among them the one that raises an alert.
const BUSY: usize = 6;
const RESTS: usize = 40;
/// Of real time: far more than a reload takes.
const DEALT_WITH: Duration = Duration::from_secs(5);
/// Of real time, in which a worker would have done something.
const FENCED: Duration = Duration::from_millis(300);
