//! The settings with which a simulated PAM360 starts.

use std::fmt;

use super::Variants;
use crate::ca::Common;

/// Everything needed to start a [`super::Simulator`].
#[derive(Clone)]
pub struct Settings {
    /// The settings of every CA. `lifetime_days` is the lifetime that the templates of the Microsoft CA give.
    pub common: Common,
    /// The one AUTHTOKEN (1).
    pub token: String,
    /// Display name of the user's organisation, as `orgName` may name it (1).
    pub organisation: String,
    /// The Microsoft CA that it can reach (4).
    pub microsoft: MicrosoftCa,
    /// Every switch.
    pub variants: Variants,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            common: Common::default(),
            token: "9C1B6A52-6B0E-4A39-8D0E-2F7A5A1B3C4D".to_owned(),
            organisation: "Example".to_owned(),
            microsoft: MicrosoftCa {
                server: "ca1.corp.example".to_owned(),
                name: "corp-issuing-ca".to_owned(),
                templates: vec!["WebServer".to_owned()],
                agent: "agent1".to_owned(),
            },
            variants: Variants::default(),
        }
    }
}

/// The token stays out of it.
impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("common", &self.common)
            .field("organisation", &self.organisation)
            .field("microsoft", &self.microsoft)
            .field("variants", &self.variants)
            .finish_non_exhaustive()
    }
}

/// The name that `signType` MSCA and `MSCAusingAgent` require (4).
#[derive(Debug, Clone)]
pub struct MicrosoftCa {
    /// `serverName`.
    pub server: String,
    /// `caName`.
    pub name: String,
    /// Every `templateName`.
    pub templates: Vec<String>,
    /// `agentName`.
    pub agent: String,
}
