//! The observer: knows the guarantees and nothing of the engine, and checks them at every change, call and answer.
//!
//! **In:** every change of every bucket, at the moment it happens; every answer of the ledger; what was acknowledged to who
//! tells of changes. **Out:** the guarantees that were broken, and how long every change took to arrive. **Never:** asks the
//! engine what is true, or changes anything.

mod copies;
mod delays;
mod ledger;
mod misses;
mod truth;

pub(crate) use delays::Delays;
pub(crate) use ledger::ClaimChange;
pub use ledger::Timed;
pub use misses::{Missed, Misses};

use copies::Copy;
use serde::{Deserialize, Serialize};
use skyfresh_engine::Predictions;
use skyfresh_sky::Timestamp;
use skyfresh_store::memory::{MemoryEvent, MemoryEventKind};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use truth::{Content, Truth};

/// What can be broken; the numbers are those of GUARANTEES.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guarantee {
    /// 1: once faults stop, every key equals the source.
    Convergence,
    /// 2: no object is visible that the source never had.
    NoTornObject,
    /// 3: no destination goes back to an older version.
    NeverBack,
    /// 3: nobody changes a claim that is no longer theirs.
    Fencing,
    /// 4: no receipt without the object it tells of, no proof without what it proves.
    NothingUnverified,
    /// 5: what was acknowledged is in the ledger until it is done.
    NothingLost,
    /// 5: no upload without an intent, none left after the janitor's periods.
    NothingLeaks,
    /// 6: the source is never written to.
    SourceUntouched,
    /// 7: no delete that the rule does not ask for, of what the source still has, past the cap, or without a tombstone.
    CarefulDeletes,
}

/// A broken guarantee.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// When, from the start of the run.
    pub at_ms: u64,
    /// Which.
    pub guarantee: Guarantee,
    /// What was seen.
    pub what: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:?} broken at {} ms: {}",
            self.guarantee, self.at_ms, self.what
        )
    }
}

/// What the observer is told of the rule.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) start: Timestamp,
    /// The rule's name.
    pub(crate) rule: String,
    /// Buckets of the destinations, by the destination's name.
    pub(crate) destinations: BTreeMap<String, String>,
    pub(crate) delete: bool,
    pub(crate) max_deletes: u64,
    /// Answers of the ledger are seen in the order in which they took effect.
    pub(crate) exact_ledger: bool,
    pub(crate) slo: Duration,
    /// Claims that all processes together work on at once at one destination; 0 where nobody asks why the SLO was missed.
    pub(crate) capacity: u64,
    /// Whether the times of every receipt are kept.
    pub(crate) keeps_receipts: bool,
}

/// A delete must be founded on the source being absent at some moment since one of the key's last claims, or within this time
/// before: so long can a request be on its way.
const FOUNDED_WITHIN: Duration = ON_ITS_WAY;
/// A request can be on its way for so long.
const ON_ITS_WAY: Duration = Duration::from_secs(25);
/// A cap on deletes that no schedule reaches.
pub(crate) const UNCAPPED: u64 = 1_000;
/// What follows from the first broken guarantee need not be told in full.
const MOST_VIOLATIONS: usize = 5;
/// Deletes that a process has made at most without having written their receipts: one for each key of a schedule.
const UNRECORDED: u64 = 5;
const HOUR: Duration = Duration::from_secs(3_600);

/// What a destination keeps, over time.
#[derive(Clone, Copy, Debug, Default)]
struct Stored {
    bytes: u64,
    byte_ms: u128,
    since: Option<Timestamp>,
}

impl Stored {
    fn change(&mut self, at: Timestamp, before: u64, after: u64) {
        let kept_ms = self.since.map_or(0, |since| at.since(since).as_millis());
        self.byte_ms += u128::from(self.bytes) * kept_ms;
        self.bytes = self.bytes.saturating_sub(before) + after;
        self.since = Some(at);
    }
}

#[derive(Debug)]
struct State {
    truth: Truth,
    /// By bucket, then key.
    copies: HashMap<String, HashMap<String, Copy>>,
    claims: ledger::Claims,
    deletes: HashMap<String, VecDeque<Timestamp>>,
    stored: HashMap<String, Stored>,
    /// Deletes that may have gone uncounted: those of processes that died before their receipt.
    uncounted_deletes: u64,
    last_death: Option<Timestamp>,
    waiting: u64,
    delays: Delays,
    waits: misses::Waits,
    receipts: Vec<Timed>,
    violations: Vec<Violation>,
    predictions: Predictions,
    /// Copies by the way that was planned for them.
    ways: BTreeMap<String, u64>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Observer {
    terms: Terms,
    state: Mutex<State>,
}

impl Observer {
    pub(crate) fn new(terms: Terms) -> Self {
        let buckets = terms.destinations.values();
        let state = State {
            truth: Truth::default(),
            copies: buckets
                .map(|bucket| (bucket.clone(), HashMap::new()))
                .collect(),
            claims: ledger::Claims::default(),
            deletes: HashMap::new(),
            stored: HashMap::new(),
            uncounted_deletes: 0,
            last_death: None,
            waiting: 0,
            delays: Delays::new(terms.start, terms.slo),
            waits: misses::Waits::new(terms.capacity),
            receipts: Vec::new(),
            violations: Vec::new(),
            predictions: Predictions::default(),
            ways: BTreeMap::new(),
        };
        Observer {
            terms,
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn broken(&self, state: &mut State, at: Timestamp, guarantee: Guarantee, what: String) {
        if state.violations.len() >= MOST_VIOLATIONS {
            return;
        }
        state.violations.push(Violation {
            at_ms: at.since(self.terms.start).as_millis() as u64,
            guarantee,
            what,
        });
    }

    /// Adds what somebody else found broken.
    pub(crate) fn report(&self, at: Timestamp, guarantee: Guarantee, what: String) {
        self.broken(&mut self.state(), at, guarantee, what);
    }

    /// What was found so far.
    pub(crate) fn violations(&self) -> Vec<Violation> {
        self.state().violations.clone()
    }

    /// Whether anything was found so far.
    pub(crate) fn is_broken(&self) -> bool {
        !self.state().violations.is_empty()
    }

    /// Bytes kept at a destination times the hours they were kept, up to `now`.
    pub(crate) fn stored_byte_hours(&self, bucket: &str, now: Timestamp) -> f64 {
        let mut state = self.state();
        let stored = state.stored.entry(bucket.to_owned()).or_default();
        stored.change(now, 0, 0);
        stored.byte_ms as f64 / 3.6e6
    }

    /// What is measured so far, and how many changes have not arrived.
    pub(crate) fn delays(&self) -> (Delays, u64) {
        let state = self.state();
        (state.delays.clone(), state.waiting)
    }

    /// How predictions came true, and which ways were taken how often.
    pub(crate) fn planned(&self) -> (Predictions, BTreeMap<String, u64>) {
        let state = self.state();
        (state.predictions, state.ways.clone())
    }

    /// A process died: deletes it made without a receipt are not counted against the cap.
    pub(crate) fn process_died(&self, now: Timestamp) {
        let mut state = self.state();
        state.uncounted_deletes += UNRECORDED;
        state.last_death = Some(now);
    }

    /// A change of a bucket, at the moment it happens.
    pub(crate) fn changed(&self, event: &MemoryEvent) {
        if event.full_key.starts_with(".skyfresh-probe-") {
            return;
        }
        let mut state = self.state();
        let state = &mut *state;
        match (event.bucket.as_str(), event.kind) {
            ("source", _) => self.source_changed(state, event),
            (_, MemoryEventKind::Put) => self.published(state, event),
            (_, MemoryEventKind::Delete) => self.deleted(state, event),
        }
    }

    fn source_changed(&self, state: &mut State, event: &MemoryEvent) {
        let order = state.truth.changed(event);
        let is_delete = event.kind == MemoryEventKind::Delete;
        for copies in state.copies.values_mut() {
            let copy = copies.entry(event.full_key.clone()).or_default();
            if !is_delete || self.terms.delete {
                copy.wait_for(order, event.at);
                state.waiting += 1;
            }
            // Gone before it was copied: where nothing is, that is the newest state; and where the rule keeps what it has, the
            // changes before can never arrive.
            let gone = is_delete && (copy.current().is_none() || !self.terms.delete);
            if gone || (!is_delete && copy.equals(&Content::of(event, order))) {
                let counted = self.terms.delete || !is_delete;
                for waiting in copy.arrived(order) {
                    state.waiting -= 1;
                    if counted {
                        state.delays.add(waiting.at, event.at);
                    }
                }
            }
            state.delays.backlog(event.at, state.waiting);
        }
    }

    fn published(&self, state: &mut State, event: &MemoryEvent) {
        let (rule, key) = (&self.terms.rule, &event.full_key);
        let from = event.at.before(ON_ITS_WAY);
        let died_lately = state.last_death.is_some_and(|at| at >= from);
        let stale_sender = died_lately || !state.claims.is_sole(from, rule, &event.bucket, key);
        let name = format!("{}/{}", event.bucket, event.full_key);
        let seen = Content::of(event, 0);
        let known = state.truth.key(&event.full_key);
        let Some(order) = known
            .and_then(|key| key.with_bytes(&seen))
            .map(|content| content.order)
        else {
            let what = format!("{name} has {} bytes that the source never had", event.size);
            return self.broken(state, event.at, Guarantee::NoTornObject, what);
        };
        let copies = state.copies.entry(event.bucket.clone()).or_default();
        let copy = copies.entry(event.full_key.clone()).or_default();
        let before = copy.newest;
        let (bytes_before, replaces) = (copy.bytes(), copy.current().is_some());
        copy.publish(Content { order, ..seen });
        copy.stale_sender = stale_sender;
        let stored = state.stored.entry(event.bucket.clone()).or_default();
        stored.change(event.at, bytes_before, copy.bytes());
        for waiting in copy.arrived(order) {
            self.in_place(state, waiting.at, event);
        }
        state.delays.backlog(event.at, state.waiting);
        // A dead owner's write "only if there is nothing" may land after newer content came and was deleted: GUARANTEES.md,
        // Limits. The next comparison repairs it, which is checked in the end.
        if order < before && replaces {
            let what = format!("{name} went back from change {before} to change {order}");
            self.broken(state, event.at, Guarantee::NeverBack, what);
        }
    }

    fn deleted(&self, state: &mut State, event: &MemoryEvent) {
        let name = format!("{}/{}", event.bucket, event.full_key);
        let copies = state.copies.entry(event.bucket.clone()).or_default();
        let copy = copies.entry(event.full_key.clone()).or_default();
        let bytes_before = copy.bytes();
        copy.delete(Content::of(event, 0).version);
        let stored = state.stored.entry(event.bucket.clone()).or_default();
        stored.change(event.at, bytes_before, 0);
        let source = state.truth.key(&event.full_key);
        let covered = match source {
            Some(key) if key.current().is_some() => key.last_delete,
            _ => u64::MAX,
        };
        for waiting in copy.arrived(covered) {
            self.in_place(state, waiting.at, event);
        }
        state.delays.backlog(event.at, state.waiting);
        if !self.terms.delete {
            let what = format!("{name} was deleted although the rule does not delete");
            self.broken(state, event.at, Guarantee::CarefulDeletes, what);
        }
        let claimed = state
            .claims
            .oldest_of_last(&self.terms.rule, &event.bucket, &event.full_key);
        let from = claimed
            .unwrap_or(event.at)
            .min(event.at.before(FOUNDED_WITHIN));
        if !state.truth.was_absent_since(&event.full_key, from) {
            let what = format!("{name} was deleted although the source had it all the time");
            self.broken(state, event.at, Guarantee::CarefulDeletes, what);
        }
        let made = state.deletes.entry(event.bucket.clone()).or_default();
        made.push_back(event.at);
        while made
            .front()
            .is_some_and(|first| event.at.since(*first) >= HOUR)
        {
            made.pop_front();
        }
        let made = made.len() as u64;
        let allowed = self.terms.max_deletes;
        if made > allowed.saturating_add(state.uncounted_deletes) {
            let what = format!(
                "{made} deletes within an hour at {} where {} are allowed",
                event.bucket, self.terms.max_deletes
            );
            self.broken(state, event.at, Guarantee::CarefulDeletes, what);
        }
    }

    /// The engine says that everything written before `proven` is at a destination.
    pub(crate) fn proved(&self, now: Timestamp, destination: &str, proven: Timestamp) {
        let Some(bucket) = self.terms.destinations.get(destination) else {
            return;
        };
        let mut state = self.state();
        let nothing = HashMap::new();
        let copies = state.copies.get(bucket).unwrap_or(&nothing);
        let removes = self.terms.delete && self.terms.max_deletes >= UNCAPPED;
        let missing = state.truth.keys().find_map(|(name, source)| {
            let copy = copies.get(name);
            match source.current() {
                Some(current) if current.at < proven => {
                    let there = copy
                        .is_some_and(|copy| copy.newest >= current.order || copy.equals(current));
                    // Where the content is what it once was, the destination has it already, and a write still on the wire from
                    // before its owner lost the claim may take it away once more: GUARANTEES.md, Limits.
                    let beyond =
                        source.has_returned() && copy.is_some_and(|copy| copy.stale_sender);
                    (!there && !beyond)
                        .then(|| format!("{bucket}/{name} lacks change {}", current.order))
                }
                // A write of a dead owner may land after everything was compared: GUARANTEES.md, Limits.
                None if removes && source.deleted_before(proven) => {
                    let kept =
                        copy.is_some_and(|copy| copy.current().is_some() && !copy.stale_sender);
                    kept.then(|| format!("{bucket}/{name} is still there"))
                }
                _ => None,
            }
        });
        if let Some(what) = missing {
            let what = format!("{what}, although what was done before is said to be proved");
            self.broken(&mut state, now, Guarantee::NothingUnverified, what);
        }
    }
}
