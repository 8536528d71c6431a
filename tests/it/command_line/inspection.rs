//! The read-only commands, and what they print to stdout and stderr.

use simulators::sonicos::Variants;

use super::office::{Office, output};

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_prints_what_is_served_and_the_pin_to_paste() {
    let office = Office::new().await;
    let address = office.simulator.management().to_string();
    let output = office.renewd(&["probe", &address]).with_code(0);
    let pin = format!(
        "trust = {{ sha256 = \"{}\" }}",
        office.simulator.fingerprint()
    );
    let output = output.prints(&["CN=vpn.example.com", "ECDSA P-256", &pin]);
    assert_eq!(output.stderr, "");
    let pem = office
        .renewd(&["probe", &address, "--pem"])
        .with_code(0)
        .stdout;
    let shown = renewd::pki::Certificate::from_pem(&pem).unwrap();
    assert_eq!(
        shown.fingerprint.to_string(),
        office.simulator.fingerprint()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_of_a_closed_port_says_so_on_stderr() {
    let office = Office::new().await;
    // Bound and dropped: no server listens there now.
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let output = office.renewd(&["probe", &closed.to_string()]).with_code(69);
    assert_eq!(output.stdout, "");
    output.complains(&["refused"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn status_show_and_explain_agree_on_a_renewed_certificate() {
    let office = Office::new().await;
    office.renewd(&["run", "--once"]).with_code(0);
    let status = office.renewd(&["status"]).with_code(0);
    let status = status
        .prints(&["CERTIFICATE", "hq-portal", "ok"])
        .fits_80_columns();
    assert_eq!(status.stderr, "");
    let fingerprint = office.simulator.fingerprint();
    let show = office.renewd(&["show", "hq-portal"]).with_code(0);
    show.prints(&[
        &fingerprint,
        "completed",
        "verified -> completed",
        "NSv 270",
    ])
    .fits_80_columns();
    let explain = office.renewd(&["explain", "hq-portal"]).with_code(0);
    explain
        .prints(&[
            "hq-portal: ok",
            "Now",
            "Next",
            "the rule share_of_lifetime_spent renews it at",
        ])
        .fits_80_columns();
    let bad = office.renewd(&["status", "--problems"]).with_code(0);
    assert_eq!(bad.stdout.lines().count(), 1, "only the header");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_firewall_is_shown_with_its_quirks() {
    let office = Office::new().await;
    office.renewd(&["run", "--once"]).with_code(0);
    let output = office.renewd(&["show", "hq"]).with_code(0);
    let output = output.prints(&[
        "NSv 270",
        "refused logins",
        "login=digest SHA-256 (the way to log in that it offers)",
        "hq-portal",
        "ok: nothing to do",
    ]);
    output.fits_80_columns();
    let certificate = office.renewd(&["show", "hq-portal"]).with_code(0);
    certificate.prints(&["login=digest SHA-256"]);
    let output = office.renewd(&["show", "hx"]).with_code(2);
    output.complains(&["no certificate or firewall is called `hx`"]);
    let output = office.renewd(&["show", "--firewall", "hq-portal"]);
    output.with_code(2).complains(&["no firewall is called"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_with_one_name_the_certificate_is_shown_and_a_hint_names_the_firewall() {
    let office = Office::new().await;
    let text = office.configuration();
    office.configure(&text.replace("name = \"hq-portal\"", "name = \"hq\""));
    office.renewd(&["run", "--once"]).with_code(0);
    let output = office.renewd(&["show", "hq"]).with_code(0);
    output
        .prints(&["certificate", "History"])
        .complains(&["renewd show --firewall hq"]);
    let output = office.renewd(&["show", "--firewall", "hq"]).with_code(0);
    assert_eq!(output.stderr, "");
    output.prints(&["Its certificates"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_an_operator_is_explained_and_then_done() {
    let office = Office::new().await;
    office.renewd(&["run", "--once"]).with_code(0);
    office
        .renewd(&["renew", "hq-portal"])
        .with_code(0)
        .prints(&["renewd run --once"]);
    let output = office.renewd(&["explain", "hq-portal"]).with_code(0);
    output.prints(&["rule requested", "when the daemon checks next"]);
    office
        .renewd(&["run", "--once"])
        .with_code(0)
        .prints(&["hq-portal: completed"]);
    assert_eq!(office.simulator.counters().key_pairs_generated, 2);
    let renewals = &office.renewd(&["show", "hq-portal", "--json"]).json()["renewals"];
    assert_eq!(renewals[0]["reason"], "requested");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_another_administrator_is_explained_by_name() {
    let office = Office::new().await;
    let other = office.simulator.other_administrator();
    other.has_pending_change("address-object ipv4 printer");
    office
        .renewd(&["run", "--once"])
        .with_code(1)
        .prints(&["goes on in"]);
    let output = office.renewd(&["explain", "hq-portal"]).with_code(0);
    output
        .prints(&["waiting for", "the step generate_csr is taken at"])
        .fits_80_columns();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_discover_prints_can_be_pasted() {
    let office = Office::new().await;
    let output = office.renewd(&["discover", "hq"]).with_code(0);
    let output = output
        .prints(&["fw-initial", "NSv 270", "# To keep them renewed"])
        .fits_80_columns();
    let (_, toml) = output.stdout.split_once("# To keep").unwrap();
    let port = office.simulator.ssl_vpn().port();
    let text = office.configuration();
    let text = text.replace("trust = {", &format!("ssl_vpn_port = {port}, trust = {{"));
    let (before, _) = text.split_once("[[certificate]]").unwrap();
    office.configure(&format!("{before}# To keep{toml}"));
    office.renewd(&["check"]).with_code(0);
    office
        .renewd(&["run", "--once"])
        .with_code(0)
        .prints(&["hq-web-management: completed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_is_shown_and_never_overwritten() {
    let office = Office::with(Variants::kind()).await;
    let before = std::fs::read(office.path("ca.key")).unwrap();
    office
        .renewd(&["ca", "init", "office"])
        .with_code(71)
        .complains(&["ca."]);
    assert_eq!(std::fs::read(office.path("ca.key")).unwrap(), before);
    office
        .renewd(&["ca", "show", "office"])
        .with_code(0)
        .prints(&["CN=renewd office CA"]);
    office
        .renewd(&["ca", "show", "offic"])
        .with_code(2)
        .complains(&["did you mean `office`?"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_output_pipe_is_no_failure() {
    let office = Office::new().await;
    let script = "\"$0\" schema | head -1 > first; test ${PIPESTATUS[0]} = 0";
    let output = output(
        super::office::renewd_by("bash", office.folder.path()).args([
            "-c",
            script,
            env!("CARGO_BIN_EXE_renewd"),
        ]),
    );
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
}
