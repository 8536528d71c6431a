//! A choice of cases by a seed: another seed makes another choice.

use std::collections::BTreeSet;

use renewd::random::{Random as _, SeededRandom};

pub struct Sample(SeededRandom);

impl Sample {
    pub fn new(seed: u64) -> Self {
        Self(SeededRandom::new(seed))
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        let end = u64::try_from(end.max(1)).unwrap();
        usize::try_from(u64::from_le_bytes(bytes) % end).unwrap()
    }

    /// `many` different numbers from 1 to `last`, or all of them where there are not more.
    pub fn some(&mut self, many: usize, last: usize) -> Vec<usize> {
        let mut chosen = BTreeSet::new();
        while chosen.len() < many.min(last) {
            chosen.insert(1 + self.below(last));
        }
        chosen.into_iter().collect()
    }
}

#[test]
fn the_same_seed_makes_the_same_choice() {
    let choose = |seed| Sample::new(seed).some(5, 100);
    assert_eq!(choose(1), choose(1));
    assert_ne!(choose(1), choose(2));
    assert_eq!(Sample::new(1).some(5, 3), [1, 2, 3]);
}
