//! What one transfer allows: which client, until when, which file, once. It knows no protocol and opens nothing.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Task;
use super::refusals::Refusals;
use crate::secret::Secret;

/// A transfer, as its listener and the connections that serve it see it.
#[derive(Debug)]
pub(super) struct Grant {
    /// From where the firewall comes; never an IPv4-mapped IPv6 address.
    pub peer: IpAddr,
    /// The one-time name.
    pub user: String,
    /// The one-time password.
    pub password: Secret,
    /// What is to happen.
    pub task: Task,
    /// After it everything is refused.
    pub deadline: Instant,
    /// The address in a `PASV` answer, in place of the one that the client connected to.
    pub passive_address: Option<Ipv4Addr>,
    /// Where data connections of passive FTP are taken; `None`: at any free port.
    pub passive_ports: Option<RangeInclusive<u16>>,
    /// Cancelled when the transfer is over, whatever came of it.
    pub closed: CancellationToken,
    /// Cancelled when the whole file was uploaded or downloaded.
    pub done: CancellationToken,
    /// What was refused meanwhile.
    pub refusals: Refusals,
    /// The uploaded file.
    pub content: Mutex<Vec<u8>>,
}

/// A file on its way to us. Dropped before [`Upload::finish`], it was never there.
#[derive(Debug)]
pub(super) struct Upload {
    grant: Arc<Grant>,
    content: Vec<u8>,
    largest: usize,
}

/// Why a file is neither taken nor given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Not the name, or not the folder.
    OtherName,
    /// The file goes in the other direction.
    OtherDirection,
    /// More bytes than the limit.
    TooLarge,
    /// Bytes that leave a gap before them.
    Gap,
    /// It was uploaded or downloaded already.
    Done,
    /// The time limit has passed, or the transfer was given up.
    Over,
}

impl Grant {
    /// Whether a client at `peer` may connect.
    pub fn admits(&self, peer: IpAddr) -> bool {
        self.peer == peer && self.objection().is_none()
    }

    /// Whether these are the one-time name and password; the time does not show how much of them is right.
    pub fn accepts(&self, user: &str, password: &str) -> bool {
        let right_user = verify_slices_are_equal(self.user.as_bytes(), user.as_bytes()).is_ok();
        let own = self.password.expose().as_bytes();
        let right_password = verify_slices_are_equal(own, password.as_bytes()).is_ok();
        right_user & right_password
    }

    /// Begins to take the file at `path`.
    pub fn receive(self: &Arc<Self>, path: &str) -> Result<Upload, Refusal> {
        let Task::Receive { names, largest } = &self.task else {
            return Err(Refusal::OtherDirection);
        };
        let name = name_in(path).ok_or(Refusal::OtherName)?;
        if !names.iter().any(|own| is_named(own, name)) {
            return Err(Refusal::OtherName);
        }
        match self.objection() {
            Some(refusal) => Err(refusal),
            None => Ok(Upload {
                grant: Arc::clone(self),
                content: Vec::new(),
                largest: *largest,
            }),
        }
    }

    /// What is in the file at `path`.
    pub fn hand_out(&self, path: &str) -> Result<&[u8], Refusal> {
        let Task::HandOut { name, content } = &self.task else {
            return Err(Refusal::OtherDirection);
        };
        if name_in(path) != Some(name.as_str()) {
            return Err(Refusal::OtherName);
        }
        match self.objection() {
            Some(refusal) => Err(refusal),
            None => Ok(content),
        }
    }

    /// The whole file is with the firewall.
    pub fn fetched(&self) {
        self.done.cancel();
    }

    /// Why nothing is taken or given any more.
    fn objection(&self) -> Option<Refusal> {
        if self.done.is_cancelled() {
            Some(Refusal::Done)
        } else if self.closed.is_cancelled() || Instant::now() >= self.deadline {
            Some(Refusal::Over)
        } else {
            None
        }
    }
}

impl Upload {
    /// Makes sure that a file of `size` bytes would be taken.
    pub fn announce(&self, size: u64) -> Result<(), Refusal> {
        let fits = usize::try_from(size).is_ok_and(|size| size <= self.largest);
        if fits { Ok(()) } else { Err(Refusal::TooLarge) }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let size = self.content.len().saturating_add(bytes.len());
        if size > self.largest {
            return Err(Refusal::TooLarge);
        }
        self.content.extend_from_slice(bytes);
        Ok(())
    }

    /// Takes bytes that belong at `offset`; what is there already may be written again.
    pub fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Refusal> {
        let start = usize::try_from(offset).map_err(|_| Refusal::TooLarge)?;
        if start > self.content.len() {
            return Err(Refusal::Gap);
        }
        if start.saturating_add(bytes.len()) > self.largest {
            return Err(Refusal::TooLarge);
        }
        let overlap = bytes.len().min(self.content.len() - start);
        let (again, new) = bytes.split_at(overlap);
        if let Some(there) = self.content.get_mut(start..start + overlap) {
            there.copy_from_slice(again);
        }
        self.push(new)
    }

    /// Bytes so far.
    pub fn size(&self) -> usize {
        self.content.len()
    }

    /// The file is whole. Of two that come at once, the first one counts.
    pub fn finish(self) -> Result<(), Refusal> {
        let mut content = self
            .grant
            .content
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(refusal) = self.grant.objection() {
            return Err(refusal);
        }
        *content = self.content;
        self.grant.done.cancel();
        Ok(())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherName => "no such file",
            Self::OtherDirection => "permission denied",
            Self::TooLarge => "file too large",
            Self::Gap => "not written from the beginning",
            Self::Done => "done already",
            Self::Over => "time is up",
        })
    }
}

/// Whether `path` means the only folder there is.
pub(super) fn is_folder(path: &str) -> bool {
    path.trim_start_matches('~')
        .split('/')
        .all(|part| part.is_empty() || part == ".")
}

/// The name of a file in the only folder there is; `None` when `path` leads anywhere else.
pub(super) fn name_in(path: &str) -> Option<&str> {
    let path = path.strip_prefix("~/").unwrap_or(path);
    let mut parts = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".");
    let name = parts.next().filter(|name| *name != "..")?;
    // "a/" and "a/." are folders.
    (parts.next().is_none() && path.ends_with(name)).then_some(name)
}

/// Whether a file called `name` is the one that was expected as `expected`: in small or capital letters, and with another
/// extension, none of which is documented. The caller checks its content.
fn is_named(expected: &str, name: &str) -> bool {
    let stem = |name: &str| -> Option<String> {
        let (stem, extension) = name.rsplit_once('.')?;
        let is_extension = (1..=LONGEST_EXTENSION).contains(&extension.len())
            && extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_extension.then(|| stem.to_ascii_lowercase())
    };
    name.eq_ignore_ascii_case(expected)
        || stem(name).is_some_and(|stem_of| stem(expected) == Some(stem_of))
}

const LONGEST_EXTENSION: usize = 6;

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;

    /// Waits for `a.p10` or `a.pem` from 192.0.2.1.
    pub fn receiving(largest: usize) -> Arc<Grant> {
        let task = Task::Receive {
            names: vec!["a.p10".to_owned(), "a.pem".to_owned()],
            largest,
        };
        Arc::new(Grant {
            peer: IpAddr::from([192, 0, 2, 1]),
            user: "r1".to_owned(),
            password: Secret::new("one-time".to_owned()),
            task,
            deadline: Instant::now() + Duration::from_mins(1),
            passive_address: None,
            passive_ports: None,
            closed: CancellationToken::new(),
            done: CancellationToken::new(),
            refusals: Refusals::default(),
            content: Mutex::default(),
        })
    }

    #[test]
    fn a_file_is_found_under_every_spelling_of_the_one_folder_and_under_no_other() {
        for path in [
            "a.p10", "/a.p10", "./a.p10", "//a.p10", "/./a.p10", "~/a.p10",
        ] {
            assert_eq!(name_in(path), Some("a.p10"), "{path}");
        }
        for path in [
            "",
            "/",
            ".",
            "..",
            "../a.p10",
            "/../a.p10",
            "x/a.p10",
            "/etc/a.p10",
            "a.p10/",
            "a.p10/.",
            "a.p10/..",
            "x/../a.p10",
        ] {
            assert_ne!(name_in(path), Some("a.p10"), "{path}");
        }
        for path in ["", "/", ".", "./", "/.", "~", "~/"] {
            assert!(is_folder(path), "{path}");
        }
        for path in ["..", "/..", "./..", "a.p10", "/etc", "~root"] {
            assert!(!is_folder(path), "{path}");
        }
    }

    #[test]
    fn one_of_the_names_is_taken_in_any_case_and_with_any_extension_and_no_other() {
        let grant = receiving(10);
        for path in ["/a.p10", "a.pem", "A.P10", "a.csr", "a.PKCS10"] {
            assert!(grant.receive(path).is_ok(), "{path}");
        }
        for path in ["b.p10", "/x/a.p10", "../a.p10", "a", "a.b.p10", "a.", ""] {
            assert_eq!(
                grant.receive(path).unwrap_err(),
                Refusal::OtherName,
                "{path}"
            );
        }
        assert_eq!(grant.hand_out("a.p10"), Err(Refusal::OtherDirection));
    }

    #[test]
    fn a_file_is_brought_once_and_what_was_not_finished_was_never_there() {
        let grant = receiving(10);
        let mut broken = grant.receive("a.p10").unwrap();
        broken.push(b"half").unwrap();
        drop(broken);
        assert!(!grant.done.is_cancelled());

        let mut late = grant.receive("a.p10").unwrap();
        late.push(b"late").unwrap();
        let mut whole = grant.receive("a.p10").unwrap();
        whole.push(b"wh").unwrap();
        whole.write_at(1, b"hole").unwrap();
        whole.finish().unwrap();
        assert!(grant.done.is_cancelled());
        assert_eq!(late.finish(), Err(Refusal::Done));
        assert_eq!(grant.receive("a.p10").unwrap_err(), Refusal::Done);
        assert_eq!(*grant.content.lock().unwrap(), b"whole");
    }

    #[test]
    fn a_larger_file_and_one_with_a_gap_are_refused() {
        let mut upload = receiving(4).receive("a.p10").unwrap();
        assert_eq!(upload.announce(5), Err(Refusal::TooLarge));
        assert_eq!(upload.announce(u64::MAX), Err(Refusal::TooLarge));
        assert_eq!(upload.announce(4), Ok(()));
        assert_eq!(upload.write_at(1, b"a"), Err(Refusal::Gap));
        assert_eq!(upload.write_at(u64::MAX, b"a"), Err(Refusal::Gap));
        assert_eq!(upload.push(b"12345"), Err(Refusal::TooLarge));
        upload.push(b"1234").unwrap();
        assert_eq!(upload.write_at(4, b"5"), Err(Refusal::TooLarge));
        assert_eq!(upload.size(), 4);
    }

    #[test]
    fn only_the_right_name_with_the_right_password_is_accepted() {
        let grant = receiving(4);
        assert!(grant.accepts("r1", "one-time"));
        for (user, password) in [
            ("r1", ""),
            ("r1", "one-tim"),
            ("", "one-time"),
            ("r2", "one-time"),
        ] {
            assert!(!grant.accepts(user, password), "{user} {password}");
        }
    }

    #[test]
    fn a_closed_transfer_admits_no_client() {
        let grant = receiving(4);
        let peer = grant.peer;
        assert!(grant.admits(peer));
        assert!(!grant.admits(IpAddr::from([192, 0, 2, 2])));
        grant.closed.cancel();
        assert!(!grant.admits(peer));
        assert_eq!(grant.receive("a.p10").unwrap_err(), Refusal::Over);
    }
}
