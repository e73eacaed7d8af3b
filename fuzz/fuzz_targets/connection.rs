//! Both ends of a connection, in any order of calls (RFC 6455 §5, §7). What is checked is in
//! `src/connection.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::connection(bytes));
