//! docs/json.md is a promise: every field it names is there, and none that it does not name.

use std::collections::BTreeSet;

use serde_json::Value;

use super::history::{meddle, remove_oldest};
use super::office::Office;

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_fields_are_the_real_ones() {
    let done = Office::new().await;
    done.renewd(&["run", "--once"]).with_code(0);
    let waiting = Office::new().await;
    waiting
        .simulator
        .other_administrator()
        .has_pending_change("address-object ipv4 printer");
    waiting.renewd(&["run", "--once"]).with_code(1);
    // What is listed only where there is something to list.
    remove_oldest(&done, 3).await;
    meddle(&done, "UPDATE firewall SET pins_code = 'mac-1:AAAA'").await;
    let address = done.simulator.management().to_string();
    for (heading, arguments) in [
        ("renewd status --json", &["status", "--json"][..]),
        ("renewd show CERT --json", &["show", "hq-portal", "--json"]),
        ("renewd show FIREWALL --json", &["show", "hq", "--json"]),
        (
            "renewd explain CERT --json",
            &["explain", "hq-portal", "--json"],
        ),
        (
            "renewd probe HOST:PORT --json",
            &["probe", &address, "--json"],
        ),
        (
            "renewd history verify --json",
            &["history", "verify", "--head", ANOTHER_HEAD, "--json"],
        ),
    ] {
        let mut real = BTreeSet::new();
        for office in [&done, &waiting] {
            fields(&office.renewd(arguments).json(), "", &mut real);
        }
        let section = section(heading);
        assert_eq!(documented(&section), real, "docs/json.md, {heading}");
        let mut shown = BTreeSet::new();
        fields(&example(&section), "", &mut shown);
        assert!(
            shown.is_subset(&real),
            "the example of {heading}: {shown:?}"
        );
        assert!(!shown.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_pin_is_shown_as_trusted_only_where_it_is() {
    let office = Office::new().await;
    office.renewd(&["run", "--once"]).with_code(0);
    let pin = office.simulator.fingerprint();
    let show = || office.renewd(&["show", "hq", "--json"]).with_code(0).json();
    let shown = show();
    assert_eq!(shown["trusted_besides"], Value::from(vec![pin.as_str()]));
    assert_eq!(shown["not_trusted"], Value::Array(Vec::new()));

    for (statement, why) in [
        (
            "UPDATE firewall SET pins_for = 'another'",
            "another url or trust",
        ),
        (
            "UPDATE firewall SET pins_code = 'mac-1:AAAA'",
            "did not store it",
        ),
    ] {
        let former = "UPDATE firewall SET pins_for = (SELECT former FROM kept)";
        if why.contains("another") {
            meddle(
                &office,
                "CREATE TABLE kept AS SELECT pins_for AS former FROM firewall",
            )
            .await;
        } else {
            meddle(&office, former).await;
        }
        meddle(&office, statement).await;
        let shown = show();
        assert_eq!(shown["trusted_besides"], Value::Array(Vec::new()));
        assert_eq!(shown["not_trusted"][0]["sha256"], Value::from(pin.as_str()));
        let output = shown["not_trusted"][0]["why"].as_str().unwrap();
        assert!(output.contains(why), "{output}");
        office
            .renewd(&["show", "hq"])
            .with_code(0)
            .prints(&["not trusted"]);
    }
    // Without the sealing key nothing can be verified.
    office.write("seal.key", "none\n");
    let output = show()["not_trusted"][0]["why"].as_str().unwrap().to_owned();
    assert!(output.contains("cannot be verified"), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_are_always_there_are_there_in_every_state() {
    let office = Office::new().await;
    office.renewd(&["run", "--once"]).with_code(0);
    let standing = office.renewd(&["status", "--json"]).json()[0].clone();
    for field in ["certificate", "firewall", "ca", "health", "reason"] {
        assert!(standing[field].is_string(), "{field} in {standing}");
    }
    assert!(standing.get("state").is_none(), "no renewal is open");
    assert_eq!(standing["sha256"], office.simulator.fingerprint());
}

/// Beyond the end: the reports on an intact history and on a broken one.
const ANOTHER_HEAD: &str = "99999:00000000000000000000000000000000000000000000000000000000000000aa";

/// The part of the page below `heading`.
fn section(heading: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/json.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (_, rest) = page
        .split_once(&format!("\n## `{heading}`\n"))
        .expect(heading);
    rest.split("\n## ").next().unwrap().to_owned()
}

/// The first column of its table.
fn documented(section: &str) -> BTreeSet<String> {
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| row.split('`').next().unwrap().to_owned())
        .collect()
}

fn example(section: &str) -> Value {
    let (_, rest) = section.split_once("```json\n").unwrap();
    let (json, _) = rest.split_once("```").unwrap();
    serde_json::from_str(json).unwrap()
}

/// The paths of all fields: `standing.health`, `renewals[].id`. docs/events.md describes an event's `fields`.
fn fields(value: &Value, place: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let dot = if place.is_empty() { "" } else { "." };
                let path = format!("{place}{dot}{name}");
                if name != "fields" {
                    fields(value, &path, found);
                }
                found.insert(path);
            }
        }
        Value::Array(entries) => {
            for entry in entries {
                fields(entry, &format!("{place}[]"), found);
            }
        }
        _ => {}
    }
}
