//! Is the certificate that an address presents one that renewd knows? Only a known one decides when a renewal is due;
//! any other is reported, since it may be an attacker's ([ADR 23](../../docs/adr/0023-what-is-presented-is-judged.md)).

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::known_rows;
use crate::ca;
use crate::config::Config;
use crate::firewall::Identity;
use crate::firewall::sonicos::is_managed_centrally;
use crate::inventory::{ManagedCertificate, RenewalId, State, TrackedCertificate, TrackedFirewall};
use crate::pki::{Certificate, Fingerprint, certificates_of_file};
use crate::probe::ProbeResult;
use crate::seal::{SealError, Sealer};
use crate::store::{BoundBefore, KnownCertificate, Store, StoreError, UnconfirmedKey};
use crate::tls::{Anchor, Roots, is_trusted};

/// What may have put an older binding back, and what to do, by what `firewall` said of itself last (SonicOS reference 6.13).
pub fn cause_of_put_back(firewall: &TrackedFirewall) -> String {
    let identity = firewall.identity.as_deref().and_then(Identity::from_json);
    let quirks = identity.map(|identity| identity.quirks).unwrap_or_default();
    let name = &firewall.name;
    if is_managed_centrally(&quirks) {
        format!(
            "most likely by its central management (NSM or GMS), which has {name} and keeps a copy of its configuration that \
             does not know the new binding: let it acquire (synchronize) the configuration of {name} after each renewal, or \
             exclude the certificates of {name} from what it pushes"
        )
    } else {
        format!(
            "by an administrator of {name}, a restored backup, or a central management (NSM or GMS) with an older copy of its \
             configuration: find out which"
        )
    }
}

/// What is known of the certificates of one `[[certificate]]`.
#[derive(Debug)]
pub struct Knowledge<'a> {
    config: &'a Config,
    wanted: &'a ManagedCertificate,
    open_renewal: Option<RenewalId>,
    bound: Vec<BoundBefore>,
    known: Vec<KnownCertificate>,
    forged: Vec<KnownCertificate>,
    /// Keys that were requested at its firewall and that it has not confirmed.
    unconfirmed: Vec<UnconfirmedKey>,
    /// Certificates that may be known, and why they could not be verified.
    unverifiable: Option<(Vec<Fingerprint>, SealError)>,
}

/// What a certificate is to renewd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Familiarity {
    /// renewd bound it, it is pinned, or an operator accepted it.
    Known,
    /// Its chain leads to a trusted CA; from now on it is known.
    KnownByChain,
    /// It is known, but renewd has replaced it by one that is still to be served: an older binding was put back.
    PutBack(String),
    /// None of these; what it is, in words.
    Unknown(String),
}

impl<'a> Knowledge<'a> {
    /// What is known of the certificates of `wanted`, whose row is `row`.
    ///
    /// # Errors
    /// The store's.
    pub async fn of(
        store: &Store,
        config: &'a Config,
        wanted: &'a ManagedCertificate,
        row: &TrackedCertificate,
        sealer: &Sealer,
    ) -> Result<Self, StoreError> {
        let rows = store.known_certificates(&wanted.name).await?;
        let fingerprints = rows.iter().map(|row| row.fingerprint).collect();
        let (known, forged, unverifiable) = match known_rows::verify(sealer, &wanted.name, rows) {
            Ok((known, forged)) => (known, forged, None),
            Err(problem) => (Vec::new(), Vec::new(), Some((fingerprints, problem))),
        };
        Ok(Self {
            config,
            wanted,
            open_renewal: row.open_renewal.clone(),
            bound: store.bound_before(&wanted.name, &wanted.firewall).await?,
            known,
            forged,
            unconfirmed: store.unconfirmed(&wanted.firewall).await?,
            unverifiable,
        })
    }

    /// Certificates that the database names as known, and renewd did not store there.
    pub fn forged(&self) -> &[KnownCertificate] {
        &self.forged
    }

    /// The certificate of a probe result with what it is to renewd; `None` where no readable certificate was presented.
    pub fn judge<'s>(
        &self,
        probed: &'s ProbeResult,
        now: Timestamp,
    ) -> Option<(&'s Certificate, Familiarity)> {
        let ProbeResult::Served(certificate, chain) = probed else {
            return None;
        };
        Some((certificate, self.familiarity(certificate, chain, now)))
    }

    /// Whether renewd itself bound this certificate, as the last one or in the renewal that is open.
    pub fn is_own(&self, fingerprint: &Fingerprint) -> bool {
        let installed = |bound: &&BoundBefore| was_installed(bound.state);
        self.is_open(fingerprint)
            || self
                .bound
                .iter()
                .find(installed)
                .is_some_and(|last| last.fingerprint == *fingerprint)
    }

    fn familiarity(
        &self,
        certificate: &Certificate,
        chain: &[Vec<u8>],
        now: Timestamp,
    ) -> Familiarity {
        let fingerprint = &certificate.fingerprint;
        let current = self
            .bound
            .iter()
            .find(|bound| matches!(bound.state, State::Verified | State::Completed));
        let known = self
            .known
            .iter()
            .find(|one| one.fingerprint == *fingerprint);
        if self.is_open(fingerprint) {
            return Familiarity::Known;
        }
        if let Some(current) = current {
            let is_adopted_since =
                known.is_some_and(|one| one.is_adopted && one.known_at > current.state_since);
            if current.fingerprint == *fingerprint || is_adopted_since {
                return Familiarity::Known;
            }
            if self.was_replaced_by(current, fingerprint) {
                let words = format!(
                    "SHA-256 {fingerprint}, which renewal {} has replaced",
                    current.id
                );
                return Familiarity::PutBack(words);
            }
        }
        let was_bound =
            |bound: &BoundBefore| bound.fingerprint == *fingerprint && was_installed(bound.state);
        if known.is_some()
            || self.bound.iter().any(was_bound)
            || matches!(self.anchor(), Some(Anchor::Pins(pins)) if pins.contains(fingerprint))
        {
            return Familiarity::Known;
        }
        if let Some(renewal) = self.not_installed(certificate) {
            // The server of it has a key that our CA certified, and the firewall has not accepted that certificate.
            return Familiarity::Unknown(format!(
                "SHA-256 {fingerprint}, which renewal {renewal} obtained and has not installed"
            ));
        }
        if self.is_vouched_for(certificate, chain, now) {
            return Familiarity::KnownByChain;
        }
        Familiarity::Unknown(self.words_of_stranger(certificate, chain, now))
    }

    /// The renewal that requested its key or obtained it, and that has not installed it.
    fn not_installed(&self, certificate: &Certificate) -> Option<&RenewalId> {
        let requested = self
            .unconfirmed
            .iter()
            .find(|one| one.public_key == certificate.public_key);
        let obtained = self
            .bound
            .iter()
            .find(|bound| bound.fingerprint == certificate.fingerprint);
        requested
            .map(|one| &one.renewal)
            .or_else(|| obtained.map(|bound| &bound.id))
    }

    fn words_of_stranger(
        &self,
        certificate: &Certificate,
        chain: &[Vec<u8>],
        now: Timestamp,
    ) -> String {
        let fingerprint = &certificate.fingerprint;
        let problem = self.unverifiable.as_ref();
        let problem = problem
            .filter(|(stored, _)| stored.contains(fingerprint))
            .map_or_else(String::new, |(_, problem)| {
                format!("; renewd could not verify whether it is known: {problem}")
            });
        let request = &self.wanted.request;
        let is_public = !self.system_roots_count()
            && is_trusted(certificate, chain, request, Roots::System, now);
        let public = if is_public {
            format!(
                ", by a public CA, which does not count here: the certificates of {} lead to other roots",
                self.wanted.ca
            )
        } else {
            String::new()
        };
        format!(
            "SHA-256 {fingerprint}, {}, issued by {}{public}, valid until {:.0}{problem}",
            certificate.subject, certificate.issuer, certificate.not_after
        )
    }

    /// The renewal under way has put it on the firewall.
    fn is_open(&self, fingerprint: &Fingerprint) -> bool {
        self.bound.iter().any(|bound| {
            Some(&bound.id) == self.open_renewal.as_ref()
                && bound.state != State::Issued
                && bound.fingerprint == *fingerprint
        })
    }

    /// It was served or bound before `current` was.
    fn was_replaced_by(&self, current: &BoundBefore, fingerprint: &Fingerprint) -> bool {
        let is_older = |bound: &&BoundBefore| bound.state_since < current.state_since;
        let before = current.previous_served.as_deref().map_or_else(
            || current.previous_fingerprint.into_iter().collect(),
            previous_fingerprints,
        );
        before.contains(fingerprint)
            || self
                .bound
                .iter()
                .filter(is_older)
                .any(|bound| bound.fingerprint == *fingerprint)
    }

    /// The CA of this certificate, the trust of its firewall, or the system's roots where they count.
    fn is_vouched_for(&self, leaf: &Certificate, chain: &[Vec<u8>], now: Timestamp) -> bool {
        let request = &self.wanted.request;
        let issuers = self.issuers();
        is_trusted(leaf, chain, request, Roots::Certificates(&issuers), now)
            || matches!(self.anchor(), Some(Anchor::Ca(file))
                if is_trusted(leaf, chain, request, Roots::File(file), now))
            || (self.system_roots_count() && is_trusted(leaf, chain, request, Roots::System, now))
    }

    /// By what the firewall is verified.
    fn anchor(&self) -> Option<&Anchor> {
        let firewall = self.config.firewalls.get(&self.wanted.firewall)?;
        Some(&firewall.settings.trust().anchor)
    }

    /// Whether a chain to the system's roots vouches for a certificate: the firewall is verified by them, or the CA of this
    /// certificate may issue below them. An attacker on the path can get a certificate of a public CA for its name within
    /// moments; where the CA has roots of its own, such a certificate is never right.
    fn system_roots_count(&self) -> bool {
        matches!(self.anchor(), Some(Anchor::System)) || self.own_roots().is_empty()
    }

    /// The files of the CA certificates to which everything leads that the CA of this certificate issues.
    fn own_roots(&self) -> Vec<&Path> {
        let ca = &self.wanted.ca;
        let driver = self.config.cas.get(ca).and_then(ca::Settings::own_roots);
        let required = self.config.chain_roots.get(ca).into_iter().flatten();
        driver
            .into_iter()
            .chain(required.map(PathBuf::as_path))
            .collect()
    }

    /// The CA certificates of what was issued before, and those that the configuration names of the CA.
    fn issuers(&self) -> Vec<Certificate> {
        let stored = self
            .bound
            .iter()
            .filter_map(|bound| bound.chain_pem.as_deref())
            .filter_map(|pem| Certificate::all_from_pem(pem).ok());
        let configured = self.own_roots().into_iter().filter_map(|file| {
            let bytes = std::fs::read(file).ok()?;
            Some(certificates_of_file(&bytes).ok()?.certificates)
        });
        let mut issuers: Vec<Certificate> = stored
            .chain(configured)
            .flatten()
            .filter(|certificate| certificate.is_ca)
            .collect();
        issuers.sort_by_key(|issuer| issuer.fingerprint);
        issuers.dedup_by(|a, b| a.fingerprint == b.fingerprint);
        issuers
    }
}

/// Whether the services were pointed at what a renewal in this state obtained.
const fn was_installed(state: State) -> bool {
    !matches!(state, State::Issued | State::Imported)
}

/// What the addresses served before a bind, as it was stored with it.
pub fn previous_fingerprints(previous_served: &str) -> Vec<Fingerprint> {
    PreviousServed::parse_all(previous_served)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|one| one.fingerprint())
        .collect()
}

/// What one address served just before a bind.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PreviousServed {
    /// `HOST:PORT`.
    pub address: String,
    /// SHA-256 of what it served; `None`: it served nothing.
    sha256: Option<String>,
    /// When that certificate ends; `None`: it could not be read, or an earlier renewd stored it.
    #[serde(default)]
    pub not_after: Option<Timestamp>,
    /// Since when it does not answer, where the last probe before the bind reached it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_since: Option<Timestamp>,
}

impl PreviousServed {
    /// What `probed` says of `address`.
    pub fn of(address: String, probed: &ProbeResult) -> Self {
        let (fingerprint, not_after) = match probed {
            ProbeResult::Served(certificate, _) => {
                (Some(certificate.fingerprint), Some(certificate.not_after))
            }
            ProbeResult::Unreadable(fingerprint, _) => (Some(*fingerprint), None),
            ProbeResult::Unreachable(_) => (None, None),
        };
        Self {
            address,
            sha256: fingerprint.map(|fingerprint| fingerprint.to_string()),
            not_after,
            silent_since: None,
        }
    }

    /// The same, with since when it does not answer.
    #[must_use]
    pub fn silent_since(mut self, since: Option<Timestamp>) -> Self {
        self.silent_since = since;
        self
    }

    /// Reads what a row holds.
    ///
    /// # Errors
    /// Of serde: the row is not what renewd wrote.
    pub fn parse_all(json: &str) -> Result<Vec<Self>, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// SHA-256 of what it served; `None`: it served nothing.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.sha256.as_deref()?.parse().ok()
    }
}
