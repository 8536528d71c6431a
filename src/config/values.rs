//! Texts of the configuration made into values: durations, names, addresses, URLs. Pure.

use std::net::{IpAddr, Ipv4Addr};

use jiff::{SignedDuration, Span, SpanRelativeTo};
use url::Url;

use super::suggest;
use crate::inventory::Endpoint;
use crate::pki::is_dns_name;

/// Why a text is not what it should be, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub message: String,
    pub hint: String,
}

impl Wrong {
    /// What is wrong, and what to do.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: hint.into(),
        }
    }
}

/// A duration such as "90s", "2m" or "1h 30m"; a day is 24 hours.
pub(super) fn duration(
    text: &str,
    shortest: SignedDuration,
    longest: SignedDuration,
) -> Result<SignedDuration, Wrong> {
    let not_a_duration = || {
        Wrong::new(
            format!("`{text}` is not a duration"),
            "write a number and its unit, such as \"90s\", \"2m\", \"1h 30m\" or \"7d\"",
        )
    };
    let span: Span = text.parse().map_err(|_| not_a_duration())?;
    let duration = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| not_a_duration())?;
    within(text, duration, shortest, longest)
}

fn within(
    text: &str,
    duration: SignedDuration,
    shortest: SignedDuration,
    longest: SignedDuration,
) -> Result<SignedDuration, Wrong> {
    if duration < shortest || duration > longest {
        return Err(Wrong::new(
            format!(
                "`{text}` is too {}",
                if duration < shortest { "short" } else { "long" }
            ),
            format!("between {} and {}", in_words(shortest), in_words(longest)),
        ));
    }
    Ok(duration)
}

/// How long what happened is kept; `None`: for ever. The least is as long as an order can count in a budget.
pub(super) fn keep_history(text: &str) -> Result<Option<SignedDuration>, Wrong> {
    if text == "forever" {
        return Ok(None);
    }
    let parsed: Option<Span> = text.parse().ok();
    if parsed.is_some_and(Span::is_zero) || text.trim() == "0" {
        return Err(Wrong::new(
            format!("`{text}` does not say whether nothing is kept or nothing is removed"),
            "write \"forever\" to remove nothing, else a time from \"1y\" to \"100y\"",
        ));
    }
    // A year is as long as the longest one, so that no budget reaches further back.
    let years = parsed.map_or(0, |span| i64::from(span.get_years()));
    let rest = parsed.and_then(|span| span.try_years(0).ok());
    match rest.filter(|rest| years > 0 && rest.is_zero()) {
        Some(_) => within(
            text,
            YEAR * i32::try_from(years).unwrap_or(i32::MAX),
            YEAR,
            YEAR * 100,
        ),
        None => duration(text, YEAR, YEAR * 100),
    }
    .map(Some)
}

/// A name of the configuration: it appears in logs, commands and file names.
pub(super) fn name(text: &str) -> Result<(), Wrong> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts_well && text.len() <= 63 && text.chars().all(is_plain) {
        return Ok(());
    }
    Err(Wrong::new(
        format!("`{text}` cannot be a name"),
        "a name has 1 to 63 of the characters a-z A-Z 0-9 . _ - and starts with a letter or a digit",
    ))
}

/// A host name for a certificate, in lower case; its first label may be `*`.
pub(super) fn domain(text: &str) -> Result<String, Wrong> {
    let lower = text.to_ascii_lowercase();
    if text.parse::<IpAddr>().is_ok() {
        let hint = format!("an address is written as ip_addresses = [\"{text}\"]");
        return Err(Wrong::new(
            format!("`{text}` is an address, not a domain name"),
            hint,
        ));
    }
    if !text.is_ascii() {
        let hint = "write an international name in its ASCII form, which starts with \"xn--\"";
        return Err(Wrong::new(format!("`{text}` is not in ASCII"), hint));
    }
    if is_dns_name(&lower) {
        return Ok(lower);
    }
    let hint = "a domain name is made of letters, digits and hyphens between dots, such as \"vpn.example.com\"";
    Err(Wrong::new(format!("`{text}` is not a domain name"), hint))
}

/// The name of one host, in lower case.
pub(super) fn host_name(text: &str) -> Result<String, Wrong> {
    let name = domain(text)?;
    if !name.starts_with("*.") {
        return Ok(name);
    }
    let hint = "write one name that the certificate is valid for, such as \"vpn.example.com\"";
    Err(Wrong::new(
        format!("`{text}` is a wildcard, not the name of a host"),
        hint,
    ))
}

/// A mail address, looked at as far as a certificate's name needs it.
pub(super) fn email(text: &str) -> Result<String, Wrong> {
    let is_plain = |local: &str| {
        !local.is_empty() && local.is_ascii() && !local.contains([' ', '\t', '"', '@'])
    };
    match text.rsplit_once('@') {
        Some((local, host)) if is_plain(local) && is_dns_name(host) => Ok(text.to_owned()),
        _ => Err(Wrong::new(
            format!("`{text}` is not a mail address"),
            "for example: \"admin@example.com\"",
        )),
    }
}

/// An address for a certificate.
pub(super) fn ip_address(text: &str) -> Result<IpAddr, Wrong> {
    let hint = "write \"192.0.2.1\" or \"2001:db8::1\"; a host name belongs in `dns_names`";
    text.parse()
        .map_err(|_| Wrong::new(format!("`{text}` is not an IP address"), hint))
}

/// `HOST:PORT`; an IPv6 address stands in brackets.
pub(super) fn endpoint(text: &str) -> Result<Endpoint, Wrong> {
    let wrong = || {
        let hint = "write HOST:PORT, such as \"192.0.2.1:443\" or \"[2001:db8::1]:443\"";
        Wrong::new(format!("`{text}` is not an address with a port"), hint)
    };
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = port.parse().map_err(|_| wrong())?;
    let bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host = match bracketed {
        Some(inner) if inner.parse::<std::net::Ipv6Addr>().is_ok() => inner,
        None if host.parse::<Ipv4Addr>().is_ok() => host,
        None if is_dns_name(host) && !host.starts_with('*') => host,
        _ => return Err(wrong()),
    };
    if port == 0 {
        return Err(wrong());
    }
    Ok(Endpoint {
        host: host.to_owned(),
        port,
    })
}

/// `https://HOST[:PORT]` and nothing else. The messages do not repeat the text: it may hold a password.
pub(super) fn device_url(text: &str) -> Result<Url, Wrong> {
    let hint = "write https://HOST or https://HOST:PORT";
    let url = Url::parse(text)
        .map_err(|error| Wrong::new(format!("this is not a URL: {error}"), hint))?;
    if url.scheme() != "https" {
        let message = format!("a firewall is reached by https, not by {}", url.scheme());
        return Err(Wrong::new(message, hint));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let hint = "write the user as `user` and the password as `password`";
        return Err(Wrong::new("a URL must not hold a user or a password", hint));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(Wrong::new("the address must end after host and port", hint));
    }
    Ok(url)
}

/// `https://HOST[:PORT][/PATH]`. The messages do not repeat the text: it may hold a password.
pub(super) fn service_url(text: &str) -> Result<Url, Wrong> {
    let hint = "write https://HOST, with port and path where it has them";
    let url = Url::parse(text)
        .map_err(|error| Wrong::new(format!("this is not a URL: {error}"), hint))?;
    if url.scheme() != "https" {
        let message = format!("a CA is reached by https, not by {}", url.scheme());
        return Err(Wrong::new(message, hint));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Wrong::new("a URL must not hold a user or a password", hint));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Wrong::new("the address must end after its path", hint));
    }
    Ok(url)
}

/// Filters of the log: LEVEL or TARGET=LEVEL, with commas between them.
pub(super) fn log_filter(text: &str) -> Result<String, Wrong> {
    let hint =
        "write a level (error, warn, info, debug, trace), or \"info,renewd::firewall=debug\"";
    for filter in text.split(',').map(str::trim) {
        // EnvFilter takes a misspelt level for the name of a module, and then logs nothing.
        let level = filter.rsplit('=').next().unwrap_or_default();
        if !LEVELS.contains(&level.to_ascii_lowercase().as_str()) {
            let hint = match suggest::nearest(level, LEVELS) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => hint.to_owned(),
            };
            return Err(Wrong::new(format!("`{filter}` is not a log level"), hint));
        }
    }
    tracing_subscriber::EnvFilter::builder()
        .parse(text)
        .map(|_| text.to_owned())
        .map_err(|_| Wrong::new(format!("`{text}` is not a log filter"), hint))
}

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

fn in_words(duration: SignedDuration) -> String {
    let days = duration.as_hours() / 24;
    if days > 1 && duration == SignedDuration::from_hours(days * 24) {
        format!("{days}d")
    } else {
        format!("{duration:#}")
    }
}

/// The longest one.
const YEAR: SignedDuration = SignedDuration::from_hours(366 * 24);

#[cfg(test)]
mod tests {
    use super::*;

    const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);

    #[test]
    fn durations_are_read_with_their_units() {
        let read = |text| duration(text, SignedDuration::ZERO, WEEK).map(|d| d.as_secs());
        assert_eq!(read("90s"), Ok(90));
        assert_eq!(read("1h 30m"), Ok(5400));
        assert_eq!(read("7d"), Ok(604_800));
        for text in ["", "5", "soon", "1 month", "-"] {
            assert!(
                read(text).unwrap_err().message.contains("not a duration"),
                "{text}"
            );
        }
        assert_eq!(read("8d").unwrap_err().hint, "between 0s and 7d");
        assert!(read("-5m").unwrap_err().message.contains("too short"));
    }

    #[test]
    fn a_history_is_kept_for_a_year_at_least_or_for_ever() {
        let days = |text| keep_history(text).map(|kept| kept.map(|kept| kept.as_hours() / 24));
        assert_eq!(days("5y"), Ok(Some(5 * 366)));
        assert_eq!(days("1y"), Ok(Some(366)));
        assert_eq!(days("366d"), Ok(Some(366)));
        assert_eq!(days("1000d"), Ok(Some(1000)));
        assert_eq!(days("forever"), Ok(None));
        for text in ["0", "0d", "0y", "0s"] {
            let refused = days(text).unwrap_err();
            assert!(refused.hint.contains("forever"), "{text}");
        }
        for text in ["365d", "1h", "101y", "999y", "1000000d"] {
            let refused = days(text).unwrap_err();
            assert!(
                refused.message.contains(" is too "),
                "{text}: {}",
                refused.message
            );
            assert!(refused.hint.contains("366d"), "{text}: {}", refused.hint);
        }
        for text in ["", "never", "5", "5 parsecs", "1y 2mo", "-5y", "99999y"] {
            assert!(days(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_that_could_leave_a_folder_are_refused() {
        for text in [
            "",
            ".",
            "..",
            "../etc",
            "a/b",
            "a b",
            "-x",
            "ä",
            &"x".repeat(64),
        ] {
            assert!(name(text).is_err(), "{text}");
        }
        for text in ["hq", "HQ-2.example_x", &"x".repeat(63)] {
            assert!(name(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn domains_are_made_lower_case_and_checked() {
        assert_eq!(domain("VPN.Example.com").unwrap(), "vpn.example.com");
        assert_eq!(domain("*.example.com").unwrap(), "*.example.com");
        for text in [
            "",
            "a..b",
            "-a.com",
            "a b",
            "*",
            "a.*.b",
            "münchen.de",
            "https://a.b",
            "a.com.",
        ] {
            assert!(domain(text).is_err(), "{text}");
        }
        assert!(
            domain("192.0.2.1")
                .unwrap_err()
                .hint
                .contains("ip_addresses")
        );
    }

    #[test]
    fn a_wildcard_is_the_name_of_no_host() {
        assert_eq!(host_name("FW.example.com").unwrap(), "fw.example.com");
        let wrong = host_name("*.example.com").unwrap_err();
        assert!(wrong.message.contains("`*.example.com` is a wildcard"));
        assert!(host_name("192.0.2.1").is_err());
    }

    #[test]
    fn endpoints_need_a_host_and_a_port() {
        let read = |text| endpoint(text).map(|endpoint| endpoint.to_string());
        assert_eq!(read("fw.example.com:443").unwrap(), "fw.example.com:443");
        assert_eq!(read("[2001:db8::1]:4433").unwrap(), "[2001:db8::1]:4433");
        for text in [
            "",
            "fw",
            "fw:",
            ":443",
            "fw:0",
            "fw:99999",
            "2001:db8::1:443",
            "https://fw:443",
            "[x]:1",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_url_that_is_more_than_a_host_is_refused_without_repeating_it() {
        for text in [
            "https://renewd:hunter2@fw",
            "http://fw?hunter2",
            "https://fw/hunter2",
            "https://fw/?q=hunter2",
            "https://fw/#hunter2",
            "hunter2",
        ] {
            let wrong = device_url(text).unwrap_err();
            assert!(!format!("{wrong:?}").contains("hunter2"), "{wrong:?}");
        }
        let url = device_url("https://[2001:db8::1]:8443").unwrap();
        assert_eq!(
            Endpoint::of(&url).unwrap().to_string(),
            "[2001:db8::1]:8443"
        );
        let url = device_url("https://fw.example.com").unwrap();
        assert_eq!(
            Endpoint::of(&url).unwrap().to_string(),
            "fw.example.com:443"
        );
    }

    #[test]
    fn mail_addresses_are_checked_roughly() {
        assert!(email("admin@example.com").is_ok());
        for text in ["", "admin", "@example.com", "a b@example.com", "admin@"] {
            assert!(email(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_misspelt_log_level_is_not_taken_for_a_module() {
        assert!(log_filter("info").is_ok());
        assert!(log_filter("warn,renewd::firewall=debug").is_ok());
        assert_eq!(log_filter("inof").unwrap_err().hint, "did you mean `info`?");
        assert!(log_filter("").is_err());
    }
}
