//! A simulated CA without its sockets: a model with its own state, and an office that every model has.

use std::collections::HashMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use time::{Duration, OffsetDateTime};

use super::authority::{Authority, Issued, Tier, Wish};
use super::counters::Counters;
use super::csr::Csr;
use super::http::{Reply, Request};
use super::mischief::{ChainMischief, Delivery, Mischief};
use crate::rng::Rng;
use crate::switch::ByName;

/// The clock of a CA. It is the source of all dates. No timer uses it.
pub type Clock = Arc<dyn Fn() -> OffsetDateTime + Send + Sync>;

/// The settings that every CA starts with.
#[derive(Clone)]
pub struct Common {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Its clock.
    pub now: Clock,
    /// Lifetime of a certificate whose requester names none, in days.
    pub lifetime_days: u32,
    /// Seed of identifiers and of all mischief; key pairs do not depend on it.
    pub seed: u64,
}

impl Default for Common {
    /// Loopback, a free port, the system's clock, 90 days, seed 1.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            now: Arc::new(OffsetDateTime::now_utc),
            lifetime_days: 90,
            seed: 1,
        }
    }
}

impl fmt::Debug for Common {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Common")
            .field("listen", &self.listen)
            .field("lifetime_days", &self.lifetime_days)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

/// Network access that a request requires before it is answered.
pub type Preparation = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One kind of CA: its data and its answers.
pub trait Model: Sized + Send + 'static {
    /// The settings that it starts with.
    type Settings;
    /// The switches that can change while it runs.
    type Variants: Clone + ByName;
    /// The name of its two CA certificates.
    const NAME: &'static str;

    /// The part of the settings that every CA has.
    fn common(settings: &Self::Settings) -> &Common;

    /// The CA before its first request.
    fn open(settings: Self::Settings, office: &mut Office) -> Self;

    /// The switches.
    fn variants(&mut self) -> &mut Self::Variants;

    /// Network access that this request requires before its answer. The model keeps the outcome for
    /// [`Model::answer`]. No lock is held meanwhile.
    fn prepare(&mut self, _: &Request) -> Option<Preparation> {
        None
    }

    /// Acts on one request. Runs on a thread where blocking is allowed; requests are answered one after another.
    fn answer(&mut self, office: &mut Office, request: &Request) -> Reply;
}

/// The resources that every CA uses for its answers.
#[derive(Debug)]
pub struct Office {
    /// Signs.
    pub authority: Authority,
    /// The counters.
    pub counters: Counters,
    pub(crate) rng: Rng,
    pub(super) mischief: Mischief,
    pub(super) chain_mischief: ChainMischief,
    common: Common,
    /// How many orders that have not failed each public key has.
    ordered_keys: HashMap<Vec<u8>, u32>,
}

impl Office {
    /// Fails when the CA's own certificates cannot be created.
    pub(super) fn open(name: &str, common: Common) -> Result<Self, rcgen::Error> {
        let now = (common.now)();
        let milliseconds = now.unix_timestamp_nanos() / 1_000_000;
        let root_serial = u64::try_from(milliseconds).unwrap_or(1).to_be_bytes();
        Ok(Self {
            authority: Authority::new(name, trimmed(&root_serial), now)?,
            counters: Counters::default(),
            rng: Rng::new(common.seed),
            mischief: Mischief::Nothing,
            chain_mischief: ChainMischief::Nothing,
            common,
            ordered_keys: HashMap::new(),
        })
    }

    /// The CA's clock.
    pub fn now(&self) -> OffsetDateTime {
        (self.common.now)()
    }

    /// Lifetime of a certificate whose requester names none.
    pub fn lifetime(&self) -> Duration {
        Duration::days(i64::from(self.common.lifetime_days))
    }

    /// Counts an order, and whether its key was ordered before.
    pub fn take_order(&mut self, csr: &Csr) {
        self.counters.orders += 1;
        self.take_key(csr);
    }

    /// The same where an order and its key come one after the other: counts only whether the key was ordered before.
    pub fn take_key(&mut self, csr: &Csr) {
        let open = self.ordered_keys.entry(csr.public_key.clone()).or_default();
        self.counters.duplicates += u64::from(*open > 0);
        *open += 1;
    }

    /// An order has finally failed: to order the same key again is no duplicate of it. Once per order.
    pub fn order_failed(&mut self, csr: &Csr) {
        if let Some(open) = self.ordered_keys.get_mut(&csr.public_key) {
            *open = open.saturating_sub(1);
        }
    }

    /// When a certificate begins that is signed now.
    pub fn begin(&self) -> OffsetDateTime {
        self.now() - Duration::minutes(5)
    }

    /// Signs for `lifetime` from a little before now, with whatever mischief is set.
    /// The error is a certificate that the library cannot write.
    pub fn sign(
        &mut self,
        csr: &Csr,
        signer: Tier,
        lifetime: Duration,
        is_ca: bool,
    ) -> Result<Issued, String> {
        let not_before = self.begin();
        // Serial numbers that begin with a zero digit are where text comparisons fail.
        let serial = u32::try_from(self.rng.next() >> 33).unwrap_or(1) | 1;
        let wish = Wish {
            csr,
            signer,
            serial: trimmed(&serial.to_be_bytes()).to_vec(),
            not_before,
            not_after: not_before + lifetime,
            is_ca,
            mischief: self.mischief,
        };
        let issued = self
            .authority
            .sign(&wish)
            .map_err(|error| error.to_string())?;
        self.counters.signed += 1;
        Ok(issued)
    }

    /// A certificate and those above it as this CA sends them, leaf first, with whatever mischief is set.
    pub fn deliver(&mut self, issued: &Issued, with_root: bool) -> Vec<Vec<u8>> {
        let delivery = Delivery {
            leaf: &issued.der,
            above: self.authority.above(issued.signer),
            with_root,
            stranger: self.authority.stranger(),
        };
        delivery.arrange(self.chain_mischief, &mut self.rng)
    }

    /// A version 4 UUID (RFC 9562 5.4) of seeded chance.
    pub fn uuid(&mut self) -> String {
        let digits = self.rng.hex(2);
        let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
        format!(
            "{}-{}-4{}-a{}-{}",
            part(0, 8),
            part(8, 12),
            part(13, 16),
            part(17, 20),
            part(20, 32)
        )
    }
}

/// Without leading zero bytes.
fn trimmed(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}
