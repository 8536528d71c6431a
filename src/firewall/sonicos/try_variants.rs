//! The result of one transfer variant, from the device's answer and the file. Pure functions.
//!
//! A refusal never counts as a success. Only an uploaded file counts, or a positive answer together with the download.

use jiff::SignedDuration;

use super::envelope::{self, Reply};
use super::transfer_variant::{CallForm, Payload, TransferVariant};
use super::{KEY_GENERATION_WAIT, import, messages};
use crate::failure::{Failure, FailureKind};

/// A file that got where it should.
#[derive(Debug)]
pub(super) struct Transferred {
    /// The uploaded file; empty when the device downloaded it.
    pub(super) file: Vec<u8>,
    /// What the device said to it.
    pub(super) reply: Reply,
}

/// The result of one variant.
#[derive(Debug)]
pub(super) enum VariantResult {
    Done(Transferred),
    /// No file was transferred: what failed, and what was seen.
    Missed(Cause, Failure),
    /// Another variant would not help, or may not be tried.
    Final(Failure),
}

/// What failed where no file was transferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The call: the device does not know it.
    CallForm,
    /// The transfer: the device knows the call.
    Transfer,
    /// The device refused without coming to our server, in words that name neither: an unknown call, a URL that it does
    /// not take and a protocol that it does not speak are all refused like this.
    Unclear,
}

impl VariantResult {
    /// With what our own server refused meanwhile, where no file was transferred.
    pub(super) fn noting(self, refused: &str) -> Self {
        match self {
            // The device connected, so it knows the call.
            Self::Missed(_, mut failure) => {
                failure.detail = format!("{}; our server {refused}", failure.detail);
                Self::Missed(Cause::Transfer, failure)
            }
            attempt => attempt,
        }
    }
}

/// A variant in which no file was transferred.
#[derive(Debug)]
pub(super) struct Miss {
    pub(super) variant: TransferVariant,
    pub(super) cause: Cause,
    pub(super) failure: Failure,
}

impl Miss {
    /// Whether `variant` would end in the same way: the device does not know the call, or its answer to the call cannot
    /// be interpreted, whatever the URL; or the device knows the call, and the protocol fails.
    pub(super) fn rules_out(&self, variant: TransferVariant) -> bool {
        if self.variant == variant {
            return true;
        }
        if self.variant.protocol != variant.protocol {
            return false;
        }
        let is_same_way = self.variant.form == variant.form;
        match self.cause {
            Cause::CallForm => is_same_way,
            Cause::Transfer => is_same_way == (self.failure.kind == FailureKind::Unexpected),
            Cause::Unclear => false,
        }
    }
}

/// The result of an upload by the device: an uploaded file is a success, whatever the answer.
pub(super) fn brought(
    payload: Payload<'_>,
    answer: Option<Result<Reply, Failure>>,
    arrival: Option<Result<Vec<u8>, Failure>>,
) -> VariantResult {
    let waited = match arrival {
        Some(Ok(file)) => {
            let reply = answer.and_then(Result::ok).unwrap_or_default();
            return VariantResult::Done(Transferred { file, reply });
        }
        Some(Err(failure)) => Some(failure),
        None => None,
    };
    match answer {
        Some(Err(failure)) if failure.kind == FailureKind::Refused => {
            if messages::is_in_progress(&failure.detail) {
                VariantResult::Final(at_work(failure, KEY_GENERATION_WAIT))
            } else if is_about_object(payload, &failure.detail) {
                VariantResult::Final(failure)
            } else {
                missed(payload, failure, waited)
            }
        }
        Some(Err(failure)) if is_open(&failure) => missed(payload, failure, waited),
        Some(Err(failure)) => VariantResult::Final(failure),
        Some(Ok(_)) | None => missed(payload, nothing_came(payload), waited),
    }
}

/// The result of a download by the device.
pub(super) fn fetched(
    payload: Payload<'_>,
    answer: Option<Result<Reply, Failure>>,
    arrival: Option<Result<Vec<u8>, Failure>>,
) -> VariantResult {
    let (is_fetched, waited) = match arrival {
        Some(Ok(_)) => (true, None),
        Some(Err(failure)) => (false, Some(failure)),
        None => (false, None),
    };
    match answer {
        Some(Ok(reply)) if is_fetched => VariantResult::Done(Transferred {
            file: Vec::new(),
            reply,
        }),
        Some(Ok(_)) => missed(payload, nothing_came(payload), waited),
        Some(Err(failure)) if failure.kind == FailureKind::Refused => {
            let is_about_file = messages::import_advice(&failure.detail).is_some();
            if is_fetched || is_about_file || is_about_object(payload, &failure.detail) {
                VariantResult::Final(import::advised(failure))
            } else {
                missed(payload, failure, waited)
            }
        }
        Some(Err(failure)) if is_open(&failure) && !is_fetched => missed(payload, failure, waited),
        Some(Err(failure)) => VariantResult::Final(failure),
        None => {
            let detail = "the device fetched the file, and never said what became of it";
            let unknown = FailureKind::OutcomeUnknown;
            VariantResult::Final(Failure::new(unknown, payload.words(), detail))
        }
    }
}

/// Whether a failure leaves open what the device can do: its answer was lost, or said neither yes nor no.
fn is_open(failure: &Failure) -> bool {
    matches!(
        failure.kind,
        FailureKind::OutcomeUnknown | FailureKind::Unexpected
    )
}

/// Whether a refusal is about the file rather than about the call.
fn is_about_object(payload: Payload<'_>, said: &str) -> bool {
    let names_it = said
        .split_whitespace()
        .any(|word| payload.is_named_in(word) && !word.contains("://"));
    messages::is_missing(said) && (names_it || said.to_ascii_lowercase().contains("certificate"))
}

fn missed(payload: Payload<'_>, mut failure: Failure, waited: Option<Failure>) -> VariantResult {
    let said = &failure.detail;
    let cause = if failure.kind != FailureKind::Refused {
        Cause::Transfer
    } else if messages::is_unknown(said) || messages::is_nowhere(said) {
        Cause::CallForm
    } else if waited.is_some() || is_about_transfer(payload, said) {
        Cause::Transfer
    } else {
        Cause::Unclear
    };
    if let Some(waited) = waited {
        failure.detail = format!("{}; {}", failure.detail, waited.detail);
    }
    VariantResult::Missed(cause, failure)
}

/// Whether a refusal names what goes wrong between the device and our server. The URL and the alias that a device repeats
/// say nothing of that.
fn is_about_transfer(payload: Payload<'_>, said: &str) -> bool {
    let words = said
        .split_whitespace()
        .filter(|word| !word.contains("://") && !payload.is_named_in(word));
    let said: Vec<String> = words.map(str::to_ascii_lowercase).collect();
    said.iter()
        .any(|word| TRANSFER_WORDS.iter().any(|known| word.contains(known)))
}

fn nothing_came(payload: Payload<'_>) -> Failure {
    let detail = "the device said yes, and carried nothing";
    Failure::new(FailureKind::Unreachable, payload.words(), detail)
}

/// The device is still generating the key.
fn at_work(mut failure: Failure, wait: SignedDuration) -> Failure {
    failure.kind = FailureKind::Busy;
    failure.retry_after(wait)
}

/// Every variant with its result, and what an operator can do.
pub(super) fn every_way_failed(payload: Payload<'_>, misses: &[Miss]) -> Failure {
    let is_refused = |miss: &Miss| miss.failure.kind == FailureKind::Refused;
    // Where the device was willing and no file came, the network may be better later.
    let kind = if misses.iter().all(is_refused) {
        FailureKind::Refused
    } else {
        FailureKind::Unreachable
    };
    let seen: Vec<String> = misses
        .iter()
        .map(|miss| {
            let said = shortened_both_ends(&miss.failure.detail);
            format!("{}: {said}", miss.variant.name())
        })
        .collect();
    let has_ssh = misses.iter().any(|miss| miss.variant.form == CallForm::Ssh);
    let ssh = if has_ssh { "" } else { SSH_ADVICE };
    let detail = format!(
        "every transfer variant failed ({}). {TRANSFER_ADVICE}{ssh}",
        seen.join("; ")
    );
    Failure::new(kind, payload.words(), detail)
}

/// The device's words stand at the beginning, what our own server saw at the end.
fn shortened_both_ends(detail: &str) -> String {
    let said = envelope::shortened(detail);
    match detail.split_once("; our server ") {
        Some((_, refused)) if said.ends_with('…') => {
            format!("{said}; our server {}", envelope::shortened(refused))
        }
        _ => said,
    }
}

/// In the words for a connection, a login or a copy that failed.
const TRANSFER_WORDS: [&str; 9] = [
    "transfer", "connect", "host", "login", "timeout", "timed", "reach", "network", "copy",
];
const TRANSFER_ADVICE: &str = "See whether the device can reach this machine on the address and ports of `file_transfer`; \
                               `file_transfer.protocol` chooses SCP or FTP. FTP is used only with `file_transfer.protocol = \
                               \"ftp\"`: whoever is on the path can read and replace what it carries";
const SSH_ADVICE: &str =
    "; with `ssh`, the command line of the device is the last thing that is tried";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    #![allow(
        clippy::unnecessary_wraps,
        reason = "what is judged may also not have come"
    )]

    use super::*;
    use crate::transfer::Choice;

    const REQUEST: Payload<'static> = Payload::Request("fw-1");
    const SIGNED: Payload<'static> = Payload::Signed("fw-1");

    fn failure(kind: FailureKind, detail: &str) -> Failure {
        Failure::new(kind, "PUT /x", detail)
    }

    fn no(detail: &str) -> Option<Result<Reply, Failure>> {
        Some(Err(failure(FailureKind::Refused, detail)))
    }

    fn yes() -> Option<Result<Reply, Failure>> {
        Some(Ok(Reply::default()))
    }

    fn lost() -> Option<Result<Reply, Failure>> {
        Some(Err(failure(FailureKind::OutcomeUnknown, "closed")))
    }

    fn late() -> Option<Result<Vec<u8>, Failure>> {
        let detail = "no client uploaded a file within 60 s";
        Some(Err(failure(FailureKind::Unreachable, detail)))
    }

    fn there() -> Option<Result<Vec<u8>, Failure>> {
        Some(Ok(b"file".to_vec()))
    }

    fn is_done(attempt: &VariantResult) -> bool {
        matches!(attempt, VariantResult::Done(_))
    }

    /// Why no file came.
    fn missed_as(attempt: &VariantResult) -> Option<Cause> {
        match attempt {
            VariantResult::Missed(cause, _) => Some(*cause),
            _ => None,
        }
    }

    fn final_kind(attempt: &VariantResult) -> Option<FailureKind> {
        match attempt {
            VariantResult::Final(failure) => Some(failure.kind),
            _ => None,
        }
    }

    #[test]
    fn a_request_that_came_is_there_whatever_became_of_the_answer() {
        for answer in [yes(), lost(), no("Error: 35"), None] {
            assert!(is_done(&brought(REQUEST, answer, there())));
        }
    }

    #[test]
    fn a_request_that_did_not_come_asks_for_another_way_unless_the_key_is_the_matter() {
        assert_eq!(
            missed_as(&brought(REQUEST, yes(), late())),
            Some(Cause::Transfer)
        );
        assert_eq!(
            missed_as(&brought(REQUEST, lost(), late())),
            Some(Cause::Transfer)
        );
        let transfer = no("% Error: transfer failed, host not found");
        assert_eq!(
            missed_as(&brought(REQUEST, transfer, None)),
            Some(Cause::Transfer)
        );
        let unknown = no("E_INVALID_API_CALL: API endpoint is incomplete.");
        assert_eq!(
            missed_as(&brought(REQUEST, unknown, None)),
            Some(Cause::CallForm)
        );
        let missing = no("no certificate found for this name");
        let missing = brought(REQUEST, missing, None);
        assert_eq!(final_kind(&missing), Some(FailureKind::Refused));
        let address = "'scp://a:[secret]@192.0.2.1/fw-1.p10' is not a reasonable value.";
        for unclear in [
            address,
            "schema validation (HTTP 400)",
            "refused without a word, HTTP 406",
        ] {
            let missed = brought(REQUEST, no(unclear), None);
            assert_eq!(missed_as(&missed), Some(Cause::Unclear), "{unclear}");
            let missed = missed.noting("refused meanwhile: a login");
            assert_eq!(missed_as(&missed), Some(Cause::Transfer), "it came");
        }
        let working = brought(REQUEST, no("Key generation in progress"), None);
        assert_eq!(final_kind(&working), Some(FailureKind::Busy));
        let ended = Some(Err(failure(FailureKind::Busy, "session")));
        let ended = brought(REQUEST, ended, None);
        assert_eq!(final_kind(&ended), Some(FailureKind::Busy));
    }

    #[test]
    fn only_a_yes_together_with_the_fetch_is_an_import() {
        assert!(is_done(&fetched(SIGNED, yes(), there())));
        assert_eq!(
            missed_as(&fetched(SIGNED, yes(), late())),
            Some(Cause::Transfer)
        );
        let unanswered = fetched(SIGNED, None, there());
        assert_eq!(final_kind(&unanswered), Some(FailureKind::OutcomeUnknown));
    }

    #[test]
    fn a_lost_answer_leaves_a_doubt_only_when_the_file_was_fetched() {
        let unknown = fetched(SIGNED, lost(), there());
        assert_eq!(final_kind(&unknown), Some(FailureKind::OutcomeUnknown));
        assert_eq!(
            missed_as(&fetched(SIGNED, lost(), late())),
            Some(Cause::Transfer)
        );
    }

    #[test]
    fn what_the_device_says_of_a_file_that_it_fetched_is_final() {
        for said in ["Error: 35", "API endpoint is incomplete.", "key mismatch"] {
            let refused = fetched(SIGNED, no(said), there());
            assert_eq!(final_kind(&refused), Some(FailureKind::Refused), "{said}");
        }
        // And so is a refusal that is about the certificate, even if the fetch went unseen.
        let refused = fetched(SIGNED, no("Public/private key mismatch"), None);
        assert_eq!(final_kind(&refused), Some(FailureKind::Refused));
        assert_eq!(
            missed_as(&fetched(SIGNED, no("command 'x' not found"), None)),
            Some(Cause::CallForm)
        );
    }

    #[test]
    fn an_unknown_call_rules_out_its_other_urls_and_a_failing_protocol_its_other_calls() {
        let all = REQUEST.variants(Choice::Automatic, false, None);
        let left = |cause, kind| -> Vec<String> {
            let miss = Miss {
                variant: *all.first().unwrap(),
                cause,
                failure: failure(kind, ""),
            };
            let left = all.iter().filter(|variant| !miss.rules_out(**variant));
            left.map(|variant| variant.name()).collect()
        };
        let others = ["post-scp-folder", "post-scp"];
        assert_eq!(left(Cause::CallForm, FailureKind::Refused)[..2], others);
        // An answer that says nothing says nothing of the protocol either.
        assert_eq!(left(Cause::Transfer, FailureKind::Unexpected)[..2], others);
        for kind in [FailureKind::Refused, FailureKind::Unreachable] {
            assert_eq!(left(Cause::Transfer, kind), ["put-scp"]);
        }
        let unclear = left(Cause::Unclear, FailureKind::Refused);
        assert_eq!(unclear.len(), all.len() - 1, "{unclear:?}");
    }

    #[test]
    fn when_every_way_failed_each_is_named_with_what_was_seen_and_what_can_be_done() {
        let all = REQUEST.variants(Choice::Automatic, false, None);
        let miss = |place: usize, kind, said| Miss {
            variant: *all.get(place).unwrap(),
            cause: Cause::CallForm,
            failure: failure(kind, said),
        };
        let mut misses = vec![
            miss(0, FailureKind::Refused, "unknown"),
            miss(2, FailureKind::Refused, "no such thing"),
        ];
        let all_failed = every_way_failed(REQUEST, &misses);
        assert_eq!(all_failed.kind, FailureKind::Refused);
        for words in [
            "put-scp-folder: unknown",
            "post-scp-folder: no such thing",
            "`file_transfer.protocol`",
            "`ssh`",
        ] {
            assert!(all_failed.detail.contains(words), "{all_failed}");
        }
        misses.push(miss(4, FailureKind::Unreachable, "nothing came"));
        let all_failed = every_way_failed(REQUEST, &misses);
        assert_eq!(all_failed.kind, FailureKind::Unreachable);
    }
}
