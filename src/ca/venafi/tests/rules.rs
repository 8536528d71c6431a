//! Templates and what they refuse.

use super::super::rules::{keys_in_words, preflight, unreadable};
use super::super::wire::Template;
use crate::pki::testing::key_request;
use crate::pki::{AlternateName, KeyKind};

fn template(json: &str) -> Template {
    serde_json::from_str(json).unwrap()
}

#[test]
fn a_template_without_rules_refuses_nothing() {
    for json in [
        "{}",
        r#"{"subjectCNRegexes":null,"keyTypes":[],"status":"AVAILABLE"}"#,
    ] {
        assert_eq!(
            preflight(&template(json), &key_request()),
            [""; 0],
            "{json}"
        );
    }
}

#[test]
fn expressions_count_for_the_whole_value_with_and_without_anchors() {
    for (regex, fits) in [
        (r"vpn\.example\.com", true),
        (r"^vpn\.example\.com$", true),
        (r"vpn|example\.com", false),
        (r"[a-z]+\.example\.com", true),
        (r"example\.com", false),
        (r".*\.example\.co", false),
        (r"^vpn|.*\.example\.com$", true),
    ] {
        let json = format!(r#"{{"subjectCNRegexes":[{}]}}"#, serde_json::json!(regex));
        let found = preflight(&template(&json), &key_request());
        assert_eq!(found.is_empty(), fits, "{regex}: {found:?}");
    }
}

#[test]
fn each_part_is_held_against_its_own_rule() {
    let template = template(
        r#"{"subjectCNRegexes":["a"],"subjectORegexes":["b"],"subjectOURegexes":["IT"],"subjectCValues":["US"],
            "sanRegexes":[],"sanIpAddressRegexes":[".*"]}"#,
    );
    let found = preflight(&template, &key_request());
    assert_eq!(
        found,
        [
            "the template does not allow the country NL, only US",
            "the O \"Example\" breaks the template, which allows only b",
            "the OU \"Network\" breaks the template, which allows only IT",
            "the CN \"vpn.example.com\" breaks the template, which allows only a",
            "the alternate name (domain) \"vpn.example.com\" breaks the template, which allows none",
        ]
    );
}

#[test]
fn an_address_is_held_against_the_rule_for_addresses() {
    let mut wanted = key_request();
    wanted.alternate_names = vec![AlternateName::Ip("192.0.2.1".parse().unwrap())];
    let template = template(r#"{"sanRegexes":[],"sanIpAddressRegexes":["10\\..*"]}"#);
    let found = preflight(&template, &wanted);
    assert_eq!(
        found,
        [
            r#"the alternate name (address) "192.0.2.1" breaks the template, which allows only 10\..*"#
        ]
    );
}

#[test]
fn a_key_that_the_template_refuses_is_reported_with_those_that_it_accepts() {
    let template = template(
        r#"{"keyTypes":[{"keyType":"RSA","keyLengths":[2048,4096]},{"keyType":"EC","keyCurves":["P384"],"keyLengths":null}]}"#,
    );
    let mut wanted = key_request();
    assert_eq!(
        preflight(&template, &wanted),
        ["the template takes no ECDSA P-256 key, only RSA 2048, 4096; EC P384"]
    );
    wanted.key = KeyKind::Rsa(3072);
    assert_eq!(preflight(&template, &wanted).len(), 1);
    for key in [KeyKind::Rsa(4096), KeyKind::Ecdsa(384)] {
        wanted.key = key;
        assert_eq!(preflight(&template, &wanted), [""; 0], "{key}");
    }
    assert_eq!(keys_in_words(&template).unwrap(), "RSA 2048, 4096; EC P384");
}

#[test]
fn an_unreadable_expression_is_reported_and_refuses_nothing() {
    let template = template(r#"{"subjectCNRegexes":["(?!internal).*","other"]}"#);
    assert_eq!(preflight(&template, &key_request()), [""; 0]);
    assert_eq!(unreadable(&template), ["(?!internal).*"]);
}

#[test]
fn a_template_that_is_unavailable_or_makes_keys_itself_refuses_us() {
    let template = template(
        r#"{"status":"UNAVAILABLE","reason":"CA account disabled","csrUploadAllowed":false}"#,
    );
    assert_eq!(
        preflight(&template, &key_request()),
        [
            "the template is unavailable: CA account disabled",
            "the template takes no CSR that was made elsewhere",
        ]
    );
}

#[test]
fn a_country_may_be_allowed_by_an_expression_and_any_by_the_services_own_any() {
    for (allowed, fits) in [
        (r#"[".*"]"#, true),
        (r#"["^.*$"]"#, true),
        (r#"["[A-Z]{2}"]"#, true),
        (r#"["DE|NL"]"#, true),
        (r#"["US", "nl"]"#, true),
        (r#"["(?!US).*"]"#, true),
        ("[]", true),
        (r#"["US"]"#, false),
        (r#"["N"]"#, false),
        (r#"["U."]"#, false),
    ] {
        let template = template(&format!(r#"{{"subjectCValues":{allowed}}}"#));
        let found = preflight(&template, &key_request());
        assert_eq!(found.is_empty(), fits, "{allowed}: {found:?}");
    }
}
