//! The service's answers (TLS Protect Cloud reference 2 to 4).

use super::super::wire::{CertificateRequest, CertificateRequests, Errors, moment};

#[test]
fn all_three_spellings_of_a_date_are_the_same_moment() {
    let expected = moment("2021-05-10T14:49:33.047Z").unwrap();
    for text in [
        "2021-05-10T14:49:33.047+0000",
        "2021-05-10T14:49:33.047+00:00",
    ] {
        assert_eq!(moment(text), Some(expected), "{text}");
    }
    assert_eq!(moment("soon"), None);
}

#[test]
fn errors_are_shown_with_code_and_with_arguments_that_their_message_lacks() {
    let errors: Errors = serde_json::from_str(
        r#"{"errors":[{"code":1004,"message":"Invalid or missing request header [SESSION]","args":[["SESSION","tppl-api-key"]]},
            {"code":10726,"message":"CN breaks the policy","args":["CN","fw01",["^.*\\.com$"]]},{"message":null}]}"#,
    )
    .unwrap();
    let reported: Vec<String> = errors.errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        reported,
        [
            r#"Invalid or missing request header [SESSION] (code 1004): ["SESSION","tppl-api-key"]"#,
            r#"CN breaks the policy (code 10726): fw01, ["^.*\\.com$"]"#,
            "an error without words",
        ]
    );
}

#[test]
fn missing_null_and_unknown_members_are_read_alike() {
    let full = r#"{"id":"a","status":"NEW","certificateIds":[],"certificateUsageMetadata":[],"later":{"x":1}}"#;
    let nulls =
        r#"{"id":"a","status":"NEW","certificateIds":null,"certificateUsageMetadata":null}"#;
    for text in [full, nulls, r#"{"id":"a","status":"NEW"}"#] {
        let request: CertificateRequest = serde_json::from_str(text).unwrap();
        assert_eq!((&*request.id, &*request.status), ("a", "NEW"));
        assert!(
            request.certificate_ids.is_empty() && request.certificate_usage_metadata.is_empty()
        );
    }
    let none: CertificateRequests = serde_json::from_str(r#"{"numFound":0}"#).unwrap();
    assert!(none.certificate_requests.is_empty());
}
