//! SFTP, version 3 (draft-ietf-secsh-filexfer-02), for the one file of a transfer. The packets are those of
//! russh-sftp; the loop is ours, so that the end of a session is known and its memory is bounded. What is not needed
//! to bring or fetch a file is answered with "unsupported".

use std::collections::HashMap;
use std::io;

use bytes::Bytes;
use russh_sftp::protocol::{
    Attrs, Data, File, FileAttributes, FileMode, Handle, Name, Open, OpenFlags, Packet, Read,
    StatusCode, Version, Write,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::transfer::acceptor::Connection;
use crate::transfer::grant::{Refusal, Upload, is_folder, name_in};

/// Serves one SFTP session and returns its exit status.
pub(super) async fn run<S>(mut stream: S, connection: &Connection) -> u32
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut desk = Desk {
        connection,
        open: HashMap::new(),
        next: 0,
    };
    loop {
        match exchange(&mut stream, &mut desk).await {
            Ok(true) => {}
            Ok(false) => return 0,
            Err(error) => {
                tracing::debug!(%error, "an SFTP session ended early");
                return 1;
            }
        }
    }
}

/// One packet and its answer; whether there may be more.
async fn exchange<S>(stream: &mut S, desk: &mut Desk<'_>) -> io::Result<bool>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let length = match stream.read_u32().await {
        Ok(length) => usize::try_from(length).unwrap_or(usize::MAX),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        Err(error) => return Err(error),
    };
    if length > LONGEST_PACKET {
        return Err(io::Error::other("a packet is too long"));
    }
    let mut packet = vec![0; length];
    stream.read_exact(&mut packet).await?;
    let answer = match Packet::try_from(&mut Bytes::from(packet)) {
        Ok(request) => desk.answer(request),
        Err(_) => Packet::error(0, StatusCode::BadMessage),
    };
    let answer = Bytes::try_from(answer).map_err(io::Error::other)?;
    stream.write_all(&answer).await?;
    stream.flush().await?;
    Ok(true)
}

/// A session: what is open in it.
struct Desk<'a> {
    connection: &'a Connection,
    open: HashMap<String, Opened>,
    next: u32,
}

/// What a handle stands for.
enum Opened {
    /// The folder, which shows nothing.
    Folder,
    /// The file, on its way to us.
    Upload {
        path: String,
        /// `None` after a write that was refused: the file cannot become whole any more.
        upload: Option<Upload>,
    },
    /// The file, on its way to the client.
    Download {
        path: String,
        /// Up to where it has been read without a gap.
        sent: usize,
    },
}

impl Desk<'_> {
    fn answer(&mut self, request: Packet) -> Packet {
        let id = request.get_request_id();
        let answer = match request {
            Packet::Init(_) => Ok(Packet::Version(Version::new())),
            Packet::RealPath(request) => real_path(id, &request.path),
            Packet::Stat(request) => self.attributes(id, &request.path),
            Packet::Lstat(request) => self.attributes(id, &request.path),
            Packet::Fstat(request) => self.attributes_of(id, &request.handle),
            Packet::OpenDir(request) => self.open_folder(id, &request.path),
            Packet::ReadDir(_) => Err(StatusCode::Eof),
            Packet::Open(request) => self.open_file(id, &request),
            Packet::Write(request) => self.write(id, &request),
            Packet::Read(request) => self.read(id, &request),
            Packet::Close(request) => self.close(id, &request.handle),
            // A client that keeps times and modes sets them; they mean nothing here.
            Packet::FSetStat(_) | Packet::SetStat(_) => Ok(fine(id)),
            _ => Err(StatusCode::OpUnsupported),
        };
        answer.unwrap_or_else(|code| Packet::error(id, code))
    }

    fn attributes(&self, id: u32, path: &str) -> Result<Packet, StatusCode> {
        let attrs = if is_folder(path) {
            folder()
        } else {
            file(self.connection.size(path).ok_or(StatusCode::NoSuchFile)?)
        };
        Ok(Packet::Attrs(Attrs { id, attrs }))
    }

    fn attributes_of(&self, id: u32, handle: &str) -> Result<Packet, StatusCode> {
        let attrs = match self.open.get(handle).ok_or(StatusCode::Failure)? {
            Opened::Folder => folder(),
            Opened::Upload { upload, .. } => {
                let size = upload.as_ref().map_or(0, Upload::size);
                file(u64::try_from(size).unwrap_or(u64::MAX))
            }
            Opened::Download { path, .. } => file(self.connection.size(path).unwrap_or(0)),
        };
        Ok(Packet::Attrs(Attrs { id, attrs }))
    }

    fn open_folder(&mut self, id: u32, path: &str) -> Result<Packet, StatusCode> {
        if is_folder(path) {
            self.keep(id, Opened::Folder)
        } else {
            Err(StatusCode::NoSuchFile)
        }
    }

    fn open_file(&mut self, id: u32, request: &Open) -> Result<Packet, StatusCode> {
        let path = request.filename.clone();
        let opened = if request.pflags.contains(OpenFlags::WRITE) {
            let upload = Some(self.connection.receive(&path).map_err(code)?);
            Opened::Upload { path, upload }
        } else {
            self.connection.hand_out(&path).map_err(code)?;
            Opened::Download { path, sent: 0 }
        };
        self.keep(id, opened)
    }

    fn write(&mut self, id: u32, request: &Write) -> Result<Packet, StatusCode> {
        let Some(Opened::Upload { path, upload }) = self.open.get_mut(&request.handle) else {
            return Err(StatusCode::Failure);
        };
        // Data after a refused write was reported with that write.
        let file = upload.as_mut().ok_or(StatusCode::Failure)?;
        if let Err(refusal) = file.write_at(request.offset, &request.data) {
            *upload = None;
            return self.connection.noted(Err(refusal), path).map_err(code);
        }
        Ok(fine(id))
    }

    fn read(&mut self, id: u32, request: &Read) -> Result<Packet, StatusCode> {
        let Some(Opened::Download { path, sent }) = self.open.get_mut(&request.handle) else {
            return Err(StatusCode::Failure);
        };
        let content = self.connection.hand_out(path).map_err(code)?;
        let start = usize::try_from(request.offset).unwrap_or(usize::MAX);
        let wanted = usize::try_from(request.len).unwrap_or(usize::MAX);
        let end = start
            .saturating_add(wanted.min(LONGEST_READ))
            .min(content.len());
        let data = content
            .get(start..end)
            .filter(|data| !data.is_empty())
            .ok_or(StatusCode::Eof)?;
        if start <= *sent {
            *sent = end.max(*sent);
        }
        let data = data.to_vec();
        Ok(Packet::Data(Data { id, data }))
    }

    /// An upload is whole when the client closes it; a download was fetched when it was read to its end before.
    fn close(&mut self, id: u32, handle: &str) -> Result<Packet, StatusCode> {
        match self.open.remove(handle).ok_or(StatusCode::Failure)? {
            Opened::Folder => {}
            Opened::Upload { path, upload } => {
                let upload = upload.ok_or(StatusCode::Failure)?;
                self.connection.finish(upload, &path).map_err(code)?;
            }
            Opened::Download { path, sent } => {
                let size = self.connection.size(&path);
                if size.is_some_and(|size| usize::try_from(size) == Ok(sent)) {
                    self.connection.fetched();
                }
            }
        }
        Ok(fine(id))
    }

    fn keep(&mut self, id: u32, opened: Opened) -> Result<Packet, StatusCode> {
        if self.open.len() >= HANDLES {
            return Err(StatusCode::Failure);
        }
        self.next = self.next.wrapping_add(1);
        let handle = self.next.to_string();
        self.open.insert(handle.clone(), opened);
        Ok(Packet::Handle(Handle { id, handle }))
    }
}

fn real_path(id: u32, path: &str) -> Result<Packet, StatusCode> {
    let absolute = if is_folder(path) {
        "/".to_owned()
    } else {
        let name = name_in(path).ok_or(StatusCode::NoSuchFile)?;
        format!("/{name}")
    };
    let file = File::dummy(absolute);
    Ok(Packet::Name(Name {
        id,
        files: vec![file],
    }))
}

fn fine(id: u32) -> Packet {
    Packet::error(id, StatusCode::Ok)
}

fn code(refusal: Refusal) -> StatusCode {
    match refusal {
        Refusal::OtherName => StatusCode::NoSuchFile,
        Refusal::OtherDirection | Refusal::Done | Refusal::Over => StatusCode::PermissionDenied,
        Refusal::TooLarge | Refusal::Gap => StatusCode::Failure,
    }
}

fn folder() -> FileAttributes {
    attributes(0, FileMode::DIR, 0o700)
}

fn file(size: u64) -> FileAttributes {
    attributes(size, FileMode::REG, 0o600)
}

/// Without times: there are none.
fn attributes(size: u64, kind: FileMode, mode: u32) -> FileAttributes {
    FileAttributes {
        size: Some(size),
        permissions: Some(kind.bits() | mode),
        ..FileAttributes::empty()
    }
}

/// Bytes of a packet: OpenSSH writes 32 KiB at a time.
const LONGEST_PACKET: usize = 64 * 1024;

/// Bytes of an answer to a read.
const LONGEST_READ: usize = 32 * 1024;

/// Open at one time.
const HANDLES: usize = 4;
