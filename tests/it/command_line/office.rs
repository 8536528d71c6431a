//! An office: a simulated SonicWall on loopback, a folder with a configuration that was written by hand, and the
//! binary. Real time runs here; what needs a clock that can be moved is tested in the test bed instead.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use simulators::sonicos::{Profile, Settings, Simulator, Variants};
use tempfile::TempDir;

/// One firewall, one CA, one certificate.
pub struct Office {
    pub simulator: Simulator,
    pub folder: TempDir,
}

/// What a command came to.
#[derive(Debug)]
pub struct CommandOutput {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Stands nowhere but in the password file.
pub const PASSWORD: &str = "planted-Secret-7431";

impl Office {
    /// An office with a kind device whose certificate is near its expiry, and with a CA.
    pub async fn new() -> Self {
        Self::with(Variants::kind()).await
    }

    /// An office with a device that behaves as `variants` say.
    pub async fn with(variants: Variants) -> Self {
        Self::of(Profile::V8, variants).await
    }

    /// An office with a device of `profile`.
    pub async fn of(profile: Profile, variants: Variants) -> Self {
        renewd::tls::install_provider();
        let mut settings = Settings::new(profile);
        settings.variants = variants;
        "vpn.example.com".clone_into(&mut settings.initial.common_name);
        PASSWORD.clone_into(&mut settings.password);
        let simulator = Simulator::start(settings).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let office = Self { simulator, folder };
        office.write("hq.password", &format!("{PASSWORD}\n"));
        office.configure(&office.configuration());
        let output = office.renewd(&["ca", "init", "office"]);
        assert_eq!(output.code, Some(0), "{output:#?}");
        office
    }

    /// The configuration as the administrator wrote it.
    pub fn configuration(&self) -> String {
        format!(
            r#"# Head office
[daemon]
database = "sqlite://{folder}/renewd.db"
state_directory = "{folder}"

[renewal]
verify_timeout = "5s"

[[ca]]
name = "office"
driver.local = {{ certificate = "ca.pem", key = {{ file = "ca.key" }} }}

[[firewall]]
name = "hq"
driver.sonicos = {{ url = "{url}", user = "renewd", password = {{ file = "hq.password" }}, trust = {{ sha256 = "{pin}" }} }}

[[certificate]]
name = "hq-portal"
firewall = "hq"
ca = "office"
subject = {{ common_name = "vpn.example.com", organization = "Example", country = "Netherlands" }}
dns_names = ["vpn.example.com"]
key = {{ type = "ecdsa", size = 256 }}
services = ["web-management", "ssl-vpn"]
endpoints = ["{management}", "{ssl_vpn}"]
"#,
            folder = self.folder.path().display(),
            url = self.simulator.url(),
            pin = self.simulator.fingerprint(),
            management = self.simulator.management(),
            ssl_vpn = self.simulator.ssl_vpn(),
        )
    }

    /// Writes the configuration.
    pub fn configure(&self, text: &str) {
        self.write("renewd.toml", text);
    }

    /// Writes a file that only its owner can read.
    pub fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub fn set_mode(&self, name: &str, mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a command to its end.
    pub fn renewd(&self, arguments: &[&str]) -> CommandOutput {
        output(renewd(self.folder.path()).args(arguments))
    }

    /// Starts a command and lets it run; its log goes to the file `log`. As under systemd, it gets its own process
    /// id, which only a shell in between knows before it begins.
    pub fn start_service(&self, arguments: &[&str], environment: &[(&str, String)]) -> Child {
        let log = std::fs::File::create(self.path("log")).unwrap();
        renewd_by("sh", self.folder.path())
            .args(["-c", "WATCHDOG_PID=$$ exec \"$0\" \"$@\""])
            .arg(env!("CARGO_BIN_EXE_renewd"))
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap()
    }
}

/// The binary with `renewd.toml` in `folder` and with nothing else of this machine's environment.
pub fn renewd(folder: &Path) -> Command {
    renewd_by(env!("CARGO_BIN_EXE_renewd"), folder)
}

/// The same for another program, which may start the binary.
pub fn renewd_by(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("RENEWD_CONFIG", folder.join("renewd.toml"))
        .current_dir(folder)
        .stdin(Stdio::null());
    command
}

/// Runs `command` to its end.
pub fn output(command: &mut Command) -> CommandOutput {
    let output = command.output().unwrap();
    CommandOutput {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl CommandOutput {
    /// That it ended with `code`.
    #[track_caller]
    pub fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// That stdout holds every one of `parts`.
    #[track_caller]
    pub fn prints(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.stdout.contains(part), "no {part:?} in {self:#?}");
        }
        self
    }

    /// That stderr holds every one of `parts`.
    #[track_caller]
    pub fn complains(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.stderr.contains(part), "no {part:?} in {self:#?}");
        }
        self
    }

    /// That no line on stdout is longer than 80 characters.
    #[track_caller]
    pub fn fits_80_columns(self) -> Self {
        for line in self.stdout.lines() {
            assert!(line.chars().count() <= 80, "too long: {line:?}");
        }
        self
    }

    /// Stdout as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap()
    }
}
