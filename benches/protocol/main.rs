//! What the protocol costs without a socket: `cargo bench --bench protocol`.

#[cfg(feature = "market")]
mod book;
mod decode;
#[cfg(feature = "market")]
mod depth;
mod encode;
mod handshake;
mod mask;
#[cfg(feature = "market")]
mod statistics;
mod utf8;

use criterion::{Criterion, criterion_main};
use std::time::Duration;

/// Every benchmark for less than a second: enough to see a change of some percent on a quiet
/// machine. `-- --measurement-time 5` for more.
fn benches() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500))
        .configure_from_args();
    decode::bench(&mut criterion);
    encode::bench(&mut criterion);
    mask::bench(&mut criterion);
    utf8::bench(&mut criterion);
    handshake::bench(&mut criterion);
    #[cfg(feature = "market")]
    depth::bench(&mut criterion);
    #[cfg(feature = "market")]
    statistics::bench(&mut criterion);
    #[cfg(feature = "market")]
    book::bench(&mut criterion);
    criterion.final_summary();
}

criterion_main!(benches);
