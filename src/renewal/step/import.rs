//! Issued: put the chain and the signed certificate on the firewall, unused; with its key, where renewd made that.

use super::{Outcome, StepError, Work, decision, refused, sealing};
use crate::event::{Event, EventKind};
use crate::failure::{Failure, FailureKind};
use crate::firewall::{Firewall, InstalledObject, ObjectKind};
use crate::pki::{Certificate, Fingerprint, KeyBundle};
use crate::renewal::state::{Fact, Step};
use crate::seal::SealError;

pub async fn take(work: &Work<'_>) -> Result<Outcome, StepError> {
    let leaf = work.valid_leaf()?;
    if work.csr()?.public_key != leaf.public_key {
        return Err(StepError::Hopeless(
            "the certificate's public key is not the one in the CSR".to_owned(),
        ));
    }
    decision::on_the_dates_of(work, &leaf)?;
    let chain = work.chain()?;
    let mut session = work.firewall().await?;
    look_then_import(work, &mut *session, &leaf, &chain).await
}

async fn look_then_import(
    work: &Work<'_>,
    session: &mut dyn Firewall,
    leaf: &Certificate,
    chain: &[Certificate],
) -> Result<Outcome, StepError> {
    match find(work, session).await?.map(|object| object.kind) {
        None if work.renewal().obtained.sealed_key.is_some() => {
            import_key_pair(work, session, leaf, chain).await?;
        }
        None => {
            let call = "look for the pending request";
            return Err(work.gone_from_device(session, call).await);
        }
        Some(ObjectKind::Certificate) => {}
        Some(ObjectKind::PendingRequest) => {
            work.intend(Step::Import, &work.renewal().alias).await?;
            import_chain(work, session, chain).await?;
            session.import_signed(&work.renewal().alias, leaf).await?;
            work.acted(Step::Import).await;
        }
    }
    confirm(work, session, leaf).await
}

async fn import_key_pair(
    work: &Work<'_>,
    session: &mut dyn Firewall,
    leaf: &Certificate,
    chain: &[Certificate],
) -> Result<(), StepError> {
    let key = match work.private_key() {
        Ok(Some(key)) => key,
        Err(error @ SealError::Closed { .. }) if work.renewal().attempts >= OPENINGS => {
            return Err(StepError::Hopeless(error.to_string()));
        }
        Err(error) => return Err(sealing("open a private key", &error)),
        Ok(None) => {
            return Err(StepError::Hopeless(
                "the store holds no private key".to_owned(),
            ));
        }
    };
    let bundle = KeyBundle {
        key,
        leaf: leaf.clone(),
        chain: chain.to_vec(),
    };
    work.intend(Step::Import, &work.renewal().alias).await?;
    // Whether a device takes the CAs out of the file is not known.
    import_chain(work, session, chain).await?;
    session
        .import_key_pair(&work.renewal().alias, &bundle)
        .await?;
    work.acted(Step::Import).await;
    Ok(())
}

/// An operator should know which CAs a firewall trusts because of renewd.
async fn import_chain(
    work: &Work<'_>,
    session: &mut dyn Firewall,
    chain: &[Certificate],
) -> Result<(), StepError> {
    if chain.is_empty() {
        return Ok(());
    }
    session.import_chain(&root_first(chain)).await?;
    let firewall = &work.renewal().firewall;
    let report = |one: &Certificate| Event {
        detail: Some(format!(
            "{} (SHA-256 {}, valid until {:.0}) was installed on {firewall} as a CA certificate",
            one.subject, one.fingerprint, one.not_after
        )),
        ..work.event(EventKind::CaCertificateInstalled)
    };
    let installed: Vec<(Fingerprint, Event)> = chain
        .iter()
        .map(|one| (one.fingerprint, report(one)))
        .collect();
    work.store
        .record_installed(work.lease, &installed, work.now)
        .await?;
    Ok(())
}

/// A device believes an intermediate only when it knows what is above it.
fn root_first(chain: &[Certificate]) -> Vec<Certificate> {
    chain.iter().rev().cloned().collect()
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
        let words = contradictions.join("; ");
        return Err(Failure::new(FailureKind::KeyMismatch, call, words).into());
    }
    Ok(work.reached(Fact::OnDevice))
}

async fn find(
    work: &Work<'_>,
    session: &mut dyn Firewall,
) -> Result<Option<InstalledObject>, StepError> {
    let objects = work.installed(session).await?;
    Ok(objects
        .into_iter()
        .find(|object| object.alias == work.renewal().alias))
}

/// How often a key that does not open is tried: a person is told each time, and has some days to put the former sealing
/// key back before another certificate is ordered.
const OPENINGS: u32 = 6;
