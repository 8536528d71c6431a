//! An SSH server with `scp -t` and `scp -f`, for the tests: one user, files in memory.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use russh::keys::PrivateKey;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::server::{self, Auth, ChannelOpenHandle, Msg, Session};
use russh::{Channel, ChannelId};
use tokio::net::TcpListener;

type Files = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// A running server.
pub struct ScpServer {
    address: SocketAddr,
    pub fingerprint: String,
    files: Files,
    task: tokio::task::JoinHandle<()>,
}

impl ScpServer {
    pub async fn start() -> Self {
        let key = PrivateKey::from(Ed25519Keypair::from_seed(&[7; 32]));
        let fingerprint = key.fingerprint(russh::keys::HashAlg::Sha256).to_string();
        let config = Arc::new(server::Config {
            keys: vec![key],
            auth_rejection_time: std::time::Duration::ZERO,
            ..server::Config::default()
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let files = Files::default();
        let shelf = files.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let visit = Visit {
                    files: shelf.clone(),
                    path: None,
                    received: Vec::new(),
                };
                let session = server::run_stream(config.clone(), stream, visit).await;
                tokio::spawn(async move { drop(session.unwrap().await) });
            }
        });
        Self {
            address,
            fingerprint,
            files,
            task,
        }
    }

    /// The URL of a path, fully percent-encoded, as the device requires.
    pub fn url(&self, path: &str) -> String {
        let url = format!("scp://cert:secret@{}/{path}", self.address);
        let all = percent_encoding::NON_ALPHANUMERIC;
        percent_encoding::utf8_percent_encode(&url, all).to_string()
    }

    /// By the path of the command and the name that was sent.
    pub fn file(&self, name: &str) -> Option<Vec<u8>> {
        self.files.lock().unwrap().get(name).cloned()
    }

    pub fn offer(&self, name: &str, content: &str) {
        let content = content.as_bytes().to_vec();
        self.files.lock().unwrap().insert(name.to_owned(), content);
    }
}

impl Drop for ScpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One client. Without a path it has not sent a command yet.
struct Visit {
    files: Files,
    path: Option<String>,
    received: Vec<u8>,
}

impl server::Handler for Visit {
    type Error = russh::Error;

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Self::Error> {
        Ok(if (user, password) == ("cert", "secret") {
            Auth::Accept
        } else {
            Auth::reject()
        })
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let command = String::from_utf8(command.to_vec()).unwrap();
        session.channel_success(channel)?;
        if let Some(path) = command.strip_prefix("scp -t ") {
            self.path = Some(path.to_owned());
            return session.data(channel, vec![0]);
        }
        let path = command.strip_prefix("scp -f ").unwrap();
        let file = self.files.lock().unwrap().get(path).cloned();
        let Some(file) = file else {
            return session.data(
                channel,
                format!("\u{1}scp: {path}: not there\n").into_bytes(),
            );
        };
        // The client's zeros are not waited for: they are allowed to come later.
        let head = format!("C0644 {} {path}\n", file.len()).into_bytes();
        session.data(channel, [head, file, vec![0]].concat())
    }

    async fn data(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        self.received.extend_from_slice(data);
        if data.ends_with(b"\n") && self.received.len() == data.len() {
            return session.data(channel, vec![0]);
        }
        if self.received.ends_with(&[0]) {
            let end = self
                .received
                .iter()
                .position(|byte| *byte == b'\n')
                .unwrap();
            let head = String::from_utf8(self.received[..end].to_vec()).unwrap();
            let name = head.rsplit(' ').next().unwrap();
            let content = self.received[end + 1..self.received.len() - 1].to_vec();
            self.files
                .lock()
                .unwrap()
                .insert(format!("{path} {name}"), content);
            session.data(channel, vec![0])?;
        }
        Ok(())
    }

    async fn channel_eof(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.exit_status_request(channel, 0)?;
        session.close(channel)
    }
}
