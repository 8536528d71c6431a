//! Files that the device uploads and downloads itself: the calls of SonicOS 6.5 (SonicOS reference 3.3 to 3.6), and the
//! outcomes of transfers. Only `carrier` opens connections.

use super::carrier::{Protocol, Url};
use super::certificates::pem;
use super::device::Device;
use super::switch::{P10Form, P10Name, TransferProtocols, TransferSpelling, UrlForm};
use super::transfer_request::{Then, TransferRequest};
use super::wire::{Handled, Refusal, Reply, without_credentials};
use super::{Profile, switch};

/// A call that names a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TransferCall<'a> {
    spelling: TransferSpelling,
    file: File<'a>,
    protocol: Protocol,
    url: &'a str,
}

/// Which file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum File<'a> {
    Request(&'a str),
    Signed(&'a str),
    Authority,
    /// Name and password.
    KeyPair(&'a str, &'a str),
}

impl Device {
    /// Whether this device knows the call (9: three spellings, only one accepted).
    pub(super) fn knows_transfer(&self, method: &str, segments: &[&str]) -> bool {
        TransferCall::read(method, segments).is_some_and(|call| self.knows(call))
    }

    /// Handles such a call. `None` for other calls and for a variant that this device does not know.
    pub(super) fn transfer(&mut self, method: &str, segments: &[&str]) -> Option<Handled> {
        let call = TransferCall::read(method, segments).filter(|call| self.knows(*call))?;
        let (protocol, url) = (call.protocol, call.url);
        self.file_passwords.extend(password_in(url));
        Some(match call.file {
            File::Request(alias) => self.export_request_to(alias, protocol, url),
            File::Signed(alias) => {
                let alias = alias.to_owned();
                self.fetch_from(protocol, url, Then::Signed { alias })
            }
            File::Authority => self.fetch_from(protocol, url, Then::Authority),
            File::KeyPair(alias, password) => {
                let (alias, password) = (alias.to_owned(), password.to_owned());
                self.fetch_from(protocol, url, Then::KeyPair { alias, password })
            }
        })
    }

    /// 3.3: brings the request of `alias`, as a `.p10` file, to a server.
    pub(super) fn export_request_to(
        &mut self,
        alias: &str,
        protocol: Protocol,
        url: &str,
    ) -> Handled {
        let target = self.check_url(protocol, url)?;
        let form = self.variants.url_form;
        if (form == UrlForm::Folder && !target.is_folder())
            || (form == UrlForm::File && target.is_folder())
        {
            return Err(Refusal::unreasonable(url));
        }
        let der = self.exported_request(alias)?;
        let content = match self.variants.p10_form {
            P10Form::Pem => pem("CERTIFICATE REQUEST", &der).into_bytes(),
            P10Form::Der => der,
        };
        let file_name = match self.variants.p10_name {
            P10Name::Alias => alias.to_owned(),
            P10Name::AliasP10 => format!("{alias}.p10"),
            P10Name::Capitals => format!("{alias}.p10").to_ascii_uppercase(),
            P10Name::AliasCsr => format!("{alias}.csr"),
            P10Name::Other => "certreq.p10".to_owned(),
        };
        Ok(Reply::after(TransferRequest::Bring {
            url: url.to_owned(),
            file_name,
            content,
        }))
    }

    /// 3.4: downloads the file of `url` and processes it.
    pub(super) fn fetch_from(&mut self, protocol: Protocol, url: &str, then: Then) -> Handled {
        if self.check_url(protocol, url)?.is_folder() {
            return Err(Refusal::unreasonable(url));
        }
        // guess: an alias that cannot take the certificate is refused before anything is fetched.
        if let Then::Signed { alias } = &then {
            self.visible_row(alias)?;
        }
        let url = url.to_owned();
        Ok(Reply::after(TransferRequest::Fetch { url, then }))
    }

    /// Records the outcome of an upload.
    pub(super) fn brought(&mut self, url: &str, outcome: Result<(), String>) -> Handled {
        self.journal_transfer("brought a file to", url, outcome.as_ref().err());
        match outcome {
            Ok(()) => {
                self.counters.transfers_brought += 1;
                Ok(Reply::done("Success."))
            }
            Err(reason) => Err(self.failed_transfer(reason)),
        }
    }

    /// Processes a downloaded file.
    pub(super) fn fetched(
        &mut self,
        url: &str,
        outcome: Result<Vec<u8>, String>,
        then: Then,
    ) -> Handled {
        self.journal_transfer("fetched", url, outcome.as_ref().err());
        let file = match outcome {
            Ok(file) => file,
            Err(reason) => return Err(self.failed_transfer(reason)),
        };
        self.counters.transfers_fetched += 1;
        let handled = match then {
            Then::Signed { alias } => self.accept_signed(file, &alias),
            Then::Authority => self.accept_authority(file),
            Then::KeyPair { alias, password } => self.import_key_pair(&alias, &password, &file),
        };
        // A device that has answered already cannot tell it any more.
        if let Err(refusal) = &handled {
            let line = format!("- refused what was fetched: {}", refusal.message);
            self.journal.push(line);
        }
        handled
    }

    fn journal_transfer(&mut self, verb: &str, url: &str, failure: Option<&String>) {
        let url = without_credentials(url);
        self.journal.push(match failure {
            None => format!("- {verb} {url}"),
            Some(reason) => format!("- failed: {verb} {url}: {}", without_credentials(reason)),
        });
    }

    /// guess: the status, and that the reply states the reason.
    fn failed_transfer(&mut self, reason: String) -> Refusal {
        self.counters.transfers_failed += 1;
        Refusal::new(400, reason)
    }

    /// 3.3: the host is a number. guess: how a bad URL is refused.
    fn check_url(&self, protocol: Protocol, text: &str) -> Result<Url, Refusal> {
        let url = Url::parse(text).map_err(|word| Refusal::unreasonable(&word))?;
        if url.protocol != protocol || !self.speaks(protocol) {
            return Err(Refusal::unreasonable(text));
        }
        if url.has_port && !self.variants.url_port {
            return Err(Refusal::unreasonable(&url.port.to_string()));
        }
        Ok(url)
    }

    fn speaks(&self, protocol: Protocol) -> bool {
        match self.variants.transfer_protocols {
            TransferProtocols::Both | TransferProtocols::ScpBroken => true,
            TransferProtocols::FtpOnly => protocol == Protocol::Ftp,
            TransferProtocols::ScpOnly => protocol == Protocol::Scp,
        }
    }

    fn knows(&self, call: TransferCall<'_>) -> bool {
        let usual = self.variants.transfer_spelling.or_else(|| {
            let has_calls = self.settings.profile == Profile::V6_5;
            has_calls.then_some(TransferSpelling::Put)
        });
        let spelling = match call.file {
            File::Request(_) => usual,
            File::Signed(_) | File::Authority | File::KeyPair(..) => {
                self.variants.import_spelling.or(usual)
            }
        };
        spelling == Some(call.spelling) && self.speaks(call.protocol)
    }
}

impl<'a> TransferCall<'a> {
    /// 3.6: shown with this verb only.
    fn read_key_pair(method: &str, segments: &[&'a str]) -> Option<Self> {
        let [
            "certificates",
            "import",
            call,
            "name",
            alias,
            "password",
            password,
            "url",
            url,
        ] = segments
        else {
            return None;
        };
        let protocol = Protocol::of_word(call.strip_prefix("cert-key-pair-")?)?;
        (method == "POST").then_some(Self {
            spelling: TransferSpelling::Post,
            file: File::KeyPair(alias, password),
            protocol,
            url,
        })
    }

    /// The spellings of 3.3 to 3.6. `PUT` for a CA certificate is by symmetry only.
    fn read(method: &str, segments: &[&'a str]) -> Option<Self> {
        use switch::TransferSpelling::{Post, Put};
        let (spelling, file, protocol, url) = match (method, segments) {
            (
                "PUT",
                [
                    "certificates",
                    "export",
                    "signing-request",
                    "name",
                    alias,
                    word,
                    url,
                ],
            ) => (Put, File::Request(alias), *word, *url),
            (
                "PUT",
                [
                    "certificates",
                    "import",
                    "signed-cert",
                    "name",
                    alias,
                    word,
                    url,
                ],
            ) => (Put, File::Signed(alias), *word, *url),
            ("PUT", ["certificates", "import", "ca-cert", word, url]) => {
                (Put, File::Authority, *word, *url)
            }
            ("POST", ["certificates", "export", call, "name", alias, "url", url]) => {
                let word = call.strip_prefix("signing-request-")?;
                (Post, File::Request(alias), word, *url)
            }
            ("POST", ["certificates", "import", call, "name", alias, "url", url]) => {
                let word = call.strip_prefix("signed-cert-")?;
                (Post, File::Signed(alias), word, *url)
            }
            ("POST", ["certificates", "import", "ca-cert", word, url]) => {
                (Post, File::Authority, *word, *url)
            }
            _ => return Self::read_key_pair(method, segments),
        };
        let protocol = Protocol::of_word(protocol)?;
        Some(Self {
            spelling,
            file,
            protocol,
            url,
        })
    }
}

/// The password of an URL, if it has one.
fn password_in(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    (!url.password.is_empty()).then_some(url.password)
}

/// Calls that a shorter path is the beginning of.
pub(super) const TRANSFERS: &[&[&str]] = &[
    &[
        "certificates",
        "export",
        "signing-request",
        "name",
        "NAME",
        "ftp",
        "URL",
    ],
    &[
        "certificates",
        "import",
        "signed-cert",
        "name",
        "NAME",
        "ftp",
        "URL",
    ],
    &["certificates", "import", "ca-cert", "ftp", "URL"],
];

#[cfg(test)]
mod tests {
    use super::{File, Protocol, TransferCall, TransferSpelling};

    #[test]
    fn the_spellings_of_the_reference_are_distinguished() {
        let url = "ftp://cert:secret@192.0.2.1/";
        let put = [
            "certificates",
            "export",
            "signing-request",
            "name",
            "fw",
            "ftp",
            url,
        ];
        let post = [
            "certificates",
            "import",
            "signed-cert-scp",
            "name",
            "fw",
            "url",
            url,
        ];
        assert_eq!(
            TransferCall::read("PUT", &put),
            Some(TransferCall {
                spelling: TransferSpelling::Put,
                file: File::Request("fw"),
                protocol: Protocol::Ftp,
                url
            })
        );
        assert_eq!(
            TransferCall::read("POST", &post),
            Some(TransferCall {
                spelling: TransferSpelling::Post,
                file: File::Signed("fw"),
                protocol: Protocol::Scp,
                url
            })
        );
        assert_eq!(TransferCall::read("POST", &put), None);
    }
}
