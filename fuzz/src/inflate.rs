//! Compressed messages (RFC 7692 §6, §7.2): what a peer sends as one, beside another library's
//! reading of it; and what we compress, read back. The first byte says what was agreed on, the rest
//! is a payload.

use super::pieces::same_however_cut;
use super::{CLIENT, NOW};
use flate2::{Decompress, FlushDecompress, Status};
use std::sync::Arc;
use tickwire::proto::deflate::Compressor;
use tickwire::proto::header::OpCode;
use tickwire::proto::{
    Config, Connection, Context, DeflateParameters, Event, Limits, Role, Violation, WindowBits,
    frame,
};

/// Bytes that a message may inflate to: more than a short input says, far less than it can.
const INFLATED_BYTES_MAX: u64 = 20_000;
const INFLATED_ROOM: usize = 30_000;

/// A payload inflates to no more than the limit, however it is cut, and to what others make of it;
/// and what is compressed inflates to what it was.
pub fn inflate(bytes: &[u8]) {
    let Some((agreed, payload)) = bytes.split_first() else { return };
    let window = WindowBits::new(8 + (agreed & 7)).expect("8 to 15");
    let context = if agreed & 8 == 0 { Context::Takeover } else { Context::NoTakeover };
    let agreed = DeflateParameters {
        server_context: context,
        client_context: context,
        server_window: window,
        client_window: window,
    };
    check_received(payload, &agreed);
    check_sent(payload, &agreed);
}

fn check_received(payload: &[u8], agreed: &DeflateParameters) {
    // The same message twice: the second may refer to the first, or must not.
    let mut wire = compressed_message(payload);
    wire.extend_from_within(..);
    let outcome = same_however_cut(&wire, |pieces| receive(Role::Server, agreed, pieces));
    let (messages, violation) = outcome;
    assert!(messages.iter().all(|message| message.len() as u64 <= INFLATED_BYTES_MAX));
    let known = [None, Some(Violation::DeflateInvalid), Some(Violation::MessageTooLarge)];
    assert!(known.contains(&violation), "{violation:?}");
    if let Some(message) = messages.first() {
        assert_eq!(inflated_elsewhere(payload).as_ref(), Some(message));
    }
    if agreed.client_context == Context::NoTakeover {
        assert_ne!(messages.len(), 1, "each message stands for itself");
    }
}

fn check_sent(payload: &[u8], agreed: &DeflateParameters) {
    // Repeated, so that there is something to compress, and a window to go beyond.
    let repeated = payload.repeat(3);
    let mut compressor = Compressor::new(agreed.server_window);
    for message in [payload, &repeated] {
        let mut wire = Vec::new();
        let smaller = frame::encode_compressed(&mut wire, OpCode::Binary, message, &mut compressor);
        assert_eq!(smaller, !wire.is_empty());
        if smaller {
            assert!(wire.len() < message.len() + 10, "compressed to more than it was");
            let (messages, violation) = receive(CLIENT, agreed, &[&wire]);
            assert_eq!((messages.as_slice(), violation), ([message.to_vec()].as_slice(), None));
        }
    }
}

/// A masked binary message with RSV1, its key zero, in one frame.
fn compressed_message(payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len()).expect("a short input");
    let mut wire = vec![0xc2];
    match u8::try_from(len) {
        Ok(len @ 0..126) => wire.push(0x80 | len),
        _ => {
            wire.push(0x80 | 126);
            wire.extend_from_slice(&len.to_be_bytes());
        }
    }
    wire.extend_from_slice(&[0; 4]);
    wire.extend_from_slice(payload);
    wire
}

fn receive(
    role: Role,
    agreed: &DeflateParameters,
    pieces: &[&[u8]],
) -> (Vec<Vec<u8>>, Option<Violation>) {
    let limits = Limits { message_bytes_max: INFLATED_BYTES_MAX, ..Limits::default() };
    let config = Config { limits, ..Config::new(role) };
    let mut connection = Connection::new(Arc::new(config), NOW).with_deflate(agreed);
    let (mut messages, mut output) = (Vec::new(), Vec::new());
    for piece in pieces {
        let mut piece = piece.to_vec();
        let mut at = 0;
        while let Some(rest) = piece.get_mut(at..) {
            match connection.handle_input(rest, NOW, &mut output) {
                Err(violation) => return (messages, Some(violation)),
                Ok(step) => {
                    at += step.consumed;
                    let Some(event) = step.event else { break };
                    let Event::Message(message) = event else { panic!("{event:?}") };
                    messages.push(message.payload().to_vec());
                }
            }
        }
    }
    (messages, None)
}

/// What flate2 makes of a payload, as far as there is room; `None` where it is no DEFLATE. It knows
/// no windows, so it takes more than we do.
fn inflated_elsewhere(payload: &[u8]) -> Option<Vec<u8>> {
    let input = [payload, &[0, 0, 0xff, 0xff]].concat();
    let mut rest = input.as_slice();
    let mut out = Vec::with_capacity(INFLATED_ROOM);
    while !rest.is_empty() {
        let mut inflate = Decompress::new(false);
        let mut status = Status::Ok;
        // §7.2.3.4: after a final block another stream may follow.
        while status != Status::StreamEnd && !rest.is_empty() {
            let before = (inflate.total_in(), inflate.total_out());
            status = inflate.decompress_vec(rest, &mut out, FlushDecompress::None).ok()?;
            let taken = inflate.total_in() - before.0;
            rest = rest.get(usize::try_from(taken).ok()?..)?;
            if before == (inflate.total_in(), inflate.total_out()) {
                return None;
            }
        }
    }
    Some(out)
}
