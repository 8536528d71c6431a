//! Bound: prove by a handshake with every address that the new certificate is served.

use jiff::SignedDuration;

use super::endpoints::Previous;
use super::{Outcome, StepError, Work, obtained};
use crate::inventory::WaitReason;
use crate::pki::Fingerprint;
use crate::renewal::state::{Fact, Step};

pub async fn take(work: &Work<'_>) -> Result<Outcome, StepError> {
    let new = new_fingerprint(work)?;
    let previous = Previous::of(work)?;
    let proof = previous.proof(&work.sights().await, &new);
    work.acted(Step::Verify).await;
    if proof.against.is_empty() {
        return Ok(Outcome::Proven(proof));
    }
    let words = proof.against.join("; ");
    let bound_for = work.renewal().state_since.duration_until(work.now);
    if bound_for < work.wanted.policy.verify_timeout || work.renewal().polls < FEWEST_LOOKS {
        return Ok(Outcome::wait(
            LOOK_INTERVAL,
            WaitReason::Verification,
            words,
        ));
    }
    let obtained = |obtained: &mut crate::inventory::Obtained| {
        obtained.verification_failure = Some(words.clone());
    };
    let verification_failure = work.reached_with(Fact::NotProven, obtained);
    Ok(verification_failure.because(format!(
        "{words}; renewd goes back to what was bound before"
    )))
}

/// The fingerprint that has to be shown.
pub(super) fn new_fingerprint(work: &Work<'_>) -> Result<Fingerprint, StepError> {
    let fingerprint = work
        .renewal()
        .obtained
        .fingerprint
        .map(|fingerprint| fingerprint.to_string());
    obtained(fingerprint.as_deref(), "fingerprint")?
        .parse()
        .map_err(|error| StepError::Hopeless(format!("the stored fingerprint: {error}")))
}

const LOOK_INTERVAL: SignedDuration = SignedDuration::from_secs(2);
/// After a long pause of the daemon the grace period is over before the first look; one look is not enough then.
pub(super) const FEWEST_LOOKS: u32 = 3;
