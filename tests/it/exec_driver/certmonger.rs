//! certmonger's own helper, which signs with its local CA: a renewal from end to end.

use std::path::Path;

use renewd::clock::{Clock, SystemClock};
use renewd::inventory::State;
use simulators::sonicos::Profile;

use crate::test_bed::TestBed;

/// Where Debian puts it.
pub const LOCAL_SUBMIT: &str = "/usr/lib/certmonger/local-submit";

pub fn is_installed(test: &str) -> bool {
    if Path::new(LOCAL_SUBMIT).exists() {
        return true;
    }
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "{test} needs certmonger's local-submit"
    );
    println!("skipped: {test} needs certmonger's local-submit");
    false
}

#[tokio::test]
async fn a_firewall_is_renewed_by_certmongers_own_helper() {
    if !is_installed("a_firewall_is_renewed_by_certmongers_own_helper") {
        return;
    }
    let bed = TestBed::new(Profile::V8).await;
    // It signs by the machine's clock.
    bed.clock.set(SystemClock.now());
    use_helper(&bed);
    bed.run_once().await;
    let renewals = bed.renewals().await;
    assert_eq!(renewals.len(), 1, "{renewals:#?}");
    let renewal = &renewals[0];
    assert_eq!(renewal.state, State::Completed, "{:?}", renewal.last_error);
    for seen in bed.seen().await {
        assert_eq!(Some(seen.fingerprint), renewal.obtained.fingerprint);
        assert!(
            seen.issuer.contains("Local Signing Authority"),
            "{}",
            seen.issuer
        );
        let born = bed.simulator.spki_sha256(&renewal.alias).unwrap();
        assert_eq!(seen.public_key.to_string(), born);
    }
    bed.assert_left_in_order();
}

/// Puts the helper in the place of the local CA.
fn use_helper(bed: &TestBed) {
    let folder = bed.folder.path().join("local");
    std::fs::create_dir(&folder).unwrap();
    let driver = format!(
        "driver.exec = {{ program = \"{LOCAL_SUBMIT}\", arguments = [\"-d\", \"{}\"] }}",
        folder.display()
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
}
