//! A feed's lines of JSON. What is checked is in `src/lines.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::lines(bytes));
