//! Every face of the firmware: what the reference leaves open is a switch of the simulated device, and the real daemon
//! renews on it with every two positions of two switches in company (SonicOS reference 9).
//!
//! A row that fails prints the command that runs it alone.

mod axes;
mod pairwise;
mod row;

use futures_util::StreamExt as _;

use pairwise::Axis;

/// Runs the rows of all seeds that are asked for; `RENEWD_VARIANTS=SEED` or `SEED:ROW` asks for others.
async fn every_row(name: &str, axes: &'static [Axis]) {
    let asked = std::env::var("RENEWD_VARIANTS").ok();
    let (seed, only) = asked.as_deref().map_or((DEFAULT_SEED, None), read);
    let rows = pairwise::rows(axes, seed);
    println!("{name}: {} rows of seed {seed}", rows.len());
    let chosen = rows
        .iter()
        .enumerate()
        .filter(|(number, _)| only.is_none_or(|only| only == *number));
    let runs = chosen.map(|(number, row)| async move {
        let settings = row::Settings::of(axes, row);
        if only.is_some() {
            println!("{settings:?}");
        }
        let failed = tokio::spawn(row::renew(settings.clone())).await.err();
        failed.map(|panic| {
            // The whole of it was printed where it happened.
            let panic: String = panic.to_string().chars().take(300).collect();
            format!(
                "row {number}: {settings:?}\n{panic}\nagain: RENEWD_VARIANTS={seed}:{number} cargo test --test it variants::{name}"
            )
        })
    });
    let failed: Vec<String> = futures_util::stream::iter(runs)
        .buffer_unordered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await;
    assert!(
        failed.is_empty(),
        "{} of {} rows: {}",
        failed.len(),
        rows.len(),
        failed.join("\n\n")
    );
}

/// `SEED` or `SEED:ROW`.
fn read(asked: &str) -> (u64, Option<usize>) {
    let (seed, row) = asked
        .split_once(':')
        .map_or((asked, None), |(seed, row)| (seed, Some(row)));
    let wanted = "RENEWD_VARIANTS is SEED or SEED:ROW";
    (
        seed.parse().expect(wanted),
        row.map(|row| row.parse().expect(wanted)),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn of_sonicos_7_and_8() {
    every_row("of_sonicos_7_and_8", axes::MODERN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_sonicos_6_5() {
    every_row("of_sonicos_6_5", axes::OLD).await;
}

/// Any would do; this one is always the same, so that a test that passed yesterday passes today.
const DEFAULT_SEED: u64 = 1;
const AT_ONCE: usize = 4;
