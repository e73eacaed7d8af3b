//! In-memory tests of what a connection keeps of an unfinished message, and of whose silence
//! counts.

use super::tests::{Seen, T0, feed, part, whole};
use super::*;
use crate::proto::close::CloseCode;
use crate::proto::config::{Limits, Timeouts};
use crate::proto::deflate::{Compressor, DeflateParameters, WindowBits};
use std::time::Duration;

/// What `Connection::retained_bytes` promises to stay within, beyond the message limit.
const OVERHEAD_BYTES_MAX: usize = 512;

fn server(limits: Limits) -> Connection {
    Connection::new(Arc::new(Config { limits, ..Config::new(Role::Server) }), T0)
}

/// §10.4: a buffer grows by doubling, but not beyond the limit: whatever the message is cut into,
/// and wherever the limit lies between two powers of two.
#[test]
fn what_is_kept_of_a_message_stays_within_its_limit() {
    const LIMIT: usize = 70_000;
    for (opcode, payload) in
        [(OpCode::Binary, vec![7; LIMIT]), (OpCode::Text, "€".repeat(LIMIT / 3).into_bytes())]
    {
        for cut in [1, 1000, 65_536] {
            let mut connection = server(Limits::message(LIMIT as u64));
            let (mut seen, mut most) = (Vec::new(), 0);
            for piece in whole(opcode, &payload).chunks(cut) {
                seen.extend(feed(&mut connection, piece, &mut Vec::new()));
                most = most.max(connection.retained_bytes());
            }
            assert_eq!(seen.len(), 1, "{opcode:?} in pieces of {cut}");
            assert!(most > LIMIT / 2 && most <= LIMIT + OVERHEAD_BYTES_MAX, "{most}");
            assert_eq!(connection.retained_bytes(), 0);
        }
    }
}

/// §5.4: fragments take no memory of their own, full or empty.
#[test]
fn fragments_have_no_overhead() {
    let mut connection = server(Limits::default());
    let empty = part(OpCode::Continuation, b"").repeat(10_000);
    let one = part(OpCode::Continuation, b"x").repeat(10_000);
    let mut frames = part(OpCode::Text, b"");
    frames.extend([empty, one].concat());
    assert_eq!(feed(&mut connection, &frames, &mut Vec::new()), []);
    let retained = connection.retained_bytes();
    assert!((10_000..20_000 + OVERHEAD_BYTES_MAX).contains(&retained), "{retained}");
}

/// RFC 7692: what a payload inflates to is kept within the limit too, and nothing of it after the
/// failure.
#[test]
fn a_bomb_is_kept_within_the_limit() {
    const LIMIT: usize = 70_000;
    let config = Config { limits: Limits::message(LIMIT as u64), ..Config::new(Role::Server) };
    let mut connection =
        Connection::new(Arc::new(config), T0).with_deflate(&DeflateParameters::default());
    let mut bomb = Vec::new();
    assert!(Compressor::new(WindowBits::MAX).compress(&vec![0; 16 << 20], &mut bomb));
    let mut frame = whole(OpCode::Binary, &bomb);
    frame[0] |= 0x40;
    let (mut seen, mut most) = (Vec::new(), 0);
    for byte in frame.chunks(1) {
        seen.extend(feed(&mut connection, byte, &mut Vec::new()));
        most = most.max(connection.retained_bytes());
    }
    assert_eq!(seen, [Seen::Failed(Violation::MessageTooLarge)]);
    assert!(most > LIMIT / 2 && most <= LIMIT + OVERHEAD_BYTES_MAX, "{most}");
    assert_eq!(connection.retained_bytes(), 0);
}

/// An announced length is compared and forgotten.
#[test]
fn an_announced_length_is_not_kept_room_for() {
    let mut connection = server(Limits::message(u64::MAX));
    let header = b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0first";
    assert_eq!(feed(&mut connection, header, &mut Vec::new()), []);
    assert!(connection.retained_bytes() <= OVERHEAD_BYTES_MAX);
}

/// Silence that the owner knows to be its own does not count; time does not run backwards.
#[test]
fn silence_counts_from_when_the_owner_says() {
    let timeouts = Timeouts {
        ping_interval: None,
        idle_timeout: Some(Duration::from_millis(25)),
        ..Timeouts::default()
    };
    let config = Arc::new(Config { timeouts, ..Config::new(Role::Server) });
    let mut connection = Connection::new(config, T0);
    connection.note_heard(Millis(20));
    connection.note_heard(Millis(10));
    assert_eq!(connection.poll_timeout(), Millis(45));
    assert_eq!(connection.handle_timeout(Millis(44)), None);
    assert_eq!(connection.handle_timeout(Millis(45)), Some(Timeout::Idle));
    // The peer's answer to our close frame has its own time.
    let idle = CloseFrame { code: CloseCode::GOING_AWAY, reason: "" };
    connection.close(idle, Millis(45), &mut Vec::new());
    let due = connection.poll_timeout();
    connection.note_heard(Millis(1000));
    assert_eq!(connection.poll_timeout(), due);
}
