//! Compressed messages (RFC 7692 §7.2). What is checked is in `src/inflate.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::inflate(bytes));
