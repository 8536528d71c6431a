//! A certificate request: placed, found again, followed to its end (TLS Protect Cloud reference 4.3 to 7).

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use data_encoding::HEXUPPER;
use serde_json::{Value, json};

use super::VenafiCa;
use super::api::Session;
use super::target::{Ids, path};
use super::wire::{CertificateRequest, CertificateRequests, Certificates, Record};
use crate::ca::{Issuance, Reference, SigningRequest};
use crate::failure::{Failure, FailureKind};
use crate::pki::Certificate;

impl Session<'_> {
    /// The request as it is placed.
    pub async fn order(&self, ca: &VenafiCa, request: &SigningRequest) -> Result<Value, Failure> {
        let ids = self.ids(&ca.settings).await?;
        let previous = match &request.previous {
            Some(previous) => self.renewable(&previous.certificate).await?,
            None => None,
        };
        Ok(body(ca, request, &ids, previous.as_deref()))
    }

    /// Places the request. Nothing at the service recognises a repetition.
    pub async fn place(&self, body: &Value) -> Result<Reference, Failure> {
        let path = path(&["certificaterequests"]);
        let placed: CertificateRequests = self.change(&path, body).await?;
        match placed.certificate_requests.as_slice() {
            [placed] if !placed.id.is_empty() => Ok(Reference(placed.id.clone())),
            placed => Err(Failure::new(
                FailureKind::OutcomeUnknown,
                "POST /outagedetection/v1/certificaterequests",
                format!("{} requests came back where one was placed", placed.len()),
            )),
        }
    }

    /// The state of the request. Fetches the certificate if there is one.
    pub async fn standing(
        &self,
        ca: &VenafiCa,
        order: &Reference,
        request: &SigningRequest,
    ) -> Result<Issuance, Failure> {
        let standing: CertificateRequest =
            self.get(&path(&["certificaterequests", &order.0])).await?;
        Ok(match &*standing.status {
            "ISSUED" => {
                let issuance = self.fetch(&standing.certificate_ids, request).await?;
                if ca.settings.include_root {
                    issuance
                } else {
                    without_root(issuance)
                }
            }
            "NEW" | "PENDING" | "REQUESTED" => pending(format!("the CA ({})", standing.status)),
            "PENDING_APPROVAL" | "PENDING_FINAL_APPROVAL" => Issuance::Pending {
                retry_after: None,
                waiting_for: format!("approval in TLS Protect Cloud ({})", standing.status),
                needs_person: true,
            },
            "REJECTED_APPROVAL" | "REJECTED" | "CANCELLED" | "FAILED" | "REVOKED" | "DELETED" => {
                Issuance::Refused {
                    reason: refusal(&standing),
                }
            }
            status => {
                tracing::warn!(
                    status,
                    order = order.0,
                    "a status that renewd does not know"
                );
                pending(format!(
                    "the end of the status {status:?}, which renewd does not know"
                ))
            }
        })
    }

    /// The certificate and what is above it. The first id is the leaf's, but no contract says so.
    async fn fetch(&self, ids: &[String], request: &SigningRequest) -> Result<Issuance, Failure> {
        let mut first = None;
        for id in ids {
            let path = path(&["certificates", id, "contents"]);
            let query = [("chainOrder", "EE_FIRST"), ("format", "PEM")];
            let answer = self.get_raw(&path, &query).await?;
            // Issued and readable are two moments.
            if matches!(answer.status, 404 | 409 | 500) {
                return Ok(pending(format!(
                    "the certificate's text (HTTP {})",
                    answer.status
                )));
            }
            self.accepted(&answer, false)?;
            let certificates = Certificate::all_from_pem(&String::from_utf8_lossy(&answer.body))
                .map_err(|error| answer.failure(FailureKind::Unexpected, error))?;
            if certificates.is_empty() {
                let words = format!("no certificate came: {}", answer.evidence());
                return Err(answer.failure(FailureKind::Unexpected, words));
            }
            if let Some(issued) = with_key_of(request, &certificates) {
                return Ok(issued);
            }
            first.get_or_insert(certificates);
        }
        // Not our key: as it is, for the engine to refuse.
        Ok(first
            .and_then(|certificates| {
                let leaf = certificates.iter().position(|one| !one.is_ca);
                split(certificates, leaf.unwrap_or(0))
            })
            .unwrap_or_else(|| pending("the certificate's id".to_owned())))
    }

    /// The inventory's id of `certificate`, if it can be renewed: only the current version can.
    async fn renewable(&self, certificate: &Certificate) -> Result<Option<String>, Failure> {
        match self.records(certificate).await {
            Ok(records) => Ok(records
                .into_iter()
                .find(|record| {
                    record.version_type == "CURRENT" && record.certificate_status == "ACTIVE"
                })
                .map(|record| record.id)),
            // A renewal that is not marked as one is still a certificate.
            Err(failure) if failure.kind == FailureKind::Refused => {
                tracing::warn!(error = %failure, "the certificate to renew could not be looked up");
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Takes `certificate` out of the inventory, if it is in there and active.
    pub async fn decommission(&self, certificate: &Certificate) -> Result<(), Failure> {
        let ids: Vec<String> = self
            .records(certificate)
            .await?
            .into_iter()
            .filter(|record| record.certificate_status == "ACTIVE")
            .map(|record| record.id)
            .collect();
        if ids.is_empty() {
            return Ok(());
        }
        let path = path(&["certificates", "retirement"]);
        self.change::<Value>(&path, &json!({ "certificateIds": ids }))
            .await
            .map(drop)
    }

    async fn records(&self, certificate: &Certificate) -> Result<Vec<Record>, Failure> {
        let fingerprint =
            HEXUPPER.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &certificate.der).as_ref());
        let body = json!({
            "expression": { "operands": [
                { "field": "fingerprint", "operator": "MATCH", "value": fingerprint },
            ] },
            "ordering": { "orders": [{ "direction": "DESC", "field": "validityEnd" }] },
            "paging": { "pageNumber": 0, "pageSize": 50 },
        });
        let (found, _): (Certificates, _) =
            self.search(&path(&["certificatesearch"]), &body).await?;
        let mut records = found.certificates;
        records.retain(|record| record.fingerprint.eq_ignore_ascii_case(&fingerprint));
        Ok(records)
    }
}

fn body(ca: &VenafiCa, request: &SigningRequest, ids: &Ids, previous: Option<&str>) -> Value {
    let mut body = json!({
        "certificateSigningRequest": request.csr.to_pem(),
        "applicationId": ids.application,
        "certificateIssuingTemplateId": ids.template,
        "isVaaSGenerated": false,
        "reuseCSR": false,
        "apiClientInformation": { "type": PRODUCT, "identifier": request.client_reference },
        // The one free text that leads back to us (TLS Protect Cloud reference 4.3).
        "certificateUsageMetadata": [{ "appName": PRODUCT, "nodeName": request.client_reference }],
    });
    if let Some(days) = ca.settings.validity_days {
        // Some CAs behind the service ignore a validity in hours.
        body["validityPeriod"] = json!(format!("P{days}D"));
    }
    if let Some(tags) = &ca.settings.tags {
        body["tags"] = json!(tags);
    }
    if let Some(previous) = previous {
        body["existingCertificateId"] = json!(previous);
    }
    body
}

/// The certificate among `certificates` that carries the key of the CSR.
fn with_key_of(request: &SigningRequest, certificates: &[Certificate]) -> Option<Issuance> {
    let place = certificates
        .iter()
        .position(|certificate| certificate.public_key == request.csr.public_key)?;
    split(certificates.to_vec(), place)
}

/// The one at `place` and the others.
fn split(mut certificates: Vec<Certificate>, place: usize) -> Option<Issuance> {
    if place >= certificates.len() {
        return None;
    }
    let leaf = Box::new(certificates.remove(place));
    Some(Issuance::Issued {
        leaf,
        chain: certificates,
    })
}

/// Removes the root from the chain: a client that trusts a root has it already.
fn without_root(mut issuance: Issuance) -> Issuance {
    if let Issuance::Issued { chain, .. } = &mut issuance {
        chain.retain(|certificate| !certificate.is_self_signed());
    }
    issuance
}

fn pending(waiting_for: String) -> Issuance {
    Issuance::Pending {
        retry_after: None,
        waiting_for,
        needs_person: false,
    }
}

/// The service's own words, behind the status.
fn refusal(standing: &CertificateRequest) -> String {
    match &standing.error_information {
        Some(error) => format!("{}: {error}", standing.status),
        None if standing.status == "REJECTED_APPROVAL" => {
            "REJECTED_APPROVAL: an approver rejected the request, or the approval timed out"
                .to_owned()
        }
        None => standing.status.clone(),
    }
}

const PRODUCT: &str = "renewd";
