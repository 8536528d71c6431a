//! Every switch of the shop: details that the reference leaves open, and faults.

use super::switch::{
    DeletedAs, DetailsForm, ErrorMessage, PendingDownload, ReferenceMatch, Spelling, UniqueValue,
};
use crate::switch::variants;

variants! {
    // Sections 2 and 3: credentials and the envelope.
    /// Wrong credentials are an error object with HTTP 200 as well (3); otherwise 401.
    unauthorized_with_200: bool = false,
    /// Errors have HTTP 200 (3, inferred); otherwise 4xx.
    errors_with_200: bool = true,
    /// Form of error.message (3): nested, plain, texts.
    error_message: ErrorMessage = ErrorMessage::Nested,
    /// `success` is the text "true" or "false" (3).
    success_as_text: bool = false,
    /// Objects have undocumented fields.
    extra_fields: bool = true,
    /// An order contains only its id and status: nothing else is documented (4.1).
    bare_object: bool = false,

    // Sections 4.2 and 4.3: orders.
    /// Reads of an order that still return pending after everything is validated.
    reads_before_active: u32 = 1,
    /// New purchases end in this status instead of active (4.2: other words are unknown).
    ends_as: Option<String> = None,
    /// Answers after a renew, including its own, that still return active (4.2).
    stale_active_answers: u32 = 1,
    /// A renewal gets an id of its own, and the old order stays (4.3).
    renew_gives_new_id: bool = false,
    /// A renewal leaves the stored `client_reference` as it was (6).
    renew_keeps_reference: bool = false,
    /// Renewal is possible at any time (4.3).
    early_renewal: bool = false,
    /// The window for renewal is before the end of the plan's term, not of the certificate (4.3).
    expires_with_term: bool = false,
    /// A reissue needs no proof and is active in its own answer (4.3 against 5).
    reissue_without_validation: bool = false,
    /// The answer for a deleted order (4.2): gone, cancelled, deleted.
    deleted_as: DeletedAs = DeletedAs::Gone,

    // Section 6: finding an order again.
    /// Lists that do not show a new order yet (6).
    hidden_lists: u32 = 1,
    /// How the filter `client_reference` compares (6): exact, partial, ignored.
    reference_match: ReferenceMatch = ReferenceMatch::Exact,
    /// Largest page of a list, and the default of its limit (3).
    largest_page: u32 = 100,

    // Sections 4.6 and 5: validation.
    /// Reads of an order until the shop validates by itself; 0: only when the client requests a validation.
    looks_every: u32 = 1,
    /// Reads of validation-details that do not list the records yet.
    details_hidden: u32 = 1,
    /// Spelling of the keys in validation-details (4.6): camel, snake.
    details_spelling: Spelling = Spelling::Camel,
    /// Shape of validation-details (4.6): xolphin, strange.
    details_form: DetailsForm = DetailsForm::Xolphin,
    /// Whether records carry a unique value (5): never, `when_reused`, always.
    unique_value: UniqueValue = UniqueValue::Always,
    /// End of every CNAME target and second line of every file (5): sectigo.com, formerly comodoca.com.
    dcv_host: String = "sectigo.com".to_owned(),
    /// Alternate names of the CSR get into the certificate (4.1); otherwise the common name only.
    honours_alternate_names: bool = true,
    /// Organizations of OV and EV orders are vetted at once; otherwise the test has to do that.
    vets_at_once: bool = true,

    // Section 4.5: downloads.
    /// A download before there is a certificate (4.5): error, `not_found`, empty, html.
    pending_download: PendingDownload = PendingDownload::Error,
    /// download-csr shows the former request until the new certificate is there (4.2).
    csr_lags: bool = false,
    /// download-crt carries the CAs too (4.5: leaf only, inferred).
    crt_with_chain: bool = false,
    /// download-ca begins with the root.
    ca_from_root: bool = true,
    /// Files end their lines with CR LF.
    windows_line_ends: bool = true,
}

impl Variants {
    /// The friendliest shop: no delay, no surprise.
    pub fn kind() -> Self {
        Self {
            extra_fields: false,
            reads_before_active: 0,
            stale_active_answers: 0,
            hidden_lists: 0,
            details_hidden: 0,
            unique_value: UniqueValue::WhenReused,
            ca_from_root: false,
            windows_line_ends: false,
            ..Self::default()
        }
    }

    /// The worst that still can be worked with.
    pub fn unkind() -> Self {
        Self {
            success_as_text: true,
            bare_object: true,
            reads_before_active: 3,
            stale_active_answers: 3,
            renew_keeps_reference: true,
            hidden_lists: 3,
            reference_match: ReferenceMatch::Partial,
            looks_every: 2,
            details_hidden: 3,
            details_spelling: Spelling::Snake,
            csr_lags: true,
            ..Self::default()
        }
    }
}
