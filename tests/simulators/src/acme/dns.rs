//! One question for TXT records, by UDP (RFC 1035 4). Follows aliases at the same server; no TCP, no EDNS, no cache.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::UdpSocket;

/// The texts of all TXT records of a name. No record is not an error. An error contains the answer of the server.
pub(super) async fn texts(name: &str, server: SocketAddr) -> Result<Vec<String>, String> {
    let mut name = name.to_owned();
    for _ in 0..MOST_ALIASES {
        match ask(&name, server).await? {
            DnsAnswer::Texts(texts) => return Ok(texts),
            DnsAnswer::Alias(target) => name = target,
        }
    }
    Err("too many aliases".to_owned())
}

/// The answer to a question in a message.
#[derive(Debug, PartialEq, Eq)]
enum DnsAnswer {
    Texts(Vec<String>),
    /// A CNAME whose target is not in the message.
    Alias(String),
}

async fn ask(name: &str, server: SocketAddr) -> Result<DnsAnswer, String> {
    let text = |error: std::io::Error| error.to_string();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .map_err(text)?;
    socket.connect(server).await.map_err(text)?;
    let question = question(name).ok_or("no name that DNS could have")?;
    socket.send(&question).await.map_err(text)?;
    let mut message = vec![0; 4096];
    let length = socket.recv(&mut message).await.map_err(text)?;
    message.truncate(length);
    read(&message)?.ok_or_else(|| "its answer cannot be read".to_owned())
}

/// 4.1: header and question. The socket is new and connected: an id by chance would protect nothing.
fn question(name: &str) -> Option<Vec<u8>> {
    let mut message = vec![0x5a, 0xe1, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len())
            .ok()
            .filter(|length| (1..64).contains(length))?;
        message.push(length);
        message.extend_from_slice(label.as_bytes());
    }
    message.extend_from_slice(&[0, 0, TXT, 0, 1]);
    Some(message)
}

/// Outer: what the server refuses. Inner: none when the message ends where it should not.
fn read(message: &[u8]) -> Result<Option<DnsAnswer>, String> {
    match message.get(3).map(|flags| flags & 0x0f) {
        Some(0) => Ok(answer(message)),
        Some(1) => Err("FORMERR".to_owned()),
        Some(2) => Err("SERVFAIL".to_owned()),
        Some(3) => Err("NXDOMAIN".to_owned()),
        Some(5) => Err("REFUSED".to_owned()),
        code => Err(format!("response code {code:?}")),
    }
}

fn answer(message: &[u8]) -> Option<DnsAnswer> {
    let mut at = skip_name(message, 12)? + 4;
    let (mut texts, mut alias) = (Vec::new(), None);
    for _ in 0..number(message, 6)? {
        at = skip_name(message, at)?;
        let kind = number(message, at)?;
        let data = at + 10;
        let end = data + usize::from(number(message, at + 8)?);
        match kind {
            16 => texts.push(strings(message.get(data..end)?)?),
            5 => alias = Some(name(message, data)?),
            _ => {}
        }
        at = end;
    }
    Some(match alias {
        Some(alias) if texts.is_empty() => DnsAnswer::Alias(alias),
        _ => DnsAnswer::Texts(texts),
    })
}

/// 3.3.14: the strings of one record, joined (RFC 8555 8.4 says nothing, RFC 7208 3.3 does).
fn strings(mut data: &[u8]) -> Option<String> {
    let mut joined = Vec::new();
    while let Some((length, rest)) = data.split_first() {
        joined.extend_from_slice(rest.get(..usize::from(*length))?);
        data = rest.get(usize::from(*length)..)?;
    }
    String::from_utf8(joined).ok()
}

/// 4.1.4: a name, which may go on elsewhere in the message.
fn name(message: &[u8], mut at: usize) -> Option<String> {
    let mut labels: Vec<String> = Vec::new();
    // A message whose pointers form a loop must not be followed for ever.
    for _ in 0..128 {
        let length = usize::from(*message.get(at)?);
        match length {
            0 => return Some(labels.join(".")),
            192.. => at = usize::from(number(message, at)? & 0x3fff),
            _ => {
                let label = message.get(at + 1..=at + length)?;
                labels.push(String::from_utf8_lossy(label).into_owned());
                at += 1 + length;
            }
        }
    }
    None
}

fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match usize::from(*message.get(at)?) {
            0 => return Some(at + 1),
            192.. => return Some(at + 2),
            length => at += 1 + length,
        }
    }
}

fn number(message: &[u8], at: usize) -> Option<u16> {
    let bytes = message.get(at..at + 2)?;
    Some(u16::from_be_bytes(bytes.try_into().ok()?))
}

const TXT: u8 = 16;
const MOST_ALIASES: usize = 8;

#[cfg(test)]
mod tests {
    use super::{DnsAnswer, question, read};

    /// A question for `a.b` answered with these records, whose names point at the question's.
    fn message(code: u8, records: &[(u8, &[u8])]) -> Vec<u8> {
        let mut message = question("a.b").unwrap_or_default();
        message[3] = code;
        message[7] = u8::try_from(records.len()).unwrap_or_default();
        for (kind, data) in records {
            let length = u8::try_from(data.len()).unwrap_or_default();
            message.extend_from_slice(&[0xc0, 12, 0, *kind, 0, 1, 0, 0, 0, 60, 0, length]);
            message.extend_from_slice(data);
        }
        message
    }

    #[test]
    fn all_texts_are_read_and_their_parts_joined() {
        let message = message(0, &[(16, b"\x02ab\x01c"), (16, b"\x01d")]);
        let texts = vec!["abc".to_owned(), "d".to_owned()];
        assert_eq!(read(&message), Ok(Some(DnsAnswer::Texts(texts))));
    }

    #[test]
    fn an_alias_is_followed_only_when_its_target_is_not_there() {
        let alias: (u8, &[u8]) = (5, b"\x01x\xc0\x0e");
        let only = message(0, &[alias]);
        assert_eq!(read(&only), Ok(Some(DnsAnswer::Alias("x.b".to_owned()))));
        let both = message(0, &[alias, (16, b"\x01d")]);
        assert_eq!(
            read(&both),
            Ok(Some(DnsAnswer::Texts(vec!["d".to_owned()])))
        );
    }

    #[test]
    fn a_name_that_does_not_exist_is_reported_and_a_cut_message_is_not_read() {
        assert_eq!(read(&message(3, &[])), Err("NXDOMAIN".to_owned()));
        let whole = message(0, &[(16, b"\x02ab")]);
        assert_eq!(read(&whole[..whole.len() - 1]), Ok(None));
    }
}
