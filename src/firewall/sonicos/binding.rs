//! Where a service keeps the name of its certificate (SonicOS reference 4.1, 4.2).

use serde_json::{Value, json};

use super::command;
use super::ownership::Leaf;
use super::version::Generation;
use crate::failure::Failure;
use crate::firewall::Binding;
use crate::inventory::Service;

/// The path of the call that reads and writes a service's settings.
pub(super) fn path(service: Service, generation: Generation) -> &'static str {
    match service {
        Service::WebManagement => "/administration/global",
        Service::SslVpn => generation.ssl_vpn_path(),
    }
}

/// The same change as lines of the command line (SonicOS reference 3.9).
pub(super) fn lines(binding: &Binding) -> Result<Vec<String>, Failure> {
    let (mode, setting) = match binding.service {
        Service::WebManagement => ("administration", "web-management certificate"),
        Service::SslVpn => ("ssl-vpn server", "certificate"),
    };
    // `use-self-signed` stands where the name would (SonicOS reference 3.9).
    let value = match &binding.alias {
        Some(alias) => format!("name {}", command::word(alias)?),
        None => "use-self-signed".to_owned(),
    };
    Ok(vec![
        mode.to_owned(),
        format!("{setting} {value}"),
        "exit".to_owned(),
    ])
}

/// The body that changes the certificate and nothing else: newer firmware has more settings in the same object.
pub(super) fn body(binding: &Binding) -> Value {
    let leaf = leaf(binding);
    let mut body = leaf.value;
    for name in leaf.path.into_iter().rev() {
        body = json!({ name: body });
    }
    body
}

/// The one setting that [`body`] writes.
pub(super) fn leaf(binding: &Binding) -> Leaf {
    let (name, value) = match &binding.alias {
        Some(alias) => ("name", json!(alias)),
        None => ("use_self_signed", json!(true)),
    };
    let place = place(binding.service).into_iter().chain([name]);
    Leaf {
        path: place.map(str::to_owned).collect(),
        value,
    }
}

/// The certificate that a service's settings name; `None` when they do not say.
pub(super) fn read(service: Service, settings: &Value) -> Option<Binding> {
    let certificate = place(service)
        .into_iter()
        .try_fold(settings, |node, name| node.get(name))?;
    let name = certificate.get("name").unwrap_or(certificate).as_str();
    let alias = match name {
        Some(name) if !name.is_empty() => Some(name.to_owned()),
        _ if certificate.get("use_self_signed") == Some(&Value::Bool(true)) => None,
        _ => return None,
    };
    Some(Binding { service, alias })
}

fn place(service: Service) -> [&'static str; 3] {
    match service {
        Service::WebManagement => ["administration", "web_management", "certificate"],
        Service::SslVpn => ["ssl_vpn", "server", "certificate"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(service: Service, alias: Option<&str>) -> Binding {
        Binding {
            service,
            alias: alias.map(str::to_owned),
        }
    }

    #[test]
    fn bodies_are_those_of_the_reference() {
        assert_eq!(
            body(&binding(Service::WebManagement, Some("fw-2026"))),
            json!({"administration":{"web_management":{"certificate":{"name":"fw-2026"}}}})
        );
        assert_eq!(
            body(&binding(Service::SslVpn, None)),
            json!({"ssl_vpn":{"server":{"certificate":{"use_self_signed":true}}}})
        );
    }

    #[test]
    fn the_path_and_the_lines_are_those_of_the_reference() {
        assert_eq!(path(Service::SslVpn, Generation::Six), "/ssl-vpn/server");
        assert_eq!(
            path(Service::SslVpn, Generation::Eight),
            "/ssl-vpn/server/base"
        );
        assert_eq!(
            lines(&binding(Service::WebManagement, Some("fw-1"))).ok(),
            Some(
                [
                    "administration",
                    "web-management certificate name fw-1",
                    "exit"
                ]
                .map(str::to_owned)
                .to_vec()
            )
        );
        assert!(
            lines(&binding(Service::SslVpn, None))
                .is_ok_and(|lines| lines.contains(&"certificate use-self-signed".to_owned()))
        );
    }

    #[test]
    fn what_was_written_is_what_is_read() {
        for service in Service::ALL {
            for alias in [Some("fw-2026"), None] {
                let binding = binding(service, alias);
                assert_eq!(read(service, &body(&binding)), Some(binding));
            }
        }
    }

    #[test]
    fn settings_that_name_no_certificate_are_not_guessed_at() {
        assert_eq!(read(Service::SslVpn, &json!({})), None);
        assert_eq!(
            read(
                Service::SslVpn,
                &json!({"ssl_vpn":{"server":{"certificate":{}}}})
            ),
            None
        );
        assert_eq!(
            read(
                Service::SslVpn,
                &json!({"ssl_vpn":{"server":{"certificate":{"use_self_signed":false}}}})
            ),
            None
        );
        let plain = json!({"ssl_vpn":{"server":{"certificate":"fw-1"}}});
        assert_eq!(
            read(Service::SslVpn, &plain),
            Some(binding(Service::SslVpn, Some("fw-1")))
        );
    }
}
