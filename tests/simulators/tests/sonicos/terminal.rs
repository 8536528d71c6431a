//! A terminal at the console of a simulated device: it types, and reads up to an expected text.

use simulators::sonicos::Simulator;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A user at the console.
#[derive(Debug)]
pub struct Terminal {
    stream: TcpStream,
    unread: String,
}

pub const TOP: &str = "renewd@00AABBCCDDEE> ";
pub const CONFIG: &str = "config(00AABBCCDDEE)# ";

impl Terminal {
    pub async fn connect(simulator: &Simulator) -> Self {
        let stream = TcpStream::connect(simulator.console().unwrap())
            .await
            .unwrap();
        Self {
            stream,
            unread: String::new(),
        }
    }

    /// At the first prompt.
    pub async fn open(simulator: &Simulator) -> Self {
        let mut terminal = Self::connect(simulator).await;
        terminal.until(TOP).await;
        terminal
    }

    /// Everything up to `wanted`, without it; panics when the session ends before.
    pub async fn until(&mut self, wanted: &str) -> String {
        loop {
            if let Some(start) = self.unread.find(wanted) {
                let rest = self.unread.split_off(start + wanted.len());
                let mut before = std::mem::replace(&mut self.unread, rest);
                before.truncate(start);
                return before;
            }
            let mut bytes = [0; 1024];
            let count = self.stream.read(&mut bytes).await.unwrap();
            assert_ne!(count, 0, "the end instead of {wanted:?}: {:?}", self.unread);
            self.unread
                .push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    }

    /// Everything up to the end of the session.
    pub async fn rest(mut self) -> String {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).await.unwrap();
        self.unread + &String::from_utf8_lossy(&bytes)
    }

    pub async fn press(&mut self, keys: &str) {
        self.stream.write_all(keys.as_bytes()).await.unwrap();
    }

    /// Types a line. Returns the output before the next `prompt`.
    pub async fn line(&mut self, line: &str, prompt: &str) -> String {
        self.press(&format!("{line}\n")).await;
        self.until(prompt).await
    }
}
