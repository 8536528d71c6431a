//! CsrGenerated: fetch the CSR and check that it is what was asked for.

use super::{Outcome, StepError, Work, closed, refused};
use crate::firewall::Firewall;
use crate::pki::Csr;
use crate::renewal::state::{Fact, Step};

pub async fn take(work: &Work<'_>) -> Result<Outcome, StepError> {
    let mut session = work.firewall().await?;
    let exported = export(work, session.as_mut()).await;
    let exported = closed(session, exported).await?;
    work.acted(Step::ExportCsr);
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
