//! The twelve statuses and one more, and certificates that are not what was asked for.

use renewd::ca::{Issuance, Issuer};
use simulators::ca::{ChainMischief, Mischief};
use simulators::venafi::{StatusPath, Variants};

use super::fixture::{Fixture, request};

#[tokio::test]
async fn every_final_refusal_ends_at_once_with_the_message_of_the_service() {
    for (path, word) in [
        (StatusPath::Rejected, "REJECTED"),
        (StatusPath::ApprovalRefused, "REJECTED_APPROVAL"),
        (StatusPath::Cancelled, "CANCELLED"),
        (StatusPath::Failed, "FAILED"),
        (StatusPath::Revoked, "REVOKED"),
        (StatusPath::Deleted, "DELETED"),
    ] {
        let fixture = Fixture::new(Variants {
            status_path: path,
            ..Variants::kind()
        })
        .await;
        let request = request("r1");
        let order = fixture.order(&request).await.unwrap();
        let mut reason = None;
        for _ in 0..10 {
            match fixture.driver.poll(&order, &request).await.unwrap() {
                Issuance::Pending { .. } => {}
                Issuance::Refused { reason: words } => {
                    reason = Some(words);
                    break;
                }
                other => panic!("{word}: {other:?}"),
            }
        }
        assert!(reason.unwrap().starts_with(word), "{word}");
        // It is found again, so that it is not placed again unasked.
        assert_eq!(fixture.driver.find(&request).await.unwrap(), Some(order));
    }
}

#[tokio::test]
async fn an_approval_is_waited_for_without_end_and_names_the_approver() {
    let fixture = Fixture::new(Variants {
        status_path: StatusPath::Approved,
        approval_polls: None,
        ..Variants::kind()
    })
    .await;
    let request = request("r1");
    let order = fixture.order(&request).await.unwrap();
    for _ in 0..30 {
        let standing = fixture.driver.poll(&order, &request).await.unwrap();
        let Issuance::Pending {
            needs_person,
            waiting_for,
            ..
        } = standing
        else {
            panic!("{standing:?}")
        };
        assert!(
            needs_person && waiting_for.contains("approval"),
            "{waiting_for}"
        );
    }
    assert!(fixture.cloud.approve(&order.0));
    fixture.obtain(&request, 10).await.unwrap();
    assert_eq!(fixture.cloud.counters().orders, 1);
}

#[tokio::test]
async fn an_unknown_status_is_waited_out() {
    let fixture = Fixture::new(Variants {
        status_path: StatusPath::UnknownWord,
        ..Variants::kind()
    })
    .await;
    let request = request("r1");
    let order = fixture.order(&request).await.unwrap();
    let mut heard = String::new();
    for _ in 0..10 {
        match fixture.driver.poll(&order, &request).await.unwrap() {
            Issuance::Pending { waiting_for, .. } => heard += &waiting_for,
            Issuance::Issued { .. } => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(heard.contains("which renewd does not know"), "{heard}");
    fixture.obtain(&request, 1).await.unwrap();
}

#[tokio::test]
async fn a_wrong_certificate_is_given_as_it_is_for_the_engine_to_refuse() {
    for mischief in [
        Mischief::WrongKey,
        Mischief::DropNames,
        Mischief::CaTrue,
        Mischief::Expired,
    ] {
        let fixture = Fixture::new(Variants::kind()).await;
        fixture.cloud.mischief(mischief);
        let request = request("r1");
        let (leaf, _) = fixture.obtain(&request, 3).await.unwrap();
        let has_our_key = leaf.public_key == request.csr.public_key;
        assert_eq!(has_our_key, mischief != Mischief::WrongKey, "{mischief:?}");
        assert_eq!(leaf.is_ca, mischief == Mischief::CaTrue, "{mischief:?}");
        assert_eq!(
            leaf.alternate_names.is_empty(),
            mischief == Mischief::DropNames
        );
    }
}

#[tokio::test]
async fn the_leaf_is_found_in_any_order_of_the_chain() {
    for mischief in [
        ChainMischief::Shuffled,
        ChainMischief::WithStranger,
        ChainMischief::WithoutRoot,
    ] {
        let fixture = Fixture::new(Variants::kind()).await;
        fixture.cloud.chain_mischief(mischief);
        let request = request("r1");
        let (leaf, chain) = fixture.obtain(&request, 3).await.unwrap();
        assert_eq!(leaf.public_key, request.csr.public_key, "{mischief:?}");
        assert!(
            chain.iter().all(|one| !one.is_self_signed()),
            "{mischief:?}"
        );
    }
}
