//! Sessions of scp and SFTP in memory, for the bodies of fuzz targets. Each gives what was answered.

use super::{scp, sftp};
use crate::transfer::fuzzing::Stream;
use crate::transfer::reception::Visit;

/// One `scp`, if that is what `words` call.
pub(in crate::transfer) async fn scp(mut stream: Stream, visit: &Visit, words: &str) -> Vec<u8> {
    if let Some(command) = scp::Command::parse(words) {
        let status = scp::run(&mut stream, visit, &command).await;
        assert!(status <= 1);
    }
    stream.into_inner().1
}

/// One SFTP session.
pub(in crate::transfer) async fn sftp(mut stream: Stream, visit: &Visit) -> Vec<u8> {
    let status = sftp::run(&mut stream, visit).await;
    assert!(status <= 1);
    stream.into_inner().1
}
