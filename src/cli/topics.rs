//! The topics that feeds publish to: one for each stream.
//! Invariant: topics are made for at most [`STREAMS_MAX`] stream names.

use crate::market::StreamClass;
use crate::server::{Topic, TopicOptions};
use std::collections::HashMap;

/// Stream names that a feed may bring. Events of further names are dropped.
const STREAMS_MAX: usize = 65_536;

/// Topics by their streams' names.
#[derive(Debug)]
pub(super) struct StreamTopics {
    /// What is kept of a stream whose last event does not say what those before it did.
    resume_events: usize,
    by_stream: HashMap<Box<str>, Topic>,
    /// Whether a stream found no room, which is said once.
    full: bool,
}

impl StreamTopics {
    pub(super) fn new(resume_events: usize) -> Self {
        Self { resume_events, by_stream: HashMap::new(), full: false }
    }

    /// The topic of a stream, made by `make` if it is new; `None` where there is no room for it.
    pub(super) fn of(
        &mut self,
        stream: &str,
        make: impl FnOnce(&str, TopicOptions) -> Topic,
    ) -> Option<&Topic> {
        if !self.by_stream.contains_key(stream) {
            self.add(stream, make);
        }
        self.by_stream.get(stream)
    }

    fn add(&mut self, stream: &str, make: impl FnOnce(&str, TopicOptions) -> Topic) {
        if self.by_stream.len() < STREAMS_MAX {
            let class = StreamClass::of(stream);
            let resume_events = if class == StreamClass::State { 0 } else { self.resume_events };
            let options = TopicOptions { resume_events, ..class.into() };
            self.by_stream.insert(stream.into(), make(stream, options));
        } else if !std::mem::replace(&mut self.full, true) {
            tracing::warn!("more than {STREAMS_MAX} streams: events of new ones are dropped");
        }
    }
}
