//! Legacy `scp`, the server's side: `scp -t` takes a file, `scp -f` gives one. There is no standard; this is the
//! protocol of OpenSSH's scp.c, in which each side answers a line or a file with a zero byte, or with 1, words and a
//! line feed when it refuses.

use std::io;

use tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader,
};

use crate::transfer::acceptor::Connection;
use crate::transfer::grant::{Refusal, Upload, is_folder};
use crate::transfer::refusals::quoted;

/// What `scp` is called with on the server.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command {
    direction: Direction,
    path: String,
    /// `-p`: with times.
    keeps_times: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    /// `-t`: to us.
    Take,
    /// `-f`: from us.
    Give,
}

impl Command {
    /// The command in an `exec` request; `None` when it is anything but `scp`.
    pub fn parse(words: &str) -> Option<Self> {
        let mut parts = words.split_whitespace();
        let program = parts.next()?;
        if program.rsplit('/').next() != Some("scp") {
            return None;
        }
        let mut direction = None;
        let mut keeps_times = false;
        let mut path = None;
        for part in parts {
            match part.strip_prefix('-') {
                Some(flags) if path.is_none() && !flags.is_empty() => {
                    for flag in flags.chars() {
                        match flag {
                            't' => direction = Some(Direction::Take),
                            'f' => direction = Some(Direction::Give),
                            'p' => keeps_times = true,
                            // A folder is wanted, many files may come, talk of it, quickly; `--` ends the flags.
                            'd' | 'r' | 'v' | 'q' | '-' => {}
                            _ => return None,
                        }
                    }
                }
                _ if path.is_none() => path = Some(part.trim_matches(['\'', '"'])),
                _ => return None,
            }
        }
        Some(Self {
            direction: direction?,
            path: path.unwrap_or(".").to_owned(),
            keeps_times,
        })
    }
}

/// Serves one `scp` and returns its exit status.
pub(super) async fn run<S>(stream: S, connection: &Connection, command: &Command) -> u32
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = BufReader::new(stream);
    let ended = match command.direction {
        Direction::Take => take(&mut stream, connection, &command.path).await,
        Direction::Give => give(&mut stream, connection, command).await,
    };
    match ended {
        Ok(()) => 0,
        Err(Ended::Refused(refusal)) => {
            // The client may be gone already; then the message is not needed.
            let words = format!("\u{1}scp: {refusal}\n");
            let _ = stream.write_all(words.as_bytes()).await;
            let _ = stream.flush().await;
            1
        }
        Err(Ended::Broken(words)) => {
            connection.refuse(&format!("an scp that went wrong: {words}"));
            1
        }
    }
}

/// Why an `scp` did not end well.
#[derive(Debug)]
enum Ended {
    /// We said no; it is noted.
    Refused(Refusal),
    /// The client closed the connection, or does not speak the `scp` protocol.
    Broken(String),
}

impl From<Refusal> for Ended {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// The sink: takes files until the client has no more.
async fn take<S>(stream: &mut S, connection: &Connection, target: &str) -> Result<(), Ended>
where
    S: AsyncBufRead + AsyncWrite + Unpin,
{
    acknowledge(stream).await?;
    while let Some(line) = read_line(stream).await? {
        match line.chars().next() {
            Some('C') => {
                let (size, name) = announced(&line)?;
                let path = if is_folder(target) { name } else { target };
                let mut upload = connection.receive(path)?;
                connection.noted(upload.announce(size), path)?;
                acknowledge(stream).await?;
                read_file(stream, &mut upload, size).await?;
                connection.finish(upload, path)?;
                acknowledge(stream).await?;
            }
            Some('T') => acknowledge(stream).await?,
            Some('D') => {
                connection.refuse("a folder");
                return Err(Refusal::OtherName.into());
            }
            _ => return Err(Ended::Broken(quoted(&line))),
        }
    }
    Ok(())
}

/// The bytes of a file, and the zero after them that says that the client could read them all.
async fn read_file<S>(stream: &mut S, upload: &mut Upload, size: u64) -> Result<(), Ended>
where
    S: AsyncBufRead + Unpin,
{
    let mut rest = stream.take(size);
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = rest.read(&mut chunk).await?;
        let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        upload.push(bytes)?;
    }
    if rest.limit() > 0 {
        return Err(Ended::Broken("the file was not sent whole".to_owned()));
    }
    acknowledged(rest.into_inner()).await
}

/// The source: gives the one file.
async fn give<S>(stream: &mut S, connection: &Connection, command: &Command) -> Result<(), Ended>
where
    S: AsyncBufRead + AsyncWrite + Unpin,
{
    acknowledged(stream).await?;
    let content = connection.hand_out(&command.path)?;
    let name = command.path.rsplit('/').next().unwrap_or_default();
    if command.keeps_times {
        // It has no times; the beginning of the epoch does no harm.
        stream.write_all(b"T0 0 0 0\n").await?;
        stream.flush().await?;
        acknowledged(stream).await?;
    }
    let head = format!("C0600 {} {name}\n", content.len());
    stream.write_all(head.as_bytes()).await?;
    stream.flush().await?;
    acknowledged(stream).await?;
    stream.write_all(content).await?;
    acknowledge(stream).await?;
    acknowledged(stream).await?;
    connection.fetched();
    Ok(())
}

/// Size and name in `C0644 1234 name`.
fn announced(line: &str) -> Result<(u64, &str), Ended> {
    let mut parts = line.splitn(3, ' ');
    let (_, size, name) = (parts.next(), parts.next(), parts.next());
    let size = size.and_then(|size| size.parse().ok());
    size.zip(name).ok_or_else(|| Ended::Broken(quoted(line)))
}

/// One line without its end; `None` when the client has no more to say.
async fn read_line<S>(stream: &mut S) -> Result<Option<String>, Ended>
where
    S: AsyncBufRead + Unpin,
{
    let mut line = Vec::new();
    let mut bounded = stream.take(LONGEST_LINE);
    bounded.read_until(b'\n', &mut line).await?;
    if line.is_empty() {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&line);
    match text.strip_suffix('\n') {
        Some(text) => Ok(Some(text.to_owned())),
        None => Err(Ended::Broken("a line without an end".to_owned())),
    }
}

/// Says yes.
async fn acknowledge<S>(stream: &mut S) -> io::Result<()>
where
    S: AsyncWrite + Unpin,
{
    stream.write_all(&[0]).await?;
    stream.flush().await
}

/// Waits for the client's yes.
async fn acknowledged<S>(stream: &mut S) -> Result<(), Ended>
where
    S: AsyncBufRead + Unpin,
{
    if stream.read_u8().await? == 0 {
        return Ok(());
    }
    let words = read_line(stream).await?.unwrap_or_default();
    Err(Ended::Broken(format!("the client says {}", quoted(&words))))
}

/// Bytes of a line of the client.
const LONGEST_LINE: u64 = 1024;

/// Bytes of a file that are taken at a time.
const CHUNK_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &str) -> Option<(Direction, String, bool)> {
        let command = Command::parse(words)?;
        Some((command.direction, command.path, command.keeps_times))
    }

    #[test]
    fn the_command_is_understood_with_every_flag_that_clients_give() {
        use Direction::{Give, Take};
        for (words, direction, path, keeps_times) in [
            ("scp -t .", Take, ".", false),
            ("/usr/bin/scp -v -p -d -t -- /a.p10", Take, "/a.p10", true),
            ("scp -qf a.pem", Give, "a.pem", false),
            ("scp -r -f \"/a.pem\"", Give, "/a.pem", false),
            ("scp -prt", Take, ".", true),
        ] {
            let expected = (direction, path.to_owned(), keeps_times);
            assert_eq!(parsed(words), Some(expected), "{words}");
        }
    }

    #[test]
    fn other_commands_are_none() {
        for words in [
            "",
            "ls",
            "scp",
            "scp a",
            "scp -t a b",
            "scp -t . ; id",
            "scp -S sh -t .",
            "sh -c 'scp -t .'",
            "-t scp",
        ] {
            assert_eq!(parsed(words), None, "{words}");
        }
    }

    #[test]
    fn the_head_of_a_file_is_read_or_refused() {
        assert_eq!(announced("C0644 12 a b.p10").unwrap(), (12, "a b.p10"));
        for line in ["C0644", "C0644 x a", "C0644 -1 a", "C0644 12"] {
            assert!(announced(line).is_err(), "{line}");
        }
    }
}
