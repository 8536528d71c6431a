//! No secret is ever written: not to stdout, not to stderr, not to the log at its loudest, not to the database.

use data_encoding::BASE64;
use simulators::sonicos::{Profile, Variants};

use super::office::{CommandOutput, Office, PASSWORD};

/// The password, and as HTTP Basic would carry it.
fn forms() -> [String; 2] {
    let basic = BASE64.encode(format!("renewd:{PASSWORD}").as_bytes());
    [PASSWORD.to_owned(), basic]
}

#[track_caller]
fn assert_silent(what: &str, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    for form in forms() {
        assert!(!text.contains(&form), "{what} holds the password");
    }
}

fn assert_no_secret_printed(arguments: &[&str], output: &CommandOutput) {
    assert_silent(
        &format!("stdout of {arguments:?}"),
        output.stdout.as_bytes(),
    );
    assert_silent(
        &format!("stderr of {arguments:?}"),
        output.stderr.as_bytes(),
    );
}

/// Everything in the folder but the password file itself.
fn assert_files_silent(office: &Office) {
    let mut looked_at = 0;
    for file in std::fs::read_dir(office.folder.path()).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() && path != office.path("hq.password") {
            assert_silent(&path.display().to_string(), &std::fs::read(&path).unwrap());
            looked_at += 1;
        }
    }
    assert!(
        looked_at >= 4,
        "configuration, CA and database were looked at"
    );
}

async fn no_secret_is_revealed(profile: Profile, variants: Variants) {
    let office = Office::of(profile, variants).await;
    for arguments in [
        &["run", "--once", "--log", "trace"][..],
        &["run", "--once", "--log", "trace", "--log-format", "text"],
        &["check", "--online"],
        &["discover", "hq"],
        &["status", "--json"],
        &["show", "hq-portal", "--json"],
        &["explain", "hq-portal"],
    ] {
        assert_no_secret_printed(arguments, &office.renewd(arguments).with_code(0));
    }
    assert_files_silent(&office);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_with_digest_reveals_no_secret_at_the_trace_log_level() {
    no_secret_is_revealed(Profile::V8, Variants::kind()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_with_basic_reveals_no_secret_at_the_trace_log_level() {
    let variants = Variants {
        digest_sha256: false,
        digest_md5: Some(false),
        chap: Some(false),
        basic: Some(true),
        ..Variants::kind()
    };
    no_secret_is_revealed(Profile::V7_0, variants).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_password_is_not_repeated() {
    let office = Office::new().await;
    // The right one for the device, the wrong user: what is refused is the secret of this test.
    let text = office
        .configuration()
        .replace("user = \"renewd\"", "user = \"unknown\"");
    office.configure(&text);
    let arguments = ["run", "--once", "--log", "trace"];
    assert_no_secret_printed(&arguments, &office.renewd(&arguments).with_code(1));
    assert_files_silent(&office);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_beside_an_inline_password_does_not_show_it() {
    let office = Office::new().await;
    let inline = format!("password = \"{PASSWORD}\", sise = 1");
    let reference = "password = { file = \"hq.password\" }";
    office.configure(&office.configuration().replace(reference, &inline));
    for arguments in [&["check"][..], &["run", "--once"]] {
        let output = office.renewd(arguments).with_code(78);
        assert!(output.stderr.contains("sise"), "{output:#?}");
        assert_no_secret_printed(arguments, &output);
    }
}
