//! The embedded servers for files that firewalls bring and fetch themselves, tried with the clients of others:
//! OpenSSH's `scp` in both its protocols, and curl for FTP.

mod fixture;
mod ftp;
mod limits;
mod scp;
mod siege;
