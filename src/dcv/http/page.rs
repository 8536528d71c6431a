//! The file that a proof asks for.

use std::net::IpAddr;

use super::super::{Proof, other_method};
use crate::failure::{Failure, FailureKind};
use crate::pki::is_dns_name;

/// A file that proves control over a domain.
#[derive(Debug, Clone, Copy)]
pub(in crate::dcv) struct Page<'a> {
    pub domain: &'a str,
    pub path: &'a str,
    pub content: &'a str,
}

impl<'a> Page<'a> {
    /// The page that `proof` asks for; other proofs, and pages elsewhere than below `/.well-known/`, are refused.
    pub fn of(proof: &'a Proof) -> Result<Self, Failure> {
        let Proof::File {
            domain,
            path,
            content,
        } = proof
        else {
            return Err(other_method(proof, "validation.http"));
        };
        let is_plain =
            path.bytes().all(|byte| byte.is_ascii_graphic()) && !path.contains(['?', '#']);
        let is_bearable = path.len() <= LONGEST_PATH && content.len() <= LONGEST_CONTENT;
        if !path.starts_with("/.well-known/") || !is_plain || !is_bearable || !is_host(domain) {
            let words = format!(
                "the CA wants a file of {} characters at {domain:?}, path {path:?}, and renewd serves none there",
                content.len()
            );
            return Err(Failure::new(FailureKind::Refused, CALL, words));
        }
        Ok(Self {
            domain,
            path,
            content,
        })
    }
}

/// A host name or an address, and nothing else.
fn is_host(domain: &str) -> bool {
    let name = domain.strip_suffix('.').unwrap_or(domain);
    domain.parse::<IpAddr>().is_ok() || (is_dns_name(name) && !name.starts_with("*."))
}

const CALL: &str = "serve a file for the CA";

/// More than any proof needs.
const LONGEST_PATH: usize = 1000;
const LONGEST_CONTENT: usize = 16 * 1024;
