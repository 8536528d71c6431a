//! A configuration that changes while a renewal is under way.

use renewd::inventory::State;
use simulators::sonicos::Profile;

use crate::lab::{CERTIFICATE, Lab};

#[tokio::test(flavor = "multi_thread")]
async fn other_names_begin_anew_instead_of_installing_what_nobody_wants() {
    let lab = Lab::new(Profile::V8).await;
    // The CA is away, so the renewal stops with its CSR exported.
    let key = lab.folder.path().join("ca.key");
    let away = lab.folder.path().join("ca.key.away");
    std::fs::rename(&key, &away).unwrap();
    lab.run_once().await;
    assert_eq!(lab.renewals().await[0].state, State::CsrExported);

    let file = lab.config_file();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("vpn.example.com", "portal.example.com")).unwrap();
    std::fs::rename(&away, &key).unwrap();
    lab.clock.advance(jiff::SignedDuration::from_hours(1));
    let report = lab.run_once().await;

    let renewals = lab.renewals().await;
    let states: Vec<State> = renewals.iter().map(|renewal| renewal.state).collect();
    assert_eq!(states, [State::Completed, State::Abandoned], "{report:#?}");
    for seen in lab.seen().await {
        assert_eq!(seen.common_name.as_deref(), Some("portal.example.com"));
    }
    assert_eq!(lab.signatures(), 1);
    assert_eq!(
        lab.simulator.counters().key_pairs_present,
        1,
        "the unused key pair was removed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_left_the_configuration_is_left_alone() {
    let lab = Lab::new(Profile::V8).await;
    let key = lab.folder.path().join("ca.key");
    std::fs::rename(&key, lab.folder.path().join("ca.key.away")).unwrap();
    lab.run_once().await;
    let file = lab.config_file();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.split("[[certificate]]").next().unwrap()).unwrap();
    lab.clock.advance(jiff::SignedDuration::from_hours(1));
    let requests = lab.simulator.counters().requests;
    lab.run_once().await;
    assert_eq!(lab.simulator.counters().requests, requests);
    let store = lab.store().await;
    assert_eq!(
        store.renewals_of(CERTIFICATE, 10).await.unwrap()[0].state,
        State::Abandoned
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_left_the_configuration_holds_up_no_renewal_that_it_has_signed_already() {
    let lab = Lab::new(Profile::V8).await;
    lab.run_once().await;
    lab.configure_window(r#"start = "0 2 * * TUE", lasts = "1h", time_zone = "UTC""#);
    lab.clock.advance(jiff::SignedDuration::from_hours(1));
    let store = lab.store().await;
    store
        .request_renewal(CERTIFICATE, jiff::Timestamp::UNIX_EPOCH, &[])
        .await
        .unwrap();
    store.close().await;
    lab.run_once().await;
    assert_eq!(lab.renewals().await[0].state, State::Imported);

    let file = lab.config_file();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("\"office\"", "\"branch\"")).unwrap();
    lab.clock.set("2026-11-24T02:00:00Z".parse().unwrap());
    let report = lab.run_once().await;
    let states: Vec<State> = lab.renewals().await.iter().map(|one| one.state).collect();
    assert_eq!(states, [State::Completed, State::Completed], "{report:#?}");
}
