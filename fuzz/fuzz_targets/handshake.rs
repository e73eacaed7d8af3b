//! Opening handshakes, requests and answers (RFC 6455 §4). What is checked is in
//! `src/handshake.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::handshake(bytes));
