//! `[[firewall]]`.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;

use super::Resolver;
use super::fleet::DraftFirewall;
use crate::config::file_model::{
    self, FirewallDriver, OneOrMany, Placed, Sonicos, TRUST_HINT, default,
};
use crate::config::model::ManagedFirewall;
use crate::config::values::{self, Wrong};
use crate::firewall::Settings;
use crate::firewall::sonicos::{Login, LoginLevel, Settings as SonicosSettings};
use crate::pki::Fingerprint;
use crate::schedule::{self, MaintenanceWindow};
use crate::tls::{Anchor, Trust};
use crate::transfer;

impl Resolver<'_> {
    /// One `[[firewall]]`.
    pub fn firewall(&mut self, raw: file_model::Firewall) -> DraftFirewall {
        let name = self.name(raw.name.as_ref());
        let mut forced_ftp = None;
        let window = raw
            .maintenance_window
            .and_then(|window| self.window(&window.value));
        let value = raw.driver.and_then(|driver| {
            let FirewallDriver::Sonicos(sonicos) = driver.value;
            let ssl_vpn_port = sonicos
                .ssl_vpn_port
                .as_ref()
                .map_or(default::SSL_VPN_PORT, |port| port.value);
            let transfers;
            (transfers, forced_ftp) = self.transfers(sonicos.file_transfer.as_ref());
            let settings = Settings::Sonicos(Box::new(self.sonicos(*sonicos, transfers)?));
            Some(Arc::new(ManagedFirewall {
                settings,
                window,
                ssl_vpn_port,
            }))
        });
        DraftFirewall {
            name,
            value,
            forced_ftp,
        }
    }

    fn window(&mut self, raw: &file_model::MaintenanceWindow) -> Option<MaintenanceWindow> {
        let start = raw
            .start
            .as_ref()
            .and_then(|start| self.schedule(Some(start), ""));
        let duration = raw.duration.as_ref().and_then(|duration| {
            self.parse(duration, |text| {
                values::duration(text, schedule::SHORTEST, schedule::LONGEST)
            })
        });
        let zone = self.parse_or(raw.time_zone.as_ref(), default::TIME_ZONE, |name| {
            schedule::find_time_zone(name).map_err(|words| Wrong::new(words, ZONE_HINT))
        });
        MaintenanceWindow::from_parts(start?, duration?, zone?).ok()
    }

    fn sonicos(
        &mut self,
        raw: Sonicos,
        transfers: Arc<transfer::Settings>,
    ) -> Option<SonicosSettings> {
        let url = raw.url.and_then(|url| self.parse(&url, values::device_url));
        let user = raw.user.and_then(|user| self.parse(&user, user_name));
        let password = raw.password.and_then(|password| self.secret(password));
        let totp = raw.totp.and_then(|totp| self.secret(totp));
        let trust = raw.trust.and_then(|trust| self.trust(&trust));
        let call_timeout = self.timeout(
            raw.call_timeout.as_ref(),
            default::CALL_TIMEOUT,
            SignedDuration::from_mins(10),
        );
        let transfer_timeout = self.timeout(
            raw.transfer_timeout.as_ref(),
            default::TRANSFER_TIMEOUT,
            // A file that does not come is waited for in four ways, and a step has less than half an hour.
            SignedDuration::from_mins(5),
        );
        let command_line = raw
            .ssh
            .map(|ssh| self.command_line(&ssh.value, url.as_ref()));
        let login = self.login(raw.login.as_ref());
        Some(SonicosSettings {
            url: url?,
            user: user?,
            password: password?,
            totp,
            login,
            minimum_login: self.minimum_login(raw.minimum_login.as_ref(), login),
            trust: trust?,
            call_timeout,
            transfer_timeout,
            transfers,
            command_line: command_line.flatten(),
            replaces_left_session: false,
            preempt_idle_administrator: raw
                .preempt_idle_administrator
                .is_none_or(|preempt| preempt.value),
        })
    }

    pub(super) fn timeout(
        &mut self,
        key: Option<&Placed<String>>,
        default: &str,
        longest: SignedDuration,
    ) -> Duration {
        let limits = (SignedDuration::from_secs(1), longest);
        self.duration_or(key, default, limits).unsigned_abs()
    }

    fn login(&mut self, raw: Option<&Placed<file_model::Login>>) -> Login {
        let Some(Placed { value, range }) = raw else {
            return Login::Automatic;
        };
        match value {
            file_model::Login::Automatic => Login::Automatic,
            file_model::Login::Digest => Login::Digest,
            file_model::Login::Chap => Login::Chap,
            file_model::Login::PublicKey => Login::PublicKey,
            file_model::Login::PublicKeyPkcs1 => Login::PublicKeyPkcs1,
            file_model::Login::Basic => {
                let hint = "\"automatic\" uses Basic only where the device offers nothing else";
                self.warn(range, "Basic sends the password itself to the device", hint);
                Login::Basic
            }
        }
    }

    /// The least login. One that `login` cannot reach would refuse every login.
    fn minimum_login(
        &mut self,
        raw: Option<&Placed<file_model::LoginLevel>>,
        login: Login,
    ) -> Option<LoginLevel> {
        let Placed { value, range } = raw?;
        let level = match value {
            file_model::LoginLevel::Basic => LoginLevel::Basic,
            file_model::LoginLevel::PublicKey => LoginLevel::PublicKey,
            file_model::LoginLevel::Chap => LoginLevel::Chap,
            file_model::LoginLevel::DigestMd5 => LoginLevel::DigestMd5,
            file_model::LoginLevel::DigestSha256 => LoginLevel::DigestSha256,
        };
        let reached = match login {
            Login::Automatic | Login::Digest => LoginLevel::DigestSha256,
            Login::Chap => LoginLevel::Chap,
            Login::PublicKey | Login::PublicKeyPkcs1 => LoginLevel::PublicKey,
            Login::Basic => LoginLevel::Basic,
        };
        if reached < level {
            let message = format!(
                "`login` is weaker than `minimum_login = \"{}\"`",
                level.name()
            );
            let hint = "leave one of the two out".to_owned();
            self.diagnostics
                .error(self.place(range), message, Some(hint));
        }
        Some(level)
    }

    pub(super) fn trust(&mut self, raw: &Placed<file_model::Trust>) -> Option<Trust> {
        let Placed {
            value: trust,
            range,
        } = raw;
        let system = trust.system.as_ref().filter(|system| system.value);
        let given = [trust.sha256.is_some(), trust.ca.is_some(), system.is_some()];
        let anchor = match given.iter().filter(|given| **given).count() {
            1 => match (&trust.sha256, &trust.ca) {
                (Some(pins), _) => self.pins(pins).map(Anchor::Pins),
                (None, Some(_)) => self.path(trust.ca.as_ref()).map(Anchor::Ca),
                (None, None) => Some(Anchor::System),
            },
            0 => {
                let message = "`trust` is empty: it needs `sha256`, `ca` or `system = true`";
                self.lacking(range, message, TRUST_HINT);
                None
            }
            _ => {
                let message = "`trust` must be only one of `sha256`, `ca` and `system`";
                self.wrong(range, Wrong::new(message, TRUST_HINT));
                None
            }
        };
        let server_name = trust.server_name.as_ref().and_then(|name| {
            if trust.sha256.is_some() {
                let hint = "a pin is checked without the name: leave `server_name` out";
                self.warn(
                    &name.range,
                    "`server_name` has no effect beside `sha256`",
                    hint,
                );
            }
            self.parse(name, values::host_name)
        });
        Some(Trust {
            anchor: anchor?,
            server_name,
        })
    }

    fn pins(&mut self, raw: &Placed<OneOrMany>) -> Option<Vec<Fingerprint>> {
        let texts = match &raw.value {
            OneOrMany::One(text) => std::slice::from_ref(text),
            OneOrMany::Many(texts) => texts,
        };
        if texts.is_empty() {
            self.lacking(&raw.range, "`sha256` holds no fingerprint", TRUST_HINT);
            return None;
        }
        let pins: Result<Vec<Fingerprint>, _> = texts.iter().map(|text| text.parse()).collect();
        match pins {
            Ok(pins) => Some(pins),
            Err(error) => {
                let hint =
                    "`renewd probe HOST:PORT` prints the fingerprint of the device's certificate";
                self.wrong(&raw.range, Wrong::new(error.to_string(), hint));
                None
            }
        }
    }
}

/// Control characters and colons would break HTTP authentication (RFC 7617, 2).
fn user_name(text: &str) -> Result<String, Wrong> {
    let bad = |c: char| c.is_control() || c == ':';
    if text.is_empty() || text.contains(bad) {
        let hint = "for example: user = \"renewd\"";
        return Err(Wrong::new(
            "this cannot be the name of an administrator",
            hint,
        ));
    }
    Ok(text.to_owned())
}

const ZONE_HINT: &str = "`timedatectl list-timezones` lists the names";
