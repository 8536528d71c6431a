//! Submitted: ask how the order stands; what was issued is checked before anything is done with it.

use jiff::SignedDuration;

use super::{Outcome, StepError, Work, obtained, refused};
use crate::ca::{Issuance, Reference};
use crate::pki::{self, Certificate, Expected};
use crate::renewal::state::{Fact, Step};

pub async fn take(work: &Work<'_>) -> Result<Outcome, StepError> {
    let issuer = work.issuer()?;
    let request = work.signing_request().await?;
    let reference = Reference(
        obtained(work.renewal().obtained.ca_reference.as_deref(), "reference")?.to_owned(),
    );
    match issuer
        .poll(&reference, &request)
        .await
        .map_err(StepError::Ca)?
    {
        Issuance::Pending {
            retry_after,
            waiting_for,
            needs_person,
        } => {
            let wait = retry_after.unwrap_or_else(|| patience(work));
            let words = format!("{} waits for {waiting_for}", work.renewal().ca);
            let kind = if needs_person { "approval" } else { "issuance" };
            Ok(work.wait(wait, kind, words))
        }
        Issuance::Issued { leaf, chain } => checked(work, &leaf, chain),
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

fn checked(
    work: &Work<'_>,
    leaf: &Certificate,
    chain: Vec<Certificate>,
) -> Result<Outcome, StepError> {
    work.acted(Step::PollIssuance);
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

/// A twentieth of the time that it has waited already, so that hours of waiting cost no more polls than minutes.
fn patience(work: &Work<'_>) -> SignedDuration {
    let waited = work.renewal().state_since.duration_until(work.now);
    (waited / 20).clamp(SHORTEST_PATIENCE, LONGEST_PATIENCE)
}

const SHORTEST_PATIENCE: SignedDuration = SignedDuration::from_secs(5);
const LONGEST_PATIENCE: SignedDuration = SignedDuration::from_hours(1);
