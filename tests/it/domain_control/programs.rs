//! Records set by an outside program: lego's calling convention, and what a program can do wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use renewd::dcv::dns::{Exec, Propagation, Provider, Settings as DnsSettings};
use renewd::dcv::{self, Proof, Validator};
use renewd::env::Env;
use renewd::failure::FailureKind;
use tempfile::TempDir;

use crate::peers::write_program;

#[tokio::test]
async fn a_program_is_called_as_lego_calls_it() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let environment = folder.path().join("environment");
    let script = format!(
        "#!/bin/sh\nfor word in \"$@\"; do printf '[%s]' \"$word\"; done >> {0}\nenv | cut -d= -f1 | sort | tr '\\n' ' ' >> {1}\n",
        log.display(),
        environment.display()
    );
    let validator = validator(&folder, &script, &["-v", "two words; $HOME"]);
    let facts = validator.check().await.unwrap();
    assert_eq!(facts[0].1, "dns, exec");
    validator.present(&txt()).await.unwrap();
    // While it is waited for a record to be seen, it is put up again and again.
    validator.present(&txt()).await.unwrap();
    validator.withdraw(&txt()).await.unwrap();
    let said = fs::read_to_string(log).unwrap();
    let call = |verb: &str| {
        format!("[-v][two words; $HOME][{verb}][_acme-challenge.fw.example.test.][a value-_]")
    };
    assert_eq!(said, call("present") + &call("cleanup"));
    let said = fs::read_to_string(environment).unwrap();
    for name in said.split_whitespace() {
        let kept = ["PATH", "HOME", "LANG", "PWD", "OLDPWD", "SHLVL", "_"];
        assert!(kept.contains(&name), "{name} is in its environment: {said}");
    }
}

#[tokio::test]
async fn the_output_of_a_failing_program_is_shown_in_part() {
    let folder = tempfile::tempdir().unwrap();
    let script =
        "#!/bin/sh\necho 'no such zone' >&2\nhead -c 1000000 /dev/zero | tr '\\0' x\nexit 3\n";
    let failure = validator(&folder, script, &[])
        .present(&txt())
        .await
        .unwrap_err();
    assert_eq!(failure.kind, FailureKind::Refused);
    assert!(failure.detail.contains("ended with status 3"), "{failure}");
    assert!(failure.detail.contains("no such zone"), "{failure}");
    assert!(failure.detail.len() < 3000, "{}", failure.detail.len());
}

#[tokio::test]
async fn a_program_that_does_not_end_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let script = "#!/bin/sh\necho waiting\nexec sleep 60\n";
    let start = Instant::now();
    let failure = with_limit(&folder, script, &[], Duration::from_millis(300))
        .present(&txt())
        .await
        .unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(20));
    assert_eq!(failure.kind, FailureKind::Unreachable);
    assert!(failure.detail.contains("killed"), "{failure}");
    assert!(failure.detail.contains("waiting"), "{failure}");
}

#[tokio::test]
async fn what_a_program_leaves_running_does_not_hold_us_up() {
    let folder = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let script = "#!/bin/sh\nsleep 5 &\nexit 0\n";
    validator(&folder, script, &[])
        .present(&txt())
        .await
        .unwrap();
    assert!(start.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn a_program_that_cannot_be_started_is_reported_by_the_check() {
    let folder = tempfile::tempdir().unwrap();
    let validator = validator(&folder, "#!/bin/sh\n", &[]);
    let program = folder.path().join("hook");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o600)).unwrap();
    let failure = validator.check().await.unwrap_err();
    assert!(failure.detail.contains("not executable"), "{failure}");
    assert_eq!(validator.rehearse(&txt()).await.unwrap_err(), failure);
    assert_eq!(
        validator.present(&txt()).await.unwrap_err().kind,
        FailureKind::Local
    );
    fs::remove_file(&program).unwrap();
    assert_eq!(
        validator.check().await.unwrap_err().kind,
        FailureKind::Local
    );
}

#[tokio::test]
async fn a_cname_record_is_beyond_the_calling_convention() {
    let folder = tempfile::tempdir().unwrap();
    let proof = Proof::Cname {
        name: "_0a1b.fw.example.test".to_owned(),
        target: "a.ca.example".to_owned(),
    };
    let failure = validator(&folder, "#!/bin/sh\n", &[]).present(&proof).await;
    assert_eq!(failure.unwrap_err().kind, FailureKind::Refused);
}

fn validator(folder: &TempDir, script: &str, arguments: &[&str]) -> Validator {
    with_limit(folder, script, arguments, Duration::from_secs(20))
}

fn with_limit(folder: &TempDir, script: &str, arguments: &[&str], timeout: Duration) -> Validator {
    let program = folder.path().join("hook");
    write_program(&program, script);
    let settings = DnsSettings {
        provider: Provider::Exec(Exec {
            program,
            arguments: arguments.iter().map(ToString::to_string).collect(),
        }),
        zone: None,
        ttl: 60,
        follow_cname: false,
        delegate_to: None,
        resolvers: Vec::new(),
        propagation: Propagation::Wait(jiff::SignedDuration::ZERO),
        timeout,
    };
    Validator::new(dcv::Settings::Dns(Box::new(settings)), Env::system())
}

fn txt() -> Proof {
    Proof::Txt {
        name: "_acme-challenge.fw.example.test".to_owned(),
        value: "a value-_".to_owned(),
    }
}
