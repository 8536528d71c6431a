//! The simulated PAM360.

use data_encoding::BASE64;
use serde_json::{Value, json};
use simulators::ca::{Fault, On};
use simulators::pam360::{
    CertificateBody, CsrBody, ImportId, PendingAnswer, SerialForm, Settings, Simulator, Variants,
};

use crate::client::{Applicant, Client, HttpAnswer, certificates, is_chain, parsed};

const API: &str = "/api/pki/restapi";
const FORM: &str = "application/x-www-form-urlencoded";

/// No delays, unless the test sets them.
async fn start(change: impl FnOnce(&mut Variants)) -> Simulator {
    let mut variants = Variants::kind();
    change(&mut variants);
    let settings = Settings {
        variants,
        ..Settings::default()
    };
    Simulator::start(settings).await.unwrap()
}

fn client(simulator: &Simulator) -> Client {
    Client::new(simulator, &[("AUTHTOKEN", &Settings::default().token)])
}

fn input_data(details: &Value) -> String {
    let text = json!({"operation": {"Details": details}}).to_string();
    let encoded = percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC);
    format!("INPUT_DATA={encoded}")
}

async fn get(client: &Client, operation: &str, details: &Value) -> HttpAnswer {
    let target = format!("{API}/{operation}?{}", input_data(details));
    client.get(&target).await.unwrap()
}

async fn import(client: &Client, applicant: &Applicant) -> HttpAnswer {
    let body = format!(
        "--frontier\r\nContent-Disposition: form-data; name=\"INPUT_DATA\"\r\n\r\n\
         {{\"operation\":{{\"Details\":{{}}}}}}\r\n\
         --frontier\r\nContent-Disposition: form-data; name=\"CSR\"; filename=\"fw01.csr\"\r\n\r\n{}\r\n--frontier--\r\n",
        applicant.pem
    );
    let target = format!("{API}/importCSR");
    let kind = "multipart/form-data; boundary=frontier";
    let answer = client.send("POST", &target, kind, body.as_bytes());
    answer.await.unwrap()
}

async fn post(client: &Client, operation: &str, details: &Value) -> std::io::Result<HttpAnswer> {
    let target = format!("{API}/{operation}");
    let body = input_data(details);
    client.send("POST", &target, FORM, body.as_bytes()).await
}

async fn sign(client: &Client, details: &Value) -> HttpAnswer {
    post(client, "signCSR", details).await.unwrap()
}

fn with_root(simulator: &Simulator, id: &Value) -> Value {
    let root = simulator.root();
    json!({
        "signType": "signWithRoot",
        "rootCertificateCommonName": root.common_name,
        "rootCertificateSerialNumber": root.serial,
        "Validity": 100,
        "isIntermediate": "false",
        "CSR_ID": id,
    })
}

fn with_microsoft(id: &Value) -> Value {
    let microsoft = Settings::default().microsoft;
    json!({
        "signType": "MSCA",
        "serverName": microsoft.server,
        "caName": microsoft.name,
        "templateName": microsoft.templates[0],
        "CSR_ID": id,
    })
}

/// Imports a CSR; the applicant and its id.
async fn imported(client: &Client) -> (Applicant, Value) {
    let applicant = Applicant::new("fw.example.com");
    let answer = import(client, &applicant).await;
    succeeded(&answer);
    (applicant, answer.json()["details"][0]["CSR_ID"].clone())
}

fn succeeded(answer: &HttpAnswer) {
    assert_eq!(
        answer.json()["result"]["status"],
        json!("Success"),
        "{}",
        answer.text()
    );
}

fn failed(answer: &HttpAnswer) -> String {
    assert_eq!(
        answer.json()["result"]["status"],
        json!("Failed"),
        "{}",
        answer.text()
    );
    answer.json()["result"]["message"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn a_wrong_token_and_a_wrong_host_fail_with_status_200() {
    let simulator = start(|_| {}).await;
    let unauthorized = Client::new(&simulator, &[("AUTHTOKEN", "wrong")]);
    let answer = unauthorized
        .get(&format!("{API}/getAllSSLCertificates"))
        .await
        .unwrap();
    assert_eq!(
        (answer.status, &answer.json()["name"]),
        (200, &json!("Authentication"))
    );
    assert!(failed(&answer).contains("not associated"));
    simulator.set(|variants| (variants.refuse_host, variants.bad_credentials_status) = (true, 401));
    let answer = get(&client(&simulator), "getAllSSLCertificates", &json!({})).await;
    assert_eq!(answer.status, 401);
    assert!(failed(&answer).contains("host"));
    assert_eq!(simulator.counters().credentials_refused, 2);
    let elsewhere = unauthorized.get("/").await.unwrap();
    assert!(elsewhere.text().contains("<title>PAM360"));
}

#[tokio::test]
async fn a_token_may_end_halfway() {
    let simulator = start(|variants| variants.token_ends_after = Some(1)).await;
    let client = client(&simulator);
    succeeded(&import(&client, &Applicant::new("fw.example.com")).await);
    failed(&import(&client, &Applicant::new("fw.example.com")).await);
}

#[tokio::test]
async fn a_csr_is_imported_exported_signed_with_the_root_and_fetched() {
    let simulator = start(|_| {}).await;
    let client = client(&simulator);
    let (applicant, id) = imported(&client).await;
    let exported = get(
        &client,
        "exportCSR",
        &json!({"CSR_ID": id, "fileType": "CSR"}),
    )
    .await;
    assert_eq!(
        exported.text().trim(),
        applicant.pem.replace('\r', "").trim()
    );
    let signed = sign(&client, &with_root(&simulator, &id)).await.json();
    assert_eq!(signed["name"], json!("SignCSR"));
    assert_eq!(signed["details"][0]["commonName"], json!("fw.example.com"));
    let serial = signed["details"][0]["serialNumber"].clone();
    assert_eq!(serial.as_str().unwrap().len(), 8);
    let wanted =
        json!({"common_name": "fw.example.com", "serial_number": serial, "fileType": "CER"});
    let list = get(&client, "getCertificate", &wanted).await.certificates();
    assert!(applicant.owns(&list[0]) && is_chain(&list) && list.len() == 2);
    let leaf = parsed(&list[0]);
    assert!(!leaf.is_ca() && leaf.subject_alternative_name().unwrap().is_some());
    let validity = leaf.validity();
    assert_eq!(
        validity.not_after.timestamp() - validity.not_before.timestamp(),
        100 * 86_400
    );
}

#[tokio::test]
async fn ids_days_and_truths_are_taken_in_every_documented_form() {
    let simulator = start(|_| {}).await;
    let client = client(&simulator);
    let (_, id) = imported(&client).await;
    let mut details = with_root(
        &simulator,
        &json!(id.as_str().unwrap().parse::<u64>().unwrap()),
    );
    details["Validity"] = json!("100");
    details["isIntermediate"] = json!(false);
    details["rootCertificateSerialNumber"] =
        json!(format!("0{}", simulator.root().serial.to_uppercase()));
    succeeded(&sign(&client, &details).await);
    let target = format!("{API}/signCSR?{}", input_data(&details));
    succeeded(&client.send("POST", &target, FORM, b"").await.unwrap());
    assert_eq!(simulator.counters().duplicates, 1);
}

#[tokio::test]
async fn is_intermediate_true_really_makes_a_ca() {
    let simulator = start(|_| {}).await;
    let client = client(&simulator);
    let (_, id) = imported(&client).await;
    let mut details = with_root(&simulator, &id);
    details["isIntermediate"] = json!("true");
    succeeded(&sign(&client, &details).await);
    assert!(parsed(&simulator.certificates()[0].der).is_ca());
}

#[tokio::test]
async fn wrong_and_missing_fields_fail_without_a_signature() {
    let simulator = start(|_| {}).await;
    let client = client(&simulator);
    let (_, id) = imported(&client).await;
    let without = |member: &str, mut details: Value| {
        details.as_object_mut().unwrap().remove(member);
        details
    };
    let mut wrong_serial = with_root(&simulator, &id);
    wrong_serial["rootCertificateSerialNumber"] = json!("1");
    let wrong = [
        with_root(&simulator, &json!("9999")),
        wrong_serial,
        without("Validity", with_root(&simulator, &id)),
        without("isIntermediate", with_root(&simulator, &id)),
        without("CSR_ID", with_root(&simulator, &id)),
        without("signType", with_root(&simulator, &id)),
        without("templateName", with_microsoft(&id)),
    ];
    for details in wrong {
        failed(&sign(&client, &details).await);
    }
    let target = format!("{API}/signCSR");
    for body in ["", "INPUT_DATA=%7B", "INPUT_DATA=%7B%22operation%22%3A1%7D"] {
        failed(
            &client
                .send("POST", &target, FORM, body.as_bytes())
                .await
                .unwrap(),
        );
    }
    assert_eq!(simulator.counters().orders, 0);
}

#[tokio::test]
async fn the_file_part_must_be_named_csr_and_hold_one() {
    let simulator = start(|variants| variants.refuse_second_import = true).await;
    let client = client(&simulator);
    let mut applicant = Applicant::new("fw.example.com");
    succeeded(&import(&client, &applicant).await);
    assert!(failed(&import(&client, &applicant).await).contains("already exists"));
    applicant.pem = "no CSR".to_owned();
    failed(&import(&client, &applicant).await);
    failed(&post(&client, "importCSR", &json!({})).await.unwrap());
    assert_eq!(simulator.csrs().len(), 1);
}

#[tokio::test]
async fn without_an_id_the_csr_is_found_among_its_namesakes_by_export() {
    let simulator = start(|variants| {
        variants.import_id = ImportId::Absent;
        variants.older_namesakes = 2;
        variants.csr_list_operation = Some("listCSR".to_owned());
        variants.csr_body = CsrBody::JsonBase64;
    })
    .await;
    let client = client(&simulator);
    let applicant = Applicant::new("fw.example.com");
    let answer = import(&client, &applicant).await;
    assert!(answer.json().get("details").is_none());
    failed(&get(&client, "getCSRList", &json!({})).await);
    let rows = get(&client, "listCSR", &json!({})).await.json()["details"].clone();
    assert_eq!(rows.as_array().unwrap().len(), 3);
    let mut ours = Vec::new();
    for row in rows.as_array().unwrap() {
        assert_eq!(row["commonName"], json!("fw.example.com"));
        let wanted = json!({"CSR_ID": row["CSR_ID"], "fileType": "CSR"});
        let exported = get(&client, "exportCSR", &wanted).await.json();
        let der = exported["details"][0]["fileContent"]
            .as_str()
            .unwrap()
            .to_owned();
        let der = BASE64.decode(der.as_bytes()).unwrap();
        let stored = simulator
            .csrs()
            .into_iter()
            .find(|csr| csr.der == der)
            .unwrap();
        ours.extend((!stored.is_namesake).then_some(stored.id));
    }
    assert_eq!(ours.len(), 1);
    assert_eq!(simulator.certificates().len(), 2);
}

#[tokio::test]
async fn a_template_of_the_microsoft_ca_may_drop_the_names_and_sets_the_days() {
    let simulator = start(|variants| variants.template_drops_names = true).await;
    let client = client(&simulator);
    let (applicant, id) = imported(&client).await;
    succeeded(&sign(&client, &with_microsoft(&id)).await);
    let der = simulator.certificates().remove(0).der;
    let leaf = parsed(&der);
    assert!(applicant.owns(&der) && leaf.subject_alternative_name().unwrap().is_none());
    let validity = leaf.validity();
    assert_eq!(
        validity.not_after.timestamp() - validity.not_before.timestamp(),
        90 * 86_400
    );
}

#[tokio::test]
async fn an_agent_must_be_named_and_be_there() {
    let simulator = start(|_| {}).await;
    let client = client(&simulator);
    let (_, id) = imported(&client).await;
    let mut details = with_microsoft(&id);
    details["signType"] = json!("MSCAusingAgent");
    failed(&sign(&client, &details).await);
    details["agentName"] = json!(Settings::default().microsoft.agent);
    details["agentResponseTimeout"] = json!(90);
    simulator.set(|variants| variants.agent_is_away = true);
    failed(&sign(&client, &details).await);
    simulator.set(|variants| variants.agent_is_away = false);
    succeeded(&sign(&client, &details).await);
}

#[tokio::test]
async fn an_approval_is_given_after_calls_or_by_an_approver() {
    let simulator = start(|variants| {
        variants.needs_approval = true;
        variants.approval_calls = Some(2);
    })
    .await;
    let client = client(&simulator);
    let (_, id) = imported(&client).await;
    let answer = sign(&client, &with_microsoft(&id)).await;
    succeeded(&answer);
    assert!(answer.json().get("details").is_none());
    let rows = async || {
        get(&client, "getAllSSLCertificates", &json!({}))
            .await
            .json()
    };
    assert_eq!(rows().await["totalRows"], json!(0));
    assert_eq!(rows().await["totalRows"], json!(1));
    simulator.set(|variants| {
        variants.approval_calls = None;
        variants.pending_answer = PendingAnswer::Failed;
    });
    let (_, id) = imported(&client).await;
    assert!(failed(&sign(&client, &with_microsoft(&id)).await).contains("approval"));
    assert_eq!(rows().await["totalRows"], json!(1));
    assert_eq!(simulator.approve(), 1);
    assert_eq!(rows().await["totalRows"], json!(2));
    assert_eq!(simulator.counters().signed, 2);
}

#[tokio::test]
async fn a_certificate_is_returned_in_every_form_and_late() {
    let simulator = start(|variants| variants.certificate_late_calls = 1).await;
    let client = client(&simulator);
    let (_, id) = imported(&client).await;
    let details = sign(&client, &with_root(&simulator, &id)).await.json()["details"][0].clone();
    let wanted = json!({"common_name": "fw.example.com", "serial_number": details["serialNumber"]});
    let fetch = async |form| {
        simulator.set(|variants| variants.certificate_body = form);
        get(&client, "getCertificate", &wanted).await
    };
    assert!(fetch(CertificateBody::Pem).await.body.is_empty());
    let leaf = simulator.certificates().remove(0).der;
    assert_eq!(fetch(CertificateBody::Pem).await.certificates()[0], leaf);
    assert_eq!(fetch(CertificateBody::Der).await.body, leaf);
    let json_of = |answer: HttpAnswer| {
        let content = &answer.json()["details"][0]["certificate"];
        content.as_str().unwrap().to_owned()
    };
    for form in [CertificateBody::JsonPem, CertificateBody::Documented] {
        let text = json_of(fetch(form).await);
        assert_eq!(certificates(text.as_bytes())[0], leaf);
    }
    let text = json_of(fetch(CertificateBody::JsonBase64).await);
    assert_eq!(BASE64.decode(text.as_bytes()).unwrap(), leaf);
    let bag = fetch(CertificateBody::Pkcs7).await.body;
    assert!(bag.windows(leaf.len()).any(|window| window == leaf));
    let text = fetch(CertificateBody::Pkcs7Pem).await.text();
    assert!(text.starts_with("-----BEGIN PKCS7-----"));
}

#[tokio::test]
async fn odd_spellings_are_all_there() {
    let mut variants = Variants::unkind();
    variants.import_id = ImportId::Number;
    let simulator = start(|old| *old = variants).await;
    let client = client(&simulator);
    let answer = import(&client, &Applicant::new("fw.example.com"))
        .await
        .json();
    assert_eq!(answer["operation"]["result"]["Status"], json!("Success"));
    assert_eq!(answer["operation"]["name"], json!("IMPORTCSR"));
    let id = answer["operation"]["Details"]["CSR_ID"].clone();
    assert!(id.is_u64());
    let signed = sign(&client, &with_root(&simulator, &id)).await.json();
    let serial = signed["operation"]["Details"]["serialNumber"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(serial, serial.to_uppercase());
    let rows = async || {
        get(&client, "getAllSSLCertificates", &json!({}))
            .await
            .json()
    };
    assert_eq!(rows().await["operation"]["totalRows"], json!(3));
    rows().await;
    let last = rows().await["operation"]["Details"].clone();
    let is_ours = |row: &&Value| row["serialNumber"] == json!(serial);
    let row = last.as_array().unwrap().iter().find(is_ours).unwrap();
    assert_eq!(row["Common Name"], json!("fw.example.com"));
    simulator.set(|variants| variants.serial_form = SerialForm::Stripped);
    let stripped = simulator.certificates().pop().unwrap().serial;
    assert_eq!(stripped, serial.to_lowercase().trim_start_matches('0'));
}

#[tokio::test]
async fn a_signature_whose_answer_is_lost_is_found_by_its_key() {
    let simulator = start(|variants| variants.older_namesakes = 2).await;
    let client = client(&simulator);
    let (applicant, id) = imported(&client).await;
    simulator.fault(On::next("POST", "signCSR"), Fault::LostAfter);
    assert!(
        post(&client, "signCSR", &with_root(&simulator, &id))
            .await
            .is_err()
    );
    let rows = get(&client, "getAllSSLCertificates", &json!({}))
        .await
        .json();
    let mut found = 0;
    for row in rows["details"].as_array().unwrap() {
        let wanted = json!({"common_name": row["Common Name"], "serial_number": row["serialNumber"], "fileType": "CER"});
        let list = get(&client, "getCertificate", &wanted).await.certificates();
        found += usize::from(applicant.owns(&list[0]));
    }
    assert_eq!((rows["totalRows"].clone(), found), (json!(3), 1));
}
