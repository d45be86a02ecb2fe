use super::*;
use crate::edges::cut;

const A: TreeId = TreeId(0);
const B: TreeId = TreeId(1);

fn tracker(count: u64, destinations: usize) -> Tracker {
    let chunks = cut(0, 0, "k", "v", count * 10, 10);
    let shares = vec![0; chunks.len()];
    of(chunks, &shares, 1, DestinationSet::first(destinations))
}

fn of(chunks: Vec<Chunk>, shares: &[usize], groups: usize, all: DestinationSet) -> Tracker {
    let mut tracker = Tracker::new(groups);
    for (chunk, group) in chunks.into_iter().zip(shares) {
        tracker.add(chunk, *group, all);
    }
    tracker
}

fn ids(assigned: &[Assignment]) -> Vec<(u64, u32, u64)> {
    assigned
        .iter()
        .map(|one| (one.chunk.id, one.attempt, one.wanted.0))
        .collect()
}

#[test]
fn a_window_is_filled_and_refilled_as_chunks_are_written_everywhere() {
    let mut tracker = tracker(3, 2);
    tracker.begin(A, 0, DestinationSet::first(2));
    assert_eq!(ids(&tracker.assign(A, 2, 0)), [(0, 0, 3), (1, 0, 3)]);
    assert!(tracker.written(0, 0, 1).is_some());
    assert!(
        tracker.written(0, 0, 1).is_none(),
        "the same again is no news"
    );
    assert!(tracker.assign(A, 2, 1).is_empty());
    assert!(tracker.written(0, 1, 1).is_some());
    assert_eq!(ids(&tracker.assign(A, 2, 1)), [(2, 0, 3)]);
    for chunk in [1, 2] {
        assert!(!tracker.is_done());
        tracker.written(chunk, 0, 2);
        tracker.written(chunk, 1, 2);
    }
    assert!(tracker.is_done());
    assert_eq!(tracker.held(1), (3, 30));
}

#[test]
fn only_what_was_not_acknowledged_is_sent_again_and_only_to_who_lacks_it() {
    let mut tracker = tracker(3, 2);
    tracker.begin(A, 0, DestinationSet::first(2));
    tracker.assign(A, 9, 0);
    tracker.written(0, 0, 1);
    tracker.written(0, 1, 1);
    tracker.written(1, 1, 1);
    tracker.end(A);
    tracker.begin(B, 0, DestinationSet::first(2));
    assert_eq!(ids(&tracker.assign(B, 9, 2)), [(1, 1, 1), (2, 1, 3)]);
    assert_eq!(tracker.resent, 2);
}

#[test]
fn a_failed_try_counts_once() {
    let mut tracker = tracker(1, 1);
    tracker.begin(A, 0, DestinationSet::first(1));
    tracker.assign(A, 9, 0);
    assert_eq!(tracker.lost(0, 0), Some(1));
    assert_eq!(tracker.lost(0, 0), None, "that try is over");
    assert_eq!(ids(&tracker.assign(A, 9, 0)), [(0, 1, 1)]);
    assert_eq!(
        tracker.lost(0, 0),
        None,
        "an old try says nothing of the new one"
    );
    assert_eq!(tracker.lost(0, 1), Some(2));
}

#[test]
fn silence_is_counted_from_the_last_word_of_the_same_destination() {
    let mut tracker = tracker(2, 2);
    tracker.begin(A, 0, DestinationSet::first(2));
    tracker.assign(A, 9, 100);
    assert!(tracker.stalled(200, 100).is_empty());
    tracker.written(0, 0, 190);
    // The second destination has said nothing since the chunks were sent.
    let stalled = tracker.stalled(250, 100);
    assert_eq!(
        stalled,
        [
            (1, 0, DestinationSet::one(1)),
            (0, 0, DestinationSet::one(1))
        ]
    );
}

#[test]
fn a_destination_that_is_given_up_holds_nothing_up() {
    let mut tracker = tracker(2, 2);
    tracker.begin(A, 0, DestinationSet::first(2));
    tracker.assign(A, 9, 0);
    tracker.written(0, 0, 1);
    tracker.give_up(1);
    assert!(!tracker.is_done());
    tracker.written(1, 0, 1);
    assert!(tracker.is_done());
    assert_eq!((tracker.held(0).0, tracker.held(1).0), (2, 0));
}

#[test]
fn what_a_tree_does_not_reach_goes_to_one_that_does() {
    let chunks = cut(0, 0, "k", "v", 20, 10);
    let mut tracker = of(chunks, &[0, 1], 2, DestinationSet::first(2));
    tracker.begin(A, 0, DestinationSet::one(0));
    tracker.begin(B, 1, DestinationSet::one(1));
    assert_eq!(ids(&tracker.assign(A, 9, 0)), [(0, 0, 1)]);
    assert_eq!(ids(&tracker.assign(B, 9, 0)), [(1, 0, 2)]);
    tracker.written(0, 0, 1);
    tracker.written(1, 1, 1);
    assert!(tracker.assign(A, 9, 1).is_empty() && tracker.assign(B, 9, 1).len() == 1);
    let more = tracker.assign(A, 9, 1);
    tracker.written(0, 1, 2);
    assert_eq!(ids(&more), [(1, 1, 1)]);
    tracker.written(1, 0, 2);
    assert!(tracker.is_done());
}

#[test]
fn a_group_without_trees_is_carried_by_others() {
    let chunks = cut(0, 0, "k", "v", 20, 10);
    let mut tracker = of(chunks, &[0, 1], 2, DestinationSet::first(1));
    tracker.begin(A, 0, DestinationSet::first(1));
    assert_eq!(tracker.assign(A, 9, 0).len(), 2);
}

#[test]
fn a_chunk_that_one_destination_refuses_still_goes_to_the_others() {
    let mut tracker = tracker(2, 2);
    tracker.begin(A, 0, DestinationSet::first(2));
    tracker.assign(A, 9, 0);
    assert_eq!(
        tracker.refuse(0, DestinationSet::one(1)),
        DestinationSet::one(1)
    );
    assert!(
        tracker.refuse(0, DestinationSet::one(1)).is_empty(),
        "it was told already"
    );
    assert!(tracker.written(0, 1, 1).is_none(), "it was given up there");
    tracker.written(0, 0, 1);
    tracker.written(1, 0, 1);
    tracker.written(1, 1, 1);
    assert!(tracker.is_done());
    assert_eq!(tracker.held(1), (1, 10));
}

#[test]
fn chunks_may_come_while_others_are_on_their_way_and_are_forgotten_when_they_are_there() {
    let mut tracker = tracker(1, 1);
    tracker.begin(A, 0, DestinationSet::first(1));
    tracker.assign(A, 9, 0);
    let mut more = cut(1, 1, "l", "v", 10, 10);
    tracker.add(more.remove(0), 0, DestinationSet::first(1));
    tracker.written(0, 0, 1);
    assert!(!tracker.is_done() && tracker.rows.len() == 1);
    assert_eq!(ids(&tracker.assign(A, 9, 1)), [(1, 0, 1)]);
    tracker.written(1, 0, 2);
    assert!(tracker.is_done() && tracker.total_bytes == 20);
}

#[test]
fn a_tree_that_is_ready_first_leaves_the_others_share_of_their_queue() {
    let chunks = cut(0, 0, "k", "v", 100, 10);
    let mut tracker = of(chunks, &[0; 10], 1, DestinationSet::first(1));
    tracker.begin(A, 0, DestinationSet::first(1));
    tracker.begin(B, 0, DestinationSet::first(1));
    assert_eq!(
        tracker.assign(A, 99, 0).len(),
        5,
        "not all, though it might"
    );
    for chunk in 0..4 {
        tracker.written(chunk, 0, 1);
    }
    // Six are left, one of them on its way over A.
    assert_eq!(tracker.assign(A, 99, 1).len(), 2);
    assert_eq!(tracker.assign(B, 99, 1).len(), 3);
}
