//! What a peer makes of the server's bytes: an HTTP answer, then frames (RFC 6455 §5.2), read by a
//! few lines that share nothing with `proto`, and compared with what the ledger says it is owed.
//! Invariant: after an answer that is not 101 nothing comes, and after a close frame pongs alone.

use super::ledger::{Account, CONFLATED, Effect, Events, FOLDED};

/// How far the reading is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Answer,
    Frames,
    /// After a close frame with this code, or an HTTP answer with this status.
    Closed(u16),
    Answered(u16),
}

/// What the peer has to do something about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    Opened,
    Answered,
    /// The answer to a message of the peer's.
    Reply,
    /// Another message.
    Message,
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(u16),
}

/// A peer's reading side.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) stage: Stage,
    bytes: Vec<u8>,
    at: usize,
}

impl Reader {
    pub(super) const fn new() -> Self {
        Self { stage: Stage::Answer, bytes: Vec::new(), at: 0 }
    }

    /// Takes bytes as they come.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.at);
        self.at = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether all that came is whole.
    pub(super) fn is_between_frames(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// The next thing that came; an error where the server is wrong.
    pub(super) fn next(&mut self, account: &mut Account) -> Result<Option<Incoming>, String> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        match self.stage {
            Stage::Answer => {
                let Some((len, status)) = answer(rest)? else { return Ok(None) };
                self.at += len;
                self.stage = if status == 101 { Stage::Frames } else { Stage::Answered(status) };
                let opened = self.stage == Stage::Frames;
                Ok(Some(if opened { Incoming::Opened } else { Incoming::Answered }))
            }
            Stage::Frames => {
                let Some((opcode, start, len)) = header(rest)? else { return Ok(None) };
                let Some(payload) = rest.get(start..start + len) else { return Ok(None) };
                let payload = payload.to_vec();
                self.at += start + len;
                match opcode {
                    1 | 2 => receive(account, &payload),
                    8 => {
                        let code = match payload.first_chunk() {
                            Some(code) => u16::from_be_bytes(*code),
                            None => 1005,
                        };
                        self.stage = Stage::Closed(code);
                        Ok(Some(Incoming::Close(code)))
                    }
                    9 => Ok(Some(Incoming::Ping(payload))),
                    10 => Ok(Some(Incoming::Pong(payload))),
                    other => Err(format!("a frame with opcode {other}")),
                }
            }
            Stage::Closed(_) | Stage::Answered(_) if rest.is_empty() => Ok(None),
            Stage::Closed(code) => {
                let Some((opcode, start, len)) = header(rest)? else { return Ok(None) };
                let Some(payload) = rest.get(start..start + len) else { return Ok(None) };
                // §5.5.2: a ping is answered "unless it already received a Close frame".
                if opcode != 10 {
                    return Err(format!("a frame with opcode {opcode} after Close {code}"));
                }
                let payload = payload.to_vec();
                self.at += start + len;
                Ok(Some(Incoming::Pong(payload)))
            }
            Stage::Answered(status) => Err(format!("{} bytes after a {status}", rest.len())),
        }
    }
}

/// The length and the status of an HTTP answer that is whole, its content included.
fn answer(bytes: &[u8]) -> Result<Option<(usize, u16)>, String> {
    let Some(head_len) = bytes.windows(4).position(|end| end == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = bytes.get(..head_len).and_then(|head| str::from_utf8(head).ok()).unwrap_or("");
    let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    let Some(status) = status else { return Err(format!("no HTTP answer: {head:?}")) };
    let length = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    };
    let content: usize = head.lines().find_map(length).unwrap_or(0);
    let len = head_len + 4 + content;
    Ok((bytes.len() >= len).then_some((len, status)))
}

/// The opcode, the header's length and the payload's of a frame from a server.
fn header(bytes: &[u8]) -> Result<Option<(u8, usize, usize)>, String> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    if first & 0xf0 != 0x80 {
        return Err(format!("a frame that is not the only one, or compressed: {first:#x}"));
    }
    let (start, len) = match second {
        0..=125 => (2, usize::from(*second)),
        126 => match rest.first_chunk::<2>() {
            Some(len) => (4, usize::from(u16::from_be_bytes(*len))),
            None => return Ok(None),
        },
        127 => match rest.first_chunk::<8>() {
            Some(len) => (10, usize::try_from(u64::from_be_bytes(*len)).unwrap_or(usize::MAX)),
            None => return Ok(None),
        },
        _ => return Err("a masked frame from the server".into()),
    };
    let least = if start == 2 {
        0
    } else if start == 4 {
        126
    } else {
        1 << 16
    };
    if len < least || len > 1 << 24 {
        return Err(format!("a length of {len} in a header of {start} bytes"));
    }
    Ok(Some((first & 15, start, len)))
}

/// Takes a message: a reply that is owed, or the next event of a topic.
fn receive(account: &mut Account, payload: &[u8]) -> Result<Option<Incoming>, String> {
    if let Some(events) = Events::parse(payload) {
        let Events { topic, first, last } = events;
        let Some(next) = account.next.get_mut(&topic) else {
            return Err(format!("event {first} of topic {topic}, which nobody subscribed to"));
        };
        if !events.may_come(*next) {
            return Err(format!("events {first} to {last} of topic {topic} instead of {next}"));
        }
        *next = last + 1;
        return Ok(Some(Incoming::Message));
    }
    let start =
        |bytes: &[u8]| String::from_utf8_lossy(bytes.get(..20).unwrap_or(bytes)).into_owned();
    let Some(owed) = account.owed.pop_front() else {
        return Err(format!("a message that nobody sent: {:?}", start(payload)));
    };
    if owed.payload != payload {
        return Err(format!("{:?} instead of {:?}", start(payload), start(&owed.payload)));
    }
    match owed.effect {
        Effect::None => {}
        Effect::Subscribed(topic, number) => {
            account.next.insert(topic, number);
        }
        Effect::Unsubscribed(topic, number) => {
            let next = account.next.remove(&topic);
            let lags = matches!(topic, CONFLATED | FOLDED) && next.is_some_and(|n| n < number);
            if next != Some(number) && !lags {
                return Err(format!("{next:?} and not {number} events of topic {topic} came"));
            }
        }
    }
    let reply = payload.starts_with(b"r");
    Ok(Some(if reply { Incoming::Reply } else { Incoming::Message }))
}

/// What an open connection with nothing on its way still lacks.
pub(super) fn lacks(account: &Account, taken: impl Fn(usize) -> u64) -> Option<String> {
    if !account.owed.is_empty() {
        return Some(format!("{} messages", account.owed.len()));
    }
    let behind = |(topic, next): (&usize, &u64)| {
        let end = taken(*topic);
        (*next < end).then(|| format!("events {next} to {end} of topic {topic}"))
    };
    account.next.iter().find_map(behind)
}
