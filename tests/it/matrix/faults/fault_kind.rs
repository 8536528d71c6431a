//! The ways in which one exchange can fail, by name, and how each is set up in a simulator.

use std::time::Duration;

use simulators::ConnectionFault;
use simulators::ca::{Fault, RetryAfter};
use simulators::sonicos::{Action, TransferFault};

/// One way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// No connection comes about.
    Refused,
    /// A connection comes about, and nothing on it.
    BlackHole,
    /// The peer of this connection is another server.
    WrongCertificate,
    ResetBefore,
    ResetAfter,
    ClosedBefore,
    ClosedAfter,
    /// No answer, ever; nothing was done.
    SilentBefore,
    /// No answer, ever; it was done.
    SilentAfter,
    /// An answer that would take years.
    Drip,
    Unauthorized,
    Forbidden,
    TooMany,
    /// The same, with the time after which to come again.
    TooManyUntil,
    /// The same, with a time of seconds.
    TooManySoon,
    ErrorBefore,
    ErrorAfter,
    Unavailable,
    /// The same, with the time after which to come again.
    UnavailableUntil,
    /// The same, with a time of seconds.
    UnavailableSoon,
    /// Half of an answer, or of a file, that looks like the whole.
    Halved,
    /// Half of an answer that says how long it is.
    CutShort,
    Garbage,
    LoginPage,
}

impl FaultKind {
    pub const ALL: [Self; 24] = [
        Self::Refused,
        Self::BlackHole,
        Self::WrongCertificate,
        Self::ResetBefore,
        Self::ResetAfter,
        Self::ClosedBefore,
        Self::ClosedAfter,
        Self::SilentBefore,
        Self::SilentAfter,
        Self::Drip,
        Self::Unauthorized,
        Self::Forbidden,
        Self::TooMany,
        Self::TooManyUntil,
        Self::TooManySoon,
        Self::ErrorBefore,
        Self::ErrorAfter,
        Self::Unavailable,
        Self::UnavailableUntil,
        Self::UnavailableSoon,
        Self::Halved,
        Self::CutShort,
        Self::Garbage,
        Self::LoginPage,
    ];

    /// As an operator writes it to repeat one case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::BlackHole => "black-hole",
            Self::WrongCertificate => "wrong-certificate",
            Self::ResetBefore => "reset-before",
            Self::ResetAfter => "reset-after",
            Self::ClosedBefore => "closed-before",
            Self::ClosedAfter => "closed-after",
            Self::SilentBefore => "silent-before",
            Self::SilentAfter => "silent-after",
            Self::Drip => "drip",
            Self::Unauthorized => "401",
            Self::Forbidden => "403",
            Self::TooMany => "429",
            Self::TooManyUntil => "429-until",
            Self::TooManySoon => "429-soon",
            Self::ErrorBefore => "500-before",
            Self::ErrorAfter => "500-after",
            Self::Unavailable => "503",
            Self::UnavailableUntil => "503-until",
            Self::UnavailableSoon => "503-soon",
            Self::Halved => "halved",
            Self::CutShort => "cut-short",
            Self::Garbage => "garbage",
            Self::LoginPage => "login-page",
        }
    }

    /// Whether only a deadline of renewd's own ends the exchange.
    pub fn needs_a_deadline(self) -> bool {
        matches!(
            self,
            Self::BlackHole | Self::SilentBefore | Self::SilentAfter | Self::Drip
        )
    }

    /// For what goes wrong before anything is said.
    pub fn of_connection(self) -> Option<ConnectionFault> {
        match self {
            Self::Refused => Some(ConnectionFault::Refused),
            Self::BlackHole => Some(ConnectionFault::Silent),
            Self::WrongCertificate => Some(ConnectionFault::WrongCertificate),
            _ => None,
        }
    }

    /// For an exchange with a CA.
    pub fn of_ca(self) -> Option<Fault> {
        Some(match self {
            Self::Refused | Self::BlackHole | Self::WrongCertificate => return None,
            Self::ResetBefore => Fault::Reset,
            Self::ResetAfter => Fault::ResetAfter,
            Self::ClosedBefore => Fault::LostBefore,
            Self::ClosedAfter => Fault::LostAfter,
            Self::SilentBefore => Fault::SilentBefore,
            Self::SilentAfter => Fault::SilentAfter,
            Self::Drip => Fault::Drip(BETWEEN_DROPS),
            Self::Unauthorized => Fault::Unauthorized,
            Self::Forbidden => Fault::Forbidden,
            Self::TooMany => Fault::TooManyRequests(RetryAfter::Silent),
            Self::TooManyUntil => Fault::TooManyRequests(RetryAfter::Seconds(ASKED_SECONDS)),
            Self::TooManySoon => Fault::TooManyRequests(RetryAfter::Seconds(SOON_SECONDS)),
            Self::ErrorBefore => Fault::ServerError,
            Self::ErrorAfter => Fault::ServerErrorAfter,
            Self::Unavailable => Fault::Unavailable(RetryAfter::Silent),
            Self::UnavailableUntil => Fault::Unavailable(RetryAfter::Seconds(ASKED_SECONDS)),
            Self::UnavailableSoon => Fault::Unavailable(RetryAfter::Seconds(SOON_SECONDS)),
            Self::Halved => Fault::Truncated,
            Self::CutShort => Fault::CutShort,
            Self::Garbage => Fault::Garbage,
            Self::LoginPage => Fault::LoginPage,
        })
    }

    /// For an exchange with a device.
    pub fn of_device(self) -> Option<Action> {
        let status = |status: u16, words: &str| {
            let kind = ("Content-Type".to_owned(), "text/plain".to_owned());
            Action::Status(status, words.to_owned(), vec![kind])
        };
        let until = |status: u16, words: &str, seconds: u32| {
            let wait = ("Retry-After".to_owned(), seconds.to_string());
            Action::Status(status, words.to_owned(), vec![wait])
        };
        Some(match self {
            Self::Refused | Self::BlackHole | Self::WrongCertificate => return None,
            Self::ResetBefore => Action::ResetBefore,
            Self::ResetAfter => Action::ResetAfter,
            Self::ClosedBefore => Action::DropBefore,
            Self::ClosedAfter => Action::DropAfter,
            Self::SilentBefore => Action::SilentBefore,
            Self::SilentAfter => Action::SilentAfter,
            Self::Drip => Action::Drip(BETWEEN_DROPS),
            Self::Unauthorized => status(401, "Unauthorized"),
            Self::Forbidden => status(403, "Forbidden"),
            Self::TooMany => status(429, "Too many requests"),
            Self::TooManyUntil => until(429, "Too many requests", ASKED_SECONDS),
            Self::TooManySoon => until(429, "Too many requests", SOON_SECONDS),
            Self::ErrorBefore => status(500, "Internal server error"),
            Self::ErrorAfter => Action::ServerErrorAfter,
            Self::Unavailable => status(503, "Service unavailable"),
            Self::UnavailableUntil => until(503, "Service unavailable", ASKED_SECONDS),
            Self::UnavailableSoon => until(503, "Service unavailable", SOON_SECONDS),
            Self::Halved => Action::Truncated,
            Self::CutShort => Action::CutShort,
            Self::Garbage => Action::Garbage,
            Self::LoginPage => Action::Html,
        })
    }

    /// For a file that a device carries.
    pub fn of_file(self) -> Option<TransferFault> {
        match self {
            Self::Refused => Some(TransferFault::NotConnected),
            Self::ClosedBefore => Some(TransferFault::HungUp),
            Self::SilentBefore => Some(TransferFault::Silent),
            Self::Unauthorized => Some(TransferFault::WrongPassword),
            Self::Halved => Some(TransferFault::Halved),
            _ => None,
        }
    }

    /// For a run of an outside program: what the shell does, where `act` is what it would have done.
    pub fn of_program(self) -> Option<&'static str> {
        match self {
            Self::Refused => Some("exit 3"),
            Self::ResetBefore => Some("kill -9 $$"),
            Self::ResetAfter => Some("act >/dev/null; kill -9 $$"),
            Self::SilentBefore => Some("exec sleep 600"),
            Self::SilentAfter => Some("act >/dev/null; exec sleep 600"),
            Self::Drip => Some("while :; do printf -; sleep 0.2; done"),
            Self::ErrorBefore => Some("exit 99"),
            Self::ErrorAfter => Some("act >/dev/null; exit 99"),
            Self::Halved => {
                Some("all=$(act); status=$?; printf %s \"${all:0:${#all}/2}\"; exit $status")
            }
            Self::Garbage => Some("printf '\\377\\001}{'; exit 0"),
            Self::LoginPage => Some("echo '<html><title>Sign in</title></html>'; exit 0"),
            _ => None,
        }
    }
}

/// What a peer that is busy asks for.
const ASKED_SECONDS: u32 = 1234;
/// The same, where it is shorter than any wait of the retry table.
const SOON_SECONDS: u32 = 5;
const BETWEEN_DROPS: Duration = Duration::from_millis(300);
