//! The CAs of a fleet: one of each kind, and what each of them counted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use renewd::clock::ManualClock;

use crate::contract::acme::Acme;
use crate::contract::pam360::Pam360;
use crate::contract::resello::Resello;
use crate::contract::venafi::Venafi;
use crate::contract::{Port, Subject};
use crate::exec_driver::certmonger::LOCAL_SUBMIT;
use crate::matrix::invariants::CaFacts;
use crate::peers::{free_address, write_program};

/// The kinds, by the names that they have in the configuration.
pub const KINDS: [&str; 6] = ["local", "acme", "venafi", "pam360", "resello", "exec"];

/// One CA.
pub struct Ca {
    pub name: &'static str,
    /// What stands in no log and no database.
    pub secret: Option<String>,
    /// `driver.NAME = { … }`.
    driver: String,
    peer: Peer,
}

enum Peer {
    Acme(Box<Acme>),
    Venafi(Box<Venafi>),
    Pam360(Box<Pam360>),
    Resello(Box<Resello>),
    /// What was signed lies here, a file each.
    Files(PathBuf),
}

impl Ca {
    /// Starts a CA whose time is `clock`, and puts what its configuration names into `folder`.
    pub async fn start(
        name: &'static str,
        clock: &Arc<ManualClock>,
        folder: &Path,
        daemons: usize,
    ) -> Self {
        let own = folder.join(format!("{name}-files"));
        std::fs::create_dir(&own).unwrap();
        let clock = Arc::clone(clock);
        let peer = match name {
            "acme" => {
                let unkind = |variants: &mut simulators::acme::Variants| {
                    variants.bad_nonce_every = 7;
                    // It validates at one port only.
                    variants.always_valid = daemons > 1;
                };
                Peer::Acme(Box::new(Acme::with(clock, unkind).await))
            }
            "venafi" => Peer::Venafi(Box::new(Venafi::start(clock).await)),
            "pam360" => Peer::Pam360(Box::new(Pam360::start(clock).await)),
            "resello" => Peer::Resello(Box::new(Resello::start(clock).await)),
            "local" => Peer::Files(folder.join("ca/local")),
            _ => Peer::Files(own.clone()),
        };
        let driver = peer.driver(name, &own);
        let secret = peer.prepare(&own);
        Self {
            name,
            driver: driver.replace("FOLDER", &own.display().to_string()),
            secret,
            peer,
        }
    }

    /// `driver.NAME = { … }`, for the first daemon or for another, which cannot listen on the same port.
    pub fn driver(&self, is_first: bool) -> String {
        const LISTEN: &str = "listen = \"";
        match self.driver.split_once(LISTEN) {
            Some((before, after)) if !is_first => {
                let (_, after) = after.split_once('"').unwrap();
                format!("{before}{LISTEN}{}\"{after}", free_address())
            }
            _ => self.driver.clone(),
        }
    }

    /// What every simulated CA has.
    pub fn port(&self) -> Option<&dyn Port> {
        match &self.peer {
            Peer::Acme(ca) => Some(ca.port()),
            Peer::Venafi(ca) => Some(ca.port()),
            Peer::Pam360(ca) => Some(ca.port()),
            Peer::Resello(ca) => Some(ca.port()),
            Peer::Files(_) => None,
        }
    }

    /// Orders that may have cost something.
    pub fn orders(&self) -> usize {
        let orders = match &self.peer {
            Peer::Acme(ca) => ca.orders(),
            Peer::Venafi(ca) => ca.orders(),
            Peer::Pam360(ca) => ca.orders(),
            Peer::Resello(ca) => ca.orders(),
            Peer::Files(folder) => return signed_in(folder),
        };
        usize::try_from(orders).unwrap()
    }

    /// What it has counted.
    pub fn facts(&self) -> CaFacts {
        let counters = self.port().map(Port::counters).unwrap_or_default();
        CaFacts {
            name: self.name.to_owned(),
            orders: u64::try_from(self.orders()).unwrap(),
            duplicates: counters.duplicates,
            spent_cents: counters.spent_cents,
            price_cents: match &self.peer {
                Peer::Resello(ca) => ca.price_cents(),
                _ => 0,
            },
            budget: None,
            journal: self.port().map(Port::journal).unwrap_or_default(),
        }
    }
}

impl Peer {
    fn driver(&self, name: &str, own: &Path) -> String {
        match self {
            Self::Acme(ca) => {
                let none = "{ orders = 0 }";
                ca.driver_with(&format!(
                    ", limits = {{ account = {none}, domain = {none}, names = {none} }}"
                ))
            }
            Self::Venafi(ca) => ca.driver(),
            Self::Pam360(ca) => ca.driver(),
            Self::Resello(ca) => {
                let driver = ca.driver();
                let open = driver.strip_suffix('}').unwrap();
                // Its plan renews no order as young as these.
                format!("{open}, order_budget = {{ orders = 1000 }}, renewal_mode = \"buy\" }}")
            }
            Self::Files(_) if name == "local" => {
                r#"driver.local = { certificate = "FOLDER/ca.pem", key = { file = "FOLDER/ca.key" } }"#
                    .to_owned()
            }
            Self::Files(_) => {
                write_program(&own.join("helper"), HELPER);
                format!(
                    r#"driver.exec = {{ program = "FOLDER/helper", environment = ["D=FOLDER", "SIGNER={LOCAL_SUBMIT}"] }}"#
                )
            }
        }
    }

    /// Writes what the configuration names; the secret in it.
    fn prepare(&self, own: &Path) -> Option<String> {
        let (file, secrets) = match self {
            Self::Acme(ca) => {
                std::fs::write(own.join("roots.pem"), ca.simulator.root_pem()).unwrap();
                return None;
            }
            Self::Venafi(ca) => ("api-key", ca.secrets()),
            Self::Pam360(ca) => ("token", ca.secrets()),
            Self::Resello(ca) => ("api-key", ca.secrets()),
            Self::Files(_) => return None,
        };
        let secret = secrets.into_iter().next().unwrap();
        crate::test_bed::write_secret(&own.join(file), &secret);
        Some(secret)
    }
}

fn signed_in(folder: &Path) -> usize {
    let Ok(files) = std::fs::read_dir(folder) else {
        return 0;
    };
    let is_signed = |file: PathBuf| file.extension().is_some_and(|e| e == "pem");
    files
        .filter(|file| is_signed(file.as_ref().unwrap().path()))
        .filter(|file| file.as_ref().unwrap().file_name() != "ca.pem")
        .count()
}

/// certmonger's own helper, behind one that takes the same request for the same order, as the contract's head asks.
const HELPER: &str = r#"#!/bin/sh
case "$CERTMONGER_OPERATION" in
SUBMIT | POLL) ;;
*) exec "$SIGNER" -d "$D/signer" ;;
esac
exec 9>"$D/lock"
flock 9
mkdir -p "$D/signer"
name=$(printf %s "$CERTMONGER_SPKI" | sha256sum | cut -c1-32)
if [ ! -e "$D/$name.pem" ]; then
    "$SIGNER" -d "$D/signer" >"$D/$name.part" || exit
    mv "$D/$name.part" "$D/$name.pem"
fi
cat "$D/$name.pem"
"#;
