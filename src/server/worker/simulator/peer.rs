//! One peer: follows its script, reads in its way, and checks all that it reads.
//! Invariant: what an honest peer has been promised and does not get is a failure of the server's.

use super::reader::{Incoming, Reader, Stage, lacks};
use super::script::{Reading, Script, Step, key};
use super::wire::Moved;
use super::world::World;
use crate::proto::OpCode;
use crate::proto::frame::{Position, encode};
use std::collections::VecDeque;

/// Bytes read at once.
const READ_BYTES_MAX: usize = 64 << 10;
/// What an honest peer gets besides messages: pings, pongs, the answer to its request.
const UNCOUNTED_BYTES_MAX: usize = 4000;
/// Nothing that was asked for so long ago is still on its way, in microseconds.
const QUIET: u64 = 1_000_000;
/// The longest time until one that reads promptly reads, in microseconds.
const PROMPT: u64 = 50;

/// One peer.
#[derive(Debug)]
pub(super) struct Peer {
    id: usize,
    script: Script,
    reader: Reader,
    /// What it has begun to send.
    outgoing: VecDeque<u8>,
    /// Asked and not answered yet.
    asked: usize,
    /// Pings whose pongs are due.
    pings: VecDeque<Vec<u8>>,
    paused_until: u64,
    reads_at: u64,
    writes_at: u64,
    connected: bool,
    /// It has sent a close frame, or its end of TCP, or a reset.
    said_goodbye: bool,
    said_close: bool,
    ended: bool,
    /// The close frame came while it was sending: it may answer too late.
    told_amid_sending: bool,
    /// Nothing more will come of it.
    over: bool,
}

impl Peer {
    pub(super) fn new(id: usize, script: Script) -> Self {
        Self {
            id,
            script,
            reader: Reader::new(),
            outgoing: VecDeque::new(),
            asked: 0,
            pings: VecDeque::new(),
            paused_until: 0,
            reads_at: 0,
            writes_at: 0,
            connected: false,
            said_goodbye: false,
            said_close: false,
            ended: false,
            told_amid_sending: false,
            over: false,
        }
    }

    /// Whether it has done all that it wanted to, or nobody waits for it.
    pub(super) fn is_done(&self) -> bool {
        let idle = self.script.steps.is_empty() && self.outgoing.is_empty();
        self.over || !self.script.honest || self.said_goodbye || idle
    }

    /// Whether it has left for good.
    pub(super) const fn is_over(&self) -> bool {
        self.over
    }

    /// Whether bytes that come are read at once.
    pub(super) fn reads_promptly(&self) -> bool {
        self.script.reading == Reading::Prompt
    }

    /// How long until it takes note of something that came.
    pub(super) const fn attention(&self) -> Option<u64> {
        match self.script.reading {
            Reading::Prompt => Some(PROMPT),
            Reading::Slow(_, gap) => Some(gap),
            Reading::Never => None,
        }
    }

    /// What it still lacks though nothing is on its way.
    pub(super) fn lacks(&self, world: &mut World) -> Option<String> {
        let stays = self.script.honest && self.reads_promptly() && !self.said_goodbye;
        // One that still asks is answered after the end of the simulation, or not at all.
        let asks = !self.outgoing.is_empty()
            || world.ledger.account(self.id).heard_at + QUIET > world.now();
        if self.over || !stays || asks || self.reader.stage != Stage::Frames {
            return None;
        }
        if !self.pings.is_empty() {
            return Some(format!("{} pongs", self.pings.len()));
        }
        let taken = world.taken();
        let taken = |topic| taken.get(topic).copied().unwrap_or_default();
        lacks(world.ledger.account(self.id), taken)
    }

    /// Does what it does now; yields when it wants to be called again, if nothing happens.
    pub(super) fn act(&mut self, world: &mut World) -> Option<u64> {
        if !self.connected {
            self.connected = true;
            world.connect(self.id);
        }
        if self.over {
            return None;
        }
        let now = world.now();
        self.read(world);
        self.follow_script(world);
        self.write(world);
        if self.over {
            return None;
        }
        let reading = matches!(self.script.reading, Reading::Slow(..)).then_some(self.reads_at);
        let writing = (!self.outgoing.is_empty()).then_some(self.writes_at);
        let script =
            (!self.script.steps.is_empty() && self.paused_until > now).then_some(self.paused_until);
        [reading, writing, script].into_iter().flatten().min().map(|at| at.max(now + 1))
    }

    fn read(&mut self, world: &mut World) {
        let now = world.now();
        let (bytes_max, again) = match self.script.reading {
            Reading::Never => return,
            Reading::Slow(_, _) if self.reads_at > now => return,
            Reading::Slow(bytes, gap) => (bytes, Some(gap)),
            Reading::Prompt => (READ_BYTES_MAX, None),
        };
        self.reads_at = now + again.unwrap_or_default();
        loop {
            let mut buffer = std::mem::take(&mut world.buffer);
            buffer.resize(READ_BYTES_MAX, 0);
            let moved = world.peer_read(self.id, buffer.get_mut(..bytes_max).unwrap_or_default());
            if let Moved::Bytes(len) = moved {
                self.reader.take(buffer.get(..len).unwrap_or_default());
            }
            world.buffer = buffer;
            match moved {
                Moved::Bytes(_) => {
                    self.handle_incoming(world);
                    if again.is_some() {
                        return;
                    }
                }
                Moved::Refused => return,
                Moved::End => return self.handle_end(world),
                Moved::Reset => return self.handle_reset(world),
            }
        }
    }

    fn handle_incoming(&mut self, world: &mut World) {
        loop {
            let incoming = self.reader.next(world.ledger.account(self.id));
            match incoming {
                Ok(None) => return,
                Ok(Some(incoming)) => self.handle(world, incoming),
                Err(wrong) => return world.fail(format!("#{} got {wrong}", self.id)),
            }
        }
    }

    fn handle(&mut self, world: &mut World, incoming: Incoming) {
        match incoming {
            Incoming::Opened | Incoming::Message => {}
            Incoming::Answered => {
                self.script.steps.clear();
                self.outgoing.clear();
            }
            Incoming::Reply => self.asked = self.asked.saturating_sub(1),
            Incoming::Ping(payload) if self.script.answers && !self.said_close => {
                let mut bytes = Vec::new();
                let key = key(&mut world.chance);
                encode(&mut bytes, Position::Last, OpCode::Pong, Some(key), &payload);
                // What it is sending ends with a frame's end.
                self.outgoing.extend(bytes);
            }
            Incoming::Ping(_) => {}
            Incoming::Pong(payload) => {
                let due = self.pings.pop_front();
                if self.script.honest && due.as_ref() != Some(&payload) {
                    world.fail(format!("#{} got another pong than the next one", self.id));
                }
            }
            Incoming::Close(code) => {
                self.check_close(world, code);
                self.told_amid_sending = !self.outgoing.is_empty();
                self.script.steps.clear();
                if self.script.answers && !self.said_close {
                    self.take_step(world, Step::Close(code));
                }
            }
        }
    }

    /// An honest peer is never told that it broke the protocol.
    fn check_close(&self, world: &mut World, code: u16) {
        let blamed = matches!(code, 1002 | 1003 | 1007 | 1009);
        if self.script.honest && blamed && !self.said_close {
            world.fail(format!("#{}, which is honest, was told {code}", self.id));
        }
        // It comes behind all that was sent before, unless what was queued was dropped.
        let left = world.ledger.account(self.id).owed.len();
        if left > 0 && !world.has_dropped() {
            world.fail(format!("#{} got Close before {left} messages that were sent", self.id));
        }
        let slow = world.ledger.account(self.id).sent_bytes + world.ledger.event_bytes;
        if code == 1008 && slow + UNCOUNTED_BYTES_MAX < world.scenario.options.send_queue_bytes_max
        {
            let rated = world.scenario.options.message_rate.is_some();
            if self.script.honest && !rated {
                world.fail(format!("#{} was told 1008 over {slow} bytes", self.id));
            }
        }
    }

    /// The server says no more.
    fn handle_end(&mut self, world: &mut World) {
        self.over = true;
        world.peer_end(self.id);
        let fair = match self.reader.stage {
            Stage::Answer => self.reader.is_between_frames() && !self.outgoing.is_empty(),
            Stage::Frames => false,
            Stage::Closed(_) | Stage::Answered(_) => self.reader.is_between_frames(),
        };
        if self.is_owed_manners(world) && !fair {
            world.fail(format!("#{}: the server ended TCP without a word", self.id));
        }
    }

    fn handle_reset(&mut self, world: &mut World) {
        self.over = true;
        if self.is_owed_manners(world) {
            world.fail(format!("#{}: the server reset the connection", self.id));
        }
    }

    /// Whether the connection may only end in good order.
    fn is_owed_manners(&self, world: &World) -> bool {
        let gone_by_itself = self.said_goodbye && !self.said_close;
        self.script.honest
            && self.reads_promptly()
            && !gone_by_itself
            && !self.told_amid_sending
            && !world.is_forgiven(self.id)
    }

    fn follow_script(&mut self, world: &mut World) {
        while self.outgoing.is_empty() && self.paused_until <= world.now() && !self.over {
            let open = self.reader.stage != Stage::Answer;
            match self.script.steps.front() {
                Some(Step::AwaitOpen) if !open => return,
                Some(Step::AwaitReplies) if self.asked > 0 => return,
                _ => {}
            }
            let Some(step) = self.script.steps.pop_front() else { return };
            self.take_step(world, step);
        }
    }

    fn take_step(&mut self, world: &mut World, step: Step) {
        match step {
            Step::Send(bytes) => self.outgoing.extend(bytes),
            Step::Ask(count, bytes) => {
                self.asked += count;
                self.outgoing.extend(bytes);
            }
            Step::Ping(payload) => {
                let mut bytes = Vec::new();
                let key = key(&mut world.chance);
                encode(&mut bytes, Position::Last, OpCode::Ping, Some(key), &payload);
                self.outgoing.extend(bytes);
                self.pings.push_back(payload);
            }
            Step::Close(code) => {
                let mut bytes = Vec::new();
                let payload = code.to_be_bytes();
                let payload = if code == 1005 { &[][..] } else { &payload[..] };
                let key = key(&mut world.chance);
                encode(&mut bytes, Position::Last, OpCode::Close, Some(key), payload);
                self.outgoing.extend(bytes);
                self.script.steps.clear();
                (self.said_goodbye, self.said_close) = (true, true);
            }
            Step::AwaitOpen | Step::AwaitReplies => {}
            Step::Pause(micros) => self.paused_until = world.now() + micros,
            Step::End => {
                (self.said_goodbye, self.ended) = (true, true);
                world.peer_end(self.id);
            }
            Step::Reset => {
                (self.said_goodbye, self.over) = (true, true);
                world.peer_reset(self.id);
            }
        }
    }

    fn write(&mut self, world: &mut World) {
        let now = world.now();
        while !self.outgoing.is_empty() && self.writes_at <= now && !self.over {
            if self.ended {
                return self.outgoing.clear();
            }
            // In pieces, but not in any number of them.
            let piece = self.script.piece.max(self.outgoing.len() / 40).min(self.outgoing.len());
            let piece = world.chance.between(1, piece);
            let (front, _) = self.outgoing.as_slices();
            let front = front.get(..piece.min(front.len())).unwrap_or_default().to_vec();
            match world.peer_write(self.id, &front) {
                Moved::Bytes(len) => _ = self.outgoing.drain(..len),
                // Room is looked for now and then.
                Moved::Refused => self.writes_at = now + 1 + world.chance.micros(0, 500),
                Moved::End | Moved::Reset => self.outgoing.clear(),
            }
            if world.chance.one_in(2) {
                self.writes_at = self.writes_at.max(now + world.chance.micros(0, self.script.gap));
            }
        }
        if self.outgoing.is_empty() && !self.over {
            self.follow_script(world);
        }
    }
}
