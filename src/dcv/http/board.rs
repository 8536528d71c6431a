//! The served proofs. Any client that requests the path of a proof gets it. Pure but for the lock around them.
//!
//! The token in the path is the secret, and the requested host is no part of it: a proxy in front of renewd may
//! replace it, as nginx and Apache do by default.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;

use super::page::Page;

/// The proofs that are up at one address: by path, then by domain in lower case.
#[derive(Debug, Clone, Default)]
pub(super) struct Board(Arc<RwLock<BTreeMap<String, BTreeMap<String, PublishedProof>>>>);

/// A proof that is up.
#[derive(Debug)]
struct PublishedProof {
    content: Bytes,
    /// Whether it was reported that another host was asked for.
    is_reported: bool,
}

/// A proof that was found, and what is to be reported of the request.
struct Found {
    content: Bytes,
    /// The domain that the proof is for, where another host was asked for the first time.
    domain_of_other: Option<String>,
}

impl Board {
    /// Publishes `page`. It replaces another page at the same path.
    pub fn put(&self, page: Page<'_>) {
        let content = Bytes::copy_from_slice(page.content.as_bytes());
        let mut pages = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let here = pages.entry(page.path.to_owned()).or_default();
        let published = here.entry(plain(page.domain)).or_insert(PublishedProof {
            content: Bytes::new(),
            is_reported: false,
        });
        published.content = content;
    }

    /// Withdraws `page`, but not another page that has replaced it.
    pub fn remove(&self, page: &Page<'_>) {
        let mut pages = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let Some(here) = pages.get_mut(page.path) else {
            return;
        };
        let domain = plain(page.domain);
        if here
            .get(&domain)
            .is_some_and(|published| published.content == page.content)
        {
            here.remove(&domain);
        }
        if here.is_empty() {
            pages.remove(page.path);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }

    /// The answer to `request`: a proof, or 404 without a reason. A CA is the only guest that is expected.
    pub fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let is_reading = matches!(*request.method(), Method::GET | Method::HEAD);
        let found = if is_reading && request.uri().query().is_none() {
            self.find(request.uri().path(), host(request).unwrap_or_default())
        } else {
            None
        };
        let Some(Found {
            content,
            domain_of_other,
        }) = found
        else {
            let mut nothing = Response::new(Full::default());
            *nothing.status_mut() = StatusCode::NOT_FOUND;
            return nothing;
        };
        if let Some(domain) = domain_of_other {
            let host: String = host(request)
                .unwrap_or("no host")
                .chars()
                .take(SHOWN)
                .collect();
            tracing::warn!(
                domain,
                host,
                "a proof of control was requested with another Host header, and served; does a proxy replace the header?"
            );
        }
        let mut answer = Response::new(Full::new(content));
        // As in the example of RFC 8555, 8.3.
        let kind = HeaderValue::from_static("application/octet-stream");
        answer.headers_mut().insert(CONTENT_TYPE, kind);
        answer
    }

    /// The proof of `host` at `path`. Under another host it is that of whichever domain has one there, unless two differ:
    /// some CAs give the same path to several domains.
    fn find(&self, path: &str, host: &str) -> Option<Found> {
        let mut pages = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let here = pages.get_mut(path)?;
        if let Some(published) = here.get(&plain(host)) {
            return Some(Found {
                content: published.content.clone(),
                domain_of_other: None,
            });
        }
        let content = here.values().next()?.content.clone();
        if here.values().any(|published| published.content != content) {
            return None;
        }
        let (domain, published) = here.iter_mut().next()?;
        let is_news = !std::mem::replace(&mut published.is_reported, true);
        Some(Found {
            content,
            domain_of_other: is_news.then(|| domain.clone()),
        })
    }
}

/// The host that is asked for, without its port (RFC 9112, 3.2.2: the request line comes first).
fn host<B>(request: &Request<B>) -> Option<&str> {
    let named = match request.uri().authority() {
        Some(authority) => authority.as_str(),
        None => request.headers().get(HOST)?.to_str().ok()?,
    };
    if let Some(address) = named.strip_prefix('[') {
        return address.split(']').next();
    }
    named.split(':').next()
}

fn plain(domain: &str) -> String {
    domain.trim_end_matches('.').to_ascii_lowercase()
}

/// Characters of an unknown client's host in the log.
const SHOWN: usize = 120;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use http_body_util::BodyExt;

    use super::*;

    const PAGE: Page<'static> = Page {
        domain: "VPN.example.com",
        path: "/.well-known/acme-challenge/token",
        content: "token.thumbprint",
    };

    fn ask(board: &Board, method: &str, uri: &str, host: Option<&str>) -> StatusCode {
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(host) = host {
            request = request.header(HOST, host);
        }
        board.answer(&request.body(()).unwrap()).status()
    }

    fn board() -> Board {
        let board = Board::default();
        board.put(PAGE);
        board
    }

    #[tokio::test]
    async fn a_proof_is_served_at_its_host_and_path() {
        let board = board();
        for host in [
            "vpn.example.com",
            "VPN.Example.COM:80",
            "vpn.example.com.:8080",
        ] {
            assert_eq!(ask(&board, "GET", PAGE.path, Some(host)), 200, "{host}");
        }
        let request = Request::get("http://vpn.example.com/.well-known/acme-challenge/token");
        let answer = board.answer(&request.header(HOST, "proxy").body(()).unwrap());
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/octet-stream");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, PAGE.content);
    }

    #[test]
    fn everything_else_is_not_found() {
        let board = board();
        let host = Some("vpn.example.com");
        assert_eq!(ask(&board, "HEAD", PAGE.path, host), 200);
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"] {
            assert_eq!(ask(&board, method, PAGE.path, host), 404, "{method}");
        }
        for path in [
            "/",
            "/.well-known/acme-challenge/",
            "/.well-known/acme-challenge/token/",
            "/.well-known/acme-challenge/TOKEN",
            "/.well-known/acme-challenge/token?x=1",
            "/.well-known/x/../acme-challenge/token",
        ] {
            assert_eq!(ask(&board, "GET", path, host), 404, "{path}");
        }
    }

    #[test]
    fn the_token_alone_is_the_secret_and_any_host_is_answered() {
        let board = board();
        for host in [
            None,
            Some(""),
            Some("127.0.0.1:8080"),
            Some("acme-backend"),
            Some("other.example.com"),
            Some("[::1]:80"),
            Some(":80"),
        ] {
            assert_eq!(ask(&board, "GET", PAGE.path, host), 200, "{host:?}");
        }
    }

    #[test]
    fn another_host_is_reported_once_and_the_right_one_never() {
        let board = board();
        let reported = |host| board.find(PAGE.path, host).unwrap().domain_of_other;
        assert_eq!(reported("vpn.example.com"), None);
        assert_eq!(reported("backend").as_deref(), Some("vpn.example.com"));
        assert_eq!(reported("backend"), None);
        // Each poll of an order publishes the same proof again, which reports nothing again.
        board.put(PAGE);
        assert_eq!(reported("127.0.0.1"), None);
    }

    #[tokio::test]
    async fn where_two_domains_have_different_proofs_at_one_path_the_host_decides() {
        let board = board();
        board.put(Page {
            domain: "www.example.com",
            content: "another",
            ..PAGE
        });
        assert_eq!(ask(&board, "GET", PAGE.path, Some("backend")), 404);
        for (host, content) in [
            ("www.example.com", "another"),
            ("vpn.example.com", PAGE.content),
        ] {
            let request = Request::get(PAGE.path).header(HOST, host).body(()).unwrap();
            let body = board.answer(&request).into_body().collect().await.unwrap();
            assert_eq!(body.to_bytes(), content);
        }
    }

    #[test]
    fn a_proof_for_an_ipv6_address_is_found_by_its_host_in_brackets() {
        let board = Board::default();
        board.put(Page {
            domain: "2001:DB8::1",
            ..PAGE
        });
        assert_eq!(ask(&board, "GET", PAGE.path, Some("[2001:db8::1]:80")), 200);
        assert_eq!(ask(&board, "GET", PAGE.path, Some("[2001:db8::1]")), 200);
    }

    #[test]
    fn only_the_page_itself_is_withdrawn_and_not_its_successor() {
        let board = board();
        board.remove(&Page {
            content: "another",
            ..PAGE
        });
        assert!(!board.is_empty());
        board.put(Page {
            content: "another",
            ..PAGE
        });
        board.remove(&PAGE);
        assert!(!board.is_empty());
        board.remove(&Page {
            content: "another",
            ..PAGE
        });
        assert!(board.is_empty());
    }
}
