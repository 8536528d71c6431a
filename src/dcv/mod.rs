//! Proof of control over a domain (domain control validation): a file on a web server or a record in the DNS, put where
//! a CA looks for it, and taken away again.
//!
//! Nothing here knows which CA asks. Every call is harmless when it is repeated: after a crash the same proof is put
//! up again.

use crate::failure::{Failure, FailureKind};
use crate::surroundings::Surroundings;

/// How control over a domain is proven.
#[derive(Debug, Clone)]
pub enum Settings {}

/// What a CA wants to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// `http://DOMAIN/PATH` gives `content` (RFC 8555, 8.3; purchase API reference 5).
    File {
        /// The host name, without a port.
        domain: String,
        /// Begins with `/.well-known/`.
        path: String,
        /// The body, exactly.
        content: String,
    },
    /// A TXT record (RFC 8555, 8.4).
    Txt {
        /// The full name, such as `_acme-challenge.example.com`, without the dot at the end.
        name: String,
        /// Its text.
        value: String,
    },
    /// A CNAME record (purchase API reference 5).
    Cname {
        /// The full name, without the dot at the end.
        name: String,
        /// Where it points, without the dot at the end.
        target: String,
    },
}

/// The way in which proofs can be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Files, over plain HTTP on port 80 of the domain.
    Http,
    /// Records in the DNS.
    Dns,
}

/// Puts proofs where a CA looks for them.
#[derive(Debug)]
pub struct Validator {
    settings: Settings,
    surroundings: Surroundings,
}

impl Validator {
    /// A validator for `settings`; nothing is opened, read or sent yet.
    pub fn new(settings: Settings, surroundings: Surroundings) -> Self {
        Self {
            settings,
            surroundings,
        }
    }

    /// Which proofs it can give.
    pub fn method(&self) -> Method {
        match self.settings {}
    }

    /// Puts `proof` up; one that is there already is fine.
    ///
    /// # Errors
    /// `Refused`: a proof of the other method, or the DNS server or program says no.
    pub async fn present(&self, _proof: &Proof) -> Result<(), Failure> {
        Err(Failure::new(FailureKind::Local, "present", ""))
    }

    /// Who does not show `proof` yet, in words; `None` when everybody does whom the CA may ask.
    ///
    /// # Errors
    /// When nobody can be asked.
    pub async fn missing(&self, _proof: &Proof) -> Result<Option<String>, Failure> {
        Ok(None)
    }

    /// Takes `proof` away; one that is not there is fine.
    ///
    /// # Errors
    /// As `present`.
    pub async fn withdraw(&self, _proof: &Proof) -> Result<(), Failure> {
        Ok(())
    }

    /// Looks whether proofs could be given, changing nothing; facts worth showing.
    ///
    /// # Errors
    /// The first thing that is in the way.
    pub async fn check(&self) -> Result<Vec<(String, String)>, Failure> {
        Ok(vec![(
            "clock".to_owned(),
            self.surroundings.clock.now().to_string(),
        )])
    }
}
