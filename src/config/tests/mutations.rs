//! Whatever is done to a configuration, loading it ends with an answer: it never panics, and shows no secret.

use proptest::prelude::*;

use super::*;

/// Typing errors and damage by editors.
const SCRAPS: [&str; 24] = [
    "\"",
    "'",
    "\"\"\"",
    "'''",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ",",
    ".",
    "#",
    "\n",
    "\r\n",
    "\\",
    "\t",
    "0",
    "-1",
    "1e999",
    "true",
    "ä",
    "[[firewall]]\n",
];

fn documented() -> String {
    let path = Path::new(CRATE).join("config/renewd.toml");
    fs::read_to_string(path).unwrap()
}

/// Cuts `removed` characters out at `at` and puts `scrap` there.
fn mutate(text: &str, at: usize, removed: usize, scrap: &str) -> String {
    let length = text.chars().count();
    let at = at % (length + 1);
    let before = text.chars().take(at);
    before
        .chain(scrap.chars())
        .chain(text.chars().skip(at + removed))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_mutated_configuration_is_loaded_or_explained(
        edits in prop::collection::vec((any::<usize>(), 0..40_usize, 0..SCRAPS.len()), 1..6),
    ) {
        let mut text = documented().replace("{ credential = \"hq\" }", "\"hunter2\"");
        for (at, removed, scrap) in edits {
            text = mutate(&text, at, removed, SCRAPS[scrap]);
        }
        if let Err(errors) = load_text(&text) {
            prop_assert!(errors.errors() > 0);
            for error in &errors.0 {
                prop_assert!(!error.message.is_empty());
                prop_assert!(error.line <= text.lines().count() + 1);
                prop_assert!(error.severity == Severity::Warning || error.hint.is_some(), "{error}");
            }
        }
    }

    #[test]
    fn arbitrary_text_is_loaded_or_explained(text in "\\PC{0,200}") {
        if let Err(errors) = load_text(&text) {
            prop_assert!(!errors.to_string().is_empty());
        }
    }
}

#[test]
fn a_configuration_cut_off_anywhere_is_loaded_or_explained() {
    let text = sound("\"hunter2\"", "");
    for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
        if let Err(errors) = load_text(&text[..end]) {
            let reported = errors.to_string();
            assert!(!reported.contains("hunt"), "{reported}");
        }
    }
}

#[test]
fn a_slip_inside_the_line_of_a_secret_does_not_show_it() {
    for line in [
        "password = \"hunter2",
        "password = hunter2",
        "password = 'hunter2",
        "password \"hunter2\"",
        "password = \"hunter2\" x",
        "password = = \"hunter2\"",
        "password = [\"hunter2\"]",
        "password = { text = \"hunter2\" }",
        "password = { file = \"/x\", \"hunter2\" }",
        "password = \"\"\"\nhunter2=\n\"\" \\x \"\"\"",
        "password = \"hunter2\"\npassword = \"hunter2\"",
        "pass word = \"hunter2\"",
        "passphrase = \"hunter2\"",
        "passphrase.text = \"hunter2\"",
        "user = { password = \"hunter2\" }",
        "totp = hunter2",
        "login = \"digest\" password = \"hunter2\"",
        "\"hunter2\"",
        "hunter2",
    ] {
        let text = sound("{ env = \"X\" }", "").replace("password = { env = \"X\" }", line);
        let errors = load_text(&text).unwrap_err();
        assert!(!errors.to_string().contains("hunter2"), "{line}\n{errors}");
        assert!(
            !format!("{errors:?}").contains("hunter2"),
            "{line}\n{errors:?}"
        );
    }
}
