//! SonicOS 6.5 whose API knows no way to carry a file and has no command line either: the last resort is SSH. The server
//! before the simulated console is russh's; a real one stands before it in the tests of the console itself.

use std::net::SocketAddr;
use std::sync::Arc;

use renewd::failure::FailureKind;
use renewd::firewall::ObjectKind;
use renewd::firewall::sonicos::CommandLine;
use renewd::inventory::Endpoint;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{HashAlg, PrivateKey};
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, Session, run_stream};
use russh::{Channel, ChannelId};
use simulators::sonicos::{Action, Barrier, Profile, Rule, TransferSpelling};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use super::fixture::{Fixture, install, list_of, listed, request};

#[tokio::test]
async fn what_the_api_cannot_is_done_on_the_command_line_over_ssh() {
    let fixture = stage(|_| {}).await;
    let mut session = fixture.session().await;
    let leaf = install(session.as_mut(), "fw-1").await;
    let expected = list_of(&[("fw-1", ObjectKind::Certificate)]);
    assert_eq!(listed(session.as_mut()).await, expected);
    assert_eq!(
        fixture.device.spki_sha256("fw-1"),
        Some(leaf.public_key.to_string())
    );
    // What was committed on the command line waits for no second commit through the API.
    assert_eq!(fixture.requests("POST /config/pending"), 0);
    session.remove("fw-1").await.unwrap();
    assert!(!fixture.device.certificates().contains(&"fw-1".to_owned()));
    let quirks = session.identify().await.unwrap().quirks;
    for expected in ["export=ssh-scp-folder", "import=ssh-scp"] {
        assert!(quirks.contains(&expected.to_owned()), "{quirks:?}");
    }
    fixture.close(session).await;
}

#[tokio::test]
async fn a_probe_takes_configuration_mode_from_no_administrator() {
    let mut fixture = stage(|_| {}).await;
    fixture.settings.preempt_idle_administrator = true;
    let mut session = fixture.session().await;
    fixture
        .device
        .other_administrator()
        .takes_configuration_mode();
    assert_eq!(session.installed().await.unwrap().len(), 1);
    let journal = fixture.device.journal();
    assert!(
        !journal.iter().any(|line| line.contains("configure")),
        "{journal:#?}"
    );
    fixture.close(session).await;
}

#[tokio::test]
async fn another_host_key_ends_it_before_any_credential_is_sent() {
    let other = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let fixture = stage(|command_line| other.clone_into(&mut command_line.host_key)).await;
    let mut session = fixture.session().await;
    session.generate_csr("fw-1", &request()).await.unwrap();
    let failure = session.export_csr("fw-1").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Untrusted, "{failure}");
    fixture.close(session).await;
}

/// Between the check through the API and configuration mode on the command line.
#[tokio::test]
async fn a_change_after_the_check_is_neither_committed_nor_discarded_over_ssh() {
    let fixture = stage(|_| {}).await;
    let mut session = fixture.session().await;
    install(session.as_mut(), "fw-1").await;
    session.generate_csr("fw-2", &request()).await.unwrap();
    let barrier = Barrier::new();
    let hold = Action::HoldAfter(barrier.clone());
    fixture
        .device
        .rule(Rule::once("GET", "/config/pending", hold));
    let other = fixture.device.other_administrator();
    let meddle = async {
        barrier.wait_reached().await;
        other.has_pending_change("address-object ipv4 printer");
        barrier.release();
    };
    let (exported, ()) = tokio::join!(session.export_csr("fw-2"), meddle);
    let failure = exported.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Busy, "{failure}");
    assert!(failure.waiting_for.is_some(), "{failure}");
    let typed = fixture.device.journal();
    let before = typed.iter().rposition(|line| line.contains("configure"));
    let exports = typed.iter().skip(before.unwrap());
    assert!(
        !exports.clone().any(|line| line.contains("export")),
        "{typed:#?}"
    );
    let counters = fixture.device.counters();
    assert_eq!(counters.commits_of_foreign_changes, 0);
    assert_eq!(counters.discards_of_foreign_changes, 0);
    assert_eq!(fixture.device.pending().len(), 1, "theirs is still there");
    // The other administrator commits, and the renewal continues.
    other.commits();
    other.leaves();
    session.export_csr("fw-2").await.unwrap();
    fixture.close(session).await;
}

/// A device with SSH before its console, and an API that lacks everything that has another way.
async fn stage(change: impl FnOnce(&mut CommandLine)) -> Fixture {
    let mut fixture = Fixture::start(Profile::V6_5, |variants| {
        variants.transfer_spelling = Some(TransferSpelling::CliOnly);
        variants.direct_cli = false;
        variants.console_echoes = true;
    })
    .await;
    let (address, host_key) = relay(fixture.device.console().unwrap()).await;
    let mut command_line = CommandLine {
        address: Endpoint {
            host: address.ip().to_string(),
            port: address.port(),
        },
        host_key,
    };
    change(&mut command_line);
    fixture.settings.command_line = Some(command_line);
    fixture
}

/// Relays logins over SSH to `console`; where it listens, and its key's fingerprint.
async fn relay(console: SocketAddr) -> (SocketAddr, String) {
    let key = PrivateKey::from(Ed25519Keypair::from_seed(&[7; 32]));
    let fingerprint = key.public_key().fingerprint(HashAlg::Sha256).to_string();
    let config = Arc::new(Config {
        keys: vec![key],
        ..Config::default()
    });
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let door = SshHandler {
                console,
                channel: None,
            };
            tokio::spawn(run_stream(config.clone(), stream, door));
        }
    });
    (address, fingerprint)
}

struct SshHandler {
    console: SocketAddr,
    channel: Option<Channel<Msg>>,
}

impl Handler for SshHandler {
    type Error = russh::Error;

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, russh::Error> {
        Ok(match (user, password) {
            ("renewd", "correct horse") => Auth::Accept,
            _ => Auth::reject(),
        })
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.channel = Some(channel);
        reply.accept().await;
        Ok(())
    }

    async fn shell_request(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.channel_success(channel)?;
        let mut console = TcpStream::connect(self.console).await?;
        if let Some(channel) = self.channel.take() {
            tokio::spawn(async move {
                let mut terminal = channel.into_stream();
                let _ = copy_bidirectional(&mut terminal, &mut console).await;
            });
        }
        Ok(())
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _term: &str,
        _columns: u32,
        _rows: u32,
        _width: u32,
        _height: u32,
        _modes: &[(russh::Pty, u32)],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.channel_success(channel)
    }
}
