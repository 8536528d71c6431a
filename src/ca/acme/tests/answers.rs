//! Directories and orders as servers write them. Optional members may be invalid, required ones may not.

use super::*;
use crate::ca::acme::order::Order;
use crate::failure::FailureKind;

fn hosts() -> hosts::Hosts {
    hosts::Hosts::only("https://acme.example.com/directory".parse().unwrap())
}

fn directory(body: &Value) -> Result<Directory, Failure> {
    let answer = Response::example("GET /directory", 200, body.to_string().as_bytes());
    Directory::read(&answer, hosts())
}

fn sound() -> Value {
    json!({
        "newNonce": "https://acme.example.com/n",
        "newAccount": "https://acme.example.com/a",
        "newOrder": "https://acme.example.com/o",
    })
}

#[test]
fn each_url_of_a_directory_has_the_directorys_origin() {
    for name in ["newNonce", "newAccount", "newOrder", "renewalInfo"] {
        for elsewhere in [
            "https://evil.example/x",
            "http://acme.example.com/x",
            "https://acme.example.com:444/x",
            "//evil.example/x",
            "https://u:p@acme.example.com/x",
        ] {
            let mut body = sound();
            body[name] = json!(elsewhere);
            let failure = directory(&body).unwrap_err();
            assert_eq!(failure.kind, FailureKind::Untrusted, "{name} {elsewhere}");
            assert!(failure.detail.contains("allow_hosts"), "{failure}");
        }
    }
}

#[test]
fn relative_urls_of_a_directory_are_resolved_against_it() {
    let body =
        json!({ "newNonce": "n", "newAccount": "/acme/a", "newOrder": "//acme.example.com/o" });
    let directory = directory(&body).unwrap();
    assert_eq!(directory.new_nonce.as_str(), "https://acme.example.com/n");
    assert_eq!(
        directory.new_account.as_str(),
        "https://acme.example.com/acme/a"
    );
    assert_eq!(directory.new_order.as_str(), "https://acme.example.com/o");
}

#[test]
fn unreadable_metadata_of_a_directory_is_ignored_and_unreadable_urls_are_refused() {
    let mut body = sound();
    for meta in [
        json!(null),
        json!("meta"),
        json!([]),
        json!({ "termsOfService": 7, "externalAccountRequired": "yes", "profiles": ["classic"] }),
        json!({ "termsOfService": null, "externalAccountRequired": null, "profiles": null }),
    ] {
        body["meta"] = meta;
        for info in [json!(null), json!(""), json!(7)] {
            body["renewalInfo"] = info;
            let directory = directory(&body).unwrap();
            assert!(!directory.meta.external_account_required && directory.renewal_info.is_none());
        }
    }
    for name in ["newNonce", "newAccount", "newOrder"] {
        for odd in [json!(null), json!(""), json!(7), json!("https://")] {
            let mut body = sound();
            body[name] = odd;
            let failure = directory(&body).unwrap_err();
            assert!(failure.detail.contains(name), "{failure}");
        }
    }
}

#[test]
fn an_order_with_invalid_optional_members_is_read() {
    let called: Url = "https://acme.example.com/order/1".parse().unwrap();
    let read = |body: &Value| {
        let answer = Response::example("POST /order/1", 200, body.to_string().as_bytes());
        Order::read(&answer, &called, 1)
    };
    for odd in [
        json!(""),
        json!("0001-01-01T00:00:00Z"),
        json!("never"),
        json!(7),
        json!([]),
        json!({}),
        json!(null),
    ] {
        for name in [
            "expires",
            "error",
            "notBefore",
            "identifiers",
            "certificate",
            "profile",
        ] {
            let mut body = json!({ "status": "pending", "authorizations": [], "finalize": "1/f" });
            body[name] = odd.clone();
            assert!(read(&body).is_ok(), "{name} {odd}");
        }
        if !odd.is_string() {
            let failure = read(&json!({ "status": odd.clone() })).unwrap_err();
            assert!(failure.detail.contains("status"), "{failure}");
        }
    }
}
