//! `driver.venafi`.

use super::*;
use crate::ca::venafi::{Login, Settings, Target};

fn with(driver: &str) -> Result<Settings, String> {
    let text = format!(
        "{}\n[[ca]]\nname = \"cloud\"\n[ca.driver.venafi]\n{driver}",
        sound("{ env = \"HQ\" }", "")
    );
    let loaded = load_text(&text).map_err(|errors| errors.to_string())?;
    let ca::Settings::Venafi(settings) = &loaded.config.cas["cloud"] else {
        panic!("cloud is a TLS Protect Cloud")
    };
    Ok(settings.as_ref().clone())
}

const LEAST: &str =
    "api_key = { env = \"KEY\" }\napplication = \"Firewalls\"\ntemplate = \"Default\"\n";

#[test]
fn a_key_an_application_and_a_template_are_enough() {
    let settings = with(LEAST).unwrap();
    assert_eq!(settings.url.as_str(), "https://api.venafi.cloud/");
    assert_eq!(settings.application, Target::Name("Firewalls".to_owned()));
    assert_eq!((settings.validity_days, &settings.tags), (None, &None));
    assert!(!settings.decommission_superseded);
    assert!(matches!(settings.trust.anchor, crate::tls::Anchor::System));
    assert_eq!(settings.timeout, std::time::Duration::from_secs(30));
}

#[test]
fn ids_a_service_account_and_an_own_region_are_taken() {
    let settings = with(
        "url = \"https://api.venafi.eu/base\"\nservice_account = { id = \"7a5f-1\", jwt = { file = \"jwt\" } }\n\
         application = { id = \"45d0\" }\ntemplate = { id = \"51cb\" }\ntags = []\ndecommission_superseded = true\ntimeout = \"5s\"",
    )
    .unwrap();
    assert!(matches!(settings.login, Login::ServiceAccount { id, .. } if id == "7a5f-1"));
    assert_eq!(settings.template, Target::Id("51cb".to_owned()));
    assert_eq!(settings.tags, Some(Vec::new()));
    assert_eq!(settings.url.path(), "/base");
}

#[test]
fn each_mistake_has_its_words() {
    for (driver, words) in [
        (
            LEAST.replace("api_key = { env = \"KEY\" }", ""),
            "no login is configured",
        ),
        (
            format!("{LEAST}service_account = {{ id = \"a\", jwt = {{ env = \"JWT\" }} }}"),
            "exclude each other",
        ),
        (
            LEAST.replace("application = \"Firewalls\"", ""),
            "`application` is missing",
        ),
        (LEAST.replace("\"Firewalls\"", "\" \""), "a name is missing"),
        (
            LEAST.replace("\"Default\"", "{ id = \"a/b\" }"),
            "`a/b` is not an id",
        ),
        (
            LEAST.replace("\"Default\"", "{ name = \"x\" }"),
            "unknown key `name`",
        ),
        (LEAST.replace("\"Default\"", "7"), "`template` must be"),
        (
            format!("{LEAST}url = \"http://api.venafi.cloud\""),
            "reached by https",
        ),
        (
            format!("{LEAST}url = \"https://u:hunter2@api.venafi.cloud\""),
            "must not hold a user",
        ),
        (
            format!("{LEAST}url = \"https://api.venafi.cloud/?region=eu\""),
            "end after its path",
        ),
        (format!("{LEAST}validity_days = 0"), "between 1 and 825"),
        (format!("{LEAST}tags = [\"\"]"), "a tag is empty"),
        (format!("{LEAST}timeout = \"1h\""), "too long"),
        (format!("{LEAST}trust = {{ }}"), "`trust` is empty"),
    ] {
        let reported = with(&driver).unwrap_err();
        assert!(reported.contains(words), "{driver}\n{reported}");
        assert!(!reported.contains("hunter2"), "{reported}");
    }
}
