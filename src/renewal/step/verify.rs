//! Bound: prove by a handshake with every address that the new certificate is served.

use jiff::SignedDuration;

use super::{Outcome, StepError, Work, obtained};
use crate::pki::Fingerprint;
use crate::probe::Verdict;
use crate::renewal::state::{Fact, Step};

pub async fn take(work: &Work<'_>) -> Result<Outcome, StepError> {
    let new = new_fingerprint(work)?;
    let verdicts = work
        .verdicts(&new, work.renewal().obtained.previous_fingerprint.as_ref())
        .await;
    work.acted(Step::Verify).await;
    let doubts = doubts(&verdicts);
    if doubts.is_empty() {
        return Ok(work.reached(Fact::Proven));
    }
    let bound_for = work.renewal().state_since.duration_until(work.now);
    if bound_for < work.wanted.policy.proof_grace || work.renewal().attempts < FEWEST_LOOKS {
        return Ok(Outcome::wait(LOOK_INTERVAL, "proof", doubts.join("; ")));
    }
    Ok(work.reached(Fact::NotProven))
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

/// What speaks against the proof, an address at a time; empty: proven.
pub(super) fn doubts(verdicts: &[(String, Verdict)]) -> Vec<String> {
    verdicts
        .iter()
        .filter_map(|(place, verdict)| match verdict {
            Verdict::New => None,
            Verdict::OldStillServed => Some(format!("{place} still shows the old certificate")),
            Verdict::Other(other) => Some(format!(
                "{place} shows another certificate ({})",
                other.short()
            )),
            Verdict::Unreachable(why) => Some(format!("{place} shows none: {why}")),
        })
        .collect()
}

const LOOK_INTERVAL: SignedDuration = SignedDuration::from_secs(2);
/// After a long pause of the daemon the grace period is over before the first look; one look is not enough then.
const FEWEST_LOOKS: u32 = 3;
