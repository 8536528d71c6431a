//! What a line does, and what the device's answer to it means (SonicOS reference 3.9, 6.12). The texts of most refusals
//! are not published, so families of words are compared.

use crate::firewall::sonicos::messages;

/// Whether a line may change the device for good, so that a lost answer leaves a doubt.
///
/// Whatever is not known to change nothing does.
pub(super) fn is_change(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let first = words.next().unwrap_or_default();
    let is_alone = words.next().is_none();
    let looks = matches!(
        first,
        "show" | "export" | "configure" | "end" | "exit" | "cancel"
    );
    let is_menu = is_alone && matches!(first, "certificates" | "administration");
    !(first.is_empty() || looks || is_menu || line == "ssl-vpn server" || line == NO_PAGER)
}

/// Whether a line may take as long as a transfer: files, and commits that start services anew.
pub(super) fn is_slow(line: &str) -> bool {
    ["import ", "export ", "generate", "commit"]
        .iter()
        .any(|beginning| line.starts_with(beginning))
}

/// The words with which the device refuses a line; `None` where it does not.
pub(super) fn refusal(text: &str) -> Option<String> {
    let refused = text.lines().any(is_refusal);
    refused.then(|| {
        let lines: Vec<&str> = text
            .lines()
            .map(str::trim)
            .filter(|l| !l.is_empty())
            .collect();
        let from = lines.len().saturating_sub(LINES_OF_A_REFUSAL);
        lines.get(from..).unwrap_or_default().join(" ")
    })
}

/// A line by which the device ends the session.
pub(super) fn is_farewell(line: &str) -> bool {
    let line = line.trim().to_ascii_lowercase();
    FAREWELLS.iter().any(|farewell| line.starts_with(farewell))
}

/// The login itself was refused.
pub(super) fn is_refused_login(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    messages::is_locked_out(&text)
        || ["denied", "incorrect", "invalid", "failed", "locked"]
            .iter()
            .any(|word| text.contains(word))
}

fn is_refusal(line: &str) -> bool {
    let line = line.trim().to_ascii_lowercase();
    let said = line.strip_prefix('%').map(str::trim_start);
    said.is_some_and(|said| REFUSALS.iter().any(|words| said.contains(words)))
        || line.starts_with("error:")
        || line.contains("is not a reasonable value")
        || (line.starts_with("command ") && line.contains("not found"))
}

/// Turns the pager off for this session.
pub(super) const NO_PAGER: &str = "no cli pager session";
const FAREWELLS: [&str; 3] = [
    "% session timed out",
    "% maximum login attempts",
    "% user logout",
];
/// Behind a `%`, which begins every word of the device's own.
const REFUSALS: [&str; 20] = [
    "error",
    "fail",
    "incomplete",
    "invalid",
    "ambiguous",
    "unknown",
    "unrecognized",
    "not found",
    "no matching",
    "no certificate found",
    "not a reasonable value",
    "does not exist",
    "already exist",
    "duplicate",
    "not allowed",
    "denied",
    "unable",
    "cannot",
    "mismatch",
    "in use",
];
const LINES_OF_A_REFUSAL: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_only_look_leave_no_doubt() {
        for line in [
            "show certificates status imported",
            "export signing-request fw-1 scp scp://192.0.2.1/",
            "certificates",
            "ssl-vpn server",
            NO_PAGER,
            "exit",
        ] {
            assert!(!is_change(line), "{line}");
        }
        for line in [
            "import ca-cert scp scp://192.0.2.1/ca.pem",
            "no certificate \"fw-1\"",
            "certificate name fw-1",
            "web-management certificate use-self-signed",
            "commit",
        ] {
            assert!(is_change(line), "{line}");
        }
    }

    #[test]
    fn refusals_are_distinguished_from_success_and_from_listings() {
        for text in [
            "% Error: certificate in use.",
            "% Incomplete command.",
            "'fw-9' is not a reasonable value",
            "% Status returned processing command:\n    commit\n% Error encountered.",
            "% Import failed.",
        ] {
            assert!(refusal(text).is_some(), "{text}");
        }
        for text in [
            "% Import succeed.",
            "% Applying changes...\n% Status returned processing command:\n    commit\n% Changes made.",
            "% No changes made.",
            "error-page  Local certificate  No\nunknown-1  Pending request",
            "",
        ] {
            assert_eq!(refusal(text), None, "{text}");
        }
    }

    #[test]
    fn sessions_that_the_device_ends_are_known() {
        assert!(is_farewell("% Session timed out."));
        assert!(is_farewell(" % Maximum login attempts exceeded."));
        assert!(!is_farewell("session timed out"));
        assert!(is_refused_login("% Maximum login attempts exceeded."));
        assert!(is_refused_login("Too many login attempts."));
    }
}
