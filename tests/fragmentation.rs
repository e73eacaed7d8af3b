//! Fragmented messages (RFC 6455 §5.4) over real sockets.

mod support;

use support::client::Client;
use support::frame::{BINARY, CONTINUATION, FIN, TEXT, frame, ping, text};
use support::server::{TestServer, options};
use tickwire::proto::Violation;
use tickwire::server::Cause;

/// §5.4: a message is the concatenation of its fragments' payloads, of the first one's kind.
#[test]
fn fragments_make_one_message() {
    let (server, _ends) = TestServer::echo(options());
    let mut client = Client::open(server.address);
    for payload in ["Hel", "lo ", "world"].windows(3) {
        client.send(&frame(TEXT, payload[0].as_bytes()));
        client.send(&frame(CONTINUATION, payload[1].as_bytes()));
        client.send(&frame(FIN | CONTINUATION, payload[2].as_bytes()));
    }
    client.expect_text("Hello world");
    client.send(&frame(BINARY, &[0xff; 70_000]));
    client.send(&frame(FIN | CONTINUATION, &[0xfe; 70_000]));
    client.expect_binary(&[[0xff; 70_000], [0xfe; 70_000]].concat());
    client.close();
}

/// §5.4: "Control frames […] MAY be injected in the middle of a fragmented message."
#[test]
fn a_ping_between_fragments_is_answered_at_once() {
    let (server, _ends) = TestServer::echo(options());
    let mut client = Client::open(server.address);
    client.send(&frame(TEXT, b"a"));
    client.send(&ping(b"1"));
    client.expect_pong(b"1");
    client.send(&frame(CONTINUATION, b"b"));
    client.send(&ping(b""));
    client.expect_pong(b"");
    client.send(&frame(FIN | CONTINUATION, b"c"));
    client.expect_text("abc");
    client.close();
}

/// §5.4: fragments may be empty, the first, the last or all of them.
#[test]
fn fragments_may_be_empty() {
    let (server, _ends) = TestServer::echo(options());
    let mut client = Client::open(server.address);
    for (fragments, whole) in [(["", "x", ""], "x"), (["x", "", ""], "x"), (["", "", ""], "")] {
        client.send(&frame(TEXT, fragments[0].as_bytes()));
        client.send(&frame(CONTINUATION, fragments[1].as_bytes()));
        client.send(&frame(FIN | CONTINUATION, fragments[2].as_bytes()));
        client.expect_text(whole);
    }
    client.close();
}

/// §5.4: there is no limit to how many fragments a message has, but for ours.
#[test]
fn a_message_may_have_many_fragments() {
    let (server, _ends) = TestServer::echo(options());
    let mut client = Client::open(server.address);
    let mut bytes = frame(BINARY, &[0]);
    for n in 1..=20_000u32 {
        bytes.extend(frame(CONTINUATION, &n.to_le_bytes()[..1]));
    }
    bytes.extend(frame(FIN | CONTINUATION, b""));
    client.send(&bytes);
    let whole: Vec<u8> = (0..=20_000u32).map(|n| n.to_le_bytes()[0]).collect();
    client.expect_binary(&whole);
    client.send(&text("one frame again"));
    client.expect_text("one frame again");
    client.close();
}

/// §5.4: a continuation continues something, and nothing else begins before the message ends.
#[test]
fn fragments_out_of_order_fail_the_connection() {
    use Violation::{ContinuationExpected, ContinuationUnexpected};
    let begun = || frame(TEXT, b"begun");
    let cases = [
        (frame(CONTINUATION, b"x"), ContinuationUnexpected),
        (frame(FIN | CONTINUATION, b""), ContinuationUnexpected),
        ([begun(), text("x")].concat(), ContinuationExpected),
        ([begun(), frame(BINARY, b"x")].concat(), ContinuationExpected),
        ([begun(), ping(b""), frame(FIN | BINARY, b"x")].concat(), ContinuationExpected),
        (
            [begun(), frame(FIN | CONTINUATION, b""), frame(FIN | CONTINUATION, b"x")].concat(),
            ContinuationUnexpected,
        ),
        ([text("whole"), frame(FIN | CONTINUATION, b"x")].concat(), ContinuationUnexpected),
    ];
    for (bytes, violation) in cases {
        let (server, ends) = TestServer::echo(options());
        let mut client = Client::open(server.address);
        client.send(&bytes);
        let mut last = client.read_frame();
        while last.first != FIN | 0x8 {
            last = client.read_frame();
        }
        assert_eq!(last.close_code_and_reason(), (Some(1002), violation.reason().to_owned()));
        client.expect_eof();
        ends.expect_abnormal(Cause::Violation(violation));
    }
}

/// §5.4: fragments may be cut by TCP anywhere, within control frames between them too.
#[test]
fn fragments_may_come_a_byte_at_a_time() {
    let (server, _ends) = TestServer::echo(options());
    let mut client = Client::open(server.address);
    let mut bytes = frame(TEXT, "grü".as_bytes());
    bytes.extend(ping(b"between"));
    bytes.extend(frame(CONTINUATION, b""));
    bytes.extend(frame(FIN | CONTINUATION, "ße".as_bytes()));
    for byte in bytes {
        client.send(&[byte]);
    }
    client.expect_pong(b"between");
    client.expect_text("grüße");
    client.close();
}
