//! Servers that answer oddly, wrongly for a while, or with bad intent: what decides nothing holds up nothing, one denial is no
//! proof, and no answer leads elsewhere.

use jiff::SignedDuration;
use renewd::clock::Clock;
use renewd::inventory::State;
use serde_json::{Value, json};
use simulators::acme::Variants;
use simulators::ca::{Fault, On, RetryAfter};
use simulators::sonicos;

use super::*;
use crate::contract::Subject;
use crate::contract::acme::Acme;
use crate::test_bed::today;

#[tokio::test(flavor = "multi_thread")]
async fn members_that_decide_nothing_may_be_odd_and_urls_relative() {
    let (acme, bed) = fixture(|variants| {
        variants.odd_members = true;
        variants.relative_urls = true;
    })
    .await;
    assert_eq!(until_it_ends(&bed).await, State::Completed);
    assert_shown(&bed).await;
    assert_eq!((acme.simulator.orders().len(), acme.orders()), (1, 1));
    assert!(!bed.has_event("order_void").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_the_server_does_not_know_yet_is_looked_up_again_and_never_placed_twice() {
    let (acme, bed) = fixture(|variants| variants.unknown_looks = 3).await;
    assert_eq!(until_it_ends(&bed).await, State::Completed);
    assert_shown(&bed).await;
    assert_eq!((acme.simulator.orders().len(), acme.orders()), (1, 1));
    for event in ["order_void", "attention_needed", "step_failed"] {
        assert!(!bed.has_event(event).await, "{event}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_unknown_for_minutes_is_placed_again() {
    let (acme, bed) = fixture(|_| {}).await;
    let closed = Fault::Unavailable(RetryAfter::Seconds(3600));
    acme.simulator.fault(On::next("POST", "/order/"), closed);
    bed.run_once().await;
    acme.simulator.forget_orders();
    bed.clock
        .sleep_until(bed.renewals().await[0].next_attempt_at.unwrap())
        .await;
    let start = bed.clock.now();
    assert_eq!(until_it_ends(&bed).await, State::Completed);
    assert_shown(&bed).await;
    let history = bed.history().await;
    let void: Vec<_> = history
        .iter()
        .filter(|event| event.name == "order_void")
        .collect();
    assert_eq!(void.len(), 1, "{history:#?}");
    let waited = start.duration_until(void[0].at);
    assert!(waited >= SignedDuration::from_mins(10), "{waited:#}");
    assert_eq!(acme.orders(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_is_believed_only_when_the_order_says_the_same_for_minutes() {
    for kind in ["malformed", "unauthorized"] {
        let (acme, bed) = fixture(|_| {}).await;
        let problem = json!({ "type": format!("urn:ietf:params:acme:error:{kind}"), "detail": "unknown order" });
        let refusal = Fault::Status(403, problem.to_string(), Vec::new());
        acme.simulator.fault(On::next("POST", "/finalize"), refusal);
        let start = bed.clock.now();
        assert_eq!(until_it_ends(&bed).await, State::Completed, "{kind}");
        assert!(start.duration_until(bed.clock.now()).as_hours() < 1);
        assert_eq!((acme.simulator.orders().len(), acme.orders()), (1, 1));
        assert!(!bed.has_event("order_void").await, "{kind}");
    }
}

/// The planted fault that this catches lets the server choose which names of ours are written to.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_with_an_authorization_for_another_name_gets_no_validation() {
    let (acme, bed) = fixture(|variants| {
        variants.authorizes_also = Some("intranet.example.com".to_owned());
    })
    .await;
    bed.run_once().await;
    let renewal = bed.renewals().await.remove(0);
    assert_eq!(renewal.state, State::Submitted);
    let words = renewal.last_error.unwrap();
    assert!(words.contains("intranet.example.com"), "{words}");
    assert!(words.contains("was not asked for"), "{words}");
    assert!(bed.has_event("attention_needed").await);
    assert_eq!(acme.orders(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_for_other_names_is_not_driven_on() {
    let (acme, bed) = fixture(|_| {}).await;
    answer_instead(&acme, "/order/", |body| {
        body["identifiers"] = json!([{ "type": "dns", "value": "evil.example.org" }]);
    });
    bed.run_once().await;
    let words = bed.renewals().await[0].last_error.clone().unwrap();
    assert!(words.contains("evil.example.org"), "{words}");
    assert_eq!(acme.simulator.validations(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_url_of_an_answer_leads_to_another_server() {
    type Spoil = fn(&mut Value, &str);
    let elsewhere = "https://evil.example:8443/x";
    let spoiled: [(&str, Spoil); 3] = [
        ("/directory", |body, url| body["newOrder"] = json!(url)),
        ("/order/", |body, url| body["authorizations"] = json!([url])),
        ("/authorization/", |body, url| {
            for challenge in body["challenges"].as_array_mut().unwrap() {
                challenge["url"] = json!(url);
            }
        }),
    ];
    for (path, spoil) in spoiled {
        let (acme, bed) = fixture(|_| {}).await;
        // The directory is also read to ask for windows.
        let answers = if path == "/directory" { 20 } else { 1 };
        for _ in 0..answers {
            answer_instead(&acme, path, |body| spoil(body, elsewhere));
        }
        bed.run_once().await;
        let renewal = bed.renewals().await.remove(0);
        let words = renewal.last_error.unwrap_or_default();
        assert!(words.contains("\"evil.example:8443\""), "{path}: {words}");
        assert!(words.contains("`allow_hosts`"), "{path}: {words}");
        assert_eq!(renewal.last_error_kind.as_deref(), Some("untrusted"));
        assert!(bed.has_event("attention_needed").await, "{path}");
        assert_eq!(acme.orders(), 0, "{path}");
    }
}

/// Of one server under two names, the second is good only where it is allowed.
#[tokio::test(flavor = "multi_thread")]
async fn a_further_server_is_called_where_it_is_allowed() {
    let clock = today();
    let acme = Acme::with(clock.clone(), |variants| variants.always_valid = true).await;
    let port = acme.simulator.directory_url();
    let port = url::Url::parse(&port).unwrap().port().unwrap();
    let other = format!("https://localhost:{port}");
    for (keys, state) in [
        (String::new(), State::Planned),
        (
            format!(r#", allow_hosts = ["localhost:{port}"]"#),
            State::Completed,
        ),
    ] {
        let driver = acme.driver_with(&keys);
        let variants = sonicos::Variants::kind();
        let bed = TestBed::with_ca(Profile::V8, variants, clock.clone(), &driver).await;
        acme.prepare(&bed);
        for _ in 0..100 {
            answer_instead(&acme, "/directory", |body| {
                for name in ["newNonce", "newAccount", "newOrder"] {
                    let url = url::Url::parse(body[name].as_str().unwrap()).unwrap();
                    body[name] = json!(format!("{other}{}", url.path()));
                }
            });
        }
        bed.run_once().await;
        let renewal = bed.renewals().await.remove(0);
        assert_eq!(renewal.state, state, "{:?}", renewal.last_error);
    }
}

async fn fixture(change: impl FnOnce(&mut Variants)) -> (Acme, TestBed) {
    let clock = today();
    let acme = Acme::with(clock.clone(), |variants| {
        variants.always_valid = true;
        change(variants);
    })
    .await;
    let variants = sonicos::Variants::kind();
    let bed = TestBed::with_ca(Profile::V8, variants, clock, &acme.driver_with("")).await;
    acme.prepare(&bed);
    (acme, bed)
}

/// The next answer from a path that contains this is changed.
pub fn answer_instead(acme: &Acme, path: &str, change: impl FnOnce(&mut Value)) {
    let base = acme.simulator.url();
    let mut body = match path {
        "/directory" => json!({
            "newNonce": format!("{base}/new-nonce"),
            "newAccount": format!("{base}/new-account"),
            "newOrder": format!("{base}/new-order"),
        }),
        "/order/" => json!({
            "status": "pending",
            "identifiers": [{ "type": "dns", "value": "vpn.example.com" }],
            "authorizations": [format!("{base}/authorization/1")],
            "finalize": format!("{base}/order/1/finalize"),
        }),
        _ => json!({
            "status": "pending",
            "identifier": { "type": "dns", "value": "vpn.example.com" },
            "challenges": [{ "type": "http-01", "url": format!("{base}/challenge/1/0"), "token": "t", "status": "pending" }],
        }),
    };
    change(&mut body);
    let method = if path == "/directory" { "GET" } else { "POST" };
    let answer = Fault::Status(200, body.to_string(), Vec::new());
    acme.simulator.fault(On::next(method, path), answer);
}
