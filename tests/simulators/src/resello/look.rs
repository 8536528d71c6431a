//! Queries a real web server and a real DNS server, both from the settings (purchase API reference 5).
//! Written by hand, so that it is a second opinion about renewd's own listener and DNS client.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::dcv::Wanted;

/// Longer than any answer on loopback takes.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether the record exists. The error is for display.
pub(super) async fn look(wanted: &Wanted, http: SocketAddr, dns: SocketAddr) -> Result<(), String> {
    let found = match wanted {
        Wanted::Record { name, .. } => timeout(PATIENCE, cname(dns, name)).await,
        Wanted::File { host, path, .. } => timeout(PATIENCE, file(http, host, path)).await,
    };
    let found = found
        .map_err(|_| "no answer in time".to_owned())?
        .map_err(|error| error.to_string())?;
    wanted.compare(found.as_deref())
}

/// The file behind `http://host/path`: status 200 only, no redirect.
async fn file(server: SocketAddr, host: &str, path: &str) -> std::io::Result<Option<String>> {
    let mut stream = TcpStream::connect(server).await?;
    // 1.0, so that the answer is not chunked.
    let request = format!(
        "GET {path} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: CSRValidation/1.0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.take(LARGEST_ANSWER).read_to_end(&mut bytes).await?;
    let text = String::from_utf8_lossy(&bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return Err(std::io::Error::other("that is no HTTP answer"));
    };
    let status = head.split(' ').nth(1).unwrap_or_default();
    Ok((status == "200").then(|| body.to_owned()))
}

const LARGEST_ANSWER: u64 = 16 << 10;

/// The first CNAME in the answer.
async fn cname(server: SocketAddr, name: &str) -> std::io::Result<Option<String>> {
    let socket = UdpSocket::bind((server.ip(), 0)).await?;
    socket.connect(server).await?;
    socket.send(&question(name)).await?;
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).await?;
    let message = buffer.get(..length).unwrap_or_default();
    first_cname(message)
}

const CNAME: u16 = 5;
/// Each question has its own port, so one id does.
const ID: u16 = 0x5e11;

/// RFC 1035 4.1: one question, recursion desired.
fn question(name: &str) -> Vec<u8> {
    let mut message = Vec::new();
    for word in [ID, 0x0100, 1, 0, 0, 0] {
        message.extend(word.to_be_bytes());
    }
    for label in name.split('.').filter(|label| !label.is_empty()) {
        // A label holds at most 63 bytes (RFC 1035 2.3.4): a longer one is cut, and then not found.
        let label = label.as_bytes().get(..63).unwrap_or(label.as_bytes());
        message.push(u8::try_from(label.len()).unwrap_or(63));
        message.extend(label);
    }
    message.push(0);
    message.extend(CNAME.to_be_bytes());
    message.extend(1_u16.to_be_bytes());
    message
}

fn first_cname(message: &[u8]) -> std::io::Result<Option<String>> {
    let nonsense = || std::io::Error::other("that is no DNS answer");
    let records = records(message).ok_or_else(nonsense)?;
    let found = records.iter().find(|(kind, _)| *kind == CNAME);
    found
        .map(|(_, data)| Ok(read_name(message, *data).ok_or_else(nonsense)?.0))
        .transpose()
}

/// Type and place of the data of every answer record; `None` when the message makes no sense (RFC 1035 4.1).
fn records(message: &[u8]) -> Option<Vec<(u16, usize)>> {
    if word(message, 0)? != ID || word(message, 2)? & 0x8000 == 0 {
        return None;
    }
    let mut at = 12;
    for _ in 0..word(message, 4)? {
        at = read_name(message, at)?.1 + 4;
    }
    let mut records = Vec::new();
    for _ in 0..word(message, 6)? {
        let fields = read_name(message, at)?.1;
        records.push((word(message, fields)?, fields + 10));
        at = fields + 10 + usize::from(word(message, fields + 8)?);
    }
    Some(records)
}

fn word(message: &[u8], at: usize) -> Option<u16> {
    let bytes = message.get(at..at + 2)?;
    Some(u16::from_be_bytes(bytes.try_into().ok()?))
}

/// A name and where it ends; follows pointers (RFC 1035 4.1.4), but not for ever.
fn read_name(message: &[u8], start: usize) -> Option<(String, usize)> {
    let (mut at, mut end, mut labels) = (start, None, Vec::new());
    for _ in 0..128 {
        let length = *message.get(at)?;
        if length >= 0xc0 {
            end = end.or(Some(at + 2));
            at = usize::from(word(message, at)? & 0x3fff);
        } else if length == 0 {
            return Some((labels.join("."), end.unwrap_or(at + 1)));
        } else {
            let label = message.get(at + 1..at + 1 + usize::from(length))?;
            labels.push(String::from_utf8_lossy(label).into_owned());
            at += 1 + usize::from(length);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::{first_cname, question};

    /// The question turned into an answer whose owner name and target end in pointers.
    fn answer(target: &[u8]) -> Vec<u8> {
        let mut message = question("_a.fw.example.com");
        message[2] |= 0x80;
        message[7] = 1;
        message.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60]);
        message.extend(u16::try_from(target.len()).unwrap_or(0).to_be_bytes());
        message.extend(target);
        message
    }

    #[test]
    fn a_cname_is_read_through_pointers() {
        // Offset 18 is `example.com` of the question.
        let found = first_cname(&answer(&[1, b'b', 0xc0, 18]));
        assert_eq!(found.unwrap().as_deref(), Some("b.example.com"));
    }

    #[test]
    fn a_pointer_to_itself_is_no_name() {
        let message = answer(&[0xc0, 47]);
        assert_eq!(message[47..], [0xc0, 47]);
        assert!(first_cname(&message).is_err());
    }

    #[test]
    fn an_answer_without_records_is_no_cname() {
        let mut message = question("_a.example.com");
        message[2] |= 0x80;
        assert_eq!(first_cname(&message).unwrap(), None);
    }
}
