//! What a run does: the part of it that differs from command to command.
//! Invariant: a scenario sends through what it is handed and keeps no socket.

use super::clock::Nanos;
use super::drive::Phase;
use super::error::{End, LoadError};
use super::fleet::Fleet;
use crate::proto::{CloseCode, CloseFrame, Connection, Message, Millis, OpCode};
use std::time::Duration;

/// Decides what is sent, and checks what comes. Clients are known by their number, from 0. What a
/// kind of load has no use for, it leaves as it is here: nothing is done.
pub(super) trait Scenario {
    /// Silence after the handshakes in which servers may greet.
    const SETTLE: Duration = Duration::ZERO;

    /// A handshake is done.
    fn on_open(&mut self, _client: usize, _link: &mut Link<'_>, _now: Nanos) {}

    /// A message has come.
    fn on_message(&mut self, client: usize, message: Message<'_>, now: Nanos);

    /// All that one read brought has been told: what that client owes may be sent.
    fn on_read(&mut self, _client: usize, _link: &mut Link<'_>, _now: Nanos) {}

    /// All that a turn brought has been told.
    fn on_turn(&mut self, _fleet: &mut Fleet, _now: Nanos) {}

    /// An open connection has ended.
    fn on_end(&mut self, client: usize, end: End, now: Nanos);

    /// The run enters a phase.
    fn on_phase(&mut self, _phase: Phase, _fleet: &mut Fleet, _now: Nanos) {}

    /// Whether everything is as it must be before the load starts.
    fn is_ready(&self) -> Result<bool, LoadError> {
        Ok(true)
    }

    /// When the next message is due, for those that keep a schedule.
    fn next_due(&self) -> Option<Nanos> {
        None
    }

    /// Whether something that was asked for has not come yet.
    fn is_waiting(&self) -> bool {
        false
    }

    /// What a progress line counts: what has come in the measured part, and what was wrong.
    fn tally(&self) -> (u64, u64) {
        (0, 0)
    }
}

/// The sending side of one open connection.
pub(super) struct Link<'a> {
    pub(super) connection: &'a mut Connection,
    pub(super) output: &'a mut Vec<u8>,
}

impl Link<'_> {
    /// Sends a message, unless the connection is closing: then its end is told soon.
    pub(super) fn send(&mut self, opcode: OpCode, payload: &[u8]) {
        let position = crate::proto::frame::Position::Last;
        let _ = self.connection.send_frame(position, opcode, payload, self.output);
    }

    /// Starts the closing handshake.
    pub(super) fn close(&mut self) {
        let frame = CloseFrame { code: CloseCode::NORMAL, reason: "" };
        // The time is for a timeout of the connection's own, which a run does not use.
        self.connection.close(frame, Millis(0), self.output);
    }
}
