//! Simulates servers from seeds, as many as wanted, and says which seed fails.
//!
//!     cargo run --release --example simulate -- --seeds 100000 --start 0
//!     cargo run --release --example simulate -- --seed 4711
//!
//! The second form prints what happened in one simulation, if it fails.

use std::process::ExitCode;
use std::time::Instant;
use tickwire::server::simulator::{Record, Report, run};

const USAGE: &str = "usage: simulate [--seeds COUNT] [--start SEED] | --seed SEED";

fn main() -> ExitCode {
    match parse(std::env::args().skip(1)) {
        Ok(Command::One(seed)) => one(seed),
        Ok(Command::Many { start, seeds }) => many(start, seeds),
        Err(wrong) => {
            eprintln!("{wrong}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

enum Command {
    One(u64),
    Many { start: u64, seeds: u64 },
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Command, String> {
    let (mut start, mut seeds, mut seed) = (0, 1000, None);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a number"))?;
        let value = value.parse().map_err(|_| format!("{name}: {value:?} is no number"))?;
        match name.as_str() {
            "--start" => start = value,
            "--seeds" => seeds = value,
            "--seed" => seed = Some(value),
            _ => return Err(format!("there is no {name}")),
        }
    }
    Ok(seed.map_or(Command::Many { start, seeds }, Command::One))
}

fn one(seed: u64) -> ExitCode {
    match run(seed, Record::Trace) {
        Ok(report) => {
            println!("seed {seed} holds: {report:?}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("{failure}\nseed {seed} fails");
            ExitCode::FAILURE
        }
    }
}

fn many(start: u64, seeds: u64) -> ExitCode {
    let began = Instant::now();
    let mut total = Report::default();
    for seed in start..start.saturating_add(seeds) {
        match run(seed, Record::Nothing) {
            Ok(report) => total += &report,
            Err(failure) => {
                eprintln!("seed {seed} fails: {failure}\nits trace: simulate --seed {seed}");
                return ExitCode::FAILURE;
            }
        }
    }
    let elapsed = began.elapsed().as_secs_f64();
    println!("{seeds} seeds from {start} hold, in {elapsed:.1} s: {total:#?}");
    ExitCode::SUCCESS
}
