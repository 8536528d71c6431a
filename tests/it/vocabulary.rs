//! The words of the project: the field's own terms in names, comments, messages and documents (CONTRIBUTING.md, *Words*).
//! A reader of the code or of the log should meet no word that only this project uses.

use std::path::{Path, PathBuf};

/// A word or a sequence of words that is not used, and what stands in its place.
type Banned = (&'static str, &'static str);

/// Each is compared with the words of a file in lower case, where an identifier counts as the words that it is made of.
const BANNED: &[Banned] = &[
    // Prose.
    (
        "told",
        "reported, said, given; for output of a program: output",
    ),
    ("tells", "reports, says, states"),
    ("whom", "name the role: the operator, the client"),
    ("nobody", "no client, no operator, nothing"),
    (
        "somebody",
        "an operator, another administrator, another program",
    ),
    ("anybody", "any client, any user"),
    ("everybody", "all users, every client"),
    ("he", "name the role"),
    ("him", "name the role"),
    ("his", "name the role"),
    ("mend", "fix, repair"),
    ("mends", "fixes, repairs"),
    ("mended", "fixed, repaired"),
    ("vain", "failed, wasted"),
    ("a person", "an operator"),
    ("all the same", "anyway"),
    ("at first need", "on first use"),
    ("needs no hand", "needs no action"),
    ("a stranger", "an unknown client, an unknown certificate"),
    // Names.
    ("crew", "worker pool"),
    ("rhythm", "pacer"),
    ("poke", "command"),
    ("pokes", "commands"),
    ("surroundings", "env"),
    ("hopeless", "permanent"),
    ("hastened", "capped by expiry"),
    ("tenure", "lease policy"),
    ("acquaintance", "known device"),
    ("sight", "probe result"),
    ("sights", "probe results"),
    ("doubtful", "suspect"),
    ("waking", "next wake-up"),
    ("witness", "observer"),
    ("discretion", "redactor"),
    ("carriage", "device transfer"),
    ("doorkeeper", "host key verifier"),
    ("errand", "transfer request"),
    ("reception", "acceptor"),
    ("succession", "order kind"),
    ("objections", "preflight"),
    ("settling time", "visibility delay"),
    ("faces", "variants"),
    ("referee", "crash points"),
    ("conductor", "driver"),
    ("parcel", "response delivery"),
];

/// What may not change: words of former databases, of peers and of the operating system.
const ALLOWED: &[(&str, &str)] = &[
    // A column of databases before schema 7.
    ("src/store/tests/upgrades.rs", "told"),
    // What a simulated CA answers on the wire, and the account of the operating system.
    ("tests/simulators/src/acme/accounts.rs", "somebody"),
    ("tests/simulators/src/acme/authorizations.rs", "somebody"),
    ("tests/simulators/src/acme/orders.rs", "somebody"),
    ("tests/simulators/src/acme/renewal.rs", "somebody"),
    ("tests/simulators/src/ca/authority.rs", "somebody"),
    ("tests/simulators/tests/ca/mischief.rs", "somebody"),
    ("tests/support/postgres.rs", "nobody"),
];

#[test]
fn no_banned_word_is_used() {
    let mut found = Vec::new();
    for path in files() {
        let text = std::fs::read_to_string(root().join(&path)).unwrap();
        for (line, banned, instead) in uses(&text) {
            if !ALLOWED.contains(&(path.to_str().unwrap(), banned)) {
                found.push(format!("{}:{line}: {banned} -> {instead}", path.display()));
            }
        }
    }
    assert!(
        found.is_empty(),
        "{} banned words:\n{}",
        found.len(),
        found.join("\n")
    );
}

#[test]
fn a_banned_word_is_found_in_prose_and_in_names() {
    let text = "/// Told once.\nfn is_told(sightAt: SightsOf) {}\n// It goes on all\n// the same.\nlet outsold = \"insight\";";
    let found: Vec<(usize, &str)> = uses(text)
        .into_iter()
        .map(|(line, word, _)| (line, word))
        .collect();
    let expected = [
        (1, "told"),
        (2, "told"),
        (2, "sight"),
        (2, "sights"),
        (3, "all the same"),
    ];
    assert_eq!(found, expected);
}

/// Each banned word with its line.
fn uses(text: &str) -> Vec<(usize, &'static str, &'static str)> {
    let words = words(text);
    let mut found = Vec::new();
    for start in 0..words.len() {
        for (banned, instead) in BANNED {
            let parts = banned.split(' ');
            let mut rest = words[start..].iter();
            if parts
                .clone()
                .all(|part| rest.next().is_some_and(|(_, word)| word == part))
            {
                found.push((words[start].0, *banned, *instead));
            }
        }
    }
    found
}

/// The words with their lines, in lower case. `SightsOf` and `sights_of` are two words each.
fn words(text: &str) -> Vec<(usize, String)> {
    let mut words = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let mut word = String::new();
        let mut was_lower = false;
        for c in text.chars().chain([' ']) {
            let ends = !c.is_ascii_alphabetic() || (was_lower && c.is_ascii_uppercase());
            if ends && !word.is_empty() {
                words.push((line, std::mem::take(&mut word)));
            }
            if c.is_ascii_alphabetic() {
                word.push(c.to_ascii_lowercase());
            }
            was_lower = c.is_ascii_lowercase();
        }
    }
    words
}

/// Everything that is written by hand, but what may not change any more (released migrations and databases).
fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let top = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
        "Cargo.toml",
    ];
    files.extend(top.map(PathBuf::from));
    for folder in [
        "src",
        "tests",
        "benches",
        "fuzz",
        "dns",
        "docs",
        "config",
        "systemd",
        "migrations",
        ".ci",
    ] {
        collect(Path::new(folder), &mut files);
    }
    files.sort();
    files
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(root().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = folder.join(entry.file_name());
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            if !["target", "corpus", "artifacts", "schemas"].contains(&&*name) {
                collect(&path, files);
            }
            continue;
        }
        let is_written = ["rs", "md", "toml", "service", "conf", "patch", "py", "sh"]
            .iter()
            .any(|extension| path.extension().is_some_and(|found| found == *extension));
        let is_script = path.extension().is_none();
        if (is_written || is_script) && path != Path::new(THIS_FILE) {
            files.push(path);
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

const THIS_FILE: &str = "tests/it/vocabulary.rs";
