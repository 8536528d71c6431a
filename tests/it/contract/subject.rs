//! A CA under test: the operations that all of them have, and a fixture around one.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::SignedDuration;
use renewd::clock::{Clock, ManualClock};
use renewd::inventory::{Renewal, State};
use simulators::ConnectionFault;
use simulators::Observer;
use simulators::ca::{ChainMischief, Counters, Fault, Mischief, Model, On, Simulator};
use simulators::sonicos::{Profile, Variants};

use crate::test_bed::{TestBed, device_time, today};

/// How a CA treats the orders that come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Signs after one or two polls.
    Signs,
    /// Signs after so many polls.
    SignsAfter(u32),
    /// Waits for an operator's approval.
    WaitsForPerson,
    /// Refuses.
    Refuses,
}

/// One kind of CA.
#[async_trait]
pub trait Subject: Sized + Send + Sync {
    /// Whether an order can wait for an operator's approval.
    const ASKS_PEOPLE: bool = true;
    /// Whether it signs while the order waits for the answer, so that nothing is ever pending.
    const SIGNS_AT_ONCE: bool = false;
    /// Whether a final no ends the renewal, instead of another order after a day.
    const ENDS_WHEN_REFUSED: bool = true;
    /// Whether it knows us by something that can be refused.
    const HAS_CREDENTIALS: bool = true;
    /// Whether it hands out the certificates above the leaf.
    const GIVES_CHAIN: bool = true;

    /// Starts the simulated CA, whose clock is `clock`.
    async fn start(clock: Arc<ManualClock>) -> Self;
    /// `driver.NAME = { … }`; FOLDER stands for the test bed's folder.
    fn driver(&self) -> String;
    /// Puts what the configuration names into the test bed's folder.
    fn prepare(&self, bed: &TestBed);
    /// What every simulated CA has.
    fn port(&self) -> &dyn Port;
    /// Orders that may have cost something.
    fn orders(&self) -> u64 {
        self.port().counters().orders
    }
    /// Whether the request `line` places an order that costs something only later.
    fn is_placing(&self, _line: &str) -> bool {
        false
    }
    /// That no more money was spent than one order costs.
    fn assert_paid_once(&self, _case: &str) {}
    /// What one order costs, in cents.
    fn price_cents(&self) -> u64 {
        0
    }
    /// What must be in no log and no database.
    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }
    /// From now on.
    fn behave(&self, behaviour: Behaviour);
    /// The operator approves what waits.
    fn approve(&self);
    /// A part of the CA's message when it refuses.
    fn refusal(&self) -> &'static str;
    /// From now on our credentials are refused, or good again.
    fn spoil_credentials(&self, spoiled: bool, bed: &TestBed);
}

/// What the simulated CAs have in common.
pub trait Port: Send + Sync {
    fn fault(&self, on: On, fault: Fault);
    fn connection_fault(&self, nth: u32, fault: ConnectionFault);
    fn one_request_each(&self, one: bool);
    fn connections(&self) -> u64;
    fn bytes_sent_to_impostor(&self) -> u64;
    fn faults_used(&self) -> u64;
    fn requests(&self) -> Vec<String>;
    fn counters(&self) -> Counters;
    fn mischief(&self, mischief: Mischief);
    fn chain_mischief(&self, mischief: ChainMischief);
    fn journal(&self) -> Vec<String>;
    fn observed_by(&self, observer: Observer);
}

impl<M: Model> Port for Simulator<M> {
    fn fault(&self, on: On, fault: Fault) {
        Self::fault(self, on, fault);
    }
    fn connection_fault(&self, nth: u32, fault: ConnectionFault) {
        Self::connection_fault(self, nth, fault);
    }
    fn one_request_each(&self, one: bool) {
        Self::one_request_each(self, one);
    }
    fn connections(&self) -> u64 {
        Self::connections(self)
    }
    fn bytes_sent_to_impostor(&self) -> u64 {
        Self::bytes_sent_to_impostor(self)
    }
    fn faults_used(&self) -> u64 {
        Self::faults_used(self)
    }
    fn requests(&self) -> Vec<String> {
        Self::requests(self)
    }
    fn counters(&self) -> Counters {
        Self::counters(self)
    }
    fn mischief(&self, mischief: Mischief) {
        Self::mischief(self, mischief);
    }
    fn chain_mischief(&self, mischief: ChainMischief) {
        Self::chain_mischief(self, mischief);
    }
    fn journal(&self) -> Vec<String> {
        Self::journal(self)
    }
    fn observed_by(&self, observer: Observer) {
        Self::observed_by(self, observer);
    }
}

/// The clock of a test bed as simulated CAs want it.
pub fn ca_clock(clock: &Arc<ManualClock>) -> simulators::ca::Clock {
    let clock = Arc::clone(clock);
    Arc::new(move || device_time(clock.as_ref() as &dyn Clock))
}

/// More than any case needs.
const RUNS: usize = 300;

/// A CA and a test bed with a simulated SonicWall that uses it.
pub struct Fixture<S> {
    pub ca: S,
    pub bed: TestBed,
}

impl<S: Subject> Fixture<S> {
    pub async fn new() -> Self {
        renewd::tls::install_provider();
        let clock = today();
        let ca = S::start(Arc::clone(&clock)).await;
        let bed = TestBed::with_ca(Profile::V8, Variants::kind(), clock, &ca.driver()).await;
        ca.prepare(&bed);
        Self { ca, bed }
    }

    /// Lets the daemon work until the renewal has ended, or `longest` has passed.
    pub async fn run(&self, longest: SignedDuration) -> Renewal {
        let end = self.bed.clock.now() + longest;
        for _ in 0..RUNS {
            self.bed.run_once().await;
            let renewal = self.renewal().await;
            let now = self.bed.clock.now();
            if renewal.state.is_end() || now >= end {
                return renewal;
            }
            let next = renewal.next_attempt_at.unwrap_or(end).min(end);
            self.bed
                .clock
                .set(next.max(now + SignedDuration::from_secs(1)));
        }
        panic!("it goes round in circles: {:#?}", self.renewal().await);
    }

    /// The newest renewal.
    pub async fn renewal(&self) -> Renewal {
        self.bed.renewals().await.swap_remove(0)
    }

    /// That one renewal was completed with one order.
    pub async fn assert_one_order(&self, case: &str) {
        let renewal = self.renewal().await;
        let reported = || {
            format!(
                "{case}: {:?}\n{:#?}",
                renewal.last_error,
                self.ca.port().journal()
            )
        };
        assert_eq!(renewal.state, State::Completed, "{}", reported());
        let counters = self.ca.port().counters();
        assert_eq!(self.ca.orders(), 1, "orders; {}", reported());
        assert_eq!(counters.duplicates, 0, "duplicates; {}", reported());
        self.ca.assert_paid_once(case);
        self.bed.assert_installed_once().await;
    }

    /// How often `event` is in the history.
    pub async fn reported(&self, event: &str) -> usize {
        let history = self.bed.history().await;
        history.iter().filter(|past| past.name == event).count()
    }
}
