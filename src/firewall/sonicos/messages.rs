//! The words by which devices tell one refusal from another. Most exact texts are not published
//! (SonicOS reference 1.5, 3.1 to 3.7), so families of words are compared, in lower case, and never decide
//! more than whether a refusal is harmless.

/// The object is there already (SonicOS reference 3.1, 3.5).
pub(super) fn is_already_there(text: &str) -> bool {
    has(
        text,
        &[
            "already exist",
            "loaded before",
            "already loaded",
            "already imported",
            "duplicate",
        ],
    )
}

/// There is no object of that name (SonicOS reference 3.2).
pub(super) fn is_missing(text: &str) -> bool {
    has(
        text,
        &[
            "not found",
            "no certificate found",
            "does not exist",
            "not exist",
            "not a reasonable value",
        ],
    ) && !is_unknown(text)
}

/// The object is used by a service (SonicOS reference 3.7: the text is not published).
pub(super) fn is_in_use(text: &str) -> bool {
    has(text, &["in use", "being used", "is used", "referenced"])
}

/// The device is still at work on it.
pub(super) fn is_in_progress(text: &str) -> bool {
    has(
        text,
        &[
            "in progress",
            "generating",
            "not ready",
            "still being",
            "try again",
        ],
    )
}

/// The session is not the one in configuration mode (SonicOS reference 1.4).
pub(super) fn is_out_of_configuration_mode(text: &str) -> bool {
    has(
        text,
        &[
            "non config mode",
            "non-config mode",
            "not allowed in current mode",
            "not in config",
        ],
    )
}

/// The firmware has no such call (SonicOS reference 1.5).
pub(super) fn is_unknown_call(text: &str) -> bool {
    has(
        text,
        &[
            "e_invalid_api_call",
            "api endpoint is incomplete",
            "api not found",
            UNKNOWN_CALL,
        ],
    )
}

/// There is nothing at this path (SonicOS reference 1.5): one firmware says so of a transfer in another verb or spelling.
pub(super) fn is_nowhere(detail: &str) -> bool {
    has(detail, &["(http 404", "(http 405"])
}

/// Configuration mode cannot be taken from its holder (SonicOS reference 1.4).
pub(super) fn is_mode_kept(text: &str) -> bool {
    has(
        text,
        &[
            "cannot change to config",
            "can not change to config",
            "can't change to config",
            "unable to change to config",
        ],
    )
}

/// The command line has no such command, or not with these words (SonicOS reference 1.5, 3.9).
pub(super) fn is_unknown_command(text: &str) -> bool {
    let is_not_found = has(text, &["command"]) && has(text, &["not found", "not recognized"]);
    is_not_found
        || has(
            text,
            &[
                "incomplete command",
                "command is incomplete",
                "unknown command",
                "invalid command",
                "unrecognized command",
                "ambiguous command",
                "'scp' is not a reasonable value",
                "'ftp' is not a reasonable value",
                "\"scp\" is not a reasonable value",
                "\"ftp\" is not a reasonable value",
            ],
        )
}

/// The firmware does not know what was asked of it, in whichever way.
pub(super) fn is_unknown(text: &str) -> bool {
    is_unknown_call(text) || is_unknown_command(text)
}

/// What the command line says to a command that it did not carry out (SonicOS reference 3.9, 6.12).
pub(super) fn is_command_refused(text: &str) -> bool {
    is_error_text(text) || is_unknown_command(text) || has(text, &["not a reasonable value"])
}

/// The whole API is switched off (SonicOS reference 1.1).
pub(super) fn is_switched_off(text: &str) -> bool {
    has(text, &["e_disabled", "service disabled"])
}

/// A login was refused for want of room, not for its credentials.
pub(super) fn is_full(text: &str) -> bool {
    let has_no_room = has(
        text,
        &[
            "too many",
            "session limit",
            "already logged in",
            "another administrator",
        ],
    );
    has_no_room && !is_locked_out(text)
}

/// The device takes no login after those that failed: each further one may prolong that (SonicOS reference 1.4, 6.12).
pub(super) fn is_locked_out(text: &str) -> bool {
    let is_of_logins = has(text, &["attempt", "fail"]);
    has(text, &["maximum login attempts", "locked"]) || (has(text, &["too many"]) && is_of_logins)
}

/// Rights that do not suffice (SonicOS reference 1.2: only full administrators may use the API).
pub(super) fn is_read_only(privilege: &str) -> bool {
    has(
        privilege,
        &["read_only", "read-only", "read only", "readonly"],
    )
}

/// The device could not read a file, be it for the file or for the form in which it was sent (SonicOS reference 3.4).
pub(super) fn is_unreadable(text: &str) -> bool {
    has(text, &["invalid certificate format", "invalid format"])
}

/// The certificate belongs to another key than the one under its name (SonicOS reference 3.4 knows "public/private key
/// mismatch"). A sentence says so if it is about keys and says that they differ; each of several is read by itself.
pub(super) fn is_other_key(text: &str) -> bool {
    text.split(';').any(|said| {
        let says_so = names_a_key(said) && has(said, &DIFFERENT) && !is_about_schema(said);
        says_so || has(said, &["private key mismatch"])
    })
}

/// The API did not take the form of what was sent, whatever is in it.
pub(super) fn is_about_schema(text: &str) -> bool {
    let is_of_certificate = has(text, &["certificate", "chain"]);
    has(text, &["schema", "pattern"]) || (has(text, &["validation"]) && !is_of_certificate)
}

/// Whether a word of a text is "key": not a part of a path such as `cert-key-pair`.
fn names_a_key(text: &str) -> bool {
    let is_end = |c: char| !(c.is_alphanumeric() || c == '-' || c == '_');
    text.split(is_end)
        .any(|word| KEYS.iter().any(|key| word.eq_ignore_ascii_case(key)))
}

/// What a refused import means and what to do, where the device names the reason (SonicOS reference 3.4).
pub(super) fn import_advice(text: &str) -> Option<&'static str> {
    if is_other_key(text) {
        Some("the certificate belongs to another key than the pending request of this name")
    } else if has(text, &["untrusted ca", "unable to verify", "chain"]) {
        Some("the device does not know the CA: the chain must be complete and imported first")
    } else if is_unreadable(text) {
        Some("the device cannot read the certificate's form")
    } else if has(text, &["expired"]) {
        Some("expired by the device's clock: check its time")
    } else if is_already_there(text) {
        Some("a certificate of this name or serial number is on the device already")
    } else {
        None
    }
}

/// A text answer that reports a failure.
pub(super) fn is_error_text(text: &str) -> bool {
    text.lines().any(|line| {
        let line = line
            .trim_start_matches(['%', ' ', '\t'])
            .to_ascii_lowercase();
        line.starts_with("error") || line.starts_with("fail")
    })
}

/// A text answer that reports success.
pub(super) fn is_success_text(text: &str) -> bool {
    has(text, &["success", "changes made", "no changes", "succeed"])
}

/// A line that says that a listing has nothing in it.
pub(super) fn is_nothing_listed(line: &str) -> bool {
    let line = line.trim_matches(['%', ' ', '.', '\t', '\r']);
    line.is_empty()
        || line.eq_ignore_ascii_case("none")
        || has(line, &["no certificate", "no entr", "no item", "no local"])
}

/// What a refused generation means, where the name may be what the device does not take: how long one may be is not
/// published (SonicOS reference 3.1).
pub(super) fn alias_advice(alias: &str, text: &str) -> Option<String> {
    let is_about_length = has(text, &["too long", "length", "characters", "maximum"]);
    let is_about_alias = has(text, &["not a reasonable value"]) && text.contains(alias);
    (is_about_length || is_about_alias).then(|| {
        format!(
            "the device does not take \"{alias}\" ({} characters) as a name: give the certificate a shorter `name` in the \
             configuration, from which it is made",
            alias.chars().count()
        )
    })
}

const KEYS: [&str; 5] = ["key", "keys", "keypair", "key-pair", "key_pair"];
/// How two things do not belong together.
const DIFFERENT: [&str; 13] = [
    "mismatch",
    "not match",
    "n't match",
    "n\u{2019}t match",
    "no matching",
    "not correspond",
    "n't correspond",
    "not belong",
    "n't belong",
    "another key",
    "different key",
    "different private key",
    "wrong key",
];

/// How an unknown call is reported; recognised by [`is_unknown_call`].
pub(super) const UNKNOWN_CALL: &str = "this firmware does not know the call";

fn has(text: &str, families: &[&str]) -> bool {
    let text = text.to_ascii_lowercase();
    families.iter().any(|words| text.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_call_is_not_a_missing_object() {
        assert!(is_missing("no certificate found for this name"));
        assert!(is_missing("'fw-1' is not a reasonable value"));
        assert!(!is_missing("API not found"));
        assert!(is_unknown_call("API not found"));
    }

    #[test]
    fn too_many_failed_logins_are_no_want_of_room() {
        for text in [
            "Too many login attempts.",
            "Too many authentication failures",
            "% Maximum login attempts exceeded.",
            "Account locked: too many sessions",
        ] {
            assert!(is_locked_out(text) && !is_full(text), "{text}");
        }
        assert!(is_full("Too many sessions") && !is_locked_out("Too many sessions"));
    }

    #[test]
    fn an_unknown_command_is_neither_a_missing_object_nor_a_refused_file() {
        for text in [
            "% Error: Incomplete command.",
            "command 'export' not found",
            "'scp' is not a reasonable value",
        ] {
            assert!(is_unknown(text) && is_command_refused(text), "{text}");
            assert!(!is_missing(text), "{text}");
        }
        assert!(!is_unknown("'fw-1' is not a reasonable value."));
        assert!(is_command_refused("% Error: transfer failed"));
        assert!(!is_command_refused("% Import succeed."));
    }

    #[test]
    fn refused_imports_get_advice_by_their_family() {
        let key = import_advice("Public/private key mismatch");
        let chain = import_advice("Untrusted CA, unable to verify certificate chain");
        let clock = import_advice("CA Certificate has expired");
        assert!(key.is_some_and(|advice| advice.contains("another key")));
        assert!(chain.is_some_and(|advice| advice.contains("imported first")));
        assert!(clock.is_some_and(|advice| advice.contains("clock")));
        assert_eq!(import_advice("schema validation"), None);
    }

    #[test]
    fn only_a_sentence_about_keys_that_differ_says_that_the_key_is_another_one() {
        for text in [
            "Public/private key mismatch",
            "E_INVALID: The certificate does not match the private key. (HTTP 400)",
            "keys don't match",
            "Keys don\u{2019}t match.",
            "No matching private key found",
            "The certificate does not correspond to the key of the request",
            "Certificate validation failed: public/private key mismatch",
            "raw: schema validation: body does not match (HTTP 400); multipart: key mismatch",
        ] {
            assert!(is_other_key(text), "{text}");
        }
        for text in [
            "schema validation: body does not match the expected form",
            "schema validation: key 'certificate' does not match",
            "'scp://u:x@192.0.2.1/fw-1.pem' does not match the expected pattern",
            "PUT /import/certificates/cert-key-pair/name/fw-1: the path does not match",
            "The private key cannot be read",
            "private key: wrong password",
            "no private key; the names do not match",
            "Monkeys do not match",
        ] {
            assert!(!is_other_key(text), "{text}");
        }
    }
}
