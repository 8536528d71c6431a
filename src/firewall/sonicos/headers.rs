//! What stands at the head of a request, and in which order.

use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue,
    USER_AGENT,
};
use url::Url;

use super::transport::Request;

/// The headers in the order that they are sent in. SonicOS 6.5 wants `Accept` before `Accept-Encoding`, `User-Agent` and
/// `Connection` (SonicOS reference 1.5); the others do not mind. The HTTP client adds none of these.
pub(super) fn of(
    call: &Request,
    url: &Url,
    authorization: Option<HeaderValue>,
) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(HOST, host(url)?);
    headers.insert(ACCEPT, HeaderValue::from_static(call.accept));
    headers.insert(CONTENT_TYPE, call.content_type.parse().ok()?);
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(USER_AGENT, HeaderValue::from_static(PRODUCT));
    headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
    if let Some(authorization) = authorization {
        headers.insert(AUTHORIZATION, authorization);
    }
    Some(headers)
}

/// Host, and port where it is not the one of the scheme (RFC 9110, 7.2).
fn host(url: &Url) -> Option<HeaderValue> {
    let host = url.host_str()?;
    let text = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    HeaderValue::from_str(&text).ok()
}

const PRODUCT: &str = concat!("renewd/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use reqwest::header::HeaderName;

    use super::*;

    #[test]
    fn accept_comes_before_what_version_6_5_wants_behind_it() {
        let url: Url = "https://192.0.2.1:4443".parse().unwrap();
        let headers = of(&Request::get("/version"), &url, None).unwrap();
        let names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(
            names,
            [
                "host",
                "accept",
                "content-type",
                "accept-encoding",
                "user-agent",
                "connection"
            ]
        );
        assert_eq!(headers.get(HOST).unwrap(), "192.0.2.1:4443");
        let usual = "https://[2001:db8::1]:443".parse().unwrap();
        assert_eq!(host(&usual).unwrap(), "[2001:db8::1]");
    }
}
