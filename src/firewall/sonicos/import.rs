//! Files to and from a device whose API carries them: the download of a request, and the upload of certificates in the
//! form that the device takes (SonicOS reference 3.3 to 3.5).

use reqwest::Method;

use super::envelope::{self, Reply};
use super::ownership::Ours;
use super::transfer::{self, Upload};
use super::transport::Request;
use super::{KEY_GENERATION_WAIT, Session, is_refusal, messages, named, quirks};
use crate::failure::{Failure, FailureKind, readable};
use crate::pki::Certificate;

impl Session {
    /// The pending request of `alias`, DER.
    pub(super) async fn download_request(&mut self, alias: &str) -> Result<Vec<u8>, Failure> {
        let path = named("/export/certificates/signing-request/name/", alias)?;
        let call = Request::get(path).accept_anything().slow();
        let answer = self.writer.channel.exchange(&call).await?;
        if answer.status == 200
            && let Some(der) = transfer::exported_request(&answer.body)
        {
            return Ok(der);
        }
        let failure = match envelope::judge(&call, &answer) {
            Err(failure) if is_refusal(&failure, messages::is_in_progress) => call
                .failure(FailureKind::Busy, failure.detail)
                .retry_after(KEY_GENERATION_WAIT),
            Err(failure) => failure,
            Ok(_) => {
                let said = envelope::shortened(&answer.text());
                let detail = format!("no signing request in the answer: {said}");
                call.failure(FailureKind::Unexpected, detail)
            }
        };
        Err(self.writer.channel.without_secrets(failure))
    }

    /// Puts one CA certificate on the device.
    pub(super) async fn import_authority(
        &mut self,
        certificate: &Certificate,
    ) -> Result<(), Failure> {
        if self.generation.carries_files() {
            return self.have_authority_fetched(certificate).await;
        }
        let ours = Ours {
            ca_certificates: true,
            ..self.writer.nothing()
        };
        let path = "/import/certificates/ca-cert";
        let pem = certificate.to_pem();
        match self.upload(path, "ca.pem", &pem, ours).await? {
            Some(refused) => {
                let fetched = self.have_authority_fetched(certificate).await;
                fetched.map_err(|failure| after_uploads(&refused, failure))
            }
            None => Ok(()),
        }
    }

    /// Sends a certificate file in the form that worked before, else raw; a refusal of the form is followed by the next.
    /// `file_name` is shown to the device only. Gives back what the device said when it knows the call in no form.
    pub(super) async fn upload(
        &mut self,
        path: &str,
        file_name: &str,
        pem: &str,
        ours: Ours,
    ) -> Result<Option<Failure>, Failure> {
        self.writer.begin().await?;
        let mut said = Vec::new();
        let mut refused = None;
        let mut is_known = false;
        for form in self.upload.and_others() {
            let (status, failure) = match self.upload_as(form, path, file_name, pem).await {
                Ok(Ok(reply)) => {
                    self.upload = form;
                    self.note(quirks::IMPORT, form.name().to_owned());
                    return self.writer.settle(&[reply], ours).await.map(|_| None);
                }
                Ok(Err(refusal)) => refusal,
                Err(failure) => return Err(after(&said, form.name(), failure)),
            };
            if !transfer::is_about_form(status, &failure.detail) {
                return Err(advised(after(&said, form.name(), failure)));
            }
            is_known |= !messages::is_unknown_call(&failure.detail);
            let words = envelope::shortened(&failure.detail);
            said.push(format!("{}: {words}", form.name()));
            refused.get_or_insert(failure);
        }
        let detail = said.join("; ");
        let refused = refused.map_or_else(
            || Failure::new(FailureKind::Unexpected, path, "nothing was tried"),
            |refused| Failure { detail, ..refused },
        );
        if is_known {
            Err(advised(refused))
        } else {
            Ok(Some(refused))
        }
    }

    /// One attempt in one form; a refusal comes with its HTTP code.
    async fn upload_as(
        &mut self,
        form: Upload,
        path: &str,
        file_name: &str,
        pem: &str,
    ) -> Result<Result<Reply, (u16, Failure)>, Failure> {
        let random = self.writer.channel.random();
        let (query, content_type, body) = form.body(file_name, pem, random);
        let call = Request::change(Method::PUT, format!("{path}{query}"))
            .content(content_type, body)
            .slow();
        let answer = self.writer.send(&call).await?;
        match self.writer.judge(&call, &answer) {
            Ok(reply) => Ok(Ok(reply)),
            Err(failure) if failure.kind == FailureKind::Refused => {
                Ok(Err((answer.status, failure)))
            }
            Err(failure) => Err(failure),
        }
    }
}

/// The failed import of a signed certificate: where the device says that its key is another one, that is more than a
/// refusal.
pub(super) fn of_signed(failure: Failure) -> Failure {
    if failure.kind == FailureKind::Refused && messages::is_other_key(&failure.detail) {
        return Failure {
            kind: FailureKind::KeyMismatch,
            ..failure
        };
    }
    failure
}

/// A failure, behind what was said of the forms that were tried before it.
fn after(said: &[String], form: &str, mut failure: Failure) -> Failure {
    if !said.is_empty() {
        let words = format!("{}; {form}: {}", said.join("; "), failure.detail);
        failure.detail = readable(&words);
    }
    failure
}

/// The failure of the way that was taken after all forms of an upload were unknown, with what the device said of these: its
/// own words would be lost otherwise.
pub(super) fn after_uploads(refused: &Failure, mut failure: Failure) -> Failure {
    let words = format!(
        "{} ({}); then by a transfer: {}",
        refused.call, refused.detail, failure.detail
    );
    failure.detail = readable(&words);
    failure
}

/// A refused import, with what can be done about it.
pub(super) fn advised(mut failure: Failure) -> Failure {
    if let Some(advice) = messages::import_advice(&failure.detail) {
        failure.detail = format!("{advice}; the device said: {}", failure.detail);
    }
    failure
}
