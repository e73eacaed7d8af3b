//! Control messages of the market-stream protocol. What is checked is in `src/control.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::control(bytes));
