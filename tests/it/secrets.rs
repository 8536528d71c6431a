//! Peers that repeat what they received: whatever a firewall or a CA repeats, and in whatever encoding, no secret is in
//! the log at level `trace`, in the history, in any file but those that hold it, or in the output of the commands.
//!
//! One run after the other stands in one thread, because the log of a thread is what is caught.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use jiff::SignedDuration;
use regex::Regex;
use renewd::clock::Clock;
use renewd::config;
use renewd::secret::SecretSource;
use renewd::telemetry;
use simulators::ca::{Fault, On};
use simulators::sonicos::{Action, KeyPairForm, Profile, Rule, Variants};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

use crate::contract::acme::Acme;
use crate::contract::pam360::Pam360;
use crate::contract::resello::Resello;
use crate::contract::venafi::Venafi;
use crate::contract::{Fixture, Subject};
use crate::domain_control::apis;
use crate::test_bed::{self, CERTIFICATE, PASSWORD, TestBed};

#[tokio::test]
async fn a_firewall_that_repeats_every_request_reveals_no_secret() {
    for letters in LETTERS {
        let variants = Variants {
            key_pair_form: Some(KeyPairForm::Path),
            digest_sha256: false,
            digest_md5: Some(false),
            chap: Some(false),
            basic: Some(true),
            ..Variants::kind()
        };
        let bed = TestBed::with(Profile::V7_0, variants).await;
        let text = std::fs::read_to_string(bed.config_file()).unwrap();
        let text = text.replace("size = 256 }", "size = 256, origin = \"renewd\" }");
        std::fs::write(bed.config_file(), text).unwrap();
        bed.simulator.rule(Rule::once(
            "PUT",
            "/import/certificates/cert-key-pair",
            Action::Echo(400, letters),
        ));
        echoes(&bed, &["POST", "GET", "PUT", "DELETE"], letters).await;
    }
}

#[tokio::test]
async fn a_firewall_that_repeats_its_transfer_commands_reveals_no_secret() {
    for letters in LETTERS {
        let bed = TestBed::new(Profile::V6_5).await;
        let carry = Rule::once("PUT", "/certificates/export", Action::Echo(400, letters));
        bed.simulator.rule(carry);
        echoes(&bed, &["PUT", "POST"], letters).await;
    }
}

#[tokio::test]
async fn pam360_that_repeats_its_token_reveals_no_secret() {
    at_a_ca(Fixture::<Pam360>::new).await;
}

#[tokio::test]
async fn tls_protect_cloud_that_repeats_its_key_reveals_no_secret() {
    at_a_ca(Fixture::<Venafi>::new).await;
}

#[tokio::test]
async fn a_shop_that_repeats_its_key_reveals_no_secret() {
    at_a_ca(Fixture::<Resello>::new).await;
}

#[tokio::test]
async fn an_acme_server_that_repeats_the_key_of_its_customer_reveals_no_secret() {
    at_a_ca(async || {
        let keys =
            r#", external_account = { key_id = "kid-1", hmac_key = { file = "FOLDER/key" } }"#;
        let fixture = acme(|ca| ca.driver_with(keys)).await;
        let key = BASE64URL_NOPAD.encode(b"an HMAC key that only tests know");
        test_bed::write_secret(&fixture.bed.folder.path().join("key"), &key);
        fixture
    })
    .await;
}

#[tokio::test]
async fn a_dns_provider_that_repeats_its_key_reveals_no_secret() {
    let secrets = BTreeSet::from([DNS_KEY.to_owned()]);
    for letters in [0, 285] {
        for shape in SHAPES {
            let body = shape.replace("SAID", &said(letters, &secrets));
            let statuses = ["422 No", "422 No", "401 No", "500 No", "200 OK", "403 No"];
            let answers = statuses.map(|status| (status, body.clone())).to_vec();
            let provider = apis::answering(answers).await;
            let dns = format!(
                r#"dns = {{ provider.powerdns = {{ url = "http://{provider}", key = {{ file = "FOLDER/key" }} }}, zone = "example.com", check = false }}"#
            );
            let fixture = acme(|ca| ca.driver_that_proves(&dns, "")).await;
            test_bed::write_secret(&fixture.bed.folder.path().join("key"), DNS_KEY);
            let log = Log::catch();
            two_days(&fixture.bed).await;
            let reported = format!("{:?}", fixture.bed.history().await);
            assert!(reported.contains("powerdns: "), "{reported}");
            assert_silent(&fixture.bed, &log, &secrets, shape);
            if letters == 0 && shape == "SAID" {
                assert!(
                    reported.contains("[secret]"),
                    "nothing was repeated: {reported}"
                );
            }
        }
    }
}

/// A test bed with an ACME server that looks at proofs, and this `driver` line.
async fn acme(driver: impl FnOnce(&Acme) -> String) -> Fixture<Acme> {
    let clock = test_bed::today();
    let ca = Acme::with(Arc::clone(&clock), |_| {}).await;
    let bed = TestBed::with_ca(Profile::V8, Variants::kind(), clock, &driver(&ca)).await;
    ca.prepare(&bed);
    Fixture { ca, bed }
}

const DNS_KEY: &str = "hunter2/and \"more";

/// With the cookie of a session goes the session.
#[test]
fn cookie_messages_of_a_library_are_not_logged_at_any_level() {
    let log = Log::catch();
    tracing::error!(target: "cookie_store::cookie_store", "inserting Set-Cookie 'SessId=7431'");
    tracing::trace!(target: "renewd::telemetry", "this is");
    let text = String::from_utf8(log.text()).unwrap();
    assert!(text.contains("this is") && !text.contains("7431"), "{text}");
}

/// The search itself can find something.
#[test]
fn each_form_of_a_secret_is_found() {
    for form in forms("p\"a ss/w") {
        assert_eq!(leak(form.as_bytes(), "p\"a ss/w"), Some(form));
    }
    assert_eq!(leak(b"nothing of it", "p\"a ss/w"), None);
    assert!(leak("it said hunt… (400)".as_bytes(), "hunter2").is_some());
}

/// Runs with a device that repeats one request after the other.
async fn echoes(bed: &TestBed, methods: &[&str], letters: usize) {
    let log = Log::catch();
    for nth in 0..4 {
        for method in methods {
            let status = if nth % 2 == 0 { 400 } else { 500 };
            let rule = Rule::once(method, "", Action::Echo(status, letters));
            bed.simulator.rule(rule.repeated(nth, 1));
            bed.run_once().await;
            bed.clock.advance(SignedDuration::from_hours(26));
        }
    }
    let echoed = bed.simulator.echoed();
    let mut secrets = one_time(&echoed);
    assert!(!secrets.is_empty(), "no one-time password: {echoed:?}");
    secrets.insert(PASSWORD.to_owned());
    assert_silent(bed, &log, &secrets, &format!("{methods:?} after {letters}"));
}

/// So many letters stand before what is repeated, so that the cut of a long text falls behind, into and before a secret.
const LETTERS: [usize; 4] = [0, 235, 262, 285];

/// The passwords that are good once, in what was echoed: of PKCS#12 files, and of transfers.
fn one_time(echoed: &[String]) -> BTreeSet<String> {
    let of_file = Regex::new(r"/password/([A-Z0-9]{24})").unwrap();
    let of_transfer = Regex::new(r"(?:scp|ftp)://[^:/@\s]+:([^@/\s]+)@").unwrap();
    let found = echoed.iter().flat_map(|said| {
        let all = of_file
            .captures_iter(said)
            .chain(of_transfer.captures_iter(said));
        all.map(|found| found[1].to_owned()).collect::<Vec<_>>()
    });
    found.collect()
}

/// A CA that puts our own secrets, in every encoding, into every place of its answers.
async fn at_a_ca<S: Subject>(fixture: impl AsyncFn() -> Fixture<S>) {
    for letters in [0, 285] {
        for shape in SHAPES {
            let fixture = fixture().await;
            let secrets = of_the_ca(&fixture.bed);
            assert!(!secrets.is_empty(), "this CA has no secret");
            for (nth, status) in (1..).zip([401, 400, 500, 200, 404, 302, 422, 503, 200, 409]) {
                let words = said(letters, &secrets);
                let headers = HEADERS
                    .map(|name| (name.to_owned(), words.clone()))
                    .to_vec();
                let fault = Fault::Status(status, shape.replace("SAID", &words), headers);
                fixture.ca.port().fault(On::any(nth), fault);
            }
            let log = Log::catch();
            two_days(&fixture.bed).await;
            assert!(fixture.ca.port().faults_used() >= 3);
            assert_silent(&fixture.bed, &log, &secrets, shape);
            if letters == 0 && shape.starts_with('{') {
                let history = format!("{:?}", fixture.bed.history().await);
                assert!(
                    history.contains("[secret]"),
                    "nothing was repeated: {history}"
                );
            }
        }
    }
}

async fn two_days(bed: &TestBed) {
    let end = bed.clock.now() + SignedDuration::from_hours(48);
    while bed.clock.now() < end {
        bed.run_once().await;
        bed.clock.advance(SignedDuration::from_hours(8));
    }
}

/// The headers that renewd reads, and that a library might log.
const HEADERS: [&str; 6] = [
    "Location",
    "Retry-After",
    "WWW-Authenticate",
    "Set-Cookie",
    "Server",
    "X-Request-Id",
];

/// Every secret, in every form, and whatever would be in its way.
fn said(letters: usize, secrets: &BTreeSet<String>) -> String {
    let all: Vec<String> = secrets.iter().flat_map(|secret| forms(secret)).collect();
    let words = format!("{} {}", "x".repeat(letters), all.join(" "));
    let json = serde_json::to_string(&words).unwrap();
    json.trim_matches('"').to_owned()
}

/// The envelopes of CAs, and what stands before them.
const SHAPES: [&str; 4] = [
    r#"{"error":"SAID","errors":[{"code":7,"message":"SAID"}],"message":"SAID","detail":"SAID","title":"SAID"}"#,
    r#"{"name":"SAID","result":{"status":"Failed","message":"SAID"},"operation":{"name":"SAID","result":{"status":"Failed","message":"SAID"}}}"#,
    "<html><head><title>SAID</title></head><body>SAID</body></html>",
    "SAID",
];

fn of_the_ca(bed: &TestBed) -> BTreeSet<String> {
    let secrets = config::secrets(&bed.config()).into_iter();
    secrets
        .filter(|(place, _)| place.starts_with("ca "))
        .map(|(_, source)| source.read().unwrap().expose().to_owned())
        .collect()
}

/// Nothing of `secrets` is anywhere but where it belongs.
fn assert_silent(bed: &TestBed, log: &Log, secrets: &BTreeSet<String>, case: &str) {
    let mut places = vec![("the log".to_owned(), log.text())];
    for arguments in [
        &["status", "--json"][..],
        &["show", CERTIFICATE, "--json", "--events", "1000"],
        &["show", "hq", "--json"],
        &["explain", CERTIFICATE, "--json"],
        &["history", "verify"],
    ] {
        places.push((format!("{arguments:?}"), printed(bed, arguments)));
    }
    let known = holders(bed);
    let mut files = 0;
    for path in files_in(bed.folder.path()) {
        if !known.contains(&path) {
            places.push((path.display().to_string(), std::fs::read(&path).unwrap()));
            files += 1;
        }
    }
    assert!(files >= 1, "the database was not looked at");
    assert!(places[0].1.len() > 1000, "nothing was logged");
    for (place, content) in places {
        for secret in secrets {
            let leak = leak(&content, secret);
            let around = leak.as_deref().map(|leak| around(&content, leak));
            assert_eq!(leak, None, "{case}: {place}: {around:?}");
        }
    }
}

fn around(content: &[u8], leak: &str) -> String {
    let text = String::from_utf8_lossy(content);
    let at = text.find(leak).unwrap_or(0);
    let start = text.floor_char_boundary(at.saturating_sub(200));
    let end = text.ceil_char_boundary((at + 200).min(text.len()));
    text[start..end].to_owned()
}

fn printed(bed: &TestBed, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(env!("CARGO_BIN_EXE_renewd"))
        .arg("--config")
        .arg(bed.config_file())
        .args(arguments)
        .output()
        .unwrap();
    [output.stdout, output.stderr].concat()
}

/// The files that hold a secret by the operator's will.
fn holders(bed: &TestBed) -> BTreeSet<PathBuf> {
    let sources = config::secrets(&bed.config()).into_iter();
    sources
        .filter_map(|(_, source)| match source {
            SecretSource::File(path) => Some(path),
            _ => None,
        })
        .chain([bed.config_file()])
        .collect()
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                files_in(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// The first form of `secret` in `content`, or what a cut left of it.
fn leak(content: &[u8], secret: &str) -> Option<String> {
    let text = String::from_utf8_lossy(content);
    let forms = forms(secret);
    let whole = forms.iter().find(|form| text.contains(form.as_str()));
    let begun = || {
        let beginnings = forms.iter().filter_map(|form| {
            let beginning = (4..form.len()).rev().map(|end| form.get(..end));
            beginning
                .flatten()
                .find(|begin| text.contains(&format!("{begin}…")))
        });
        beginnings.map(str::to_owned).next()
    };
    whole.cloned().or_else(begun)
}

/// A second implementation of the encodings, independent of the program's.
fn forms(secret: &str) -> Vec<String> {
    let bytes = secret.as_bytes();
    let percent = |hex: fn(u8) -> String| -> String {
        let byte = |&byte: &u8| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            byte => hex(byte),
        };
        bytes.iter().map(byte).collect()
    };
    let json = serde_json::Value::from(secret).to_string();
    let mut forms = vec![
        secret.to_owned(),
        json[1..json.len() - 1].to_owned(),
        HEXLOWER.encode(bytes),
        HEXUPPER.encode(bytes),
        percent(|byte| format!("%{byte:02X}")),
        percent(|byte| format!("%{byte:02x}")),
        url::form_urlencoded::byte_serialize(bytes).collect(),
    ];
    for before in ["", "u", "us"] {
        // Six bits a character: the first and the last may be shared with what stands beside it.
        let text = [before.as_bytes(), bytes].concat();
        for encoding in [BASE64_NOPAD, BASE64URL_NOPAD] {
            let encoded = encoding.encode(&text);
            let start = [0, 2, 3][before.len()];
            forms.push(encoded[start..text.len() * 8 / 6].to_owned());
        }
    }
    forms
}

/// Collects the log of this thread at level `trace` while it exists.
pub struct Log {
    text: Text,
    _caught: tracing::subscriber::DefaultGuard,
}

impl Log {
    pub fn catch() -> Self {
        let text = Text::default();
        let layer = tracing_subscriber::fmt::layer()
            .json()
            .with_writer(text.clone())
            .with_filter(telemetry::filter("trace").unwrap());
        let subscriber = tracing_subscriber::registry().with(layer);
        Self {
            text,
            _caught: tracing::subscriber::set_default(subscriber),
        }
    }

    pub fn text(&self) -> Vec<u8> {
        self.text.0.lock().unwrap().clone()
    }
}

#[derive(Clone, Default)]
struct Text(Arc<Mutex<Vec<u8>>>);

impl io::Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Text {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
