//! Issued: put the chain and the signed certificate on the firewall, unused.

use super::{Outcome, StepError, Work, closed, refused};
use crate::firewall::{Firewall, InstalledObject, ObjectKind};
use crate::pki::Certificate;
use crate::renewal::state::{Fact, Step};

pub async fn take(work: &Work<'_>) -> Result<Outcome, StepError> {
    let leaf = work.leaf()?;
    if work.csr()?.public_key != leaf.public_key {
        return Err(StepError::Hopeless(
            "the certificate's public key is not the one in the CSR".to_owned(),
        ));
    }
    let mut chain = work.chain()?;
    // A device believes an intermediate only when it knows what is above it.
    chain.reverse();
    let mut session = work.firewall().await?;
    let result = look_then_import(work, session.as_mut(), &leaf, &chain).await;
    closed(session, result).await
}

async fn look_then_import(
    work: &Work<'_>,
    session: &mut dyn Firewall,
    leaf: &Certificate,
    chain: &[Certificate],
) -> Result<Outcome, StepError> {
    match find(work, session).await?.map(|object| object.kind) {
        None => {
            let gone = format!(
                "{} is no longer on the firewall, and its key with it",
                work.renewal().alias
            );
            if work.renewal().attempts >= LISTINGS {
                return Err(StepError::Hopeless(gone));
            }
            return Err(refused("look for the pending request", &[gone]));
        }
        Some(ObjectKind::Certificate) => {}
        Some(ObjectKind::PendingRequest) => {
            work.intend(Step::Import, &work.renewal().alias).await?;
            session.import_chain(chain).await?;
            session.import_signed(&work.renewal().alias, leaf).await?;
            work.acted(Step::Import);
        }
    }
    confirm(work, session, leaf).await
}

/// Believes the device only when it lists the certificate, and as the one that was sent.
async fn confirm(
    work: &Work<'_>,
    session: &mut dyn Firewall,
    leaf: &Certificate,
) -> Result<Outcome, StepError> {
    let call = "confirm the import";
    let object = find(work, session).await?;
    if object.is_none_or(|object| object.kind != ObjectKind::Certificate) {
        return Err(refused(
            call,
            &["the firewall said yes, but lists no certificate under the alias".to_owned()],
        ));
    }
    // Only now the device has shown what it needs.
    work.record_identity(session).await?;
    let contradictions = session.contradictions(&work.renewal().alias, leaf).await?;
    if !contradictions.is_empty() {
        return Err(refused(call, &contradictions));
    }
    Ok(work.reached(Fact::OnDevice))
}

async fn find(
    work: &Work<'_>,
    session: &mut dyn Firewall,
) -> Result<Option<InstalledObject>, StepError> {
    let objects = session.installed().await?;
    Ok(objects
        .into_iter()
        .find(|object| object.alias == work.renewal().alias))
}

/// One listing may be wrong; after this many, minutes apart, the key pair is believed to be gone, and only a new one
/// with a new order helps.
const LISTINGS: u32 = 2;
