//! Where and how long servers are open, and what is reported when no client came.

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::time::Duration;

use renewd::failure::FailureKind;
use renewd::transfer::{Protocol, Settings, Task, TransferRequest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::fixture::{
    CONTENT, Fixture, PATIENCE, ScpProtocol, folder_url, loopback, receiving, said,
};

const PROTOCOLS: [Protocol; 2] = [Protocol::Scp, Protocol::Ftp];

/// Shorter than any client needs.
const BLINK: Duration = Duration::from_millis(50);

#[tokio::test]
async fn after_the_time_limit_no_client_is_accepted_and_the_failure_reports_what_happened() {
    let fixture = Fixture::start();
    fixture.transfers.host_keys().await.unwrap();
    for protocol in PROTOCOLS {
        let opened = fixture
            .open(&loopback(), protocol, receiving(), BLINK)
            .await;
        let mut transfer = opened.unwrap();
        let failure = transfer.received().await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Unreachable);
        assert!(
            failure
                .detail
                .contains("no client uploaded the file within"),
            "{failure}"
        );
        assert!(failure.detail.contains("nothing was refused"), "{failure}");
        let address = ("127.0.0.1", folder_url(&transfer).port().unwrap());
        let mut late = TcpStream::connect(address).await.unwrap();
        assert!(hears_nothing(&mut late).await, "{protocol:?}");
        let failure = transfer.received().await.unwrap_err();
        assert!(
            failure.detail.contains("a connection from 127.0.0.1"),
            "{failure}"
        );
    }
}

#[tokio::test]
async fn a_connection_that_has_logged_in_is_cut_at_the_time_limit() {
    let fixture = Fixture::start();
    let limit = Duration::from_millis(500);
    let opened = fixture
        .open(&loopback(), Protocol::Ftp, receiving(), limit)
        .await;
    let mut transfer = opened.unwrap();
    let url = folder_url(&transfer);
    let address = ("127.0.0.1", url.port().unwrap());
    let mut client = TcpStream::connect(address).await.unwrap();
    let (user, password) = (url.username(), url.password().unwrap());
    let login = format!("USER {user}\r\nPASS {password}\r\n");
    client.write_all(login.as_bytes()).await.unwrap();
    let mut heard = String::new();
    // The server never closes by itself: a client may think for half a minute.
    client.read_to_string(&mut heard).await.unwrap();
    assert!(heard.contains("230"), "{heard}");
    let failure = transfer.received().await.unwrap_err();
    assert!(failure.detail.contains("nothing was refused"), "{failure}");
}

#[tokio::test]
async fn refusals_are_reported_without_secrets() {
    let fixture = Fixture::start();
    let limit = Duration::from_secs(3);
    let opened = fixture
        .open(&loopback(), Protocol::Ftp, receiving(), limit)
        .await;
    let mut transfer = opened.unwrap();
    let url = folder_url(&transfer);
    let password = transfer.password().expose().to_owned();
    let as_name = format!("ftp://{password}:wrong@127.0.0.1:{}/", url.port().unwrap());
    for arguments in [
        &["-T", "x.txt", url.as_str()][..],
        &["-T", "a.p10", &as_name],
        &["--interface", "127.0.0.2", "-T", "a.p10", url.as_str()],
    ] {
        let Some(done) = fixture.curl(arguments).await else {
            return;
        };
        assert!(!done.status.success(), "{}", said(&done));
    }
    let failure = transfer.received().await.unwrap_err();
    for words in [
        "the file \"x.txt\" (no such file) from 127.0.0.1",
        "a login as \"[secret]\"",
        "a connection from 127.0.0.2",
    ] {
        assert!(failure.detail.contains(words), "{words}: {failure}");
    }
    assert!(!format!("{failure:?} {transfer:?}").contains(&password));
}

#[tokio::test]
async fn a_port_is_open_as_long_as_a_transfer_and_can_be_taken_again_at_once() {
    let fixture = Fixture::start();
    let address = crate::peers::free_address();
    let settings = Settings {
        scp_port: address.port(),
        ftp_port: address.port(),
        ..loopback()
    };
    for protocol in [Protocol::Scp, Protocol::Ftp, Protocol::Ftp, Protocol::Scp] {
        let open = || fixture.open(&settings, protocol, receiving(), PATIENCE);
        let first = open().await.unwrap();
        let second = open().await.unwrap();
        drop(first);
        assert!(TcpStream::connect(address).await.is_ok());
        drop(second);
        drop(open().await.unwrap());
        // The other protocol needs the port; it is given back within moments.
        while TcpListener::bind(address).is_err() {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_port_in_use_and_a_foreign_address_are_reported_with_a_remedy() {
    let fixture = Fixture::start();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = Settings {
        ftp_port: taken.local_addr().unwrap().port(),
        ..loopback()
    };
    let foreign = Settings {
        listen: Some(IpAddr::from([192, 0, 2, 1])),
        ..loopback()
    };
    for (settings, advice) in [(busy, "`ftp_port`"), (foreign, "`listen`")] {
        let opened = fixture
            .open(&settings, Protocol::Ftp, receiving(), PATIENCE)
            .await;
        let failure = opened.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Local);
        assert!(failure.detail.contains(advice), "{failure}");
    }
}

#[tokio::test]
async fn too_many_transfers_have_to_wait() {
    let fixture = Fixture::start();
    let settings = Settings {
        ftp_port: crate::peers::free_address().port(),
        ..loopback()
    };
    let mut open = Vec::new();
    let failure = loop {
        match fixture
            .open(&settings, Protocol::Ftp, receiving(), PATIENCE)
            .await
        {
            Ok(transfer) => open.push(transfer),
            Err(failure) => break failure,
        }
    };
    assert_eq!(failure.kind, FailureKind::Busy);
    open.pop();
    let opened = fixture
        .open(&settings, Protocol::Ftp, receiving(), PATIENCE)
        .await;
    assert!(opened.is_ok());
}

#[tokio::test]
async fn without_an_address_the_one_that_reaches_the_firewall_is_taken_and_reported() {
    let fixture = Fixture::start();
    let transfer = fixture
        .open(&Settings::default(), Protocol::Ftp, receiving(), PATIENCE)
        .await;
    let url = folder_url(&transfer.unwrap());
    assert_eq!(url.host_str(), Some("127.0.0.1"));
    let transfer = fixture.hand_out(Protocol::Ftp).await;
    let (folder, file) = (transfer.folder_url().expose(), transfer.file_url().expose());
    assert_eq!(format!("{folder}a.pem"), file);
}

#[tokio::test]
async fn ipv6_works_like_ipv4_and_brackets_stand_in_the_url() {
    let fixture = Fixture::start();
    if TcpListener::bind("[::1]:0").is_err() {
        println!("not tried: this machine has no IPv6");
        return;
    }
    let settings = Settings {
        listen: Some("::".parse().unwrap()),
        ..Settings::default()
    };
    for protocol in PROTOCOLS {
        let request = TransferRequest {
            protocol,
            firewall: "[::1]:443".parse().unwrap(),
            task: receiving(),
            time_limit: PATIENCE,
        };
        let mut transfer = fixture.transfers.open(&settings, request).await.unwrap();
        let url = folder_url(&transfer);
        assert_eq!(url.host_str(), Some("[::1]"));
        let done = match protocol {
            Protocol::Scp => fixture.bring(ScpProtocol::Legacy, "a.p10", &url, "/").await,
            Protocol::Ftp => fixture.curl(&["-g", "-T", "a.p10", url.as_str()]).await,
        };
        let Some(done) = done else { return };
        assert!(done.status.success(), "{}", said(&done));
        assert_eq!(transfer.received().await.unwrap(), CONTENT);
    }
}

#[tokio::test]
async fn an_ipv4_firewall_is_known_on_an_ipv6_port_too() {
    let fixture = Fixture::start();
    let settings = Settings {
        listen: Some("::".parse().unwrap()),
        advertise: Some(Ipv4Addr::LOCALHOST.into()),
        ..Settings::default()
    };
    let task = Task::HandOut {
        name: "a.pem".to_owned(),
        content: CONTENT.to_vec(),
    };
    let Ok(mut transfer) = fixture.open(&settings, Protocol::Ftp, task, PATIENCE).await else {
        println!("not tried: this machine has no IPv6");
        return;
    };
    let url = transfer.file_url().expose().to_owned();
    for manner in [
        &["--disable-epsv"][..],
        &["--ftp-port", "127.0.0.1", "--disable-eprt"],
    ] {
        let arguments = [manner, &["-I", &url]].concat();
        let Some(done) = fixture.curl(&arguments).await else {
            return;
        };
        assert!(done.status.success(), "{}", said(&done));
    }
    let done = fixture
        .curl(&["--disable-epsv", "-o", "got", &url])
        .await
        .unwrap();
    assert!(done.status.success(), "{}", said(&done));
    transfer.fetched().await.unwrap();
}

/// Whether the server closes without a response.
async fn hears_nothing(stream: &mut TcpStream) -> bool {
    let mut heard = Vec::new();
    // Closed with an error or without: either way nothing was sent.
    let _ = stream.read_to_end(&mut heard).await;
    heard.is_empty()
}
