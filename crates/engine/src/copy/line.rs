//! The waiting line of workers, and that of copies in one request: so many may be in flight, and the most urgent order goes first.
//!
//! In: how much each order cannot wait. Out: a [`Turn`], and with it permits for parts. Never: gives out more permits than
//! there are, but to whoever asks not to wait, and those no more than twice; forgets those of a worker that was dropped; lets a small order pass one that is more urgent and needs more.
//!
//! Who is next is decided anew whenever something is free ([`Queue`]), so an order that has become hopeless while it waited
//! does not hold up one that is not. A worker may work for hours; between two parts it looks whether a more urgent order
//! waits for what it holds, and if so stands in line again ([`Turn::gives_way`]).

use skyfresh_plan::replicate::{Pending, Queue, Ticket, in_order};
use skyfresh_sky::Clock;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Permits, and those that wait for them.
#[derive(Debug)]
pub(crate) struct Line {
    clock: Arc<dyn Clock>,
    total: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    free: u32,
    /// Given out beyond what there is, to those that do not wait ([`Line::begin`]).
    owed: u32,
    queue: Queue,
    waiting: BTreeMap<Ticket, Waiting>,
    /// Someone has said that it will give way, and has not left yet: one at a time, so that not all of them leave for one.
    giving_way: bool,
}

#[derive(Debug)]
struct Waiting {
    wanted: u32,
    admit: oneshot::Sender<()>,
}

impl Line {
    /// A line for so many permits, at least one.
    pub(crate) fn new(permits: usize, clock: Arc<dyn Clock>) -> Arc<Self> {
        let total = u32::try_from(permits).unwrap_or(u32::MAX).max(1);
        let state = State {
            free: total,
            owed: 0,
            queue: Queue::default(),
            waiting: BTreeMap::new(),
            giving_way: false,
        };
        Arc::new(Line {
            clock,
            total,
            state: Mutex::new(state),
        })
    }

    /// Permits in all.
    pub(crate) fn total(&self) -> usize {
        self.total as usize
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody waits, and an order for one permit would not either.
    pub(crate) fn is_free(&self) -> bool {
        let state = self.state();
        state.waiting.is_empty() && state.free > 0
    }

    /// Whether somebody waits, or less than half of the permits are free.
    pub(crate) fn is_short(&self) -> bool {
        let state = self.state();
        !state.waiting.is_empty() || state.free < self.total / 2
    }

    fn turn(self: &Arc<Self>, wanted: usize, pending: Pending) -> Turn {
        // More than there are would be waited for in vain.
        let wanted = u32::try_from(wanted)
            .unwrap_or(u32::MAX)
            .clamp(1, self.total);
        Turn {
            line: Arc::clone(self),
            wanted,
            pending,
            pass: None,
        }
    }

    /// Takes `wanted` permits without waiting, also where they are not free: others wait the longer. Only where as many as there
    /// are have been given out beyond that already, it waits.
    pub(crate) async fn begin(self: &Arc<Self>, wanted: usize, pending: Pending) -> Turn {
        let mut turn = self.turn(wanted, pending);
        let begun = {
            let mut state = self.state();
            let beyond = turn.wanted.saturating_sub(state.free);
            let begun = beyond == 0 || state.owed.saturating_add(beyond) <= self.total;
            if begun {
                state.free -= turn.wanted - beyond;
                state.owed += beyond;
                let ticket = state.queue.ticket();
                turn.pass = Some(turn.pass(ticket));
            }
            begun
        };
        if !begun {
            turn.wait().await;
        }
        turn
    }

    /// Waits for `wanted` permits, all at once, so that nobody holds some while it waits for others. Dropping the future leaves
    /// the line.
    pub(crate) async fn enter(self: &Arc<Self>, wanted: usize, pending: Pending) -> Turn {
        let mut turn = self.turn(wanted, pending);
        turn.wait().await;
        turn
    }

    /// Admits whoever is next for as long as there is enough. The next one keeps its place until there is.
    fn admit(&self, state: &mut State) {
        let now = self.clock.now();
        while let Some(ticket) = state.queue.next(now) {
            let wanted = state.waiting.get(&ticket).map_or(0, |it| it.wanted);
            if wanted > state.free {
                return;
            }
            state.queue.take(ticket, now);
            if let Some(waiting) = state.waiting.remove(&ticket) {
                state.free -= wanted;
                // Whoever is gone gives back what it was given: its pass is still there.
                let _ = waiting.admit.send(());
            }
        }
    }
}

/// Permits, or a place in the line; given back, or left, when dropped.
#[derive(Debug)]
struct Pass {
    line: Arc<Line>,
    ticket: Ticket,
    wanted: u32,
    giving_way: bool,
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.line.state();
        if state.waiting.remove(&self.ticket).is_some() {
            state.queue.leave(self.ticket);
        } else {
            let paid = state.owed.min(self.wanted);
            state.owed -= paid;
            state.free += self.wanted - paid;
        }
        if self.giving_way {
            state.giving_way = false;
        }
        self.line.admit(&mut state);
    }
}

/// What a worker holds while it works.
#[derive(Debug)]
pub(crate) struct Turn {
    line: Arc<Line>,
    wanted: u32,
    pending: Pending,
    pass: Option<Pass>,
}

impl Turn {
    fn pass(&self, ticket: Ticket) -> Pass {
        Pass {
            line: Arc::clone(&self.line),
            ticket,
            wanted: self.wanted,
            giving_way: false,
        }
    }

    async fn wait(&mut self) {
        let (admit, admitted) = oneshot::channel();
        {
            let mut state = self.line.state();
            let ticket = state.queue.push(self.pending, self.line.clock.now());
            let wanted = self.wanted;
            state.waiting.insert(ticket, Waiting { wanted, admit });
            self.pass = Some(self.pass(ticket));
            self.line.admit(&mut state);
        }
        // The sender is dropped without a word only together with our own pass.
        let _ = admitted.await;
    }

    /// Whether to begin nothing more and, once nothing is under way, to call [`Turn::again`]: a more urgent order waits, and
    /// what this one holds would let it begin. Once `true` it stays so.
    pub(crate) fn gives_way(&mut self) -> bool {
        let Some(pass) = &mut self.pass else {
            return false;
        };
        if pass.giving_way {
            return true;
        }
        let mut state = self.line.state();
        if state.giving_way || state.waiting.is_empty() {
            return false;
        }
        let now = self.line.clock.now();
        let Some(ticket) = state.queue.next(now) else {
            return false;
        };
        let wanted = state.waiting.get(&ticket).map_or(0, |it| it.wanted);
        let enough = wanted <= state.free + self.wanted;
        let ours = self.pending;
        let theirs = state.queue.get(ticket).copied();
        // Equal ones keep their order: what has begun goes on.
        let urgent = theirs.is_some_and(|theirs| in_order(&[ours, theirs], now) == [1, 0]);
        pass.giving_way = enough && urgent;
        state.giving_way = pass.giving_way;
        pass.giving_way
    }

    /// Gives back what it holds, and waits for the next turn.
    pub(crate) async fn again(&mut self) {
        self.pass = None;
        self.wait().await;
    }
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
