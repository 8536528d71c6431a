//! With OpenSSH's `scp`, as SFTP and with `-O` as the legacy protocol.

use std::process::Stdio;

use renewd::transfer::{Protocol, Settings};
use tokio::io::AsyncWriteExt;

use super::fixture::{
    CONTENT, Fixture, PATIENCE, ScpProtocol, folder_url, is_absent, loopback, output, receiving,
    said, with_password,
};

#[tokio::test]
async fn the_right_file_is_brought_to_the_folder_and_by_its_name() {
    let fixture = Fixture::start();
    for scp_protocol in ScpProtocol::BOTH {
        for target in ["", ".", "/", "a.p10", "/a.p10", "./a.p10"] {
            let mut transfer = fixture.receive(Protocol::Scp).await;
            let url = folder_url(&transfer);
            let Some(done) = fixture.bring(scp_protocol, "a.p10", &url, target).await else {
                return;
            };
            assert!(
                done.status.success(),
                "{scp_protocol:?} {target:?}: {}",
                said(&done)
            );
            assert_eq!(
                transfer.received().await.unwrap(),
                CONTENT,
                "{scp_protocol:?} {target:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_file_arrives_under_the_name_of_the_target_and_with_its_times() {
    let fixture = Fixture::start();
    for scp_protocol in ScpProtocol::BOTH {
        let mut transfer = fixture.receive(Protocol::Scp).await;
        let url = folder_url(&transfer);
        let Some(mut scp) = fixture.scp(scp_protocol, &url, &[]) else {
            return;
        };
        scp.args(["-p", "-q"]).arg(fixture.file("x.txt"));
        scp.arg(format!("{}@127.0.0.1:/a.pem", url.username()));
        let done = output(scp).await;
        assert!(done.status.success(), "{scp_protocol:?}: {}", said(&done));
        assert_eq!(transfer.received().await.unwrap(), CONTENT);
    }
}

#[tokio::test]
async fn a_client_is_done_well_even_when_the_transfer_is_dropped_at_once() {
    let fixture = Fixture::start();
    for scp_protocol in ScpProtocol::BOTH {
        let mut transfer = fixture.receive(Protocol::Scp).await;
        let url = folder_url(&transfer);
        let daemon = async move {
            let content = transfer.received().await;
            drop(transfer);
            content
        };
        let (done, content) = tokio::join!(fixture.bring(scp_protocol, "a.p10", &url, "/"), daemon);
        let Some(done) = done else { return };
        assert!(done.status.success(), "{scp_protocol:?}: {}", said(&done));
        assert_eq!(content.unwrap(), CONTENT);
    }
}

#[tokio::test]
async fn the_file_is_handed_out_once() {
    let fixture = Fixture::start();
    for scp_protocol in ScpProtocol::BOTH {
        let mut transfer = fixture.hand_out(Protocol::Scp).await;
        let url = folder_url(&transfer);
        let Some(done) = fixture.fetch(scp_protocol, &url, "/a.pem", "got").await else {
            return;
        };
        assert!(done.status.success(), "{scp_protocol:?}: {}", said(&done));
        assert_eq!(std::fs::read(fixture.file("got")).unwrap(), CONTENT);
        transfer.fetched().await.unwrap();
        let again = fixture
            .fetch(scp_protocol, &url, "/a.pem", "again")
            .await
            .unwrap();
        assert!(
            !again.status.success(),
            "{scp_protocol:?}: {}",
            said(&again)
        );
        assert!(is_absent(&fixture.file("again")));
    }
}

#[tokio::test]
async fn whatever_is_not_the_file_is_refused_and_reported() {
    let fixture = Fixture::start();
    for scp_protocol in ScpProtocol::BOTH {
        for (from, to) in [
            ("x.txt", "/"),
            ("x.txt", "/x.txt"),
            ("a.p10", "/../a.p10"),
            ("a.p10", "../a.p10"),
            ("a.p10", "/etc/a.p10"),
            ("large.p10", "/a.p10"),
        ] {
            let transfer = fixture.receive(Protocol::Scp).await;
            let url = folder_url(&transfer);
            let Some(done) = fixture.bring(scp_protocol, from, &url, to).await else {
                return;
            };
            assert!(
                !done.status.success(),
                "{scp_protocol:?} {from} {to}: {}",
                said(&done)
            );
        }
        let transfer = fixture.hand_out(Protocol::Scp).await;
        let url = folder_url(&transfer);
        for from in ["/x.txt", "/etc/passwd", "../a.pem", "/", "a.p10"] {
            let done = fixture
                .fetch(scp_protocol, &url, from, "stolen")
                .await
                .unwrap();
            assert!(
                !done.status.success(),
                "{scp_protocol:?} {from}: {}",
                said(&done)
            );
            assert!(
                is_absent(&fixture.file("stolen")),
                "{scp_protocol:?} {from}"
            );
        }
    }
}

#[tokio::test]
async fn a_wrong_password_a_second_use_and_another_address_are_refused() {
    let fixture = Fixture::start();
    let mut transfer = fixture.receive(Protocol::Scp).await;
    let url = folder_url(&transfer);
    let wrong = with_password(&url, "not-the-password");
    let Some(done) = fixture
        .bring(ScpProtocol::Legacy, "a.p10", &wrong, "/")
        .await
    else {
        return;
    };
    assert!(!done.status.success());
    let mut elsewhere = fixture
        .scp(ScpProtocol::Legacy, &url, &["BindAddress=127.0.0.2"])
        .unwrap();
    elsewhere.arg(fixture.file("a.p10"));
    elsewhere.arg(format!("{}@127.0.0.1:/", url.username()));
    let done = output(elsewhere).await;
    assert!(!done.status.success(), "{}", said(&done));

    let done = fixture
        .bring(ScpProtocol::Sftp, "a.p10", &url, "/")
        .await
        .unwrap();
    assert!(done.status.success(), "{}", said(&done));
    assert_eq!(transfer.received().await.unwrap(), CONTENT);
    for scp_protocol in ScpProtocol::BOTH {
        let again = fixture
            .bring(scp_protocol, "a.p10", &url, "/")
            .await
            .unwrap();
        assert!(
            !again.status.success(),
            "{scp_protocol:?}: {}",
            said(&again)
        );
    }
}

#[tokio::test]
async fn a_shell_a_command_and_a_tunnel_are_refused() {
    let fixture = Fixture::start();
    let transfer = fixture.receive(Protocol::Scp).await;
    let url = folder_url(&transfer);
    for command in [&["id"][..], &[], &["-W", "127.0.0.1:22"]] {
        let Some(mut ssh) = fixture.openssh("ssh", &url, &["ClearAllForwardings=no"]) else {
            return;
        };
        ssh.args(["-p", &url.port().unwrap().to_string()]);
        ssh.args(
            command
                .iter()
                .filter(|word| word.starts_with('-') || word.contains(':')),
        );
        ssh.arg(format!("{}@127.0.0.1", url.username()));
        ssh.args(command.iter().filter(|word| **word == "id"));
        let done = output(ssh).await;
        assert!(!done.status.success(), "{command:?}: {}", said(&done));
        assert!(done.stdout.is_empty(), "{command:?}: {}", said(&done));
    }
}

#[tokio::test]
async fn an_upload_that_breaks_off_does_not_count_and_may_be_repeated() {
    let fixture = Fixture::start();
    let mut transfer = fixture.receive(Protocol::Scp).await;
    let url = folder_url(&transfer);
    let Some(mut ssh) = fixture.openssh("ssh", &url, &[]) else {
        return;
    };
    ssh.args(["-p", &url.port().unwrap().to_string()]);
    ssh.args([&format!("{}@127.0.0.1", url.username()), "scp -t ."]);
    let mut child = ssh
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input
        .write_all(b"C0600 100 a.p10\nhalf of it")
        .await
        .unwrap();
    input.flush().await.unwrap();
    // Its end of the input is the end of the channel: the file is not whole.
    drop(input);
    let ended = child.wait().await.unwrap();
    assert!(!ended.success());

    let done = fixture
        .bring(ScpProtocol::Legacy, "a.p10", &url, "/")
        .await
        .unwrap();
    assert!(done.status.success(), "{}", said(&done));
    assert_eq!(transfer.received().await.unwrap(), CONTENT);
}

#[tokio::test]
async fn a_client_that_knows_only_old_algorithms_gets_through() {
    let fixture = Fixture::start();
    let old = [
        "KexAlgorithms=diffie-hellman-group14-sha1",
        "HostKeyAlgorithms=ssh-rsa",
        "Ciphers=aes128-cbc",
        "MACs=hmac-sha1",
    ];
    for kex in [
        old[0],
        "KexAlgorithms=diffie-hellman-group1-sha1",
        "KexAlgorithms=diffie-hellman-group-exchange-sha1",
    ] {
        let mut transfer = fixture.receive(Protocol::Scp).await;
        let url = folder_url(&transfer);
        let Some(mut scp) = fixture.scp(ScpProtocol::Legacy, &url, &[kex, old[1], old[2], old[3]])
        else {
            return;
        };
        scp.arg(fixture.file("a.p10"));
        scp.arg(format!("{}@127.0.0.1:/", url.username()));
        let done = output(scp).await;
        assert!(done.status.success(), "{kex}: {}", said(&done));
        assert_eq!(transfer.received().await.unwrap(), CONTENT);
    }
}

#[tokio::test]
async fn a_client_with_keyboard_interactive_authentication_is_accepted() {
    let fixture = Fixture::start();
    let mut transfer = fixture.receive(Protocol::Scp).await;
    let url = folder_url(&transfer);
    let options = ["PreferredAuthentications=keyboard-interactive"];
    let Some(mut scp) = fixture.scp(ScpProtocol::Sftp, &url, &options) else {
        return;
    };
    scp.arg(fixture.file("a.p10"));
    scp.arg(format!("{}@127.0.0.1:/", url.username()));
    let done = output(scp).await;
    assert!(done.status.success(), "{}", said(&done));
    assert_eq!(transfer.received().await.unwrap(), CONTENT);
}

#[tokio::test]
async fn the_host_key_that_is_shown_is_the_one_that_clients_see() {
    let fixture = Fixture::start();
    let shown = fixture.transfers.host_keys().await.unwrap();
    let transfer = fixture.receive(Protocol::Scp).await;
    let url = folder_url(&transfer);
    for key in shown {
        let algorithm = format!("HostKeyAlgorithms={}", key.algorithm);
        let Some(mut scp) = fixture.scp(ScpProtocol::Legacy, &url, &[&algorithm, "LogLevel=DEBUG"])
        else {
            return;
        };
        scp.arg(fixture.file("x.txt"));
        scp.arg(format!("{}@127.0.0.1:/", url.username()));
        let done = output(scp).await;
        let words = said(&done);
        assert!(words.contains(&key.fingerprint), "{key:?}: {words}");
        assert!(
            !words.contains("0.65"),
            "the version of the library is reported: {words}"
        );
    }
}

#[tokio::test]
async fn two_transfers_share_a_port_and_each_gets_its_own_file() {
    let fixture = Fixture::start();
    let settings = Settings {
        scp_port: crate::peers::free_address().port(),
        ..loopback()
    };
    let mut transfers = Vec::new();
    for _ in 0..2 {
        let opened = fixture
            .open(&settings, Protocol::Scp, receiving(), PATIENCE)
            .await;
        transfers.push(opened.unwrap());
    }
    let urls: Vec<_> = transfers.iter().map(folder_url).collect();
    assert_eq!(urls[0].port(), urls[1].port());
    std::fs::write(fixture.file("a.pem"), "the second").unwrap();
    let first = fixture.bring(ScpProtocol::Legacy, "a.p10", &urls[0], "/");
    let second = fixture.bring(ScpProtocol::Sftp, "a.pem", &urls[1], "/");
    let (Some(first), Some(second)) = tokio::join!(first, second) else {
        return;
    };
    assert!(first.status.success(), "{}", said(&first));
    assert!(second.status.success(), "{}", said(&second));
    assert_eq!(transfers[0].received().await.unwrap(), CONTENT);
    assert_eq!(transfers[1].received().await.unwrap(), b"the second");
}
