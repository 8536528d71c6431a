//! The rules of an issuing template, applied to what is wanted before a key exists (TLS Protect Cloud reference 4.2). Pure.
//!
//! Only what the service would certainly refuse is reported. A missing or unreadable rule refuses nothing.

use regex::{Regex, RegexBuilder};

use super::wire::{KeyType, Template};
use crate::pki::{AlternateName, KeyKind, KeyRequest, country_code};

/// Why a request under `template` would be refused; empty: nothing speaks against it.
pub(super) fn preflight(template: &Template, wanted: &KeyRequest) -> Vec<String> {
    let mut found = Vec::new();
    if template.status == "UNAVAILABLE" {
        let reason = template.reason.as_deref().unwrap_or("it does not say why");
        found.push(format!("the template is unavailable: {reason}"));
    }
    if template.csr_upload_allowed == Some(false) {
        found.push("the template takes no CSR that was made elsewhere".to_owned());
    }
    found.extend(about_key(template.key_types.as_deref(), wanted.key));
    found.extend(about_subject(template, wanted));
    let names = wanted.alternate_names.iter();
    found.extend(names.filter_map(|name| about_alternate_name(template, name)));
    found
}

/// The expressions of `template` that renewd cannot read: what only they allow is left to the service.
pub(super) fn unreadable(template: &Template) -> Vec<&str> {
    lists(template)
        .into_iter()
        .flatten()
        .flatten()
        .map(String::as_str)
        .filter(|text| whole(text).is_none())
        .collect()
}

/// The kinds of key that the template accepts, for a message; `None`: it does not restrict them.
pub(super) fn keys_in_words(template: &Template) -> Option<String> {
    let kinds: Vec<String> = template
        .key_types
        .as_ref()?
        .iter()
        .map(kind_in_words)
        .collect();
    Some(kinds.join("; "))
}

fn about_key(kinds: Option<&[KeyType]>, wanted: KeyKind) -> Option<String> {
    let kinds = kinds.filter(|kinds| !kinds.is_empty())?;
    let fits = |kind: &KeyType| match wanted {
        KeyKind::Rsa(bits) => {
            kind.algorithm.eq_ignore_ascii_case("RSA")
                && (kind.lengths.is_empty() || kind.lengths.contains(&bits))
        }
        KeyKind::Ecdsa(bits) => {
            let is_wanted = |curve: &String| curve.eq_ignore_ascii_case(&format!("P{bits}"));
            kind.algorithm.eq_ignore_ascii_case("EC")
                && (kind.curves.is_empty() || kind.curves.iter().any(is_wanted))
        }
        KeyKind::Other => true,
    };
    if kinds.iter().any(fits) {
        return None;
    }
    let allowed: Vec<String> = kinds.iter().map(kind_in_words).collect();
    Some(format!(
        "the template takes no {wanted} key, only {}",
        allowed.join("; ")
    ))
}

fn about_subject(template: &Template, wanted: &KeyRequest) -> Vec<String> {
    let mut found = Vec::new();
    for (attribute, value) in wanted.subject.parts() {
        let rule = match attribute {
            "CN" => &template.subject_cn_regexes,
            "O" => &template.subject_o_regexes,
            "OU" => &template.subject_ou_regexes,
            "ST" => &template.subject_st_regexes,
            "L" => &template.subject_l_regexes,
            "C" => {
                found.extend(about_country(template.subject_c_values.as_deref(), value));
                continue;
            }
            _ => continue,
        };
        found.extend(about_value(attribute, value, rule.as_deref()));
    }
    found
}

/// Countries are plain values or, as for any other part, expressions: `.*` is the service's own way to allow any. An empty
/// list does so too.
fn about_country(allowed: Option<&[String]>, country: &str) -> Option<String> {
    let allowed = allowed.filter(|allowed| !allowed.is_empty())?;
    let code = country_code(country)?;
    let may_allow = |value: &String| {
        value.eq_ignore_ascii_case(code) || whole(value).is_none_or(|regex| regex.is_match(code))
    };
    if allowed.iter().any(may_allow) {
        return None;
    }
    Some(format!(
        "the template does not allow the country {code}, only {}",
        allowed.join(", ")
    ))
}

fn about_alternate_name(template: &Template, name: &AlternateName) -> Option<String> {
    let (kind, rule) = match name {
        AlternateName::Domain(_) => ("domain", &template.san_regexes),
        AlternateName::Email(_) => ("mail address", &template.san_rfc822_name_regexes),
        AlternateName::Ip(_) => ("address", &template.san_ip_address_regexes),
    };
    about_value(
        &format!("alternate name ({kind})"),
        &name.to_string(),
        rule.as_deref(),
    )
}

fn about_value(what: &str, value: &str, rule: Option<&[String]>) -> Option<String> {
    let rule = rule?;
    // One that cannot be read may be the one that allows it.
    let may_allow = |text: &String| whole(text).is_none_or(|regex| regex.is_match(value));
    if rule.iter().any(may_allow) {
        return None;
    }
    let allowed = match rule {
        [] => "allows none".to_owned(),
        rule => format!("allows only {}", rule.join("  or  ")),
    };
    Some(format!(
        "the {what} \"{value}\" breaks the template, which {allowed}"
    ))
}

/// The service matches the whole value, also by an expression without anchors.
fn whole(text: &str) -> Option<Regex> {
    RegexBuilder::new(&format!("^(?:{text})$"))
        .size_limit(LARGEST_EXPRESSION_BYTES)
        .build()
        .ok()
}

fn lists(template: &Template) -> [Option<&Vec<String>>; 9] {
    [
        template.subject_cn_regexes.as_ref(),
        template.subject_o_regexes.as_ref(),
        template.subject_ou_regexes.as_ref(),
        template.subject_c_values.as_ref(),
        template.subject_st_regexes.as_ref(),
        template.subject_l_regexes.as_ref(),
        template.san_regexes.as_ref(),
        template.san_ip_address_regexes.as_ref(),
        template.san_rfc822_name_regexes.as_ref(),
    ]
}

fn kind_in_words(kind: &KeyType) -> String {
    let mut words: Vec<String> = kind.lengths.iter().map(ToString::to_string).collect();
    words.extend(kind.curves.iter().cloned());
    format!("{} {}", kind.algorithm, words.join(", "))
        .trim_end()
        .to_owned()
}

const LARGEST_EXPRESSION_BYTES: usize = 1 << 20;
