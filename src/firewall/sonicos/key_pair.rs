//! Putting a key pair that renewd made on the device, as a PKCS#12 file (SonicOS reference 3.6).
//!
//! Two forms are published: the password as a part of the form, and as a segment of the path, on 7.0; a 6.5 fetches the
//! file itself. Which build takes which, and which encryption it opens, is found out by its refusals. The one-time
//! password is in no failure and no log.

use reqwest::Method;

use super::envelope::{self, Reply};
use super::transport::{Request, segment};
use super::{Session, messages, named, quirks, transfer};
use crate::failure::{Failure, FailureKind, readable};
use crate::pki::{Encryption, KeyBundle};
use crate::random::Random;
use crate::secret::{self, Secret};

impl Session {
    /// Puts `bundle` on the device under `alias`, in the form that worked before, else in the order of the reference.
    pub(super) async fn import_pkcs12(
        &mut self,
        alias: &str,
        bundle: &KeyBundle,
    ) -> Result<(), Failure> {
        if self.generation.carries_files() {
            return self.have_pkcs12_fetched(alias, bundle).await;
        }
        let usual = if self.version.is_7_0() {
            Form::Path
        } else {
            Form::Multipart
        };
        let learned_default = self.writer.quirks.learned_default(quirks::KEY_PAIR);
        let forms = preferred(
            Form::ALL,
            Form::name,
            learned_default.unwrap_or(usual.name()),
        );
        self.writer.begin().await?;
        let mut refusals = Vec::new();
        for form in forms {
            let imported = self.import_as(form, alias, bundle).await;
            match imported.map_err(|failure| behind(&refusals, form, failure))? {
                Ok(reply) => {
                    let ours = self.ours(alias);
                    return self.writer.settle(&[reply], ours).await.map(|_| ());
                }
                Err(failure) => refusals.push((form, failure)),
            }
        }
        Err(all_of(&refusals))
    }

    /// Tries one form with each encryption; `Err` inside: the device does not know this form.
    async fn import_as(
        &mut self,
        form: Form,
        alias: &str,
        bundle: &KeyBundle,
    ) -> Result<Result<Reply, Failure>, Failure> {
        let mut refused: Option<Failure> = None;
        for encryption in self.encryptions() {
            let (password, file) = self.sealed_in(encryption, alias, bundle)?;
            let call = form.call(alias, &password, file, self.writer.channel.random())?;
            let sent = self.writer.send(&call).await;
            let answer = sent.map_err(|failure| without(&password, failure))?;
            let judged = self.writer.judge(&call, &answer);
            match judged.map_err(|failure| without(&password, failure)) {
                Ok(reply) => {
                    self.note(quirks::KEY_PAIR, form.name().to_owned());
                    self.note(quirks::KEY_PAIR_ENCRYPTION, encryption.name().to_owned());
                    return Ok(Ok(reply));
                }
                Err(failure) if failure.kind != FailureKind::Refused => return Err(failure),
                Err(failure) => match Refusal::of(answer.status, &failure.detail) {
                    Refusal::Form => return Ok(Err(failure)),
                    Refusal::Content => return Err(advised(failure)),
                    Refusal::Encryption => refused = Some(both(encryption, refused, failure)),
                },
            }
        }
        Err(advised(refused.unwrap_or_else(nothing_was_tried)))
    }
}

impl Session {
    /// The same for a device that fetches its files itself: one that has fetched it and does not open it gets the other
    /// encryption.
    async fn have_pkcs12_fetched(
        &mut self,
        alias: &str,
        bundle: &KeyBundle,
    ) -> Result<(), Failure> {
        let mut refused: Option<Failure> = None;
        for encryption in self.encryptions() {
            let (password, file) = self.sealed_in(encryption, alias, bundle)?;
            let fetched = self
                .import_key_pair_by_transfer(alias, &password, file)
                .await;
            match fetched.map_err(|failure| without(&password, failure)) {
                Ok(()) => {
                    self.note(quirks::KEY_PAIR_ENCRYPTION, encryption.name().to_owned());
                    return Ok(());
                }
                Err(failure)
                    if failure.kind == FailureKind::Refused
                        && Refusal::of(200, &failure.detail) == Refusal::Encryption =>
                {
                    refused = Some(both(encryption, refused, failure));
                }
                Err(failure) => return Err(advised(failure)),
            }
        }
        Err(advised(refused.unwrap_or_else(nothing_was_tried)))
    }

    /// Both kinds, what the device opened before first.
    fn encryptions(&self) -> [Encryption; 2] {
        let learned_default = self
            .writer
            .quirks
            .learned_default(quirks::KEY_PAIR_ENCRYPTION);
        let usual = Encryption::Modern.name();
        preferred(
            Encryption::ALL,
            Encryption::name,
            learned_default.unwrap_or(usual),
        )
    }

    /// The file, and the one-time password that opens it.
    fn sealed_in(
        &self,
        encryption: Encryption,
        alias: &str,
        bundle: &KeyBundle,
    ) -> Result<(Secret, Vec<u8>), Failure> {
        let password = one_time_password(self.writer.channel.random());
        let file = bundle
            .to_pkcs12(alias, password.expose(), encryption)
            .map_err(|error| Failure::new(FailureKind::Local, WHAT, error))?;
        Ok((password, file))
    }
}

/// How a PKCS#12 file is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Password and file as parts of multipart/form-data: 7.1 and later, as far as is known.
    Multipart,
    /// The password in the path, the file as the body: 7.0.
    Path,
}

impl Form {
    /// Both, in the order of newer devices.
    const ALL: [Self; 2] = [Self::Multipart, Self::Path];

    /// The word in the quirks.
    const fn name(self) -> &'static str {
        match self {
            Self::Multipart => "multipart",
            Self::Path => "path",
        }
    }

    fn call(
        self,
        alias: &str,
        password: &Secret,
        file: Vec<u8>,
        random: &dyn Random,
    ) -> Result<Request, Failure> {
        let path = named("/import/certificates/cert-key-pair/name/", alias)?;
        let name = segment(alias).unwrap_or_default();
        let call = match self {
            Self::Multipart => {
                let file_name = format!("{name}.p12");
                let parts = parts(password, &file_name, &file);
                let (content_type, body) = transfer::multipart(&parts, random);
                let target = format!("{path}?{file_name}");
                Request::change(Method::PUT, target).content(content_type, body)
            }
            // Letters and digits only, so that nothing is to be encoded.
            Self::Path => {
                let target = format!("{path}/password/{}", password.expose());
                let display = format!("{path}/password/[secret]");
                Request::change(Method::PUT, target)
                    .displayed_as(display)
                    .content("application/json", file)
            }
        };
        Ok(call.slow())
    }
}

/// The names of the parts are those of the reference; the file has the name that stands in the URL.
fn parts<'a>(password: &'a Secret, file_name: &'a str, file: &'a [u8]) -> [transfer::Part<'a>; 2] {
    [
        transfer::Part {
            name: "certPasswd",
            file_name: None,
            content: password.expose().as_bytes(),
        },
        transfer::Part {
            name: "certificate.exp",
            file_name: Some(file_name),
            content: file,
        },
    ]
}

/// What a refusal is about, where its text is known. Most texts are not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// The device has no such call.
    Form,
    /// It cannot open the file; what it says of that may sound like a wrong password.
    Encryption,
    /// It read the file, and does not want what is in it.
    Content,
}

impl Refusal {
    fn of(status: u16, said: &str) -> Self {
        if messages::is_unknown_call(said) || matches!(status, 404 | 405 | 415) {
            Self::Form
        } else if messages::is_unreadable(said) || messages::import_advice(said).is_none() {
            Self::Encryption
        } else {
            Self::Content
        }
    }
}

/// `all` in their order, what is wanted first.
fn preferred<T: Copy>(all: [T; 2], name: fn(T) -> &'static str, wanted: &str) -> [T; 2] {
    let [first, second] = all;
    if name(second) == wanted {
        [second, first]
    } else {
        all
    }
}

/// 120 bits in capital letters and digits, since it may stand in a path.
fn one_time_password(random: &dyn Random) -> Secret {
    let mut bytes = [0; 15];
    random.fill(&mut bytes);
    Secret::new(data_encoding::BASE32_NOPAD.encode(&bytes))
}

/// The failure without the password, which the device may have repeated.
fn without(password: &Secret, mut failure: Failure) -> Failure {
    failure.detail = secret::redact(&failure.detail, [password]);
    failure
}

/// What was said of each encryption.
fn both(encryption: Encryption, before: Option<Failure>, mut failure: Failure) -> Failure {
    failure.detail = format!("{} encryption: {}", encryption.name(), failure.detail);
    if let Some(before) = before {
        failure.detail = format!("{}; {}", before.detail, failure.detail);
    }
    failure
}

fn nothing_was_tried() -> Failure {
    Failure::new(FailureKind::Unexpected, WHAT, "nothing was tried")
}

/// A failure, behind what was said of the forms that were tried before it.
fn behind(refusals: &[(Form, Failure)], form: Form, mut failure: Failure) -> Failure {
    if !refusals.is_empty() {
        let words = format!(
            "{}; {}: {}",
            reported(refusals),
            form.name(),
            failure.detail
        );
        failure.detail = readable(&words);
    }
    failure
}

/// What was said of each form, in bounded words.
fn reported(refusals: &[(Form, Failure)]) -> String {
    let details = refusals.iter().map(|(form, failure)| {
        let said = envelope::shortened(&failure.detail);
        format!("{}: {said}", form.name())
    });
    details.collect::<Vec<String>>().join("; ")
}

/// What was said of each form.
fn all_of(refusals: &[(Form, Failure)]) -> Failure {
    let detail = format!(
        "the device knows no import of PKCS#12 files, which a key of renewd needs: let the firewall make the key \
         (`key = {{ origin = \"firewall\" }}`); {}",
        reported(refusals)
    );
    Failure::new(FailureKind::Refused, WHAT, detail)
}

/// A refused import, with what can be done about it.
fn advised(mut failure: Failure) -> Failure {
    if let Some(advice) = messages::import_advice(&failure.detail) {
        failure.detail = format!("{advice}; the device said: {}", failure.detail);
    }
    failure
}

/// What is done, in failures.
const WHAT: &str = "import a key pair";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;
    use crate::random::SeededRandom;

    #[test]
    fn a_one_time_password_can_stand_in_a_path_and_is_used_once() {
        let random = SeededRandom::new(1);
        let [one, two] = [(); 2].map(|()| one_time_password(&random));
        assert_eq!(one.expose().len(), 24);
        assert_eq!(segment(one.expose()).as_deref(), Some(one.expose()));
        assert_ne!(one.expose(), two.expose());
    }

    #[test]
    fn a_password_in_the_path_is_in_no_name_failure_or_debug_of_the_call() {
        let password = Secret::new("ONETIME234".to_owned());
        for form in Form::ALL {
            let random = SeededRandom::new(1);
            let call = form.call("hq-1", &password, vec![1, 2], &random).unwrap();
            let failure = call.failure(FailureKind::Refused, "bad ONETIME234 given");
            let failure = without(&password, failure);
            let reported = format!("{} {failure} {failure:?} {call:?}", call.name());
            assert!(!reported.contains("ONETIME234"), "{reported}");
        }
        let path = Form::Path
            .call("hq-1", &password, Vec::new(), &SeededRandom::new(1))
            .unwrap()
            .path;
        assert!(path.ends_with("/name/hq-1/password/ONETIME234"), "{path}");
    }

    #[test]
    fn only_what_the_device_does_not_know_or_cannot_open_is_tried_in_another_way() {
        let of = Refusal::of;
        assert_eq!(of(400, "API endpoint is incomplete."), Refusal::Form);
        assert_eq!(of(404, ""), Refusal::Form);
        assert_eq!(of(400, "Invalid certificate format"), Refusal::Encryption);
        assert_eq!(
            of(400, "Import failed: wrong password"),
            Refusal::Encryption
        );
        assert_eq!(of(400, "Public/private key mismatch"), Refusal::Content);
        assert_eq!(of(400, "Duplicate local certificate"), Refusal::Content);
    }

    #[test]
    fn what_worked_before_is_tried_first() {
        let order = |wanted| preferred(Form::ALL, Form::name, wanted);
        assert_eq!(order("multipart"), [Form::Multipart, Form::Path]);
        assert_eq!(order("path"), [Form::Path, Form::Multipart]);
        assert_eq!(order("nonsense"), Form::ALL);
    }
}
