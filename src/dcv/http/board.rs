//! What is served: proofs, to who asks for exactly them. Pure but for the lock around them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;

use super::Page;

/// The proofs that are up at one address.
#[derive(Debug, Clone, Default)]
pub(super) struct Board(Arc<RwLock<BTreeMap<Key, Bytes>>>);

/// Domain in lower case, path as it is.
type Key = (String, String);

impl Board {
    /// Puts `page` up in the place of another one that may be there.
    pub fn put(&self, page: Page<'_>) {
        let content = Bytes::copy_from_slice(page.content.as_bytes());
        let mut pages = self.0.write().unwrap_or_else(PoisonError::into_inner);
        pages.insert(key(page.domain, page.path), content);
    }

    /// Takes `page` away, but not another one in its place.
    pub fn remove(&self, page: &Page<'_>) {
        let key = key(page.domain, page.path);
        let mut pages = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if pages
            .get(&key)
            .is_some_and(|content| content == page.content)
        {
            pages.remove(&key);
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
        let page = host(request)
            .filter(|_| is_reading && request.uri().query().is_none())
            .and_then(|host| {
                let pages = self.0.read().unwrap_or_else(PoisonError::into_inner);
                pages.get(&key(host, request.uri().path())).cloned()
            });
        let Some(content) = page else {
            let mut nothing = Response::new(Full::default());
            *nothing.status_mut() = StatusCode::NOT_FOUND;
            return nothing;
        };
        let mut answer = Response::new(Full::new(content));
        // As in the example of RFC 8555, 8.3.
        let kind = HeaderValue::from_static("application/octet-stream");
        answer.headers_mut().insert(CONTENT_TYPE, kind);
        answer
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

fn key(domain: &str, path: &str) -> Key {
    (
        domain.trim_end_matches('.').to_ascii_lowercase(),
        path.to_owned(),
    )
}

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
    async fn a_proof_is_given_to_who_asks_for_its_host_and_path() {
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
        for host in [
            None,
            Some(""),
            Some("example.com"),
            Some("[::1]:80"),
            Some(":80"),
        ] {
            assert_eq!(ask(&board, "GET", PAGE.path, host), 404, "{host:?}");
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
    fn only_the_page_itself_is_taken_away_and_not_its_successor() {
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
