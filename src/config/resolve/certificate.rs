//! `[[certificate]]`, as far as it can be looked at alone.

use std::ops::Range;
use std::sync::Arc;

use super::Resolver;
use super::fleet::DraftCertificate;
use super::request::{self, AlternateNames};
use crate::config::diagnostics::FileSpan;
use crate::config::file_model::{self, Placed};
use crate::config::values::{self, Wrong};
use crate::inventory::{Endpoint, ManagedCertificate, Service};

impl Resolver<'_> {
    /// One `[[certificate]]`; `range` is where its services are, when they are left out.
    pub fn certificate(
        &mut self,
        raw: file_model::Certificate,
        range: &Range<usize>,
    ) -> DraftCertificate {
        let mut policy = self.shared.policy.clone();
        if let Some(renewal) = &raw.renewal {
            policy = self.policy(&renewal.value, &policy);
        }
        let name = self.name(raw.name.as_ref());
        let firewall = self.reference(raw.firewall.as_ref());
        let ca = self.reference(raw.ca.as_ref());
        let services = self.services(raw.services, range);
        let endpoints = self.endpoints(raw.endpoints);
        let names = AlternateNames {
            dns: raw.dns_names,
            ip: raw.ip_addresses,
            email: raw.email_addresses,
        };
        let request = self.request(raw.subject, names, raw.key.as_ref(), raw.digest.as_ref());
        let certificate = match (request, &name, &firewall, &ca) {
            (Some(request), Some(name), Some(firewall), Some(ca)) => {
                Some(Arc::new(ManagedCertificate {
                    name: name.text.clone(),
                    firewall: firewall.text.clone(),
                    ca: ca.text.clone(),
                    request,
                    key_origin: request::origin(raw.key.as_ref()),
                    services: services.iter().map(|(service, _)| *service).collect(),
                    endpoints: endpoints.clone().unwrap_or_default(),
                    policy,
                }))
            }
            _ => None,
        };
        DraftCertificate {
            name,
            firewall,
            ca,
            services,
            endpoints_are_default: endpoints.is_none(),
            certificate,
        }
    }

    fn services(
        &mut self,
        raw: Option<Placed<Vec<Placed<file_model::Service>>>>,
        range: &Range<usize>,
    ) -> Vec<(Service, FileSpan)> {
        let Some(raw) = raw else {
            return vec![(Service::WebManagement, self.place(range))];
        };
        if raw.value.is_empty() {
            let hint = "leave it out for [\"web-management\"]";
            self.lacking(&raw.range, "`services` is empty", hint);
        }
        let mut services: Vec<(Service, FileSpan)> = Vec::with_capacity(raw.value.len());
        for Placed { value, range } in raw.value {
            let service = Service::from(value);
            if services.iter().any(|(known, _)| *known == service) {
                self.wrong(
                    &range,
                    Wrong::new(format!("`{service}` is named twice"), "name it once"),
                );
            } else {
                services.push((service, self.place(&range)));
            }
        }
        services
    }

    fn endpoints(&mut self, raw: Option<Placed<Vec<Placed<String>>>>) -> Option<Vec<Endpoint>> {
        let raw = raw?;
        if raw.value.is_empty() {
            let hint = "leave it out for the addresses of the firewall itself";
            self.lacking(
                &raw.range,
                "`endpoints` is empty: nothing would be proven",
                hint,
            );
        }
        let mut endpoints = Vec::with_capacity(raw.value.len());
        for address in raw.value {
            endpoints.extend(self.parse(&address, values::endpoint));
        }
        Some(endpoints)
    }
}

impl From<file_model::Service> for Service {
    fn from(raw: file_model::Service) -> Self {
        match raw {
            file_model::Service::WebManagement => Self::WebManagement,
            file_model::Service::SslVpn => Self::SslVpn,
        }
    }
}
