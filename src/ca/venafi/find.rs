//! Whether the service has a request of ours: the way back after a lost answer (TLS Protect Cloud reference 7).
//!
//! A search does not show CSRs, so every hit is read by itself, once: the CSR of a request never changes. The
//! answer is "no" only when every page and every hit was read.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::VenafiCa;
use super::api::{Session, read};
use super::target::{Ids, path};
use super::wire::{CertificateRequest, CertificateRequests};
use crate::ca::{Reference, SigningRequest};
use crate::failure::{Failure, FailureKind};
use crate::pki::Fingerprint;

/// What requests that were looked at before had asked for, by their ids.
#[derive(Debug, Default)]
pub(super) struct RequestCache(Mutex<HashMap<String, Content>>);

/// What a request asked for.
#[derive(Debug, Clone)]
struct Content {
    /// Of the CSR's text without its frame; `None`: it had none.
    csr: Option<Fingerprint>,
    nodes: Vec<String>,
}

impl Session<'_> {
    /// The request that carries the CSR or the reference of `request`; of several the one that went furthest.
    pub async fn existing(
        &self,
        ca: &VenafiCa,
        request: &SigningRequest,
    ) -> Result<Option<Reference>, Failure> {
        let ids = self.ids(&ca.settings).await?;
        let mut ours = Vec::new();
        for hit in self.hits_since(ca, &ids, request.planned_at).await? {
            if self
                .content(&ca.seen, &hit)
                .await?
                .is_some_and(|content| content.is_of(request))
            {
                ours.push(hit);
            }
        }
        ours.sort_by_key(|hit| rank(&hit.status));
        Ok(ours.into_iter().next().map(|hit| Reference(hit.id)))
    }

    /// Every request to this application and template since shortly before `since` by our clock. The service goes by its
    /// own: where ours is ahead, or was when `since` was noted, every request there is.
    async fn hits_since(
        &self,
        ca: &VenafiCa,
        ids: &Ids,
        since: Timestamp,
    ) -> Result<Vec<CertificateRequest>, Failure> {
        let latest = |theirs: Timestamp| theirs.saturating_add(SLACK).unwrap_or(theirs);
        if since <= latest(ca.now()) {
            let (hits, theirs) = self.hits(ids, since).await?;
            if theirs.is_none_or(|theirs| ca.now() <= latest(theirs)) {
                return Ok(hits);
            }
        }
        Ok(self.hits(ids, Timestamp::UNIX_EPOCH).await?.0)
    }

    /// Every request since shortly before `since`, and the time of the service.
    async fn hits(
        &self,
        ids: &Ids,
        since: Timestamp,
    ) -> Result<(Vec<CertificateRequest>, Option<Timestamp>), Failure> {
        let mut known = HashSet::new();
        let mut hits: Vec<CertificateRequest> = Vec::new();
        for page in 0..MOST_PAGES {
            let body = search(ids, since, page);
            let (found, theirs): (CertificateRequests, _) = self
                .search(&path(&["certificaterequestssearch"]), &body)
                .await?;
            let came = found.certificate_requests.len();
            let new = found.certificate_requests.into_iter();
            hits.extend(new.filter(|hit| known.insert(hit.id.clone())));
            let is_whole = match found.num_found {
                Some(expected) => hits.len() >= expected,
                None => came < PAGE_SIZE,
            };
            if is_whole {
                return Ok((hits, theirs));
            }
            if came == 0 {
                break;
            }
        }
        Err(doubt("the list of requests could not be read to its end"))
    }

    async fn content(
        &self,
        seen: &RequestCache,
        hit: &CertificateRequest,
    ) -> Result<Option<Content>, Failure> {
        if let Some(content) = seen.of(&hit.id) {
            return Ok(Some(content));
        }
        let path = path(&["certificaterequests", &hit.id]);
        let answer = self.get_raw(&path, &[]).await?;
        if answer.status == 404 {
            return if hit.status == "DELETED" {
                Ok(None)
            } else {
                Err(doubt("a request that the search shows cannot be read"))
            };
        }
        self.accepted(&answer, false)?;
        let content = Content::of(&read(&answer)?);
        seen.keep(&hit.id, &content);
        Ok(Some(content))
    }
}

impl Content {
    fn of(request: &CertificateRequest) -> Self {
        let csr = request.certificate_signing_request.as_deref();
        let nodes = request.certificate_usage_metadata.iter();
        Self {
            csr: csr.map(|text| Fingerprint::of(unframed(text).as_bytes())),
            nodes: nodes.filter_map(|usage| usage.node_name.clone()).collect(),
        }
    }

    fn is_of(&self, request: &SigningRequest) -> bool {
        let csr = Fingerprint::of(unframed(&request.csr.to_pem()).as_bytes());
        self.csr == Some(csr) || self.nodes.contains(&request.client_reference)
    }
}

impl RequestCache {
    fn of(&self, id: &str) -> Option<Content> {
        self.lock(|seen| seen.get(id).cloned())
    }

    fn keep(&self, id: &str, content: &Content) {
        self.lock(|seen| {
            if seen.len() >= MOST_SEEN {
                seen.clear();
            }
            seen.insert(id.to_owned(), content.clone());
        });
    }

    fn lock<T>(&self, work: impl FnOnce(&mut HashMap<String, Content>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn search(ids: &Ids, since: Timestamp, page: usize) -> Value {
    let since = since.saturating_sub(SLACK).unwrap_or(since);
    json!({
        "expression": { "operator": "AND", "operands": [
            { "field": "applicationId", "operator": "IN", "value": [ids.application] },
            { "field": "certificateIssuingTemplateId", "operator": "MATCH", "value": ids.template },
            { "field": "creationDate", "operator": "GTE", "value": format!("{since:.3}") },
        ] },
        "ordering": { "orders": [{ "direction": "DESC", "field": "creationDate" }] },
        "paging": { "pageNumber": page, "pageSize": PAGE_SIZE },
    })
}

/// The base64 text of PEM. It identifies the DER, whatever the line ends and the label are.
fn unframed(pem: &str) -> String {
    let lines = pem.lines().map(str::trim);
    lines.filter(|line| !line.starts_with("-----")).collect()
}

fn rank(status: &str) -> u8 {
    match status {
        "ISSUED" => 0,
        "REJECTED_APPROVAL" | "REJECTED" | "CANCELLED" | "FAILED" | "REVOKED" | "DELETED" => 2,
        _ => 1,
    }
}

fn doubt(words: &str) -> Failure {
    Failure::new(
        FailureKind::Busy,
        "look for our request",
        format!("{words}; whether it was taken is not known yet"),
    )
}

const PAGE_SIZE: usize = 50;
const MOST_PAGES: usize = 200;
const MOST_SEEN: usize = 10_000;
/// How far the service's clock may be behind ours.
const SLACK: SignedDuration = SignedDuration::from_mins(15);
