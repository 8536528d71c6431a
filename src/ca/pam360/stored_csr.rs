//! The CSRs that the server stores: the import of ours, and the id under which it can be signed (PAM360 reference 3.1).
//! No public document says how to find that id, so each way is tried and its result verified: a CSR is signed only
//! after the server has returned it and it is ours, byte by byte.

use serde_json::Value;

use super::content;
use super::envelope::{Verdict, field, text};
use super::session::Session;
use crate::ca::SigningRequest;
use crate::ca::http::Response;
use crate::failure::{Failure, FailureKind};
use crate::pki::Csr;

/// Puts the CSR of `request` there; its id.
pub(super) async fn store(
    session: &Session<'_>,
    request: &SigningRequest,
) -> Result<String, Failure> {
    let csr = &request.csr;
    let (answer, envelope) = session.import_csr(csr, &request.client_reference).await?;
    let mut display = None;
    if let Some(id) = id_anywhere(&envelope.whole) {
        match export(session, &id, csr).await? {
            Exported::Ours => return Ok(id),
            Exported::Not(words) => display = Some(words),
        }
    }
    // It may have been there before and not been listed yet, which some builds refuse.
    if let Some(id) = listed(session, csr).await? {
        return Ok(id);
    }
    envelope.done(&answer, "take the CSR")?;
    Err(unknown(session, &answer, display))
}

/// The CSR is stored, but its id is unknown.
fn unknown(session: &Session<'_>, answer: &Response, display: Option<String>) -> Failure {
    let display = display.map_or_else(
        || {
            format!(
                "the answer to importCSR contains no CSR_ID ({})",
                answer.evidence()
            )
        },
        |words| {
            format!(
                "exportCSR does not show our CSR under the CSR_ID that importCSR returned ({words})"
            )
        },
    );
    match &session.settings.csr_list_operation {
        None => answer.failure(
            FailureKind::Local,
            format!("{display}: set `csr_list_operation`, for which `renewd ca probe` tries the likely names"),
        ),
        Some(operation) => answer.failure(
            FailureKind::Unexpected,
            format!("{display}, and {operation} lists none that exportCSR shows to be ours"),
        ),
    }
}

/// Our CSR in the server's list, if the site knows how to ask for it. There may be two of it: either serves.
pub(super) async fn listed(session: &Session<'_>, csr: &Csr) -> Result<Option<String>, Failure> {
    let Some(operation) = &session.settings.csr_list_operation else {
        return Ok(None);
    };
    let rows = session.list(operation, "list the CSRs").await?;
    for id in candidates(&rows, csr) {
        if matches!(export(session, &id, csr).await?, Exported::Ours) {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// What exportCSR shows.
enum Exported {
    /// Our CSR, byte by byte.
    Ours,
    /// Another one, or none; in words.
    Not(String),
}

async fn export(session: &Session<'_>, id: &str, csr: &Csr) -> Result<Exported, Failure> {
    let answer = session.export_csr(id).await?;
    if answer.status < 300 && content::holds(&answer.body, csr) {
        return Ok(Exported::Ours);
    }
    let is_file = answer.status < 300 && answer.body.trim_ascii_start().first() != Some(&b'{');
    if is_file && !answer.is_html() {
        return Ok(Exported::Not("it shows another".to_owned()));
    }
    // A refused token or a breakdown is no "no".
    let envelope = session.open(&answer, false)?;
    Ok(Exported::Not(match envelope.verdict {
        Verdict::Declined => envelope.words(&answer),
        Verdict::Done | Verdict::Silent => "it shows another".to_owned(),
    }))
}

/// The ids of the rows that may be ours, the highest first: ours is among the newest.
pub(super) fn candidates(rows: &[Value], csr: &Csr) -> Vec<String> {
    let is_namesake = |row: &&Value| match field(row, "commonName").and_then(text) {
        Some(name) => csr
            .common_name()
            .is_some_and(|ours| ours.eq_ignore_ascii_case(&name)),
        None => true,
    };
    let mut ids: Vec<String> = rows.iter().filter(is_namesake).filter_map(id_of).collect();
    ids.sort_by_key(|id| std::cmp::Reverse((id.len(), id.clone())));
    ids.truncate(MOST_EXPORTS);
    ids
}

/// The id that `object` itself holds.
pub(super) fn id_of(object: &Value) -> Option<String> {
    ID_NAMES
        .iter()
        .find_map(|name| field(object, name).and_then(text))
}

/// The id anywhere in `value`.
fn id_anywhere(value: &Value) -> Option<String> {
    match value {
        Value::Object(fields) => id_of(value).or_else(|| fields.values().find_map(id_anywhere)),
        Value::Array(values) => values.iter().find_map(id_anywhere),
        _ => None,
    }
}

/// As documents and clients call it, the surest first; compared without case and separators.
const ID_NAMES: [&str; 3] = ["CSR_ID", "certificateRequestId", "id"];
/// Exports for one read of the list. Our CSR is among the newest of its name.
const MOST_EXPORTS: usize = 20;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use rcgen::KeyPair;
    use serde_json::json;

    use super::*;
    use crate::pki::testing::{csr, csr_params};

    #[test]
    fn an_id_is_found_wherever_it_stands_and_however_it_is_spelled() {
        for (answer, id) in [
            (json!({"details": [{"csrId": 303}]}), Some("303")),
            (json!({"id": "1", "CSR_ID": "2"}), Some("2")),
            (
                json!({"operation": {"Details": {"certificateRequestId": "7"}}}),
                Some("7"),
            ),
            (
                json!({"result": {"message": "CSR demo imported", "status": "Success"}}),
                None,
            ),
        ] {
            assert_eq!(id_anywhere(&answer).as_deref(), id, "{answer}");
        }
    }

    #[test]
    fn namesakes_are_candidates_the_newest_first() {
        let csr = csr(&csr_params(), &KeyPair::generate().unwrap());
        let rows = [
            json!({"CSR_ID": "99", "commonName": "vpn.example.com"}),
            json!({"CSR_ID": "101", "Common Name": "VPN.example.com"}),
            json!({"CSR_ID": "102", "commonName": "www.example.com"}),
            json!({"CSR_ID": 100}),
            json!({"commonName": "vpn.example.com"}),
        ];
        assert_eq!(candidates(&rows, &csr), ["101", "100", "99"]);
    }
}
