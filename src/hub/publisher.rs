//! The publishing end, for any thread.
//! Invariant: [`Publisher::publish`] never waits; what it could not deliver is counted.

use super::inbox::{Sender, Sent};
use super::stamp::Stamp;
use super::subscriptions::{Keeps, Numbering};
#[cfg(doc)]
use super::topic::Lag;
use super::topic::{Care, Publication, Retain, Topic, TopicOptions, Topics};
use crate::proto::Message;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What became of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It is in every worker's inbox.
    Delivered,
    /// The inboxes of this many workers were full: their subscribers do not get it.
    Dropped(usize),
    /// The server has stopped.
    Stopped,
}

/// How many messages went through a server's publishers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublisherStats {
    /// Messages published.
    pub published: u64,
    /// Deliveries to a worker that were dropped because its inbox was full.
    pub dropped_inbox_full: u64,
}

/// Publishes messages to the subscribers of all workers. `Clone`, `Send` and `Sync`: one for each
/// thread that has something to say.
#[derive(Clone)]
pub struct Publisher {
    shared: Arc<Shared>,
}

struct Shared {
    topics: Topics,
    inboxes: Vec<Sender>,
    published: AtomicU64,
    dropped: AtomicU64,
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").field("workers", &self.shared.inboxes.len()).finish()
    }
}

impl Publisher {
    /// A publisher to these inboxes, which numbers each topic's messages from `first_seq`.
    pub(crate) fn new(inboxes: Vec<Sender>, first_seq: u64) -> Self {
        Self {
            shared: Arc::new(Shared {
                topics: Topics::numbered_from(first_seq),
                inboxes,
                published: AtomicU64::new(0),
                dropped: AtomicU64::new(0),
            }),
        }
    }

    /// The topic with this name; `options` count when the topic is new: a [`Retain`](super::Retain)
    /// where a subscriber that lags is to be closed, else [`TopicOptions`]. Takes a lock: keep
    /// the topic rather than asking for it each time.
    #[must_use]
    pub fn topic(&self, name: &str, options: impl Into<TopicOptions>) -> Topic {
        self.shared.topics.intern(name, options)
    }

    /// All topics that were asked for, in the order of their making. Takes a lock and copies the list:
    /// for answers to people.
    #[must_use]
    pub fn topics(&self) -> Vec<Topic> {
        self.shared.topics.list()
    }

    /// Publishes a message that came in now, without waiting: a worker whose inbox is full misses
    /// it, which is counted. It is the topic's next by number; where several threads publish to one
    /// topic at once, theirs may arrive in another order than they are numbered in.
    pub fn publish(&self, topic: &Topic, message: Message<'_>) -> Delivery {
        self.publish_stamped(topic, message, Stamp::now())
    }

    /// Does the same for a message that came in at `stamp`: for sources that know better.
    pub fn publish_stamped(&self, topic: &Topic, message: Message<'_>, stamp: Stamp) -> Delivery {
        self.send_to_all(&Publication::new(topic, message, stamp), None, Sender::try_send)
    }

    /// Publishes a message, and waits for room in the workers' inboxes: for sources that can be
    /// slowed down without loss, such as a recording. Not from a handler: it would wait for itself.
    pub fn publish_waiting(&self, topic: &Topic, message: Message<'_>) -> Delivery {
        self.send_to_all(&Publication::new(topic, message, Stamp::now()), None, Sender::send)
    }

    /// Does the same for a message that is not to be conflated, folded or dropped because of a burst:
    /// it is queued for subscribers that lag as [`Lag::Close`] says while there is room, and what its
    /// topic's [`Lag`] says becomes of it where there is none.
    pub fn publish_queued(&self, topic: &Topic, message: Message<'_>) -> Delivery {
        self.publish_with(Care::Queued, topic, message)
    }

    /// Does the same as [`Self::publish_queued`], with more patience: while the queue of a subscriber
    /// is more than half full no more of such messages are taken from the worker's inbox, as long as
    /// that one goes on reading.
    pub fn publish_lossless(&self, topic: &Topic, message: Message<'_>) -> Delivery {
        self.publish_with(Care::Awaited, topic, message)
    }

    fn publish_with(&self, care: Care, topic: &Topic, message: Message<'_>) -> Delivery {
        let publication = Publication::new(topic, message, Stamp::now());
        self.send_to_all(&Publication { care, ..publication }, None, Sender::send)
    }

    /// The topic with this name, if somebody asked for it.
    pub(crate) fn find(&self, name: &str) -> Option<Topic> {
        self.shared.topics.find(name)
    }

    /// What is known of the numbers of the topic with this name.
    pub(crate) fn numbering(&self, name: &str) -> Numbering {
        let before_first = self.shared.topics.before_first();
        let topic = self.find(name).filter(|topic| topic.last_seq() > before_first);
        // Of what is yet to be published nothing can be missed.
        let Some(topic) = topic else {
            return Numbering { before_first, last: before_first, keeps: Keeps::Events };
        };
        let keeps = match (topic.resume_events(), topic.retain()) {
            (0, Retain::Nothing) => Keeps::Nothing,
            (0, Retain::Last) => Keeps::Last,
            _ => Keeps::Events,
        };
        Numbering { before_first, last: topic.last_seq(), keeps }
    }

    /// Whether there are other workers than one.
    pub(crate) fn has_others(&self) -> bool {
        self.shared.inboxes.len() > 1
    }

    /// Publishes, without waiting, to all workers but one, which has seen the message already.
    pub(crate) fn publish_to_others(&self, own: usize, publication: &Publication) {
        self.send_to_all(publication, Some(own), Sender::try_send);
    }

    /// What went through this publisher and its clones so far.
    #[must_use]
    pub fn stats(&self) -> PublisherStats {
        PublisherStats {
            published: self.shared.published.load(Ordering::Relaxed),
            dropped_inbox_full: self.shared.dropped.load(Ordering::Relaxed),
        }
    }

    fn send_to_all(
        &self,
        publication: &Publication,
        except: Option<usize>,
        send: impl Fn(&Sender, Publication) -> Sent,
    ) -> Delivery {
        let (mut full, mut gone) = (0, 0);
        for (worker, inbox) in self.shared.inboxes.iter().enumerate() {
            if Some(worker) == except {
                continue;
            }
            match send(inbox, publication.clone()) {
                Sent::Delivered => {}
                Sent::Full => full += 1,
                Sent::Gone => gone += 1,
            }
        }
        self.shared.published.fetch_add(1, Ordering::Relaxed);
        if gone == self.shared.inboxes.len() {
            return Delivery::Stopped;
        }
        if full == 0 {
            return Delivery::Delivered;
        }
        self.shared.dropped.fetch_add(full as u64, Ordering::Relaxed);
        Delivery::Dropped(full)
    }
}

#[cfg(test)]
mod tests {
    use super::super::inbox::channel;
    use super::*;

    /// A full inbox never blocks a feed, and the loss is counted.
    #[test]
    fn losses_are_reported_and_counted() {
        let (first, first_inbox) = channel(1, Arc::new(|| ()));
        let (second, second_inbox) = channel(2, Arc::new(|| ()));
        let publisher = Publisher::new(vec![first, second], 1);
        let topic = publisher.topic("t", Retain::Nothing);
        assert_eq!(publisher.publish(&topic, "1".into()), Delivery::Delivered);
        assert_eq!(publisher.publish(&topic, "2".into()), Delivery::Dropped(1));
        assert_eq!(publisher.publish(&topic, "3".into()), Delivery::Dropped(2));
        let stats = PublisherStats { published: 3, dropped_inbox_full: 3 };
        assert_eq!(publisher.stats(), stats);
        let first = second_inbox.try_receive().unwrap();
        assert_eq!((&*first.payload, first.seq), (&b"1"[..], 1));
        // What was lost shows in the numbers of what was not.
        assert_eq!(publisher.publish(&topic, "4".into()), Delivery::Dropped(1));
        for seq in [2, 4] {
            let next = second_inbox.try_receive().unwrap();
            assert_eq!(next.seq, seq);
        }
        drop((first_inbox, second_inbox));
        assert_eq!(publisher.publish(&topic, "4".into()), Delivery::Stopped);
    }
}
