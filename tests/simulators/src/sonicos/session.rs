//! The one session, and configuration mode (SonicOS reference 1.3, 1.4). `auth` decides which login gets a session.

use std::net::IpAddr;

use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::Profile;
use super::device::Device;
use super::pending::ChangeKind;
use super::wire::{Handled, Refusal, Reply, Request};

/// An administrator's open session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) source: IpAddr,
    pub(super) token: String,
    last_seen: OffsetDateTime,
    management_started: bool,
}

/// The holder of configuration mode: exactly one administrator (1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    /// The session of the API.
    Api,
    /// An administrator at the web interface.
    Other,
    /// One session of the command line, by its number.
    Console(u32),
}

impl Device {
    /// 1.2: the reply to a successful login, in any scheme. The caller has verified the credentials.
    pub(super) fn open_session(&mut self, request: &Request, with_token: bool) -> Handled {
        self.refuse_one_session_too_many(request)?;
        if self.variants.password_must_change {
            let result = json!({"level": "info", "code": "E_OK", "message": "Success.",
                "auth_code": "API_AUTH_PASSWORD_UPDATE", "config_mode": "No"});
            return Ok(Reply::succeeded(result).noted("the password must be changed first"));
        }
        self.counters.sessions_replaced += u64::from(self.session.is_some());
        self.close_session();
        let session = Session {
            source: request.peer,
            token: self.rng.hex(4),
            last_seen: self.now(),
            management_started: !self.variants.needs_start_management,
        };
        self.take_mode_at_login(request.wants_override());
        self.counters.logins += 1;
        let mut result = json!({
            "level": "info", "code": "E_OK", "message": "Success.",
            "auth_code": "API_AUTH_SUCCESS",
            "privilege": if self.variants.read_only_administrator { "READ_ONLY_ADMIN" } else { "FULL_ADMIN" },
            "config_mode": if self.holds_configuration_mode() { "Yes" } else { "No" },
            "model": self.settings.profile.model(),
        });
        if self.variants.login_reports_holder {
            let (kind, address) = match self.mode {
                None => ("NONE", "0.0.0.0"),
                Some(Holder::Other) => ("WEB", "192.0.2.200"),
                Some(_) => ("API", "127.0.0.1"),
            };
            (result["curr_config_type"], result["curr_config_ip"]) = (json!(kind), json!(address));
        }
        if self.variants.managed_centrally {
            result["is_fw_managed_by_gms_actively"] = json!(true);
        }
        if with_token {
            result["bearer_token"] = json!(session.token);
        }
        self.session = Some(session);
        if self.settings.profile == Profile::V6_5 {
            // 1.2: the reply states nothing but success.
            return Ok(Reply::done("Success."));
        }
        Ok(Reply::succeeded(result))
    }

    /// 1.3: one API session at a time; 503 beyond that. guess: override replaces a session that was left open.
    fn refuse_one_session_too_many(&self, request: &Request) -> Result<(), Refusal> {
        let replaces = request.wants_override() && self.variants.override_replaces_session;
        if self.variants.too_many_sessions || (self.session.is_some() && !replaces) {
            return Err(Refusal::new(503, "Session limit exceeded."));
        }
        Ok(())
    }

    fn take_mode_at_login(&mut self, wants_override: bool) {
        let allowed = !self.variants.login_without_configuration_mode
            && !self.variants.read_only_administrator;
        if allowed && (self.mode.is_none() || wants_override) {
            self.mode = Some(Holder::Api);
        }
    }

    /// Ends the session, if any. 1.4, 2: its uncommitted changes are lost; those of others stay.
    pub(super) fn close_session(&mut self) {
        if self.session.take().is_none() {
            return;
        }
        self.forget(Holder::Api);
    }

    /// 1.4, 2: an ended session loses the mode and its uncommitted changes.
    pub(super) fn forget(&mut self, holder: Holder) {
        self.pending.retain(|change| change.owner != holder);
        if self.mode == Some(holder) {
            self.mode = None;
        }
    }

    pub(super) fn expire_idle_session(&mut self) {
        let limit = Duration::minutes(i64::from(self.variants.idle_logout_minutes));
        let now = self.now();
        if self
            .session
            .as_ref()
            .is_some_and(|session| now - session.last_seen > limit)
        {
            self.close_session();
            self.journal
                .push("- the idle session was closed".to_owned());
        }
    }

    pub(super) fn touch_session(&mut self) {
        let now = self.now();
        if let Some(session) = &mut self.session {
            session.last_seen = now;
        }
    }

    /// 1.2: `DELETE /auth`.
    pub(super) fn log_out(&mut self) -> Reply {
        self.close_session();
        self.counters.logouts += 1;
        Reply::done("Success.")
    }

    pub(super) fn awaits_start_management(&self, method: &str) -> bool {
        let is_let_through = self.variants.start_management_for_writes && method == "GET";
        !is_let_through
            && self
                .session
                .as_ref()
                .is_some_and(|session| !session.management_started)
    }

    /// 1.4.
    pub(super) fn start_management(&mut self) -> Reply {
        if let Some(session) = &mut self.session {
            session.management_started = true;
        }
        Reply::done("Success.")
    }

    /// 1.4: takes the mode from its holder.
    pub(super) fn enter_configuration_mode(&mut self) -> Handled {
        if self.variants.configuration_mode_refused || self.variants.read_only_administrator {
            return Err(Refusal::new(403, "Not allowed in current mode."));
        }
        if self.variants.configuration_mode_kept && self.mode == Some(Holder::Other) {
            // 1.4: with HTTP 200.
            return Err(Refusal::new(200, "Cannot change to config mode"));
        }
        self.mode = Some(Holder::Api);
        Ok(Reply::done("Success."))
    }

    /// 1.4.
    pub(super) fn leave_configuration_mode(&mut self) -> Reply {
        if self.mode == Some(Holder::Api) {
            self.mode = None;
        }
        Reply::done("Success.")
    }

    /// Another administrator starts work at this request: 1.4, exactly one holds configuration mode, and only the holder
    /// can change anything.
    pub(super) fn let_in_visitor(&mut self) {
        let now = self.counters.requests;
        let Some((_, line)) = self.visitor.take_if(|(at, _)| *at <= now) else {
            return;
        };
        self.journal
            .push(format!("- another administrator comes and changes: {line}"));
        self.mode = Some(Holder::Other);
        self.put_pending(ChangeKind::Foreign(line));
    }

    pub(super) fn holds_configuration_mode(&self) -> bool {
        self.mode == Some(Holder::Api)
    }

    /// 1.4: how a write fails without it is a switch.
    pub(super) fn require_configuration_mode(&self, holder: Holder) -> Result<(), Refusal> {
        use super::switch::NonConfigMode::{NonConfigMode405, NotAllowed400};
        match self.variants.non_config_mode {
            _ if self.mode == Some(holder) => Ok(()),
            NonConfigMode405 => Err(Refusal::new(405, "Non config mode")),
            NotAllowed400 => Err(Refusal::new(400, "Not allowed in current mode")),
        }
    }
}
