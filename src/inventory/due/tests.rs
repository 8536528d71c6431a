//! The due rules, a sentence each.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::inventory::{RenewalPolicy, Service};
use crate::pki::{AlternateName, Digest, Fingerprint, KeyKind, KeyRequest, Subject};

fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn current(lifetime: SignedDuration) -> Certificate {
    Certificate {
        der: Vec::new(),
        fingerprint: Fingerprint::of(b"certificate"),
        public_key: Fingerprint::of(b"key"),
        key: KeyKind::Rsa(2048),
        subject: "CN=vpn.example.com".to_owned(),
        issuer: "CN=Test CA".to_owned(),
        common_name: Some("vpn.example.com".to_owned()),
        alternate_names: vec![AlternateName::Domain("vpn.example.com".to_owned())],
        other_names: Vec::new(),
        purposes: Vec::new(),
        serial: "01".to_owned(),
        not_before: start(),
        not_after: start() + lifetime,
        is_ca: false,
        allows_server_auth: true,
    }
}

fn wanted(renew_after: Option<u16>) -> ManagedCertificate {
    ManagedCertificate {
        key_origin: crate::inventory::KeyOrigin::Firewall,
        name: "hq".into(),
        firewall: "hq".into(),
        ca: "office".into(),
        request: KeyRequest {
            subject: Subject {
                common_name: Some("vpn.example.com".to_owned()),
                ..Subject::default()
            },
            alternate_names: vec![AlternateName::Domain("vpn.example.com".to_owned())],
            key: KeyKind::Rsa(2048),
            digest: Digest::Sha256,
        },
        services: vec![Service::WebManagement],
        endpoints: Vec::new(),
        policy: RenewalPolicy {
            renew_after,
            verify_timeout: SignedDuration::from_mins(2),
            urgent: crate::inventory::Urgent::Ask,
        },
    }
}

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

fn facts<'a>(wanted: &'a ManagedCertificate, current: &'a Certificate) -> Facts<'a> {
    Facts {
        wanted,
        current: Some(current),
        unknown: None,
        renewed_before: true,
        requested_at: None,
        window: None,
        rest: None,
    }
}

/// The rule that decides `age` after the start of a lifetime.
fn rule(lifetime: SignedDuration, age: SignedDuration) -> Option<Reason> {
    let (wanted, current) = (wanted(None), current(lifetime));
    match decide(&facts(&wanted, &current), start() + age) {
        Decision::Due { reason, .. } => Some(reason),
        Decision::Rest { .. } => None,
    }
}

#[test]
fn two_thirds_of_the_real_lifetime_are_waited_for() {
    assert_eq!(rule(days(90), days(59)), None);
    assert_eq!(rule(days(90), days(61)), Some(Reason::ShareOfLifetimeSpent));
    assert_eq!(rule(days(200), days(132)), None);
    assert_eq!(
        rule(days(200), days(134)),
        Some(Reason::ShareOfLifetimeSpent)
    );
}

#[test]
fn a_lifetime_under_ten_days_is_renewed_at_its_half() {
    let lifetime = SignedDuration::from_hours(160);
    assert_eq!(rule(lifetime, SignedDuration::from_hours(79)), None);
    assert_eq!(
        rule(lifetime, SignedDuration::from_hours(81)),
        Some(Reason::ShareOfLifetimeSpent)
    );
}

#[test]
fn the_last_twentieth_is_an_emergency() {
    assert_eq!(
        rule(days(100), days(94)),
        Some(Reason::ShareOfLifetimeSpent)
    );
    assert_eq!(rule(days(100), days(96)), Some(Reason::Emergency));
    assert_eq!(rule(days(100), days(200)), Some(Reason::Emergency));
}

#[test]
fn a_configured_share_wins_over_the_default() {
    let (wanted, current) = (wanted(Some(300)), current(days(100)));
    let due = decide(&facts(&wanted, &current), start() + days(31));
    assert!(matches!(
        due,
        Decision::Due {
            reason: Reason::ShareOfLifetimeSpent,
            ..
        }
    ));
    let rest = decide(&facts(&wanted, &current), start() + days(29));
    assert!(matches!(rest, Decision::Rest { until: Some(at), .. } if at == start() + days(30)));
}

#[test]
fn other_names_are_due_at_once_with_another_reason_than_a_first_issue() {
    let (wanted, mut current) = (wanted(None), current(days(90)));
    current.alternate_names = vec![AlternateName::Domain("old.example.com".to_owned())];
    current.common_name = Some("old.example.com".to_owned());
    let mut facts = facts(&wanted, &current);
    let reason = |facts: &Facts<'_>| match decide(facts, start()) {
        Decision::Due { reason, words } => {
            assert!(words.contains("vpn.example.com"), "{words}");
            Some(reason)
        }
        Decision::Rest { .. } => None,
    };
    assert_eq!(reason(&facts), Some(Reason::NamesOrKeyChanged));
    facts.renewed_before = false;
    assert_eq!(reason(&facts), Some(Reason::NotYetIssued));
}

#[test]
fn a_request_of_an_operator_wins_over_every_other_rule() {
    let (wanted, current) = (wanted(None), current(days(90)));
    let facts = Facts {
        requested_at: Some(start()),
        ..facts(&wanted, &current)
    };
    let decision = decide(&facts, start() + days(89));
    assert!(matches!(
        decision,
        Decision::Due {
            reason: Reason::Requested,
            ..
        }
    ));
}

#[test]
fn what_was_never_seen_is_not_renewed_blindly() {
    let wanted = wanted(None);
    let facts = Facts {
        wanted: &wanted,
        current: None,
        unknown: None,
        renewed_before: false,
        requested_at: None,
        window: None,
        rest: None,
    };
    assert!(matches!(
        decide(&facts, start()),
        Decision::Rest { until: None, .. }
    ));
}

proptest! {
    #[test]
    fn once_due_a_certificate_stays_due_and_the_moment_is_known_beforehand(
        lifetime_hours in 1_i64..10_000,
        age_hours in 0_i64..10_000,
    ) {
        let (wanted, current) = (wanted(None), current(SignedDuration::from_hours(lifetime_hours)));
        let facts = facts(&wanted, &current);
        let now = start() + SignedDuration::from_hours(age_hours);
        match decide(&facts, now) {
            Decision::Due { .. } => {
                let later = decide(&facts, now + SignedDuration::from_hours(1));
                prop_assert!(matches!(later, Decision::Due { .. }), "due, and then not");
            }
            Decision::Rest { until, .. } => {
                let until = until.unwrap();
                prop_assert!(until > now && until < current.not_after);
                let due = decide(&facts, until);
                prop_assert!(matches!(due, Decision::Due { .. }), "not due when it said it would be");
            }
        }
    }
}

fn window(from: SignedDuration, chosen: SignedDuration) -> RenewalWindow {
    RenewalWindow {
        start: start() + from,
        end: start() + from + days(1),
        chosen: start() + chosen,
        explanation: Some("https://ca.example/why".to_owned()),
    }
}

#[test]
fn the_window_of_the_ca_stands_in_the_place_of_the_share_unless_one_is_configured() {
    let window = window(days(80), days(80));
    let current = current(days(90));
    for (share, age, expected) in [
        (None, 70, None),
        (None, 80, Some(Reason::RenewalWindow)),
        (Some(500), 45, Some(Reason::ShareOfLifetimeSpent)),
    ] {
        let wanted = wanted(share);
        let facts = Facts {
            window: Some(&window),
            ..facts(&wanted, &current)
        };
        let reason = match decide(&facts, start() + days(age)) {
            Decision::Due { reason, words } => {
                let is_explained = words.contains("https://ca.example/why");
                assert_eq!(is_explained, reason == Reason::RenewalWindow, "{words}");
                Some(reason)
            }
            Decision::Rest { .. } => None,
        };
        assert_eq!(reason, expected, "share {share:?}, {age} days");
    }
}

#[test]
fn a_window_that_lies_too_late_is_overridden_by_the_last_twentieth() {
    let (wanted, current) = (wanted(None), current(days(90)));
    let window = window(days(200), days(200));
    let facts = Facts {
        window: Some(&window),
        ..facts(&wanted, &current)
    };
    let rest = decide(&facts, start() + days(70));
    let emergency = Some(Reason::Emergency);
    assert!(
        matches!(rest, Decision::Rest { rule, .. } if rule == emergency),
        "{rest:?}"
    );
    let due = decide(&facts, start() + days(86));
    assert!(
        matches!(
            due,
            Decision::Due {
                reason: Reason::Emergency,
                ..
            }
        ),
        "{due:?}"
    );
}

#[test]
fn a_ca_that_wants_what_it_has_just_issued_renewed_is_not_followed_round_and_round() {
    for (lifetime, settled) in [(days(90), days(1)), (days(6), days(6) / 20)] {
        let (wanted, current) = (wanted(None), current(lifetime));
        let window = window(-days(3), -days(3));
        let facts = Facts {
            window: Some(&window),
            ..facts(&wanted, &current)
        };
        let rest = decide(&facts, start() + settled - days(1) / 100);
        assert!(matches!(rest, Decision::Rest { .. }), "{rest:?}");
        let due = decide(&facts, start() + settled);
        assert!(matches!(due, Decision::Due { .. }), "{due:?}");
    }
}

#[test]
fn an_unknown_certificate_makes_due_only_what_was_never_renewed() {
    let (wanted, current) = (wanted(None), current(days(90)));
    let unknown = Facts {
        current: None,
        unknown: Some("a:443 serves SHA-256 00"),
        renewed_before: false,
        ..facts(&wanted, &current)
    };
    let decision = decide(&unknown, start());
    assert!(
        matches!(&decision, Decision::Due { reason: Reason::NotYetIssued, words } if words.contains("a:443")),
        "{decision:?}"
    );
    let managed = Facts {
        renewed_before: true,
        ..unknown
    };
    let rest = decide(&managed, start());
    assert!(
        matches!(rest, Decision::Rest { until: None, .. }),
        "{rest:?}"
    );
}
