//! Faults of one exchange that a test sets at an exact request. Faults are independent of the CA.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use super::http::{Reply, Request};
use crate::Barrier;
use crate::response_delivery::Handling;
use crate::tls::Cut;

/// Which request a fault is for: the `nth` that matches, counted from 1 and from the moment the fault was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct On {
    /// HTTP method, upper case; empty: any.
    pub method: String,
    /// Part of the path (without the query); empty: any.
    pub path_contains: String,
    /// 1 is the next matching request.
    pub nth: u32,
}

impl On {
    /// The next request with this method to a path that contains this.
    pub fn next(method: &str, path_contains: &str) -> Self {
        Self {
            method: method.to_owned(),
            path_contains: path_contains.to_owned(),
            nth: 1,
        }
    }

    /// The `nth` request from now, whatever it is.
    pub fn any(nth: u32) -> Self {
        Self::next("", "").nth(nth)
    }

    /// The same, but the `nth` one.
    #[must_use]
    pub fn nth(mut self, nth: u32) -> Self {
        self.nth = nth;
        self
    }

    fn matches(&self, request: &Request) -> bool {
        (self.method.is_empty() || self.method == request.method)
            && request.path.contains(&self.path_contains)
    }
}

/// The fault.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The connection is reset (TCP RST) before the CA acts.
    Reset,
    /// The connection is closed before the CA acts.
    LostBefore,
    /// The CA acts, then the connection is closed: the answer is lost.
    LostAfter,
    /// The CA acts, then the connection is reset.
    ResetAfter,
    /// No answer, as long as the client waits; the CA does not act.
    SilentBefore,
    /// The CA acts; no answer, as long as the client waits.
    SilentAfter,
    /// 401 instead of acting.
    Unauthorized,
    /// 403 instead of acting.
    Forbidden,
    /// 429 instead of acting.
    TooManyRequests(RetryAfter),
    /// 500 instead of acting.
    ServerError,
    /// The CA acts, then answers 500.
    ServerErrorAfter,
    /// 503 instead of acting.
    Unavailable(RetryAfter),
    /// The CA acts, but only the first half of its answer's body arrives, as a complete HTTP message.
    Truncated,
    /// The CA acts, but the connection ends after half of the body that its answer announced.
    CutShort,
    /// The CA acts, but its answer is sent one byte at a time, with this pause between two.
    Drip(Duration),
    /// Bytes that are neither JSON nor text with status 200, instead of acting.
    Garbage,
    /// The HTML page of a login with status 200, instead of acting.
    LoginPage,
    /// A redirect to that page, instead of acting.
    LoginRedirect,
    /// This status, body and these headers instead of acting.
    Status(u16, String, Vec<(String, String)>),
    /// Waits in real time, then acts.
    Delay(Duration),
    /// Waits for the gate, then acts, even if the client has gone by then.
    HoldBefore(Arc<Barrier>),
    /// Acts, then keeps the answer back until the gate opens.
    HoldAfter(Arc<Barrier>),
}

/// The Retry-After header (RFC 9110 10.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// None.
    Silent,
    /// So many seconds.
    Seconds(u32),
    /// Until this moment, as an HTTP-date.
    Date(OffsetDateTime),
}

impl Fault {
    /// The answer of a fault that keeps the CA from acting.
    pub(super) fn instead(&self) -> Option<Reply> {
        Some(match self {
            Self::Unauthorized => Reply::text(401, "text/plain", "Unauthorized"),
            Self::Forbidden => Reply::text(403, "text/plain", "Forbidden"),
            Self::TooManyRequests(when) => {
                when.add_to(Reply::text(429, "text/plain", "Too many requests"))
            }
            Self::ServerError => internal_error(),
            Self::Unavailable(when) => {
                when.add_to(Reply::text(503, "text/plain", "Service unavailable"))
            }
            Self::Garbage => Reply::bytes("application/json", vec![0xff, 0x00, b'}', b'{']),
            Self::LoginPage => Reply::text(200, "text/html;charset=UTF-8", LOGIN_PAGE),
            Self::LoginRedirect => Reply::text(302, "text/html", "").header("Location", "/login"),
            Self::Status(status, body, headers) => {
                let mut reply = Reply::text(*status, "application/json", body);
                reply.headers.extend(headers.iter().cloned());
                reply
            }
            _ => return None,
        })
    }

    /// How the connection ends without an answer of a CA that has not acted.
    pub(super) fn cut_before(&self) -> Option<Cut> {
        match self {
            Self::Reset => Some(Cut::Reset),
            Self::LostBefore => Some(Cut::Closed),
            _ => None,
        }
    }

    /// The same of a CA that has acted.
    pub(super) fn cut_after(&self) -> Option<Cut> {
        match self {
            Self::ResetAfter => Some(Cut::Reset),
            Self::LostAfter => Some(Cut::Closed),
            _ => None,
        }
    }

    /// How the answer reaches the client.
    pub(super) fn handling(&self) -> Handling {
        match self {
            Self::SilentAfter => Handling::Never,
            Self::CutShort => Handling::CutShort,
            Self::Drip(pause) => Handling::Dripping(*pause),
            _ => Handling::Whole,
        }
    }

    /// The part of the answer that arrives after the CA has acted.
    pub(super) fn after(&self, reply: Reply) -> Reply {
        match self {
            Self::ServerErrorAfter => internal_error(),
            Self::Truncated => reply.halved(),
            _ => reply,
        }
    }
}

impl RetryAfter {
    pub(crate) fn add_to(self, reply: Reply) -> Reply {
        match self {
            Self::Silent => reply,
            Self::Seconds(seconds) => reply.header("Retry-After", &seconds.to_string()),
            Self::Date(moment) => reply.header("Retry-After", &http_date(moment)),
        }
    }
}

/// The faults of one CA, in the order in which they were given.
#[derive(Debug, Default)]
pub(super) struct Faults {
    waiting: Vec<Waiting>,
    used: u64,
}

#[derive(Debug)]
struct Waiting {
    on: On,
    seen: u32,
    fault: Fault,
}

impl Faults {
    pub(super) fn add(&mut self, on: On, fault: Fault) {
        self.waiting.push(Waiting { on, seen: 0, fault });
    }

    /// How many have happened.
    pub(super) fn used(&self) -> u64 {
        self.used
    }

    /// The fault for this request; counts it for the others.
    pub(super) fn take(&mut self, request: &Request) -> Option<Fault> {
        for waiting in &mut self.waiting {
            waiting.seen += u32::from(waiting.on.matches(request));
        }
        let due = |waiting: &Waiting| waiting.seen >= waiting.on.nth && waiting.on.matches(request);
        let index = self.waiting.iter().position(due)?;
        self.used += 1;
        Some(self.waiting.remove(index).fault)
    }
}

fn internal_error() -> Reply {
    Reply::text(500, "text/plain", "Internal server error")
}

/// IMF-fixdate (RFC 9110 5.6.7).
fn http_date(moment: OffsetDateTime) -> String {
    let moment = moment.to_offset(time::UtcOffset::UTC);
    let (weekday, month) = (moment.weekday().to_string(), moment.month().to_string());
    format!(
        "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
        weekday.get(..3).unwrap_or_default(),
        moment.day(),
        month.get(..3).unwrap_or_default(),
        moment.year(),
        moment.hour(),
        moment.minute(),
        moment.second()
    )
}

const LOGIN_PAGE: &str =
    "<!doctype html><html><title>Sign in</title><form action=\"/login\">Sign in</form></html>\n";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use time::OffsetDateTime;

    use super::{Fault, Faults, On, http_date};
    use crate::ca::Request;

    #[test]
    fn a_fault_waits_for_its_request_and_happens_once() {
        let mut faults = Faults::default();
        faults.add(On::next("POST", "sign").nth(2), Fault::LostAfter);
        let taken: Vec<bool> = ["/import", "/sign", "/sign", "/sign"]
            .map(|path| faults.take(&Request::fake("POST", path)).is_some())
            .to_vec();
        assert_eq!(taken, [false, false, true, false]);
        assert_eq!(faults.used(), 1);
    }

    #[test]
    fn two_faults_on_any_request_are_counted_apart() {
        let mut faults = Faults::default();
        faults.add(On::any(2), Fault::Garbage);
        faults.add(On::any(1), Fault::LostBefore);
        let first = faults.take(&Request::fake("GET", "/"));
        assert!(matches!(first, Some(Fault::LostBefore)));
        let second = faults.take(&Request::fake("GET", "/"));
        assert!(matches!(second, Some(Fault::Garbage)));
    }

    #[test]
    fn a_date_is_written_as_http_wants_it() {
        let moment = OffsetDateTime::from_unix_timestamp(784_111_777).unwrap();
        assert_eq!(http_date(moment), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
