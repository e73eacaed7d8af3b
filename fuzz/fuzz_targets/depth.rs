//! Order-book differences, folded for clients that lag. What is checked is in `src/depth.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::depth(bytes));
