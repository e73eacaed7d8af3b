//! Frames through tickwire and through tungstenite. What is checked is in `src/differential.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::differential(bytes));
