//! Frame headers (RFC 6455 §5.2). What is checked is in `src/header.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::header(bytes));
