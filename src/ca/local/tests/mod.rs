//! The local CA, from its creation to what it refuses.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod files;
mod issue;
mod refuse;
mod subjects;
mod unusable;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use jiff::SignedDuration;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, SanType};
use tempfile::TempDir;

use super::{LocalCa, Purpose, Settings, init};
use crate::ca::{Issuance, Issuer, Reference, SigningRequest};
use crate::clock::ManualClock;
use crate::env::Env;
use crate::failure::FailureKind;
use crate::pki::testing::{csr, csr_params, key_request, now, openssl, params};
use crate::pki::{AlternateName, Certificate, Csr, Expected, KeyKind, check_issued};
use crate::random::SeededRandom;

/// A CA in a temporary folder with a clock that can be moved.
struct Setup {
    folder: TempDir,
    clock: Arc<ManualClock>,
    settings: Settings,
}

impl Setup {
    fn new() -> Self {
        let setup = Self::without_ca();
        init(
            &setup.settings,
            "Office CA",
            KeyKind::Ecdsa(256),
            10,
            &setup.env(),
        )
        .unwrap();
        setup
    }

    fn without_ca() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            certificate: folder.path().join("ca.pem"),
            key: folder.path().join("ca.key"),
            issued: folder.path().join("state/issued"),
            lifetime_days: 90,
            purposes: vec![Purpose::ServerAuth, Purpose::IpsecIke],
            permitted_domains: vec![],
        };
        Self {
            folder,
            clock: Arc::new(ManualClock::new(now())),
            settings,
        }
    }

    /// Puts a CA there.
    fn put(&self, certificates: &str, key: &str) {
        std::fs::write(&self.settings.certificate, certificates).unwrap();
        std::fs::write(&self.settings.key, key).unwrap();
        let closed = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&self.settings.key, closed).unwrap();
    }

    /// Moves the clock to the hour after the first certificate of this file became valid.
    fn move_to(&self, certificates: &str) {
        let first = &Certificate::all_from_pem(certificates).unwrap()[0];
        self.clock
            .set(first.not_before + SignedDuration::from_hours(1));
    }

    fn env(&self) -> Env {
        Env {
            clock: self.clock.clone(),
            random: Arc::new(SeededRandom::new(1)),
        }
    }

    fn ca(&self) -> LocalCa {
        LocalCa::new(self.settings.clone(), self.env())
    }

    /// Submits `csr` as "r1" and reads what was issued.
    async fn issue(
        &self,
        csr: Csr,
    ) -> Result<(Certificate, Vec<Certificate>), (FailureKind, String)> {
        let ca = self.ca();
        let reference = ca
            .submit(&request("r1", csr))
            .await
            .map_err(|failure| (failure.kind, failure.detail))?;
        Ok(issued(&ca, &reference).await)
    }

    async fn refusal(&self, csr: Csr) -> String {
        let (kind, words) = self.issue(csr).await.unwrap_err();
        assert_eq!(kind, FailureKind::Refused, "{words}");
        words
    }
}

fn request(reference: &str, csr: Csr) -> SigningRequest {
    SigningRequest {
        client_reference: reference.to_owned(),
        csr,
        planned_at: now(),
        previous: None,
        window: None,
    }
}

async fn issued(ca: &LocalCa, reference: &Reference) -> (Certificate, Vec<Certificate>) {
    let request = request(&reference.0, good_csr());
    match ca.poll(reference, &request).await.unwrap() {
        Issuance::Issued { leaf, chain } => (*leaf, chain),
        other => panic!("{other:?}"),
    }
}

fn good_csr() -> Csr {
    csr(&csr_params(), &KeyPair::generate().unwrap())
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}
