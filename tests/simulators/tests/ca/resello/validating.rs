//! Control over names: simulated, over real sockets, by mail (purchase API reference 4.6, 5).

use std::net::{Ipv4Addr, SocketAddr};

use md5::{Digest as _, Md5};
use serde_json::{Value, json};
use sha2::Sha256;
use simulators::resello::{Dcv, DetailsForm, Plan, Spelling, UniqueValue};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};

use super::request::{Firewall, start};
use super::shopper::{Envelope as _, Shopper, purchase};

#[tokio::test]
async fn an_order_waits_until_every_name_has_its_record() {
    let (shop, _) = start(Dcv::Fake, |_| {}).await;
    let shopper = Shopper::new(&shop);
    let firewall = Firewall::new(&["fw.example.com", "vpn.example.com"]);
    let id = shopper.buy(&firewall.csr).await;
    assert_eq!(shopper.status(&id).await, "pending");
    let domains = domains(&shopper, &id).await;
    let md5 = hex(&Md5::digest(firewall.der()));
    let sha256 = hex(&Sha256::digest(firewall.der()));
    assert_eq!(
        domains[0]["dnsRecord"],
        json!(format!("_{md5}.fw.example.com"))
    );
    let target = format!("{}.{}.sectigo.com", &sha256[..32], &sha256[32..]);
    assert_eq!(domains[0]["dnsCnameValue"], json!(target));
    publish(&shop, &domains[..1]);
    assert_eq!(shopper.status(&id).await, "pending");
    assert_eq!(
        shop.orders()[0].names[0],
        ("fw.example.com".to_owned(), true)
    );
    publish(&shop, &domains[1..]);
    assert_eq!(shopper.status(&id).await, "active");
}

#[tokio::test]
async fn a_unique_value_changes_the_record_and_the_file() {
    let (shop, _) = start(Dcv::Fake, |variants| {
        variants.unique_value = UniqueValue::Always;
    })
    .await;
    let shopper = Shopper::new(&shop);
    let mut order = purchase(&Firewall::new(&["fw.example.com"]).csr);
    order["dcv_type"] = json!("FILE");
    let answer = shopper.post("/ssl-certificate", &order).await.result();
    let id = answer["id"].as_str().unwrap();
    let file = domains(&shopper, id).await.remove(0);
    let location = file["fileLocation"].as_str().unwrap();
    assert!(location.starts_with("fw.example.com/.well-known/pki-validation/"));
    let contents = file["fileContents"].as_str().unwrap();
    assert_eq!(contents.lines().count(), 3);
    let without: Vec<&str> = contents.lines().take(2).collect();
    shop.publish_file(location, &without.join("\n"));
    assert_eq!(shopper.status(id).await, "pending");
    shop.publish_file(location, contents);
    assert_eq!(shopper.status(id).await, "active");
}

#[tokio::test]
async fn the_details_are_late_in_another_form_or_missing() {
    let (shop, _) = start(Dcv::Fake, |variants| {
        variants.details_hidden = 1;
        variants.details_spelling = Spelling::Snake;
    })
    .await;
    let shopper = Shopper::new(&shop);
    let id = shopper.buy(&Firewall::new(&["fw.example.com"]).csr).await;
    assert_eq!(domains(&shopper, &id).await, [] as [Value; 0]);
    let late = domains(&shopper, &id).await;
    assert!(
        late[0]["dns_cname_value"]
            .as_str()
            .unwrap()
            .ends_with(".sectigo.com")
    );
    shop.set(|variants| variants.details_form = DetailsForm::Strange);
    let strange = shopper
        .get(&format!("/ssl-certificate/{id}/validation-details"))
        .await;
    assert!(strange.result().get("dcv").is_none());
}

#[tokio::test]
async fn the_shop_validates_only_on_request_and_the_method_can_be_changed() {
    let (shop, _) = start(Dcv::Fake, |variants| variants.looks_every = 0).await;
    let shopper = Shopper::new(&shop);
    let mut order = purchase(&Firewall::new(&["fw.example.com"]).csr);
    order["dcv_type"] = json!("EMAIL");
    order["approver_email_address"] = json!("admin@example.com");
    let answer = shopper.post("/ssl-certificate", &order).await.result();
    let id = answer["id"].as_str().unwrap();
    assert_eq!(
        domains(&shopper, id).await[0]["dcvEmail"],
        json!("admin@example.com")
    );
    let validate = format!("/ssl-certificate/{id}/validate");
    let again = shopper.post(&validate, &json!({"dcv_type": "DNS"})).await;
    assert_eq!(again.result()["status"], json!("pending"));
    publish(&shop, &domains(&shopper, id).await);
    assert_eq!(shopper.status(id).await, "pending");
    let again = shopper.post(&validate, &json!({"dcv_type": "DNS"})).await;
    assert_eq!(again.result()["status"], json!("active"));
}

#[tokio::test]
async fn an_order_by_mail_waits_for_the_subscriber() {
    let (shop, _) = start(Dcv::Fake, |_| {}).await;
    let shopper = Shopper::new(&shop);
    let mut order = purchase(&Firewall::new(&["fw.example.com"]).csr);
    order["dcv_type"] = json!("EMAIL");
    order["approver_email_address"] = json!("admin@example.com");
    let answer = shopper.post("/ssl-certificate", &order).await.result();
    let id = answer["id"].as_str().unwrap();
    assert_eq!(shopper.status(id).await, "pending");
    assert!(shop.approve(id));
    assert_eq!(shopper.status(id).await, "active");
    assert!(!shop.approve(id), "nothing is left to approve");
}

#[tokio::test]
async fn an_organization_may_have_to_be_vetted_by_the_shop() {
    let (shop, _) = start(Dcv::Granted, |variants| variants.vets_at_once = false).await;
    let shopper = Shopper::new(&shop);
    let mut order = purchase(&Firewall::new(&["fw.example.com"]).csr);
    order["plan"] = json!(Plan::organization_validated().id);
    for field in [
        "chamber_of_commerce",
        "department",
        "approver_first_name",
        "approver_last_name",
        "company_name",
    ] {
        order[field] = json!("x");
    }
    let answer = shopper.post("/ssl-certificate", &order).await.result();
    let id = answer["id"].as_str().unwrap();
    assert_eq!(shopper.status(id).await, "pending");
    assert!(shop.vet(id));
    assert_eq!(shopper.status(id).await, "active");
}

#[tokio::test]
async fn a_wildcard_cannot_be_validated_by_a_file() {
    let (shop, _) = start(Dcv::Fake, |_| {}).await;
    let mut order = purchase(&Firewall::new(&["*.example.com"]).csr);
    order["dcv_type"] = json!("FILE");
    let answer = Shopper::new(&shop).post("/ssl-certificate", &order).await;
    assert_eq!(answer.wrong_fields(), ["dcv_type"]);
}

#[tokio::test]
async fn files_and_records_are_fetched_from_real_servers() {
    let web = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let dns = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let dcv = Dcv::Real {
        http: web.local_addr().unwrap(),
        dns: dns.local_addr().unwrap(),
    };
    let (shop, _) = start(dcv, |_| {}).await;
    let shopper = Shopper::new(&shop);
    for method in ["FILE", "DNS"] {
        let mut order = purchase(&Firewall::new(&["fw.example.com"]).csr);
        order["dcv_type"] = json!(method);
        let answer = shopper.post("/ssl-certificate", &order).await.result();
        let id = answer["id"].as_str().unwrap().to_owned();
        // Reading the details makes the shop validate, before the record exists.
        let nothing = json!({});
        let domain = tokio::select! {
            domains = domains(&shopper, &id) => domains[0].clone(),
            () = serve(&web, &dns, &nothing) => Value::Null,
        };
        let status = tokio::select! {
            status = shopper.status(&id) => status,
            () = serve(&web, &dns, &domain) => String::new(),
        };
        assert_eq!(status, "active", "{method}");
    }
}

#[tokio::test]
async fn a_redirect_does_not_validate() {
    let web = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let dcv = Dcv::Real {
        http: web.local_addr().unwrap(),
        dns: SocketAddr::from((Ipv4Addr::LOCALHOST, 9)),
    };
    let (shop, _) = start(dcv, |_| {}).await;
    let shopper = Shopper::new(&shop);
    let mut order = purchase(&Firewall::new(&["fw.example.com"]).csr);
    order["dcv_type"] = json!("FILE");
    let answer = shopper.post("/ssl-certificate", &order).await.result();
    let id = answer["id"].as_str().unwrap().to_owned();
    let redirect = "HTTP/1.0 301 Moved\r\nLocation: https://fw.example.com/\r\n\r\n";
    let domain = tokio::select! {
        domains = domains(&shopper, &id) => domains[0].clone(),
        () = serve_web(&web, |_| redirect.to_owned()) => Value::Null,
    };
    assert_eq!(domain["status"], json!(false));
    assert!(
        domain["statusMessage"]
            .as_str()
            .unwrap()
            .contains("missing"),
        "{domain}"
    );
}

/// The domains in the validation details, in either spelling.
async fn domains(shopper: &Shopper, id: &str) -> Vec<Value> {
    let path = format!("/ssl-certificate/{id}/validation-details");
    let details = shopper.get(&path).await.result();
    details["dcv"]["domains"].as_array().unwrap().clone()
}

fn publish(shop: &simulators::resello::Simulator, domains: &[Value]) {
    for domain in domains {
        let text = |key: &str| domain[key].as_str().unwrap().to_owned();
        shop.publish_dns(&text("dnsRecord"), &text("dnsCnameValue"));
    }
}

/// A web server and a DNS server with the records of one domain.
async fn serve(web: &TcpListener, dns: &UdpSocket, domain: &Value) {
    let text = |key: &str| domain[key].as_str().unwrap_or_default().to_owned();
    let page = |request: &str| {
        let (_, path) = text("fileLocation").split_once('/').map_or_else(
            || (String::new(), String::new()),
            |(host, path)| (host.to_owned(), path.to_owned()),
        );
        let is_it = request.starts_with(&format!("GET /{path} ")) && !path.is_empty();
        if is_it && request.contains("\r\nHost: fw.example.com\r\n") {
            format!("HTTP/1.0 200 OK\r\n\r\n{}\n", text("fileContents"))
        } else {
            "HTTP/1.0 404 Not Found\r\n\r\n".to_owned()
        }
    };
    let (record, target) = (text("dnsRecord"), text("dnsCnameValue"));
    tokio::join!(serve_web(web, page), serve_dns(dns, &record, &target));
}

async fn serve_web(web: &TcpListener, page: impl Fn(&str) -> String) {
    loop {
        let (mut stream, _) = web.accept().await.unwrap();
        let mut buffer = [0; 2048];
        let length = stream.read(&mut buffer).await.unwrap();
        let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
        stream.write_all(page(&request).as_bytes()).await.unwrap();
    }
}

/// Answers the query for `record` with a CNAME, all other queries without a record.
async fn serve_dns(dns: &UdpSocket, record: &str, target: &str) {
    loop {
        let mut buffer = [0; 2048];
        let (length, peer) = dns.recv_from(&mut buffer).await.unwrap();
        let mut message = buffer[..length].to_vec();
        message[2] |= 0x80;
        let wanted = encoded(record);
        if message[12..].starts_with(&wanted) && !record.is_empty() {
            message[7] = 1;
            let target = encoded(target);
            message.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60]);
            message.extend(u16::try_from(target.len()).unwrap().to_be_bytes());
            message.extend(target);
        }
        dns.send_to(&message, peer).await.unwrap();
    }
}

fn encoded(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}
