//! Faults of certificates and their chains. They are the same for every CA and tested with one.

use simulators::ca::{ChainMischief, Mischief};
use time::OffsetDateTime;

use crate::client::{Applicant, is_chain, parsed};
use crate::venafi::{Simulator, chain_of, client, issued, start};

async fn leaf_with(mischief: Mischief) -> (Applicant, Vec<u8>) {
    let simulator = start(|_| {}).await;
    simulator.mischief(mischief);
    let (applicant, list) = issued(&simulator).await;
    (applicant, list.into_iter().next().unwrap())
}

#[tokio::test]
async fn another_key_is_certified() {
    let (applicant, leaf) = leaf_with(Mischief::WrongKey).await;
    assert!(!applicant.owns(&leaf));
}

#[tokio::test]
async fn the_alternate_names_are_missing() {
    let (applicant, leaf) = leaf_with(Mischief::DropNames).await;
    assert!(applicant.owns(&leaf));
    assert!(parsed(&leaf).subject_alternative_name().unwrap().is_none());
}

#[tokio::test]
async fn the_certificate_is_a_ca() {
    let (_, leaf) = leaf_with(Mischief::CaTrue).await;
    assert!(parsed(&leaf).is_ca());
}

#[tokio::test]
async fn the_certificate_is_for_another_name() {
    let (_, leaf) = leaf_with(Mischief::WrongName).await;
    assert_eq!(
        parsed(&leaf).subject().to_string(),
        "CN=somebody-else.invalid"
    );
}

#[tokio::test]
async fn the_certificate_has_ended_before_it_began() {
    let (_, leaf) = leaf_with(Mischief::Expired).await;
    let end = parsed(&leaf).validity().not_after.timestamp();
    assert!(end < OffsetDateTime::now_utc().unix_timestamp());
}

#[tokio::test]
async fn the_certificate_is_for_clients_only() {
    let (_, leaf) = leaf_with(Mischief::ClientAuthOnly).await;
    let leaf = parsed(&leaf);
    let usage = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth);
}

#[tokio::test]
async fn a_good_chain_is_one_and_each_chain_mischief_breaks_it_in_its_way() {
    let simulator: Simulator = start(|_| {}).await;
    let (applicant, good) = issued(&simulator).await;
    assert_eq!(good.len(), 3);
    assert!(is_chain(&good));
    let client = client(&simulator);
    let list = async |mischief| {
        simulator.chain_mischief(mischief);
        chain_of(&simulator, &client).await
    };
    let shuffled = list(ChainMischief::Shuffled).await;
    assert!(shuffled.len() == 3 && !applicant.owns(&shuffled[0]));
    assert_eq!(list(ChainMischief::WithoutRoot).await, good[..2]);
    assert_eq!(list(ChainMischief::WithRoot).await, good);
    assert_eq!(list(ChainMischief::WithoutLeaf).await, good[1..]);
    let strange = list(ChainMischief::WithStranger).await;
    assert!(strange.len() == 4 && !is_chain(&strange));
}
