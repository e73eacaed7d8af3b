//! Frame headers (RFC 6455 §5.2).

use super::{CLIENT, CONTROL_BYTES_MAX};
use tickwire::proto::header::HEADER_BYTES_MAX;
use tickwire::proto::{Header, Role, Violation};

/// A header is read alike however much of it, or after it, is there; and is written as it was read.
pub fn header(bytes: &[u8]) {
    for receiver in [Role::Server, CLIENT] {
        check_header(bytes, |bytes| Header::parse(bytes, receiver));
    }
}

/// What [`header`] checks, of any parser.
pub fn check_header(
    bytes: &[u8],
    parse: impl Fn(&[u8]) -> Result<Option<(Header, usize)>, Violation>,
) {
    let outcome = parse(bytes);
    for len in 0..bytes.len().min(HEADER_BYTES_MAX) {
        let part = parse(bytes.get(..len).unwrap_or_default());
        assert!(part == Ok(None) || part == outcome, "{len} bytes give {part:?}");
    }
    match outcome {
        Ok(Some((header, len))) => {
            let read = bytes.get(..len).expect("a header no longer than the input");
            assert_eq!(parse(read), outcome, "the header depends on what follows it");
            let mut written = Vec::new();
            header.encode(&mut written);
            assert_eq!(written, read, "the header is not written as it was read");
            assert!(!header.opcode.is_control() || header.payload_len <= CONTROL_BYTES_MAX);
        }
        Ok(None) => {
            assert!(bytes.len() < HEADER_BYTES_MAX, "no header in {HEADER_BYTES_MAX} bytes")
        }
        Err(_) => {}
    }
}
