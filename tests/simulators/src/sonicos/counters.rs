//! Counters of a simulated device, for tests.

/// Totals since the start, and a few present values. All are taken at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests that reached the API, also those that a rule answered or cut.
    pub requests: u64,
    /// Of those, how many carried a password, or something that was computed from one.
    pub credentials: u64,
    /// Successful logins by any scheme.
    pub logins: u64,
    /// Of those, logins that ended a session that was open.
    pub sessions_replaced: u64,
    /// Logins and digests with a wrong user, password or code.
    pub failed_logins: u64,
    /// Sessions ended by `DELETE /auth`.
    pub logouts: u64,
    /// Times the account was locked after too many wrong logins.
    pub locked_out: u64,
    /// Open sessions now: 0 or 1.
    pub sessions_open: u64,
    /// Key pairs born on the device by generate-signing-request.
    pub key_pairs_generated: u64,
    /// Of those, how many the device still holds, as a request or as a certificate.
    pub key_pairs_present: u64,
    /// Signed certificates accepted.
    pub imports: u64,
    /// CA certificates accepted.
    pub ca_imports: u64,
    /// PKCS#12 files accepted.
    pub key_pair_imports: u64,
    /// Files brought to a server.
    pub transfers_brought: u64,
    /// Files fetched from a server.
    pub transfers_fetched: u64,
    /// Files that could not be brought or fetched.
    pub transfers_failed: u64,
    /// Certificates and requests removed.
    pub deletes: u64,
    /// Commits that changed something.
    pub commits: u64,
    /// Commits through the API or the command line that also committed pending changes of another administrator.
    pub commits_of_foreign_changes: u64,
    /// Discards through the API or the command line that also discarded pending changes of another administrator.
    pub discards_of_foreign_changes: u64,
}
