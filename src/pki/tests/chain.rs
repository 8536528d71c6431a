//! Putting chains in order.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use rcgen::KeyPair;

use super::super::testing::{Authority, leaf_params};
use super::super::{Certificate, ends_in_root, order_chain};

#[test]
fn an_unordered_chain_is_ordered_and_strangers_and_doubles_are_dropped() {
    let root = Authority::root("root");
    let middle = root.sub("middle");
    let near = middle.sub("near");
    let leaf = near.sign(&leaf_params(), &KeyPair::generate().unwrap());
    let [r, m, n] = [&root, &middle, &near].map(|a| a.certificate.clone());
    let stranger = Authority::root("near").certificate;
    let given = vec![
        r.clone(),
        stranger,
        leaf.clone(),
        m.clone(),
        r.clone(),
        n.clone(),
        n.clone(),
    ];
    let chain = order_chain(&leaf, given);
    assert_eq!(chain, [n.clone(), m.clone(), r]);
    assert!(ends_in_root(&chain));
    let open = order_chain(&leaf, vec![m, n]);
    assert_eq!(open.len(), 2);
    assert!(!ends_in_root(&open));
    assert_eq!(order_chain(&leaf, vec![]), [] as [Certificate; 0]);
    assert!(!ends_in_root(&[]));
}

#[test]
fn two_cas_that_signed_each_other_are_no_endless_chain() {
    let one = Authority::root("one");
    let two = Authority::root("two");
    let leaf = one.sign(&leaf_params(), &KeyPair::generate().unwrap());
    let given = vec![one.cross_signed_by(&two), two.cross_signed_by(&one)];
    assert_eq!(order_chain(&leaf, given.clone()), given);
}

#[test]
fn a_chain_without_an_end_is_given_up() {
    let mut above = vec![Authority::root("0")];
    for number in 1..40 {
        let next = above.last().unwrap().sub(&number.to_string());
        above.push(next);
    }
    let leaf = above
        .last()
        .unwrap()
        .sign(&leaf_params(), &KeyPair::generate().unwrap());
    let given: Vec<Certificate> = above.into_iter().map(|one| one.certificate).collect();
    let chain = order_chain(&leaf, given);
    assert!((10..20).contains(&chain.len()), "{}", chain.len());
    assert!(!ends_in_root(&chain));
}
