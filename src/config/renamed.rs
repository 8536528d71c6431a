//! Keys that an earlier renewd called otherwise: the one table of old and new names.
//!
//! An old key is an error that names the new one. The value is then checked as that of the new key, so that one run of
//! `renewd check` reports everything there is to change.

use toml::Spanned;
use toml::de::{DeArray, DeValue};

/// The key that is called otherwise now.
#[derive(Debug)]
pub(super) struct Renamed<'t> {
    pub message: String,
    pub hint: String,
    /// The value under its new keys.
    pub values: Vec<(&'static str, Spanned<DeValue<'t>>)>,
}

/// The new keys of `key`, which the table `label` does not know.
pub(super) fn renamed<'t>(
    label: &str,
    key: &str,
    value: &Spanned<DeValue<'t>>,
) -> Option<Renamed<'t>> {
    if label == "[[certificate]]" && matches!(key, "alternate_name" | "alternate_names") {
        return Some(alternate_names(key, value));
    }
    let (_, _, new) = RENAMED
        .into_iter()
        .find(|(table, old, _)| *table == label && *old == key)?;
    Some(Renamed {
        message: format!("`{key}` is now `{new}`"),
        hint: format!("rename the key to `{new}`; its values are as before"),
        values: vec![(new, value.clone())],
    })
}

/// One list for each kind of name.
fn alternate_names<'t>(key: &str, value: &Spanned<DeValue<'t>>) -> Renamed<'t> {
    let mut lists = KINDS.map(|(_, new)| (new, Vec::new()));
    collect(value, &mut lists);
    let lists = lists.into_iter().filter(|(_, names)| !names.is_empty());
    let lists: Vec<(&str, Vec<Spanned<DeValue<'_>>>)> = lists.collect();
    let text =
        |name: &Spanned<DeValue<'_>>| format!("{:?}", name.get_ref().as_str().unwrap_or("…"));
    let line = |(new, names): &(&str, Vec<Spanned<DeValue<'_>>>)| {
        let names: Vec<String> = names.iter().map(text).collect();
        format!("{new} = [{}]", names.join(", "))
    };
    let lines: Vec<String> = lists.iter().map(line).collect();
    let hint = if lines.is_empty() {
        "each is a list, for example: dns_names = [\"vpn.example.com\"]".to_owned()
    } else {
        format!("write instead: {}", lines.join(" and "))
    };
    let range = value.span();
    let values = lists.into_iter().map(|(new, names)| {
        let list: DeArray<'_> = names.into_iter().collect();
        (new, Spanned::new(range.clone(), DeValue::Array(list)))
    });
    Renamed {
        message: format!("`{key}` is now `dns_names`, `ip_addresses` and `email_addresses`"),
        hint,
        values: values.collect(),
    }
}

/// Adds the names in `value`, one table or a list of them, to the list of their kind.
fn collect<'t>(
    value: &Spanned<DeValue<'t>>,
    lists: &mut [(&'static str, Vec<Spanned<DeValue<'t>>>)],
) {
    match value.get_ref() {
        DeValue::Array(values) => values.iter().for_each(|value| collect(value, lists)),
        DeValue::Table(table) => {
            for (kind, name) in table {
                let known = KINDS.iter().find(|(old, _)| *old == kind.get_ref());
                let list = known.and_then(|(_, new)| lists.iter_mut().find(|(key, _)| key == new));
                if let Some((_, names)) = list {
                    names.push(name.clone());
                }
            }
        }
        _ => {}
    }
}

/// The table by its label in messages, its old key, and the new one.
const RENAMED: [(&str, &str, &str); 14] = [
    ("the file", "transfers", "file_transfer"),
    ("[daemon]", "concurrency", "max_concurrent_renewals"),
    ("[renewal]", "share_of_lifetime", "renew_after"),
    ("[renewal]", "proof_grace", "verify_timeout"),
    ("[file_transfer]", "peer", "source_address"),
    ("driver.acme", "agree_to_terms", "terms_of_service_agreed"),
    ("driver.resello", "renewals", "renewal_mode"),
    ("driver.venafi", "retire", "decommission_superseded"),
    ("driver.sonicos", "transfers", "file_transfer"),
    ("driver.sonicos.file_transfer", "peer", "source_address"),
    ("maintenance_window", "lasts", "duration"),
    ("[[certificate]]", "verify", "endpoints"),
    ("renewal", "share_of_lifetime", "renew_after"),
    ("renewal", "proof_grace", "verify_timeout"),
];

/// The kinds of alternate names as they were written, and the list that each has now.
const KINDS: [(&str, &str); 3] = [
    ("domain_name", "dns_names"),
    ("ipv4_address", "ip_addresses"),
    ("email_address", "email_addresses"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema;

    #[test]
    fn every_new_key_exists_and_no_old_one_does() {
        let lists = KINDS.map(|(_, new)| ("[[certificate]]", "alternate_names", new));
        for (label, old, new) in RENAMED.into_iter().chain(lists) {
            let table = schema::root().labelled(label).unwrap();
            assert!(table.keys.contains_key(new), "{label}: {new}");
            assert!(!table.keys.contains_key(old), "{label}: {old}");
        }
    }
}
