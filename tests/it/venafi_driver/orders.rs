//! Orders that go well: what is asked for, what comes back, what is renewed and retired.

use renewd::ca::venafi::Target;
use renewd::ca::{Issuer, Previous};
use renewd::pki::ends_in_root;
use simulators::venafi::{Settings, Template, Variants};

use super::fixture::{Fixture, fact, request, wanted};

#[tokio::test]
async fn a_certificate_is_issued_with_our_key_and_a_chain_without_its_root() {
    let fixture = Fixture::new(Variants::default()).await;
    let request = request("r1");
    let (leaf, chain) = fixture.obtain(&request, 20).await.unwrap();
    assert_eq!(leaf.public_key, request.csr.public_key);
    assert_eq!(chain.len(), 1);
    assert!(!ends_in_root(&chain));
    leaf.verify_signed_by(&chain[0]).unwrap();
    let counters = fixture.cloud.counters();
    assert_eq!(
        (counters.orders, counters.duplicates, counters.signed),
        (1, 0, 1)
    );
    let body = &fixture.cloud.orders()[0].body;
    assert_eq!(body["validityPeriod"], "P47D");
    assert_eq!(body["certificateUsageMetadata"][0]["nodeName"], "r1");
    assert_eq!(body["isVaaSGenerated"], false);
    assert!(body.get("tags").is_none(), "left out, they are inherited");
}

#[tokio::test]
async fn a_service_where_everything_is_late_issues_once_as_well() {
    for seed in 1..=3 {
        let mut reported = Settings {
            variants: Variants::unkind(),
            ..Settings::default()
        };
        reported.common.seed = seed;
        let fixture = Fixture::with(reported).await;
        fixture.obtain(&request("r1"), 60).await.unwrap();
        assert_eq!(fixture.cloud.counters().orders, 1, "seed {seed}");
    }
}

#[tokio::test]
async fn a_late_certificate_text_is_waited_for_in_every_status() {
    for status in [404, 409, 500] {
        let fixture = Fixture::new(Variants {
            contents_late_calls: 3,
            contents_late_status: status,
            ..Variants::kind()
        })
        .await;
        let (leaf, _) = fixture.obtain(&request("r1"), 5).await.unwrap();
        assert!(!leaf.is_ca, "{status}");
    }
}

#[tokio::test]
async fn names_and_ids_lead_to_the_same_template() {
    let mut fixture = Fixture::new(Variants::kind()).await;
    let reported = Settings::default();
    let application = Target::Id(reported.applications[0].id.clone());
    let template = Target::Id(reported.templates[0].id.clone());
    for (application, template) in [
        (application.clone(), template.clone()),
        (fixture.settings.application.clone(), template),
        (
            application,
            Target::Name(reported.templates[0].name.clone()),
        ),
    ] {
        fixture.configure(|settings| {
            settings.application = application;
            settings.template = template;
        });
        assert_eq!(fixture.driver.preflight(&wanted()).await.unwrap(), [""; 0]);
        fixture.obtain(&request("r"), 5).await.unwrap();
    }
    for order in fixture.cloud.orders() {
        assert_eq!(order.body["applicationId"], reported.applications[0].id);
        assert_eq!(
            order.body["certificateIssuingTemplateId"],
            reported.templates[0].id
        );
    }
}

#[tokio::test]
async fn an_application_whose_name_holds_a_slash_is_found() {
    let mut reported = Settings::default();
    "Branch offices / firewalls".clone_into(&mut reported.applications[0].name);
    reported.variants = Variants::kind();
    let mut fixture = Fixture::with(reported).await;
    fixture.configure(|settings| {
        settings.application = Target::Name("Branch offices / firewalls".to_owned());
    });
    fixture.obtain(&request("r1"), 3).await.unwrap();
}

#[tokio::test]
async fn ids_are_enough_for_an_account_that_may_not_read_templates() {
    let mut fixture = Fixture::new(Variants {
        may_read_templates: false,
        ..Variants::kind()
    })
    .await;
    let reported = Settings::default();
    fixture.configure(|settings| {
        settings.application = Target::Id(reported.applications[0].id.clone());
        settings.template = Target::Id(reported.templates[0].id.clone());
    });
    assert_eq!(fixture.driver.preflight(&wanted()).await.unwrap(), [""; 0]);
    fixture.obtain(&request("r1"), 3).await.unwrap();
    let facts = fixture.driver.check().await.unwrap();
    assert!(fact(&facts, "template rules").starts_with("not readable"));
}

#[tokio::test]
async fn a_renewal_refers_to_the_current_version_and_the_superseded_one_is_retired() {
    let fixture = Fixture::new(Variants::kind()).await;
    let (first, _) = fixture.obtain(&request("r1"), 5).await.unwrap();
    let mut renewal = request("r2");
    let previous = Previous {
        certificate: first,
        order: None,
    };
    renewal.previous = Some(previous.clone());
    fixture.obtain(&renewal, 5).await.unwrap();
    let certificates = fixture.cloud.certificates();
    assert_eq!(
        fixture.cloud.orders()[1].body["existingCertificateId"],
        certificates[0].id
    );
    assert_eq!(certificates[0].managed_id, certificates[1].managed_id);
    assert!(!certificates[0].is_current && certificates[1].is_current);

    fixture.driver.decommission(&previous).await.unwrap();
    fixture.driver.decommission(&previous).await.unwrap();
    let certificates = fixture.cloud.certificates();
    assert_eq!(
        (&*certificates[0].state, &*certificates[1].state),
        ("RETIRED", "ACTIVE")
    );

    // An old version cannot be renewed: it is a new certificate then.
    let mut third = request("r3");
    third.previous = Some(previous);
    fixture.obtain(&third, 5).await.unwrap();
    assert!(
        fixture.cloud.orders()[2]
            .body
            .get("existingCertificateId")
            .is_none()
    );
}

#[tokio::test]
async fn nothing_is_decommissioned_unless_it_is_configured() {
    let mut fixture = Fixture::new(Variants::kind()).await;
    fixture.configure(|settings| settings.decommission_superseded = false);
    let (leaf, _) = fixture.obtain(&request("r1"), 5).await.unwrap();
    let superseded = Previous {
        certificate: leaf,
        order: None,
    };
    fixture.driver.decommission(&superseded).await.unwrap();
    assert_eq!(fixture.cloud.certificates()[0].state, "ACTIVE");
}

#[tokio::test]
async fn a_request_that_the_template_would_refuse_is_refused_before_an_order() {
    let mut reported = Settings {
        variants: Variants::kind(),
        ..Settings::default()
    };
    reported.templates[0] = Template {
        subject_cn: vec!["[a-z]+\\.example\\.org".to_owned()],
        curves: vec![384],
        available: false,
        ..Template::default()
    };
    let fixture = Fixture::with(reported).await;
    let found = fixture.driver.preflight(&wanted()).await.unwrap();
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!(fixture.cloud.counters().orders, 0);
    // The service agrees.
    let refusal = fixture.driver.submit(&request("r1")).await.unwrap_err();
    assert_eq!(refusal.kind, renewd::failure::FailureKind::Refused);
    assert_eq!(fixture.cloud.counters().orders, 0);
}
