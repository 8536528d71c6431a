//! Which word was probably meant. Pure.

/// The one of `known` that `raw` is most probably a misspelling of.
pub(super) fn nearest<'a>(raw: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let raw = raw.to_lowercase();
    known
        .into_iter()
        .map(|word| (distance(&raw, &word.to_lowercase()), word))
        .filter(|(distance, word)| *distance <= (word.chars().count() / 4).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// "did you mean `x`?", else the words there are.
pub(super) fn hint<'a>(
    raw: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
    lead: &str,
) -> String {
    if let Some(word) = nearest(raw, known.clone()) {
        return format!("did you mean `{word}`?");
    }
    let first: Vec<&str> = known.clone().into_iter().take(MANY).collect();
    let first = first.join(", ");
    match known.into_iter().skip(MANY).count() {
        0 if first.is_empty() => format!("{lead}: none"),
        0 => format!("{lead}: {first}"),
        more => format!("{lead}: {first}, and {more} more"),
    }
}

/// Edits between two words; few when one is the beginning or the end of the other (`username` for `user`).
fn distance(a: &str, b: &str) -> usize {
    let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
    if short.len() >= 4 && (long.starts_with(short) || long.ends_with(short)) {
        return 1;
    }
    strsim::damerau_levenshtein(a, b)
}

/// Names that a hint lists at most.
const MANY: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_finger_are_recognised() {
        let known = ["user", "url", "password", "maintenance_window"];
        assert_eq!(nearest("pasword", known), Some("password"));
        assert_eq!(
            nearest("maintenance-window", known),
            Some("maintenance_window")
        );
        assert_eq!(
            nearest("Maintenance_Windows", known),
            Some("maintenance_window")
        );
        assert_eq!(nearest("username", known), Some("user"));
        assert_eq!(nearest("ulr", known), Some("url"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("sha-1", ["sha-256", "sha-512"]), None);
    }

    #[test]
    fn where_nothing_is_near_the_words_are_listed_up_to_a_limit() {
        assert_eq!(hint("x", ["one", "two"], "one of"), "one of: one, two");
        let words: Vec<String> = (0..20).map(|n| format!("firewall-{n}")).collect();
        let text = hint("x", words.iter().map(String::as_str), "there are");
        assert!(text.ends_with("and 8 more"), "{text}");
    }
}
