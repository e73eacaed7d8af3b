//! Simulated servers: the event loop on a network that is made up, from seeds (docs/simulator.md).

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use tickwire::server::simulator::{Record, Report, run, run_bytes};

/// Seeds that each run of the tests simulates.
const SEEDS: u64 = 1000;

/// Simulates the seeds on all cores; what they came to together.
fn simulate(seeds: std::ops::Range<u64>) -> Report {
    let (next, total) = (AtomicU64::new(seeds.start), Mutex::new(Report::default()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    match run(seed, Record::Nothing) {
                        Ok(report) => *total.lock().expect("no thread has failed") += &report,
                        Err(failure) => panic!(
                            "seed {seed}: {failure}; its trace: cargo run --example simulate -- \
                             --seed {seed}"
                        ),
                    }
                }
            });
        }
    });
    total.into_inner().expect("no thread has failed")
}

/// No seed shows anything wrong, and together they end connections in each way that there is.
#[test]
fn a_thousand_seeds_hold() {
    let total = simulate(0..SEEDS);
    println!("{total:#?}");
    assert!(total.merged > 10_000, "few lag: {}", total.merged);
    assert_eq!(total.ended.len(), 17, "not all causes: {:?}", total.ended);
}

/// The same seed is the same simulation, with and without its trace.
#[test]
fn a_seed_has_one_trace() {
    for seed in 0..60 {
        let first = run(seed, Record::Nothing);
        assert_eq!(first, run(seed, Record::Nothing), "seed {seed}");
        assert_eq!(first, run(seed, Record::Trace), "seed {seed}");
        assert_ne!(first, run(seed + 1, Record::Nothing), "seed {seed} and the next");
    }
}

/// Bytes decide like a seed does.
#[test]
fn bytes_decide_too() {
    let one = run_bytes(b"any bytes", Record::Nothing).expect("it holds");
    assert_eq!(Ok(&one), run_bytes(b"any bytes", Record::Nothing).as_ref());
    assert_ne!(Ok(&one), run_bytes(b"other bytes", Record::Nothing).as_ref());
}
