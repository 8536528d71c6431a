//! The commands of FTP (RFC 959, 2428, 3659), as far as a client needs them to bring or fetch one file.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// One line of a client, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    User(String),
    Pass(String),
    Quit,
    Noop,
    System,
    Features,
    Options,
    Help,
    /// Type, structure, mode, size to come: accepted where it changes nothing.
    Setting {
        is_ours: bool,
    },
    /// `REST`; only the beginning is of use.
    Restart {
        is_beginning: bool,
    },
    WorkingFolder,
    ChangeFolder(String),
    /// `PASV`.
    Passive,
    /// `EPSV`; `None`: any family.
    ExtendedPassive(Option<Family>),
    /// `EPSV ALL`: a promise to use nothing else.
    ExtendedPassiveOnly,
    /// `PORT` and `EPRT`; `None`: an address that cannot be read.
    Active(Option<SocketAddr>),
    Store(String),
    Retrieve(String),
    Size(String),
    List(String),
    Names(String),
    Abort,
    /// Known, and not for here: TLS, deletion, folders, renaming.
    NotHere,
    Unknown,
}

/// A network protocol, as RFC 2428 numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
    Other,
}

impl Command {
    /// Reads a line without its end.
    pub fn parse(line: &str) -> Self {
        let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
        let text = || argument.to_owned();
        match verb.to_ascii_uppercase().as_str() {
            "USER" => Self::User(text()),
            "PASS" => Self::Pass(text()),
            "QUIT" => Self::Quit,
            "NOOP" => Self::Noop,
            "SYST" => Self::System,
            "FEAT" => Self::Features,
            "OPTS" => Self::Options,
            "HELP" => Self::Help,
            "TYPE" => Self::setting(argument, &["A", "I", "L"]),
            "STRU" => Self::setting(argument, &["F"]),
            "MODE" => Self::setting(argument, &["S"]),
            "ALLO" => Self::Setting { is_ours: true },
            "REST" => Self::Restart {
                is_beginning: argument.trim() == "0",
            },
            "PWD" | "XPWD" => Self::WorkingFolder,
            "CWD" | "XCWD" => Self::ChangeFolder(text()),
            "CDUP" | "XCUP" => Self::ChangeFolder("..".to_owned()),
            "PASV" => Self::Passive,
            "EPSV" if argument.eq_ignore_ascii_case("ALL") => Self::ExtendedPassiveOnly,
            "EPSV" => Self::ExtendedPassive(family(argument)),
            "PORT" => Self::Active(port(argument)),
            "EPRT" => Self::Active(extended_port(argument)),
            "STOR" | "APPE" => Self::Store(text()),
            "RETR" => Self::Retrieve(text()),
            "SIZE" => Self::Size(text()),
            "LIST" => Self::List(without_flags(argument)),
            "NLST" => Self::Names(without_flags(argument)),
            "ABOR" => Self::Abort,
            "AUTH" | "PBSZ" | "PROT" | "CCC" | "DELE" | "MKD" | "XMKD" | "RMD" | "XRMD"
            | "RNFR" | "RNTO" | "STOU" | "MDTM" | "MLSD" | "MLST" | "STAT" | "SITE" | "ACCT"
            | "REIN" | "SMNT" => Self::NotHere,
            _ => Self::Unknown,
        }
    }

    fn setting(argument: &str, ours: &[&str]) -> Self {
        let kind = argument.split_whitespace().next().unwrap_or_default();
        Self::Setting {
            is_ours: ours.iter().any(|own| own.eq_ignore_ascii_case(kind)),
        }
    }
}

/// `h1,h2,h3,h4,p1,p2`.
fn port(argument: &str) -> Option<SocketAddr> {
    let numbers: Option<Vec<u8>> = argument
        .split(',')
        .map(|part| part.trim().parse().ok())
        .collect();
    let [a, b, c, d, high, low] = numbers?.try_into().ok()?;
    let address = Ipv4Addr::from([a, b, c, d]);
    Some(SocketAddr::new(
        address.into(),
        u16::from_be_bytes([high, low]),
    ))
}

/// `|1|192.0.2.1|6275|`, with any delimiter.
fn extended_port(argument: &str) -> Option<SocketAddr> {
    let delimiter = argument.chars().next()?;
    let mut parts = argument.split(delimiter).skip(1);
    let (kind, address, port) = (parts.next()?, parts.next()?, parts.next()?);
    let address: IpAddr = address.parse().ok()?;
    let is_reported = match family(kind)? {
        Family::V4 => address.is_ipv4(),
        Family::V6 => address.is_ipv6(),
        Family::Other => false,
    };
    is_reported.then_some(SocketAddr::new(address, port.parse().ok()?))
}

fn family(argument: &str) -> Option<Family> {
    match argument.trim() {
        "" => None,
        "1" => Some(Family::V4),
        "2" => Some(Family::V6),
        _ => Some(Family::Other),
    }
}

/// Clients put flags of `ls` before a path, which FTP does not know.
fn without_flags(argument: &str) -> String {
    let is_flag = |part: &&str| part.starts_with('-');
    let path: Vec<&str> = argument.split(' ').skip_while(is_flag).collect();
    path.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_client_are_read_exactly() {
        let expected = "192.0.2.1:6275".parse().ok();
        assert_eq!(
            Command::parse("PORT 192,0,2,1,24,131"),
            Command::Active(expected)
        );
        assert_eq!(
            Command::parse("eprt |1|192.0.2.1|6275|"),
            Command::Active(expected)
        );
        assert_eq!(
            Command::parse("EPRT |2|2001:db8::1|6275|"),
            Command::Active("[2001:db8::1]:6275".parse().ok())
        );
        for line in [
            "PORT 192,0,2,1,24",
            "PORT 192,0,2,1,24,256",
            "PORT 1,2,3,4,5,6,7",
            "PORT",
            "EPRT",
            "EPRT |1|2001:db8::1|1|",
            "EPRT |3|192.0.2.1|1|",
            "EPRT |1|host|1|",
            "EPRT |1|192.0.2.1|65536|",
        ] {
            assert_eq!(Command::parse(line), Command::Active(None), "{line}");
        }
    }

    #[test]
    fn what_changes_nothing_is_accepted_and_what_would_is_not() {
        for line in [
            "TYPE I", "type a n", "MODE S", "STRU F", "TYPE L 8", "ALLO 12",
        ] {
            assert_eq!(
                Command::parse(line),
                Command::Setting { is_ours: true },
                "{line}"
            );
        }
        for line in ["TYPE E", "MODE B", "STRU R", "TYPE"] {
            assert_eq!(
                Command::parse(line),
                Command::Setting { is_ours: false },
                "{line}"
            );
        }
        assert_eq!(
            Command::parse("REST 5"),
            Command::Restart {
                is_beginning: false
            }
        );
    }

    #[test]
    fn a_path_is_taken_whole_and_flags_of_ls_are_left_out() {
        assert_eq!(
            Command::parse("STOR a b.p10"),
            Command::Store("a b.p10".to_owned())
        );
        assert_eq!(
            Command::parse("LIST -la a.pem"),
            Command::List("a.pem".to_owned())
        );
        assert_eq!(Command::parse("NLST"), Command::Names(String::new()));
        assert_eq!(Command::parse("FLY"), Command::Unknown);
        assert_eq!(Command::parse(""), Command::Unknown);
    }
}
