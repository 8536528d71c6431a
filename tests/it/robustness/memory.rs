//! The memory of a process whose peers answer with the largest and densest that the limits let through: every call of a
//! renewal, of every driver, is answered so once or more. The daemon runs in a process of its own, so that its peak can be
//! read; its peers run here.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use renewd::body::{Intake, Limits};
use renewd::clock::Clock as _;
use renewd::config;
use renewd::renewal::NoCheckpoint;
use renewd::store::Store;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use simulators::ca::{Fault, On};
use simulators::sonicos::{Action, Rule};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::matrix::driver_pair::{DriverPair, Kind};
use crate::matrix::fixture::Fixture;
use crate::matrix::is_long;
use crate::test_bed::{CERTIFICATE, run_once, today};

/// Together every generation and every driver; the first are those of a short run.
const PAIRS: [&str; 7] = [
    "8/acme",
    "6.5-scp/venafi",
    "7.x/resello",
    "7.0/pam360",
    "6.5-ftp/local",
    "8/exec",
    "8+second/local",
];

/// What stands before, again and again, and behind. They are those of the parsers (`fuzzing::memory`) that take most, and
/// texts.
const SHAPES: [(&str, &str, &str); 16] = [
    ("[", "{\"\":0},", "0]"),
    ("", "[", ""),
    ("", "{\"a\":", ""),
    ("\"", "…", "\""),
    ("\"", "\\u0000", "\""),
    ("[", "\"\",", "0]"),
    ("[", "0,", "0]"),
    (
        "{\"status\":{\"success\":false,\"info\":[",
        "{\"level\":\"error\",\"message\":\"\"},",
        "{}]}}",
    ),
    ("{\"certificate\":\"", "x", "\"}"),
    (
        "",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "",
    ),
    ("", "a\n", ""),
    ("{\"a\":[", "{\"certificate\":\"a\"},", "0]}"),
    ("", "a ", ""),
    ("", "a|", ""),
    ("", "a  ", ""),
    (
        "{\"status\":{\"success\":true,\"cli\":{\"restart_required\":\"",
        "a",
        "\"},\"info\":[]}}",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_peer_answers_the_process_stays_below_128_mib() {
    if let Some(config) = std::env::var_os(CONFIG) {
        return renew(Path::new(&config)).await;
    }
    let pairs = if is_long() { &PAIRS[..] } else { &PAIRS[..2] };
    let mut worst = (0, String::new());
    for pair in pairs {
        let (answers, of_pair) = flood(pair.parse().unwrap()).await;
        println!(
            "peer memory: {pair}: {answers} answers, peak {} KiB at {}",
            of_pair.0, of_pair.1
        );
        worst = worst.max(of_pair);
    }
    let (peak, at) = worst;
    assert!(peak < MOST_KIB, "{peak} KiB at {at}");
}

/// The daemon: works until its parent has no answers left, as if an operator asked after each failure.
async fn renew(config: &Path) {
    renewd::tls::install_provider();
    let clock = today();
    let database = config::load(config).unwrap().config.daemon.database;
    loop {
        let [peak, files] = [memory("VmHWM:"), memory("RssFile:")];
        println!("\nstands {} {peak} {files}", clock.now().as_second());
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).unwrap();
        if line != "go\n" {
            return;
        }
        run_once(config, Arc::clone(&clock), Arc::new(NoCheckpoint)).await;
        clock.advance(SignedDuration::from_mins(2));
        let store = Store::open(&database).await.unwrap();
        let now = clock.now();
        store.request_renewal(CERTIFICATE, now, &[]).await.unwrap();
        store.close().await;
    }
}

/// A call, as it is sent to a simulator, and the shape of its response.
#[derive(Debug, Clone)]
struct Answer {
    peer: Peer,
    method: String,
    path: String,
    shape: usize,
    /// How often it was not called.
    missed: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peer {
    Device,
    Ca,
    /// The outside program that is the CA.
    Program,
}

/// How many answers were given, and the peak of the process without its code, with the last answer before it.
async fn flood(pair: DriverPair) -> (usize, (u64, String)) {
    let mut waiting = answers(pair).await;
    let most = waiting.len();
    let fixture = Fixture::new(pair).await;
    let _noise = Noise::at(&fixture).await;
    if pair.kind == Kind::Exec {
        let_program_flood(&fixture);
    }
    let mut daemon = Daemon::start(&fixture.bed.config_file());
    let mut worst = (0, "the start".to_owned());
    let mut given: Option<(Answer, u64)> = None;
    let (mut struck, mut peak, mut files) = (0, 0, 0);
    while let Some(stands) = daemon.stands() {
        fixture.bed.clock.set(stands.now);
        if stands.peak > peak {
            let last = given.as_ref().map(|(answer, _)| answer.name());
            let last = last.unwrap_or_else(|| worst.1.clone());
            // At least so much of it was code. Before the first answer nearly all is.
            let code = if files == 0 { stands.files } else { files };
            worst = worst.max((stands.peak - code, last));
        }
        (peak, files) = (stands.peak, stands.files);
        if let Some((answer, before)) = given.take() {
            if answer.used(&fixture) > before {
                struck += 1;
            } else if answer.missed < PATIENCE {
                // It stays where it was put.
                let missed = answer.missed + 1;
                given = Some((Answer { missed, ..answer }, before));
                daemon.go();
                continue;
            } else {
                let renewals = fixture.bed.renewals().await;
                let why = renewals
                    .first()
                    .map(|one| (one.state, one.last_error.clone()));
                println!(
                    "peer memory: {pair}: {} was not called: {why:?}",
                    answer.name()
                );
            }
        }
        let Some(answer) = waiting.pop_front() else {
            break;
        };
        let before = answer.used(&fixture);
        answer.give(&fixture);
        given = Some((answer, before));
        daemon.go();
    }
    drop(daemon);
    assert!(
        struck * 3 > most * 2,
        "{pair}: only {struck} of {most} came"
    );
    (struck, worst)
}

/// Each call of a renewal that succeeds, with shapes that take turns.
async fn answers(pair: DriverPair) -> VecDeque<Answer> {
    let fixture = Fixture::new(pair).await;
    fixture.completed().await.unwrap();
    let ca = match pair.kind {
        Kind::Exec => Peer::Program,
        _ => Peer::Ca,
    };
    let device = fixture.bed.simulator.journal();
    let device = device.iter().map(|line| (Peer::Device, line));
    let of_ca = fixture.ca.journal();
    let mut calls: Vec<(Peer, String, String)> = Vec::new();
    for (peer, line) in device.chain(of_ca.iter().map(|line| (ca, line))) {
        let Some((method, path)) = call(line, peer) else {
            continue;
        };
        let call = (peer, method, path);
        if !calls.contains(&call) {
            calls.push(call);
        }
    }
    let shapes = if is_long() { SHAPES_LONG } else { 1 };
    let of_call = |(number, (peer, method, path)): (usize, (Peer, String, String))| {
        (0..shapes).map(move |nth| Answer {
            peer,
            method: method.clone(),
            path: path.clone(),
            shape: (number * shapes + nth) % SHAPES.len(),
            missed: 0,
        })
    };
    calls.into_iter().enumerate().flat_map(of_call).collect()
}

/// Method and path of a line of a journal, without what differs from renewal to renewal.
fn call(line: &str, peer: Peer) -> Option<(String, String)> {
    if peer == Peer::Program {
        return Some((line.split(' ').next()?.to_owned(), String::new()));
    }
    let (method, rest) = line.split_once(' ')?;
    let path = rest.split([' ', '?']).next()?;
    if !path.starts_with('/') || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let is_own = |part: &str| {
        let digits = part.bytes().filter(u8::is_ascii_digit).count();
        part.starts_with(CERTIFICATE) || digits > 2 || part.len() > 40
    };
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let own = parts.iter().position(|part| is_own(part));
    // After an identifier, only a verb distinguishes two calls.
    let last = parts
        .last()
        .filter(|last| own.is_some() && peer == Peer::Ca && !is_own(last));
    let path = match (last, own) {
        (Some(last), _) => format!("/{last}"),
        (None, Some(own)) => format!("/{}", parts[..own].join("/")),
        (None, None) => path.to_owned(),
    };
    Some((method.to_owned(), path))
}

impl Answer {
    fn name(&self) -> String {
        let Self { method, path, .. } = self;
        format!("{method} {path} with {:?}", SHAPES[self.shape].1)
    }

    /// How many answers of this kind were given by now.
    fn used(&self, fixture: &Fixture) -> u64 {
        match self.peer {
            Peer::Device => fixture.bed.simulator.faults_used(),
            Peer::Ca => fixture.ca.port().unwrap().faults_used(),
            Peer::Program => u64::from(!self.file(fixture).exists()),
        }
    }

    fn file(&self, fixture: &Fixture) -> std::path::PathBuf {
        fixture
            .bed
            .folder
            .path()
            .join(format!("flood-{}", self.method))
    }

    /// Has it given to the next such call.
    fn give(&self, fixture: &Fixture) {
        let body = largest(SHAPES[self.shape]);
        let headers = || {
            let line = |number| (format!("X-Line-{number}"), "x".repeat(LONGEST_HEADER));
            (0..HEADERS).map(line).collect()
        };
        match self.peer {
            Peer::Device => {
                let action = Action::Status(200, body, headers());
                fixture
                    .bed
                    .simulator
                    .rule(Rule::once(&self.method, &self.path, action));
            }
            Peer::Ca => {
                let on = On::next(&self.method, &self.path);
                let port = fixture.ca.port().unwrap();
                port.fault(on, Fault::Status(200, body, headers()));
            }
            Peer::Program => std::fs::write(self.file(fixture), body).unwrap(),
        }
    }
}

/// As many of a shape as an answer may have.
fn largest((before, unit, behind): (&str, &str, &str)) -> String {
    let mut intake = Intake::new(Limits::USUAL);
    intake.take(before.as_bytes()).unwrap();
    intake.take(behind.as_bytes()).unwrap();
    let chunk = unit.repeat(64);
    let mut body = before.to_owned();
    while intake.take(chunk.as_bytes()).is_ok() {
        body.push_str(&chunk);
    }
    body + behind
}

/// The outside program prints the contents of a file to stdout and stderr, where there is one for the request.
fn let_program_flood(fixture: &Fixture) {
    let folder = fixture.bed.folder.path().display();
    std::fs::rename(format!("{folder}/helper"), format!("{folder}/honest")).unwrap();
    let script = format!(
        "flood={folder}/flood-$CERTMONGER_OPERATION\n\
         if [ -e $flood ]; then\n  mv $flood {folder}/flooding\n  cat {folder}/flooding >&2\n  exec cat {folder}/flooding\nfi\n\
         exec /bin/bash {folder}/honest\n"
    );
    std::fs::write(format!("{folder}/helper"), script).unwrap();
}

/// Two addresses of `endpoints` more: one serves the longest chain that a handshake can carry, and one says nothing but
/// handshake, without end.
struct Noise([JoinHandle<()>; 2]);

impl Noise {
    async fn at(fixture: &Fixture) -> Self {
        let (chain, chains) = serve_long_chain().await;
        let (endless, speaks) = speak_without_end().await;
        let file = fixture.bed.config_file();
        let text = std::fs::read_to_string(&file).unwrap();
        let more = format!("endpoints = [\"{chain}\", \"{endless}\", ");
        std::fs::write(&file, text.replace("endpoints = [", &more)).unwrap();
        Self([chains, speaks])
    }
}

impl Drop for Noise {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

async fn serve_long_chain() -> (SocketAddr, JoinHandle<()>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["vpn.example.com".to_owned()]).unwrap();
    let filler = vec![0x05; 16 << 10];
    let filler = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], filler);
    params.custom_extensions.push(filler);
    let leaf = CertificateDer::from(params.self_signed(&key).unwrap().der().to_vec());
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.clone(), leaf.clone(), leaf], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let _ = stream.read(&mut [0; 16]).await;
                }
            });
        }
    });
    (address, task)
}

async fn speak_without_end() -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // A record of 16 KiB: a ServerHello that would have 16 MiB.
    let mut record = vec![22, 3, 3, 0x40, 0, 2, 0xff, 0xff, 0xff];
    record.resize(5 + 0x4000, 0);
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let record = record.clone();
            tokio::spawn(async move { while stream.write_all(&record).await.is_ok() {} });
        }
    });
    (address, task)
}

/// A daemon that has nothing to do.
struct Stands {
    /// The time that it has.
    now: Timestamp,
    /// The most that was resident, KiB.
    peak: u64,
    /// What is resident of files, KiB: the code of this program, with all its tests.
    files: u64,
}

/// The process of the daemon. It ends with this.
struct Daemon {
    child: Child,
    says: std::io::Lines<BufReader<ChildStdout>>,
    hears: ChildStdin,
}

impl Daemon {
    fn start(config: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "--test-threads=1", NAME])
            .env(CONFIG, config)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let says = BufReader::new(child.stdout.take().unwrap()).lines();
        let hears = child.stdin.take().unwrap();
        Self { child, says, hears }
    }

    /// Waits until it has nothing to do; `None`: it has ended.
    fn stands(&mut self) -> Option<Stands> {
        tokio::task::block_in_place(|| {
            let line = self.says.find_map(|line| {
                let line = line.unwrap();
                Some(line.strip_prefix("stands ")?.to_owned())
            })?;
            let numbers = line.split(' ').map(|number| number.parse().unwrap());
            let [now, peak, files] = numbers.collect::<Vec<i64>>()[..] else {
                panic!("{line}");
            };
            let kib = |number| u64::try_from(number).unwrap();
            Some(Stands {
                now: Timestamp::from_second(now).unwrap(),
                peak: kib(peak),
                files: kib(files),
            })
        })
    }

    fn go(&mut self) {
        self.hears.write_all(b"go\n").unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In KiB, of this process.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.unwrap().split_whitespace().next().unwrap();
    number.parse().unwrap()
}

const NAME: &str = concat!(
    "robustness::memory::",
    "whatever_a_peer_answers_the_process_stays_below_128_mib"
);
const CONFIG: &str = "RENEWD_MEMORY_CONFIG";
/// What is left of 128 MiB beside the code of the program, which is less than 32.
const MOST_KIB: u64 = 96 << 10;
/// Of each call, in the long run.
const SHAPES_LONG: usize = 4;
/// How often a call may be waited for.
const PATIENCE: u32 = 4;
/// What a client of HTTP reads of a head at most.
const HEADERS: usize = 80;
const LONGEST_HEADER: usize = 4 << 10;
