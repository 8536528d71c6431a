//! The problems that are reported before a key is generated.

use super::*;
use crate::ca::acme::directory::Directory;
use crate::dcv::Method;
use crate::pki::testing::key_request;
use crate::pki::{AlternateName, KeyRequest};

fn directory(meta: &str) -> Directory {
    let text = format!(
        r#"{{"newNonce":"https://a/n","newAccount":"https://a/a","newOrder":"https://a/o",
            "newToy":"https://a/t","meta":{meta}}}"#
    );
    let answer = Response::example("GET /directory", 200, text.as_bytes());
    let hosts = hosts::Hosts::only("https://a/directory".parse().unwrap());
    Directory::read(&answer, hosts).unwrap()
}

fn wanted(common_name: &str, alternate_name: Option<AlternateName>) -> KeyRequest {
    let mut wanted = key_request();
    wanted.subject.common_name = Some(common_name.to_owned());
    wanted.alternate_names = alternate_name.into_iter().collect();
    wanted
}

fn said(wanted: &KeyRequest, method: Method) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    names::preflight(wanted, &settings(folder.path()), method, &directory("{}"))
}

#[test]
fn a_host_name_is_fine() {
    let wanted = wanted("vpn.example.com", None);
    assert_eq!(said(&wanted, Method::Http), [""; 0]);
    assert_eq!(said(&wanted, Method::Dns), [""; 0]);
}

#[test]
fn a_request_without_a_name_that_acme_knows_is_refused() {
    let without = said(&wanted("Office firewall", None), Method::Http);
    assert!(without[0].contains("no host name"), "{without:?}");
    let mail = AlternateName::Email("admin@example.com".to_owned());
    let said = said(&wanted("vpn.example.com", Some(mail)), Method::Http);
    assert!(said[0].contains("mail addresses"), "{said:?}");
}

#[test]
fn each_kind_of_name_has_its_ways_of_proof() {
    let star = wanted("*.example.com", None);
    assert!(said(&star, Method::Http)[0].contains("validation.dns"));
    assert_eq!(said(&star, Method::Dns), [""; 0]);
    let address = wanted("192.0.2.1", None);
    assert!(said(&address, Method::Dns)[0].contains("validation.http"));
    assert_eq!(said(&address, Method::Http), [""; 0]);
}

#[test]
fn a_common_name_that_no_certificate_can_hold_is_refused() {
    let long = format!("{}.example.com", "a".repeat(60));
    assert!(said(&wanted(&long, None), Method::Http)[0].contains("64 characters"));
}

#[test]
fn a_profile_that_is_not_offered_is_refused_with_those_that_are() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    settings.profile = Some("shortlived".to_owned());
    let said = |settings: &Settings, meta: &str| {
        let wanted = wanted("vpn.example.com", None);
        names::preflight(&wanted, settings, Method::Http, &directory(meta))
    };
    let two = r#"{"profiles":{"classic":"as ever","tlsserver":"short"}}"#;
    assert_eq!(
        said(&settings, two),
        [r#"the CA offers no profile "shortlived", but classic, tlsserver"#]
    );
    assert!(said(&settings, "{}")[0].contains("leave `profile` out"));
    settings.profile = Some("classic".to_owned());
    assert_eq!(said(&settings, two), [""; 0]);
}

#[test]
fn a_required_external_account_is_reported_before_a_key_is_generated() {
    let folder = tempfile::tempdir().unwrap();
    let meta = r#"{"externalAccountRequired":true}"#;
    let wanted = wanted("vpn.example.com", None);
    let settings = settings(folder.path());
    let said = names::preflight(&wanted, &settings, Method::Http, &directory(meta));
    assert!(said[0].contains("external_account"), "{said:?}");
}
