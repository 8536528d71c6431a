//! Simulated devices on loopback, written from their documentation, for tests, demonstrations and trying renewd by hand.
//!
//! This crate shares no code with renewd: a simulator is an independent implementation of the same documents. Each
//! handler cites the section that justifies it, or is marked `guess:`. It listens only on the given addresses.

pub mod acme;
mod barrier;
pub mod ca;
mod faulty_connections;
mod multipart;
mod observer;
pub mod pam360;
pub mod resello;
mod response_delivery;
mod rng;
pub mod sonicos;
pub mod switch;
mod tls;
pub mod venafi;

pub use self::barrier::Barrier;
pub use self::faulty_connections::ConnectionFault;
pub use self::observer::{Observer, Wait};
