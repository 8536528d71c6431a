//! Every invariant is broken once by hand, and says so: what cannot fail proves nothing.

use std::collections::HashSet;

use rcgen::{CertificateParams, KeyPair};
use renewd::event::{EventKind, Level};
use renewd::inventory::{Obtained, Renewal, RenewalId, SealedKey, State};
use renewd::pki::Certificate;
use renewd::renewal::Step;
use renewd::store::PastEvent;

use super::invariants::{CaFacts, DeviceFacts, Facts, INVARIANTS, Served, When};
use crate::test_bed::TODAY;

const FIRST: &str = "the first certificate";
const FIRST_KEY: &str = "the first key";

/// A renewal that was completed in the one right way.
fn healthy() -> Facts {
    let (renewal, leaf) = completed();
    let key = leaf.public_key.to_string();
    let served = Served {
        fingerprint: leaf.fingerprint.to_string(),
        public_key: key.clone(),
        bound: Some(renewal.alias.clone()),
    };
    let tried = [Step::GenerateCsr, Step::Submit, Step::Import, Step::Bind];
    Facts {
        when: When::AtEnd,
        now: TODAY.parse().unwrap(),
        tried: tried.map(|step| (renewal.id.clone(), step)).into(),
        history: vec![reported(&renewal, EventKind::RenewalCompleted)],
        devices: vec![DeviceFacts {
            name: "hq".to_owned(),
            first: vec![FIRST.to_owned()],
            names: vec![
                ("fw-initial".to_owned(), Some(FIRST_KEY.to_owned())),
                (renewal.alias.clone(), Some(key)),
            ],
            served: [served.clone(), served],
            pending: Vec::new(),
            sessions_open: 0,
            holds_configuration_mode: false,
            commits_of_foreign_changes: 0,
            discards_of_foreign_changes: 0,
            locked_out: 0,
            journal: vec!["POST /auth 200".to_owned()],
        }],
        cas: vec![CaFacts {
            name: "office".to_owned(),
            orders: 1,
            duplicates: 0,
            spent_cents: 900,
            price_cents: 900,
            budget: Some(2),
            journal: Vec::new(),
        }],
        texts: vec![("the log".to_owned(), b"all is well".to_vec())],
        secrets: vec!["correct horse".to_owned()],
        renewals: vec![renewal],
    }
}

fn completed() -> (Renewal, Certificate) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["vpn.example.com".to_owned()]).unwrap();
    let csr_pem = params.serialize_request(&key).unwrap().pem().unwrap();
    let leaf = params.self_signed(&key).unwrap();
    let parsed = Certificate::from_der(leaf.der()).unwrap();
    let bindings = r#"[{"service":"web-management","alias":"fw-initial"}]"#;
    let renewal = Renewal {
        id: RenewalId("20261122-aaaa".to_owned()),
        certificate: "hq-portal".into(),
        firewall: "hq".into(),
        ca: "office".into(),
        alias: "hq-portal-20261122-aaaa".to_owned(),
        reason: "expires".to_owned(),
        state: State::Completed,
        planned_at: TODAY.parse().unwrap(),
        state_since: TODAY.parse().unwrap(),
        attempts: 0,
        polls: 0,
        cause: None,
        same_cause: 0,
        decided: None,
        planned_ahead: false,
        bind_now: false,
        refused_logins: 0,
        next_attempt_at: None,
        last_error_kind: None,
        last_error: None,
        obtained: Obtained {
            csr_pem: Some(csr_pem),
            ca_reference: Some("order 1".to_owned()),
            leaf_pem: Some(leaf.pem()),
            fingerprint: Some(parsed.fingerprint),
            previous_bindings: Some(bindings.to_owned()),
            ..Obtained::default()
        },
    };
    (renewal, parsed)
}

fn reported(renewal: &Renewal, kind: EventKind) -> PastEvent {
    PastEvent {
        id: 1,
        at: TODAY.parse().unwrap(),
        name: kind.name().to_owned(),
        level: kind.level(),
        renewal: Some(renewal.id.clone()),
        fields: serde_json::json!({}),
    }
}

/// That `change` breaks the invariant that begins with `words`, and no other one before it.
fn breaks(words: &str, change: impl FnOnce(&mut Facts)) {
    let mut facts = healthy();
    change(&mut facts);
    let broken = facts.hold().expect_err(words);
    assert!(broken.invariant.starts_with(words), "{words}: {broken}");
    assert!(broken.tail.contains("POST /auth 200"), "{broken}");
}

/// Undoes the bind of the healthy renewal, which is in `state` then.
fn unbind(facts: &mut Facts, state: State) {
    facts.renewals[0].state = state;
    facts.renewals[0].next_attempt_at = Some(facts.now);
    facts.tried.retain(|(_, step)| *step != Step::Bind);
    for served in &mut facts.devices[0].served {
        *served = Served {
            fingerprint: FIRST.to_owned(),
            public_key: FIRST_KEY.to_owned(),
            bound: Some("fw-initial".to_owned()),
        };
    }
}

#[test]
fn nothing_is_broken_where_all_is_well() {
    healthy().hold().unwrap();
    let mut facts = healthy();
    unbind(&mut facts, State::Imported);
    facts.hold().unwrap();
}

#[test]
fn a_second_order_breaks_it() {
    let words = "at most one chargeable order";
    breaks(words, |facts| facts.cas[0].orders = 2);
    breaks(words, |facts| facts.cas[0].duplicates = 1);
    breaks(words, |facts| facts.cas[0].spent_cents += 1);
    breaks(words, |facts| {
        facts.tried.retain(|(_, step)| *step != Step::Submit);
    });
}

#[test]
fn a_served_certificate_without_its_key_breaks_it() {
    let words = "no service shows a certificate whose key";
    breaks(words, |facts| {
        facts.devices[0].names[1].1 = Some("another key".to_owned());
    });
    breaks(words, |facts| facts.devices[0].names[1].1 = None);
}

#[test]
fn a_served_certificate_that_was_not_checked_breaks_it() {
    let words = "no service shows a certificate that was not checked";
    breaks(words, |facts| {
        facts.renewals[0].obtained.leaf_pem = None;
    });
    breaks(words, |facts| {
        facts.tried.retain(|(_, step)| *step != Step::Bind);
    });
    breaks(words, |facts| {
        let (other, _) = completed();
        facts.renewals[0].obtained.csr_pem = other.obtained.csr_pem;
    });
}

#[test]
fn an_old_certificate_that_is_gone_before_the_verification_breaks_it() {
    let words = "what was bound before stays";
    breaks(words, |facts| {
        facts.devices[0].names.remove(0);
    });
    breaks(words, |facts| {
        facts.renewals[0].state = State::Bound;
        let former = r#"[{"service":"ssl-vpn","alias":"hq-portal-former"}]"#;
        facts.renewals[0].obtained.previous_bindings = Some(former.to_owned());
    });
}

#[test]
fn another_administrators_change_that_is_committed_or_discarded_breaks_it() {
    let words = "no change of another administrator";
    breaks(words, |facts| {
        facts.devices[0].commits_of_foreign_changes = 1;
    });
    breaks(words, |facts| {
        facts.devices[0].discards_of_foreign_changes = 1;
    });
}

#[test]
fn what_is_not_given_back_at_an_end_breaks_it() {
    let words = "sessions and configuration mode";
    breaks(words, |facts| facts.devices[0].sessions_open = 1);
    breaks(words, |facts| {
        facts.devices[0].holds_configuration_mode = true;
    });
    breaks(words, |facts| {
        facts.devices[0]
            .pending
            .push("certificate delete".to_owned());
    });
    let mut facts = healthy();
    facts.devices[0].sessions_open = 1;
    facts.when = When::AfterCrash;
    facts.hold().unwrap();
}

#[test]
fn a_state_that_is_not_true_breaks_it() {
    let words = "a stored state is true";
    breaks(words, |facts| {
        unbind(facts, State::Submitted);
        facts.devices[0].names.remove(1);
    });
    breaks(words, |facts| {
        unbind(facts, State::Imported);
        facts.devices[0].names.remove(1);
    });
    breaks(words, |facts| unbind(facts, State::Bound));
    breaks(words, |facts| {
        unbind(facts, State::Submitted);
        facts.renewals[0].obtained.ca_reference = None;
    });
    breaks(words, |facts| {
        let sealed = SealedKey::new("sealed".to_owned());
        facts.renewals[0].obtained.sealed_key = Some(sealed);
    });
}

#[test]
fn a_renewal_that_stops_without_an_alert_breaks_it() {
    breaks("every renewal has ended, continues", |facts| {
        unbind(facts, State::Imported);
        facts.renewals[0].next_attempt_at = None;
    });
    let mut facts = healthy();
    unbind(&mut facts, State::Imported);
    facts.renewals[0].next_attempt_at = None;
    let held = reported(&facts.renewals[0], EventKind::RenewalHeld);
    facts.history.push(held);
    facts.hold().unwrap();
}

#[test]
fn a_failure_without_an_alert_breaks_it() {
    let words = "every failure that needs an operator";
    breaks(words, |facts| unbind(facts, State::Failed));
    breaks(words, |facts| unbind(facts, State::RolledBack));
    breaks(words, |facts| {
        unbind(facts, State::Imported);
        facts.renewals[0].last_error_kind = Some("unreachable".to_owned());
    });
    breaks(words, |facts| {
        unbind(facts, State::Failed);
        let mut silent = reported(&facts.renewals[0], EventKind::RenewalFailed);
        silent.level = Level::Info;
        facts.history.push(silent);
    });
}

#[test]
fn a_secret_in_any_text_breaks_it() {
    let words = "no secret is in a log";
    breaks(words, |facts| {
        facts.texts[0].1 = b"login with correct horse".to_vec();
    });
    breaks(words, |facts| {
        facts.texts[0].1 = b"-----BEGIN PRIVATE KEY-----".to_vec();
    });
    breaks(words, |facts| {
        facts.history[0].fields = serde_json::json!({ "detail": "correct horse" });
    });
    breaks(words, |facts| {
        facts.renewals[0].last_error = Some("refused: correct horse".to_owned());
    });
}

#[test]
fn a_budget_or_a_limit_that_is_passed_breaks_it() {
    let words = "budgets and limits hold";
    breaks(words, |facts| facts.cas[0].budget = Some(0));
    breaks(words, |facts| facts.devices[0].locked_out = 1);
    breaks(words, |facts| facts.renewals[0].refused_logins = 3);
}

#[test]
fn the_list_has_each_invariant_once() {
    let words: HashSet<&str> = INVARIANTS.iter().map(|(words, _)| *words).collect();
    assert_eq!(words.len(), INVARIANTS.len());
    let architecture = include_str!("../../../ARCHITECTURE.md");
    let plain = architecture
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    for words in words {
        assert!(plain.contains(words), "ARCHITECTURE.md lacks: {words}");
    }
}
