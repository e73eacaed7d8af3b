//! Text is UTF-8 (RFC 6455 §5.6, §8.1), and is checked as it comes.

mod support;

use support::client::Client;
use support::frame::{CONTINUATION, FIN, TEXT, binary, frame, header, mask, ping, text};
use support::server::{TestServer, options};
use tickwire::proto::Violation;
use tickwire::server::Cause;

/// Byte sequences that are not UTF-8 (RFC 3629 §3, §4), each decided by its last byte.
const INVALID: [&[u8]; 12] = [
    b"\x80", // a continuation of nothing
    b"\xc0", // always overlong
    b"\xc1",
    b"\xc3(",    // no continuation
    b"\xe0\x9f", // overlong
    b"\xe2\x82(",
    b"\xed\xa0", // a surrogate
    b"\xf0\x8f", // overlong
    b"\xf4\x90", // beyond U+10FFFF
    b"\xf5",
    b"\xff",
    b"\xf0\x9f\x92\x41",
];

/// Sends `bytes`, which must fail the connection with nothing more sent.
fn expect_invalid(bytes: &[u8]) {
    let (server, ends) = TestServer::echo(options());
    let mut client = Client::open(server.address);
    client.send(bytes);
    client.expect_failure(1007);
    ends.expect_abnormal(Cause::Violation(Violation::InvalidUtf8));
}

/// §5.6: text of any script is echoed as it came.
#[test]
fn text_of_all_lengths_of_characters_is_echoed() {
    let (server, _ends) = TestServer::echo(options());
    let mut client = Client::open(server.address);
    for valid in
        ["κόσμε", "\u{0}\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}", "\u{d7ff}\u{e000}"]
    {
        client.send(&text(valid));
        client.expect_text(valid);
        let long = valid.repeat(500);
        client.send(&text(&long));
        client.expect_text(&long);
    }
    client.close();
}

/// §8.1: "When an endpoint is to interpret a byte stream as UTF-8 but finds that the byte stream
/// is not, in fact, a valid UTF-8 stream, that endpoint MUST _Fail the WebSocket Connection_."
#[test]
fn text_that_is_not_utf8_fails_the_connection() {
    for bytes in INVALID {
        expect_invalid(&frame(FIN | TEXT, &[b"some text ", bytes, b" and more"].concat()));
    }
}

/// §8.1: the failure comes with the first wrong byte, while the frame is still under way.
#[test]
fn the_first_wrong_byte_fails_an_unfinished_frame() {
    for bytes in INVALID {
        let prefix = [&[b'a'; 100], bytes].concat();
        expect_invalid(&[header(FIN | TEXT, 1 << 20), mask(&prefix)].concat());
    }
}

/// §8.1: and while the message is, whether the bytes of a character share a fragment or not.
#[test]
fn the_first_wrong_byte_fails_an_unfinished_message() {
    for bytes in INVALID {
        expect_invalid(&[frame(TEXT, b"ok"), frame(CONTINUATION, bytes)].concat());
        let mut each_alone = frame(TEXT, b"");
        for byte in bytes {
            each_alone.extend(frame(CONTINUATION, &[*byte]));
        }
        expect_invalid(&each_alone);
    }
}

/// §8.1: a message must not end within a character.
#[test]
fn text_that_ends_within_a_character_fails_the_connection() {
    for cut in ["é", "€", "💱"] {
        let bytes = cut.as_bytes();
        let part = &bytes[..bytes.len() - 1];
        expect_invalid(&frame(FIN | TEXT, part));
        expect_invalid(&[frame(TEXT, part), frame(FIN | CONTINUATION, b"")].concat());
    }
}

/// §5.4, §8.1: a fragment may end within a character, and a control frame may come there.
#[test]
fn a_character_may_be_cut_by_fragments_segments_and_pings() {
    let (server, _ends) = TestServer::echo(options());
    let mut client = Client::open(server.address);
    let bytes = "💱".as_bytes();
    client.send(&frame(TEXT, &bytes[..1]));
    client.expect_alive();
    client.send(&frame(CONTINUATION, &bytes[1..3]));
    client.send(&ping(b"\xff"));
    client.expect_pong(b"\xff");
    client.send(&frame(FIN | CONTINUATION, &bytes[3..]));
    client.expect_text("💱");
    for byte in text("💱€é") {
        client.send(&[byte]);
    }
    client.expect_text("💱€é");
    client.close();
}

/// §5.6: binary messages hold any bytes.
#[test]
fn binary_is_not_checked() {
    let (server, _ends) = TestServer::echo(options());
    let mut client = Client::open(server.address);
    for bytes in INVALID {
        client.send(&binary(bytes));
        client.expect_binary(bytes);
    }
    client.close();
}
