//! Frames (RFC 6455 §5.1, §5.2) over real sockets.

mod support;

use support::client::Client;
use support::frame::{
    self, BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, RSV1, RSV2, RSV3, TEXT, binary, header,
    text,
};
use support::server::{TestServer, options};
use tickwire::proto::Violation;
use tickwire::server::Cause;

/// Sends `bytes` on a connection of their own, which must fail for `violation`.
fn expect_violation(bytes: &[u8], violation: Violation) {
    let (server, ends) = TestServer::echo(options());
    let mut client = Client::open(server.address);
    client.send(bytes);
    let reason = client.expect_failure(1002);
    assert_eq!(reason, violation.reason(), "{bytes:x?}");
    ends.expect_abnormal(Cause::Violation(violation));
}

/// §5.1: "The server MUST close the connection upon receiving a frame that is not masked."
#[test]
fn an_unmasked_frame_fails_the_connection() {
    for opcode in [TEXT, BINARY, CLOSE, PING, PONG] {
        expect_violation(&[FIN | opcode, 2, 0x03, 0xe8], Violation::Unmasked);
    }
}

/// §5.2: reserved bits without an extension that defines them, on every kind of frame.
#[test]
fn reserved_bits_fail_the_connection() {
    for opcode in [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG] {
        for bits in [RSV1, RSV2, RSV3, RSV1 | RSV2 | RSV3] {
            expect_violation(&frame::frame(FIN | bits | opcode, b""), Violation::ReservedBits);
        }
    }
}

/// §5.2: "If an unknown opcode is received, the receiving endpoint MUST _Fail the WebSocket
/// Connection_."
#[test]
fn reserved_opcodes_fail_the_connection() {
    for opcode in (0x3..=0x7).chain(0xb..=0xf) {
        expect_violation(&frame::frame(FIN | opcode, b"x"), Violation::ReservedOpCode);
    }
}

/// §5.2: "in all cases, the minimal number of bytes MUST be used to encode the length".
#[test]
fn a_length_in_more_bytes_than_it_needs_fails_the_connection() {
    for (marker, len) in [
        (126, &[0, 0][..]),
        (126, &[0, 125]),
        (127, &[0, 0, 0, 0, 0, 0, 0, 5]),
        (127, &[0, 0, 0, 0, 0, 0, 0xff, 0xff]),
    ] {
        let mut bytes = vec![FIN | BINARY, 0x80 | marker];
        bytes.extend_from_slice(len);
        expect_violation(&bytes, Violation::LengthNotMinimal);
    }
}

/// §5.2: "the most significant bit MUST be 0".
#[test]
fn a_length_of_64_bits_fails_the_connection() {
    let mut bytes = vec![FIN | TEXT, 0x80 | 127];
    bytes.extend_from_slice(&(1u64 << 63).to_be_bytes());
    expect_violation(&bytes, Violation::LengthTopBit);
}

/// §5.2, §5.6: every width of the length field, at both its ends; text stays text, binary binary.
#[test]
fn messages_of_every_length_are_echoed_in_kind() {
    let (server, _ends) = TestServer::echo(options());
    let mut client = Client::open(server.address);
    for len in [0, 1, 125, 126, 127, 65_535, 65_536, 300_000] {
        let payload: Vec<u8> = (0..len).map(|n: u32| n.to_le_bytes()[0] ^ 0x5a).collect();
        client.send(&binary(&payload));
        client.expect_binary(&payload);
        let payload: String = ('a'..='z').cycle().take(len as usize).collect();
        client.send(&text(&payload));
        client.expect_text(&payload);
    }
    client.close();
}

/// §5.2: how TCP cuts the bytes means nothing.
#[test]
fn frames_may_come_a_byte_at_a_time() {
    let (server, _ends) = TestServer::echo(options());
    let mut client = Client::open(server.address);
    let mut bytes = text("é");
    bytes.extend(binary(&[7; 130]));
    bytes.extend(frame::ping(b"p"));
    bytes.extend(text(""));
    for byte in bytes {
        client.send(&[byte]);
    }
    client.expect_text("é");
    client.expect_binary(&[7; 130]);
    client.expect_pong(b"p");
    client.expect_text("");
    client.close();
}

/// Many frames in one segment, the last of them cut: each is answered, in order.
#[test]
fn frames_that_come_together_are_answered_in_order() {
    let (server, _ends) = TestServer::echo(options());
    let mut client = Client::open(server.address);
    let many: Vec<u8> = (0..5000).flat_map(|n| text(&n.to_string())).collect();
    let (most, rest) = many.split_at(many.len() - 3);
    client.send(most);
    for n in 0..4999 {
        client.expect_text(&n.to_string());
    }
    client.send(rest);
    client.expect_text("4999");
    client.close();
}

/// §5.3: the masking key may be any, also all zeros.
#[test]
fn a_key_of_zeros_masks_nothing() {
    let (server, _ends) = TestServer::echo(options());
    let mut client = Client::open(server.address);
    client.send(b"\x81\x85\0\0\0\0Hello");
    client.expect_text("Hello");
    client.close();
}

/// §7.1.7: what was owed before the failure is still sent; nothing after it is processed.
#[test]
fn a_violation_ends_processing_where_it_stands() {
    let (server, ends) = TestServer::echo(options());
    let mut client = Client::open(server.address);
    let mut bytes = text("before");
    bytes.extend(frame::ping(b"before"));
    bytes.extend(frame::frame(FIN | 0x3, b""));
    bytes.extend(text("after"));
    bytes.extend(frame::ping(b"after"));
    client.send(&bytes);
    client.expect_text("before");
    client.expect_pong(b"before");
    client.expect_failure(1002);
    ends.expect_abnormal(Cause::Violation(Violation::ReservedOpCode));
    drop(client);
    server.expect_ended(Cause::Violation(Violation::ReservedOpCode), 1);
    assert_eq!(server.stats().messages_in, 1);
}

/// §5.2: a header is judged before its payload has come, and even before it is whole.
#[test]
fn a_bad_header_fails_the_connection_before_its_payload() {
    expect_violation(&[RSV1 | TEXT], Violation::ReservedBits);
    expect_violation(&[FIN | 0xf], Violation::ReservedOpCode);
    expect_violation(&header(FIN | CONTINUATION, 1 << 40), Violation::ContinuationUnexpected);
}
