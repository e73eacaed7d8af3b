//! Opening handshakes, requests and answers (RFC 6455 §4).

use super::pieces::cuts;
use tickwire::http::oracle;

/// A request is read and answered alike however it is cut, and so is an answer by a client.
pub fn handshake(bytes: &[u8]) {
    oracle::check_request(bytes, cuts(bytes));
    oracle::check_request(bytes, std::iter::repeat(1));
    oracle::check_response(bytes, cuts(bytes));
    oracle::check_response(bytes, std::iter::repeat(1));
}
