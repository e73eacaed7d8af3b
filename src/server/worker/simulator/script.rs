//! What peers do: honest ones in many ways, hostile ones in the ways that are known.
//! Invariant: an honest peer keeps the protocol and the limits, and reads.

use super::chance::Chance;
use super::ledger::{CHAT, CONFLATED, FOLDED};
use super::scenario::Scenario;
use crate::proto::OpCode;
use crate::proto::frame::{Position, encode};
use std::collections::VecDeque;

/// One thing that a peer does, when it has done what comes before.
#[derive(Debug)]
pub(super) enum Step {
    /// Sends bytes, in pieces.
    Send(Vec<u8>),
    /// Sends so many messages that are answered.
    Ask(usize, Vec<u8>),
    /// Sends a ping with this payload.
    Ping(Vec<u8>),
    /// Sends a close frame with this code and nothing after it.
    Close(u16),
    /// Waits until the connection is open, or refused.
    AwaitOpen,
    /// Waits until all that was asked is answered.
    AwaitReplies,
    /// Does nothing for so many microseconds.
    Pause(u64),
    /// Sends no more, without a close frame.
    End,
    /// Resets the connection.
    Reset,
}

/// How a peer reads what it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Prompt,
    /// So many bytes each so many microseconds.
    Slow(usize, u64),
    Never,
}

/// What kind of peer it is.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) steps: VecDeque<Step>,
    pub(super) honest: bool,
    pub(super) reading: Reading,
    /// Answers pings, and close frames.
    pub(super) answers: bool,
    /// Bytes that it sends at once at most, and the time between two such pieces at most.
    pub(super) piece: usize,
    pub(super) gap: u64,
}

impl Script {
    pub(super) fn draw(chance: &mut Chance, scenario: &Scenario) -> Self {
        let honest = chance.below(100) >= scenario.hostile_percent;
        let slow = chance.one_in(if scenario.lagging { 1 } else { 5 });
        let mut script = Self {
            steps: VecDeque::new(),
            honest,
            reading: if slow {
                Reading::Slow(chance.between(1, 3000), chance.micros(1000, 100_000))
            } else {
                Reading::Prompt
            },
            answers: true,
            piece: chance.pick(1 << 20, &[3, 50, 1500]),
            gap: scenario.latency,
        };
        if honest {
            script.be_honest(chance, scenario);
        } else {
            script.be_hostile(chance, scenario);
        }
        script
    }

    fn then(&mut self, step: Step) {
        self.steps.push_back(step);
    }

    fn be_honest(&mut self, chance: &mut Chance, scenario: &Scenario) {
        if chance.one_in(8) {
            let path = chance.pick("/", &["/panic", "/a/longer/one?with=query"]);
            return self.then(Step::Send(
                format!("GET {path} HTTP/1.1\r\nHost: sim\r\n\r\n").into_bytes(),
            ));
        }
        let path = if chance.one_in(10) { chance.pick("/no", &["/panic"]) } else { "/" };
        let handshake = Step::Send(upgrade(path));
        if chance.one_in(3) {
            // Sooner than it may, but all the same.
            self.then(handshake);
        } else {
            self.then(handshake);
            self.then(Step::AwaitOpen);
        }
        for topic in [CONFLATED, FOLDED].into_iter().filter(|_| scenario.lagging) {
            let payload = format!("s{topic}");
            self.then(Step::Ask(1, message(chance, payload.as_bytes())));
        }
        for _ in 0..chance.below(12) {
            self.one_honest_thing(chance, scenario);
        }
        match chance.below(8) {
            0..4 => {
                self.then(Step::AwaitReplies);
                self.then(Step::Close(chance.pick(1000, &[1001, 3000, 4999])));
            }
            4 => self.then(Step::End),
            5 => self.then(Step::Reset),
            6 => self.then(Step::Ask(1, message(chance, b"c"))),
            _ => {}
        }
    }

    fn one_honest_thing(&mut self, chance: &mut Chance, scenario: &Scenario) {
        let bytes_max = usize::try_from(scenario.options.limits.message_bytes_max).unwrap_or(500);
        match chance.below(12) {
            0..3 => {
                let echo = text(chance, b'e', bytes_max.min(3000));
                self.then(Step::Ask(1, message(chance, &echo)));
            }
            3 => self.in_fragments(chance, scenario, bytes_max.min(3000)),
            4 => {
                // Several at once, long ones; where there is room, more than is read in a turn.
                let (mut bytes, mut count) = (Vec::new(), 0);
                let all = chance.between(1, scenario.at_once);
                while bytes.len() < all {
                    let echo = text(chance, b'e', bytes_max);
                    bytes.extend(message(chance, &echo));
                    count += 1;
                }
                self.then(Step::Ask(count, bytes));
            }
            5 => self.then(Step::Ping(text(chance, b'p', 120))),
            6 | 7 => self.order(chance, b's', CHAT),
            8 => self.order(chance, b'u', CHAT),
            9 => self.order(chance, b'p', 1000),
            10 => self.order(chance, b'b', 60_000),
            _ => {
                self.then(Step::AwaitReplies);
                self.then(Step::Pause(chance.micros(0, 3_000_000)));
            }
        }
        if chance.one_in(60) {
            self.order(chance, b'x', 0);
        }
    }

    /// An order with a number up to `last`.
    fn order(&mut self, chance: &mut Chance, order: u8, last: usize) {
        let payload = format!("{}{}", char::from(order), chance.between(0, last));
        self.then(Step::Ask(1, message(chance, payload.as_bytes())));
    }

    /// A message in pieces with a ping in between (§5.4).
    fn in_fragments(&mut self, chance: &mut Chance, scenario: &Scenario, bytes_max: usize) {
        let payload = text(chance, b'e', bytes_max);
        let cut = payload.len() / 2;
        let (first, rest) = payload.split_at(cut);
        let mut bytes = Vec::new();
        let key = key(chance);
        encode(&mut bytes, Position::More, OpCode::Text, Some(key), first);
        if scenario.options.limits.fragments_max > 2 {
            encode(&mut bytes, Position::More, OpCode::Continuation, Some(key), &[]);
        }
        self.then(Step::Send(bytes));
        self.then(Step::Ping(b"between".to_vec()));
        let mut bytes = Vec::new();
        encode(&mut bytes, Position::Last, OpCode::Continuation, Some(key), rest);
        self.then(Step::Ask(1, bytes));
    }

    fn be_hostile(&mut self, chance: &mut Chance, scenario: &Scenario) {
        self.answers = chance.one_in(2);
        if chance.one_in(2) {
            self.reading = chance.pick(Reading::Never, &[Reading::Slow(1, 700_000)]);
        }
        let flood = |chance: &mut Chance, one: &[u8]| one.repeat(chance.between(1, 400));
        match chance.below(6) {
            // Says nothing, or half of a request, or one byte a second.
            0 => {}
            1 => self.then(Step::Send(upgrade("/").split_off(chance.between(1, 60)))),
            2 => {
                (self.piece, self.gap) = (1, 1_000_000);
                self.then(Step::Send(upgrade("/")));
            }
            3 => {
                let garbage = (0..chance.below(6000)).map(|_| chance.bits().to_le_bytes()[0]);
                let garbage = garbage.collect();
                self.then(Step::Send(garbage));
            }
            4 => self
                .then(Step::Send([b"GET / HTTP/1.1\r\nX: ", &flood(chance, b"yyyy")[..]].concat())),
            _ => self.then(Step::Send(upgrade("/"))),
        }
        for _ in 0..chance.below(6) {
            let step = self.one_hostile_thing(chance, scenario);
            self.then(step);
        }
        match chance.below(5) {
            0 => self.then(Step::End),
            1 | 2 => self.then(Step::Reset),
            _ => {}
        }
    }

    fn one_hostile_thing(&mut self, chance: &mut Chance, scenario: &Scenario) -> Step {
        let key = key(chance);
        let mut bytes = Vec::new();
        match chance.below(11) {
            0 => encode(&mut bytes, Position::Last, OpCode::Ping, Some(key), b"flood"),
            1 => encode(&mut bytes, Position::More, OpCode::Continuation, Some(key), &[]),
            2 => encode(&mut bytes, Position::More, OpCode::Text, Some(key), b"x"),
            3 => encode(&mut bytes, Position::Last, OpCode::Text, None, b"unmasked"),
            4 => encode(&mut bytes, Position::Last, OpCode::Text, Some(key), b"\xff\xfe"),
            5 => return Step::Send(b"\x82\xff\x40\0\0\0\0\0\0\0abcdefgh".to_vec()),
            6 => return Step::Pause(chance.micros(0, 9_000_000)),
            // Far more than it reads.
            7 => bytes = message(chance, b"b30000"),
            8 => bytes = message(chance, b"s0"),
            9 => {
                let bytes_max = scenario.options.limits.message_bytes_max;
                let len = usize::try_from(bytes_max).unwrap_or(500).min(9000) + 1;
                bytes = message(chance, &vec![b'e'; len]);
                return Step::Send(bytes);
            }
            _ => return Step::Close(chance.pick(1000, &[1005, 999, 2000])),
        }
        let times = if chance.one_in(2) { chance.between(1, 400) } else { 1 };
        Step::Send(bytes.repeat(times))
    }
}

/// A request to open a WebSocket connection.
fn upgrade(path: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: sim\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .into_bytes()
}

pub(super) fn key(chance: &mut Chance) -> [u8; 4] {
    let [a, b, c, d, ..] = chance.bits().to_le_bytes();
    [a, b, c, d]
}

/// A message in one frame.
fn message(chance: &mut Chance, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let opcode = chance.pick(OpCode::Text, &[OpCode::Binary]);
    encode(&mut bytes, Position::Last, opcode, Some(key(chance)), payload);
    bytes
}

/// Up to so many bytes of text, which begins with `first`.
fn text(chance: &mut Chance, first: u8, bytes_max: usize) -> Vec<u8> {
    let len = chance.between(1, bytes_max);
    let filler = b'a' + u8::try_from(chance.below(26)).unwrap_or_default();
    let mut text = vec![filler; len];
    if let Some(byte) = text.first_mut() {
        *byte = first;
    }
    text
}
