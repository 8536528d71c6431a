//! Counters of a simulated CA, for tests.

/// Totals since the start, all of one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests that reached the CA, also those that a fault answered or cut.
    pub requests: u64,
    /// Requests with missing or wrong credentials.
    pub credentials_refused: u64,
    /// Orders taken: what leads to a certificate, and what costs money where money exists.
    pub orders: u64,
    /// Of those, orders for a public key that an earlier order already had, unless that one had finally failed.
    pub duplicates: u64,
    /// Certificates signed.
    pub signed: u64,
    /// Money spent, in cents; always 0 where a CA sells nothing.
    pub spent_cents: u64,
}
