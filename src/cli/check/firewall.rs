//! What `check --online` looks at on one firewall.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Findings;
use crate::config::ManagedFirewall;
use crate::env::Env;
use crate::failure::Failure;
use crate::firewall::{self, Firewall, Identity, KnownDevice};
use crate::inventory::Endpoint;
use crate::transfer::{self, Choice, Protocol, Transfers};

/// One firewall, and what is needed to look at it.
pub(super) struct Check<'a> {
    pub name: &'a str,
    pub managed: &'a ManagedFirewall,
    pub known: KnownDevice<'a>,
    pub env: &'a Env,
    pub transfers: &'a Transfers,
    /// Certificates for its web management whose key pair is made on it.
    pub management_certificates: Vec<&'a str>,
    /// Where to keep the device's own specification.
    pub specification: Option<PathBuf>,
}

impl Check<'_> {
    /// Logs in, looks and logs out.
    pub async fn run(&self, findings: &mut Findings) {
        let settings = &self.managed.settings;
        let session = firewall::connect(settings, &self.known, self.env, self.transfers).await;
        let mut session = match session {
            Ok(session) => session,
            Err(failure) => return findings.wrong(&self.what(), &failure.to_string()),
        };
        let looked = self.check(session.as_mut(), findings).await;
        let closed = session.close().await;
        if let Err(failure) = looked.and(closed) {
            findings.wrong(&self.what(), &failure.to_string());
        }
    }

    fn what(&self) -> String {
        format!("firewall {}", self.name)
    }

    async fn check(
        &self,
        session: &mut dyn Firewall,
        findings: &mut Findings,
    ) -> Result<(), Failure> {
        let identity = session.identify().await?;
        self.report_identity(&identity, findings);
        let objects = session.installed().await?;
        let names: Vec<&str> = objects.iter().map(|object| object.alias.as_str()).collect();
        let names = match names.as_slice() {
            [] => "none".to_owned(),
            names => names.join(", "),
        };
        let what = self.what();
        findings.good(&what, &format!("its certificates and requests: {names}"));
        match session.pending_changes_of_others().await? {
            None => findings.good(&what, "no uncommitted changes"),
            Some(changes) => findings.wrong(
                &what,
                &format!(
                    "uncommitted changes by {}: {}; a renewal would wait for them",
                    changes.by, changes.summary
                ),
            ),
        }
        if let Some(transfers) = self.managed.settings.transfers_of(&identity) {
            self.check_transfers(transfers, findings).await;
        }
        match &self.specification {
            Some(file) => self.keep_specification(session, file, findings).await,
            None => Ok(()),
        }
    }

    fn report_identity(&self, identity: &Identity, findings: &mut Findings) {
        let what = self.what();
        findings.good(
            &what,
            &format!(
                "{}, {}, serial number {}",
                identity.model, identity.firmware, identity.serial
            ),
        );
        let reported =
            |text: &Option<String>| text.clone().unwrap_or("not reported by the device".into());
        let privilege = reported(&identity.privilege);
        findings.good(&what, &format!("rights of the login: {privilege}"));
        let clock = reported(&identity.system_time);
        let now = self.env.clock.now();
        findings.good(&what, &format!("its clock: {clock}; ours: {now:.0}"));
        for quirk in &identity.quirks {
            findings.good(&what, quirk);
        }
        if firewall::sonicos::is_managed_centrally(&identity.quirks) {
            super::warn(&what, MANAGED_CENTRALLY);
        }
    }

    /// How a device that brings and fetches its files itself would reach us.
    async fn check_transfers(&self, settings: &transfer::Settings, findings: &mut Findings) {
        let what = format!("{}, transfers", self.what());
        match self.address_for_transfers(settings).await {
            Ok(words) => findings.good(&what, &words),
            Err(words) => findings.wrong(&what, &words),
        }
        for certificate in &self.management_certificates {
            super::warn(
                &what,
                &format!("certificate {certificate}: {NOT_AUTHENTICATED}"),
            );
        }
        if settings.protocol == Choice::Only(Protocol::Ftp) {
            return;
        }
        match self.transfers.host_keys().await {
            Ok(keys) => {
                for key in keys {
                    let words = format!("host key {} {}", key.algorithm, key.fingerprint);
                    findings.good(&what, &words);
                }
            }
            Err(failure) => findings.wrong(&what, &failure.to_string()),
        }
    }

    /// The address that the device would get, and from where it is expected.
    async fn address_for_transfers(&self, settings: &transfer::Settings) -> Result<String, String> {
        let management = self.managed.settings.management();
        let management = management.ok_or("the firewall has no address")?;
        let firewall = resolved(&management).await;
        let firewall = firewall.map_err(|error| format!("{management}: {error}"))?;
        let reported =
            transfer::advertised_address(settings, firewall).map_err(|error| error.to_string())?;
        let peer = settings.source_address.unwrap_or(firewall.ip());
        Ok(format!(
            "it connects to {reported}, and must come from {peer}"
        ))
    }

    async fn keep_specification(
        &self,
        session: &mut dyn Firewall,
        file: &Path,
        findings: &mut Findings,
    ) -> Result<(), Failure> {
        let what = self.what();
        let Some(specification) = session.specification().await? else {
            findings.good(&what, "it serves no specification of its API");
            return Ok(());
        };
        let size = specification.len();
        match write_new(file, &specification) {
            Ok(()) => {
                let words = format!("its specification is in {} ({size} bytes)", file.display());
                findings.good(&what, &words);
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let words = "exists already and is not overwritten: name another file";
                findings.wrong(&what, &format!("{} {words}", file.display()));
            }
            Err(error) => findings.wrong(&what, &format!("{}: {error}", file.display())),
        }
        Ok(())
    }
}

/// `file` with the name of a firewall before its extension: `openapi-hq.json`.
pub(super) fn file_of(file: &Path, firewall: &str) -> PathBuf {
    let mut name = file.file_stem().unwrap_or_default().to_owned();
    name.push("-");
    name.push(firewall);
    if let Some(extension) = file.extension() {
        name.push(".");
        name.push(extension);
    }
    file.with_file_name(name)
}

async fn resolved(endpoint: &Endpoint) -> io::Result<SocketAddr> {
    let looking = tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port));
    let mut addresses = tokio::time::timeout(LOOKUP_LIMIT, looking).await??;
    let nothing = || io::Error::new(ErrorKind::NotFound, "the name has no address");
    addresses.next().ok_or_else(nothing)
}

/// See the threat model, "On the path of a file transfer".
const NOT_AUTHENTICATED: &str = "its request and its certificate go over a transfer that the firewall does not authenticate. An attacker who \
                                 controls both this path and the path of the login can pass for the management page. Keep both in a \
                                 network that you trust, or set `key = { origin = \"renewd\" }`";
const MANAGED_CENTRALLY: &str = "a central management (GMS, NSM) has this firewall and keeps a copy of its configuration: after each \
                                 renewal let it acquire the device again, or it may push the previous certificate back";
const LOOKUP_LIMIT: Duration = Duration::from_secs(10);

fn write_new(file: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(file)?;
    file.write_all(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_firewall_stands_before_the_extension() {
        let of = |file: &str| file_of(Path::new(file), "hq.1");
        assert_eq!(of("/tmp/openapi.json"), Path::new("/tmp/openapi-hq.1.json"));
        assert_eq!(of("openapi"), Path::new("openapi-hq.1"));
    }
}
