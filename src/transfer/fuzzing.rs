//! What a client of the servers for transfers says, under any input: the bodies of fuzz targets.
#![allow(
    clippy::missing_panics_doc,
    reason = "a property that does not hold is a panic"
)]

use std::io::Cursor;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::acceptor::{Acceptor, Client, Connection};
use super::grant::{Grant, name_in};
use super::refusals::{Refusals, quoted};
use super::settings::Protocol;
use super::{Task, ftp, ssh};
use crate::secret::Secret;

/// A line of FTP: an address is read as it was written, and a path leads to one name of one folder.
pub fn ftp_line(data: &[u8]) {
    let line = String::from_utf8_lossy(data);
    ftp::fuzzing::line(&line);
    path(&line);
    let reported = quoted(&line);
    assert!(reported.chars().count() <= 3000 && !reported.chars().any(char::is_control));
    if let Some((low, high)) = data.first_chunk().zip(data.last_chunk()) {
        let port = u16::from_be_bytes(*high);
        ftp::fuzzing::address(SocketAddr::from((
            Ipv4Addr::from(u32::from_be_bytes(*low)),
            port,
        )));
    }
}

fn path(path: &str) {
    if let Some(name) = name_in(path) {
        assert!(
            !name.is_empty() && !name.contains('/') && name != "..",
            "{path}"
        );
        assert!(path.ends_with(name), "{path}");
    }
}

/// An scp in either direction, its words and what it sends behind the first line feed.
pub fn scp(data: &[u8]) {
    let (words, sent) = match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => data.split_at(end),
        None => (data, &[][..]),
    };
    let words = String::from_utf8_lossy(words);
    let sent = sent.get(1..).unwrap_or_default();
    serve(sent, Some(&words));
}

/// A session of SFTP, in either direction.
pub fn sftp(data: &[u8]) {
    serve(data, None);
}

/// A client that has said everything at once.
pub(super) type Stream = tokio::io::Join<Cursor<Vec<u8>>, Vec<u8>>;

/// Serves a client, by `scp` called with `words` or else by SFTP, that brings a file, and one that fetches one: what is kept is a whole file of the awaited name and size,
/// what is given is given under its name, and an answer is no longer than was asked for.
fn serve(data: &[u8], words: Option<&str>) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
    else {
        return;
    };
    if contains(data, CONTENT.as_bytes()) {
        return;
    }
    let names = vec!["a.p10".to_owned(), "a.pem".to_owned()];
    let receive = Task::Receive {
        names,
        largest: LARGEST,
    };
    let give = Task::HandOut {
        name: "a.pem".to_owned(),
        content: CONTENT.as_bytes().to_vec(),
    };
    for task in [receive, give] {
        let is_given = matches!(task, Task::HandOut { .. });
        let Some((client, connection)) = runtime.block_on(async { connection(task) }) else {
            continue;
        };
        let stream = tokio::io::join(Cursor::new(data.to_vec()), Vec::new());
        let said = runtime.block_on(async {
            match words {
                Some(words) => ssh::fuzzing::scp(stream, &connection, words).await,
                None => ssh::fuzzing::sftp(stream, &connection).await,
            }
        });
        client.leave();
        let kept = connection.grant.content.lock();
        let kept = kept.unwrap_or_else(PoisonError::into_inner);
        let is_done = connection.grant.done.is_cancelled();
        assert!(kept.len() <= LARGEST && (is_done || kept.is_empty()));
        assert!(!is_given || kept.is_empty());
        assert!(is_given || !contains(&said, CONTENT.as_bytes()));
        assert!(!is_given || !is_done || said.len() >= CONTENT.len());
        assert!(!contains(&said, PASSWORD.as_bytes()));
        // A question of SFTP has nine bytes at least.
        assert!(
            said.len() <= 1024 + 128 * data.len(),
            "{} bytes",
            said.len()
        );
        let reported = connection.grant.refusals.to_string();
        assert!(reported.len() <= 8192 && !reported.chars().any(char::is_control));
    }
}

fn connection(task: Task) -> Option<(Arc<Client>, Connection)> {
    let peer = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 4000));
    let grant = Arc::new(Grant {
        peer: IpAddr::from([192, 0, 2, 1]),
        user: "r1".to_owned(),
        password: Secret::new(PASSWORD.to_owned()),
        task,
        deadline: Instant::now() + Duration::from_mins(1),
        passive_address: None,
        passive_ports: None,
        closed: CancellationToken::new(),
        done: CancellationToken::new(),
        refusals: Refusals::default(),
        content: Mutex::default(),
    });
    let acceptor = Acceptor::new(Protocol::Scp, peer);
    acceptor.add(grant);
    let client = acceptor.admit(peer, peer)?;
    let connection = client.log_in("r1", PASSWORD)?;
    Some((client, connection))
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

const LARGEST: usize = 4096;
const PASSWORD: &str = "one-time-kq3xv7";
const CONTENT: &str = "-----BEGIN CERTIFICATE-----";
