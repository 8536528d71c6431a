//! `signCSR` (PAM360 reference 4).

use serde_json::{Value, json};
use time::Duration;

use super::Pam;
use super::certificates::Stored;
use super::variants::PendingAnswer;
use super::wire::{Handled, PortalAnswer, text};
use crate::ca::{Csr, Office, Tier};

/// A signature that is permitted, or will be.
#[derive(Debug)]
pub(super) struct Signature {
    pub(super) request_id: u64,
    csr: Csr,
    signer: Tier,
    lifetime: Duration,
    is_ca: bool,
    /// The name in the message.
    signed_with: String,
}

/// A signature that waits for a manager.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) signature: Signature,
    /// Calls until the approval; `None`: until the test approves.
    pub(super) calls: Option<u32>,
}

impl Pam {
    /// 4: MSCA is the default. A second request for the same CSR is not detected, unless a setting enables that.
    pub(super) fn sign_csr(&mut self, office: &mut Office, details: &Value) -> Handled {
        let request = self.request(&text(details, "CSR_ID")?)?;
        let (id, csr, signatures) = (request.id, request.csr.clone(), request.signatures);
        let kind = text(details, "signType").unwrap_or_else(|_| "MSCA".to_owned());
        let signature = match kind.as_str() {
            "signWithRoot" => self.with_root(id, csr.clone(), details)?,
            "MSCA" => self.with_microsoft(office, id, csr.clone(), details)?,
            "MSCAusingAgent" => {
                self.check_agent(details)?;
                self.with_microsoft(office, id, csr.clone(), details)?
            }
            other => return Err(format!("{other} is not a sign type")),
        };
        let waits = self
            .waiting
            .iter()
            .any(|waiting| waiting.signature.request_id == id);
        if (signatures > 0 || waits) && self.variants.refuse_second_signature {
            return Err("The CSR is already signed".to_owned());
        }
        office.take_order(&csr);
        if self.variants.needs_approval && kind != "signWithRoot" {
            return self.wait_for_approval(signature);
        }
        let signed_with = signature.signed_with.clone();
        let details = self.sign(office, &signature)?;
        let message = format!(
            "Certificate {} successfully signed with {signed_with}.",
            csr.common_name()
        );
        Ok(PortalAnswer::with_details(message, vec![details]))
    }

    /// 4: the root is named by common name and serial, the latter a number; `isIntermediate` really makes a CA.
    fn with_root(&self, id: u64, mut csr: Csr, details: &Value) -> Result<Signature, String> {
        let name = text(details, "rootCertificateCommonName")?;
        let serial = text(details, "rootCertificateSerialNumber")?;
        let signer = self
            .signers
            .iter()
            .find(|signer| signer.common_name == name && is_same_number(&signer.serial, &serial))
            .ok_or_else(|| format!("No root certificate {name} with the serial number {serial}"))?;
        let days: u16 = text(details, "Validity")?
            .parse()
            .map_err(|_| "Validity is not a number of days")?;
        let is_ca: bool = text(details, "isIntermediate")?
            .to_ascii_lowercase()
            .parse()
            .map_err(|_| "isIntermediate is neither true nor false")?;
        if self.variants.root_drops_names {
            csr.names.clear();
        }
        Ok(Signature {
            request_id: id,
            csr,
            signer: signer.tier,
            lifetime: Duration::days(i64::from(days)),
            is_ca,
            signed_with: name,
        })
    }

    /// 4: lifetime and usages come from the template; a template may drop the names.
    fn with_microsoft(
        &self,
        office: &Office,
        id: u64,
        mut csr: Csr,
        details: &Value,
    ) -> Result<Signature, String> {
        let microsoft = &self.settings.microsoft;
        let (server, name) = (text(details, "serverName")?, text(details, "caName")?);
        let template = text(details, "templateName")?;
        if server != microsoft.server || name != microsoft.name {
            return Err(format!("The CA {name} on {server} cannot be reached"));
        }
        if !microsoft.templates.contains(&template) {
            return Err(format!(
                "The template {template} is not supported by the CA"
            ));
        }
        if self.variants.template_drops_names {
            csr.names.clear();
        }
        Ok(Signature {
            request_id: id,
            csr,
            signer: Tier::Intermediate,
            lifetime: office.lifetime(),
            is_ca: false,
            signed_with: name,
        })
    }

    /// 4: the agent and how long to wait for it.
    fn check_agent(&self, details: &Value) -> Result<(), String> {
        let agent = text(details, "agentName")?;
        let patience = text(details, "agentResponseTimeout")?;
        if patience.parse::<u32>().is_err() {
            return Err("agentResponseTimeout is not a number of seconds".to_owned());
        }
        if agent != self.settings.microsoft.agent || self.variants.agent_is_away {
            return Err(format!("No response from the agent {agent}"));
        }
        Ok(())
    }

    /// guess: either text (UNKNOWN in 4).
    fn wait_for_approval(&mut self, signature: Signature) -> Handled {
        self.waiting.push(Waiting {
            signature,
            calls: self.variants.approval_calls,
        });
        let message =
            "The request is taken under submission and waits for the approval of the CA manager.";
        match self.variants.pending_answer {
            PendingAnswer::Success => Ok(PortalAnswer::success(message)),
            PendingAnswer::Failed => Err(message.to_owned()),
        }
    }

    /// Counts one more call. An approval that was delayed by calls may be due.
    pub(super) fn let_calls_pass(&mut self, office: &mut Office) {
        let mut waiting = std::mem::take(&mut self.waiting);
        for one in &mut waiting {
            one.calls = one.calls.map(|calls| calls.saturating_sub(1));
        }
        let (approved, waiting) = waiting.into_iter().partition(|one| one.calls == Some(0));
        self.waiting = waiting;
        self.sign_approved(office, approved);
    }

    /// A certificate that cannot be written stays away, as one that a manager forgot.
    pub(super) fn sign_approved(&mut self, office: &mut Office, approved: Vec<Waiting>) {
        for one in approved {
            let _ = self.sign(office, &one.signature);
        }
    }

    /// Signs and stores. Returns the part of the answer about it.
    fn sign(&mut self, office: &mut Office, signature: &Signature) -> Result<Value, String> {
        let Signature {
            csr,
            signer,
            lifetime,
            is_ca,
            ..
        } = signature;
        let issued = office.sign(csr, *signer, *lifetime, *is_ca)?;
        let id = self.next_id();
        let stored = Stored {
            late_calls: self.variants.certificate_late_calls,
            hidden_lists: self.variants.list_late_calls,
            ..Stored::visible(id, csr.common_name(), issued)
        };
        let serial = stored.serial(self.variants.serial_form);
        let details =
            json!({"commonName": csr.common_name(), "Certificate_ID": id, "serialNumber": serial});
        self.certificates.push(stored);
        let signed = self
            .requests
            .iter_mut()
            .find(|request| request.id == signature.request_id);
        if let Some(request) = signed {
            request.signatures += 1;
        }
        Ok(details)
    }
}

/// Hexadecimal numbers: neither case nor leading zeros count.
pub(super) fn is_same_number(one: &str, other: &str) -> bool {
    let bare = |text: &str| text.trim_start_matches('0').to_ascii_lowercase();
    bare(one) == bare(other)
}
