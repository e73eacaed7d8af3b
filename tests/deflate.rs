//! permessage-deflate (RFC 7692) over real sockets. What the server compresses is inflated by
//! another implementation (flate2), and the other way round.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod support;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use std::time::Duration;
use support::client::Client;
use support::frame::{self, BINARY, CONTINUATION, FIN, Frame, PING, RSV1, TEXT};
use support::server::{Ends, TestServer, options};
use tickwire::proto::{Limits, Message, Violation};
use tickwire::server::{
    Cause, Context, DeflateOptions, Handler, Opening, Options, Publisher, Retain, Upgrade,
};

/// §7.2.3.1: "Hello", compressed.
const HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
const PLAIN_OFFER: &str = "permessage-deflate";

fn deflating() -> Options {
    let deflate = Some(DeflateOptions { threshold_bytes: 100 });
    Options { deflate, ..options() }
}

fn echo() -> (TestServer, Ends) {
    TestServer::echo(deflating())
}

fn answer_to(server: &TestServer, offer: &str) -> Option<String> {
    let (_, answer) = Client::open_with_deflate(server.address, offer);
    answer.field("Sec-WebSocket-Extensions").map(str::to_owned)
}

/// A client's own half of the extension: zlib's usual window, with context takeover.
struct Codec {
    compress: Compress,
    decompress: Decompress,
}

impl Codec {
    fn new() -> Self {
        let compress = Compress::new(Compression::default(), false);
        Self { compress, decompress: Decompress::new(false) }
    }

    fn deflate(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(payload.len() + 100);
        self.compress.compress_vec(payload, &mut out, FlushCompress::Sync).unwrap();
        assert!(out.ends_with(&[0, 0, 0xff, 0xff]));
        out.truncate(out.len() - 4);
        out
    }

    fn inflate(&mut self, payload: &[u8], len_max: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(len_max + 1);
        let input = [payload, &[0, 0, 0xff, 0xff]].concat();
        self.decompress.decompress_vec(&input, &mut out, FlushDecompress::Sync).unwrap();
        out
    }
}

/// §5.1, §7.1: the answer to each offer names what was offered and nothing else.
#[test]
fn the_answer_names_only_what_was_offered() {
    let (server, _ends) = echo();
    for offer in [
        "permessage-deflate",
        "permessage-deflate; server_no_context_takeover",
        "permessage-deflate; client_no_context_takeover",
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; server_max_window_bits=8",
        "permessage-deflate; server_max_window_bits=15",
        "permessage-deflate; client_max_window_bits=10",
    ] {
        assert_eq!(answer_to(&server, offer).as_deref(), Some(offer));
    }
    let browser = "permessage-deflate; client_max_window_bits";
    assert_eq!(answer_to(&server, browser).as_deref(), Some(PLAIN_OFFER));
}

/// §7: "A server MUST decline an extension negotiation offer" of these kinds. That is no error: the
/// next one is tried, and without one the connection is opened without the extension.
#[test]
fn offers_that_cannot_be_kept_are_declined() {
    let (server, _ends) = echo();
    for offer in [
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; client_max_window_bits=16",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; unknown_parameter",
        "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
        "permessage-bzip2, x-webkit-deflate-frame",
    ] {
        assert_eq!(answer_to(&server, offer), None, "{offer}");
        let second = format!("{offer}, permessage-deflate; server_max_window_bits=\"9\"");
        let expected = "permessage-deflate; server_max_window_bits=9";
        assert_eq!(answer_to(&server, &second).as_deref(), Some(expected));
    }
}

/// §5: off by default, and then the bit means nothing.
#[test]
fn without_the_option_nothing_is_negotiated() {
    let (server, ends) = TestServer::echo(options());
    let (mut client, answer) = Client::open_with_deflate(server.address, PLAIN_OFFER);
    assert_eq!(answer.field("Sec-WebSocket-Extensions"), None);
    client.send(&frame::frame(FIN | RSV1 | TEXT, &HELLO));
    client.expect_failure(1002);
    ends.expect_abnormal(Cause::Violation(Violation::ReservedBits));
}

/// §6.1, §6.2, §7.2: messages of many sizes, both ways, the client referring back to what it sent
/// before; what is long comes back compressed and smaller, what is short comes back plain.
#[test]
fn messages_go_both_ways_compressed() {
    let (server, _ends) = echo();
    let (mut client, _) = Client::open_with_deflate(server.address, PLAIN_OFFER);
    let mut codec = Codec::new();
    for len in [0, 1, 16, 99, 100, 125, 126, 1000, 65_535, 65_536, 131_072] {
        for opcode in [TEXT, BINARY] {
            let payload: Vec<u8> = b"{\"tick\":12345,\"price\":\"0.01\"}".repeat(len / 29 + 1);
            let payload = payload.get(..len).unwrap();
            client.send(&frame::frame(FIN | RSV1 | opcode, &codec.deflate(payload)));
            let Frame { first, payload: echoed } = client.read_frame();
            if len < 100 {
                assert_eq!((first, &*echoed), (FIN | opcode, payload));
            } else {
                assert_eq!(first, FIN | RSV1 | opcode, "{len} bytes come back compressed");
                assert!(echoed.len() < len, "{} for {len}", echoed.len());
                assert_eq!(codec.inflate(&echoed, len), payload);
            }
        }
    }
    client.close();
}

/// §6.1: RSV1 is on the first fragment only; control frames go in between and are never
/// compressed.
#[test]
fn fragments_share_one_compressed_payload() {
    let (server, _ends) = echo();
    let (mut client, _) = Client::open_with_deflate(server.address, PLAIN_OFFER);
    let (first, rest) = HELLO.split_at(2);
    client.send(&frame::frame(RSV1 | TEXT, first));
    client.send(&frame::ping(b"between"));
    client.expect_pong(b"between");
    client.send(&frame::frame(CONTINUATION, b""));
    client.send(&frame::frame(FIN | CONTINUATION, rest));
    client.expect_text("Hello");
    client.send(&frame::text("plain"));
    client.expect_text("plain");
    client.close();
}

/// §6: the bit on a continuation or a control frame, and the other two bits, fail the connection.
#[test]
fn misplaced_bits_fail_the_connection() {
    for frames in [
        frame::frame(FIN | RSV1 | PING, b""),
        frame::frame(FIN | RSV1 | CONTINUATION, b""),
        frame::frame(FIN | RSV1 | frame::RSV2 | TEXT, &HELLO),
        frame::frame(FIN | frame::RSV3 | TEXT, b""),
        [frame::frame(RSV1 | TEXT, &HELLO), frame::frame(FIN | RSV1 | CONTINUATION, b"")].concat(),
    ] {
        let (server, ends) = echo();
        let (mut client, _) = Client::open_with_deflate(server.address, PLAIN_OFFER);
        client.send(&frames);
        client.expect_failure(1002);
        ends.expect_abnormal(Cause::Violation(Violation::ReservedBits));
    }
}

/// §7.2.2: what does not inflate, or ends within a block, fails the connection with 1007, and so
/// does text that inflates to what is not UTF-8.
#[test]
fn broken_payloads_fail_the_connection() {
    let not_text = Codec::new().deflate(&[0xff; 200]);
    for (payload, violation) in [
        (&b"\xff\xff\xff\xff"[..], Violation::DeflateInvalid),
        (&HELLO[..5], Violation::DeflateInvalid),
        (b"", Violation::DeflateInvalid),
        (&not_text, Violation::InvalidUtf8),
    ] {
        let (server, ends) = echo();
        let (mut client, _) = Client::open_with_deflate(server.address, PLAIN_OFFER);
        client.send(&frame::frame(FIN | RSV1 | TEXT, payload));
        assert_eq!(client.expect_failure(1007), violation.reason());
        ends.expect_abnormal(Cause::Violation(violation));
    }
}

/// §10.4 of RFC 6455: the message limit holds for what comes out, while it comes out. The frame is
/// not even complete when the answer comes.
#[test]
fn a_bomb_fails_before_it_is_inflated() {
    let bomb = Codec::new().deflate(&vec![0; 64 << 20]);
    let limits = Limits::message(100_000);
    let (server, ends) = TestServer::echo(Options { limits, ..deflating() });
    let (mut client, _) = Client::open_with_deflate(server.address, PLAIN_OFFER);
    assert!(bomb.len() < 100_000, "the wire's limit is not what stops it");
    let frame = frame::frame(FIN | RSV1 | BINARY, &bomb);
    client.send(frame.get(..frame.len() / 2).unwrap());
    client.expect_failure(1009);
    ends.expect_abnormal(Cause::Violation(Violation::MessageTooLarge));
}

/// §7.1.1.2: a client that gave up referring back may not do it.
#[test]
fn a_client_keeps_what_it_offered() {
    let (server, ends) = echo();
    let offer = "permessage-deflate; client_no_context_takeover";
    let (mut client, _) = Client::open_with_deflate(server.address, offer);
    // §7.2.3.2: the second "Hello" refers to the first.
    client.send(&frame::frame(FIN | RSV1 | TEXT, &HELLO));
    client.expect_text("Hello");
    client.send(&frame::frame(FIN | RSV1 | TEXT, &[0xf2, 0x00, 0x11, 0x00, 0x00]));
    client.expect_failure(1007);
    ends.expect_abnormal(Cause::Violation(Violation::DeflateInvalid));
}

/// §7.1.2.1: with every window that can be asked for, what comes back inflates to what was sent.
#[test]
fn every_window_is_kept() {
    let (server, _ends) = echo();
    for bits in 8..=15 {
        let offer = format!("permessage-deflate; server_max_window_bits={bits}");
        let (mut client, _) = Client::open_with_deflate(server.address, &offer);
        // Repetitions at all distances up to 40,000 bytes.
        let mut payload = Vec::new();
        for distance in (50..40_000).step_by(317) {
            payload.extend_from_slice(format!("{distance} is {:x}; ", distance * 7919).as_bytes());
        }
        payload.extend_from_within(..);
        client.send(&frame::binary(&payload));
        let Frame { first, payload: echoed } = client.read_frame();
        assert_eq!(first, FIN | RSV1 | BINARY);
        let mut inflate = zlib_rs_window(bits);
        assert_eq!(inflate(&echoed, payload.len()), payload, "{bits} bits");
    }
}

/// An inflater that refuses distances beyond a window of this size.
fn zlib_rs_window(bits: u8) -> impl FnMut(&[u8], usize) -> Vec<u8> {
    let mut inflate = zlib_rs::Inflate::new(false, bits);
    move |payload, len| {
        let mut out = vec![0; len];
        let input = [payload, &[0, 0, 0xff, 0xff]].concat();
        // In steps, so that only the window can be referred to.
        while inflate.total_out() < len as u64 {
            let taken = usize::try_from(inflate.total_in()).unwrap();
            let given = usize::try_from(inflate.total_out()).unwrap();
            let end = (given + 64).min(len);
            let flush = zlib_rs::InflateFlush::NoFlush;
            inflate.decompress(&input[taken..], &mut out[given..end], flush).unwrap();
        }
        out
    }
}

/// A publisher's topic, for everybody who connects.
struct Board;

impl Handler for Board {
    type Session = ();

    fn on_request(&mut self, _: &Opening<'_>) -> Upgrade<()> {
        Upgrade::accept(())
    }

    fn on_open(&mut self, cx: &mut Context<'_, ()>) {
        cx.subscribe("news");
        cx.send("ready");
    }

    fn on_message(&mut self, _: &mut Context<'_, ()>, _: Message<'_>) {}
}

/// One event, each subscriber as it agreed: compressed for one window, for another, or plain; and
/// an event under the threshold plain for all.
#[test]
fn a_published_event_comes_as_each_subscriber_agreed() {
    let server = TestServer::start(deflating(), |_| Board);
    let publisher: Publisher = server.publisher.clone();
    let topic = publisher.topic("news", Retain::Last);
    let offers = [PLAIN_OFFER, "permessage-deflate; server_max_window_bits=9", "x", PLAIN_OFFER];
    let mut clients: Vec<(Client, Codec, bool)> = offers
        .iter()
        .map(|offer| {
            let (mut client, answer) = Client::open_with_deflate(server.address, offer);
            client.expect_text("ready");
            (client, Codec::new(), answer.field("Sec-WebSocket-Extensions").is_some())
        })
        .collect();
    let long = "a long story, ".repeat(50);
    for text in [&*long, "short", &long] {
        publisher.publish(&topic, text.into());
        for (client, codec, deflate) in &mut clients {
            let Frame { first, payload } = client.read_frame();
            if *deflate && text.len() > 100 {
                assert_eq!(first, FIN | RSV1 | TEXT);
                assert_eq!(codec.inflate(&payload, text.len()), text.as_bytes());
            } else {
                assert_eq!((first, &*payload), (FIN | TEXT, text.as_bytes()));
            }
        }
    }
    let (mut late, _) = Client::open_with_deflate(server.address, PLAIN_OFFER);
    let Frame { first, payload } = late.read_frame();
    assert_eq!(first, FIN | RSV1 | TEXT, "the last value is compressed too");
    assert_eq!(Codec::new().inflate(&payload, long.len()), long.as_bytes());
}

/// §5.1 of RFC 6455 and §6.1: the close frame and its answer are never compressed, and a compressed
/// message that is cut off by a close is dropped.
#[test]
fn a_close_cuts_a_compressed_message_short() {
    let (server, ends) = TestServer::echo(Options {
        timeouts: tickwire::proto::Timeouts {
            close_timeout: Duration::from_secs(2),
            ..deflating().timeouts
        },
        ..deflating()
    });
    let (mut client, _) = Client::open_with_deflate(server.address, PLAIN_OFFER);
    client.send(&frame::frame(RSV1 | TEXT, &HELLO));
    client.send(&frame::close(1000, "enough"));
    client.expect_close(1000);
    client.expect_eof();
    let end = ends.next();
    assert_eq!((end.cause, end.code, &*end.reason), (Cause::PeerClosed, 1000, "enough"));
}
