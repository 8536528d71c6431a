//! CsrExported: order at the CA, once.
//!
//! The intent is stored before the order. Whatever is lost after that, the CA is asked whether it has the order
//! before another one is placed: at most one chargeable order per renewal.

use super::{Outcome, StepError, Work};
use crate::ca::Reference;
use crate::renewal::state::{Fact, Step};

pub async fn take(work: &Work<'_>) -> Result<Outcome, StepError> {
    let issuer = work.peers.issuer(&work.renewal().ca)?;
    let request = work.signing_request()?;
    // Only a positive "no" of the CA lets us order.
    if let Some(reference) = issuer.find(&request).await? {
        return Ok(ordered(work, reference));
    }
    work.intend(Step::Submit, &request.client_reference).await?;
    let reference = issuer.submit(&request).await?;
    work.acted(Step::Submit);
    Ok(ordered(work, reference))
}

fn ordered(work: &Work<'_>, reference: Reference) -> Outcome {
    work.reached_with(Fact::Ordered, |obtained| {
        obtained.ca_reference = Some(reference.0);
    })
}
