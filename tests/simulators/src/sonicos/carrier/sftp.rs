//! The SFTP client: version 3 (draft-ietf-secsh-filexfer-02), one request at a time, one file.

use super::ssh::Remote;
use super::url::Url;
use super::{LARGEST_FILE, Manner, failed};

/// Uploads a file to the URL.
pub(super) async fn send(
    manner: &Manner,
    url: &Url,
    name: &str,
    content: &[u8],
) -> Result<(), String> {
    let mut path = manner.path(url);
    if url.is_folder() {
        path.push_str(name);
    }
    let mut server = Server::greet(manner, url).await?;
    let handle = server.open(&path, WRITE | CREATE | TRUNCATE).await?;
    for (number, part) in content.chunks(PART).enumerate() {
        let fields = [text(&handle), offset(number), text(part)];
        let reply = server.ask(SSH_FXP_WRITE, &fields.concat()).await?;
        reply.succeeded()?;
    }
    server.close(&handle).await
}

/// Gets the file that the URL names.
pub(super) async fn receive(manner: &Manner, url: &Url) -> Result<Vec<u8>, String> {
    let mut server = Server::greet(manner, url).await?;
    let handle = server.open(&manner.path(url), READ).await?;
    let mut file = Vec::new();
    while (file.len() as u64) < LARGEST_FILE {
        let place = (file.len() as u64).to_be_bytes().to_vec();
        let fields = [text(&handle), place, number(PART)];
        let reply = server.ask(SSH_FXP_READ, &fields.concat()).await?;
        if reply.is_end_of_file() {
            break;
        }
        file.extend(reply.text_of(SSH_FXP_DATA)?);
    }
    server.close(&handle).await?;
    Ok(file)
}

struct Server {
    remote: Remote,
    last_id: u32,
}

/// A packet of the server without its length.
struct Packet {
    kind: u8,
    fields: Vec<u8>,
}

impl Server {
    async fn greet(manner: &Manner, url: &Url) -> Result<Self, String> {
        let remote = Remote::subsystem(manner, url, "sftp").await?;
        let mut server = Self { remote, last_id: 0 };
        server.say(SSH_FXP_INIT, &number(3)).await?;
        match server.packet().await?.kind {
            SSH_FXP_VERSION => Ok(server),
            _ => Err(failed("no SFTP server")),
        }
    }

    async fn open(&mut self, path: &str, how: usize) -> Result<Vec<u8>, String> {
        // No attributes.
        let fields = [text(path.as_bytes()), number(how), number(0)];
        let reply = self.ask(SSH_FXP_OPEN, &fields.concat()).await?;
        reply.text_of(SSH_FXP_HANDLE)
    }

    async fn close(mut self, handle: &[u8]) -> Result<(), String> {
        let reply = self.ask(SSH_FXP_CLOSE, &text(handle)).await?;
        reply.succeeded()?;
        self.remote.close().await
    }

    /// A request and its reply. Both have the same number, because only one request is open at a time.
    async fn ask(&mut self, kind: u8, fields: &[u8]) -> Result<Packet, String> {
        self.last_id += 1;
        let numbered = [&self.last_id.to_be_bytes()[..], fields].concat();
        self.say(kind, &numbered).await?;
        let mut reply = self.packet().await?;
        if reply.fields.get(..4) != Some(&self.last_id.to_be_bytes()[..]) {
            return Err(failed("a reply to something else"));
        }
        reply.fields.drain(..4);
        Ok(reply)
    }

    async fn say(&mut self, kind: u8, fields: &[u8]) -> Result<(), String> {
        let packet = [number(fields.len() + 1), vec![kind], fields.to_vec()];
        self.remote.say(&packet.concat()).await
    }

    async fn packet(&mut self) -> Result<Packet, String> {
        let mut length = [0; 4];
        for byte in &mut length {
            *byte = self.remote.byte().await?;
        }
        let length = u32::from_be_bytes(length);
        if !(1..=LONGEST_PACKET).contains(&length) {
            return Err(failed("a packet of a length that is not acceptable"));
        }
        let kind = self.remote.byte().await?;
        let mut fields = Vec::new();
        for _ in 1..length {
            fields.push(self.remote.byte().await?);
        }
        Ok(Packet { kind, fields })
    }
}

impl Packet {
    fn succeeded(&self) -> Result<(), String> {
        if self.kind == SSH_FXP_STATUS && self.fields.starts_with(&[0, 0, 0, 0]) {
            Ok(())
        } else {
            Err(self.complaint())
        }
    }

    fn is_end_of_file(&self) -> bool {
        self.kind == SSH_FXP_STATUS && self.fields.starts_with(&[0, 0, 0, 1])
    }

    /// The text that a packet of this kind begins with.
    fn text_of(&self, kind: u8) -> Result<Vec<u8>, String> {
        if self.kind != kind {
            return Err(self.complaint());
        }
        first_text(&self.fields).ok_or_else(|| failed("a packet that is too short"))
    }

    /// The text of a status, after its code.
    fn complaint(&self) -> String {
        let message = self.fields.get(4..).and_then(first_text);
        failed(String::from_utf8_lossy(&message.unwrap_or_default()))
    }
}

fn first_text(fields: &[u8]) -> Option<Vec<u8>> {
    let (length, rest) = fields.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    rest.get(..length).map(<[u8]>::to_vec)
}

fn number(value: usize) -> Vec<u8> {
    u32::try_from(value)
        .unwrap_or(u32::MAX)
        .to_be_bytes()
        .to_vec()
}

fn text(bytes: &[u8]) -> Vec<u8> {
    [number(bytes.len()), bytes.to_vec()].concat()
}

/// Where a part begins.
fn offset(part: usize) -> Vec<u8> {
    ((part * PART) as u64).to_be_bytes().to_vec()
}

/// The size of a file's part in one packet.
const PART: usize = 16 << 10;
const LONGEST_PACKET: u32 = 64 << 10;

// Section 3, kinds of packets.
const SSH_FXP_INIT: u8 = 1;
const SSH_FXP_VERSION: u8 = 2;
const SSH_FXP_OPEN: u8 = 3;
const SSH_FXP_CLOSE: u8 = 4;
const SSH_FXP_READ: u8 = 5;
const SSH_FXP_WRITE: u8 = 6;
const SSH_FXP_STATUS: u8 = 101;
const SSH_FXP_HANDLE: u8 = 102;
const SSH_FXP_DATA: u8 = 103;

// Section 6.3, how a file is opened.
const READ: usize = 0x01;
const WRITE: usize = 0x02;
const CREATE: usize = 0x08;
const TRUNCATE: usize = 0x10;

#[cfg(test)]
mod tests {
    use super::{Packet, SSH_FXP_HANDLE, SSH_FXP_STATUS, text};

    #[test]
    fn a_status_has_its_code_and_its_text() {
        let status = |code: u8, words: &[u8]| Packet {
            kind: SSH_FXP_STATUS,
            fields: [vec![0, 0, 0, code], text(words)].concat(),
        };
        assert_eq!(status(0, b"").succeeded(), Ok(()));
        assert!(status(1, b"").is_end_of_file());
        let refused = status(3, b"Permission denied").text_of(SSH_FXP_HANDLE);
        assert!(refused.is_err_and(|reason| reason.ends_with("Permission denied")));
    }
}
