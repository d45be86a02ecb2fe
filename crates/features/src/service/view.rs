//! One view at work: what waits for it, and how its features are made.

use super::cache::Cache;
use super::codec::{Head, Judgement, Report};
use super::config::ViewSpec;
use super::encode::Cells;
use super::store::{Row, Store, Write, target};
use crate::function::{Evaluator, Event, Function, Item, Update};
use crate::scheduler::{Feedback, Key, KeyScheduler, Lease, Scheduler, Stats};
use crate::{Error, Result};
use serde::Serialize;
use serde_json::Value;
use skyfresh_sky::{Clock, Kind, Rng};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Queries that the worker is woken for to tell the scheduler.
const MANY_ASKED: usize = 1 << 12;
/// Queries that wait to be told at most.
const MOST_ASKED: usize = 1 << 20;

/// What a view has done and sees.
#[derive(Clone, Debug, Serialize)]
pub struct ViewStatus {
    /// The view.
    pub view: String,
    /// The policy.
    pub policy: &'static str,
    /// Keys that are known.
    pub keys: usize,
    /// Keys with data that have no feature yet.
    pub without_feature: usize,
    /// Age of the features of keys with new data, seconds: median, 90th and 99th percentile.
    pub staleness_s: [f64; 3],
    /// Errors that wait for an update of their key: what updating everything now would end.
    pub regret: f64,
    /// The budget in updates a second; where it is in cores, those that it is enough for at present.
    pub updates_per_s: f64,
    /// The budget in cores, where it is in cores or dollars.
    pub cores: Option<f64>,
    /// Share of the budget that was used, over the last minute, about.
    pub budget_use: f64,
    /// Errors reported for each query; above 1 where the view judges itself.
    pub feedback_coverage: f64,
    /// The scheduler's counters; times in seconds.
    pub schedule: Stats,
}

/// What changes while a view works.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) scheduler: KeyScheduler,
    names: Vec<Arc<str>>,
    pub(super) keys: HashMap<Arc<str>, Key>,
    /// Events that wait, in order of their arrival.
    queues: HashMap<Key, Vec<Waiting>>,
}

/// The number of an event that waits; the event itself, unless it came before a restart and is in the store alone.
type Waiting = (u64, Option<Event>);

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
    fn put_back(&mut self, job: Job, now_s: f64) {
        let lease = job.lease;
        self.keep_events(job);
        self.scheduler.abandon(&lease, now_s);
    }

    /// The function failed on the key: its events are kept, and the lease left to run out, so that a key that always fails is tried
    /// once in a lease's time and not with every batch.
    fn keep_events(&mut self, job: Job) {
        let queue = self.queues.entry(job.lease.key).or_default();
        let newer = std::mem::replace(queue, job.events);
        queue.extend(newer);
    }
}

#[derive(Debug)]
struct Job {
    lease: Lease,
    name: Arc<str>,
    events: Vec<Waiting>,
}

/// One view.
#[derive(Debug)]
pub(super) struct View {
    pub(super) spec: ViewSpec,
    pub(super) features: Vec<String>,
    pub(super) function: Option<Box<dyn Function>>,
    evaluator: Option<Box<dyn Evaluator>>,
    work: Mutex<Work>,
    /// Keys that were asked for since the scheduler was last told: readers never wait for it.
    asked: Mutex<Vec<Key>>,
    pub(super) cache: Cache,
    /// Keys with features, where these come ready: no scheduler counts them.
    pub(super) ready: AtomicUsize,
    pub(super) bell: Notify,
    lately: Mutex<Use>,
}

/// What was done lately: sums that lose 1/e of themselves in a minute.
#[derive(Clone, Copy, Debug, Default)]
struct Use {
    updates: f64,
    took_s: f64,
    passed_s: f64,
    counted_ns: u64,
}

/// How fast [`Use`] forgets, seconds.
const USE_MEMORY_S: f64 = 60.0;

impl View {
    /// A view that keeps so many bytes of rows in memory.
    pub(super) fn new(spec: &ViewSpec, memory_bytes: usize, rng: &Rng) -> Result<Self> {
        let options = spec
            .schedule
            .unwrap_or_else(|| spec.policy.default_options());
        let function = spec
            .function
            .as_ref()
            .map(|spec| spec.function())
            .transpose()?;
        let features = function
            .as_ref()
            .map_or_else(|| spec.features.clone(), |f| f.features());
        Ok(View {
            spec: spec.clone(),
            features,
            evaluator: spec.function.as_ref().and_then(|spec| spec.evaluator()),
            function,
            work: Mutex::new(Work {
                scheduler: KeyScheduler::new(spec.policy.policy(&options, rng), options),
                names: Vec::new(),
                keys: HashMap::new(),
                queues: HashMap::new(),
            }),
            asked: Mutex::new(Vec::new()),
            cache: Cache::new(memory_bytes),
            ready: AtomicUsize::new(0),
            bell: Notify::new(),
            lately: Mutex::new(Use::default()),
        })
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

    /// Whether events say anything of the features that they meet.
    pub(super) fn judges(&self) -> bool {
        self.evaluator.is_some()
    }

    /// What an event says of the feature that it meets.
    pub(super) fn judge(&self, event: &Event, row: Option<&Row>) -> Judgement {
        let (evaluator, row) = self.evaluator.as_ref().zip(row)?;
        Some((row.version, evaluator.error(&row.features, event)?))
    }

    /// Encodes a row, as it is answered.
    pub(super) fn cells(&self, name: &str, row: &Row) -> Arc<Cells> {
        // Views whose features come ready have no scheduler to tell.
        let key = self
            .function
            .as_ref()
            .and_then(|_| self.lock().keys.get(name).copied());
        Arc::new(Cells::of(row, &self.features, key))
    }

    /// Updates up to so many keys, in one commit; how many.
    pub(super) fn update(&self, store: &Store, clock: &dyn Clock, most: usize) -> Result<usize> {
        let Some(function) = &self.function else {
            return Ok(0);
        };
        let mut inputs = Vec::new();
        let mut failure = None;
        let put_back = |job: Job| {
            let now_s = seconds(clock);
            self.work(now_s).put_back(job, now_s);
        };
        for job in self.take(most, seconds(clock)) {
            let read = store.get(&self.spec.name, &job.name);
            match read.and_then(|row| Ok((row, self.events(store, &job)?))) {
                Ok((row, events)) => inputs.push((job, row, events)),
                Err(error) => {
                    put_back(job);
                    failure = Some(error);
                }
            }
        }
        let items = inputs.iter().map(|(job, row, events)| Item {
            key: &job.name,
            events,
            state: row.as_ref().map_or(&Value::Null, |row| &row.state),
        });
        let mut updates = function.on_batch(&items.collect::<Vec<_>>());
        // A key without an answer must not lose its events.
        updates.resize_with(inputs.len(), || {
            let why = "the function gave no answer for some keys";
            let view = self.spec.name.as_str();
            Err(Error::new(Kind::Internal, "compute features", view, why))
        });
        let (mut done, mut writes) = (Vec::new(), Vec::new());
        for ((job, row, events), update) in inputs.into_iter().zip(updates) {
            match update {
                Ok(update) => {
                    writes.push(self.written(&job, row, &events, update, clock));
                    done.push(job);
                }
                Err(error) => {
                    self.work(seconds(clock)).keep_events(job);
                    failure = Some(error);
                }
            }
        }
        let written = store.write(&mut writes).inspect_err(|_| {
            let now_s = seconds(clock);
            let mut work = self.work(now_s);
            let jobs = std::mem::take(&mut done);
            jobs.into_iter().for_each(|job| work.put_back(job, now_s));
        })?;
        let count = done.len();
        for ((job, write), written) in done.iter().zip(&writes).zip(written) {
            if written {
                let cells = Cells::of(&write.row, &self.features, Some(job.lease.key));
                self.cache.written(&job.name, Arc::new(cells));
            }
        }
        let now_s = seconds(clock);
        let mut work = self.work(now_s);
        for (job, write) in done.iter().zip(&writes) {
            // A lease that ran out meanwhile changes nothing: the feature is written, and nobody else works on the view.
            if !work.scheduler.complete(&job.lease, now_s) {
                let (version, records) = (write.row.version, write.row.records);
                work.scheduler
                    .restore(job.lease.key, version, job.lease.since, records);
            }
        }
        drop(work);
        match failure {
            Some(error) => Err(error),
            None => Ok(count),
        }
    }

    fn take(&self, most: usize, now_s: f64) -> Vec<Job> {
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

    /// A job's events, those from before a restart out of the store.
    fn events(&self, store: &Store, job: &Job) -> Result<Vec<Event>> {
        let absent = job.events.iter().filter(|(_, event)| event.is_none());
        let absent: Vec<u64> = absent.map(|(number, _)| *number).collect();
        let mut read = match absent.is_empty() {
            true => Vec::new(),
            false => store.events(&target(&self.spec.name, &job.name), &absent)?,
        }
        .into_iter();
        let events = job.events.iter().filter_map(|(_, event)| match event {
            Some(event) => Some(event.clone()),
            None => read.next(),
        });
        Ok(events.collect())
    }

    fn written(
        &self,
        job: &Job,
        stored: Option<Row>,
        events: &[Event],
        update: Update,
        clock: &dyn Clock,
    ) -> Write {
        let newest = events.iter().map(|event| event.at_ms).max();
        let (before_ms, before) = stored.map_or((i64::MIN, 0), |row| (row.event_ms, row.records));
        Write {
            target: target(&self.spec.name, &job.name),
            row: Row {
                event_ms: newest.unwrap_or(before_ms).max(before_ms),
                version: job.lease.version,
                created_ms: clock.now().unix_ms(),
                records: before + events.len() as u64,
                features: update.features,
                state: update.state,
            },
            used: job.events.iter().map(|(number, _)| *number).collect(),
            follows: false,
        }
    }

    pub(super) fn status(&self, now_s: f64) -> ViewStatus {
        let lately = *self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        let cores = self.spec.cores();
        let work = self.work(now_s);
        let keys = work.scheduler.keys();
        let waiting = keys.iter().filter(|key| key.pending_records > 0);
        let mut ages: Vec<f64> = waiting
            .clone()
            .filter_map(|key| key.staleness(now_s))
            .collect();
        ages.sort_by(f64::total_cmp);
        let quantile = |share: f64| {
            let place = (ages.len().saturating_sub(1)) as f64 * share;
            ages.get(place.round() as usize).copied().unwrap_or(0.0)
        };
        let schedule = work.scheduler.stats();
        ViewStatus {
            view: self.spec.name.clone(),
            policy: self.spec.policy.as_str(),
            keys: work.names.len() + self.ready.load(Ordering::Relaxed),
            without_feature: waiting.filter(|key| key.updated_at.is_none()).count(),
            staleness_s: [quantile(0.5), quantile(0.9), quantile(0.99)],
            regret: work.scheduler.regret(now_s),
            updates_per_s: match cores {
                Some(cores) if lately.took_s > 0.0 => cores * lately.updates / lately.took_s,
                Some(_) => 0.0,
                None => self.spec.updates_per_s,
            },
            cores,
            budget_use: match cores {
                Some(cores) => lately.took_s / (cores * lately.passed_s.max(1.0)),
                None => lately.updates / (self.spec.updates_per_s * lately.passed_s.max(1.0)),
            },
            feedback_coverage: schedule.feedback as f64 / schedule.queries.max(1) as f64,
            schedule,
        }
    }
}

pub(super) fn seconds(clock: &dyn Clock) -> f64 {
    clock.now().unix_ms() as f64 / 1_000.0
}

/// Counts what was reported.
pub(super) fn tell(view: &View, report: &Report) {
    let at_s = report.at_ms as f64 / 1_000.0;
    let mut work = view.work(at_s);
    if let Some(key) = work.keys.get(report.key.as_str()).copied() {
        let feedback = Feedback {
            version: report.version,
            error: report.error,
            queried_at: report.queried_ms as f64 / 1_000.0,
        };
        work.scheduler.feedback(key, feedback, at_s);
    }
}
