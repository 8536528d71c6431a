//! Inputs that are nearly right, repeatably: seeds cut, joined and stained.

use crate::random::{Random, SeededRandom};

/// Makes one input after the other; the same ones from the same seed.
pub(super) struct Mutator<'a> {
    corpus: &'a [Vec<u8>],
    random: SeededRandom,
}

impl<'a> Mutator<'a> {
    /// Inputs like those in `corpus`, which has one at least.
    pub fn new(seed: u64, corpus: &'a [Vec<u8>]) -> Self {
        let random = SeededRandom::new(seed);
        Self { corpus, random }
    }

    /// The next input.
    pub fn next(&mut self) -> Vec<u8> {
        let mut input = self.seed().to_vec();
        for _ in 0..=self.below(4) {
            self.mutate(&mut input);
        }
        input.truncate(LONGEST);
        input
    }

    fn mutate(&mut self, input: &mut Vec<u8>) {
        let start = self.below(input.len() + 1);
        let end = (start + self.below(16)).min(input.len());
        match self.below(7) {
            0 => drop(input.drain(start..end)),
            1 => input.truncate(start),
            2 => {
                let scrap = SCRAPS[self.below(SCRAPS.len())];
                input.splice(start..end, scrap.bytes());
            }
            3 => {
                let other = self.seed().to_vec();
                let from = self.below(other.len() + 1);
                input.splice(start..end, other[from..].iter().copied());
            }
            4 => {
                let again = input[start..end].repeat(self.below(20));
                input.splice(start..start, again);
            }
            5 if start < input.len() => input[start] ^= 1 << self.below(8),
            _ => {
                let byte = u8::try_from(self.below(256)).unwrap_or_default();
                input.insert(start, byte);
            }
        }
    }

    fn seed(&mut self) -> &'a [u8] {
        &self.corpus[self.below(self.corpus.len())]
    }

    fn below(&mut self, limit: usize) -> usize {
        let mut bytes = [0; 4];
        self.random.fill(&mut bytes);
        usize::try_from(u32::from_le_bytes(bytes)).unwrap_or_default() % limit
    }
}

const LONGEST: usize = 16 << 10;

/// What has a meaning in one of the languages.
const SCRAPS: [&str; 30] = [
    "\"",
    "'",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\n",
    "\r\n",
    "\0",
    "\t",
    " ",
    "|",
    "%",
    "=",
    "null",
    "true",
    "false",
    "-1",
    "99999999999999999999",
    "success",
    "error",
    "\u{1b}[K",
    "\u{8}",
    "ü",
    "\u{85}",
    "-----BEGIN ",
    "../",
];
