//! Seeded chance: everything unkind that "sometimes" happens can be repeated by its seed. Never used for key pairs.

use std::fmt::Write as _;

/// A small generator (`SplitMix64`); good enough for nonces on loopback and for mischief.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// True about once in `cases` calls; never when `cases` is 0.
    pub(crate) fn one_in(&mut self, cases: u32) -> bool {
        cases > 0 && self.next().is_multiple_of(u64::from(cases))
    }

    /// `words` times sixteen hexadecimal digits.
    pub(crate) fn hex(&mut self, words: usize) -> String {
        (0..words).fold(String::new(), |mut text, _| {
            let _ = write!(text, "{:016x}", self.next());
            text
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Rng;

    #[test]
    fn the_same_seed_gives_the_same_mischief() {
        let draw = |seed| {
            let mut rng = Rng::new(seed);
            (0..32).map(|_| rng.one_in(4)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn one_in_zero_never_happens() {
        let mut rng = Rng::new(1);
        assert!((0..1000).all(|_| !rng.one_in(0)));
    }
}
