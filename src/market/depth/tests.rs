//! Folds beside a book that every diff is applied to, one by one, by code that shares nothing with
//! them but the documented format.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// A client of a diff stream: its book, and the id that it waits for.
#[derive(Clone, Debug, Default, PartialEq)]
struct Client {
    /// By side and price; levels that were deleted are in it with a quantity of zero.
    levels: BTreeMap<(char, String), f64>,
    next_update_id: Option<u64>,
    event_time: u64,
    /// How often the ids did not follow one another.
    gaps: usize,
}

impl Client {
    fn apply(&mut self, payload: &[u8]) {
        let diff: Value = serde_json::from_slice(payload).unwrap();
        assert_eq!((&diff["e"], &diff["s"]), (&Value::from("depthUpdate"), &Value::from("X")));
        if self.next_update_id.is_some_and(|next| diff["U"] != next) {
            // It would take a snapshot; here it forgets, so that both who do so are comparable.
            self.gaps += 1;
            self.levels.clear();
        }
        self.next_update_id = Some(diff["u"].as_u64().unwrap() + 1);
        self.event_time = diff["E"].as_u64().unwrap();
        for side in ['b', 'a'] {
            for level in diff[side.to_string()].as_array().unwrap() {
                let price = canonical(level[0].as_str().unwrap());
                let quantity = level[1].as_str().unwrap().parse().unwrap();
                self.levels.insert((side, price), quantity);
            }
        }
    }
}

/// One text for each number.
fn canonical(price: &str) -> String {
    let price = price.trim_start_matches('0');
    match price.split_once('.') {
        Some((whole, fraction)) => format!("{whole}.{}", fraction.trim_end_matches('0')),
        None => format!("{price}."),
    }
}

fn prices(payload: &[u8], side: &str) -> Vec<f64> {
    let diff: Value = serde_json::from_slice(payload).unwrap();
    let levels = diff[side].as_array().unwrap();
    levels.iter().map(|level| level[0].as_str().unwrap().parse().unwrap()).collect()
}

fn diff(first: u64, last: u64, bids: &str, asks: &str) -> Vec<u8> {
    let head = format!(r#""e":"depthUpdate","E":{last},"s":"X","U":{first},"u":{last}"#);
    format!(r#"{{{head},"b":[{bids}],"a":[{asks}]}}"#).into_bytes()
}

fn said(fold: &DepthFold, seq: u64, first_update_id: u64) -> (Since, String) {
    let mut out = b"before".to_vec();
    let since = fold.since(seq, first_update_id, &mut out);
    let text = String::from_utf8(out).unwrap();
    (since, text.strip_prefix("before").expect("what was there stays").to_owned())
}

/// Diffs: levels in any order and spelling, deletions of what there is and is not, and gaps.
fn diffs() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let price = prop::sample::select(vec!["1", "1.0", "01.00", "2", "2.5", "2.50", "10", "0.9"]);
    let quantity = prop::sample::select(vec!["0", "0.000", "1", "1.50", "22"]);
    let levels = prop::collection::vec((price, quantity), 0..4);
    let skipped = prop_oneof![8 => Just(0_u64), 1 => 1..5_u64];
    let one = (levels.clone(), levels, 1..4_u64, skipped);
    prop::collection::vec(one, 1..12).prop_map(|drawn| {
        let mut next = 1;
        let text = |levels: Vec<(&str, &str)>| {
            let levels = levels.iter().map(|(p, q)| format!(r#"["{p}","{q}"]"#));
            levels.collect::<Vec<_>>().join(",")
        };
        let numbered = drawn.into_iter().map(|(bids, asks, len, skipped)| {
            let first = next + skipped;
            next = first + len;
            diff(first, next - 1, &text(bids), &text(asks))
        });
        numbered.collect()
    })
}

proptest! {
    /// Stream classes: a lagging client that gets one diff in place of several has the book of one
    /// that got them one by one, wherever it fell behind and caught up.
    #[test]
    fn one_diff_says_what_all_said(
        diffs in diffs(),
        lags in prop::collection::vec((0..12_usize, 0..12_usize), 1..6),
        made_at in 0..12_usize,
    ) {
        let number = |index: usize| 100 + 3 * index as u64;
        let made_at = made_at % diffs.len();
        for (from, to) in lags {
            let (from, to) = (made_at.max(from % diffs.len()), to % diffs.len());
            if to < from {
                continue;
            }
            let mut fold = DepthFold::default();
            for (index, payload) in diffs.iter().enumerate().take(to + 1).skip(made_at) {
                prop_assert_eq!(fold.absorb(number(index), payload), Absorbed::Folded);
            }
            let (mut quick, mut slow) = (Client::default(), Client::default());
            for payload in &diffs[..from] {
                quick.apply(payload);
                slow.apply(payload);
            }
            let (before_lag, gaps) = (quick.next_update_id, quick.gaps);
            for payload in &diffs[from..=to] {
                quick.apply(payload);
            }
            let mut out = Vec::new();
            let first = first_update_id(&diffs[from]).unwrap();
            let since = fold.since(number(from), first, &mut out);
            slow.apply(&out);

            // However many gaps there were in the lag, it sees one.
            let gap_at_lag = before_lag.is_some_and(|next| next != first);
            let seen = quick.gaps - gaps;
            prop_assert_eq!(slow.gaps - gaps, if before_lag.is_some() { seen.min(1) } else { 0 });
            let gap_in_lag = seen > usize::from(gap_at_lag);
            prop_assert_eq!(since, if gap_in_lag { Since::AfterGap } else { Since::Whole });
            quick.gaps = slow.gaps;
            prop_assert_eq!(&slow, &quick);

            let (bids, asks) = (prices(&out, "b"), prices(&out, "a"));
            prop_assert!(bids.is_sorted_by(|a, b| a > b), "bids from high to low: {:?}", bids);
            prop_assert!(asks.is_sorted_by(|a, b| a < b), "asks from low to high: {:?}", asks);
        }
    }

    /// What nobody waits for may be forgotten: the others are told the same.
    #[test]
    fn forgetting_changes_nothing_for_those_who_wait(
        diffs in diffs(), forgotten in 0..12_usize, at in 0..12_usize,
    ) {
        let (mut whole, mut fold) = (DepthFold::default(), DepthFold::default());
        let forgotten = forgotten % diffs.len();
        for (index, payload) in diffs.iter().enumerate() {
            whole.absorb(index as u64, payload);
            fold.absorb(index as u64, payload);
            if index == at % diffs.len() {
                fold.forget_before(forgotten as u64);
            }
        }
        for (index, payload) in diffs.iter().enumerate().skip(forgotten) {
            let first = first_update_id(payload).unwrap();
            prop_assert_eq!(
                said(&fold, index as u64, first),
                said(&whole, index as u64, first)
            );
        }
        prop_assert!(fold.len() <= whole.len());
    }

    /// A fold said of a fold: what is written can be read back, and says the same again.
    #[test]
    fn what_a_fold_says_is_a_diff(diffs in diffs()) {
        let mut fold = DepthFold::default();
        for (index, payload) in diffs.iter().enumerate() {
            fold.absorb(index as u64, payload);
        }
        let last = diffs.len() as u64 - 1;
        let (_, once) = said(&fold, 0, first_update_id(&diffs[0]).unwrap());
        let first = first_update_id(once.as_bytes()).unwrap();
        let mut again = DepthFold::default();
        prop_assert_eq!(again.absorb(last, once.as_bytes()), Absorbed::Folded);
        prop_assert_eq!(said(&again, last, first), (Since::Whole, once));
    }

    /// Whatever a feed sends on a depth stream yields a value.
    #[test]
    fn any_payload_is_taken_or_refused(payload in any::<Vec<u8>>()) {
        let mut fold = DepthFold::default();
        let absorbed = fold.absorb(1, &payload);
        prop_assert_eq!(absorbed == Absorbed::Folded, first_update_id(&payload).is_some());
    }
}

/// A level that was deleted is still news to a client that has it.
#[test]
fn a_deletion_is_said() {
    let mut fold = DepthFold::default();
    fold.absorb(1, &diff(1, 1, r#"["5.0","3"]"#, ""));
    fold.absorb(2, &diff(2, 2, r#"["5.00","0.000"]"#, ""));
    let whole = r#"{"e":"depthUpdate","E":2,"s":"X","U":1,"u":2,"b":[["5.00","0.000"]],"a":[]}"#;
    assert_eq!(said(&fold, 1, 1), (Since::Whole, whole.to_owned()));
    assert_eq!(fold.len(), 1);
}

/// A client is told nothing that it has.
#[test]
fn levels_that_changed_before_are_left_out() {
    let mut fold = DepthFold::default();
    fold.absorb(1, &diff(1, 1, r#"["5","3"]"#, r#"["6","3"]"#));
    fold.absorb(4, &diff(2, 2, r#"["4","1"]"#, ""));
    let newest = r#"{"e":"depthUpdate","E":2,"s":"X","U":2,"u":2,"b":[["4","1"]],"a":[]}"#;
    assert_eq!(said(&fold, 4, 2), (Since::Whole, newest.to_owned()));
    assert_eq!(said(&fold, 5, 3), (Since::Nothing, String::new()));
    assert_eq!(said(&fold, 0, 0), (Since::Unknown, String::new()), "it was not there");
}

/// Before the first event there is nothing to tell.
#[test]
fn an_empty_fold_says_nothing() {
    let fold = DepthFold::default();
    assert_eq!(said(&fold, 1, 1), (Since::Nothing, String::new()));
    assert!(fold.is_empty());
}

/// A client that waits for id 3 must see that the feed lost ids, or began anew.
#[test]
fn a_gap_is_shown_and_what_came_before_it_is_not() {
    for (restart, last) in [(6, 6), (1, 9), (2, 2), (5, 5)] {
        let mut fold = DepthFold::default();
        fold.absorb(1, &diff(3, 3, r#"["5","3"]"#, ""));
        fold.absorb(2, &diff(4, 5, r#"["5","4"]"#, ""));
        fold.absorb(3, &diff(restart, last, r#"["7","1"]"#, ""));
        let after = String::from_utf8(diff(restart, last, r#"["7","1"]"#, "")).unwrap();
        let expected = if restart == 6 { Since::Whole } else { Since::AfterGap };
        let (since, text) = said(&fold, 1, 3);
        assert_eq!(since, expected, "{restart}");
        assert_eq!(text == after, since == Since::AfterGap, "{restart}: {text}");
        assert_eq!(said(&fold, 3, restart), (Since::Whole, after), "{restart}");
    }
}

/// A feed that begins anew at the very id that a client waits for would go unseen.
#[test]
fn a_gap_that_a_client_cannot_see_is_not_told() {
    let mut fold = DepthFold::default();
    fold.absorb(1, &diff(3, 4, r#"["5","3"]"#, ""));
    fold.absorb(2, &diff(3, 3, r#"["7","1"]"#, ""));
    assert_eq!(said(&fold, 1, 3), (Since::Unknown, String::new()));
    assert_eq!(said(&fold, 2, 3).0, Since::Whole);
}

/// Ids end at 2⁶⁴: nothing follows the last one.
#[test]
fn the_last_id_is_followed_by_a_gap() {
    let mut fold = DepthFold::default();
    fold.absorb(1, &diff(u64::MAX, u64::MAX, r#"["5","3"]"#, ""));
    fold.absorb(2, &diff(0, 0, r#"["7","1"]"#, ""));
    assert_eq!(said(&fold, 1, u64::MAX).0, Since::AfterGap);
}

/// A payload that is no diff, and one of another book, leave the fold as it was.
#[test]
fn what_is_no_diff_of_this_book_is_refused() {
    let mut fold = DepthFold::default();
    fold.absorb(1, &diff(1, 1, r#"["5","3"]"#, ""));
    let before = said(&fold, 1, 1);
    let other = br#"{"e":"depthUpdate","E":1,"s":"Y","U":2,"u":2,"b":[["1","1"]],"a":[]}"#;
    for payload in [&other[..], b"{}", br#"{"e":"serverShutdown","E":1}"#] {
        assert_eq!(fold.absorb(2, payload), Absorbed::NotADiff);
        assert_eq!(said(&fold, 1, 1), before);
    }
    assert_eq!(fold.absorb(2, &diff(2, 2, "", "")), Absorbed::Folded, "the number is not used up");
}

/// The bound holds for both sides together, and a full fold tells nobody half of it.
#[test]
fn a_fold_that_is_full_forgets() {
    let mut fold = DepthFold::new(3);
    fold.absorb(1, &diff(1, 1, r#"["5","3"],["4","3"]"#, r#"["6","3"]"#));
    assert_eq!(fold.absorb(2, &diff(2, 2, r#"["5.0","0"]"#, "")), Absorbed::Folded, "no new level");
    assert_eq!(fold.absorb(3, &diff(3, 3, r#"["5","1"]"#, r#"["7","3"]"#)), Absorbed::Full);
    assert!(fold.is_empty());
    assert_eq!(said(&fold, 1, 1), (Since::Unknown, String::new()));
    assert_eq!(said(&fold, 3, 3), (Since::Unknown, String::new()));
    assert_eq!(fold.absorb(4, &diff(4, 4, r#"["5","1"]"#, "")), Absorbed::Folded);
    assert_eq!(said(&fold, 4, 4).0, Since::Whole);
    assert_eq!(said(&fold, 3, 3), (Since::Unknown, String::new()));

    assert_eq!(DepthFold::new(0).absorb(1, &diff(1, 1, r#"["5","1"]"#, "")), Absorbed::Full);
}

/// Forgotten levels make room.
#[test]
fn what_nobody_waits_for_makes_room() {
    let mut fold = DepthFold::new(2);
    fold.absorb(1, &diff(1, 1, r#"["5","3"],["4","3"]"#, ""));
    fold.forget_before(2);
    assert!(fold.is_empty());
    assert_eq!(said(&fold, 1, 1), (Since::Unknown, String::new()));
    assert_eq!(fold.absorb(2, &diff(2, 2, "", r#"["6","1"],["7","1"]"#)), Absorbed::Folded);
    assert_eq!(said(&fold, 2, 2).0, Since::Whole);
}

/// Numbers that do not grow would let events replace later ones.
#[test]
fn a_number_that_comes_again_is_refused() {
    for again in [5, 4] {
        let mut fold = DepthFold::default();
        fold.absorb(3, &diff(1, 1, r#"["5","3"]"#, ""));
        fold.absorb(5, &diff(2, 2, r#"["6","3"]"#, ""));
        assert_eq!(fold.absorb(again, &diff(3, 3, "", "")), Absorbed::OutOfOrder);
        for (seq, id) in [(3, 1), (4, 3), (5, 2)] {
            assert_eq!(said(&fold, seq, id), (Since::Unknown, String::new()), "{again}, {seq}");
        }
        assert_eq!(said(&fold, 6, 4), (Since::Nothing, String::new()));
    }
}
