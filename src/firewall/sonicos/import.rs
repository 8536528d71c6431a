//! Files to and from a device whose API carries them: the download of a request, and the upload of certificates in the
//! form that the device takes (SonicOS reference 3.3 to 3.5).

use reqwest::Method;

use super::envelope::{self, Reply};
use super::ownership::Ours;
use super::transfer::{self, Upload};
use super::transport::Call;
use super::{KEY_GENERATION_WAIT, Session, is_refusal, named, quirks, wording};
use crate::failure::{Failure, FailureKind};
use crate::pki::Certificate;

impl Session {
    /// The pending request of `alias`, DER.
    pub(super) async fn download_request(&mut self, alias: &str) -> Result<Vec<u8>, Failure> {
        let path = named("/export/certificates/signing-request/name/", alias)?;
        let call = Call::get(path).accept_anything().slow();
        let answer = self.writer.channel.exchange(&call).await?;
        if answer.status == 200
            && let Some(der) = transfer::exported_request(&answer.body)
        {
            return Ok(der);
        }
        let failure = match envelope::judge(&call, &answer) {
            Err(failure) if is_refusal(&failure, wording::is_in_progress) => call
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
        match self.upload(path, &certificate.to_pem(), ours).await {
            Err(failure) if is_refusal(&failure, wording::is_unknown_call) => {
                self.have_authority_fetched(certificate).await
            }
            outcome => outcome,
        }
    }

    /// Sends a certificate file in the form that worked before, else raw; a refusal of the form is followed by the other.
    pub(super) async fn upload(
        &mut self,
        path: &str,
        pem: &str,
        ours: Ours,
    ) -> Result<(), Failure> {
        self.writer.begin().await?;
        let (first, second) = (self.upload, self.upload.other());
        let refused = match self.upload_as(first, path, pem).await? {
            Ok(reply) => return self.writer.settle(&[reply], ours).await,
            Err((status, failure)) if !transfer::is_about_form(status, &failure.detail) => {
                return Err(advised(failure));
            }
            Err((_, failure)) => failure,
        };
        let reply = self
            .upload_as(second, path, pem)
            .await?
            .map_err(|(_, mut failure)| {
                failure.detail = format!(
                    "{}: {}; {}: {}",
                    first.name(),
                    refused.detail,
                    second.name(),
                    failure.detail
                );
                advised(failure)
            })?;
        self.upload = second;
        self.writer.settle(&[reply], ours).await
    }

    /// One attempt in one form; a refusal comes with its HTTP code.
    async fn upload_as(
        &mut self,
        form: Upload,
        path: &str,
        pem: &str,
    ) -> Result<Result<Reply, (u16, Failure)>, Failure> {
        let (content_type, body) = form.body(pem, self.writer.channel.random());
        let call = Call::change(Method::PUT, path)
            .content(content_type, body)
            .slow();
        let answer = self.writer.send(&call).await?;
        match self.writer.judge(&call, &answer) {
            Ok(reply) => {
                self.note(quirks::IMPORT, form.name().to_owned());
                Ok(Ok(reply))
            }
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
    if failure.kind == FailureKind::Refused && wording::is_other_key(&failure.detail) {
        return Failure {
            kind: FailureKind::KeyMismatch,
            ..failure
        };
    }
    failure
}

/// A refused import, with what can be done about it.
pub(super) fn advised(mut failure: Failure) -> Failure {
    if let Some(advice) = wording::import_advice(&failure.detail) {
        failure.detail = format!("{advice}; the device said: {}", failure.detail);
    }
    failure
}
