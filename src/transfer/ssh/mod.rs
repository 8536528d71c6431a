//! The SCP server: SSH with a password, and in it legacy `scp` and SFTP. There is no shell, no forwarding, and no file
//! but that of the transfer.

mod algorithms;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod fuzzing;
mod scp;
mod sftp;

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::PrivateKey;
use russh::server::{
    Auth, ChannelOpenHandle, Config, Handle, Handler, Msg, PublicKeyOffer, Response, Session,
    run_stream,
};
use russh::{Channel, ChannelId, ChannelOpenFailure, MethodKind, MethodSet, SshId};
use tokio::io::{AsyncWriteExt, DuplexStream, copy, duplex, split};
use tokio::net::TcpStream;

use super::acceptor::{Client, Connection};
use super::refusals::quoted;

/// How every connection is served.
pub(super) fn configuration(host_keys: Vec<PrivateKey>) -> Config {
    Config {
        // Names neither a version nor a library.
        server_id: SshId::Standard("SSH-2.0-renewd".into()),
        methods: MethodSet::from(&[MethodKind::Password, MethodKind::KeyboardInteractive][..]),
        auth_rejection_time: REJECTION_TIME,
        auth_rejection_time_initial: Some(Duration::ZERO),
        max_auth_attempts: LOGIN_ATTEMPTS,
        keys: host_keys,
        preferred: algorithms::offered(),
        inactivity_timeout: Some(IDLE_LIMIT),
        // What one connection may make us hold in memory.
        window_size: 256 * 1024,
        channel_buffer_size: 16,
        nodelay: true,
        ..Config::default()
    }
}

/// Serves one connection until it ends. When this is dropped, the connection is cut and what served it ends.
pub(super) async fn serve(stream: TcpStream, client: Arc<Client>, config: Arc<Config>) {
    // The library runs a session in a task of its own, which would outlive this one. At the other end of a pipe it
    // ends with it.
    let (near, far) = duplex(PIPE_BYTES);
    let peer = client.peer;
    let handler = SshHandler {
        client,
        channels: HashMap::new(),
        opened: 0,
    };
    let talk = async {
        let ended = match run_stream(config, far, handler).await {
            Ok(session) => session.await,
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "a connection for transfers ended early");
        }
    };
    tokio::join!(pump(stream, near), talk);
}

/// Carries bytes between the peer and the server, until the server has said its last word.
async fn pump(stream: TcpStream, near: DuplexStream) {
    let (mut from_peer, mut to_peer) = stream.into_split();
    let (mut from_server, mut to_server) = split(near);
    // An error ends a direction like an end does; the server finds out by itself.
    let mut inward = pin!(async {
        let _ = copy(&mut from_peer, &mut to_server).await;
        let _ = to_server.shutdown().await;
    });
    let mut outward = pin!(async {
        let _ = copy(&mut from_server, &mut to_peer).await;
        let _ = to_peer.shutdown().await;
    });
    tokio::select! {
        () = &mut outward => {}
        () = &mut inward => outward.await,
    }
}

/// One connection, as the library talks to it.
struct SshHandler {
    client: Arc<Client>,
    /// Open, and without a command yet.
    channels: HashMap<ChannelId, Channel<Msg>>,
    opened: usize,
}

impl SshHandler {
    fn log_in(&self, user: &str, password: &str) -> Auth {
        match self.client.log_in(user, password) {
            Some(_) => Auth::Accept,
            None => Auth::reject(),
        }
    }

    /// Refuses `what` on `channel`, which is then of no use any more.
    fn refuse(
        &mut self,
        what: &str,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.client.refuse(what);
        self.channels.remove(&channel);
        session.channel_failure(channel)?;
        session.close(channel)
    }
}

impl Handler for SshHandler {
    type Error = russh::Error;

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, russh::Error> {
        Ok(self.log_in(user, password))
    }

    /// Some clients ask for a password only so (RFC 4256).
    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _submethods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, russh::Error> {
        let Some(mut answers) = response else {
            return Ok(Auth::Partial {
                name: "".into(),
                instructions: "".into(),
                prompts: vec![("Password: ".into(), false)].into(),
            });
        };
        let answer = answers.next().unwrap_or_default();
        let password = String::from_utf8_lossy(&answer);
        Ok(self.log_in(user, &password))
    }

    async fn auth_publickey_offered(
        &mut self,
        _user: &str,
        _offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, russh::Error> {
        // Not a refused attempt: clients try their keys before they ask for a password.
        Ok(Auth::reject())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        if self.opened >= CHANNELS {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        self.opened += 1;
        self.channels.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let words = String::from_utf8_lossy(data);
        let Some(command) = scp::Command::parse(&words) else {
            return self.refuse(&format!("the command {}", quoted(&words)), channel, session);
        };
        if let (Some(open), Some(connection)) =
            (self.channels.remove(&channel), self.client.connection())
        {
            session.channel_success(channel)?;
            tokio::spawn(copy_file(
                open,
                session.handle(),
                connection.clone(),
                command,
            ));
        }
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        if name != "sftp" {
            return self.refuse(&format!("the subsystem {}", quoted(name)), channel, session);
        }
        if let (Some(open), Some(connection)) =
            (self.channels.remove(&channel), self.client.connection())
        {
            session.channel_success(channel)?;
            tokio::spawn(serve_files(open, session.handle(), connection.clone()));
        }
        Ok(())
    }

    async fn shell_request(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.refuse("a shell", channel, session)
    }
}

/// Legacy `scp` on one channel.
async fn copy_file(
    channel: Channel<Msg>,
    handle: Handle,
    connection: Connection,
    command: scp::Command,
) {
    let id = channel.id();
    let mut stream = channel.into_stream();
    let status = scp::run(&mut stream, &connection, &command).await;
    hang_up(&handle, id, status).await;
    drop(stream);
}

/// SFTP on one channel.
async fn serve_files(channel: Channel<Msg>, handle: Handle, connection: Connection) {
    let id = channel.id();
    let mut stream = channel.into_stream();
    let status = sftp::run(&mut stream, &connection).await;
    hang_up(&handle, id, status).await;
    drop(stream);
}

/// Sends the exit status, which a client reports to its user. To be called before the stream of the channel is dropped,
/// which closes the channel without an exit status. When the connection is gone, the status is lost, which is fine.
async fn hang_up(handle: &Handle, id: ChannelId, status: u32) {
    let _ = handle.exit_status_request(id, status).await;
    let _ = handle.eof(id).await;
    let _ = handle.close(id).await;
}

/// Without a byte from the client.
const IDLE_LIMIT: Duration = Duration::from_secs(30);

/// For a wrong password, whatever is wrong with it.
const REJECTION_TIME: Duration = Duration::from_millis(500);

/// Logins in one connection; the first is `none`, by which clients ask for the methods.
const LOGIN_ATTEMPTS: usize = 4;

/// Channels of one connection, over its whole life.
const CHANNELS: usize = 8;

/// Between the network and the library.
const PIPE_BYTES: usize = 64 * 1024;
