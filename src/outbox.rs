//! The send queue of one connection: what its socket would not take (RFC 6455 §5.4, §5.5.1).
//!
//! Holds whole, unmasked frames of ours, before them perhaps the answer to the opening handshake,
//! and the first unit perhaps in part. Knows no sockets: the owner
//! writes from [`Outbox::pending`] and says with [`Outbox::advance`] how much went.
//! Invariant: frames leave in the order they came, and a frame of which a byte has gone is never
//! dropped.

use crate::proto::header::Header;
use crate::proto::{OpCode, Role};

/// Room that an emptied queue may keep.
const RETAINED_BYTES_MAX: usize = 64 << 10;

/// The send queue of one connection.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    /// Bytes at the front that have gone.
    gone: usize,
    /// Where the frame begins that is to be written next, or is under way: at most `gone`.
    frame_start: usize,
    /// Where the frames begin: what stands before is an HTTP answer, one unit.
    preamble_end: usize,
}

impl Outbox {
    /// A queue whose first `len` bytes will be an HTTP answer rather than frames.
    pub(crate) fn with_preamble(len: usize) -> Self {
        Self { preamble_end: len, ..Self::default() }
    }

    /// Queues whole frames.
    pub(crate) fn queue(&mut self, frames: &[u8]) {
        self.queue_parts(&[frames]);
    }

    /// Queues whole frames that lie in several parts.
    pub(crate) fn queue_parts(&mut self, parts: &[&[u8]]) {
        if self.frame_start > self.bytes.len() / 2 {
            self.bytes.drain(..self.frame_start);
            self.gone -= self.frame_start;
            self.preamble_end = self.preamble_end.saturating_sub(self.frame_start);
            self.frame_start = 0;
        }
        self.bytes.reserve(parts.iter().map(|part| part.len()).sum());
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
    }

    /// Bytes still to be written.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.gone
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is to be written next.
    pub(crate) fn pending(&self) -> &[u8] {
        self.bytes.get(self.gone..).unwrap_or_default()
    }

    /// Takes note of `written` bytes from the front of [`Self::pending`].
    pub(crate) fn advance(&mut self, written: usize) {
        debug_assert!(written <= self.len());
        self.gone = (self.gone + written).min(self.bytes.len());
        if self.is_empty() {
            self.bytes.clear();
            self.bytes.shrink_to(RETAINED_BYTES_MAX);
            (self.gone, self.frame_start, self.preamble_end) = (0, 0, 0);
            return;
        }
        while self.frame_end() <= self.gone {
            self.frame_start = self.frame_end();
        }
    }

    /// Drops all frames of which no byte has gone; yields how many bytes that freed.
    pub(crate) fn drop_unstarted(&mut self) -> usize {
        let dropped = self.unstarted();
        self.bytes.truncate(self.bytes.len() - dropped);
        self.advance(0);
        dropped
    }

    /// The close frame, if it is among the frames of which no byte has gone.
    pub(crate) fn unstarted_close(&self) -> Option<&[u8]> {
        close_among(self.bytes.get(self.bytes.len() - self.unstarted()..)?)
    }

    /// Bytes of the frames of which none has gone. The answer to the handshake is not among them.
    pub(crate) fn unstarted(&self) -> usize {
        // Frames without the answer before them would mean nothing.
        let started = self.frame_start < self.gone.max(self.preamble_end);
        self.bytes.len() - if started { self.frame_end() } else { self.gone }
    }

    /// Where the frame ends that begins at `frame_start`.
    fn frame_end(&self) -> usize {
        if self.frame_start < self.preamble_end {
            return self.preamble_end;
        }
        let frame = self.bytes.get(self.frame_start..).unwrap_or_default();
        // Frames of a server, as a client would read them.
        let header = Header::parse(frame, Role::Client(|| [0; 4]));
        debug_assert!(matches!(header, Ok(Some(_))), "the queue holds whole frames");
        let len = header.ok().flatten().map_or(frame.len(), |(header, header_len)| {
            let payload_len = usize::try_from(header.payload_len).unwrap_or(usize::MAX);
            header_len.saturating_add(payload_len).min(frame.len())
        });
        self.frame_start + len
    }
}

/// The close frame among these frames of ours, if there is one.
pub(crate) fn close_among(mut frames: &[u8]) -> Option<&[u8]> {
    loop {
        let (header, header_len) = Header::parse(frames, Role::Client(|| [0; 4])).ok()??;
        let len = header_len.checked_add(usize::try_from(header.payload_len).ok()?)?;
        let (frame, rest) = frames.split_at_checked(len)?;
        if header.opcode == OpCode::Close {
            return Some(frame);
        }
        frames = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::frame::{Position, encode};
    use proptest::prelude::*;

    fn frame(len: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let payload: Vec<u8> = (0..=255).cycle().take(len).collect();
        encode(&mut out, Position::Last, OpCode::Binary, None, &payload);
        out
    }

    /// §5.4: what has begun is finished, the rest may go.
    #[test]
    fn only_frames_not_yet_begun_are_dropped() {
        let (first, second) = (frame(10), frame(300));
        let mut outbox = Outbox::default();
        outbox.queue(&[&first[..], &second].concat());
        outbox.advance(first.len() + 1);
        outbox.queue(&frame(5));
        assert_eq!(outbox.drop_unstarted(), frame(5).len());
        assert_eq!(outbox.pending(), &second[1..]);
        outbox.advance(second.len() - 1);
        outbox.queue(&first);
        assert_eq!(outbox.drop_unstarted(), first.len());
        assert!(outbox.is_empty());
    }

    /// The answer to the handshake is one unit, and frames follow it.
    #[test]
    fn a_preamble_is_finished_before_the_frames() {
        let mut outbox = Outbox::with_preamble(20);
        outbox.queue(&[&[b'h'; 20][..], &frame(3)].concat());
        outbox.advance(7);
        assert_eq!(outbox.drop_unstarted(), frame(3).len());
        assert_eq!(outbox.pending(), [b'h'; 13]);
        outbox.queue(&frame(4));
        outbox.advance(13);
        assert_eq!(outbox.unstarted(), frame(4).len());
        assert_eq!(outbox.pending(), frame(4));
    }

    /// RFC 6455 §4.2.2: no frame goes without the answer, begun or not.
    #[test]
    fn a_preamble_is_not_dropped() {
        let mut outbox = Outbox::with_preamble(20);
        outbox.queue(&[&[b'h'; 20][..], &[0x88, 0], &frame(3)].concat());
        assert_eq!(outbox.unstarted_close(), Some(&[0x88, 0][..]));
        assert_eq!(outbox.drop_unstarted(), 2 + frame(3).len());
        assert_eq!(outbox.pending(), [b'h'; 20]);
    }

    /// §7.1.2: a close frame that waits is found behind what waits with it; one that has begun
    /// goes by itself.
    #[test]
    fn a_close_frame_that_waits_is_found() {
        let close = [0x88, 2, 0x03, 0xe8];
        let mut outbox = Outbox::default();
        outbox.queue(&[&frame(3)[..], &close, &frame(200)].concat());
        assert_eq!(outbox.unstarted_close(), Some(&close[..]));
        outbox.advance(frame(3).len() + 1);
        assert_eq!(outbox.unstarted_close(), None);
        assert_eq!(close_among(&frame(70_000)), None);
    }

    proptest! {
        /// Whatever is queued, written and dropped: what leaves is whole frames, in order, less
        /// those that were dropped.
        #[test]
        fn what_leaves_is_whole_frames_in_order(
            steps in prop::collection::vec((0usize..200, 0usize..400, prop::bool::weighted(0.1)), 1..60)
        ) {
            let mut outbox = Outbox::default();
            let (mut left, mut model) = (Vec::new(), Vec::new());
            for (len, written, drop_rest) in steps {
                outbox.queue(&frame(len));
                model.extend(frame(len));
                let written = written.min(outbox.len());
                left.extend_from_slice(&outbox.pending()[..written]);
                outbox.advance(written);
                if drop_rest {
                    let dropped = outbox.drop_unstarted();
                    model.truncate(model.len() - dropped);
                }
                prop_assert_eq!(left.len() + outbox.len(), model.len());
            }
            left.extend_from_slice(outbox.pending());
            prop_assert_eq!(&left, &model);
            let mut rest = &left[..];
            while !rest.is_empty() {
                let (header, len) =
                    Header::parse(rest, Role::Client(|| [0; 4])).unwrap().unwrap();
                rest = &rest[len + usize::try_from(header.payload_len).unwrap()..];
            }
        }
    }
}
