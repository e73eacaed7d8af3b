//! What a server did wrong in a run, counted by kind, the first of it in words.
//! Invariant: a run is good if and only if [`Faults::total`] is zero.

use serde::Serialize;

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A payload that nobody sent.
    Wrong,
    /// A payload that did not come.
    Missing,
    /// A payload that came before.
    Repeated,
    /// A connection that ended by itself.
    Lost,
    /// A connection that could not be opened in the middle of a run.
    NotOpened,
    /// A message that was due and not sent: too many are on their way.
    NotSent,
    /// A moment at which the server had more memory than it may.
    Memory,
    /// A descriptor that the server still had when its connection was gone.
    Leaked,
}

/// How often each was seen.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Faults {
    pub(crate) total: u64,
    pub(crate) wrong: u64,
    pub(crate) missing: u64,
    pub(crate) repeated: u64,
    pub(crate) lost_connections: u64,
    pub(crate) not_opened: u64,
    pub(crate) not_sent: u64,
    pub(crate) over_memory: u64,
    pub(crate) leaked_descriptors: u64,
    pub(crate) first: Option<String>,
}

impl Faults {
    /// Counts; `describe` is called for the first fault of a run.
    #[cold]
    pub(super) fn note(&mut self, fault: Fault, count: u64, describe: impl FnOnce() -> String) {
        let counter = match fault {
            Fault::Wrong => &mut self.wrong,
            Fault::Missing => &mut self.missing,
            Fault::Repeated => &mut self.repeated,
            Fault::Lost => &mut self.lost_connections,
            Fault::NotOpened => &mut self.not_opened,
            Fault::NotSent => &mut self.not_sent,
            Fault::Memory => &mut self.over_memory,
            Fault::Leaked => &mut self.leaked_descriptors,
        };
        *counter += count;
        self.total += count;
        if self.first.is_none() && count > 0 {
            self.first = Some(describe());
        }
    }

    /// The kinds that were seen, in words.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let all = [
            ("wrong payloads", self.wrong),
            ("missing payloads", self.missing),
            ("repeated payloads", self.repeated),
            ("lost connections", self.lost_connections),
            ("connections not opened", self.not_opened),
            ("messages not sent", self.not_sent),
            ("seconds over the memory allowed", self.over_memory),
            ("descriptors leaked", self.leaked_descriptors),
        ];
        all.into_iter().filter(|(_, count)| *count > 0)
    }
}
