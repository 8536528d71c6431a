//! Every firewall with every CA, broken on purpose. What must hold is one function, called at the end and after each crash.
//!
//! A short run takes some cases of each kind by a seed, which is printed; `RENEWD_LONG=1` takes all of them. A case that
//! fails prints the command that runs it alone.

pub mod authorities;
mod beside;
mod broken_invariants;
mod crash;
pub mod crash_points;
pub mod driver_pair;
mod facts;
mod faults;
pub mod fixture;
pub mod invariants;
mod late;
mod outside_program;
mod path_attacker;
mod repeat;
mod right_end;
pub mod sample;
pub mod site;

use std::fmt::Display;

use futures_util::StreamExt as _;

/// Whether every case is asked for.
pub fn is_long() -> bool {
    std::env::var("RENEWD_LONG").is_ok_and(|value| value == "1")
}

/// The seed that the variable `name` asks for, or the one of every day.
pub fn seed(asked: Option<&str>, name: &str) -> u64 {
    let read = |text: &str| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name}: neither a seed nor a case: {text}"))
    };
    asked.map_or(DEFAULT_SEED, read)
}

/// What comes of each case, in their order. A panic is an answer as well.
pub async fn of_each<C, T, F>(cases: Vec<C>, run: impl Fn(C) -> F) -> Vec<Result<T, String>>
where
    F: Future<Output = Result<T, String>> + Send + 'static,
    T: Send + 'static,
{
    let runs = cases.into_iter().map(|case| {
        let running = run(case);
        async move {
            tokio::spawn(running)
                .await
                .unwrap_or_else(|panic| Err(panic.to_string()))
        }
    });
    futures_util::stream::iter(runs)
        .buffered(AT_ONCE)
        .collect()
        .await
}

/// The cases that broke something, each with the command that runs it alone.
pub fn report<C: Display, T>(
    variable: &str,
    matrix: &str,
    cases: &[C],
    outcomes: &[Result<T, String>],
) -> Vec<String> {
    let of_case = |(case, outcome): (&C, &Result<T, String>)| {
        let words = outcome.as_ref().err()?;
        Some(format!(
            "{case}: {words}\nagain: {variable}='{case}' cargo test --test it matrix::{matrix}"
        ))
    };
    cases.iter().zip(outcomes).filter_map(of_case).collect()
}

/// Any would do; this one is always the same, so that a test that passed yesterday passes today.
const DEFAULT_SEED: u64 = 1;
/// Daemons that live at the same time, each with a test bed of its own.
const AT_ONCE: usize = 4;
