//! Sound and broken configurations, and what is said about them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail"
)]

mod ca_acme;
mod ca_exec;
mod ca_pam360;
mod ca_resello;
mod ca_venafi;
mod mutations;
mod shares;
mod shipped;
mod transfers;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::*;
use crate::{ca, firewall};

const CRATE: &str = env!("CARGO_MANIFEST_DIR");

/// Puts `text` as `renewd.toml` of this mode into a folder of its own.
fn folder_with(text: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("renewd.toml");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    (folder, path)
}

/// What an operator is shown, with the folder as it would be on a real machine.
fn reported(folder: &Path, errors: &ConfigErrors) -> String {
    errors
        .to_string()
        .replace(&*folder.to_string_lossy(), "/etc/renewd")
}

#[test]
fn each_broken_configuration_is_explained_with_place_and_hint() {
    let folder = Path::new(CRATE).join("tests/config/broken");
    let mut names: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.sort();
    assert!(names.len() >= 24, "{} files", names.len());
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(Path::new(CRATE).join("tests/config/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for broken in names {
        let (folder, path) = folder_with(&fs::read(&broken).unwrap(), 0o600);
        let errors = load(&path).unwrap_err();
        let reported = reported(folder.path(), &errors);
        assert!(!reported.contains("hunter2"), "{reported}");
        assert!(!format!("{errors:?}").contains("hunter2"), "{errors:?}");
        let name = broken.file_stem().unwrap().to_string_lossy().into_owned();
        settings.bind(|| insta::assert_snapshot!(name, reported));
    }
}

const CA: &str = r#"
[[ca]]
name = "office"
driver.local = { certificate = "ca.pem", key = { file = "/etc/renewd/ca.key" } }
"#;

const FIREWALL: &str = r#"
[[firewall]]
name = "hq"
[firewall.driver.sonicos]
url = "https://[2001:db8::1]:8443"
user = "renewd"
password = PASSWORD
trust = { sha256 = "5F:6D:0E:3C:1B:2A:49:78:87:96:A5:B4:C3:D2:E1:F0:0F:1E:2D:3C:4B:5A:69:78:87:96:A5:B4:C3:D2:E1:F0" }
"#;

const CERTIFICATE: &str = r#"
[[certificate]]
name = "portal"
firewall = "hq"
ca = "office"
subject = { common_name = "vpn.example.com" }
dns_names = ["VPN.example.com"]
"#;

fn sound(password: &str, more: &str) -> String {
    let firewall = FIREWALL.replace("PASSWORD", password);
    format!("{CA}{firewall}{CERTIFICATE}{more}")
}

fn load_text(text: &str) -> Result<Loaded, ConfigErrors> {
    let (_folder, path) = folder_with(text.as_bytes(), 0o600);
    load(&path)
}

#[test]
fn roots_of_chains_are_one_file_or_several() {
    let with = |value: &str| {
        let named = format!("name = \"office\"\nchain_roots = {value}");
        let text = sound("{ credential = \"hq\" }", "");
        load_text(&text.replace("name = \"office\"", &named))
    };
    for (value, files) in [
        ("\"/etc/root.pem\"", vec!["/etc/root.pem"]),
        ("[\"/a.pem\", \"/b.pem\"]", vec!["/a.pem", "/b.pem"]),
    ] {
        let roots = &with(value).unwrap().config.chain_roots["office"];
        assert_eq!(*roots, files.iter().map(PathBuf::from).collect::<Vec<_>>());
    }
    for nothing in ["[]", "\"\"", "[\"\"]"] {
        let reported = with(nothing).unwrap_err().to_string();
        assert!(reported.contains("a path is missing"), "{reported}");
    }
}

#[test]
fn what_is_left_out_has_its_default() {
    let loaded = load_text(&sound("{ credential = \"hq\" }", "")).unwrap();
    assert_eq!(loaded.warnings, []);
    let Config {
        daemon,
        cas,
        order_budgets,
        written_budgets,
        chain_roots,
        firewalls,
        certificates,
    } = loaded.config;
    assert_eq!(daemon.database, "sqlite:///var/lib/renewd/renewd.db");
    assert_eq!((daemon.max_concurrent_renewals, &*daemon.log), (8, "info"));
    assert_eq!(daemon.probe_interval, jiff::SignedDuration::from_hours(1));
    assert!(chain_roots.is_empty() && written_budgets.is_empty());
    let budget = order_budgets["office"];
    assert_eq!((budget.orders, budget.within.as_hours()), (60, 24));
    let ca::Settings::Local(ca) = &cas["office"] else {
        panic!("office is a local CA")
    };
    assert_eq!(ca.issued, Path::new("/var/lib/renewd/ca/office"));
    assert_eq!(ca.lifetime_days, 90);
    assert_eq!(ca.purposes, [ca::local::Purpose::ServerAuth]);
    let firewall::Settings::Sonicos(device) = &firewalls["hq"].settings else {
        panic!("hq is a SonicWall")
    };
    assert_eq!(device.call_timeout, std::time::Duration::from_secs(20));
    assert!(device.preempt_idle_administrator && device.totp.is_none());
    let certificate = &certificates["portal"];
    assert_eq!(certificate.request.key, crate::pki::KeyKind::Rsa(2048));
    assert_eq!(certificate.policy.renew_after, None);
    assert_eq!(
        certificate.services,
        [crate::inventory::Service::WebManagement]
    );
    assert_eq!(certificate.endpoints[0].to_string(), "[2001:db8::1]:8443");
    let name = &certificate.request.alternate_names[0];
    assert_eq!(name.to_string(), "vpn.example.com");
}

#[test]
fn an_ssl_vpn_is_proven_at_its_own_port() {
    let more = "services = [\"ssl-vpn\", \"web-management\"]\n";
    let text = sound("{ env = \"HQ\" }", more).replace("user =", "ssl_vpn_port = 4443\nuser =");
    let config = load_text(&text).unwrap().config;
    let verify: Vec<String> = config.certificates["portal"]
        .endpoints
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(verify, ["[2001:db8::1]:4443", "[2001:db8::1]:8443"]);
}

#[test]
fn a_certificates_own_policy_takes_precedence_key_by_key() {
    let more = "renewal = { verify_timeout = \"5m\" }\n[renewal]\nrenew_after = 0.6\nverify_timeout = \"1m\"\n";
    let config = load_text(&sound("{ env = \"HQ\" }", more)).unwrap().config;
    let policy = &config.certificates["portal"].policy;
    assert_eq!(policy.renew_after, Some(600));
    assert_eq!(policy.verify_timeout, jiff::SignedDuration::from_mins(5));
}

#[test]
fn the_state_directory_counts_also_for_what_stands_before_it() {
    let more = "[daemon]\nstate_directory = \"state\"\n";
    let (folder, path) = folder_with(sound("{ env = \"HQ\" }", more).as_bytes(), 0o600);
    let config = load(&path).unwrap().config;
    let state = folder.path().join("state");
    assert_eq!(
        config.daemon.database,
        format!("sqlite://{}/renewd.db", state.display())
    );
    let ca::Settings::Local(ca) = &config.cas["office"] else {
        panic!("office is a local CA")
    };
    assert_eq!(ca.issued, state.join("ca/office"));
    assert_eq!(
        ca.certificate,
        folder.path().join("ca.pem"),
        "relative to the file"
    );
}

#[test]
fn a_scan_is_handed_on_with_its_seconds() {
    for (raw, expected) in [
        ("*/5 * * * *", "0 */5 * * * *"),
        ("30 * * * * *", "30 * * * * *"),
    ] {
        let text = format!("[daemon]\nscan = \"{raw}\"\n");
        assert_eq!(load_text(&text).unwrap().config.daemon.scan, expected);
    }
}

#[test]
fn names_are_kept_once_however_often_they_are_referred_to() {
    let config = load_text(&sound("{ env = \"HQ\" }", "")).unwrap().config;
    let certificate = &config.certificates["portal"];
    let (firewall, _) = config.firewalls.get_key_value("hq").unwrap();
    let (ca, _) = config.cas.get_key_value("office").unwrap();
    assert!(Arc::ptr_eq(&certificate.firewall, firewall));
    assert!(Arc::ptr_eq(&certificate.ca, ca));
}

#[test]
fn a_file_that_is_missing_among_many_is_explained_without_endless_guesses() {
    let many = |template: &str, what: &str| -> String {
        (0..600)
            .map(|n| template.replace(what, &format!("{what}-{n}")))
            .collect()
    };
    let firewalls = many(&FIREWALL.replace("PASSWORD", "{ env = \"X\" }"), "hq");
    let certificates = many(&CERTIFICATE.replace("\"hq\"", "\"renamed\""), "portal");
    let errors = load_text(&format!("{CA}{firewalls}{certificates}")).unwrap_err();
    assert_eq!(errors.errors(), 600);
    let last = errors.0.last().unwrap().hint.as_deref();
    assert_eq!(
        last,
        Some("is the file with its [[firewall]] missing or broken?")
    );
}

#[test]
fn a_secret_in_the_file_is_accepted_only_when_no_other_user_can_read_it() {
    let text = sound("\"hunter2\"", "");
    for (mode, accepted) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
        let (_folder, path) = folder_with(text.as_bytes(), mode);
        match load(&path) {
            Ok(loaded) => {
                assert!(accepted, "{mode:o}");
                assert!(!format!("{loaded:?}").contains("hunter2"));
            }
            Err(errors) => {
                assert!(!accepted, "{errors}");
                let reported = errors.to_string();
                assert!(
                    reported.contains(&format!("mode {mode:04o}"))
                        && reported.contains("chmod 600"),
                    "{reported}"
                );
                assert!(reported.contains("11 | password = …"), "{reported}");
                assert!(!format!("{errors:?}").contains("hunter2"));
            }
        }
    }
}

#[test]
fn every_secret_is_listed_with_its_place() {
    let text =
        sound("{ credential = \"hq\" }", "").replace("user =", "totp = { env = \"T\" }\nuser =");
    let secrets = secrets(&load_text(&text).unwrap().config);
    let reported: Vec<String> = secrets
        .iter()
        .map(|(place, source)| format!("{place}: {source}"))
        .collect();
    assert_eq!(
        reported,
        [
            "ca office: key: file /etc/renewd/ca.key",
            "firewall hq: password: credential hq",
            "firewall hq: totp: environment variable T"
        ]
    );
}

#[test]
fn companions_are_read_in_their_order_and_may_refer_to_each_other() {
    let (folder, path) = folder_with(CA.as_bytes(), 0o600);
    let companions = folder.path().join("conf.d");
    fs::create_dir(&companions).unwrap();
    fs::write(companions.join("a.toml"), CERTIFICATE).unwrap();
    fs::write(
        companions.join("b.toml"),
        FIREWALL.replace("PASSWORD", "{ env = \"X\" }"),
    )
    .unwrap();
    for ignored in ["b.toml~", ".hidden.toml", "README"] {
        fs::write(companions.join(ignored), "not = [TOML").unwrap();
    }
    let loaded = load(&path).unwrap();
    assert_eq!(
        loaded.files,
        [path, companions.join("a.toml"), companions.join("b.toml")].map(Arc::from)
    );
    assert!(loaded.config.certificates.contains_key("portal"));
}

#[test]
fn companions_hold_no_daemon_and_mistakes_are_reported_of_all_files() {
    let (folder, path) = folder_with(format!("{CA}{CERTIFICATE}").as_bytes(), 0o600);
    let companions = folder.path().join("conf.d");
    fs::create_dir_all(companions.join("c.toml")).unwrap();
    fs::write(
        companions.join("a.toml"),
        "[daemon]\nmax_concurrent_renewals = 0\n[renewal]\n",
    )
    .unwrap();
    fs::write(companions.join("b.toml"), CA).unwrap();
    fs::write(companions.join("d.toml"), b"# \xff\n").unwrap();
    let reported = reported(folder.path(), &load(&path).unwrap_err());
    let first_lines: Vec<&str> = reported
        .lines()
        .filter(|line| line.starts_with('/'))
        .collect();
    assert_eq!(
        first_lines,
        [
            "/etc/renewd/renewd.toml:8:12: error: there is no [[firewall]] with the name `hq`",
            "/etc/renewd/conf.d/a.toml:1:2: error: [daemon] belongs in the main file only",
            "/etc/renewd/conf.d/a.toml:2:27: error: `max_concurrent_renewals` must be between 1 and 256, not 0",
            "/etc/renewd/conf.d/a.toml:3:2: error: [renewal] belongs in the main file only",
            "/etc/renewd/conf.d/b.toml:3:8: error: there are two [[ca]] with the name `office`",
            "/etc/renewd/conf.d/c.toml: error: cannot be read: Is a directory (os error 21)",
            "/etc/renewd/conf.d/d.toml:1:3: error: this is not UTF-8",
        ]
    );
}

#[test]
fn a_file_that_is_not_there_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let errors = load(&folder.path().join("renewd.toml")).unwrap_err();
    let reported = errors.to_string();
    assert!(
        reported.contains("renewd.toml: error: cannot be read: No such file"),
        "{reported}"
    );
    assert_eq!((errors.errors(), errors.0[0].line), (1, 0));
}

#[test]
fn an_empty_configuration_is_used_with_a_warning() {
    let warnings = load_text("").unwrap().warnings;
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].message.contains("no [[certificate]]"));
    assert_eq!(warnings[0].severity, Severity::Warning);
}

#[test]
fn what_is_possible_and_unwise_is_a_warning() {
    let text = sound("{ env = \"X\" }", "renewal = { renew_after = 0.95 }\n")
        .replace("user =", "login = \"basic\"\nuser =")
        .replace("VPN.example.com", "www.example.com")
        .replace("subject = {", "subject = { country = \"Neverland\",");
    let warnings = load_text(&text).unwrap().warnings;
    let reported: Vec<&str> = warnings.iter().map(|warning| &*warning.message).collect();
    assert_eq!(
        reported,
        [
            "Basic sends the password itself to the device",
            "this country is not known: the device may refuse it",
            "`common_name` and `dns_names` differ: browsers accept www.example.com only",
            "this leaves little time when a renewal fails",
        ]
    );
}

#[test]
fn a_mistake_carries_the_offending_text_but_never_a_secret() {
    let text = sound("12345678", "digest = \"md5\"\n")
        .replace("user =", "usr_password = \"hunter2\"\nuser =");
    let errors = load_text(&text).unwrap_err().0;
    let offending: Vec<Option<&str>> = errors
        .iter()
        .map(|error| error.offending.as_deref())
        .collect();
    assert_eq!(offending, [Some("usr_password"), None, Some("\"md5\"")]);
    assert!(!format!("{errors:?}").contains("12345678"));
    assert!(!format!("{errors:?}").contains("hunter2"));
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let reported = load_text("\"\\u001b[31m\" = 1\n# \u{9b}31m\nx = 1 # \u{7f}\n")
        .unwrap_err()
        .to_string();
    assert!(
        !reported.contains(|c: char| c.is_control() && c != '\n'),
        "{reported:?}"
    );
}

#[test]
fn several_names_and_a_wildcard_are_for_a_key_that_renewd_makes() {
    let text = sound("{ credential = \"hq\" }", "key = { origin = \"renewd\" }").replace(
        "dns_names = [\"VPN.example.com\"]",
        "dns_names = [\"VPN.example.com\", \"*.example.net\"]\nip_addresses = [\"192.0.2.1\", \"2001:db8::1\"]\n\
         email_addresses = [\"admin@example.com\"]",
    );
    let text = format!("[daemon]\nsealing_key = {{ credential = \"renewd-seal\" }}\n{text}");
    let loaded = load_text(&text).unwrap();
    assert_eq!(loaded.warnings, []);
    let certificate = &loaded.config.certificates["portal"];
    assert_eq!(certificate.key_origin, crate::inventory::KeyOrigin::Renewd);
    let names: Vec<String> = certificate
        .request
        .alternate_names
        .iter()
        .map(ToString::to_string)
        .collect();
    let all = [
        "vpn.example.com",
        "*.example.net",
        "192.0.2.1",
        "2001:db8::1",
        "admin@example.com",
    ];
    assert_eq!(names, all);
    let secrets = secrets(&loaded.config);
    assert!(
        secrets
            .iter()
            .any(|(place, source)| place == "daemon: sealing_key"
                && source.to_string() == "credential renewd-seal")
    );
}

#[test]
fn an_address_of_a_service_that_another_certificate_has_is_refused() {
    let other = CERTIFICATE
        .replace("\"portal\"", "\"vpn\"")
        .replace("vpn.example.com", "users.example.com");
    let load = |endpoints: &str| {
        let endpoints = format!("endpoints = [{endpoints}]\n");
        let more = format!(
            "services = [\"web-management\"]\n{endpoints}{other}services = [\"ssl-vpn\"]\n"
        );
        load_text(&sound("{ env = \"HQ\" }", &more))
    };
    let good = "\"[2001:db8::1]:8443\", \"192.0.2.7:443\"";
    assert_eq!(load(good).unwrap().config.certificates.len(), 2);
    let reported = load("\"[2001:db8::1]:8443\", \"[2001:db8::1]:4433\"").unwrap_err();
    let reported = reported.to_string();
    for part in ["`portal` is to be proven at", ":4433", "serves `vpn`"] {
        assert!(reported.contains(part), "{reported}");
    }
}
