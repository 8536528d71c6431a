//! OpenSSH's server with separate users: it runs in a mount namespace in which other files stand in the place of
//! /etc/passwd and its like, so the machine stays as it is. That takes root.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{Process, free_address, program, write_program};

/// A running sshd.
pub struct Sshd {
    server: Process,
    /// What the device at the other end keeps.
    pub folder: TempDir,
    pub address: SocketAddr,
    /// SHA-256 of its host key, as OpenSSH prints it.
    pub host_key: String,
}

/// How its users authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// `password` (RFC 4252).
    Password,
    /// `keyboard-interactive` (RFC 4256), by PAM.
    Questions,
    /// Nothing: `none` is enough.
    Nothing,
}

/// The user who gets a shell.
pub const USER: &str = "renewd";
pub const PASSWORD: &str = "correct horse";
/// A user who can fetch files with `scp`.
pub const FILES_USER: &str = "files";
pub const FILES_PASSWORD: &str = "one-time-4711";

impl Sshd {
    /// Starts it with the lines `more` in its configuration. `shell` is what its user gets instead of a shell; FOLDER in
    /// it stands for its folder. `None`: something that it needs is missing.
    pub async fn start(proof: Proof, more: &str, shell: &str) -> Option<Self> {
        let sshd = program("sshd", "SSHD")?;
        let unshare = program("unshare", "UNSHARE")?;
        let keygen = program("ssh-keygen", "SSH_KEYGEN")?;
        if !may_make_users() {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        write_accounts(root, proof);
        let kind = if more.contains("ssh-rsa") {
            "rsa"
        } else {
            "ed25519"
        };
        let host_key = make_host_key(&keygen, kind, &root.join("host_key"));
        let address = free_address();
        fs::write(
            root.join("sshd_config"),
            configuration(root, address, proof, more, shell),
        )
        .unwrap();
        write_program(&root.join("start"), &start_script(root, &sshd));
        let mut server = Process::start(
            Command::new(unshare)
                // A namespace of processes, so that whatever it has started ends with it.
                .args(["--mount", "--propagation", "private"])
                .args(["--pid", "--fork", "--kill-child", "--"])
                .arg(root.join("start")),
            &root.join("sshd.log"),
        );
        server.answers_at(address).await;
        Some(Self {
            server,
            folder,
            address,
            host_key,
        })
    }

    /// How often its log has `words`.
    pub fn said(&self, words: &str) -> usize {
        self.server.said().matches(words).count()
    }

    /// Waits until its log, which several processes write, has `words`.
    pub async fn has_said(&self, words: &str) {
        let start = Instant::now();
        while self.said(words) == 0 {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "{words}: {}",
                self.server.said()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The lines that were typed, where the shell writes them down.
    pub fn typed(&self) -> Vec<String> {
        let journal = fs::read_to_string(self.folder.path().join("journal")).unwrap();
        journal.lines().map(str::to_owned).collect()
    }
}

fn may_make_users() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        let in_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(
            !in_ci,
            "sshd's own users need root, and with CI=true nothing is skipped"
        );
        println!("skipped: needs root for users of sshd's own");
    }
    is_root
}

/// Writes the files that stand in the place of the machine's.
fn write_accounts(root: &Path, proof: Proof) {
    fs::set_permissions(root, Permissions::from_mode(0o755)).unwrap();
    let home = root.display();
    let passwd = format!(
        "root:x:0:0::/root:/bin/sh\n{USER}:x:65531:65534::{home}:/bin/bash\n\
         {FILES_USER}:x:65532:65534::{home}:/bin/sh\nsshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n"
    );
    let password = match proof {
        Proof::Nothing => String::new(),
        _ => hashed(PASSWORD),
    };
    let files = hashed(FILES_PASSWORD);
    let shadow = format!(
        "root:*:20000::::::\n{USER}:{password}:20000::::::\n{FILES_USER}:{files}:20000::::::\nsshd:*:20000::::::\n"
    );
    fs::write(root.join("passwd"), passwd).unwrap();
    fs::write(root.join("shadow"), shadow).unwrap();
    fs::set_permissions(root.join("shadow"), Permissions::from_mode(0o600)).unwrap();
    fs::create_dir(root.join("pam.d")).unwrap();
    let pam = "auth required pam_unix.so nodelay\naccount required pam_permit.so\nsession required pam_permit.so\n";
    fs::write(root.join("pam.d/sshd"), pam).unwrap();
    fs::write(root.join("journal"), "").unwrap();
    fs::set_permissions(root.join("journal"), Permissions::from_mode(0o666)).unwrap();
    fs::create_dir(root.join("files")).unwrap();
    fs::set_permissions(root.join("files"), Permissions::from_mode(0o777)).unwrap();
}

fn hashed(password: &str) -> String {
    let output = Command::new("openssl")
        .args(["passwd", "-6", "-salt", "renewd", password])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Its fingerprint.
fn make_host_key(keygen: &PathBuf, kind: &str, path: &Path) -> String {
    let made = Command::new(keygen)
        .args(["-q", "-N", "", "-t", kind, "-f"])
        .arg(path)
        .status();
    assert!(made.unwrap().success());
    let listed = Command::new(keygen).arg("-lf").arg(path).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    listed.split_whitespace().nth(1).unwrap().to_owned()
}

fn configuration(
    root: &Path,
    address: SocketAddr,
    proof: Proof,
    more: &str,
    shell: &str,
) -> String {
    let yes_if = |wanted| if proof == wanted { "yes" } else { "no" };
    let folder = root.display();
    format!(
        "ListenAddress {address}
HostKey {folder}/host_key
PidFile none
LogLevel VERBOSE
UseDNS no
AuthorizedKeysFile none
UsePAM {pam}
PasswordAuthentication {password}
KbdInteractiveAuthentication {pam}
PermitEmptyPasswords {nothing}
{more}
Match User {USER}
    ForceCommand {shell}
Match User {FILES_USER}
    PasswordAuthentication yes
",
        pam = yes_if(Proof::Questions),
        password = if proof == Proof::Questions {
            "no"
        } else {
            "yes"
        },
        nothing = yes_if(Proof::Nothing),
        shell = shell.replace("FOLDER", &folder.to_string()),
    )
}

fn start_script(root: &Path, sshd: &Path) -> String {
    format!(
        "#!/bin/sh
set -e
cd '{}'
mount --bind passwd /etc/passwd
mount --bind shadow /etc/shadow
mount --bind pam.d /etc/pam.d
mount -t tmpfs tmpfs /run
mkdir /run/sshd
exec '{}' -D -e -f \"$PWD/sshd_config\"
",
        root.display(),
        fs::canonicalize(sshd).unwrap().display()
    )
}
