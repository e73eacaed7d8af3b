//! The send queue against a model, and case by case.

use super::*;
use crate::proto::frame::{Position, encode};
use proptest::prelude::*;

const NOW: Millis = Millis(7);
const NO_LIMIT: usize = usize::MAX;

fn frame(opcode: OpCode, len: usize, fill: u8) -> Rc<[u8]> {
    let mut out = Vec::new();
    encode(&mut out, Position::Last, opcode, None, &vec![fill; len]);
    out.into()
}

fn message(len: usize, fill: u8) -> Rc<[u8]> {
    frame(OpCode::Binary, len, fill)
}

fn push(outbox: &mut Outbox, frame: &Rc<[u8]>, bytes_max: usize) -> Result<(), Full> {
    outbox.push(frame, Kind::Event, Waits::Surely, bytes_max, NOW)
}

fn pending(outbox: &Outbox) -> Vec<u8> {
    outbox.pending().flatten().copied().collect()
}

/// Writes `count` bytes; yields them.
fn write(outbox: &mut Outbox, count: usize) -> Vec<u8> {
    let bytes: Vec<u8> = outbox.pending().flatten().copied().take(count).collect();
    outbox.advance(bytes.len(), NOW);
    bytes
}

fn slot(topic: usize) -> SlotId {
    SlotId { topic, key: 0 }
}

/// §5.4: what has begun is finished, the rest may go.
#[test]
fn only_frames_not_yet_begun_are_dropped() {
    let (first, second) = (message(10, 1), message(300, 2));
    let mut outbox = Outbox::new(NOW);
    for frame in [&first, &second, &message(5, 3)] {
        push(&mut outbox, frame, NO_LIMIT).unwrap();
    }
    outbox.put(slot(1), Content::Frame(message(6, 4)));
    write(&mut outbox, first.len() + 1);
    let (dropped, folds) = outbox.drop_unstarted();
    let bytes = message(5, 3).len() + message(6, 4).len();
    assert_eq!((dropped, folds), (Tally { bytes, events: 2 }, vec![]));
    assert_eq!(pending(&outbox), second[1..]);
    assert_eq!(outbox.advance(second.len() - 1, NOW).events, 1);
    assert!(outbox.is_empty());
    assert_eq!((outbox.held(), outbox.len(), outbox.events()), (0, 0, 0));
}

/// §4.2.2: the answer to the handshake comes before every frame, and stays when frames are dropped.
#[test]
fn nothing_comes_before_the_answer_to_the_handshake() {
    let mut outbox = Outbox::new(NOW);
    let answer: Rc<[u8]> = b"HTTP/1.1 101".as_slice().into();
    outbox.push(&answer, Kind::Answer, Waits::Surely, NO_LIMIT, NOW).unwrap();
    push(&mut outbox, &message(10, 1), NO_LIMIT).unwrap();
    let pong = frame(OpCode::Pong, 1, 2);
    outbox.put_control(OpCode::Pong, Rc::clone(&pong));
    assert_eq!(pending(&outbox), [&answer[..], &pong, &message(10, 1)].concat());
    outbox.drop_unstarted();
    outbox.put_control(OpCode::Pong, Rc::clone(&pong));
    assert_eq!(write(&mut outbox, 5), answer[..5]);
    assert_eq!(write(&mut outbox, 100), [&answer[5..], &pong].concat());
    assert!(outbox.is_empty());
}

/// §7.1.2: a close frame that waits outlives what waits with it.
#[test]
fn a_close_frame_is_not_dropped() {
    let mut outbox = Outbox::new(NOW);
    let close = frame(OpCode::Close, 2, 3);
    push(&mut outbox, &message(10, 1), NO_LIMIT).unwrap();
    outbox.push(&close, Kind::Close, Waits::Surely, NO_LIMIT, NOW).unwrap();
    push(&mut outbox, &message(10, 2), NO_LIMIT).unwrap();
    assert_eq!(outbox.drop_unstarted().0.events, 2);
    assert_eq!(pending(&outbox), close[..]);
}

/// Checked before a frame is queued, and to the byte.
#[test]
fn the_limit_is_never_exceeded_by_a_byte() {
    let frame = message(100, 1);
    let limit = 3 * (frame.len() + ITEM_BYTES);
    for (limit, fits) in [(limit, 3), (limit - 1, 2), (limit + 1, 3)] {
        let mut outbox = Outbox::new(NOW);
        let pushed = (0..5).filter(|_| push(&mut outbox, &frame, limit).is_ok()).count();
        assert_eq!(pushed, fits);
        assert!(outbox.queued() <= limit);
    }
    // A single frame goes whatever its length; then there is no room until it is gone.
    let mut outbox = Outbox::new(NOW);
    assert_eq!(push(&mut outbox, &frame, 1), Ok(()));
    assert_eq!(push(&mut outbox, &frame, 1), Err(Full));
    write(&mut outbox, frame.len());
    assert_eq!(push(&mut outbox, &frame, 1), Ok(()));
}

/// A state stream: one place, the newest value, and the place of the first.
#[test]
fn a_slot_holds_the_newest_at_its_old_place() {
    let mut outbox = Outbox::new(NOW);
    push(&mut outbox, &message(1, 0), NO_LIMIT).unwrap();
    assert_eq!(outbox.put(slot(1), Content::Frame(message(10, 1))), Slotted::New);
    push(&mut outbox, &message(2, 9), NO_LIMIT).unwrap();
    for fill in 2..50 {
        let newer = Content::Frame(message(usize::from(fill), fill));
        assert_eq!(outbox.put(slot(1), newer), Slotted::Merged);
    }
    let queued = outbox.queued();
    let expected = [message(1, 0), message(49, 49), message(2, 9)].concat();
    assert_eq!(pending(&outbox), expected);
    assert_eq!((outbox.len(), outbox.events()), (expected.len(), 3));
    assert_eq!(outbox.held() - queued, message(49, 49).len() + ITEM_BYTES);
}

/// §5.4 again: a value under way is finished, and the newer one goes behind it.
#[test]
fn a_slot_under_way_is_not_replaced() {
    let mut outbox = Outbox::new(NOW);
    let (old, new) = (message(10, 1), message(10, 2));
    outbox.put(slot(1), Content::Frame(Rc::clone(&old)));
    assert_eq!(write(&mut outbox, 3), old[..3]);
    assert_eq!(outbox.put(slot(1), Content::Frame(Rc::clone(&new))), Slotted::New);
    assert_eq!(write(&mut outbox, 100), [&old[3..], &new].concat());
    assert_eq!(outbox.held(), 0);
}

#[test]
fn the_oldest_that_give_way_are_pushed_out() {
    let mut outbox = Outbox::new(NOW);
    let frame = |fill| message(20, fill);
    let size = frame(0).len() + ITEM_BYTES;
    push(&mut outbox, &frame(0), NO_LIMIT).unwrap();
    for fill in 1..4 {
        let give_way = Waits::UntilPushedOut;
        outbox.push(&frame(fill), Kind::Event, give_way, NO_LIMIT, NOW).unwrap();
    }
    write(&mut outbox, 1);
    let dropped = outbox.push_out(20, 4 * size);
    assert_eq!(dropped.events, 1);
    assert_eq!(pending(&outbox)[frame(0).len() - 1..], [frame(2), frame(3)].concat());
    // Where nobody gives way any more, there is an end of it.
    assert_eq!(outbox.push_out(1000, size).events, 2);
    assert!(!outbox.has_room(1000, size));
}

/// §5.5.3: of pongs only the newest need go; between two frames, and before what else waits.
#[test]
fn the_lane_holds_the_newest_pong_and_goes_between_frames() {
    let mut outbox = Outbox::new(NOW);
    let (first, second) = (message(10, 1), message(10, 2));
    push(&mut outbox, &first, NO_LIMIT).unwrap();
    push(&mut outbox, &second, NO_LIMIT).unwrap();
    write(&mut outbox, 1);
    for fill in 0..100 {
        outbox.put_control(OpCode::Pong, frame(OpCode::Pong, 125, fill));
        outbox.put_control(OpCode::Ping, frame(OpCode::Ping, 5, fill));
    }
    let (pong, ping) = (frame(OpCode::Pong, 125, 99), frame(OpCode::Ping, 5, 99));
    let left = [&first[1..], &pong, &ping, &second].concat();
    assert_eq!(pending(&outbox), left);
    assert_eq!(outbox.len(), left.len());
    // Byte by byte too, with a pong that comes while another is under way.
    assert_eq!(write(&mut outbox, first.len() + 3), left[..first.len() + 3]);
    outbox.put_control(OpCode::Pong, frame(OpCode::Pong, 1, 7));
    let expected = [&pong[4..], &frame(OpCode::Pong, 1, 7), &ping, &second].concat();
    let mut rest = Vec::new();
    while !outbox.is_empty() {
        rest.extend(write(&mut outbox, 1));
    }
    assert_eq!(rest, expected);
    assert_eq!((outbox.held(), outbox.len()), (0, 0));
}

/// What is folded is one place too; nothing behind it goes before it has been folded.
#[test]
fn a_fold_is_rendered_when_its_turn_comes() {
    let mut outbox = Outbox::new(NOW);
    let from = FoldFrom { seq: 3, mark: 30 };
    push(&mut outbox, &message(1, 1), NO_LIMIT).unwrap();
    outbox.put(slot(4), Content::Fold(from));
    push(&mut outbox, &message(1, 2), NO_LIMIT).unwrap();
    let later = Content::Fold(FoldFrom { seq: 9, mark: 90 });
    assert_eq!(outbox.put(slot(4), later), Slotted::Merged);
    assert_eq!((outbox.fold_due(), pending(&outbox)), (None, message(1, 1).to_vec()));
    let mut pieces = outbox.pending();
    assert_eq!((pieces.next().is_some(), pieces.next(), pieces.next()), (true, None, None));
    drop(pieces);
    write(&mut outbox, 100);
    assert_eq!(outbox.fold_due(), Some((slot(4), from)));
    outbox.fold(message(40, 3));
    assert_eq!(write(&mut outbox, 100), [message(40, 3), message(1, 2)].concat());
    assert_eq!((outbox.held(), outbox.events()), (0, 0));
    // One that is dropped is told, so that nobody goes on folding for it.
    outbox.put(slot(4), Content::Fold(from));
    let (dropped, folds) = outbox.drop_unstarted();
    assert_eq!((dropped.events, folds), (1, vec![(slot(4), from)]));
}

#[test]
fn age_and_progress_are_told() {
    let mut outbox = Outbox::new(Millis(1));
    assert_eq!((outbox.oldest(), outbox.progressed()), (None, Millis(1)));
    outbox.put(slot(1), Content::Frame(message(1, 1)));
    outbox.push(&message(1, 1), Kind::Event, Waits::UntilPushedOut, NO_LIMIT, Millis(2)).unwrap();
    outbox.push(&message(1, 1), Kind::Reply, Waits::Surely, NO_LIMIT, Millis(3)).unwrap();
    outbox.push(&message(1, 1), Kind::Event, Waits::Surely, NO_LIMIT, Millis(4)).unwrap();
    assert_eq!(outbox.oldest(), Some(Millis(3)));
    outbox.advance(1, Millis(9));
    assert_eq!(outbox.progressed(), Millis(9));
    // What is under way does not wait.
    outbox.advance(2 * message(1, 1).len(), Millis(9));
    assert_eq!(outbox.oldest(), Some(Millis(4)));
}

#[derive(Clone, Debug)]
enum Step {
    Push(usize),
    Put { topic: usize, len: usize },
    Pong(usize),
    Write(usize),
    Drop,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0usize..300).prop_map(Step::Push),
        3 => (0usize..3, 0usize..200).prop_map(|(topic, len)| Step::Put { topic, len }),
        1 => (0usize..126).prop_map(Step::Pong),
        4 => (0usize..600).prop_map(Step::Write),
        1 => Just(Step::Drop),
    ]
}

proptest! {
    /// Whatever is queued, replaced, written and dropped: what leaves is whole frames, those of a
    /// kind in the order in which they came, and all counts come to nothing in the end.
    #[test]
    fn what_leaves_is_whole_frames_in_order(steps in prop::collection::vec(step(), 1..80)) {
        const LIMIT: usize = 2000;
        let mut outbox = Outbox::new(NOW);
        let (mut left, mut events, mut gone) = (Vec::new(), 0, 0);
        let mut offered = 0;
        for (number, step) in steps.into_iter().enumerate() {
            let fill = u8::try_from(number).unwrap();
            match step {
                Step::Push(len) => {
                    let room = outbox.has_room(message(len, fill).len(), LIMIT);
                    let pushed = push(&mut outbox, &message(len, fill), LIMIT);
                    prop_assert_eq!(pushed.is_ok(), room);
                    offered += u64::from(room);
                }
                Step::Put { topic, len } => {
                    let put = outbox.put(slot(topic), Content::Frame(message(len, fill)));
                    offered += u64::from(put == Slotted::New);
                }
                Step::Pong(len) => outbox.put_control(OpCode::Pong, frame(OpCode::Pong, len, fill)),
                Step::Write(count) => {
                    let bytes: Vec<u8> =
                        outbox.pending().flatten().copied().take(count).collect();
                    gone += outbox.advance(bytes.len(), NOW).events;
                    left.extend(bytes);
                }
                Step::Drop => events += outbox.drop_unstarted().0.events,
            }
            prop_assert_eq!(outbox.len(), pending(&outbox).len());
            prop_assert_eq!(outbox.events() + gone + events, offered);
            prop_assert!(outbox.queued() <= LIMIT + 2 * (127 + ITEM_BYTES));
            prop_assert!(outbox.held() >= outbox.len());
        }
        left.extend(pending(&outbox));
        let mut rest = &left[..];
        let mut newest = -1;
        while !rest.is_empty() {
            let header =
                crate::proto::Header::parse(rest, crate::proto::Role::Client(|| [0; 4]));
            let (header, len) = header.unwrap().unwrap();
            let end = len + usize::try_from(header.payload_len).unwrap();
            let payload = &rest[len..end];
            prop_assert!(payload.windows(2).all(|two| two[0] == two[1]), "a frame was cut");
            // Messages of slots may be newer than what follows them.
            if let (OpCode::Pong, Some(fill)) = (header.opcode, payload.first()) {
                prop_assert!(i32::from(*fill) > newest, "an older pong");
                newest = i32::from(*fill);
            }
            rest = &rest[end..];
        }
    }
}

/// What is withdrawn is a topic's slots: neither other topics', nor frames, nor what has begun.
#[test]
fn withdrawing_a_topic_drops_what_waits_in_its_slots() {
    let fold = |seq| Content::Fold(FoldFrom { seq, mark: seq });
    let (first, second) = (message(10, 1), message(20, 2));
    let mut outbox = Outbox::new(NOW);
    outbox.put(slot(1), Content::Frame(Rc::clone(&first)));
    write(&mut outbox, 1);
    push(&mut outbox, &second, NO_LIMIT).unwrap();
    outbox.put(slot(1), Content::Frame(message(30, 3)));
    outbox.put(SlotId { topic: 1, key: u64::MAX }, fold(5));
    outbox.put(slot(2), Content::Frame(message(40, 4)));
    let held = outbox.held();
    let (dropped, folds) = outbox.withdraw(1);
    let of_frame = message(30, 3).len();
    assert_eq!(dropped, Tally { bytes: of_frame, events: 2 });
    assert_eq!(folds, [(SlotId { topic: 1, key: u64::MAX }, FoldFrom { seq: 5, mark: 5 })]);
    assert_eq!(outbox.held(), held - of_frame - 2 * ITEM_BYTES);
    let left = [&first[1..], &second, &message(40, 4)].concat();
    assert_eq!((pending(&outbox), outbox.len(), outbox.events()), (left, outbox.len(), 3));
    assert_eq!(outbox.withdraw(1), (Tally::default(), vec![]));
    // The topic's next message has a place of its own, at the end.
    assert_eq!(outbox.put(slot(1), Content::Frame(message(1, 5))), Slotted::New);
    assert!(pending(&outbox).ends_with(&message(1, 5)));
}
