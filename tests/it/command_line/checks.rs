//! `renewd check`: what it finds, and that it changes nothing. And the exit codes of what is wrong at the start.

use rcgen::{
    BasicConstraints, CertificateParams, GeneralSubtree, IsCa, KeyPair, KeyUsagePurpose,
    NameConstraints,
};
use simulators::sonicos::{Profile, Specification, Variants};

use super::office::{Office, PASSWORD};

#[tokio::test(flavor = "multi_thread")]
async fn a_valid_configuration_passes_without_a_connection_to_the_firewall() {
    let office = Office::new().await;
    let output = office.renewd(&["check"]).with_code(0);
    output.prints(&["ok      configuration: 1 certificate, 1 firewall, 1 CA"]);
    assert_eq!(office.simulator.counters().requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn online_it_reports_model_rights_and_pending_changes_and_changes_nothing() {
    let office = Office::new().await;
    let before = (
        office.simulator.certificates(),
        office.simulator.fingerprint(),
    );
    let output = office.renewd(&["check", "--online"]).with_code(0);
    let output = output.prints(&[
        "NSv 270",
        "rights of the login: FULL_ADMIN",
        "fw-initial",
        "no uncommitted changes",
        "CA office",
        "vpn.example.com until",
    ]);
    assert!(
        !output.stdout.contains("FAIL") && output.stderr.is_empty(),
        "{output:#?}"
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
    office
        .simulator
        .set(|variants| variants.managed_centrally = true);
    let output = office.renewd(&["check", "--online"]).with_code(0);
    output.prints(&["warning firewall hq", "acquire the device again"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn online_a_wrong_pin_is_found_before_anything_is_sent() {
    let office = Office::new().await;
    let real = office.simulator.fingerprint();
    office.configure(&office.configuration().replace(&real, &"ab".repeat(32)));
    let output = office.renewd(&["check", "--online"]).with_code(1);
    output
        .prints(&["FAIL    firewall hq", &real])
        .complains(&["1 of"]);
    assert_eq!(office.simulator.counters().requests, 0);
    office.renewd(&["run", "--once"]).with_code(1);
    let output = office.renewd(&["explain", "hq-portal"]).with_code(0);
    output.prints(&["(untrusted)", &real, "To do", "renewd probe"]);
    assert_eq!(office.simulator.counters().requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn online_a_wrong_password_is_found_with_one_try() {
    let office = Office::new().await;
    office.write("hq.password", "mistyped\n");
    office
        .renewd(&["check", "--online"])
        .with_code(1)
        .prints(&["FAIL    firewall hq"]);
    assert_eq!(office.simulator.counters().failed_logins, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn online_a_pending_change_of_another_administrator_is_found() {
    let office = Office::new().await;
    let other = office.simulator.other_administrator();
    other.has_pending_change("address-object ipv4 printer");
    let output = office.renewd(&["check", "--online"]).with_code(1);
    output.prints(&["FAIL    firewall hq: uncommitted changes by", "printer"]);
    assert_eq!(office.simulator.counters().discards_of_foreign_changes, 0);
    assert_eq!(office.simulator.pending().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn online_it_reports_how_a_device_that_transfers_files_would_connect_to_renewd() {
    let office = Office::of(Profile::V6_5, Variants::kind()).await;
    let first = office.renewd(&["check", "--online"]).with_code(0);
    let first = first.prints(&[
        "firewall hq, transfers: it connects to 127.0.0.1, and must come from 127.0.0.1",
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
    let office = Office::with(Variants {
        openapi: Specification::Json,
        ..Variants::kind()
    })
    .await;
    let arguments = ["check", "--online", "--save-openapi", "openapi.json"];
    let output = office.renewd(&arguments).with_code(0);
    output.prints(&["its specification is in openapi.json"]);
    let kept = std::fs::read_to_string(office.path("openapi.json")).unwrap();
    let specification: serde_json::Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(specification["openapi"], "3.0.0");
    let output = office.renewd(&arguments).with_code(1);
    output.prints(&["FAIL    firewall hq: openapi.json exists already and is not overwritten"]);
    let output = office.renewd(&["check", "--save-openapi", "other.json"]);
    output.with_code(2).complains(&["--online"]);
    office
        .simulator
        .set(|variants| variants.openapi = Specification::Off);
    let output = office.renewd(&["check", "--online", "--save-openapi", "none.json"]);
    output.with_code(0).prints(&["it serves no specification"]);
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
    let output = office.renewd(&["check"]).with_code(1);
    output.prints(&["FAIL", "hq.password"]);
}

/// A CA that is changed: its certificate and its key.
fn changed_ca(change: impl FnOnce(&mut CertificateParams)) -> [Option<String>; 2] {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    [Some(certificate.pem()), Some(key.serialize_pem())]
}

/// Puts these in the place of `ca.pem` and `ca.key`; `None`: nothing.
fn put_ca(office: &Office, files: [Option<String>; 2]) {
    for (name, text) in ["ca.pem", "ca.key"].into_iter().zip(files) {
        match text {
            Some(text) => office.write(name, &text),
            None => std::fs::remove_file(office.path(name)).unwrap(),
        }
    }
}

/// Each fault with the words that name it; put right, everything is good again.
#[tokio::test(flavor = "multi_thread")]
async fn a_local_ca_that_cannot_sign_the_certificate_is_found_offline() {
    let office = Office::new().await;
    let good = ["ca.pem", "ca.key"].map(|name| std::fs::read_to_string(office.path(name)).ok());
    let [certificate, key] = good.clone();
    let garbage = || Some("garbage\n".to_owned());
    let other = Some(KeyPair::generate().unwrap().serialize_pem());
    let year = |year| rcgen::date_time_ymd(year, 1, 1);
    let org = NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName("example.org".to_owned())],
        excluded_subtrees: vec![],
    };
    for (files, words) in [
        (
            [None, key.clone()],
            "ca.pem: it is missing: `renewd ca init`",
        ),
        ([garbage(), key], "ca.pem: it holds no BEGIN CERTIFICATE"),
        (
            [certificate.clone(), garbage()],
            "ca.key: it holds no private key",
        ),
        (
            [certificate, other],
            "does not belong to the first certificate",
        ),
        (
            changed_ca(|ca| (ca.not_before, ca.not_after) = (year(2001), year(2002))),
            "is expired on 2002",
        ),
        (
            changed_ca(|ca| ca.not_before = year(3000)),
            "is the clock right?",
        ),
        (
            changed_ca(|ca| ca.is_ca = IsCa::ExplicitNoCa),
            "is not a CA",
        ),
        (
            changed_ca(|ca| ca.key_usages = vec![KeyUsagePurpose::CrlSign]),
            "may not sign certificates (key usage)",
        ),
        (
            changed_ca(|ca| ca.name_constraints = Some(org.clone())),
            "does not permit vpn.example.com",
        ),
    ] {
        put_ca(&office, files);
        let output = office.renewd(&["check"]).with_code(1);
        let output = output.prints(&["FAIL    ", words]);
        let lines = output.stdout.lines().filter(|line| line.contains(words));
        assert_eq!(lines.count(), 1, "said once: {output:#?}");
        office
            .renewd(&["run", "--once"])
            .with_code(1)
            .prints(&[words]);
        assert_eq!(
            office.simulator.counters().key_pairs_generated,
            0,
            "{words}"
        );
        assert!(!office.path("ca/office").exists(), "nothing was issued");
        // The next run begins anew, without the pause after a failure.
        for file in ["renewd.db", "renewd.db-wal", "renewd.db-shm"] {
            let _ = std::fs::remove_file(office.path(file));
        }
    }
    put_ca(&office, good);
    office.renewd(&["check"]).with_code(0);
    office.renewd(&["run", "--once"]).with_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_pinned_roots_are_checked_as_other_files_are() {
    let office = Office::new().await;
    let pinned = "name = \"office\"\nchain_roots = [\"root.pem\", \"ca.pem\"]";
    let text = office.configuration();
    office.configure(&text.replace("name = \"office\"", pinned));
    let output = office.renewd(&["check"]).with_code(1);
    output.prints(&["FAIL    ca office: chain_roots: ", "root.pem: No such file"]);
    office.write(
        "root.pem",
        "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
    );
    let output = office.renewd(&["check"]).with_code(1);
    output.prints(&["FAIL    ca office: chain_roots: ", "certificate 1 (line 1)"]);
    std::fs::copy(office.path("ca.pem"), office.path("root.pem")).unwrap();
    let output = office.renewd(&["check"]).with_code(0);
    output.prints(&["ok      ca office: chain_roots: 2 certificates"]);
    office.set_mode("root.pem", 0o666);
    let output = office.renewd(&["check"]).with_code(1);
    output.prints(&["FAIL    access: ca office: chain_roots: ", "chmod"]);
    let output = office.renewd(&["run", "--once"]).with_code(78);
    output.complains(&["chmod"]);
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
        let output = office.renewd(&["check"]).with_code(1);
        output.prints(&["FAIL", "chmod", name.trim_start_matches('.')]);
        let output = office.renewd(&["run", "--once"]).with_code(78);
        output.complains(&["chmod", name.trim_start_matches('.')]);
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
    let output = office.renewd(&["check", "--online"]);
    let output = output.prints(&["warning firewall hq: password: it begins or ends with a blank"]);
    assert!(output.stdout.contains("rights of the login"), "{output:#?}");
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
        let output = office.renewd(command).with_code(78);
        let output = output.complains(&["renewd.toml:19:1", "firewal"]);
        assert_eq!(output.stdout, "", "data goes to stdout, mistakes do not");
    }
    assert!(!office.path("renewd.db").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_wrong_command_line_has_its_exit_code() {
    let office = Office::new().await;
    office.renewd(&["frobnicate"]).with_code(2);
    office.renewd(&[]).with_code(2);
    office
        .renewd(&["show", "hq-portal"])
        .with_code(74)
        .complains(&["start the daemon first"]);
    office.renewd(&["run", "--once"]).with_code(0);
    let output = office.renewd(&["show", "hq-portl"]).with_code(2);
    output.complains(&["did you mean `hq-portal`?"]);
    let output = office.renewd(&["discover", "hg"]).with_code(2);
    output.complains(&["did you mean `hq`?"]);
    let output = office
        .renewd(&["run", "--once", "--log", "renewd=shouting"])
        .with_code(2);
    output.complains(&["the log filter"]);
    assert!(
        !office
            .renewd(&["check", "--online"])
            .stdout
            .contains(PASSWORD)
    );
}
