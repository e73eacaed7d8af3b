//! Readiness on its way to the worker: late, merged, in any order, for nothing, and for connections
//! that are gone; but each edge comes.
//! Invariant: what an edge tells is so, but for connections that are gone.

use super::super::wire::{Edge, Wire};
use super::{EVENTS_MAX, Pending, World};
use crate::net::Readiness;
use crate::server::key;

impl World {
    pub(super) fn look_for_owed(&mut self, id: usize) {
        let edge = self.wires.get_mut(&id).and_then(Wire::owed_edge);
        self.push_some_edge(id, edge);
    }

    pub(super) fn push_some_edge(&mut self, id: usize, edge: Option<Edge>) {
        if let Some(edge) = edge {
            self.push_edge(id, edge);
        }
    }

    pub(super) fn edge_time(&mut self) -> u64 {
        let late = self.chance.one_in(self.scenario.late_edges);
        self.now + if late { self.chance.micros(0, self.scenario.latency) } else { 0 }
    }

    pub(super) fn push_edge(&mut self, id: usize, edge: Edge) {
        let Some(token) = self.tokens.get(&id).copied() else { return };
        let at = self.edge_time();
        // A kernel says all that is so, not only what is new; and one event for several edges.
        let level = self.wires.get(&id).map(Wire::level).unwrap_or_default();
        let level = if self.chance.one_in(2) { level } else { Edge::default() };
        let edge =
            Edge { readable: edge.readable | level.readable, ended: edge.ended | level.ended };
        if let Some(same) = self.pending.iter_mut().find(|pending| pending.token == token) {
            same.edge.readable |= edge.readable;
            same.edge.ended |= edge.ended;
            same.at = same.at.min(at);
            return;
        }
        self.pending.push(Pending { at, token, edge });
    }

    /// Whether an event for this connection is on its way.
    pub(in super::super) fn has_pending(&self, id: usize) -> bool {
        let token = self.tokens.get(&id);
        self.pending.iter().any(|pending| Some(&pending.token) == token)
    }

    /// Whether one for the listener is.
    pub(in super::super) fn has_pending_accept(&self) -> bool {
        self.pending.iter().any(|pending| pending.token == key::LISTENER)
    }

    /// The events that are due, in any order.
    pub(super) fn take_pending(&mut self) -> Vec<Readiness> {
        let mut events = Vec::new();
        let mut kept = Vec::new();
        for pending in std::mem::take(&mut self.pending) {
            if pending.at > self.now || events.len() >= EVENTS_MAX {
                kept.push(pending);
                continue;
            }
            let Pending { token, edge: Edge { readable, ended }, .. } = pending;
            let at = self.chance.below(events.len() + 1);
            events.insert(at, Readiness { token, readable, ended });
        }
        self.pending = kept;
        self.doings += events.len() as u64;
        events
    }

    /// Adds events for nothing, and for connections that are gone.
    pub(super) fn with_noise(&mut self, mut events: Vec<Readiness>) -> Vec<Readiness> {
        if self.chance.one_in(self.scenario.spurious) {
            let live = self.tokens.len();
            let nth = self.chance.below(live + 1);
            if let Some(token) = self.tokens.values().nth(nth).copied() {
                events.push(Readiness { token, readable: true, ended: false });
            }
            let nth = self.chance.below(self.dead_tokens.len() + 1);
            if let Some(token) = self.dead_tokens.get(nth).copied() {
                events.push(Readiness { token, readable: true, ended: true });
            }
            events.push(Readiness { token: key::ALARM, readable: true, ended: false });
        }
        for event in &events {
            let value = u64::from(event.readable) + 2 * u64::from(event.ended);
            self.trace.note(self.now, "event", event.token.0, value);
        }
        events
    }
}
