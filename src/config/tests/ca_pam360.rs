//! `driver.pam360`.

use super::*;
use crate::ca::pam360::{Dialect, Encoding, InputData, Product, Settings, Signer};
use crate::tls::Anchor;

/// A PAM360 with these lines besides the least that it needs.
fn pam360(more: &str) -> String {
    format!(
        r#"
[[ca]]
name = "vault"
[ca.driver.pam360]
url = "https://pam360.example.com:8282"
token = {{ env = "PAM360_TOKEN" }}
sign_with = {{ root = {{ common_name = "Office Root", serial_number = "1879376424c" }} }}
{more}
"#
    )
}

fn settings(text: &str) -> Settings {
    let loaded = load_text(text).unwrap_or_else(|errors| panic!("{errors}"));
    let ca::Settings::Pam360(settings) = &loaded.config.cas["vault"] else {
        panic!("vault is a PAM360")
    };
    settings.as_ref().clone()
}

/// The messages about `text`, in the order of their places.
fn messages(text: &str) -> Vec<String> {
    let errors = load_text(text).unwrap_err().0;
    errors.into_iter().map(|error| error.message).collect()
}

#[test]
fn what_is_left_out_of_a_pam360_has_its_default() {
    let settings = settings(&pam360(""));
    assert_eq!(settings.product, Product::Pam360);
    assert!(matches!(settings.trust.anchor, Anchor::System));
    assert_eq!(settings.timeout.as_secs(), 30);
    assert_eq!(settings.validity_days, 90);
    assert!(!settings.is_intermediate && settings.csr_list_operation.is_none());
    assert_eq!(settings.dialect, Dialect::default());
}

#[test]
fn everything_that_is_written_counts() {
    let text = pam360(
        r#"
product = "key-manager-plus"
organization = "Example Org"
trust = { ca = "ca.pem" }
timeout = "2m"
validity_days = 47
expiry_email = "admin@example.com"
csr_list_operation = "getCSRList"
chain = "chain.pem"
input_data = "query"
csr_id_as = "plain"
validity_as = "text"
is_intermediate_as = "plain"
certificate_file_type = ""
"#,
    );
    let settings = settings(&text);
    assert_eq!(settings.product, Product::KeyManagerPlus);
    assert_eq!(settings.organization.as_deref(), Some("Example Org"));
    assert_eq!(settings.csr_list_operation.as_deref(), Some("getCSRList"));
    assert!(settings.chain.unwrap().is_absolute());
    assert_eq!(settings.validity_days, 47);
    let dialect = Dialect {
        input_data: InputData::Query,
        csr_id: Encoding::Plain,
        validity: Encoding::Text,
        is_intermediate: Encoding::Plain,
        certificate_file_type: String::new(),
    };
    assert_eq!(settings.dialect, dialect);
}

#[test]
fn an_agent_is_waited_for_ninety_seconds_where_nothing_else_is_written() {
    let agent = r#"{ msca_using_agent = { server = "ca1.corp.example", ca = "corp-issuing-ca", template = "WebServer", agent = "agent1" } }"#;
    let text = pam360("").replace(
        r#"{ root = { common_name = "Office Root", serial_number = "1879376424c" } }"#,
        agent,
    );
    let Signer::MscaUsingAgent {
        ca,
        agent,
        response_timeout,
    } = settings(&text).signer
    else {
        panic!("{text}")
    };
    assert_eq!(
        (ca.template.as_str(), agent.as_str()),
        ("WebServer", "agent1")
    );
    assert_eq!(response_timeout.as_secs(), 90);
}

#[test]
fn each_mistake_has_its_message() {
    for (from, to, message) in [
        (
            "https://pam360",
            "http://pam360",
            "a CA is reached by https, not by http",
        ),
        (
            "https://pam360",
            "https://me:secret@pam360",
            "a URL must not hold a user or a password",
        ),
        (
            ":8282",
            ":8282/?AUTHTOKEN=secret",
            "the address must end after its path",
        ),
        (
            "\"Office Root\"",
            "\" \"",
            "this text is empty or has control characters",
        ),
        ("{ env", "{ enw", "unknown key `enw`"),
    ] {
        let reported = messages(&pam360("").replace(from, to));
        assert!(!format!("{reported:?}").contains("secret"), "{reported:?}");
        assert_eq!(reported.first().map(String::as_str), Some(message), "{to}");
    }
    for (more, message) in [
        (
            "csr_list_operation = \"get/../x\"",
            "`get/../x` cannot be the name of an operation",
        ),
        ("expiry_email = \"admin\"", "`admin` is not a mail address"),
        ("timeout = \"1h\"", "`1h` is too long"),
        (
            "validity_days = 0",
            "`validity_days` must be between 1 and 825, not 0",
        ),
    ] {
        assert_eq!(messages(&pam360(more)), [message]);
    }
    let reported = messages("[[ca]]\nname = \"vault\"\ndriver.pam360 = {}\n");
    assert_eq!(reported.len(), 3, "{reported:?}");
}

#[test]
fn to_ask_for_ca_certificates_is_a_warning() {
    let warnings = load_text(&pam360("is_intermediate = true"))
        .unwrap()
        .warnings;
    assert!(
        warnings
            .iter()
            .any(|warning| warning.message.contains("refuses to install")),
        "{warnings:?}"
    );
}
