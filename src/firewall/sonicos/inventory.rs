//! What is on the device: listings, and details where a listing leaves the kind open (SonicOS reference 3.2).

use super::listing::{self, Row, RowKind};
use super::transport::Call;
use super::{Session, envelope, named};
use crate::failure::{Failure, FailureKind};
use crate::firewall::InstalledObject;

impl Session {
    /// The listing of what was put on the device, or, on builds where that does not work, of everything
    /// (SonicOS reference 3.2).
    pub(super) async fn rows(&mut self) -> Result<Vec<Row>, Failure> {
        match self.rows_of("/reporting/certificates/imported").await {
            Err(failure)
                if matches!(failure.kind, FailureKind::Refused | FailureKind::Unexpected) =>
            {
                self.note("listing", "all".to_owned());
                self.rows_of("/reporting/certificates").await
            }
            outcome => outcome,
        }
    }

    async fn rows_of(&mut self, path: &str) -> Result<Vec<Row>, Failure> {
        let call = Call::get(path);
        let json = self.writer.channel.ask_json(&call).await?;
        listing::rows(&json).ok_or_else(|| {
            let detail = format!(
                "not a list of certificates: {}",
                envelope::shortened(&json.to_string())
            );
            call.failure(FailureKind::Unexpected, detail)
        })
    }

    /// A row as an object; the detail is asked for only where the row leaves the kind open.
    pub(super) async fn object(&mut self, row: Row) -> Result<Option<InstalledObject>, Failure> {
        let (kind, detail) = match row.kind() {
            RowKind::Ca => return Ok(None),
            RowKind::Object(kind) => (kind, row.columns),
            RowKind::Unclear => {
                let path = named("/reporting/certificates/name/", &row.alias)?;
                let json = self.writer.channel.ask_json(&Call::get(path)).await?;
                let detail = listing::columns(&json);
                (
                    listing::kind_by_detail(&detail),
                    [row.columns, detail].concat(),
                )
            }
        };
        Ok(Some(InstalledObject {
            alias: row.alias,
            kind,
            detail,
        }))
    }
}
