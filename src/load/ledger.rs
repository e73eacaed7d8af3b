//! What each subscriber has had of each stream, and what that makes of its next event.
//!
//! `seq` counts up by one in each stream. What a gap in it means depends on the stream: a state may
//! be replaced by a newer one, an order book's differences may be folded into one, which then begins
//! where the last one ended (`U` = last `u` + 1), and of anything else nothing may be left out.
//! Invariant: an event is compared with the last one of the same connection and stream alone.

use super::stamp::{Envelope, UpdateIds};
use std::collections::HashMap;

/// What it means that an event of a stream is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gaps {
    /// A newer one has taken its place, as the server may do for who is behind.
    Allowed,
    /// What it said must be in the next: their update identifiers follow one another.
    Folded,
    /// It is missing.
    Missing,
}

/// What an event is to who gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The first of its stream on this connection.
    First,
    /// The one behind the last.
    Next,
    /// So many were left out, and may have been.
    LeftOut(u64),
    /// So many are missing.
    Missing(u64),
    /// It has come before, or one behind it has.
    Repeated,
    /// Nobody asked for its stream.
    Unknown,
}

/// All subscribers of a run, known by their number, and the streams that there are.
#[derive(Debug)]
pub(super) struct Ledger {
    places: HashMap<Box<[u8]>, usize>,
    gaps: Vec<Gaps>,
    /// The newest number of each stream that anybody has had; 0 for none.
    newest: Vec<u64>,
    /// One for each subscriber and stream.
    last: Vec<Last>,
}

/// The last event that one subscriber had of one stream.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    come: bool,
    sequence: Option<u64>,
    ids: Option<UpdateIds>,
}

impl Ledger {
    pub(super) fn new(streams: &[(String, Gaps)], subscribers: usize) -> Self {
        let names = streams.iter().enumerate();
        Self {
            places: names.map(|(place, (name, _))| (name.as_bytes().into(), place)).collect(),
            gaps: streams.iter().map(|(_, gaps)| *gaps).collect(),
            newest: vec![0; streams.len()],
            last: vec![Last::default(); subscribers * streams.len()],
        }
    }

    /// Begins anew with a subscriber, whose connection is another one.
    pub(super) fn forget(&mut self, subscriber: usize) {
        let (start, len) = (subscriber * self.gaps.len(), self.gaps.len());
        if let Some(last) = self.last.get_mut(start..start + len) {
            last.fill(Last::default());
        }
    }

    /// Where a stream stands among those that there are.
    pub(super) fn place(&self, stream: &str) -> Option<usize> {
        self.places.get(stream.as_bytes()).copied()
    }

    /// The newest number of each stream that anybody has had; 0 for none.
    pub(super) fn newest(&self) -> &[u64] {
        &self.newest
    }

    /// The number that a subscriber last had of the stream at a place; 0 for none.
    pub(super) fn last(&self, subscriber: usize, place: usize) -> u64 {
        let last = self.last.get(subscriber * self.gaps.len() + place);
        last.and_then(|last| last.sequence).unwrap_or_default()
    }

    /// Takes note of an event.
    pub(super) fn take(&mut self, subscriber: usize, envelope: &Envelope<'_>) -> Found {
        let Some(&place) = self.places.get(envelope.stream) else {
            return Found::Unknown;
        };
        let gaps = self.gaps.get(place).copied().unwrap_or(Gaps::Missing);
        let Some(last) = self.last.get_mut(subscriber * self.gaps.len() + place) else {
            return Found::Unknown;
        };
        let ids = if gaps == Gaps::Folded { envelope.update_ids() } else { None };
        let now = Last { come: true, sequence: envelope.sequence, ids };
        if let Some(newest) = self.newest.get_mut(place) {
            *newest = envelope.sequence.unwrap_or_default().max(*newest);
        }
        let before = std::mem::replace(last, now);
        if before.come { judge(gaps, &before, &now) } else { Found::First }
    }
}

fn judge(gaps: Gaps, before: &Last, now: &Last) -> Found {
    let ids = before.ids.zip(now.ids);
    let Some((last, sequence)) = before.sequence.zip(now.sequence) else {
        // Without numbers only the identifiers tell.
        return match ids {
            Some((before, now)) if now.first <= before.last => Found::Repeated,
            Some((before, now)) if now.first > before.last + 1 => Found::Missing(1),
            _ => Found::Next,
        };
    };
    if sequence <= last {
        return Found::Repeated;
    }
    let left_out = sequence - last - 1;
    let folded = ids.is_some_and(|(before, now)| now.first == before.last + 1);
    match gaps {
        _ if left_out == 0 => Found::Next,
        Gaps::Allowed => Found::LeftOut(left_out),
        Gaps::Folded if folded => Found::LeftOut(left_out),
        Gaps::Folded | Gaps::Missing => Found::Missing(left_out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAMS: [(&str, Gaps); 3] =
        [("trade", Gaps::Missing), ("ticker", Gaps::Allowed), ("depth", Gaps::Folded)];

    fn ledger() -> Ledger {
        Ledger::new(&STREAMS.map(|(name, gaps)| (name.to_owned(), gaps)), 2)
    }

    fn take(ledger: &mut Ledger, subscriber: usize, stream: &str, seq: u64) -> Found {
        let text = format!(r#"{{"stream":"{stream}","seq":{seq},"ts":1,"data":{{}}}}"#);
        ledger.take(subscriber, &Envelope::parse(text.as_bytes()).unwrap())
    }

    /// A gap is a loss, a replacement, or nothing to speak of, as the stream has it.
    #[test]
    fn a_gap_means_what_the_stream_says() {
        let mut ledger = ledger();
        for (stream, after_gap) in [("trade", Found::Missing(2)), ("ticker", Found::LeftOut(2))] {
            let found = [7, 8, 11, 11, 3].map(|seq| take(&mut ledger, 0, stream, seq));
            let expected = [Found::First, Found::Next, after_gap, Found::Repeated, Found::Repeated];
            assert_eq!(found, expected, "{stream}");
        }
        assert_eq!(take(&mut ledger, 0, "other", 1), Found::Unknown);
        // Each subscriber for itself, and each connection of it.
        assert_eq!(take(&mut ledger, 1, "trade", 50), Found::First);
        assert_eq!(take(&mut ledger, 1, "trade", 51), Found::Next);
        ledger.forget(1);
        assert_eq!(take(&mut ledger, 1, "trade", 9), Found::First);
        assert_eq!(take(&mut ledger, 0, "ticker", 4), Found::Next);
        // The newest is anybody's, and the last is each one's own.
        let trade = ledger.place("trade").unwrap();
        assert_eq!((ledger.newest()[trade], ledger.newest().len()), (51, 3));
        assert_eq!([0, 1].map(|subscriber| ledger.last(subscriber, trade)), [3, 9]);
    }

    /// Stream classes: differences may be folded, and nothing of them be lost.
    #[test]
    fn a_folded_difference_begins_where_the_last_one_ended() {
        let depth = |seq: &str, first: u64, last: u64| {
            format!(r#"{{"stream":"depth",{seq}"data":{{"U":{first},"u":{last}}}}}"#)
        };
        let judged = |texts: &[String]| {
            let mut ledger = ledger();
            let envelopes = texts.iter().map(|text| Envelope::parse(text.as_bytes()).unwrap());
            envelopes.map(|envelope| ledger.take(0, &envelope)).collect::<Vec<_>>()
        };
        let numbered =
            [depth(r#""seq":1,"#, 1, 5), depth(r#""seq":4,"#, 6, 20), depth(r#""seq":6,"#, 22, 30)];
        assert_eq!(judged(&numbered), [Found::First, Found::LeftOut(2), Found::Missing(1)]);
        // Nothing was left out: a recording that begins again begins with other identifiers.
        let again = [depth(r#""seq":1,"#, 100, 105), depth(r#""seq":2,"#, 1, 5)];
        assert_eq!(judged(&again), [Found::First, Found::Next]);
        let plain = [depth("", 1, 5), depth("", 6, 7), depth("", 9, 9), depth("", 9, 10)];
        let expected = [Found::First, Found::Next, Found::Missing(1), Found::Repeated];
        assert_eq!(judged(&plain), expected);
    }
}
