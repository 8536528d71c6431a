//! The calls that may make a device upload or download a file. None of them is documented for every build, so the one
//! that worked is stored by its name (SonicOS reference 3.3 to 3.6, 3.9). Pure functions.

use reqwest::Method;

use super::command::word;
use super::quirks;
use super::transport::{Request as CallRequest, segment};
use crate::failure::{Failure, FailureKind};
use crate::secret::Secret;
use crate::transfer::{Choice, Protocol};

/// One way to ask for a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TransferVariant {
    pub(super) form: CallForm,
    pub(super) protocol: Protocol,
    pub(super) place: UrlTarget,
}

/// How the transfer is requested from the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallForm {
    /// `PUT`, with the protocol and the URL as segments of the path: the form seen to work on 6.5.
    Put,
    /// `POST`, with the protocol in the command's name: of a build that is not known.
    Post,
    /// The command line, through the API.
    Direct,
    /// The command line over SSH.
    Ssh,
}

/// What the URL names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UrlTarget {
    /// The folder for the file, as documented for exports.
    Folder,
    /// The file.
    File,
}

/// The file that is transferred.
#[derive(Debug, Clone, Copy)]
pub(super) enum Payload<'a> {
    /// The pending request of that name, to us.
    Request(&'a str),
    /// The certificate for the pending request of that name, to the device.
    Signed(&'a str),
    /// A CA certificate, to the device.
    Authority,
    /// A PKCS#12 file for that name, opened by that password, to the device.
    KeyPair(&'a str, &'a Secret),
}

impl TransferVariant {
    /// The word in the quirks.
    pub(super) fn name(self) -> String {
        let form = match self.form {
            CallForm::Put => "put",
            CallForm::Post => "post",
            CallForm::Direct => "cli",
            CallForm::Ssh => "ssh",
        };
        let place = match self.place {
            UrlTarget::Folder => "-folder",
            UrlTarget::File => "",
        };
        format!("{form}-{}{place}", self.protocol.name())
    }
}

impl Payload<'_> {
    /// Every way to carry it that is allowed: the remembered one first, then all by what is documented best. FTP only where
    /// that was asked for: an attacker on the path can read and replace the file, and blocking SCP must not
    /// be enough to force FTP.
    pub(super) fn variants(
        self,
        choice: Choice,
        has_ssh: bool,
        remembered: Option<&str>,
    ) -> Vec<TransferVariant> {
        let mut all = Vec::new();
        let protocol = match choice {
            Choice::Only(protocol) => protocol,
            Choice::Automatic => Protocol::Scp,
        };
        for form in [
            CallForm::Put,
            CallForm::Post,
            CallForm::Direct,
            CallForm::Ssh,
        ] {
            if self.is_known(form) && (has_ssh || form != CallForm::Ssh) {
                all.extend(self.places().iter().map(|place| TransferVariant {
                    form,
                    protocol,
                    place: *place,
                }));
            }
        }
        // A stable sort: the remembered one comes first, the others keep their order.
        all.sort_by_key(|variant| Some(variant.name().as_str()) != remembered);
        all
    }

    /// The name under which the variant that worked is stored.
    pub(super) fn learned_default(self) -> &'static str {
        match self {
            Self::Request(_) => quirks::EXPORT,
            Self::Signed(_) => quirks::IMPORT,
            Self::Authority => quirks::CA_IMPORT,
            Self::KeyPair(..) => quirks::KEY_PAIR,
        }
    }

    /// What is done, for failures.
    pub(super) fn words(self) -> String {
        match self {
            Self::Request(alias) => format!("have the request of {alias} brought"),
            Self::Signed(alias) => format!("have the certificate of {alias} fetched"),
            Self::Authority => "have a CA certificate fetched".to_owned(),
            Self::KeyPair(alias, _) => format!("have the key pair of {alias} fetched"),
        }
    }

    /// Whether a word of the device contains the name of the file.
    pub(super) fn is_named_in(self, word: &str) -> bool {
        match self {
            Self::Request(alias) | Self::Signed(alias) | Self::KeyPair(alias, _) => {
                word.contains(alias)
            }
            Self::Authority => false,
        }
    }

    /// The call that asks for it; `None` where the API is not the way.
    pub(super) fn call(
        self,
        variant: TransferVariant,
        url: &Secret,
    ) -> Result<Option<CallRequest>, Failure> {
        let method = match variant.form {
            CallForm::Put => Method::PUT,
            CallForm::Post => Method::POST,
            CallForm::Direct | CallForm::Ssh => return Ok(None),
        };
        let is_put = variant.form == CallForm::Put;
        let protocol = variant.protocol.name();
        let path = match self {
            Self::Request(alias) if is_put => format!(
                "/certificates/export/signing-request/name/{}/{protocol}/",
                named(alias)?
            ),
            Self::Request(alias) => format!(
                "/certificates/export/signing-request-{protocol}/name/{}/url/",
                named(alias)?
            ),
            Self::Signed(alias) if is_put => format!(
                "/certificates/import/signed-cert/name/{}/{protocol}/",
                named(alias)?
            ),
            Self::Signed(alias) => format!(
                "/certificates/import/signed-cert-{protocol}/name/{}/url/",
                named(alias)?
            ),
            Self::Authority => format!("/certificates/import/ca-cert/{protocol}/"),
            Self::KeyPair(alias, password) => format!(
                "/certificates/import/cert-key-pair-{protocol}/name/{}/password/{}/url/",
                named(alias)?,
                named(password.expose())?
            ),
        };
        let end = match (self, variant.form) {
            (Self::Request(_) | Self::KeyPair(..), CallForm::Post) => "/",
            _ => "",
        };
        let address = named(url.expose())?;
        let call = CallRequest::change(method, format!("{path}{address}{end}")).slow();
        Ok(Some(call.displayed_as(self.display(variant))))
    }

    /// The lines that ask for it, below the top of configuration mode and back to it.
    pub(super) fn lines(self, protocol: Protocol, url: &Secret) -> Result<Vec<String>, Failure> {
        let carried = match self {
            Self::Request(alias) => format!("export signing-request {}", word(alias)?),
            Self::Signed(alias) => format!("import signed-cert {}", word(alias)?),
            Self::Authority => "import ca-cert".to_owned(),
            Self::KeyPair(alias, password) => format!(
                "import cert-key-pair {} password {}",
                word(alias)?,
                word(password.expose())?
            ),
        };
        let command = format!("{carried} {} {}", protocol.name(), url.expose());
        Ok(vec!["certificates".to_owned(), command, "exit".to_owned()])
    }

    /// The way, for people: without the address, which holds a password.
    pub(super) fn display(self, variant: TransferVariant) -> String {
        let what = match self {
            Self::Request(_) => "export/signing-request",
            Self::Signed(_) => "import/signed-cert",
            Self::Authority => "import/ca-cert",
            Self::KeyPair(..) => "import/cert-key-pair",
        };
        format!("/certificates/{what} ({})", variant.name())
    }

    /// No source has a `PUT` that fetches a PKCS#12 file.
    fn is_known(self, form: CallForm) -> bool {
        form != CallForm::Put || !matches!(self, Self::KeyPair(..))
    }

    /// A download names the file; an upload goes into a folder, possibly under a name.
    fn places(self) -> &'static [UrlTarget] {
        match self {
            Self::Request(_) => &[UrlTarget::Folder, UrlTarget::File],
            Self::Signed(_) | Self::Authority | Self::KeyPair(..) => &[UrlTarget::File],
        }
    }
}

/// A text as one segment of a path.
fn named(text: &str) -> Result<String, Failure> {
    segment(text).ok_or_else(|| {
        let detail = "a name that no path can carry";
        Failure::new(FailureKind::Local, "write a call", detail)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;

    fn url() -> Secret {
        Secret::new("ftp://cert:password@192.168.100.40/".to_owned())
    }

    fn variant(name: &str) -> TransferVariant {
        let all = [Protocol::Scp, Protocol::Ftp]
            .map(|protocol| Payload::Request("x").variants(Choice::Only(protocol), true, None));
        let mut all = all.into_iter().flatten();
        all.find(|variant| variant.name() == name).unwrap()
    }

    fn names(
        payload: Payload<'_>,
        choice: Choice,
        has_ssh: bool,
        first: Option<&str>,
    ) -> Vec<String> {
        let variants = payload.variants(choice, has_ssh, first);
        variants.into_iter().map(TransferVariant::name).collect()
    }

    #[test]
    fn the_paths_are_those_of_the_reference() {
        let path = |payload: Payload<'_>, name| {
            let call = payload.call(variant(name), &url()).unwrap().unwrap();
            format!("{} {}", call.method, call.path)
        };
        let encoded = "ftp%3A%2F%2Fcert%3Apassword%40192.168.100.40%2F";
        let password = Secret::new("pw".to_owned());
        for (payload, name, expected) in [
            (
                Payload::Request("fw-1"),
                "put-ftp-folder",
                format!("PUT /certificates/export/signing-request/name/fw-1/ftp/{encoded}"),
            ),
            (
                Payload::Request("fw-1"),
                "post-scp-folder",
                format!("POST /certificates/export/signing-request-scp/name/fw-1/url/{encoded}/"),
            ),
            (
                Payload::Signed("fw-1"),
                "put-scp",
                format!("PUT /certificates/import/signed-cert/name/fw-1/scp/{encoded}"),
            ),
            (
                Payload::Signed("fw-1"),
                "post-ftp",
                format!("POST /certificates/import/signed-cert-ftp/name/fw-1/url/{encoded}"),
            ),
            (
                Payload::Authority,
                "post-scp",
                format!("POST /certificates/import/ca-cert/scp/{encoded}"),
            ),
            (
                Payload::KeyPair("fw-1", &password),
                "post-scp",
                format!(
                    "POST /certificates/import/cert-key-pair-scp/name/fw-1/password/pw/url/{encoded}/"
                ),
            ),
        ] {
            assert_eq!(path(payload, name), expected);
        }
    }

    #[test]
    fn no_call_shows_the_address_or_a_password() {
        let password = Secret::new("opens-it".to_owned());
        for payload in [
            Payload::Request("fw-1"),
            Payload::Signed("fw-1"),
            Payload::Authority,
            Payload::KeyPair("fw-1", &password),
        ] {
            let call = payload.call(variant("post-scp"), &url()).unwrap().unwrap();
            let display = format!("{} {call:?} {}", call.name(), payload.words());
            assert!(
                !display.contains("192.168") && !display.contains("opens-it"),
                "{display}"
            );
        }
    }

    #[test]
    fn the_lines_enter_and_leave_the_mode_of_certificates() {
        let lines = Payload::Request("fw-1")
            .lines(Protocol::Scp, &url())
            .unwrap();
        assert_eq!(
            lines,
            [
                "certificates",
                "export signing-request fw-1 scp ftp://cert:password@192.168.100.40/",
                "exit"
            ]
        );
        assert!(
            Payload::Signed("a\ncommit")
                .lines(Protocol::Scp, &url())
                .is_err()
        );
    }

    #[test]
    fn only_scp_is_tried_unless_ftp_was_asked_for() {
        let request = Payload::Request("fw-1");
        assert_eq!(
            names(request, Choice::Automatic, true, None),
            [
                "put-scp-folder",
                "put-scp",
                "post-scp-folder",
                "post-scp",
                "cli-scp-folder",
                "cli-scp",
                "ssh-scp-folder",
                "ssh-scp",
            ]
        );
        assert_eq!(
            names(
                Payload::Signed("x"),
                Choice::Only(Protocol::Ftp),
                false,
                Some("put-scp")
            ),
            ["put-ftp", "post-ftp", "cli-ftp"]
        );
    }

    #[test]
    fn what_worked_before_comes_first_but_never_by_ftp() {
        let names = |first| names(Payload::Authority, Choice::Automatic, false, Some(first));
        assert_eq!(names("cli-scp"), ["cli-scp", "put-scp", "post-scp"]);
        assert_eq!(names("cli-ftp"), ["put-scp", "post-scp", "cli-scp"]);
    }

    #[test]
    fn a_private_key_goes_by_ftp_only_where_that_was_asked_for() {
        let password = Secret::new("pw".to_owned());
        let payload = Payload::KeyPair("fw-1", &password);
        assert_eq!(
            names(payload, Choice::Automatic, false, Some("post-ftp")),
            ["post-scp", "cli-scp"]
        );
        assert_eq!(
            names(payload, Choice::Only(Protocol::Ftp), false, None),
            ["post-ftp", "cli-ftp"]
        );
    }
}
