//! The progress of a request, and its effect when it arrives (TLS Protect Cloud reference 4.4, 6).

use std::collections::VecDeque;

use serde_json::json;

use super::Cloud;
use super::certificates::Certificate;
use super::orders::Order;
use super::variants::{StatusPath, Variants};
use super::wire::{Handled, Refusal};
use crate::ca::{Office, Reply, Tier};

/// The statuses that a request still has before it; the first is the present one.
#[derive(Debug)]
pub(super) struct Progress(VecDeque<Step>);

#[derive(Debug)]
struct Step {
    status: &'static str,
    /// Status calls that still see it; `None`: until the test decides, or permanently.
    looks: Option<u32>,
}

impl Progress {
    pub(super) fn new(variants: &Variants) -> Self {
        let looks = Some(variants.polls_per_status);
        let passing = |status| Step { status, looks };
        let approval = |status| Step {
            status,
            looks: variants.approval_polls,
        };
        let last = |status| Step {
            status,
            looks: None,
        };
        let steps = match variants.status_path {
            StatusPath::Immediate => vec![last("ISSUED")],
            StatusPath::Steps => vec![
                passing("NEW"),
                passing("PENDING"),
                passing("REQUESTED"),
                last("ISSUED"),
            ],
            StatusPath::Approved => vec![
                approval("PENDING_APPROVAL"),
                approval("PENDING_FINAL_APPROVAL"),
                last("ISSUED"),
            ],
            StatusPath::ApprovalRefused => {
                vec![approval("PENDING_APPROVAL"), last("REJECTED_APPROVAL")]
            }
            StatusPath::Rejected => vec![passing("PENDING"), last("REJECTED")],
            StatusPath::Cancelled => vec![passing("PENDING"), last("CANCELLED")],
            StatusPath::Failed => vec![passing("PENDING"), last("FAILED")],
            StatusPath::Revoked => vec![passing("PENDING"), last("REVOKED")],
            StatusPath::Deleted => vec![passing("PENDING"), last("DELETED")],
            StatusPath::UnknownWord => vec![
                passing("PENDING"),
                passing("AWAITING_THE_FUTURE"),
                last("ISSUED"),
            ],
        };
        Self(steps.into())
    }

    pub(super) fn status(&self) -> &'static str {
        self.0.front().map_or("DELETED", |step| step.status)
    }

    /// A status call: whether the status changed.
    pub(super) fn look(&mut self) -> bool {
        let before = self.status();
        while self.0.len() > 1 && self.0.front().is_some_and(|step| step.looks == Some(0)) {
            self.0.pop_front();
        }
        if let Some(Step {
            looks: Some(looks), ..
        }) = self.0.front_mut()
        {
            *looks = looks.saturating_sub(1);
        }
        self.status() != before
    }

    /// Stays at this status.
    fn decide(&mut self, status: &'static str) {
        self.0 = VecDeque::from([Step {
            status,
            looks: None,
        }]);
    }
}

impl Order {
    fn fail(&mut self, office: &mut Office, why: Refusal) {
        self.failure = Some(why);
        self.close(office);
    }

    /// Counts the bad end, once.
    fn close(&mut self, office: &mut Office) {
        if !self.is_failed {
            self.is_failed = true;
            office.order_failed(&self.csr);
        }
    }
}

impl Cloud {
    /// Applies the effect of the current status of a request, once.
    pub(super) fn settle(&mut self, office: &mut Office, index: usize) {
        let Some(order) = self.orders.get_mut(index) else {
            return;
        };
        match order.progress.status() {
            "ISSUED" if order.certificate.is_none() => self.issue(office, index),
            "FAILED" if order.failure.is_none() => {
                // 4.4: the shape of a failure, arguments nested as in 10726.
                let args = json!(["CN", order.csr.common_name(), ["^.*\\.example\\.org$"]]);
                let message = "The certificate authority refused the common name";
                order.fail(office, Refusal::new(412, 10726, message).with_args(args));
            }
            "REJECTED_APPROVAL" | "REJECTED" | "CANCELLED" | "REVOKED" | "DELETED" => {
                order.close(office);
            }
            _ => {}
        }
    }

    /// 6: the new version becomes CURRENT, the one that it renews OLD.
    fn issue(&mut self, office: &mut Office, index: usize) {
        let Some(order) = self.orders.get_mut(index) else {
            return;
        };
        let issued = match office.sign(&order.csr, Tier::Intermediate, order.lifetime, false) {
            Ok(issued) => issued,
            Err(message) => {
                order.progress.decide("FAILED");
                order.fail(office, Refusal::new(412, 10703, message));
                return;
            }
        };
        let id = office.uuid();
        order.certificate = Some(id.clone());
        let renewed = order.existing.clone().and_then(|existing| {
            self.certificates
                .iter_mut()
                .find(|known| known.id == existing)
        });
        let managed_id = match renewed {
            Some(renewed) => {
                renewed.is_current = false;
                renewed.managed_id.clone()
            }
            None => office.uuid(),
        };
        self.certificates.push(Certificate {
            id,
            managed_id,
            order_id: order.id.clone(),
            application_id: order.application_id.clone(),
            csr: order.csr.clone(),
            issued,
            is_current: true,
            state: "ACTIVE",
            late_contents: self.variants.contents_late_calls,
            late_record: self.variants.record_late_calls,
            hidden_searches: self.variants.index_late_searches,
        });
    }

    /// 4: `POST /v1/certificaterequests/{id}/approval/{decision}`. guess: the words of a decision, and the answer.
    pub(super) fn decide(&mut self, office: &mut Office, id: &str, decision: &str) -> Handled {
        let index = self.order_index(id)?;
        let status = match decision.to_ascii_lowercase().as_str() {
            "approve" | "approved" => "REQUESTED",
            "reject" | "rejected" => "REJECTED_APPROVAL",
            _ => {
                return Err(Refusal::malformed(format!("{decision} is not a decision")));
            }
        };
        if !self.decide_order(office, index, status) {
            return Err(Refusal::new(
                412,
                10734,
                "The request does not wait for an approval",
            ));
        }
        Ok(Reply::json(200, &json!({"id": id, "status": status})))
    }

    /// Whether the request waited for a decision. REQUESTED lasts one status call, then the certificate is issued.
    pub(super) fn decide_order(
        &mut self,
        office: &mut Office,
        index: usize,
        status: &'static str,
    ) -> bool {
        let Some(order) = self.orders.get_mut(index) else {
            return false;
        };
        if !order.progress.status().starts_with("PENDING_") {
            return false;
        }
        order.progress.decide(status);
        if status == "REQUESTED" {
            order.progress.0 = VecDeque::from([
                Step {
                    status,
                    looks: Some(1),
                },
                Step {
                    status: "ISSUED",
                    looks: None,
                },
            ]);
        }
        order.modified = office.now();
        self.settle(office, index);
        true
    }
}
