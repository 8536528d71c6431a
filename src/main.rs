//! The renewd program.

fn main() {}
