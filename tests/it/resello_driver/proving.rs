//! Control over the domain: by files that renewd serves itself, and by mail.

use jiff::SignedDuration;
use renewd::ca::resello::Control;
use renewd::ca::{Issuance, Issuer, Reference, SigningRequest};
use renewd::dcv;
use renewd::failure::FailureKind;
use simulators::resello::{DetailsForm, Spelling, UniqueValue};

use super::fixture::{Fixture, NAME};

async fn pending(fixture: &Fixture, order: &Reference, request: &SigningRequest) -> (String, bool) {
    match fixture.driver().poll(order, request).await.unwrap() {
        Issuance::Pending {
            waiting_for,
            needs_person,
            ..
        } => (waiting_for, needs_person),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_file_is_served_while_the_shop_requests_it_and_no_longer() {
    for spelling in [Spelling::Camel, Spelling::Snake] {
        let fixture = Fixture::looking(|variants| {
            variants.details_spelling = spelling;
            variants.unique_value = UniqueValue::Always;
            variants.details_hidden = 2;
            variants.looks_every = 0;
        })
        .await;
        let driver = fixture.driver();
        let request = fixture.request("first", None);
        let order = driver.submit(&request).await.unwrap();
        for _ in 0..9 {
            let issuance = driver.poll(&order, &request).await.unwrap();
            if matches!(issuance, Issuance::Issued { .. }) {
                break;
            }
        }
        fixture.assert_paid(1, "one order");
        // The port is closed again: nothing is up any more.
        let words = format!("{:?}", driver.check().await.unwrap());
        assert!(words.contains("can be opened"), "{words}");
    }
}

#[tokio::test]
async fn a_validation_value_that_the_shop_does_not_return_is_computed() {
    let mut fixture = Fixture::looking(|variants| {
        variants.details_form = DetailsForm::Strange;
        variants.unique_value = UniqueValue::Never;
        variants.looks_every = 0;
        "comodoca.com".clone_into(&mut variants.dcv_host);
    })
    .await;
    "comodoca.com".clone_into(&mut fixture.settings.proof_host);
    fixture.buy().await;
    fixture.assert_paid(1, "one order");
}

#[tokio::test]
async fn a_mail_waits_for_an_operator_and_for_nothing_after_that() {
    let mut fixture = Fixture::looking(|variants| variants.reads_before_active = 1).await;
    fixture.settings.control = Control::Mail;
    let request = fixture.request("first", None);
    let order = fixture.order(&request).await;
    let (words, needs_person) = pending(&fixture, &order, &request).await;
    assert!(
        needs_person && words.contains("`approver_email_address`"),
        "{words}"
    );
    assert!(fixture.shop.approve(&order.0));
    fixture.obtain(&request).await;
    fixture.assert_paid(1, "one order");
}

#[tokio::test]
async fn an_order_by_mail_is_turned_over_to_the_method_that_is_configured_now() {
    let mut fixture = Fixture::looking(|variants| variants.looks_every = 0).await;
    let unattended = fixture.settings.control.clone();
    fixture.settings.control = Control::Mail;
    let request = fixture.request("first", None);
    fixture.order(&request).await;
    fixture.settings.control = unattended;
    fixture.obtain(&request).await;
    fixture.assert_paid(1, "one order");
}

#[tokio::test]
async fn an_organization_validation_by_the_cas_staff_is_reported() {
    let mut fixture = Fixture::granting(|variants| variants.vets_at_once = false).await;
    fixture.settings.plan = renewd::ca::resello::PlanChoice::Name("InstantSSL".to_owned());
    let applicant = &mut fixture.settings.applicant;
    for field in [
        &mut applicant.company_name,
        &mut applicant.department,
        &mut applicant.chamber_of_commerce,
        &mut applicant.approver_first_name,
        &mut applicant.approver_last_name,
    ] {
        *field = Some("Example".to_owned());
    }
    let request = fixture.request("first", None);
    let order = fixture.order(&request).await;
    let (words, needs_person) = pending(&fixture, &order, &request).await;
    assert!(needs_person && words.contains("organization"), "{words}");
    assert!(fixture.shop.vet(&order.0));
    fixture.obtain(&request).await;
}

#[tokio::test]
async fn a_port_that_cannot_be_opened_is_said_before_an_order_is_paid_and_after_it_gives_up_nothing()
 {
    let mut fixture = Fixture::looking(|_| {}).await;
    let request = fixture.request("first", None);
    let order = fixture.order(&request).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let http = dcv::http::Settings {
        listen: vec![taken.local_addr().unwrap()],
    };
    fixture.settings.control = Control::Published(dcv::Settings::Http(http));
    let failure = fixture.driver().poll(&order, &request).await.unwrap_err();
    assert_ne!(failure.kind, FailureKind::Refused, "{failure}");
    assert!(!failure.detail.contains(NAME), "{failure}");
    let failure = fixture.driver().check().await.unwrap_err();
    assert!(failure.call.contains("127.0.0.1"), "{failure}");
    let second = fixture.request("second", None);
    let failure = fixture.driver().prepare(&second).await.unwrap_err();
    assert!(failure.call.contains("127.0.0.1"), "{failure}");
    fixture.assert_paid(1, "only the first");
}

/// The calling convention of lego's `exec` has TXT records only, and this CA wants a CNAME record.
#[tokio::test]
async fn a_program_that_sets_txt_records_only_is_refused_before_anything_is_paid() {
    let mut fixture = Fixture::looking(|_| {}).await;
    let program = dcv::dns::Exec {
        program: "/bin/true".into(),
        arguments: Vec::new(),
    };
    fixture.settings.control =
        Control::Published(dcv::Settings::Dns(Box::new(dcv::dns::Settings {
            provider: dcv::dns::Provider::Exec(program),
            zone: None,
            ttl: 60,
            follow_cname: false,
            delegate_to: None,
            resolvers: Vec::new(),
            propagation: dcv::dns::Propagation::Wait(SignedDuration::ZERO),
            timeout: std::time::Duration::from_secs(5),
        })));
    let driver = fixture.driver();
    let failure = driver.check().await.unwrap_err();
    assert!(failure.detail.contains("TXT records only"), "{failure}");
    let request = fixture.request("first", None);
    let failure = driver.prepare(&request).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Refused, "{failure}");
    fixture.assert_paid(0, "nothing");
}
