//! CsrGenerated: fetch the CSR and check that it is what was asked for.

use super::{Outcome, StepError, Work, obtained, refused, sealing};
use crate::firewall::Firewall;
use crate::pki::Csr;
use crate::renewal::state::{Fact, Step};
use crate::seal::SealError;

pub async fn take(work: &Work<'_>) -> Result<Outcome, StepError> {
    let exported = if work.renewal().obtained.sealed_key.is_some() {
        own(work)?
    } else {
        let mut session = work.firewall().await?;
        export(work, &mut *session).await?
    };
    work.acted(Step::ExportCsr).await;
    let csr = Csr::parse(&exported)
        .map_err(|error| refused("check the exported CSR", &[error.to_string()]))?;
    let differences = csr.differences(&work.wanted.request);
    if !differences.is_empty() {
        return Err(refused("check the exported CSR", &differences));
    }
    Ok(work.reached_with(Fact::CsrChecked, |obtained| {
        obtained.csr_pem = Some(csr.to_pem());
    }))
}

async fn export(work: &Work<'_>, session: &mut dyn Firewall) -> Result<Vec<u8>, StepError> {
    let exported = session.export_csr(&work.renewal().alias).await?;
    // The device has shown in which way it gives a request out.
    work.record_identity(session).await?;
    Ok(exported)
}

/// The request of a key that renewd made is here already. Whether the key still opens is found out now, while nothing is
/// ordered for it.
fn own(work: &Work<'_>) -> Result<Vec<u8>, StepError> {
    let csr = obtained(work.renewal().obtained.csr_pem.as_deref(), "CSR")?;
    match work.private_key() {
        Ok(_) => Ok(csr.as_bytes().to_vec()),
        Err(error @ SealError::NoKey { .. }) => Err(sealing("open a private key", &error)),
        Err(error @ SealError::Closed { .. }) => Err(StepError::Hopeless(error.to_string())),
    }
}
