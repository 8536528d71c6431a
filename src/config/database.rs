//! The address of the database: `sqlite://` and a file, or a PostgreSQL server that is verified before it is told
//! anything. Pure; no message repeats an address, which might carry a password.

use url::Url;

use super::values::Wrong;

/// What may stand behind the `?` of a server's address, in libpq's words.
const OPTIONS: [&str; 5] = ["host", "sslmode", "sslrootcert", "sslcert", "sslkey"];

/// Checks the address of a database of either kind.
pub(super) fn database(text: &str) -> Result<String, Wrong> {
    match text.split_once("://") {
        Some(("sqlite", path)) if path.starts_with('/') && path.len() > 1 => Ok(text.to_owned()),
        Some(("sqlite", _)) => Err(Wrong::new("this is not an absolute path", FILE)),
        Some(("postgres" | "postgresql", _)) => server(text).map(|_| text.to_owned()),
        _ => Err(Wrong::new("this is not a database", FILE)),
    }
}

/// The address of a PostgreSQL server, completed by what may not be left to chance: how it is verified.
pub(super) fn server(text: &str) -> Result<Url, Wrong> {
    let mut address =
        Url::parse(text).map_err(|_| Wrong::new("this is not the address of a server", SERVER))?;
    if !matches!(address.scheme(), "postgres" | "postgresql") {
        return Err(Wrong::new("this is not a PostgreSQL server", SERVER));
    }
    if address.password().is_some() {
        let hint = "take the password out, and say with `database_password` where it is";
        return Err(Wrong::new("a password stands in the address", hint));
    }
    if address.fragment().is_some() || address.path().trim_matches('/').is_empty() {
        return Err(Wrong::new("the name of the database is missing", SERVER));
    }
    let unknown = |key: &str| !OPTIONS.contains(&key);
    if address.query_pairs().any(|(key, _)| unknown(&key)) {
        let hint = format!("it takes {}", OPTIONS.join(", "));
        return Err(Wrong::new("the address has an unknown option", hint));
    }
    let option = |wanted| {
        let mut options = address.query_pairs();
        options.find_map(|(key, value)| (key == wanted).then(|| value.into_owned()))
    };
    let host = option("host").or_else(|| address.host_str().map(str::to_owned));
    let Some(host) = host.filter(|host| !host.is_empty()) else {
        return Err(Wrong::new("the host is missing", SERVER));
    };
    match (option("sslmode").as_deref(), is_here(&host)) {
        (Some("verify-full"), _) | (Some("disable" | "prefer" | "require" | "verify-ca"), true) => {
        }
        (Some(_), true) => return Err(Wrong::new("this is not an sslmode", SERVER)),
        (Some(_), false) => {
            let hint = "leave `sslmode` out, and name with `sslrootcert` the CA that signed the server's certificate, \
                        unless it is a public one";
            let message = "to another machine only sslmode=verify-full is safe";
            return Err(Wrong::new(message, hint));
        }
        (None, is_here) => {
            let mode = if is_here { "prefer" } else { "verify-full" };
            address.query_pairs_mut().append_pair("sslmode", mode);
        }
    }
    Ok(address)
}

/// Whether nobody can stand between us and this host: a Unix socket, or the loopback interface.
fn is_here(host: &str) -> bool {
    let plain = host.trim_matches(['[', ']']);
    let address = plain.parse::<std::net::IpAddr>();
    host.starts_with('/')
        || host.to_ascii_lowercase().starts_with("%2f")
        || plain == "localhost"
        || address.is_ok_and(|address| address.is_loopback())
}

const FILE: &str = "write sqlite:// and an absolute path: \"sqlite:///var/lib/renewd/renewd.db\"; \
                    or a server: \"postgres://renewd@db.example.com/renewd\"";
const SERVER: &str = "write \"postgres://USER@HOST/DATABASE\", or for a Unix socket \
                      \"postgres://USER@%2Frun%2Fpostgresql/DATABASE\"";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_an_absolute_path() {
        assert!(database("sqlite:///tmp/x.db").is_ok());
        for text in ["sqlite://x.db", "sqlite:///", "x.db", "", "mysql://h/d"] {
            assert!(database(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_server_elsewhere_is_verified_wholly() {
        let mode = |text: &str| {
            let address = server(text).unwrap();
            let (_, mode) = address.query_pairs().find(|(key, _)| key == "sslmode")?;
            Some(mode.into_owned())
        };
        for elsewhere in [
            "postgres://renewd@db.example.com/renewd",
            "postgresql://renewd@192.0.2.7:5433/renewd?sslrootcert=/etc/ssl/office.pem",
            "postgres://db/renewd?sslmode=verify-full",
        ] {
            assert_eq!(mode(elsewhere).as_deref(), Some("verify-full"));
        }
        for here in [
            "postgres://renewd@127.0.0.1/renewd",
            "postgres://renewd@[::1]/renewd",
            "postgres://renewd@localhost/renewd",
            "postgres://renewd@%2Frun%2Fpostgresql/renewd",
            "postgres:///renewd?host=/run/postgresql",
        ] {
            assert_eq!(mode(here).as_deref(), Some("prefer"), "{here}");
        }
    }

    #[test]
    fn an_address_that_is_unsafe_or_incomplete_is_refused_without_being_repeated() {
        for (text, wanted) in [
            ("postgres://renewd:s3cret@db/renewd", "password"),
            ("postgres://db/renewd?password=s3cret", "unknown option"),
            ("postgres://db/renewd?options=s3cret", "unknown option"),
            ("postgres://db/renewd?sslmode=require", "verify-full"),
            ("postgres://db/renewd?sslmode=verify-ca", "verify-full"),
            ("postgres://localhost/renewd?sslmode=s3cret", "sslmode"),
            ("postgres://db", "name of the database"),
            ("postgres://db/", "name of the database"),
            ("postgres:///renewd", "host is missing"),
            ("postgres://s3cret:port/x", "not the address"),
        ] {
            let wrong = database(text).unwrap_err();
            assert!(wrong.message.contains(wanted), "{text}: {wrong:?}");
            assert!(!format!("{wrong:?}").contains("s3cret"), "{wrong:?}");
        }
    }
}
