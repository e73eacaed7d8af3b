//! What happens in the world by itself: what peers do, what publishers publish, and the end.
//! Invariant: what is to happen stands in one list, by time and then in the order of its making.

use super::super::ledger::{CONFLATED, FOLDED, FRAME_BYTES, TOPICS, event};
use super::super::wire::{Edge, Moved, Stage, Wire};
use super::{HURRY, Happening, LATEST, LOOK, Pending, SETTLED, World};
use crate::hub::Delivery;
use crate::proto::Message;
use crate::server::key;

impl World {
    pub(in super::super) fn connect(&mut self, id: usize) {
        let (from, to) = self.scenario.capacity;
        let [to_server, to_peer] = [0, 1].map(|_| self.chance.between(from, to));
        self.wires.insert(id, Wire::new(to_server, to_peer));
        self.note("connect", id, 0);
        if !self.listening {
            return self.turn_away(id);
        }
        self.backlog.push_back(id);
        if self.backlog.len() == 1 {
            let at = self.edge_time();
            let edge = Edge { readable: true, ended: false };
            self.pending.push(Pending { at, token: key::LISTENER, edge });
        }
    }

    pub(in super::super) fn peer_write(&mut self, id: usize, bytes: &[u8]) -> Moved {
        let Some(wire) = self.wires.get_mut(&id) else { return Moved::Reset };
        let (moved, edge) = wire.peer_write(bytes);
        self.push_some_edge(id, edge);
        moved
    }

    pub(in super::super) fn peer_read(&mut self, id: usize, buffer: &mut [u8]) -> Moved {
        let Some(wire) = self.wires.get_mut(&id) else { return Moved::Reset };
        let moved = wire.peer_read(buffer);
        self.look_for_owed(id);
        moved
    }

    pub(in super::super) fn peer_end(&mut self, id: usize) {
        self.note("peer ends", id, 0);
        let edge = self.wires.get_mut(&id).and_then(Wire::peer_end);
        self.push_some_edge(id, edge);
    }

    pub(in super::super) fn peer_reset(&mut self, id: usize) {
        self.note("peer resets", id, 0);
        let lost = self.chance.one_in(2);
        let edge = self.wires.get_mut(&id).and_then(|wire| wire.peer_reset(lost));
        self.push_some_edge(id, edge);
    }

    /// Whether a connection may end without good manners: the server was not let.
    pub(in super::super) fn is_forgiven(&self, id: usize) -> bool {
        let drain = self.scenario.options.drain_timeout.as_micros();
        let hurried = self.stopped_at.is_some_and(|at| u128::from(self.now - at) + HURRY > drain);
        self.jumped > 0 || hurried || self.forgiven.contains(&id)
    }

    pub(in super::super) fn forgive(&mut self, id: usize) {
        self.forgiven.push(id);
    }

    pub(super) fn schedule(&mut self, at: u64, happening: Happening) {
        self.happened += 1;
        self.happenings.insert((at, self.happened), happening);
    }

    /// Has a peer do something by then.
    pub(super) fn schedule_peer(&mut self, id: usize, at: u64) {
        if let Some((_, scheduled)) = self.peers.get_mut(&id)
            && at < *scheduled
        {
            *scheduled = at;
            self.schedule(at, Happening::Peer(id));
        }
    }

    /// Something came for a peer.
    pub(super) fn call_peer(&mut self, id: usize) {
        let attention = self.peers.get(&id).and_then(|(peer, _)| peer.attention());
        if let Some(attention) = attention {
            let at = self.now + self.chance.micros(0, attention);
            self.schedule_peer(id, at);
        }
    }

    pub(super) fn schedule_owed(&mut self, id: usize) {
        let at = self.now + self.chance.micros(0, self.scenario.latency);
        self.schedule(at, Happening::Owed(id));
    }

    pub(super) fn happen_until_now(&mut self) {
        while let Some(entry) = self.happenings.first_entry() {
            if entry.key().0 > self.now {
                return;
            }
            let happening = entry.remove();
            self.happen(happening);
        }
    }

    pub(super) fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Peer(id) => {
                // Lifted out while it acts on the world.
                let Some((mut peer, _)) = self.peers.remove(&id) else { return };
                let again = peer.act(self);
                if peer.is_over() && self.wires.get(&id).is_some_and(|w| w.stage == Stage::Over) {
                    self.wires.remove(&id);
                }
                self.peers.insert(id, (peer, u64::MAX));
                if let Some(at) = again {
                    self.schedule_peer(id, at);
                }
            }
            Happening::Owed(id) => self.look_for_owed(id),
            Happening::Publish => self.publish(),
            Happening::Look => self.look(),
        }
    }

    pub(super) fn publish(&mut self) {
        let Some(server) = self.server.take() else { return };
        let together = self.chance.between(1, self.scenario.burst).min(self.publications_left);
        for _ in 0..together {
            let topic = self.chance.below(TOPICS.len());
            let topic = self.chance.pick(topic, &[CONFLATED, FOLDED]);
            let bytes = self.chance.below(self.scenario.event_bytes);
            let text = event(topic, self.ledger.number(topic), bytes);
            if let Some(to) = server.topics.get(topic)
                && server.publisher.publish(to, Message::Text(&text)) == Delivery::Delivered
            {
                self.ledger.published(topic, text.len() + FRAME_BYTES);
                self.note("publish", topic, bytes as u64);
            }
        }
        self.server = Some(server);
        self.publications_left -= together;
        if self.publications_left > 0 {
            let at = self.now + self.chance.micros(0, 100_000);
            self.schedule(at, Happening::Publish);
        }
    }

    /// Ends the simulation once all peers are done, and all has come that was to.
    pub(super) fn look(&mut self) {
        if self.stopped_at.is_some() {
            return;
        }
        let done =
            self.publications_left == 0 && self.peers.values().all(|(peer, _)| peer.is_done());
        let settled = match self.settled_at {
            Some(at) => self.now >= at + SETTLED,
            None if done || self.now >= LATEST => {
                self.settled_at = Some(self.now);
                self.exhausted_until = 0;
                false
            }
            None => false,
        };
        if !settled {
            return self.schedule(self.now + LOOK, Happening::Look);
        }
        let peers = std::mem::take(&mut self.peers);
        for (id, (peer, _)) in &peers {
            if let Some(lacks) = peer.lacks(self)
                && !self.forgiven.contains(id)
            {
                self.fail(format!("#{id} is owed {lacks}, and nothing is on its way"));
            }
        }
        self.peers = peers;
        self.stopped_at = Some(self.now);
        self.note("stop", 0, 0);
        if let Some(server) = &self.server {
            server.shutdown.shutdown();
        }
    }
}
