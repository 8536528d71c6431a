//! HTTP digest (RFC 7616) on the client's side: which offer is taken, and the count of a nonce's uses.
//! Whether a challenge may be answered at all is decided in `channel.rs`.

use digest_auth::{
    Algorithm, AlgorithmType, AuthContext, Charset, HttpMethod, Qop, WwwAuthenticateHeader,
};
use reqwest::header::HeaderValue;

use super::challenge::Challenge;
use super::login_level::{Floor, LoginLevel};
use crate::random::Random;
use crate::secret::Secret;

/// A digest challenge that is being answered, request after request.
#[derive(Debug)]
pub(super) struct Digester {
    challenge: WwwAuthenticateHeader,
    /// One for all answers to this challenge: a `-sess` key is made from it (RFC 7616, 3.4.2).
    client_nonce: String,
}

/// What an answer is computed over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) user: &'a str,
    pub(super) password: &'a Secret,
    pub(super) method: &'a str,
    /// Path and query, as on the request line.
    pub(super) target: &'a str,
    pub(super) body: &'a [u8],
}

impl Digester {
    /// Takes the safest of the challenges that we can answer and that are not below `floor`; `None` when there is none.
    pub(super) fn best(
        challenges: &[Challenge],
        floor: Floor,
        random: &dyn Random,
    ) -> Option<Self> {
        let offers = challenges.iter().filter(|one| one.is("Digest"));
        // The first of equals wins: the device lists what it prefers first (RFC 7616, 3.7).
        let best = offers
            .filter_map(|one| offer(one, floor.with_integrity))
            .filter(|offer| level(offer.algorithm) >= floor.level)
            .rev()
            .max_by_key(|offer| strength(offer.algorithm))?;
        let mut bytes = [0; 16];
        random.fill(&mut bytes);
        Some(Self {
            challenge: best,
            client_nonce: data_encoding::HEXLOWER.encode(&bytes),
        })
    }

    /// The `Authorization` header for one request; `None` when the names in it fit in no header.
    pub(super) fn answer(&mut self, subject: &Subject<'_>) -> Option<HeaderValue> {
        // Always with a body, be it empty: without one `digest_auth` falls back from auth-int to auth.
        let mut context = AuthContext::new_with_method(
            subject.user,
            subject.password.expose(),
            subject.target,
            Some(subject.body),
            HttpMethod(subject.method.into()),
        );
        context.set_custom_cnonce(self.client_nonce.as_str());
        let answer = self.challenge.respond(&context).ok()?.to_header_string();
        let mut header = HeaderValue::from_bytes(answer.as_bytes()).ok()?;
        header.set_sensitive(true);
        Some(header)
    }

    /// Goes over to the nonce that the device wants next; its uses are counted from 1 again
    /// (SonicOS reference 1.2).
    pub(super) fn renew(&mut self, nonce: &str) {
        nonce.clone_into(&mut self.challenge.nonce);
        self.challenge.nc = 0;
    }

    /// The device's nonce.
    pub(super) fn nonce(&self) -> &str {
        &self.challenge.nonce
    }

    /// Whether the device says that only the nonce was too old, not the answer wrong.
    pub(super) fn is_stale(&self) -> bool {
        self.challenge.stale
    }

    /// What a peer has to offer at least to be answered in the place of this one.
    pub(super) fn floor(&self) -> Floor {
        Floor {
            level: level(self.challenge.algorithm),
            with_integrity: self.has_integrity(),
        }
    }

    /// The scheme's name for people.
    pub(super) fn name(&self) -> String {
        let suffix = if self.has_integrity() {
            " auth-int"
        } else {
            ""
        };
        format!("digest {}{suffix}", self.challenge.algorithm)
    }

    fn has_integrity(&self) -> bool {
        self.challenge.qop.as_deref() == Some(&[Qop::AUTH_INT])
    }
}

/// One challenge as an offer that we answer. Unknown algorithms and protections are left to others; without `qop` (RFC 2069)
/// the answer holds nothing of our choice, so that the peer can have computed a table for it beforehand.
fn offer(challenge: &Challenge, with_integrity: bool) -> Option<WwwAuthenticateHeader> {
    let yes = |name| {
        challenge
            .parameter(name)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    };
    let algorithm = algorithm(challenge.parameter("algorithm").unwrap_or("MD5"))?;
    let qop = protection(challenge.parameter("qop")?, with_integrity)?;
    Some(WwwAuthenticateHeader {
        domain: None,
        realm: challenge.parameter("realm")?.to_owned(),
        nonce: challenge.parameter("nonce")?.to_owned(),
        opaque: challenge.parameter("opaque").map(str::to_owned),
        stale: yes("stale"),
        algorithm,
        qop: Some(vec![qop]),
        userhash: yes("userhash"),
        charset: Charset::ASCII,
        nc: 0,
    })
}

fn algorithm(name: &str) -> Option<Algorithm> {
    let canonical = match name.to_ascii_uppercase().strip_suffix("-SESS") {
        Some(plain) => format!("{plain}-sess"),
        None => name.to_ascii_uppercase(),
    };
    canonical.parse().ok()
}

/// `auth` where it is offered; `auth-int` only where the device enforces it, or did so before.
fn protection(offered: &str, with_integrity: bool) -> Option<Qop> {
    let offers = |wanted: &str| {
        offered
            .split(',')
            .any(|one| one.trim().eq_ignore_ascii_case(wanted))
    };
    match (offers("auth"), offers("auth-int")) {
        (_, true) if with_integrity => Some(Qop::AUTH_INT),
        (true, _) if !with_integrity => Some(Qop::AUTH),
        (false, true) => Some(Qop::AUTH_INT),
        _ => None,
    }
}

fn level(algorithm: Algorithm) -> LoginLevel {
    match algorithm.algo {
        AlgorithmType::MD5 => LoginLevel::DigestMd5,
        AlgorithmType::SHA2_256 | AlgorithmType::SHA2_512_256 => LoginLevel::DigestSha256,
    }
}

fn strength(algorithm: Algorithm) -> u8 {
    match algorithm.algo {
        AlgorithmType::MD5 => 0,
        AlgorithmType::SHA2_256 => 1,
        AlgorithmType::SHA2_512_256 => 2,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::super::challenge::challenges;
    use super::*;
    use crate::random::SeededRandom;

    const RFC_7616_CLIENT_NONCE: &str = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";

    fn digester(headers: &[&str]) -> Digester {
        let found = challenges(headers.iter().copied());
        Digester::best(&found, Floor::NONE, &SeededRandom::new(1)).unwrap()
    }

    fn authorization(digester: &mut Digester, body: &[u8]) -> String {
        let password = Secret::new("Circle of Life".to_owned());
        let subject = Subject {
            user: "Mufasa",
            password: &password,
            method: "GET",
            target: "/dir/index.html",
            body,
        };
        let header = digester.answer(&subject).unwrap();
        assert!(header.is_sensitive());
        header.to_str().unwrap().to_owned()
    }

    /// RFC 7616, 3.9.1.
    const BOTH: [&str; 2] = [
        r#"Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#,
        r#"Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=MD5, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#,
    ];

    #[test]
    fn the_example_of_rfc_7616_is_answered_with_sha_256_in_either_order() {
        for headers in [BOTH, [BOTH[1], BOTH[0]]] {
            let mut digester = digester(&headers);
            RFC_7616_CLIENT_NONCE.clone_into(&mut digester.client_nonce);
            let answer = authorization(&mut digester, b"");
            assert!(answer.contains("algorithm=SHA-256"), "{answer}");
            assert!(answer.contains("qop=auth,"), "{answer}");
            let expected = "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1";
            assert!(answer.contains(expected), "{answer}");
        }
    }

    #[test]
    fn the_example_of_rfc_7616_is_answered_with_md5_when_nothing_better_is_offered() {
        let mut digester = digester(&BOTH[1..]);
        RFC_7616_CLIENT_NONCE.clone_into(&mut digester.client_nonce);
        let answer = authorization(&mut digester, b"");
        assert!(
            answer.contains("8ca523f5e9506fed4657c9700eebdbec"),
            "{answer}"
        );
    }

    #[test]
    fn auth_int_is_used_when_it_alone_is_offered_and_covers_the_body() {
        let mut one =
            digester(&[r#"Digest realm="r", nonce="n", qop="auth-int", algorithm=SHA-256"#]);
        let mut other =
            digester(&[r#"Digest realm="r", nonce="n", qop="auth-int", algorithm=SHA-256"#]);
        let (empty, full) = (
            authorization(&mut one, b""),
            authorization(&mut other, b"{}"),
        );
        assert!(empty.contains("qop=auth-int"), "{empty}");
        assert_ne!(empty, full);
        assert_eq!(one.name(), "digest SHA-256 auth-int");
    }

    #[test]
    fn uses_of_a_nonce_are_counted_and_begin_again_with_the_next() {
        let mut digester = digester(&BOTH);
        assert!(authorization(&mut digester, b"").contains("nc=00000001"));
        assert!(authorization(&mut digester, b"").contains("nc=00000002"));
        digester.renew("fresh");
        let answer = authorization(&mut digester, b"");
        assert!(
            answer.contains("nc=00000001") && answer.contains("nonce=\"fresh\""),
            "{answer}"
        );
    }

    #[test]
    fn a_session_variant_keeps_its_client_nonce() {
        let mut digester =
            digester(&[r#"Digest realm="r", nonce="n", qop="auth", algorithm=sha-256-SESS"#]);
        let nonce = format!("cnonce=\"{}\"", digester.client_nonce);
        for _ in 0..2 {
            let answer = authorization(&mut digester, b"");
            assert!(
                answer.contains(&nonce) && answer.contains("algorithm=SHA-256-sess"),
                "{answer}"
            );
        }
    }

    #[test]
    fn an_offer_that_cannot_be_answered_is_no_offer() {
        let found = challenges([
            r#"Digest realm="r", nonce="n", algorithm=SHA-3, Basic realm="r""#,
            r#"Digest realm="r", nonce="n", qop="token""#,
            r#"Digest realm="r""#,
            r#"Digest realm="r", nonce="n", algorithm=SHA-256"#,
            r#"Digest realm="r", nonce="n""#,
        ]);
        assert!(Digester::best(&found, Floor::NONE, &SeededRandom::new(1)).is_none());
    }

    #[test]
    fn nothing_below_the_floor_is_answered() {
        let best = |header, level, with_integrity| {
            let floor = Floor {
                level,
                with_integrity,
            };
            let best = Digester::best(&challenges([header]), floor, &SeededRandom::new(1));
            best.map(|digester| digester.name())
        };
        let md5 = r#"Digest realm="r", nonce="n", qop="auth", algorithm=MD5"#;
        let sha = r#"Digest realm="r", nonce="n", qop="auth,auth-int", algorithm=SHA-256"#;
        let plain = r#"Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256"#;
        assert_eq!(best(md5, LoginLevel::DigestSha256, false), None);
        assert!(best(md5, LoginLevel::DigestMd5, false).is_some());
        let with_integrity = best(sha, LoginLevel::DigestSha256, true);
        assert_eq!(with_integrity.as_deref(), Some("digest SHA-256 auth-int"));
        assert_eq!(best(plain, LoginLevel::DigestSha256, true), None);
    }
}
