//! Control frames (RFC 6455 §5.5): pings and pongs over real sockets.

mod support;

use support::client::Client;
use support::frame::{self, CLOSE, FIN, PING, PONG, TEXT, frame as encode, header, mask};
use support::server::{TestServer, options};
use tickwire::proto::Violation;
use tickwire::server::{Cause, Options};

/// §5.5.3: a pong "must have identical 'Application data'", from none to the most there can be.
#[test]
fn a_pong_carries_the_payload_of_its_ping() {
    let (server, _ends) = TestServer::echo(options());
    let mut client = Client::open(server.address);
    let all_bytes: Vec<u8> = (0..=255).collect();
    for payload in [&b""[..], b"x", &all_bytes[..125], &all_bytes[131..]] {
        client.send(&frame::ping(payload));
        client.expect_pong(payload);
    }
    client.close();
}

/// §5.5.2: each ping is answered, in order, and among the answers to messages.
#[test]
fn pings_that_come_together_are_answered_in_order() {
    let (server, _ends) = TestServer::echo(Options { control_rate: None, ..options() });
    let mut client = Client::open(server.address);
    let mut bytes = Vec::new();
    for n in 0..2000 {
        bytes.extend(frame::ping(n.to_string().as_bytes()));
        if n % 10 == 0 {
            bytes.extend(frame::text(&n.to_string()));
        }
    }
    client.send(&bytes);
    for n in 0..2000 {
        client.expect_pong(n.to_string().as_bytes());
        if n % 10 == 0 {
            client.expect_text(&n.to_string());
        }
    }
    client.close();
}

/// §5.5.2: a pong is due "as soon as is practical": not only once the message after it is whole.
#[test]
fn a_ping_is_answered_before_the_next_message_is_complete() {
    let (server, _ends) = TestServer::echo(options());
    let mut client = Client::open(server.address);
    let mut bytes = frame::ping(b"now");
    bytes.extend(header(FIN | TEXT, 5));
    bytes.extend(&mask(b"Hello")[..3]);
    client.send(&bytes);
    client.expect_pong(b"now");
    client.send(&mask(b"Hello")[3..]);
    // The key goes on where the first part ended.
    client.expect_text("Hello");
    client.close();
}

/// §5.5.3: "A response to an unsolicited Pong frame is not expected."
#[test]
fn an_unsolicited_pong_is_ignored() {
    let (server, _ends) = TestServer::echo(options());
    let mut client = Client::open(server.address);
    client.send(&frame::pong(b""));
    client.send(&frame::pong(&[b'x'; 125]));
    client.expect_alive();
    client.close();
}

/// §5.5: "All control frames MUST have a payload length of 125 bytes or less and MUST NOT be
/// fragmented."
#[test]
fn long_or_fragmented_control_frames_fail_the_connection() {
    for opcode in [PING, PONG, CLOSE] {
        let cases = [
            (encode(FIN | opcode, &[0; 126]), Violation::ControlTooLong),
            (header(FIN | opcode, 1 << 20), Violation::ControlTooLong),
            (encode(opcode, b"x"), Violation::ControlFragmented),
        ];
        for (bytes, violation) in cases {
            let (server, ends) = TestServer::echo(options());
            let mut client = Client::open(server.address);
            client.send(&bytes);
            assert_eq!(client.expect_failure(1002), violation.reason());
            ends.expect_abnormal(Cause::Violation(violation));
        }
    }
}

/// §5.5.2: a ping whose payload comes later than its header is answered once it is whole.
#[test]
fn a_ping_may_come_in_pieces() {
    let (server, _ends) = TestServer::echo(options());
    let mut client = Client::open(server.address);
    for byte in frame::ping(b"in pieces") {
        client.send(&[byte]);
    }
    client.expect_pong(b"in pieces");
    client.close();
}
