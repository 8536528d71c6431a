//! Simulated devices on loopback, written from their documentation, for tests, demonstrations and trying renewd by hand.
//!
//! Nothing here shares code with renewd: a simulator is a second opinion about the same documents. Each handler cites the
//! section that justifies it, or is marked `guess:`. Nothing listens beyond the addresses it was given.

pub mod acme;
pub mod ca;
mod chance;
mod door;
mod gate;
mod multipart;
pub mod pam360;
mod parcel;
pub mod resello;
pub mod sonicos;
pub mod switch;
mod tls;
pub mod venafi;
mod witness;

pub use self::door::ConnectionFault;
pub use self::gate::Gate;
pub use self::witness::{Wait, Witness};
