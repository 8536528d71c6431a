//! Time-based one-time codes as the server checks them (RFC 6238 over HMAC-SHA-1, six digits, steps of 30 seconds).

use aws_lc_rs::hmac;
use data_encoding::BASE32_NOPAD;

/// The step for which `code` is right: the present one or a neighbour (RFC 6238 5.2 allows for the delay).
pub(super) fn matching_step(secret_base32: &str, code: &str, unix_seconds: i64) -> Option<u64> {
    let tidy: String = secret_base32
        .chars()
        .filter(|letter| !letter.is_whitespace() && *letter != '=')
        .collect();
    let secret = BASE32_NOPAD.decode(tidy.to_uppercase().as_bytes()).ok()?;
    let present = u64::try_from(unix_seconds).ok()? / STEP_SECONDS;
    [present, present.saturating_sub(1), present + 1]
        .into_iter()
        .find(|step| code_of_step(&secret, *step) == code)
}

const STEP_SECONDS: u64 = 30;

fn code_of_step(secret: &[u8], step: u64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let digest = tag.as_ref();
    let offset = usize::from(digest.last().copied().unwrap_or_default() & 0x0f);
    let word = digest
        .iter()
        .skip(offset)
        .take(4)
        .fold(0_u32, |word, byte| (word << 8) | u32::from(*byte));
    format!("{:06}", (word & 0x7fff_ffff) % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::matching_step;

    /// Base32 of "12345678901234567890", the key of RFC 6238 appendix B.
    const KEY: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    #[test]
    fn the_codes_of_the_rfc_are_accepted() {
        assert_eq!(matching_step(KEY, "287082", 59), Some(1));
        assert_eq!(
            matching_step(KEY, "081804", 1_111_111_109),
            Some(37_037_036)
        );
        assert_eq!(
            matching_step(KEY, "353130", 20_000_000_000),
            Some(666_666_666)
        );
    }

    #[test]
    fn a_code_of_two_steps_ago_is_refused() {
        assert_eq!(matching_step(KEY, "287082", 59 + 30), Some(1));
        assert_eq!(matching_step(KEY, "287082", 59 + 31), None);
    }
}
