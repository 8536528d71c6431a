//! Authorizations and their challenges (RFC 8555 7.1.4, 7.5, 8). How a proof is looked at is not known here.

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use time::{Duration, OffsetDateTime};
use tokio::sync::oneshot::error::TryRecvError;

use super::call::AcmeCall;
use super::identifier::Identifier;
use super::validation::{Page, Proof, Record, Verdict, look};
use super::wire::{Handled, Problem, date, token};
use super::{Acme, ProblemType};
use crate::ca::{Office, Reply};

/// How long an authorization and an order live.
pub(super) const LIFETIME: Duration = Duration::days(7);

/// Whether an account may have a name certified.
#[derive(Debug)]
pub(super) struct Authorization {
    pub(super) id: String,
    /// Index of its account.
    account: usize,
    /// Without `*.`.
    identifier: Identifier,
    /// For `*.` before the identifier.
    is_wildcard: bool,
    status: Status,
    expires: OffsetDateTime,
    challenges: Vec<Challenge>,
    validation: Option<Validation>,
}

/// 7.1.6
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Pending,
    Valid,
    Invalid,
    Deactivated,
    Expired,
}

/// 7.1.5
#[derive(Debug)]
struct Challenge {
    kind: Kind,
    token: String,
    /// The time and the problem of a validated challenge.
    outcome: Option<(OffsetDateTime, Option<Problem>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Http01,
    Dns01,
    /// The one that clients do not know.
    DnsPersist01,
}

/// A proof that is being looked at.
#[derive(Debug)]
struct Validation {
    challenge: usize,
    polls_left: u32,
    verdict: Verdict,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::Deactivated => "deactivated",
            Self::Expired => "expired",
        }
    }
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::Dns01 => "dns-01",
            Self::DnsPersist01 => "dns-persist-01",
        }
    }
}

impl Authorization {
    /// A look lets what passes pass: first the looks that see it pending, then the verdict.
    fn look(&mut self, now: OffsetDateTime) {
        if matches!(self.status, Status::Pending | Status::Valid) && now > self.expires {
            self.status = Status::Expired;
        }
        let Some(validation) = self
            .validation
            .as_mut()
            .filter(|_| self.status == Status::Pending)
        else {
            return;
        };
        if validation.polls_left > 0 {
            validation.polls_left -= 1;
            return;
        }
        let problem = match validation.verdict.try_recv() {
            Ok(verdict) => verdict.err(),
            Err(TryRecvError::Empty) => return,
            Err(TryRecvError::Closed) => Some(Problem::new(
                ProblemType::ServerInternal,
                "the validation ended without a verdict",
            )),
        };
        self.status = match problem {
            None => Status::Valid,
            Some(_) => Status::Invalid,
        };
        if let Some(challenge) = self.challenges.get_mut(validation.challenge) {
            challenge.outcome = Some((now, problem));
        }
        self.validation = None;
    }

    /// 7.1.5, 8.
    fn challenge_json(&self, base: &str, index: usize) -> Option<Value> {
        let challenge = self.challenges.get(index)?;
        let validated_now = self.validation.as_ref();
        let status = match &challenge.outcome {
            Some((_, None)) => "valid",
            Some((_, Some(_))) => "invalid",
            None if validated_now.is_some_and(|now| now.challenge == index) => "processing",
            None => "pending",
        };
        let mut value = json!({
            "type": challenge.kind.word(),
            "url": format!("{base}/challenge/{}/{index}", self.id),
            "status": status,
        });
        match challenge.kind {
            // draft-ietf-acme-dns-persist 3: bound to the account, not to a token.
            Kind::DnsPersist01 => value["issuer-domain-names"] = json!(["ca.example"]),
            _ => value["token"] = json!(challenge.token),
        }
        if let Some((when, problem)) = &challenge.outcome {
            value["validated"] = json!(date(*when));
            if let Some(problem) = problem {
                value["error"] = problem.json();
            }
        }
        Some(value)
    }
}

impl Acme {
    /// 7.4: the authorization of a new order for one of its names.
    pub(super) fn authorization_for(
        &mut self,
        office: &mut Office,
        account: usize,
        identifier: &Identifier,
    ) -> String {
        let now = office.now();
        let proved = identifier.without_wildcard();
        let is_wildcard = proved != *identifier;
        let is_good = |known: &&Authorization| {
            (known.account, known.is_wildcard, known.status)
                == (account, is_wildcard, Status::Valid)
                && known.identifier == proved
                && known.expires > now
        };
        if self.variants.authorizations_reused
            && let Some(known) = self.authorizations.iter().find(is_good)
        {
            return known.id.clone();
        }
        let authorization = Authorization {
            id: office.rng.hex(1),
            account,
            challenges: self.challenges(office, &proved, is_wildcard),
            identifier: proved,
            is_wildcard,
            status: Status::Pending,
            expires: now + LIFETIME,
            validation: None,
        };
        let id = authorization.id.clone();
        self.authorizations.push(authorization);
        id
    }

    /// 8.3, 8.4, RFC 8738 4: no web server proves a wildcard, no TXT record proves an address. In no fixed order.
    fn challenges(
        &self,
        office: &mut Office,
        identifier: &Identifier,
        is_wildcard: bool,
    ) -> Vec<Challenge> {
        let is_domain = matches!(identifier, Identifier::Dns(_));
        let variants = &self.variants;
        let offers = [
            (Kind::Http01, variants.http_01_offered && !is_wildcard),
            (Kind::Dns01, variants.dns_01_offered && is_domain),
            (Kind::DnsPersist01, variants.unknown_challenge && is_domain),
        ];
        let mut challenges: Vec<Challenge> = offers
            .into_iter()
            .filter(|(_, is_offered)| *is_offered)
            .map(|(kind, _)| Challenge {
                kind,
                token: token(office),
                outcome: None,
            })
            .collect();
        if challenges.len() > 1 && office.rng.one_in(2) {
            challenges.rotate_left(1);
        }
        challenges
    }

    /// 7.5: `POST authorization/{id}`.
    pub(super) fn authorization(
        &mut self,
        office: &mut Office,
        call: &AcmeCall,
        id: &str,
    ) -> Handled {
        let index = self.own_authorization(call, id)?;
        self.deny(&format!("/authorization/{id}"), "the authorization")?;
        let deactivates = !call.is_get() && call.json()?["status"] == "deactivated";
        let now = office.now();
        let authorization = self.authorization_mut(index)?;
        authorization.look(now);
        if deactivates {
            // 7.5.2
            authorization.status = Status::Deactivated;
        }
        self.authorization_reply(office, call, index)
    }

    /// 7.5.1: `POST challenge/{authorization}/{number}`: `{}` states that the response is ready.
    pub(super) fn challenge(
        &mut self,
        office: &mut Office,
        call: &AcmeCall,
        id: &str,
        number: &str,
    ) -> Handled {
        let index = self.own_authorization(call, id)?;
        let number: usize = number
            .parse()
            .map_err(|_| Problem::not_found("the challenge"))?;
        if !call.is_get() {
            call.json()?;
            self.begin(call, index, number)?;
        }
        let now = office.now();
        if call.is_get() {
            self.authorization_mut(index)?.look(now);
        }
        let base = self.links(call);
        let up = format!("<{base}/authorization/{id}>;rel=\"up\"");
        let json = self
            .authorization_mut(index)?
            .challenge_json(&base, number)
            .ok_or_else(|| Problem::not_found("the challenge"))?;
        let note = json["status"].as_str().unwrap_or_default().to_owned();
        let reply = Reply::json(200, &self.decorated(json)).header("Link", &up);
        let wait = self
            .variants
            .poll_retry_after
            .filter(|_| note == "processing");
        Ok(self.wait(office, reply.noted(note), wait))
    }

    /// Validates a challenge, unless one of this authorization is or was validated: a second request is harmless (8.2).
    fn begin(&mut self, call: &AcmeCall, index: usize, number: usize) -> Result<(), Problem> {
        let polls_left = self.variants.validation_polls;
        let authorization = self.authorization_mut(index)?;
        let challenge = authorization
            .challenges
            .get(number)
            .ok_or_else(|| Problem::not_found("the challenge"))?;
        if authorization.validation.is_some() || authorization.status != Status::Pending {
            return Ok(());
        }
        // 8.1
        let key_authorization = format!("{}.{}", challenge.token, call.key.thumbprint);
        let name = authorization.identifier.text();
        let proof = match challenge.kind {
            Kind::Http01 => Proof::Http(Page {
                host: authorization.identifier.clone(),
                token: challenge.token.clone(),
                key_authorization,
            }),
            Kind::Dns01 => Proof::Dns(Record {
                name: format!("_acme-challenge.{name}"),
                digest: BASE64URL_NOPAD.encode(&Sha256::digest(&key_authorization)),
            }),
            Kind::DnsPersist01 => {
                return Err(Problem::malformed("dns-persist-01 is never validated here"));
            }
        };
        self.validations += 1;
        let verdict = look(&self.variants, &self.txt, proof);
        self.authorization_mut(index)?.validation = Some(Validation {
            challenge: number,
            polls_left,
            verdict,
        });
        Ok(())
    }

    /// A look at an order is one at each of its authorizations.
    pub(super) fn look_at_authorizations(&mut self, office: &Office, order: usize) {
        let now = office.now();
        let Some(order) = self.orders.get(order) else {
            return;
        };
        for authorization in &mut self.authorizations {
            if order.authorizations.contains(&authorization.id) {
                authorization.look(now);
            }
        }
    }

    /// Whether all authorizations of an order are valid; none while one is pending and none has failed.
    pub(super) fn proved(&self, order: usize) -> Option<bool> {
        let order = self.orders.get(order)?;
        let statuses: Vec<Status> = self
            .authorizations
            .iter()
            .filter(|known| order.authorizations.contains(&known.id))
            .map(|known| known.status)
            .collect();
        if statuses.iter().all(|status| *status == Status::Valid) {
            return Some(true);
        }
        let is_open = |status: &Status| matches!(status, Status::Pending | Status::Valid);
        (!statuses.iter().all(is_open)).then_some(false)
    }

    fn own_authorization(&self, call: &AcmeCall, id: &str) -> Result<usize, Problem> {
        let account = call.account()?;
        let known = self.authorizations.iter().enumerate();
        match known.clone().find(|(_, known)| known.id == id) {
            Some((index, known)) if known.account == account => Ok(index),
            Some(_) => Err(Problem::new(
                ProblemType::Unauthorized,
                "this is the authorization of somebody else",
            )),
            None => Err(Problem::not_found("the authorization")),
        }
    }

    fn authorization_mut(&mut self, index: usize) -> Result<&mut Authorization, Problem> {
        self.authorizations
            .get_mut(index)
            .ok_or_else(|| Problem::not_found("the authorization"))
    }

    /// 7.1.4.
    fn authorization_reply(&self, office: &Office, call: &AcmeCall, index: usize) -> Handled {
        let known = self.authorizations.get(index);
        let known = known.ok_or_else(|| Problem::not_found("the authorization"))?;
        let challenges: Vec<Value> = (0..known.challenges.len())
            .filter_map(|number| known.challenge_json(&self.links(call), number))
            .map(|challenge| self.with_oddities(challenge))
            .collect();
        let mut body = json!({
            "identifier": known.identifier.json(),
            "status": known.status.word(),
            "expires": date(known.expires),
            "challenges": challenges,
        });
        if self.variants.odd_members {
            body["expires"] = json!("0001-01-01T00:00:00Z");
        }
        if known.is_wildcard {
            body["wildcard"] = json!(true);
        }
        let reply = Reply::json(200, &self.decorated(body)).noted(known.status.word());
        let wait = self.variants.poll_retry_after;
        Ok(self.wait(office, reply, wait.filter(|_| known.validation.is_some())))
    }

    /// A challenge that clients of http-01 and dns-01 ignore.
    fn with_oddities(&self, mut challenge: Value) -> Value {
        if self.variants.odd_members && challenge["type"] == Kind::DnsPersist01.word() {
            challenge["url"] = json!("");
            challenge["token"] = json!(7);
            challenge["error"] = json!("none");
        }
        challenge
    }
}
