//! One row: a device that is set so, and a renewal on it.

use jiff::SignedDuration;
use renewd::clock::Clock as _;
use renewd::inventory::State;
use simulators::sonicos::{Action, Profile, PublicKeyPadding, Rule, Variants};

use super::pairwise::{Axis, Row};
use crate::test_bed::TestBed;

/// The values of a row, by the names of their axes.
#[derive(Debug, Clone)]
pub struct Settings(Vec<(&'static str, &'static str)>);

impl Settings {
    pub fn of(axes: &[Axis], row: &Row) -> Self {
        let values = axes.iter().zip(row);
        Self(
            values
                .map(|(axis, value)| (axis.name, axis.values[*value]))
                .collect(),
        )
    }

    fn get(&self, name: &str) -> &'static str {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| *value).unwrap_or_default()
    }

    fn profile(&self) -> Profile {
        match self.get("@profile") {
            "6.5" => Profile::V6_5,
            "7.0" => Profile::V7_0,
            "7.x" => Profile::V7_X,
            "8" => Profile::V8,
            other => panic!("no profile {other}"),
        }
    }

    fn variants(&self) -> Variants {
        let mut variants = Variants::kind();
        for (name, value) in self.0.iter().filter(|(name, _)| !name.starts_with('@')) {
            variants.set_by_name(name, value).unwrap();
        }
        // The other administrator stays: a renewal would wait for ever.
        variants.chap_busy_text = false;
        // What the configuration asks for, the device must offer.
        match self.get("@login") {
            "basic" => variants.basic = Some(true),
            "chap" => variants.chap = Some(true),
            "public-key" => variants.public_key_padding = PublicKeyPadding::OaepSha256,
            _ => {}
        }
        variants
    }

    /// Whether the first key pair waits for a commit that does not come, so that it goes with its session.
    fn loses_a_key(&self) -> bool {
        let trouble = self.get("@trouble");
        let is_cut = [
            "500 instead of the commit",
            "the answer to the generation is lost",
        ];
        self.get("generation_is_pending") == "true" && is_cut.contains(&trouble)
    }

    fn keys(&self) -> String {
        let login = self.get("@login");
        let protocol = self.protocol();
        format!(
            r#"login = "{login}", preempt_idle_administrator = true, transfer_timeout = "3s", file_transfer = {{ protocol = "{protocol}" }}"#
        )
    }

    /// An operator configures only what the device can do; FTP is used only where it is configured.
    fn protocol(&self) -> &'static str {
        match (self.get("@protocol"), self.get("transfer_protocols")) {
            (_, "ftp_only" | "scp_broken") => "ftp",
            ("ftp", "scp_only") | ("", _) => "automatic",
            (protocol, _) => protocol,
        }
    }
}

/// One renewal, until it is completed in the one right way.
pub async fn renew(settings: Settings) {
    let bed = TestBed::with_keys(settings.profile(), settings.variants(), &settings.keys()).await;
    if settings.get("@administrator") == "in configuration mode" {
        bed.simulator
            .other_administrator()
            .takes_configuration_mode();
    }
    if let Some(rule) = trouble(settings.get("@trouble")) {
        bed.simulator.rule(rule);
    }
    for _ in 0..RUNS {
        bed.run_once().await;
        let renewal = bed.renewals().await.swap_remove(0);
        if renewal.state.is_end() {
            break;
        }
        let soon = bed.clock.now() + SignedDuration::from_secs(1);
        bed.clock
            .set(renewal.next_attempt_at.unwrap_or(soon).max(soon));
    }
    let journal = bed.simulator.journal();
    let reported = || format!("{:#?}", &journal[journal.len().saturating_sub(40)..]);
    let renewal = bed.renewals().await.swap_remove(0);
    assert_eq!(
        renewal.state,
        State::Completed,
        "{:?} {}",
        renewal.last_error,
        reported()
    );
    if settings.loses_a_key() {
        assert_eq!(
            bed.simulator.counters().key_pairs_present,
            1,
            "{}",
            reported()
        );
        bed.assert_left_in_order();
    } else {
        bed.assert_renewed_once().await;
    }
}

fn trouble(name: &str) -> Option<Rule> {
    let (method, path, action) = match name {
        "none" => return None,
        "too many sessions at the login" => (
            "POST",
            "/auth",
            Action::Status(503, String::new(), Vec::new()),
        ),
        "the answer to the commit is lost" => ("POST", "/config/pending", Action::DropAfter),
        "the answer to the import is lost" => {
            ("PUT", "/import/certificates/signed-cert", Action::DropAfter)
        }
        "the answer to the generation is lost" => (
            "POST",
            "/certificates/generate-signing-request",
            Action::DropAfter,
        ),
        "500 instead of the commit" => (
            "POST",
            "/config/pending",
            Action::Status(500, "Internal error".to_owned(), Vec::new()),
        ),
        other => panic!("no trouble {other}"),
    };
    Some(Rule::once(method, path, action))
}

/// More than any row needs.
const RUNS: usize = 40;
