//! Frames as they come off the wire (RFC 6455 §5). What is checked is in `src/decoder.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::decoder(bytes));
