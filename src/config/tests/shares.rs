//! A fleet is read by several threads; the result is the same as with one.

use super::*;

const MANY: usize = 500;

fn firewall(n: usize) -> String {
    let firewall = FIREWALL.replace("PASSWORD", "\"hunter2\"");
    firewall.replace("\"hq\"", &format!("\"fw-{n}\""))
}

fn certificate(n: usize) -> String {
    let certificate = CERTIFICATE.replace("\"hq\"", &format!("\"fw-{n}\""));
    certificate.replace("\"portal\"", &format!("\"portal-{n}\""))
}

/// What is wrong, a line each: file, line and words.
fn lines(folder: &Path, errors: &ConfigErrors) -> Vec<String> {
    let reported = reported(folder, errors);
    assert!(!reported.contains("hunter2"), "{reported}");
    let heads = reported.lines().filter(|line| line.starts_with("/etc/"));
    heads.map(str::to_owned).collect()
}

#[test]
fn mistakes_far_apart_in_one_file_are_reported_in_order_with_what_they_refer_to() {
    let mut text = CA.to_owned();
    for n in 0..MANY {
        text += &firewall(n);
        text += &certificate(n);
    }
    // The name of the first, beside a secret whose line is shown; and a firewall that there is not.
    text += &firewall(0).replace("password", "pasword");
    text += &certificate(MANY);
    let (folder, path) = folder_with(text.as_bytes(), 0o600);
    let errors = load(&path).unwrap_err();
    let lines = lines(folder.path(), &errors);
    let wanted = [
        "there are two [[firewall]] with the name `fw-0`",
        "unknown key `pasword`",
        "there is no [[firewall]] with the name `fw-500`",
    ];
    for wanted in wanted {
        assert!(lines.iter().any(|line| line.contains(wanted)), "{lines:#?}");
    }
    assert!(
        errors.to_string().contains("renewd.toml:7\n"),
        "the first is named: {errors}"
    );
    let places: Vec<usize> = errors.0.iter().map(|error| error.line).collect();
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn mistakes_in_a_folder_of_many_files_are_reported_with_their_own_file() {
    let (folder, path) = folder_with(CA.as_bytes(), 0o600);
    let companions = folder.path().join("conf.d");
    fs::create_dir(&companions).unwrap();
    for n in 0..MANY {
        let file = companions.join(format!("{n:03}.toml"));
        let text = match n {
            123 => firewall(n) + "nmae = 1\n",
            456 => firewall(7) + &certificate(n).replace("\"fw-456\"", "\"fw-7\""),
            n => firewall(n) + &certificate(n),
        };
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let errors = load(&path).unwrap_err();
    let lines = lines(folder.path(), &errors);
    assert!(
        lines[0].starts_with("/etc/renewd/conf.d/123.toml:9:1: error: unknown key `nmae`"),
        "{lines:#?}"
    );
    assert!(
        lines[1].starts_with("/etc/renewd/conf.d/456.toml:3:8: error: there are two [[firewall]]"),
        "{lines:#?}"
    );
    assert!(errors.to_string().contains("conf.d/007.toml:3"), "{errors}");
}

#[test]
fn a_fleet_is_whole_and_in_order_however_it_was_shared() {
    let (folder, path) = folder_with(CA.as_bytes(), 0o600);
    let companions = folder.path().join("conf.d");
    fs::create_dir(&companions).unwrap();
    for n in 0..MANY {
        let file = companions.join(format!("{n:03}.toml"));
        fs::write(&file, firewall(n) + &certificate(n)).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let loaded = load(&path).unwrap();
    assert_eq!(loaded.config.firewalls.len(), MANY);
    assert_eq!(loaded.config.certificates.len(), MANY);
    assert_eq!(loaded.files.len(), MANY + 1);
    assert!(loaded.files[1..].is_sorted());
    let one = &loaded.config.certificates["portal-321"];
    assert_eq!(&*one.firewall, "fw-321");
}
