//! What the server says when it says no.

use super::*;
use crate::ca::acme::problem::{Class, Problem};

fn problem(text: &str) -> Problem {
    Problem::of(&Response::example("POST /new-order", 400, text.as_bytes()))
}

#[test]
fn the_types_that_a_person_must_mend_are_told_from_those_that_pass() {
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
fn a_problem_is_told_in_the_cas_words_with_its_parts_and_where_to_go() {
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
fn what_is_null_is_as_good_as_left_out() {
    let text = r#"{"type":"urn:ietf:params:acme:error:badNonce","detail":null,"instance":null,"subproblems":null}"#;
    assert_eq!(problem(text).name(), "badNonce");
}

#[test]
fn what_decides_nothing_may_be_as_odd_as_it_wants() {
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
fn one_part_that_a_person_must_mend_makes_the_whole_a_persons_matter() {
    let text = r#"{"type":"urn:ietf:params:acme:error:serverInternal","subproblems":[
        {"type":"urn:ietf:params:acme:error:dns"}]}"#;
    assert_eq!(problem(text).class(), Class::Input);
}
