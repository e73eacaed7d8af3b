//! Offers of permessage-deflate (RFC 7692 §5, §7.1). What is checked is in `src/extensions.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tickwire_fuzz::extensions(bytes));
