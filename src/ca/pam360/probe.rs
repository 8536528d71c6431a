//! Read-only checks of a server: whether it can be used, and how its build answers undocumented calls (PAM360 reference
//! 7, 9).

use serde_json::{Value, json};

use super::envelope::{field, text};
use super::session::Session;
use super::settings::Signer;
use super::stored::{self, Address, Fetched};
use crate::ca::Exchange;
use crate::ca::http::Response;
use crate::failure::{Failure, FailureKind};
use crate::pki::Certificate;

/// Facts for an operator.
pub(super) async fn check(session: &Session<'_>) -> Result<Vec<(String, String)>, Failure> {
    let settings = session.settings;
    // That the list comes proves URL and token; to find a lost answer it is needed besides.
    let certificates = session.list_certificates().await?;
    let mut facts = vec![
        (
            "server",
            format!("{} at {}", settings.product.name(), settings.url),
        ),
        ("token", "accepted".to_owned()),
        (
            "organization",
            settings
                .organization
                .clone()
                .unwrap_or_else(|| "the API user's own".to_owned()),
        ),
        ("certificates", certificates.len().to_string()),
        ("signer", signer(session).await?),
        ("validity", format!("{} days", settings.validity_days)),
        ("CSR list", csr_list(session).await?),
    ];
    if let Some(path) = &settings.chain {
        let subjects: Vec<String> = super::chain(path)
            .await?
            .into_iter()
            .map(|certificate| certificate.subject)
            .collect();
        facts.push(("chain", subjects.join("; ")));
    }
    Ok(facts
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect())
}

/// The signing CA. A root of the product may be missing among the certificates of the API, so its absence is reported
/// and is no failure.
async fn signer(session: &Session<'_>) -> Result<String, Failure> {
    Ok(match &session.settings.signer {
        Signer::Root {
            common_name,
            serial_number,
        } => {
            let address = Address {
                common_name: common_name.clone(),
                serial_number: serial_number.clone(),
            };
            let state = match stored::fetch(session, &address).await? {
                Fetched::Here(found) => found
                    .first()
                    .map(|root| format!("valid until {:.0}", root.not_after))
                    .unwrap_or_default(),
                Fetched::NotYet => "not shown by getCertificate".to_owned(),
                Fetched::Missing(words) => format!("not shown by getCertificate: {words}"),
            };
            format!("the root {common_name} ({serial_number}), {state}")
        }
        Signer::Msca(ca) => format!(
            "{} on {} by the template {}",
            ca.name, ca.server, ca.template
        ),
        Signer::MscaUsingAgent { ca, agent, .. } => format!(
            "{} on {} by the template {} through the agent {agent}",
            ca.name, ca.server, ca.template
        ),
    })
}

async fn csr_list(session: &Session<'_>) -> Result<String, Failure> {
    Ok(match &session.settings.csr_list_operation {
        Some(operation) => {
            let rows = session.list(operation, "list the CSRs").await?;
            format!("{} by {operation}", rows.len())
        }
        None => "csr_list_operation is not set, so importCSR has to return the id".to_owned(),
    })
}

/// The calls whose answers a site must know about. Each answer is a finding, also a refusal; only a refused token ends it.
pub(super) async fn probe(session: &Session<'_>) -> Result<Vec<Exchange>, Failure> {
    let mut exchanges = Vec::new();
    let absent = json!({ "common_name": ABSENT, "serial_number": "0" });
    let answer = ask(session, "getCertificate", &absent, &mut exchanges).await?;
    if let Err(failure) = session.open(&answer, false)
        && failure.kind == FailureKind::Unauthorized
    {
        return Err(failure);
    }
    let list = ask(session, "getAllSSLCertificates", &json!({}), &mut exchanges).await?;
    if let Some(row) = rows(session, &list).first() {
        certificate(session, row, &mut exchanges).await?;
    }
    for operation in list_operations(session) {
        let list = ask(session, operation, &json!({}), &mut exchanges).await?;
        let rows = rows(session, &list);
        if let Some(id) = rows.iter().find_map(super::stored_csr::id_of) {
            let details = json!({ "CSR_ID": id, "fileType": "CSR" });
            ask(session, "exportCSR", &details, &mut exchanges).await?;
        }
    }
    Ok(exchanges)
}

/// Asks for a stored certificate in each way that clients are known to ask.
async fn certificate(
    session: &Session<'_>,
    row: &Value,
    exchanges: &mut Vec<Exchange>,
) -> Result<(), Failure> {
    let value = |name| field(row, name).and_then(text);
    let (Some(name), Some(serial)) = (value("Common Name"), value("serialNumber")) else {
        return Ok(());
    };
    let plain = json!({ "common_name": name, "serial_number": serial });
    let file = json!({ "common_name": name, "serial_number": serial, "fileType": "CER" });
    for (operation, details) in [
        ("getCertificate", &plain),
        ("getCertificate", &file),
        ("getCertificateDetails", &plain),
    ] {
        ask(session, operation, details, exchanges).await?;
    }
    Ok(())
}

async fn ask(
    session: &Session<'_>,
    operation: &str,
    details: &Value,
    exchanges: &mut Vec<Exchange>,
) -> Result<Response, Failure> {
    let answer = session.read(operation, details).await?;
    exchanges.push(Exchange {
        call: format!("GET {operation} {details}"),
        answer: display(&answer),
    });
    Ok(answer)
}

/// The operation that is configured, else what it may be called; none of these is in a public document.
fn list_operations<'a>(session: &Session<'a>) -> Vec<&'a str> {
    match &session.settings.csr_list_operation {
        Some(operation) => vec![operation],
        None => vec!["getCSRList", "getCSRs", "getAllCSR"],
    }
}

fn rows(session: &Session<'_>, answer: &Response) -> Vec<Value> {
    session
        .open(answer, false)
        .ok()
        .and_then(|envelope| envelope.details)
        .unwrap_or_default()
}

/// The answer as it came; a certificate in DER by what it is.
fn display(answer: &Response) -> String {
    let body = match Certificate::from_der(&answer.body) {
        Ok(certificate) => format!(
            "{} bytes of DER, the certificate {}",
            answer.body.len(),
            certificate.subject
        ),
        Err(_) => answer.excerpt(LONGEST_SHOWN),
    };
    format!("HTTP {}: {body}", answer.status)
}

/// No certificate has this name (RFC 2606, 2).
const ABSENT: &str = "renewd-probe.invalid";
/// Characters: enough for the rows of a list that show how it is made.
const LONGEST_SHOWN: usize = 4000;
