//! Failures of dns-update, classified by the possible reaction. The error kinds of dns-update follow its own code.

use dns_update::Error;

/// Why an operation failed; never with a secret in it, as far as the provider repeats none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The key, token or password was refused, or may not do this.
    Unauthorized(String),
    /// The provider understood and said no.
    Refused(String),
    /// The provider does not know the zone or the name.
    Unknown(String),
    /// The provider cannot now.
    Busy(String),
    /// There was no answer.
    Unreachable(String),
    /// An answer that makes no sense.
    Unexpected(String),
}

impl Problem {
    /// What was said.
    pub fn words(&self) -> &str {
        match self {
            Self::Unauthorized(words)
            | Self::Refused(words)
            | Self::Unknown(words)
            | Self::Busy(words)
            | Self::Unreachable(words)
            | Self::Unexpected(words) => words,
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Unauthorized => Self::Unauthorized("the provider refused the login".to_owned()),
            Error::NotFound => Self::Unknown("the provider knows no such zone or name".to_owned()),
            Error::BadRequest => Self::Refused("the provider calls it a bad request".to_owned()),
            Error::Api(words) => of_api(words),
            Error::Client(words) => of_name_server(words),
            Error::Response(code) => of_code(&code),
            Error::Unsupported(words) => Self::Refused(words),
            other => Self::Unexpected(other.to_string()),
        }
    }
}

/// An HTTP API: the status stands in front of the words (dns-update's `http_status_message`).
fn of_api(words: String) -> Problem {
    let status = words.strip_prefix("HTTP ").and_then(|rest| rest.get(..3));
    match status {
        Some("401" | "403") => Problem::Unauthorized(words),
        Some("429" | "500" | "502" | "503" | "504") => Problem::Busy(words),
        _ if words.starts_with("Failed to send request") => Problem::Unreachable(words),
        _ if words.starts_with("Failed to read response") => Problem::Unreachable(words),
        _ => Problem::Refused(words),
    }
}

/// A name server, on the way there or back.
fn of_name_server(words: String) -> Problem {
    // The refusal of a signed message is not signed itself (RFC 8945, 5.2), which hickory takes for a short signature.
    if words.contains("truncated HMACs") {
        let words =
            "the name server does not accept this TSIG key, or does not let it make this change";
        return Problem::Unauthorized(words.to_owned());
    }
    // Some servers sign nothing about a zone that is not theirs.
    if words.contains("signature record not found") {
        let words = "the name server answers without a signature: it does not know the zone, or not the TSIG key";
        return Problem::Unknown(words.to_owned());
    }
    if words.contains("TSIG") || words.contains("tsig") {
        return Problem::Unauthorized(words);
    }
    let is_silence = ["io error", "timed out", "no connections", "connection"]
        .iter()
        .any(|silence| words.contains(silence));
    if is_silence {
        Problem::Unreachable(words)
    } else {
        Problem::Unexpected(words)
    }
}

/// A name server's answer (RFC 2136, 2.2; RFC 8945, 3), in hickory's words.
fn of_code(code: &str) -> Problem {
    let words = |meaning: &str| format!("the name server {meaning} ({code})");
    match code {
        "Query Refused" => Problem::Refused(words("does not let this key make this change")),
        "Not authorized" => Problem::Unknown(words("has no such zone, or is not its primary")),
        "Name not in zone" => Problem::Unknown(words("has the name in another zone")),
        "TSIG Failure" | "Key not recognized" | "Algorithm not supported" | "Bad truncation" => {
            Problem::Unauthorized(words("does not accept this TSIG key"))
        }
        "Signature out of time window" => {
            Problem::Unauthorized(words("has another time than this machine"))
        }
        "Server Failure" => Problem::Busy(words("failed at it")),
        _ => Problem::Refused(words("said no")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_key_is_said_in_words_that_help() {
        let words = "protocol error: Please file an issue with hickory-dns to support truncated HMACs with TSIG";
        let problem = Problem::from(Error::Client(words.to_owned()));
        assert!(matches!(&problem, Problem::Unauthorized(words) if words.contains("TSIG key")));
        assert!(!problem.words().contains("hickory"));
        let words = "protocol error: proto error: TSIG signature record not found";
        let problem = Problem::from(Error::Client(words.to_owned()));
        assert!(matches!(problem, Problem::Unknown(_)));
    }

    #[test]
    fn the_status_of_an_http_answer_decides() {
        let sorted = |words: &str| Problem::from(Error::Api(words.to_owned()));
        assert!(matches!(sorted("HTTP 403: no"), Problem::Unauthorized(_)));
        assert!(matches!(sorted("HTTP 429: slow down"), Problem::Busy(_)));
        assert!(matches!(sorted("HTTP 422: {}"), Problem::Refused(_)));
        assert!(matches!(sorted("BadRequest {}"), Problem::Refused(_)));
        let lost = "Failed to send request to https://api.example: connect";
        assert!(matches!(sorted(lost), Problem::Unreachable(_)));
    }

    #[test]
    fn the_answers_of_a_name_server_are_distinguished() {
        let sorted = |code: &str| Problem::from(Error::Response(code.to_owned()));
        assert!(matches!(sorted("Query Refused"), Problem::Refused(_)));
        assert!(matches!(sorted("Not authorized"), Problem::Unknown(_)));
        assert!(matches!(sorted("Server Failure"), Problem::Busy(_)));
        assert!(matches!(sorted("TSIG Failure"), Problem::Unauthorized(_)));
        let silent = Problem::from(Error::Client("request timed out".to_owned()));
        assert!(matches!(silent, Problem::Unreachable(_)));
    }
}
