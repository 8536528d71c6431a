//! Two-factor login: a code is good once.

use simulators::sonicos::{Faces, Profile};

use crate::lab::Lab;

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_with_one_time_codes_never_uses_one_twice() {
    let key = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    let lab = Lab::with(
        Profile::V7_X,
        Faces {
            totp_secret: Some(key.to_owned()),
            totp_code_only_once: true,
            ..Faces::kind()
        },
    )
    .await;
    let secret = lab.folder.path().join("totp");
    std::fs::write(&secret, key).unwrap();
    let text = std::fs::read_to_string(lab.config_file()).unwrap();
    let with_code = format!("totp = {{ file = \"{}\" }}, trust = {{", secret.display());
    std::fs::write(lab.config_file(), text.replace("trust = {", &with_code)).unwrap();

    let report = lab.run_once().await;
    assert!(!report.has_failed(), "{report:#?}");
    lab.assert_renewed_once().await;
    assert_eq!(lab.simulator.counters().failed_logins, 0);
}
