//! The repeat matrix: every step is taken twice, for every driver pair, and the renewal ends the same. Twice because the
//! daemon dies before it stores what came of the step, and twice because the step's state is set back after it was stored,
//! as if a database had been restored from the moment before.

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use renewd::inventory::State;
use renewd::renewal::{Moment, Step};
use sqlx::{Connection as _, SqliteConnection};

use super::bench::Bench;
use super::invariants::When;
use super::pair::Pair;
use super::referee::Stop;
use super::sample::Sample;
use super::{is_long, of_each, report, seed};

/// A pair, the state that the repeated step leads to, and how it is repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Case {
    pair: Pair,
    to: State,
    how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// What came of it is thrown away.
    Unstored,
    /// It was stored, and is set back.
    SetBack,
}

/// The states of a renewal that succeeds, in their order.
const FORWARD: [State; 9] = [
    State::Planned,
    State::CsrGenerated,
    State::CsrExported,
    State::Submitted,
    State::Issued,
    State::Imported,
    State::Bound,
    State::Verified,
    State::Completed,
];

#[tokio::test(flavor = "multi_thread")]
async fn every_step_can_be_taken_twice() {
    let asked = std::env::var("RENEWD_REPEAT").ok();
    if let Some(case) = asked.as_deref().and_then(|text| text.parse::<Case>().ok()) {
        run(&case)
            .await
            .unwrap_or_else(|words| panic!("{case}: {words}"));
        return println!("{case}: 0 violations");
    }
    let seed = seed(asked.as_deref(), "RENEWD_REPEAT");
    let mut sample = Sample::new(seed);
    let mut pairs = [Pair::all(), Pair::notable()].concat();
    pairs.retain(|pair| pair.face.end() == State::Completed);
    let cases: Vec<Case> = pairs
        .iter()
        .flat_map(|pair| cases(*pair, &mut sample))
        .collect();
    let outcomes = of_each(cases.clone(), |case| async move { run(&case).await }).await;
    let broken = report("RENEWD_REPEAT", "repeat", &cases, &outcomes);
    println!(
        "repeat matrix: seed {seed}: {} driver pairs, {} steps taken twice, {} violations",
        pairs.len(),
        cases.len(),
        broken.len()
    );
    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
}

/// Every step in both ways in the long run; in the short one some of them.
fn cases(pair: Pair, sample: &mut Sample) -> Vec<Case> {
    let both = |to: &State| [How::Unstored, How::SetBack].map(|how| Case { pair, to: *to, how });
    let all: Vec<Case> = FORWARD[1..].iter().flat_map(both).collect();
    if is_long() {
        return all;
    }
    let some = sample.some(SHORT, all.len());
    some.into_iter()
        .map(|number| all[number - 1].clone())
        .collect()
}

async fn run(case: &Case) -> Result<(), String> {
    let bench = Bench::new(case.pair).await;
    let stop = match case.how {
        How::Unstored => Stop::Moment(Moment::Storing(case.to)),
        How::SetBack => Stop::Moment(Moment::Stored(case.to)),
    };
    if bench.drive(stop).await?.is_some() {
        return Err("the step was never taken".to_owned());
    }
    bench.hold(When::AfterCrash).await?;
    if case.how == How::SetBack {
        set_back(&bench, case.to).await;
    }
    bench.lab.clock.advance(SignedDuration::from_secs(2));
    bench.completed().await
}

/// The one place where a test writes what the store would not: the renewal is in the state before `to` again.
async fn set_back(bench: &Bench, to: State) {
    let place = FORWARD.iter().position(|state| *state == to).unwrap();
    let before = FORWARD[place - 1].name();
    let url = bench.lab.desired().daemon.database;
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let renewal = bench.lab.renewals().await.swap_remove(0);
    let statement = "UPDATE renewal SET state = $1, ended_at = NULL WHERE state = $2 AND id = $3";
    let done = sqlx::query(statement)
        .bind(before)
        .bind(to.name())
        .bind(&renewal.id.0)
        .execute(&mut connection)
        .await
        .unwrap();
    assert_eq!(done.rows_affected(), 1, "{to}");
    // The state and the end of its intent are stored in one transaction: neither has happened.
    let step = Step::leaving(FORWARD[place - 1]).unwrap().name();
    sqlx::query("UPDATE intent SET closed_at = NULL WHERE renewal = $1 AND step = $2")
        .bind(renewal.id.0)
        .bind(step)
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.how {
            How::Unstored => "unstored",
            How::SetBack => "set-back",
        };
        write!(f, "{}:{}:{how}", self.pair, self.to)
    }
}

impl FromStr for Case {
    type Err = String;

    /// `8/venafi:submitted:set-back`
    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let [pair, to, how] = parts[..] else {
            return Err("PAIR:STATE:HOW".to_owned());
        };
        let how = match how {
            "unstored" => How::Unstored,
            "set-back" => How::SetBack,
            other => return Err(format!("unstored or set-back, not {other}")),
        };
        let to = State::from_name(to).filter(|to| FORWARD[1..].contains(to));
        Ok(Self {
            pair: pair.parse()?,
            to: to.ok_or("no such state")?,
            how,
        })
    }
}

#[test]
fn a_case_is_read_as_it_is_written() {
    let text = "8/venafi:submitted:set-back";
    assert_eq!(text.parse::<Case>().unwrap().to_string(), text);
    assert!("8/venafi:planned:set-back".parse::<Case>().is_err());
}

/// Of each pair, in the short run.
const SHORT: usize = 1;
