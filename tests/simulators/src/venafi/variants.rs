//! Every switch of the service: details that the reference leaves open, and faults.

use crate::switch::{choices, variants};

choices! {
    /// The progress of a request after it was stored (4.4).
    StatusPath {
        /// ISSUED at once.
        Immediate = "immediate",
        /// NEW, PENDING, REQUESTED, ISSUED.
        Steps = "steps",
        /// `PENDING_APPROVAL`, `PENDING_FINAL_APPROVAL`, then ISSUED.
        Approved = "approved",
        /// `PENDING_APPROVAL`, then `REJECTED_APPROVAL`.
        ApprovalRefused = "approval_refused",
        /// PENDING, then REJECTED.
        Rejected = "rejected",
        /// PENDING, then CANCELLED.
        Cancelled = "cancelled",
        /// PENDING, then FAILED with errorInformation.
        Failed = "failed",
        /// PENDING, then REVOKED.
        Revoked = "revoked",
        /// PENDING, then DELETED.
        Deleted = "deleted",
        /// PENDING, an undocumented word, then ISSUED.
        UnknownWord = "unknown_word",
    }
}

choices! {
    /// Spelling of the zone in dates (4.3): all three occur.
    DateForm {
        /// `+0000`
        Basic = "basic",
        /// `+00:00`
        Extended = "extended",
        /// `Z`
        Zulu = "zulu",
        /// Any of them, by the seed.
        Mixed = "mixed",
    }
}

variants! {
    // Section 2: credentials.
    /// Requests after which the API key is unknown (2); unset: it stays good.
    key_ends_after: Option<u32> = None,
    /// Requests for which an access token is good (2); unset: it stays good.
    token_ends_after: Option<u32> = None,
    /// Status of an expired or unknown token (UNKNOWN in 2).
    bad_token_status: u16 = 401,
    /// Days until the API key's own end date (2).
    key_days_left: u32 = 180,
    /// Applications and templates may be read (4.2: the user may lack the right).
    may_read_templates: bool = true,
    /// Status of an application that does not exist (4.1): 404 or 400.
    unknown_application_status: u16 = 404,

    // Section 4: requests.
    /// The progress of a request: immediate, steps, approved, `approval_refused`, rejected, cancelled, failed, revoked, deleted, `unknown_word`.
    status_path: StatusPath = StatusPath::Steps,
    /// Status calls that see each passing status.
    polls_per_status: u32 = 1,
    /// Status calls that see each kind of approval pending; unset: until the test decides.
    approval_polls: Option<u32> = Some(3),
    /// The requested validity is ignored in favour of the template's (4.3).
    validity_ignored: bool = false,
    /// A validity in hours only is ignored (4.3, seen with one CA behind the service).
    validity_in_hours_ignored: bool = true,
    /// Spelling of dates (4.3): basic, extended, zulu, mixed.
    date_form: DateForm = DateForm::Mixed,
    /// Objects have members that no reference defines.
    unknown_members: bool = true,
    /// Characters more than a UUID has in the id of a request: a defect, or an attack.
    longer_ids: u32 = 0,

    // Sections 4.5 and 7: delays.
    /// Calls for the contents after ISSUED that fail (4.5).
    contents_late_calls: u32 = 1,
    /// Status of those calls (4.5): 409, 404, or 500 (3).
    contents_late_status: u16 = 409,
    /// Calls for the certificate's record after ISSUED that get 404 (4.5).
    record_late_calls: u32 = 1,
    /// Searches that do not see a new request or certificate (7).
    index_late_searches: u32 = 0,
}

impl Variants {
    /// No delays, no approvals, one format of dates.
    pub fn kind() -> Self {
        Self {
            status_path: StatusPath::Immediate,
            date_form: DateForm::Zulu,
            unknown_members: false,
            contents_late_calls: 0,
            record_late_calls: 0,
            ..Self::default()
        }
    }

    /// Everything is late.
    pub fn unkind() -> Self {
        Self {
            polls_per_status: 3,
            contents_late_calls: 3,
            record_late_calls: 3,
            index_late_searches: 2,
            ..Self::default()
        }
    }
}
