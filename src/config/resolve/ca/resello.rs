//! `driver.resello`.

use std::ops::Range;

use crate::ca::resello::{self, Control, Level, MAILBOXES, PlanChoice, Settings};
use crate::config::file_model::{
    self, Download, Placed, RenewalMode, ReselloCa, ValidationLevel, default,
};
use crate::config::resolve::Resolver;
use crate::config::values::{self, Wrong};
use crate::dcv;
use crate::dcv::dns::Provider;

impl Resolver<'_> {
    pub(super) fn resello(&mut self, raw: ReselloCa, range: &Range<usize>) -> Option<Settings> {
        let url = raw
            .url
            .and_then(|url| self.parse(&url, values::service_url));
        let user = raw.user.and_then(|user| self.parse(&user, account));
        let api_key = raw.api_key.and_then(|key| self.secret(key));
        let plan = raw.plan.and_then(|plan| self.parse(&plan, line));
        let applicant = self.applicant(
            raw.applicant.map(|applicant| applicant.value),
            raw.approver.map(|approver| approver.value),
        );
        let level = self.level(raw.validation_level.as_ref(), &applicant);
        let control = match raw.validation {
            Some(validation) => self.published(validation),
            None => self.by_mail(&applicant, range),
        };
        let proof_host =
            self.parse_or(raw.proof_host.as_ref(), default::PROOF_HOST, values::domain);
        let budget = self.order_budget(raw.order_budget.map(|budget| budget.value));
        let trust = self.ca_trust(raw.trust.as_ref());
        let timeout = self.ca_timeout(raw.timeout.as_ref());
        Some(Settings {
            url: url?,
            user: user?,
            api_key: api_key?,
            trust: trust?,
            timeout,
            plan: PlanChoice::read(&plan?),
            level,
            renewal_mode: self.renewal_mode(raw.renewal_mode.as_ref()),
            control: control?,
            proof_host: proof_host?,
            download: raw
                .download
                .map_or(resello::Download::Crt, |download| download.value.into()),
            elliptic_keys: raw.elliptic_keys.is_some_and(|takes| takes.value),
            budget,
            applicant,
        })
    }

    /// What an order says besides the certificate.
    fn applicant(
        &mut self,
        applicant: Option<file_model::Applicant>,
        approver: Option<file_model::Approver>,
    ) -> resello::Applicant {
        let (applicant, approver) = (applicant.unwrap_or_default(), approver.unwrap_or_default());
        let mut text = |key: Option<Placed<String>>| self.parse(&key?, line);
        let texts = resello::Applicant {
            company_name: text(applicant.company_name),
            department: text(applicant.department),
            address: text(applicant.address),
            zip_code: text(applicant.zip_code),
            city: text(applicant.city),
            chamber_of_commerce: text(applicant.chamber_of_commerce),
            approver_first_name: text(approver.first_name),
            approver_last_name: text(approver.last_name),
            ..resello::Applicant::default()
        };
        let mail = approver.email_address;
        resello::Applicant {
            approver_email_address: mail.and_then(|mail| self.parse(&mail, values::email)),
            approver_phone_number: approver.phone_number.and_then(|it| self.parse(&it, phone)),
            ..texts
        }
    }

    /// What an organization must tell is reported here: the CA would refuse each order.
    fn level(
        &mut self,
        raw: Option<&Placed<ValidationLevel>>,
        applicant: &resello::Applicant,
    ) -> Level {
        let Some(Placed { value, range }) = raw else {
            return Level::Domain;
        };
        let level = match value {
            ValidationLevel::Dv => return Level::Domain,
            ValidationLevel::Ov => Level::Organization,
            ValidationLevel::Ev => Level::Extended,
        };
        let needed = [
            (
                "applicant.chamber_of_commerce",
                &applicant.chamber_of_commerce,
            ),
            ("applicant.department", &applicant.department),
            ("approver.first_name", &applicant.approver_first_name),
            ("approver.last_name", &applicant.approver_last_name),
        ];
        let missing: Vec<&str> = needed
            .iter()
            .filter(|(_, value)| value.is_none())
            .map(|(key, _)| *key)
            .collect();
        if !missing.is_empty() {
            let message = format!("this level needs {}", missing.join(", "));
            self.lacking(
                range,
                &message,
                "the CA refuses an order without them; or write \"dv\"",
            );
        }
        level
    }

    /// The CA wants CNAME records, which not every provider can set. This is reported here, and not after an order was paid.
    fn published(&mut self, raw: Placed<file_model::Validation>) -> Option<Control> {
        let range = raw.range.clone();
        let settings = self.validation(raw)?;
        if let dcv::Settings::Dns(dns) = &settings
            && matches!(dns.provider, Provider::Exec(_))
        {
            let message =
                "this CA wants CNAME records, and `provider.exec` can set TXT records only";
            let hint = "choose another provider, or `validation.http`: an order would be paid and never be proven";
            self.lacking(&range, message, hint);
            return None;
        }
        Some(Control::Published(settings))
    }

    fn by_mail(&mut self, applicant: &resello::Applicant, range: &Range<usize>) -> Option<Control> {
        let Some(address) = &applicant.approver_email_address else {
            let message = "nothing says how control over the domain is proven";
            self.lacking(range, message, CONTROL_HINT);
            return None;
        };
        let local = address.split('@').next().unwrap_or_default();
        if MAILBOXES.contains(&local) {
            let message = "an operator must follow a link in a mail at each renewal";
            self.warn(range, message, CONTROL_HINT);
        } else {
            let message = format!("the CA sends no mail to `{local}`");
            let hint = format!("it takes {} of the domain", MAILBOXES.join(", "));
            self.warn(range, &message, &hint);
        }
        Some(Control::Mail)
    }

    fn renewal_mode(&mut self, raw: Option<&Placed<RenewalMode>>) -> resello::RenewalMode {
        match raw.map(|raw| (raw.value, &raw.range)) {
            None | Some((RenewalMode::Renew, _)) => resello::RenewalMode::Renew,
            Some((RenewalMode::Buy, _)) => resello::RenewalMode::Buy,
            Some((RenewalMode::Reissue, range)) => {
                let message = "a reissue makes the certificate in use invalid before the new one is installed";
                let hint = "\"renew\" and \"buy\" leave it valid";
                self.warn(range, message, hint);
                resello::RenewalMode::Reissue
            }
        }
    }
}

impl From<Download> for resello::Download {
    fn from(raw: Download) -> Self {
        match raw {
            Download::Crt => Self::Crt,
            Download::Pkcs7 => Self::Pkcs7,
            Download::Zip => Self::Zip,
        }
    }
}

/// A text in one line.
fn line(text: &str) -> Result<String, Wrong> {
    if text.trim().is_empty() || text.contains(char::is_control) {
        return Err(Wrong::new(
            "this text is empty or not one line",
            "write it in one line, or leave the key out",
        ));
    }
    Ok(text.to_owned())
}

/// Control characters and colons would break HTTP authentication (RFC 7617, 2).
fn account(text: &str) -> Result<String, Wrong> {
    if text.is_empty() || text.contains(|c: char| c.is_control() || c == ':') {
        let hint = "write the account's name in the API, `api_username`";
        return Err(Wrong::new("this cannot be the name of an account", hint));
    }
    Ok(text.to_owned())
}

/// `+CC.NUMBER` (purchase API reference 4.1).
fn phone(text: &str) -> Result<String, Wrong> {
    let is_number = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    let parts = text.strip_prefix('+').and_then(|rest| rest.split_once('.'));
    if parts.is_some_and(|(country, number)| is_number(country) && is_number(number)) {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(
        format!("`{text}` is not a phone number"),
        "write +, the country's number, a dot and the rest: \"+31.612345678\"",
    ))
}

const CONTROL_HINT: &str = "set `validation.http` or `validation.dns`, or `approver.email_address` for an operator who follows a link in a mail at each renewal";
