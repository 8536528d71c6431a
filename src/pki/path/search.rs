//! Searches the best valid path above a leaf. Bounded: a hostile chain must not cause hours of work.

use std::cmp::Reverse;
use std::collections::HashMap;

use jiff::Timestamp;

use super::super::signature::SignatureFault;
use super::super::{Certificate, Fingerprint, PkiError};
use super::constraints::Effort;
use super::library;
use super::rules::{Faults, Node, faults};

/// Where a path may end.
pub(super) enum Goal {
    /// At one of these certificates.
    Anchors(Vec<Fingerprint>),
    /// As high as the certificates lead.
    Top,
}

/// Where a path ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// At a self-signed root, or at an anchor.
    Root,
    /// At a certificate whose issuer was not sent.
    Top,
    /// At a certificate above which everything is expired.
    BelowExpired,
}

/// A valid path.
pub(super) struct Path {
    /// Above the leaf, nearest first.
    pub certificates: Vec<Certificate>,
}

/// The result of a search.
pub(super) struct Searched {
    /// The best valid path.
    pub best: Option<Path>,
    /// Without one: why the path that led furthest is none. Empty: there is no certificate of the leaf's issuer.
    pub problems: Vec<String>,
}

/// A search under way.
pub(super) struct Search<'a> {
    /// The leaf, then the others in an order that does not depend on theirs.
    nodes: Vec<Node<'a>>,
    goal: Goal,
    now: Timestamp,
    /// Which certificate was signed by which, as far as it was verified.
    signatures: HashMap<(usize, usize), Result<(), SignatureFault>>,
    steps_left: usize,
    effort: Effort,
    found: Vec<(Vec<usize>, End)>,
    /// The length of the path that led furthest, and why it is none.
    failure: Option<(usize, Vec<String>)>,
}

impl<'a> Search<'a> {
    pub fn new(
        leaf: &'a Certificate,
        bag: &[&'a Certificate],
        goal: Goal,
        now: Timestamp,
    ) -> Result<Self, PkiError> {
        let mut others: Vec<&Certificate> = bag.to_vec();
        others.retain(|certificate| certificate.der != leaf.der);
        others.sort_by_key(|certificate| certificate.fingerprint);
        others.dedup_by_key(|certificate| certificate.fingerprint);
        let mut nodes = vec![Node::new(leaf)?];
        // What cannot be read as a certificate was refused when the bag was opened.
        nodes.extend(others.into_iter().filter_map(|one| Node::new(one).ok()));
        let related = related(&nodes);
        let mut keep = related.iter();
        nodes.retain(|_| keep.next().copied().unwrap_or(false));
        nodes.truncate(MOST_CANDIDATES);
        Ok(Self {
            nodes,
            goal,
            now,
            signatures: HashMap::new(),
            steps_left: MOST_STEPS,
            effort: Effort::of_one_search(),
            found: Vec::new(),
            failure: None,
        })
    }

    /// Searches all paths within the limits, and picks the best one that webpki accepts too.
    pub fn run(mut self) -> Searched {
        self.climb(&mut vec![LEAF]);
        let mut found = std::mem::take(&mut self.found);
        found.sort_by_key(|(path, end)| Reverse(self.preference(path, *end)));
        let mut problems = self.failure.take().map(|(_, words)| words);
        for (path, _) in found.into_iter().take(MOST_CONFIRMATIONS) {
            let nodes: Vec<&Node<'_>> = path.iter().filter_map(|at| self.nodes.get(*at)).collect();
            let Err(PkiError(words)) = library::confirm(&nodes, self.now) else {
                let above = nodes.iter().skip(1).map(|node| node.certificate.clone());
                return Searched {
                    best: Some(Path {
                        certificates: above.collect(),
                    }),
                    problems: Vec::new(),
                };
            };
            problems = Some(vec![words]);
        }
        Searched {
            best: None,
            problems: problems.unwrap_or_default(),
        }
    }

    fn climb(&mut self, path: &mut Vec<usize>) {
        let Some(&head) = path.last() else { return };
        if path.len() > 1 && self.is_goal(head) {
            self.found.push((path.clone(), End::Root));
            return;
        }
        if path.len() > LONGEST_PATH {
            let words = format!("the chain is longer than {LONGEST_PATH} certificates");
            return self.fail(path.len(), vec![words]);
        }
        let mut end = End::Top;
        let mut may_end = path.len() > 1 && matches!(self.goal, Goal::Top);
        for candidate in self.candidates(path) {
            let Some(left) = self.steps_left.checked_sub(1) else {
                let words = "the chain holds too many certificates of the same names".to_owned();
                return self.fail(path.len(), vec![words]);
            };
            self.steps_left = left;
            let faults = self.faults(path, candidate);
            if faults.is_none() {
                may_end = false;
                path.push(candidate);
                self.climb(path);
                path.pop();
            } else if faults.is_outdated_only() && self.has_ended(candidate, &mut path.clone()) {
                end = End::BelowExpired;
                self.fail(path.len(), faults.words());
            } else if path.len() > 1 && self.is_unrelated(head, candidate) {
                // Another CA of the same name.
            } else {
                may_end = false;
                self.fail(path.len(), faults.words());
            }
        }
        if may_end {
            self.found.push((path.clone(), end));
        } else if path.len() > 1 || matches!(self.goal, Goal::Anchors(_)) {
            self.fail(path.len(), vec![self.has_no_issuer(head)]);
        }
    }

    /// The certificates that may have issued the last one of `path`, the most likely first.
    fn candidates(&self, path: &[usize]) -> Vec<usize> {
        let Some(head) = path.last().and_then(|at| self.nodes.get(*at)) else {
            return Vec::new();
        };
        // A key may be certified twice (cross-signing); going through both would be a loop.
        let is_on_path = |node: &Node<'_>| {
            path.iter().filter_map(|at| self.nodes.get(*at)).any(|own| {
                own.subject == node.subject
                    && own.certificate.public_key == node.certificate.public_key
            })
        };
        let mut found: Vec<(usize, &Node<'_>)> = self
            .nodes
            .iter()
            .enumerate()
            .skip(1)
            .filter(|(_, node)| node.subject == head.issuer && !is_on_path(node))
            .collect();
        found.sort_by_key(|(_, node)| {
            let likely = (
                head.names_key_of(node),
                node.is_current(self.now),
                node.is_self_issued(),
                node.certificate.not_after,
            );
            Reverse(likely)
        });
        found.into_iter().map(|(at, _)| at).collect()
    }

    fn faults(&mut self, path: &[usize], issuer: usize) -> Faults {
        let signed = path
            .last()
            .map_or(Ok(()), |head| self.signature(*head, issuer));
        let below: Vec<&Node<'_>> = path.iter().filter_map(|at| self.nodes.get(*at)).collect();
        match self.nodes.get(issuer) {
            Some(node) => faults(&below, node, signed, &self.effort, self.now),
            None => Faults::default(),
        }
    }

    fn signature(&mut self, child: usize, issuer: usize) -> Result<(), SignatureFault> {
        if let Some(known) = self.signatures.get(&(child, issuer)) {
            return known.clone();
        }
        let (Some(signed), Some(by)) = (self.nodes.get(child), self.nodes.get(issuer)) else {
            let words = "there is no such certificate".to_owned();
            return Err(SignatureFault::Unreliable(PkiError(words)));
        };
        let verified = signed.verify_signed_by(by);
        self.signatures.insert((child, issuer), verified.clone());
        verified
    }

    fn is_goal(&mut self, at: usize) -> bool {
        let Some(node) = self.nodes.get(at) else {
            return false;
        };
        match &self.goal {
            Goal::Anchors(anchors) => anchors.contains(&node.certificate.fingerprint),
            Goal::Top => self.is_root(at),
        }
    }

    /// A root's own signature is irrelevant: a root may be signed with an algorithm that is weak today.
    fn is_root(&mut self, at: usize) -> bool {
        self.nodes.get(at).is_some_and(Node::is_self_issued)
            && (self.signature(at, at).is_ok()
                || self.nodes.get(at).is_some_and(|node| !node.is_verifiable()))
    }

    /// Whether nothing above the expired certificate `at` is valid either, so that no valid path can lead through it.
    fn has_ended(&mut self, at: usize, path: &mut Vec<usize>) -> bool {
        if self.is_root(at) {
            return true;
        }
        path.push(at);
        let above = self.candidates(path);
        let has_ended = above.into_iter().all(|issuer| {
            let Some(left) = self.steps_left.checked_sub(1) else {
                return false;
            };
            self.steps_left = left;
            if self.signature(at, issuer).is_err() {
                return true;
            }
            let is_current = |node: &Node<'_>| node.is_current(self.now);
            !self.nodes.get(issuer).is_some_and(is_current) && self.has_ended(issuer, path)
        });
        path.pop();
        has_ended
    }

    /// Whether `issuer` has the name of the one that signed `child`, and another key.
    fn is_unrelated(&mut self, child: usize, issuer: usize) -> bool {
        let contradicts = match (self.nodes.get(child), self.nodes.get(issuer)) {
            (Some(child), Some(issuer)) => child.names_another_key_than(issuer),
            _ => false,
        };
        contradicts && self.signature(child, issuer).is_err()
    }

    fn has_no_issuer(&self, at: usize) -> String {
        let words = |node: &Node<'_>| {
            format!(
                "{}, which issued {}, is neither trusted nor was it sent",
                node.certificate.issuer, node.certificate.subject
            )
        };
        self.nodes.get(at).map(words).unwrap_or_default()
    }

    fn fail(&mut self, length: usize, words: Vec<String>) {
        if self
            .failure
            .as_ref()
            .is_none_or(|(known, _)| *known < length)
        {
            self.failure = Some((length, words));
        }
    }

    /// A root first; then the path that lasts longest, the shorter one, and at last any that is always the same.
    fn preference(&self, path: &[usize], end: End) -> impl Ord + use<> {
        let nodes = || path.iter().skip(1).filter_map(|at| self.nodes.get(*at));
        let lasts = nodes().map(|node| node.certificate.not_after).min();
        let all: Vec<Fingerprint> = nodes().map(|node| node.certificate.fingerprint).collect();
        (end.rank(), lasts, Reverse(path.len()), Reverse(all))
    }
}

/// Which of `nodes` a path above the first could go through, by their names.
fn related(nodes: &[Node<'_>]) -> Vec<bool> {
    let mut queued: Vec<bool> = (0..nodes.len()).map(|at| at == LEAF).collect();
    let mut next = vec![LEAF];
    while let Some(node) = next.pop().and_then(|at| nodes.get(at)) {
        // What is known or waits already is not queued again: many of one name would wait for each other.
        for (at, other) in nodes.iter().enumerate().skip(1) {
            if let Some(is_queued) = queued.get_mut(at)
                && !*is_queued
                && other.subject == node.issuer
            {
                *is_queued = true;
                next.push(at);
            }
        }
    }
    queued
}

const LEAF: usize = 0;
const LONGEST_PATH: usize = 16;
const MOST_CANDIDATES: usize = 200;
/// Each step may cost a signature.
const MOST_STEPS: usize = 1000;
const MOST_CONFIRMATIONS: usize = 8;
