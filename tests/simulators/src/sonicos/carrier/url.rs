//! The URL of a server, as an administrator gives it to the device (SonicOS reference 3.3).

use std::net::{IpAddr, SocketAddr};

use super::TransferFault;

/// `ftp` or `scp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sonicos) enum Protocol {
    Ftp,
    Scp,
}

/// An URL that the device can use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sonicos) struct Url {
    pub(in crate::sonicos) protocol: Protocol,
    pub(super) user: String,
    pub(in crate::sonicos) password: String,
    pub(super) host: IpAddr,
    pub(in crate::sonicos) port: u16,
    /// Whether the URL contains the port.
    pub(in crate::sonicos) has_port: bool,
    /// Without the first slash.
    path: String,
}

impl Protocol {
    pub(in crate::sonicos) fn of_word(word: &str) -> Option<Self> {
        match word {
            "ftp" => Some(Self::Ftp),
            "scp" => Some(Self::Scp),
            _ => None,
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Ftp => 21,
            Self::Scp => 22,
        }
    }
}

impl Url {
    /// The error is the word that the device does not take. 3.3: a host is a number, names are refused.
    pub(in crate::sonicos) fn parse(text: &str) -> Result<Self, String> {
        let whole = || text.to_owned();
        // Characters that would end a line of FTP or start a new word in a shell.
        if text.contains(|letter: char| letter.is_control() || letter == ' ' || letter == '\'') {
            return Err(whole());
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(whole)?;
        let protocol = Protocol::of_word(scheme).ok_or_else(|| scheme.to_owned())?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (credentials, place) = authority
            .rsplit_once('@')
            .unwrap_or(("anonymous", authority));
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        let (host, port) = host_and_port(place).ok_or_else(|| place.to_owned())?;
        Ok(Self {
            protocol,
            user: user.to_owned(),
            password: password.to_owned(),
            host,
            port: port.unwrap_or_else(|| protocol.port()),
            has_port: port.is_some(),
            path: path.to_owned(),
        })
    }

    /// The same with a wrong password, where the fault requires it.
    pub(super) fn with(mut self, fault: Option<TransferFault>) -> Self {
        if fault == Some(TransferFault::WrongPassword) {
            self.password.push('x');
        }
        self
    }

    /// Whether it names a folder: it ends with a slash, or has no path.
    pub(in crate::sonicos) fn is_folder(&self) -> bool {
        self.path.is_empty() || self.path.ends_with('/')
    }

    pub(super) fn address(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The folders on the way to the file.
    pub(super) fn folders(&self) -> Vec<&str> {
        let (folders, _) = self.path.rsplit_once('/').unwrap_or_default();
        folders.split('/').filter(|part| !part.is_empty()).collect()
    }

    /// The file that it names, if it names one.
    pub(super) fn file(&self) -> Option<&str> {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        (!name.is_empty()).then_some(name)
    }
}

fn host_and_port(place: &str) -> Option<(IpAddr, Option<u16>)> {
    if let Ok(address) = place.parse::<SocketAddr>() {
        return Some((address.ip(), Some(address.port())));
    }
    let bare = place
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    bare.unwrap_or(place).parse().ok().map(|host| (host, None))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::{Protocol, Url};

    #[test]
    fn an_url_is_taken_apart() {
        let url = Url::parse("scp://cert:se:cret@192.0.2.1:2222/in/fw.p10").unwrap();
        assert_eq!((url.protocol, url.user.as_str()), (Protocol::Scp, "cert"));
        assert_eq!(
            (url.password.as_str(), url.port, url.has_port),
            ("se:cret", 2222, true)
        );
        assert_eq!((url.folders(), url.file()), (vec!["in"], Some("fw.p10")));
        assert!(!url.is_folder());
    }

    #[test]
    fn a_folder_ends_with_a_slash_or_is_the_first_one() {
        for text in [
            "ftp://a:b@192.0.2.1",
            "ftp://a:b@192.0.2.1/",
            "ftp://a:b@192.0.2.1/in/",
        ] {
            let url = Url::parse(text).unwrap();
            assert!(url.is_folder() && url.file().is_none(), "{text}");
            assert_eq!((url.port, url.has_port), (21, false));
        }
    }

    #[test]
    fn a_name_instead_of_an_address_is_refused_by_that_word() {
        assert_eq!(
            Url::parse("ftp://a:b@files.example.com/").unwrap_err(),
            "files.example.com"
        );
        assert_eq!(Url::parse("http://192.0.2.1/").unwrap_err(), "http");
        assert!(Url::parse("ftp://a\r\nDELE x:b@192.0.2.1/").is_err());
    }
}
