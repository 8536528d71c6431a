//! The FTP client: RFC 959, and EPSV and EPRT of RFC 2428. One file per connection.

use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::url::Url;
use super::{LARGEST_FILE, Manner, failed};
use crate::sonicos::switch::FtpMode;

/// `STOR`.
pub(super) async fn store(
    manner: &Manner,
    url: &Url,
    name: &str,
    content: &[u8],
) -> Result<(), String> {
    let mut control = Control::enter(url).await?;
    let mut stream = control.transfer(manner.ftp_mode, "STOR", name).await?;
    stream.write_all(content).await.map_err(failed)?;
    stream.shutdown().await.map_err(failed)?;
    drop(stream);
    control.leave().await
}

/// `RETR`.
pub(super) async fn retrieve(manner: &Manner, url: &Url) -> Result<Vec<u8>, String> {
    let name = url.file().unwrap_or_default();
    let mut control = Control::enter(url).await?;
    let stream = control.transfer(manner.ftp_mode, "RETR", name).await?;
    let mut file = Vec::new();
    let reading = stream.take(LARGEST_FILE).read_to_end(&mut file).await;
    reading.map_err(failed)?;
    control.leave().await?;
    Ok(file)
}

/// The control connection.
struct Control {
    stream: BufReader<TcpStream>,
    peer: IpAddr,
    local: IpAddr,
}

/// A data connection that is agreed upon.
enum Data {
    Connected(TcpStream),
    Awaited(TcpListener),
}

impl Control {
    /// Logs in and changes to the folder. RFC 959 5.4: the sequences of replies.
    async fn enter(url: &Url) -> Result<Self, String> {
        let stream = TcpStream::connect(url.address()).await.map_err(failed)?;
        let local = stream.local_addr().map_err(failed)?.ip();
        let mut control = Self {
            stream: BufReader::new(stream),
            peer: url.host,
            local,
        };
        control.expect(&["220"]).await?;
        let answer = control
            .say(&format!("USER {}", url.user), &["230", "331"])
            .await?;
        if answer.starts_with("331") {
            let password = format!("PASS {}", url.password);
            control.say(&password, &["230", "202"]).await?;
        }
        control.say("TYPE I", &["200"]).await?;
        for folder in url.folders() {
            control.say(&format!("CWD {folder}"), &["250"]).await?;
        }
        Ok(control)
    }

    /// Agrees upon a data connection and starts the transfer.
    async fn transfer(
        &mut self,
        mode: FtpMode,
        verb: &str,
        name: &str,
    ) -> Result<TcpStream, String> {
        let data = match mode {
            FtpMode::Passive => {
                let answer = self.say("PASV", &["227"]).await?;
                self.connect(passive_address(&answer)).await?
            }
            FtpMode::ExtendedPassive => {
                let answer = self.say("EPSV", &["229"]).await?;
                let port = extended_passive_port(&answer);
                let address = port.map(|port| SocketAddr::new(self.peer, port));
                self.connect(address).await?
            }
            FtpMode::Active | FtpMode::ExtendedActive => self.listen(mode).await?,
        };
        self.say(&format!("{verb} {name}"), &["125", "150"]).await?;
        match data {
            Data::Connected(stream) => Ok(stream),
            Data::Awaited(listener) => {
                let (stream, _) = listener.accept().await.map_err(failed)?;
                Ok(stream)
            }
        }
    }

    async fn connect(&self, address: Option<SocketAddr>) -> Result<Data, String> {
        let address = address.ok_or_else(|| failed("no address for the data connection"))?;
        let stream = TcpStream::connect(address).await.map_err(failed)?;
        Ok(Data::Connected(stream))
    }

    async fn listen(&mut self, mode: FtpMode) -> Result<Data, String> {
        let listener = TcpListener::bind((self.local, 0)).await.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let command = match (mode, self.local) {
            (FtpMode::Active, IpAddr::V4(local)) => {
                let [a, b, c, d] = local.octets();
                let [high, low] = port.to_be_bytes();
                format!("PORT {a},{b},{c},{d},{high},{low}")
            }
            (_, local) => {
                let family = if local.is_ipv4() { 1 } else { 2 };
                format!("EPRT |{family}|{local}|{port}|")
            }
        };
        self.say(&command, &["200"]).await?;
        Ok(Data::Awaited(listener))
    }

    /// The transfer is complete; a server that does not take leave is not waited for.
    async fn leave(mut self) -> Result<(), String> {
        self.expect(&["226", "250"]).await?;
        let _ = self.stream.write_all(b"QUIT\r\n").await;
        Ok(())
    }

    async fn say(&mut self, command: &str, wanted: &[&str]) -> Result<String, String> {
        let line = format!("{command}\r\n");
        self.stream
            .write_all(line.as_bytes())
            .await
            .map_err(failed)?;
        self.expect(wanted).await
    }

    async fn expect(&mut self, wanted: &[&str]) -> Result<String, String> {
        let answer = self.reply().await?;
        if wanted.iter().any(|code| answer.starts_with(code)) {
            Ok(answer)
        } else {
            Err(failed(answer.trim_end()))
        }
    }

    /// RFC 959 4.2: `220-` begins several lines, which the same code and a space ends.
    async fn reply(&mut self) -> Result<String, String> {
        let first = self.line().await?;
        let Some(code) = first.get(..3).filter(|_| first.get(3..4) == Some("-")) else {
            return Ok(first);
        };
        let last = format!("{code} ");
        loop {
            let line = self.line().await?;
            if line.starts_with(&last) {
                return Ok(line);
            }
        }
    }

    async fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        let mut bounded = (&mut self.stream).take(LONGEST_LINE);
        let length = bounded.read_line(&mut line).await.map_err(failed)?;
        if length == 0 {
            return Err(failed("the server closed the connection"));
        }
        Ok(line)
    }
}

const LONGEST_LINE: u64 = 4096;

/// RFC 959 4.1.2: `227 Entering Passive Mode (h1,h2,h3,h4,p1,p2)`.
fn passive_address(answer: &str) -> Option<SocketAddr> {
    let (_, after) = answer.split_once('(')?;
    let (inside, _) = after.split_once(')')?;
    let numbers: Result<Vec<u8>, _> = inside.split(',').map(|part| part.trim().parse()).collect();
    match numbers.ok()?.as_slice() {
        [a, b, c, d, high, low] => {
            let port = u16::from_be_bytes([*high, *low]);
            Some(SocketAddr::from(([*a, *b, *c, *d], port)))
        }
        _ => None,
    }
}

/// RFC 2428 3: `229 Entering Extended Passive Mode (|||6446|)`.
fn extended_passive_port(answer: &str) -> Option<u16> {
    let (_, after) = answer.split_once("(|||")?;
    let (port, _) = after.split_once('|')?;
    port.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{extended_passive_port, passive_address};

    #[test]
    fn both_passive_answers_are_read() {
        let answer = "227 Entering Passive Mode (127,0,0,1,200,13)\r\n";
        assert_eq!(
            passive_address(answer),
            Some(([127, 0, 0, 1], 51213).into())
        );
        assert_eq!(passive_address("227 Entering Passive Mode"), None);
        let answer = "229 Entering Extended Passive Mode (|||6446|)\r\n";
        assert_eq!(extended_passive_port(answer), Some(6446));
    }
}
