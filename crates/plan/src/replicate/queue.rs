//! Those that wait, asked again and again who is next: the order of [`in_order`](super::in_order), one at a time.
//!
//! Sorting anew whenever one is taken would cost the square of how many wait. What changes with time is only who can still
//! be in time, and each of them ceases to be so once: so those that can are kept by their deadlines, those that cannot by
//! their regret per dollar, and one moves from the former to the latter when its last moment to begin has passed.

use super::Pending;
use skyfresh_sky::{Regretted, Timestamp};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Those that cannot be in time stand behind all that can, and may be overtaken for ever. So one in so many turns is the
/// turn of whoever has waited longest: an eighth of the workers is what that may take from those that can be in time.
const AGED_TURN: u32 = 8;
/// But only of someone who has waited so long: what is served sooner needs no help.
const PATIENCE: Duration = Duration::from_secs(30);

/// Names one that waits; later ones have greater tickets.
pub type Ticket = u64;

/// A waiting line.
///
/// Adding, taking and leaving take logarithmic time; so does asking, over all that wait, for each moves back at most once. Only
/// a clock that is set back makes all of them be looked at again.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: BTreeMap<Ticket, Waiting>,
    /// That can be in time as of `seen`, by deadline.
    in_time: BTreeSet<(Timestamp, Ticket)>,
    /// The same, by the last moment to begin.
    last_starts: BTreeSet<(Timestamp, Ticket)>,
    /// All others, by regret per dollar (the bits of a number that is not negative are in its order).
    late: BTreeSet<(Reverse<u64>, Ticket)>,
    seen: Timestamp,
    next_ticket: Ticket,
    /// Turns since one went to whoever had waited longest.
    since_aged: u32,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    pending: Pending,
    since: Timestamp,
    late: bool,
}

impl Waiting {
    fn is_aged(&self, now: Timestamp) -> bool {
        now.since(self.since) > PATIENCE
    }
}

impl Queue {
    /// Adds one.
    pub fn push(&mut self, pending: Pending, now: Timestamp) -> Ticket {
        let ticket = self.ticket();
        self.insert(ticket, pending, now);
        ticket
    }

    /// A ticket for one that does not wait.
    pub fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        self.next_ticket - 1
    }

    fn insert(&mut self, ticket: Ticket, pending: Pending, since: Timestamp) {
        let begin = pending.last_start().filter(|last| *last >= self.seen);
        let waiting = Waiting {
            pending,
            since,
            late: begin.is_none(),
        };
        match begin {
            Some(last) => {
                self.in_time.insert((pending.deadline, ticket));
                self.last_starts.insert((last, ticket));
            }
            None => {
                self.late.insert((regret(&pending), ticket));
            }
        }
        self.waiting.insert(ticket, waiting);
    }

    /// Who is next; it stays until it is taken.
    pub fn next(&mut self, now: Timestamp) -> Option<Ticket> {
        self.look(now);
        let (oldest, waiting) = self.waiting.first_key_value()?;
        if self.since_aged + 1 >= AGED_TURN && waiting.is_aged(now) {
            return Some(*oldest);
        }
        let in_time = self.in_time.first().map(|(_, ticket)| *ticket);
        in_time.or_else(|| self.late.first().map(|(_, ticket)| *ticket))
    }

    /// Takes one whose turn it is.
    pub fn take(&mut self, ticket: Ticket, now: Timestamp) -> Option<Pending> {
        let oldest = self.waiting.first_key_value();
        let aged_turn = oldest.is_some_and(|(oldest, it)| *oldest == ticket && it.is_aged(now));
        let taken = self.leave(ticket)?;
        self.since_aged = match aged_turn {
            true => 0,
            false => self.since_aged.saturating_add(1),
        };
        Some(taken)
    }

    /// One waits no longer.
    pub fn leave(&mut self, ticket: Ticket) -> Option<Pending> {
        let Waiting { pending, late, .. } = self.waiting.remove(&ticket)?;
        if late {
            self.late.remove(&(regret(&pending), ticket));
        } else {
            self.in_time.remove(&(pending.deadline, ticket));
            if let Some(last) = pending.last_start() {
                self.last_starts.remove(&(last, ticket));
            }
        }
        Some(pending)
    }

    /// One that waits.
    pub fn get(&self, ticket: Ticket) -> Option<&Pending> {
        self.waiting.get(&ticket).map(|waiting| &waiting.pending)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Sees what the time has done.
    fn look(&mut self, now: Timestamp) {
        let set_back = now < self.seen;
        self.seen = now;
        if set_back {
            self.in_time.clear();
            self.last_starts.clear();
            self.late.clear();
            for (ticket, it) in std::mem::take(&mut self.waiting) {
                self.insert(ticket, it.pending, it.since);
            }
            return;
        }
        while let Some((_, ticket)) = self.last_starts.first().filter(|(last, _)| *last < now) {
            let ticket = *ticket;
            self.last_starts.pop_first();
            if let Some(waiting) = self.waiting.get_mut(&ticket) {
                waiting.late = true;
                let pending = waiting.pending;
                self.in_time.remove(&(pending.deadline, ticket));
                self.late.insert((regret(&pending), ticket));
            }
        }
    }
}

fn regret(pending: &Pending) -> Reverse<u64> {
    Reverse(pending.score().to_bits())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replicate::in_order;
    use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, proptest};
    use skyfresh_sky::Usd;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    fn pending() -> impl Strategy<Value = Pending> {
        let takes_s =
            prop::sample::select(vec![0.0, 0.001, 0.5, 2.0, f64::NAN, f64::INFINITY, -1.0]);
        let regret = prop::sample::select(vec![0.0, -0.0, 1.0, 3.5, f64::NAN, f64::INFINITY, -2.0]);
        let usd = prop::sample::select(vec![0.0, 0.01, 2.0]);
        (0u64..5_000, takes_s, regret, usd).prop_map(|(deadline_ms, takes_s, regret_per_s, usd)| {
            Pending {
                deadline: at(deadline_ms),
                takes_s,
                regret_per_s,
                cost: Usd::from_usd(usd),
            }
        })
    }

    proptest! {
        /// Whatever comes, goes and is taken, and wherever the clock goes: who is next is the first of all in order.
        #[test]
        fn the_next_is_the_first_in_order(
            steps in prop::collection::vec((pending(), 0u64..6_000, 0u8..4, any::<prop::sample::Index>()), 1..60)
        ) {
            let (mut queue, mut model) = (Queue::default(), Vec::<(Ticket, Pending)>::new());
            for (pending, now_ms, action, which) in steps {
                let now = at(now_ms);
                match action {
                    0 | 1 => {
                        let ticket = queue.push(pending, now);
                        model.push((ticket, pending));
                    }
                    2 if !model.is_empty() => {
                        let (ticket, _) = model.remove(which.index(model.len()));
                        prop_assert!(queue.leave(ticket).is_some());
                    }
                    _ => {
                        if let Some(ticket) = queue.next(now) {
                            prop_assert!(queue.take(ticket, now).is_some());
                            model.retain(|(other, _)| *other != ticket);
                        }
                    }
                }
                let all: Vec<Pending> = model.iter().map(|(_, pending)| *pending).collect();
                let first = in_order(&all, now).first().map(|index| model[*index].0);
                prop_assert_eq!(queue.next(now), first);
                prop_assert_eq!(queue.len(), model.len());
            }
        }
    }

    #[test]
    fn whoever_has_waited_long_has_one_turn_in_eight() {
        let mut queue = Queue::default();
        let late = Pending {
            deadline: at(0),
            takes_s: 1.0,
            regret_per_s: 0.0,
            cost: Usd::ZERO,
        };
        let in_time = Pending {
            deadline: at(1_000_000),
            ..late
        };
        let waiting = [queue.push(late, at(1)), queue.push(late, at(1))];
        let mut turns = Vec::new();
        for turn in 0..20 {
            queue.push(in_time, at(40_000 + turn));
            let next = queue.next(at(40_000 + turn)).unwrap();
            queue.take(next, at(40_000 + turn));
            turns.push(next);
        }
        let places: Vec<usize> = (0..)
            .zip(&turns)
            .filter(|(_, it)| waiting.contains(it))
            .map(|(at, _)| at)
            .collect();
        assert_eq!(places, [7, 15], "{turns:?}");
        assert_eq!((turns[7], turns[15]), (waiting[0], waiting[1]));
    }
}
