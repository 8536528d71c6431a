//! Orders from newOrder to the certificate (RFC 8555 7.4).

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::call::AcmeCall;
use super::identifier::Identifier;
use super::wire::{Handled, Problem, date};
use super::{Acme, ProblemType, authorizations, renewal};
use crate::ca::{Csr, Issued, KeyType, Office, Reply, Tier, pem};

/// An order.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) id: String,
    /// Index of its account.
    pub(super) account: usize,
    pub(super) identifiers: Vec<Identifier>,
    /// Ids of its authorizations.
    pub(super) authorizations: Vec<String>,
    /// As requested.
    pub(super) profile: Option<String>,
    /// The certificate that it replaces (RFC 9773 5).
    pub(super) replaces: Option<String>,
    pub(super) state: State,
    pub(super) csr: Option<Csr>,
    pub(super) issued: Option<Issued>,
    /// The certificate's id in renewal information (RFC 9773 4.1).
    pub(super) renewal_id: Option<String>,
    expires: OffsetDateTime,
    error: Option<Problem>,
}

/// 7.1.6, with the looks that still see it unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Pending { polls_left: u32 },
    Ready,
    Processing { polls_left: u32 },
    Valid,
    Invalid,
}

impl State {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Pending { .. } => "pending",
            Self::Ready => "ready",
            Self::Processing { .. } => "processing",
            Self::Valid => "valid",
            Self::Invalid => "invalid",
        }
    }
}

impl Acme {
    /// 7.4: `POST newOrder`.
    pub(super) fn new_order(&mut self, office: &mut Office, call: &AcmeCall) -> Handled {
        let account = call.account()?;
        let body = call.json()?;
        let identifiers = self.identifiers(&body)?;
        if body.get("notBefore").is_some() || body.get("notAfter").is_some() {
            // guess: as Let's Encrypt does.
            return Err(Problem::malformed(
                "notBefore and notAfter are not supported",
            ));
        }
        let profile = self.asked_profile(&body)?;
        let replaces = self.replaced(account, &identifiers, &body)?;
        if let Some(kind) = self.variants.new_order_refused {
            let refusal = Problem::asked_for(kind, self.variants.refused_retry_after);
            return Err(refusal.about(&body["identifiers"][0]));
        }
        if let Some(index) = self.open_order(office, account, &identifiers, profile.as_ref()) {
            return self.order_reply(office, call, index, 201);
        }
        office.counters.orders += 1;
        let also = self.variants.authorizes_also.clone().map(Identifier::Dns);
        let authorizations = identifiers
            .iter()
            .chain(&also)
            .map(|identifier| self.authorization_for(office, account, identifier))
            .collect();
        self.orders.push(Order {
            id: office.rng.hex(1),
            account,
            identifiers,
            authorizations,
            profile,
            replaces,
            state: State::Pending {
                polls_left: self.variants.ready_polls,
            },
            csr: None,
            issued: None,
            renewal_id: None,
            expires: office.now() + authorizations::LIFETIME,
            error: None,
        });
        let index = self.orders.len() - 1;
        if self.variants.ready_polls == 0 {
            self.settle(office, index);
        }
        self.order_reply(office, call, index, 201)
    }

    /// Boulder hands an open order out again; neither the CSR nor `replaces` plays a part (CA rules reference 5).
    fn open_order(
        &self,
        office: &Office,
        account: usize,
        identifiers: &[Identifier],
        profile: Option<&String>,
    ) -> Option<usize> {
        let now = office.now();
        let is_open = |order: &Order| {
            matches!(order.state, State::Pending { .. } | State::Ready) && order.expires > now
        };
        self.orders.iter().position(|order| {
            self.variants.orders_reused
                && is_open(order)
                && order.account == account
                && order.identifiers == identifiers
                && order.profile.as_ref() == profile
        })
    }

    /// 7.4: `POST order/{id}`; each look lets a passing status pass.
    pub(super) fn order(&mut self, office: &mut Office, call: &AcmeCall, id: &str) -> Handled {
        let index = self.own_order(call, id)?;
        call.must_be_get()?;
        self.deny(&format!("/order/{id}"), "the order")?;
        self.look_at_authorizations(office, index);
        self.settle(office, index);
        self.order_reply(office, call, index, 200)
    }

    /// 7.4: `POST order/{id}/finalize`.
    pub(super) fn finalize(&mut self, office: &mut Office, call: &AcmeCall, id: &str) -> Handled {
        let index = self.own_order(call, id)?;
        let body = call.json()?;
        // A client may poll its authorizations only. The order becomes ready anyway.
        if self.state(index) == Some(State::Pending { polls_left: 0 }) {
            self.settle(office, index);
        }
        let state = self.state(index);
        if state != Some(State::Ready) {
            let word = state.map(State::word).unwrap_or_default();
            let detail = format!("the order is {word}, not ready");
            return Err(Problem::new(ProblemType::OrderNotReady, detail));
        }
        let csr = self.csr(index, call, &body)?;
        if let Some(kind) = self.variants.finalize_refused {
            return Err(Problem::asked_for(kind, self.variants.refused_retry_after));
        }
        office.take_key(&csr);
        let polls_left = self.variants.processing_polls;
        if let Some(order) = self.orders.get_mut(index) {
            order.csr = Some(csr);
            order.state = State::Processing { polls_left };
        }
        if polls_left == 0 {
            self.settle(office, index);
        }
        self.order_reply(office, call, index, 200)
    }

    /// 7.4.2: `POST certificate/{id}`: the leaf and its issuer, without the root.
    pub(super) fn certificate(
        &mut self,
        office: &mut Office,
        call: &AcmeCall,
        id: &str,
    ) -> Handled {
        let index = self.own_order(call, id)?;
        call.must_be_get()?;
        self.deny(&format!("/certificate/{id}"), "the certificate")?;
        let issued = self
            .orders
            .get(index)
            .and_then(|order| order.issued.as_ref());
        let issued = issued.ok_or_else(|| Problem::not_found("the certificate"))?;
        let chain: String = office
            .deliver(issued, false)
            .iter()
            .map(|der| pem("CERTIFICATE", der))
            .collect();
        Ok(Reply::text(
            200,
            "application/pem-certificate-chain",
            &chain,
        ))
    }

    fn state(&self, index: usize) -> Option<State> {
        self.orders.get(index).map(|order| order.state)
    }

    fn own_order(&self, call: &AcmeCall, id: &str) -> Result<usize, Problem> {
        let account = call.account()?;
        let is_it = |order: &super::Order| order.id == id;
        let index = self.orders.iter().position(is_it);
        match index.and_then(|index| Some((index, self.orders.get(index)?))) {
            Some((index, order)) if order.account == account => Ok(index),
            Some(_) => Err(Problem::new(
                ProblemType::Unauthorized,
                "this is the order of somebody else",
            )),
            None => Err(Problem::not_found("the order")),
        }
    }

    /// draft-ietf-acme-profiles 4: none is the server's choice.
    fn asked_profile(&self, body: &Value) -> Result<Option<String>, Problem> {
        let Some(asked) = body.get("profile").and_then(Value::as_str) else {
            return Ok(None);
        };
        let is_offered = self.variants.profiles_offered
            && self
                .settings
                .profiles
                .iter()
                .any(|profile| profile.name == asked);
        if is_offered {
            Ok(Some(asked.to_owned()))
        } else {
            Err(Problem::new(
                ProblemType::InvalidProfile,
                format!("there is no profile {asked:?}"),
            ))
        }
    }

    /// 7.4: exactly the names of the order, CN among them, and a key that may be certified.
    fn csr(&self, index: usize, call: &AcmeCall, body: &Value) -> Result<Csr, Problem> {
        let bad = |detail: String| Problem::new(ProblemType::BadCsr, detail);
        let text = body["csr"].as_str().unwrap_or_default();
        let csr = Csr::from_der(&super::jws::decoded(text, "csr")?).map_err(bad)?;
        let asked = Identifier::of_csr(&csr).map_err(bad)?;
        let mut ordered = self
            .orders
            .get(index)
            .map(|order| order.identifiers.clone())
            .unwrap_or_default();
        ordered.sort();
        if asked != ordered {
            return Err(bad("the names are not those of the order".to_owned()));
        }
        if call.key.is_in(&csr.public_key) {
            return Err(bad("the key is the account's".to_owned()));
        }
        match csr.key {
            KeyType::Rsa(2048..=4096) | KeyType::Ec(256 | 384) => Ok(csr),
            other => Err(bad(format!("{other:?} is not a key for a certificate"))),
        }
    }

    /// 7.1.6: follows from the authorizations, or passes by itself.
    fn settle(&mut self, office: &mut Office, index: usize) {
        let now = office.now();
        let proved = self.proved(index);
        let Some(order) = self.orders.get_mut(index) else {
            return;
        };
        order.state = match order.state {
            State::Pending { .. } | State::Ready if now > order.expires => State::Invalid,
            State::Pending { polls_left } => match proved {
                Some(false) => State::Invalid,
                Some(true) if polls_left == 0 => State::Ready,
                Some(true) => State::Pending {
                    polls_left: polls_left - 1,
                },
                None => order.state,
            },
            State::Processing { polls_left: 0 } => return self.conclude(office, index),
            State::Processing { polls_left } => State::Processing {
                polls_left: polls_left - 1,
            },
            settled => settled,
        };
    }

    /// Signs, or fails as a switch defines.
    fn conclude(&mut self, office: &mut Office, index: usize) {
        let Some((csr, lifetime)) = self.to_sign(office, index) else {
            return;
        };
        let outcome = match self.variants.order_fails {
            Some(kind) => Err(Problem::asked_for(kind, None)),
            None => office
                .sign(&csr, Tier::Intermediate, lifetime, false)
                .map_err(|error| Problem::new(ProblemType::ServerInternal, error)),
        };
        let Some(order) = self.orders.get_mut(index) else {
            return;
        };
        match outcome {
            Ok(issued) => {
                order.renewal_id = renewal::id(&issued.der);
                order.issued = Some(issued);
                order.state = State::Valid;
            }
            Err(problem) => {
                office.order_failed(&csr);
                order.error = Some(problem);
                order.state = State::Invalid;
            }
        }
    }

    /// A domain-validated certificate has no name but those of its order.
    fn to_sign(&self, office: &Office, index: usize) -> Option<(Csr, Duration)> {
        let order = self.orders.get(index)?;
        let profile = match &order.profile {
            Some(name) => self
                .settings
                .profiles
                .iter()
                .find(|known| known.name == *name),
            None => self.settings.profiles.first(),
        };
        let mut csr = order.csr.clone()?;
        csr.names = order.identifiers.iter().map(Identifier::name).collect();
        let with_common_name = profile.is_none_or(|profile| profile.with_common_name);
        csr.subject
            .retain(|(kind, _)| with_common_name && kind == "CN");
        let by_profile = profile.and_then(|profile| profile.lifetime);
        let by_switch = self.variants.lifetime_seconds;
        let lifetime = by_switch
            .map(|seconds| Duration::seconds(i64::from(seconds)))
            .or(by_profile)
            .unwrap_or_else(|| office.lifetime());
        Some((csr, lifetime))
    }

    /// 7.1.3.
    fn order_reply(&self, office: &Office, call: &AcmeCall, index: usize, status: u16) -> Handled {
        let order = self.orders.get(index);
        let order = order.ok_or_else(|| Problem::not_found("the order"))?;
        let base = self.links(call);
        let url = format!("{base}/order/{}", order.id);
        let word = match order.state {
            State::Processing { .. } if self.variants.unknown_status => "dozing",
            state => state.word(),
        };
        let authorizations = order.authorizations.iter();
        let mut body = json!({
            "status": word,
            "expires": date(order.expires),
            "identifiers": order.identifiers.iter().map(Identifier::json).collect::<Vec<_>>(),
            "authorizations": authorizations.map(|id| format!("{base}/authorization/{id}")).collect::<Vec<_>>(),
            "finalize": format!("{url}/finalize"),
        });
        let optional = [
            ("profile", order.profile.clone().map(Value::from)),
            ("replaces", order.replaces.clone().map(Value::from)),
            ("error", order.error.as_ref().map(Problem::json)),
            (
                "certificate",
                order
                    .issued
                    .as_ref()
                    .map(|_| json!(format!("{base}/certificate/{}", order.id))),
            ),
        ];
        if self.variants.odd_members {
            body["expires"] = json!("");
            body["notBefore"] = json!("0001-01-01T00:00:00Z");
            body["error"] = json!("");
            body["certificate"] = json!("");
        }
        for (name, value) in optional {
            if let Some(value) = value {
                body[name] = value;
            }
        }
        let reply = Reply::json(status, &self.decorated(body))
            .header("Location", &url)
            .noted(word);
        let is_final = matches!(order.state, State::Valid | State::Invalid | State::Ready);
        let seconds = self.variants.poll_retry_after.filter(|_| !is_final);
        Ok(self.wait(office, reply, seconds))
    }
}
