//! Frames through our protocol core and through tungstenite's, an implementation with which it has
//! nothing in common: the same messages, or both fail.
//!
//! What they are compared by, and where they differ, is in `fuzz/src/differential.rs`; here are
//! frames that are mostly right, and a test for each difference.

#![allow(clippy::indexing_slicing, reason = "tests may index, in their strategies too")]

use both::{Seen, differential, ours, theirs};
use proptest::prelude::*;
use std::sync::Arc;
use tickwire::proto::{Config, Connection, Header, Millis, OpCode, Role, mask};

#[path = "../fuzz/src/differential.rs"]
pub mod both;

/// The key of every frame that a client sends.
const KEY: mask::Key = [0x37, 0xfa, 0x21, 0x3d];
const CLIENT: Role = Role::Client(|| KEY);
const NOW: Millis = Millis(0);

/// In the first byte of a frame (§5.2).
const FIN: u8 = 0x80;
const OPCODE: u8 = 0x0f;

/// The payloads of the pongs among the frames that `sender` sent, all of them short.
fn pongs(sender: Role, sent: &[u8]) -> Vec<Vec<u8>> {
    let receiver = match sender {
        Role::Server => CLIENT,
        Role::Client(_) => Role::Server,
    };
    ours(receiver, sent, usize::MAX)
        .0
        .into_iter()
        .filter_map(|seen| if let Seen::Pong(payload) = seen { Some(payload) } else { None })
        .collect()
}

/// A frame with all that can be wrong with it, but for the payload length.
#[derive(Clone, Debug)]
struct Frame {
    /// FIN, RSV1 to RSV3 and the opcode.
    first: u8,
    /// Whether the masking is that of the other role.
    masking_wrong: bool,
    payload: Vec<u8>,
}

impl Frame {
    fn new(first: u8, payload: &[u8]) -> Self {
        Self { first, masking_wrong: false, payload: payload.to_vec() }
    }

    fn append(&self, receiver: Role, out: &mut Vec<u8>) {
        let masked = matches!(receiver, Role::Server) != self.masking_wrong;
        let header = Header {
            compressed: false,
            fin: true,
            opcode: OpCode::Binary,
            mask: masked.then_some(KEY),
            payload_len: self.payload.len() as u64,
        };
        let start = out.len();
        header.encode(out);
        if let Some(first) = out.get_mut(start) {
            *first = self.first;
        }
        let payload_start = out.len();
        out.extend_from_slice(&self.payload);
        if masked {
            mask::apply(out.get_mut(payload_start..).unwrap_or_default(), KEY);
        }
    }
}

/// A message in up to four frames, cut anywhere, and perhaps a control frame after the first.
fn message() -> impl Strategy<Value = Vec<Frame>> {
    let text = "[a-zé€\u{10000}-\u{10010}]{0,30}".prop_map(String::into_bytes);
    let payload = prop_oneof![
        6 => text,
        1 => prop::collection::vec(any::<u8>(), 0..8),
        // Over the limits of a frame and of a message, too.
        2 => prop::collection::vec(Just(b'x'), 120..700),
    ];
    let cuts = prop::collection::vec(any::<prop::sample::Index>(), 0..4);
    let between = prop::option::of(control());
    (1_u8..=2, payload, cuts, between).prop_map(|(opcode, payload, cuts, between)| {
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
        ends.extend([0, payload.len()]);
        ends.sort_unstable();
        let pieces = ends.windows(2).map(|pair| payload.get(pair[0]..pair[1]).unwrap_or_default());
        let mut frames: Vec<_> = pieces.map(|piece| Frame::new(0, piece)).collect();
        frames[0].first |= opcode;
        frames[ends.len() - 2].first |= FIN;
        frames.splice(1..1, between);
        frames
    })
}

/// A ping or a pong, hardly ever a byte too long.
fn control() -> impl Strategy<Value = Frame> {
    let len = prop_oneof![20 => 0_usize..=125, 1 => Just(126)];
    (0x9_u8..=0xa, len).prop_map(|(opcode, len)| Frame::new(FIN | opcode, &vec![b'c'; len]))
}

fn close() -> impl Strategy<Value = Frame> {
    let codes = [1000_u16, 1001, 1003, 1007, 1013, 3000, 4999];
    let payload = prop_oneof![
        Just(Vec::new()),
        Just(vec![3]),
        Just(b"\x03\xe8\xff".to_vec()),
        (prop::sample::select(codes.to_vec()), "[a-zé]{0,5}").prop_map(|(code, reason)| [
            &code.to_be_bytes(),
            reason.as_bytes()
        ]
        .concat()),
    ];
    payload.prop_map(|payload| Frame::new(FIN | 0x8, &payload))
}

/// What can be done to one of many good frames.
#[derive(Clone, Debug)]
enum Damage {
    /// Reserved bits and opcodes, control frames without FIN, messages that never begin or end.
    FirstByte(u8),
    Payload(u8),
    Masking,
    Lost,
}

/// A conversation, in which at most one frame is damaged.
fn conversation() -> impl Strategy<Value = Vec<Frame>> {
    let parts = prop_oneof![
        8 => message(),
        2 => control().prop_map(|frame| vec![frame]),
        1 => close().prop_map(|frame| vec![frame]),
    ];
    let damage = prop_oneof![
        3 => any::<u8>().prop_map(Damage::FirstByte),
        3 => any::<u8>().prop_map(Damage::Payload),
        1 => Just(Damage::Masking),
        2 => Just(Damage::Lost),
    ];
    let damage = prop::option::of((any::<prop::sample::Index>(), damage));
    (prop::collection::vec(parts, 1..8), damage).prop_map(|(parts, damage)| {
        let mut frames = parts.concat();
        if let Some((at, damage)) = damage {
            let at = at.index(frames.len());
            let is_close = frames[at].first & OPCODE == 0x8;
            match damage {
                // Close frames are only made by `close`, where their codes are chosen.
                Damage::FirstByte(first) if first & OPCODE != 0x8 => frames[at].first = first,
                Damage::Payload(byte) if !is_close => frames[at].payload.push(byte),
                Damage::FirstByte(_) | Damage::Payload(_) => {}
                Damage::Masking => frames[at].masking_wrong = true,
                Damage::Lost => drop(frames.remove(at)),
            }
        }
        frames
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1024,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// §5: the same bytes have the same meaning to both, in either role and in any reads.
    #[test]
    fn both_see_the_same_messages_or_both_fail(
        frames in conversation(),
        from_client: bool,
        bytes_at_once in prop_oneof![1_usize..40, Just(usize::MAX)],
    ) {
        let role = if from_client { Role::Server } else { CLIENT };
        let mut input = Vec::new();
        for frame in &frames {
            frame.append(role, &mut input);
        }
        let (seen, sent, _) = ours(role, &input, bytes_at_once);
        let (seen_there, sent_there) = theirs(role, &input, bytes_at_once);
        prop_assert_eq!(&seen, &seen_there);
        prop_assert_eq!(pongs(role, &sent), pongs(role, &sent_there));
    }

    /// §5: the comparison that fuzzing makes holds of these frames too, damaged in any byte.
    #[test]
    fn they_differ_in_nothing_else(
        frames in conversation(), from_client: bool, at: prop::sample::Index, byte: u8,
    ) {
        let role = if from_client { Role::Server } else { CLIENT };
        let mut input = Vec::new();
        for frame in &frames {
            frame.append(role, &mut input);
        }
        differential(&input);
        if !input.is_empty() {
            let at = at.index(input.len());
            input[at] = byte;
            differential(&input);
        }
    }

    /// §5.2: what we send is what tungstenite understands, in either role.
    #[test]
    fn what_we_send_is_understood(
        messages in prop::collection::vec((any::<bool>(), ".{0,60}"), 0..8), from_client: bool
    ) {
        let (sender, receiver) = if from_client { (CLIENT, Role::Server) } else { (Role::Server, CLIENT) };
        let connection = Connection::new(Arc::new(Config::new(sender)), NOW);
        let (mut wire, mut expected) = (Vec::new(), Vec::new());
        for (binary, text) in messages {
            if binary {
                connection.send(text.as_bytes().into(), &mut wire).unwrap();
                expected.push(Seen::Binary(text.into_bytes()));
            } else {
                connection.send(text.as_str().into(), &mut wire).unwrap();
                expected.push(Seen::Text(text));
            }
        }
        prop_assert_eq!(theirs(receiver, &wire, usize::MAX).0, expected);
    }
}

/// §5.2: "in all cases, the minimal number of bytes MUST be used to encode the length".
#[test]
fn a_length_in_too_many_bytes_is_refused_here_only() {
    let input = b"\x82\x7e\x00\x01x";
    assert_eq!(ours(CLIENT, input, 1).0, [Seen::Failure]);
    assert_eq!(theirs(CLIENT, input, 1).0, [Seen::Binary(b"x".to_vec())]);
}

/// §7.4.1: 1005 and others MUST NOT be in a close frame; §7.4.2: what the registry does not name is
/// undefined. 1014 is in the registry.
#[test]
fn close_codes_that_must_not_be_sent_fail_here_only() {
    let protocol_error = Seen::Close(Some((1002, "Protocol violation".to_owned())));
    for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
        let input = [b"\x88\x02", &code.to_be_bytes()[..]].concat();
        assert_eq!(ours(CLIENT, &input, 1).0, [Seen::Failure], "{code}");
        assert_eq!(
            theirs(CLIENT, &input, 1).0.as_slice(),
            std::slice::from_ref(&protocol_error),
            "{code}"
        );
    }
    let input = [b"\x88\x02", &1014_u16.to_be_bytes()[..]].concat();
    assert_eq!(ours(CLIENT, &input, 1).0, [Seen::Close(Some((1014, String::new())))]);
    assert_eq!(theirs(CLIENT, &input, 1).0, [protocol_error]);
}

/// §7.1.7: nothing has to be awaited to fail a connection: a reserved bit, a masked frame from a
/// server, a ping of 126 bytes and a byte that is never UTF-8 are refused when they are there.
#[test]
fn rules_are_broken_here_before_a_frame_is_whole() {
    for input in [&b"\xc1"[..], b"\x82\x85", b"\x89\x7e", b"\x81\x05a\xff"] {
        assert_eq!(ours(CLIENT, input, 1).0, [Seen::Failure], "{input:x?}");
        assert_eq!(theirs(CLIENT, input, 1).0, [], "{input:x?}");
    }
}
