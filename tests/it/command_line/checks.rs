//! `renewd check`: what it finds, and that it changes nothing. And the exit codes of what is wrong at the start.

use simulators::sonicos::{Faces, Profile, Specification};

use super::office::{Office, PASSWORD};

#[tokio::test(flavor = "multi_thread")]
async fn a_good_configuration_is_found_good_without_a_word_to_the_firewall() {
    let office = Office::new().await;
    let told = office.renewd(&["check"]).with_code(0);
    told.prints(&["ok      configuration: 1 certificate, 1 firewall, 1 CA"]);
    assert_eq!(office.simulator.counters().requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn online_it_tells_model_rights_and_pending_changes_and_changes_nothing() {
    let office = Office::new().await;
    let before = (
        office.simulator.certificates(),
        office.simulator.fingerprint(),
    );
    let told = office.renewd(&["check", "--online"]).with_code(0);
    let told = told.prints(&[
        "NSv 270",
        "rights of the login: FULL_ADMIN",
        "fw-initial",
        "no uncommitted changes",
        "CA office",
        "vpn.example.com until",
    ]);
    assert!(
        !told.stdout.contains("WRONG") && told.stderr.is_empty(),
        "{told:#?}"
    );
    let counters = office.simulator.counters();
    assert_eq!(
        (
            counters.commits,
            counters.key_pairs_generated,
            counters.deletes
        ),
        (0, 0, 0)
    );
    assert_eq!(counters.sessions_open, 0, "logged out");
    assert_eq!(
        before,
        (
            office.simulator.certificates(),
            office.simulator.fingerprint()
        )
    );
    assert!(
        !office.path("renewd.db").exists(),
        "a check makes no database"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn online_a_central_management_is_warned_of_and_fails_nothing() {
    let office = Office::new().await;
    office.simulator.set(|faces| faces.managed_centrally = true);
    let told = office.renewd(&["check", "--online"]).with_code(0);
    told.prints(&["warning firewall hq", "acquire the device again"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn online_a_wrong_pin_is_found_before_anything_is_sent() {
    let office = Office::new().await;
    let real = office.simulator.fingerprint();
    office.configure(&office.configuration().replace(&real, &"ab".repeat(32)));
    let told = office.renewd(&["check", "--online"]).with_code(1);
    told.prints(&["WRONG   firewall hq", &real])
        .complains(&["1 of"]);
    assert_eq!(office.simulator.counters().requests, 0);
    office.renewd(&["run", "--once"]).with_code(1);
    let told = office.renewd(&["explain", "hq-portal"]).with_code(0);
    told.prints(&["(untrusted)", &real, "To do", "renewd probe"]);
    assert_eq!(office.simulator.counters().requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn online_a_wrong_password_is_found_with_one_try() {
    let office = Office::new().await;
    office.write("hq.password", "mistyped\n");
    office
        .renewd(&["check", "--online"])
        .with_code(1)
        .prints(&["WRONG   firewall hq"]);
    assert_eq!(office.simulator.counters().failed_logins, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn online_somebody_elses_pending_change_is_found() {
    let office = Office::new().await;
    let other = office.simulator.other_administrator();
    other.has_pending_change("address-object ipv4 printer");
    let told = office.renewd(&["check", "--online"]).with_code(1);
    told.prints(&["WRONG   firewall hq: uncommitted changes by", "printer"]);
    assert_eq!(office.simulator.counters().discards_of_foreign_changes, 0);
    assert_eq!(office.simulator.pending().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn online_it_tells_how_a_device_that_carries_its_files_would_reach_us() {
    let office = Office::of(Profile::V6_5, Faces::kind()).await;
    let first = office.renewd(&["check", "--online"]).with_code(0);
    let first = first.prints(&[
        "firewall hq, transfers: it is told to go to 127.0.0.1, and must come from 127.0.0.1",
        "firewall hq, transfers: host key ssh-ed25519 SHA256:",
    ]);
    let again = office.renewd(&["check", "--online"]).with_code(0);
    let keys = |stdout: &str| -> Vec<String> {
        let keys = stdout.lines().filter(|line| line.contains("host key"));
        keys.map(str::to_owned).collect()
    };
    assert_eq!(keys(&again.stdout), keys(&first.stdout), "they stay");
    let newer = Office::new().await.renewd(&["check", "--online"]);
    assert!(!newer.stdout.contains("transfers"), "{newer:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn online_the_specification_that_a_device_serves_is_kept_and_nothing_is_overwritten() {
    let office = Office::with(Faces {
        openapi: Specification::Json,
        ..Faces::kind()
    })
    .await;
    let arguments = ["check", "--online", "--save-openapi", "openapi.json"];
    let told = office.renewd(&arguments).with_code(0);
    told.prints(&["its specification is in openapi.json"]);
    let kept = std::fs::read_to_string(office.path("openapi.json")).unwrap();
    let specification: serde_json::Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(specification["openapi"], "3.0.0");
    let told = office.renewd(&arguments).with_code(1);
    told.prints(&["WRONG   firewall hq: openapi.json exists already and is not overwritten"]);
    let told = office.renewd(&["check", "--save-openapi", "other.json"]);
    told.with_code(2).complains(&["--online"]);
    office
        .simulator
        .set(|faces| faces.openapi = Specification::Off);
    let told = office.renewd(&["check", "--online", "--save-openapi", "none.json"]);
    told.with_code(0).prints(&["it serves no specification"]);
    assert!(!office.path("none.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_renewal_the_old_pin_still_serves() {
    let office = Office::new().await;
    office.renewd(&["run", "--once"]).with_code(0);
    office.renewd(&["check", "--online"]).with_code(0);
    office.renewd(&["discover", "hq"]).with_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_cannot_be_read_is_found_offline() {
    let office = Office::new().await;
    std::fs::remove_file(office.path("hq.password")).unwrap();
    let told = office.renewd(&["check"]).with_code(1);
    told.prints(&["WRONG", "hq.password"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_others_can_change_or_a_secret_that_they_can_read_is_found_and_stops_a_start() {
    let office = Office::new().await;
    let (hook, key) = (office.path("hook"), office.path("seal.key"));
    office.write("hook", "#!/bin/sh\nexit 6\n");
    office.write("seal.key", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
    std::fs::create_dir(office.path("conf.d")).unwrap();
    let helper = format!(
        "[[ca]]\nname = \"helper\"\ndriver.exec = {{ program = \"{}\" }}\n",
        hook.display()
    );
    office.write("conf.d/helper.toml", &helper);
    let with_key = format!("[daemon]\nsealing_key = {{ file = \"{}\" }}", key.display());
    office.configure(&office.configuration().replace("[daemon]", &with_key));
    for (name, safe) in [
        ("hook", 0o755),
        ("conf.d", 0o755),
        ("renewd.toml", 0o644),
        ("hq.password", 0o640),
    ] {
        office.set_mode(name, safe);
    }
    office.renewd(&["check"]).with_code(0);
    for (name, mode, safe) in [
        ("hq.password", 0o644, 0o640),
        ("hq.password", 0o620, 0o600),
        ("seal.key", 0o644, 0o600),
        ("hook", 0o777, 0o755),
        ("hook", 0o775, 0o755),
        ("renewd.toml", 0o666, 0o600),
        ("conf.d", 0o777, 0o755),
        ("conf.d/helper.toml", 0o666, 0o644),
        ("ca.pem", 0o666, 0o644),
        (".", 0o777, 0o700),
    ] {
        office.set_mode(name, mode);
        let told = office.renewd(&["check"]).with_code(1);
        told.prints(&["WRONG", "chmod", name.trim_start_matches('.')]);
        let told = office.renewd(&["run", "--once"]).with_code(78);
        told.complains(&["chmod", name.trim_start_matches('.')]);
        office.set_mode(name, safe);
    }
    assert_eq!(office.simulator.counters().requests, 0);
    office.renewd(&["check"]).with_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blank_at_the_end_of_a_password_is_sent_and_mentioned_and_a_byte_order_mark_is_not() {
    let mut settings = simulators::sonicos::Settings::new(Profile::V8);
    settings.password = format!("{PASSWORD} ");
    let simulator = simulators::sonicos::Simulator::start(settings)
        .await
        .unwrap();
    let mut office = Office::new().await;
    office.simulator = simulator;
    office.configure(&office.configuration());
    office.write("hq.password", &format!("\u{feff}{PASSWORD} \r\n"));
    let told = office.renewd(&["check", "--online"]);
    let told = told.prints(&["warning firewall hq: password: it begins or ends with a blank"]);
    assert!(told.stdout.contains("rights of the login"), "{told:#?}");
    assert_eq!(office.simulator.counters().failed_logins, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_configuration_is_refused_with_its_line_and_column_by_every_command() {
    let office = Office::new().await;
    office.configure(
        &office
            .configuration()
            .replace("firewall = \"hq\"", "firewal = \"hq\""),
    );
    for command in [
        &["run"][..],
        &["run", "--once"],
        &["check"],
        &["status"],
        &["explain", "hq-portal"],
    ] {
        let told = office.renewd(command).with_code(78);
        let told = told.complains(&["renewd.toml:19:1", "firewal"]);
        assert_eq!(told.stdout, "", "data goes to stdout, mistakes do not");
    }
    assert!(!office.path("renewd.db").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_line_that_is_wrong_is_told_apart() {
    let office = Office::new().await;
    office.renewd(&["frobnicate"]).with_code(2);
    office.renewd(&[]).with_code(2);
    office
        .renewd(&["show", "hq-portal"])
        .with_code(74)
        .complains(&["start the daemon first"]);
    office.renewd(&["run", "--once"]).with_code(0);
    let told = office.renewd(&["show", "hq-portl"]).with_code(2);
    told.complains(&["did you mean `hq-portal`?"]);
    let told = office.renewd(&["discover", "hg"]).with_code(2);
    told.complains(&["did you mean `hq`?"]);
    let told = office
        .renewd(&["run", "--once", "--log", "renewd=shouting"])
        .with_code(2);
    told.complains(&["the log filter"]);
    assert!(
        !office
            .renewd(&["check", "--online"])
            .stdout
            .contains(PASSWORD)
    );
}
