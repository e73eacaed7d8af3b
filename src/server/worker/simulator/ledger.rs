//! What each peer is owed, and what the application was told: the model that the server is held to.
//!
//! The application notes each message that it sends, in order; a peer that reads compares. Events are
//! numbered by topic without a gap, so that a subscriber knows which one comes next.
//! Invariant: nothing in here is asked of the server, but for how many events it has taken in.

use crate::hub::{Lag, Retain, TopicOptions};
use crate::outbox::ITEM_BYTES;
use crate::server::folds::{Absorbed, Fold};
use std::collections::{BTreeMap, VecDeque};

/// Topics that events are published to from outside.
pub(super) const TOPICS: [&str; 5] = ["plain", "kept", "third", "state", "folded"];
/// It keeps its last event.
pub(super) const RETAINED: usize = 1;
/// It keeps its last event, and where a subscriber lags that takes the place of those before.
pub(super) const CONFLATED: usize = 3;
/// Where a subscriber lags, its events become one that stands for a run of them.
pub(super) const FOLDED: usize = 4;
/// The topic that the application publishes to.
pub(super) const CHAT: usize = TOPICS.len();
/// Its name, which no publisher knows.
pub(super) const CHAT_NAME: &str = "chat";

/// What a message takes in a send queue besides its payload.
pub(super) const FRAME_BYTES: usize = 10 + ITEM_BYTES;

/// One thing that a connection is sent by the application, and what it means for its topics.
#[derive(Debug)]
pub(super) struct Owed {
    pub(super) payload: Vec<u8>,
    pub(super) effect: Effect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    None,
    /// Events of this topic follow, from this number.
    Subscribed(usize, u64),
    /// None follow, all before this number having come but for what may be left out.
    Unsubscribed(usize, u64),
}

/// What the application was told about a connection, and what it did.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) owed: VecDeque<Owed>,
    /// The number of the next event of each topic that the peer is subscribed to.
    pub(super) next: BTreeMap<usize, u64>,
    pub(super) accepted_at: Option<u64>,
    /// When the server last read something from it.
    pub(super) heard_at: u64,
    pub(super) opened_at: Option<u64>,
    /// When the application closed it, or panicked.
    pub(super) closing_at: Option<u64>,
    pub(super) closed_at: Option<u64>,
    /// Bytes of all messages that the application had sent, or wanted to.
    pub(super) sent_bytes: usize,
}

/// The whole model.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) accounts: Vec<Account>,
    /// Topics of the events that went into the inbox, in order.
    log: Vec<usize>,
    /// How many of these the worker has taken, and of each topic.
    taken: usize,
    taken_by_topic: [u64; TOPICS.len()],
    /// How many events each topic has had.
    numbers: [u64; TOPICS.len()],
    pub(super) chat_published: u64,
    pub(super) opened: u64,
    pub(super) closed: u64,
    pub(super) messages: u64,
    pub(super) accepted: u64,
    pub(super) pauses: u64,
    pub(super) read_bytes: u64,
    pub(super) written_bytes: u64,
    /// Of these, those written in a turn in which the connection was found to be gone: the worker
    /// may count them or not.
    pub(super) uncertain_bytes: u64,
    pub(super) event_bytes: usize,
}

impl Ledger {
    pub(super) fn account(&mut self, id: usize) -> &mut Account {
        while self.accounts.len() <= id {
            self.accounts.push(Account::default());
        }
        // It has just been made where it was not there.
        let last = self.accounts.len() - 1;
        self.accounts.get_mut(id.min(last)).expect("an account")
    }

    /// The number of the next event of a topic; [`Self::published`] says that it went out.
    pub(super) fn number(&self, topic: usize) -> u64 {
        self.numbers.get(topic).copied().unwrap_or_default()
    }

    pub(super) fn published(&mut self, topic: usize, bytes: usize) {
        self.log.push(topic);
        self.event_bytes += bytes;
        if let Some(number) = self.numbers.get_mut(topic) {
            *number += 1;
        }
    }

    /// Events in the worker's inbox, when it says that it has taken in so many in all.
    pub(super) fn waiting(&self, events_in: u64) -> u64 {
        (self.log.len() as u64 + self.chat_published).saturating_sub(events_in)
    }

    /// The number of the next event that a subscriber gets who subscribes now, `events_in` being
    /// how many the worker has taken in.
    pub(super) fn next_number(&mut self, topic: usize, events_in: u64) -> u64 {
        if topic == CHAT {
            return self.chat_published;
        }
        while (self.taken as u64) < events_in.saturating_sub(self.chat_published) {
            let Some(of) = self.log.get(self.taken) else { break };
            if let Some(taken) = self.taken_by_topic.get_mut(*of) {
                *taken += 1;
            }
            self.taken += 1;
        }
        self.taken_by_topic.get(topic).copied().unwrap_or_default()
    }
}

/// How a topic treats its subscribers.
pub(super) fn topic_options(topic: usize) -> TopicOptions {
    let kept = matches!(topic, RETAINED | CONFLATED);
    TopicOptions {
        retain: if kept { Retain::Last } else { Retain::Nothing },
        lag: match topic {
            CONFLATED => Lag::Conflate,
            FOLDED => Lag::Fold,
            _ => Lag::Close,
        },
        resume_events: 0,
    }
}

/// An event as it is published: its topic, its number, and bytes that depend on both.
pub(super) fn event(topic: usize, number: u64, bytes: usize) -> String {
    let filler = char::from(filler(topic, number)).to_string();
    format!("e{topic}:{number}:{}", filler.repeat(bytes))
}

fn filler(topic: usize, number: u64) -> u8 {
    b'a' + u8::try_from((topic as u64 * 7 + number) % 26).unwrap_or_default()
}

/// Which events a payload stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Events {
    pub(super) topic: usize,
    pub(super) first: u64,
    pub(super) last: u64,
}

impl Events {
    /// Those of a payload, if it is an event and nobody has touched it.
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        let text = str::from_utf8(payload).ok()?;
        let mut parts = text.strip_prefix('e')?.splitn(3, ':');
        let (topic, numbers) = (parts.next()?.parse().ok()?, parts.next()?);
        let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        let expected = filler(topic, last);
        let untouched = parts.next()?.bytes().all(|byte| byte == expected);
        (untouched && first <= last).then_some(Self { topic, first, last })
    }

    /// Whether a subscriber may get it for whom `next` is next.
    pub(super) fn may_come(self, next: u64) -> bool {
        match self.topic {
            CONFLATED => self.first == self.last && self.first >= next,
            FOLDED => self.first == next,
            _ => self.first == self.last && self.first == next,
        }
    }
}

/// A run of events that became one.
#[derive(Debug, Default)]
pub(super) struct Run {
    /// The numbers of the topic's events that it may begin with: by what the server counts, and
    /// ours.
    firsts: VecDeque<(u64, u64)>,
    last: Option<u64>,
}

impl Fold for Run {
    fn mark(&self, payload: &[u8]) -> Option<u64> {
        Events::parse(payload).map(|events| events.first)
    }

    fn absorb(&mut self, seq: u64, payload: &[u8]) -> Absorbed {
        let Some(Events { first, last, .. }) = Events::parse(payload) else {
            return Absorbed::Refused;
        };
        if self.last.is_some_and(|before| before + 1 != first) {
            return Absorbed::Refused;
        }
        self.firsts.push_back((seq, first));
        self.last = Some(last);
        Absorbed::Taken
    }

    fn since(&self, seq: u64, mark: u64, out: &mut Vec<u8>) -> bool {
        let known = self.firsts.contains(&(seq, mark));
        if let Some(last) = self.last.filter(|_| known) {
            let filler = char::from(filler(FOLDED, last));
            out.extend_from_slice(format!("e{FOLDED}:{mark}-{last}:{filler}").as_bytes());
        }
        known
    }

    fn forget_before(&mut self, seq: u64) {
        self.firsts.retain(|(of, _)| *of >= seq);
    }
}
