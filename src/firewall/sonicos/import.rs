//! Putting certificate files on the device, in the form that it takes (SonicOS reference 3.4, 3.5).

use reqwest::Method;

use super::envelope::Reply;
use super::ownership::Ours;
use super::transfer::{self, Upload};
use super::transport::Call;
use super::{Session, wording};
use crate::failure::{Failure, FailureKind};

impl Session {
    /// Sends a certificate file in the form that the device takes: raw, else multipart.
    pub(super) async fn upload(
        &mut self,
        path: &str,
        pem: &str,
        ours: Ours,
    ) -> Result<(), Failure> {
        self.writer.begin().await?;
        let raw = match self.upload_as(self.upload, path, pem).await? {
            Ok(reply) => return self.writer.settle(&[reply], ours).await,
            Err((status, failure)) => {
                let is_final = self.upload == Upload::Multipart
                    || !transfer::is_about_form(status, &failure.detail);
                if is_final {
                    return Err(advised(failure));
                }
                failure
            }
        };
        let reply = self
            .upload_as(Upload::Multipart, path, pem)
            .await?
            .map_err(|(_, mut failure)| {
                failure.detail = format!("raw: {}; multipart: {}", raw.detail, failure.detail);
                advised(failure)
            })?;
        self.upload = Upload::Multipart;
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
                self.note("import", form.name().to_owned());
                Ok(Ok(reply))
            }
            Err(failure) if failure.kind == FailureKind::Refused => {
                Ok(Err((answer.status, failure)))
            }
            Err(failure) => Err(failure),
        }
    }
}

/// A refused import, with what can be done about it.
fn advised(mut failure: Failure) -> Failure {
    if let Some(advice) = wording::import_advice(&failure.detail) {
        failure.detail = format!("{advice}; the device said: {}", failure.detail);
    }
    failure
}
