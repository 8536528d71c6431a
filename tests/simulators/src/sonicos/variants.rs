//! Every switch of the device: details that the reference leaves open, differences between builds, and faults.
//!
//! One declaration per switch. The list that `simulators sonicos --list-variants` prints and the parser of
//! `--variant name=value` are made from the same declarations.

use std::time::Duration;

use super::switch::{
    CsrForm, DateForm, FtpMode, ImportForm, KeyPairEncryption, KeyPairForm, NonConfigMode, Offer,
    On, P10Form, P10Name, PendingForm, PublicKeyPadding, ScpAlgorithms, Specification, Tampering,
    TransferProtocols, TransferSpelling, UrlForm, WrongForm,
};
use crate::switch::variants;

variants! {
    // Sections 1.1 to 1.4: login and sessions.
    /// Session security (1.3): every request needs a digest or a token. Unset: as the profile.
    session_security: Option<bool> = None,
    /// HTTP Basic (1.2). Unset: as the profile.
    basic: Option<bool> = None,
    /// CHAP (1.2). Unset: as the profile.
    chap: Option<bool> = None,
    /// Digest with SHA-256 (1.2); never on 6.5.
    digest_sha256: bool = true,
    /// Digest with MD5 (1.2). Unset: as the profile.
    digest_md5: Option<bool> = None,
    /// Integrity protection (1.1): qop auth, both, or auth-int only: off, allowed, enforced.
    integrity_protection: Offer = Offer::Off,
    /// The -sess variants of the digest algorithms (1.1): off, allowed, enforced.
    session_variant: Offer = Offer::Off,
    /// The password encrypted with the device's key (1.2): off, pkcsv15, oaep-sha256.
    public_key_padding: PublicKeyPadding = PublicKeyPadding::Off,
    /// Uses of one nonce before the next is handed out (1.2).
    max_nonce: u32 = 10,
    /// A nonce that was good is called stale about once in so many requests; 0 never.
    refused_nonce_one_in: u32 = 16,
    /// All challenges in one WWW-Authenticate header, separated by commas (RFC 9110 11.6.1).
    challenges_in_one_header: bool = false,
    /// The reply to a digest login carries a bearer token (1.2).
    bearer_token: bool = true,
    /// Base32 secret of the administrator's TOTP key: `/tfa` becomes the only way in (1.2).
    totp_secret: Option<String> = None,
    /// A TOTP code is good once only (RFC 6238 5.2; the SonicOS reference is silent).
    totp_code_only_once: bool = false,
    /// Wrong logins before the account is locked (1.4); 0 never.
    lockout_after: u32 = 5,
    /// How long it stays locked, in minutes of the device clock.
    lockout_minutes: u32 = 30,
    /// Minutes of the device clock after which an idle session is closed (1.4).
    idle_logout_minutes: u32 = 5,
    /// The login reply contains `API_AUTH_PASSWORD_UPDATE`, and the session is unusable (1.2).
    password_must_change: bool = false,
    /// The API is switched off: 403 `E_DISABLED` (1.1).
    api_disabled: bool = false,
    /// The account may only read (1.2: only full administrators may use the API).
    read_only_administrator: bool = false,
    /// Every login is refused with 503 (1.3).
    too_many_sessions: bool = false,
    /// A login with override replaces the session that is open (1.4); otherwise 503.
    override_replaces_session: bool = true,
    /// The login reply has `config_mode` No even with override: /config-mode is needed (1.4).
    login_without_configuration_mode: bool = false,
    /// /config-mode is refused too.
    configuration_mode_refused: bool = false,
    /// /config-mode is refused while another administrator has it: "Cannot change to config mode" (1.4).
    configuration_mode_kept: bool = false,
    /// The login reply names the holder of configuration mode (1.2).
    login_reports_holder: bool = false,
    /// The login reply states that a central management controls the device (1.2, 6.13).
    managed_centrally: bool = false,
    /// How a write without configuration mode fails (1.4): `non_config_mode_405`, `not_allowed_400`.
    non_config_mode: NonConfigMode = NonConfigMode::NonConfigMode405,
    /// No call works between the login and POST /start-management (1.4).
    needs_start_management: bool = false,
    /// How it is refused before: 403, or 401 as to a session that is not known (1.4 leaves it open).
    start_management_status: u16 = 403,
    /// Only the calls that change something are refused then.
    start_management_for_writes: bool = false,
    /// GET /auth for a CHAP challenge answers no JSON while another administrator is logged in (1.2).
    chap_busy_text: bool = true,

    // Section 1.5: requests and the envelope.
    /// A request whose Accept does not come before Accept-Encoding, User-Agent and Connection is refused (1.5). Unset: as
    /// the profile, on 6.5.
    header_order_matters: Option<bool> = None,
    /// Expired has no quotation marks in JSON (1.5). Unset: as the profile, on 6.5.
    unquoted_expired: Option<bool> = None,
    /// `%` progress lines before the JSON of about one write in so many (1.5); 0 never.
    progress_lines_one_in: u32 = 4,
    /// Refusals come with HTTP 200 and success false (1.5).
    failures_with_200: bool = false,
    /// Replies to writes carry a warning before the result (1.5).
    several_info_entries: bool = false,
    /// Replies to writes carry status.cli (1.5).
    cli_member: bool = true,
    /// `restart_required` of a commit that changes the management certificate (1.5).
    restart_required: String = "NONE".to_owned(),
    /// Largest body in bytes before 413 (6.10).
    max_payload: u32 = 1 << 20,
    /// GET /openapi hands out the device's own specification (1.1): off, json.
    openapi: Specification = Specification::Off,
    /// The bare root lists the endpoints without a login (1.1).
    root_lists_endpoints: bool = true,
    /// About one write in so many is done, but its answer is lost; 0 never.
    lost_answer_one_in: u32 = 0,
    /// About one write in so many is done, but answered with 500; 0 never.
    error_after_applying_one_in: u32 = 0,

    // Section 3: certificates.
    /// Longest alias; unset: any (9).
    alias_limit: Option<u32> = None,
    /// A gap between the name elements is refused (3.1 leaves it open).
    refuse_element_gaps: bool = false,
    /// A `*` in a name is refused (3.1 leaves it open).
    refuse_wildcards: bool = false,
    /// Listings after which a new request appears (3.1: key generation takes time).
    key_ready_after_listings: u32 = 1,
    /// A new request is answered with success, and no key is generated (3.1 leaves it open).
    generation_comes_to_nothing: bool = false,
    /// Milliseconds of the device clock after which a new request appears (3.1).
    key_delay_ms: Duration = Duration::ZERO,
    /// A new request waits for a commit (2).
    generation_is_pending: bool = false,
    /// Imports wait for a commit (2).
    imports_are_pending: bool = false,
    /// Deletes wait for a commit (2).
    deletes_are_pending: bool = false,
    /// Body of an exported request (3.3): `pem`, `new_pem`, `json_string`, `json_object`, `der`.
    csr_form: CsrForm = CsrForm::Pem,
    /// Content-Type of an exported request (3.3).
    csr_content_type: String = "application/octet-stream".to_owned(),
    /// The exported request differs from the requested one: nothing, names, `alternate_name`, subject, key, `key_type`,
    /// `key_size`, signature.
    csr_tampered: Tampering = Tampering::Nothing,
    /// How files are accepted (3.4): raw, multipart, named, both.
    import_form: ImportForm = ImportForm::Raw,
    /// Status of the refusal of the other form (3.4).
    wrong_form_status: u16 = 400,
    /// The message of that refusal: format, `unknown_call`.
    wrong_form: WrongForm = WrongForm::Format,
    /// DER is accepted beside PEM (3.4 leaves it open).
    import_der: bool = false,
    /// A certificate of an unknown CA is refused (3.4); otherwise it stays validated No.
    needs_ca_first: bool = true,
    /// An intermediate CA is refused before its issuer is there (3.4, 3.5 leave it open).
    intermediate_needs_root: bool = false,
    /// Text for an alias in use (3.1).
    duplicate_alias_text: String = "Duplicate local certificate name".to_owned(),
    /// Text for a CA that is there already (3.5).
    ca_exists_text: String = "Certificate already exists".to_owned(),
    /// Text for a certificate of another key (3.4).
    key_mismatch_text: String = "Public/private key mismatch".to_owned(),
    /// Text for a certificate of an unknown CA (3.4).
    untrusted_ca_text: String = "Untrusted CA, unable to verify certificate chain".to_owned(),
    /// DELETE /certificates/name/NAME exists (3.7).
    delete_call: bool = true,
    /// Text for the delete of a bound certificate (3.7).
    in_use_text: String = "Certificate is in use".to_owned(),
    /// Text for a name that does not exist (3.2).
    missing_name_text: String = "no certificate found for this name".to_owned(),
    /// `type` of a certificate with its key (3.2).
    local_type_text: String = "Local certificate".to_owned(),
    /// `type` of a request (3.2, from memory of the web interface).
    request_type_text: String = "Pending request".to_owned(),
    /// `type` of a CA (3.2).
    ca_type_text: String = "CA certificate".to_owned(),
    /// `validated` counts the last 30 days instead of saying Yes (3.2).
    validated_counts_days: bool = false,
    /// Spelling of dates (3.2): gmt, iso, slashes, weekday.
    date_form: DateForm = DateForm::Gmt,
    /// A request has empty date fields instead of none (3.2).
    empty_dates_of_requests: bool = false,
    /// The calls below /reporting exist (3.2). Unset: as the profile, not on 6.5.
    reporting_calls: Option<bool> = None,
    /// /imported and /build-in work (3.2: not on some early builds).
    filtered_listings_work: bool = true,

    /// How PKCS#12 files are accepted (3.6): path, multipart, both, neither. Unset: as the profile.
    key_pair_form: Option<KeyPairForm> = None,
    /// Which encryption of PKCS#12 files is known: any, `legacy_only`, `modern_only` (3.6 is silent).
    key_pair_encryption: KeyPairEncryption = KeyPairEncryption::Any,
    /// The CA certificates in a PKCS#12 file are imported with it (3.6 is silent).
    key_pair_brings_authorities: bool = false,
    /// Text for a PKCS#12 file that the password does not open (3.6 is silent).
    wrong_file_password_text: String = "Import failed: wrong password".to_owned(),

    // Sections 3.3 to 3.5: files that the device brings and fetches itself.
    /// Which spelling of these calls is known: `put`, `post`, `cli_only`. Unset: as the profile, put on 6.5.
    transfer_spelling: Option<TransferSpelling> = None,
    /// Which spelling of the imports is known, where it is another one (3.4).
    import_spelling: Option<TransferSpelling> = None,
    /// How a transfer of another spelling is refused (1.5): 400 with the code of an unknown call, or 404 or 405 without a
    /// word.
    wrong_spelling_status: u16 = 400,
    /// In which protocols the device is a client: both, `ftp_only`, `scp_only`, `scp_broken`.
    transfer_protocols: TransferProtocols = TransferProtocols::Both,
    /// The target of the URL of an export (3.3): folder, file, both.
    url_form: UrlForm = UrlForm::Folder,
    /// A port in an URL is taken.
    url_port: bool = true,
    /// The format of an exported request (3.3): pem, der.
    p10_form: P10Form = P10Form::Pem,
    /// The name of its file (3.3): alias, `alias_p10`, capitals, `alias_csr`, other.
    p10_name: P10Name = P10Name::AliasP10,
    /// The answer is sent first, with success. The transfer follows.
    answers_before_transfer: bool = false,
    /// Every transfer is done, but its answer is lost.
    transfer_answer_lost: bool = false,
    /// Milliseconds of real time after which the device gives a transfer up.
    transfer_timeout_ms: Duration = Duration::from_secs(10),
    /// FTP data connections (3.3): passive, `extended_passive`, active, `extended_active`.
    ftp_mode: FtpMode = FtpMode::Passive,
    /// The algorithms of the SSH client: modern, old.
    scp_algorithms: ScpAlgorithms = ScpAlgorithms::Modern,
    /// SCP is spoken over the SFTP subsystem, as OpenSSH's scp does since 9.0.
    scp_is_sftp: bool = false,
    /// Paths of SCP begin with a slash.
    scp_from_root: bool = false,
    /// The only host key that SCP accepts, SHA256:... as OpenSSH prints it; unset: any.
    scp_host_key: Option<String> = None,

    // Sections 3.9 and 6.12: the command line.
    /// POST /direct/cli works (3.9).
    direct_cli: bool = true,
    /// `show` over /direct/cli answers with text even when JSON is requested (3.9).
    cli_shows_text: bool = false,
    /// A listing over /direct/cli is a member of an object, not a bare array (3.9 shows none).
    cli_listing_in_object: bool = false,
    /// The console begins with a policy and its "(yes)?" (6.12).
    console_banner: bool = false,
    /// Lines of one page of the console before --MORE-- (6.12); 0 never pages.
    console_page_lines: u32 = 24,
    /// The console echoes the input, for a relay whose terminal does not.
    console_echoes: bool = false,
    /// Lines after which the console reports that the session timed out (6.12); 0 never.
    console_times_out_after: u32 = 0,
    /// The console reports too many login attempts and closes (6.12).
    console_login_attempts_exceeded: bool = false,

    // Sections 2 and 4: binding and commit.
    /// The settings of the services can be written (4.1: on 6.5 only reading is known).
    binding_calls: bool = true,
    /// Reads of the settings include pending changes.
    reads_show_pending: bool = false,
    /// The answer to GET /config/pending (2): paths, status, text, sentence, message, `message_or_success`,
    /// `sentence_or_empty`, flag, count, list, `paths_in_envelope`, silent, garbage.
    pending_form: PendingForm = PendingForm::Paths,
    /// Every write is committed at once (1.1).
    auto_commit: bool = false,
    /// So many commits from now fail with 500 (1.5).
    commit_failures: u32 = 0,
    /// Text of that failure.
    commit_failure_text: String = "Commit failed: a referenced object is missing".to_owned(),
    /// The commit that changes the management certificate cuts all management connections (2).
    drop_on_management_commit: bool = true,
    /// That commit also ends the session (2).
    session_lost_on_management_commit: bool = true,

    // The certificates that the services present, independently of the configuration.
    /// Where a certificate that never was served before is replaced on the wire by some other one: `neither`,
    /// `management`, `ssl_vpn`, `both`.
    serve_wrong_certificate_after_bind: On = On::Neither,
    /// A certificate that never was served before does not reach the wire.
    keep_serving_old_after_bind: bool = false,
    /// The SSL VPN port closes each connection before the handshake.
    refuse_connections_on_ssl_vpn: bool = false,
    /// The management port closes each connection before the handshake.
    refuse_connections_on_management: bool = false,
}

impl Variants {
    /// The most cooperative device: nothing random, no delay, no dropped connection.
    pub fn kind() -> Self {
        Self {
            refused_nonce_one_in: 0,
            progress_lines_one_in: 0,
            key_ready_after_listings: 0,
            drop_on_management_commit: false,
            session_lost_on_management_commit: false,
            ..Self::default()
        }
    }

    /// The worst that still can be worked with: lost answers and 500 after the act as well.
    pub fn unkind() -> Self {
        Self {
            refused_nonce_one_in: 5,
            progress_lines_one_in: 2,
            lost_answer_one_in: 8,
            error_after_applying_one_in: 8,
            several_info_entries: true,
            key_ready_after_listings: 3,
            challenges_in_one_header: true,
            login_without_configuration_mode: true,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::{CsrForm, Variants};

    #[test]
    fn a_face_is_set_by_its_name() {
        let mut variants = Variants::default();
        assert_eq!(variants.set_by_name("csr_form", "der"), Ok(()));
        assert_eq!(variants.set_by_name("alias_limit", "31"), Ok(()));
        assert_eq!(
            (variants.csr_form, variants.alias_limit),
            (CsrForm::Der, Some(31))
        );
    }

    #[test]
    fn a_wrong_face_or_value_says_what_is_wanted() {
        let mut variants = Variants::default();
        let wrong_name = variants.set_by_name("csr_shape", "der").unwrap_err();
        assert!(wrong_name.contains("csr_shape"), "{wrong_name}");
        let wrong_value = variants.set_by_name("csr_form", "p7b").unwrap_err();
        assert!(wrong_value.contains("json_string"), "{wrong_value}");
    }
}
