//! Topics and what is published to them.
//! Invariant: one name, one topic, one number, for as long as the server lives; and its
//! publications are numbered without a gap, from 1 or from where the server's options say.

use super::stamp::Stamp;
use crate::proto::{Message, OpCode};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What a topic keeps for those who subscribe later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retain {
    /// Nothing: a new subscriber gets what is published from then on.
    Nothing,
    /// The last message: a new subscriber gets it at once.
    Last,
}

/// What becomes of a topic's messages for a subscriber that has not taken the earlier ones: one that
/// its socket has no room for. Whoever keeps up gets every message, whatever this says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lag {
    /// Each message counts: they are queued, and where the subscriber's send queue has no room, or
    /// the oldest has waited for too long, its connection is closed, code 1008.
    #[default]
    Close,
    /// A message that the send queue has no room for is dropped.
    DropNewest,
    /// A message that the send queue has no room for pushes out the oldest of such topics.
    DropOldest,
    /// A message replaces the one that waits, or the one with the same key (see
    /// [`Handler::conflation_key`](crate::server::Handler::conflation_key)): what waits is at most
    /// one message a topic and key, beside the send queue.
    Conflate,
    /// What waits becomes one message (see [`Handler::fold`](crate::server::Handler::fold)) when
    /// the subscriber takes it, and costs it no memory until then.
    Fold,
}

/// How a topic treats its subscribers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicOptions {
    /// What it keeps for those who subscribe later.
    pub retain: Retain,
    /// What becomes of its messages where a subscriber lags.
    pub lag: Lag,
    /// How many of its last messages each worker keeps for subscribers that come back and say up
    /// to which number they have them ([`Context::resume`](crate::server::Context::resume)). 0:
    /// none.
    pub resume_events: usize,
}

impl From<Retain> for TopicOptions {
    fn from(retain: Retain) -> Self {
        Self { retain, lag: Lag::default(), resume_events: 0 }
    }
}

/// A named channel that messages are published to. Cheap to clone; get one from
/// [`Publisher::topic`](super::Publisher::topic) and keep it, so that publishing looks nothing up.
#[derive(Clone, Debug)]
pub struct Topic(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// `None`: the topic is on no list, and lives as long as its publications.
    number: Option<usize>,
    name: Box<str>,
    options: TopicOptions,
    /// The number before that of the first publication.
    before_first: u64,
    /// The number of the last publication, or the one before the first.
    published: AtomicU64,
}

impl Topic {
    /// The topic's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What it keeps for those who subscribe later.
    #[must_use]
    pub fn retain(&self) -> Retain {
        self.0.options.retain
    }

    /// What becomes of its messages where a subscriber lags.
    #[must_use]
    pub fn lag(&self) -> Lag {
        self.0.options.lag
    }

    /// How many publications it has had, those lost on the way counted.
    #[must_use]
    pub fn published(&self) -> u64 {
        self.last_seq() - self.0.before_first
    }

    /// How many of its last messages are kept for those who come back.
    #[must_use]
    pub fn resume_events(&self) -> usize {
        self.0.options.resume_events
    }

    /// The number of the last publication, on its way or there.
    pub(crate) fn last_seq(&self) -> u64 {
        self.0.published.load(Ordering::Relaxed)
    }

    /// Topics on the server's list are numbered from 0 in the order of their making.
    pub(crate) fn number(&self) -> Option<usize> {
        self.0.number
    }

    /// The number of the topic's next publication, which is taken by that.
    pub(crate) fn next_seq(&self) -> u64 {
        if self.0.number.is_none() {
            return 0;
        }
        self.0.published.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A topic that is not put on the list, for names that nobody asked a [`Topic`] for.
    pub(crate) fn passing(name: &str) -> Self {
        Self::new(None, name, Retain::Nothing.into(), 0)
    }

    fn new(number: Option<usize>, name: &str, options: TopicOptions, before_first: u64) -> Self {
        let published = AtomicU64::new(before_first);
        Self(Arc::new(Inner { number, name: name.into(), options, before_first, published }))
    }
}

/// A message on its way from a publisher to the workers.
#[derive(Clone, Debug)]
pub struct Publication {
    /// Where it was published.
    pub topic: Topic,
    /// [`OpCode::Text`] or [`OpCode::Binary`].
    pub opcode: OpCode,
    /// The message's payload.
    pub payload: Arc<[u8]>,
    /// Which of the topic's publications it is, from 1 or where
    /// [`Options::first_seq`](crate::server::Options::first_seq) says; a gap is a loss. 0 on a topic that no
    /// [`Publisher::topic`](super::Publisher::topic) has made, where nobody counts.
    pub seq: u64,
    /// When it came in.
    pub stamp: Stamp,
    pub(crate) care: Care,
}

/// What a publication asks for where a subscriber lags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Care {
    /// What its topic says.
    Usual,
    /// To be queued while there is room, whatever its topic says.
    Queued,
    /// The same; and whoever publishes it can wait for subscribers that read.
    Awaited,
}

impl Publication {
    /// A message that came in at `stamp`; it takes the topic's next number.
    pub(crate) fn new(topic: &Topic, message: Message<'_>, stamp: Stamp) -> Self {
        Self {
            topic: topic.clone(),
            opcode: message.opcode(),
            payload: Arc::from(message.payload()),
            seq: topic.next_seq(),
            stamp,
            care: Care::Usual,
        }
    }
}

/// All topics of a server, by name.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    by_name: Mutex<HashMap<Box<str>, Topic>>,
    /// The number before that of each topic's first publication.
    before_first: u64,
}

impl Topics {
    /// An empty list of topics whose publications are numbered from `first_seq`.
    pub(crate) fn numbered_from(first_seq: u64) -> Self {
        Self { before_first: first_seq.saturating_sub(1), ..Self::default() }
    }

    /// The number before that of each topic's first publication.
    pub(crate) fn before_first(&self) -> u64 {
        self.before_first
    }

    /// The topic with this name, if there is one.
    pub(crate) fn find(&self, name: &str) -> Option<Topic> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// The topic with this name, made with `options` if it is new.
    pub(crate) fn intern(&self, name: &str, options: impl Into<TopicOptions>) -> Topic {
        let mut topics = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(topic) = topics.get(name) {
            return topic.clone();
        }
        let number = Some(topics.len());
        let topic = Topic::new(number, name, options.into(), self.before_first);
        topics.insert(name.into(), topic.clone());
        topic
    }

    /// All of them, in the order of their making.
    pub(crate) fn list(&self) -> Vec<Topic> {
        let topics = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        let mut list: Vec<Topic> = topics.values().cloned().collect();
        drop(topics);
        list.sort_unstable_by_key(Topic::number);
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_is_one_topic() {
        let topics = Topics::default();
        let a = topics.intern("a", Retain::Last);
        let b = topics.intern("b", Retain::Nothing);
        let again = topics.intern("a", Retain::Nothing);
        assert_eq!((a.number(), b.number(), again.number()), (Some(0), Some(1), Some(0)));
        assert!(topics.find("b").is_some() && topics.find("c").is_none());
        assert_eq!((again.name(), again.retain()), ("a", Retain::Last));
    }

    #[test]
    fn topics_are_listed_in_the_order_of_their_making() {
        let topics = Topics::default();
        let names = ["b", "a", "d", "c"];
        let made = names.map(|name| topics.intern(name, Retain::Nothing));
        made[1].next_seq();
        let listed = topics.list();
        assert_eq!(listed.iter().map(Topic::name).collect::<Vec<_>>(), names);
        assert_eq!(listed.iter().map(Topic::published).collect::<Vec<_>>(), [0, 1, 0, 0]);
    }

    #[test]
    fn each_topic_numbers_its_own_publications_from_1() {
        let topics = Topics::default();
        let [a, b] = ["a", "b"].map(|name| topics.intern(name, Retain::Nothing));
        let again = topics.intern("a", Retain::Nothing);
        assert_eq!([a.next_seq(), b.next_seq(), again.next_seq(), a.next_seq()], [1, 1, 2, 3]);
        let later = Topics::numbered_from(1000).intern("a", Retain::Nothing);
        assert_eq!([later.last_seq(), later.next_seq(), later.last_seq()], [999, 1000, 1000]);
        let passing = Topic::passing("c");
        assert_eq!([passing.next_seq(), passing.next_seq()], [0, 0]);
    }
}
