//! The simulated TLS Protect Cloud.

use serde_json::{Value, json};
use simulators::ca::{Fault, On};
use simulators::venafi::{Application, Settings, StatusPath, Template, Variants};
use x509_parser::extensions::GeneralName;

use crate::client::{Applicant, Client, HttpAnswer, is_chain, parsed};

pub use simulators::venafi::Simulator;

pub const ORDERS: &str = "/outagedetection/v1/certificaterequests";
const SEARCH: &str = "/outagedetection/v1/certificaterequestssearch";

/// No approvals and no delays, unless the test sets them.
pub async fn start(change: impl FnOnce(&mut Settings)) -> Simulator {
    let mut settings = Settings {
        variants: Variants::kind(),
        ..Settings::default()
    };
    change(&mut settings);
    Simulator::start(settings).await.unwrap()
}

pub fn client(simulator: &Simulator) -> Client {
    Client::new(simulator, &[("tppl-api-key", &Settings::default().api_key)])
}

pub fn body(applicant: &Applicant) -> Value {
    json!({
        "certificateSigningRequest": applicant.pem,
        "applicationId": application().id,
        "certificateIssuingTemplateId": Template::default().id,
        "isVaaSGenerated": false,
        "validityPeriod": "P47D",
    })
}

/// Orders once, and fetches the certificates.
pub async fn issued(simulator: &Simulator) -> (Applicant, Vec<Vec<u8>>) {
    let applicant = Applicant::new("fw.example.com");
    let client = client(simulator);
    order(&client, &body(&applicant)).await;
    let list = chain_of(simulator, &client).await;
    (applicant, list)
}

/// The contents of the last certificate.
pub async fn chain_of(simulator: &Simulator, client: &Client) -> Vec<Vec<u8>> {
    let id = simulator.certificates().pop().unwrap().id;
    let answer = contents(client, &id).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.certificates()
}

fn application() -> Application {
    Settings::default().applications.remove(0)
}

async fn order(client: &Client, body: &Value) -> Value {
    let answer = client.post(ORDERS, body).await.unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["certificateRequests"][0].clone()
}

async fn contents(client: &Client, id: &str) -> HttpAnswer {
    let path =
        format!("/outagedetection/v1/certificates/{id}/contents?chainOrder=EE_FIRST&format=PEM");
    client.get(&path).await.unwrap()
}

async fn status(client: &Client, id: &Value) -> Value {
    let path = format!("{ORDERS}/{}", id.as_str().unwrap());
    client.get(&path).await.unwrap().json()
}

fn error_code(answer: &HttpAnswer) -> i64 {
    answer.json()["errors"][0]["code"].as_i64().unwrap()
}

#[tokio::test]
async fn an_unknown_key_is_412_and_no_key_is_400() {
    let simulator = start(|_| {}).await;
    let with = |headers: &[(&str, &str)]| Client::new(&simulator, headers);
    let unknown = with(&[("tppl-api-key", "unknown-key")]);
    let answer = unknown.get("/v1/useraccounts").await.unwrap();
    assert_eq!((answer.status, error_code(&answer)), (412, 10501));
    let answer = with(&[]).get("/v1/useraccounts").await.unwrap();
    assert_eq!((answer.status, error_code(&answer)), (400, 1004));
    assert!(answer.json()["errors"][0]["args"][0].is_array());
    assert_eq!(simulator.counters().credentials_refused, 2);
    assert!(!simulator.journal().concat().contains("unknown-key"));
}

#[tokio::test]
async fn a_service_account_gets_a_token_that_can_end() {
    let simulator = start(|settings| settings.variants.token_ends_after = Some(1)).await;
    let settings = Settings::default();
    let form = format!(
        "grant_type=client_credentials&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer\
         &client_assertion={}",
        settings.assertion
    );
    let path = format!("/v1/oauth2/v2.0/{}/token", settings.service_account);
    let anonymous = Client::new(&simulator, &[]);
    let kind = "application/x-www-form-urlencoded";
    let answer = anonymous
        .send("POST", &path, kind, form.as_bytes())
        .await
        .unwrap();
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    let client = Client::new(&simulator, &[("Authorization", &format!("Bearer {token}"))]);
    assert_eq!(client.get("/v1/useraccounts").await.unwrap().status, 200);
    assert_eq!(client.get("/v1/useraccounts").await.unwrap().status, 401);
    let wrong = form.replace("client_assertion=ey", "client_assertion=ex");
    let answer = anonymous
        .send("POST", &path, kind, wrong.as_bytes())
        .await
        .unwrap();
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn an_application_is_found_by_its_escaped_name() {
    let simulator = start(|settings| {
        let mut odd = application();
        (odd.id, odd.name) = ("odd".to_owned(), "Fire walls/EU".to_owned());
        settings.applications.push(odd);
    })
    .await;
    let client = client(&simulator);
    let base = "/outagedetection/v1/applications";
    let found = client
        .get(&format!("{base}/name/Fire%20walls%2FEU"))
        .await
        .unwrap();
    assert_eq!(found.json()["id"], json!("odd"));
    let alias_map = &found.json()["certificateIssuingTemplateAliasIdMap"];
    assert_eq!(alias_map["Default"], json!(Template::default().id));
    let path = format!("{base}/Firewalls/certificateissuingtemplates/Default");
    let template = client.get(&path).await.unwrap().json();
    assert_eq!(template["csrUploadAllowed"], json!(true));
    let missing = client.get(&format!("{base}/name/None")).await.unwrap();
    assert_eq!((missing.status, error_code(&missing)), (404, 10051));
}

#[tokio::test]
async fn a_request_is_issued_with_its_key_its_names_and_the_asked_days() {
    let simulator = start(|_| {}).await;
    let (applicant, list) = issued(&simulator).await;
    assert!(applicant.owns(&list[0]) && is_chain(&list));
    let leaf = parsed(&list[0]);
    let names = leaf.subject_alternative_name().unwrap().unwrap().value;
    assert_eq!(
        names.general_names,
        [GeneralName::DNSName("fw.example.com")]
    );
    let validity = leaf.validity();
    let seconds = validity.not_after.timestamp() - validity.not_before.timestamp();
    assert_eq!(seconds, 47 * 86_400);
    assert!(!leaf.is_ca());
    assert_eq!(simulator.counters().signed, 1);
}

#[tokio::test]
async fn passing_statuses_pass_with_each_look_and_late_contents_come() {
    let simulator = start(|settings| {
        settings.variants.status_path = StatusPath::Steps;
        settings.variants.contents_late_calls = 1;
        settings.variants.record_late_calls = 1;
    })
    .await;
    let client = client(&simulator);
    let stored = order(&client, &body(&Applicant::new("fw.example.com"))).await;
    assert_eq!(stored["status"], json!("NEW"));
    assert!(stored.get("certificateIds").is_none());
    let mut seen = Vec::new();
    let mut last = Value::Null;
    while last["status"] != json!("ISSUED") {
        last = status(&client, &stored["id"]).await;
        seen.push(last["status"].as_str().unwrap().to_owned());
    }
    assert_eq!(seen, ["NEW", "PENDING", "REQUESTED", "ISSUED"]);
    assert_eq!(last["certificateIds"].as_array().unwrap().len(), 3);
    let leaf = last["certificateIds"][0].as_str().unwrap();
    assert_eq!(contents(&client, leaf).await.status, 409);
    assert_eq!(contents(&client, leaf).await.status, 200);
    let record = format!("/outagedetection/v1/certificates/{leaf}");
    assert_eq!(client.get(&record).await.unwrap().status, 404);
    let record = client.get(&record).await.unwrap().json();
    assert_eq!(record["versionType"], json!("CURRENT"));
}

#[tokio::test]
async fn every_bad_end_is_reached_and_a_second_order_after_it_is_no_duplicate() {
    let ends = [
        (StatusPath::ApprovalRefused, "REJECTED_APPROVAL"),
        (StatusPath::Rejected, "REJECTED"),
        (StatusPath::Cancelled, "CANCELLED"),
        (StatusPath::Failed, "FAILED"),
        (StatusPath::Revoked, "REVOKED"),
        (StatusPath::Deleted, "DELETED"),
    ];
    let simulator = start(|_| {}).await;
    let client = client(&simulator);
    let applicant = Applicant::new("fw.example.com");
    for (path, end) in ends {
        simulator.set(|variants| variants.status_path = path);
        let id = order(&client, &body(&applicant)).await["id"].clone();
        let mut looks = 0;
        while status(&client, &id).await["status"] != json!(end) {
            looks += 1;
            assert!(looks < 9, "{end}");
        }
        let failure = &status(&client, &id).await["errorInformation"];
        assert_eq!(failure["args"][2].is_array(), end == "FAILED");
    }
    assert_eq!(simulator.counters().duplicates, 0);
    simulator.set(|variants| variants.status_path = StatusPath::Immediate);
    order(&client, &body(&applicant)).await;
    for failed in simulator.orders() {
        status(&client, &json!(failed.id)).await;
    }
    order(&client, &body(&applicant)).await;
    assert_eq!(simulator.counters().duplicates, 1);
}

#[tokio::test]
async fn a_request_waits_for_an_approver() {
    let simulator = start(|settings| {
        settings.variants.status_path = StatusPath::Approved;
        settings.variants.approval_polls = None;
    })
    .await;
    let client = client(&simulator);
    let id = order(&client, &body(&Applicant::new("fw.example.com"))).await["id"].clone();
    for _ in 0..5 {
        assert_eq!(
            status(&client, &id).await["status"],
            json!("PENDING_APPROVAL")
        );
    }
    assert!(simulator.approve(id.as_str().unwrap()));
    assert!(!simulator.approve(id.as_str().unwrap()));
    assert_eq!(status(&client, &id).await["status"], json!("REQUESTED"));
    assert_eq!(status(&client, &id).await["status"], json!("ISSUED"));
    let second = order(&client, &body(&Applicant::new("fw.example.com"))).await["id"].clone();
    let decision = format!(
        "/v1/certificaterequests/{}/approval/reject",
        second.as_str().unwrap()
    );
    assert_eq!(
        client.post(&decision, &json!({})).await.unwrap().status,
        200
    );
    assert_eq!(
        status(&client, &second).await["status"],
        json!("REJECTED_APPROVAL")
    );
}

#[tokio::test]
async fn a_request_that_the_template_forbids_is_refused_with_the_rule() {
    let simulator = start(|settings| settings.templates[0].curves.clear()).await;
    let client = client(&simulator);
    let mut wrong = body(&Applicant::new("fw.example.net"));
    let answer = client.post(ORDERS, &wrong).await.unwrap();
    assert_eq!((answer.status, error_code(&answer)), (412, 10726));
    let args = answer.json()["errors"][0]["args"].clone();
    assert_eq!(
        (&args[0], &args[1]),
        (&json!("CN"), &json!("fw.example.net"))
    );
    assert!(args[2].is_array());
    let answer = client
        .post(ORDERS, &body(&Applicant::new("fw.example.com")))
        .await
        .unwrap();
    assert_eq!(answer.json()["errors"][0]["args"][0], json!("key curve"));
    wrong["certificateSigningRequest"] =
        json!("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n");
    let answer = client.post(ORDERS, &wrong).await.unwrap();
    assert_eq!(error_code(&answer), 10702);
    wrong["applicationId"] = json!("unknown");
    assert_eq!(client.post(ORDERS, &wrong).await.unwrap().status, 400);
    assert_eq!(simulator.counters().orders, 0);
}

#[tokio::test]
async fn a_used_key_is_refused_when_the_template_forbids_reuse() {
    let simulator = start(|settings| settings.templates[0].key_reuse = false).await;
    let client = client(&simulator);
    let applicant = Applicant::new("fw.example.com");
    order(&client, &body(&applicant)).await;
    assert_eq!(
        client.post(ORDERS, &body(&applicant)).await.unwrap().status,
        412
    );
    order(&client, &body(&Applicant::new("fw.example.com"))).await;
}

#[tokio::test]
async fn a_renewal_makes_the_former_version_old_and_an_old_one_cannot_be_renewed() {
    let simulator = start(|_| {}).await;
    let client = client(&simulator);
    let mut first = body(&Applicant::new("fw.example.com"));
    first["tags"] = json!(["env:prod"]);
    let first = order(&client, &first).await["certificateIds"][0].clone();
    let mut renewal = body(&Applicant::new("fw.example.com"));
    renewal["existingCertificateId"] = first.clone();
    let renewed = order(&client, &renewal).await;
    assert_eq!(renewed["tags"], json!(["env:prod"]));
    let versions = simulator.certificates();
    assert_eq!(versions[0].managed_id, versions[1].managed_id);
    assert_eq!(
        (versions[0].is_current, versions[1].is_current),
        (false, true)
    );
    renewal["certificateSigningRequest"] = json!(Applicant::new("fw.example.com").pem);
    let answer = client.post(ORDERS, &renewal).await.unwrap();
    assert_eq!(answer.status, 412);
    let retire = json!({"certificateIds": [first]});
    let path = "/outagedetection/v1/certificates/retirement";
    assert_eq!(
        client.post(path, &retire).await.unwrap().json()["count"],
        json!(1)
    );
    assert_eq!(simulator.certificates()[0].state, "RETIRED");
}

#[tokio::test]
async fn a_lost_order_is_found_by_a_late_index_and_recognised_by_its_csr() {
    let simulator = start(|settings| {
        settings.variants = Variants::unkind();
        settings.common.seed = 7;
    })
    .await;
    let client = client(&simulator);
    let applicant = Applicant::new("fw.example.com");
    simulator.fault(On::next("POST", "certificaterequests"), Fault::LostAfter);
    assert!(client.post(ORDERS, &body(&applicant)).await.is_err());
    let search = json!({"expression": {"operator": "AND", "operands": [
        {"field": "applicationId", "operator": "EQ", "value": application().id},
        {"field": "creationDate", "operator": "GTE", "value": "2020-01-01T00:00:00.000+00:00"},
    ]}, "ordering": {"orders": [{"direction": "DESC", "field": "creationDate"}]},
       "paging": {"pageNumber": 0, "pageSize": 10}});
    let mut found = Vec::new();
    for _ in 0..3 {
        found.push(client.post(SEARCH, &search).await.unwrap().json());
    }
    assert_eq!(found[1]["numFound"], json!(0));
    let hit = &found[2]["certificateRequests"][0];
    assert!(hit.get("certificateSigningRequest").is_none());
    let whole = status(&client, &hit["id"]).await;
    assert_eq!(
        whole["certificateSigningRequest"]
            .as_str()
            .unwrap()
            .replace('\r', ""),
        applicant.pem.replace('\r', "")
    );
}

#[tokio::test]
async fn the_validity_may_be_ignored() {
    let simulator = start(|_| {}).await;
    let client = client(&simulator);
    let mut hours = body(&Applicant::new("fw.example.com"));
    hours["validityPeriod"] = json!("PT12H");
    order(&client, &hours).await;
    let list = chain_of(&simulator, &client).await;
    let validity = parsed(&list[0]).validity().clone();
    let days = (validity.not_after.timestamp() - validity.not_before.timestamp()) / 86_400;
    assert_eq!(days, 90);
}
