//! Events in every view. What is checked is in `src/envelope.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::envelope(bytes));
