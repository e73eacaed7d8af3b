//! In-memory tests of a connection with permessage-deflate (RFC 7692).

use super::tests::{KEY, Seen, T0, feed, part, text, whole};
use super::*;
use crate::proto::config::Limits;
use crate::proto::deflate::{Compressor, Context, DeflateParameters, WindowBits};
use proptest::prelude::*;

/// §7.2.3.1: "Hello", compressed.
const HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

fn server(limits: Limits) -> Connection {
    let config = Config { limits, ..Config::new(Role::Server) };
    Connection::new(Arc::new(config), T0).with_deflate(&DeflateParameters::default())
}

fn run(limits: Limits, pieces: &[&[u8]]) -> (Vec<Seen>, Vec<u8>) {
    let mut connection = server(limits);
    let (mut seen, mut output) = (Vec::new(), Vec::new());
    for piece in pieces {
        seen.extend(feed(&mut connection, piece, &mut output));
    }
    (seen, output)
}

/// A frame of a client with RSV1 set, for the first frame of a compressed message.
fn rsv1(mut frame: Vec<u8>) -> Vec<u8> {
    frame[0] |= 0x40;
    frame
}

fn compress(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    assert!(Compressor::new(WindowBits::MAX).compress(payload, &mut out));
    out
}

/// RFC 7692 §6.1, §7.2.3: in one frame, in several, with a ping in between; and plain messages
/// are still plain.
#[test]
fn compressed_messages_come_as_what_they_inflate_to() {
    let (first, rest) = HELLO.split_at(3);
    let frames = [
        rsv1(whole(OpCode::Text, &HELLO)),
        whole(OpCode::Text, b"plain"),
        rsv1(part(OpCode::Binary, first)),
        whole(OpCode::Ping, b"?"),
        whole(OpCode::Continuation, rest),
        rsv1(part(OpCode::Text, b"")),
        whole(OpCode::Continuation, &[0x00]),
    ];
    let (seen, output) = run(Limits::default(), &[&frames.concat()]);
    let hello = Seen::Binary(b"Hello".to_vec());
    let ping = Seen::Ping(b"?".to_vec());
    assert_eq!(seen, [text("Hello"), text("plain"), ping, hello, text("")]);
    assert_eq!(output, b"\x8a\x01?");
}

/// RFC 7692 §6, RFC 6455 §5.2: the bit has no meaning without the extension, on control frames,
/// and on continuations.
#[test]
fn misplaced_bits_fail() {
    for frames in [
        rsv1(whole(OpCode::Ping, b"")),
        rsv1(whole(OpCode::Close, b"")),
        [rsv1(part(OpCode::Text, &HELLO[..2])), rsv1(whole(OpCode::Continuation, &HELLO[2..]))]
            .concat(),
    ] {
        let (seen, _) = run(Limits::default(), &[&frames]);
        assert_eq!(seen, [Seen::Failed(Violation::ReservedBits)]);
    }
    let mut plain = Connection::new(Config::server(), T0);
    let seen = feed(&mut plain, &rsv1(whole(OpCode::Text, &HELLO)), &mut Vec::new());
    assert_eq!(seen, [Seen::Failed(Violation::ReservedBits)]);
}

/// RFC 7692 §7.2.2, RFC 6455 §8.1: broken DEFLATE, a cut block, and text that inflates to what is
/// not UTF-8 all fail with 1007.
#[test]
fn payloads_that_are_no_text_fail() {
    let not_utf8 = compress(&[0xff; 300]);
    for (payload, violation) in [
        (&[0xff; 9][..], Violation::DeflateInvalid),
        (&HELLO[..4], Violation::DeflateInvalid),
        (b"", Violation::DeflateInvalid),
        (&not_utf8, Violation::InvalidUtf8),
    ] {
        let (seen, output) = run(Limits::default(), &[&rsv1(whole(OpCode::Text, payload))]);
        assert_eq!(seen, [Seen::Failed(violation)], "{payload:x?}");
        assert_eq!(output[2..4], 1007u16.to_be_bytes());
    }
}

/// RFC 6455 §10.4: the message limit is what a message inflates to; at it passes, over it fails
/// while it is inflated, and what cannot be compressed has room for DEFLATE's own bytes.
#[test]
fn the_limit_holds_while_inflating() {
    let limits = Limits::message(100_000);
    let at = compress(&[b'x'; 100_000]);
    let (seen, _) = run(limits, &[&rsv1(whole(OpCode::Binary, &at))]);
    assert_eq!(seen, [Seen::Binary(vec![b'x'; 100_000])]);
    let over = rsv1(whole(OpCode::Binary, &compress(&[b'x'; 100_001])));
    assert_eq!(run(limits, &[&over]).0, [Seen::Failed(Violation::MessageTooLarge)]);
    let bomb = compress(&vec![0; 50 << 20]);
    let (head, _) = bomb.split_at(bomb.len() / 2);
    let seen = run(limits, &[&rsv1(part(OpCode::Binary, head))]).0;
    assert_eq!(seen, [Seen::Failed(Violation::MessageTooLarge)]);
    // Two stored blocks around 100,000 bytes.
    let mut stored = Vec::new();
    for half in [[b'y'; 50_000]; 2] {
        stored.push(0x00);
        stored.extend_from_slice(&50_000u16.to_le_bytes());
        stored.extend_from_slice(&(!50_000u16).to_le_bytes());
        stored.extend_from_slice(&half);
    }
    stored.push(0x00);
    assert!(stored.len() > 100_000);
    let (seen, _) = run(limits, &[&rsv1(whole(OpCode::Binary, &stored))]);
    assert_eq!(seen, [Seen::Binary(vec![b'y'; 100_000])]);
    let plain = whole(OpCode::Binary, &[0; 100_001]);
    assert_eq!(run(limits, &[&plain]).0, [Seen::Failed(Violation::FrameTooLarge)]);
}

/// RFC 7692 §7.1.1.2: a client that agreed not to refer back must not, and costs nothing between
/// its messages.
#[test]
fn without_takeover_nothing_is_remembered() {
    let agreed =
        DeflateParameters { client_context: Context::NoTakeover, ..DeflateParameters::default() };
    let shared = [0xf2, 0x00, 0x11, 0x00, 0x00];
    let mut connection = Connection::new(Config::server(), T0).with_deflate(&agreed);
    let frames = [rsv1(whole(OpCode::Text, &HELLO)), rsv1(whole(OpCode::Text, &shared))].concat();
    let seen = feed(&mut connection, &frames, &mut Vec::new());
    assert_eq!(seen, [text("Hello"), Seen::Failed(Violation::DeflateInvalid)]);
    let (seen, _) = run(Limits::default(), &[&frames]);
    assert_eq!(seen, [text("Hello"), text("Hello")], "with takeover it may");
}

/// What [`frame::encode_compressed`] sends, the other end receives.
#[test]
fn compressed_frames_are_understood_by_a_client() {
    let payload = "tick ".repeat(100);
    let mut compressor = Compressor::new(WindowBits::MAX);
    let mut wire = Vec::new();
    let bytes = payload.as_bytes();
    assert!(frame::encode_compressed(&mut wire, OpCode::Text, bytes, &mut compressor));
    assert!(wire.len() < 40 && wire[0] == 0xc1);
    assert!(!frame::encode_compressed(&mut wire, OpCode::Text, b"x", &mut compressor));
    let client = Connection::new(Config::client(|| KEY), T0);
    let mut client = client.with_deflate(&DeflateParameters::default());
    assert_eq!(feed(&mut client, &wire, &mut Vec::new()), [text(&payload)]);
}

proptest! {
    /// Split anywhere: the same events, the same output, with damage too.
    #[test]
    fn split_anywhere_gives_the_same_events(
        payloads in prop::collection::vec("[a-f]{200,400}", 1..3),
        fragments in 1usize..5,
        damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        at_once in 1usize..60,
    ) {
        let mut data = Vec::new();
        for payload in &payloads {
            let compressed = compress(payload.as_bytes());
            let parts: Vec<&[u8]> = compressed.chunks(compressed.len().div_ceil(fragments)).collect();
            for (index, part_of) in parts.iter().enumerate() {
                let opcode = if index == 0 { OpCode::Text } else { OpCode::Continuation };
                let last = index + 1 == parts.len();
                let frame = if last { whole(opcode, part_of) } else { part(opcode, part_of) };
                data.extend(if index == 0 { rsv1(frame) } else { frame });
            }
        }
        if let Some((at, byte)) = damage {
            let at = at.index(data.len());
            data[at] = byte;
        } else {
            let expected: Vec<Seen> = payloads.iter().map(|p| text(p)).collect();
            prop_assert_eq!(run(Limits::default(), &[&data]).0, expected);
        }
        let limits = Limits::message(380);
        let expected = run(limits, &[&data]);
        let pieces: Vec<&[u8]> = data.chunks(at_once).collect();
        prop_assert_eq!(run(limits, &pieces), expected);
    }
}
