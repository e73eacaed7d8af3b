//! In-memory tests of a connection: bytes in, events and bytes out.

use super::*;
use crate::proto::close::CloseCode;
use crate::proto::config::{Limits, Timeouts};
use crate::proto::header::tests::CLIENT;
use proptest::prelude::*;
use std::time::Duration;

pub(super) const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
pub(super) const T0: Millis = Millis(0);

/// An event that owns what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(u16, String),
    Failed(Violation),
}

impl From<Event<'_>> for Seen {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Message(Message::Text(text)) => Self::Text(text.to_owned()),
            Event::Message(Message::Binary(bytes)) => Self::Binary(bytes.to_vec()),
            Event::Ping(payload) => Self::Ping(payload.to_vec()),
            Event::Pong(payload) => Self::Pong(payload.to_vec()),
            Event::Close(frame) => Self::Close(frame.code.number(), frame.reason.to_owned()),
        }
    }
}

/// Feeds one piece of input, to the last byte.
pub(super) fn feed(connection: &mut Connection, input: &[u8], output: &mut Vec<u8>) -> Vec<Seen> {
    let mut input = input.to_vec();
    let (mut at, mut seen) = (0, Vec::new());
    loop {
        match connection.handle_input(&mut input[at..], T0, output) {
            Ok(Step { consumed, event }) => {
                at += consumed;
                match event {
                    Some(event) => seen.push(event.into()),
                    None => {
                        assert_eq!(at, input.len(), "input left without an event");
                        return seen;
                    }
                }
            }
            Err(violation) => {
                seen.push(Seen::Failed(violation));
                return seen;
            }
        }
    }
}

fn server(limits: Limits) -> Connection {
    Connection::new(Arc::new(Config { limits, ..Config::new(Role::Server) }), T0)
}

fn run(pieces: &[&[u8]]) -> (Vec<Seen>, Vec<u8>) {
    run_with(Limits::default(), pieces)
}

fn run_with(limits: Limits, pieces: &[&[u8]]) -> (Vec<Seen>, Vec<u8>) {
    let mut connection = server(limits);
    let (mut seen, mut output) = (Vec::new(), Vec::new());
    for piece in pieces {
        seen.extend(feed(&mut connection, piece, &mut output));
    }
    (seen, output)
}

/// A masked frame, as a client sends it.
fn masked(position: Position, opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::encode(&mut out, position, opcode, Some(KEY), payload);
    out
}

pub(super) fn whole(opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    masked(Position::Last, opcode, payload)
}

pub(super) fn part(opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    masked(Position::More, opcode, payload)
}

pub(super) fn text(text: &str) -> Seen {
    Seen::Text(text.to_owned())
}

/// §5.7: "Hello" as one masked frame.
#[test]
fn a_masked_text_frame_is_a_message() {
    let (seen, output) = run(&[b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"]);
    assert_eq!(seen, [text("Hello")]);
    assert_eq!(output, b"");
}

/// A message that lies whole in the input is borrowed from it: no copy is made.
#[test]
fn a_whole_message_is_borrowed_from_the_input() {
    let mut connection = server(Limits::default());
    let mut input = whole(OpCode::Binary, &[9; 1000]);
    let range = input.as_ptr_range();
    let step = connection.handle_input(&mut input, T0, &mut Vec::new()).unwrap();
    let Some(Event::Message(message)) = step.event else { panic!("no message") };
    assert!(range.contains(&message.payload().as_ptr()));
    assert!(connection.pieces.is_none());
}

/// §5.4: a message is the concatenation of its frames, empty ones too.
#[test]
fn fragments_are_one_message() {
    let frames = [
        part(OpCode::Text, b"Hel"),
        part(OpCode::Continuation, b""),
        part(OpCode::Continuation, b"l"),
        whole(OpCode::Continuation, b"o"),
    ];
    assert_eq!(run(&[&frames.concat()]).0, [text("Hello")]);
}

/// §5.4, §5.5.2: control frames may be injected in the middle of a fragmented message, and a ping
/// is answered at once.
#[test]
fn ping_between_fragments_is_answered_at_once() {
    let mut connection = server(Limits::default());
    let mut output = Vec::new();
    assert_eq!(feed(&mut connection, &part(OpCode::Text, b"Hel"), &mut output), []);
    let seen = feed(&mut connection, &whole(OpCode::Ping, b"now"), &mut output);
    assert_eq!(seen, [Seen::Ping(b"now".to_vec())]);
    assert_eq!(output, b"\x8a\x03now");
    let seen = feed(&mut connection, &whole(OpCode::Continuation, b"lo"), &mut output);
    assert_eq!(seen, [text("Hello")]);
}

/// §5.4: what may not follow what.
#[test]
fn frames_out_of_sequence_fail() {
    for (frames, violation) in [
        (whole(OpCode::Continuation, b"x"), Violation::ContinuationUnexpected),
        (part(OpCode::Continuation, b"x"), Violation::ContinuationUnexpected),
        (
            [part(OpCode::Text, b"x"), whole(OpCode::Text, b"y")].concat(),
            Violation::ContinuationExpected,
        ),
        (
            [part(OpCode::Binary, b""), part(OpCode::Binary, b"y")].concat(),
            Violation::ContinuationExpected,
        ),
        (
            [
                part(OpCode::Text, b"x"),
                whole(OpCode::Continuation, b"y"),
                whole(OpCode::Continuation, b"z"),
            ]
            .concat(),
            Violation::ContinuationUnexpected,
        ),
    ] {
        let (seen, output) = run(&[&frames]);
        assert_eq!(seen.last(), Some(&Seen::Failed(violation)));
        assert_eq!(
            output[..4],
            [0x88, 2 + u8::try_from(violation.reason().len()).unwrap(), 0x03, 0xea]
        );
    }
}

/// §8.1: invalid text fails before its frame has come to its end.
#[test]
fn invalid_utf8_fails_inside_an_unfinished_frame() {
    let frame = whole(OpCode::Text, b"\xce\xba\xf4\x90\x80\x80 and much more");
    let header_and_bad_byte = 6 + 4;
    let (seen, output) = run(&[&frame[..header_and_bad_byte]]);
    assert_eq!(seen, [Seen::Failed(Violation::InvalidUtf8)]);
    assert_eq!(output[2..4], 1007u16.to_be_bytes());
    assert_eq!(run(&[&frame[..header_and_bad_byte - 1]]).0, []);
}

/// §5.6: a character may be cut by the end of a frame, not by the end of a message.
#[test]
fn characters_may_span_fragments() {
    let euro = [part(OpCode::Text, b"\xe2\x82"), whole(OpCode::Continuation, b"\xac")].concat();
    assert_eq!(run(&[&euro]).0, [text("€")]);
    let cut = [part(OpCode::Text, b"\xe2"), whole(OpCode::Continuation, b"\x82")].concat();
    assert_eq!(run(&[&cut]).0, [Seen::Failed(Violation::InvalidUtf8)]);
    assert_eq!(run(&[&whole(OpCode::Text, b"\xe2\x82")]).0, [Seen::Failed(Violation::InvalidUtf8)]);
}

/// §5.5.1: the answer to a close frame echoes its code, and nothing after it is looked at.
#[test]
fn close_is_answered_and_ends_the_input() {
    let mut frames = whole(OpCode::Close, b"\x03\xe8bye");
    frames.extend(whole(OpCode::Ping, b"late"));
    frames.extend(b"\xff\xff not even frames");
    let (seen, output) = run(&[&frames, &whole(OpCode::Text, b"later")]);
    assert_eq!(seen, [Seen::Close(1000, "bye".to_owned())]);
    assert_eq!(output, b"\x88\x02\x03\xe8");
}

/// §7.1.5: a close frame without a code is answered by one without a code.
#[test]
fn close_without_a_code_is_answered_in_kind() {
    let (seen, output) = run(&[&whole(OpCode::Close, b"")]);
    assert_eq!(seen, [Seen::Close(1005, String::new())]);
    assert_eq!(output, b"\x88\x00");
}

/// §5.5.1, §7.4: a close frame that breaks a rule fails the connection.
#[test]
fn invalid_close_frames_fail() {
    for (payload, violation, code) in [
        (&b"\x03"[..], Violation::CloseTooShort, 1002u16),
        (b"\x03\xed", Violation::CloseCodeInvalid, 1002),
        (b"\x03\xe8\xff", Violation::CloseReasonInvalidUtf8, 1007),
    ] {
        for pieces in [1, 3] {
            let frame = whole(OpCode::Close, payload);
            let pieces: Vec<_> = frame.chunks(frame.len().div_ceil(pieces)).collect();
            let (seen, output) = run(&pieces);
            assert_eq!(seen, [Seen::Failed(violation)]);
            assert_eq!(output[2..4], code.to_be_bytes());
        }
    }
}

/// §5.5.1, §7.1.2: when we close first, messages and pings before the peer's answer still count,
/// and no second close frame is sent.
#[test]
fn our_close_waits_for_the_answer() {
    let mut connection = server(Limits::default());
    let mut output = Vec::new();
    let bye = CloseFrame { code: CloseCode::GOING_AWAY, reason: "bye" };
    connection.close(bye, T0, &mut output);
    connection.close(bye, T0, &mut output);
    assert_eq!(output, b"\x88\x05\x03\xe9bye");
    assert_eq!(connection.state(), State::Closing);
    assert_eq!(connection.send("late".into(), &mut output), Err(SendError::Closing));
    output.clear();
    let input = [whole(OpCode::Text, b"x"), whole(OpCode::Ping, b"?")].concat();
    let seen = feed(&mut connection, &input, &mut output);
    assert_eq!(seen, [text("x"), Seen::Ping(b"?".to_vec())]);
    assert_eq!(output, b"\x8a\x01?");
    output.clear();
    let seen = feed(&mut connection, &whole(OpCode::Close, b"\x03\xe9"), &mut output);
    assert_eq!(seen, [Seen::Close(1001, String::new())]);
    assert_eq!((output, connection.state()), (vec![], State::Closed));
}

/// §10.4: the limits hold at the announcement, before a byte of payload has come.
#[test]
fn announced_lengths_over_the_limits_fail_at_once() {
    let limits = Limits { frame_bytes_max: 100, message_bytes_max: 150, fragments_max: 3 };
    let huge = b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0";
    assert_eq!(run_with(limits, &[huge]).0, [Seen::Failed(Violation::FrameTooLarge)]);
    let limits_of_message = Limits { frame_bytes_max: 1000, ..limits };
    let large = whole(OpCode::Binary, &[0; 151]);
    let seen = run_with(limits_of_message, &[&large[..8]]).0;
    assert_eq!(seen, [Seen::Failed(Violation::MessageTooLarge)]);
    let two = [part(OpCode::Binary, &[0; 100]), whole(OpCode::Continuation, &[0; 51])].concat();
    let seen = run_with(limits, &[&two[..106 + 6]]).0;
    assert_eq!(seen, [Seen::Failed(Violation::MessageTooLarge)]);
    let fits = [part(OpCode::Binary, &[0; 100]), whole(OpCode::Continuation, &[0; 50])].concat();
    assert_eq!(run_with(limits, &[&fits]).0, [Seen::Binary(vec![0; 150])]);
    let mut four = part(OpCode::Text, b"");
    for _ in 0..3 {
        four.extend(part(OpCode::Continuation, b""));
    }
    let (seen, output) = run_with(limits, &[&four]);
    assert_eq!(seen, [Seen::Failed(Violation::TooManyFragments)]);
    assert_eq!(output[2..4], 1008u16.to_be_bytes());
}

/// Between messages nothing is kept, whatever they came in.
#[test]
fn an_idle_connection_holds_no_buffer() {
    let mut connection = server(Limits::default());
    let input = [part(OpCode::Text, &[b'x'; 5000]), whole(OpCode::Continuation, b"y")].concat();
    for piece in input.chunks(7) {
        feed(&mut connection, piece, &mut Vec::new());
    }
    for piece in whole(OpCode::Ping, &[1; 125]).chunks(11) {
        feed(&mut connection, piece, &mut Vec::new());
    }
    assert!(connection.pieces.is_none());
    assert!(size_of::<Connection>() <= 96, "{}", size_of::<Connection>());
}

/// A server's connection that pings every 10 ms, and gives up after 25 ms of silence.
#[test]
fn timeouts_come_in_order() {
    let timeouts = Timeouts {
        ping_interval: Some(Duration::from_millis(10)),
        idle_timeout: Some(Duration::from_millis(25)),
        close_timeout: Duration::from_millis(5),
    };
    let config = Arc::new(Config { timeouts, ..Config::new(Role::Server) });
    let mut connection = Connection::new(config, T0);
    assert_eq!(connection.poll_timeout(), Millis(10));
    assert_eq!(connection.handle_timeout(Millis(9)), None);
    assert_eq!(connection.handle_timeout(Millis(10)), Some(Timeout::PingDue));
    assert_eq!(connection.handle_timeout(Millis(10)), None);
    let mut pong = whole(OpCode::Pong, b"");
    connection.handle_input(&mut pong, Millis(12), &mut Vec::new()).unwrap();
    assert_eq!(connection.handle_timeout(Millis(20)), Some(Timeout::PingDue));
    assert_eq!(connection.handle_timeout(Millis(30)), Some(Timeout::PingDue));
    assert_eq!(connection.poll_timeout(), Millis(37));
    assert_eq!(connection.handle_timeout(Millis(37)), Some(Timeout::Idle));
    let idle = CloseFrame { code: CloseCode::GOING_AWAY, reason: "" };
    connection.close(idle, Millis(37), &mut Vec::new());
    assert_eq!(connection.poll_timeout(), Millis(42));
    assert_eq!(connection.handle_timeout(Millis(41)), None);
    assert_eq!(connection.handle_timeout(Millis(42)), Some(Timeout::Close));
    assert_eq!(connection.poll_timeout(), Millis::NEVER);
}

/// §5.1, §5.3: the two roles understand each other.
#[test]
fn client_and_server_talk() {
    let mut client = Connection::new(Config::client(|| KEY), T0);
    let mut server = Connection::new(Config::server(), T0);
    let (mut up, mut down) = (Vec::new(), Vec::new());
    client.send("hi".into(), &mut up).unwrap();
    client.ping(b"p", &mut up).unwrap();
    assert_eq!(client.ping(&[0; 126], &mut up), Err(SendError::ControlTooLong));
    assert_eq!(feed(&mut server, &up, &mut down), [text("hi"), Seen::Ping(b"p".to_vec())]);
    server.send(b"ho"[..].into(), &mut down).unwrap();
    server.close(CloseFrame { code: CloseCode::NORMAL, reason: "" }, T0, &mut down);
    up.clear();
    let seen = feed(&mut client, &down, &mut up);
    let close = Seen::Close(1000, String::new());
    assert_eq!(seen, [Seen::Pong(b"p".to_vec()), Seen::Binary(b"ho".to_vec()), close.clone()]);
    assert_eq!(feed(&mut server, &up, &mut Vec::new()), [close]);
    assert_eq!((client.state(), server.state()), (State::Closed, State::Closed));
    assert!(matches!(Header::parse(b"\x81\x80", CLIENT), Err(Violation::Masked)));
}

/// §5.3, §10.3: a fresh masking key for each frame, whatever kind of frame it is.
#[test]
fn each_frame_of_a_client_has_a_key_of_its_own() {
    thread_local!(static DRAWN: std::cell::Cell<u8> = const { std::cell::Cell::new(0) });
    let mut client = Connection::new(
        Config::client(|| {
            DRAWN.set(DRAWN.get() + 1);
            [DRAWN.get(); 4]
        }),
        T0,
    );
    let mut out = Vec::new();
    client.send_frame(Position::More, OpCode::Binary, b"", &mut out).unwrap();
    client.send_frame(Position::Last, OpCode::Continuation, b"", &mut out).unwrap();
    client.ping(b"", &mut out).unwrap();
    feed(&mut client, b"\x89\x00", &mut out);
    let nothing = CloseFrame { code: CloseCode::NO_STATUS, reason: "" };
    client.close(nothing, T0, &mut out);
    let keys: Vec<_> = out.chunks(6).map(|frame| (frame[1], frame[2..].to_vec())).collect();
    assert_eq!(keys, [1, 2, 3, 4, 5].map(|key| (0x80, vec![key; 4])));
}

/// Frames as a client might send them: mostly in order, sometimes not.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        4 => ".{0,40}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..40),
        1 => prop::collection::vec(any::<u8>(), 120..300),
    ];
    let frame = (prop::sample::select(vec![0u8, 1, 1, 2, 2, 8, 9, 10]), any::<bool>(), payload)
        .prop_map(|(number, more, mut payload)| {
            let opcode = OpCode::from_number(number).unwrap();
            if opcode.is_control() {
                payload.truncate(125);
            }
            let more = more && !opcode.is_control();
            masked(if more { Position::More } else { Position::Last }, opcode, &payload)
        });
    prop::collection::vec(frame, 0..8).prop_map(|frames| frames.concat())
}

fn cut_at(data: &[u8], cuts: &[prop::sample::Index]) -> Vec<Vec<u8>> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(data.len() + 1)).collect();
    at.extend([0, data.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| data[pair[0]..pair[1]].to_vec()).collect()
}

proptest! {
    /// Split anywhere: the same events, the same output.
    #[test]
    fn split_anywhere_gives_the_same_events(
        mut data in frames(),
        damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        cuts: Vec<prop::sample::Index>
    ) {
        if let (Some((at, byte)), false) = (damage, data.is_empty()) {
            let at = at.index(data.len());
            data[at] = byte;
        }
        let limits = Limits { frame_bytes_max: 280, message_bytes_max: 400, fragments_max: 4 };
        let expected = run_with(limits, &[&data]);
        let pieces = cut_at(&data, &cuts);
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        prop_assert_eq!(run_with(limits, &pieces), expected.clone());
        let bytes: Vec<&[u8]> = data.chunks(1).collect();
        prop_assert_eq!(run_with(limits, &bytes), expected);
    }

    /// Arbitrary bytes: an end, never a panic, and at most one close frame in return.
    #[test]
    fn arbitrary_bytes_never_panic(data: Vec<u8>, cuts: Vec<prop::sample::Index>) {
        let pieces = cut_at(&data, &cuts);
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        run(&pieces);
    }

    /// What one end sends, the other receives: messages of any size, in any cut of frames.
    #[test]
    fn messages_survive_any_fragmentation(
        payload: Vec<u8>, cuts: Vec<prop::sample::Index>, bytes_at_once in 1usize..50
    ) {
        let client = Connection::new(Config::client(|| [1, 2, 3, 4]), T0);
        let parts = cut_at(&payload, &cuts);
        let mut wire = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            let opcode = if index == 0 { OpCode::Binary } else { OpCode::Continuation };
            let last = index + 1 == parts.len();
            let position = if last { Position::Last } else { Position::More };
            client.send_frame(position, opcode, part, &mut wire).unwrap();
        }
        let pieces: Vec<&[u8]> = wire.chunks(bytes_at_once).collect();
        prop_assert_eq!(run(&pieces).0, [Seen::Binary(payload)]);
    }
}
