//! All chance of a simulation: one number gives every draw, in the order in which they are made. Never used for keys.

use jiff::SignedDuration;

/// A small generator (SplitMix64).
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// The sequence that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// True about once in `cases` calls.
    pub fn one_in(&mut self, cases: u64) -> bool {
        self.below(cases) == 0
    }

    /// One of `of`, which is not empty.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let place = self.place(of.len());
        &of[place]
    }

    /// A place in something of this length.
    pub fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.below(u64::try_from(length).unwrap())).unwrap()
    }

    /// A time between the two, to the second.
    pub fn between(&mut self, shortest: SignedDuration, longest: SignedDuration) -> SignedDuration {
        let room = u64::try_from((longest - shortest).as_secs()).unwrap_or(0);
        shortest + SignedDuration::from_secs(i64::try_from(self.below(room + 1)).unwrap())
    }

    /// Minutes mostly, hours at times, seldom days: how long troubles last.
    pub fn trouble(&mut self) -> SignedDuration {
        let (shortest, longest) = match self.below(20) {
            0 => (24 * 60, 6 * 24 * 60),
            1..=5 => (60, 20 * 60),
            _ => (1, 60),
        };
        self.between(
            SignedDuration::from_mins(shortest),
            SignedDuration::from_mins(longest),
        )
    }

    /// How long until the next of things that happen `per_year` times a year.
    pub fn pause(&mut self, per_year: u64) -> SignedDuration {
        const YEAR: i64 = 365 * 86_400;
        let mean = YEAR / i64::try_from(per_year.max(1)).unwrap();
        // Twice an even draw has the same mean as what is truly random, and needs no logarithm.
        self.between(
            SignedDuration::from_secs(1),
            SignedDuration::from_secs(2 * mean.max(1)),
        )
    }
}
