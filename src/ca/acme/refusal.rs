//! Failures without an answer of the CA.

use std::fmt::Display;

use crate::failure::{Failure, FailureKind};

pub(super) fn local(call: &str, detail: impl Display) -> Failure {
    Failure::new(FailureKind::Local, call, detail)
}

pub(super) fn refused(call: &str, detail: impl Display) -> Failure {
    Failure::new(FailureKind::Refused, call, detail)
}
