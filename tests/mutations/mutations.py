"""What is changed in the server, one at a time, to see that the simulator tells.

A mutation is a piece of text that a file has exactly once, and what it becomes. It compiles, does
nothing but what its title says, and leaves no loop that cannot end. They stand in the order in
which docs/simulator.md has them.
"""

import dataclasses

WORKER = "src/server/worker.rs"
ACCEPTING = "src/server/worker/accepting.rs"
READING = "src/server/worker/reading.rs"
ENDING = "src/server/worker/ending.rs"
CORE = "src/server/core.rs"
OUTPUTS = "src/server/outputs.rs"
OUTPUT = "src/server/outputs/output.rs"
BACKLOG = "src/server/outputs/backlog.rs"
FOLDS = "src/server/folds.rs"
TIMER = "src/server/timer.rs"
OUTBOX = "src/outbox.rs"
CONNECTION = "src/proto/connection.rs"


@dataclasses.dataclass
class Mutation:
    title: str
    path: str
    text: str
    replacement: str
    # Where the simulator cannot tell: what makes up for it, or finds it elsewhere.
    covered_by: str = ""

    def apply(self, source):
        """The file's text, changed; `ValueError` says why it cannot be."""
        count = source.count(self.text)
        if count != 1:
            raise ValueError(f"{self.path} has the text of \"{self.title}\" {count} times and not "
                             f"once; bring tests/mutations/mutations.py up to date")
        return source.replace(self.text, self.replacement)


MUTATIONS = [
    Mutation(
        "a connection over its read budget is not put on the ready list again", READING,
        """\
            if budget == 0 {
                self.make_ready(key);
""",
        """\
            if budget == 0 {
"""),
    Mutation(
        "a short read is the last one though the peer's end has been announced", READING,
        "session.readable = len == buffer.len() || session.peer_ended;",
        "session.readable = len == buffer.len();"),
    Mutation(
        "an event's generation is not compared", WORKER,
        """\
                    let Some(session) = self.session(key) else {
                        continue;
                    };
                    session.readable |= event.readable;
""",
        """\
                    let Some(session) = self.sessions.get_mut(key.index) else {
                        continue;
                    };
                    let key = session.key;
                    session.readable |= event.readable;
"""),
    Mutation(
        "no `on_drain`", ENDING,
        "self.call(key, |handler, cx| handler.on_drain(cx));",
        ""),
    Mutation(
        "a pause in accepting never ends", ACCEPTING,
        "Accepting::PausedUntil(at) if at > self.now => return,",
        "Accepting::PausedUntil(_) => return,"),
    Mutation(
        "the deadline of a close is not reminded of", ENDING,
        """\
        self.core.outputs.send_encoded(key.index, close);
        self.core.subscriptions.unsubscribe_all(key.index);
        self.remind(key);
""",
        """\
        self.core.outputs.send_encoded(key.index, close);
        self.core.subscriptions.unsubscribe_all(key.index);
"""),
    Mutation(
        "a second close frame", CONNECTION,
        """\
                if self.state == State::Open {
                    self.send_close(CloseFrame { code: frame.code, reason: "" }, output);
""",
        """\
                if self.state != State::Closed {
                    self.send_close(CloseFrame { code: frame.code, reason: "" }, output);
"""),
    Mutation(
        "no `on_close` after a reset", ENDING,
        """self.finish(key, cause, CloseCode::ABNORMAL, "");
        let Some(session) = self.session(key) else {""",
        "let Some(session) = self.session(key) else {"),
    Mutation(
        "a connection's ranges become one though others' frames lie between", OUTPUT,
        "if self.last.end == range.start {",
        "if self.last.end == range.start || !self.last.is_empty() {"),
    Mutation(
        "after a short write the rest waits for an edge", OUTPUTS,
        """\
        let (flushed, written) = output.write_queued(backlogs, tcp, means)?;
        Ok((flushed, gone + written))
""",
        """\
        Ok((queued, gone))
"""),
    Mutation(
        "a reset is counted as open for ever", ENDING,
        """\
        self.core.counters.open.subtract(1);
""",
        """\
        if cause != Cause::Reset {
            self.core.counters.open.subtract(1);
        }
"""),
    Mutation(
        "no second look into the inbox before the sleep", WORKER,
        "if self.drain_inbox() { Sleep::Never } else { self.until_due() }",
        "self.until_due()"),
    Mutation(
        "no earlier reminder where there is a later one", TIMER,
        "if set <= tick {",
        "if set != Tick::NONE {"),
    Mutation(
        "a connection that closes keeps its subscriptions", ENDING,
        """\
        self.core.outputs.send_encoded(key.index, close);
        self.core.subscriptions.unsubscribe_all(key.index);
""",
        """\
        self.core.outputs.send_encoded(key.index, close);
"""),
    Mutation(
        "the deadline of an ending is not reminded of", ENDING,
        """\
        self.core.outputs.mark_dirty(key.index);
        self.remind(key);
""",
        """\
        self.core.outputs.mark_dirty(key.index);
"""),
    Mutation(
        "of several things that are due at once one is done", WORKER,
        "const TIMEOUTS_AT_ONCE: usize = 3;",
        "const TIMEOUTS_AT_ONCE: usize = 1;"),
    Mutation(
        "a close frame is dropped with the queue of a slow consumer", OUTBOX,
        """\
            if matches!(item, Item::Frame { kind: Kind::Close, .. }) {
                self.items.push_back(item);
                continue;
            }
""",
        ""),
    Mutation(
        "control frames go before the answer to the handshake", OUTBOX,
        "let answer = matches!(self.items.front(), "
        "Some(Item::Frame { kind: Kind::Answer, .. }));",
        "let answer = false;"),
    Mutation(
        "a queue's limit is not looked at", OUTBOX,
        "self.is_empty() || self.queued.saturating_add(len + ITEM_BYTES) <= bytes_max",
        "true"),
    Mutation(
        "events of connections that are gone are not counted", OUTPUTS,
        "counters.dropped_gone_events.add(queued + backlogs.events.count(ranges));",
        "let _ = (queued, ranges);"),
    Mutation(
        "one that is closed as slow waits for an edge", ENDING,
        """\
        self.write_queued(key);
        self.make_ready(key);
""",
        ""),
    Mutation(
        "a queue's age and a stalled socket are not looked at", WORKER,
        """\
            self.check_queue(key);
""",
        ""),
    Mutation(
        "what lies behind a slot to be folded goes before it", OUTBOX,
        ".chain(waiting.map_while(|item| self.frame_of(item)).fuse())",
        ".chain(waiting.map_while(|item| self.frame_of(item)))"),
    Mutation(
        "a fold is waited for after it is written", BACKLOG,
        """\
                self.folds.leave(id.topic, from.seq);
                outbox.fold(frame);
""",
        """\
                outbox.fold(frame);
"""),
    Mutation(
        "a fold begins without the events of the turn", FOLDS,
        "published.for_each(|publication| folding.absorb(publication));",
        "drop(published);"),
    Mutation(
        "what is queued is written before the events of the turn are queued behind it", OUTPUTS,
        """\
        let preamble = output.take_ranges(pieces, ranges);
        if let Some(outbox) = &mut output.outbox {
            let queued = backlogs.queue(outbox, (arena, ranges), 0, preamble, means);
            if queued != Flushed::Queued {
                return Ok((queued, 0));
            }
        }
""",
        ""),
    Mutation(
        "a conflated slot keeps the oldest value", OUTBOX,
        "if matches!(content, Content::Frame(_)) {",
        "if false {"),
    Mutation(
        "a subscription that ends leaves its slots", CORE,
        """\
        let (outputs, means) = self.sending();
        outputs.withdraw(index, slot.number(), &means);
        true
""",
        """\
        true
"""),
    Mutation(
        "a place that is free at once and not at the end of the turn", ENDING,
        "self.gone.push(key);",
        "self.sessions.remove(key.index);",
        covered_by="generations tell the connections apart"),
    Mutation(
        "a peer is read from though its queue is half full", READING,
        "session.readable && queued <= half_full,",
        "session.readable && queued <= half_full.max(queued),",
        covered_by="the queue's own bound ends that connection"),
    Mutation(
        "it is not remembered that the inbox may hold more", WORKER,
        """\
        self.inbox_pending = true;
        true
""",
        """\
        true
""",
        covered_by="the look before the sleep finds it"),
]
