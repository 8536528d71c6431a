//! Submitted: ask how the order stands; what was issued is checked before anything is done with it.

use jiff::SignedDuration;

use super::{Outcome, StepError, Work, obtained, refused};
use crate::ca::{Issuance, Reference};
use crate::failure::{Failure, FailureKind};
use crate::pki::{self, Certificate, Expected};
use crate::renewal::state::{Fact, Step};

pub async fn take(work: &Work<'_>) -> Result<Outcome, StepError> {
    let issuer = work.issuer()?;
    let request = work.signing_request().await?;
    let reference = Reference(
        obtained(work.renewal().obtained.ca_reference.as_deref(), "reference")?.to_owned(),
    );
    let (issuance, remembered) = issuer
        .follow(&reference, &request)
        .await
        .map_err(StepError::Ca)?;
    if let Some(reference) = remembered {
        let mut obtained = work.renewal().obtained.clone();
        obtained.ca_reference = Some(reference.0);
        work.store.keep(work.lease, &obtained).await?;
    }
    match issuance {
        Issuance::Pending {
            retry_after,
            waiting_for,
            needs_person,
        } => {
            let waited = work.renewal().state_since.duration_until(work.now);
            let words = format!("{} waits for {waiting_for}", work.renewal().ca);
            let kind = kind_of_wait(needs_person, waited);
            Ok(Outcome::wait(pause(retry_after, waited), kind, words))
        }
        Issuance::Issued { leaf, chain } => {
            work.acted(Step::PollIssuance).await;
            let is_paid = issuer.budget().is_some();
            checked(work, &leaf, chain).map_err(|error| in_view_of_money(error, is_paid))
        }
        Issuance::Refused { reason } => Err(StepError::Hopeless(format!(
            "{} refused: {reason}",
            work.renewal().ca
        ))),
        Issuance::Void {
            reason,
            retry_after,
        } => Ok(Outcome::OrderVoid {
            words: format!("{}: {reason}", work.renewal().ca),
            retry_after,
        }),
    }
}

/// A certificate that is given up is ordered again the next day. Where that costs money, a person has to talk to the CA
/// instead.
fn in_view_of_money(error: StepError, is_paid: bool) -> StepError {
    match error {
        StepError::Ca(failure) if is_paid => StepError::Ca(Failure {
            kind: FailureKind::Unexpected,
            ..failure
        }),
        error => error,
    }
}

fn checked(
    work: &Work<'_>,
    leaf: &Certificate,
    chain: Vec<Certificate>,
) -> Result<Outcome, StepError> {
    let chain = pki::order_chain(leaf, chain);
    let expected = Expected {
        public_key: work.csr()?.public_key,
        request: &work.wanted.request,
        now: work.now,
    };
    let faults = pki::check_issued(leaf, &chain, &expected);
    if !faults.is_empty() {
        return Err(refused("check the issued certificate", &faults));
    }
    Ok(work.reached_with(Fact::CertificateChecked, |obtained| {
        obtained.leaf_pem = Some(leaf.to_pem());
        obtained.chain_pem = Some(chain.iter().map(Certificate::to_pem).collect());
        obtained.fingerprint = Some(leaf.fingerprint);
    }))
}

/// For what is waited, by name: each is told once.
fn kind_of_wait(needs_person: bool, waited: SignedDuration) -> &'static str {
    match needs_person {
        true => "approval",
        false if waited >= OVERDUE => "overdue_issuance",
        false => "issuance",
    }
}

/// Until the next look: what the CA asks for within reason, else a tenth of the time that was waited already, so that
/// hours of waiting cost no more polls than minutes.
fn pause(asked: Option<SignedDuration>, waited: SignedDuration) -> SignedDuration {
    asked.map_or_else(
        || (waited / 10).clamp(SHORTEST_PATIENCE, LONGEST_PATIENCE),
        |asked| asked.clamp(SHORTEST_PAUSE, LONGEST_PAUSE),
    )
}

/// After this time somebody should look why nothing comes, though nobody is asked for.
const OVERDUE: SignedDuration = SignedDuration::from_hours(24);
const SHORTEST_PATIENCE: SignedDuration = SignedDuration::from_secs(5);
const LONGEST_PATIENCE: SignedDuration = SignedDuration::from_hours(1);
/// A CA may ask to be asked again at once, or in a century.
const SHORTEST_PAUSE: SignedDuration = SignedDuration::from_secs(1);
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(24);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_is_asked_when_it_wants_to_be_but_neither_at_once_nor_never() {
        let seconds = |asked| pause(Some(SignedDuration::from_secs(asked)), OVERDUE).as_secs();
        let asked = [-5, 0, 90, 1_000_000, i64::MAX].map(seconds);
        assert_eq!(asked, [1, 1, 90, 86_400, 86_400]);
    }

    #[test]
    fn without_a_word_of_the_ca_pauses_grow_with_the_time_that_was_waited() {
        let seconds = |waited| pause(None, SignedDuration::from_secs(waited)).as_secs();
        assert_eq!([-5, 0, 400, 1_000_000].map(seconds), [5, 5, 40, 3600]);
    }

    #[test]
    fn what_waits_for_nobody_in_particular_is_told_after_a_day() {
        let almost = OVERDUE - SignedDuration::from_secs(1);
        assert_eq!(kind_of_wait(false, almost), "issuance");
        assert_eq!(kind_of_wait(false, OVERDUE), "overdue_issuance");
        assert_eq!(kind_of_wait(true, OVERDUE), "approval");
    }
}
