//! An FTP server of one connection at a time, for the tests: the required part of RFC 959 and 2428.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

type Files = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// A running server.
pub struct FtpServer {
    pub address: SocketAddr,
    files: Files,
    commands: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl FtpServer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let files = Files::default();
        let commands = Arc::new(Mutex::new(Vec::new()));
        let (shelf, log) = (files.clone(), commands.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = serve(stream, &shelf, &log).await;
            }
        });
        Self {
            address,
            files,
            commands,
            task,
        }
    }

    /// The URL of a path, fully percent-encoded, as the device requires.
    pub fn url(&self, path: &str) -> String {
        let url = format!("ftp://cert:secret@{}/{path}", self.address);
        let all = percent_encoding::NON_ALPHANUMERIC;
        percent_encoding::utf8_percent_encode(&url, all).to_string()
    }

    pub fn file(&self, name: &str) -> Option<Vec<u8>> {
        self.files.lock().unwrap().get(name).cloned()
    }

    pub fn offer(&self, name: &str, content: &str) {
        self.offer_bytes(name, content.as_bytes().to_vec());
    }

    pub fn offer_bytes(&self, name: &str, content: Vec<u8>) {
        self.files.lock().unwrap().insert(name.to_owned(), content);
    }

    pub fn commands(&self) -> Vec<String> {
        self.commands.lock().unwrap().clone()
    }
}

impl Drop for FtpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One client.
struct Visit<'a> {
    control: BufReader<TcpStream>,
    files: &'a Files,
    folder: String,
    passive: Option<TcpListener>,
    active: Option<SocketAddr>,
}

async fn serve(
    stream: TcpStream,
    files: &Files,
    commands: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut visit = Visit {
        control: BufReader::new(stream),
        files,
        folder: String::new(),
        passive: None,
        active: None,
    };
    visit.say("220-Hello\r\n220 ready").await?;
    loop {
        let mut line = String::new();
        if visit.control.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let line = line.trim_end();
        let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
        commands.lock().unwrap().push(verb.to_owned());
        let answer = visit.obey(verb, argument).await?;
        visit.say(&answer).await?;
    }
}

impl Visit<'_> {
    async fn say(&mut self, answer: &str) -> std::io::Result<()> {
        let line = format!("{answer}\r\n");
        self.control.write_all(line.as_bytes()).await
    }

    async fn obey(&mut self, verb: &str, argument: &str) -> std::io::Result<String> {
        let fixed = match verb {
            "USER" => "331 password",
            "PASS" if argument == "secret" => "230 in",
            "PASS" => "530 Login incorrect.",
            "CWD" => {
                self.folder = format!("{}{argument}/", self.folder);
                "250 there"
            }
            "TYPE" => "200 binary",
            "PASV" | "EPSV" => return self.wait_for_data(verb).await,
            "PORT" | "EPRT" => {
                self.active = Some(data_address(argument));
                "200 noted"
            }
            "STOR" | "RETR" => {
                self.say("150 go").await?;
                self.carry(verb, argument).await?;
                "226 done"
            }
            _ => "221 bye",
        };
        Ok(fixed.to_owned())
    }

    async fn wait_for_data(&mut self, verb: &str) -> std::io::Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        self.passive = Some(listener);
        Ok(if verb == "PASV" {
            format!("227 Entering (127,0,0,1,{},{})", port / 256, port % 256)
        } else {
            format!("229 Entering (|||{port}|)")
        })
    }

    async fn carry(&mut self, verb: &str, name: &str) -> std::io::Result<()> {
        let mut data = match (self.passive.take(), self.active.take()) {
            (Some(listener), _) => listener.accept().await?.0,
            (None, Some(address)) => TcpStream::connect(address).await?,
            (None, None) => return Err(std::io::ErrorKind::NotConnected.into()),
        };
        let name = format!("{}{name}", self.folder);
        if verb == "STOR" {
            let mut content = Vec::new();
            data.read_to_end(&mut content).await?;
            self.files.lock().unwrap().insert(name, content);
            return Ok(());
        }
        let content = self.files.lock().unwrap().get(&name).cloned();
        data.write_all(&content.unwrap_or_default()).await
    }
}

/// `h1,h2,h3,h4,p1,p2` of PORT, `|1|host|port|` of EPRT.
fn data_address(argument: &str) -> SocketAddr {
    if let Some(rest) = argument.strip_prefix("|1|") {
        let (host, port) = rest.trim_end_matches('|').split_once('|').unwrap();
        return format!("{host}:{port}").parse().unwrap();
    }
    let numbers: Vec<u16> = argument
        .split(',')
        .map(|part| part.parse().unwrap())
        .collect();
    SocketAddr::from(([127, 0, 0, 1], numbers[4] * 256 + numbers[5]))
}
