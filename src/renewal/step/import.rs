//! Issued: put the chain and the signed certificate on the firewall, unused; with its key, where renewd made that.

use super::{Outcome, StepContext, StepError, decision, refused, sealing};
use crate::event::{Event, EventKind};
use crate::failure::{Failure, FailureKind};
use crate::firewall::{Firewall, InstalledObject, ObjectKind};
use crate::pki::{Certificate, Fingerprint, KeyBundle};
use crate::renewal::state::{Fact, Step};
use crate::seal::SealError;

pub async fn take(context: &StepContext<'_>) -> Result<Outcome, StepError> {
    let leaf = context.valid_leaf()?;
    if context.csr()?.public_key != leaf.public_key {
        return Err(StepError::Permanent(
            "the certificate's public key is not the one in the CSR".to_owned(),
        ));
    }
    decision::on_the_dates_of(context, &leaf)?;
    let chain = context.chain()?;
    let mut session = context.firewall().await?;
    check_then_import(context, &mut *session, &leaf, &chain).await
}

async fn check_then_import(
    context: &StepContext<'_>,
    session: &mut dyn Firewall,
    leaf: &Certificate,
    chain: &[Certificate],
) -> Result<Outcome, StepError> {
    match find(context, session).await?.map(|object| object.kind) {
        None if context.renewal().obtained.sealed_key.is_some() => {
            import_key_pair(context, session, leaf, chain).await?;
        }
        None => {
            let call = "look for the pending request";
            return Err(context.gone_from_device(session, call).await);
        }
        Some(ObjectKind::Certificate) => {}
        Some(ObjectKind::PendingRequest) => {
            context
                .intend(Step::Import, &context.renewal().alias)
                .await?;
            import_chain(context, session, chain).await?;
            session
                .import_signed(&context.renewal().alias, leaf)
                .await?;
            context.acted(Step::Import).await;
        }
    }
    confirm(context, session, leaf).await
}

async fn import_key_pair(
    context: &StepContext<'_>,
    session: &mut dyn Firewall,
    leaf: &Certificate,
    chain: &[Certificate],
) -> Result<(), StepError> {
    let key = match context.private_key() {
        Ok(Some(key)) => key,
        Err(error @ SealError::Closed { .. }) if context.renewal().attempts >= OPENINGS => {
            return Err(StepError::Permanent(error.to_string()));
        }
        Err(error) => return Err(sealing("open a private key", &error)),
        Ok(None) => {
            return Err(StepError::Permanent(
                "the store holds no private key".to_owned(),
            ));
        }
    };
    let bundle = KeyBundle {
        key,
        leaf: leaf.clone(),
        chain: chain.to_vec(),
    };
    context
        .intend(Step::Import, &context.renewal().alias)
        .await?;
    // Whether a device takes the CAs out of the file is not known.
    import_chain(context, session, chain).await?;
    session
        .import_key_pair(&context.renewal().alias, &bundle)
        .await?;
    context.acted(Step::Import).await;
    Ok(())
}

/// An operator should know which CAs a firewall trusts because of renewd.
async fn import_chain(
    context: &StepContext<'_>,
    session: &mut dyn Firewall,
    chain: &[Certificate],
) -> Result<(), StepError> {
    if chain.is_empty() {
        return Ok(());
    }
    session.import_chain(&root_first(chain)).await?;
    let firewall = &context.renewal().firewall;
    let report = |one: &Certificate| Event {
        detail: Some(format!(
            "{} (SHA-256 {}, valid until {:.0}) was installed on {firewall} as a CA certificate",
            one.subject, one.fingerprint, one.not_after
        )),
        ..context.event(EventKind::CaCertificateInstalled)
    };
    let installed: Vec<(Fingerprint, Event)> = chain
        .iter()
        .map(|one| (one.fingerprint, report(one)))
        .collect();
    context
        .store
        .record_installed(context.lease, &installed, context.now)
        .await?;
    Ok(())
}

/// A device believes an intermediate only when it knows what is above it.
fn root_first(chain: &[Certificate]) -> Vec<Certificate> {
    chain.iter().rev().cloned().collect()
}

/// Believes the device only when it lists the certificate, and as the one that was sent.
async fn confirm(
    context: &StepContext<'_>,
    session: &mut dyn Firewall,
    leaf: &Certificate,
) -> Result<Outcome, StepError> {
    let call = "confirm the import";
    let object = find(context, session).await?;
    if object.is_none_or(|object| object.kind != ObjectKind::Certificate) {
        return Err(refused(
            call,
            &["the firewall reported success, but does not list the certificate".to_owned()],
        ));
    }
    // Only now the device has shown what it needs.
    context.record_identity(session).await?;
    let mismatches = session.mismatches(&context.renewal().alias, leaf).await?;
    if !mismatches.is_empty() {
        let words = mismatches.join("; ");
        return Err(Failure::new(FailureKind::KeyMismatch, call, words).into());
    }
    Ok(context.reached(Fact::OnDevice))
}

async fn find(
    context: &StepContext<'_>,
    session: &mut dyn Firewall,
) -> Result<Option<InstalledObject>, StepError> {
    let objects = context.installed(session).await?;
    Ok(objects
        .into_iter()
        .find(|object| object.alias == context.renewal().alias))
}

/// How often a key that does not open is tried: an operator is alerted each time, and has some days to put the former sealing
/// key back before another certificate is ordered.
const OPENINGS: u32 = 6;
