//! The memory that the parsers take for the worst bodies that the limits let through, each parser in a process of its own.

use std::process::Command;

use super::TARGETS;
use crate::body::{Intake, Limits};
use crate::pki::testing::leaf_of_many_names;

/// What stands before, again and again, and behind: the shapes of JSON that take the most memory for each byte, and
/// texts that are long for what looks at them.
const SHAPES: [(&str, &str, &str); 25] = [
    ("[", "{\"\":0},", "0]"),
    ("[", "{},", "0]"),
    ("[", "[],", "0]"),
    ("[", "0,", "0]"),
    ("[", "\"\",", "0]"),
    ("[", "[[[[[[[[]]]]]]]],", "0]"),
    ("{\"a\":[", "{\"certificate\":\"a\"},", "0]}"),
    (
        "{\"status\":{\"success\":false,\"info\":[",
        "{\"level\":\"error\",\"message\":\"\"},",
        "{}]}}",
    ),
    ("{\"status\":{\"info\":[", "{\"a\":a},", "{}]}}"),
    ("{\"certificates\":[", "{},", "{}]}"),
    (
        "{\"certificate\":\"\",\"chain\":[",
        "{\"certificate\":\"\"},",
        "\"\"]}",
    ),
    ("{\"result\":{\"details\":[", "{},", "{}]}}"),
    ("[", "{\"a\":{\"b\":{\"c\":{}}}},", "0]"),
    ("\"\n[", "{\"\":0},", "0]"),
    ("", "[", ""),
    ("", "{\"a\":", ""),
    ("\"", "…", "\""),
    ("", "a: b, ", "\n"),
    ("", "\n{", ""),
    ("", "\n", ""),
    ("", "a\n", ""),
    ("", "\u{fffd}", ""),
    ("", WORDS[0], ""),
    ("", WORDS[1], ""),
    ("", WORDS[2], ""),
];

/// One line, of as many words or cells as an answer can have: each of them may become a value of its own.
const WORDS: [&str; 3] = ["a ", "a|", "a  "];

const IS_CHILD: &str = "RENEWD_MEMORY_CHILD";
const MOST_KIB: u64 = 128 << 10;
/// Enough to see what grows with the length; a text of eight times as much takes eight times as long.
const LONGEST: usize = 1 << 20;

/// A test of each of the named targets.
macro_rules! stays_below_128_mib {
    ($($target:ident),+ $(,)?) => {
        mod whatever_a_peer_sends_within_the_limits_a_process_stays_below_128_mib {
            $(
                #[test]
                fn $target() {
                    super::check(stringify!($target), concat!(module_path!(), "::", stringify!($target)));
                }
            )+
        }
    };
}

// Every parser that reads what came over HTTP, from a program or over SSH. Those of single lines, names and packets have
// limits of some kilobytes. A test of each, so that they run side by side.
stays_below_128_mib!(
    acme,
    answer,
    archive,
    certificates,
    exec,
    http,
    json,
    listing,
    pam360,
    pending,
    resello,
    screen,
    success,
    venafi,
);

/// Runs the parser in a process of its own, which is this program with only the test of that parser, and reads its peak.
fn check(target: &str, test: &str) {
    let body = TARGETS.iter().find(|(name, _)| *name == target).unwrap().1;
    if std::env::var_os(IS_CHILD).is_some() {
        read_all(body);
        println!("\npeak {} KiB", peak_kib());
        return;
    }
    let (_crate, test) = test.split_once("::").unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "--test-threads=1", test])
        .env(IS_CHILD, "1")
        .output()
        .unwrap();
    let reported = String::from_utf8_lossy(&child.stdout);
    let peak = reported
        .lines()
        .find_map(|line| line.strip_prefix("peak ")?.strip_suffix(" KiB"));
    let Some(peak) = peak.and_then(|peak| peak.parse::<u64>().ok()) else {
        panic!("{reported}{}", String::from_utf8_lossy(&child.stderr));
    };
    println!("{target}: {peak} KiB");
    assert!(peak < MOST_KIB, "{target} takes {peak} KiB");
}

fn read_all(read: super::Body) {
    for (before, unit, behind) in SHAPES {
        let body = largest(before, unit, behind);
        read(&body);
        // For those that take a status before the body: 200.
        read(&[&[0, 100], body.as_slice()].concat());
    }
    for body in certificates() {
        read(&body);
        read(&[&[0, 100], body.as_slice()].concat());
    }
}

/// Certificates that can be read and are full of names: one as long as an answer may be, and as many as are read of one.
fn certificates() -> Vec<Vec<u8>> {
    let pem = |names| data_encoding::BASE64.encode(&leaf_of_many_names(names));
    let block =
        |text: &str| format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
    let long = pem(LONGEST / 3);
    let several: Vec<String> = (0..8).map(|_| block(&pem(30_000))).collect();
    let text = several.concat().replace('\n', "\\n");
    let json = format!("{{\"certificate\":\"{text}\",\"chain\":[\"{text}\"]}}");
    [block(&long), several.concat(), json]
        .map(String::into_bytes)
        .to_vec()
}

/// As many of `unit` as an answer may have; of most only so many that the work is over soon.
fn largest(before: &str, unit: &str, behind: &str) -> Vec<u8> {
    let mut intake = Intake::new(Limits::USUAL);
    intake.take(before.as_bytes()).unwrap();
    let chunk = unit.repeat(64);
    let mut length = 0;
    let longest = if WORDS.contains(&unit) {
        usize::MAX
    } else {
        LONGEST
    };
    while length < longest && intake.take(chunk.as_bytes()).is_ok() {
        length += chunk.len();
    }
    let (mut body, _) = intake.finish();
    body.extend_from_slice(behind.as_bytes());
    body
}

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
