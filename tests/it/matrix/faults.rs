//! Fault matrix: one exchange of a renewal fails, once, in one way. The renewal still completes, and every invariant
//! holds. Every exchange, every way, every driver pair; by default, a seeded sample of that.
//!
//! `RENEWD_FAULT` asks for others: one case, such as `8/venafi:ca-3:reset-after`, which is run alone; a seed, such as
//! `7`; or a seed and how many cases, such as `7:3000`.

mod case;
mod fault_kind;

use std::collections::HashSet;
use std::time::Instant;

use futures_util::StreamExt as _;

use self::case::{Came, Case, Exchanges};
use super::driver_pair::DriverPair;
use super::is_long;
use super::sample::Sample;
use super::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn every_exchange_fails_once_in_every_way() {
    let asked = Asked::of_environment();
    let cases = match &asked {
        Asked::One(case) => vec![case.clone()],
        Asked::Sample { seed, count } => sample(*seed, *count).await,
    };
    let began = Instant::now();
    let runs = cases.iter().cloned().map(|case| async move {
        let name = case.to_string();
        let came = tokio::spawn(case::run(case)).await;
        let came = came.unwrap_or_else(|panic| Err(panic.to_string()));
        came.map_err(|words| {
            format!(
                "{name}: {words}\nagain: RENEWD_FAULT='{name}' cargo test --test it matrix::faults"
            )
        })
    });
    let came: Vec<Result<Came, String>> = futures_util::stream::iter(runs)
        .buffer_unordered(AT_ONCE)
        .inspect(|came| {
            if let Err(words) = came {
                eprintln!("{words}\n");
            }
        })
        .collect()
        .await;
    tell(&asked, &cases, &came, began);
    let violations = came.iter().filter(|came| came.is_err()).count();
    assert_eq!(
        violations,
        0,
        "of {} cases; each is printed above",
        cases.len()
    );
}

fn tell(asked: &Asked, cases: &[Case], came: &[Result<Came, String>], began: Instant) {
    let pairs: HashSet<DriverPair> = cases.iter().map(|case| case.site.pair).collect();
    let sites: HashSet<Site> = cases.iter().map(|case| case.site).collect();
    let number = |wanted: fn(&Came) -> bool| {
        let fits = came.iter().flatten().filter(|came| wanted(came));
        fits.count()
    };
    let longest = came.iter().flatten().map(|came| came.took).max();
    println!(
        "fault matrix: {asked}: {} cases over {} driver pairs at {} sites ({} never occurred, {} waited for an operator, the longest took {:#}), {} violations, {} s",
        cases.len(),
        pairs.len(),
        sites.len(),
        number(|came| !came.struck),
        number(|came| came.held),
        longest.unwrap_or_default(),
        came.iter().filter(|came| came.is_err()).count(),
        began.elapsed().as_secs(),
    );
}

/// What is to be run.
#[derive(Debug)]
enum Asked {
    One(Case),
    Sample { seed: u64, count: usize },
}

impl Asked {
    fn of_environment() -> Self {
        let count = if is_long() { LONG } else { SHORT };
        let Ok(text) = std::env::var("RENEWD_FAULT") else {
            return Self::Sample { seed: 1, count };
        };
        if text.contains('/') {
            return Self::One(text.parse().unwrap());
        }
        let (seed, asked) = match text.split_once(':') {
            Some((seed, asked)) => (seed, asked.parse().ok()),
            None => (text.as_str(), Some(count)),
        };
        let (Ok(seed), Some(count)) = (seed.parse(), asked) else {
            panic!("RENEWD_FAULT is SEED, SEED:CASES or SITE:EXCHANGE:WAY, not {text:?}");
        };
        Self::Sample { seed, count }
    }
}

impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::One(case) => case.fmt(f),
            Self::Sample { seed, .. } => write!(f, "seed {seed}"),
        }
    }
}

/// So many of all cases: first each way at each kind of peer and each site, then whatever the seed says.
async fn sample(seed: u64, count: usize) -> Vec<Case> {
    let mut pairs = DriverPair::all();
    pairs.extend(DriverPair::notable());
    let sites = Site::of_each(&pairs, seed, is_long()).concat();
    let counted: Vec<(Site, Exchanges)> = futures_util::stream::iter(sites)
        .map(|site| async move { (site, case::count(site).await.unwrap()) })
        .buffered(AT_ONCE)
        .collect()
        .await;
    let every = counted
        .iter()
        .flat_map(|(site, counted)| case::every(*site, counted));
    let mut every: Vec<Case> = every.collect();
    let mut rng = Sample::new(seed);
    for place in (1..every.len()).rev() {
        every.swap(place, rng.below(place + 1));
    }
    let (mut ways, mut sites) = (HashSet::new(), HashSet::new());
    // What is seen for the first time goes first; the order is else kept.
    every.sort_by_cached_key(|case| {
        let is_new_way = ways.insert((case.peer, case.fault_kind));
        let is_new_site = sites.insert(case.site);
        !(is_new_way || is_new_site)
    });
    println!(
        "fault matrix: {} of {} cases",
        count.min(every.len()),
        every.len()
    );
    every.truncate(count);
    every
}

/// Cases of a default run, and of a long one.
const SHORT: usize = 90;
const LONG: usize = 1500;
/// Most of a case that runs into a deadline is waiting.
const AT_ONCE: usize = 6;
