//! Rows of settings in which every pair of values of two axes occurs at least once: most defects need one value or the
//! company of two. Greedy, after D. Cohen and others, "The AETG system" (1997); another seed gives other company.

use renewd::random::{Random, SeededRandom};

/// Something that can be set in several ways.
#[derive(Debug, Clone, Copy)]
pub struct Axis {
    pub name: &'static str,
    pub values: &'static [&'static str],
}

/// One value for each axis, by its position.
pub type Row = Vec<usize>;

/// The rows of `seed`.
pub fn rows(axes: &[Axis], seed: u64) -> Vec<Row> {
    let rng = Rng(SeededRandom::new(seed));
    let mut open = all_pairs(axes);
    let mut rows = Vec::new();
    while !open.is_empty() {
        let candidates = (0..CANDIDATES).map(|_| candidate(axes, &open, &rng));
        let Some(best) = candidates.max_by_key(|row| covered(row, &open)) else {
            break;
        };
        open.retain(|pair| !pair.is_in(&best));
        rows.push(best);
    }
    rows
}

/// Two values that are to meet.
#[derive(Debug, Clone, Copy)]
struct Pair {
    one: (usize, usize),
    other: (usize, usize),
}

impl Pair {
    fn is_in(&self, row: &Row) -> bool {
        row[self.one.0] == self.one.1 && row[self.other.0] == self.other.1
    }
}

fn all_pairs(axes: &[Axis]) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for one in 0..axes.len() {
        for other in one + 1..axes.len() {
            for left in 0..axes[one].values.len() {
                for right in 0..axes[other].values.len() {
                    pairs.push(Pair {
                        one: (one, left),
                        other: (other, right),
                    });
                }
            }
        }
    }
    pairs
}

/// A row around one open pair: axis by axis, in a random order, the value that meets most of what is there.
fn candidate(axes: &[Axis], open: &[Pair], rng: &Rng) -> Row {
    let first = open[rng.below(open.len())];
    let mut row: Vec<Option<usize>> = vec![None; axes.len()];
    row[first.one.0] = Some(first.one.1);
    row[first.other.0] = Some(first.other.1);
    let mut to_set: Vec<usize> = (0..axes.len())
        .filter(|place| row[*place].is_none())
        .collect();
    while !to_set.is_empty() {
        let place = to_set.swap_remove(rng.below(to_set.len()));
        let begin = rng.below(axes[place].values.len());
        let count = axes[place].values.len();
        let values = (0..count).map(|step| (begin + step) % count);
        row[place] = values.max_by_key(|value| meets(place, *value, &row, open));
    }
    row.into_iter().flatten().collect()
}

fn meets(axis: usize, value: usize, row: &[Option<usize>], open: &[Pair]) -> usize {
    let is_met = |(axis, value): (usize, usize)| row[axis] == Some(value);
    let here = (axis, value);
    open.iter()
        .filter(|pair| {
            (pair.one == here && is_met(pair.other)) || (pair.other == here && is_met(pair.one))
        })
        .count()
}

fn covered(row: &Row, open: &[Pair]) -> usize {
    open.iter().filter(|pair| pair.is_in(row)).count()
}

struct Rng(SeededRandom);

impl Rng {
    fn below(&self, end: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        let number = u64::from_le_bytes(bytes) % u64::try_from(end).unwrap();
        usize::try_from(number).unwrap()
    }
}

/// How many rows each is chosen from.
const CANDIDATES: usize = 12;

#[test]
fn every_pair_occurs_and_the_same_seed_gives_the_same_rows() {
    const AXES: [Axis; 4] = [
        Axis {
            name: "a",
            values: &["1", "2", "3"],
        },
        Axis {
            name: "b",
            values: &["1", "2"],
        },
        Axis {
            name: "c",
            values: &["1", "2", "3", "4"],
        },
        Axis {
            name: "d",
            values: &["1", "2"],
        },
    ];
    for seed in 0..20 {
        let rows = rows(&AXES, seed);
        assert!(
            all_pairs(&AXES)
                .iter()
                .all(|pair| rows.iter().any(|row| pair.is_in(row)))
        );
        assert!(rows.len() < 24, "{} rows are no saving", rows.len());
        assert_eq!(rows, super::pairwise::rows(&AXES, seed));
    }
}
