//! The simulated sky: stores far away, functions, a ledger's service, notifications, and processes on which the real engine
//! runs, all in virtual time.
//!
//! `gate` and `clock` make a process that can stand still and die; `way` and `far_store` put a distance between it and a store,
//! `between` one between two stores;
//! `near_ledger` and `documents` between it and its ledger; `dispatch` gives parts out otherwise, for comparisons; `functions` runs workers elsewhere; `notifier` tells of changes, as
//! unreliably as clouds do; `meter` counts what it all costs; `process` puts an engine together and starts it again.

mod between;
mod clock;
mod dispatch;
mod documents;
mod far_store;
mod functions;
mod gate;
mod log;
mod meter;
mod near_ledger;
mod notifier;
mod process;
mod way;

pub use dispatch::Dispatch;
pub(crate) use dispatch::Dispatcher;
pub(crate) use documents::ServiceModel;
pub(crate) use functions::Fleet;
pub use functions::FunctionSettings;
pub use meter::Bill;
pub(crate) use notifier::{Note, Notifier};
pub(crate) use process::{Blueprint, Process, Route, StateStore};
pub(crate) use way::{Budget, Pipe, Way};

use crate::fault::Injector;
use crate::observer::{Observer, Terms};
use crate::storm::Contents;
use log::EventLog;
use meter::Meter;
use skyfresh_sky::catalog::Catalog;
use skyfresh_sky::{Clock, Distribution, Region, Timestamp, VirtualClock};
use skyfresh_store::memory::{MemorySky, OperationKind};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The wall-clock time at which every run begins: any, but always the same.
pub(crate) const EPOCH: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

/// What everything in one run shares.
#[derive(Debug)]
pub(crate) struct Sim {
    pub(crate) seed: u64,
    pub(crate) clock: VirtualClock,
    pub(crate) sky: MemorySky,
    pub(crate) contents: Arc<Contents>,
    pub(crate) injector: Arc<Injector>,
    pub(crate) observer: Arc<Observer>,
    pub(crate) meter: Meter,
    pub(crate) catalog: Catalog,
    log: EventLog,
}

impl Sim {
    /// A sky without buckets. Must be made on the run's own runtime.
    pub(crate) fn new(seed: u64, terms: Terms, keep_lines: bool) -> Arc<Self> {
        let clock = VirtualClock::starting_at(EPOCH);
        let sky = MemorySky::new(Arc::new(clock.clone()));
        let contents = Arc::new(Contents::default());
        let injector = Arc::new(Injector::new(clock.clone(), Arc::clone(&contents), seed));
        let observer = Arc::new(Observer::new(terms));
        let (hook, watching) = (Arc::clone(&injector), Arc::clone(&observer));
        sky.set_fault(Box::new(move |operation| hook.strike(operation)));
        sky.on_change(Box::new(move |event| watching.changed(event)));
        Arc::new(Sim {
            seed,
            clock,
            sky,
            contents,
            injector,
            observer,
            meter: Meter::default(),
            catalog: Catalog::embedded(),
            log: EventLog::new(keep_lines),
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Milliseconds since the run began.
    pub(crate) fn now_ms(&self) -> u64 {
        self.now().since(EPOCH).as_millis() as u64
    }

    /// Writes an event into the log.
    pub(crate) fn note(&self, what: std::fmt::Arguments<'_>) {
        self.log.add(self.now_ms(), what);
    }

    /// The log's hash and length.
    pub(crate) fn digest(&self) -> (u64, u64) {
        self.log.digest()
    }

    /// The log's lines, where they were kept.
    pub(crate) fn take_lines(&self) -> Vec<String> {
        self.log.take_lines()
    }
}

/// A bucket's place, and what it takes at most.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) region: Region,
    /// What its store takes to answer, ms.
    pub(crate) service_ms: Distribution,
    writes: Option<Budget>,
    reads: Option<Budget>,
    object_writes_per_s: Option<f64>,
    /// When each object may be written again, ns of the clock; kept for who is written too often.
    written: Mutex<HashMap<String, u64>>,
}

impl Site {
    /// A bucket that takes so many writes and reads a second, and so many writes to one object; `None` is without limit.
    pub(crate) fn new(
        region: Region,
        service_ms: Distribution,
        writes_per_s: Option<f64>,
        reads_per_s: Option<f64>,
        object_writes_per_s: Option<f64>,
    ) -> Arc<Self> {
        Arc::new(Site {
            region,
            service_ms,
            writes: writes_per_s.map(Budget::new),
            reads: reads_per_s.map(Budget::new),
            object_writes_per_s,
            written: Mutex::default(),
        })
    }

    /// Whether a request is taken now, or refused as one too many.
    pub(crate) fn admit(&self, kind: OperationKind, key: Option<&str>, now_ns: u64) -> bool {
        let reads = matches!(
            kind,
            OperationKind::Head
                | OperationKind::Get
                | OperationKind::Parts
                | OperationKind::Tags
                | OperationKind::List
                | OperationKind::ListUploads
                | OperationKind::CheckReadable
                | OperationKind::Probe
        );
        let budget = if reads { &self.reads } else { &self.writes };
        if budget.as_ref().is_some_and(|budget| !budget.take(now_ns)) {
            return false;
        }
        let publishes = matches!(
            kind,
            OperationKind::Put | OperationKind::CompleteUpload | OperationKind::Copy
        );
        match (self.object_writes_per_s, key) {
            (Some(per_s), Some(key)) if publishes => self.admit_object(key, per_s, now_ns),
            _ => true,
        }
    }

    fn admit_object(&self, key: &str, per_s: f64, now_ns: u64) -> bool {
        let gap_ns = (1e9 / per_s) as u64;
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.len() >= MOST_WRITTEN {
            written.retain(|_, again_ns| *again_ns > now_ns);
        }
        match written.get_mut(key) {
            Some(again_ns) if *again_ns > now_ns => false,
            Some(again_ns) => {
                *again_ns = now_ns + gap_ns;
                true
            }
            None => {
                written.insert(key.to_owned(), now_ns + gap_ns);
                true
            }
        }
    }
}

/// Objects whose last write is remembered at once.
const MOST_WRITTEN: usize = 10_000;
