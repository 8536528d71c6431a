//! The switches that are combined. A name with `@` is not a variant of the device alone; `row.rs` defines its effect.
//! The first value is the simplest or the documented one.

use super::pairwise::Axis;

const fn axis(name: &'static str, values: &'static [&'static str]) -> Axis {
    Axis { name, values }
}

const SWITCH: &[&str] = &["false", "true"];

/// SonicOS 7.0, 7.x and 8.
pub const MODERN: &[Axis] = &[
    axis("@profile", &["7.0", "7.x", "8"]),
    axis(
        "@login",
        &["automatic", "digest", "basic", "chap", "public-key"],
    ),
    axis("@administrator", &["none", "in configuration mode"]),
    axis("@trouble", TROUBLE),
    // Logins (SonicOS reference 1.1 to 1.4).
    axis("session_security", SWITCH),
    axis("bearer_token", SWITCH),
    axis("digest_md5", SWITCH),
    axis("integrity_protection", &["off", "allowed", "enforced"]),
    axis("session_variant", &["off", "allowed", "enforced"]),
    axis("challenges_in_one_header", SWITCH),
    axis("refused_nonce_one_in", &["0", "3"]),
    axis("max_nonce", &["10", "1"]),
    axis("login_without_configuration_mode", SWITCH),
    axis(
        "non_config_mode",
        &["non_config_mode_405", "not_allowed_400"],
    ),
    axis("needs_start_management", SWITCH),
    axis("start_management_status", &["403", "401"]),
    axis("login_reports_holder", SWITCH),
    // The envelope (1.5).
    axis("progress_lines_one_in", &["0", "1"]),
    axis("failures_with_200", SWITCH),
    axis("several_info_entries", SWITCH),
    axis("cli_member", SWITCH),
    // Commit (2).
    axis("generation_is_pending", SWITCH),
    axis("imports_are_pending", SWITCH),
    axis("deletes_are_pending", SWITCH),
    axis("reads_show_pending", SWITCH),
    axis("pending_form", PENDING_FORMS),
    axis("auto_commit", SWITCH),
    axis("drop_on_management_commit", SWITCH),
    axis("session_lost_on_management_commit", SWITCH),
    // Certificates (3).
    axis("alias_limit", &["unset", "31"]),
    axis("key_ready_after_listings", &["0", "2"]),
    axis(
        "csr_form",
        &["pem", "new_pem", "json_string", "json_object", "der"],
    ),
    axis(
        "csr_content_type",
        &["application/octet-stream", "text/plain", "application/json"],
    ),
    axis("import_form", &["raw", "multipart", "named", "both"]),
    axis("wrong_form", &["format", "unknown_call"]),
    axis("wrong_form_status", &["400", "415"]),
    axis("needs_ca_first", SWITCH),
    axis(
        "request_type_text",
        &["Pending request", "Certificate signing request", ""],
    ),
    axis("local_type_text", &["Local certificate", "Local", ""]),
    axis("empty_dates_of_requests", SWITCH),
    axis("date_form", &["gmt", "iso", "slashes", "weekday"]),
    axis("validated_counts_days", SWITCH),
    axis("filtered_listings_work", SWITCH),
];

/// SonicOS 6.5, which brings and fetches its files itself.
pub const OLD: &[Axis] = &[
    axis("@profile", &["6.5"]),
    axis("@login", &["automatic", "basic", "chap"]),
    axis("@administrator", &["none", "in configuration mode"]),
    axis("@trouble", TROUBLE),
    axis("@protocol", &["automatic", "scp", "ftp"]),
    // Requests and the envelope (SonicOS reference 1.5).
    axis("header_order_matters", &["unset", "false"]),
    axis("unquoted_expired", &["unset", "false"]),
    axis("progress_lines_one_in", &["0", "1"]),
    axis("failures_with_200", SWITCH),
    axis("several_info_entries", SWITCH),
    axis("cli_member", SWITCH),
    // Which calls there are (3.2, 3.7, 3.9, 4.1).
    axis("delete_call", SWITCH),
    axis("reporting_calls", &["unset", "true"]),
    axis("binding_calls", SWITCH),
    axis("cli_shows_text", SWITCH),
    axis("cli_listing_in_object", SWITCH),
    // Transfers (3.3 to 3.5).
    axis("transfer_spelling", &["put", "post", "cli_only"]),
    axis("import_spelling", &["unset", "put", "post", "cli_only"]),
    axis(
        "transfer_protocols",
        &["both", "ftp_only", "scp_only", "scp_broken"],
    ),
    axis("url_form", &["folder", "file", "both"]),
    axis("p10_form", &["pem", "der"]),
    axis("p10_name", &["alias_p10", "alias"]),
    axis("answers_before_transfer", SWITCH),
    axis("transfer_answer_lost", SWITCH),
    axis(
        "ftp_mode",
        &["passive", "extended_passive", "active", "extended_active"],
    ),
    axis("scp_algorithms", &["modern", "old"]),
    axis("scp_from_root", SWITCH),
    // Commit (2).
    axis("generation_is_pending", SWITCH),
    axis("imports_are_pending", SWITCH),
    axis("deletes_are_pending", SWITCH),
    axis("pending_form", PENDING_FORMS),
    axis("auto_commit", SWITCH),
    axis("drop_on_management_commit", SWITCH),
    axis("session_lost_on_management_commit", SWITCH),
    // Certificates (3).
    axis("alias_limit", &["unset", "31"]),
    axis("key_ready_after_listings", &["0", "2"]),
    axis("needs_ca_first", SWITCH),
    axis(
        "request_type_text",
        &["Pending request", "Certificate signing request", ""],
    ),
    axis("local_type_text", &["Local certificate", "Local", ""]),
    axis("empty_dates_of_requests", SWITCH),
    axis("date_form", &["gmt", "iso", "slashes", "weekday"]),
];

/// Forms that tell whether something waits for a commit; `sonicos_driver/changes.rs` has all of them.
const PENDING_FORMS: &[&str] = &[
    "paths",
    "status",
    "text",
    "message",
    "sentence_or_empty",
    "author",
    "list",
];

/// What happens once in a renewal.
const TROUBLE: &[&str] = &[
    "none",
    "too many sessions at the login",
    "the answer to the commit is lost",
    "the answer to the import is lost",
    "the answer to the generation is lost",
    "500 instead of the commit",
];
