//! Order-book differences, folded for clients that lag: any sequence of diffs, gaps, restarts and
//! other payloads, clients that fall behind and catch up anywhere, beside the same clients without
//! a lag.

use super::script::Script;
use serde_json::Value;
use std::collections::BTreeMap;
use tickwire::market::depth::{Absorbed, DepthFold, Since, first_update_id};

/// Few, so that a script goes over it.
const LEVELS_MAX: usize = 12;
/// By number, eight levels.
const PRICES: [&str; 16] = [
    "1", "1.0", "01", "2", "2.5", "2.50", "002.500", "3", "10", "10.00", "0.9", "0.90", "4", "5.0",
    "5", "0",
];
const QUANTITIES: [&str; 4] = ["0", "0.000", "1", "22.50"];

/// A client that catches up by what the fold says has the book of one that never lagged.
pub fn depth(bytes: &[u8]) {
    let mut feed = Feed::default();
    let mut script = Script::new(bytes);
    while !script.is_empty() {
        let step = script.byte();
        match step & 0x0f {
            0..=6 => feed.publish(Ids::Next, &mut script),
            7 => feed.publish(Ids::Skip(script.byte()), &mut script),
            8 => feed.publish(Ids::Restart(script.byte()), &mut script),
            9 | 10 => feed.lag(step >> 4),
            11 | 12 => feed.catch_up(step >> 4),
            13 => feed.forget(),
            // A number that comes again, which costs those who lag their place.
            14 => feed.repeat(),
            _ => {
                // The rest is one payload, as a feed may send any.
                check_payload(script.bytes(usize::MAX));
            }
        }
    }
    for index in 0..4 {
        feed.catch_up(index);
    }
}

/// The ids of an event, seen from those before it.
enum Ids {
    Next,
    Skip(u8),
    Restart(u8),
}

#[derive(Default)]
struct Feed {
    fold: Option<DepthFold>,
    /// The number of the last event.
    seq: u64,
    next_id: u64,
    clients: [Client; 4],
    /// A client that gets every event.
    prompt: Book,
}

#[derive(Default)]
struct Client {
    book: Book,
    lag: Option<Lag>,
}

struct Lag {
    /// `None`: no event has come since.
    from: Option<(u64, u64)>,
    /// The first id after the last gap between the ids of the events since.
    restarted_at: Option<u64>,
    /// Whether the fold said that it has forgotten.
    lost: bool,
}

/// What a client knows; as in the exchange's instructions, but that one who sees a gap begins with
/// an empty book instead of a snapshot.
#[derive(Clone, Debug, Default, PartialEq)]
struct Book {
    /// By side and price in hundredths. A level that was deleted is in it with nothing.
    levels: BTreeMap<(char, i64), String>,
    next_id: Option<u64>,
    event_time: u64,
}

impl Book {
    fn apply(&mut self, diff: &Value) {
        assert_eq!(diff.get("e"), Some(&Value::from("depthUpdate")));
        assert_eq!(diff.get("s"), Some(&Value::from("X")));
        let id = |name: &str| diff.get(name).and_then(Value::as_u64).expect("a number");
        if self.next_id != Some(id("U")) {
            self.levels.clear();
        }
        self.next_id = Some(id("u") + 1);
        self.event_time = id("E");
        for side in ['b', 'a'] {
            let levels = diff.get(side.to_string()).and_then(Value::as_array).expect("levels");
            for level in levels {
                let text = |index: usize| level.get(index).and_then(Value::as_str).expect("text");
                let price = hundredths(text(0));
                self.levels.insert((side, price), text(1).to_owned());
            }
        }
    }
}

/// Of a price with at most three digits behind the point, of which the third is zero.
fn hundredths(price: &str) -> i64 {
    let (whole, fraction) = price.split_once('.').unwrap_or((price, ""));
    let digits = format!("{whole}{fraction:0<3.3}");
    digits.parse::<i64>().expect("digits") / 10
}

impl Feed {
    fn publish(&mut self, ids: Ids, script: &mut Script<'_>) {
        let first = match ids {
            Ids::Next => self.next_id,
            Ids::Skip(by) => self.next_id + u64::from(by),
            Ids::Restart(at) => u64::from(at),
        };
        let last = first + u64::from(script.byte() & 3);
        let is_gap = first != self.next_id;
        self.next_id = last + 1;
        self.seq += 1;
        let mut sides = [Vec::new(), Vec::new()];
        let levels = script.byte();
        for side in &mut sides {
            for _ in 0..levels & 3 {
                let drawn = usize::from(script.byte());
                let price = PRICES.get(drawn & 15).expect("sixteen");
                let quantity = QUANTITIES.get(drawn >> 6).expect("four");
                side.push(format!(r#"["{price}","{quantity}"]"#));
            }
        }
        let [bids, asks] = sides.map(|side| side.join(","));
        let seq = self.seq;
        let head = format!(r#""e":"depthUpdate","E":{seq},"s":"X","U":{first},"u":{last}"#);
        let payload = format!(r#"{{{head},"b":[{bids}],"a":[{asks}]}}"#);
        self.deliver(payload.as_bytes(), first, is_gap);
    }

    fn deliver(&mut self, payload: &[u8], first: u64, is_gap: bool) {
        assert_eq!(first_update_id(payload), Some(first));
        let diff = serde_json::from_slice(payload).expect("a diff is JSON");
        self.prompt.apply(&diff);
        // A fold is made for the first event that somebody is not sent, and ends with the last lag.
        let mut absorbed = Absorbed::Folded;
        if self.clients.iter().any(|client| client.lag.is_some()) {
            let fold = self.fold.get_or_insert_with(|| DepthFold::new(LEVELS_MAX));
            absorbed = fold.absorb(self.seq, payload);
            assert!(fold.len() <= LEVELS_MAX);
        }
        let seq = self.seq;
        for client in &mut self.clients {
            match &mut client.lag {
                None => client.book.apply(&diff),
                Some(lag) if lag.from.is_none() => lag.from = Some((seq, first)),
                Some(lag) if is_gap => lag.restarted_at = Some(first),
                Some(_) => {}
            }
        }
        match absorbed {
            Absorbed::Folded => {}
            Absorbed::Full => self.lose(),
            other => panic!("{other:?}"),
        }
    }

    /// Whoever waits for the last event or an earlier one cannot be told any more.
    fn lose(&mut self) {
        let lags = self.clients.iter_mut().filter_map(|client| client.lag.as_mut());
        for lag in lags.filter(|lag| lag.from.is_some()) {
            lag.lost = true;
        }
    }

    fn repeat(&mut self) {
        let Some(fold) = &mut self.fold else { return };
        let payload = br#"{"e":"depthUpdate","E":1,"s":"X","U":1,"u":1,"b":[],"a":[]}"#;
        match fold.absorb(self.seq, payload) {
            Absorbed::OutOfOrder => self.lose(),
            // A fold that forgot everything has no last number.
            Absorbed::Folded => {
                self.fold = None;
                self.lose();
            }
            other => panic!("{other:?}"),
        }
    }

    fn lag(&mut self, index: u8) {
        if let Some(client) = self.clients.get_mut(usize::from(index & 3)) {
            client.lag.get_or_insert(Lag { from: None, restarted_at: None, lost: false });
        }
    }

    fn catch_up(&mut self, index: u8) {
        let Some(client) = self.clients.get_mut(usize::from(index & 3)) else { return };
        let Some(lag) = client.lag.take() else { return };
        let mut out = Vec::new();
        if let (Some((seq, first)), Some(fold)) = (lag.from, &self.fold) {
            let since = fold.since(seq, first, &mut out);
            let expected = match lag.restarted_at {
                _ if lag.lost => Since::Unknown,
                None => Since::Whole,
                Some(restarted_at) if restarted_at == first => Since::Unknown,
                Some(_) => Since::AfterGap,
            };
            assert_eq!(since, expected);
            assert_eq!(out.is_empty(), since == Since::Unknown);
        }
        // Two gaps in one lag, of which the second leads back to the id that the client waits for,
        // look like none to it: from the ids of what it has missed that cannot be told.
        let unseen = lag.restarted_at.is_some() && lag.restarted_at == client.book.next_id;
        if !out.is_empty() && !unseen {
            check_payload(&out);
            client.book.apply(&serde_json::from_slice(&out).expect("a diff is JSON"));
        } else if lag.from.is_some() {
            // It is closed, and comes again.
            client.book = self.prompt.clone();
        }
        // Whoever sees a gap forgets what was before it; the prompt one has seen it too.
        assert_eq!(client.book, self.prompt);
        if self.clients.iter().all(|client| client.lag.is_none()) {
            self.fold = None;
        }
    }

    /// Nobody waits for an event before the first that somebody lacks.
    fn forget(&mut self) {
        let Some(fold) = &mut self.fold else { return };
        let waited_for = self.clients.iter().filter_map(|client| client.lag.as_ref()?.from);
        if let Some(first) = waited_for.map(|(seq, _)| seq).min() {
            let before = fold.len();
            fold.forget_before(first);
            assert!(fold.len() <= before);
        }
    }
}

/// Any payload is a diff or is none; and what a fold says of one diff is that diff.
fn check_payload(payload: &[u8]) {
    let mut fold = DepthFold::default();
    let absorbed = fold.absorb(7, payload);
    let mut out = Vec::new();
    let Some(first) = first_update_id(payload) else {
        assert_eq!(absorbed, Absorbed::NotADiff);
        assert_eq!(fold.since(7, 0, &mut out), Since::Nothing);
        return;
    };
    assert_eq!(absorbed, Absorbed::Folded);
    assert_eq!(fold.since(7, first, &mut out), Since::Whole);
    let mut again = DepthFold::default();
    assert_eq!(again.absorb(7, &out), Absorbed::Folded, "what a fold says is a diff");
    let mut said_again = Vec::new();
    assert_eq!(again.since(7, first, &mut said_again), Since::Whole);
    assert_eq!(said_again, out);
}
