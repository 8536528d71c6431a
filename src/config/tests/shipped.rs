//! The configurations that are shipped, and the schema that they and every other are checked against.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::config::check::Check;
use crate::config::diagnostics::{Diagnostics, Origin};

fn shipped(name: &str) -> PathBuf {
    Path::new(CRATE).join("config").join(name)
}

#[test]
fn the_shipped_configurations_load_as_they_are() {
    for name in ["renewd.toml", "minimal.toml"] {
        let loaded = load(&shipped(name)).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(loaded.warnings, []);
        assert_eq!(loaded.config.certificates.len(), 1, "{name}");
    }
}

/// Every `# key = value` of the file with its comment sign taken away, where that is TOML.
fn with_defaults_written(text: &str) -> String {
    let uncommented = |line: &str| {
        let inner = line.strip_prefix("# ")?;
        let (key, value) = inner.split_once(" = ")?;
        let is_key = key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        let is_value = toml::de::DeValue::parse(value).is_ok();
        (is_key && is_value).then(|| inner.to_owned())
    };
    let lines = text
        .lines()
        .map(|line| uncommented(line).unwrap_or_else(|| line.to_owned()));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn what_the_documented_configuration_shows_in_comments_loads_as_well() {
    let text = with_defaults_written(&fs::read_to_string(shipped("renewd.toml")).unwrap());
    assert!(
        text.contains("\ntotp = ") && text.contains("\nrenewal = "),
        "{text}"
    );
    let loaded = load_text(&text).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(loaded.warnings, []);
}

#[test]
fn the_defaults_of_the_schema_are_those_of_the_documentation_and_of_the_code() {
    let text = fs::read_to_string(shipped("renewd.toml")).unwrap();
    each_key(&schema(), &mut |key, part| {
        if let Some(default) = part
            .get("default")
            .filter(|default| **default != Value::Array(Vec::new()))
        {
            assert!(text.contains(&default.to_string()), "{key}: {default}");
        }
    });
    let raw = load_text(&with_defaults_written(&text)).unwrap().config;
    let left_out = load_text(&text).unwrap().config;
    assert_eq!(
        format!("{:?}", raw.daemon),
        format!("{:?}", left_out.daemon)
    );
    let ca::Settings::Local(mut raw) = raw.cas["office"].clone() else {
        panic!("office is a local CA")
    };
    raw.permitted_domains.clear();
    let ca::Settings::Local(left_out) = &left_out.cas["office"] else {
        panic!("office is a local CA")
    };
    assert_eq!(format!("{raw:?}"), format!("{left_out:?}"));
}

/// Calls `see` with each part of the schema that describes a key, and the key.
fn each_key(schema: &Value, see: &mut impl FnMut(&str, &Value)) {
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        properties.iter().for_each(|(key, value)| see(key, value));
    }
    match schema {
        Value::Object(object) => object.values().for_each(|value| each_key(value, see)),
        Value::Array(values) => values.iter().for_each(|value| each_key(value, see)),
        _ => {}
    }
}

#[test]
fn every_key_stands_in_the_documented_configuration() {
    let text = fs::read_to_string(shipped("renewd.toml")).unwrap();
    let words: BTreeSet<&str> = text
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .collect();
    let mut keys = BTreeSet::new();
    each_key(&schema(), &mut |key, _| {
        keys.insert(key.to_owned());
    });
    assert!(keys.len() > 50, "{keys:?}");
    let missing: Vec<_> = keys
        .iter()
        .filter(|key| !words.contains(key.as_str()))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Adds the words that enums of the schema consist of.
fn words(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(object) => {
            found.extend(
                object
                    .get("const")
                    .and_then(Value::as_str)
                    .map(str::to_owned),
            );
            object.values().for_each(|value| words(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| words(value, found)),
        _ => {}
    }
}

#[test]
fn every_word_of_the_schema_stands_in_the_documented_configuration() {
    let text = fs::read_to_string(shipped("renewd.toml")).unwrap();
    let mut found = BTreeSet::new();
    words(&schema(), &mut found);
    assert!(
        found.contains("ssl-vpn") && found.contains("chap"),
        "{found:?}"
    );
    let missing: Vec<_> = found
        .iter()
        .filter(|word| !text.contains(&format!("\"{word}\"")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Every table of the schema refuses unknown keys.
fn assert_closed(schema: &Value) {
    if schema.get("properties").is_some() {
        assert_eq!(schema["additionalProperties"], false, "{schema}");
    }
    let parts: Vec<&Value> = match schema {
        Value::Object(object) => object.values().collect(),
        Value::Array(values) => values.iter().collect(),
        _ => Vec::new(),
    };
    parts.into_iter().for_each(assert_closed);
}

#[test]
fn every_key_of_the_schema_is_described_and_bounded_and_unknown_ones_are_refused() {
    let schema = schema();
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    each_key(&schema, &mut |key, part| {
        assert!(part.get("description").is_some(), "{key}: {part}");
        if part["type"] == "integer" || part["type"] == "number" {
            assert!(
                part.get("minimum").is_some() && part.get("maximum").is_some(),
                "{key}"
            );
        }
        assert_eq!(part["type"].as_array(), None, "TOML has no null: {key}");
    });
    assert_closed(&schema);
    assert!(!schema.to_string().contains("x-hint"));
}

#[test]
fn the_words_for_services_are_those_of_the_inventory() {
    let schema = schema().to_string();
    for service in crate::inventory::Service::ALL {
        assert!(
            schema.contains(&format!("\"const\":\"{service}\"")),
            "{service}"
        );
    }
}

#[test]
fn what_passes_the_check_fits_the_written_types() {
    // `section_reader::file_model` reports a value that passed the check and did not fit; no file may cause that.
    for name in ["renewd.toml", "minimal.toml"] {
        let text = with_defaults_written(&fs::read_to_string(shipped(name)).unwrap());
        let mut table = toml::de::DeTable::parse(&text).unwrap().into_inner();
        let mut diagnostics = Diagnostics::default();
        let file = diagnostics.add_file(Path::new(name).into(), text.clone().into());
        let origin = Origin { file, start: 0 };
        let mut check = Check {
            diagnostics: &mut diagnostics,
            origin,
            torn: false,
        };
        check.table(schema::root(), &mut table, &(0..0));
        assert_eq!(diagnostics.into_errors(), []);
    }
}
