//! The PAM360 driver against the simulated server.

mod bench;
mod faults;
mod forms;
mod orders;
mod renewal;
