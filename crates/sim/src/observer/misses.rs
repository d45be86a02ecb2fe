//! Why changes missed the SLO, and whether more foresight would have helped.
//!
//! A change waits for somebody to take it up. It waits *idly* while its key is pending in the ledger, nobody holds a claim on it,
//! and fewer claims are worked on at its destination than the processes may work on at once: somebody could have begun, and did
//! not. A miss whose delay without its idle waiting is within the SLO could have been avoided by looking further ahead. All
//! idle waiting counts, also what is there for a reason (a pause after a failure, the ledger's answer), so that the number
//! of such misses is never too low. Where it is zero, whoever was free always had begun, and only more capacity, earlier
//! notifications or faster copies would have met the SLO.

use super::Observer;
use serde::Serialize;
use skyfresh_ledger::TaskKey;
use skyfresh_sky::{ObjectKey, Timestamp};
use skyfresh_store::memory::MemoryEvent;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// Changes that arrived later than the SLO, by the first of these reasons that holds. Those that never arrived are not in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Misses {
    /// All of them.
    pub all: u64,
    /// In time, had nobody been idle while they waited: more foresight would have met the SLO.
    pub avoidable: u64,
    /// The ledger heard of them when the SLO had passed.
    pub told_late: u64,
    /// In time, had there been room to begin at once.
    pub no_room: u64,
    /// Neither: copying took too long, or what was being copied of the key before had to end first.
    pub copying: u64,
}

/// One of them: where its time went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missed {
    /// Of this key.
    pub key: String,
    /// Bytes that arrived.
    pub bytes: u64,
    /// When it was made, from the start of the run.
    pub at_ms: u64,
    /// From then until it was at the destination.
    pub delay_ms: u64,
    /// From then until the ledger was told; `None` where another signal of the key carried it.
    pub told_ms: Option<u64>,
    /// Of the delay: its key was pending, nobody held it, and there was room.
    pub idle_ms: u64,
    /// Of the delay: the same, and there was no room.
    pub full_ms: u64,
    /// Claims of its key since it was told that ended without success: failures, and those put off.
    pub given_up: u32,
}

/// Of each reason, at most so many are told one by one: the first that were so late.
const TOLD_OF_EACH: usize = 100;

/// Time during which a destination had room for one more claim, and had none.
#[derive(Debug, Default)]
struct Room {
    claims: u64,
    /// Until `since`.
    idle_ms: u64,
    full_ms: u64,
    since: Option<Timestamp>,
}

/// A key that waits, or has waited, for a claim.
#[derive(Debug, Default)]
struct Pending {
    /// When its oldest change that is not done yet was told.
    told: Option<Timestamp>,
    claimed: bool,
    /// When the first signal came during the claim.
    dirty: Option<Timestamp>,
    /// What its destination's clocks of idle and of full time showed when it began to wait.
    began: Option<(u64, u64)>,
    idle_ms: u64,
    full_ms: u64,
    given_up: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// Claims that all processes together work on at once at one destination; 0: nobody asks.
    capacity: u64,
    rooms: HashMap<String, Room>,
    pending: HashMap<TaskKey, Pending>,
    pub(super) misses: Misses,
    /// Some of them, by reason.
    missed: BTreeMap<&'static str, Vec<Missed>>,
}

impl Room {
    fn clocks(&mut self, now: Timestamp, capacity: u64) -> (u64, u64) {
        let passed_ms = self
            .since
            .map_or(0, |since| now.since(since).as_millis() as u64);
        match self.claims < capacity {
            true => self.idle_ms += passed_ms,
            false => self.full_ms += passed_ms,
        }
        self.since = Some(now);
        (self.idle_ms, self.full_ms)
    }
}

impl Waits {
    pub(super) fn new(capacity: u64) -> Self {
        Waits {
            capacity,
            ..Waits::default()
        }
    }

    fn clocks(&mut self, now: Timestamp, destination: &str) -> (u64, u64) {
        let capacity = self.capacity;
        match self.rooms.get_mut(destination) {
            Some(room) => room.clocks(now, capacity),
            None => {
                let room = Room {
                    since: Some(now),
                    ..Room::default()
                };
                self.rooms.insert(destination.to_owned(), room);
                (0, 0)
            }
        }
    }

    pub(super) fn submitted(&mut self, now: Timestamp, task: &TaskKey) {
        if self.capacity == 0 {
            return;
        }
        let clocks = self.clocks(now, &task.destination);
        let pending = self.pending.entry(task.clone()).or_default();
        pending.told = pending.told.or(Some(now));
        match pending.claimed {
            true => pending.dirty = pending.dirty.or(Some(now)),
            false => pending.began = pending.began.or(Some(clocks)),
        }
    }

    pub(super) fn claimed(&mut self, now: Timestamp, task: &TaskKey) {
        if self.capacity == 0 {
            return;
        }
        let (idle_ms, full_ms) = self.clocks(now, &task.destination);
        let pending = self.pending.entry(task.clone()).or_default();
        if let Some((idle_then_ms, full_then_ms)) = pending.began.take() {
            pending.idle_ms += idle_ms - idle_then_ms;
            pending.full_ms += full_ms - full_then_ms;
        }
        // One that takes over from a dead owner is in the count already.
        if !std::mem::replace(&mut pending.claimed, true)
            && let Some(room) = self.rooms.get_mut(&task.destination)
        {
            room.claims += 1;
        }
    }

    /// A claim is over; `done`: with success.
    pub(super) fn ended(&mut self, now: Timestamp, task: &TaskKey, done: bool) {
        if self.capacity == 0 {
            return;
        }
        let clocks = self.clocks(now, &task.destination);
        let Some(pending) = self.pending.get_mut(task) else {
            return;
        };
        if std::mem::take(&mut pending.claimed)
            && let Some(room) = self.rooms.get_mut(&task.destination)
        {
            room.claims = room.claims.saturating_sub(1);
        }
        match (done, pending.dirty.take()) {
            (true, None) => {
                self.pending.remove(task);
            }
            (true, Some(told)) => {
                *pending = Pending {
                    told: Some(told),
                    began: Some(clocks),
                    ..Pending::default()
                };
            }
            (false, _) => {
                pending.given_up += 1;
                pending.began = Some(clocks);
            }
        }
    }

    /// A change arrived that was made at `from`, with so many bytes; the run began at `start`.
    fn arrived(
        &mut self,
        (start, from, now): (Timestamp, Timestamp, Timestamp),
        slo: Duration,
        task: &TaskKey,
        bytes: u64,
    ) {
        let delay = now.since(from);
        if self.capacity == 0 || delay <= slo {
            return;
        }
        self.misses.all += 1;
        let unknown = Pending::default();
        let pending = self.pending.get(task).unwrap_or(&unknown);
        let idle = Duration::from_millis(pending.idle_ms);
        let full = Duration::from_millis(pending.full_ms);
        let told_late = pending.told.is_some_and(|told| told.since(from) > slo);
        let (name, reason) = if delay.saturating_sub(idle) <= slo {
            ("avoidable", &mut self.misses.avoidable)
        } else if told_late {
            ("told_late", &mut self.misses.told_late)
        } else if delay.saturating_sub(idle + full) <= slo {
            ("no_room", &mut self.misses.no_room)
        } else {
            ("copying", &mut self.misses.copying)
        };
        *reason += 1;
        let told = self.missed.entry(name).or_default();
        if told.len() < TOLD_OF_EACH {
            told.push(Missed {
                key: task.key.to_string(),
                bytes,
                at_ms: from.since(start).as_millis() as u64,
                delay_ms: delay.as_millis() as u64,
                told_ms: pending.told.map(|told| told.since(from).as_millis() as u64),
                idle_ms: pending.idle_ms,
                full_ms: pending.full_ms,
                given_up: pending.given_up,
            });
        }
    }
}

impl Observer {
    /// Receipts of copies, where they are kept.
    pub(crate) fn receipts(&self) -> Vec<super::Timed> {
        self.state().receipts.clone()
    }

    /// Misses so far.
    pub(crate) fn misses(&self) -> Misses {
        self.state().waits.misses
    }

    /// Some of them, by reason.
    pub(crate) fn missed(&self) -> BTreeMap<&'static str, Vec<Missed>> {
        self.state().waits.missed.clone()
    }

    /// A change made at `from` is at a destination now.
    pub(super) fn in_place(&self, state: &mut super::State, from: Timestamp, event: &MemoryEvent) {
        let (now, bucket, key) = (event.at, &event.bucket, &event.full_key);
        state.waiting -= 1;
        state.delays.add(from, now);
        if now.since(from) > self.terms.slo
            && let Ok(key) = ObjectKey::new(key)
        {
            // Destinations are called as their buckets are.
            let task = TaskKey {
                rule: self.terms.rule.clone(),
                destination: bucket.clone(),
                key,
            };
            let times = (self.terms.start, from, now);
            state
                .waits
                .arrived(times, self.terms.slo, &task, event.size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLO: Duration = Duration::from_secs(10);

    fn at(s: u64) -> Timestamp {
        Timestamp::from_unix_ms(1_800_000_000_000 + s * 1_000)
    }

    fn task(key: &str) -> TaskKey {
        TaskKey {
            rule: "rule".into(),
            destination: "d1".into(),
            key: ObjectKey::new(key).unwrap(),
        }
    }

    /// One claim at a time; `a` is told at 0 and worked on from `begun` to 20.
    fn misses(begun: u64, other: Option<(u64, u64)>) -> Misses {
        let mut waits = Waits::new(1);
        let mut events = vec![(0, 0, "a"), (begun, 1, "a")];
        if let Some((from, to)) = other {
            events.extend([(from, 0, "b"), (from, 1, "b"), (to, 2, "b")]);
        }
        events.sort_by_key(|event| event.0);
        for (s, what, key) in events {
            match what {
                0 => waits.submitted(at(s), &task(key)),
                1 => waits.claimed(at(s), &task(key)),
                _ => waits.ended(at(s), &task(key), true),
            }
        }
        waits.arrived((at(0), at(0), at(20)), SLO, &task("a"), 1);
        waits.misses
    }

    #[test]
    fn waiting_beside_idle_workers_is_told_from_waiting_for_room() {
        let idle = misses(15, None);
        assert_eq!((idle.all, idle.avoidable), (1, 1));
        let full = misses(15, Some((1, 15)));
        assert_eq!((full.all, full.no_room, full.avoidable), (1, 1, 0));
        let slow = misses(1, None);
        assert_eq!((slow.all, slow.copying), (1, 1));
    }

    #[test]
    fn who_hears_too_late_is_told_so_and_who_is_in_time_is_no_miss() {
        let mut waits = Waits::new(1);
        waits.submitted(at(12), &task("a"));
        waits.claimed(at(12), &task("a"));
        waits.arrived((at(0), at(0), at(14)), SLO, &task("a"), 1);
        waits.arrived((at(0), at(5), at(14)), SLO, &task("a"), 1);
        assert_eq!((waits.misses.all, waits.misses.told_late), (1, 1));
        assert_eq!(waits.rooms["d1"].claims, 1);
        waits.ended(at(14), &task("a"), true);
        assert_eq!((waits.rooms["d1"].claims, waits.pending.len()), (0, 0));
    }

    #[test]
    fn a_failed_claim_waits_again() {
        let mut waits = Waits::new(1);
        waits.submitted(at(0), &task("a"));
        waits.claimed(at(0), &task("a"));
        waits.ended(at(1), &task("a"), false);
        waits.claimed(at(15), &task("a"));
        waits.arrived((at(0), at(0), at(16)), SLO, &task("a"), 1);
        assert_eq!(waits.misses.avoidable, 1);
        let missed = &waits.missed["avoidable"][0];
        assert_eq!((missed.idle_ms, missed.given_up), (14_000, 1));
        assert_eq!((missed.delay_ms, missed.told_ms), (16_000, Some(0)));
    }
}
