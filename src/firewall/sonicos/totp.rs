//! Time-based one-time passwords (RFC 6238) as SonicOS's two-factor login wants them: HMAC-SHA-1, six digits,
//! steps of thirty seconds.

use aws_lc_rs::hmac;
use jiff::Timestamp;

use crate::secret::Secret;

/// The beginning of the time step whose code is shown at `now`.
pub(super) fn step(now: Timestamp) -> Timestamp {
    let second = now.as_second();
    let into = second.rem_euclid(CODE_PERIOD.as_secs());
    Timestamp::from_second(second - into).unwrap_or(Timestamp::MIN)
}

/// The code for `now`; `None` when the key is not base32.
pub(super) fn code(key: &Secret, now: Timestamp) -> Option<Secret> {
    let letters: String = key
        .expose()
        .chars()
        .filter(|character| !character.is_whitespace() && !"-=".contains(*character))
        .collect();
    let key = data_encoding::BASE32_NOPAD
        .decode(letters.to_ascii_uppercase().as_bytes())
        .ok()
        .filter(|key| !key.is_empty())?;
    let step = u64::try_from(now.as_second()).ok()? / STEP_SECONDS;
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let number = truncated(tag.as_ref())? % 1_000_000;
    Some(Secret::new(format!("{number:06}")))
}

/// Dynamic truncation (RFC 4226, 5.3).
fn truncated(tag: &[u8]) -> Option<u32> {
    let offset = usize::from(tag.last()? & 0x0f);
    let bytes = tag.get(offset..offset + 4)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?) & 0x7fff_ffff)
}

/// How long a code is the same (RFC 6238, 4.1: X).
const STEP_SECONDS: u64 = CODE_PERIOD.as_secs().unsigned_abs();

/// After this time the next code is another one.
pub(super) const CODE_PERIOD: jiff::SignedDuration = jiff::SignedDuration::from_secs(30);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;

    #[test]
    fn the_examples_of_rfc_6238_come_out() {
        let key = Secret::new("GEZD GNBV-GY3TQOJQgezdgnbvgy3tqojq==".to_owned());
        // The last six of the eight digits in RFC 6238, appendix B.
        for (second, expected) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_234_567_890, "005924"),
            (20_000_000_000, "353130"),
        ] {
            let now = Timestamp::from_second(second).unwrap();
            assert_eq!(code(&key, now).unwrap().expose(), expected);
        }
    }

    #[test]
    fn every_moment_of_a_step_has_the_same_code_and_the_next_step_another() {
        let key = Secret::new("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".to_owned());
        let at = |second| Timestamp::from_second(second).unwrap();
        let code_at = |second| code(&key, at(second)).unwrap().expose().to_owned();
        assert_eq!([30, 59].map(|second| step(at(second))), [at(30); 2]);
        assert_eq!(code_at(30), code_at(59));
        assert_eq!(step(at(60)), at(60));
        assert_ne!(code_at(59), code_at(60));
    }

    #[test]
    fn a_key_that_is_not_base32_gives_no_code() {
        for key in ["", "1189", "not base32!"] {
            assert!(code(&Secret::new(key.to_owned()), Timestamp::UNIX_EPOCH).is_none());
        }
    }
}
