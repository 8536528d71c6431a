//! The door to the parsers of what others say, for fuzz targets: one function for each, which takes any bytes and asserts
//! what must hold of every answer. `fuzz/` runs them for as long as one likes, the tests below for a moment.
//!
//! It is no part of the program: it is compiled for tests and under the feature `fuzzing`.
#![allow(
    clippy::missing_panics_doc,
    reason = "a property that does not hold is a panic"
)]

#[cfg(test)]
mod memory;
#[cfg(test)]
mod mutation;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::config;
use crate::schedule::{MaintenanceWindow, Schedule, find_time_zone};

pub use crate::ca::fuzzing::{acme, archive, exec, http, pam360, resello, venafi};
pub use crate::dcv::dns::fuzzing::dns;
pub use crate::firewall::sonicos::fuzzing::{
    answer, challenge, json, listing, name, pending, redactor, screen, success,
};
pub use crate::pki::fuzzing::{certificates, signing_request};
pub use crate::transfer::fuzzing::{ftp_line, scp, sftp};

/// The body of a target.
pub type Body = fn(&[u8]);

/// Lists the targets once, for [`TARGETS`] and for a test of each.
macro_rules! targets {
    ($($name:ident),+ $(,)?) => {
        /// Every target: its name, which is that of its file in `fuzz/targets` and of its folder in `fuzz/corpus`, and its
        /// body.
        pub const TARGETS: &[(&str, Body)] = &[$((stringify!($name), $name)),+];

        #[cfg(test)]
        mod seeds_and_mutations_of_them_hold_the_properties {
            $(
                #[test]
                fn $name() {
                    super::tests::hold(stringify!($name), super::$name);
                }
            )+
        }
    };
}

targets!(
    acme,
    answer,
    archive,
    certificates,
    challenge,
    configuration,
    redactor,
    dns,
    exec,
    ftp_line,
    http,
    json,
    listing,
    name,
    pam360,
    pending,
    resello,
    schedule,
    scp,
    screen,
    sftp,
    signing_request,
    success,
    venafi,
);

/// A configuration file with a password in it, the input before and behind it: it is loaded, or every mistake has its place
/// and its advice, and what stands behind a password never brings it to light.
pub fn configuration(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = load(text.as_bytes());
    let (_, behind) = text.split_once('\u{0}').unwrap_or(("", &text));
    let secret = format!("{FIREWALL}password = \"hunter2\"{behind}");
    if behind.contains("hunter2") {
        return;
    }
    if let Some(reported) = load(secret.as_bytes()) {
        assert!(!reported.contains("hunter2"), "{reported}");
    }
}

/// Loads a file; what is said against it.
fn load(text: &[u8]) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().ok()?;
    let path = folder.path().join("renewd.toml");
    std::fs::write(&path, text).ok()?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).ok()?;
    let errors = match config::load(&path) {
        Ok(loaded) => return Some(format!("{:?}", loaded.warnings)),
        Err(errors) => errors,
    };
    assert!(errors.errors() > 0);
    let lines = text.split(|byte| *byte == b'\n').count();
    for error in &errors.0 {
        let is_warning = error.severity == config::Severity::Warning;
        assert!(is_warning || error.hint.is_some(), "{error}");
        assert!(!error.message.is_empty() && error.line <= lines + 1);
        let is_plain = |c: char| c == '\n' || !c.is_control();
        assert!(error.to_string().chars().all(is_plain), "{error:?}");
    }
    Some(format!("{errors}\n{errors:?}"))
}

/// A cron expression and, on a second line, a time zone: one that is taken occurs, after every moment, and a window is open
/// in its own span.
pub fn schedule(data: &[u8]) {
    let text = String::from_utf8_lossy(data.get(..256).unwrap_or(data));
    let (expression, zone) = text.split_once('\n').unwrap_or((&text, "Europe/Amsterdam"));
    let zone = find_time_zone(zone).unwrap_or_else(|words| {
        assert!(!words.is_empty());
        TimeZone::UTC
    });
    let schedule = match Schedule::new(expression) {
        Ok(schedule) => schedule,
        Err(words) => {
            assert!(!words.is_empty());
            return;
        }
    };
    let duration = SignedDuration::from_hours(2);
    let Ok(window) = MaintenanceWindow::from_parts(schedule.clone(), duration, zone.clone()) else {
        return;
    };
    for second in MOMENTS {
        let now = Timestamp::from_second(second).unwrap_or_default();
        // Not at the end of time, which a window cannot outlast.
        let next = schedule.next_after(now, &zone);
        if let Some(next) = next.filter(|next| next.checked_add(duration).is_ok()) {
            assert!(next > now, "{expression}: {next} after {now}");
            let current = window.current(next);
            assert!(
                current.is_some_and(|span| span.start <= next),
                "{expression} at {next}"
            );
        }
        if let Some(span) = window.current(now) {
            assert!(span.start <= now && now < span.end, "{expression} at {now}");
        }
    }
}

/// Around the changes of clocks, the end of a February, and at the ends of time.
const MOMENTS: [i64; 5] = [
    1_774_745_999,
    1_792_890_000,
    1_709_164_800,
    0,
    253_402_207_000,
];

const FIREWALL: &str = "[[firewall]]\nname = \"hq\"\n[firewall.driver.sonicos]\nurl = \"https://192.0.2.1\"\nuser = \"renewd\"\n";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use std::collections::BTreeSet;
    use std::fs;
    use std::path::PathBuf;

    use super::mutation::Mutator;
    use super::*;

    /// Runs `body` over its seeds and mutations of them. `RENEWD_FUZZ=SEED` or `SEED:ROUNDS` takes others.
    pub(super) fn hold(name: &str, body: Body) {
        let wanted = std::env::var("RENEWD_FUZZ").unwrap_or_else(|_| "1".to_owned());
        let (seed, rounds) = wanted.split_once(':').unwrap_or((&wanted, ROUNDS));
        let (seed, rounds): (u64, u32) = (seed.parse().unwrap(), rounds.parse().unwrap());
        let corpus = corpus(name);
        assert!(corpus.len() >= 3, "{name} has {} seeds", corpus.len());
        for (file, bytes) in &corpus {
            let _trace = Trace(file.display().to_string(), bytes);
            body(bytes);
        }
        let corpus: Vec<Vec<u8>> = corpus.into_iter().map(|(_, bytes)| bytes).collect();
        let mut mutator = Mutator::new(seed, &corpus);
        for round in 0..rounds {
            let input = mutator.next();
            let _trace = Trace(format!("RENEWD_FUZZ={seed}, round {round}"), &input);
            body(&input);
        }
        println!("{name}, RENEWD_FUZZ={seed}:{rounds}");
    }

    #[test]
    fn every_target_has_its_file_and_its_entry() {
        let names: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(names.len(), TARGETS.len());
        let files = fs::read_dir(root().join("fuzz/targets")).unwrap();
        let files = files.map(|entry| entry.unwrap().path());
        let files: BTreeSet<String> = files
            .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(files, names);
        let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
        for name in names {
            let file = fs::read_to_string(root().join(format!("fuzz/targets/{name}.rs"))).unwrap();
            let call = format!("renewd::fuzzing::{name}(data)");
            assert!(file.contains(&call), "{name}");
            let path = format!("path = \"targets/{name}.rs\"");
            assert!(manifest.contains(&path), "{name} is not in fuzz/Cargo.toml");
        }
    }

    /// Reports the input of a test that panicked.
    struct Trace<'a>(String, &'a [u8]);

    impl Drop for Trace<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("{}: {}", self.0, self.1.escape_ascii());
            }
        }
    }

    /// The seeds of a target, in the order of their names.
    fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let folder = root().join("fuzz/corpus").join(name);
        let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut paths: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let read = |path: PathBuf| (path.clone(), fs::read(path).unwrap());
        paths.into_iter().map(read).collect()
    }

    fn root() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
    }

    /// Enough that a broken parser is seen within days of CI, and over in a moment.
    const ROUNDS: &str = "100";
}
