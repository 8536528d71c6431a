//! The device: all state behind the answers, and the way of one request through it.
//!
//! Everything here is synchronous and done under one lock: a firewall does one thing at a time. Nothing here waits,
//! opens a socket or reads a clock other than the device's.

use std::sync::Arc;

use serde_json::json;

use super::auth::Gatekeeper;
use super::binding::Bindings;
use super::calls::{endpoints, is_a_write};
use super::certificates::Store;
use super::decorate::Finished;
use super::pending::Change;
use super::rules::Rules;
use super::server::PortCertificate;
use super::session::{Holder, Session};
use super::settings::Settings;
use super::switch::Specification;
use super::transfer_request::{Continuation, TransferFaults, TransferStep};
use super::wire::{Handled, Refusal, Reply, Request, without_credentials};
use super::{Counters, Variants};
use crate::faulty_connections::FaultyConnections;
use crate::rng::Rng;

/// One firewall.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) settings: Settings,
    pub(super) variants: Variants,
    pub(super) rng: Rng,
    pub(super) counters: Counters,
    pub(super) journal: Vec<String>,
    pub(super) rules: Rules,
    /// The texts sent by [`super::Action::Echo`].
    pub(super) echoed: Vec<String>,
    pub(super) connections: FaultyConnections,
    pub(super) transfer_faults: TransferFaults,
    pub(super) gatekeeper: Gatekeeper,
    pub(super) session: Option<Session>,
    /// The holder of configuration mode (1.4).
    pub(super) mode: Option<Holder>,
    /// Another administrator makes that change at that request.
    pub(super) visitor: Option<(u64, String)>,
    pub(super) certificates: Store,
    /// The committed bindings of the services.
    pub(super) bindings: Bindings,
    /// The uncommitted changes of all administrators.
    pub(super) pending: Vec<Change>,
    /// `restart_required` of the envelope.
    pub(super) restart_required: String,
    pub(super) ports: Ports,
    /// Set by a commit that takes the management connections with it.
    pub(super) cut_connections: bool,
    /// Passwords that must not appear in a log.
    pub(super) file_passwords: Vec<String>,
    /// An attacker on the path replaces requests by requests of this key, PKCS#8, with the same names.
    pub(super) attacker_key: Option<Vec<u8>>,
}

/// The certificates that the two services serve now.
#[derive(Debug)]
pub(super) struct Ports {
    pub(super) management: Arc<PortCertificate>,
    pub(super) ssl_vpn: Arc<PortCertificate>,
}

/// The outcome of one request.
#[derive(Debug)]
pub(super) enum Outcome {
    /// This reply is sent.
    Answered(Finished),
    /// It was done, but this connection ends without a reply.
    Lost,
    /// It was done, and every management connection ends.
    AllCut,
    /// Nothing yet: `Device::resume` is called with the outcome of the transfer.
    Transfer(Suspended),
}

/// A request whose transfer is running.
#[derive(Debug)]
pub(super) struct Suspended {
    pub(super) step: Box<TransferStep>,
    /// A nonce that the answer has to hand out.
    pub(super) next_nonce: Option<String>,
}

impl Device {
    /// Processes the request, writes it to the journal, and returns the answer.
    pub(super) fn answer(&mut self, request: &Request) -> Outcome {
        self.expire_idle_session();
        let mut next_nonce = None;
        let handled = self.dispatch(request, &mut next_nonce);
        self.conclude(request, handled, next_nonce, false)
    }

    /// Continues after a transfer. The next step may be another transfer.
    pub(super) fn resume(
        &mut self,
        request: &Request,
        next: Continuation,
        next_nonce: Option<String>,
        handled: Handled,
    ) -> Outcome {
        let handled = next.run(self, handled);
        self.conclude(request, handled, next_nonce, true)
    }

    fn conclude(
        &mut self,
        request: &Request,
        handled: Handled,
        next_nonce: Option<String>,
        carried: bool,
    ) -> Outcome {
        let mut reply = handled.unwrap_or_else(Reply::from);
        if let Some(step) = reply.transfer.take() {
            return Outcome::Transfer(Suspended { step, next_nonce });
        }
        if let Some(nonce) = next_nonce {
            reply = reply.header("Authentication-Info", format!("nextnonce=\"{nonce}\""));
        }
        let mischief = self.mischief(request, &reply, carried);
        let note = mischief.map(str::to_owned).or(reply.note.take());
        let finished = self.finish(request, reply);
        let lost = mischief == Some(LOST) || self.cut_connections;
        let status = if lost {
            "cut".to_owned()
        } else {
            finished.status.to_string()
        };
        self.write_journal(request, &status, note.as_deref());
        match (std::mem::take(&mut self.cut_connections), mischief) {
            (true, _) => Outcome::AllCut,
            (false, Some(LOST)) => Outcome::Lost,
            (false, Some(_)) => {
                Outcome::Answered(self.finish(request, Refusal::new(500, "Internal error").into()))
            }
            (false, None) => Outcome::Answered(finished),
        }
    }

    /// `POST /auth 200 (note)`. The note is ours and holds no secret, but for an URL that the device quotes.
    pub(super) fn write_journal(&mut self, request: &Request, status: &str, note: Option<&str>) {
        let note = note
            .map(|note| format!(" ({})", without_credentials(note)))
            .unwrap_or_default();
        let (method, path) = (&request.method, request.display_path());
        self.journal.push(format!("{method} {path} {status}{note}"));
    }

    pub(super) fn now(&self) -> time::OffsetDateTime {
        (self.settings.now)()
    }

    fn dispatch(&mut self, request: &Request, next_nonce: &mut Option<String>) -> Handled {
        let order_matters = self.variants.header_order_matters;
        if order_matters.unwrap_or(self.is_old()) && !request.accept_comes_first() {
            // guess: the status.
            return Err(Refusal::new(406, "Not acceptable: order of the headers."));
        }
        if self.variants.api_disabled {
            return Err(Refusal::coded(403, "E_DISABLED", "Service disabled."));
        }
        if request.body.len() > self.variants.max_payload as usize {
            return Err(Refusal::new(413, "Payload too large."));
        }
        let segments: Vec<&str> = request.segments.iter().map(String::as_str).collect();
        match (request.method.as_str(), segments.as_slice()) {
            ("GET", []) if self.variants.root_lists_endpoints => return Ok(endpoints()),
            ("GET", ["auth"]) => return Ok(self.challenge_for_chap()),
            ("POST" | "HEAD", ["auth"]) => return self.log_in(request),
            ("POST", ["tfa"]) => return self.log_in_with_totp(request),
            _ => {}
        }
        *next_nonce = match self.admit(request) {
            Ok(next_nonce) => next_nonce,
            Err(reply) => return Ok(*reply),
        };
        self.route(request, &segments)
    }

    fn route(&mut self, request: &Request, segments: &[&str]) -> Handled {
        match (request.method.as_str(), segments) {
            ("DELETE", ["auth"]) => Ok(self.log_out()),
            ("POST", ["start-management"]) => Ok(self.start_management()),
            (method, _) if self.awaits_start_management(method) => {
                match self.variants.start_management_status {
                    401 => Err(Refusal::unauthorized("Unauthorized.")),
                    status => Err(Refusal::new(status, "Management has not been started.")),
                }
            }
            (method, _) if !self.has_call(method, segments) => Err(self.unknown_path(segments)),
            ("POST", ["config-mode"]) => self.enter_configuration_mode(),
            ("POST", ["non-config-mode"]) => Ok(self.leave_configuration_mode()),
            ("GET", ["version"]) => Ok(self.version()),
            ("GET", ["openapi"]) if self.variants.openapi == Specification::Json => {
                Ok(self.specification())
            }
            ("GET", ["config", "pending"] | ["config", "pending", "best-effort"]) => {
                Ok(self.show_pending())
            }
            ("GET", ["reporting", "certificates", rest @ ..]) => self.report(rest),
            ("GET", ["export", "certificates", "signing-request", "name", alias]) => {
                self.export_request(alias)
            }
            ("POST", ["direct", "cli"]) if self.variants.direct_cli => self.run_lines(request),
            ("GET", ["administration", "global"]) => Ok(self.read_administration()),
            ("GET", ["ssl-vpn", "server"] | ["ssl-vpn", "server", "base"]) => {
                Ok(self.read_ssl_vpn())
            }
            _ if is_a_write(&request.method, segments)
                || self.knows_transfer(&request.method, segments) =>
            {
                self.require_configuration_mode(Holder::Api)?;
                let reply = self.write(request, segments)?;
                reply.and_then(self, |device, handled| {
                    let reply = handled?;
                    device.commit_automatically()?;
                    Ok(reply)
                })
            }
            // 1.5: one firmware answers so to a transfer that it knows with another verb or variant.
            (_, ["certificates", "import" | "export", ..])
                if self.is_old() && self.variants.wrong_spelling_status != 400 =>
            {
                Ok(Reply::empty(self.variants.wrong_spelling_status))
            }
            _ => Err(self.unknown_path(segments)),
        }
    }

    fn write(&mut self, request: &Request, segments: &[&str]) -> Handled {
        if let Some(handled) = self.transfer(&request.method, segments) {
            return handled;
        }
        match segments {
            ["config", "pending", ..] if request.method == "POST" => self.commit(),
            ["config", "pending", ..] => Ok(self.discard_pending()),
            ["certificates", "generate-signing-request"] => self.generate(&request.json()?),
            ["certificates", "name", name] => self.delete_certificate(name),
            ["certificates", "ca", hash] => self.delete_authority(hash),
            ["import", "certificates", "ca-cert"] => self.import_authority(request),
            ["import", "certificates", "signed-cert", "name", alias] => {
                self.import_signed(request, alias)
            }
            ["import", "certificates", "cert-key-pair", "name", name] => {
                self.import_key_pair_by_form(request, name)
            }
            [
                "import",
                "certificates",
                "cert-key-pair",
                "name",
                name,
                "password",
                password,
            ] => self.import_key_pair_by_path(request, name, password),
            ["administration", "global"] => self.bind_management(&request.json()?),
            ["ssl-vpn", "server"] | ["ssl-vpn", "server", "base"] => {
                self.bind_ssl_vpn(&request.json()?)
            }
            _ => Err(self.unknown_path(segments)),
        }
    }

    /// 5: a flat object of texts.
    fn version(&self) -> Reply {
        let profile = self.settings.profile;
        Reply::json(json!({
            "firmware_version": profile.firmware(),
            "safemode_version": "SafeMode 7.0.0",
            "rom_version": "5.9.0.1",
            "model": profile.model(),
            "serial_number": SERIAL_NUMBER,
            "system_time": self.date(self.now()),
            "system_uptime": "0 Days 01:02:03",
            "last_modified_by": "admin",
        }))
    }

    /// The random fault of this reply.
    fn mischief(
        &mut self,
        request: &Request,
        reply: &Reply,
        carried: bool,
    ) -> Option<&'static str> {
        let harmless = !request.is_write()
            || reply.status != 200
            || request
                .segments
                .first()
                .is_some_and(|first| first == "auth");
        if harmless {
            None
        } else if (carried && self.variants.transfer_answer_lost)
            || self.rng.one_in(self.variants.lost_answer_one_in)
        {
            Some(LOST)
        } else if self.rng.one_in(self.variants.error_after_applying_one_in) {
            Some("done, but answered with 500")
        } else {
            None
        }
    }
}

/// 5: it may contain hyphens.
pub(super) const SERIAL_NUMBER: &str = "00AA-BBCC-DDEE";

const LOST: &str = "done, but the answer is lost";
