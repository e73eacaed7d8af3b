//! Paths, URLs and origins. What is checked is in `src/addresses.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::addresses(bytes));
