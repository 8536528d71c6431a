//! `renewd adopt`: an operator has checked a certificate that renewd does not know, and accepts it.

use simulators::sonicos::{Replacement, ReplacementKey};
use sqlx::Connection;
use time::{Duration, OffsetDateTime};

use super::office::Office;

/// Another administrator gives the SSL VPN a certificate of its own.
fn give_ssl_vpn_its_own(office: &Office, name: &str, days: i64) {
    let now = OffsetDateTime::now_utc();
    let own = Replacement {
        name: name.to_owned(),
        common_name: "vpn.example.com".to_owned(),
        not_before: now,
        not_after: now + Duration::days(days),
        key: ReplacementKey::EcdsaP256,
    };
    let other = office.simulator.other_administrator();
    other.gives_ssl_vpn_its_own(&own).unwrap();
}

/// A run that looks at the addresses, however short ago that was done.
async fn probe_now(office: &Office) -> super::office::CommandOutput {
    sqlx::any::install_default_drivers();
    let url = format!("sqlite://{}", office.path("renewd.db").display());
    let mut database = sqlx::AnyConnection::connect(&url).await.unwrap();
    let now = "UPDATE certificate SET probe_at = 0";
    sqlx::query(now).execute(&mut database).await.unwrap();
    database.close().await.unwrap();
    office.renewd(&["run", "--once"])
}

fn standing(office: &Office) -> serde_json::Value {
    office.renewd(&["status", "--json"]).json()[0].clone()
}

fn of_ssl_vpn(office: &Office) -> String {
    use renewd::pki::Fingerprint;
    use simulators::sonicos::Port;
    Fingerprint::of(&office.simulator.served_der(Port::SslVpn)).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_has_checked_counts_from_then_on() {
    let office = Office::new().await;
    office.renewd(&["run", "--once"]).with_code(0);
    let before = standing(&office);
    give_ssl_vpn_its_own(&office, "by-hand", 30);
    probe_now(&office).await.with_code(1);
    let alerted = standing(&office);
    assert_eq!(alerted["health"], "unknown_certificate");
    assert_eq!(
        alerted["next_at"], before["next_at"],
        "it changes no due date"
    );

    // Without a fingerprint nothing is accepted, and it says what there is to check.
    let fingerprint = of_ssl_vpn(&office);
    let address = office.simulator.ssl_vpn().to_string();
    let output = office.renewd(&["adopt", "hq-portal"]).with_code(1);
    output.prints(&[
        &address,
        "CN=vpn.example.com",
        "--fingerprint",
        &fingerprint,
    ]);
    assert_eq!(standing(&office)["health"], "unknown_certificate");

    let accept = ["adopt", "hq-portal", "--fingerprint", &fingerprint];
    let output = office.renewd(&accept).with_code(0);
    output.prints(&["is accepted", &fingerprint]);
    office.renewd(&["run", "--once"]).with_code(0);
    let after = standing(&office);
    assert_eq!(after["health"], "ok", "{after:#}");
    assert_eq!(after["sha256"], *fingerprint);
    assert_ne!(after["next_at"], before["next_at"], "it is due earlier");
    let history = office.renewd(&["show", "hq-portal", "--json"]).json();
    let history = history["history"].as_array().unwrap();
    let accepted = history
        .iter()
        .find(|entry| entry["event"] == "certificate_accepted")
        .expect("it stands in the history");
    let words = accepted["fields"]["detail"].as_str().unwrap();
    assert!(
        words.contains(&address) && words.contains(&fingerprint),
        "{words}"
    );
    // Accepted once, there is nothing more to accept.
    office
        .renewd(&accept)
        .with_code(2)
        .complains(&["no address of hq-portal"]);
    office
        .renewd(&["adopt", "hq-portal"])
        .with_code(0)
        .prints(&["every certificate that its addresses serve is known"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_served_no_more_is_not_accepted() {
    let office = Office::new().await;
    office.renewd(&["run", "--once"]).with_code(0);
    let known = of_ssl_vpn(&office);
    let output = office.renewd(&["adopt", "hq-portal", "--fingerprint", &known]);
    output.with_code(2).complains(&["no address of hq-portal"]);
    give_ssl_vpn_its_own(&office, "first", 30);
    probe_now(&office).await.with_code(1);
    let checked = of_ssl_vpn(&office);
    give_ssl_vpn_its_own(&office, "second", 30);
    let output = office.renewd(&["adopt", "hq-portal", "--fingerprint", &checked]);
    output
        .with_code(69)
        .complains(&[&of_ssl_vpn(&office), "nothing is accepted"]);
    office
        .simulator
        .set(|variants| variants.refuse_connections_on_ssl_vpn = true);
    let output = office.renewd(&["adopt", "hq-portal", "--fingerprint", &checked]);
    output
        .with_code(69)
        .complains(&["serves nothing", "nothing is accepted"]);
    assert_eq!(standing(&office)["health"], "unknown_certificate");
    let show = office.renewd(&["show", "hq-portal"]).stdout;
    assert!(!show.contains("certificate_accepted"), "{show}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_or_fingerprint_that_is_none_is_refused() {
    let office = Office::new().await;
    let output = office.renewd(&["adopt", "hq-porta"]);
    output.with_code(2).complains(&["hq-portal"]);
    let output = office.renewd(&["adopt", "hq-portal", "--fingerprint", "zz"]);
    output.with_code(2);
}
