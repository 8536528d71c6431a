//! Under attack by other clients, the right client is still accepted, and the daemon's other work continues.

use std::net::SocketAddr;

use renewd::transfer::{Protocol, Transfer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::fixture::{CONTENT, Fixture, ScpProtocol, folder_url, said};

#[tokio::test]
async fn a_port_scan_from_another_address_gets_no_response() {
    let fixture = Fixture::start();
    for protocol in [Protocol::Scp, Protocol::Ftp] {
        let transfer = fixture.receive(protocol).await;
        for _ in 0..50 {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
            let mut stream = socket.connect(address(&transfer)).await.unwrap();
            // It may be closed before this arrives.
            let _ = stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await;
            let mut heard = Vec::new();
            let _ = stream.read_to_end(&mut heard).await;
            assert!(heard.is_empty(), "{protocol:?}: {heard:?}");
        }
        the_right_client_gets_through(&fixture, transfer, protocol).await;
    }
}

#[tokio::test]
async fn garbage_and_connections_that_are_closed_at_once_do_no_harm() {
    let fixture = Fixture::start();
    for protocol in [Protocol::Scp, Protocol::Ftp] {
        let transfer = fixture.receive(protocol).await;
        for round in 0..50_usize {
            let mut stream = TcpStream::connect(address(&transfer)).await.unwrap();
            let garbage = vec![u8::try_from(round).unwrap(); round * 1000];
            let _ = stream.write_all(&garbage).await;
            let _ = stream
                .write_all(b"SSH-2.0-x\r\n\xff\xff\xff\xff\r\n\r\n")
                .await;
        }
        the_right_client_gets_through(&fixture, transfer, protocol).await;
    }
}

#[tokio::test]
async fn half_open_connections_lock_out_no_client() {
    let fixture = Fixture::start();
    for protocol in [Protocol::Scp, Protocol::Ftp] {
        let transfer = fixture.receive(protocol).await;
        let mut held = Vec::new();
        for round in 0..60 {
            let mut stream = TcpStream::connect(address(&transfer)).await.unwrap();
            if round % 2 == 0 {
                let _ = stream.write_all(b"SSH-2.0-held\r\n").await;
            }
            held.push(stream);
        }
        the_right_client_gets_through(&fixture, transfer, protocol).await;
        drop(held);
    }
}

/// One thread for everything: a blocking call would stop the other work.
#[tokio::test(flavor = "current_thread")]
async fn the_daemons_other_work_continues_under_attack() {
    let fixture = Fixture::start();
    let transfer = fixture.receive(Protocol::Scp).await;
    let address = address(&transfer);
    let attack = tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let _ = stream.write_all(b"SSH-2.0-held\r\nrubbish").await;
            held.push(stream);
            if held.len() > 50 {
                held.clear();
            }
        }
    });
    let work = async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap();
        for number in 0..200_u8 {
            let (near, far) = tokio::join!(TcpStream::connect(own), listener.accept());
            near.unwrap().write_all(&[number]).await.unwrap();
            assert_eq!(far.unwrap().0.read_u8().await.unwrap(), number);
        }
    };
    let mut transfer = transfer;
    tokio::select! {
        () = work => {}
        failure = transfer.received() => panic!("the work took longer than the time limit: {failure:?}"),
    }
    assert!(!attack.is_finished());
    attack.abort();
}

async fn the_right_client_gets_through(
    fixture: &Fixture,
    mut transfer: Transfer,
    protocol: Protocol,
) {
    let url = folder_url(&transfer);
    let done = match protocol {
        Protocol::Scp => fixture.bring(ScpProtocol::Legacy, "a.p10", &url, "/").await,
        Protocol::Ftp => fixture.curl(&["-T", "a.p10", url.as_str()]).await,
    };
    let Some(done) = done else { return };
    assert!(done.status.success(), "{protocol:?}: {}", said(&done));
    assert_eq!(transfer.received().await.unwrap(), CONTENT);
}

fn address(transfer: &Transfer) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], folder_url(transfer).port().unwrap()))
}
