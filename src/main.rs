//! The program `tickwire`. All of it is in the library's `cli` module.

use std::process::ExitCode;

/// Frees memory across threads several times cheaper than the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tickwire::cli::main()
}
