//! A server on a network that is made up. What is checked is in `src/simulator.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::simulator(bytes));
