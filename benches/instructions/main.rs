//! Instructions that the hot paths take, counted under valgrind: the same in every run, so that a
//! change of some percent shows on any machine. `benches/instructions/run` compares them with the
//! committed ones.
//!
//! Each benchmark's setup goes the way once before, so that what is done at the first call only
//! (asking which instructions the processor has, growing a buffer) is not counted.

#![allow(missing_docs, unreachable_pub, reason = "what gungraun's macros make of each benchmark")]

mod server;

/// The source of the send queue, which is no part of the public API, compiled here once more.
#[path = "../../src/outbox.rs"]
#[allow(dead_code, unused_imports, reason = "its unit tests are compiled, and run elsewhere")]
mod outbox;

use gungraun::prelude::*;
use outbox::{Kind, Outbox, Waits};
use server::Rehearsed;
use std::hint::black_box;
use std::rc::Rc;
use tickwire::feed::ndjson;
use tickwire::http::{HeadLimits, HeadParser, Intent, Switching, classify};
use tickwire::market::control;
// By this name for the send queue's source.
use tickwire::proto;
use tickwire::proto::deflate::{Compressor, DeflateParameters, WindowBits};
use tickwire::proto::frame::{self, Position};
use tickwire::proto::{Config, Connection, Millis, OpCode, mask, utf8};

const NOW: Millis = Millis(0);
const KEY: mask::Key = [0x37, 0xfa, 0x21, 0x3d];
const ASCII: &str = "{\"p\":\"0.0024\"}, ";
const MIXED: &str = "price 價格 цена é 😀 ";
const EVENT: &str = r#"{"e":"trade","E":1723161254024,"s":"BTCUSDT","t":12345,"p":"61234.56000000","q":"0.00100000","T":1723161254023,"m":true,"M":true}"#;
const SUBSCRIBE: &str =
    r#"{"method":"SUBSCRIBE","params":["btcusdt@trade","btcusdt@depth@100ms"],"id":1}"#;
/// As Chromium sends it.
const REQUEST: &[u8] = b"GET /ws/btcusdt@trade HTTP/1.1\r\n\
    Host: 127.0.0.1:9001\r\n\
    Connection: Upgrade\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/142.0.0.0 Safari/537.36\r\n\
    Upgrade: websocket\r\n\
    Origin: http://127.0.0.1:9001\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

main!(library_benchmark_groups = [protocol, market, sending]);

library_benchmark_group!(
    name = protocol,
    benchmarks = [decode, mask_bytes, validate, encode, handshake]
);
library_benchmark_group!(name = market, benchmarks = [control_message, ndjson_line]);
library_benchmark_group!(name = sending, benchmarks = [send_queue, serve]);

/// A connection and what its peer sends.
struct Received {
    connection: Connection,
    wire: Vec<u8>,
    output: Vec<u8>,
}

impl Received {
    /// Masked frames with the same payload.
    fn frames(opcode: OpCode, payload: &[u8], count: usize) -> Self {
        let mut wire = Vec::new();
        for _ in 0..count {
            frame::encode(&mut wire, Position::Last, opcode, Some(KEY), payload);
        }
        Self::rehearsed(Connection::new(Config::server(), Millis(0)), wire)
    }

    /// A message compressed as a client without context takeover would.
    fn compressed(payload: &str) -> Self {
        let agreed = DeflateParameters::default();
        let window = WindowBits::new(15).expect("a window of RFC 7692");
        let mut deflated = Vec::new();
        assert!(Compressor::new(window).compress(payload.as_bytes(), &mut deflated), "smaller");
        let mut wire = Vec::new();
        frame::encode(&mut wire, Position::Last, OpCode::Text, Some(KEY), &deflated);
        // RSV1: the message is compressed (RFC 7692 §7.2.3.1).
        if let Some(first) = wire.first_mut() {
            *first |= 0x40;
        }
        let connection = Connection::new(Config::server(), Millis(0)).with_deflate(&agreed);
        Self::rehearsed(connection, wire)
    }

    /// All is read once from a copy, since it is unmasked in place.
    fn rehearsed(connection: Connection, wire: Vec<u8>) -> Self {
        let mut received = Self { connection, wire, output: Vec::new() };
        let copy = received.wire.clone();
        received.read();
        received.wire = copy;
        received
    }

    fn read(&mut self) {
        let Self { connection, wire, output } = self;
        let mut rest = wire.as_mut_slice();
        while !rest.is_empty() {
            let step = connection.handle_input(rest, Millis(0), output).expect("valid frames");
            black_box(step.event);
            let consumed = step.consumed;
            rest = rest.get_mut(consumed..).expect("no more than there was");
        }
    }
}

#[library_benchmark]
#[bench::one_of_64_bytes(Received::frames(OpCode::Binary, &[b'x'; 64], 1))]
#[bench::sixteen_of_64_bytes(Received::frames(OpCode::Binary, &[b'x'; 64], 16))]
#[bench::text_of_1_kib(Received::frames(OpCode::Text, ASCII.repeat(64).as_bytes(), 1))]
#[bench::compressed_event(Received::compressed(EVENT))]
fn decode(mut received: Received) -> Received {
    received.read();
    received
}

#[library_benchmark]
#[bench::of_64_bytes(rehearsed_mask(64))]
#[bench::of_1_kib(rehearsed_mask(1 << 10))]
fn mask_bytes(mut data: Vec<u8>) -> Vec<u8> {
    mask::apply(black_box(&mut data), black_box(KEY));
    data
}

fn rehearsed_mask(len: usize) -> Vec<u8> {
    let mut data = vec![b'x'; len];
    mask::apply(&mut data, KEY);
    data
}

#[library_benchmark]
#[bench::ascii_of_1_kib(rehearsed_text(ASCII))]
#[bench::mixed_of_1_kib(rehearsed_text(MIXED))]
fn validate(text: String) -> String {
    black_box(utf8::validate(black_box(text.as_bytes()))).expect("UTF-8");
    text
}

fn rehearsed_text(pattern: &str) -> String {
    let mut text = pattern.repeat((1 << 10) / pattern.len() + 1);
    text.truncate(text.floor_char_boundary(1 << 10));
    utf8::validate(text.as_bytes()).expect("UTF-8");
    text
}

#[library_benchmark]
#[bench::of_64_bytes(rehearsed_payload(64))]
#[bench::of_1_kib(rehearsed_payload(1 << 10))]
fn encode((payload, mut out): (Vec<u8>, Vec<u8>)) -> (Vec<u8>, Vec<u8>) {
    frame::encode(&mut out, Position::Last, OpCode::Binary, None, black_box(&payload));
    (payload, out)
}

/// A payload, and room for its frame.
fn rehearsed_payload(len: usize) -> (Vec<u8>, Vec<u8>) {
    let (payload, mut out) = (vec![b'x'; len], Vec::new());
    frame::encode(&mut out, Position::Last, OpCode::Binary, None, &payload);
    out.clear();
    (payload, out)
}

// Reads a browser's request, judges it and answers.
#[library_benchmark]
#[bench::of_a_browser(rehearsed_answer())]
fn handshake(mut out: Vec<u8>) -> Vec<u8> {
    answer(&mut out);
    out
}

fn rehearsed_answer() -> Vec<u8> {
    let mut out = Vec::new();
    answer(&mut out);
    out.clear();
    out
}

fn answer(out: &mut Vec<u8>) {
    let request = HeadParser::new().try_parse(black_box(REQUEST), &HeadLimits::default());
    let request = request.expect("a valid head").expect("a whole head");
    match classify(&request) {
        Ok(Intent::WebSocket(handshake)) => Switching::new(&handshake).encode(out),
        other => panic!("a browser's handshake is {other:?}"),
    }
}

#[library_benchmark]
#[bench::subscribing_to_two(SUBSCRIBE)]
fn control_message(text: &str) {
    black_box(control::parse(black_box(text))).expect("a valid message");
}

#[library_benchmark]
#[bench::with_a_time(format!("1723161254024619568 {{\"stream\":\"btcusdt@trade\",\"data\":{EVENT}}}"))]
fn ndjson_line(line: String) -> String {
    black_box(ndjson::parse_line(black_box(line.as_bytes()))).expect("a valid line");
    line
}

// Sixteen events go into the queue of a slow client, which takes them a hundred bytes at a time.
#[library_benchmark]
#[bench::of_sixteen_events(rehearsed_queue())]
fn send_queue((event, mut queue): (Rc<[u8]>, Outbox)) -> (Rc<[u8]>, Outbox) {
    fill_and_drain(&event, &mut queue);
    (event, queue)
}

fn rehearsed_queue() -> (Rc<[u8]>, Outbox) {
    let (mut event, mut queue) = (Vec::new(), Outbox::new(NOW));
    frame::encode(&mut event, Position::Last, OpCode::Text, None, EVENT.as_bytes());
    let event = Rc::from(event);
    fill_and_drain(&event, &mut queue);
    (event, queue)
}

fn fill_and_drain(event: &Rc<[u8]>, queue: &mut Outbox) {
    for _ in 0..16 {
        let pushed = queue.push(black_box(event), Kind::Event, Waits::Surely, usize::MAX, NOW);
        pushed.expect("there is no limit");
    }
    while !queue.is_empty() {
        let taken = black_box(queue.pending()).next().map_or(0, <[u8]>::len).min(100);
        queue.advance(taken, NOW);
    }
}

// All that a worker does for these messages, from accepting its clients on.
#[library_benchmark]
#[bench::a_thousand_echoes(args = (Rehearsed::echo(1000)), teardown = Rehearsed::check)]
#[bench::four_thousand_events_to_ten(
    args = (Rehearsed::publish(10, 4000)),
    teardown = Rehearsed::check
)]
fn serve(mut rehearsed: Rehearsed) -> Rehearsed {
    rehearsed.run();
    rehearsed
}
