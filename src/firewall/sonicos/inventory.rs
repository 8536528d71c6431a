//! What is on the device: listings, and details where a listing leaves the kind open (SonicOS reference 3.2, 3.9).

use serde_json::Value;

use super::listing::{self, Row, RowKind};
use super::transport::Request;
use super::{Session, command, envelope, messages, named, quirks};
use crate::failure::{Failure, FailureKind};
use crate::firewall::InstalledObject;

/// Where a listing can come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// What was put on the device.
    Imported,
    /// Everything, on builds where the other one does not work.
    All,
    /// The command line.
    Command,
}

impl Source {
    fn name(self) -> &'static str {
        match self {
            Self::Imported => "imported",
            Self::All => "all",
            Self::Command => "cli",
        }
    }
}

impl Session {
    /// The listing of what was put on the device: the one that worked before, else by what the generation is known to
    /// have.
    pub(super) async fn rows(&mut self) -> Result<Vec<Row>, Failure> {
        let mut first_failure = None;
        for source in self.sources() {
            let listed = match source {
                Source::Imported => self.rows_of("/reporting/certificates/imported").await,
                Source::All => self.rows_of("/reporting/certificates").await,
                Source::Command => self.rows_by_command().await,
            };
            match listed {
                Ok(rows) => {
                    if source != Source::Imported {
                        self.note(quirks::LISTING, source.name().to_owned());
                    }
                    return Ok(rows);
                }
                Err(failure) if is_no_listing(&failure) => {
                    first_failure.get_or_insert(failure);
                }
                Err(failure) => return Err(failure),
            }
        }
        Err(first_failure.unwrap_or_else(|| {
            let detail = "no way to ask for it";
            Failure::new(FailureKind::Unexpected, "list the certificates", detail)
        }))
    }

    /// A row as an object; the detail is asked for only where the row leaves the kind open.
    pub(super) async fn object(&mut self, row: Row) -> Result<Option<InstalledObject>, Failure> {
        let (kind, detail) = match row.kind() {
            RowKind::Ca => return Ok(None),
            RowKind::Object(kind) => (kind, row.columns),
            RowKind::Unclear => {
                let detail = self.detail(&row.alias).await?;
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

    /// What the device says of one certificate.
    pub(super) async fn detail(&mut self, alias: &str) -> Result<Vec<(String, String)>, Failure> {
        if self.sources().first() != Some(&Source::Command) {
            let path = named("/reporting/certificates/name/", alias)?;
            return match self.writer.channel.ask_json(&Request::get(path)).await {
                Ok(json) => Ok(listing::columns(&json)),
                Err(failure) if super::is_refusal(&failure, messages::is_unknown_call) => {
                    self.detail_by_command(alias).await
                }
                Err(failure) => Err(failure),
            };
        }
        self.detail_by_command(alias).await
    }

    async fn detail_by_command(&mut self, alias: &str) -> Result<Vec<(String, String)>, Failure> {
        let line = format!("show certificate name {} status", command::word(alias)?);
        Ok(self.show(&line).await?.columns())
    }

    fn sources(&self) -> Vec<Source> {
        let mut sources = if self.generation.has_reporting() {
            vec![Source::Imported, Source::All, Source::Command]
        } else {
            vec![Source::Command, Source::Imported, Source::All]
        };
        let remembered = self.writer.quirks.learned_default(quirks::LISTING);
        // A stable sort: the remembered one comes first, the others keep their order.
        sources.sort_by_key(|source| Some(source.name()) != remembered);
        sources
    }

    async fn rows_of(&mut self, path: &str) -> Result<Vec<Row>, Failure> {
        let call = Request::get(path);
        let json = self.writer.channel.ask_json(&call).await?;
        listing::rows(&json).ok_or_else(|| not_a_listing(&call.name(), &json))
    }

    async fn rows_by_command(&mut self) -> Result<Vec<Row>, Failure> {
        let output = match self.show(LISTS[0]).await {
            Err(failure) if is_no_listing(&failure) => self.show(LISTS[1]).await?,
            outcome => outcome?,
        };
        output.rows().ok_or_else(|| match output {
            command::ShowOutput::Json(json) => not_a_listing(LISTS[0], &json),
            command::ShowOutput::Text(text) => not_a_listing(LISTS[0], &Value::String(text)),
        })
    }
}

fn not_a_listing(call: &str, said: &Value) -> Failure {
    let said = envelope::shortened(&said.to_string());
    let detail = format!("not a list of certificates: {said}");
    Failure::new(FailureKind::Unexpected, call, detail)
}

fn is_no_listing(failure: &Failure) -> bool {
    matches!(failure.kind, FailureKind::Refused | FailureKind::Unexpected)
}

/// The commands that list, the narrower first (SonicOS reference 3.2, 3.9).
const LISTS: [&str; 2] = [
    "show certificates status imported",
    "show certificates status",
];
