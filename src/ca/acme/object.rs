//! The reader for the answers of an ACME server. A required member is read strictly, and the error names it. An invalid
//! optional member is read as absent.

use jiff::Timestamp;
use serde_json::{Map, Value};
use url::Url;

use crate::ca::http::Response;
use crate::failure::{Failure, FailureKind};

/// An object of an answer.
#[derive(Debug)]
pub(super) struct Object<'a> {
    members: Map<String, Value>,
    answer: &'a Response,
    /// The URL that was called; relative ones are resolved against it (RFC 3986, 5.1.3).
    called: &'a Url,
    /// What it is to be.
    what: &'static str,
}

impl<'a> Object<'a> {
    /// The body of `answer`, which came from `called`, as `what`.
    pub fn of(answer: &'a Response, called: &'a Url, what: &'static str) -> Result<Self, Failure> {
        let Value::Object(members) = answer.json()? else {
            let detail = format!("this is no {what}: {}", answer.evidence());
            return Err(answer.failure(FailureKind::Unexpected, detail));
        };
        Ok(Self {
            members,
            answer,
            called,
            what,
        })
    }

    /// A text that decides something.
    pub fn text(&self, name: &str) -> Result<String, Failure> {
        text(self.members.get(name))
            .map(str::to_owned)
            .ok_or_else(|| self.strange(&format!("no text in {name:?}")))
    }

    /// A required URL. The failure is for the caller that needs it.
    pub fn url(&self, name: &str) -> Result<Url, Failure> {
        url(self.members.get(name), self.called)
            .ok_or_else(|| self.strange(&format!("no URL in {name:?}")))
    }

    /// The URLs of a list, each once, at most `most`. An absent list is empty.
    pub fn urls(&self, name: &str, most: usize) -> Result<Vec<Url>, Failure> {
        let mut urls = Vec::new();
        for value in self.list(name, most)? {
            let url = url(Some(value), self.called)
                .ok_or_else(|| self.strange(&format!("something else than URLs in {name:?}")))?;
            if !urls.contains(&url) {
                urls.push(url);
            }
        }
        Ok(urls)
    }

    /// A list of at most `most` values; an absent one is empty, and so is null: servers in Go write it so.
    pub fn list(&self, name: &str, most: usize) -> Result<&[Value], Failure> {
        match self.members.get(name) {
            None | Some(Value::Null) => Ok(&[]),
            Some(Value::Array(list)) if list.len() <= most => Ok(list),
            Some(Value::Array(list)) => Err(self.strange(&format!(
                "{} entries in {name:?}, where no more than {most} are expected",
                list.len()
            ))),
            Some(_) => Err(self.strange(&format!("no list in {name:?}"))),
        }
    }

    /// An optional member.
    pub fn member(&self, name: &str) -> Option<&Value> {
        self.members.get(name)
    }

    /// An answer that cannot be gone on with.
    pub fn strange(&self, words: &str) -> Failure {
        let what = self.what;
        let detail = format!("the {what} has {words}: {}", self.answer.evidence());
        self.answer.failure(FailureKind::Unexpected, detail)
    }
}

/// A text that is not empty.
pub(super) fn text(value: Option<&Value>) -> Option<&str> {
    value
        .and_then(Value::as_str)
        .map(str::trim)
        .filter(|text| !text.is_empty())
}

/// A moment.
pub(super) fn moment(value: Option<&Value>) -> Option<Timestamp> {
    text(value)?.parse().ok()
}

/// A URL, relative to the one that was `called`.
pub(super) fn url(value: Option<&Value>, called: &Url) -> Option<Url> {
    resolved(text(value)?, called)
}

/// The URL that `text` is when it came from `called`.
pub(super) fn resolved(text: &str, called: &Url) -> Option<Url> {
    let is_bearable =
        !text.is_empty() && text.len() <= LONGEST_URL && !text.contains(char::is_control);
    is_bearable.then(|| called.join(text).ok()).flatten()
}

/// Characters of a URL. It is stored, and is part of every request.
const LONGEST_URL: usize = 2000;
