//! Buying, renewing, reissuing and deleting: every call that costs money or kills a certificate (purchase API reference 4).

use time::Duration;

use super::Shop;
use super::dcv::Proof;
use super::fields::Purchase;
use super::ledger::Payment;
use super::order::{Job, Order};
use super::settings::PlanKind;
use super::switch::UniqueValue;
use super::wire::{Handled, Refusal, ShopAnswer};
use crate::ca::{Csr, Office, Request};

impl Shop {
    /// `POST /ssl-certificate`.
    pub(super) fn create(&mut self, office: &mut Office, request: &Request) -> Handled {
        let purchase = Purchase::read(request, &self.settings.plans, None, &self.variants)?;
        let payment = self.ledger.charge(office, &purchase.plan)?;
        self.ledger.bought += 1;
        office.take_order(&purchase.csr);
        self.open_order(office, purchase, payment)
    }

    /// 4.3: the same order is pending again; what it answers may still be the state before. Has no guard against a
    /// repetition (6): a second call buys again.
    pub(super) fn renew(&mut self, office: &mut Office, request: &Request, id: &str) -> Handled {
        let purchase = Purchase::read(request, &self.settings.plans, None, &self.variants)?;
        let at = self.find_open(id)?;
        self.check_window(office, at)?;
        let payment = self.ledger.charge(office, &purchase.plan)?;
        self.ledger.renewed += 1;
        self.count(office, at, &purchase.csr);
        if self.variants.renew_gives_new_id {
            return self.open_order(office, purchase, payment);
        }
        let job = self.job(office, &purchase);
        let order = self.orders.get_mut(at).ok_or_else(Refusal::not_found)?;
        order.plan = purchase.plan;
        order.contact = purchase.contact;
        if purchase.client_reference.is_some() && !self.variants.renew_keeps_reference {
            order.client_reference = purchase.client_reference;
        }
        order.job = Some(job);
        order.stale_answers = self.variants.stale_active_answers;
        order.payments.push(payment);
        order.ordered = office.now();
        self.show(office, id)
    }

    /// 4.3: free, and the certificate so far is invalid at once. guess: also before the new one is there.
    pub(super) fn reissue(&mut self, office: &mut Office, request: &Request, id: &str) -> Handled {
        let at = self.find_open(id)?;
        let order = self.orders.get(at).ok_or_else(Refusal::not_found)?;
        let plan = order.plan.clone();
        // guess: an order without a certificate cannot be reissued.
        let ends = order.ends().ok_or_else(not_active)?;
        let purchase = Purchase::read(request, &self.settings.plans, Some(&plan), &self.variants)?;
        self.ledger.reissued += 1;
        self.count(office, at, &purchase.csr);
        let mut job = self.job(office, &purchase);
        job.ends = Some(ends);
        let order = self.orders.get_mut(at).ok_or_else(Refusal::not_found)?;
        order.contact = purchase.contact;
        let former_reference = order.client_reference.take();
        order.client_reference = purchase.client_reference.or(former_reference);
        order.job = Some(job);
        let former = order.current.take();
        self.invalidated
            .extend(former.map(|former| former.issued.der));
        if self.variants.reissue_without_validation {
            order.finish(&self.variants, office);
        }
        self.show(office, id)
    }

    /// 4: disabled at once, refunded inside of the grace period only. guess: the last payment.
    pub(super) fn delete(&mut self, office: &mut Office, id: &str) -> Handled {
        let is_there = |order: &&mut Order| order.id == id && !order.deleted;
        let order = self.orders.iter_mut().find(is_there);
        let order = order.ok_or_else(Refusal::not_found)?;
        order.deleted = true;
        self.ledger.deleted += 1;
        let payment = order.payments.last().copied();
        if payment.is_some_and(|payment| self.ledger.refund(office, &order.plan, payment)) {
            order.payments.pop();
        }
        if let Some(job) = &order.job {
            office.order_failed(&job.csr);
        }
        if let Some(current) = order.current.take() {
            office.order_failed(&current.csr);
            self.invalidated.push(current.issued.der);
        }
        Ok(ShopAnswer::Object(serde_json::json!({})))
    }

    /// Where an order stands that can still be worked with.
    pub(super) fn find_open(&self, id: &str) -> Result<usize, Refusal> {
        let is_it = |order: &Order| order.id == id && order.is_known(&self.variants);
        let at = self.orders.iter().position(is_it);
        let at = at.ok_or_else(Refusal::not_found)?;
        let is_open = self.orders.get(at).is_some_and(Order::is_open);
        is_open.then_some(at).ok_or_else(not_active)
    }

    /// `renew_days_before_expiration` (4.4). guess: an order without a certificate cannot be renewed.
    fn check_window(&self, office: &Office, at: usize) -> Result<(), Refusal> {
        let order = self.orders.get(at).ok_or_else(Refusal::not_found)?;
        let expires = order.expires(&self.variants).ok_or_else(not_active)?;
        let days = order.plan.renew_days_before_expiration;
        let is_early = expires - office.now() > Duration::days(i64::from(days));
        if is_early && !self.variants.early_renewal {
            let message = format!("The certificate can be renewed {days} days before it expires.");
            return Err(Refusal::new(409, "renew_too_early", &message));
        }
        Ok(())
    }

    /// Counts a renewal or reissue. One that meets an unfinished job doubles it, whatever its key.
    fn count(&self, office: &mut Office, at: usize, csr: &Csr) {
        let before = office.counters.duplicates;
        office.take_order(csr);
        let is_unfinished = self.orders.get(at).is_some_and(|order| order.job.is_some());
        if is_unfinished && before == office.counters.duplicates {
            office.counters.duplicates += 1;
        }
    }

    fn open_order(&mut self, office: &mut Office, purchase: Purchase, payment: Payment) -> Handled {
        let id = office.uuid();
        let job = self.job(office, &purchase);
        self.orders.push(Order {
            id: id.clone(),
            plan: purchase.plan,
            client_reference: purchase.client_reference,
            contact: purchase.contact,
            current: None,
            job: Some(job),
            ended: None,
            deleted: false,
            stale_answers: 0,
            hidden_lists: self.variants.hidden_lists,
            payments: vec![payment],
            ordered: office.now(),
        });
        self.show(office, &id)
    }

    fn job(&mut self, office: &mut Office, purchase: &Purchase) -> Job {
        let csr = purchase.csr.clone();
        let is_reused = !self.used_keys.insert(csr.public_key.clone());
        let is_unique = match self.variants.unique_value {
            UniqueValue::Always => true,
            UniqueValue::WhenReused => is_reused,
            UniqueValue::Never => false,
        };
        let unique = is_unique.then(|| office.uuid().chars().take(8).collect());
        self.jobs += 1;
        Job {
            number: self.jobs,
            proof: Proof::new(&csr.der, unique, &self.variants.dcv_host),
            names: purchase.proofs(),
            vetted: self.variants.vets_at_once || purchase.plan.kind == PlanKind::DomainValidated,
            ends: None,
            reads_left: self.variants.reads_before_active,
            details_hidden: self.variants.details_hidden,
            reads_since_look: 0,
            csr,
        }
    }
}

fn not_active() -> Refusal {
    // guess: the code.
    Refusal::new(409, "not_active", "The certificate is not active.")
}
