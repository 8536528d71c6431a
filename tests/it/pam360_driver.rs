//! The PAM360 driver against the simulated server.

mod faults;
mod fixture;
mod forms;
mod orders;
mod renewal;
