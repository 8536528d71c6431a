//! The embedded servers for files that firewalls transfer themselves, tested with other programs' clients:
//! OpenSSH's `scp` in both its protocols, and curl for FTP.

mod fixture;
mod ftp;
mod hostile_clients;
mod limits;
mod scp;
