//! Submitted: ask how the order stands; what was issued is checked before anything is done with it.

use jiff::SignedDuration;

use super::submit::unusable;
use super::{Outcome, StepContext, StepError, decision, obtained, refused};
use crate::ca::{Issuance, Issuer, Reference};
use crate::event::{Event, EventKind};
use crate::failure::{Failure, FailureKind};
use crate::inventory::WaitReason;
use crate::pki::{self, AlternateName, Certificate, Expected, Verdict};
use crate::renewal::chain_roots;
use crate::renewal::state::{Fact, Step};

pub async fn take(context: &StepContext<'_>) -> Result<Outcome, StepError> {
    let issuer = decision::issuer_of_an_order(context)?;
    let request = context.signing_request().await?;
    let reference = Reference(
        obtained(
            context.renewal().obtained.ca_reference.as_deref(),
            "reference",
        )?
        .to_owned(),
    );
    let (issuance, remembered) = issuer
        .follow(&reference, &request)
        .await
        .map_err(StepError::Ca)?;
    let reference = match remembered {
        Some(remembered) => keep(context, issuer.as_ref(), remembered).await?,
        None => reference,
    };
    match issuance {
        Issuance::Pending {
            retry_after,
            waiting_for,
            needs_person,
        } => {
            let waited = context.renewal().state_since.duration_until(context.now);
            let words = format!("{} waits for {waiting_for}", context.renewal().ca);
            let kind = kind_of_wait(needs_person, waited);
            decision::on_an_order_that_waits(context, &words)?;
            Ok(Outcome::wait(pause(retry_after, waited), kind, words))
        }
        Issuance::Issued { leaf, chain } => {
            context.acted(Step::PollIssuance).await;
            let is_paid = issuer.budget().is_some();
            let tolerated = issuer.tolerated_names(&context.wanted.request);
            checked(context, reference, &leaf, &chain, &tolerated)
                .await
                .map_err(|error| in_view_of_money(error, is_paid))
        }
        Issuance::Gone { reason } => Err(decision::on_an_order_that_is_gone(context, &reason)),
        Issuance::Refused { reason } => Err(StepError::Permanent(format!(
            "{} refused: {reason}",
            context.renewal().ca
        ))),
        Issuance::Void {
            reason,
            retry_after,
        } => Ok(Outcome::OrderVoid {
            words: format!("{}: {reason}", context.renewal().ca),
            may_have_cost: issuer.may_have_cost(&reference).then_some(reference),
            retry_after,
        }),
    }
}

/// Stores what the driver remembers of the order from now on.
async fn keep(
    context: &StepContext<'_>,
    issuer: &dyn Issuer,
    remembered: Reference,
) -> Result<Reference, StepError> {
    if let Some(words) = unusable(issuer, &remembered) {
        let call = "ask how the order stands";
        let failure = Failure::new(FailureKind::Unexpected, call, words);
        return Err(StepError::Ca(failure));
    }
    let mut obtained = context.renewal().obtained.clone();
    obtained.ca_reference = Some(remembered.0.clone());
    context.store.keep(context.lease, &obtained).await?;
    Ok(remembered)
}

/// A certificate that is given up is ordered again the next day; where that surely costs money, an operator has to talk to the CA
/// instead. Elsewhere it may cost money, and `decision::on_another_order` lets it happen once.
fn in_view_of_money(error: StepError, is_paid: bool) -> StepError {
    match error {
        StepError::Ca(failure) if is_paid => StepError::Ca(Failure {
            kind: FailureKind::Unexpected,
            ..failure
        }),
        error => error,
    }
}

/// Judges what came, by its names, its purposes and the path above it, before anything is done with it.
async fn checked(
    context: &StepContext<'_>,
    reference: Reference,
    leaf: &Certificate,
    bag: &[Certificate],
    tolerated: &[AlternateName],
) -> Result<Outcome, StepError> {
    let ca = &context.renewal().ca;
    let chain_roots = chain_roots::to_compare(context.config, ca).await;
    let expected = Expected {
        tolerated,
        chain_roots: &chain_roots.map_err(StepError::Ca)?,
        ..Expected::new(
            context.csr()?.public_key,
            &context.wanted.request,
            context.now,
        )
    };
    let verdict = pki::check_issued(leaf, bag, &expected);
    if !verdict.problems.is_empty() {
        return Err(refused("check the issued certificate", &verdict.problems));
    }
    let events = remarks(context, &verdict);
    if !events.is_empty() {
        context
            .store
            .record_under(context.lease, &events, context.now)
            .await?;
    }
    let chain = verdict.chain.iter().map(Certificate::to_pem).collect();
    Ok(context.reached_with(Fact::CertificateChecked, |obtained| {
        obtained.ca_reference = Some(reference.0);
        obtained.leaf_pem = Some(leaf.to_pem());
        obtained.chain_pem = Some(chain);
        obtained.fingerprint = Some(leaf.fingerprint);
    }))
}

/// What is worth a look in a certificate that may be installed.
fn remarks(context: &StepContext<'_>, verdict: &Verdict) -> Vec<Event> {
    let mut events = Vec::new();
    if let Some(words) = &verdict.unverified {
        events.push(Event {
            detail: Some(words.clone()),
            ..context.event(EventKind::IssuerUnverified)
        });
    }
    if !verdict.tolerated.is_empty() {
        let names: Vec<String> = verdict.tolerated.iter().map(ToString::to_string).collect();
        let ca = &context.renewal().ca;
        events.push(Event {
            detail: Some(format!(
                "{ca} added {}, which was not asked for: this CA is known to do so",
                names.join(", ")
            )),
            ..context.event(EventKind::NameTolerated)
        });
    }
    events
}

/// What the renewal waits for: each reason is reported once.
fn kind_of_wait(needs_person: bool, waited: SignedDuration) -> WaitReason {
    match needs_person {
        true => WaitReason::Approval,
        false if waited >= OVERDUE => WaitReason::IssuanceOverdue,
        false => WaitReason::Issuance,
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

/// After this time an operator should find out why nothing is issued, though the CA does not ask for one.
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
    fn an_issuance_that_needs_no_operator_is_reported_after_a_day() {
        let almost = OVERDUE - SignedDuration::from_secs(1);
        assert_eq!(kind_of_wait(false, almost), WaitReason::Issuance);
        assert_eq!(kind_of_wait(false, OVERDUE), WaitReason::IssuanceOverdue);
        assert_eq!(kind_of_wait(true, OVERDUE), WaitReason::Approval);
    }
}
