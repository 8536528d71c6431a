//! `driver.resello`, sound and broken.

use jiff::SignedDuration;

use super::*;
use crate::ca::resello::{Control, Download, Level, PlanChoice, RenewalMode, Settings};
use crate::dcv;
use crate::tls::Anchor;

const SHOP: &str = r#"
[[ca]]
name = "shop"
[ca.driver.resello]
url = "https://api.example.com/v1"
user = "example"
api_key = { credential = "shop" }
plan = "PositiveSSL"
"#;

const FILES: &str = "validation.http = {}\n";

/// The section with `more` in it, and a certificate elsewhere so that nothing is missing.
fn load_shop(more: &str) -> Result<Loaded, ConfigErrors> {
    let rest = sound("{ env = \"X\" }", "");
    load_text(&format!("{SHOP}{more}{rest}"))
}

fn settings(more: &str) -> Settings {
    let config = load_shop(more).unwrap().config;
    match &config.cas["shop"] {
        ca::Settings::Resello(settings) => settings.as_ref().clone(),
        other => panic!("{other:?}"),
    }
}

fn warnings(more: &str) -> Vec<String> {
    let warnings = load_shop(more).unwrap().warnings;
    warnings
        .into_iter()
        .map(|warning| warning.message)
        .collect()
}

/// What is said of `more`, each with its hint.
fn said(more: &str) -> String {
    load_shop(more).unwrap_err().to_string()
}

#[test]
fn defaults_cost_little_and_need_no_operator() {
    let settings = settings(FILES);
    assert_eq!(settings.url.as_str(), "https://api.example.com/v1");
    assert_eq!(settings.plan, PlanChoice::Name("PositiveSSL".to_owned()));
    assert_eq!(settings.level, Level::Domain);
    assert_eq!(settings.renewal_mode, RenewalMode::Renew);
    assert_eq!(settings.download, Download::Crt);
    assert_eq!(settings.proof_host, "sectigo.com");
    assert_eq!(settings.budget.orders, 10);
    assert_eq!(settings.budget.within, SignedDuration::from_hours(30 * 24));
    assert_eq!(settings.timeout.as_secs(), 30);
    assert!(matches!(settings.trust.anchor, Anchor::System) && !settings.elliptic_keys);
    assert!(matches!(
        settings.control,
        Control::Published(dcv::Settings::Http(_))
    ));
    assert_eq!(settings.applicant.fields(), []);
    assert_eq!(warnings(FILES), [""; 0]);
}

#[test]
fn every_key_is_read() {
    let settings = settings(
        "validation_level = \"ev\"\nrenewal_mode = \"buy\"\ndownload = \"zip\"\nelliptic_keys = true\n\
         proof_host = \"comodoca.com\"\norder_budget = { orders = 2, within = \"1d\" }\n\
         applicant = { company_name = \"A\", department = \"B\", address = \"C\", zip_code = \"D\", city = \"E\", \
         chamber_of_commerce = \"F\" }\n\
         approver = { first_name = \"G\", last_name = \"H\", email_address = \"admin@example.com\", \
         phone_number = \"+31.612345678\" }\n",
    );
    assert_eq!(settings.level, Level::Extended);
    assert_eq!(
        (settings.renewal_mode, settings.download),
        (RenewalMode::Buy, Download::Zip)
    );
    assert!(settings.elliptic_keys && matches!(settings.control, Control::Mail));
    assert_eq!(
        (&*settings.proof_host, settings.budget.orders),
        ("comodoca.com", 2)
    );
    let fields = settings.applicant.fields();
    let values: String = fields.iter().map(|(_, value)| *value).collect();
    assert_eq!(values, "ABCDEFGHadmin@example.com+31.612345678");
}

#[test]
fn secrets_are_listed_with_their_keys() {
    let settings = ca::Settings::Resello(Box::new(settings(FILES)));
    let secrets = settings.secrets();
    let keys: Vec<&str> = secrets.iter().map(|(key, _)| *key).collect();
    assert_eq!(keys, ["api_key"]);
}

#[test]
fn an_organization_must_tell_what_the_ca_will_ask_for() {
    let more = format!("{FILES}validation_level = \"ov\"\napplicant = {{ department = \"IT\" }}\n");
    let said = said(&more);
    let words =
        "this level needs applicant.chamber_of_commerce, approver.first_name, approver.last_name";
    assert!(said.contains(words), "{said}");
}

#[test]
fn a_way_to_prove_control_over_the_domain_is_needed() {
    let lacking = said("");
    assert!(
        lacking.contains("nothing says how control over the domain is proven"),
        "{lacking}"
    );
    assert!(lacking.contains("`validation.dns`"), "{lacking}");
    let mail = |address| warnings(&format!("approver = {{ email_address = \"{address}\" }}\n"));
    let by_hand = "an operator must follow a link in a mail at each renewal";
    assert_eq!(mail("hostmaster@example.com"), [by_hand]);
    assert_eq!(mail("joe@example.com"), ["the CA sends no mail to `joe`"]);
}

#[test]
fn a_program_that_sets_txt_records_only_is_refused_before_anything_is_paid() {
    let said = said("validation.dns = { provider.exec = { program = \"/bin/true\" } }\n");
    assert!(
        said.contains("`provider.exec` can set TXT records only"),
        "{said}"
    );
}

#[test]
fn a_reissue_is_warned_of() {
    let reported = warnings(&format!("{FILES}renewal_mode = \"reissue\"\n"));
    assert_eq!(reported.len(), 1);
    assert!(
        reported[0].contains("makes the certificate in use invalid"),
        "{reported:?}"
    );
}

#[test]
fn each_wrong_value_is_explained() {
    for (more, words) in [
        (
            "url = \"http://api.example.com\"",
            "a CA is reached by https, not by http",
        ),
        (
            "url = \"https://u:hunter2@api.example.com\"",
            "must not hold a user or a password",
        ),
        ("user = \"a:b\"", "this cannot be the name of an account"),
        ("plan = \" \"", "this text is empty or not one line"),
        ("api_key = \"\"", "this secret is empty"),
    ] {
        let key = more.split(' ').next().unwrap_or_default();
        let without: Vec<&str> = SHOP
            .lines()
            .filter(|line| !line.starts_with(&format!("{key} ")))
            .collect();
        let without = without.join("\n");
        let rest = sound("{ env = \"X\" }", "");
        let said = load_text(&format!("{without}\n{FILES}{more}\n{rest}"))
            .unwrap_err()
            .to_string();
        assert!(
            said.contains(words) && !said.contains("hunter2"),
            "{more}: {said}"
        );
    }
    for (more, words) in [
        ("validation_level = \"dvv\"", "did you mean `dv`?"),
        ("renewal_mode = \"revoke\"", "renewal_mode"),
        ("order_budget = { orders = 0 }", "orders"),
        ("order_budget = { within = \"1m\" }", "`1m` is too short"),
        (
            "approver = { phone_number = \"0612345678\" }",
            "+31.612345678",
        ),
        (
            "approver = { email_address = \"admin\" }",
            "`admin` is not a mail address",
        ),
        (
            "proof_host = \"https://sectigo.com\"",
            "is not a domain name",
        ),
        ("timeout = \"1h\"", "`1h` is too long"),
    ] {
        let said = said(&format!("{FILES}{more}\n"));
        assert!(said.contains(words), "{more}: {said}");
    }
}
