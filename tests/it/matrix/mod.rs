//! Every firewall with every CA, broken on purpose. What must hold is one function, called at the end and after each crash.

pub mod authorities;
pub mod bench;
mod broken_invariants;
mod faults;
pub mod invariants;
mod outside_program;
pub mod pair;
pub mod referee;

use futures_util::StreamExt as _;

use bench::Bench;
use pair::Pair;

#[tokio::test(flavor = "multi_thread")]
async fn every_pair_renews_and_every_invariant_holds() {
    let pairs = [Pair::all(), Pair::notable()].concat();
    let runs = pairs.into_iter().map(|pair| async move {
        let bench = Bench::new(pair).await;
        let ended = bench.completed().await;
        ended.err().map(|words| format!("{pair}: {words}"))
    });
    let broken: Vec<String> = futures_util::stream::iter(runs)
        .buffer_unordered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await;
    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
}

/// Daemons that live at the same time, each with a laboratory of its own.
pub const AT_ONCE: usize = 4;
