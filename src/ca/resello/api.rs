//! The calls of the purchase API (purchase API reference 4), one function each, without decisions.

use std::collections::BTreeSet;

use data_encoding::BASE64;
use jiff::Timestamp;
use reqwest::Method;
use reqwest::header::ACCEPT;
use serde_json::{Value, json};
use url::Url;

use super::super::Exchange;
use super::super::http::{Http, Request, Response};
use super::envelope::{self, Reply};
use super::order::{Order, OrderKind};
use super::plan::{self, Plan};
use super::settings::{PlanChoice, Settings};
use crate::failure::{Failure, FailureKind};
use crate::pki::Csr;
use crate::secret::Secret;

/// One use of the API, with the credentials of this moment.
pub(super) struct Api<'a> {
    http: Http,
    settings: &'a Settings,
    key: Secret,
    now: Timestamp,
}

/// What a download brought.
#[derive(Debug)]
pub(super) enum File {
    /// These bytes.
    Bytes(Vec<u8>),
    /// The CA has no such file now; its words.
    NotYet(String),
}

impl<'a> Api<'a> {
    /// Reads the key; nothing is sent yet.
    pub fn open(settings: &'a Settings, now: Timestamp) -> Result<Self, Failure> {
        let key = settings
            .api_key
            .read()
            .map_err(|error| Failure::new(FailureKind::Local, "read `api_key`", error))?;
        Ok(Self {
            http: Http::new(&settings.trust, settings.timeout)?,
            settings,
            key,
            now,
        })
    }

    /// `GET /ssl-certificate/{id}`; `None`: the CA says that there is none.
    pub async fn order(&self, id: &str) -> Result<Option<Order>, Failure> {
        let answer = self.get(&[CERTIFICATE, id], &[]).await?;
        match envelope::read(&answer, false, self.now)? {
            Reply::Missing(_) => Ok(None),
            Reply::Done(body) => result(&body)
                .and_then(Order::read)
                .map(Some)
                .ok_or_else(|| no_order(&answer)),
        }
    }

    /// `GET /ssl-certificate?client_reference=`, every page. Whether the CA looks for a part of it or ignores it is not
    /// known: the caller compares.
    pub async fn orders(&self, client_reference: &str) -> Result<Vec<Order>, Failure> {
        let filter = [("client_reference", client_reference)];
        self.list(CERTIFICATE, &filter, |item| {
            let order = Order::read(item)?;
            Some((order.id.clone(), order))
        })
        .await
    }

    /// The plan that the settings name.
    pub async fn plan(&self) -> Result<Plan, Failure> {
        let filter = match &self.settings.plan {
            PlanChoice::Id(id) => ("id", id.as_str()),
            PlanChoice::Name(name) => ("name", name.as_str()),
        };
        let plans = self.plans_by(&[filter]).await?;
        if plans.is_empty() {
            // What there is instead, says the whole list.
            return plan::choose(self.plans().await?, &self.settings.plan);
        }
        plan::choose(plans, &self.settings.plan)
    }

    /// Every plan that the account may buy.
    pub async fn plans(&self) -> Result<Vec<Plan>, Failure> {
        self.plans_by(&[]).await
    }

    /// Places an order: this costs money. The id of the order.
    pub async fn place(&self, kind: &OrderKind, body: &Value) -> Result<String, Failure> {
        let segments: &[&str] = match kind {
            OrderKind::Buy => &[CERTIFICATE],
            OrderKind::Renew(id) => &[CERTIFICATE, id, "renew"],
            OrderKind::Reissue(id) => &[CERTIFICATE, id, "reissue"],
        };
        let call = Request::lasting(Method::POST, self.url(segments, &[])?);
        let answer = self.send(call, Some(body)).await?;
        let body = envelope::read(&answer, true, self.now)?.done()?;
        // A renewal may get an id of its own (purchase API reference 4.3).
        match (result(&body).and_then(Order::read), kind) {
            (Some(order), _) => Ok(order.id),
            (None, OrderKind::Renew(id) | OrderKind::Reissue(id)) => Ok(id.clone()),
            // It went well, but under which id cannot be read: it has to be looked for.
            (None, OrderKind::Buy) => {
                let mut failure = no_order(&answer);
                failure.kind = FailureKind::OutcomeUnknown;
                Err(failure)
            }
        }
    }

    /// `POST /ssl-certificate/{id}/validate`: asks the CA to check the proof now.
    pub async fn validate(&self, id: &str, domain: &str, dcv_type: &str) -> Result<(), Failure> {
        let body = json!({ "domain": domain, "dcv_type": dcv_type });
        // It may be asked for again at any time, so it does not matter whether a lost answer was a yes.
        let call = Request::reading(Method::POST, self.url(&[CERTIFICATE, id, "validate"], &[])?);
        let answer = self.send(call, Some(&body)).await?;
        envelope::read(&answer, false, self.now)?.done()?;
        Ok(())
    }

    /// `GET /ssl-certificate/{id}/validation-details`; `None`: there are none yet.
    pub async fn validation_details(&self, id: &str) -> Result<Option<Value>, Failure> {
        let answer = self
            .get(&[CERTIFICATE, id, "validation-details"], &[])
            .await?;
        if let Ok(body) = answer.json()
            && answer.status == 200
            && !envelope::is_error(&body)
        {
            // The shape is not known: there may be no envelope.
            return Ok(Some(result(&body).cloned().unwrap_or(body)));
        }
        match envelope::read(&answer, false, self.now) {
            Ok(Reply::Done(body)) => Ok(Some(body)),
            Ok(Reply::Missing(_)) => Ok(None),
            Err(failure) if failure.kind == FailureKind::Refused => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// The request that an order holds now; `None`: it shows none.
    pub async fn csr(&self, id: &str) -> Result<Option<Csr>, Failure> {
        let (answer, file) = self.fetch(id, "download-csr").await?;
        match file {
            File::NotYet(_) => Ok(None),
            File::Bytes(bytes) => Csr::parse(&bytes)
                .map(Some)
                .map_err(|error| answer.failure(FailureKind::Unexpected, error)),
        }
    }

    /// `GET /ssl-certificate/{id}/{name}`, such as `download-crt`.
    pub async fn download(&self, id: &str, name: &str) -> Result<File, Failure> {
        self.fetch(id, name).await.map(|(_, file)| file)
    }

    /// `DELETE /ssl-certificate/{id}`: the certificate is disabled at once. `false`: there is no such order.
    pub async fn delete(&self, id: &str) -> Result<bool, Failure> {
        let call = Request::lasting(Method::DELETE, self.url(&[CERTIFICATE, id], &[])?);
        let answer = self.send(call, None).await?;
        let has_no_words = answer.status < 300 && answer.body.trim_ascii().is_empty();
        Ok(has_no_words || matches!(envelope::read(&answer, true, self.now)?, Reply::Done(_)))
    }

    /// The beginnings of answers that differ from site to site, as they came.
    pub async fn probe(&self) -> Result<Vec<Exchange>, Failure> {
        let mut exchanges = Vec::new();
        for segment in [PLAN, CERTIFICATE] {
            let query = [("limit", "1"), ("offset", "0")];
            let answer = self.get(&[segment], &query).await?;
            exchanges.push(Exchange {
                call: answer.call.clone(),
                answer: format!("HTTP {}: {}", answer.status, answer.evidence()),
            });
        }
        Ok(exchanges)
    }

    async fn plans_by(&self, filter: &[(&str, &str)]) -> Result<Vec<Plan>, Failure> {
        self.list(PLAN, filter, |item| {
            let plan = Plan::read(item)?;
            Some((plan.id.clone(), plan))
        })
        .await
    }

    /// Every page of a list, or a failure: what is not on a page that was read must surely not be there. `read` gives
    /// an item's id with it.
    async fn list<T: Send>(
        &self,
        segment: &str,
        filter: &[(&str, &str)],
        read: impl Fn(&Value) -> Option<(String, T)> + Send + Sync,
    ) -> Result<Vec<T>, Failure> {
        let (mut found, mut ids) = (Vec::new(), BTreeSet::new());
        for _ in 0..MOST_PAGES {
            let offset = found.len().to_string();
            let mut query = filter.to_vec();
            query.extend([("limit", PAGE), ("offset", &offset)]);
            let answer = self.get(&[segment], &query).await?;
            let body = envelope::read(&answer, false, self.now)?.done()?;
            let before = found.len();
            for item in page(&answer, &body)? {
                let (id, item) = read(item).ok_or_else(|| no_order(&answer))?;
                if ids.insert(id) {
                    found.push(item);
                }
            }
            if found.len() > MOST_SEEN {
                break;
            }
            let total = body.get("total").and_then(Value::as_u64);
            let whole = total.map(|total| u64::try_from(found.len()).is_ok_and(|n| n >= total));
            match (whole, found.len() > before) {
                (Some(true), _) | (None, false) => {
                    return Ok(found);
                }
                (Some(false) | None, true) => {}
                (Some(false), false) => return Err(incomplete(&answer, found.len(), total)),
            }
        }
        let call = format!("GET /{segment}");
        Err(Failure::new(
            FailureKind::Unexpected,
            call,
            format!("the list has no end, or more than {MOST_SEEN} entries"),
        ))
    }

    async fn fetch(&self, id: &str, name: &str) -> Result<(Response, File), Failure> {
        let answer = self.get(&[CERTIFICATE, id, name], &[]).await?;
        let json = serde_json::from_slice::<Value>(&answer.body).ok();
        let is_error = json.as_ref().is_some_and(envelope::is_error);
        let is_bare = answer.body.trim_ascii().is_empty() || answer.status == 404;
        if answer.status < 300 && !is_error && !is_bare {
            if answer.is_html() {
                // Its words say whose page it is.
                answer.json()?;
            }
            let bytes = answer.body.clone();
            return Ok((answer, File::Bytes(bytes)));
        }
        let not_yet = match envelope::read(&answer, false, self.now) {
            Ok(Reply::Missing(failure)) => failure.detail,
            Err(failure) if failure.kind == FailureKind::Refused => failure.detail,
            _ if is_bare && (answer.status < 300 || answer.status == 404) => answer.evidence(),
            Ok(Reply::Done(_)) => answer.evidence(),
            Err(failure) => return Err(failure),
        };
        Ok((answer, File::NotYet(not_yet)))
    }

    async fn get(&self, segments: &[&str], query: &[(&str, &str)]) -> Result<Response, Failure> {
        let call = Request::reading(Method::GET, self.url(segments, query)?);
        self.send(call, None).await
    }

    async fn send(&self, call: Request, body: Option<&Value>) -> Result<Response, Failure> {
        let (user, key) = (&self.settings.user, self.key.expose());
        let on_the_wire = Secret::new(BASE64.encode(format!("{user}:{key}").as_bytes()));
        let call = call.with_secret(&self.key).with_secret(&on_the_wire);
        self.http
            .send(call, |request| {
                let request = request.basic_auth(user, Some(key)).header(ACCEPT, "*/*");
                match body {
                    Some(body) => request.json(body),
                    None => request,
                }
            })
            .await
    }

    /// Each segment and value is encoded: a "#" in a reference would cut the rest of it off.
    fn url(&self, segments: &[&str], query: &[(&str, &str)]) -> Result<Url, Failure> {
        let mut url = self.settings.url.clone();
        url.path_segments_mut()
            .map_err(|()| Failure::new(FailureKind::Local, "`url`", "nothing can be below it"))?
            .pop_if_empty()
            .extend(segments);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }
}

fn result(body: &Value) -> Option<&Value> {
    body.get("result").filter(|result| !result.is_null())
}

fn page<'v>(answer: &Response, body: &'v Value) -> Result<&'v [Value], Failure> {
    if let Some(Value::Array(items)) = result(body) {
        return Ok(items);
    }
    let detail = format!("no list came: {}", answer.evidence());
    Err(answer.failure(FailureKind::Unexpected, detail))
}

fn no_order(answer: &Response) -> Failure {
    let detail = format!("no object with an `id` came: {}", answer.evidence());
    answer.failure(FailureKind::Unexpected, detail)
}

fn incomplete(answer: &Response, found: usize, total: Option<u64>) -> Failure {
    let detail = format!(
        "the list says that it has {} entries and gives {found}",
        total.unwrap_or_default()
    );
    answer.failure(FailureKind::Unexpected, detail)
}

const CERTIFICATE: &str = "ssl-certificate";
const PLAN: &str = "ssl-certificate-plan";
/// Entries on a page, as in the one sample (purchase API reference 3).
const PAGE: &str = "100";
const MOST_PAGES: usize = 1000;
const MOST_SEEN: usize = 10_000;
