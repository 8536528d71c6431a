//! Lines of FTP, for the body of a fuzz target.

use std::net::SocketAddr;

use super::command::{Command, Family};

/// Whatever a line says: what it names is a part of it.
pub(in crate::transfer) fn line(line: &str) {
    match Command::parse(line) {
        Command::User(text)
        | Command::Pass(text)
        | Command::Store(text)
        | Command::Retrieve(text)
        | Command::Size(text)
        | Command::List(text)
        | Command::Names(text) => assert!(line.ends_with(&text), "{line}"),
        Command::Active(Some(address)) => assert!(line.len() > 10, "{line}: {address}"),
        Command::ExtendedPassive(Some(Family::V4)) => assert!(line.contains('1'), "{line}"),
        _ => {}
    }
}

/// An address that is written is read.
pub(in crate::transfer) fn address(address: SocketAddr) {
    let SocketAddr::V4(v4) = address else { return };
    let [a, b, c, d] = v4.ip().octets();
    let [high, low] = v4.port().to_be_bytes();
    let port = format!("PORT {a},{b},{c},{d},{high},{low}");
    let extended = format!("EPRT |1|{}|{}|", v4.ip(), v4.port());
    for line in [port, extended] {
        assert_eq!(
            Command::parse(&line),
            Command::Active(Some(address)),
            "{line}"
        );
    }
}
