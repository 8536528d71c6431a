//! Which references of orders can be the names of the files in which drivers keep what they issued or were told.

/// Why `reference` cannot be the name of a file; `None`: it can.
pub(super) fn objection(reference: &str) -> Option<String> {
    let is_safe = (1..=100).contains(&reference.len())
        && !reference.starts_with('.')
        && reference
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    (!is_safe).then(|| format!("{reference:?} cannot be a file name, so it cannot be a reference"))
}
