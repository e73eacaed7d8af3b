//! The same work through tickwire and through other libraries, in memory, in one group each:
//! `cargo bench --bench libraries` in this folder.
//!
//! What is compared begins and ends at the same place for all: bytes of a socket's in, messages out;
//! a message in, bytes for a socket out. A library stands where it has a function for just that.

mod decode;
mod encode;
mod handshake;
mod memory;
mod pieces;

use criterion::{Criterion, criterion_main};
use std::time::Duration;

/// Every benchmark for less than a second. `-- --measurement-time 5` for more.
fn benches() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500))
        .configure_from_args();
    decode::bench(&mut criterion);
    encode::bench(&mut criterion);
    handshake::bench(&mut criterion);
    pieces::mask(&mut criterion);
    pieces::utf8(&mut criterion);
    criterion.final_summary();
}

criterion_main!(benches);
