//! Sessions of scp and SFTP in memory, for the bodies of fuzz targets. Each gives what was answered.

use super::{scp, sftp};
use crate::transfer::acceptor::Connection;
use crate::transfer::fuzzing::Stream;

/// One `scp`, if that is what `words` call.
pub(in crate::transfer) async fn scp(
    mut stream: Stream,
    connection: &Connection,
    words: &str,
) -> Vec<u8> {
    if let Some(command) = scp::Command::parse(words) {
        let status = scp::run(&mut stream, connection, &command).await;
        assert!(status <= 1);
    }
    stream.into_inner().1
}

/// One SFTP session.
pub(in crate::transfer) async fn sftp(mut stream: Stream, connection: &Connection) -> Vec<u8> {
    let status = sftp::run(&mut stream, connection).await;
    assert!(status <= 1);
    stream.into_inner().1
}
