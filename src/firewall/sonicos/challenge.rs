//! Authentication challenges as they stand in HTTP headers (RFC 9110, 11.3 to 11.6). Only taken apart here;
//! what is answered is decided in `digest.rs` and `login.rs`.

/// One challenge: a scheme and what it says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Challenge {
    /// The scheme, as written: `Digest`, `Basic`, `SNWL-PK-AUTH`.
    pub(super) scheme: String,
    /// Names in lower case and values without quotes, in their order.
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// Whether this is the scheme of that name; schemes are compared without regard to case.
    pub(super) fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// The value of a parameter; `name` in lower case.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let parameter = self.parameters.iter().find(|(known, _)| known == name);
        parameter.map(|(_, value)| value.as_str())
    }

    fn add(&mut self, parameter: &str) {
        if let Some((name, value)) = parameter.split_once('=') {
            let value = unquoted(value.trim());
            self.parameters
                .push((name.trim().to_ascii_lowercase(), value));
        }
    }
}

/// Every challenge of the `WWW-Authenticate` headers: several headers, and several challenges in one of them.
pub(super) fn challenges<'a>(headers: impl IntoIterator<Item = &'a str>) -> Vec<Challenge> {
    let mut found: Vec<Challenge> = Vec::new();
    for header in headers {
        for item in items(header) {
            if let Some((scheme, parameter)) = scheme_of(item) {
                found.push(Challenge {
                    scheme: scheme.to_owned(),
                    parameters: Vec::new(),
                });
                if let Some(challenge) = found.last_mut() {
                    challenge.add(parameter);
                }
            } else if let Some(challenge) = found.last_mut() {
                challenge.add(item);
            }
        }
    }
    found
}

/// The parameters of an `Authentication-Info` header, with SonicOS's own form that begins with a scheme
/// (RFC 7615; SonicOS reference 1.3).
pub(super) fn information(header: &str) -> Challenge {
    let mut information = Challenge::default();
    for item in items(header) {
        match scheme_of(item) {
            Some((scheme, parameter)) => {
                scheme.clone_into(&mut information.scheme);
                information.add(parameter);
            }
            None => information.add(item),
        }
    }
    information
}

/// The parts between commas that do not stand inside quotes.
fn items(header: &str) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    header
        .split(move |character| {
            let separates = character == ',' && !quoted;
            match character {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                _ => {}
            }
            separates
        })
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .collect()
}

/// The scheme with which an item begins, and the rest; `None` for an item that is only a parameter.
fn scheme_of(item: &str) -> Option<(&str, &str)> {
    let (first, rest) = item.split_once(char::is_whitespace).unwrap_or((item, ""));
    let is_parameter = first.contains('=') || rest.trim_start().starts_with('=');
    (!is_parameter).then_some((first, rest))
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value
        .strip_prefix('"')
        .map(|rest| rest.strip_suffix('"').unwrap_or(rest))
    else {
        return value.to_owned();
    };
    let mut text = String::with_capacity(inner.len());
    let mut escaped = false;
    for character in inner.chars() {
        if character == '\\' && !escaped {
            escaped = true;
        } else {
            text.push(character);
            escaped = false;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_challenges_in_one_header_are_parsed_separately() {
        let header = r#"Basic realm="a, b", Digest realm="admin-users@192.0.2.1", qop="auth,auth-int", nonce="x\"y" , algorithm=SHA-256, Digest realm="c", nonce=z"#;
        let found = challenges([header]);
        assert_eq!(found.len(), 3);
        assert!(found[0].is("basic"));
        assert_eq!(found[0].parameter("realm"), Some("a, b"));
        assert_eq!(found[1].parameter("qop"), Some("auth,auth-int"));
        assert_eq!(found[1].parameter("nonce"), Some("x\"y"));
        assert_eq!(found[2].parameter("nonce"), Some("z"));
    }

    #[test]
    fn several_headers_and_spaces_around_the_equals_sign_are_understood() {
        let found = challenges([r#"DIGEST Realm = "a",nonce = n"#, "Negotiate", "Basic"]);
        let schemes: Vec<&str> = found.iter().map(|one| one.scheme.as_str()).collect();
        assert_eq!(schemes, ["DIGEST", "Negotiate", "Basic"]);
        assert_eq!(found[0].parameter("realm"), Some("a"));
        assert_eq!(found[0].parameter("nonce"), Some("n"));
    }

    #[test]
    fn a_header_of_nonsense_gives_no_parameters_and_no_panic() {
        for header in [
            "",
            ",,,",
            "=",
            "\"",
            "Digest",
            "Digest realm=\"open",
            "\\",
            "é=ü, ß",
        ] {
            for challenge in challenges([header]) {
                assert_eq!(challenge.parameter("nonce"), None);
            }
        }
    }

    #[test]
    fn authentication_info_is_read_with_and_without_a_scheme() {
        assert_eq!(
            information(r#"nextnonce="n2", qop=auth"#).parameter("nextnonce"),
            Some("n2")
        );
        let own = information(r#"Digest algorithm=SHA-256, realm="r", qop="auth", nonce="n""#);
        assert_eq!(own.scheme, "Digest");
        assert_eq!(own.parameter("algorithm"), Some("SHA-256"));
        assert_eq!(own.parameter("nonce"), Some("n"));
    }
}
