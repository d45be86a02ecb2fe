//! One view at work: what waits for it, and how its features are made.

use super::config::ViewSpec;
use super::store::{Report, Row, Store, Write, target};
use crate::function::{Evaluator, Event, Function};
use crate::scheduler::{Feedback, Key, KeyScheduler, Lease, Scheduler, Stats};
use crate::{Error, Result};
use serde::Serialize;
use serde_json::Value;
use skyfresh_sky::{Clock, Kind, Rng};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

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
    /// Age of the features of keys with new data, seconds: median and 99th percentile.
    pub staleness_s: [f64; 2],
    /// The budget.
    pub updates_per_s: f64,
    /// Errors reported for each query; above 1 where the view judges itself.
    pub feedback_coverage: f64,
    /// The scheduler's counters; times in seconds.
    pub schedule: Stats,
}

/// What changes while a view works.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) scheduler: KeyScheduler,
    names: Vec<String>,
    pub(super) keys: HashMap<String, Key>,
    /// Events that wait, in order of their arrival.
    queues: HashMap<Key, Vec<(u64, Event)>>,
}

impl Work {
    pub(super) fn key(&mut self, name: &str) -> Key {
        if let Some(key) = self.keys.get(name) {
            return *key;
        }
        let key = self.names.len() as Key;
        self.names.push(name.to_owned());
        self.keys.insert(name.to_owned(), key);
        key
    }

    fn arrive(&mut self, name: &str, number: u64, event: Event, now_s: f64) -> Key {
        let key = self.key(name);
        self.queues.entry(key).or_default().push((number, event));
        self.scheduler.data(key, 1, now_s);
        key
    }

    /// The worker failed: what it took waits again, before what came since.
    fn put_back(&mut self, job: Job, now_s: f64) {
        let queue = self.queues.entry(job.lease.key).or_default();
        let newer = std::mem::replace(queue, job.events);
        queue.extend(newer);
        self.scheduler.abandon(&job.lease, now_s);
    }
}

#[derive(Debug)]
struct Job {
    lease: Lease,
    name: String,
    events: Vec<(u64, Event)>,
}

/// One view.
#[derive(Debug)]
pub(super) struct View {
    pub(super) spec: ViewSpec,
    pub(super) features: Vec<String>,
    pub(super) function: Option<Box<dyn Function>>,
    evaluator: Option<Box<dyn Evaluator>>,
    work: Mutex<Work>,
    pub(super) bell: Notify,
}

impl View {
    pub(super) fn new(spec: &ViewSpec, rng: &Rng) -> Result<Self> {
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
            bell: Notify::new(),
        })
    }

    pub(super) fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Events are there: counts them, and what they say of the present feature.
    pub(super) fn arrived(
        &self,
        name: &str,
        number: u64,
        event: Event,
        row: Option<&Row>,
        now_s: f64,
    ) {
        let error = self
            .evaluator
            .as_ref()
            .zip(row)
            .and_then(|(evaluator, row)| {
                Some((evaluator.error(&row.features, &event)?, row.version))
            });
        let mut work = self.work();
        let key = work.arrive(name, number, event, now_s);
        if let Some((error, version)) = error {
            let feedback = Feedback {
                version,
                error,
                queried_at: now_s,
            };
            work.scheduler.feedback(key, feedback, now_s);
        }
    }

    /// Updates up to so many keys, in one commit; how many.
    pub(super) fn update(&self, store: &Store, clock: &dyn Clock, most: usize) -> Result<usize> {
        let Some(function) = &self.function else {
            return Ok(0);
        };
        let jobs = self.take(most, seconds(clock));
        let (mut done, mut writes) = (Vec::new(), Vec::new());
        let mut failure = None;
        for job in jobs {
            match self.compute(function.as_ref(), store, clock, &job) {
                Ok(write) => {
                    writes.push(write);
                    done.push(job);
                }
                Err(error) => {
                    self.work().put_back(job, seconds(clock));
                    failure = Some(error);
                }
            }
        }
        if let Err(error) = store.write(&writes) {
            let mut work = self.work();
            done.into_iter()
                .for_each(|job| work.put_back(job, seconds(clock)));
            return Err(error);
        }
        let count = done.len();
        let mut work = self.work();
        for (job, write) in done.iter().zip(&writes) {
            // A lease that ran out meanwhile changes nothing: the feature is written, and nobody else works on the view.
            if !work.scheduler.complete(&job.lease, seconds(clock)) {
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
        let mut work = self.work();
        let mut jobs = Vec::new();
        while jobs.len() < most
            && let Some(lease) = work.scheduler.select(now_s)
        {
            let events = work.queues.remove(&lease.key).unwrap_or_default();
            let name = work.names[lease.key as usize].clone();
            jobs.push(Job {
                lease,
                name,
                events,
            });
        }
        jobs
    }

    fn compute(
        &self,
        function: &dyn Function,
        store: &Store,
        clock: &dyn Clock,
        job: &Job,
    ) -> Result<Write> {
        let stored = store.get(&self.spec.name, &job.name)?;
        let events: Vec<Event> = job.events.iter().map(|(_, event)| event.clone()).collect();
        let state = stored.as_ref().map_or(&Value::Null, |row| &row.state);
        let call = || function.on_events(&job.name, &events, state);
        // Functions take nothing by reference that a panic could leave half changed.
        let update =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).map_err(|_| {
                let why = "the function panicked; see the log above";
                Error::new(Kind::Internal, "compute features", &job.name, why)
            })??;
        let newest = events.iter().map(|event| event.at_ms).max();
        let (before_ms, before) = stored.map_or((i64::MIN, 0), |row| (row.event_ms, row.records));
        Ok(Write {
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
        })
    }

    pub(super) fn status(&self, now_s: f64) -> ViewStatus {
        let work = self.work();
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
            keys: work.names.len(),
            without_feature: waiting.filter(|key| key.updated_at.is_none()).count(),
            staleness_s: [quantile(0.5), quantile(0.99)],
            updates_per_s: self.spec.updates_per_s,
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
    let mut work = view.work();
    if let Some(key) = work.keys.get(&report.key).copied() {
        let feedback = Feedback {
            version: report.version,
            error: report.error,
            queried_at: report.queried_ms as f64 / 1_000.0,
        };
        work.scheduler
            .feedback(key, feedback, report.at_ms as f64 / 1_000.0);
    }
}
