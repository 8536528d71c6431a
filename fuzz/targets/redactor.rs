//! A fuzz target; its body, and what it asserts, is in src/fuzzing.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| renewd::fuzzing::redactor(data));
