//! Which certificate a service uses: the settings, and the certificate that is served (SonicOS reference 4).

use serde_json::{Value, json};

use super::Profile;
use super::certificates::{Identity, Kind};
use super::device::Device;
use super::pending::ChangeKind;
use super::server::PortCertificate;
use super::switch::On;
use super::wire::{Handled, Refusal, Reply};

/// The two services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Management,
    SslVpn,
}

/// The certificate that a service is set to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Binding {
    Name(String),
    SelfSigned,
}

/// The bindings of both services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bindings {
    pub(super) management: Binding,
    pub(super) ssl_vpn: Binding,
}

impl Service {
    /// The settings object with only this member (4.1, 4.2).
    pub(super) fn wrap(self, certificate: &Value) -> Value {
        match self {
            Self::Management => {
                json!({"administration": {"web_management": {"certificate": certificate}}})
            }
            Self::SslVpn => json!({"ssl_vpn": {"server": {"certificate": certificate}}}),
        }
    }

    pub(super) fn cli_prefix(self) -> &'static str {
        match self {
            Self::Management => "administration web-management certificate",
            Self::SslVpn => "ssl-vpn server certificate",
        }
    }

    fn pointer(self) -> &'static str {
        match self {
            Self::Management => "/administration/web_management/certificate",
            Self::SslVpn => "/ssl_vpn/server/certificate",
        }
    }
}

impl Binding {
    /// `oneOf` of 4.1 and 4.2.
    pub(super) fn member(&self) -> Value {
        match self {
            Self::Name(name) => json!({"name": name}),
            Self::SelfSigned => json!({"use_self_signed": true}),
        }
    }

    pub(super) fn cli_words(&self) -> String {
        match self {
            Self::Name(name) => format!("name {name}"),
            Self::SelfSigned => "use-self-signed".to_owned(),
        }
    }
}

impl Device {
    /// 4.1: `GET /administration/global`.
    pub(super) fn read_administration(&self) -> Reply {
        Reply::json(self.administration())
    }

    /// 4.2: `GET /ssl-vpn/server/base`, on 6.5 without `base`.
    pub(super) fn read_ssl_vpn(&self) -> Reply {
        Reply::json(self.ssl_vpn_settings())
    }

    /// 4.1: a partial `PUT`, or the whole object with one change.
    pub(super) fn bind_management(&mut self, body: &Value) -> Handled {
        refuse_other_changes(body, &self.administration(), Service::Management)?;
        self.bind(Service::Management, body)
    }

    /// 4.2: only changed members may be sent back. The other members of newer builds are refused.
    pub(super) fn bind_ssl_vpn(&mut self, body: &Value) -> Handled {
        let only = Service::SslVpn.wrap(&Value::Null);
        refuse_other_changes(body, &only, Service::SslVpn)?;
        self.bind(Service::SslVpn, body)
    }

    /// Whether a service uses this name, or will after the next commit.
    pub(super) fn is_bound(&self, name: &str) -> bool {
        let is_name = |binding: &Binding| matches!(binding, Binding::Name(bound) if bound == name);
        let committed = is_name(&self.bindings.management) || is_name(&self.bindings.ssl_vpn);
        committed
            || self.pending.iter().any(
                |change| matches!(&change.kind, ChangeKind::Bind(_, binding) if is_name(binding)),
            )
    }

    /// Serves the certificates that were bound since `before`, modified by faults.
    pub(super) fn serve_bindings(&mut self, before: &Bindings) {
        let after = self.bindings.clone();
        let changed = [
            (
                before.management != after.management,
                after.management,
                self.ports.management.clone(),
                true,
            ),
            (
                before.ssl_vpn != after.ssl_vpn,
                after.ssl_vpn,
                self.ports.ssl_vpn.clone(),
                false,
            ),
        ];
        let mut served = Vec::new();
        for (_, binding, port, is_management) in
            changed.into_iter().filter(|(changed, ..)| *changed)
        {
            self.serve(&binding, &port, is_management);
            served.push(binding);
        }
        let is_faulty = self.variants.serve_wrong_certificate_after_bind != On::Neither
            || self.variants.keep_serving_old_after_bind;
        for row in &mut self.certificates.rows {
            row.was_served |= !is_faulty && served.contains(&Binding::Name(row.name.clone()));
        }
    }

    fn serve(&self, binding: &Binding, port: &PortCertificate, is_management: bool) {
        let Some((identity, was_served)) = self.identity(binding) else {
            return;
        };
        if !was_served && self.variants.keep_serving_old_after_bind {
            return;
        }
        let wrong = !was_served
            && match self.variants.serve_wrong_certificate_after_bind {
                On::Neither => false,
                On::Management => is_management,
                On::SslVpn => !is_management,
                On::Both => true,
            };
        let identity = if wrong {
            self.certificates.wrong.clone()
        } else {
            identity
        };
        // guess: the device sends the intermediates that it knows. The root is left out.
        let mut chain = self
            .certificates
            .chain_of(&identity.der)
            .unwrap_or_default();
        chain.pop();
        port.serve(&identity, chain);
    }

    fn identity(&self, binding: &Binding) -> Option<(Identity, bool)> {
        match binding {
            Binding::SelfSigned => Some((self.certificates.built_in.clone(), true)),
            Binding::Name(name) => {
                let row = self.certificates.find(name)?;
                match &row.kind {
                    Kind::Local { key, der } => Some((
                        Identity {
                            key: key.clone(),
                            der: der.clone(),
                        },
                        row.was_served,
                    )),
                    _ => None,
                }
            }
        }
    }

    fn bind(&mut self, service: Service, body: &Value) -> Handled {
        let certificate = body.pointer(service.pointer()).and_then(Value::as_object);
        let members: Vec<(&str, &Value)> = certificate
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.as_str(), value))
            .collect();
        let binding = match members.as_slice() {
            [] => return Ok(Reply::done("No changes made.")),
            [("name", Value::String(name))] => Binding::Name(name.clone()),
            [("use_self_signed", Value::Bool(true))] => Binding::SelfSigned,
            _ => return Err(Refusal::unreasonable("certificate")),
        };
        self.bind_to(service, binding)
    }

    /// 4: pending until the next commit, in every form of the request.
    pub(super) fn bind_to(&mut self, service: Service, binding: Binding) -> Handled {
        if let Binding::Name(name) = &binding
            && !matches!(self.visible_row(name)?.kind, Kind::Local { .. })
        {
            return Err(Refusal::unreasonable(name));
        }
        self.pending.retain(
            |change| !matches!(&change.kind, ChangeKind::Bind(other, _) if *other == service),
        );
        if *self.committed(service) != binding {
            self.put_pending(ChangeKind::Bind(service, binding));
        }
        Ok(Reply::done("Success."))
    }

    fn committed(&self, service: Service) -> &Binding {
        match service {
            Service::Management => &self.bindings.management,
            Service::SslVpn => &self.bindings.ssl_vpn,
        }
    }

    fn shown(&self, service: Service) -> Value {
        let pending = self
            .pending
            .iter()
            .rev()
            .find_map(|change| match &change.kind {
                ChangeKind::Bind(other, binding)
                    if *other == service && self.variants.reads_show_pending =>
                {
                    Some(binding)
                }
                _ => None,
            });
        pending.unwrap_or_else(|| self.committed(service)).member()
    }

    /// A few of the members of 1.4 and 4.1 around the one that matters.
    fn administration(&self) -> Value {
        json!({"administration": {
            "firewall_name": "FW-SIMULATED",
            "idle_logout_time": self.variants.idle_logout_minutes,
            "admin": {"preempt_action": "goto-non-config", "preempt_inactivity_timeout": 10},
            "web_management": {
                "https_port": self.settings.management.port(),
                "certificate": self.shown(Service::Management),
                "cert_common_name": "192.168.168.168",
                "certification_periodic_expiration_check": true,
                "certification_expiration_interval": 168,
            },
        }})
    }

    fn ssl_vpn_settings(&self) -> Value {
        let mut settings = json!({"ssl_vpn": {"server": {
            "port": self.settings.ssl_vpn.port(),
            "certificate": self.shown(Service::SslVpn),
            "user_domain": "LocalDomain",
        }}});
        if matches!(self.settings.profile, Profile::V7_X | Profile::V8) {
            // 4.2: newer builds return more members.
            settings["ssl_vpn"]["server"]["auth_type"] = json!("local");
            settings["ssl_vpn"]["server"]["mouse_inactivity_check"] = json!(false);
            settings["ssl_vpn"]["server"]["auto_rule"] = json!(true);
        }
        settings
    }
}

/// Nothing but the certificate may differ from `present`, and no member may be unknown.
fn refuse_other_changes(body: &Value, present: &Value, service: Service) -> Result<(), Refusal> {
    let mut without = body.clone();
    if let Some(certificate) = without.pointer_mut(service.pointer()) {
        let shown = present
            .pointer(service.pointer())
            .cloned()
            .unwrap_or_default();
        *certificate = shown;
    }
    match unknown_member(&without, present) {
        Some(member) => Err(Refusal::unreasonable(&member)),
        None => Ok(()),
    }
}

fn unknown_member(wanted: &Value, present: &Value) -> Option<String> {
    let (Value::Object(wanted), Value::Object(known)) = (wanted, present) else {
        return (wanted != present).then(|| wanted.to_string());
    };
    wanted.iter().find_map(|(key, value)| match known.get(key) {
        Some(known) => unknown_member(value, known),
        None => Some(key.clone()),
    })
}
