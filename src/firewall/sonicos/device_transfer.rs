//! Files that the device uploads and downloads itself. renewd opens a server and requests the transfer in one variant
//! after the other. The file decides whether a transfer worked, not the answer (SonicOS reference 3.3 to 3.6).
//!
//! The next variant is tried when the device does not know the call, or when no file was transferred over the protocol.
//! A refusal that names neither rules no variant out. An answer after the device has fetched the file is about the
//! file, and is final.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::time::timeout;

use super::envelope::{self, Reply};
use super::ownership::Ours;
use super::transfer_variant::{CallForm, Payload, TransferVariant, UrlTarget};
use super::try_variants::{Miss, Transferred, VariantResult, brought, every_way_failed, fetched};
use super::{Session, transfer};
use crate::failure::{Failure, FailureKind};
use crate::pki::Certificate;
use crate::secret::Secret;
use crate::transfer::{Task, Transfer, TransferRequest};

impl Session {
    /// The pending request of `alias`, DER, uploaded by the device.
    pub(super) async fn have_request_brought(&mut self, alias: &str) -> Result<Vec<u8>, Failure> {
        let payload = Payload::Request(alias);
        let task = Task::Receive {
            names: vec![format!("{alias}.p10"), alias.to_owned()],
            largest: LARGEST_REQUEST_BYTES,
        };
        let carried = self.carry(payload, &task).await?;
        transfer::exported_request(&carried.file).ok_or_else(|| {
            let said = envelope::shortened(&String::from_utf8_lossy(&carried.file));
            let detail = format!("the file that came is no signing request: {said}");
            Failure::new(FailureKind::Unexpected, payload.words(), detail)
        })
    }

    /// The certificate for the pending request of `alias`, fetched by the device.
    pub(super) async fn have_signed_fetched(
        &mut self,
        alias: &str,
        leaf: &Certificate,
    ) -> Result<(), Failure> {
        let file = hand_out(format!("{alias}.pem"), leaf.to_pem().into_bytes());
        let ours = self.ours(alias);
        self.have_fetched(Payload::Signed(alias), &file, ours).await
    }

    /// A CA certificate, fetched by the device.
    pub(super) async fn have_authority_fetched(
        &mut self,
        certificate: &Certificate,
    ) -> Result<(), Failure> {
        let file = hand_out("ca.pem".to_owned(), certificate.to_pem().into_bytes());
        let ours = Ours {
            ca_certificates: true,
            ..self.writer.nothing()
        };
        match self.have_fetched(Payload::Authority, &file, ours).await {
            // The device fetched it. The import of the certificate that it issued shows whether the device took it. The
            // call is not repeated: a device that loses such answers would lose the next one too.
            Err(failure) if failure.kind == FailureKind::OutcomeUnknown => {
                tracing::debug!(error = %failure, "whether the CA certificate was taken is not known");
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// A PKCS#12 file that `password` opens, fetched by the device; by FTP only where that was asked for.
    pub(super) async fn import_key_pair_by_transfer(
        &mut self,
        alias: &str,
        password: &Secret,
        pkcs12: Vec<u8>,
    ) -> Result<(), Failure> {
        self.writer.channel.hide(password);
        let file = hand_out(format!("{alias}.p12"), pkcs12);
        let ours = self.ours(alias);
        self.have_fetched(Payload::KeyPair(alias, password), &file, ours)
            .await
    }

    async fn have_fetched(
        &mut self,
        payload: Payload<'_>,
        file: &Task,
        ours: Ours,
    ) -> Result<(), Failure> {
        self.writer.begin().await?;
        match self.carry(payload, file).await {
            Ok(carried) => {
                let settled = self.writer.settle(&[carried.reply], ours).await;
                settled.map(|_| ())
            }
            // If it was taken, and waits for a commit, it would go with our session.
            Err(failure) if failure.kind == FailureKind::OutcomeUnknown => {
                self.writer.settle(&[Reply::default()], ours).await?;
                Err(failure)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Tries one variant after the other until the file was transferred.
    async fn carry(&mut self, payload: Payload<'_>, task: &Task) -> Result<Transferred, Failure> {
        let remembered = self
            .writer
            .quirks
            .learned_default(payload.learned_default());
        let choice = self.settings.transfers.protocol;
        let variants = payload.variants(choice, self.has_ssh(), remembered);
        let mut misses: Vec<Miss> = Vec::new();
        for variant in variants {
            if misses.iter().any(|miss| miss.rules_out(variant)) {
                continue;
            }
            match self.attempt(payload, variant, task).await? {
                VariantResult::Done(carried) => {
                    self.note(payload.learned_default(), variant.name());
                    return Ok(carried);
                }
                VariantResult::Missed(cause, failure) => {
                    tracing::debug!(way = payload.display(variant), error = %failure, "the file was not carried");
                    misses.push(Miss {
                        variant,
                        cause,
                        failure,
                    });
                }
                VariantResult::Final(failure) => return Err(failure),
            }
        }
        Err(every_way_failed(payload, &misses))
    }

    /// Opens a server, requests the transfer in one variant, and waits for the result.
    async fn attempt(
        &mut self,
        payload: Payload<'_>,
        variant: TransferVariant,
        task: &Task,
    ) -> Result<VariantResult, Failure> {
        let request = TransferRequest {
            protocol: variant.protocol,
            firewall: self.address(payload)?,
            task: task.clone(),
            time_limit: self.settings.transfer_timeout,
        };
        let patience = patience(variant.form, self.settings.call_timeout);
        let settings = self.settings.transfers.clone();
        let mut transfer = self.transfers.open(&settings, request).await?;
        self.writer.channel.hide(transfer.password());
        let url = match variant.place {
            UrlTarget::Folder => transfer.folder_url().clone(),
            UrlTarget::File => transfer.file_url().clone(),
        };
        // Boxed, or everything that may lead here would be as large as both of them.
        let answer = Box::pin(self.report(payload, variant, &url));
        let arrival = Box::pin(arrival(&mut transfer, task));
        let (answer, arrival) = both(answer, arrival, patience).await;
        // When the wait for the file ended without one, its failure contains what was refused.
        let refused = transfer.refused().filter(|_| arrival.is_none());
        let attempt = match task {
            Task::Receive { .. } => brought(payload, answer, arrival),
            Task::HandOut { .. } => fetched(payload, answer, arrival),
        };
        Ok(match refused {
            Some(refused) => attempt.noting(&refused),
            None => attempt,
        })
    }

    /// Requests the transfer of `payload` to or from the URL. The answer may arrive before the file is fetched, and
    /// then its commit status is outdated. Only after lines that we committed ourselves it is known that nothing is
    /// pending.
    async fn report(
        &mut self,
        payload: Payload<'_>,
        variant: TransferVariant,
        url: &Secret,
    ) -> Result<Reply, Failure> {
        if let Some(call) = payload.call(variant, url)? {
            return self.writer.write(&call).await.map(|_| Reply::default());
        }
        let mut lines = payload.lines(variant.protocol, url)?;
        if variant.form == CallForm::Direct {
            let reported = self.writer.command(&payload.display(variant), &lines).await;
            return reported.map(|_| Reply::default());
        }
        if !matches!(payload, Payload::Request(_)) {
            lines.push("commit".to_owned());
        }
        match self.type_lines(&lines).await {
            Ok(_) => Ok(Reply::settled()),
            // The API is reachable, so the failure is about this call and not about the device.
            Err(failure) if failure.kind == FailureKind::Unreachable => {
                let kind = FailureKind::Unexpected;
                Err(Failure { kind, ..failure })
            }
            Err(failure) => Err(failure),
        }
    }

    /// The address that the API connection really uses: the device connects from there.
    fn address(&self, payload: Payload<'_>) -> Result<SocketAddr, Failure> {
        self.writer.channel.peer().ok_or_else(|| {
            let detail = "the address of the device is not known";
            Failure::new(FailureKind::Local, payload.words(), detail)
        })
    }
}

/// A file for the device.
fn hand_out(name: String, content: Vec<u8>) -> Task {
    Task::HandOut { name, content }
}

/// How long to wait for an answer once the file was transferred. An interrupted session on the command line would stay
/// on the device, in configuration mode and before the commit; each of its lines has its own limit.
const fn patience(form: CallForm, call_timeout: Duration) -> Duration {
    match form {
        CallForm::Put | CallForm::Post | CallForm::Direct => call_timeout,
        CallForm::Ssh => Duration::MAX,
    }
}

/// Waits for the file, in whichever direction.
async fn arrival(transfer: &mut Transfer, task: &Task) -> Result<Vec<u8>, Failure> {
    match task {
        Task::Receive { .. } => transfer.received().await,
        Task::HandOut { .. } => transfer.fetched().await.map(|()| Vec::new()),
    }
}

/// The device's answer and the arrival of the file; `None` for what did not arrive in time.
async fn both(
    answer: impl Future<Output = Result<Reply, Failure>>,
    arrival: impl Future<Output = Result<Vec<u8>, Failure>>,
    patience: Duration,
) -> (
    Option<Result<Reply, Failure>>,
    Option<Result<Vec<u8>, Failure>>,
) {
    let (answer, arrival) = (pin!(answer), pin!(arrival));
    match select(answer, arrival).await {
        // It will come, or was under way when the answer was lost.
        Either::Left((answer, arrival)) if may_follow(&answer) => {
            (Some(answer), Some(arrival.await))
        }
        Either::Left((answer, arrival)) => (Some(answer), timeout(MOMENT, arrival).await.ok()),
        Either::Right((arrival @ Ok(_), answer)) => {
            (timeout(patience, answer).await.ok(), Some(arrival))
        }
        Either::Right((arrival, answer)) => (Some(answer.await), Some(arrival)),
    }
}

/// Whether the file may still be transferred after this answer.
fn may_follow(answer: &Result<Reply, Failure>) -> bool {
    match answer {
        Ok(_) => true,
        Err(failure) => failure.kind == FailureKind::OutcomeUnknown,
    }
}

/// A request of an RSA key of 4096 bits has about two thousand.
const LARGEST_REQUEST_BYTES: usize = 64 << 10;
/// For a file that came just before the answer.
const MOMENT: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_on_the_command_line_is_never_cut_off_before_its_commit() {
        let call_timeout = Duration::from_secs(20);
        assert_eq!(patience(CallForm::Put, call_timeout), call_timeout);
        assert_eq!(patience(CallForm::Ssh, call_timeout), Duration::MAX);
    }
}
