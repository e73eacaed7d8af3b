//! One TCP connection in memory: bytes both ways, ends, resets, and the edges that they make.
//! Invariant: an edge is made only when something that could not be done can be done again.

use std::collections::VecDeque;

/// What became possible for the server's socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) readable: bool,
    pub(super) ended: bool,
}

/// Bytes on their way.
#[derive(Debug)]
struct Pipe {
    bytes: VecDeque<u8>,
    bytes_max: usize,
    /// Nothing comes behind these.
    ended: bool,
}

impl Pipe {
    const fn new(bytes_max: usize) -> Self {
        Self { bytes: VecDeque::new(), bytes_max, ended: false }
    }

    fn room(&self) -> usize {
        self.bytes_max.saturating_sub(self.bytes.len())
    }

    fn take(&mut self, buffer: &mut [u8]) -> usize {
        let (first, second) = self.bytes.as_slices();
        let mut taken = 0;
        for part in [first, second] {
            let room = buffer.get_mut(taken..).unwrap_or_default();
            let len = room.len().min(part.len());
            if let (Some(room), Some(part)) = (room.get_mut(..len), part.get(..len)) {
                room.copy_from_slice(part);
            }
            taken += len;
        }
        self.bytes.drain(..taken);
        taken
    }
}

/// What a read or a write came to, at either end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    Bytes(usize),
    Refused,
    End,
    Reset,
}

/// How far the server has come with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is to be accepted.
    Waiting,
    Accepted,
    /// Closed by the server, or never accepted.
    Over,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) stage: Stage,
    to_server: Pipe,
    to_peer: Pipe,
    /// The server's socket has refused a write, or a read though there was something.
    write_refused: bool,
    read_refused: bool,
    /// The server has read the peer's end.
    end_seen: bool,
    /// The peer has reset it.
    reset: bool,
    /// The server has closed it with bytes unread, which resets it.
    reset_by_server: bool,
    /// Bytes that the server has written in this turn.
    pub(super) written_in_turn: u64,
}

impl Wire {
    pub(super) const fn new(to_server_max: usize, to_peer_max: usize) -> Self {
        Self {
            stage: Stage::Waiting,
            to_server: Pipe::new(to_server_max),
            to_peer: Pipe::new(to_peer_max),
            write_refused: false,
            read_refused: false,
            end_seen: false,
            reset: false,
            reset_by_server: false,
            written_in_turn: 0,
        }
    }

    // --- the server's end

    /// A read; to `refuse` it though there may be something makes an edge owed.
    pub(super) fn read(&mut self, buffer: &mut [u8], refuse: bool) -> Moved {
        if refuse {
            self.read_refused = true;
            return Moved::Refused;
        }
        match self.to_server.take(buffer) {
            0 if self.reset => Moved::Reset,
            0 if self.to_server.ended => {
                self.end_seen = true;
                Moved::End
            }
            0 => Moved::Refused,
            len => Moved::Bytes(len),
        }
    }

    /// A write of at most `bytes_max` of these bytes.
    pub(super) fn write<'a>(
        &mut self,
        slices: impl Iterator<Item = &'a [u8]>,
        bytes_max: usize,
    ) -> Moved {
        if self.reset {
            return Moved::Reset;
        }
        let mut room = self.to_peer.room().min(bytes_max);
        let mut written = 0;
        for slice in slices {
            let part = slice.get(..room.min(slice.len())).unwrap_or_default();
            self.to_peer.bytes.extend(part);
            (room, written) = (room - part.len(), written + part.len());
        }
        if written == 0 {
            self.write_refused = true;
            return Moved::Refused;
        }
        Moved::Bytes(written)
    }

    /// Nothing more comes from the server. `false`: the connection is gone.
    pub(super) fn end_writing(&mut self) -> bool {
        self.to_peer.ended = true;
        !self.reset
    }

    /// The server closes it: what it has not read resets the connection.
    pub(super) fn close(&mut self) {
        self.stage = Stage::Over;
        self.to_peer.ended = true;
        if !self.to_server.bytes.is_empty() && !self.reset {
            self.reset_by_server = true;
            self.to_peer.bytes.clear();
        }
    }

    /// An edge that says all that is so now.
    pub(super) fn level(&self) -> Edge {
        let ended = self.to_server.ended || self.reset;
        Edge { readable: ended || !self.to_server.bytes.is_empty(), ended }
    }

    /// Whether there is something to read, and no edge to come that says so.
    pub(super) fn is_left_unread(&self) -> bool {
        let end = self.to_server.ended && !self.end_seen;
        !self.read_refused && (end || self.reset || !self.to_server.bytes.is_empty())
    }

    /// Whether something could be written, and no edge is to come that says so.
    pub(super) fn is_left_unwritten(&self) -> bool {
        !self.write_refused && (self.reset || self.to_peer.room() > 0)
    }

    /// The edge that is owed after refusals, if there is one by now.
    pub(super) fn owed_edge(&mut self) -> Option<Edge> {
        let read = std::mem::take(&mut self.read_refused);
        // As a kernel does, which waits for room that is worth it.
        let write =
            self.write_refused && (self.reset || self.to_peer.room() * 3 >= self.to_peer.bytes_max);
        self.write_refused &= !write;
        (read || write).then_some(Edge { readable: read, ended: false })
    }

    // --- the peer's end

    /// Sends bytes; yields what came of it, and the edge that it makes.
    pub(super) fn peer_write(&mut self, bytes: &[u8]) -> (Moved, Option<Edge>) {
        if self.reset || self.reset_by_server || self.stage == Stage::Over {
            return (Moved::Reset, None);
        }
        let was_empty = self.to_server.bytes.is_empty();
        let len = bytes.len().min(self.to_server.room());
        if len == 0 {
            return (Moved::Refused, None);
        }
        self.to_server.bytes.extend(bytes.iter().take(len));
        (Moved::Bytes(len), was_empty.then_some(Edge { readable: true, ended: false }))
    }

    pub(super) fn peer_read(&mut self, buffer: &mut [u8]) -> Moved {
        match self.to_peer.take(buffer) {
            0 if self.reset || self.reset_by_server => Moved::Reset,
            0 if self.to_peer.ended => Moved::End,
            0 => Moved::Refused,
            len => Moved::Bytes(len),
        }
    }

    /// Nothing more comes from the peer.
    pub(super) fn peer_end(&mut self) -> Option<Edge> {
        let before = std::mem::replace(&mut self.to_server.ended, true);
        (!before && !self.reset).then_some(Edge { readable: true, ended: true })
    }

    /// The peer resets it; what the server has not read may be `lost`.
    pub(super) fn peer_reset(&mut self, lost: bool) -> Option<Edge> {
        self.to_peer.bytes.clear();
        if lost {
            self.to_server.bytes.clear();
        }
        let before = std::mem::replace(&mut self.reset, true);
        (!before).then_some(Edge { readable: true, ended: true })
    }
}
