//! Every switch of the product: details that the reference leaves open, differences between builds, and faults.

use crate::switch::{choices, variants};

choices! {
    /// The id in the answer to `importCSR` (3.1).
    ImportId {
        /// Nothing.
        Absent = "absent",
        /// A member `CSR_ID` of the details, a number.
        Number = "number",
        /// The same as text.
        Text = "text",
    }
}

choices! {
    /// The members of a row of the CSR list (UNKNOWN in 9).
    RowKeys {
        /// `CSR_ID`, `commonName`.
        Joined = "joined",
        /// `CSR ID`, `Common Name`, as in the list of certificates.
        Spaced = "spaced",
    }
}

choices! {
    /// Body of an exported CSR (3.2).
    CsrBody {
        /// The file.
        Pem = "pem",
        /// DER.
        Der = "der",
        /// JSON with the PEM text.
        JsonPem = "json_pem",
        /// JSON with base64 of the DER.
        JsonBase64 = "json_base64",
    }
}

choices! {
    /// Body of a certificate (5).
    CertificateBody {
        /// The file when `fileType` is given, otherwise JSON with the PEM text: both were seen.
        Documented = "documented",
        /// PEM, one block after the other.
        Pem = "pem",
        /// DER of the leaf alone.
        Der = "der",
        /// JSON with the PEM text.
        JsonPem = "json_pem",
        /// JSON with base64 of the DER of the leaf alone.
        JsonBase64 = "json_base64",
        /// A PKCS#7 bag, DER.
        Pkcs7 = "pkcs7",
        /// A PKCS#7 bag, PEM.
        Pkcs7Pem = "pkcs7_pem",
    }
}

choices! {
    /// Spelling of the operation in `name` (2).
    NameForm {
        /// `SignCSR` for `signCSR`, the others as in the path.
        Documented = "documented",
        /// As in the path.
        AsPath = "as_path",
        /// Upper case.
        Upper = "upper",
    }
}

choices! {
    /// The form of `details` (2).
    DetailsForm {
        /// A list of one.
        List = "list",
        /// An object.
        Object = "object",
    }
}

choices! {
    /// Spelling of a serial number (4).
    SerialForm {
        /// Eight lower-case digits.
        Padded = "padded",
        /// Without leading zeros.
        Stripped = "stripped",
        /// Eight upper-case digits.
        Upper = "upper",
    }
}

choices! {
    /// The answer to `signCSR` while the Microsoft CA waits for a manager (UNKNOWN in 4).
    PendingAnswer {
        /// Success with a text and no details.
        Success = "success",
        /// Failed with a text.
        Failed = "failed",
    }
}

choices! {
    /// Language of month names in the list of certificates (5).
    Months {
        /// `Oct 6, 2026`
        English = "english",
        /// `Okt 6, 2026`
        German = "german",
    }
}

variants! {
    // Section 1: authentication.
    /// Status of wrong credentials (2): 200 or 401.
    bad_credentials_status: u16 = 200,
    /// Requests for which the token is good; unset: it stays good.
    token_ends_after: Option<u32> = None,
    /// The user is tied to another host (1).
    refuse_host: bool = false,

    // Section 2: the envelope.
    /// Spelling of the operation in `name` (2): documented, `as_path`, upper.
    name_form: NameForm = NameForm::Documented,
    /// `details` and `status` begin with a capital (2).
    capital_keys: bool = false,
    /// Everything is wrapped in `operation` once more (2).
    operation_wrapper: bool = false,
    /// The form of details (2): list, object.
    details_form: DetailsForm = DetailsForm::List,
    /// Status of a failed operation (UNKNOWN in 2).
    failure_status: u16 = 200,
    /// Objects have members that no reference defines.
    unknown_members: bool = true,

    // Section 3: CSRs.
    /// The id in the answer to `importCSR` (3.1): absent, number, text.
    import_id: ImportId = ImportId::Absent,
    /// A CSR that is stored already is refused (UNKNOWN in 3.1).
    refuse_second_import: bool = false,
    /// CSRs and certificates of the same common name that exist before a CSR is imported (3.1).
    older_namesakes: u32 = 1,
    /// Name of the operation that lists CSRs (UNKNOWN in 9); unset: there is none.
    csr_list_operation: Option<String> = Some("getCSRList".to_owned()),
    /// Members of a row of that list: joined, spaced.
    csr_row_keys: RowKeys = RowKeys::Joined,
    /// Lists of CSRs that do not show a new one.
    csr_list_late_calls: u32 = 0,
    /// `exportCSR` works.
    export_works: bool = true,
    /// Body of an exported CSR (3.2): pem, der, `json_pem`, `json_base64`.
    csr_body: CsrBody = CsrBody::Pem,
    /// `exportCSR` gives the CSR of a namesake.
    export_foreign_csr: bool = false,

    // Section 4: signing.
    /// Signing with a root drops the alternate names (UNKNOWN in 4).
    root_drops_names: bool = false,
    /// The template of the Microsoft CA drops the alternate names (4).
    template_drops_names: bool = false,
    /// A second signature of one CSR is refused (UNKNOWN in 4).
    refuse_second_signature: bool = false,
    /// The template of the Microsoft CA needs a manager's approval (UNKNOWN in 4).
    needs_approval: bool = false,
    /// Calls for lists and certificates until the manager approves; unset: until the test approves.
    approval_calls: Option<u32> = Some(3),
    /// The answer to `signCSR` meanwhile: success, failed.
    pending_answer: PendingAnswer = PendingAnswer::Success,
    /// The agent for the Microsoft CA is not there (4).
    agent_is_away: bool = false,
    /// Spelling of serial numbers (4): padded, stripped, upper.
    serial_form: SerialForm = SerialForm::Padded,

    // Section 5: certificates.
    /// Body of a certificate (5): documented, pem, der, `json_pem`, `json_base64`, pkcs7, `pkcs7_pem`.
    certificate_body: CertificateBody = CertificateBody::Documented,
    /// The answer contains the issuers too (UNKNOWN in 5).
    certificate_has_chain: bool = true,
    /// Calls for a new certificate that get an empty answer (5).
    certificate_late_calls: u32 = 1,
    /// Lists of certificates that do not show a new one.
    list_late_calls: u32 = 0,
    /// Certificates of others in the list.
    foreign_rows: u32 = 0,
    /// Maximum number of rows in a list that announces more; unset: all. No way to request the others is known (9).
    rows_per_list: Option<u32> = None,
    /// Language of month names (5): english, german.
    months: Months = Months::English,
}

impl Variants {
    /// No delays, and the answer to `importCSR` has the id.
    pub fn kind() -> Self {
        Self {
            unknown_members: false,
            import_id: ImportId::Text,
            older_namesakes: 0,
            certificate_late_calls: 0,
            ..Self::default()
        }
    }

    /// Odd spellings, many namesakes, and everything is late.
    pub fn unkind() -> Self {
        Self {
            name_form: NameForm::Upper,
            capital_keys: true,
            operation_wrapper: true,
            details_form: DetailsForm::Object,
            older_namesakes: 3,
            csr_row_keys: RowKeys::Spaced,
            csr_list_late_calls: 1,
            csr_body: CsrBody::JsonBase64,
            serial_form: SerialForm::Upper,
            certificate_body: CertificateBody::JsonPem,
            certificate_late_calls: 3,
            list_late_calls: 2,
            months: Months::German,
            ..Self::default()
        }
    }
}
