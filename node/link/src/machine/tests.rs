//! The line, one call at a time, and two of them over connections that break.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::wire::{Frame, Header, Out, Outgoing};

/// A frame of so many bytes.
#[derive(Clone, Debug, PartialEq)]
struct Block(u64, usize);

impl Frame for Block {
    fn write(&self, out: &mut impl Out) {
        out.put(&vec![0; self.1]);
    }
}

const LIMITS: LineLimits = LineLimits {
    bytes_max: 100,
    tag_bytes_max: 40,
    parcel_bytes_max: 30,
    frame_bytes_max: 1000,
    answers_bytes_max: 2000,
};

const NOW: Duration = Duration::ZERO;

fn open_line() -> Line<Block> {
    let mut line = Line::new(LIMITS, NOW);
    let generation = line.connect();
    line.open(generation, 2, 0, 0).unwrap();
    line
}

fn parcel(line: &mut Line<Block>) -> Option<(Header, Vec<u64>)> {
    match line.poll(line.generation()) {
        Polled::Parcel(Outgoing::Frames(header, frames, _)) => {
            Some((header, frames.iter().map(|frame| frame.0).collect()))
        }
        _ => None,
    }
}

fn push(line: &mut Line<Block>, name: u64, size: usize, tag: u16) -> bool {
    line.push(Block(name, size), tag).is_ok()
}

#[test]
fn connections_that_end_on_the_same_frame_again_and_again_are_none() {
    let mut line = open_line();
    assert!(push(&mut line, 1, 10, 0));
    let at = Duration::from_secs;
    for second in 1..=20 {
        let generation = line.generation();
        assert!(parcel(&mut line).is_some());
        line.disconnect(generation, at(second));
        assert_eq!(line.down_for(at(second)), Some(at(second - 1)));
        let generation = line.connect();
        line.open(generation, 2, 0, 0).unwrap();
        assert_eq!(line.down_for(at(second)), None);
    }
    // One that is of use ends that.
    assert!(parcel(&mut line).is_some());
    line.forget(1).unwrap();
    let generation = line.generation();
    line.disconnect(generation, at(30));
    assert_eq!(line.down_for(at(31)), Some(at(1)));
}

#[test]
fn what_is_recalled_leaves_its_number_to_something_else() {
    let mut line = open_line();
    for name in 1..=4 {
        assert!(push(&mut line, name, 10, 0));
    }
    assert_eq!(parcel(&mut line).unwrap().1, [1, 2, 3]);
    let generation = line.generation();
    line.disconnect(generation, NOW);
    let recalled = line.recall(|frame| frame.0 % 2 == 0, || Block(0, 1));
    let recalled: Vec<_> = recalled.iter().map(|frame| frame.0).collect();
    assert_eq!((recalled, line.bytes()), (vec![2, 4], 20));
    // The peer has received one of them.
    let generation = line.connect();
    line.open(generation, 2, 2, 0).unwrap();
    let (header, frames) = parcel(&mut line).unwrap();
    assert_eq!((header.first, frames), (3, vec![3, 0]));
    line.forget(4).unwrap();
    assert_eq!(line.bytes(), 0);
}

#[test]
fn all_that_waits_goes_as_one_parcel_up_to_the_bound() {
    let mut line = open_line();
    for name in 1..=4 {
        assert!(push(&mut line, name, 10, name as u16));
    }
    let (header, frames) = parcel(&mut line).unwrap();
    assert_eq!((header.first, header.forget, frames), (1, 0, vec![1, 2, 3]));
    assert_eq!(parcel(&mut line).unwrap().1, [4]);
    assert!(parcel(&mut line).is_none());
}

/// A line whose peer has sent a frame, and has not answered the one that was sent to it.
fn lively_line() -> Line<Block> {
    let mut line = open_line();
    line.handled(1, 10);
    assert!(push(&mut line, 1, 10, 0));
    assert_eq!(parcel(&mut line).unwrap().1, [1]);
    line
}

#[test]
fn few_frames_wait_for_more_until_a_lively_peer_is_heard() {
    let mut line = lively_line();
    for name in 2..=3 {
        assert!(push(&mut line, name, 10, 0));
        assert!(!line.has_to_send() && parcel(&mut line).is_none());
    }
    // Its answer.
    line.handled(1, 10);
    line.forget(1).unwrap();
    assert!(line.has_to_send());
    assert_eq!(parcel(&mut line).unwrap().1, [2, 3]);
}

#[test]
fn frames_that_crossed_those_of_the_peer_do_not_wait_for_each_other() {
    let mut line = lively_line();
    assert!(push(&mut line, 2, 10, 0));
    line.handled(1, 10);
    assert_eq!(parcel(&mut line).unwrap().1, [2]);
}

#[test]
fn a_peer_that_only_says_what_it_has_is_not_waited_for() {
    let mut line = lively_line();
    line.handled(0, 0);
    assert!(push(&mut line, 2, 10, 0));
    assert_eq!(parcel(&mut line).unwrap().1, [2]);
    let mut new = lively_line();
    let generation = new.connect();
    new.open(generation, 2, 0, 0).unwrap();
    assert!(push(&mut new, 2, 10, 0));
    assert_eq!(parcel(&mut new).unwrap().1, [1, 2]);
}

#[test]
fn enough_frames_for_a_parcel_wait_for_nobody() {
    let mut line = lively_line();
    for name in 2..66 {
        assert!(line.push_always(Block(name, 0)));
    }
    assert_eq!(parcel(&mut line).unwrap().1.len(), 64);
}

#[test]
fn a_frame_larger_than_all_bounds_passes_alone() {
    let mut line = open_line();
    assert!(push(&mut line, 1, 500, 0));
    assert!(!push(&mut line, 2, 1, 0));
    assert_eq!(parcel(&mut line).unwrap().1, [1]);
}

#[test]
fn a_frame_larger_than_what_a_peer_reads_is_never_queued() {
    let mut line = open_line();
    let pushed = line.push(Block(1, 1001), 0);
    assert!(matches!(pushed, Err(NotQueued::TooLarge(Block(1, _)))));
    assert!(!line.push_always(Block(2, 1001)));
    assert!(parcel(&mut line).is_none());
}

#[test]
fn what_is_under_way_counts_until_it_is_taken() {
    let mut line = open_line();
    assert!(push(&mut line, 1, 30, 7));
    assert!(!push(&mut line, 2, 20, 7), "the tag is full");
    assert!(push(&mut line, 3, 30, 8) && push(&mut line, 4, 30, 9));
    assert!(!push(&mut line, 5, 30, 10), "the line is full");
    assert!(line.take_short().is_empty(), "nothing is free yet");
    while parcel(&mut line).is_some() {}
    line.forget(1).unwrap();
    assert_eq!(line.take_short(), [7, 10]);
    assert!(push(&mut line, 2, 20, 7));
}

#[test]
fn a_frame_that_is_held_counts_until_its_shard_has_room() {
    let mut line = open_line();
    assert!(push(&mut line, 1, 10, 7));
    parcel(&mut line);
    line.held(1);
    line.forget(1).unwrap();
    assert_eq!(line.bytes(), 10);
    assert!(!push(&mut line, 2, 1, 7), "the shard is full");
    assert!(push(&mut line, 3, 1, 8));
    line.room(7);
    assert_eq!((line.bytes(), line.take_short()), (1, vec![7]));
    assert!(push(&mut line, 2, 1, 7));
}

#[test]
fn a_frame_comes_back_once() {
    let mut line = open_line();
    assert!(push(&mut line, 1, 10, 7));
    assert!(line.take_back(1).is_none(), "it was not sent");
    parcel(&mut line);
    assert_eq!(*line.take_back(1).unwrap(), Block(1, 10));
    assert!(line.take_back(1).is_none());
    assert_eq!(line.bytes(), 0);
}

#[test]
fn forget_never_overtakes_word_of_a_frame() {
    let mut line = open_line();
    line.handled(3, 30);
    // Word of the fourth frame waits behind others.
    for name in 1..=3 {
        assert!(push(&mut line, name, 20, name as u16));
    }
    assert!(line.push_always(Block(9, 20)));
    line.handled(1, 10);
    assert_eq!(parcel(&mut line).unwrap().0.forget, 3);
    assert_eq!(parcel(&mut line).unwrap().0.forget, 3);
    assert_eq!(parcel(&mut line).unwrap().0.forget, 3);
    let (header, frames) = parcel(&mut line).unwrap();
    assert_eq!((header.forget, frames), (4, vec![9]));
}

#[test]
fn what_was_handled_is_told_alone_only_when_asked_or_at_half_of_the_credit() {
    let mut line = open_line();
    line.handled(1, 10);
    assert!(line.has_to_tell() && parcel(&mut line).is_none());
    line.tell_now();
    let (header, frames) = parcel(&mut line).unwrap();
    assert_eq!((header.forget, frames.len()), (1, 0));
    assert!(!line.has_to_tell());
    line.handled(1, 21);
    assert_eq!(parcel(&mut line).unwrap().0.forget, 2);
}

#[test]
fn a_new_connection_ends_the_old_one_and_goes_on_behind_what_arrived() {
    let mut line = open_line();
    let old = line.generation();
    for name in 1..=3 {
        assert!(push(&mut line, name, 10, 0));
    }
    parcel(&mut line);
    let new = line.connect();
    assert!(matches!(line.poll(old), Polled::Ended));
    assert!(matches!(line.poll(new), Polled::Pending), "no hello yet");
    line.open(new, 2, 2, 1).unwrap();
    let (header, frames) = parcel(&mut line).unwrap();
    assert_eq!((header.first, frames), (3, vec![3]));
}

#[test]
fn a_peer_that_contradicts_itself_is_refused() {
    let mut line = open_line();
    assert!(push(&mut line, 1, 10, 0));
    assert!(line.forget(1).is_err(), "it was not sent");
    parcel(&mut line);
    line.forget(1).unwrap();
    let generation = line.connect();
    assert!(line.open(generation, 2, 0, 0).is_err(), "it had one");
    assert!(
        line.open(generation, 2, 2, 0).is_err(),
        "there was no second"
    );
    line.open(generation, 2, 1, 1).unwrap();
    let header = |version, first| Header {
        version,
        forget: 0,
        first,
    };
    assert!(line.repeats(generation, &header(1, 1), 1).is_err());
    assert!(line.repeats(generation, &header(2, 2), 1).is_err(), "a gap");
    line.handled(2, 0);
    assert_eq!(line.repeats(generation, &header(2, 1), 3), Ok(2));
    assert_eq!(line.repeats(generation - 1, &header(2, 1), 3), Ok(3));
}

#[test]
fn a_lost_line_gives_back_what_the_peer_may_not_have_and_begins_anew() {
    let mut line = open_line();
    for name in 1..=3 {
        assert!(push(&mut line, name, 10, 0));
    }
    parcel(&mut line);
    line.forget(1).unwrap();
    let lost = line.lose(NOW);
    assert_eq!(lost.iter().map(|b| b.0).collect::<Vec<_>>(), [2, 3]);
    assert_eq!((line.bytes(), line.received()), (0, 0));
    let generation = line.connect();
    line.open(generation, 2, 0, 0).unwrap();
    assert!(push(&mut line, 4, 10, 0));
    assert_eq!(parcel(&mut line).unwrap().0.first, 1);
    line.close(NOW);
    assert!(!push(&mut line, 5, 10, 0) && !line.push_always(Block(6, 1)));
}

/// What may happen between two ends.
#[derive(Clone, Debug)]
enum Step {
    Push {
        left: bool,
        size: usize,
        tag: u16,
    },
    /// A parcel arrives.
    Carry {
        left: bool,
    },
    /// A parcel is lost with the connection, behind which both connect again.
    Break {
        lose: bool,
    },
    Tell {
        left: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<bool>(), 1..40_usize, 0..3_u16)
            .prop_map(|(left, size, tag)| Step::Push { left, size, tag }),
        4 => any::<bool>().prop_map(|left| Step::Carry { left }),
        1 => any::<bool>().prop_map(|lose| Step::Break { lose }),
        1 => any::<bool>().prop_map(|left| Step::Tell { left }),
    ]
}

/// One end with what it pushed and what it got.
struct End {
    line: Line<Block>,
    pushed: Vec<u64>,
    got: Vec<u64>,
}

impl End {
    fn new() -> Self {
        Self {
            line: open_line(),
            pushed: Vec::new(),
            got: Vec::new(),
        }
    }
}

fn carry(from: &mut End, to: &mut End) -> bool {
    let Polled::Parcel(Outgoing::Frames(header, frames, bytes)) =
        from.line.poll(from.line.generation())
    else {
        return false;
    };
    let generation = to.line.generation();
    let repeats = to.line.repeats(generation, &header, frames.len()).unwrap();
    to.got.extend(
        frames
            .iter()
            .skip(repeats)
            .map(|frame: &Arc<Block>| frame.0),
    );
    to.line.handled(frames.len() - repeats, bytes);
    to.line.forget(header.forget).unwrap();
    true
}

fn reconnect(left: &mut End, right: &mut End) {
    let (l, r) = (left.line.connect(), right.line.connect());
    let (from_left, from_right) = (
        (left.line.received(), left.line.forgettable()),
        (right.line.received(), right.line.forgettable()),
    );
    left.line.open(l, 2, from_right.0, from_right.1).unwrap();
    right.line.open(r, 2, from_left.0, from_left.1).unwrap();
}

proptest! {
    #[test]
    fn over_any_breaks_each_frame_arrives_once_and_in_order(steps in prop::collection::vec(step(), 0..120)) {
        let (mut left, mut right) = (End::new(), End::new());
        for step in steps {
            match step {
                Step::Push { left: to_left, size, tag } => {
                    let end = if to_left { &mut left } else { &mut right };
                    let name = end.pushed.len() as u64;
                    if push(&mut end.line, name, size, tag) {
                        end.pushed.push(name);
                    }
                    prop_assert!(end.line.bytes() <= LIMITS.bytes_max);
                }
                Step::Carry { left: true } => { carry(&mut left, &mut right); }
                Step::Carry { left: false } => { carry(&mut right, &mut left); }
                Step::Break { lose } => {
                    if lose {
                        // Sent, and never seen.
                        let _ = left.line.poll(left.line.generation());
                        let _ = right.line.poll(right.line.generation());
                    }
                    reconnect(&mut left, &mut right);
                }
                Step::Tell { left: true } => left.line.tell_now(),
                Step::Tell { left: false } => right.line.tell_now(),
            }
        }
        reconnect(&mut left, &mut right);
        while carry(&mut left, &mut right) | carry(&mut right, &mut left) {}
        left.line.tell_now();
        right.line.tell_now();
        while carry(&mut left, &mut right) | carry(&mut right, &mut left) {}
        prop_assert_eq!(&left.pushed, &right.got);
        prop_assert_eq!(&right.pushed, &left.got);
        prop_assert_eq!((left.line.bytes(), right.line.bytes()), (0, 0));
    }
}
