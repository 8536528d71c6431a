//! Single connections that fail before the first request: refused, never answered, or with the wrong certificate.
//! Independent of the service behind a port.

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::tls;

/// How one connection fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionFault {
    /// Reset (TCP RST) before TLS begins.
    Refused,
    /// Accepted, and never a byte in answer.
    Silent,
    /// The handshake presents an unknown certificate, with its own valid key.
    WrongCertificate,
}

/// Counts the connections of one peer, at all of its ports.
#[derive(Debug, Default)]
pub(crate) struct FaultyConnections {
    opened: u64,
    /// With the number of its connection.
    faults: Vec<(u64, ConnectionFault)>,
    used: u64,
    /// Every answer ends its connection, so that each exchange has one of its own.
    pub(crate) one_request_each: bool,
    /// Bytes that clients sent after a handshake with the wrong certificate.
    pub(crate) bytes_sent_to_impostor: u64,
}

impl FaultyConnections {
    /// The `nth` connection from now, 1 is the next, goes wrong.
    pub(crate) fn fault(&mut self, nth: u32, fault: ConnectionFault) {
        self.faults.push((self.opened + u64::from(nth), fault));
    }

    /// Connections so far.
    pub(crate) fn opened(&self) -> u64 {
        self.opened
    }

    /// How many of the faults have happened.
    pub(crate) fn used(&self) -> u64 {
        self.used
    }

    /// Counts a connection that was just accepted.
    pub(crate) fn enter(&mut self) -> Option<ConnectionFault> {
        self.opened += 1;
        let index = self
            .faults
            .iter()
            .position(|(nth, _)| *nth == self.opened)?;
        self.used += 1;
        Some(self.faults.swap_remove(index).1)
    }
}

/// Applies the fault to a connection. Returns how many bytes the client sent to a server with the wrong certificate.
pub(crate) async fn turn_away(mut stream: TcpStream, fault: ConnectionFault) -> u64 {
    match fault {
        ConnectionFault::Refused => reset(&stream),
        ConnectionFault::Silent => {
            read_to_end(&mut stream).await;
        }
        ConnectionFault::WrongCertificate => {
            let Ok(impostor) = tls::unknown_certificate() else {
                return 0;
            };
            if let Ok(mut stream) = impostor.accept(stream).await {
                return read_to_end(&mut stream).await;
            }
        }
    }
    0
}

/// The client gets a TCP RST as soon as the socket is dropped. A failure leaves an ordinary end.
pub(crate) fn reset(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}

async fn read_to_end(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> u64 {
    let mut bytes = [0; 4096];
    let mut total = 0;
    while let Ok(read @ 1..) = stream.read(&mut bytes).await {
        total += u64::try_from(read).unwrap_or(0);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::{ConnectionFault, FaultyConnections};

    #[test]
    fn a_fault_waits_for_its_connection_and_happens_once() {
        let mut connections = FaultyConnections::default();
        assert_eq!(connections.enter(), None);
        connections.fault(2, ConnectionFault::Silent);
        connections.fault(1, ConnectionFault::Refused);
        let entered = [
            connections.enter(),
            connections.enter(),
            connections.enter(),
        ];
        let wanted = [
            Some(ConnectionFault::Refused),
            Some(ConnectionFault::Silent),
            None,
        ];
        assert_eq!(entered, wanted);
        assert_eq!((connections.opened(), connections.used()), (4, 2));
    }
}
