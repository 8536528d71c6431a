//! A firewall's certificate, renewed from end to end; and one that the template would refuse.

use std::sync::Arc;

use renewd::inventory::State;
use simulators::sonicos::Profile;
use simulators::venafi::{Settings, Simulator, StatusPath, Template, Variants};

use crate::test_bed::TestBed;

#[tokio::test]
async fn a_firewall_is_renewed_with_one_order() {
    let (bed, cloud) = bed(Settings::default()).await;
    bed.run_once().await;
    let renewals = bed.renewals().await;
    assert_eq!(renewals.len(), 1, "{renewals:#?}");
    let renewal = &renewals[0];
    assert_eq!(renewal.state, State::Completed, "{:?}", renewal.last_error);
    for seen in bed.seen().await {
        assert_eq!(Some(seen.fingerprint), renewal.obtained.fingerprint);
        let born = bed.simulator.spki_sha256(&renewal.alias).unwrap();
        assert_eq!(seen.public_key.to_string(), born);
    }
    let counters = cloud.counters();
    assert_eq!(
        (counters.orders, counters.duplicates, counters.signed),
        (1, 0, 1)
    );
    let reference = &cloud.orders()[0].body["certificateUsageMetadata"][0]["nodeName"];
    assert_eq!(reference, &renewal.id.to_string());
    bed.assert_left_in_order();
}

#[tokio::test]
async fn what_the_template_refuses_costs_neither_a_key_nor_an_order() {
    let mut reported = Settings::default();
    reported.templates[0] = Template {
        subject_cn: vec![r"[a-z]+\.example\.org".to_owned()],
        ..Template::default()
    };
    let (bed, cloud) = bed(reported).await;
    bed.run_once().await;
    let renewal = &bed.renewals().await[0];
    assert_eq!(renewal.state, State::Planned);
    let words = renewal.last_error.as_deref().unwrap_or_default();
    assert!(words.contains("breaks the template"), "{words}");
    assert_eq!(bed.simulator.counters().key_pairs_generated, 0);
    assert_eq!(cloud.counters().orders, 0);
}

/// It was placed, so it is looked up, and never placed again.
#[tokio::test]
async fn an_order_whose_reference_cannot_be_stored_is_reported_and_not_placed_again() {
    let (bed, cloud) = bed(Settings {
        variants: Variants {
            longer_ids: 5000,
            ..Variants::kind()
        },
        ..Settings::default()
    })
    .await;
    for _ in 0..6 {
        bed.run_once().await;
        let renewal = bed.renewals().await.swap_remove(0);
        assert_eq!(renewal.state, State::CsrExported);
        let words = renewal.last_error.unwrap_or_default();
        assert!(
            words.contains("has 5036 bytes, and no more than 4096"),
            "{words}"
        );
        assert!(words.len() < 1000, "{words}");
        assert_eq!(cloud.counters().orders, 1);
        let submit = renewd::renewal::Step::Submit.name();
        let intent = bed.store().await.intent(&renewal.id, submit).await.unwrap();
        assert!(intent.is_some(), "the intent is kept");
        bed.clock.set(renewal.next_attempt_at.unwrap());
    }
    assert!(bed.has_event("attention_needed").await);
}

#[tokio::test]
async fn an_approval_is_waited_for_and_reported() {
    let (bed, cloud) = bed(Settings {
        variants: Variants {
            status_path: StatusPath::Approved,
            approval_polls: None,
            ..Variants::kind()
        },
        ..Settings::default()
    })
    .await;
    bed.run_once().await;
    assert_eq!(bed.renewals().await[0].state, State::Submitted);
    assert!(
        bed.has_event("approval_needed").await,
        "{:#?}",
        bed.history().await
    );
    let order = cloud.orders()[0].id.clone();
    assert!(cloud.approve(&order));
    for _ in 0..3 {
        bed.clock.advance(jiff::SignedDuration::from_hours(2));
        bed.run_once().await;
    }
    assert_eq!(bed.renewals().await[0].state, State::Completed);
    assert_eq!(cloud.counters().orders, 1);
}

/// A test bed whose CA is a simulated service.
async fn bed(mut reported: Settings) -> (TestBed, Simulator) {
    let bed = TestBed::new(Profile::V8).await;
    let clock = Arc::clone(&bed.clock);
    reported.common.now = Arc::new(move || {
        let now = renewd::clock::Clock::now(clock.as_ref());
        time::OffsetDateTime::from_unix_timestamp(now.as_second()).unwrap()
    });
    crate::test_bed::write_secret(&bed.folder.path().join("api-key"), &reported.api_key);
    let cloud = Simulator::start(reported).await.unwrap();
    let driver = format!(
        "driver.venafi = {{ url = \"{}\", api_key = {{ file = \"api-key\" }}, application = \"Firewalls\", \
         template = \"Default\", include_root = true, trust = {{ sha256 = \"{}\" }} }}",
        cloud.url(),
        cloud.fingerprint()
    );
    let text = std::fs::read_to_string(bed.config_file()).unwrap();
    let lines = text.lines().map(|line| {
        if line.starts_with("driver.local") {
            driver.as_str()
        } else {
            line
        }
    });
    std::fs::write(bed.config_file(), lines.collect::<Vec<_>>().join("\n")).unwrap();
    (bed, cloud)
}
