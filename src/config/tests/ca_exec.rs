//! `driver.exec`.

use super::*;
use crate::ca::exec::Settings;

fn with(driver: &str) -> Result<Settings, String> {
    let text = format!(
        "{}\n[[ca]]\nname = \"helper\"\n[ca.driver.exec]\n{driver}",
        sound("{ env = \"HQ\" }", "")
    );
    let loaded = load_text(&text).map_err(|errors| errors.to_string())?;
    let ca::Settings::Exec(settings) = &loaded.config.cas["helper"] else {
        panic!("helper is an outside program")
    };
    Ok(settings.as_ref().clone())
}

#[test]
fn a_program_is_enough() {
    let settings = with("program = \"/opt/helper\"").unwrap();
    assert_eq!(settings.program, Path::new("/opt/helper"));
    assert_eq!(settings.records, Path::new("/var/lib/renewd/ca/helper"));
    assert!(settings.arguments.is_empty() && settings.environment.is_empty());
    assert_eq!(settings.timeout, std::time::Duration::from_mins(2));
    assert_eq!(settings.name, "helper");
}

#[test]
fn arguments_and_environment_are_taken_as_they_are() {
    let settings = with(
        "program = \"/opt/helper\"\narguments = [\"-d\", \"a b\", \"$HOME;\"]\n\
         environment = [\"A=b=c\", \"CERTMONGER_CA_PROFILE=\"]\nrecords = \"r\"\ntimeout = \"5s\"",
    )
    .unwrap();
    assert_eq!(settings.arguments, ["-d", "a b", "$HOME;"]);
    let expected = [("A", "b=c"), ("CERTMONGER_CA_PROFILE", "")];
    assert_eq!(
        settings.environment,
        expected.map(|(n, v)| (n.to_owned(), v.to_owned()))
    );
    assert!(settings.records.is_absolute() && settings.records.ends_with("r"));
}

#[test]
fn each_mistake_has_its_words() {
    for (driver, words) in [
        ("", "`program` is missing"),
        ("program = \"helper\"", "`helper` is not an absolute path"),
        (
            "program = \"/opt/helper\"\nenvironment = [\"A\"]",
            "not an environment variable",
        ),
        (
            "program = \"/opt/helper\"\nenvironment = [\"1A=b\"]",
            "not an environment variable",
        ),
        (
            "program = \"/opt/helper\"\narguments = [\"a\\u0000b\"]",
            "zero byte",
        ),
        (
            "program = \"/opt/helper\"\narguments = \"-d /x\"",
            "`arguments` must be",
        ),
        ("program = \"/opt/helper\"\ntimeout = \"1d\"", "too long"),
        ("program = \"/opt/helper\"\nargs = []", "unknown key `args`"),
    ] {
        let reported = with(driver).unwrap_err();
        assert!(reported.contains(words), "{driver}\n{reported}");
    }
}
