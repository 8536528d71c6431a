//! FTP with curl, active and passive; where curl follows the protocol too strictly, with a raw client.

use std::net::IpAddr;

use renewd::transfer::{Protocol, Settings, Transfer};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use super::fixture::{
    CONTENT, Fixture, PATIENCE, folder_url, is_absent, loopback, receiving, said, with_password,
};

/// How curl makes the data connection.
const MANNERS: [&[&str]; 5] = [
    &[],
    &["--disable-epsv"],
    &["--ftp-port", "127.0.0.1"],
    &["--ftp-port", "-"],
    &["--ftp-port", "127.0.0.1", "--disable-eprt"],
];

#[tokio::test]
async fn the_right_file_is_brought_once_in_every_manner() {
    let fixture = Fixture::start();
    for manner in MANNERS {
        let mut transfer = fixture.receive(Protocol::Ftp).await;
        let url = folder_url(&transfer);
        let arguments = [manner, &["-T", "a.p10", url.as_str()]].concat();
        let Some(done) = fixture.curl(&arguments).await else {
            return;
        };
        assert!(done.status.success(), "{manner:?}: {}", said(&done));
        assert_eq!(transfer.received().await.unwrap(), CONTENT, "{manner:?}");
        let again = fixture.curl(&arguments).await.unwrap();
        assert!(!again.status.success(), "{manner:?}: {}", said(&again));
    }
}

#[tokio::test]
async fn a_client_is_done_well_even_when_the_transfer_is_dropped_at_once() {
    let fixture = Fixture::start();
    let mut transfer = fixture.receive(Protocol::Ftp).await;
    let url = folder_url(&transfer);
    let daemon = async move {
        let content = transfer.received().await;
        drop(transfer);
        content
    };
    let arguments = ["-v", "-T", "a.p10", url.as_str()];
    let (done, content) = tokio::join!(fixture.curl(&arguments), daemon);
    let Some(done) = done else { return };
    assert!(said(&done).contains("< 226"), "{}", said(&done));
    assert!(done.status.success(), "{}", said(&done));
    assert_eq!(content.unwrap(), CONTENT);
}

#[tokio::test]
async fn the_file_is_handed_out_once_in_every_manner() {
    let fixture = Fixture::start();
    for manner in MANNERS {
        let mut transfer = fixture.hand_out(Protocol::Ftp).await;
        let url = transfer.file_url().expose().to_owned();
        let arguments = [manner, &["-o", "got", &url]].concat();
        let Some(done) = fixture.curl(&arguments).await else {
            return;
        };
        assert!(done.status.success(), "{manner:?}: {}", said(&done));
        assert_eq!(std::fs::read(fixture.file("got")).unwrap(), CONTENT);
        transfer.fetched().await.unwrap();
        let again = fixture
            .curl(&[manner, &["-o", "again", &url]].concat())
            .await;
        assert!(!again.unwrap().status.success(), "{manner:?}");
        assert!(is_absent(&fixture.file("again")));
    }
}

#[tokio::test]
async fn a_listing_shows_the_file_to_a_client_that_knows_its_name_and_nothing_else() {
    let fixture = Fixture::start();
    let transfer = fixture.hand_out(Protocol::Ftp).await;
    let url = folder_url(&transfer);
    let Some(listing) = fixture.curl(&["--list-only", url.as_str()]).await else {
        return;
    };
    assert!(listing.status.success(), "{}", said(&listing));
    assert!(listing.stdout.is_empty(), "{}", said(&listing));
    let size = fixture
        .curl(&["-I", transfer.file_url().expose()])
        .await
        .unwrap();
    assert!(
        said(&size).contains(&CONTENT.len().to_string()),
        "{}",
        said(&size)
    );
    let other = fixture
        .curl(&["-I", url.join("etc/passwd").unwrap().as_str()])
        .await;
    assert!(!other.unwrap().status.success());
}

#[tokio::test]
async fn whatever_is_not_the_file_is_refused() {
    let fixture = Fixture::start();
    let mut transfer = fixture.receive(Protocol::Ftp).await;
    let url = folder_url(&transfer);
    let base = url.as_str();
    for (file, target) in [
        ("x.txt", base.to_owned()),
        ("a.p10", format!("{base}%2e%2e/a.p10")),
        ("a.p10", format!("{base}%2Fetc/a.p10")),
        ("large.p10", format!("{base}a.p10")),
        ("a.p10", with_password(&url, "wrong").to_string()),
        ("a.p10", base.replace(url.username(), "root")),
    ] {
        let Some(done) = fixture.curl(&["--path-as-is", "-T", file, &target]).await else {
            return;
        };
        assert!(!done.status.success(), "{file} {target}: {}", said(&done));
    }
    let elsewhere = ["--interface", "127.0.0.2", "-T", "a.p10", base];
    assert!(!fixture.curl(&elsewhere).await.unwrap().status.success());

    let done = fixture.curl(&["-T", "a.p10", base]).await.unwrap();
    assert!(done.status.success(), "{}", said(&done));
    assert_eq!(transfer.received().await.unwrap(), CONTENT);
}

#[tokio::test]
async fn a_data_connection_to_another_address_or_to_a_service_is_refused() {
    let fixture = Fixture::start();
    let transfer = fixture.receive(Protocol::Ftp).await;
    let victim = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let mut client = Client::logged_in(&transfer).await;
    let port = victim.local_addr().unwrap().port();
    let [high, low] = port.to_be_bytes();
    for command in [
        format!("PORT 127,0,0,2,{high},{low}"),
        format!("EPRT |1|127.0.0.2|{port}|"),
        "PORT 127,0,0,1,0,22".to_owned(),
        "EPRT |2|::1|4000|".to_owned(),
        "PORT nonsense".to_owned(),
    ] {
        assert_eq!(client.ask(&command).await, 501, "{command}");
        assert_eq!(client.ask("STOR a.p10").await, 425, "{command}");
    }
    let connection = futures_util::poll!(std::pin::pin!(victim.accept()));
    assert!(connection.is_pending());
}

#[tokio::test]
async fn a_data_connection_from_another_address_is_sent_away() {
    let fixture = Fixture::start();
    let settings = Settings {
        listen: Some(IpAddr::from([0, 0, 0, 0])),
        ..loopback()
    };
    let opened = fixture
        .open(&settings, Protocol::Ftp, receiving(), PATIENCE)
        .await;
    let mut transfer = opened.unwrap();
    let mut client = Client::logged_in(&transfer).await;
    let port = client.passive().await;
    client.send("STOR a.p10").await;
    let thief = tokio::net::TcpSocket::new_v4().unwrap();
    thief.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut thief = thief.connect(([127, 0, 0, 1], port).into()).await.unwrap();
    let _ = thief.write_all(b"swapped").await;
    let mut data = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    data.write_all(CONTENT).await.unwrap();
    drop(data);
    assert_eq!(client.answer().await, 150);
    assert_eq!(client.answer().await, 226);
    assert_eq!(transfer.received().await.unwrap(), CONTENT);
}

#[tokio::test]
async fn an_upload_that_breaks_off_does_not_count_and_may_be_repeated() {
    let fixture = Fixture::start();
    let mut transfer = fixture.receive(Protocol::Ftp).await;

    // The whole client is gone, as when it is killed or the device restarts.
    let mut client = Client::logged_in(&transfer).await;
    let mut data = client.store().await;
    data.write_all(b"half").await.unwrap();
    drop(client);
    drop(data);

    // The client thinks better of it.
    let mut client = Client::logged_in(&transfer).await;
    let mut data = client.store().await;
    data.write_all(b"half").await.unwrap();
    assert_eq!(client.ask("ABOR").await, 426);
    assert_eq!(client.answer().await, 226);

    let mut data = client.store().await;
    data.write_all(CONTENT).await.unwrap();
    drop(data);
    assert_eq!(client.answer().await, 226);
    assert_eq!(transfer.received().await.unwrap(), CONTENT);
}

#[tokio::test]
async fn nothing_but_a_login_is_possible_without_one() {
    let fixture = Fixture::start();
    let transfer = fixture.receive(Protocol::Ftp).await;
    let mut client = Client::connect(&folder_url(&transfer)).await;
    for command in [
        "PASV",
        "EPSV",
        "PORT 127,0,0,1,200,1",
        "STOR a.p10",
        "RETR a.pem",
        "LIST",
        "SIZE a.pem",
        "CWD /",
    ] {
        assert_eq!(client.ask(command).await, 530, "{command}");
    }
    for _ in 0..2 {
        assert_eq!(client.ask("USER root").await, 331);
        assert_eq!(client.ask("PASS wrong").await, 530);
    }
    assert_eq!(client.ask("USER root").await, 331);
    assert_eq!(client.ask("PASS wrong").await, 530);
    assert_eq!(client.answer().await, 421);
}

#[tokio::test]
async fn passive_ports_are_those_that_were_set_and_the_address_is_the_one_that_was_named() {
    let fixture = Fixture::start();
    let port = crate::peers::free_address().port();
    let settings = Settings {
        advertise: Some(IpAddr::from([192, 0, 2, 77])),
        passive_ports: Some(port..=port),
        ..loopback()
    };
    let opened = fixture
        .open(&settings, Protocol::Ftp, receiving(), PATIENCE)
        .await;
    let transfer = opened.unwrap();
    let mut url = folder_url(&transfer);
    assert_eq!(url.host_str(), Some("192.0.2.77"));
    url.set_host(Some("127.0.0.1")).unwrap();
    let mut client = Client::connect(&url).await;
    client.log_in(&url).await;
    client.send("PASV").await;
    let [high, low] = port.to_be_bytes();
    let line = client.line().await;
    assert!(
        line.contains(&format!("(192,0,2,77,{high},{low})")),
        "{line}"
    );
}

/// A client without manners.
struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    async fn logged_in(transfer: &Transfer) -> Self {
        let url = folder_url(transfer);
        let mut client = Self::connect(&url).await;
        client.log_in(&url).await;
        client
    }

    async fn connect(url: &Url) -> Self {
        let address = ("127.0.0.1", url.port().unwrap());
        let stream = TcpStream::connect(address).await.unwrap();
        let mut client = Self {
            stream: BufReader::new(stream),
        };
        assert_eq!(client.answer().await, 220);
        client
    }

    async fn log_in(&mut self, url: &Url) {
        assert_eq!(self.ask(&format!("USER {}", url.username())).await, 331);
        assert_eq!(
            self.ask(&format!("PASS {}", url.password().unwrap())).await,
            230
        );
    }

    /// Agrees on a passive data connection.
    async fn passive(&mut self) -> u16 {
        self.send("EPSV").await;
        let line = self.line().await;
        line.split('|').nth(3).unwrap().parse().unwrap()
    }

    /// Begins to bring the file.
    async fn store(&mut self) -> TcpStream {
        let port = self.passive().await;
        let data = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        assert_eq!(self.ask("STOR a.p10").await, 150);
        data
    }

    async fn ask(&mut self, command: &str) -> u16 {
        self.send(command).await;
        self.answer().await
    }

    async fn send(&mut self, command: &str) {
        let line = format!("{command}\r\n");
        self.stream
            .get_mut()
            .write_all(line.as_bytes())
            .await
            .unwrap();
    }

    async fn answer(&mut self) -> u16 {
        let line = self.line().await;
        line.get(..3)
            .and_then(|code| code.parse().ok())
            .unwrap_or_else(|| panic!("{line:?}"))
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        (&mut self.stream)
            .take(500)
            .read_line(&mut line)
            .await
            .unwrap();
        line
    }
}
