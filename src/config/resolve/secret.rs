//! Where secrets are to be read from. None is read here, and no message repeats one.

use std::ops::Range;

use super::Resolver;
use crate::config::file_model::{self, Placed, SecretReference};
use crate::config::values::Wrong;
use crate::secret::{Secret, SecretSource};

impl Resolver<'_> {
    /// The source of a secret.
    pub fn secret(&mut self, raw: Placed<file_model::Secret>) -> Option<SecretSource> {
        let Placed { value, range } = raw;
        match value {
            file_model::Secret::Inline(text) => self.inline(text, &range),
            file_model::Secret::Reference(reference) => self.referred(&reference, &range),
        }
    }

    fn inline(&mut self, text: String, range: &Range<usize>) -> Option<SecretSource> {
        if let Some(mode) = self.exposed {
            let message =
                format!("a secret is written in a file that others can read (mode {mode:04o})");
            let hint = format!("chmod 600 this file, or {SOURCES}");
            self.wrong(range, Wrong::new(message, hint));
            return None;
        }
        if text.is_empty() {
            self.wrong(range, Wrong::new("this secret is empty", SOURCES));
            return None;
        }
        Some(SecretSource::Inline(Secret::new(text)))
    }

    /// The source of a secret that cannot be written in the configuration itself.
    pub fn referred(
        &mut self,
        reference: &SecretReference,
        range: &Range<usize>,
    ) -> Option<SecretSource> {
        let wrong = match reference {
            SecretReference::File(path) if path.is_empty() => "a path is missing",
            SecretReference::Env(name) if name.is_empty() || name.contains(['=', '\0']) => {
                "this cannot be the name of an environment variable"
            }
            SecretReference::Credential(name) if !is_credential(name) => {
                "this cannot be the name of a credential"
            }
            SecretReference::File(path) => return Some(SecretSource::File(self.folder.join(path))),
            SecretReference::Env(name) => return Some(SecretSource::Env(name.clone())),
            SecretReference::Credential(name) => {
                return Some(SecretSource::Credential(name.clone()));
            }
        };
        self.wrong(range, Wrong::new(wrong, SOURCES));
        None
    }
}

/// The rule of systemd (`credential_name_valid`): a file name.
fn is_credential(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', ':', '\0'])
}

const SOURCES: &str = "write { file = \"/path\" }, { env = \"NAME\" } or { credential = \"NAME\" }";
