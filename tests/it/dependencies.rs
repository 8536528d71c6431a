//! The document about dependencies against the manifests.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[test]
fn every_direct_dependency_is_documented_and_nothing_that_is_gone() {
    let declared: BTreeSet<String> = MANIFESTS.iter().flat_map(|file| declared(file)).collect();
    let documented = documented();
    assert!(declared.len() > 40, "{declared:?}");
    let missing: Vec<&String> = declared.difference(&documented).collect();
    let gone: Vec<&String> = documented.difference(&declared).collect();
    assert!(
        missing.is_empty(),
        "not in docs/dependencies.md: {missing:?}"
    );
    assert!(
        gone.is_empty(),
        "in docs/dependencies.md, but in no manifest: {gone:?}"
    );
}

#[test]
fn every_dependency_of_the_program_is_used_by_it() {
    let sources = [sources("src"), sources("dns/src")].concat();
    for manifest in ["Cargo.toml", "dns/Cargo.toml"] {
        for (key, _) in dependencies(manifest, &["dependencies"]) {
            let name = key.replace('-', "_");
            // A few have a library of another name than their package.
            let name = match &*name {
                "md_5" => "md5".to_owned(),
                "rustls_webpki" => "webpki".to_owned(),
                _ => name,
            };
            let is_used = |text: &String| {
                text.contains(&format!("{name}::")) || text.contains(&format!("use {name}"))
            };
            assert!(
                sources.iter().any(is_used),
                "{manifest}: nothing uses {key}"
            );
        }
    }
}

#[test]
fn no_crate_here_may_be_unsafe() {
    for file in MANIFESTS {
        let manifest = manifest(file);
        let level = manifest["lints"]["rust"]["unsafe_code"].as_str();
        assert_eq!(level, Some("forbid"), "{file}");
    }
}

/// The names of the packages of a manifest, whatever they are called in it.
fn declared(file: &str) -> BTreeSet<String> {
    let tables = ["dependencies", "dev-dependencies", "build-dependencies"];
    dependencies(file, &tables)
        .into_iter()
        .map(|(key, entry)| {
            let package = entry.get("package").and_then(toml::Value::as_str);
            package.map_or(key, str::to_owned)
        })
        .collect()
}

fn dependencies(file: &str, tables: &[&str]) -> Vec<(String, toml::Value)> {
    let manifest = manifest(file);
    tables
        .iter()
        .filter_map(|table| manifest.get(*table)?.as_table().cloned())
        .flatten()
        .collect()
}

/// What stands in backquotes in the first column of a table.
fn documented() -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join("docs/dependencies.md")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.flat_map(|row| {
        let (first, _) = row.split_once(" |").unwrap();
        let names = first
            .split(", ")
            .map(|name| name.trim_matches('`').to_owned());
        names.collect::<Vec<_>>()
    })
    .collect()
}

fn manifest(file: &str) -> toml::Value {
    let text = std::fs::read_to_string(root().join(file)).unwrap();
    toml::Value::Table(text.parse().unwrap())
}

fn sources(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    collect(&root().join(folder), &mut found);
    found
}

fn collect(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else {
            found.push(std::fs::read_to_string(path).unwrap());
        }
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

const MANIFESTS: [&str; 3] = [
    "Cargo.toml",
    "dns/Cargo.toml",
    "tests/simulators/Cargo.toml",
];
