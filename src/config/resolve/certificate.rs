//! `[[certificate]]`, as far as it can be looked at alone.

use std::ops::Range;
use std::sync::Arc;

use super::Resolver;
use super::fleet::DraftCertificate;
use super::request::{self, AlternateNames};
use crate::config::findings::Place;
use crate::config::values::{self, Wrong};
use crate::config::written::{self, Placed};
use crate::inventory::{Endpoint, ManagedCertificate, Service};

impl Resolver<'_> {
    /// One `[[certificate]]`; `range` is where its services are, when they are left out.
    pub fn certificate(
        &mut self,
        written: written::Certificate,
        range: &Range<usize>,
    ) -> DraftCertificate {
        let mut policy = self.shared.policy.clone();
        if let Some(renewal) = &written.renewal {
            policy = self.policy(&renewal.value, &policy);
        }
        let name = self.name(written.name.as_ref());
        let firewall = self.reference(written.firewall.as_ref());
        let ca = self.reference(written.ca.as_ref());
        let services = self.services(written.services, range);
        let endpoints = self.endpoints(written.endpoints);
        let names = AlternateNames {
            dns: written.dns_names,
            ip: written.ip_addresses,
            email: written.email_addresses,
        };
        let request = self.request(
            written.subject,
            names,
            written.key.as_ref(),
            written.digest.as_ref(),
        );
        let certificate = match (request, &name, &firewall, &ca) {
            (Some(request), Some(name), Some(firewall), Some(ca)) => {
                Some(Arc::new(ManagedCertificate {
                    name: name.text.clone(),
                    firewall: firewall.text.clone(),
                    ca: ca.text.clone(),
                    request,
                    key_origin: request::origin(written.key.as_ref()),
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
        written: Option<Placed<Vec<Placed<written::Service>>>>,
        range: &Range<usize>,
    ) -> Vec<(Service, Place)> {
        let Some(written) = written else {
            return vec![(Service::WebManagement, self.place(range))];
        };
        if written.value.is_empty() {
            let hint = "leave it out for [\"web-management\"]";
            self.lacking(&written.range, "`services` is empty", hint);
        }
        let mut services: Vec<(Service, Place)> = Vec::with_capacity(written.value.len());
        for Placed { value, range } in written.value {
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

    fn endpoints(&mut self, written: Option<Placed<Vec<Placed<String>>>>) -> Option<Vec<Endpoint>> {
        let written = written?;
        if written.value.is_empty() {
            let hint = "leave it out for the addresses of the firewall itself";
            self.lacking(
                &written.range,
                "`endpoints` is empty: nothing would be proven",
                hint,
            );
        }
        let mut endpoints = Vec::with_capacity(written.value.len());
        for address in written.value {
            endpoints.extend(self.parse(&address, values::endpoint));
        }
        Some(endpoints)
    }
}

impl From<written::Service> for Service {
    fn from(written: written::Service) -> Self {
        match written {
            written::Service::WebManagement => Self::WebManagement,
            written::Service::SslVpn => Self::SslVpn,
        }
    }
}
