//! Which clients are admitted, which are evicted, and what is logged.

use std::io::Write;
use std::net::Ipv4Addr;

use super::*;
use crate::transfer::grant::tests::receiving;

const FIREWALL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 4000);
const STRANGER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9)), 4000);
const OWN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 22);

fn acceptor() -> (Arc<Acceptor>, Arc<Grant>) {
    let acceptor = Acceptor::new(Protocol::Scp, OWN);
    let grant = receiving(10);
    acceptor.add(Arc::clone(&grant));
    (acceptor, grant)
}

#[test]
fn only_the_awaited_address_is_let_in_also_as_ipv6() {
    let (acceptor, grant) = acceptor();
    assert!(acceptor.admit(STRANGER, OWN).is_none());
    let mapped = "[::ffff:192.0.2.1]:4000".parse().unwrap();
    assert_eq!(acceptor.admit(mapped, OWN).unwrap().peer, FIREWALL);
    assert!(acceptor.remove(&grant));
    assert!(acceptor.admit(FIREWALL, OWN).is_none());
}

#[test]
fn the_oldest_stranger_makes_way_and_never_one_that_has_logged_in() {
    let (acceptor, _offer) = acceptor();
    let known = acceptor.admit(FIREWALL, OWN).unwrap();
    assert!(known.log_in("r1", "one-time").is_some());
    let strangers: Vec<_> = (0..=STRANGERS_OF_ONE_ADDRESS)
        .map(|_| acceptor.admit(FIREWALL, OWN).unwrap())
        .collect();
    let evicted: Vec<bool> = strangers
        .iter()
        .map(|client| client.evicted.is_cancelled())
        .collect();
    assert!(evicted[0] && !evicted[1..].contains(&true), "{evicted:?}");
    assert!(!known.evicted.is_cancelled());
    assert_eq!(lock(&acceptor.clients).len(), 1 + STRANGERS_OF_ONE_ADDRESS);
}

#[test]
fn logins_to_one_transfer_are_bounded_and_a_lost_one_makes_room() {
    let (acceptor, _offer) = acceptor();
    let mut clients: Vec<_> = (0..VISITS)
        .map(|_| {
            let client = acceptor.admit(FIREWALL, OWN).unwrap();
            assert!(client.log_in("r1", "one-time").is_some());
            client
        })
        .collect();
    let late = acceptor.admit(FIREWALL, OWN).unwrap();
    assert!(late.log_in("r1", "one-time").is_none());
    clients.pop().unwrap().leave();
    assert!(late.log_in("r1", "one-time").is_some());
}

#[tokio::test]
async fn a_guest_leaves_with_the_listener_or_with_its_transfer() {
    let (acceptor, grant) = acceptor();
    let stranger = acceptor.admit(FIREWALL, OWN).unwrap();
    let known = acceptor.admit(FIREWALL, OWN).unwrap();
    assert!(known.log_in("r1", "one-time").is_some());
    acceptor.closed.cancel();
    stranger.time_is_up().await;
    grant.closed.cancel();
    known.time_is_up().await;
}

#[test]
fn refused_attempts_are_logged_with_their_address_without_passwords_and_in_bounded_lines() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let (acceptor, grant) = acceptor();
    tracing::subscriber::with_default(subscriber, || {
        let client = acceptor.admit(FIREWALL, OWN).unwrap();
        assert!(client.log_in("one-time", "wr0ng").is_none());
        assert!(client.log_in("r1", "wr0ng").is_none());
        for _ in 0..1000 {
            assert!(acceptor.admit(STRANGER, OWN).is_none());
        }
        acceptor.say_goodbye();
    });
    let text = String::from_utf8(lock(&log.0).clone()).unwrap();
    assert!(
        text.contains("WARN") && text.contains("peer=192.0.2.9 port=22"),
        "{text}"
    );
    assert!(
        text.contains(r#"refused="a login as \"[secret]\"""#),
        "{text}"
    );
    assert!(text.contains("unwritten=982"), "{text}");
    assert!(
        !text.contains("one-time") && !text.contains("wr0ng"),
        "{text}"
    );
    assert!(text.lines().count() < 25, "{text}");
    let reported = grant.refusals.to_string();
    assert!(
        reported.contains("a connection from 192.0.2.9 (1000 times)"),
        "{reported}"
    );
}

#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
