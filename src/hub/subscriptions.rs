//! Who of a worker's sessions is subscribed to what.
//! Invariant: a session's list of topics and a topic's list of members always say the same, each
//! entry holding the other's position, so that all changes take constant time. A name that nobody
//! feeds lives only as long as somebody is subscribed to it. Whoever comes back gets each event
//! that it has not seen once, wherever it saw the others.

mod resume;

pub(super) use resume::Keeps;
pub(crate) use resume::Numbering;

use super::history::{History, Kept};
use super::topic::{Publication, Retain, Topic};
use resume::Ahead;
use slab::Slab;
use std::collections::HashMap;
use std::sync::Arc;

/// A topic's place in the table of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotKey(usize);

impl SlotKey {
    /// The place's number: that of one topic for as long as the topic is fed or subscribed to.
    pub(crate) const fn number(self) -> usize {
        self.0
    }
}

/// The subscriptions of one worker's sessions. Sessions are known by their place in the worker's
/// own table.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    by_name: HashMap<Arc<str>, SlotKey>,
    /// Slots of the topics that were published to, by topic number.
    by_number: Vec<Option<SlotKey>>,
    slots: Slab<Slot>,
    by_session: HashMap<u32, Vec<Entry>>,
    kept: Kept,
    /// Sessions that have seen more of a topic than has come to this worker: few, and not for long.
    ahead: Vec<Ahead>,
}

#[derive(Debug)]
struct Slot {
    name: Arc<str>,
    members: Vec<Member>,
    last: Option<Publication>,
    history: History,
    /// Whether anything was ever published here. Such a slot stays.
    fed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    session: u32,
    /// Where in the session's list this subscription stands.
    position: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    slot: SlotKey,
    /// Where in the slot's members the session stands.
    position: usize,
}

impl Subscriptions {
    /// No subscriptions. Topics keep up to `kept_bytes_max` together for those who come back.
    pub(crate) fn new(kept_bytes_max: usize) -> Self {
        Self {
            by_name: HashMap::new(),
            by_number: Vec::new(),
            slots: Slab::new(),
            by_session: HashMap::new(),
            kept: Kept::new(kept_bytes_max),
            ahead: Vec::new(),
        }
    }

    /// Subscribes a session; `None` where it already was. Yields the topic's slot, whose
    /// [`Self::last`] the session has not seen.
    pub(crate) fn subscribe(&mut self, session: u32, name: &str) -> Option<SlotKey> {
        let key = self.slot_of(name);
        let entries = self.by_session.entry(session).or_default();
        if entries.iter().any(|entry| entry.slot == key) {
            return None;
        }
        let slot = self.slots.get_mut(key.0)?;
        entries.push(Entry { slot: key, position: slot.members.len() });
        slot.members.push(Member { session, position: entries.len() - 1 });
        Some(key)
    }

    /// Ends a subscription; `false` where there was none.
    pub(crate) fn unsubscribe(&mut self, session: u32, name: &str) -> bool {
        let Some(&key) = self.by_name.get(name) else {
            return false;
        };
        let Some(entries) = self.by_session.get(&session) else {
            return false;
        };
        let Some(position) = entries.iter().position(|entry| entry.slot == key) else {
            return false;
        };
        self.remove(session, position);
        true
    }

    /// Ends all subscriptions of a session.
    pub(crate) fn unsubscribe_all(&mut self, session: u32) {
        while self.count(session) > 0 {
            self.remove(session, self.count(session) - 1);
        }
        self.by_session.remove(&session);
    }

    /// Whether a session is subscribed to a topic.
    pub(crate) fn is_subscribed(&self, session: u32, name: &str) -> bool {
        let key = self.find(name);
        let entries = self.by_session.get(&session).map(Vec::as_slice).unwrap_or_default();
        key.is_some_and(|key| entries.iter().any(|entry| entry.slot == key))
    }

    /// How many topics a session is subscribed to.
    pub(crate) fn count(&self, session: u32) -> usize {
        self.by_session.get(&session).map_or(0, Vec::len)
    }

    /// The names of the topics that a session is subscribed to.
    pub(crate) fn names(&self, session: u32) -> impl Iterator<Item = &str> {
        let entries = self.by_session.get(&session).map(Vec::as_slice).unwrap_or_default();
        entries.iter().filter_map(|entry| self.slots.get(entry.slot.0)).map(|slot| &*slot.name)
    }

    /// The sessions subscribed to a topic.
    pub(crate) fn members(&self, key: SlotKey) -> impl Iterator<Item = u32> {
        let slot = self.slots.get(key.0);
        let members = slot.map(|slot| slot.members.as_slice()).unwrap_or_default();
        members.iter().map(|member| member.session)
    }

    /// The message that a topic keeps for new subscribers.
    pub(crate) fn last(&self, key: SlotKey) -> Option<&Publication> {
        self.slots.get(key.0)?.last.as_ref()
    }

    /// The slot with this name, if anybody is subscribed to it or has fed it.
    pub(crate) fn find(&self, name: &str) -> Option<SlotKey> {
        self.by_name.get(name).copied()
    }

    /// Takes note of a publication; yields the slot whose members are to get it, if there can be
    /// any.
    pub(crate) fn note(&mut self, publication: &Publication) -> Option<SlotKey> {
        let key = self.slot_of_topic(&publication.topic)?;
        if publication.topic.resume_events() > 0
            && let Some(slot) = self.slots.get_mut(key.0)
            && self.kept.push(&mut slot.history, publication)
        {
            self.kept.make_room(self.slots.iter_mut().map(|(_, slot)| &mut slot.history));
        }
        if publication.topic.retain() == Retain::Last
            && let Some(slot) = self.slots.get_mut(key.0)
        {
            slot.last = Some(publication.clone());
        }
        Some(key)
    }

    /// The slot of a topic that is published to, if there can be anybody who is to get it.
    pub(crate) fn slot_of_topic(&mut self, topic: &Topic) -> Option<SlotKey> {
        let Some(number) = topic.number() else { return self.find(topic.name()) };
        if let Some(Some(key)) = self.by_number.get(number) {
            return Some(*key);
        }
        let key = self.slot_of(topic.name());
        if let Some(slot) = self.slots.get_mut(key.0) {
            slot.fed = true;
        }
        if self.by_number.len() <= number {
            self.by_number.resize(number + 1, None);
        }
        if let Some(place) = self.by_number.get_mut(number) {
            *place = Some(key);
        }
        Some(key)
    }

    fn slot_of(&mut self, name: &str) -> SlotKey {
        if let Some(key) = self.by_name.get(name) {
            return *key;
        }
        let name: Arc<str> = name.into();
        let slot = Slot {
            name: Arc::clone(&name),
            members: Vec::new(),
            last: None,
            history: History::default(),
            fed: false,
        };
        let key = SlotKey(self.slots.insert(slot));
        self.by_name.insert(name, key);
        key
    }

    /// Removes one entry of a session's list and its counterpart; what moves into their places is
    /// told where it now stands.
    fn remove(&mut self, session: u32, position: usize) {
        let Some(entries) = self.by_session.get_mut(&session) else {
            return;
        };
        if position >= entries.len() {
            return;
        }
        let entry = entries.swap_remove(position);
        self.ahead.retain(|ahead| ahead.session != session || ahead.slot != entry.slot);
        if let Some(moved) = entries.get(position).copied()
            && let Some(slot) = self.slots.get_mut(moved.slot.0)
            && let Some(member) = slot.members.get_mut(moved.position)
        {
            member.position = position;
        }
        let Some(slot) = self.slots.get_mut(entry.slot.0) else {
            return;
        };
        slot.members.swap_remove(entry.position);
        if let Some(moved) = slot.members.get(entry.position)
            && let Some(entries) = self.by_session.get_mut(&moved.session)
            && let Some(other) = entries.get_mut(moved.position)
        {
            other.position = entry.position;
        }
        if slot.members.is_empty() && !slot.fed {
            self.by_name.remove(&slot.name);
            self.slots.remove(entry.slot.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::stamp::Stamp;
    use super::super::topic::Topics;
    use super::*;
    use crate::proto::Message;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn members(table: &Subscriptions, key: SlotKey) -> Vec<u32> {
        table.members(key).collect()
    }

    fn publication(topics: &Topics, name: &str, text: &str) -> Publication {
        let topic = topics.intern(name, Retain::Last);
        Publication::new(&topic, Message::Text(text), Stamp::now())
    }

    /// A name subscribed to before anything feeds it gets what is published later.
    #[test]
    fn a_topic_fed_later_reaches_those_who_waited() {
        let (topics, mut table) = (Topics::default(), Subscriptions::new(0));
        assert!(table.subscribe(7, "x").is_some());
        assert!(table.subscribe(7, "x").is_none());
        let key = table.note(&publication(&topics, "x", "1")).unwrap();
        assert_eq!(members(&table, key), [7]);
        assert_eq!(table.last(key).map(|last| &*last.payload), Some(&b"1"[..]));
    }

    /// Names that nobody feeds cost nothing once nobody is subscribed.
    #[test]
    fn silent_names_are_forgotten_and_fed_ones_kept() {
        let (topics, mut table) = (Topics::default(), Subscriptions::new(0));
        table.note(&publication(&topics, "fed", "1"));
        table.subscribe(1, "fed");
        table.subscribe(1, "silent");
        table.unsubscribe_all(1);
        assert!(table.find("silent").is_none());
        let key = table.subscribe(2, "fed").unwrap();
        assert_eq!(table.last(key).map(|last| &*last.payload), Some(&b"1"[..]));
        assert_eq!((table.slots.len(), table.by_session.len()), (1, 1));
    }

    /// A publication on a topic that is on no list reaches those who are there and leaves no trace.
    #[test]
    fn passing_topics_leave_no_trace() {
        let mut table = Subscriptions::new(0);
        let passing = Publication::new(&Topic::passing("x"), Message::Text("1"), Stamp::now());
        assert!(table.note(&passing).is_none());
        table.subscribe(1, "x");
        let key = table.note(&passing).unwrap();
        assert_eq!((members(&table, key), table.last(key).is_none()), (vec![1], true));
        table.unsubscribe_all(1);
        assert!(table.slots.is_empty() && table.by_name.is_empty());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Subscribe(u32, u8),
        Unsubscribe(u32, u8),
        Leave(u32),
        Publish(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0u32..5, 0u8..5).prop_map(|(s, t)| Step::Subscribe(s, t)),
            3 => (0u32..5, 0u8..5).prop_map(|(s, t)| Step::Unsubscribe(s, t)),
            1 => (0u32..5).prop_map(Step::Leave),
            1 => (0u8..5).prop_map(Step::Publish),
        ]
    }

    proptest! {
        /// The table is a set of pairs, whatever is done to it.
        #[test]
        fn the_table_is_a_set_of_pairs(steps in prop::collection::vec(step(), 0..200)) {
            let (topics, mut table) = (Topics::default(), Subscriptions::new(0));
            let mut model: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Subscribe(s, t) => {
                        let new = model.entry(s).or_default().insert(t.to_string());
                        prop_assert_eq!(table.subscribe(s, &t.to_string()).is_some(), new);
                    }
                    Step::Unsubscribe(s, t) => {
                        let was = model.entry(s).or_default().remove(&t.to_string());
                        prop_assert_eq!(table.unsubscribe(s, &t.to_string()), was);
                    }
                    Step::Leave(s) => {
                        model.remove(&s);
                        table.unsubscribe_all(s);
                    }
                    Step::Publish(t) => {
                        let key = table.note(&publication(&topics, &t.to_string(), "")).unwrap();
                        let members: BTreeSet<u32> = members(&table, key).into_iter().collect();
                        let expected = model.iter().filter(|(_, set)| set.contains(&t.to_string()));
                        prop_assert_eq!(members, expected.map(|(s, _)| *s).collect());
                    }
                }
                for (session, names) in &model {
                    let listed: BTreeSet<String> =
                        table.names(*session).map(str::to_owned).collect();
                    prop_assert_eq!(&listed, names);
                    prop_assert_eq!(table.count(*session), names.len());
                }
            }
        }
    }
}
