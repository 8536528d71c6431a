//! The address of the database: `sqlite://` and a file, or a PostgreSQL server that is verified before anything
//! is sent. Pure; no message repeats an address, which might carry a password.

use std::path::PathBuf;

use url::Url;

use super::values::Wrong;

/// What may stand behind the `?` of a server's address, in libpq's words.
const OPTIONS: [&str; 5] = ["host", "sslmode", "sslrootcert", "sslcert", "sslkey"];
/// Those of them that name a file.
const FILES: [&str; 3] = ["sslrootcert", "sslcert", KEY];
/// The private key with which renewd proves itself to the server.
pub(super) const KEY: &str = "sslkey";

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
        return Err(Wrong::new("the address contains a password", hint));
    }
    if address.fragment().is_some() || address.path().trim_matches('/').is_empty() {
        return Err(Wrong::new("the name of the database is missing", SERVER));
    }
    let unknown = |key: &str| !OPTIONS.contains(&key);
    if address.query_pairs().any(|(key, _)| unknown(&key)) {
        let hint = format!("it takes {}", OPTIONS.join(", "));
        return Err(Wrong::new("the address has an unknown option", hint));
    }
    // The driver takes the last of several, so what is checked here would not be what is used.
    let mut keys: Vec<_> = address.query_pairs().map(|(key, _)| key).collect();
    keys.sort_unstable();
    if !keys.is_sorted_by(|one, next| one < next) {
        let hint = "give each option once";
        return Err(Wrong::new("the address has an option twice", hint));
    }
    let option = |wanted| {
        let mut options = address.query_pairs();
        options.find_map(|(key, value)| (key == wanted).then(|| value.into_owned()))
    };
    let named = address.host_str().filter(|host| !host.is_empty());
    let is_here = match (named, option("host")) {
        (Some(_), Some(_)) => {
            let hint =
                "give the host once: before the name of the database, or as the option `host`";
            return Err(Wrong::new("the address has two hosts", hint));
        }
        (Some(host), None) => is_encoded_socket(host) || is_loopback(host),
        (None, Some(host)) if !host.is_empty() => host.starts_with('/') || is_loopback(&host),
        (None, _) => return Err(Wrong::new("the host is missing", SERVER)),
    };
    match (option("sslmode").as_deref(), is_here) {
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

/// The files that the address of a server names, each with its option: `sslrootcert`, `sslcert`, `sslkey`.
pub(super) fn files(text: &str) -> Vec<(String, PathBuf)> {
    let Ok(address) = server(text) else {
        return Vec::new();
    };
    let named = address
        .query_pairs()
        .filter(|(key, _)| FILES.contains(&&**key));
    named
        .map(|(key, path)| (key.into_owned(), PathBuf::from(&*path)))
        .collect()
}

/// Whether the host before the path of an address is a Unix socket: a folder, percent-encoded.
fn is_encoded_socket(host: &str) -> bool {
    host.get(..3)
        .is_some_and(|start| start.eq_ignore_ascii_case("%2f"))
}

/// Whether the connection stays on this machine.
fn is_loopback(host: &str) -> bool {
    let plain = host.trim_matches(['[', ']']);
    let address = plain.parse::<std::net::IpAddr>();
    plain == "localhost" || address.is_ok_and(|address| address.is_loopback())
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
    fn the_files_that_an_address_names_are_found() {
        let address =
            "postgres://db/renewd?sslrootcert=/etc/a.pem&sslcert=/etc/b%20c.pem&sslkey=/etc/d.key";
        let found = files(address);
        let named = |(option, path): &(String, PathBuf)| format!("{option} {}", path.display());
        let found: Vec<String> = found.iter().map(named).collect();
        assert_eq!(
            found,
            [
                "sslrootcert /etc/a.pem",
                "sslcert /etc/b c.pem",
                "sslkey /etc/d.key"
            ]
        );
        assert!(files("sqlite:///var/lib/renewd/renewd.db").is_empty());
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
    fn an_option_or_a_host_that_stands_twice_is_refused() {
        for (text, wanted) in [
            (
                "postgres:///renewd?host=127.0.0.1&host=db.example.com",
                "twice",
            ),
            (
                "postgres:///renewd?host=localhost&h%6Fst=db.example.com",
                "twice",
            ),
            (
                "postgres://db/renewd?sslmode=verify-full&sslmode=disable",
                "twice",
            ),
            (
                "postgres://db/renewd?sslmode=verify-full&ssl%6dode=disable",
                "twice",
            ),
            (
                "postgres://db/renewd?sslrootcert=/a.pem&sslkey=/k&sslrootcert=/b.pem",
                "twice",
            ),
            (
                "postgres://localhost/renewd?host=db.example.com",
                "two hosts",
            ),
            (
                "postgres://%2Frun%2Fpostgresql/renewd?host=db.example.com",
                "two hosts",
            ),
        ] {
            let wrong = database(text).unwrap_err();
            assert!(wrong.message.contains(wanted), "{text}: {wrong:?}");
        }
    }

    #[test]
    fn another_spelling_of_a_host_or_an_option_never_weakens_the_verification() {
        for text in [
            "postgres:///renewd?hostaddr=192.0.2.7&host=localhost",
            "postgres://localhost/renewd?HOST=db.example.com",
            "postgres://db/renewd?SSLMODE=disable",
            "postgres://db/renewd?ssl-mode=disable",
            "postgres://db/renewd?ssl-root-cert=/tmp/other.pem",
            "postgres://localhost/renewd?port=5433",
            "postgres:///renewd?host=",
            "postgres:///renewd?host=db.example.com&sslmode=prefer",
            // What is decoded once more would look like a socket.
            "postgres:///renewd?host=%252Frun.example.com&sslmode=prefer",
            "postgres://LOCALHOST.example.com/renewd?sslmode=prefer",
        ] {
            assert!(database(text).is_err(), "{text}");
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
