//! Digest access authentication as the server checks it (RFC 7616; SonicOS reference 1.2, 1.3).
//! Nonces and hashes only. Lockout and sessions are in other modules.

use std::collections::HashMap;
use std::fmt::Write as _;

use md5::Md5;
use sha2::{Digest, Sha256};

use crate::sonicos::switch::Offer;

/// A hash of the scheme, with or without `-sess`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Algorithm {
    hash: Hash,
    session: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Sha256,
    Md5,
}

impl Algorithm {
    /// The offered schemes, best first (1.2).
    pub(super) fn offered(sha256: bool, md5: bool, session_variant: Offer) -> Vec<Self> {
        let hashes = [(sha256, Hash::Sha256), (md5, Hash::Md5)];
        let variants: &[bool] = match session_variant {
            Offer::Off => &[false],
            Offer::Allowed => &[false, true],
            Offer::Enforced => &[true],
        };
        let offered = hashes.into_iter().filter(|(offered, _)| *offered);
        offered
            .flat_map(|(_, hash)| {
                variants.iter().map(move |session| Self {
                    hash,
                    session: *session,
                })
            })
            .collect()
    }

    pub(super) fn name(self) -> &'static str {
        match (self.hash, self.session) {
            (Hash::Sha256, false) => "SHA-256",
            (Hash::Sha256, true) => "SHA-256-sess",
            (Hash::Md5, false) => "MD5",
            (Hash::Md5, true) => "MD5-sess",
        }
    }

    fn hex(self, data: &[u8]) -> String {
        let write = |bytes: &[u8]| {
            bytes.iter().fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            })
        };
        match self.hash {
            Hash::Sha256 => write(&Sha256::digest(data)),
            Hash::Md5 => write(&Md5::digest(data)),
        }
    }
}

/// The data of the request and of the account that the check requires.
#[derive(Debug, Clone, Copy)]
pub(super) struct Check<'a> {
    pub(super) method: &'a str,
    pub(super) target: &'a str,
    pub(super) body: &'a [u8],
    pub(super) user: &'a str,
    pub(super) password: &'a str,
    pub(super) realm: &'a str,
    pub(super) offered: &'a [Algorithm],
    pub(super) integrity: Offer,
    pub(super) max_nonce: u32,
}

/// The result of a check.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Right; `last_use` when the nonce may not be used again.
    Right { nonce: String, last_use: bool },
    /// The nonce is unknown, spent or counted backwards: the client may try again with a new one.
    Stale,
    /// The user, the password or a field of the header is wrong.
    Wrong(&'static str),
}

/// The nonces handed out and still good.
#[derive(Debug, Default)]
pub(super) struct Nonces(HashMap<String, Nonce>);

#[derive(Debug, Default)]
struct Nonce {
    uses: u32,
    highest_count: u32,
    /// The client's nonce of the first use: the key of a -sess variant is made of it (RFC 7616 3.4.2).
    first_cnonce: Option<String>,
}

impl Nonces {
    pub(super) fn hand_out(&mut self, nonce: String) -> String {
        self.0.insert(nonce.clone(), Nonce::default());
        nonce
    }

    pub(super) fn uses(&self, nonce: &str) -> u32 {
        self.0.get(nonce).map_or(0, |known| known.uses)
    }

    pub(super) fn forget(&mut self, nonce: &str) {
        self.0.remove(nonce);
    }

    /// Checks the value of an `Authorization: Digest` header, and counts the use of its nonce when it is right.
    pub(super) fn check(&mut self, header: &str, check: Check<'_>) -> Verdict {
        let fields = fields(header);
        let field = |name: &str| fields.get(name).map_or("", String::as_str);
        if let Err(reason) = check_fields(&field, check) {
            return Verdict::Wrong(reason);
        }
        let Some(algorithm) = check
            .offered
            .iter()
            .find(|offered| offered.name().eq_ignore_ascii_case(field("algorithm")))
        else {
            return Verdict::Wrong("an algorithm that was not offered");
        };
        let Some(nonce) = self.0.get_mut(field("nonce")) else {
            return Verdict::Stale;
        };
        let first = nonce
            .first_cnonce
            .clone()
            .unwrap_or_else(|| field("cnonce").to_owned());
        // guess: whether a -sess key outlives a change of the client's nonce is not documented; both are accepted.
        let keys = [first.as_str(), field("cnonce")];
        if !keys
            .iter()
            .any(|cnonce| response(*algorithm, &field, check, cnonce) == field("response"))
        {
            return Verdict::Wrong("wrong user or password");
        }
        let Ok(count) = u32::from_str_radix(field("nc"), 16) else {
            return Verdict::Wrong("nc is not a hexadecimal number");
        };
        if count <= nonce.highest_count || nonce.uses >= check.max_nonce {
            return Verdict::Stale;
        }
        nonce.highest_count = count;
        nonce.uses += 1;
        nonce.first_cnonce = Some(first);
        Verdict::Right {
            nonce: field("nonce").to_owned(),
            last_use: nonce.uses >= check.max_nonce,
        }
    }
}

/// The words of `qop` that are offered (1.2).
pub(super) fn offered_qop(integrity: Offer) -> &'static str {
    match integrity {
        Offer::Off => "auth",
        Offer::Allowed => "auth,auth-int",
        Offer::Enforced => "auth-int",
    }
}

fn check_fields<'a>(
    field: &impl Fn(&str) -> &'a str,
    check: Check<'_>,
) -> Result<(), &'static str> {
    if field("username") != check.user {
        return Err("wrong user or password");
    }
    if field("realm") != check.realm {
        return Err("another realm");
    }
    if field("uri") != check.target {
        return Err("uri is not the path of the request");
    }
    if field("opaque") != OPAQUE {
        return Err("opaque was not sent back");
    }
    if field("cnonce").is_empty() || field("nc").len() != 8 {
        return Err("cnonce or nc is missing");
    }
    if !offered_qop(check.integrity)
        .split(',')
        .any(|offered| offered == field("qop"))
    {
        return Err("a qop that was not offered");
    }
    Ok(())
}

/// RFC 7616 3.4.1 to 3.4.3.
fn response<'a>(
    algorithm: Algorithm,
    field: &impl Fn(&str) -> &'a str,
    check: Check<'_>,
    session_cnonce: &str,
) -> String {
    let hex = |text: String| algorithm.hex(text.as_bytes());
    let Check {
        user,
        realm,
        password,
        method,
        target,
        body,
        ..
    } = check;
    let (nonce, qop) = (field("nonce"), field("qop"));
    let mut key = hex(format!("{user}:{realm}:{password}"));
    if algorithm.session {
        key = hex(format!("{key}:{nonce}:{session_cnonce}"));
    }
    let request = match qop {
        "auth-int" => format!("{method}:{target}:{}", algorithm.hex(body)),
        _ => format!("{method}:{target}"),
    };
    hex(format!(
        "{key}:{nonce}:{}:{}:{qop}:{}",
        field("nc"),
        field("cnonce"),
        hex(request)
    ))
}

/// One value for all challenges: the device keeps nothing in it.
pub(super) const OPAQUE: &str = "5ccc069c403ebaf9f0171e9517f40e41";

/// `key=value` and `key="quoted, value"`, separated by commas.
fn fields(header: &str) -> HashMap<String, String> {
    let mut found = HashMap::new();
    let mut rest = header;
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([' ', ',']).to_ascii_lowercase();
        let (value, remainder) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        found.insert(name, value.trim().to_owned());
        rest = remainder;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{Algorithm, Check, Nonces, OPAQUE, Offer, Verdict, fields, response};

    fn check(offered: &[Algorithm]) -> Check<'_> {
        Check {
            method: "GET",
            target: "/dir/index.html",
            body: b"",
            user: "Mufasa",
            password: "Circle of Life",
            realm: "http-auth@example.org",
            offered,
            integrity: Offer::Off,
            max_nonce: 10,
        }
    }

    #[test]
    fn the_example_of_the_rfc_gives_its_response() {
        let offered = Algorithm::offered(true, true, Offer::Off);
        let field = |name: &str| match name {
            "nonce" => "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            "nc" => "00000001",
            "cnonce" => "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
            "qop" => "auth",
            _ => "",
        };
        // RFC 7616 3.9.1.
        let expected = [
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
            "8ca523f5e9506fed4657c9700eebdbec",
        ];
        for (algorithm, expected) in offered.iter().zip(expected) {
            assert_eq!(response(*algorithm, &field, check(&offered), ""), expected);
        }
    }

    #[test]
    fn a_nonce_never_handed_out_is_stale_and_not_wrong() {
        let offered = Algorithm::offered(true, false, Offer::Off);
        let header = format!(
            "username=\"Mufasa\", realm=\"http-auth@example.org\", nonce=\"x\", uri=\"/dir/index.html\", qop=auth, \
             nc=00000001, cnonce=\"c\", response=\"r\", opaque=\"{OPAQUE}\", algorithm=SHA-256"
        );
        assert_eq!(
            Nonces::default().check(&header, check(&offered)),
            Verdict::Stale
        );
    }

    #[test]
    fn quoted_commas_stay_inside_their_value() {
        let found = fields(r#"username="a, b", nc=00000001, cnonce="x""#);
        assert_eq!(found.get("username").map(String::as_str), Some("a, b"));
        assert_eq!(found.get("nc").map(String::as_str), Some("00000001"));
    }
}
