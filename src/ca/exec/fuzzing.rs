//! The parsers of an outside program's output with any input: the body of a fuzz target.
#![allow(
    clippy::missing_panics_doc,
    reason = "a property that does not hold is a panic"
)]

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use jiff::SignedDuration;

use super::contract::{Operation, ProgramAnswer, words};
use super::record::Standing;
use super::run::Finished;

/// A wait status, and the two outputs with a zero byte between them: a certificate comes with status 0 alone, a cookie fits
/// into the environment, and what is kept of an order is read as it was written.
pub fn exec(data: &[u8]) {
    let Some(([low, high], outputs)) = data.split_first_chunk() else {
        return;
    };
    let mut outputs = outputs.splitn(2, |byte| *byte == 0);
    let mut output = || outputs.next().unwrap_or_default().to_vec();
    let finished = Finished {
        status: ExitStatus::from_raw(i32::from(*low & 0x7f) | i32::from(*high) << 8),
        stdout: output(),
        stderr: output(),
    };
    let reported = words(&finished);
    assert!(reported.chars().count() <= 700 && !reported.chars().any(char::is_control));
    for operation in [Operation::Submit, Operation::Poll("cookie")] {
        match operation.answer(&finished) {
            Ok(ProgramAnswer::Issued(found)) => {
                assert!(finished.status.success() && !found.is_empty());
            }
            Ok(ProgramAnswer::Wait { cookie, delay }) => {
                assert!(!cookie.contains('\0') && cookie.len() <= 64 << 10);
                let day = SignedDuration::from_hours(24);
                assert!(delay.is_none_or(|delay| delay <= day));
                let until = delay.map(|delay| crate::ca::fuzzing::now() + delay);
                assert_kept(&Standing::Waits { until, cookie });
            }
            Ok(ProgramAnswer::Rejected(words) | ProgramAnswer::AnotherKey(words)) => {
                assert_eq!(words, reported);
            }
            Err(failure) => failure.assert_tellable(&[]),
        }
    }
    let text = String::from_utf8_lossy(data);
    if let Ok(standing) = text.parse::<Standing>() {
        assert_kept(&standing);
    }
}

fn assert_kept(standing: &Standing) {
    assert_eq!(standing.to_string().parse().as_ref(), Ok(standing));
}
