//! Which servers the URLs of a CA may lead to: the origin of its directory, and those that the operator allowed.
//!
//! Each call to a URL of the server is signed with the account's key. A faulty or hostile server must not direct these
//! calls to other servers.

use std::fmt;

use url::Url;

use super::settings::Settings;
use crate::failure::{Failure, FailureKind};

/// A further server that the CA may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHost {
    /// Its name or address, as in a URL.
    pub host: String,
    /// `None`: any port.
    pub port: Option<u16>,
}

/// The servers of one CA.
#[derive(Debug, Clone)]
pub(super) struct Hosts {
    directory: Url,
    allowed: Vec<AllowedHost>,
}

impl AllowedHost {
    /// Reads `HOST` or `HOST:PORT`; an IPv6 address stands in brackets.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        // Each scheme hides its own default port.
        let parse = |scheme: &str| Url::parse(&format!("{scheme}://{text}/"));
        let (Ok(https), Ok(http)) = (parse("https"), parse("http")) else {
            return Err(format!("`{text}` is not a host name"));
        };
        let is_host_alone = https.username().is_empty()
            && https.password().is_none()
            && https.path() == "/"
            && https.query().is_none()
            && https.fragment().is_none();
        let is_plain = !text.contains(['/', '@', '?', '#', '\\']);
        match https.host_str() {
            Some(host) if is_host_alone && is_plain && !text.contains(char::is_whitespace) => {
                Ok(Self {
                    host: host.to_owned(),
                    port: https.port().or(http.port()),
                })
            }
            _ => Err(format!("`{text}` is not a host name")),
        }
    }

    fn allows(&self, url: &Url) -> bool {
        url.host_str() == Some(&*self.host)
            && self
                .port
                .is_none_or(|port| url.port_or_known_default() == Some(port))
    }
}

impl fmt::Display for AllowedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

impl Hosts {
    /// Those of `settings`.
    pub fn of(settings: &Settings) -> Self {
        Self {
            directory: settings.directory.clone(),
            allowed: settings.allow_hosts.clone(),
        }
    }

    /// Those of a CA whose directory is `directory`, and no further ones.
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn only(directory: Url) -> Self {
        Self {
            directory,
            allowed: Vec::new(),
        }
    }

    /// The URL of the directory, which names all others.
    pub fn directory(&self) -> &Url {
        &self.directory
    }

    /// Whether `url` leads to one of them.
    pub fn allow(&self, url: &Url) -> bool {
        url.scheme() == "https"
            && url.username().is_empty()
            && url.password().is_none()
            && (url.origin() == self.directory.origin()
                || self.allowed.iter().any(|allowed| allowed.allows(url)))
    }

    /// Fails where `url`, which the CA named as `what`, leads elsewhere: nothing is sent there.
    pub fn check(&self, what: &str, url: &Url) -> Result<(), Failure> {
        if self.allow(url) {
            return Ok(());
        }
        let host = url.host_str().unwrap_or("no host");
        let named = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let words = format!(
            "the CA names {}://{named} for {what}, but its directory is at {}: nothing was sent there. \
             If that server belongs to the CA, add \"{named}\" to `allow_hosts` of this CA",
            url.scheme(),
            self.directory.origin().ascii_serialization(),
        );
        Err(Failure::new(FailureKind::Untrusted, what, words))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use super::*;

    fn hosts(allowed: &[&str]) -> Hosts {
        Hosts {
            directory: "https://acme.example.com/directory".parse().unwrap(),
            allowed: allowed
                .iter()
                .map(|text| AllowedHost::parse(text).unwrap())
                .collect(),
        }
    }

    fn allows(hosts: &Hosts, url: &str) -> bool {
        hosts.allow(&url.parse().unwrap())
    }

    #[test]
    fn a_url_leads_to_the_origin_of_the_directory_and_nowhere_else() {
        let hosts = hosts(&[]);
        for good in [
            "https://acme.example.com/order/1",
            "https://ACME.example.com:443/order/1",
        ] {
            assert!(allows(&hosts, good), "{good}");
        }
        for bad in [
            "http://acme.example.com/order/1",
            "https://acme.example.com:8443/order/1",
            "https://acme.example.com.evil.example/order/1",
            "https://evil.example/https://acme.example.com/",
            "https://acme.example.com@evil.example/order/1",
            "https://user:password@acme.example.com/order/1",
            "https://10.0.0.1/order/1",
            "file:///etc/passwd",
            "data:text/plain,x",
        ] {
            assert!(!allows(&hosts, bad), "{bad}");
        }
    }

    #[test]
    fn further_servers_are_those_that_the_operator_allowed_each_with_its_port_or_any() {
        let hosts = hosts(&[
            "files.example.com",
            "eu.example.com:8443",
            "old.example.com:443",
            "[2001:db8::1]:14000",
        ]);
        for good in [
            "https://files.example.com/1",
            "https://files.example.com:9000/1",
            "https://EU.example.com:8443/1",
            "https://old.example.com/1",
            "https://[2001:db8::1]:14000/1",
            "https://acme.example.com/1",
        ] {
            assert!(allows(&hosts, good), "{good}");
        }
        for bad in [
            "https://eu.example.com/1",
            "https://old.example.com:8443/1",
            "http://files.example.com/1",
            "https://a.files.example.com/1",
            "https://[2001:db8::1]/1",
        ] {
            assert!(!allows(&hosts, bad), "{bad}");
        }
    }

    #[test]
    fn what_is_not_a_host_alone_is_no_host() {
        for text in [
            "",
            "https://files.example.com",
            "files.example.com/path",
            "user@files.example.com",
            "files.example.com:99999",
            "two hosts",
            "*.example.com/",
            "files.example.com?x",
        ] {
            assert!(AllowedHost::parse(text).is_err(), "{text}");
        }
        let display = AllowedHost::parse("Files.example.com:443").unwrap();
        assert_eq!(display.to_string(), "files.example.com:443");
    }

    #[test]
    fn the_message_names_the_server_and_the_setting() {
        let url = "https://user:hunter2@evil.example:444/x".parse().unwrap();
        let failure = hosts(&[]).check("newOrder", &url).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Untrusted);
        assert!(failure.detail.contains("\"evil.example:444\""), "{failure}");
        assert!(failure.detail.contains("`allow_hosts`"), "{failure}");
        assert!(!failure.to_string().contains("hunter2"), "{failure}");
    }
}
