//! Bound: prove by a handshake with every address that the new certificate is served.

use jiff::SignedDuration;

use super::endpoints::Previous;
use super::{Outcome, StepContext, StepError, obtained};
use crate::inventory::WaitReason;
use crate::pki::Fingerprint;
use crate::renewal::state::{Fact, Step};

pub async fn take(context: &StepContext<'_>) -> Result<Outcome, StepError> {
    let new = new_fingerprint(context)?;
    let previous = Previous::of(context)?;
    let proof = previous.proof(&context.results().await, &new);
    context.acted(Step::Verify).await;
    if proof.against.is_empty() {
        return Ok(Outcome::Proven(proof));
    }
    let words = proof.against.join("; ");
    let bound_for = context.renewal().state_since.duration_until(context.now);
    if bound_for < context.wanted.policy.verify_timeout || context.renewal().polls < FEWEST_PROBES {
        return Ok(Outcome::wait(
            PROBE_INTERVAL,
            WaitReason::Verification,
            words,
        ));
    }
    let obtained = |obtained: &mut crate::inventory::Obtained| {
        obtained.verification_failure = Some(words.clone());
    };
    let verification_failure = context.reached_with(Fact::NotProven, obtained);
    Ok(verification_failure.because(format!(
        "{words}; renewd goes back to what was bound before"
    )))
}

/// The fingerprint that has to be shown.
pub(super) fn new_fingerprint(context: &StepContext<'_>) -> Result<Fingerprint, StepError> {
    let fingerprint = context
        .renewal()
        .obtained
        .fingerprint
        .map(|fingerprint| fingerprint.to_string());
    obtained(fingerprint.as_deref(), "fingerprint")?
        .parse()
        .map_err(|error| StepError::Permanent(format!("the stored fingerprint: {error}")))
}

const PROBE_INTERVAL: SignedDuration = SignedDuration::from_secs(2);
/// After a long pause of the daemon the grace period is over before the first look; one look is not enough then.
pub(super) const FEWEST_PROBES: u32 = 3;
