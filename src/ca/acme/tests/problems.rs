//! Problem documents of the server.

use super::*;
use crate::ca::acme::problem::{Class, Problem};

fn problem(text: &str) -> Problem {
    Problem::of(&Response::example("POST /new-order", 400, text.as_bytes()))
}

#[test]
fn problem_types_that_an_operator_must_fix_differ_from_those_that_pass() {
    for (kind, class) in [
        ("rejectedIdentifier", Class::Input),
        ("caa", Class::Input),
        ("dns", Class::Input),
        ("connection", Class::Input),
        ("badCSR", Class::Input),
        ("serverInternal", Class::Passing),
        ("rateLimited", Class::Passing),
        ("invented", Class::Passing),
    ] {
        let text = format!(r#"{{"type":"urn:ietf:params:acme:error:{kind}"}}"#);
        assert_eq!(problem(&text).class(), class, "{kind}");
    }
    assert_eq!(problem("{}").class(), Class::Passing);
}

#[test]
fn a_problem_is_reported_in_the_words_of_the_ca_with_subproblems_and_url() {
    let text = r#"{"type":"urn:ietf:params:acme:error:malformed","detail":"Some were rejected","status":403,
        "instance":"https://ca.example.com/terms","mood":"bad","subproblems":[
        {"type":"urn:ietf:params:acme:error:rejectedIdentifier","detail":"not for example.net",
         "identifier":{"type":"dns","value":"example.net"}}]}"#;
    assert_eq!(
        problem(text).to_string(),
        "Some were rejected (malformed); example.net: not for example.net (rejectedIdentifier); see https://ca.example.com/terms"
    );
    assert_eq!(problem("{}").to_string(), "no reason was given");
}

#[test]
fn null_is_read_as_absent() {
    let text = r#"{"type":"urn:ietf:params:acme:error:badNonce","detail":null,"instance":null,"subproblems":null}"#;
    assert_eq!(problem(text).name(), "badNonce");
}

#[test]
fn invalid_optional_members_are_ignored() {
    let text = r#"{"type":"urn:ietf:params:acme:error:dns","detail":["no"],"instance":7,"status":"x",
        "subproblems":[null,"DNS is down",{"type":7,"detail":"NXDOMAIN","identifier":"x"}]}"#;
    let problem = problem(text);
    assert_eq!(problem.class(), Class::Input);
    assert_eq!(problem.to_string(), "dns; DNS is down; NXDOMAIN");
    for text in ["null", "7", "[]", "<html>", "{\"type\":{}}"] {
        let answer = Response::example("POST /x", 400, text.as_bytes());
        assert_eq!(
            Problem::of(&answer).to_string(),
            "no reason was given",
            "{text}"
        );
    }
}

#[test]
fn a_problem_needs_an_operator_when_one_subproblem_does() {
    let text = r#"{"type":"urn:ietf:params:acme:error:serverInternal","subproblems":[
        {"type":"urn:ietf:params:acme:error:dns"}]}"#;
    assert_eq!(problem(text).class(), Class::Input);
}
