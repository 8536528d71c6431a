//! Accounts.

use serde_json::json;
use simulators::acme::{ProblemType, Settings};

use super::start;
use super::subscriber::{Subscriber, names_body, problem};

const NEW_ACCOUNT: &str = "/new-account";

#[tokio::test]
async fn a_key_has_one_account_however_often_it_asks() {
    let simulator = start(|_| {}).await;
    let subscriber = Subscriber::new(&simulator);
    let only_existing = json!({"onlyReturnExisting": true});
    let missing = subscriber.post(NEW_ACCOUNT, &only_existing).await;
    assert_eq!(problem(&missing), "accountDoesNotExist");
    let wish = json!({"termsOfServiceAgreed": true, "contact": ["mailto:noc@example.com"]});
    let first = subscriber.post(NEW_ACCOUNT, &wish).await;
    let second = subscriber.post(NEW_ACCOUNT, &wish).await;
    let third = subscriber.post(NEW_ACCOUNT, &only_existing).await;
    assert_eq!((first.status, second.status, third.status), (201, 200, 200));
    assert_eq!(first.header("location"), third.header("location"));
    let accounts = simulator.accounts();
    assert_eq!(accounts.len(), 1);
    assert_eq!(accounts[0].contact, ["mailto:noc@example.com"]);
}

#[tokio::test]
async fn the_terms_must_be_agreed_to_and_a_contact_be_a_mail_address() {
    let simulator = start(|_| {}).await;
    let subscriber = Subscriber::new(&simulator);
    let refused = subscriber.post(NEW_ACCOUNT, &json!({})).await;
    assert_eq!(
        (refused.status, problem(&refused)),
        (403, "userActionRequired".to_owned())
    );
    assert!(refused.json()["instance"].is_string());
    assert!(refused.head.contains(&Settings::default().terms));
    let wish = json!({"termsOfServiceAgreed": true, "contact": ["tel:+1"]});
    let refused = subscriber.post(NEW_ACCOUNT, &wish).await;
    assert_eq!(problem(&refused), "unsupportedContact");
    assert!(simulator.accounts().is_empty());
}

#[tokio::test]
async fn an_external_account_is_bound_by_its_own_key_only() {
    let simulator = start(|settings| settings.variants.external_account_required = true).await;
    let subscriber = Subscriber::new(&simulator);
    let known = Settings::default().external_accounts.remove(0);
    let wish = |binding| json!({"termsOfServiceAgreed": true, "externalAccountBinding": binding});
    let without = subscriber
        .post(NEW_ACCOUNT, &json!({"termsOfServiceAgreed": true}))
        .await;
    assert_eq!(problem(&without), "externalAccountRequired");
    let wrong_key = subscriber.binding(&known.kid, b"guessed", NEW_ACCOUNT);
    assert_eq!(
        problem(&subscriber.post(NEW_ACCOUNT, &wish(wrong_key)).await),
        "malformed"
    );
    let wrong_kid = subscriber.binding("kid-2", &known.key, NEW_ACCOUNT);
    assert_eq!(
        problem(&subscriber.post(NEW_ACCOUNT, &wish(wrong_kid)).await),
        "unauthorized"
    );
    let other_url = subscriber.binding(&known.kid, &known.key, "/new-order");
    assert_eq!(
        problem(&subscriber.post(NEW_ACCOUNT, &wish(other_url)).await),
        "malformed"
    );
    let stolen = Subscriber::new(&simulator).binding(&known.kid, &known.key, NEW_ACCOUNT);
    assert_eq!(
        problem(&subscriber.post(NEW_ACCOUNT, &wish(stolen)).await),
        "malformed"
    );
    let good = subscriber.binding(&known.kid, &known.key, NEW_ACCOUNT);
    assert_eq!(subscriber.post(NEW_ACCOUNT, &wish(good)).await.status, 201);
    assert_eq!(simulator.accounts()[0].external.as_deref(), Some("kid-1"));
    assert_eq!(simulator.counters().credentials_refused, 5);
}

#[tokio::test]
async fn an_account_can_be_changed_deactivated_and_forgotten() {
    let simulator = start(|_| {}).await;
    let subscriber = Subscriber::registered(&simulator).await;
    let url = subscriber.account.clone().unwrap();
    let contact = json!({"contact": ["mailto:noc@example.com"]});
    subscriber.post(&url, &contact).await;
    assert_eq!(
        subscriber.read(&url).await.json()["contact"],
        contact["contact"]
    );
    let ended = subscriber
        .post(&url, &json!({"status": "deactivated"}))
        .await;
    assert_eq!(ended.json()["status"], "deactivated");
    let order = names_body(&["fw.example.com"]);
    let refused = subscriber.post("/new-order", &order).await;
    assert_eq!(
        (refused.status, problem(&refused)),
        (401, "unauthorized".to_owned())
    );
    let other = Subscriber::registered(&simulator).await;
    simulator.forget_accounts();
    let refused = other.post("/new-order", &order).await;
    assert_eq!(problem(&refused), "accountDoesNotExist");
    assert!(simulator.accounts().is_empty());
}

#[tokio::test]
async fn a_switch_refuses_new_accounts_and_leaves_old_ones_alone() {
    let simulator = start(|_| {}).await;
    let subscriber = Subscriber::registered(&simulator).await;
    simulator.set(|variants| variants.new_account_refused = Some(ProblemType::RateLimited));
    let wish = json!({"termsOfServiceAgreed": true});
    let refused = Subscriber::new(&simulator).post(NEW_ACCOUNT, &wish).await;
    assert_eq!(
        (refused.status, problem(&refused)),
        (429, "rateLimited".to_owned())
    );
    assert_eq!(refused.header("retry-after").as_deref(), Some("36"));
    subscriber.order(&["fw.example.com"]).await;
}
