//! The SCP client: `scp -t` and `scp -f` over SSH (the protocol of BSD rcp, as OpenSSH's `scp -O` speaks it).

use super::ssh::Remote;
use super::url::Url;
use super::{LARGEST_FILE, Manner, failed};

/// Uploads a file to the URL.
pub(super) async fn send(
    manner: &Manner,
    url: &Url,
    name: &str,
    content: &[u8],
) -> Result<(), String> {
    let mut remote = Remote::run(manner, url, command("-t", manner, url)).await?;
    remote.acknowledged().await?;
    let head = format!("C0644 {} {name}\n", content.len());
    remote.say(head.as_bytes()).await?;
    remote.acknowledged().await?;
    remote.say(&[content, &[0]].concat()).await?;
    remote.acknowledged().await?;
    remote.close().await
}

/// Gets the file that the URL names.
pub(super) async fn receive(manner: &Manner, url: &Url) -> Result<Vec<u8>, String> {
    let mut remote = Remote::run(manner, url, command("-f", manner, url)).await?;
    remote.say(&[0]).await?;
    let length = loop {
        let line = remote.line().await?;
        match line.split_at_checked(1) {
            Some(("C", rest)) => break length_of(rest)?,
            // Times, which the device did not request.
            Some(("T", _)) => remote.say(&[0]).await?,
            _ => return Err(failed(line.trim_start_matches(['\u{1}', '\u{2}']))),
        }
    };
    remote.say(&[0]).await?;
    let mut file = Vec::new();
    for _ in 0..length {
        file.push(remote.byte().await?);
    }
    remote.acknowledged().await?;
    remote.say(&[0]).await?;
    remote.close().await?;
    Ok(file)
}

impl Remote {
    async fn line(&mut self) -> Result<String, String> {
        let mut line = Vec::new();
        while line.len() < LONGEST_LINE {
            match self.byte().await? {
                b'\n' => break,
                byte => line.push(byte),
            }
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    /// 0 is success, 1 and 2 have a text.
    async fn acknowledged(&mut self) -> Result<(), String> {
        match self.byte().await? {
            0 => Ok(()),
            _ => Err(failed(self.line().await?)),
        }
    }
}

const LONGEST_LINE: usize = 4096;

/// A path from the user's folder is never empty.
fn command(direction: &str, manner: &Manner, url: &Url) -> String {
    let path = manner.path(url);
    let path = if path.is_empty() { "." } else { &path };
    format!("scp {direction} {path}")
}

/// `0644 LENGTH NAME`.
fn length_of(head: &str) -> Result<u64, String> {
    let length = head
        .split(' ')
        .nth(1)
        .and_then(|length| length.parse().ok());
    let length = length.filter(|length| *length <= LARGEST_FILE);
    length.ok_or_else(|| failed("the length of the file is not acceptable"))
}

#[cfg(test)]
mod tests {
    use super::length_of;

    #[test]
    fn the_length_of_a_file_is_read_and_bounded() {
        assert_eq!(length_of("0644 1234 fw.pem"), Ok(1234));
        assert!(length_of("0644 many fw.pem").is_err());
        assert!(length_of("0644 99999999 fw.pem").is_err());
    }
}
