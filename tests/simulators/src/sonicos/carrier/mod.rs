//! The device as an FTP and SCP client. Shares nothing with any server: written from RFC 959, 2428 and the scp protocol.

/// How the device behaves as a client.
#[derive(Debug, Clone, Default)]
pub(super) struct Manner {}

/// Puts a file on the server of `url`; the text of an error is what the device would say.
pub(super) async fn bring(
    _manner: &Manner,
    url: &str,
    _file_name: &str,
    _content: &[u8],
) -> Result<(), String> {
    Err(format!("cannot reach {url}"))
}

/// Gets the file of `url`.
pub(super) async fn fetch(_manner: &Manner, url: &str) -> Result<Vec<u8>, String> {
    Err(format!("cannot reach {url}"))
}
