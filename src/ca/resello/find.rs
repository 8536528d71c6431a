//! Whether an order was placed already, and which kind of order is to be placed (purchase API reference 4.3, 6). Both
//! read the same data, and neither changes anything.
//!
//! An order is recognised by two marks, because each can be missing: our reference, which a renewal may not take over,
//! and the CSR in the order, which may be shown late.

use jiff::SignedDuration;

use super::super::{Reference, SigningRequest};
use super::Resello;
use super::api::Api;
use super::order::{Order, OrderKind, Status, order_kind};
use super::plan::Plan;
use crate::failure::{Failure, FailureKind};

/// The order of the certificate whose place the new one takes.
enum Predecessor {
    /// It holds our request: it is renewed already.
    HoldsOurs(Reference),
    /// It can be renewed.
    Renewable(String),
    /// There is none that could be.
    None,
}

impl Resello {
    /// The order under our reference, or with our request; a doubt is a failure.
    pub(super) async fn search(
        &self,
        request: &SigningRequest,
    ) -> Result<Option<Reference>, Failure> {
        let api = self.api()?;
        let mut ours = Vec::new();
        for order in api.orders(&request.client_reference).await? {
            if is_ours(&api, &order, request).await? {
                ours.push(order.id);
            }
        }
        match (ours.pop(), ours.len()) {
            (Some(id), 0) => return Ok(Some(Reference(id))),
            (Some(id), _) => {
                let others = ours.join(", ");
                return Err(doubt(format!(
                    "several orders have our reference {}: {id}, {others}; each costs money: delete all but one",
                    request.client_reference
                )));
            }
            (None, _) => {}
        }
        match self.predecessor(&api, request).await? {
            Predecessor::HoldsOurs(order) => Ok(Some(order)),
            Predecessor::None => Ok(None),
            Predecessor::Renewable(id) => {
                // Before an order is counted: too early is not a refused order.
                self.follow(&api.plan().await?, &id, request)?;
                Ok(None)
            }
        }
    }

    /// What leads to the new certificate.
    pub(super) async fn kind(
        &self,
        api: &Api<'_>,
        plan: &Plan,
        request: &SigningRequest,
    ) -> Result<OrderKind, Failure> {
        match self.predecessor(api, request).await? {
            Predecessor::Renewable(id) => self.follow(plan, &id, request),
            Predecessor::None => Ok(OrderKind::Buy),
            Predecessor::HoldsOurs(order) => Err(Failure::new(
                FailureKind::OutcomeUnknown,
                "order",
                format!("the order {} holds our request already", order.0),
            )),
        }
    }

    /// Looks also where it would be bought anew: the setting may have been changed since an order was placed.
    async fn predecessor(
        &self,
        api: &Api<'_>,
        request: &SigningRequest,
    ) -> Result<Predecessor, Failure> {
        let previous = request.previous.as_ref();
        let Some(Reference(id)) = previous.and_then(|previous| previous.order.as_ref()) else {
            return Ok(Predecessor::None);
        };
        let Some(order) = api.order(id).await? else {
            return Ok(Predecessor::None);
        };
        let csr = api.csr(id).await?;
        if csr.as_ref().is_some_and(|csr| csr.der == request.csr.der) {
            return Ok(Predecessor::HoldsOurs(Reference(id.clone())));
        }
        match (order.status, csr) {
            (Status::Ended(_), _) => Ok(Predecessor::None),
            (Status::Active, Some(_)) => Ok(Predecessor::Renewable(id.clone())),
            (Status::Active, None) => Err(doubt(format!(
                "the order {id} does not show its request, so it cannot be known whether it was renewed"
            ))),
            (Status::Pending, _) => Err(busy(id, "pending")),
            (Status::Unknown(word), _) => Err(busy(id, &word)),
        }
    }

    fn follow(
        &self,
        plan: &Plan,
        id: &str,
        request: &SigningRequest,
    ) -> Result<OrderKind, Failure> {
        let now = self.env.clock.now();
        let left = request
            .previous
            .as_ref()
            .map(|previous| now.duration_until(previous.certificate.not_after));
        let left = left.unwrap_or(SignedDuration::ZERO);
        let renewals = self.settings.renewal_mode;
        order_kind(renewals, id, left, plan.renewal_allowed()).map_err(|wait| too_early(plan, wait))
    }
}

/// Whether a listed order is ours: how the CA compares references is not known.
async fn is_ours(api: &Api<'_>, order: &Order, request: &SigningRequest) -> Result<bool, Failure> {
    if let Some(reference) = &order.client_reference {
        return Ok(*reference == request.client_reference);
    }
    match api.csr(&order.id).await? {
        Some(csr) => Ok(csr.der == request.csr.der),
        None => Err(doubt(format!(
            "the order {} was listed for our reference and shows neither reference nor request",
            order.id
        ))),
    }
}

fn too_early(plan: &Plan, wait: SignedDuration) -> Failure {
    let days = wait.as_hours() / 24 + 1;
    let detail = format!(
        "the plan {plan} allows a renewal {}, in {days} days; `renewal_mode = \"buy\"` would buy a new certificate now, a larger `renew_after` would begin later",
        plan.renewal_in_words()
    );
    Failure::new(FailureKind::Busy, "renew", detail).retry_after(wait)
}

/// There is an order, perhaps our own, whose request is not visible yet.
fn busy(id: &str, status: &str) -> Failure {
    let detail = format!(
        "the order {id} is {status:?} with another request: renewd orders nothing until that order has ended"
    );
    Failure::new(FailureKind::Busy, "renew", detail).waiting_for(format!("the order {id}"))
}

fn doubt(detail: String) -> Failure {
    Failure::new(FailureKind::Unexpected, "look for our order", detail)
}
