//! What the local CA does not sign.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;

#[tokio::test]
async fn what_the_policy_forbids_is_refused_in_words() {
    let setup = Setup::new();
    let key = KeyPair::generate().unwrap();
    let free_text = params(&[(DnType::CommonName, "Office firewall")]);
    assert!(
        setup
            .refusal(csr(&free_text, &key))
            .await
            .contains("names no host")
    );
    let mut odd = csr_params();
    odd.subject_alt_names = vec![SanType::DnsName("a b.example.com".try_into().unwrap())];
    assert!(
        setup
            .refusal(csr(&odd, &key))
            .await
            .contains("is no valid name")
    );
    let mut uri = csr_params();
    uri.subject_alt_names = vec![SanType::URI("https://example.com".try_into().unwrap())];
    assert!(
        setup
            .refusal(csr(&uri, &key))
            .await
            .contains("https://example.com")
    );
}

#[tokio::test]
async fn names_outside_the_permitted_domains_are_refused() {
    let mut setup = Setup::new();
    let key = KeyPair::generate().unwrap();
    setup.settings.permitted_domains = vec!["example.org".to_owned()];
    assert_eq!(
        setup.refusal(good_csr()).await,
        "vpn.example.com is not in permitted_domains (example.org)"
    );
    let mut address = params(&[(DnType::CommonName, "fw")]);
    address.subject_alt_names = vec![SanType::IpAddress("192.0.2.1".parse().unwrap())];
    assert!(
        setup
            .refusal(csr(&address, &key))
            .await
            .contains("permits domains only")
    );
    setup.settings.permitted_domains = vec!["Example.com".to_owned()];
    setup.issue(good_csr()).await.unwrap();
}

#[tokio::test]
async fn a_reference_that_could_leave_the_folder_is_refused() {
    let setup = Setup::new();
    for reference in ["", "../x", "a/b", ".hidden", "a b", "ä"] {
        let failure = setup
            .ca()
            .submit(&request(reference, good_csr()))
            .await
            .unwrap_err();
        assert_eq!(failure.kind, FailureKind::Refused, "{reference}");
        let poll = setup
            .ca()
            .poll(
                &Reference(reference.to_owned()),
                &request(reference, good_csr()),
            )
            .await;
        assert!(poll.is_err(), "{reference}");
    }
}

#[tokio::test]
async fn nothing_outlives_the_ca_and_an_ending_ca_signs_no_more() {
    let setup = Setup::new();
    let end = Certificate::from_pem(&std::fs::read_to_string(&setup.settings.certificate).unwrap())
        .unwrap()
        .not_after;
    setup.clock.set(end - SignedDuration::from_hours(48));
    let (leaf, _) = setup.issue(good_csr()).await.unwrap();
    assert_eq!(leaf.not_after, end);
    let ca = setup.ca();
    for (time, words) in [
        (
            end - SignedDuration::from_hours(23),
            "is about to expire on",
        ),
        (end + SignedDuration::from_hours(1), "is expired on"),
        (now() - SignedDuration::from_hours(1), "is not valid before"),
    ] {
        setup.clock.set(time);
        for failure in [
            ca.submit(&request("r2", good_csr())).await.unwrap_err(),
            ca.check().await.unwrap_err(),
        ] {
            assert_eq!(failure.kind, FailureKind::Local);
            assert!(failure.detail.contains(words), "{failure}");
        }
    }
}

#[tokio::test]
async fn a_missing_order_is_reported_and_never_invented() {
    let setup = Setup::new();
    let failure = setup
        .ca()
        .poll(&Reference("r9".to_owned()), &request("r9", good_csr()))
        .await
        .unwrap_err();
    assert_eq!(failure.kind, FailureKind::Local);
    assert!(
        failure.detail.contains("holds no certificate for r9"),
        "{failure}"
    );
}
