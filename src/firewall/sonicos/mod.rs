//! The SonicOS driver, for 6.5, 7.0, 7.1, 7.2, 7.3 and 8.
//!
//! This file contains each call as a procedure; the other files of the folder contain the parts. The driver does not
//! wait, retry or decide. A request is sent twice only when the device reported that it did not perform it, in the
//! form that the device asks for.

mod binding;
mod challenge;
mod channel;
mod command;
mod console;
mod device_transfer;
mod digest;
mod envelope;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod headers;
mod import;
mod inventory;
mod key_pair;
mod listing;
mod login;
mod login_level;
mod messages;
mod ownership;
mod pending;
mod public_key;
mod quirks;
mod relaxed_json;
mod sentence;
mod settings;
mod signing_request;
mod table;
mod totp;
mod transfer;
mod transfer_variant;
mod transport;
mod try_variants;
mod version;
mod write;

pub use console::{Console, Preempt};
pub use login_level::LoginLevel;
pub use settings::{CommandLine, Login, Settings};
pub use version::carries_files;

use async_trait::async_trait;
use jiff::SignedDuration;
use reqwest::Method;

use super::{Binding, Firewall, Identity, InstalledObject, KnownDevice, PendingChangesOfOthers};
use crate::body::Limits;
use crate::env::Env;
use crate::failure::{Failure, FailureKind};
use crate::inventory::Service;
use crate::pki::{Certificate, Fingerprint, KeyBundle, KeyRequest};
use crate::transfer::Transfers;

use channel::Channel;
use envelope::Reply;
use login_level::Floor;
use ownership::Ours;
use pending::Pending;
use quirks::Quirks;
use transfer::Upload;
use transport::{Request, Transport, segment};
use version::{Generation, Version};
use write::Writer;

/// Whether a device that showed these quirks is under a central management, which keeps a copy of its configuration.
pub fn is_managed_centrally(quirks: &[String]) -> bool {
    quirks
        .iter()
        .any(|quirk| quirk.split_once('=') == Some((MANAGEMENT, CENTRAL)))
}

/// A session with a SonicOS device. It must be closed, or the device keeps it until its idle timeout.
#[derive(Debug)]
pub struct Session {
    settings: Settings,
    transfers: Transfers,
    writer: Writer,
    version: Version,
    generation: Generation,
    upload: Upload,
    /// What the services used at the last look, until something is changed: what a bind would put back.
    bound: Option<Vec<Binding>>,
}

impl Session {
    /// Logs in and identifies the device. After a failure there is no session left, unless the failure says that there
    /// may be one.
    ///
    /// # Errors
    /// `Untrusted` before anything is sent; `Unauthorized` after exactly one failed login; `Refused` for a device
    /// that this driver does not serve.
    pub async fn open(
        settings: &Settings,
        known: &KnownDevice<'_>,
        env: &Env,
        transfers: &Transfers,
    ) -> Result<Self, Failure> {
        let transport = Transport::new(settings, known)?;
        let password = login::read(&settings.password)?;
        let mut channel = Channel::new(transport, &settings.user, password, env.random.clone());
        let learned = Quirks::known(known.quirks);
        channel.floor = Floor::of(settings, learned.learned_default(quirks::LOGIN));
        let clock = env.clock.as_ref();
        let welcome = match login::log_in(&mut channel, settings, known, clock).await {
            Ok(welcome) => welcome,
            Err(failure) => return Err(leave(&mut channel, failure).await),
        };
        let preempt = settings.preempt_idle_administrator;
        let is_managed_centrally = welcome.is_managed_centrally;
        let mut session = Self {
            settings: settings.clone(),
            transfers: transfers.clone(),
            upload: Upload::remembered(learned.learned_default(quirks::IMPORT)),
            writer: Writer::new(channel, welcome, preempt, learned),
            version: Version::default(),
            generation: Generation::Eight,
            bound: None,
        };
        if let Err(failure) = session.recognise().await {
            return Err(leave(&mut session.writer.channel, failure).await);
        }
        if is_managed_centrally {
            session.note(MANAGEMENT, CENTRAL.to_owned());
        }
        // A peer that wanted no password does not lower what the next login must have.
        if let Some(login) = session.writer.channel.login().map(str::to_owned) {
            session.note(quirks::LOGIN, login);
        }
        Ok(session)
    }

    /// Looks which device it is, and refuses one that this driver does not serve.
    async fn recognise(&mut self) -> Result<(), Failure> {
        let call = Request::get("/version");
        let json = match self.writer.channel.ask_json(&call).await {
            Err(failure) if failure.kind == FailureKind::Refused => {
                // Some users' logins do not lead straight to management (SonicOS reference 1.4).
                if !self.writer.channel.start_management().await? {
                    return Err(failure);
                }
                self.writer.channel.ask_json(&call).await?
            }
            outcome => outcome?,
        };
        self.version = Version::of(&json);
        let generation = self.version.generation();
        self.generation =
            generation.map_err(|reason| call.failure(FailureKind::Refused, reason))?;
        self.writer.generation = self.generation;
        Ok(())
    }

    /// Which certificate one service uses.
    async fn binding(&mut self, service: Service) -> Result<Binding, Failure> {
        let call = Request::get(binding::path(service, self.generation));
        let json = self.writer.channel.ask_json(&call).await?;
        let binding = binding::read(service, &json).ok_or_else(|| {
            let detail = "the settings name no certificate where the reference says they do";
            call.failure(FailureKind::Unexpected, detail)
        })?;
        let length = binding.alias.as_ref().map_or(0, String::len);
        if length > LONGEST_ALIAS_BYTES {
            let detail = format!("a certificate's name has {length} bytes");
            return Err(call.failure(FailureKind::Unexpected, detail));
        }
        Ok(binding)
    }

    /// Everything about this certificate is ours to commit.
    fn ours(&self, alias: &str) -> Ours {
        Ours {
            aliases: vec![alias.to_owned()],
            ..self.writer.nothing()
        }
    }

    fn note(&mut self, quirk: &'static str, value: String) {
        self.writer.quirks.note(quirk, value);
    }
}

#[async_trait]
impl Firewall for Session {
    async fn identify(&mut self) -> Result<Identity, Failure> {
        Ok(Identity {
            privilege: self.writer.privilege.clone(),
            quirks: self.writer.quirks.to_words(),
            ..self.version.identity.clone()
        }
        .bounded())
    }

    async fn installed(&mut self) -> Result<Vec<InstalledObject>, Failure> {
        let mut objects = Vec::new();
        for row in self.rows().await? {
            objects.extend(self.object(row).await?);
        }
        Ok(objects)
    }

    async fn is_absent(&mut self, alias: &str) -> Result<bool, Failure> {
        match self.detail(alias).await {
            Ok(_) => Ok(false),
            Err(failure) if is_refusal(&failure, messages::is_missing) => Ok(true),
            // It cannot be asked for one certificate.
            Err(failure) if is_refusal(&failure, messages::is_unknown) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    async fn generate_csr(&mut self, alias: &str, request: &KeyRequest) -> Result<(), Failure> {
        let call = Request::change(Method::POST, "/certificates/generate-signing-request").slow();
        let body = signing_request::body(alias, request);
        let call = match body {
            Ok(body) => call.json(&body),
            Err(problem) => return Err(call.failure(FailureKind::Local, problem)),
        };
        let generated = self.writer.change(&call, self.ours(alias)).await;
        generated.map_err(|failure| match failure.kind {
            FailureKind::Refused => advised(failure, alias),
            _ => failure,
        })
    }

    async fn export_csr(&mut self, alias: &str) -> Result<Vec<u8>, Failure> {
        if self.generation.carries_files() {
            return self.have_request_brought(alias).await;
        }
        match self.download_request(alias).await {
            Err(failure) if is_refusal(&failure, messages::is_unknown_call) => {
                self.have_request_brought(alias).await
            }
            outcome => outcome,
        }
    }

    async fn import_chain(&mut self, chain: &[Certificate]) -> Result<(), Failure> {
        for certificate in chain {
            match self.import_authority(certificate).await {
                Err(failure) if is_refusal(&failure, messages::is_already_there) => {}
                outcome => outcome?,
            }
        }
        Ok(())
    }

    async fn import_signed(&mut self, alias: &str, leaf: &Certificate) -> Result<(), Failure> {
        if self.generation.carries_files() {
            let fetched = self.have_signed_fetched(alias, leaf).await;
            return fetched.map_err(import::of_signed);
        }
        let path = named("/import/certificates/signed-cert/name/", alias)?;
        let file_name = format!("{}.pem", segment(alias).unwrap_or_default());
        let (pem, ours) = (leaf.to_pem(), self.ours(alias));
        let imported = match self.upload(&path, &file_name, &pem, ours).await {
            Ok(Some(refused)) => {
                let fetched = self.have_signed_fetched(alias, leaf).await;
                fetched.map_err(|failure| import::after_uploads(&refused, failure))
            }
            Ok(None) => Ok(()),
            Err(failure) => Err(failure),
        };
        imported.map_err(import::of_signed)
    }

    async fn import_key_pair(&mut self, alias: &str, bundle: &KeyBundle) -> Result<(), Failure> {
        self.import_pkcs12(alias, bundle).await
    }

    async fn mismatches(
        &mut self,
        alias: &str,
        leaf: &Certificate,
    ) -> Result<Vec<String>, Failure> {
        match self.detail(alias).await {
            // What the device has no words for contradicts nothing.
            Err(failure) if is_refusal(&failure, messages::is_unknown) => Ok(Vec::new()),
            reported => Ok(listing::mismatches(&reported?, leaf)),
        }
    }

    fn also_accept(&mut self, fingerprint: Fingerprint) {
        self.writer.channel.also_accept(fingerprint);
    }

    async fn bindings(&mut self) -> Result<Vec<Binding>, Failure> {
        let mut bindings = vec![self.binding(Service::WebManagement).await?];
        match self.binding(Service::SslVpn).await {
            Ok(binding) => bindings.push(binding),
            // A device without the service has no call for it either.
            Err(failure) if is_refusal(&failure, messages::is_unknown_call) => {
                self.note("ssl-vpn", "absent".to_owned());
            }
            Err(failure) => return Err(failure),
        }
        self.bound = Some(bindings.clone());
        Ok(bindings)
    }

    async fn bind(&mut self, bindings: &[Binding]) -> Result<(), Failure> {
        let mut wanted = bindings.to_vec();
        // The management certificate last: with auto_commit its change may cut the connection at once.
        wanted.sort_by_key(|binding| binding.service == Service::WebManagement);
        let mut before = match self.bound.take() {
            Some(bound) => bound,
            None => self.bindings().await?,
        };
        self.bound = None;
        before.retain(|before| wanted.iter().any(|wanted| wanted.service == before.service));
        self.writer.bind(&wanted, &before).await
    }

    async fn remove(&mut self, alias: &str) -> Result<(), Failure> {
        let call = Request::change(Method::DELETE, named("/certificates/name/", alias)?);
        let mut lines = vec![
            "certificates".to_owned(),
            format!("no certificate {}", command::quoted(alias)?),
            "exit".to_owned(),
        ];
        let ours = self.ours(alias);
        let removed = self
            .writer
            .change_by_either(quirks::DELETE, &call, &lines, ours);
        let removed = match removed.await {
            Err(failure) if self.has_ssh() && is_refusal(&failure, messages::is_unknown) => {
                lines.push("commit".to_owned());
                self.type_lines(&lines).await.map(|_| ())
            }
            outcome => outcome,
        };
        match removed {
            Err(failure) if is_refusal(&failure, messages::is_missing) => Ok(()),
            Err(mut failure) if is_refusal(&failure, messages::is_in_use) => {
                failure.detail = format!("a service still uses {alias}: {}", failure.detail);
                Err(failure)
            }
            outcome => outcome,
        }
    }

    async fn pending_changes_of_others(
        &mut self,
    ) -> Result<Option<PendingChangesOfOthers>, Failure> {
        let pending = self.writer.pending().await?;
        if matches!(pending, Pending::Nothing | Pending::Unsaid) {
            return Ok(None);
        }
        let by = self.writer.author(&pending).await;
        Ok(Some(PendingChangesOfOthers {
            by,
            summary: pending.summary(),
        }))
    }

    async fn specification(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let call = Request::get("/openapi")
            .accept_anything()
            .within(SPECIFICATION)
            .slow();
        let answer = self.writer.channel.exchange(&call).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        // It is kept as it is: no tree is made of megabytes.
        match envelope::judge(&call, &answer.beginning(LONGEST_REFUSAL_BYTES)) {
            Ok(Reply { envelope: None, .. }) if !answer.body.is_empty() => Ok(Some(answer.body)),
            Ok(_) => Ok(None),
            Err(failure) if is_refusal(&failure, messages::is_unknown_call) => Ok(None),
            Err(failure) => Err(self.writer.channel.without_secrets(failure)),
        }
    }

    async fn close(mut self: Box<Self>) -> Result<(), Failure> {
        let given_back = self.writer.leave().await;
        login::log_out(&mut self.writer.channel).await?;
        given_back
    }
}

/// A call about one certificate.
fn named(path: &str, alias: &str) -> Result<String, Failure> {
    let segment = segment(alias).ok_or_else(|| {
        Failure::new(
            FailureKind::Local,
            path,
            format!("\"{alias}\" cannot be the name of a certificate"),
        )
    })?;
    Ok(format!("{path}{segment}"))
}

fn is_refusal(failure: &Failure, is_about: fn(&str) -> bool) -> bool {
    failure.kind == FailureKind::Refused && is_about(&failure.detail)
}

/// A refused generation, with what can be done about it.
fn advised(mut failure: Failure, alias: &str) -> Failure {
    if let Some(advice) = messages::alias_advice(alias, &failure.detail) {
        failure.detail = format!("{advice}; the device said: {}", failure.detail);
    }
    failure
}

/// Logs out after `failure`, which is more interesting than that of the logout.
async fn leave(channel: &mut Channel, failure: Failure) -> Failure {
    if !channel.is_proven() {
        return failure;
    }
    match login::log_out(channel).await {
        Ok(()) => failure,
        Err(error) => {
            tracing::debug!(%error, "the device keeps our session until its idle timeout");
            failure.leaving_session()
        }
    }
}

/// In the quirks: that a central management has the device, such as NSM (SonicOS reference 6.13).
const MANAGEMENT: &str = "management";
const CENTRAL: &str = "central";
/// A device takes names of 31 characters (SonicOS reference 3.2); this leaves room.
const LONGEST_ALIAS_BYTES: usize = 512;
const KEY_GENERATION_WAIT: SignedDuration = SignedDuration::from_secs(3);
/// That of 7.0.1 has some megabytes.
const SPECIFICATION: Limits = Limits {
    bytes: 16 << 20,
    weight: None,
};
/// The part of it that could be a refusal instead.
const LONGEST_REFUSAL_BYTES: usize = 16 << 10;
