//! Lists, single orders and plans as JSON (purchase API reference 3, 4.1, 4.4, 6). Reading an order brings it on.

use serde_json::{Value, json};

use super::Shop;
use super::order::Order;
use super::settings::Plan;
use super::switch::ReferenceMatch;
use super::variants::Variants;
use super::wire::{Handled, Refusal, ShopAnswer};
use crate::ca::{Office, Request};

impl Shop {
    /// One order, which this very answer brings on.
    pub(super) fn show(&mut self, office: &mut Office, id: &str) -> Handled {
        let is_it = |order: &&mut Order| order.id == id && order.is_known(&self.variants);
        let order = self.orders.iter_mut().find(is_it);
        let order = order.ok_or_else(Refusal::not_found)?;
        Ok(ShopAnswer::Object(order.tell(&self.variants, office)))
    }

    /// `GET /ssl-certificate?plan=&client_reference=&limit=&offset=` (4; the last two are inferred from 3).
    pub(super) fn list(&mut self, office: &mut Office, request: &Request) -> ShopAnswer {
        let (limit, offset) = self.page(request);
        let plan = request.query("plan").filter(|plan| !plan.is_empty());
        let reference = request.query("client_reference");
        let mut rows = Vec::new();
        for order in &mut self.orders {
            let is_meant = order.is_known(&self.variants)
                && plan.is_none_or(|plan| order.plan.id.eq_ignore_ascii_case(plan))
                && order.has_reference(reference, self.variants.reference_match);
            if is_meant && order.hidden_lists > 0 {
                order.hidden_lists -= 1;
            } else if is_meant {
                rows.push(order.tell(&self.variants, office));
            }
        }
        ShopAnswer::Page {
            total: rows.len(),
            limit,
            offset,
            result: rows.into_iter().skip(offset).take(limit).collect(),
        }
    }

    /// `GET /ssl-certificate-plan?id=&name=`: uuids with commas, part of a name (4).
    pub(super) fn list_plans(&self, request: &Request) -> ShopAnswer {
        let (limit, offset) = self.page(request);
        let ids = request.query("id").filter(|ids| !ids.is_empty());
        let name = request.query("name").unwrap_or_default().to_lowercase();
        let is_meant = |plan: &&Plan| {
            let is_listed = |ids: &str| ids.split(',').any(|id| id.eq_ignore_ascii_case(&plan.id));
            ids.is_none_or(is_listed) && plan.name.to_lowercase().contains(&name)
        };
        let plans = self.settings.plans.iter().filter(is_meant);
        let rows: Vec<_> = plans.map(Plan::json).collect();
        ShopAnswer::Page {
            total: rows.len(),
            limit,
            offset,
            result: rows.into_iter().skip(offset).take(limit).collect(),
        }
    }

    /// `GET /ssl-certificate-plan/{id}` (4).
    pub(super) fn show_plan(&self, id: &str) -> Handled {
        let plan = self.settings.plans.iter().find(|plan| plan.id == id);
        plan.map(|plan| ShopAnswer::Object(plan.json()))
            .ok_or_else(Refusal::not_found)
    }

    /// guess: an invalid or too large number is ignored.
    fn page(&self, request: &Request) -> (usize, usize) {
        let number = |name: &str| request.query(name)?.parse::<usize>().ok();
        let largest = usize::try_from(self.variants.largest_page).unwrap_or(usize::MAX);
        let limit = number("limit").filter(|limit| *limit > 0);
        (
            limit.unwrap_or(largest).min(largest),
            number("offset").unwrap_or(0),
        )
    }
}

impl Order {
    /// The order in an answer. Each answer counts as one read.
    fn tell(&mut self, variants: &Variants, office: &mut Office) -> Value {
        self.bring_on(variants, office);
        let reported = self.json(variants);
        self.stale_answers = self.stale_answers.saturating_sub(1);
        reported
    }

    /// Only id and status are sure; the rest is inferred or a guess (4.1).
    fn json(&self, variants: &Variants) -> Value {
        let mut order = json!({"id": self.id, "status": self.status(variants)});
        if variants.bare_object {
            return order;
        }
        order["client_reference"] = json!(self.client_reference);
        order["plan"] = json!({"id": self.plan.id});
        if variants.extra_fields {
            let expires = self.expires(variants).map(|end| end.date().to_string());
            order["common_name"] =
                json!(self.csr(variants).map(|csr| csr.common_name().to_owned()));
            order["expiration_date"] = json!(expires);
            order["contact"] = json!(self.contact);
            order["actions"] = json!([{"name": "renew", "enabled": true}, null]);
        }
        order
    }

    fn has_reference(&self, wanted: Option<&str>, comparison: ReferenceMatch) -> bool {
        let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) else {
            return true;
        };
        let reference = self.client_reference.as_deref();
        match comparison {
            ReferenceMatch::Exact => reference == Some(wanted),
            ReferenceMatch::Partial => reference.is_some_and(|own| own.contains(wanted)),
            ReferenceMatch::Ignored => true,
        }
    }
}

impl Plan {
    /// 4.4. The price is not among the documented fields.
    fn json(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "description": format!("{} for one year or less", self.name),
            "brand": self.brand,
            "renew_days_before_expiration": self.renew_days_before_expiration,
            "interval": self.interval_months,
            "actions": [],
            "product": {},
            "provisioner": {"id": "b3d2c1a0-0000-4000-a000-000000000001"},
        })
    }
}
