//! An order book kept from diffs and snapshots. What is checked is in `src/book.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::book(bytes));
