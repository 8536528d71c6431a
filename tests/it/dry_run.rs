//! `renewd run --dry-run` prints what a run would do, in order, and changes neither firewall nor CA nor database.

use std::collections::BTreeSet;
use std::path::Path;

use renewd::daemon::DryRun;
use renewd::inventory::State;
use simulators::sonicos::{Profile, Variants};

use crate::command_line::office::{CommandOutput, Office, PASSWORD};
use crate::test_bed::TestBed;

/// Everything that a change would show in.
fn traces(office: &Office) -> (Vec<String>, Vec<String>, String, [u64; 7]) {
    let counters = office.simulator.counters();
    (
        office.simulator.certificates(),
        office.simulator.pending(),
        office.simulator.fingerprint(),
        [
            counters.key_pairs_generated,
            counters.imports,
            counters.ca_imports,
            counters.deletes,
            counters.commits,
            counters.sessions_open,
            counters.locked_out,
        ],
    )
}

/// The files below `folder`, with their sizes.
fn files(folder: &Path) -> BTreeSet<(String, u64)> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert((path.display().to_string(), entry.metadata().unwrap().len()));
        }
    }
    found
}

/// Runs it, and asserts that no device, CA or row has changed.
fn dry_run(office: &Office) -> CommandOutput {
    let before = (traces(office), files(office.folder.path()));
    let output = office.renewd(&["run", "--dry-run"]);
    assert_eq!(before, (traces(office), files(office.folder.path())));
    assert!(!output.stdout.contains(PASSWORD));
    assert_eq!(output.stderr, "", "nothing happened, so nothing is logged");
    output
}

/// The numbered lines, each in one piece.
fn plan(output: &CommandOutput) -> Vec<String> {
    let mut plan: Vec<String> = Vec::new();
    for line in output.stdout.lines() {
        let words = line.trim_start();
        match words.split_once("  ") {
            Some((number, words)) if number.parse::<u32>().is_ok() => plan.push(words.to_owned()),
            _ if line.starts_with("      ") => {
                if let Some(last) = plan.last_mut() {
                    *last = format!("{last} {words}");
                }
            }
            _ => {}
        }
    }
    plan
}

#[tokio::test(flavor = "multi_thread")]
async fn it_prints_every_change_in_order_and_makes_none() {
    let office = Office::new().await;
    let output = dry_run(&office).with_code(0).fits_80_columns();
    let output = output.prints(&["hq-portal: a run would", "this was a dry run"]);
    let plan = plan(&output);
    let alias = plan[0].rsplit(' ').next().unwrap();
    assert!(alias.starts_with("hq-portal-"), "{plan:#?}");
    let [management, ssl_vpn] = [office.simulator.management(), office.simulator.ssl_vpn()];
    assert_eq!(
        plan,
        [
            format!(
                "generate a key pair (ECDSA P-256) on hq with a request for vpn.example.com, as {alias}"
            ),
            format!("fetch the request {alias} from hq"),
            "order the certificate at office".to_owned(),
            "fetch the certificate from office, once it is issued".to_owned(),
            "put the certificates of the CA on hq, where it lacks them".to_owned(),
            format!("put the issued certificate on hq, as {alias}"),
            format!("point web-management at {alias} and ssl-vpn at {alias} on hq"),
            format!("look whether {management} shows it"),
            format!("look whether {ssl_vpn} shows it"),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_changing_call_reaches_the_device() {
    for profile in [Profile::V7_0, Profile::V8] {
        let office = Office::of(profile, Variants::kind()).await;
        dry_run(&office).with_code(0);
        for call in office.simulator.journal() {
            let is_look = call.starts_with("GET ");
            assert!(is_look || call.contains("/auth"), "{call}");
        }
        assert_eq!(office.simulator.counters().logins, 1, "one look is enough");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_steps_are_the_steps_of_the_next_run() {
    let office = Office::new().await;
    dry_run(&office).with_code(0);
    assert!(!office.path("renewd.db").exists(), "it makes no database");
    assert!(!office.path("renewd.lock").exists());
    assert!(!office.path("ca/office").exists(), "nothing was ordered");
    office
        .renewd(&["run", "--once"])
        .with_code(0)
        .prints(&["hq-portal: completed"]);
    let output = dry_run(&office).with_code(0);
    output.prints(&["hq-portal: nothing to do: valid until"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_from_before_counts_and_the_old_certificate_of_ours_would_go() {
    let office = Office::new().await;
    office.renewd(&["run", "--once"]).with_code(0);
    let ours = office
        .simulator
        .bound(simulators::sonicos::Port::Management);
    let ours = ours.unwrap();
    office.renewd(&["renew", "hq-portal"]).with_code(0);
    for _ in 0..2 {
        let output = dry_run(&office).with_code(0);
        let plan = plan(&output);
        assert!(
            plan.contains(&format!("remove {ours} from hq")),
            "{plan:#?}"
        );
    }
    let output = office.renewd(&["status"]).with_code(0);
    output.prints(&["hq-portal", "now"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_makes_no_sealing_key_and_takes_the_one_that_is_there() {
    let office = Office::new().await;
    let ours = "size = 256, origin = \"renewd\" }";
    let text = office.configuration().replace("size = 256 }", ours);
    office.configure(&text);
    dry_run(&office).with_code(0);
    assert!(!office.path("seal.key").exists());
    office.renewd(&["run", "--once"]).with_code(0);
    assert!(office.path("seal.key").exists());
    office.renewd(&["renew", "hq-portal"]).with_code(0);
    let output = dry_run(&office).with_code(0);
    let is_ours = |words: &String| words.starts_with("put the key pair that renewd made on hq");
    assert!(plan(&output).iter().any(is_ours), "{}", output.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_has_the_database_is_not_disturbed() {
    let office = Office::new().await;
    office.renewd(&["run", "--once"]).with_code(0);
    let lock =
        renewd::daemon::Lock::take(&format!("sqlite://{}", office.path("renewd.db").display()));
    let lock = lock.unwrap();
    dry_run(&office).with_code(0);
    office.renewd(&["run", "--once"]).with_code(75);
    drop(lock);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_is_reported_as_in_a_run_and_tried_once() {
    let office = Office::new().await;
    office.write("hq.password", "mistyped\n");
    let output = office.renewd(&["run", "--dry-run"]).with_code(1);
    let real = office.renewd(&["run", "--once"]).with_code(1);
    assert_eq!(office.simulator.counters().failed_logins, 2, "one each");
    let words = |output: &CommandOutput| {
        let words: Vec<&str> = output.stdout.split_whitespace().collect();
        let words = words.join(" ");
        let from = words.find("HELD for").or(words.find("goes on")).unwrap();
        let (_, why) = words[from..].split_once(": ").unwrap();
        why.split(" (when").next().unwrap().to_owned()
    };
    let why = words(&output);
    assert!(
        words(&real).starts_with(why.split(" nothing was").next().unwrap()),
        "{why}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn uncommitted_changes_of_another_administrator_stop_it_as_they_stop_a_run() {
    let office = Office::new().await;
    let other = office.simulator.other_administrator();
    other.has_pending_change("address-object ipv4 printer");
    let output = dry_run(&office).with_code(1);
    output.prints(&["hq-portal: nothing would be done", "printer"]);
    assert_eq!(office.simulator.pending().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_at_a_shut_window_and_says_when_that_opens() {
    let bed = TestBed::new(Profile::V8).await;
    // It is a Sunday.
    bed.configure_window("start = \"0 2 * * WED\", duration = \"3h\"");
    let dry_run = DryRun::walk(bed.config(), bed.env()).await;
    let dry_run = dry_run.unwrap();
    let [renewal] = dry_run.report.worked_on.as_slice() else {
        panic!("{:#?}", dry_run.report)
    };
    assert_eq!(renewal.state, State::Imported);
    let opens = "2026-11-25T02:00:00Z".parse().unwrap();
    assert_eq!(renewal.next_attempt_at, Some(opens));
    let output = &dry_run.reported[&renewal.id];
    assert!(
        output
            .last()
            .unwrap()
            .starts_with("put the issued certificate on hq")
    );
    assert_eq!(bed.signatures(), 0);
    assert_eq!(bed.simulator.counters().key_pairs_generated, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_in_progress_is_printed_from_its_current_step() {
    let bed = TestBed::new(Profile::V8).await;
    bed.configure_window("start = \"0 2 * * WED\", duration = \"3h\"");
    bed.run_once().await;
    assert_eq!(bed.renewals().await[0].state, State::Imported);
    bed.configure(&bed.simulator.fingerprint(), "verify_timeout = \"5s\"");
    bed.clock.set("2026-11-25T03:00:00Z".parse().unwrap());
    let before = bed.simulator.counters();
    let dry_run = DryRun::walk(bed.config(), bed.env()).await;
    let dry_run = dry_run.unwrap();
    let renewal = &dry_run.report.worked_on[0];
    assert_eq!(renewal.state, State::Completed, "{:?}", renewal.last_error);
    let output = &dry_run.reported[&renewal.id];
    assert!(
        output[0].starts_with("point web-management at hq-portal-"),
        "{output:#?}"
    );
    assert!(output[1].starts_with("look whether"), "{output:#?}");
    assert_eq!(
        bed.renewals().await[0].state,
        State::Imported,
        "only in the copy"
    );
    assert_eq!(bed.simulator.counters().commits, before.commits);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_includes_the_preflight_of_the_ca() {
    let office = Office::new().await;
    let elsewhere = "permitted_domains = [\"example.org\"], certificate = ";
    let text = office.configuration().replace("certificate = ", elsewhere);
    office.configure(&text);
    let output = dry_run(&office).with_code(1);
    output.prints(&["nothing would be done", "permitted_domains"]);
    assert_eq!(office.simulator.counters().logins, 0);
}
