//! The provider that holds the records: its login, and what its failures mean. Secrets are read anew at each use.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use ::dns::{Azure, AzureCloud, Infoblox, Ovh, OvhApi, Problem, Record, TsigKey, Updater};
use data_encoding::BASE64;

use super::record_location::RecordLocation;
use super::{
    Algorithm, AzureEnvironment, OvhEndpoint, Provider, Rfc2136, Settings, Transport, settings,
};
use crate::failure::{Failure, FailureKind};
use crate::inventory::Endpoint;
use crate::secret::{self, Secret, SecretSource};
use crate::tls::{self, Anchor, Trust};

/// A login at the provider.
pub(super) struct Account {
    updater: Updater,
    primary: Option<SocketAddr>,
    provider: &'static str,
    limit: Duration,
    /// Taken out of whatever the provider says.
    secrets: Vec<Secret>,
}

impl Account {
    /// Reads the secrets; a name server's host name is resolved. Nothing is sent to the provider yet.
    pub async fn open(settings: &Settings) -> Result<Self, Failure> {
        let mut opening = Opening {
            limit: settings.timeout,
            primary: None,
            secrets: Vec::new(),
        };
        let updater = opening.updater(&settings.provider).await?;
        Ok(Self {
            updater,
            primary: opening.primary,
            provider: settings.provider.name(),
            limit: settings.timeout,
            secrets: opening.secrets,
        })
    }

    /// The primary name server, where the provider is one.
    pub fn primary(&self) -> Option<SocketAddr> {
        self.primary
    }

    /// Adds a record beside those that are there.
    pub async fn add(&self, place: &RecordLocation, ttl: u32) -> Result<(), Failure> {
        let (name, zone) = (&place.record.name, &place.zone);
        let adding = self.updater.add(name, place.record.wire(), ttl, zone);
        self.done("add", place, adding).await
    }

    /// Puts a record in the place of all of its kind, unless it is the only one.
    pub async fn set(&self, place: &RecordLocation, ttl: u32) -> Result<(), Failure> {
        let (name, zone, record) = (&place.record.name, &place.zone, place.record.wire());
        let listing = self.updater.list(name, &record, zone);
        // A login that cannot list may still set.
        if self
            .done("list", place, listing)
            .await
            .is_ok_and(|there| there == [record.clone()])
        {
            return Ok(());
        }
        let setting = self.updater.set(name, record, ttl, zone);
        self.done("set", place, setting).await
    }

    /// Removes a record and keeps the others.
    pub async fn remove(&self, place: &RecordLocation) -> Result<(), Failure> {
        let (name, zone) = (&place.record.name, &place.zone);
        let removing = self.updater.remove(name, place.record.wire(), zone);
        let removing = async {
            match removing.await {
                Err(Problem::Unknown(_)) => Ok(()),
                outcome => outcome,
            }
        };
        self.done("remove", place, removing).await
    }

    /// Fails where adding a record would fail, as far as a harmless update shows.
    pub async fn rehearse(&self, place: &RecordLocation) -> Result<(), Failure> {
        let RecordLocation { record, zone } = place;
        match self.touch(&record.name, zone).await {
            Ok(()) => Ok(()),
            Err(Problem::Refused(words) | Problem::Unknown(words) | Problem::Unexpected(words))
                if self.primary.is_none() =>
            {
                tracing::debug!(
                    provider = self.provider,
                    words = scrubbed(&self.secrets, &words),
                    "cannot be read, which does not mean that it cannot be written"
                );
                Ok(())
            }
            Err(problem) => Err(self.failure(&format!("try {} in {zone}", record.name), &problem)),
        }
    }

    /// Whether the login is accepted, as far as a harmless update shows.
    pub async fn try_login(&self, zone: Option<&String>) -> Result<String, Failure> {
        let any = zone.map_or(NO_ZONE, String::as_str);
        let name = format!("_acme-challenge.{any}");
        match (self.touch(&name, any).await, zone) {
            (Ok(()), Some(zone)) => Ok(format!("accepted for {zone}")),
            (Ok(()), None) => Ok("accepted".to_owned()),
            // After the login a zone that does not exist can only be refused.
            (Err(Problem::Refused(words) | Problem::Unknown(words)), None) => Ok(format!(
                "not refused; more is known when `zone` names a zone to try (answer: {})",
                scrubbed(&self.secrets, &words)
            )),
            (Err(problem), _) => Err(self.failure(&format!("try {name}"), &problem)),
        }
    }

    /// Uses the login in a way that changes nothing.
    async fn touch(&self, name: &str, zone: &str) -> Result<(), Problem> {
        let record = Record::Txt("a record that renewd never writes".to_owned());
        if self.primary.is_some() {
            // A query carries no signature, and an update that changes nothing does.
            return self.limited(self.updater.remove(name, record, zone)).await;
        }
        let listed = self.limited(self.updater.list(name, &record, zone)).await;
        listed.map(|_| ())
    }

    async fn done<T>(
        &self,
        verb: &str,
        place: &RecordLocation,
        doing: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Failure> {
        let RecordLocation { record, zone } = place;
        let call = format!(
            "{verb} the {} record of {} in {zone}",
            record.kind(),
            record.name
        );
        let outcome = self
            .limited(doing)
            .await
            .map_err(|problem| self.failure(&call, &problem));
        match &outcome {
            Ok(_) => tracing::debug!(call, provider = self.provider, "done"),
            Err(failure) => {
                tracing::debug!(call, provider = self.provider, error.kind = %failure.kind, "not done");
            }
        }
        outcome
    }

    async fn limited<T>(
        &self,
        doing: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        match tokio::time::timeout(self.limit, doing).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Problem::Unreachable(format!(
                "no answer within {:?}",
                self.limit
            ))),
        }
    }

    fn failure(&self, call: &str, problem: &Problem) -> Failure {
        let kind = match problem {
            Problem::Unauthorized(_) => FailureKind::Unauthorized,
            Problem::Refused(_) | Problem::Unknown(_) => FailureKind::Refused,
            Problem::Busy(_) => FailureKind::Busy,
            Problem::Unreachable(_) => FailureKind::Unreachable,
            Problem::Unexpected(_) => FailureKind::Unexpected,
        };
        let words = scrubbed(&self.secrets, problem.words());
        let words = if kind == FailureKind::Unauthorized {
            format!("{words}; see `validation.dns.provider.{}`", self.provider)
        } else {
            words
        };
        Failure::new(kind, format!("{}: {call}", self.provider), words)
    }
}

/// A login in the making.
struct Opening {
    limit: Duration,
    primary: Option<SocketAddr>,
    secrets: Vec<Secret>,
}

impl Opening {
    async fn updater(&mut self, provider: &Provider) -> Result<Updater, Failure> {
        let limit = self.limit;
        if !matches!(provider, Provider::Rfc2136(_)) {
            // Without root certificates dns-update panics instead of saying so.
            tls::client_config(&SYSTEM, &[])?;
        }
        let opened = match provider {
            Provider::Rfc2136(login) => {
                let key = self.tsig_key(login)?;
                let server = resolved(&login.server).await?;
                self.primary = Some(server);
                Updater::rfc2136(server, login.transport == Transport::Udp, key)
            }
            Provider::Cloudflare(token) => Updater::cloudflare(&self.read(token)?, limit),
            Provider::Desec(token) => Updater::desec(&self.read(token)?, limit),
            Provider::Digitalocean(token) => Updater::digitalocean(&self.read(token)?, limit),
            Provider::Hetzner(token) => Updater::hetzner(&self.read(token)?, limit),
            Provider::Gandi(token) => Updater::gandi(&self.read(token)?, limit),
            Provider::Route53(login) => {
                let key = self.read(&login.secret_access_key)?;
                Updater::route53(
                    login.access_key_id.clone(),
                    key,
                    login.hosted_zone_id.clone(),
                )
            }
            Provider::Ovh(login) => Updater::ovh(self.ovh(login)?, limit),
            Provider::Google(login) => {
                let key = self.google(login)?;
                Updater::google(
                    key,
                    login.project.clone(),
                    login.managed_zone.clone(),
                    limit,
                )
            }
            Provider::Azure(login) => Updater::azure(self.azure(login)?, limit),
            Provider::Powerdns(login) => {
                let key = self.read(&login.key)?;
                Updater::powerdns(login.url.as_str(), &key, &login.server_id, limit)
            }
            Provider::Infoblox(login) => Updater::infoblox(self.infoblox(login)?, limit),
            Provider::Exec(_) => Err(Problem::Unexpected("a program has no login".to_owned())),
        };
        opened.map_err(|problem| {
            let call = format!("prepare {}", provider.name());
            Failure::new(
                FailureKind::Local,
                call,
                scrubbed(&self.secrets, problem.words()),
            )
        })
    }

    fn tsig_key(&mut self, settings: &Rfc2136) -> Result<TsigKey, Failure> {
        let text = self.read(&settings.secret)?;
        let secret = BASE64.decode(text.as_bytes()).map_err(|_| {
            let words = "`secret` is not base64: it is what `tsig-keygen` or `keymgr -t` prints as the secret";
            Failure::new(FailureKind::Local, "prepare rfc2136", words)
        })?;
        Ok(TsigKey {
            name: settings.key_name.clone(),
            algorithm: match settings.algorithm {
                Algorithm::HmacSha256 => ::dns::Algorithm::HmacSha256,
                Algorithm::HmacSha384 => ::dns::Algorithm::HmacSha384,
                Algorithm::HmacSha512 => ::dns::Algorithm::HmacSha512,
            },
            secret,
        })
    }

    fn ovh(&mut self, settings: &settings::Ovh) -> Result<Ovh, Failure> {
        Ok(Ovh {
            api: match settings.endpoint {
                OvhEndpoint::Eu => OvhApi::Eu,
                OvhEndpoint::Us => OvhApi::Us,
                OvhEndpoint::Ca => OvhApi::Ca,
            },
            application_key: settings.application_key.clone(),
            application_secret: self.read(&settings.application_secret)?,
            consumer_key: self.read(&settings.consumer_key)?,
        })
    }

    fn azure(&mut self, settings: &settings::Azure) -> Result<Azure, Failure> {
        Ok(Azure {
            cloud: match settings.environment {
                AzureEnvironment::Public => AzureCloud::Public,
                AzureEnvironment::China => AzureCloud::China,
                AzureEnvironment::UsGovernment => AzureCloud::UsGovernment,
            },
            tenant: settings.tenant_id.clone(),
            client: settings.client_id.clone(),
            secret: self.read(&settings.client_secret)?,
            subscription: settings.subscription_id.clone(),
            resource_group: settings.resource_group.clone(),
        })
    }

    fn infoblox(&mut self, settings: &settings::Infoblox) -> Result<Infoblox, Failure> {
        let host = &settings.server.host;
        Ok(Infoblox {
            host: if host.contains(':') {
                format!("[{host}]")
            } else {
                host.clone()
            },
            port: settings.server.port,
            user: settings.user.clone(),
            password: self.read(&settings.password)?,
            view: settings.view.clone(),
        })
    }

    /// The whole key file: its parts are lines.
    fn google(&mut self, settings: &settings::Google) -> Result<String, Failure> {
        let path = &settings.service_account;
        let text = std::fs::read_to_string(path).map_err(|error| {
            let call = format!("read {}", path.display());
            Failure::new(FailureKind::Local, call, error)
        })?;
        self.secrets.push(Secret::new(text.clone()));
        Ok(text)
    }

    fn read(&mut self, source: &SecretSource) -> Result<String, Failure> {
        let secret = source
            .read()
            .map_err(|error| Failure::new(FailureKind::Local, "read a secret", error))?;
        let text = secret.expose().to_owned();
        self.secrets.push(secret);
        Ok(text)
    }
}

fn scrubbed(secrets: &[Secret], words: &str) -> String {
    secret::redact(&crate::sanitize::readable(words), secrets)
}

/// dns-update takes addresses only.
async fn resolved(server: &Endpoint) -> Result<SocketAddr, Failure> {
    let unknown = |words: String| {
        Failure::new(
            FailureKind::Unreachable,
            format!("find the name server {server}"),
            words,
        )
    };
    let looking = tokio::net::lookup_host((server.host.as_str(), server.port));
    tokio::time::timeout(LOOKUP_LIMIT, looking)
        .await
        .map_err(|_| unknown(format!("no answer within {LOOKUP_LIMIT:?}")))?
        .map_err(|error| unknown(error.to_string()))?
        .next()
        .ok_or_else(|| unknown("it has no address".to_owned()))
}

const LOOKUP_LIMIT: Duration = Duration::from_secs(10);

const SYSTEM: Trust = Trust {
    anchor: Anchor::System,
    server_name: None,
};

/// Reserved (RFC 6761, 6.4): this zone cannot exist.
const NO_ZONE: &str = "renewd.invalid";
