//! CsrGenerated: fetch the CSR and check that it is what was asked for.

use super::{Outcome, StepContext, StepError, obtained, refused, sealing};
use crate::firewall::Firewall;
use crate::pki::Csr;
use crate::renewal::state::{Fact, Step};
use crate::seal::SealError;

pub async fn take(context: &StepContext<'_>) -> Result<Outcome, StepError> {
    let exported = if context.renewal().obtained.sealed_key.is_some() {
        own(context)?
    } else {
        let mut session = context.firewall().await?;
        export(context, &mut *session).await?
    };
    context.acted(Step::ExportCsr).await;
    let csr = Csr::parse(&exported)
        .map_err(|error| refused("check the exported CSR", &[error.to_string()]))?;
    let differences = csr.differences(&context.wanted.request);
    if !differences.is_empty() {
        return Err(refused("check the exported CSR", &differences));
    }
    Ok(context.reached_with(Fact::CsrChecked, |obtained| {
        obtained.csr_pem = Some(csr.to_pem());
    }))
}

async fn export(
    context: &StepContext<'_>,
    session: &mut dyn Firewall,
) -> Result<Vec<u8>, StepError> {
    let exported = session.export_csr(&context.renewal().alias).await?;
    // The device has shown in which way it gives a request out.
    context.record_identity(session).await?;
    Ok(exported)
}

/// The request of a key that renewd made is here already. Whether the key still opens is found out now, while nothing is
/// ordered for it.
fn own(context: &StepContext<'_>) -> Result<Vec<u8>, StepError> {
    let csr = obtained(context.renewal().obtained.csr_pem.as_deref(), "CSR")?;
    match context.private_key() {
        Ok(_) => Ok(csr.as_bytes().to_vec()),
        Err(error @ SealError::NoKey { .. }) => Err(sealing("open a private key", &error)),
        Err(error @ SealError::Closed { .. }) => Err(StepError::Permanent(error.to_string())),
    }
}
