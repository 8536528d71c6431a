//! The renewd program; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    renewd::cli::main()
}
