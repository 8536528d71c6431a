//! Scenarios across the whole of renewd, against simulated firewalls and CAs on loopback.

mod sonicos_driver;
