//! Opens a TCP connection to a host that has several addresses (happy eyeballs, RFC 8305): an address that does
//! not answer does not delay the others. Independent of the protocol on the connection.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// Why there is no connection: each address that was tried, and its result.
#[derive(Debug)]
pub struct NotConnected {
    host: String,
    limit: Duration,
    tried: Vec<(SocketAddr, Option<io::Error>)>,
    /// Of the lookup, or that the name has no address.
    unknown: Option<io::Error>,
}

/// Connects to `host`, a name or an address, within `limit`.
///
/// # Errors
/// What became of each address.
pub async fn connect(host: &str, port: u16, limit: Duration) -> Result<TcpStream, NotConnected> {
    let deadline = Instant::now() + limit;
    let looking = tokio::net::lookup_host((host, port));
    let found = timeout_at(deadline, looking).await;
    let found = found.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut)));
    let outcome = match found {
        Ok(addresses) => {
            let addresses = in_turns(addresses);
            race(addresses, deadline, DELAY, TcpStream::connect).await
        }
        Err(error) => Err((Vec::new(), Some(error))),
    };
    outcome.map_err(|(tried, unknown)| NotConnected {
        host: host.to_owned(),
        limit,
        tried,
        unknown,
    })
}

/// The addresses with the families in turns, beginning with that of the first, which the system prefers (RFC 8305, 4).
fn in_turns(addresses: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut addresses = addresses.peekable();
    let is_six = addresses.peek().is_some_and(SocketAddr::is_ipv6);
    let (mut same, mut other): (VecDeque<_>, VecDeque<_>) =
        addresses.partition(|address| address.is_ipv6() == is_six);
    let mut ordered = Vec::new();
    while ordered.len() < MOST_ADDRESSES && !(same.is_empty() && other.is_empty()) {
        ordered.extend(same.pop_front());
        ordered.extend(other.pop_front());
    }
    ordered
}

type Tried = (Vec<(SocketAddr, Option<io::Error>)>, Option<io::Error>);

/// Tries one address after the other: the next when the one before has failed, or has not answered for a moment. The
/// first that answers wins.
async fn race<T, F: Future<Output = io::Result<T>>>(
    addresses: Vec<SocketAddr>,
    deadline: Instant,
    delay: Duration,
    dial: impl Fn(SocketAddr) -> F,
) -> Result<T, Tried> {
    let mut left = addresses.into_iter();
    let mut under_way = FuturesUnordered::new();
    let mut tried: Vec<(SocketAddr, Option<io::Error>)> = Vec::new();
    loop {
        if let Some(address) = left.next() {
            tried.push((address, None));
            let dialling = dial(address);
            under_way.push(async move { (address, dialling.await) });
        } else if under_way.is_empty() {
            let nothing = tried
                .is_empty()
                .then(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
            return Err((tried, nothing));
        }
        let pause = if left.len() > 0 {
            (Instant::now() + delay).min(deadline)
        } else {
            deadline
        };
        match timeout_at(pause, under_way.next()).await {
            Ok(Some((_, Ok(connection)))) => return Ok(connection),
            Ok(Some((address, Err(error)))) => {
                if let Some(entry) = tried.iter_mut().find(|(tried, _)| *tried == address) {
                    entry.1 = Some(error);
                }
            }
            Err(_) if pause == deadline => return Err((tried, None)),
            Ok(None) | Err(_) => {}
        }
    }
}

impl fmt::Display for NotConnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(error) = &self.unknown {
            return write!(f, "{}: {error}", self.host);
        }
        for (number, (address, error)) in self.tried.iter().enumerate() {
            let separator = if number == 0 { "" } else { "; " };
            match error {
                Some(error) => write!(f, "{separator}{address}: {error}")?,
                None => write!(
                    f,
                    "{separator}{address}: no answer within {} s",
                    self.limit.as_secs_f32()
                )?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for NotConnected {}

/// Before the next address is tried beside one that is silent (RFC 8305, 5).
const DELAY: Duration = Duration::from_millis(250);
/// A name may have any number.
const MOST_ADDRESSES: usize = 16;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// Answers, refuses or is silent, by the port.
    async fn dial(address: SocketAddr) -> io::Result<SocketAddr> {
        match address.port() {
            1 => Ok(address),
            2 => Err(io::Error::from(io::ErrorKind::ConnectionRefused)),
            _ => std::future::pending().await,
        }
    }

    async fn raced(
        addresses: &[&str],
        limit: Duration,
        delay: Duration,
    ) -> Result<SocketAddr, Tried> {
        let addresses = addresses.iter().map(|text| address(text)).collect();
        race(addresses, Instant::now() + limit, delay, dial).await
    }

    #[tokio::test]
    async fn an_unresponsive_address_delays_the_next_for_a_moment_and_a_refusal_not_at_all() {
        let (moment, for_ever) = (Duration::from_millis(1), Duration::from_hours(1));
        let silent = [
            "[2001:db8::1]:3",
            "192.0.2.1:3",
            "192.0.2.2:3",
            "192.0.2.3:1",
        ];
        let won = raced(&silent, for_ever, moment).await.unwrap();
        assert_eq!(won, address("192.0.2.3:1"));
        let refused = ["[2001:db8::1]:2", "192.0.2.1:2", "192.0.2.2:1"];
        let won = raced(&refused, for_ever, for_ever).await.unwrap();
        assert_eq!(won, address("192.0.2.2:1"));
    }

    #[tokio::test]
    async fn the_result_of_each_address_is_reported() {
        let limit = Duration::from_millis(20);
        let addresses = ["[2001:db8::1]:3", "192.0.2.1:2"];
        let lost = raced(&addresses, limit, Duration::from_millis(1)).await;
        let (tried, unknown) = lost.unwrap_err();
        let reported = NotConnected {
            host: "vpn.example.com".to_owned(),
            limit,
            tried,
            unknown,
        };
        assert_eq!(
            reported.to_string(),
            "[2001:db8::1]:3: no answer within 0.02 s; 192.0.2.1:2: connection refused"
        );
        let lost = raced(&[], limit, limit).await;
        assert!(lost.unwrap_err().1.is_some());
    }

    #[test]
    fn the_families_take_turns_and_the_first_stays_the_first() {
        let given = [
            "[::1]:1",
            "[::2]:1",
            "[::3]:1",
            "192.0.2.1:1",
            "192.0.2.2:1",
        ];
        let ordered = in_turns(given.iter().map(|text| address(text)));
        let wanted = [
            "[::1]:1",
            "192.0.2.1:1",
            "[::2]:1",
            "192.0.2.2:1",
            "[::3]:1",
        ];
        assert_eq!(ordered, wanted.map(address));
        let many = (0..1000).map(|port| SocketAddr::from(([192, 0, 2, 1], port)));
        assert_eq!(in_turns(many).len(), MOST_ADDRESSES);
    }

    #[tokio::test]
    async fn a_name_is_reached_at_whichever_of_its_addresses_listens() {
        for listening in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = tokio::net::TcpListener::bind(listening).await else {
                continue;
            };
            let port = listener.local_addr().unwrap().port();
            let limit = Duration::from_secs(10);
            // Where `localhost` has both families, one of them refuses.
            if connect("localhost", port, limit).await.is_err() {
                let both = [
                    address(&format!("[::1]:{port}")),
                    address(&format!("127.0.0.1:{port}")),
                ];
                let deadline = Instant::now() + limit;
                race(both.to_vec(), deadline, DELAY, TcpStream::connect)
                    .await
                    .unwrap();
            }
        }
        let error = connect("127.0.0.1", 1, Duration::from_secs(10))
            .await
            .unwrap_err();
        assert!(error.to_string().starts_with("127.0.0.1:1: "), "{error}");
    }
}
