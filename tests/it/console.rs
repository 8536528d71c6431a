//! The driver's command line against OpenSSH's server: with a script behind it that plays the prompts of SonicOS, and
//! with the console of a simulated device.

use std::path::Path;
use std::time::Duration;

use renewd::failure::{Failure, FailureKind};
use renewd::firewall::sonicos::{CommandLine, Console, Login, Preempt, Settings};
use renewd::inventory::Endpoint;
use renewd::secret::{Secret, SecretSource};
use renewd::tls::{Anchor, Trust};
use simulators::sonicos::{Port, Profile, Settings as DeviceSettings, Simulator, Variants};

use crate::peers::openssh::{FILES_PASSWORD, FILES_USER, PASSWORD, Proof, Sshd, USER};
use crate::peers::write_program;
use crate::secrets::Log;

/// In sshd's log, behind everything that it has to say of a login that came to nothing.
const LEFT_AT_THE_DOOR: &str = "authenticating user";

/// A device that is played by the script.
struct Stage {
    sshd: Sshd,
    settings: Settings,
    command_line: CommandLine,
}

impl Stage {
    /// A device that is `like` that; `None`: sshd cannot be run here.
    async fn set(like: &str) -> Option<Self> {
        Self::with(Proof::Password, "", like).await
    }

    async fn with(proof: Proof, more: &str, like: &str) -> Option<Self> {
        let shell = format!("FOLDER/shell FOLDER {like}");
        let stage = Self::before(Sshd::start(proof, more, &shell).await?);
        let script = include_str!("console/sonicos.sh");
        write_program(&stage.sshd.folder.path().join("shell"), script);
        Some(stage)
    }

    fn before(sshd: Sshd) -> Self {
        let settings = Settings {
            url: "https://127.0.0.1/".parse().unwrap(),
            user: USER.to_owned(),
            password: SecretSource::Inline(Secret::new(PASSWORD.to_owned())),
            totp: None,
            login: Login::Automatic,
            minimum_login: None,
            trust: Trust {
                anchor: Anchor::Pins(Vec::new()),
                server_name: None,
            },
            call_timeout: Duration::from_secs(20),
            transfer_timeout: Duration::from_secs(40),
            transfers: std::sync::Arc::default(),
            command_line: None,
            preempt_idle_administrator: true,
            replaces_left_session: false,
        };
        let command_line = CommandLine {
            address: Endpoint {
                host: sshd.address.ip().to_string(),
                port: sshd.address.port(),
            },
            host_key: sshd.host_key.clone(),
        };
        Self {
            sshd,
            settings,
            command_line,
        }
    }

    async fn open(&self) -> Result<Console, Failure> {
        self.open_with(PASSWORD).await
    }

    async fn open_with(&self, password: &str) -> Result<Console, Failure> {
        let password = Secret::new(password.to_owned());
        Console::open(&self.settings, &self.command_line, &password).await
    }

    fn folder(&self) -> &Path {
        self.sshd.folder.path()
    }
}

fn lines(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|&line| line.to_owned()).collect()
}

#[tokio::test]
async fn a_certificate_is_fetched_by_scp_bound_and_committed() {
    for like in ["", "policy coloured", "paged", "policy login"] {
        let Some(stage) = Stage::set(like).await else {
            return;
        };
        let certificate = stage.folder().join("fw-1.pem");
        std::fs::write(&certificate, "a certificate").unwrap();
        let import = format!(
            "import signed-cert fw-1 scp scp://{FILES_USER}:{FILES_PASSWORD}@{}{}",
            stage.sshd.address,
            certificate.display()
        );
        let mut console = stage.open().await.unwrap();
        let typed = lines(&["certificates", &import, "show certificates status imported"]);
        let said = console.run(&typed).await.unwrap();
        assert!(
            said.starts_with("% Import succeed.\nfw-01  Local"),
            "{said}"
        );
        let rows = said.lines().filter(|line| line.starts_with("fw-")).count();
        assert_eq!((rows, said.lines().count()), (60, 61), "{said}");
        let typed = lines(&["ssl-vpn server", "certificate name fw-1", "commit"]);
        let said = console.run(&typed).await.unwrap();
        assert!(said.ends_with("% Changes made.\n"), "{said}");
        console.close().await.unwrap();
        let fetched = std::fs::read_to_string(stage.folder().join("files/fw-1.pem"));
        assert_eq!(fetched.unwrap(), "a certificate");
        assert_eq!(stage.sshd.typed().last().unwrap(), "exit");
        assert_eq!(stage.sshd.said("Failed"), 0);
    }
}

#[tokio::test]
async fn a_transfer_that_fails_is_a_refusal_without_the_password_in_it() {
    let Some(stage) = Stage::set("").await else {
        return;
    };
    let mut console = stage.open().await.unwrap();
    let url = format!(
        "scp://{FILES_USER}:never-typed@{}/fw-1.pem",
        stage.sshd.address
    );
    let typed = lines(&[
        "certificates",
        &format!("import ca-cert scp {url}"),
        "commit",
    ]);
    let failure = console.run(&typed).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Refused);
    let reported = failure.to_string();
    assert!(
        reported.contains("Import failed") && reported.contains("import ca-cert scp"),
        "{reported}"
    );
    assert!(!reported.contains("never-typed"), "{reported}");
    console.close().await.unwrap();
    assert!(!stage.sshd.typed().contains(&"commit".to_owned()));
}

#[tokio::test]
async fn a_password_that_a_device_repeats_appears_nowhere() {
    let Some(stage) = Stage::set("gossip").await else {
        return;
    };
    let log = Log::catch();
    let mut console = stage.open().await.unwrap();
    let typed = lines(&["bind everything password never-typed"]);
    let failure = console.run(&typed).await.unwrap_err();
    let reported = format!("{failure} {failure:?} {console:?}");
    console.close().await.unwrap();
    assert!(
        reported.contains("[secret]") && reported.contains("not found"),
        "{reported}"
    );
    let log = String::from_utf8(log.text()).unwrap();
    assert!(!log.is_empty());
    for (place, text) in [("the failure", &reported), ("the log", &log)] {
        for secret in [PASSWORD, "never-typed"] {
            assert!(!text.contains(secret), "{place}: {text}");
        }
    }
}

#[tokio::test]
async fn another_host_key_is_refused_before_any_credential_is_sent() {
    let Some(mut stage) = Stage::set("").await else {
        return;
    };
    stage.command_line.host_key = format!("SHA256:{}", "A".repeat(43));
    let failure = stage.open().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Untrusted);
    assert!(failure.detail.contains(&stage.sshd.host_key), "{failure}");
    assert!(failure.detail.contains("ssh-ed25519"), "{failure}");
    assert_eq!(stage.sshd.said("Failed") + stage.sshd.said("Accepted"), 0);
}

#[tokio::test]
async fn a_wrong_password_costs_exactly_one_failed_login() {
    let Some(stage) = Stage::set("").await else {
        return;
    };
    let failure = stage.open_with("wrong").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unauthorized);
    stage.sshd.has_said(LEFT_AT_THE_DOOR).await;
    assert_eq!(stage.sshd.said("Failed password"), 1);

    let Some(stage) = Stage::with(Proof::Questions, "", "").await else {
        return;
    };
    let failure = stage.open_with("wrong").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unauthorized);
    stage.sshd.has_said(LEFT_AT_THE_DOOR).await;
    assert_eq!(stage.sshd.said("Failed keyboard-interactive"), 1);

    let Some(stage) = Stage::with(Proof::Nothing, "", "login").await else {
        return;
    };
    let failure = stage.open_with("wrong").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unauthorized);
    assert_eq!(stage.sshd.typed(), ["renewd", "login_refused"]);
}

#[tokio::test]
async fn devices_that_ask_in_ssh_by_questions_or_in_the_terminal_are_answered() {
    for (proof, like) in [
        (Proof::Questions, ""),
        (Proof::Nothing, "login"),
        (Proof::Nothing, "policy login coloured"),
    ] {
        let Some(stage) = Stage::with(proof, "", like).await else {
            return;
        };
        let mut console = stage.open().await.unwrap();
        let said = console.run(&lines(&["commit"])).await.unwrap();
        assert!(said.ends_with("% No changes made.\n"), "{said}");
        console.close().await.unwrap();
        assert_eq!(stage.sshd.said("Failed"), 0);
    }
}

#[tokio::test]
async fn a_device_that_speaks_only_the_algorithms_of_2015_is_understood() {
    let old = "KexAlgorithms diffie-hellman-group1-sha1\nHostKeyAlgorithms ssh-rsa\n\
               Ciphers aes128-cbc\nMACs hmac-sha1";
    let Some(stage) = Stage::with(Proof::Password, old, "").await else {
        return;
    };
    let mut console = stage.open().await.unwrap();
    console.run(&lines(&["commit"])).await.unwrap();
    console.close().await.unwrap();
}

#[tokio::test]
async fn configuration_mode_is_taken_from_an_idle_administrator_only() {
    let Some(stage) = Stage::set("busy").await else {
        return;
    };
    let mut console = stage.open().await.unwrap();
    let failure = console.run(&lines(&["commit"])).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Busy);
    let holder = "admin at console from 192.0.2.9 is editing";
    assert_eq!(failure.waiting_for.as_deref(), Some(holder));
    console.preempt(Preempt::OwnSession);
    let failure = console.run(&lines(&["commit"])).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Busy);
    console.preempt(Preempt::Idle);
    console.run(&lines(&["commit"])).await.unwrap();
    console.close().await.unwrap();
    let answers: Vec<String> = stage.sshd.typed();
    assert_eq!(
        answers,
        [
            "no cli pager session",
            "configure",
            "no",
            "configure",
            "no",
            "configure",
            "yes",
            "commit",
            "exit",
            "exit"
        ]
    );
}

#[tokio::test]
async fn changes_of_another_administrator_are_neither_committed_nor_discarded() {
    let Some(stage) = Stage::set("pending").await else {
        return;
    };
    let mut console = stage.open().await.unwrap();
    let looked = console
        .run(&lines(&["show certificates status imported"]))
        .await;
    looked.unwrap();
    let failure = console.close().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Busy);
    let typed = stage.sshd.typed();
    assert_eq!(typed.last().unwrap(), "cancel");
    assert!(
        !typed
            .iter()
            .any(|line| line == "yes" || line.contains("discarded"))
    );
}

#[tokio::test]
async fn changes_of_ours_that_were_not_committed_are_given_up() {
    let Some(stage) = Stage::set("").await else {
        return;
    };
    let mut console = stage.open().await.unwrap();
    let typed = lines(&["ssl-vpn server", "certificate name fw-1", "nonsense"]);
    let failure = console.run(&typed).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Refused);
    console.close().await.unwrap();
    let typed = stage.sshd.typed();
    assert!(
        typed.ends_with(&lines(&["cancel", "exit", "exit"])),
        "{typed:?}"
    );
}

#[tokio::test]
async fn each_reason_for_which_the_device_ends_a_session_is_reported() {
    let Some(stage) = Stage::set("late").await else {
        return;
    };
    let mut console = stage.open().await.unwrap();
    let look = "show certificates status imported";
    let failure = console.run(&lines(&[look])).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unreachable);
    assert!(failure.detail.contains("% Session timed out."), "{failure}");
    console.close().await.unwrap();

    let mut console = stage.open().await.unwrap();
    let failure = console.run(&lines(&["commit", look])).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::OutcomeUnknown);
    console.close().await.unwrap();

    let Some(stage) = Stage::set("locked").await else {
        return;
    };
    let failure = stage.open().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unauthorized);
    assert!(
        failure.detail.contains("Maximum login attempts"),
        "{failure}"
    );
}

#[tokio::test]
async fn an_unknown_question_is_declined() {
    let Some(stage) = Stage::set("").await else {
        return;
    };
    let mut console = stage.open().await.unwrap();
    let failure = console.run(&lines(&["restart"])).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unexpected);
    assert!(failure.detail.contains("wish to restart"), "{failure}");
    console.close().await.unwrap();
    assert!(stage.sshd.typed().contains(&"cancel".to_owned()));
}

#[tokio::test]
async fn a_simulated_device_is_bound_on_its_command_line() {
    let mut device = DeviceSettings::new(Profile::V7_0);
    device.variants = Variants::kind();
    (
        device.variants.console_banner,
        device.variants.console_page_lines,
    ) = (true, 2);
    device.variants.console_echoes = true;
    device.console = Some(([127, 0, 0, 1], 0).into());
    let device = Simulator::start(device).await.unwrap();
    let port = device.console().unwrap().port();
    // Input and output pass unchanged; the device itself echoes.
    let relay = format!(
        "stty raw -echo; exec 3<>/dev/tcp/127.0.0.1/{port} 4<&0; cat <&4 >&3 & cat <&3; kill $!"
    );
    let Some(sshd) = Sshd::start(Proof::Password, "", &relay).await else {
        return;
    };
    let stage = Stage::before(sshd);
    let mut console = stage.open().await.unwrap();
    let bind = lines(&["ssl-vpn server", "certificate use-self-signed", "commit"]);
    assert_eq!(console.run(&bind).await.unwrap(), "% Changes made.\n");
    assert_eq!(device.bound(Port::SslVpn), None);
    let listed = console.run(&lines(&["show certificates status"])).await;
    assert!(listed.unwrap().contains("fw-initial"));
    let failure = console
        .run(&lines(&["ssl-vpn server", "certificate"]))
        .await;
    assert_eq!(failure.unwrap_err().kind, FailureKind::Refused);
    console.close().await.unwrap();
    assert_eq!(device.counters().commits, 1);
}
