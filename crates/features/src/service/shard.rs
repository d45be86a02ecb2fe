//! One shard of a view: the queues and the scheduler of its keys. Shards of a view share nothing that changes but memory for rows.

use super::codec::{Head, Judgement, Report};
use crate::function::Event;
use crate::scheduler::{Feedback, Key, KeyScheduler, Lease, Scheduler};
use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Queries that the worker is woken for to tell the scheduler.
const MANY_ASKED: usize = 1 << 12;
/// Queries that wait to be told at most.
const MOST_ASKED: usize = 1 << 20;

/// What changes while a shard works.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) scheduler: KeyScheduler,
    pub(super) names: Vec<Arc<str>>,
    pub(super) keys: HashMap<Arc<str>, Key>,
    /// Events that wait, in order of their arrival.
    queues: HashMap<Key, Vec<Waiting>>,
}

/// The number of an event that waits; the event itself, unless it came before a restart and is in the store alone.
pub(super) type Waiting = (u64, Option<Event>);

impl Work {
    pub(super) fn key(&mut self, name: &str) -> Key {
        if let Some(key) = self.keys.get(name) {
            return *key;
        }
        let key = self.names.len() as Key;
        let name: Arc<str> = name.into();
        self.names.push(Arc::clone(&name));
        self.keys.insert(name, key);
        key
    }

    /// Makes room for keys that are about to be known.
    pub(super) fn reserve(&mut self, keys: usize) {
        self.names.reserve(keys);
        self.keys.reserve(keys);
    }

    /// A key has features already, from before a restart.
    pub(super) fn restore(&mut self, name: &str, head: Head) {
        let key = self.key(name);
        let updated_at = head.created_ms as f64 / 1_000.0;
        self.scheduler
            .restore(key, head.version, updated_at, head.records);
    }

    /// An event waits: counts it, and what it says of the feature that it met.
    pub(super) fn arrive(
        &mut self,
        name: &str,
        waiting: Waiting,
        judgement: Judgement,
        now_s: f64,
    ) {
        let key = self.key(name);
        self.queues.entry(key).or_default().push(waiting);
        self.scheduler.data(key, 1, now_s);
        if let Some((version, error)) = judgement {
            let feedback = Feedback {
                version,
                error,
                queried_at: now_s,
            };
            self.scheduler.feedback(key, feedback, now_s);
        }
    }

    /// The worker failed: what it took waits again, before what came since.
    pub(super) fn put_back(&mut self, job: Job, now_s: f64) {
        let lease = job.lease;
        self.keep_events(job);
        self.scheduler.abandon(&lease, now_s);
    }

    /// The function failed on the key: its events are kept, and the lease left to run out, so that a key that always fails is tried
    /// once in a lease's time and not with every batch.
    pub(super) fn keep_events(&mut self, job: Job) {
        let queue = self.queues.entry(job.lease.key).or_default();
        let newer = std::mem::replace(queue, job.events);
        queue.extend(newer);
    }
}

/// A key that is worked on, and the events that are for it.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) lease: Lease,
    pub(super) name: Arc<str>,
    pub(super) events: Vec<Waiting>,
}

/// One shard of a view.
#[derive(Debug)]
pub(super) struct Shard {
    /// Among those of all processes.
    pub(super) number: u32,
    work: Mutex<Work>,
    /// Keys that were asked for since the scheduler was last told: readers never wait for it.
    asked: Mutex<Vec<Key>>,
    /// Keys with features, where these come ready: no scheduler counts them.
    pub(super) ready: AtomicUsize,
    pub(super) bell: Notify,
    lately: Mutex<Use>,
}

/// What was done lately: sums that lose 1/e of themselves in a minute.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Use {
    pub(super) updates: f64,
    pub(super) took_s: f64,
    pub(super) passed_s: f64,
    counted_ns: u64,
}

/// How fast [`Use`] forgets, seconds.
const USE_MEMORY_S: f64 = 60.0;

impl Shard {
    /// A shard without keys.
    pub(super) fn new(number: u32, scheduler: KeyScheduler) -> Self {
        Shard {
            number,
            work: Mutex::new(Work {
                scheduler,
                names: Vec::new(),
                keys: HashMap::new(),
                queues: HashMap::new(),
            }),
            asked: Mutex::new(Vec::new()),
            ready: AtomicUsize::new(0),
            bell: Notify::new(),
            lately: Mutex::new(Use::default()),
        }
    }

    /// What changes, with the scheduler told of all queries so far.
    pub(super) fn work(&self, now_s: f64) -> MutexGuard<'_, Work> {
        let mut work = self.lock();
        let asked = std::mem::take(&mut *self.asked());
        for key in asked {
            work.scheduler.query(key, now_s);
        }
        work
    }

    fn lock(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asked(&self) -> MutexGuard<'_, Vec<Key>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of a key that is known.
    pub(super) fn key(&self, name: &str) -> Option<Key> {
        self.lock().keys.get(name).copied()
    }

    /// Keys were asked for. Waits for nobody who works.
    pub(super) fn ask(&self, keys: impl Iterator<Item = Key>, now_s: f64) {
        let waiting = {
            let mut asked = self.asked();
            asked.extend(keys);
            asked.len()
        };
        if waiting > MANY_ASKED {
            self.bell.notify_one();
        }
        if waiting > MOST_ASKED {
            // Taking it tells the scheduler; the worker is far behind.
            drop(self.work(now_s));
        }
    }

    /// Counts what was done.
    pub(super) fn worked(&self, updates: usize, took_s: f64, now_ns: u64) {
        let mut lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        let passed_s = match lately.counted_ns {
            0 => took_s,
            counted_ns => now_ns.saturating_sub(counted_ns) as f64 / 1e9,
        };
        let kept = (-passed_s / USE_MEMORY_S).exp();
        lately.updates = lately.updates * kept + updates as f64;
        lately.took_s = lately.took_s * kept + if updates > 0 { took_s } else { 0.0 };
        lately.passed_s = lately.passed_s * kept + passed_s;
        lately.counted_ns = now_ns;
    }

    /// What was done lately.
    pub(super) fn lately(&self) -> Use {
        *self.lately.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys to update next, at most so many, each with its lease and what waits for it.
    pub(super) fn take(&self, most: usize, now_s: f64) -> Vec<Job> {
        let mut work = self.work(now_s);
        let mut jobs = Vec::new();
        while jobs.len() < most
            && let Some(lease) = work.scheduler.select(now_s)
        {
            let events = work.queues.remove(&lease.key).unwrap_or_default();
            let name = Arc::clone(&work.names[lease.key as usize]);
            jobs.push(Job {
                lease,
                name,
                events,
            });
        }
        jobs
    }

    /// Counts what was reported.
    pub(super) fn tell(&self, report: &Report) {
        let at_s = report.at_ms as f64 / 1_000.0;
        let mut work = self.work(at_s);
        if let Some(key) = work.keys.get(report.key.as_str()).copied() {
            let feedback = Feedback {
                version: report.version,
                error: report.error,
                queried_at: report.queried_ms as f64 / 1_000.0,
            };
            work.scheduler.feedback(key, feedback, at_s);
        }
    }
}
