//! A temporary real PostgreSQL: one server per test process, one database per test. Included by path from the unit tests
//! and from `tests/it`. Independent of renewd.
//!
//! It listens on a free port of the loopback interface and on a Unix socket. The user "renewd" needs no password, all
//! other users need one over TCP. The server stops when the test process ends in any way: a shell waits for the end of its
//! standard input, which the system closes then.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test stops at the first surprise and waits for its server; not every binary needs everything"
)]

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The server of this process.
#[derive(Debug)]
pub struct Cluster {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    /// The server stops when the standard input of this shell is closed.
    shell: Child,
}

/// The server of this process, started at the first call. `None`, with a message, when PostgreSQL is not installed; with
/// `CI=true` that is a failure.
pub fn cluster() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    let cluster = CLUSTER.get_or_init(|| programs().map(|programs| Cluster::start(&programs)));
    if cluster.is_none() {
        let in_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(
            !in_ci,
            "postgresql is missing, and with CI=true nothing is skipped"
        );
        println!("skipped: needs postgresql");
    }
    cluster.as_ref()
}

impl Cluster {
    /// Creates an empty database for one test. Returns its address.
    pub fn database(&self) -> String {
        format!(
            "postgres://renewd@127.0.0.1:{}/{}",
            self.port,
            self.new_database()
        )
    }

    /// Creates an empty database for one test. Returns its address at the Unix socket.
    pub fn database_at_socket(&self) -> String {
        let folder = self.folder.display().to_string().replace('/', "%2F");
        let port = self.port;
        format!("postgres://renewd@{folder}:{port}/{}", self.new_database())
    }

    /// Runs statements with `psql`, as the owner of all databases. Returns the output.
    pub fn psql(&self, database: &str, statements: &str) -> String {
        let done = self
            .client("psql")
            .args(["--no-psqlrc", "--tuples-only", "--no-align", "--quiet"])
            .args(["--set=ON_ERROR_STOP=1", "--dbname", database])
            .args(["--command", statements])
            .output()
            .unwrap();
        let complaint = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{statements}: {complaint}");
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The self-signed certificate that it presents, for `localhost`.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("server.crt")
    }

    fn start(programs: &Path) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("renewd-postgres-")
            .tempdir();
        let folder = folder.unwrap().keep();
        write_settings(&folder);
        let port = free_port();
        let shell = Command::new("sh")
            .args(["-c", SCRIPT, "postgres-for-tests"])
            .args([&folder, programs])
            .arg(port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("shell.log")).unwrap())
            // Ctrl-C ends the test process. The shell then stops the server in order.
            .process_group(0)
            .spawn()
            .unwrap();
        let mut cluster = Self {
            programs: programs.to_owned(),
            folder,
            port,
            shell,
        };
        cluster.wait_until_ready();
        cluster
    }

    fn wait_until_ready(&mut self) {
        let start = Instant::now();
        while !self
            .client("pg_isready")
            .arg("--quiet")
            .status()
            .unwrap()
            .success()
        {
            let ended = self.shell.try_wait().unwrap();
            assert!(
                ended.is_none() && start.elapsed() < Duration::from_mins(2),
                "PostgreSQL does not start: {}{}",
                self.said("shell.log"),
                self.said("server.log")
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn said(&self, log: &str) -> String {
        fs::read_to_string(self.folder.join(log)).unwrap_or_default()
    }

    fn new_database(&self) -> String {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", MADE.fetch_add(1, Ordering::Relaxed));
        let done = self.client("createdb").arg(&name).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        name
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command
            .env_clear()
            .args(["--host", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--username", "renewd"]);
        command
    }
}

/// The folder of the server's programs. Debian keeps those of each version in a folder that is not in PATH.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Ok(versions) = fs::read_dir("/usr/lib/postgresql") {
        let mut versions: Vec<PathBuf> = versions.map(|v| v.unwrap().path().join("bin")).collect();
        versions.sort();
        folders.extend(versions.into_iter().rev());
    }
    folders.into_iter().find(|folder| {
        ["initdb", "postgres", "psql", "createdb", "pg_isready"]
            .iter()
            .all(|program| folder.join(program).is_file())
    })
}

fn write_settings(folder: &Path) {
    let shown = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(folder.join("server.crt"), shown.cert.pem()).unwrap();
    fs::write(folder.join("server.key"), shown.signing_key.serialize_pem()).unwrap();
    fs::write(folder.join("hba.conf"), HBA_CONF).unwrap();
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

const HBA_CONF: &str = "\
local all all trust
host all renewd 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
";

/// PostgreSQL refuses to run as root, so root starts it as another user. No data has to survive a power failure.
const SCRIPT: &str = r#"
set -eu
umask 077
folder=$1 programs=$2 port=$3
as=
if [ "$(id -u)" = 0 ]; then
    user=nobody
    if id -u postgres >/dev/null 2>&1; then user=postgres; fi
    chown -R "$user" "$folder"
    as="setpriv --reuid=$user --regid=$(id -g "$user") --clear-groups"
fi
chmod 600 "$folder/server.key"
cd "$folder"
exec 3<&0
$as "$programs/initdb" --pgdata="$folder/data" --username=renewd --auth=trust --no-sync \
    --encoding=UTF8 --locale=C >"$folder/server.log" 2>&1
$as "$programs/postgres" -D "$folder/data" -p "$port" -k "$folder" \
    -c listen_addresses=127.0.0.1 -c hba_file="$folder/hba.conf" -c max_connections=300 -c shared_buffers=16MB \
    -c fsync=off -c full_page_writes=off -c autovacuum=off -c jit=off \
    -c ssl=on -c ssl_cert_file="$folder/server.crt" -c ssl_key_file="$folder/server.key" \
    >>"$folder/server.log" 2>&1 &
server=$!
(
    while read -r _; do :; done
    # More than once: at its very start it does not listen yet.
    while kill -INT "$server" 2>/dev/null; do sleep 0.2; done
) <&3 &
# When the server ends unexpectedly, its folder is kept for the log.
if wait "$server"; then rm -rf "$folder"; fi
"#;
