//! What is printed from the code itself, and the demonstration.

use super::office::{output, renewd};

#[test]
fn the_schema_describes_every_table_of_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let schema = output(renewd(folder.path()).arg("schema"))
        .with_code(0)
        .json();
    for table in [
        "daemon",
        "renewal",
        "file_transfer",
        "ca",
        "firewall",
        "certificate",
    ] {
        assert!(schema["properties"][table].is_object(), "{table}");
    }
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let completions = output(renewd(folder.path()).args(["completions", "bash"])).with_code(0);
    completions.prints(&["_renewd()", "discover", "explain", "--once"]);
    output(renewd(folder.path()).args(["man", "pages"])).with_code(0);
    for page in [
        "renewd.1",
        "renewd-run.1",
        "renewd-check.1",
        "renewd-ca-init.1",
    ] {
        assert!(folder.path().join("pages").join(page).exists(), "{page}");
    }
}

#[test]
fn help_names_the_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let help = output(renewd(folder.path()).arg("--help")).with_code(0);
    help.prints(&[
        "Exit codes:",
        "69  a firewall",
        "75  another renewd",
        "78  the configuration",
    ]);
}

#[test]
fn the_demonstration_shows_old_and_new_and_leaves_nothing_behind() {
    demonstrate(&[]);
}

#[test]
fn the_demonstration_shows_every_kind_of_ca() {
    for ca in ["acme", "venafi", "pam360", "resello"] {
        demonstrate(&["--ca", ca]);
    }
}

fn demonstrate(arguments: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let demo = output(
        renewd(folder.path())
            .arg("demo")
            .args(arguments)
            .env("TMPDIR", folder.path()),
    )
    .with_code(0);
    let demo = demo.prints(&[
        "hq-portal",
        "branch-portal",
        "verified -> completed",
        "What next",
    ]);
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "a folder is left"
    );
    let next = demo.stdout.split_once("\nWhat next\n").unwrap().1;
    assert!(
        next.lines().count() > 5,
        "each on a line of its own: {next}"
    );
    let (_, after) = demo.stdout.split_once("After:").unwrap();
    let rows: Vec<Vec<&str>> = after
        .lines()
        .skip(2)
        .take(4)
        .map(|line| line.split_whitespace().collect())
        .collect();
    for row in rows {
        let [_, address, old, new, _] = row[..] else {
            panic!("{row:?}")
        };
        assert!(address.starts_with("127.0.0.1:"), "{address}");
        assert_ne!(old, new);
        assert_eq!(new.len(), old.len());
    }
}
