//! How `renewd show` names the order of each kind of CA.

use renewd::ca::Reference;

use crate::contract::acme::Acme;
use crate::contract::pam360::Pam360;
use crate::contract::resello::Resello;
use crate::contract::venafi::Venafi;
use crate::contract::{Fixture, Subject};

/// The reference of a renewal at this kind of CA, and what is shown of it.
async fn shown<S: Subject>() -> (String, String) {
    let fixture = Fixture::<S>::new().await;
    fixture.run(jiff::SignedDuration::from_hours(24)).await;
    let stored = fixture.renewal().await.obtained.ca_reference.unwrap();
    let shown = Reference(stored.clone()).display();
    assert!(!shown.contains(['{', '\n']), "{shown}");
    (stored, shown)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_shown_as_its_ca_names_it() {
    let (stored, acme) = shown::<Acme>().await;
    assert!(
        acme.starts_with("https://") && stored.contains(&acme),
        "{stored}: {acme}"
    );
    let (_, pam360) = shown::<Pam360>().await;
    assert!(
        pam360.starts_with("vpn.example.com, serial number "),
        "{pam360}"
    );
    for (stored, number) in [shown::<Venafi>().await, shown::<Resello>().await] {
        assert_eq!(stored, number);
    }
    let program = Reference("waits\na-cookie-of-the-program".to_owned()).display();
    assert!(
        program.contains("program") && !program.contains("cookie"),
        "{program}"
    );
}
