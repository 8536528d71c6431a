//! Simulated CAs, each kind with its behaviour: approvals, validations, refusals, limits, windows, incidents.
//! They keep the ledgers that tell whether anything was ordered twice, too often, or asked for too early.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use renewd::ca::{
    Issuance, Issuer, PreparedOrder, Previous, Reference, RenewalInfo, SigningRequest, Window,
};
use renewd::failure::{Failure, FailureKind};
use renewd::inventory::{Budget, RateLimit};
use renewd::pki::Certificate;

use super::device::refused;
use super::test_pki::Signer;
use super::world::{Obstacle, Scope, State, World};

/// What kind of CA it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Signs at once.
    Local,
    /// Public, 90 days and shrinking, without windows.
    Acme,
    /// The same, with renewal windows (ARI).
    AcmeWithWindows,
    /// Public, 160 hours, with renewal windows (ARI).
    AcmeShort,
    /// Private; some requests wait for an approval, some are refused.
    Venafi,
    /// Private; an employee signs by hand.
    Pam360,
    /// Each order costs money; validated for hours; 200 days and shrinking.
    Resello,
    /// A program that takes its time.
    Exec,
}

/// What is wrong with the dates of what a CA issues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misissue {
    /// Nearly all of the lifetime is over already.
    Backdated,
    /// All but a twentieth of it is.
    AlreadyDue,
    /// It ends before what is served does.
    Short,
}

impl Misissue {
    pub const ALL: [Self; 3] = [Self::Backdated, Self::AlreadyDue, Self::Short];

    /// The validity of what is issued at `now` instead of an honest `life`.
    fn validity(self, now: Timestamp, life: SignedDuration) -> (Timestamp, SignedDuration) {
        match self {
            Self::Backdated => (now - life * 9 / 10, life),
            Self::AlreadyDue => (now - life * 24 / 25, life),
            Self::Short => (now - SignedDuration::from_hours(1), life / 12),
        }
    }
}

/// One CA.
pub struct Authority {
    signer: Signer,
    pub down_until: Timestamp,
    /// What it does wrong, and until when.
    pub misissues: Option<(Misissue, Timestamp)>,
    orders: BTreeMap<String, Order>,
    /// Certificates that were issued, by serial number.
    issued: BTreeMap<String, Issued>,
    /// Orders that cost something, by our reference.
    charged: BTreeMap<String, u32>,
    /// When orders were placed that count against a limit, by its bucket.
    counted: BTreeMap<String, Vec<Timestamp>>,
    /// How many orders the operator allows in [`BUDGET_WITHIN`].
    pub budget: u32,
}

struct Order {
    client_reference: String,
    request: Vec<u8>,
    placed_at: Timestamp,
    ready_at: Timestamp,
    fate: Fate,
    needs_person: bool,
    issued: Option<Certificate>,
    /// When we were asked last, and from when on we may be asked again.
    asked: Option<(Timestamp, Timestamp)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Issue,
    Refuse,
    Void,
}

struct Issued {
    not_before: Timestamp,
    not_after: Timestamp,
    recalled_at: Option<Timestamp>,
}

impl Kind {
    pub const ALL: [Self; 8] = [
        Self::Local,
        Self::Acme,
        Self::AcmeWithWindows,
        Self::AcmeShort,
        Self::Venafi,
        Self::Pam360,
        Self::Resello,
        Self::Exec,
    ];

    /// Its name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Acme => "acme",
            Self::AcmeWithWindows => "acme-windows",
            Self::AcmeShort => "acme-short",
            Self::Venafi => "venafi",
            Self::Pam360 => "pam360",
            Self::Resello => "resello",
            Self::Exec => "exec",
        }
    }

    const fn is_acme(self) -> bool {
        matches!(self, Self::Acme | Self::AcmeWithWindows | Self::AcmeShort)
    }

    /// How long a certificate is valid that is issued at `now` (CA rules reference 1 and 2).
    pub fn lifetime(self, now: Timestamp) -> SignedDuration {
        let since = |day: &str| now >= format!("{day}T00:00:00Z").parse().unwrap();
        let days = match self {
            Self::Local | Self::Pam360 => 398,
            Self::Venafi => 180,
            Self::Exec => 60,
            Self::AcmeShort => return SignedDuration::from_hours(160),
            Self::Acme | Self::AcmeWithWindows if since("2028-02-16") => 45,
            Self::Acme | Self::AcmeWithWindows if since("2027-02-10") => 64,
            Self::Acme | Self::AcmeWithWindows => 90,
            Self::Resello if since("2029-03-15") => 46,
            Self::Resello if since("2027-03-15") => 99,
            Self::Resello => 199,
        };
        SignedDuration::from_hours(24 * days)
    }

    /// For how long a new order is not found.
    const fn visibility_delay(self) -> SignedDuration {
        match self {
            Self::Venafi | Self::Pam360 => SignedDuration::from_mins(2),
            Self::Resello => SignedDuration::from_mins(15),
            _ => SignedDuration::ZERO,
        }
    }
}

impl Authority {
    pub fn new(kind: Kind, now: Timestamp, budget: u32) -> Self {
        Self {
            signer: Signer::new(kind.name(), now),
            down_until: Timestamp::UNIX_EPOCH,
            misissues: None,
            orders: BTreeMap::new(),
            issued: BTreeMap::new(),
            charged: BTreeMap::new(),
            counted: BTreeMap::new(),
            budget,
        }
    }

    /// Signs what did not come from an order: the first certificates, and those that an operator installs by hand.
    pub fn sign(&mut self, request: &[u8], from: Timestamp, life: SignedDuration) -> Certificate {
        let serial = 1000 + u64::try_from(self.issued.len()).unwrap();
        let leaf = self.signer.sign(request, serial, from, from + life);
        let issued = Issued {
            not_before: leaf.not_before,
            not_after: leaf.not_after,
            recalled_at: None,
        };
        self.issued.insert(leaf.serial.clone(), issued);
        leaf
    }

    /// Something went wrong here: of the certificates that are still valid, one in so many must be renewed now.
    pub fn recall(&mut self, now: Timestamp, one_in: u64) -> usize {
        let valid = self.issued.iter_mut().filter(|(serial, issued)| {
            let place = serial.bytes().last().unwrap_or_default();
            issued.not_after > now && u64::from(place) % one_in == 0
        });
        valid
            .map(|(_, issued)| issued.recalled_at = Some(now))
            .count()
    }

    fn count(&mut self, bucket: String, within: SignedDuration, now: Timestamp) -> usize {
        let times = self.counted.entry(bucket).or_default();
        times.retain(|at| *at + within > now);
        times.push(now);
        times.len()
    }
}

/// What renewd talks to.
pub struct Counter {
    pub world: Arc<World>,
    pub kind: Kind,
}

impl Counter {
    async fn call<T>(
        &self,
        call: &str,
        act: impl FnOnce(&mut State) -> Result<T, Failure> + Send,
    ) -> Result<T, Failure> {
        self.world.travel().await;
        let answer = self.world.with(|state| {
            state.reach_authority(self.kind, call)?;
            act(state)
        });
        self.world.travel().await;
        answer
    }

    async fn order(&self, request: &SigningRequest) -> Result<Reference, Failure> {
        self.call("order", |state| {
            if state.rng.one_in(400) {
                return Err(refused("order", "not within the policy today"));
            }
            let reference = place(state, self.kind, request);
            if state.rng.one_in(100) {
                state.books.lost_answers += 1;
                let words = "no answer to the order came";
                return Err(Failure::new(FailureKind::OutcomeUnknown, "order", words));
            }
            Ok(reference)
        })
        .await
    }
}

#[async_trait]
impl Issuer for Counter {
    async fn prepare<'a>(
        &'a self,
        request: &'a SigningRequest,
    ) -> Result<PreparedOrder<'a>, Failure> {
        Ok(PreparedOrder::new(self.order(request)))
    }

    async fn find(&self, request: &SigningRequest) -> Result<Option<Reference>, Failure> {
        if self.kind.is_acme() {
            return Ok(None);
        }
        self.call("find", |state| {
            let now = state.now;
            let visibility_delay = self.kind.visibility_delay();
            let orders = state.authority(self.kind).orders.iter();
            let mut ours = orders.filter(|(_, order)| {
                order.client_reference == request.client_reference
                    && order.placed_at + visibility_delay <= now
                    && (order.fate != Fate::Void || now < order.ready_at)
            });
            Ok(ours
                .next()
                .map(|(reference, _)| Reference(reference.clone())))
        })
        .await
    }

    fn visibility_delay(&self, _request: &SigningRequest) -> SignedDuration {
        self.kind.visibility_delay()
    }

    async fn poll(
        &self,
        reference: &Reference,
        _request: &SigningRequest,
    ) -> Result<Issuance, Failure> {
        self.call("poll", |state| poll(state, self.kind, &reference.0))
            .await
    }

    fn rate_limits(&self, request: &SigningRequest, now: Timestamp) -> Vec<RateLimit> {
        if !self.kind.is_acme() || is_asked_for(request, now) {
            return Vec::new();
        }
        let name = request.csr.common_name().unwrap_or_default();
        let limit = |bucket: String, at_most, hours| RateLimit {
            bucket,
            at_most,
            within: SignedDuration::from_hours(hours),
        };
        vec![
            limit("account".to_owned(), ORDERS_IN_3_HOURS, 3),
            limit(format!("names {name}"), NAMES_IN_7_DAYS, 7 * 24),
        ]
    }

    fn budget(&self) -> Option<Budget> {
        (self.kind == Kind::Resello).then(|| Budget {
            orders: self.world.with(|state| state.authority(self.kind).budget),
            within: BUDGET_WITHIN,
        })
    }

    fn may_have_cost(&self, order: &Reference) -> bool {
        let is_issued = |state: &mut State| {
            let order = state.authority(self.kind).orders.get(&order.0);
            order.is_some_and(|order| order.issued.is_some())
        };
        self.kind != Kind::Local && (!self.kind.is_acme() || self.world.with(is_issued))
    }

    fn offers_windows(&self) -> bool {
        matches!(self.kind, Kind::AcmeWithWindows | Kind::AcmeShort)
    }

    async fn renewal_window(&self, certificate: &Certificate) -> Result<RenewalInfo, Failure> {
        self.call("ask for the window", |state| {
            let issued = state.authority(self.kind).issued.get(&certificate.serial);
            let issued = issued.ok_or_else(|| refused("ask for the window", "not one of ours"))?;
            Ok(info(issued))
        })
        .await
    }

    async fn decommission(&self, _superseded: &Previous) -> Result<(), Failure> {
        self.call("retire", |_| Ok(())).await
    }

    async fn check(&self) -> Result<Vec<(String, String)>, Failure> {
        Ok(Vec::new())
    }
}

/// Takes an order, and decides what will become of it.
fn place(state: &mut State, kind: Kind, request: &SigningRequest) -> Reference {
    let now = state.now;
    let (takes, fate, needs_person) = habits(state, kind);
    let order = Order {
        client_reference: request.client_reference.clone(),
        request: request.csr.der.clone(),
        placed_at: now,
        ready_at: now + takes,
        fate,
        needs_person,
        issued: None,
        asked: None,
    };
    let name = request.csr.common_name().unwrap_or_default().to_owned();
    // After a refusal the next attempt is a day away.
    let until = match fate {
        Fate::Issue => order.ready_at,
        Fate::Refuse | Fate::Void => order.ready_at + SignedDuration::from_hours(27),
    };
    state.obstacles.push(Obstacle {
        scope: Scope::Name(name.clone()),
        from: now,
        until,
        why: "the CA took its time",
    });
    count_order(state, kind, &name, is_asked_for(request, now));
    if !kind.is_acme() {
        charge(state, kind, &request.client_reference);
    }
    let authority = state.authority(kind);
    let reference = format!("{}-{}", kind.name(), authority.orders.len());
    authority.orders.insert(reference.clone(), order);
    Reference(reference)
}

/// How long an order of this kind takes, how it ends, and whether it waits for an approval.
fn habits(state: &mut State, kind: Kind) -> (SignedDuration, Fate, bool) {
    let rng = &mut state.rng;
    let mut takes = |shortest: i64, longest: i64| {
        let [shortest, longest] = [shortest, longest].map(SignedDuration::from_mins);
        rng.between(shortest, longest)
    };
    let (takes, needs_person, refused_one_in, void_one_in) = match kind {
        Kind::Local => (SignedDuration::ZERO, false, 0, 0),
        Kind::Acme | Kind::AcmeWithWindows | Kind::AcmeShort => (takes(0, 2), false, 0, 200),
        Kind::Exec => (takes(0, 30), false, 60, 0),
        Kind::Venafi if takes(0, 9).as_mins() < 4 => (takes(60, 3 * 24 * 60), true, 40, 0),
        Kind::Venafi => (takes(0, 5), false, 80, 0),
        Kind::Pam360 => (takes(60, 2 * 24 * 60), true, 60, 0),
        Kind::Resello if takes(0, 9).as_mins() < 1 => (takes(600, 5 * 24 * 60), false, 20, 10),
        Kind::Resello => (takes(10, 12 * 60), false, 100, 60),
    };
    let happens = |rng: &mut super::rng::Rng, cases| cases > 0 && rng.one_in(cases);
    let fate = if happens(&mut state.rng, refused_one_in) {
        Fate::Refuse
    } else if happens(&mut state.rng, void_one_in) {
        Fate::Void
    } else {
        Fate::Issue
    };
    (takes, fate, needs_person)
}

/// Whether the CA's renewal window requests this renewal now: such an order counts against no limit (CA rules reference
/// 4).
fn is_asked_for(request: &SigningRequest, now: Timestamp) -> bool {
    let is_ours = request.previous.as_ref().is_some_and(|p| p.order.is_some());
    is_ours
        && request
            .window
            .is_some_and(|w| (w.start..w.end).contains(&now))
}

/// Notes an order, and that no limit was passed. A clock that is wrong may place some a little too early.
fn count_order(state: &mut State, kind: Kind, name: &str, is_asked_for: bool) {
    let now = state.now;
    let is_clock_right = state.clock_error.is_zero();
    let authority = state.authority(kind);
    let mut passed = Vec::new();
    let mut check = |bucket: String, at_most: u32, within: SignedDuration| {
        let count = authority.count(bucket.clone(), within, now);
        if count > at_most as usize {
            passed.push(format!("{count} orders at {} for {bucket}", kind.name()));
        }
    };
    if kind.is_acme() && !is_asked_for && is_clock_right {
        // A bucket that refills steadily lets twice as many pass in its time, at most.
        let hours = SignedDuration::from_hours;
        check("account".to_owned(), 2 * ORDERS_IN_3_HOURS, hours(3));
        check(format!("names {name}"), 2 * NAMES_IN_7_DAYS, hours(7 * 24));
    }
    // Whatever a CA issues, and however often it requests a renewal.
    let count = authority.count(
        format!("endless {name}"),
        SignedDuration::from_hours(24),
        now,
    );
    if count > MOST_ORDERS_A_DAY {
        passed.push(format!(
            "{name} was ordered {count} times in a day at {}",
            kind.name()
        ));
    }
    if kind == Kind::Resello {
        let budget = authority.budget;
        let within = BUDGET_WITHIN - SignedDuration::from_hours(50);
        let count = authority.count("budget".to_owned(), within, now);
        if count > budget as usize {
            passed.push(format!("{count} orders at resello, the budget is {budget}"));
        }
    }
    for words in passed {
        state.violation(words);
    }
}

/// An order costs something from now on: once for each renewal.
fn charge(state: &mut State, kind: Kind, client_reference: &str) {
    state.books.orders += 1;
    let charged = &mut state.authority(kind).charged;
    let times = charged.entry(client_reference.to_owned()).or_default();
    *times += 1;
    if *times > 1 {
        let words = format!(
            "{} was ordered {times} times at {}",
            client_reference,
            kind.name()
        );
        state.violation(words);
    }
}

fn poll(state: &mut State, kind: Kind, reference: &str) -> Result<Issuance, Failure> {
    let now = state.now;
    // An answer that was lost with renewd, or that an operator did not wait for, is not binding.
    let undisturbed_since = state.last_clock_step_at.max(state.last_request_at);
    let undisturbed_since = undisturbed_since.max(state.last_crash_at);
    let order = state.authority(kind).orders.get(reference);
    let order = order.ok_or_else(|| refused("poll", "no such order"))?;
    if let Some((at, again_at)) = order.asked
        && now + SignedDuration::from_secs(1) < again_at
        && undisturbed_since < at
    {
        let early = now.duration_until(again_at);
        state.violation(format!("{reference} was asked for {early:#} too early"));
    }
    let order = state.authority(kind).orders.get_mut(reference).unwrap();
    if now < order.ready_at {
        let retry_after = asked_wait(kind);
        order.asked = retry_after.map(|wait| (now, now + wait));
        return Ok(Issuance::Pending {
            retry_after,
            waiting_for: if order.needs_person {
                "an approval"
            } else {
                "validation"
            }
            .to_owned(),
            needs_person: order.needs_person,
        });
    }
    match order.fate {
        Fate::Refuse => Ok(Issuance::Refused {
            reason: "an approver said no".to_owned(),
        }),
        Fate::Void => {
            let client_reference = order.client_reference.clone();
            let charged = &mut state.authority(kind).charged;
            charged.remove(&client_reference);
            Ok(Issuance::Void {
                reason: "the validation failed; nothing is charged".to_owned(),
                retry_after: None,
            })
        }
        Fate::Issue => Ok(issue(state, kind, reference)),
    }
}

/// The other drivers get no pause from their CA.
fn asked_wait(kind: Kind) -> Option<SignedDuration> {
    kind.is_acme().then(|| SignedDuration::from_secs(20))
}

/// The certificate of an order, signed when it is first asked for.
fn issue(state: &mut State, kind: Kind, reference: &str) -> Issuance {
    let now = state.now;
    let authority = state.authority(kind);
    let order = &authority.orders[reference];
    let leaf = if let Some(leaf) = &order.issued {
        leaf.clone()
    } else {
        let (request, client_reference) = (order.request.clone(), order.client_reference.clone());
        let life = kind.lifetime(now);
        let honest = (now - SignedDuration::from_hours(1), life);
        let (from, life) = match authority.misissues {
            Some((how, until)) if now < until => how.validity(now, life),
            _ => honest,
        };
        let leaf = authority.sign(&request, from, life);
        authority.orders.get_mut(reference).unwrap().issued = Some(leaf.clone());
        if kind.is_acme() {
            charge(state, kind, &client_reference);
        }
        leaf
    };
    Issuance::Issued {
        leaf: Box::new(leaf),
        chain: vec![state.authority(kind).signer.root.clone()],
    }
}

/// When this certificate is to be renewed (CA rules reference 5).
fn info(issued: &Issued) -> RenewalInfo {
    let life = issued.not_before.duration_until(issued.not_after);
    let share = if life < SignedDuration::from_hours(240) {
        (1, 2)
    } else {
        (2, 3)
    };
    let window = match issued.recalled_at {
        Some(at) => Window {
            start: at - SignedDuration::from_mins(60),
            end: at - SignedDuration::from_mins(30),
        },
        None => Window {
            start: issued.not_before + life * share.0 / share.1 - life / 100,
            end: issued.not_before + life * share.0 / share.1 + life / 100,
        },
    };
    RenewalInfo {
        window: Some(window),
        explanation: issued
            .recalled_at
            .map(|_| "https://ca.example/incident".to_owned()),
        ask_again: Some((life / 15).max(SignedDuration::from_hours(6))),
    }
}

const ORDERS_IN_3_HOURS: u32 = 300;
const NAMES_IN_7_DAYS: u32 = 5;
/// Of one certificate, what persons ask for included.
const MOST_ORDERS_A_DAY: usize = 8;
const BUDGET_WITHIN: SignedDuration = SignedDuration::from_hours(30 * 24);
