//! A firewall's certificate, renewed from end to end; and one that the template would refuse.

use std::sync::Arc;

use renewd::inventory::State;
use simulators::sonicos::Profile;
use simulators::venafi::{Faces, Settings, Simulator, StatusPath, Template};

use crate::lab::Lab;

#[tokio::test]
async fn a_firewall_is_renewed_with_one_order() {
    let (lab, cloud) = lab(Settings::default()).await;
    lab.run_once().await;
    let renewals = lab.renewals().await;
    assert_eq!(renewals.len(), 1, "{renewals:#?}");
    let renewal = &renewals[0];
    assert_eq!(renewal.state, State::Completed, "{:?}", renewal.last_error);
    for seen in lab.seen().await {
        assert_eq!(Some(seen.fingerprint), renewal.obtained.fingerprint);
        let born = lab.simulator.spki_sha256(&renewal.alias).unwrap();
        assert_eq!(seen.public_key.to_string(), born);
    }
    let counters = cloud.counters();
    assert_eq!(
        (counters.orders, counters.duplicates, counters.signed),
        (1, 0, 1)
    );
    let reference = &cloud.orders()[0].body["certificateUsageMetadata"][0]["nodeName"];
    assert_eq!(reference, &renewal.id.to_string());
    lab.assert_left_in_order();
}

#[tokio::test]
async fn what_the_template_refuses_costs_neither_a_key_nor_an_order() {
    let mut told = Settings::default();
    told.templates[0] = Template {
        subject_cn: vec![r"[a-z]+\.example\.org".to_owned()],
        ..Template::default()
    };
    let (lab, cloud) = lab(told).await;
    lab.run_once().await;
    let renewal = &lab.renewals().await[0];
    assert_eq!(renewal.state, State::Planned);
    let words = renewal.last_error.as_deref().unwrap_or_default();
    assert!(words.contains("breaks the template"), "{words}");
    assert_eq!(lab.simulator.counters().key_pairs_generated, 0);
    assert_eq!(cloud.counters().orders, 0);
}

/// It was placed, so it is looked for, and never placed again.
#[tokio::test]
async fn an_order_whose_reference_cannot_be_stored_is_reported_and_not_placed_again() {
    let (lab, cloud) = lab(Settings {
        faces: Faces {
            longer_ids: 5000,
            ..Faces::kind()
        },
        ..Settings::default()
    })
    .await;
    for _ in 0..6 {
        lab.run_once().await;
        let renewal = lab.renewals().await.swap_remove(0);
        assert_eq!(renewal.state, State::CsrExported);
        let words = renewal.last_error.unwrap_or_default();
        assert!(
            words.contains("has 5036 bytes, and no more than 4096"),
            "{words}"
        );
        assert!(words.len() < 1000, "{words}");
        assert_eq!(cloud.counters().orders, 1);
        let submit = renewd::renewal::Step::Submit.name();
        let intent = lab.store().await.intent(&renewal.id, submit).await.unwrap();
        assert!(intent.is_some(), "the intent is kept");
        lab.clock.set(renewal.next_attempt_at.unwrap());
    }
    assert!(lab.has_event("attention_needed").await);
}

#[tokio::test]
async fn an_approval_is_waited_for_and_told() {
    let (lab, cloud) = lab(Settings {
        faces: Faces {
            status_path: StatusPath::Approved,
            approval_polls: None,
            ..Faces::kind()
        },
        ..Settings::default()
    })
    .await;
    lab.run_once().await;
    assert_eq!(lab.renewals().await[0].state, State::Submitted);
    assert!(
        lab.has_event("approval_needed").await,
        "{:#?}",
        lab.history().await
    );
    let order = cloud.orders()[0].id.clone();
    assert!(cloud.approve(&order));
    for _ in 0..3 {
        lab.clock.advance(jiff::SignedDuration::from_hours(2));
        lab.run_once().await;
    }
    assert_eq!(lab.renewals().await[0].state, State::Completed);
    assert_eq!(cloud.counters().orders, 1);
}

/// A laboratory whose CA is a simulated service.
async fn lab(mut told: Settings) -> (Lab, Simulator) {
    let lab = Lab::new(Profile::V8).await;
    let clock = Arc::clone(&lab.clock);
    told.common.now = Arc::new(move || {
        let now = renewd::clock::Clock::now(clock.as_ref());
        time::OffsetDateTime::from_unix_timestamp(now.as_second()).unwrap()
    });
    crate::lab::write_secret(&lab.folder.path().join("api-key"), &told.api_key);
    let cloud = Simulator::start(told).await.unwrap();
    let driver = format!(
        "driver.venafi = {{ url = \"{}\", api_key = {{ file = \"api-key\" }}, application = \"Firewalls\", \
         template = \"Default\", include_root = true, trust = {{ sha256 = \"{}\" }} }}",
        cloud.url(),
        cloud.fingerprint()
    );
    let text = std::fs::read_to_string(lab.config_file()).unwrap();
    let lines = text.lines().map(|line| {
        if line.starts_with("driver.local") {
            driver.as_str()
        } else {
            line
        }
    });
    std::fs::write(lab.config_file(), lines.collect::<Vec<_>>().join("\n")).unwrap();
    (lab, cloud)
}
